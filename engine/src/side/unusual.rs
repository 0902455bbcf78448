//! How many values lay far outside what training saw, by feature, since the model is served.

use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::loaded::unusual::UnusualFeatures;
use serde_json::{Value, json};

use crate::telemetry::ShardStats;

/// Features that `/v1/status` lists: those with the most such values.
const LISTED_MAX: usize = 10;

/// Sums over all shards, for one model: another one's features are others.
#[derive(Debug, Default)]
pub(super) struct UnusualTotals {
    model: u32,
    names: Vec<String>,
    counts: Vec<u64>,
}

impl UnusualTotals {
    /// Another model is served.
    pub(super) fn serve(&mut self, loaded: &LoadedModel) {
        let names = loaded.unusual.as_ref().map(UnusualFeatures::names);
        if self.model == loaded.model_number && names.is_some_and(|names| *names == self.names) {
            return;
        }
        self.names = names.unwrap_or_default().to_vec();
        self.counts = vec![0; self.names.len()];
        self.model = loaded.model_number;
    }

    pub(super) fn add(&mut self, block: &ShardStats) {
        if block.unusual_model == self.model {
            for (sum, more) in self.counts.iter_mut().zip(&block.unusual) {
                *sum += more;
            }
        }
    }

    /// Each feature whose range in training is known, with its count.
    pub(super) fn each(&self) -> impl Iterator<Item = (&str, u64)> {
        self.names.iter().map(String::as_str).zip(self.counts.iter().copied())
    }

    /// Those with the most, for people.
    pub(super) fn listed(&self) -> Value {
        let mut counted: Vec<(&str, u64)> = self.each().filter(|&(_, count)| count > 0).collect();
        counted.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        let listed = counted.iter().take(LISTED_MAX);
        listed
            .map(|(feature, count)| json!({"feature": feature, "values": count}))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_the_model_that_is_served() {
        let mut totals = UnusualTotals::default();
        totals.serve(&LoadedModel::demo_with(
            "[features.f2]\nseen = [0, 1]\n[features.f4]\nseen = [0, 1]\n",
        ));
        let mut block = ShardStats::new();
        block.unusual[..2].copy_from_slice(&[1, 5]);
        totals.add(&block);
        totals.add(&block);
        block.unusual_model = 7;
        totals.add(&block);
        assert_eq!(totals.each().collect::<Vec<_>>(), [("f2", 2), ("f4", 10)]);
        assert_eq!(
            totals.listed(),
            json!([{"feature": "f4", "values": 10}, {"feature": "f2", "values": 2}])
        );
        totals.serve(&LoadedModel::demo_with(""));
        assert_eq!(totals.each().count(), 0);
    }
}
