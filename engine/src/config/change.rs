//! The changes of a configuration that is read again, and which of them a running server can apply.

use super::Settings;
use super::fault::SettingSource;
use super::keys::KEYS;
use super::origins::{EffectiveSetting, SettingOrigins};
use crate::limits::Limits;

/// A key whose value in force is not the one it would have now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// `section.name`.
    pub(crate) path: String,
    /// The value in force; none when it was found out at start.
    pub(crate) from: Option<String>,
    /// The value it would have.
    pub(crate) to: Option<String>,
    /// Who says so; none for a default.
    pub(crate) source: Option<SettingSource>,
    /// Whether it takes a restart.
    pub(crate) takes_restart: bool,
}

/// The values in force, from one reload to the next.
#[derive(Debug)]
pub(crate) struct InForce(Vec<EffectiveSetting>);

impl InForce {
    pub(crate) fn new(told: &SettingOrigins) -> Self {
        Self(told.effective())
    }

    /// Every key with another value, in the order of the documentation.
    pub(crate) fn changes(&self, told: &SettingOrigins) -> Vec<Change> {
        let pairs = KEYS.iter().zip(self.0.iter().zip(told.effective()));
        let changed = pairs.filter(|(_, (old, new))| !old.has_value_of(new));
        let change = changed.map(|(key, (old, new))| Change {
            path: new.path,
            from: old.value.clone(),
            to: new.value,
            source: new.source,
            takes_restart: !key.is_reloaded(),
        });
        change.collect()
    }

    /// Takes the values that a reload has applied. The others stay different and are reported again at the next reload.
    pub(crate) fn adopt(&mut self, told: &SettingOrigins) {
        let pairs = KEYS.iter().zip(self.0.iter_mut().zip(told.effective()));
        for (_, (old, new)) in pairs.filter(|(key, _)| key.is_reloaded()) {
            *old = new;
        }
    }
}

impl Settings {
    /// Takes from `new` what a reload can put into force: the keys of [`super::keys::Key::is_reloaded`].
    pub(crate) fn adopt(&mut self, new: &Self) {
        self.model.clone_from(&new.model);
        self.options = new.options;
        self.limits = Limits {
            body_bytes_max: self.limits.body_bytes_max,
            connections_max: self.limits.connections_max,
            ..new.limits
        };
        self.tls.adopt(&new.tls);
        self.auth.adopt(&new.auth);
        self.log_level.clone_from(&new.log_level);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flags;
    use crate::config::keys::{self, Key};

    fn told(text: &str) -> SettingOrigins {
        let flags = Flags {
            config: Some("q.toml".into()),
            values: Vec::new(),
        };
        let read = |_: &std::path::Path| Ok(text.as_bytes().to_vec());
        Settings::load_told(&flags, [], read, true).expect("no faults").1
    }

    #[test]
    fn a_reload_takes_the_keys_that_say_so_and_no_other() {
        for key in KEYS.iter() {
            let (mut settings, mut new) = (Settings::default(), Settings::default());
            let other = keys::tests::another_value(key);
            key.store_text(&mut new, other.as_ref()).expect("a value it accepts");
            settings.adopt(&new);
            assert_eq!(settings != Settings::default(), key.is_reloaded(), "{}", key.path());
        }
        let reloaded = KEYS.iter().filter(|key| key.is_reloaded()).map(Key::path);
        let reloaded = reloaded.collect::<Vec<_>>();
        for path in ["model.path", "model.kernel", "limits.idle_ms", "log.level"] {
            assert!(reloaded.iter().any(|known| known == path), "{path}");
        }
    }

    #[test]
    fn changes_are_told_until_they_are_in_force() {
        let old = told("[server]\nshards = 2\n[limits]\nidle_ms = 60000\nhead_ms = 0x2_000\n");
        let new = told("[server]\nshards = 3\n[limits]\nwrite_ms = 9000\nhead_ms = 0x2_000\n");
        let mut in_force = InForce::new(&old);
        assert!(in_force.changes(&old).is_empty());
        let shown = |in_force: &InForce| {
            let changes = in_force.changes(&new).into_iter().map(|change| {
                let source = change
                    .source
                    .map_or_else(|| "default".into(), |source| source.to_string());
                let value = |value: Option<String>| value.unwrap_or_default();
                let (from, to) = (value(change.from), value(change.to));
                format!("{} {from} {to} {source} {}", change.path, change.takes_restart)
            });
            changes.collect::<Vec<_>>()
        };
        assert_eq!(
            shown(&in_force),
            [
                "server.shards 2 3 q.toml:2:10 true",
                "limits.idle_ms 60000 75000 default false",
                "limits.write_ms 10000 9000 q.toml:4:12 false"
            ]
        );
        in_force.adopt(&new);
        assert_eq!(shown(&in_force), ["server.shards 2 3 q.toml:2:10 true"]);
    }

    #[test]
    fn a_secret_that_changes_is_noticed_and_not_told() {
        let key = keys::tests::secret();
        let told = |value: &str| {
            let mut told = SettingOrigins::default();
            told.add(&key, value, SettingSource::Flag("--x".into()));
            told.of(&key)
        };
        let (old, new) = (told("hunter2"), told("hunter3"));
        assert!(!old.has_value_of(&new) && old.has_value_of(&told("hunter2")));
        assert_eq!(old.value, new.value);
    }
}
