//! What shadows have come to, for operators.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::Job;

/// Reports by the model's name. Written by the thread that scores, read by the thread that answers.
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
            // Mean and largest difference, bands, bins of predictions, and whether it may be promoted.
            let mut told = job.comparison.report().json();
            told["version"] = job.version.version.as_str().into();
            told["dropped"] = job.dropped.into();
            told["errors"] = job.errors.into();
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
