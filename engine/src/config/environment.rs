//! `QUINTILE_SECTION__KEY` variables.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use quintile_model::nearest::nearest;
use quintile_scoring::text::clip;

use super::Settings;
use super::fault::{Fault, SettingSource};
use super::habits;
use super::keys::{KEYS, Key};
use super::origins::SettingOrigins;

/// The prefix of all our variables.
const PREFIX: &str = "QUINTILE_";

/// Names the configuration file.
pub(crate) const CONFIG: &str = "QUINTILE_CONFIG";

/// Names the program for the test suite. It is no setting, and no fault.
const BINARY: &str = "QUINTILE_BIN";

/// Set by ECS in every container of a task.
const METADATA_URI: &str = "ECS_CONTAINER_METADATA_URI_V4";

/// Set by Kubernetes in every container of a pod.
const KUBERNETES: &str = "KUBERNETES_SERVICE_HOST";

/// How long the port stays open after a pod was asked to stop: its endpoint is taken out of Services meanwhile, by others
/// and in their own time.
const KUBERNETES_DRAIN_DELAY: Duration = Duration::from_secs(5);

/// Stores what variables say and returns their faults, sorted by name.
pub(crate) fn apply(
    settings: &mut Settings,
    told: &mut SettingOrigins,
    variables: &[(OsString, OsString)],
) -> Vec<Fault> {
    let mut faults = Vec::new();
    let value = |wanted: &str| {
        variables
            .iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value)
    };
    for (name, value) in variables {
        if name == METADATA_URI {
            settings.metadata_uri = value.to_str().filter(|uri| !uri.is_empty()).map(str::to_owned);
        }
        faults.extend(variable(settings, told, name, value));
    }
    // ECS has taken a task out of its target group before it sends SIGTERM.
    let is_pod = value(KUBERNETES).is_some_and(|host| !host.is_empty()) && settings.metadata_uri.is_none();
    if is_pod && told.is_unset("limits.drain_delay_ms") {
        settings.limits.drain_delay = KUBERNETES_DRAIN_DELAY.min(settings.limits.drain / 2);
    }
    faults.sort_by_key(|fault| fault.source.to_string());
    faults
}

fn variable(settings: &mut Settings, told: &mut SettingOrigins, name: &OsStr, value: &OsStr) -> Option<Fault> {
    let name = name.to_string_lossy();
    // What Kubernetes and Docker say of a port is a URL; a number is somebody's who means the port to listen on.
    let is_port = name == "QUINTILE_PORT" && value.to_str().is_some_and(|value| value.parse::<u16>().is_ok());
    if !name.starts_with(PREFIX) || name == CONFIG || name == BINARY || is_service_link(&name) && !is_port {
        return None;
    }
    let source = SettingSource::Variable(clip(&name.escape_debug().to_string(), 128).into_owned());
    let Some(key) = KEYS.iter().find(|key| key.variable() == name) else {
        return Some(unknown(&name, source));
    };
    settings.take_text(told, key, value, source)
}

fn unknown(name: &str, source: SettingSource) -> Fault {
    let known: Vec<String> = KEYS.iter().map(Key::variable).collect();
    let near = nearest(name, known.iter().map(String::as_str).chain([CONFIG]));
    let habit = habits::key_of(name.trim_start_matches(PREFIX));
    let (hint, key) = match (habit, near) {
        (Some(key), near) if near == Some(&key.variable()) => {
            (Some(format!("did you mean {}?", key.variable())), Some(key.path()))
        }
        (Some(key), _) => (
            Some(format!(
                "did you mean {}? It takes {}",
                key.variable(),
                key.kind.accepts()
            )),
            Some(key.path()),
        ),
        (None, Some(near)) => {
            let key = KEYS.iter().find(|key| key.variable() == near);
            (Some(format!("did you mean {near}?")), key.map(Key::path))
        }
        (None, None) => (Some("quintile config show lists the keys".into()), None),
    };
    Fault {
        source,
        message:
            "there is no such setting; accepted: QUINTILE_CONFIG and QUINTILE_SECTION__KEY for each key of the file"
                .into(),
        hint,
        key,
    }
}

/// Whether a terminal shows colours, and its user wants them (no-color.org).
pub(super) fn takes_colour<'v>(value: impl Fn(&str) -> Option<&'v OsString>) -> bool {
    let is_plain = value("NO_COLOR").is_some_and(|value| !value.is_empty());
    !is_plain && value("TERM").is_none_or(|term| term != "dumb")
}

/// Kubernetes and Docker tell every container about services by variables named after them. Where a service is called
/// `quintile` they look like ours, although no user set them: `QUINTILE_SERVICE_HOST`, `QUINTILE_PORT_8080_TCP_ADDR`.
fn is_service_link(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("QUINTILE").filter(|rest| !rest.contains("__")) else {
        return false;
    };
    if rest.ends_with("_SERVICE_HOST") || rest.ends_with("_SERVICE_PORT") || rest.contains("_SERVICE_PORT_") {
        return true;
    }
    let Some((_, port)) = rest.rsplit_once("_PORT") else {
        return false;
    };
    if port.is_empty() {
        return true;
    }
    let mut words = rest.split("_PORT_").nth(1).unwrap_or_default().split('_');
    let has_number = words.next().is_some_and(|word| word.parse::<u16>().is_ok());
    has_number && words.next().is_some_and(|word| matches!(word, "TCP" | "UDP" | "SCTP"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_links_are_not_ours() {
        let links = [
            "QUINTILE_SERVICE_HOST",
            "QUINTILE_SERVICE_PORT",
            "QUINTILE_SERVICE_PORT_HTTP",
            "QUINTILE_PORT",
            "QUINTILE_PORT_8080_TCP",
            "QUINTILE_PORT_8080_TCP_ADDR",
            "QUINTILE_PORT_8080_TCP_PROTO",
            "QUINTILE_PORT_8080_TCP_PORT",
            "QUINTILE_SERVER_SERVICE_HOST",
            "QUINTILE_SERVER_PORT_443_UDP_ADDR",
        ];
        for name in links {
            assert!(is_service_link(name), "{name}");
        }
        for name in [
            "QUINTILE_SERVER__LISTEN",
            "QUINTILE_LISTEN",
            "QUINTILE_SERVER__PORT",
            "QUINTILE_PORTS",
            "QUINTILE_PORT_X",
        ] {
            assert!(!is_service_link(name), "{name}");
        }
    }
}
