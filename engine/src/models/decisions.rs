//! What operators have decided about a model, as it is kept in the store: the same for all processes that have it.

use std::collections::{BTreeMap, BTreeSet};

use super::split::SplitShares;

/// Champions that are remembered, for going back.
const BEFORE_MAX: usize = 16;

/// Decisions about one model.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Decisions {
    /// Versions by alias. Without `champion` the highest of those that the configuration names is it.
    pub aliases: BTreeMap<String, u64>,
    /// Champions of before, the latest last.
    pub before: Vec<u64>,
    /// Which leads challengers get.
    #[serde(skip_serializing_if = "SplitShares::is_empty")]
    pub split: SplitShares,
    /// Who scores beside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowDecision>,
    /// Versions that are loaded whatever the configuration says.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub loaded: BTreeSet<u64>,
    /// Versions that are not loaded whatever the configuration says.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub unloaded: BTreeSet<u64>,
    /// The last time that a new champion was taken back by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<RolledBack>,
}

/// A version that scores beside the champion.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ShadowDecision {
    /// Which.
    pub version: u64,
    /// The part of the champion's leads, from 0 to 1.
    pub share: f64,
}

/// A new champion was taken back.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RolledBack {
    /// The version that was champion for a while.
    pub from: u64,
    /// The one that was before, and is again.
    pub to: u64,
    /// How far its predictions were from those of the one before, on the same rows.
    pub prediction_psi: f64,
    /// How many rows.
    pub rows: u64,
    /// Seconds since 1970.
    pub at_unix_s: u64,
}

impl Decisions {
    /// Reads what a store has kept.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }

    /// As it is kept.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// Makes another version champion, and remembers which it was.
    pub fn promote(&mut self, champion: u64, was: Option<u64>) {
        if let Some(was) = was.filter(|&was| was != champion) {
            self.remember(was);
        }
        self.aliases.insert("champion".into(), champion);
    }

    /// Remembers a champion that is not champion any more.
    pub fn remember(&mut self, was: u64) {
        self.before.push(was);
        let excess = self.before.len().saturating_sub(BEFORE_MAX);
        self.before.drain(..excess);
    }

    /// Whether an alias, the split or the shadow needs a version.
    #[must_use]
    pub fn use_of(&self, version: u64) -> Option<String> {
        let alias = self.aliases.iter().find(|(_, of)| **of == version);
        if let Some((alias, _)) = alias {
            return Some(format!("the alias {alias}"));
        }
        let is_shadow = self.shadow.as_ref().is_some_and(|shadow| shadow.version == version);
        is_shadow.then(|| "the shadow".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_come_back_as_they_were_and_a_later_build_may_say_more() {
        let mut decisions = Decisions::default();
        assert_eq!(Decisions::parse(&decisions.render()), Ok(Decisions::default()));
        decisions.promote(2, Some(1));
        decisions.aliases.insert("challenger".into(), 3);
        decisions.split = decisions
            .split
            .changed(&[("challenger".into(), 10.0)])
            .expect("a share");
        decisions.shadow = Some(ShadowDecision { version: 3, share: 0.5 });
        decisions.unloaded.insert(7);
        assert_eq!(Decisions::parse(&decisions.render()), Ok(decisions.clone()));
        assert_eq!(
            (decisions.before.clone(), decisions.use_of(3)),
            (vec![1], Some("the alias challenger".into()))
        );
        assert!(Decisions::parse(br#"{"aliases":{"champion":1},"later":[]}"#).is_ok());
        assert!(Decisions::parse(b"{").is_err());
    }

    #[test]
    fn champions_of_before_are_remembered_in_bounds() {
        let mut decisions = Decisions::default();
        for version in 1..100 {
            decisions.promote(version + 1, Some(version));
        }
        assert_eq!((decisions.before.len(), decisions.before.last()), (16, Some(&99)));
        decisions.promote(100, Some(100));
        assert_eq!(decisions.before.len(), 16);
    }
}
