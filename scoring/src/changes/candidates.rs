//! The values that stand for a feature's intervals: for each the nearest to today's value that the manifest allows, with
//! as few digits as possible.

use quintile_model::{Actionable, ColumnSplits, FeatureKind, Form, Rule, Schema};

use crate::loaded::LoadedModel;

/// Decimals of a value at most, before it is taken as it is.
const DECIMALS_MAX: i32 = 9;

/// How much farther than the interval's edge a rounded value may be, as a part of the whole change.
const ROUNDING_MAX: f64 = 0.05;

/// Categories of a feature that are tried at most.
const CATEGORIES_MAX: u32 = 4_096;

/// Another value of one feature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub(super) value: f64,
    /// The change as a share of the feature's range: the one seen in training, or else the manifest's, or else that of
    /// the thresholds. 1 for another category, and where nothing is known today.
    pub(super) share: f64,
}

/// The candidates of one feature, in sequences that each go away from today's value.
#[derive(Debug, Clone, Default)]
pub(super) struct FeatureCandidates {
    pub(super) column: usize,
    pub(super) sequences: Vec<Vec<Candidate>>,
}

/// Those of every feature that people may change.
pub(super) fn all(loaded: &LoadedModel, row: &[f64]) -> Vec<FeatureCandidates> {
    let schema = loaded.model.schema();
    let of = |column: usize| {
        let way = schema.actionable(column)?;
        let today = today(schema, column, row);
        let sequences = match schema.kind(column) {
            FeatureKind::Category => vec![categories(loaded, column, today)],
            _ => numbers(loaded, column, way, today),
        };
        Some(FeatureCandidates { column, sequences })
    };
    (0..schema.len()).filter_map(of).collect()
}

/// A value of the row, NaN where it counts as missing.
pub(super) fn today(schema: &Schema, column: usize, row: &[f64]) -> f64 {
    let value = row.get(column).copied().unwrap_or(f64::NAN);
    let is_missing = schema
        .markers()
        .is_some_and(|markers| markers.is_missing(column, value));
    if is_missing { f64::NAN } else { value }
}

fn is_allowed(schema: &Schema, column: usize, value: f64) -> bool {
    let is_missing = schema
        .markers()
        .is_some_and(|markers| markers.is_missing(column, value));
    value.is_finite() && !is_missing && schema.rule(column).check(value).is_ok()
}

fn categories(loaded: &LoadedModel, column: usize, today: f64) -> Vec<Candidate> {
    let schema = loaded.model.schema();
    let names = schema.categories(column).map(|categories| categories.names().len());
    let end = match (schema.rule(column).form, names) {
        (_, Some(names)) => u32::try_from(names).unwrap_or(u32::MAX),
        (Form::Code { end }, None) => end,
        _ => 0,
    };
    // Codes without names are as many as a number can hold: nobody can act on one of them.
    let end = if names.is_some() { end.min(CATEGORIES_MAX) } else { 0 };
    let codes = (0..end).map(f64::from);
    codes
        .filter(|code| code.to_bits() != today.to_bits() && is_allowed(schema, column, *code))
        .map(|value| Candidate { value, share: 1.0 })
        .collect()
}

fn numbers(loaded: &LoadedModel, column: usize, way: Actionable, today: f64) -> Vec<Vec<Candidate>> {
    let schema = loaded.model.schema();
    let Some(splits) = loaded.model.splits().column(column) else {
        return Vec::new();
    };
    let width = width(schema, column, splits);
    let share = |value: f64| match today.is_nan() {
        true => 1.0,
        false if width > 0.0 => (value - today).abs() / width,
        false => 1.0,
    };
    let candidate = |interval: usize, start: f64, rises: bool| {
        let value = representative(schema, column, splits, (interval, start, rises))?;
        Some(Candidate {
            value,
            share: share(value),
        })
    };
    if today.is_nan() {
        // Nothing is known: every interval is as far away as any other, and those in the middle are usual.
        let middle = splits.len() / 2;
        let up = (middle..splits.len()).filter_map(|interval| candidate(interval, f64::NAN, true));
        let down = (0..middle)
            .rev()
            .filter_map(|interval| candidate(interval, f64::NAN, false));
        return vec![up.collect(), down.collect()];
    }
    let own = splits.interval(today);
    let mut sequences = Vec::new();
    if way != Actionable::Decrease {
        let intervals = own + 1..splits.len();
        sequences.push(
            intervals
                .filter_map(|interval| candidate(interval, today, true))
                .collect(),
        );
    }
    if way != Actionable::Increase {
        let intervals = (0..own).rev();
        sequences.push(
            intervals
                .filter_map(|interval| candidate(interval, today, false))
                .collect(),
        );
    }
    sequences
}

/// How wide a feature's range is.
fn width(schema: &Schema, column: usize, splits: &ColumnSplits) -> f64 {
    let rule: &Rule = schema.rule(column);
    let seen = schema.seen().and_then(|seen| seen.range(column));
    let stated = (rule.least, rule.greatest);
    let thresholds = splits.thresholds();
    let cut = (
        thresholds.first().copied().unwrap_or(0.0),
        thresholds.last().copied().unwrap_or(0.0),
    );
    let ranges = seen.into_iter().chain([stated, cut]);
    let mut widths = ranges.map(|(least, greatest)| greatest - least);
    widths.find(|width| width.is_finite() && *width > 0.0).unwrap_or(0.0)
}

/// The value of an interval that is nearest to where the change starts: as few decimals as possible, as long as that
/// goes not much farther. Where it starts nowhere, the interval's own edge.
fn representative(
    schema: &Schema,
    column: usize,
    splits: &ColumnSplits,
    (interval, start, rises): (usize, f64, bool),
) -> Option<f64> {
    let rule = schema.rule(column);
    let (least, greatest) = (
        splits.least(interval).max(rule.least),
        splits.greatest(interval).min(rule.greatest),
    );
    if least > greatest || least.is_nan() || greatest.is_nan() {
        return None;
    }
    let edge = if rises { least } else { greatest };
    let fits = |value: f64| {
        let moves = start.is_nan() || (value > start) == rises;
        moves
            && value >= least
            && value <= greatest
            && splits.interval(value) == interval
            && is_allowed(schema, column, value)
    };
    if edge.is_finite() {
        for decimals in 0..=DECIMALS_MAX {
            let unit = 10f64.powi(decimals);
            // Adding zero makes a negative zero a plain one.
            let value = if rises {
                (edge * unit).ceil()
            } else {
                (edge * unit).floor()
            } / unit
                + 0.0;
            let is_near = start.is_nan() || (value - edge).abs() <= ROUNDING_MAX * (value - start).abs();
            if (is_near || rule.form != Form::Any) && fits(value) {
                return Some(value);
            }
        }
    }
    let other = if rises { greatest } else { least };
    [edge, other, 0.0].into_iter().find(|&value| fits(value))
}
