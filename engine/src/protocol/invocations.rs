//! `POST /invocations`, as SageMaker's containers and MLflow's scoring server have it: JSON, lines of JSON, CSV, libsvm,
//! recordio and npy in; JSON, lines of JSON and CSV out.
//!
//! The model decides which of the two is spoken: MLflow for an MLflow folder, SageMaker for any other model. A body that
//! only MLflow's clients send is answered as MLflow does for every model: JSON with MLflow's keys, and CSV with a header.

use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::loaded::manner::PredictionManner;

use super::delimited::Delimited;
use super::json::Cursor;
use super::libsvm::Libsvm;
use super::record_io::RecordIo;
use super::rows::{Asked, Rows};
use super::rows_error::RowsError;
use super::table::{Manner, Table};
use super::v1::{PredictionsWriter, list};
use super::{AnswerRows, ReadLimits, RowsProtocol, npy};

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyForm {
    /// A JSON text.
    #[default]
    Json,
    /// A JSON text a line.
    Lines,
    /// Cells with a delimiter between them.
    Csv {
        /// Whether the first cell of each line is a label, which is no feature.
        has_label: bool,
    },
    /// `INDEX:VALUE` pairs.
    Libsvm,
    /// Amazon's records of protobuf.
    RecordIo,
    /// An array of NumPy.
    Npy,
}

/// How an answer looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AnswerForm {
    /// A line a row, several predictions with commas between them.
    #[default]
    Csv,
    /// SageMaker's `{"predictions":[{"score":…}]}`
    Json,
    /// `{"score":…}` a line.
    Lines,
    /// MLflow's `{"predictions":[…]}`
    Mlflow,
}

/// Predictions that are written before a shard looks at its other requests.
const VALUES: usize = 4096;

const MLFLOW: Manner = Manner {
    keys: &["dataframe_split", "dataframe_records", "instances", "inputs"],
    wanted: "the body is an object with exactly one of dataframe_split, dataframe_records, instances and inputs",
    takes_lists: false,
    ignores_unknown: true,
    needs_all: true,
};

const SAGEMAKER: Manner = Manner {
    keys: &["instances", "features", "inputs"],
    wanted: "the body has rows: {\"instances\":[[1.5,2],…]}, {\"instances\":[{\"features\":[1.5,2]},…]} or [[1.5,2],…]",
    takes_lists: true,
    ignores_unknown: false,
    needs_all: false,
};

const LINE: Manner = Manner {
    wanted: "a line is {\"features\":[…]}, or a list of values",
    ..SAGEMAKER
};

/// A request for `/invocations`.
#[derive(Debug, Default)]
pub struct Invocations {
    body_form: BodyForm,
    answer_form: AnswerForm,
    is_mlflow: bool,
    has_begun: bool,
    table: Table,
    delimited: Delimited,
    libsvm: Libsvm,
    record_io: RecordIo,
    at: usize,
    writer: PredictionsWriter,
    next: usize,
}

impl Invocations {
    /// What headers and model say: the form of the body, that of the answer, and whether the model is MLflow's.
    pub fn set(&mut self, body_form: BodyForm, answer_form: AnswerForm, is_mlflow: bool) {
        self.body_form = body_form;
        self.answer_form = answer_form;
        self.is_mlflow = is_mlflow;
    }

    /// How the answer looks.
    #[must_use]
    pub fn answer_form(&self) -> AnswerForm {
        self.answer_form
    }

    /// Whether the request is MLflow's, as it was read.
    #[must_use]
    pub fn is_mlflow(&self) -> bool {
        self.is_mlflow
    }

    /// Looks at the beginning of a body: whose it is.
    fn begin(&mut self, body: &[u8]) {
        self.has_begun = true;
        if self.body_form == BodyForm::Libsvm && matches!(body.trim_ascii_start().first(), Some(b'{' | b'[')) {
            // A client that says nothing of a JSON text means it.
            self.body_form = BodyForm::Json;
        }
        let tells = match self.body_form {
            BodyForm::Json => has_mlflow_key(body),
            BodyForm::Csv { .. } => Delimited::has_header(body),
            _ => false,
        };
        self.is_mlflow |= tells;
        if self.is_mlflow {
            self.answer_form = AnswerForm::Mlflow;
        }
    }

