//! The report as JSON, as programs read it.

use serde_json::{Value, json};

use super::{BandQuality, Measures, QualityReport};

impl QualityReport {
    /// The report; what is not known is null.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut report = json!({
            "joined": self.joined,
            "unmatched": self.unmatched,
            "duplicates": self.duplicates,
        });
        let segments = self.segments.iter().map(|(column, value, measures)| {
            let mut segment = json!({"column": column, "value": value});
            extend(&mut segment, of_measures(measures));
            segment
        });
        let segments: Vec<Value> = segments.collect();
        extend(&mut report, of_measures(&self.measures));
        let bands: Vec<Value> = self.bands.iter().map(of_band).collect();
        extend(&mut report, json!({"bands": bands, "segments": segments}));
        report
    }
}

fn extend(object: &mut Value, with: Value) {
    if let (Value::Object(object), Value::Object(with)) = (object, with) {
        object.extend(with);
    }
}

fn of_measures(measures: &Measures) -> Value {
    json!({
        "rows": measures.rows,
        "converted": measures.converted,
        "auc": measures.auc.map(|auc| auc.area),
        "auc_interval": measures.auc.and_then(|auc| auc.interval),
        "brier": measures.brier,
        "log_loss": measures.log_loss,
    })
}

fn of_band(band: &BandQuality) -> Value {
    json!({
        "score": band.score,
        "rows": band.rows,
        "converted": band.converted,
        "mean_prediction": band.mean_prediction,
        "rate": band.rate,
        "interval": band.interval,
    })
}
