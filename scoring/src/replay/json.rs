//! The report as JSON for programs.

use serde_json::{Value, json};

use super::{ReplayReport, Reproduction};

impl ReplayReport {
    /// Everything that was found. A number that is not finite is null, as JSON has it.
    #[must_use]
    pub fn json(&self) -> Value {
        let recorded = self.recorded.iter().map(|(model, rows)| {
            json!({"model": model.name, "version": model.version, "sha256": model.sha256, "rows": rows})
        });
        let [champion, other] = &self.names;
        json!({
            "files": self.files,
            "rows": self.rows,
            "shadows": self.shadows,
            "duplicates": self.duplicates,
            "of_other_models": self.of_others,
            "recorded": recorded.collect::<Vec<_>>(),
            "champion": champion,
            "other": other,
            "is_reproduced": self.reproduction.as_ref().map(Reproduction::is_complete),
            "reproduction": self.reproduction.as_ref().map(Reproduction::json),
            "first_refusal": self.refusal.as_ref().map(|(record, says)| json!({"record_id": record, "reason": says})),
            "notes": self.notes,
            "comparison": self.comparison.as_ref().map(crate::comparison::ComparisonReport::json),
        })
    }
}

impl Reproduction {
    fn json(&self) -> Value {
        let differences = self.differences.iter().map(|difference| {
            json!({
                "record_id": difference.record_id,
                "lead_id": difference.lead_id,
                "what": difference.what,
                "output": difference.output,
                "recorded": difference.recorded,
                "now": difference.now,
            })
        });
        json!({
            "equal": self.equal,
            "differing": self.differing,
            "refused": self.refused,
            "elsewhere": self.elsewhere,
            "differences": differences.collect::<Vec<_>>(),
        })
    }
}
