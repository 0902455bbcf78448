//! KServe's first protocol: `{"instances":[[…],…]}` → `{"predictions":[…]}`, and the same for `/invocations` of MLflow,
//! which has more ways to say what the rows are.

use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::loaded::manner::class_of;
use quintile_scoring::render;

use super::rows::{Asked, Rows};
use super::rows_error::RowsError;
use super::table::{Manner, Table};
use super::{AnswerRows, ReadLimits, RowsProtocol};

/// Predictions that are written before a shard looks at its other requests.
const VALUES: usize = 4096;

/// What KServe's first protocol takes.
const V1: Manner = Manner {
    keys: &["instances", "inputs"],
    wanted: "the body is an object with rows under instances or inputs: {\"instances\":[[1.5,2],…]}",
    takes_lists: false,
    ignores_unknown: false,
    needs_all: false,
};

/// KServe's first protocol.
#[derive(Debug, Default)]
pub struct V1 {
    table: Table,
    writer: PredictionsWriter,
}

/// Writes `{"predictions":[…]}`, a part at a time.
#[derive(Debug, Default)]
pub struct PredictionsWriter {
    next: usize,
}

impl PredictionsWriter {
    /// From the beginning.
    pub fn reset(&mut self) {
        self.next = 0;
    }

    /// Writes on; true at the end. A row with several predictions is a list of them.
    /// `are_labels` is whether a classifier's class is its prediction.
    pub fn write(&mut self, answer: &AnswerRows<'_>, are_labels: bool, out: &mut Vec<u8>) -> bool {
        if self.next == 0 {
            out.extend_from_slice(b"{\"predictions\":[");
        }
        let width = answer.loaded.model.prediction_len();
        let rows = answer.rows.count();
        let end = rows.min(self.next + (VALUES / width).max(1));
        for row in self.next..end {
            if row > 0 {
                out.push(b',');
            }
            let predictions = answer.scored.predictions.get(row * width..(row + 1) * width);
            let predictions = predictions.unwrap_or_default();
            if are_labels {
                out.extend_from_slice(itoa::Buffer::new().format(class_of(predictions, 0.5)).as_bytes());
            } else {
                list(predictions, out);
            }
        }
        self.next = end;
        if end < rows {
            return false;
        }
        out.extend_from_slice(b"]}");
        true
    }
}

/// One prediction alone, several as a list.
pub(super) fn list(predictions: &[f64], out: &mut Vec<u8>) {
    if let &[prediction] = predictions {
        return render::number(out, prediction);
    }
    out.push(b'[');
    for (place, &prediction) in predictions.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        render::number(out, prediction);
    }
    out.push(b']');
}

impl RowsProtocol for V1 {
    fn reset(&mut self) {
        self.table.reset();
        self.writer.reset();
    }

    fn read(
        &mut self,
        loaded: &LoadedModel,
        body: &[u8],
        rows: &mut Rows,
        limits: ReadLimits,
    ) -> Option<Result<(), RowsError>> {
        self.table.read(V1, loaded, body, rows, limits)
    }

    fn asked(&self) -> Asked {
        Asked::default()
    }

    fn write(&mut self, answer: &AnswerRows<'_>, _: &[u8], out: &mut Vec<u8>) -> bool {
        self.writer.write(answer, false, out)
    }

    fn held_bytes(&self) -> usize {
        self.table.held_bytes()
    }
}
