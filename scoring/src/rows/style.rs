//! How results look: their columns, names and spelling.

use std::collections::HashSet;

use quintile_model::Explainer;

use super::dialect::Decimal;
use super::results::Answer;
use super::source::RowSource;
use super::{Format, Job, Output, ScoreError, cells, column_names, values};
use crate::text::excerpt;

/// How results look.
pub(super) struct Style {
    pub(super) to: Format,
    pub(super) output: Output,
    pub(super) id: Option<String>,
    /// The columns behind the id or the input's own: `margin`, or `margin_0`, `margin_1`, …, under names that occur
    /// once.
    pub(super) names: Vec<String>,
    /// The input's columns that come back. None but for [`Output::Rows`].
    pub(super) kept: Vec<String>,
    /// Their types in Parquet.
    pub(super) fields: Vec<arrow_schema::Field>,
    /// What stands between cells of CSV.
    pub(super) separator: u8,
    /// The decimal sign of numbers in CSV.
    pub(super) decimal: u8,
    /// What ends a line of CSV.
    pub(super) line_end: &'static [u8],
    /// What stands above the header of CSV.
    above_header: Vec<u8>,
    /// What is worth knowing about the columns.
    pub(super) said: Vec<String>,
    /// Whether a bad row is a row of the results.
    pub(super) keeps_faults: bool,
    /// Which predictions are given back.
    predictions: std::ops::Range<usize>,
    /// What explains the rows, where contributions or reasons are asked for.
    pub(super) explainer: Option<Explainer>,
    /// Columns of words before the error.
    pub(super) reasons: usize,
}

impl Style {
    /// Names the columns, and refuses those that the results cannot hold.
    pub(super) fn new(job: &Job<'_>, source: &RowSource<'_>) -> Result<Self, ScoreError> {
        let model = &job.loaded.model;
        let mut own = cells::names(job.output, model);
        let reasons = usize::from(job.reasons);
        let before_error = own.len().saturating_sub(1);
        own.splice(
            before_error..before_error,
            (1..=reasons).map(|number| format!("reason_{number}")),
        );
        let (mut kept, mut fields) = (Vec::new(), Vec::new());
        if job.output == Output::Rows {
            kept = source.cells().map_or_else(Vec::new, |cells| cells.names.clone());
            fields = source.fields();
        }
        check_columns(job, &kept, &fields)?;
        // Where everything comes back, so does the id.
        let is_whole = job.output == Output::Rows && (source.cells().is_some() || job.to == Format::Ndjson);
        let id = job.id.filter(|_| !is_whole).map(str::to_owned);
        let members = match (job.output, job.to) {
            (Output::Rows, Format::Ndjson) => source.members(),
            _ => HashSet::new(),
        };
        let mut theirs: HashSet<&str> = kept.iter().chain(&id).map(String::as_str).collect();
        theirs.extend(members.iter().map(String::as_str));
        if job.output == Output::Rows && source.cells().is_none() {
            theirs.extend(model.schema().names());
        }
        let names = job.unique(&own, &theirs);
        let is_theirs = |own: &String| theirs.contains(own.as_str());
        let renamed = own
            .iter()
            .zip(&names)
            .filter(|(own, name)| own != name && is_theirs(own));
        let said =
            renamed.map(|(own, name)| format!("the rows have a column \"{own}\"; that of the results is \"{name}\""));
        // Rows of CSV come back as they are written.
        let dialect = source
            .dialect()
            .filter(|_| job.output == Output::Rows && job.to == Format::Csv);
        let dialect = dialect.unwrap_or_default();
        Ok(Self {
            said: said.collect(),
            to: job.to,
            output: job.output,
            id,
            names,
            kept,
            fields,
            separator: dialect.separator,
            decimal: if dialect.decimal == Decimal::Comma { b',' } else { b'.' },
            line_end: dialect.spelling.line_end.bytes(),
            above_header: dialect.above_header(),
            keeps_faults: job.output == Output::Rows && !job.strict,
            explainer: job.explainer()?,
            reasons,
            predictions: match model.probability_output() {
                Some(output) => output..output + 1,
                None => 0..model.prediction_len(),
            },
        })
    }

    /// The name of the column that says what is wrong with a row.
    pub(super) fn error_name(&self) -> &str {
        self.names.last().map_or("error", String::as_str)
    }

    pub(super) fn csv_header(&self) -> Vec<u8> {
        let mut line = self.above_header.clone();
        for name in self.id.iter().chain(&self.kept).chain(&self.names) {
            self.cell(&mut line, name.as_bytes());
            line.push(self.separator);
        }
        line.pop();
        line.extend_from_slice(self.line_end);
        line
    }

    /// Numbers of CSV, with separators between them.
    pub(super) fn numbers_text(&self, line: &mut Vec<u8>, numbers: &[f64]) {
        for (index, &number) in numbers.iter().enumerate() {
            if index > 0 {
                line.push(self.separator);
            }
            let start = line.len();
            cells::numbers(line, &[number]);
            if self.decimal != b'.'
                && let Some(point) = line[start..].iter().position(|&byte| byte == b'.')
            {
                line[start + point] = self.decimal;
            }
        }
    }

    /// A cell of CSV, in quotes where it needs them.
    pub(super) fn cell(&self, line: &mut Vec<u8>, cell: &[u8]) {
        cells::bytes(line, cell, self.separator);
    }

    /// The numbers of a row that are asked for.
    pub(super) fn numbers<'a>(&self, answer: &Answer<'a>) -> &'a [f64] {
        match self.output {
            Output::Margin => answer.margins,
            Output::Prediction => answer.predictions,
            Output::Score => &[],
            Output::Contributions => answer.contributions,
            Output::Rows => answer.predictions.get(self.predictions.clone()).unwrap_or_default(),
        }
    }
}

/// Refuses columns that the results cannot hold.
fn check_columns(job: &Job<'_>, kept: &[String], fields: &[arrow_schema::Field]) -> Result<(), ScoreError> {
    if job.to != Format::Csv
        && let Some(name) = column_names::twice(kept.iter().map(String::as_str))
    {
        return Err(ScoreError::NameTwice {
            name: excerpt(name),
            to: job.to.name(),
        });
    }
    let unwritable = |field: &&arrow_schema::Field| !values::is_writable(field.data_type());
    if job.to != Format::Parquet
        && let Some(field) = fields.iter().find(unwritable)
    {
        return Err(ScoreError::NoText {
            name: excerpt(field.name()),
            holds: excerpt(&field.data_type().to_string()),
            to: job.to.name(),
        });
    }
    Ok(())
}
