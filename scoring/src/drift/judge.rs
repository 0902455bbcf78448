//! Which differences mean something: those that chance does not explain *and* that are large enough to matter.
//!
//! The stability index alone says nothing: in a sample of 200 rows some of 50 features is above 0.2 without any change. So a
//! difference counts if its p-value stands after the correction for the number of tests (Benjamini and Hochberg, 1995) and
//! its effect is at least the least one of interest.

use super::{ColumnReport, DriftStatus};

/// The share of false alarms among features that are named `watch`.
const WATCH_LEVEL: f64 = 0.01;

/// The same for `drift`. A single sample cannot be confirmed by the next one, so it needs the significance that two in a row
/// would have.
const DRIFT_LEVEL: f64 = WATCH_LEVEL * WATCH_LEVEL;

/// The least stability index, beyond what it is without change, that is of interest.
const PSI_EFFECT: f64 = 0.1;

/// The least change of the share of missing or unknown values.
const SHARE_EFFECT: f64 = 0.05;

/// Values below which a distribution is not judged.
const VALUES_MIN: u64 = 20;

/// Rows below which nothing is judged.
pub const ROWS_MIN: u64 = 200;

/// One test of one column.
struct Test {
    column: usize,
    p: f64,
    is_large: bool,
}

/// Sets the status of every column.
pub(super) fn judge(columns: &mut [&mut ColumnReport], current_rows: u64) {
    let tests: Vec<Test> = columns
        .iter()
        .enumerate()
        .flat_map(|(column, report)| tests(column, report))
        .collect();
    let watch = significant(&tests, WATCH_LEVEL);
    let drift = significant(&tests, DRIFT_LEVEL);
    for (number, column) in columns.iter_mut().enumerate() {
        let has = |found: &[bool]| {
            let own = tests.iter().zip(found).filter(|(test, _)| test.column == number);
            own.into_iter().any(|(test, found)| *found && test.is_large)
        };
        let is_short = column.reference.present().min(column.current.present()) < VALUES_MIN;
        column.status = match () {
            () if current_rows < ROWS_MIN => DriftStatus::TooFew,
            () if has(&drift) => DriftStatus::Drift,
            () if has(&watch) => DriftStatus::Watch,
            () if is_short => DriftStatus::TooFew,
            () => DriftStatus::Ok,
        };
    }
}

fn tests(column: usize, report: &ColumnReport) -> Vec<Test> {
    let mut tests = Vec::with_capacity(3);
    let is_enough = report.reference.present().min(report.current.present()) >= VALUES_MIN;
    if let Some(shift) = report.shift.filter(|_| is_enough) {
        tests.push(Test {
            column,
            p: shift.chi2_p,
            is_large: shift.psi - shift.psi_bias >= PSI_EFFECT,
        });
    }
    let shares = [
        (report.missing_p, report.missing_change()),
        (report.unknown_p, report.unknown_change()),
    ];
    for (p, change) in shares {
        if let Some(p) = p {
            tests.push(Test {
                column,
                p,
                is_large: change.abs() >= SHARE_EFFECT,
            });
        }
    }
    tests
}

/// Which tests stand at this level of false discoveries.
fn significant(tests: &[Test], level: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..tests.len()).collect();
    order.sort_by(|&one, &other| tests[one].p.total_cmp(&tests[other].p));
    let count = super::statistics::number(tests.len() as u64);
    let passes = |(rank, &test): (usize, &usize)| {
        let bound = level * super::statistics::number(rank as u64 + 1) / count;
        (tests[test].p <= bound).then_some(rank)
    };
    let last = order.iter().enumerate().filter_map(passes).next_back();
    let mut found = vec![false; tests.len()];
    for &test in order.iter().take(last.map_or(0, |last| last + 1)) {
        found[test] = true;
    }
    found
}

#[cfg(test)]
mod tests_of_levels {
    use super::*;

    #[test]
    fn discoveries_are_those_of_benjamini_and_hochberg() {
        let of = |ps: &[f64]| {
            let tests: Vec<Test> = ps
                .iter()
                .map(|&p| Test {
                    column: 0,
                    p,
                    is_large: true,
                })
                .collect();
            significant(&tests, 0.05)
        };
        assert_eq!(of(&[0.01, 0.02, 0.03, 0.5]), [true, true, true, false]);
        // The second is above its own bound, and stands because the third is below its one.
        assert_eq!(of(&[0.01, 0.035, 0.036, 0.9]), [true, true, true, false]);
        assert_eq!(of(&[0.02, 0.9]), [true, false]);
        assert_eq!(of(&[0.03, 0.9]), [false, false]);
        assert!(of(&[]).is_empty());
    }
}
