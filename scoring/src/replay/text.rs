//! The report as text for a terminal.

use std::fmt::Write as _;

use super::{ReplayReport, Reproduction};
use crate::comparison::ModelNames;
use crate::text::excerpt;

impl ReplayReport {
    /// Everything that was found, for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{} recorded rows in {} files", self.rows, self.files);
        for (model, rows) in &self.recorded {
            let sha256 = model
                .sha256
                .as_deref()
                .map_or("unknown", |digits| digits.get(..12).unwrap_or(digits));
            let _ = writeln!(out, "  {rows:>10} of {model} (SHA-256 {sha256})");
        }
        for (what, rows) in [
            ("of shadows, left out", self.shadows),
            ("of other models, left out", self.of_others),
            ("second copies, left out", self.duplicates),
        ] {
            if rows > 0 {
                let _ = writeln!(out, "  {rows:>10} {what}");
            }
        }
        for note in &self.notes {
            let _ = writeln!(out, "note: {note}");
        }
        if let Some(reproduction) = &self.reproduction {
            out.push('\n');
            reproduction.add_to(&mut out);
        }
        if let Some((record, says)) = &self.refusal {
            let _ = writeln!(out, "\nThe first record that is refused, {}: {says}", excerpt(record));
        }
        if let Some(comparison) = &self.comparison {
            let [champion, other] = &self.names;
            let _ = write!(out, "\n{}", comparison.text(ModelNames { champion, other }));
        }
        out
    }
}

impl Reproduction {
    fn add_to(&self, out: &mut String) {
        let made_here = self.equal + self.differing + self.refused;
        let _ = match self.is_complete() {
            _ if made_here == 0 => writeln!(out, "Nothing to reproduce: SageMaker made all of these scores"),
            true => writeln!(
                out,
                "Reproduced: all {made_here} recorded scores come out again, equal to the last bit"
            ),
            false => writeln!(
                out,
                "NOT reproduced: {} of {made_here} recorded scores come out differently, {} are refused",
                self.differing, self.refused
            ),
        };
        if self.elsewhere > 0 {
            let _ = writeln!(out, "  {} scores of SageMaker are not compared", self.elsewhere);
        }
        for difference in &self.differences {
            let (record, lead) = (excerpt(&difference.record_id), excerpt(&difference.lead_id));
            let what = match difference.output {
                0 => difference.what.to_owned(),
                output => format!("{} of output {output}", difference.what),
            };
            let (recorded, now) = (difference.recorded, difference.now);
            let _ = writeln!(
                out,
                "  record {record}, lead {lead}: {what} {recorded:?} recorded, {now:?} now"
            );
        }
        let more = self.differing.saturating_sub(self.differences.len() as u64);
        if more > 0 {
            let _ = writeln!(out, "  and {more} more");
        }
    }
}
