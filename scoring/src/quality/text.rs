//! The report in words.

use std::fmt::Write as _;

use super::{Measures, QualityReport};

impl QualityReport {
    /// A line for each number, a table of bands, and one of segments.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let all = self.joined + self.unmatched;
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{} of {all} outcomes are joined with a score before them; {} more are in the file twice",
            self.joined, self.duplicates
        );
        let Measures { converted, auc, .. } = self.measures;
        let _ = writeln!(out, "  {:<12} {converted} of {}", "converted", self.joined);
        if let Some(auc) = auc {
            let interval = auc
                .interval
                .map_or_else(String::new, |[low, high]| format!(" ({low:.4} to {high:.4})"));
            let _ = writeln!(out, "  {:<12} {:.4}{interval}", "AUC", auc.area);
        }
        for (name, value) in [
            ("Brier score", self.measures.brier),
            ("log loss", self.measures.log_loss),
        ] {
            if let Some(value) = value {
                let _ = writeln!(out, "  {name:<12} {value:.4}");
            }
        }
        let _ = writeln!(
            out,
            "\n{:>5} {:>9} {:>11} {:>10} {:>16}",
            "score", "leads", "predicted", "converted", "95 % interval"
        );
        let number = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), |number| format!("{number:.4}"));
        for band in &self.bands {
            let interval = band
                .interval
                .map_or_else(|| "-".to_owned(), |[low, high]| format!("{low:.4} to {high:.4}"));
            let _ = writeln!(
                out,
                "{:>5} {:>9} {:>11} {:>10} {interval:>16}",
                band.score,
                band.rows,
                number(band.mean_prediction),
                number(band.rate)
            );
        }
        for (column, value, measures) in &self.segments {
            let _ = writeln!(
                out,
                "{column} {value}: {} leads, {} converted, AUC {}",
                measures.rows,
                measures.converted,
                number(measures.auc.map(|auc| auc.area))
            );
        }
        out
    }
}
