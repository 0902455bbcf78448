//! The report as JSON, as programs read it.

use serde_json::{Map, Value, json};

use super::{BinNames, ColumnReport, DriftReport, SampleCounts, SegmentReport};

impl DriftReport {
    /// The report; numbers that are none are null.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "status": self.status.name(),
            "reference": {"rows": self.reference_rows},
            "current": {"rows": self.current_rows},
            "features": self.features.iter().map(|column| of_column(column, true)).collect::<Vec<_>>(),
            "prediction": self.prediction.as_ref().map(|column| of_column(column, false)),
            "segments": self.segments.iter().map(of_segment).collect::<Vec<_>>(),
        })
    }
}

fn of_column(column: &ColumnReport, has_missing: bool) -> Value {
    let mut object = Map::new();
    if has_missing {
        object.insert("name".into(), json!(column.name));
    }
    object.insert("status".into(), json!(column.status.name()));
    match &column.bins {
        BinNames::Edges(edges) => object.insert("edges".into(), json!(edges)),
        BinNames::Categories(names) => object.insert("categories".into(), json!(names)),
    };
    object.insert("reference".into(), of_sample(&column.reference, has_missing, false));
    object.insert("current".into(), of_sample(&column.current, has_missing, has_missing));
    let shift = column.shift;
    let mut number = |name: &str, number: Option<f64>| object.insert(name.into(), json!(number));
    number("psi", shift.map(|shift| shift.psi));
    number("psi_bias", shift.map(|shift| shift.psi_bias));
    number("js", shift.map(|shift| shift.js));
    number("ks", shift.map(|shift| shift.ks));
    number("chi2", shift.map(|shift| shift.chi2));
    number("chi2_p", shift.map(|shift| shift.chi2_p));
    if has_missing {
        number("missing_p", column.missing_p);
    }
    object.insert("chi2_df".into(), json!(shift.map(|shift| shift.chi2_df)));
    Value::Object(object)
}

fn of_sample(sample: &SampleCounts, has_missing: bool, has_unknown: bool) -> Value {
    let mut object = Map::new();
    object.insert("rows".into(), json!(sample.rows));
    if has_missing {
        object.insert("missing".into(), json!(sample.missing));
    }
    object.insert("counts".into(), json!(sample.counts));
    if has_unknown {
        object.insert("unknown".into(), json!(sample.unknown));
    }
    Value::Object(object)
}

fn of_segment(segment: &SegmentReport) -> Value {
    json!({
        "column": segment.column,
        "value": segment.value,
        "rows": segment.rows,
        "selected": segment.selected,
        "rate": segment.rate,
        "interval": segment.interval,
        "ratio": segment.ratio,
    })
}
