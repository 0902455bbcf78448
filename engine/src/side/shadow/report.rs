//! What shadows have come to, for operators.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::Job;

/// Reports by the model's name. Written by the thread that scores, read by whoever asks.
#[derive(Debug, Default)]
pub(in crate::side) struct ShadowReports(Mutex<BTreeMap<String, ShadowReport>>);

#[derive(Debug, Clone)]
struct ShadowReport {
    told: Value,
    dropped: u64,
}

impl ShadowReports {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, ShadowReport>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A model's report; none while it has no shadow.
    pub(in crate::side) fn of(&self, name: &str) -> Option<Value> {
        self.lock().get(name).map(|report| report.told.clone())
    }

    /// How many rows each shadow has not scored.
    pub(in crate::side) fn dropped(&self) -> Vec<(String, u64)> {
        let reports = self.lock();
        reports
            .iter()
            .map(|(name, report)| (name.clone(), report.dropped))
            .collect()
    }

    /// Forgets shadows that have ended, and knows those that have begun.
    pub(super) fn keep_only(&self, jobs: &[Job]) {
        self.lock()
            .retain(|name, _| jobs.iter().any(|job| !job.is_watch && job.name == *name));
        self.tell(jobs);
    }

    /// Takes what shadows have come to.
    pub(super) fn tell(&self, jobs: &[Job]) {
        let mut reports = self.lock();
        for job in jobs.iter().filter(|job| !job.is_watch) {
            let comparison = &job.comparison;
            let told = json!({
                "version": job.version.version,
                "rows": comparison.rows(),
                "dropped": job.dropped,
                "errors": job.errors,
                "mean_abs_difference": comparison.mean_difference(),
                "max_abs_difference": comparison.max_difference(),
                "band_agreement": comparison.agreement(),
                "bands": comparison.bands(),
                "prediction_psi": comparison.psi(),
            });
            reports.insert(
                job.name.clone(),
                ShadowReport {
                    told,
                    dropped: job.dropped,
                },
            );
        }
    }
}