    fn line(
        &mut self,
        loaded: &LoadedModel,
        body: &[u8],
        rows: &mut Rows,
        limits: ReadLimits,
    ) -> Option<Result<(), RowsError>> {
        let until = self.at.saturating_add(limits.bytes);
        while self.at < body.len() {
            if self.at >= until {
                return None;
            }
            let rest = &body[self.at..];
            let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
            let line = &rest[..length];
            self.at += length + 1;
            if line.trim_ascii().is_empty() {
                continue;
            }
            self.table.reset();
            let whole = ReadLimits {
                bytes: usize::MAX,
                ..limits
            };
            match self.table.read(LINE, loaded, line, rows, whole) {
                Some(Ok(())) => {}
                Some(Err(RowsError::Json(mut error))) => {
                    error.offset += self.at - length - 1;
                    return Some(Err(RowsError::Json(error)));
                }
                Some(Err(error)) => return Some(Err(error)),
                None => return Some(Err(RowsError::Request(LINE.wanted))),
            }
        }
        Some(match rows.count() {
            0 => Err(RowsError::Request(LINE.wanted)),
            _ => Ok(()),
        })
    }

    fn score(&self, predictions: &[f64], out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"score\":");
        list(predictions, out);
        out.push(b'}');
    }
}

/// Whether an object has a key that only MLflow's bodies have, among its first ones.
fn has_mlflow_key(body: &[u8]) -> bool {
    let mut cursor = Cursor::new(body, 0, false);
    if cursor.take(b'{', "").is_err() {
        return false;
    }
    let mut is_first = true;
    matches!(cursor.member(&mut is_first), Ok(Some(key)) if
        matches!(key.raw(body), b"dataframe_split" | b"dataframe_records" | b"inputs" | b"params"))
}

impl RowsProtocol for Invocations {
    fn reset(&mut self) {
        self.has_begun = false;
        self.table.reset();
        self.delimited.reset();
        self.libsvm.reset();
        self.record_io.reset();
        self.at = 0;
        self.writer.reset();
        self.next = 0;
    }

    fn read(
        &mut self,
        loaded: &LoadedModel,
        body: &[u8],
        rows: &mut Rows,
        limits: ReadLimits,
    ) -> Option<Result<(), RowsError>> {
        if !self.has_begun {
            self.begin(body);
        }
        let read = match self.body_form {
            BodyForm::Json => {
                let manner = if self.is_mlflow { MLFLOW } else { SAGEMAKER };
                self.table.read(manner, loaded, body, rows, limits)
            }
            BodyForm::Lines => self.line(loaded, body, rows, limits),
            BodyForm::Csv { has_label } => self
                .delimited
                .read((has_label, self.is_mlflow), loaded, body, rows, limits),
            BodyForm::Libsvm => self.libsvm.read(loaded, body, rows, limits),
            BodyForm::RecordIo => self.record_io.read(loaded, body, rows, limits),
            BodyForm::Npy => npy::read(loaded, body, rows, limits),
        };
        match read {
            Some(Ok(())) if rows.count() > limits.rows => Some(Err(RowsError::TooManyRows { limit: limits.rows })),
            other => other,
        }
    }

    fn asked(&self) -> Asked {
        Asked::default()
    }

    fn write(&mut self, answer: &AnswerRows<'_>, _: &[u8], out: &mut Vec<u8>) -> bool {
        if self.answer_form == AnswerForm::Mlflow {
            let loaded = answer.loaded;
            let are_labels = loaded.folder == Some("MLflow folder")
                && loaded.manner == PredictionManner::Label
                && loaded.model.gives_probabilities();
            return self.writer.write(answer, are_labels, out);
        }
        let width = answer.loaded.model.prediction_len();
        let rows = answer.rows.count();
        if self.next == 0 && self.answer_form == AnswerForm::Json {
            out.extend_from_slice(b"{\"predictions\":[");
        }
        let end = rows.min(self.next + (VALUES / width).max(1));
        for row in self.next..end {
            let predictions = answer.scored.predictions.get(row * width..(row + 1) * width);
            let predictions = predictions.unwrap_or_default();
            match self.answer_form {
                AnswerForm::Json => {
                    if row > 0 {
                        out.push(b',');
                    }
                    self.score(predictions, out);
                }
                AnswerForm::Lines => {
                    self.score(predictions, out);
                    out.push(b'\n');
                }
                AnswerForm::Csv | AnswerForm::Mlflow => {
                    for (place, &prediction) in predictions.iter().enumerate() {
                        if place > 0 {
                            out.push(b',');
                        }
                        quintile_scoring::render::number(out, prediction);
                    }
                    out.push(b'\n');
                }
            }
        }
        self.next = end;
        if end < rows {
            return false;
        }
        if self.answer_form == AnswerForm::Json {
            out.extend_from_slice(b"]}");
        }
        true
    }

    fn held_bytes(&self) -> usize {
        self.table.held_bytes()
    }
}
