//! Tensors → rows: one of all features by position, or one a feature by name. A few rows at a time, so that many of
//! them do not block a shard.

use quintile_model::Precision;
use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::read::cells::{CellFault, cell_value, is_plain_column};
use quintile_scoring::read::range_end;

use super::rows::Rows;
use super::rows_error::RowsError;
use super::tensor::{Tensor, Values};

/// The tensor, column or key that names leads.
pub const LEAD_ID: &str = "lead_id";

/// Which tensor has which columns.
#[derive(Debug)]
pub struct TensorRows {
    layout: TensorLayout,
    rows: usize,
    lead_id: Option<usize>,
    next: usize,
}

#[derive(Debug)]
enum TensorLayout {
    /// One tensor has all columns in their order.
    ByPosition(usize),
    /// Each tensor has one: a tensor and its column.
    ByName(Vec<(usize, usize)>),
}

impl TensorRows {
    /// Finds which tensor has what, and that all fit together.
    ///
    /// # Errors
    /// They do not.
    pub fn new(loaded: &LoadedModel, tensors: &[Tensor<'_>], rows_max: usize) -> Result<Self, RowsError> {
        let is_lead_id = |tensor: &Tensor<'_>| tensor.name == LEAD_ID && loaded.columns.column(LEAD_ID).is_none();
        let lead_id = tensors.iter().position(is_lead_id);
        let own = |&place: &usize| Some(place) != lead_id;
        let mut others = (0..tensors.len()).filter(own);
        let Some(first) = others.next() else {
            return Err(RowsError::Request(
                "inputs has no tensor: send one of the shape [rows, features], or one a feature",
            ));
        };
        let rows = tensors[first].rows;
        for tensor in tensors {
            check(tensor, rows)?;
        }
        if rows > rows_max {
            return Err(RowsError::TooManyRows { limit: rows_max });
        }
        let features = loaded.model.schema().len();
        let tensor = &tensors[first];
        let is_alone = others.next().is_none();
        let is_feature = tensor.columns == 1 && loaded.columns.column(tensor.name).is_some();
        let layout = if is_alone && !is_feature {
            if tensor.columns != features || tensor.dimensions > 2 {
                return Err(RowsError::Width {
                    row: 0,
                    found: tensor.columns,
                });
            }
            TensorLayout::ByPosition(first)
        } else {
            TensorLayout::ByName(by_name(loaded, tensors, lead_id)?)
        };
        Ok(Self {
            layout,
            rows,
            lead_id,
            next: 0,
        })
    }

    /// Goes on behind rows that were read before.
    #[must_use]
    pub fn behind(mut self, rows: usize) -> Self {
        self.next = rows.min(self.rows);
        self
    }

    /// Rows in all.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Reads some rows more of the same tensors; true when there are no more.
    ///
    /// # Errors
    /// A value is none of its feature.
    pub fn fill(
        &mut self,
        loaded: &LoadedModel,
        tensors: &[Tensor<'_>],
        rows: &mut Rows,
        count: usize,
    ) -> Result<bool, RowsError> {
        let count = count.min(self.rows - self.next);
        let from = self.next;
        let width = rows.width();
        let values = rows.add(count);
        match &self.layout {
            TensorLayout::ByPosition(place) => by_position(loaded, &tensors[*place], from, (values, width))?,
            TensorLayout::ByName(columns) => {
                for &(place, column) in columns {
                    one_column(loaded, &tensors[place], from, (values, width), column)?;
                }
                require(loaded, columns, from)?;
            }
        }
        if let Some(place) = self.lead_id {
            name(&tensors[place], from..from + count, rows)?;
        }
        self.next += count;
        Ok(self.next == self.rows)
    }
}

/// That a tensor has as many values as its shape says, and as many rows as the others.
fn check(tensor: &Tensor<'_>, rows: usize) -> Result<(), RowsError> {
    let input = tensor.input;
    tensor.check().map_err(|fault| RowsError::Tensor { input, fault })?;
    if tensor.dimensions == 0 {
        let fault = "its shape is [rows, features], or [rows] or [rows, 1] of one feature";
        return Err(RowsError::Tensor { input, fault });
    }
    let wanted = tensor.rows.saturating_mul(tensor.columns);
    let found = tensor.found();
    if found != wanted {
        return Err(RowsError::Size { input, found, wanted });
    }
    if tensor.rows != rows {
        let fault = "it has another number of rows than the first tensor";
        return Err(RowsError::Tensor { input, fault });
    }
    Ok(())
}

fn by_name(
    loaded: &LoadedModel,
    tensors: &[Tensor<'_>],
    lead_id: Option<usize>,
) -> Result<Vec<(usize, usize)>, RowsError> {
    let mut columns = Vec::with_capacity(tensors.len());
    let mut seen = vec![false; loaded.model.schema().len()];
    for (place, tensor) in tensors.iter().enumerate() {
        if Some(place) == lead_id {
            continue;
        }
        let input = tensor.input;
        let Some(column) = loaded.columns.column_near(tensor.name, place) else {
            return Err(RowsError::Unknown {
                what: "input",
                place: input,
            });
        };
        if tensor.columns != 1 {
            let fault = "a tensor of one feature has the shape [rows] or [rows, 1]";
            return Err(RowsError::Tensor { input, fault });
        }
        if std::mem::replace(&mut seen[column], true) {
            return Err(RowsError::Twice { column });
        }
        columns.push((place, column));
    }
    Ok(columns)
}

/// That no required feature is absent.
fn require(loaded: &LoadedModel, columns: &[(usize, usize)], row: usize) -> Result<(), RowsError> {
    let required = loaded.model.schema().required();
    for (word, &bits) in required.iter().enumerate() {
        let mut rest = bits;
        while rest != 0 {
            let column = word * 64 + rest.trailing_zeros() as usize;
            if !columns.iter().any(|&(_, known)| known == column) {
                let fault = CellFault::Violation(quintile_model::Violation::Required);
                return Err(RowsError::Cell { row, column, fault });
            }
            rest &= rest - 1;
        }
    }
    Ok(())
}

fn by_position(
    loaded: &LoadedModel,
    tensor: &Tensor<'_>,
    from: usize,
    (values, width): (&mut [f64], usize),
) -> Result<(), RowsError> {
    let features = loaded.model.schema().len();
    if features == 0 {
        return Ok(());
    }
    let is_plain = (0..features).all(|column| is_plain_column(loaded, column));
    let range = from * width..from * width + values.len();
    let input = loaded.model.input_precision();
    let copies = |place: usize, value: f64| {
        if let Some(slot) = values.get_mut(place) {
            *slot = value;
        }
    };
    if is_plain && tensor.numbers(range, input, copies) {
        return in_range(values, (from, width, input));
    }
    for (row, slots) in values.chunks_exact_mut(width).enumerate() {
        for (column, slot) in slots.iter_mut().enumerate() {
            *slot = value(loaded, tensor, (from + row) * width + column, (from + row, column))?;
        }
    }
    Ok(())
}

/// That the model's input type holds all numbers: one pass, and another one only to find the fault.
fn in_range(values: &[f64], (from, width, input): (usize, usize, Precision)) -> Result<(), RowsError> {
    let end = range_end(input);
    if !values.iter().fold(false, |is_out, value| is_out | (value.abs() >= end)) {
        return Ok(());
    }
    let place = values.iter().position(|value| value.abs() >= end).unwrap_or(0);
    Err(RowsError::Cell {
        row: from + place / width,
        column: place % width,
        fault: CellFault::OutOfRange,
    })
}

fn one_column(
    loaded: &LoadedModel,
    tensor: &Tensor<'_>,
    from: usize,
    (values, width): (&mut [f64], usize),
    column: usize,
) -> Result<(), RowsError> {
    let rows = values.len() / width;
    let input = loaded.model.input_precision();
    if is_plain_column(loaded, column) {
        let (end, mut wrong) = (range_end(input), None);
        let is_number = tensor.numbers(from..from + rows, input, |row, value| {
            if value.abs() >= end {
                wrong.get_or_insert(row);
            }
            if let Some(slot) = values.get_mut(row * width + column) {
                *slot = value;
            }
        });
        if let Some(row) = wrong {
            let (row, fault) = (from + row, CellFault::OutOfRange);
            return Err(RowsError::Cell { row, column, fault });
        }
        if is_number {
            return Ok(());
        }
    }
    for row in 0..rows {
        if let Some(slot) = values.get_mut(row * width + column) {
            *slot = value(loaded, tensor, from + row, (from + row, column))?;
        }
    }
    Ok(())
}

/// One value of a tensor, as its column takes it.
fn value(
    loaded: &LoadedModel,
    tensor: &Tensor<'_>,
    place: usize,
    (row, column): (usize, usize),
) -> Result<f64, RowsError> {
    let taken = tensor.cell(place, |cell| cell_value(loaded, column, cell));
    taken
        .unwrap_or(Err(CellFault::NoNumber))
        .map_err(|fault| RowsError::Cell { row, column, fault })
}

/// Names the leads of some rows.
fn name(tensor: &Tensor<'_>, range: std::ops::Range<usize>, rows: &mut Rows) -> Result<(), RowsError> {
    let is_text = !matches!(tensor.values, Values::Floats(_) | Values::Doubles(_) | Values::Bools(_));
    for row in range {
        let named = tensor.cell(row, |cell| match cell {
            quintile_model::Cell::Text(text) => rows.name(text),
            quintile_model::Cell::Integer(number) if is_text => rows.name(itoa::Buffer::new().format(number)),
            quintile_model::Cell::Unsigned(number) => rows.name(itoa::Buffer::new().format(number)),
            quintile_model::Cell::Float(number) if number.trunc().to_bits() == number.to_bits() => {
                #[expect(clippy::cast_possible_truncation, reason = "a whole number")]
                let number = number as i64;
                rows.name(itoa::Buffer::new().format(number))
            }
            _ => rows.name(""),
        });
        named.unwrap_or(Err(RowsError::LeadId { row }))?;
    }
    Ok(())
}
