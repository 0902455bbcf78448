//! The report in words.

use std::fmt::Write as _;

use super::{ColumnReport, DriftReport, DriftStatus, ROWS_MIN};

/// Columns that are named one by one although nothing is wrong with them.
const QUIET_COLUMNS: usize = 5;

impl DriftReport {
    /// Columns that differ first, a line each, then segments.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{}: {} rows, compared with {} of the reference",
            title(self.status),
            self.current_rows,
            self.reference_rows
        );
        if self.status == DriftStatus::TooFew {
            let _ = writeln!(out, "  nothing is judged below {ROWS_MIN} rows");
        }
        let mut columns: Vec<&ColumnReport> = self.features.iter().chain(&self.prediction).collect();
        columns.sort_by_key(|column| rank(column.status));
        let loud = columns.iter().filter(|column| rank(column.status) < 2).count();
        let shown = loud.max(QUIET_COLUMNS).min(columns.len());
        let _ = writeln!(
            out,
            "\n{:<24} {:<8} {:>7} {:>9} {:>9} {:>9}",
            "feature", "status", "PSI", "p", "missing", "before"
        );
        for column in &columns[..shown] {
            line(&mut out, column);
        }
        match columns.len() - shown {
            0 => {}
            more => drop(writeln!(
                out,
                "and {more} more, none of which differs (--format json has all)"
            )),
        }
        self.segments(&mut out);
        out
    }

    fn segments(&self, out: &mut String) {
        let mut column = None;
        for segment in &self.segments {
            if column != Some(&segment.column) {
                column = Some(&segment.column);
                let _ = writeln!(
                    out,
                    "\n{:<24} {:>9} {:>9} {:>7} {:>15} {:>7}",
                    segment.column, "leads", "score 4-5", "share", "95 % interval", "ratio"
                );
            }
            let [low, high] = segment.interval;
            let ratio = segment
                .ratio
                .map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
            let _ = writeln!(
                out,
                "{:<24} {:>9} {:>9} {:>7.3} {:>15} {ratio:>7}",
                segment.value,
                segment.rows,
                segment.selected,
                segment.rate,
                format!("{low:.3} to {high:.3}")
            );
        }
    }
}

fn line(out: &mut String, column: &ColumnReport) {
    let share = |sample: &super::SampleCounts| format!("{:.1} %", 100.0 * sample.share(sample.missing));
    let number = |number: Option<f64>, digits: usize| {
        number.map_or_else(|| "-".to_owned(), |number| format!("{number:.digits$}"))
    };
    let p = column
        .shift
        .map_or_else(|| "-".to_owned(), |shift| format!("{:.1e}", shift.chi2_p));
    let _ = writeln!(
        out,
        "{:<24} {:<8} {:>7} {p:>9} {:>9} {:>9}",
        column.name,
        column.status.name(),
        number(column.shift.map(|shift| (shift.psi - shift.psi_bias).max(0.0)), 3),
        share(&column.current),
        share(&column.reference)
    );
    if column.current.unknown > 0 {
        let _ = writeln!(
            out,
            "  {} rows have a category that the model does not know",
            column.current.unknown
        );
    }
}

fn title(status: DriftStatus) -> &'static str {
    match status {
        DriftStatus::Ok => "no drift",
        DriftStatus::Watch => "watch: a difference that may be chance",
        DriftStatus::Drift => "drift",
        DriftStatus::TooFew => "too few rows",
    }
}

fn rank(status: DriftStatus) -> u8 {
    match status {
        DriftStatus::Drift => 0,
        DriftStatus::Watch => 1,
        DriftStatus::TooFew => 2,
        DriftStatus::Ok => 3,
    }
}
