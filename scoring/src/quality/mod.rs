//! How good recorded scores were, once it is known what became of the leads.
//!
//! ```text
//! outcomes ─▶ Outcomes, sorted by lead and time ◀─ join ─ records, in any order ─▶ QualityReport
//! ```
//! 64 bytes of memory for each outcome; records are read and forgotten. Scores of shadows are left out.

mod json;
mod outcomes;
mod records;
mod text;

use std::path::{Path, PathBuf};

use crate::comparison::auc::{SingleAuc, single_auc};
use crate::drift::statistics::wilson;
use crate::replay::ReplayError;
use outcomes::{Outcome, Outcomes, Scored};

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what each is")]
pub enum QualityError {
    #[error("read the outcomes {path}, line {line}: {says}")]
    Outcomes { path: PathBuf, line: u64, says: String },
    #[error(transparent)]
    Records(#[from] Box<ReplayError>),
    #[error("the records are of a model of several predictions, of which none is the probability of an outcome")]
    Several,
}

/// What is asked for.
#[derive(Debug)]
pub struct QualityJob<'j> {
    /// The folder of records, or one file of them.
    pub scores: &'j Path,
    /// CSV: `lead_id,outcome[,time]`.
    pub outcomes: &'j Path,
    /// Columns of records whose values are segments.
    pub segments: &'j [String],
}

/// The leads of one band.
#[derive(Debug, Clone, PartialEq)]
pub struct BandQuality {
    /// 1 to 5.
    pub score: u8,
    /// Joined leads.
    pub rows: u64,
    /// Those that converted.
    pub converted: u64,
    /// The mean of their predictions; none without leads.
    pub mean_prediction: Option<f64>,
    /// The share that converted; none without leads.
    pub rate: Option<f64>,
    /// Wilson's interval of 95 % for the rate; none without leads.
    pub interval: Option<[f64; 2]>,
}

/// How good the predictions of some leads were.
#[derive(Debug, Clone, PartialEq)]
pub struct Measures {
    /// Joined leads.
    pub rows: u64,
    /// Those that converted.
    pub converted: u64,
    /// The area under the ROC curve; none unless there are leads of both outcomes.
    pub auc: Option<SingleAuc>,
    /// The mean square of prediction less outcome; none unless every prediction is a probability.
    pub brier: Option<f64>,
    /// The mean negative logarithm of the probability of what happened; as `brier`.
    pub log_loss: Option<f64>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct QualityReport {
    /// Outcomes with a score before them.
    pub joined: u64,
    /// Outcomes without one.
    pub unmatched: u64,
    /// Outcomes that the file has twice.
    pub duplicates: u64,
    /// Of all leads.
    pub measures: Measures,
    /// Bands 1 to 5.
    pub bands: Vec<BandQuality>,
    /// Column, value and measures of each segment.
    pub segments: Vec<(String, String, Measures)>,
}

/// Joins and measures.
///
/// # Errors
/// Files that cannot be read, or are not what they should be.
pub fn quality(job: &QualityJob<'_>) -> Result<QualityReport, QualityError> {
    let mut outcomes = Outcomes::read(job.outcomes)?;
    records::each(job.scores, None, |lead_id, scored, _| outcomes.join(lead_id, scored))?;
    let joined: Vec<&Outcome> = outcomes.rows.iter().filter(|row| row.scored.is_some()).collect();
    let mut segments = Vec::new();
    for column in job.segments {
        let mut values: Vec<(String, Vec<&Outcome>)> = Vec::new();
        let mut of_row: Vec<Option<usize>> = vec![None; outcomes.rows.len()];
        records::each(job.scores, Some(column), |lead_id, scored, value| {
            let value = value.unwrap_or("missing");
            let place = values.iter().position(|(known, _)| known == value).unwrap_or_else(|| {
                values.push((value.to_owned(), Vec::new()));
                values.len() - 1
            });
            for row in outcomes.places(lead_id, scored.time) {
                of_row[row] = Some(place);
            }
        })?;
        for (row, place) in outcomes.rows.iter().zip(of_row) {
            if let Some(place) = place {
                values[place].1.push(row);
            }
        }
        values.retain(|(_, rows)| !rows.is_empty());
        values.sort_by(|one, other| (other.1.len(), &one.0).cmp(&(one.1.len(), &other.0)));
        segments.extend(
            values
                .into_iter()
                .map(|(value, rows)| (column.clone(), value, measures(&rows))),
        );
    }
    Ok(QualityReport {
        joined: joined.len() as u64,
        unmatched: (outcomes.rows.len() - joined.len()) as u64,
        duplicates: outcomes.duplicates,
        measures: measures(&joined),
        bands: (1..=5).map(|score| band(&joined, score)).collect(),
        segments,
    })
}

fn pairs(rows: &[&Outcome]) -> Vec<(f64, bool)> {
    let scored = rows
        .iter()
        .filter_map(|row| Some((row.scored?.prediction, row.is_converted)));
    scored.collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts of leads are exact up to 2^53")]
fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0_u64);
    for number in numbers {
        sum += number;
        count += 1;
    }
    (count > 0).then(|| sum / count as f64)
}

/// Below it a probability counts as this, so that one lead cannot make the loss infinite.
const LEAST_PROBABILITY: f64 = 1e-15;

fn measures(rows: &[&Outcome]) -> Measures {
    let pairs = pairs(rows);
    let are_probabilities = pairs.iter().all(|(prediction, _)| (0.0..=1.0).contains(prediction));
    let only = |found: Option<f64>| found.filter(|_| are_probabilities);
    let outcome = |is_converted: bool| f64::from(u8::from(is_converted));
    let losses = pairs.iter().map(|&(prediction, is_converted)| {
        let of_outcome = if is_converted { prediction } else { 1.0 - prediction };
        -of_outcome.max(LEAST_PROBABILITY).ln()
    });
    Measures {
        rows: pairs.len() as u64,
        converted: pairs.iter().filter(|(_, is_converted)| *is_converted).count() as u64,
        auc: single_auc(&pairs),
        brier: only(mean(pairs.iter().map(|&(prediction, is_converted)| {
            (prediction - outcome(is_converted)).powi(2)
        }))),
        log_loss: only(mean(losses)),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of leads are exact up to 2^53")]
fn band(joined: &[&Outcome], score: u8) -> BandQuality {
    let is_own = |row: &&&Outcome| row.scored.is_some_and(|scored| scored.band == Some(score));
    let own: Vec<&Outcome> = joined.iter().filter(is_own).copied().collect();
    let rows = own.len() as u64;
    let converted = own.iter().filter(|row| row.is_converted).count() as u64;
    BandQuality {
        score,
        rows,
        converted,
        mean_prediction: mean(pairs(&own).into_iter().map(|(prediction, _)| prediction)),
        rate: (rows > 0).then(|| converted as f64 / rows as f64),
        interval: wilson(converted, rows),
    }
}
