//! What a command makes of the decisions about a model, or why it is refused. Nothing is changed here.

use std::collections::BTreeMap;

use super::Manager;
use super::commands::{Refusal, not_a_version};
use crate::models::decisions::{Decisions, ShadowDecision};
use crate::models::registry::is_name;
use crate::models::store::number;

impl Manager {
    pub(super) fn unloaded(&self, name: &str, version: Option<&str>) -> Result<Decisions, Refusal> {
        let model = self.known(name)?;
        let mut decisions = model.decisions.clone();
        let in_use = |number: u64| {
            let of_champion = (model.champion == Some(number)).then(|| "the alias champion".to_owned());
            decisions.use_of(number).or(of_champion)
        };
        let numbers: Vec<u64> = match version {
            Some(version) => {
                let number = number(version).ok_or_else(|| not_a_version(version))?;
                if !model.versions.contains_key(&number) {
                    return Err(Refusal::new(
                        422,
                        "not_loaded",
                        format!("{name} has no version {version}"),
                    ));
                }
                if let Some(user) = in_use(number) {
                    return Err(Refusal::conflict(format!(
                        "version {version} of {name} is in use by {user}"
                    )));
                }
                vec![number]
            }
            None => model
                .versions
                .keys()
                .copied()
                .filter(|&number| in_use(number).is_none())
                .collect(),
        };
        for number in numbers {
            decisions.loaded.remove(&number);
            decisions.unloaded.insert(number);
        }
        Ok(decisions)
    }

    pub(super) fn aliased(&self, name: &str, aliases: &BTreeMap<String, Option<String>>) -> Result<Decisions, Refusal> {
        let model = self.known(name)?;
        let mut decisions = model.decisions.clone();
        for (alias, version) in aliases {
            if !is_name(alias) {
                return Err(Refusal::invalid(format!(
                    "{alias:?} is no alias; accepted: letters, digits, '.', '_' and '-', 128 at most"
                )));
            }
            let Some(version) = version else {
                if decisions.split.names(alias) {
                    return Err(Refusal::conflict(format!(
                        "the split of {name} has a share for {alias}"
                    )));
                }
                decisions.aliases.remove(alias);
                continue;
            };
            let number = self.ready(name, version)?;
            decisions.unloaded.remove(&number);
            if alias == "champion" {
                decisions.promote(number, model.champion);
            } else {
                decisions.aliases.insert(alias.clone(), number);
            }
        }
        Ok(decisions)
    }

    pub(super) fn split(&self, name: &str, shares: &[(String, f64)]) -> Result<Decisions, Refusal> {
        let model = self.known(name)?;
        let mut decisions = model.decisions.clone();
        for (alias, _) in shares {
            if alias == "champion" {
                return Err(Refusal::invalid(
                    "the champion has what challengers leave; name those only",
                ));
            }
            let Some(version) = decisions.aliases.get(alias) else {
                return Err(Refusal::conflict(format!(
                    "{name} has no alias {alias:?}; set it first"
                )));
            };
            self.ready(name, &version.to_string())?;
        }
        decisions.split = decisions.split.changed(shares).map_err(Refusal::invalid)?;
        Ok(decisions)
    }

    pub(super) fn shadowed(&self, name: &str, shadow: Option<(String, f64)>) -> Result<Decisions, Refusal> {
        let model = self.known(name)?;
        let mut decisions = model.decisions.clone();
        let Some((version, share)) = shadow else {
            decisions.shadow = None;
            return Ok(decisions);
        };
        if !self.settings.keeps_records {
            return Err(Refusal::conflict(
                "a shadow scores what records say, and records.sinks is none",
            ));
        }
        if !(share > 0.0 && share <= 1.0) {
            return Err(Refusal::invalid(format!(
                "share is {share}; accepted: above 0 and up to 1"
            )));
        }
        let number = self.ready(name, &version)?;
        let of = |number: Option<u64>| number.and_then(|number| model.versions.get(&number)?.ready.as_ref());
        if let (Some(champion), Some(other)) = (of(model.champion), of(Some(number))) {
            let (has, needs) = (champion.loaded.model.schema(), other.loaded.model.schema());
            let missing: Vec<&str> = needs
                .names()
                .filter(|feature| has.column(feature).is_none())
                .take(5)
                .collect();
            if !missing.is_empty() {
                return Err(Refusal::invalid(format!(
                    "version {version} needs features that the champion does not have, and so no record has: {missing:?}"
                )));
            }
        }
        decisions.shadow = Some(ShadowDecision { version: number, share });
        Ok(decisions)
    }
}
