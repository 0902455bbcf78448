//! Scores of records, whichever model made them.

use std::path::Path;

use super::{QualityError, Scored};
use crate::replay::each_score;

/// Gives every answered score to `take`, with its lead's id and the text of `column`.
pub(super) fn each(
    scores: &Path,
    column: Option<&str>,
    mut take: impl FnMut(&str, Scored, Option<&str>),
) -> Result<(), QualityError> {
    let mut has_several = false;
    each_score(scores, column, |score| match score.predictions {
        [prediction] => {
            let scored = Scored {
                time: score.time,
                prediction: *prediction,
                band: score.band,
            };
            take(score.lead_id, scored, score.text.as_deref());
        }
        _ => has_several = true,
    })
    .map_err(Box::new)?;
    match has_several {
        true => Err(QualityError::Several),
        false => Ok(()),
    }
}
