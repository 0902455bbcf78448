//! The report as JSON for programs.

use serde_json::{Value, json};

use super::{ComparisonReport, Outcomes};

impl ComparisonReport {
    /// Everything that was found. A number that is not finite is null, as JSON has it.
    #[must_use]
    pub fn json(&self) -> Value {
        let Self {
            movement, promotion, ..
        } = self;
        let reasons = promotion.reasons.iter();
        let reasons = reasons.map(|(verdict, reason)| json!({"says": verdict.name(), "reason": reason}));
        json!({
            "verdict": promotion.verdict.name(),
            "line": promotion.line(),
            "reasons": reasons.collect::<Vec<_>>(),
            "rows": self.rows,
            "unscored": self.unscored,
            "not_numbers": self.not_numbers,
            "equal": self.equal,
            "mean_abs_difference": self.mean_abs_difference,
            "max_abs_difference": self.max_abs_difference,
            "mean_difference": self.mean_difference,
            "band_rows": movement.rows,
            "band_agreement": movement.band_agreement,
            "bands": movement.bands,
            "moved_down": movement.down,
            "moved_up": movement.up,
            "moved_down_outcomes": outcomes(movement.down_outcomes),
            "moved_up_outcomes": outcomes(movement.up_outcomes),
            "prediction_psi": self.shift.as_ref().map(|shift| shift.psi),
            "prediction_bins": self.shift.as_ref().map(|shift| json!({
                "edges": shift.edges,
                "champion": shift.champion,
                "other": shift.other,
                "edges_of_first_rows": shift.edges_of_first,
            })),
            "auc": self.auc.as_ref().map(|auc| json!({
                "converted": auc.converted,
                "not_converted": auc.not_converted,
                "champion": auc.champion,
                "other": auc.other,
                "difference": auc.difference,
                "interval_95": auc.interval,
                "is_exact": auc.auc_error_max <= 0.0,
                "auc_error_max": auc.auc_error_max,
            })),
        })
    }
}

fn outcomes(outcomes: Outcomes) -> Value {
    json!({"known": outcomes.known, "converted": outcomes.converted})
}
