//! What `/metrics` says of each model of a store: sums of what the shards count by slot, for as long as a version is
//! served.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use prometheus::proto::{self, MetricFamily, MetricType};

use super::families::{counter, family, float, gauge, histogram, labels, seconds};
use crate::models::{ModelVersion, NamedModel, Registry};
use crate::telemetry::{ModelCounts, RoleCounts, ShardStats};

/// What roles are called, in the order of their counts.
const ROLES: [&str; 2] = ["champion", "challenger"];

/// χ² beyond which counts do not come from the shares that they should, by the number of challengers: one in a million
/// by chance, because it is read twice a second.
const CHI_SQUARED_MAX: [f64; 8] = [23.93, 27.63, 30.66, 33.38, 35.89, 38.26, 40.52, 42.70];

/// Leads of a split that are too few to say anything.
const LEADS_MIN: u64 = 1_000;

/// Counts of each version that is served.
#[derive(Debug)]
pub(in crate::side) struct ModelStats {
    registry: Arc<Registry>,
    /// By the version's number.
    counts: BTreeMap<u64, ModelCounts>,
    /// Splits whose mismatch was told.
    told: BTreeSet<u64>,
}

/// How a split's counts compare with its shares.
struct SplitCheck<'a> {
    model: &'a NamedModel,
    leads: u64,
    chi_squared: f64,
    is_mismatch: bool,
}

impl ModelStats {
    pub(in crate::side) fn new(registry: Arc<Registry>) -> Self {
        Self {
            registry,
            counts: BTreeMap::new(),
            told: BTreeSet::new(),
        }
    }

    /// Other models are served: what is said of those that are not any more ends.
    pub(in crate::side) fn serve(&mut self, registry: &Arc<Registry>) {
        self.registry = Arc::clone(registry);
        let numbers: BTreeSet<u64> = registry.versions().map(|version| version.number).collect();
        self.counts.retain(|number, _| numbers.contains(number));
        let splits: BTreeSet<u64> = registry
            .models()
            .iter()
            .filter_map(|model| Some(model.split.as_ref()?.number))
            .collect();
        self.told.retain(|split| splits.contains(split));
    }

    /// Adds a block of a shard.
    pub(in crate::side) fn add(&mut self, block: &ShardStats) {
        for counts in block.models.iter().filter(|counts| counts.number > 0) {
            self.counts.entry(counts.number).or_default().add(counts);
        }
    }

    /// Logs splits whose counts do not come from their shares, each once.
    pub(in crate::side) fn check_splits(&mut self) {
        let mismatches: Vec<(u64, String, u64, f64)> = self
            .checks()
            .into_iter()
            .filter(|check| check.is_mismatch)
            .filter_map(|check| {
                let split = check.model.split.as_ref()?.number;
                Some((split, check.model.name.clone(), check.leads, check.chi_squared))
            })
            .collect();
        for (split, model, leads, chi_squared) in mismatches {
            if self.told.insert(split) {
                tracing::error!(
                    model,
                    leads,
                    chi_squared,
                    "the leads of a split do not come in its shares: something refuses or repeats those of one side, and a comparison misleads"
                );
            }
        }
    }

