//! `QUINTILE_SECTION__KEY` variables.

use std::ffi::{OsStr, OsString};

use quintile_model::nearest::nearest;
use quintile_scoring::text::clip;

use super::Settings;
use super::fault::{Fault, SettingSource};
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

/// Stores what variables say and returns their faults, sorted by name.
pub(crate) fn apply(
    settings: &mut Settings,
    told: &mut SettingOrigins,
    variables: &[(OsString, OsString)],
) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (name, value) in variables {
        if name == METADATA_URI {
            settings.metadata_uri = value.to_str().filter(|uri| !uri.is_empty()).map(str::to_owned);
        }
        faults.extend(variable(settings, told, name, value));
    }
    faults.sort_by_key(|fault| fault.source.to_string());
    faults
}

fn variable(settings: &mut Settings, told: &mut SettingOrigins, name: &OsStr, value: &OsStr) -> Option<Fault> {
    let name = name.to_string_lossy();
    if !name.starts_with(PREFIX) || name == CONFIG || name == BINARY || is_service_link(&name) {
        return None;
    }
    let source = SettingSource::Variable(clip(&name.escape_debug().to_string(), 128).into_owned());
    let Some(key) = KEYS.iter().find(|key| key.variable() == name) else {
        let known: Vec<String> = KEYS.iter().map(Key::variable).collect();
        let near = nearest(&name, known.iter().map(String::as_str).chain([CONFIG]));
        return Some(Fault {
            source,
            message:
                "there is no such setting; accepted: QUINTILE_CONFIG and QUINTILE_SECTION__KEY for each key of the file"
                    .into(),
            hint: near.map(|near| format!("did you mean {near}?")),
        });
    };
    settings.take_text(told, key, value, source)
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
