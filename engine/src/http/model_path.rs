//! Paths that name a model: `/v1/models/NAME/score`, `/v1/models/NAME@ALIAS/score`, `/v1/models/NAME/versions/V/score`,
//! and the same with `/score/batch` and `/schema`.

use crate::models::{Selected, is_name};

/// What is asked of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// A lead's score.
    Score,
    /// The scores of many.
    Batch,
    /// What it takes and gives.
    Schema,
}

/// The name, which version of it, and what is asked. None for any other path.
pub(super) fn parse(path: &str) -> Option<(&str, Selected<'_>, Operation)> {
    let (head, rest) = path.strip_prefix("/v1/models/")?.split_once('/')?;
    let at = head.split_once('@').or_else(|| head.split_once("%40"));
    let (name, selected, rest) = match (at, rest.strip_prefix("versions/")) {
        (Some((name, alias)), None) => (name, Selected::Alias(alias), rest),
        (None, Some(rest)) => {
            let (version, rest) = rest.split_once('/')?;
            (head, Selected::Version(version), rest)
        }
        (None, None) => (head, Selected::Any, rest),
        (Some(_), Some(_)) => return None,
    };
    let operation = match rest {
        "score" => Operation::Score,
        "score/batch" => Operation::Batch,
        "schema" => Operation::Schema,
        _ => return None,
    };
    is_name(name).then_some((name, selected, operation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_say_which_model_and_what() {
        for (path, meant) in [
            ("/v1/models/leads/score", ("leads", Selected::Any, Operation::Score)),
            (
                "/v1/models/leads@challenger/score",
                ("leads", Selected::Alias("challenger"), Operation::Score),
            ),
            (
                "/v1/models/leads%40x/score/batch",
                ("leads", Selected::Alias("x"), Operation::Batch),
            ),
            (
                "/v1/models/a.b-C_1/versions/12/schema",
                ("a.b-C_1", Selected::Version("12"), Operation::Schema),
            ),
        ] {
            assert_eq!(parse(path), Some(meant), "{path}");
        }
        for path in [
            "/v1/models/leads",
            "/v1/models/leads/",
            "/v1/models//score",
            "/v1/models/leads/score/",
            "/v1/models/leads@x/versions/1/score",
            "/v1/models/le ads/score",
            "/v1/models/leads/versions/score",
            "/v1/schema",
        ] {
            assert_eq!(parse(path), None, "{path}");
        }
    }
}