    fn checks(&self) -> Vec<SplitCheck<'_>> {
        self.registry
            .models()
            .iter()
            .filter_map(|model| self.check(model))
            .collect()
    }

    fn check<'a>(&self, model: &'a NamedModel) -> Option<SplitCheck<'a>> {
        let (split, champion) = (model.split.as_ref()?, model.champion.as_ref()?);
        let of = |number: u64| {
            self.counts
                .get(&number)
                .filter(|counts| counts.split == split.number)
                .map_or(0, |counts| counts.by_split)
        };
        let arms = split.arms();
        let rest = 1.0 - arms.iter().map(|arm| arm.share).sum::<f64>();
        let mut cells: Vec<(u64, f64)> = arms.iter().map(|arm| (of(arm.version.number), arm.share)).collect();
        if rest > 1e-9 {
            cells.push((of(champion.number), rest));
        }
        let leads: u64 = cells.iter().map(|&(count, _)| count).sum();
        let total = float(leads);
        let chi_squared = match leads {
            0 => 0.0,
            _ => cells
                .iter()
                .map(|&(count, share)| (float(count) - total * share).powi(2) / (total * share))
                .sum(),
        };
        let degrees = cells.len().saturating_sub(1);
        let max = degrees.checked_sub(1).and_then(|place| CHI_SQUARED_MAX.get(place));
        Some(SplitCheck {
            model,
            leads,
            chi_squared,
            is_mismatch: leads >= LEADS_MIN && max.is_some_and(|&max| chi_squared > max),
        })
    }

    /// The families of `/metrics`; none without a store.
    pub(in crate::side) fn families(
        &self,
        shadow_dropped: &[(String, u64)],
        loads: &[(String, String, u64)],
    ) -> Vec<MetricFamily> {
        if !self.registry.is_of_store() {
            return Vec::new();
        }
        let by_role = self.by_role();
        let mut families = vec![
            counter(
                "quintile_model_scores_total",
                "Scored leads by model, version and role.",
                by_role.iter().map(|(labels, counts)| (labels.clone(), counts.leads())),
            ),
            durations(by_role.clone()),
            gauge(
                "quintile_model_memory_bytes",
                "What the plan of a loaded version takes.",
                self.versions().map(|(model, version)| {
                    let bytes = version.loaded.model.bytes() as u64;
                    (
                        labels(&[("model", &model.name), ("version", &version.version)]),
                        float(bytes),
                    )
                }),
            ),
            counter(
                "quintile_model_loads_total",
                "Loads of versions by what came of them.",
                loads
                    .iter()
                    .map(|(model, result, count)| (labels(&[("model", model), ("result", result)]), *count)),
            ),
            counter(
                "quintile_shadow_dropped_total",
                "Leads that a shadow has not scored because it was behind.",
                shadow_dropped
                    .iter()
                    .map(|(model, count)| (labels(&[("model", model)]), *count)),
            ),
        ];
        families.extend(self.split_families());
        families
    }

    /// Every version that is served, with its model.
    fn versions(&self) -> impl Iterator<Item = (&NamedModel, &ModelVersion)> {
        let models = self.registry.models().iter();
        models.flat_map(|model| model.ready.iter().map(move |version| (&**model, &**version)))
    }

    /// What each version has scored in each role that it had.
    fn by_role(&self) -> Vec<(Vec<proto::LabelPair>, RoleCounts)> {
        let mut all = Vec::new();
        for (model, version) in self.versions() {
            let counts = self.counts.get(&version.number).copied().unwrap_or_default();
            for (role, counts) in ROLES.iter().zip(counts.roles).filter(|(_, counts)| counts.leads() > 0) {
                let (name, version) = (model.name.as_str(), version.version.as_str());
                all.push((labels(&[("model", name), ("version", version), ("role", role)]), counts));
            }
        }
        all
    }

    fn split_families(&self) -> [MetricFamily; 2] {
        let checks = self.checks();
        let of_model = |check: &SplitCheck<'_>| labels(&[("model", &check.model.name)]);
        [
            gauge(
                "quintile_split_chi_squared",
                "How far the leads of a split are from its shares.",
                checks.iter().map(|check| (of_model(check), check.chi_squared)),
            ),
            gauge(
                "quintile_split_mismatch",
                "1 while the leads of a split do not come in its shares.",
                checks
                    .iter()
                    .map(|check| (of_model(check), if check.is_mismatch { 1.0 } else { 0.0 })),
            ),
        ]
    }
}

fn durations(samples: Vec<(Vec<proto::LabelPair>, RoleCounts)>) -> MetricFamily {
    let metric = |(labels, counts): (Vec<proto::LabelPair>, RoleCounts)| {
        histogram(labels, &counts.buckets, (counts.timed, seconds(counts.sum_ns)))
    };
    let timed = samples.into_iter().filter(|(_, counts)| counts.timed > 0);
    family(
        "quintile_model_score_duration_seconds",
        "From a complete body to its rendered answer, of leads that came alone, by model, version and role.",
        MetricType::HISTOGRAM,
        timed.map(metric).collect(),
    )
}
