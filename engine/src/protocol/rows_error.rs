//! Why the rows of a request cannot be read: values that allocate nothing, and their texts. A text names places and
//! features, and never a value.

use quintile_model::Violation;
use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::read::cells::CellFault;

use super::json::JsonError;

/// Why the rows of a request cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsError {
    /// The text is not the JSON that it should be.
    Json(JsonError),
    /// The request as a whole: what is wrong, and what would be right.
    Request(&'static str),
    /// A tensor.
    Tensor {
        /// Its place among the inputs.
        input: usize,
        /// What is wrong with it, and what would be right.
        fault: &'static str,
    },
    /// A tensor has another number of values than its shape says.
    Size {
        /// Its place among the inputs.
        input: usize,
        /// Values that are there.
        found: usize,
        /// Values of the shape.
        wanted: usize,
    },
    /// A row has another number of values than the model has features.
    Width {
        /// The row.
        row: usize,
        /// Values that are there.
        found: usize,
    },
    /// An output that is asked for.
    Output {
        /// Its place among the outputs.
        output: usize,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// A value.
    Cell {
        /// Its row.
        row: usize,
        /// Its column.
        column: usize,
        /// What is wrong with it.
        fault: CellFault,
    },
    /// A key, column or tensor that is no feature of the model.
    Unknown {
        /// What it is: a tensor, a column, a key.
        what: &'static str,
        /// Its place, from 0.
        place: usize,
    },
    /// A feature that is there twice.
    Twice {
        /// Its column.
        column: usize,
    },
    /// The name of a lead is empty or too long.
    LeadId {
        /// Its row.
        row: usize,
    },
    /// Some rows have names and others have not.
    LeadIds {
        /// Names.
        found: usize,
        /// Rows.
        rows: usize,
    },
    /// More rows than a request may have.
    TooManyRows {
        /// Rows accepted.
        limit: usize,
    },
}

impl From<JsonError> for RowsError {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

impl RowsError {
    /// Whether it is the size of the request that is refused.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::TooManyRows { .. })
    }

    /// For people.
    #[must_use]
    pub fn text(&self, loaded: &LoadedModel) -> String {
        let features = loaded.model.schema().len();
        match *self {
            Self::Json(JsonError { offset, wanted }) => format!("byte {offset} of the body: expected {wanted}"),
            Self::Request(fault) => fault.to_owned(),
            Self::Tensor { input, fault } => format!("inputs[{input}]: {fault}"),
            Self::Size { input, found, wanted } => {
                format!("inputs[{input}]: its shape takes {wanted} values, and it has {found}")
            }
            Self::Width { row, found } => {
                format!("row {row} has {found} values, and the model has {features} features")
            }
            Self::Output { output, fault } => format!("outputs[{output}]: {fault}"),
            Self::Cell { row, column, fault } => cell(loaded, row, column, fault),
            Self::Unknown { what, place } => format!(
                "{what} {place} has a name that is no feature of the model; the model has {features} features, which \
                 GET /v1/schema lists"
            ),
            Self::Twice { column } => format!("feature {:?} is there twice", loaded.model.schema().name(column)),
            Self::LeadId { row } => {
                format!("row {row} has a lead_id that is empty or longer than 256 bytes")
            }
            Self::LeadIds { found, rows } => format!("there are {found} values of lead_id for {rows} rows"),
            Self::TooManyRows { limit } => {
                format!("a request has at most {limit} rows (limits.tensor_rows_max); send several requests")
            }
        }
    }
}

fn cell(loaded: &LoadedModel, row: usize, column: usize, fault: CellFault) -> String {
    let schema = loaded.model.schema();
    let why = match fault {
        CellFault::NoNumber => "takes numbers, and null for a missing value",
        CellFault::UnknownCategory => "takes names of its categories; GET /v1/schema lists them",
        CellFault::OutOfRange => "takes finite numbers that the model's input type holds",
        CellFault::Violation(Violation::Required) => "may not be missing",
        CellFault::Violation(Violation::Range) => "has a value outside of the range that the manifest states",
        CellFault::Violation(Violation::Form) => "has a value that is not of the form that the manifest states",
    };
    format!("row {row}, column {column}: feature {:?} {why}", schema.name(column))
}
