//! The report as text for a terminal.

use std::fmt::Write as _;

use super::{AucReport, ComparisonReport, Movement, ShiftReport};

/// What both models are called.
#[derive(Debug, Clone, Copy)]
pub struct ModelNames<'n> {
    /// The champion, or whatever the other one is compared with.
    pub champion: &'n str,
    /// The other one.
    pub other: &'n str,
}

impl ComparisonReport {
    /// Everything that was found, for a terminal of 80 columns.
    #[must_use]
    pub fn text(&self, names: ModelNames<'_>) -> String {
        let mut out = format!("{}\n\n", self.promotion.line());
        let (champion, other) = (names.champion, names.other);
        // Writing to a String cannot fail.
        let _ = writeln!(out, "champion: {champion}\nother:    {other}\n");
        line(&mut out, "rows", &self.rows.to_string());
        if self.unscored > 0 {
            line(&mut out, "rows that the other refuses", &self.unscored.to_string());
        }
        if self.not_numbers > 0 {
            line(
                &mut out,
                "rows whose prediction is no number",
                &self.not_numbers.to_string(),
            );
        }
        line(&mut out, "equal to the last bit", &self.equal.to_string());
        line(&mut out, "mean absolute difference", &number(self.mean_abs_difference));
        line(
            &mut out,
            "largest absolute difference",
            &number(self.max_abs_difference),
        );
        line(
            &mut out,
            "mean difference (other - champion)",
            &number(self.mean_difference),
        );
        self.movement.add_to(&mut out);
        if let Some(shift) = &self.shift {
            shift.add_to(&mut out);
        }
        if let Some(auc) = &self.auc {
            auc.add_to(&mut out);
        }
        out
    }
}

impl Movement {
    fn add_to(&self, out: &mut String) {
        let Some(agreement) = self.band_agreement else {
            line(out, "scores 1 to 5", "none: a model has no bands");
            return;
        };
        let of_rows = |count: u64| format!("{count} ({})", percent(self.share(count)));
        line(out, "equal scores", &percent(agreement));
        line(out, "from 4-5 to 1-3", &of_rows(self.down));
        line(out, "from 1-3 to 4-5", &of_rows(self.up));
        for (what, outcomes) in [
            ("converted of those from 4-5 to 1-3", self.down_outcomes),
            ("converted of those from 1-3 to 4-5", self.up_outcomes),
        ] {
            if outcomes.known > 0 {
                let share = percent(outcomes.share());
                line(
                    out,
                    what,
                    &format!("{} of {} ({share})", outcomes.converted, outcomes.known),
                );
            }
        }
        let width = self
            .bands
            .iter()
            .flatten()
            .max()
            .map_or(1, |most| most.to_string().len());
        let width = width.max(5);
        out.push_str("\nScores: the champion's down, the other's across\n");
        let cells = |cells: [String; 5]| cells.map(|cell| format!(" {cell:>width$}")).concat();
        let _ = writeln!(out, "     {}", cells([1, 2, 3, 4, 5].map(|band: u8| band.to_string())));
        for (band, row) in (1..).zip(&self.bands) {
            let _ = writeln!(out, "  {band:>3}{}", cells(row.map(|count| count.to_string())));
        }
    }
}

impl ShiftReport {
    fn add_to(&self, out: &mut String) {
        let of = match self.edges_of_first {
            Some(rows) => format!("the champion's deciles of the first {rows} rows"),
            None => "the champion's deciles".into(),
        };
        let _ = writeln!(out, "\nPredictions in bins, cut at {of}: PSI {}", number(self.psi));
        let _ = writeln!(out, "  {:<28}{:>14}{:>14}", "bin", "champion", "other");
        for (bin, (champion, other)) in self.champion.iter().zip(&self.other).enumerate() {
            let from = bin.checked_sub(1).and_then(|edge| self.edges.get(edge));
            let range = match (from, self.edges.get(bin)) {
                (None, None) => "all".into(),
                (None, Some(to)) => format!("below {}", number(*to)),
                (Some(from), None) => format!("{} and above", number(*from)),
                (Some(from), Some(to)) => format!("{} to {}", number(*from), number(*to)),
            };
            let _ = writeln!(out, "  {range:<28}{champion:>14}{other:>14}");
        }
    }
}

impl AucReport {
    fn add_to(&self, out: &mut String) {
        let known = self.converted + self.not_converted;
        let _ = writeln!(
            out,
            "\nOutcomes of {known} rows are known: {} converted",
            self.converted
        );
        line(out, "AUC of the champion", &format!("{:.6}", self.champion));
        line(out, "AUC of the other", &format!("{:.6}", self.other));
        let interval = match self.interval {
            Some([low, high]) => format!(", 95 % interval {low:+.6} to {high:+.6} (DeLong)"),
            None => String::new(),
        };
        line(out, "difference", &format!("{:+.6}{interval}", self.difference));
        if self.auc_error_max > 0.0 {
            let says = format!("each AUC is off by {} at most", number(self.auc_error_max));
            line(out, "predictions were binned", &says);
        }
    }
}

fn line(out: &mut String, what: &str, value: &str) {
    let _ = writeln!(out, "  {what:<36}{value}");
}

/// Four digits that matter, as short as they can be read.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if size > 0.0 && !(1e-3..1e6).contains(&size) && size.is_finite() {
        format!("{value:.3e}")
    } else {
        let text = format!("{value:.4}");
        match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => text,
        }
    }
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_they_can_be_read() {
        for (value, text) in [
            (0.0, "0"),
            (0.25, "0.25"),
            (1.0, "1"),
            (-0.123_456, "-0.1235"),
            (4.2e-9, "4.200e-9"),
            (2.5e7, "2.500e7"),
            (1500.0, "1500"),
            (f64::INFINITY, "inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!(percent(0.031_26), "3.13 %");
    }
}
