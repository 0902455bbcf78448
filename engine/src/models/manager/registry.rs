//! Makes a registry of what is ready and what is decided, and gives it to every shard.

use std::sync::Arc;

use super::{Manager, Model, Watch};
use crate::models::openapi;
use crate::models::registry::{ModelVersion, NamedModel, Registry, Shadow};
use crate::models::split::Split;

impl Manager {
    /// A registry of this moment. None while the default model has no champion.
    pub(super) fn registry(&mut self) -> Option<Arc<Registry>> {
        let names: Vec<String> = self.models.keys().cloned().collect();
        for name in &names {
            self.number_split_and_shadow(name);
        }
        let models: Vec<_> = self
            .models
            .iter()
            .map(|(name, model)| Arc::new(named(name, model)))
            .collect();
        let champions: Vec<_> = models
            .iter()
            .map(|model| (&model.name, model.champion.as_ref().map(|champion| champion.number)))
            .collect();
        let described = format!("{champions:?}");
        if described != self.described.0 {
            let default = models.iter().find(|model| model.name == self.default);
            let all = models.iter().map(Arc::as_ref);
            let document = default.and_then(|default| openapi::document(default, all));
            self.described = (described, document);
        }
        Registry::of_store(models, &self.default, self.described.1.clone()).map(Arc::new)
    }

    /// Gives the split and the shadow of a model new numbers when they are others than before.
    fn number_split_and_shadow(&mut self, name: &str) {
        let Some(model) = self.models.get(name) else { return };
        let number_of = |version: Option<u64>| {
            let ready = version.and_then(|version| model.versions.get(&version)?.ready.as_ref());
            ready.map(|ready| ready.number)
        };
        let decisions = &model.decisions;
        let champion = number_of(model.champion);
        let arms: Vec<_> = decisions
            .split
            .arms()
            .map(|(alias, parts)| (alias, parts, number_of(decisions.aliases.get(alias).copied())))
            .collect();
        let split = format!("{champion:?} {arms:?}");
        let shadow = decisions.shadow.as_ref();
        let shadow = format!(
            "{champion:?} {:?} {shadow:?}",
            number_of(shadow.map(|shadow| shadow.version))
        );
        let (is_split_new, is_shadow_new) = (split != model.split.0, shadow != model.shadow.0);
        let split_number = is_split_new.then(|| self.next_number());
        let shadow_number = is_shadow_new.then(|| self.next_number());
        let Some(model) = self.models.get_mut(name) else { return };
        if let Some(number) = split_number {
            model.split = (split, number);
        }
        if let Some(number) = shadow_number {
            model.shadow = (shadow, number);
        }
    }

    /// Gives every shard the models of this moment, if they are others than those it has.
    pub(super) fn publish_all(&mut self) {
        let Some(registry) = self.registry() else {
            tracing::error!(
                model = self.default,
                "the default model has no version: what is served stays as it is"
            );
            return;
        };
        let made_of = signature(&registry);
        if made_of != self.published {
            let fresh = std::mem::take(&mut self.fresh);
            if !(self.publish)(&registry, &fresh, &[]) {
                tracing::warn!("a shard has not taken the models yet: it answers with the old ones until it has");
            }
            self.published = made_of;
        }
        self.tell_overview();
    }

    /// Another champion answers from the next registry on.
    pub(super) fn note_promotion(&mut self, name: &str, was: Option<u64>, now: Option<u64>) {
        let number = self.next_number();
        let is_watched = self.settings.rollback.is_some();
        let Some(model) = self.models.get_mut(name) else { return };
        let (Some(was), Some(now)) = (was, now) else { return };
        tracing::info!(
            model = name,
            from = was,
            to = now,
            "another version answers from now on"
        );
        model.watch = None;
        let ready = |version: u64| model.versions.get(&version).and_then(|version| version.ready.clone());
        let is_way_back = model
            .decisions
            .rolled_back
            .as_ref()
            .is_some_and(|back| (back.from, back.to) == (was, now));
        if let (Some(old), Some(new), true, false) = (ready(was), ready(now), is_watched, is_way_back) {
            model.watch = Some(Watch {
                number,
                champion: new.number,
                old,
            });
        }
        // What the alias says was remembered when it was said.
        let is_said = model.decisions.aliases.contains_key("champion");
        if !is_said && model.decisions.before.last() != Some(&was) {
            let mut decisions = model.decisions.clone();
            decisions.remember(was);
            if let Err(error) = self.keep(name, decisions) {
                tracing::warn!(
                    model = name,
                    error = error.reason,
                    "which version was champion before is not kept"
                );
            }
        }
    }
}

fn named(name: &str, model: &Model) -> NamedModel {
    let ready = |version: u64| model.versions.get(&version)?.ready.clone();
    let decisions = &model.decisions;
    let champion = model.champion.and_then(ready);
    let others = decisions.aliases.iter().filter(|(alias, _)| *alias != "champion");
    let others = others.filter_map(|(alias, &version)| Some((alias.clone(), ready(version)?)));
    let aliases: Vec<_> = champion
        .iter()
        .map(|champion| ("champion".to_owned(), Arc::clone(champion)))
        .chain(others)
        .collect();
    let resolve = |alias: &str| {
        let found = aliases.iter().find(|(own, _)| own == alias);
        found.map(|(_, version)| Arc::clone(version))
    };
    let split = Split::new(model.split.1, name, &decisions.split, resolve);
    let shadow = decisions.shadow.as_ref().and_then(|shadow| {
        Some(Shadow {
            number: model.shadow.1,
            version: ready(shadow.version)?,
            share: shadow.share,
        })
    });
    let watch = model.watch.as_ref().map(|watch| Shadow {
        number: watch.number,
        version: Arc::clone(&watch.old),
        share: 1.0,
    });
    let unready = model.versions.iter().filter(|(_, version)| version.ready.is_none());
    NamedModel {
        name: name.to_owned(),
        champion,
        ready: model
            .versions
            .values()
            .filter_map(|version| version.ready.clone())
            .collect(),
        unready: unready.map(|(number, _)| number.to_string()).collect(),
        aliases,
        split,
        shadow,
        watch,
    }
}

/// What tells a registry from others, as far as requests and shadows can see.
fn signature(registry: &Registry) -> String {
    let number = |version: &Arc<ModelVersion>| version.number;
    let of_model = |model: &Arc<NamedModel>| {
        let ready: Vec<u64> = model.ready.iter().map(number).collect();
        let aliases: Vec<(&str, u64)> = model
            .aliases
            .iter()
            .map(|(alias, of)| (alias.as_str(), of.number))
            .collect();
        let beside = [&model.shadow, &model.watch].map(|shadow| shadow.as_ref().map(|shadow| shadow.number));
        let split = model.split.as_ref().map(|split| split.number);
        let (name, unready, champion) = (&model.name, &model.unready, model.champion.as_ref().map(number));
        format!("{name} {champion:?} {ready:?} {unready:?} {aliases:?} {split:?} {beside:?};")
    };
    registry.models().iter().map(of_model).collect()
}
