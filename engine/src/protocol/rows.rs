//! Rows of a request that has many, what they are called, and what they came to: what every protocol of tables and
//! tensors reads into, and writes from.

use std::fmt::Write as _;

use arrayvec::ArrayString;
use quintile_model::{Cell, Model};
use quintile_scoring::limits::LEAD_ID_BYTES_MAX;
use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::read::cells::cell_value;
use quintile_scoring::text::truncate;

use super::output::{Output, OutputKind};
use super::rows_error::RowsError;

/// Bytes that `/ROW` takes at most behind an id.
const ROW_BYTES_MAX: usize = 12;

/// The rows of a request, and what their leads are called.
#[derive(Debug, Default)]
pub struct Rows {
    values: Vec<f64>,
    count: usize,
    width: usize,
    /// Ids of the leads, one after the other, and where each ends; empty where the request names none.
    ids: String,
    id_ends: Vec<usize>,
    /// What the request is called.
    request: String,
}

impl Rows {
    /// No rows, for a model.
    pub fn reset(&mut self, loaded: &LoadedModel) {
        self.values.clear();
        self.ids.clear();
        self.id_ends.clear();
        self.request.clear();
        self.count = 0;
        self.width = loaded.model.schema().len().max(1);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Values of a row: one even of a model without features, because a leaf's step reads column 0.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Bytes that are held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<f64>() + self.ids.capacity() + self.id_ends.capacity() * size_of::<usize>()
    }

    /// All rows from one on, one after the other.
    #[must_use]
    pub fn from(&self, row: usize) -> &[f64] {
        self.values.get(row * self.width..).unwrap_or_default()
    }

    /// Adds so many rows in which everything is missing, and hands out their values.
    pub fn add(&mut self, rows: usize) -> &mut [f64] {
        let from = self.values.len();
        self.values.resize(from + rows * self.width, f64::NAN);
        self.count += rows;
        &mut self.values[from..]
    }

    /// Takes the last row away.
    pub fn remove_last(&mut self) {
        self.count = self.count.saturating_sub(1);
        self.values.truncate(self.count * self.width);
    }

    /// Puts a cell into a column of a row.
    ///
    /// # Errors
    /// It is no value of this column.
    pub fn put_at(
        &mut self,
        loaded: &LoadedModel,
        (row, column): (usize, usize),
        cell: Cell<'_>,
    ) -> Result<(), RowsError> {
        let value = cell_value(loaded, column, cell).map_err(|fault| RowsError::Cell { row, column, fault })?;
        if let Some(slot) = self.values.get_mut(row * self.width + column) {
            *slot = value;
        }
        Ok(())
    }

    /// Names the next row's lead.
    ///
    /// # Errors
    /// The name is empty or too long.
    pub fn name(&mut self, id: &str) -> Result<(), RowsError> {
        if id.is_empty() || id.len() > LEAD_ID_BYTES_MAX {
            let row = self.id_ends.len();
            return Err(RowsError::LeadId { row });
        }
        self.ids.push_str(id);
        self.id_ends.push(self.ids.len());
        Ok(())
    }

    /// What the request is called: its rows are called after it where they have no names.
    pub fn set_request(&mut self, id: &str) {
        self.request.clear();
        self.request.push_str(id);
    }

    /// Whether every row has a name, or none has.
    ///
    /// # Errors
    /// Some have.
    pub fn check_names(&self) -> Result<(), RowsError> {
        match self.id_ends.len() {
            0 => Ok(()),
            named if named == self.count => Ok(()),
            named => Err(RowsError::LeadIds {
                found: named,
                rows: self.count,
            }),
        }
    }

    /// What the lead of a row is called, in a request with this id of its own.
    pub fn lead_id(&self, row: usize, request_id: &str, out: &mut ArrayString<LEAD_ID_BYTES_MAX>) {
        out.clear();
        if let Some(&end) = self.id_ends.get(row) {
            let start = row.checked_sub(1).map_or(0, |before| self.id_ends[before]);
            let _ = out.try_push_str(&self.ids[start..end]);
            return;
        }
        let request = if self.request.is_empty() {
            request_id
        } else {
            &self.request
        };
        if self.count == 1 {
            let _ = out.try_push_str(truncate(request, LEAD_ID_BYTES_MAX));
            return;
        }
        let _ = out.try_push_str(truncate(request, LEAD_ID_BYTES_MAX - ROW_BYTES_MAX));
        let _ = write!(out, "/{row}");
    }
}

/// What a request wants besides predictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// Raw sums.
    pub margins: bool,
    /// Contributions of features to them.
    pub contributions: bool,
}

impl Asked {
    /// What these outputs need.
    #[must_use]
    pub fn of(outputs: &[Output]) -> Self {
        let has = |kind| outputs.iter().any(|output| output.kind == kind);
        Self {
            margins: has(OutputKind::Margin),
            contributions: has(OutputKind::Contributions),
        }
    }
}

/// What the rows came to, in their order.
#[derive(Debug, Default)]
pub struct Scored {
    /// Predictions of each row, one row after the other.
    pub predictions: Vec<f64>,
    /// Margins, where they are asked for.
    pub margins: Vec<f64>,
    /// Contributions, where they are asked for.
    pub contributions: Vec<f64>,
    /// The band of each row, 0 where there is none.
    pub bands: Vec<u8>,
}

impl Scored {
    /// Nothing yet.
    pub fn clear(&mut self) {
        self.predictions.clear();
        self.margins.clear();
        self.contributions.clear();
        self.bands.clear();
    }

    /// Rows that are scored.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.bands.len()
    }

    /// Bytes that so many rows take.
    #[must_use]
    pub fn bytes_of(model: &Model, asked: Asked, rows: usize) -> usize {
        let contributions = model.margin_len() * (model.schema().len() + 1);
        let values = model.prediction_len()
            + usize::from(asked.margins) * model.margin_len()
            + usize::from(asked.contributions) * contributions;
        rows.saturating_mul(values * size_of::<f64>() + 1)
    }
}
