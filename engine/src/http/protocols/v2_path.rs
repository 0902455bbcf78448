//! Paths of the Open Inference Protocol: `/v2`, `/v2/health/live`, `/v2/models/M/versions/V/infer` and so on.

use std::borrow::Cow;

/// Bytes of a name in a path at most.
const NAME_BYTES_MAX: usize = 1024;

/// What is asked of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum What {
    Metadata,
    Ready,
    Config,
    Statistics,
}

/// A call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum V2Call<'a> {
    Server,
    Live,
    Ready,
    /// All models.
    Index,
    AllStatistics,
    /// Loading and unloading.
    Repository,
    /// Shared memory, traces, logs.
    NotOffered,
    /// A path below `/v2` that nothing has.
    Unknown,
    Infer {
        name: Cow<'a, str>,
        version: Option<&'a str>,
    },
    Model {
        name: Cow<'a, str>,
        version: Option<&'a str>,
        what: What,
    },
}

/// The call of a path; none for a path that is not of this protocol.
pub(super) fn parse(path: &str) -> Option<V2Call<'_>> {
    let rest = path.strip_prefix("/v2")?;
    if !rest.is_empty() && !rest.starts_with('/') {
        return None;
    }
    let call = match rest.strip_suffix('/').unwrap_or(rest) {
        "" => V2Call::Server,
        "/health/live" => V2Call::Live,
        "/health/ready" => V2Call::Ready,
        "/repository/index" => V2Call::Index,
        "/models/stats" => V2Call::AllStatistics,
        "/logging" | "/trace/setting" => V2Call::NotOffered,
        other => of_parts(other),
    };
    Some(call)
}

fn of_parts(path: &str) -> V2Call<'_> {
    let memory = ["/systemsharedmemory/", "/cudasharedmemory/"];
    if memory.iter().any(|start| path.starts_with(start)) {
        return V2Call::NotOffered;
    }
    if path.starts_with("/repository/") && (path.ends_with("/load") || path.ends_with("/unload")) {
        return V2Call::Repository;
    }
    let Some(rest) = path.strip_prefix("/models/") else {
        return V2Call::Unknown;
    };
    let (name, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let (version, rest) = match rest.strip_prefix("versions/") {
        Some(rest) => {
            let (version, rest) = rest.split_once('/').unwrap_or((rest, ""));
            (Some(version), rest)
        }
        None => (None, rest),
    };
    let Some(name) = decoded(name) else {
        return V2Call::Unknown;
    };
    let what = match rest {
        "infer" => return V2Call::Infer { name, version },
        "" => What::Metadata,
        "ready" => What::Ready,
        "config" => What::Config,
        "stats" => What::Statistics,
        "trace/setting" => return V2Call::NotOffered,
        _ => return V2Call::Unknown,
    };
    V2Call::Model { name, version, what }
}

/// A name without its percent signs; none for one that is no text, or too long.
pub(super) fn decoded(name: &str) -> Option<Cow<'_, str>> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return None;
    }
    if !name.contains('%') {
        return Some(Cow::Borrowed(name));
    }
    let (mut bytes, mut rest) = (Vec::with_capacity(name.len()), name.as_bytes());
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, behind) = behind.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = behind;
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_say_what_is_asked_of_which_model() {
        let model = |name: &'static str, version, what| V2Call::Model {
            name: name.into(),
            version,
            what,
        };
        for (path, call) in [
            ("/v2", V2Call::Server),
            ("/v2/", V2Call::Server),
            ("/v2/health/live", V2Call::Live),
            ("/v2/health/ready", V2Call::Ready),
            ("/v2/repository/index", V2Call::Index),
            ("/v2/models/stats", V2Call::AllStatistics),
            ("/v2/models/m", model("m", None, What::Metadata)),
            ("/v2/models/m/", model("m", None, What::Metadata)),
            ("/v2/models/a%20b/ready", model("a b", None, What::Ready)),
            ("/v2/models/m/versions/3/config", model("m", Some("3"), What::Config)),
            ("/v2/models/m/versions/3", model("m", Some("3"), What::Metadata)),
            ("/v2/models/m/stats", model("m", None, What::Statistics)),
            (
                "/v2/models/m/versions/1/infer",
                V2Call::Infer {
                    name: "m".into(),
                    version: Some("1"),
                },
            ),
            ("/v2/models/m/trace/setting", V2Call::NotOffered),
            ("/v2/systemsharedmemory/status", V2Call::NotOffered),
            ("/v2/repository/models/m/load", V2Call::Repository),
            ("/v2/models//infer", V2Call::Unknown),
            ("/v2/models/%FF/infer", V2Call::Unknown),
            ("/v2/models/%1/infer", V2Call::Unknown),
            ("/v2/models/m/score", V2Call::Unknown),
            ("/v2/x", V2Call::Unknown),
        ] {
            assert_eq!(parse(path), Some(call), "{path}");
        }
        assert_eq!(parse("/v2x"), None);
        assert_eq!(parse("/v1"), None);
    }
}
