//! The golden rows of a manifest that is written.

use quintile_model::{GoldenRow, GoldenSource, Manifest, Trees};

use super::draft::Draft;
use super::toml_text::{basic, line, numbers};

impl Draft<'_> {
    /// The rows that the model is held to, and a comment on whose numbers they have.
    pub(super) fn golden_rows(&self) -> (&'static str, Vec<GoldenRow>) {
        let model = &self.loaded.model;
        if let Some((_, survey)) = self.survey {
            let rows = survey.golden.iter().map(|row| GoldenRow {
                source: survey.source,
                ..row.clone()
            });
            return (comment_on(survey.source), rows.collect());
        }
        let mut scratch = model.scratch();
        let mut rows: Vec<GoldenRow> = self.before.map_or(&[][..], Manifest::golden).to_vec();
        rows.retain(|row| row.features.len() == model.schema().len());
        if rows.is_empty() {
            let features = vec![f64::NAN; model.schema().len()];
            rows.push(GoldenRow {
                features,
                ..GoldenRow::default()
            });
        }
        for row in &mut rows {
            model.score_row(&row.features, &mut scratch);
            let is_met = is_same(&row.margin, scratch.margins()) && row.prediction.is_empty();
            if !is_met {
                (row.source, row.trees) = (GoldenSource::Quintile, model.trees());
                row.margin = scratch.margins().to_vec();
                row.prediction.clear();
            }
        }
        let source = match rows.iter().all(|row| row.source == GoldenSource::Library) {
            true => GoldenSource::Library,
            false => GoldenSource::Quintile,
        };
        (comment_on(source), rows)
    }

    pub(super) fn golden(&self, out: &mut String) {
        let (comment, rows) = self.golden_rows();
        line(
            out,
            format_args!(
                "\n# Rows in column order (nan is missing) with their margins, checked to the last bit whenever the model is \
                 loaded.\n{comment}"
            ),
        );
        for row in rows {
            line(out, format_args!("\n[[golden]]\nfeatures = {}", numbers(&row.features)));
            line(out, format_args!("margin = {}", numbers(&row.margin)));
            if row.source == GoldenSource::Library && !row.prediction.is_empty() {
                line(out, format_args!("prediction = {}", numbers(&row.prediction)));
            }
            line(out, format_args!("source = {}", basic(row.source.name())));
            if row.trees == Trees::Best {
                line(
                    out,
                    format_args!("trees = \"best\"  # the row's numbers are those of --trees best"),
                );
            }
        }
    }
}

fn is_same(one: &[f64], other: &[f64]) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|(one, other)| one.to_bits() == other.to_bits())
}

/// Whose numbers golden rows have.
pub(super) fn comment_on(source: GoldenSource) -> &'static str {
    match source {
        GoldenSource::Library => "# The training library gave the same numbers for them.",
        GoldenSource::Quintile => {
            "# The numbers are Quintile's own: they show that nothing has changed since. `manifest init --expect FILE` takes the \
             library's,\n# which show that Quintile answers what the library does."
        }
    }
}
