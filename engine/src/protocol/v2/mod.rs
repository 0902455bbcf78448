//! The Open Inference Protocol over HTTP, which KServe, Triton and MLServer speak: `POST /v2/models/M/infer`
//! (`docs/protocols.md`).
//!
//! ```text
//! {"id":…,"inputs":[{"name":…,"shape":[R,F],"datatype":"FP32","data":[…]}],"outputs":[{"name":"predict"}]}  binary tensors
//!  └────────────────────────────── read: one pass over the JSON part ─────────────────────────────────┘  └─ read in place
//! ```

pub mod pages;
mod read;
mod write;

use quintile_scoring::loaded::LoadedModel;

use super::output::Output;
use super::rows::{Asked, Rows};
use super::rows_error::RowsError;
use super::tensor::{Datatype, Tensor, Values, text_starts};
use super::tensor_rows::TensorRows;
use super::{AnswerRows, ReadLimits, RowsProtocol};
use read::{Input, Reader};
use write::Writer;
pub(crate) use write::binary_values;

/// Values of tensors that are made rows before a shard looks at its other requests.
const VALUES: usize = 16 << 10;

/// A request, its tensors and its outputs. Its memory is used again.
#[derive(Debug, Default)]
pub struct V2 {
    reader: Reader,
    /// Bytes of the JSON part, where a header says that binary tensors follow.
    json_bytes: Option<usize>,
    outputs: Vec<Output>,
    /// Where the texts of binary tensors begin, one tensor after the other.
    starts: Vec<u32>,
    filling: Option<TensorRows>,
    writer: Writer,
}

impl V2 {
    /// Where binary tensors begin, as the header `inference-header-content-length` says.
    pub fn set_json_bytes(&mut self, bytes: Option<usize>) {
        self.json_bytes = bytes;
    }

    /// Bytes of the answer's JSON part, where binary tensors follow it.
    #[must_use]
    pub fn answer_json_bytes(&self) -> Option<usize> {
        self.writer.json_bytes()
    }

    /// What follows the JSON text: binary tensors and outputs are looked up.
    fn settle(&mut self, loaded: &LoadedModel, body: &[u8], rows: &mut Rows) -> Result<(), RowsError> {
        let json_bytes = self.json_bytes.unwrap_or(body.len());
        self.starts.clear();
        let mut at = json_bytes;
        for (place, input) in self.reader.inputs.iter_mut().enumerate() {
            let wrong = |fault| RowsError::Tensor { input: place, fault };
            let Some(size) = input.binary_bytes else { continue };
            let bytes = at.checked_add(size).and_then(|end| body.get(at..end));
            let bytes = bytes.ok_or(wrong("its binary data ends beyond the body"))?;
            input.binary = at..at + size;
            at += size;
            if input.datatype == Some(Datatype::Bytes) {
                let from = self.starts.len();
                text_starts(bytes, &mut self.starts).map_err(wrong)?;
                input.starts = from..self.starts.len();
            }
        }
        if at != body.len() {
            return Err(RowsError::Request(
                "the body does not end with its last binary tensor: inference-header-content-length and the \
                 binary_data_size of all inputs add up to its length",
            ));
        }
        self.outputs.clear();
        for (place, wanted) in self.reader.outputs.iter().enumerate() {
            let wrong = |fault| RowsError::Output { output: place, fault };
            let name = wanted.name.text(body).ok_or(wrong("its name is no text"))?;
            let output = Output::of(&name, loaded).map_err(wrong)?;
            let is_binary = wanted.is_binary.unwrap_or(self.reader.are_outputs_binary);
            self.outputs.push(Output { is_binary, ..output });
        }
        if self.outputs.is_empty() {
            let is_binary = self.reader.are_outputs_binary;
            self.outputs.push(Output {
                is_binary,
                ..Output::usual(loaded)
            });
        }
        let named = self.reader.lead_id.or(self.reader.id);
        if let Some(id) = named.and_then(|span| span.text(body)) {
            rows.set_request(&id);
        }
        Ok(())
    }

    /// The tensors of the request.
    fn tensors<'a>(
        &'a self,
        names: &'a [std::borrow::Cow<'a, str>],
        body: &'a [u8],
    ) -> Result<Vec<Tensor<'a>>, RowsError> {
        let inputs = self.reader.inputs.iter().zip(names).enumerate();
        inputs
            .map(|(place, (input, name))| self.tensor(place, input, name, body))
            .collect()
    }

    fn tensor<'a>(
        &'a self,
        place: usize,
        input: &'a Input,
        name: &'a str,
        body: &'a [u8],
    ) -> Result<Tensor<'a>, RowsError> {
        let wrong = |fault| RowsError::Tensor { input: place, fault };
        let datatype = input.datatype.ok_or(wrong("it has no datatype"))?;
        let values = match (&input.data, datatype) {
            (Some(data), _) if input.binary_bytes.is_none() => Values::Json {
                values: self.reader.values.get(data.clone()).unwrap_or_default(),
                texts: &self.reader.texts,
                kinds: input.kinds,
                body,
            },
            (None, Datatype::Bytes) if input.binary_bytes.is_some() => Values::RawTexts(
                body.get(input.binary.clone()).unwrap_or_default(),
                self.starts.get(input.starts.clone()).unwrap_or_default(),
            ),
            (None, _) if input.binary_bytes.is_some() => {
                Values::Raw(body.get(input.binary.clone()).unwrap_or_default())
            }
            (None, _) => return Err(wrong("it has no data, and no binary_data_size among its parameters")),
            (Some(_), _) => return Err(wrong("it has data and a binary_data_size; one of them is right")),
        };
        let shape = input.shape.ok_or(wrong("it has no shape"))?;
        Ok(Tensor {
            input: place,
            name,
            datatype,
            rows: shape.rows,
            columns: shape.columns,
            dimensions: shape.dimensions,
            values,
        })
    }

    /// Makes rows of some values of the tensors; true when there are no more.
    fn fill(
        &mut self,
        loaded: &LoadedModel,
        body: &[u8],
        rows: &mut Rows,
        limits: ReadLimits,
    ) -> Result<bool, RowsError> {
        let name = |(place, input): (usize, &Input)| {
            let wrong = RowsError::Tensor {
                input: place,
                fault: "it has no name that is text",
            };
            input.name.and_then(|span| span.text(body)).ok_or(wrong)
        };
        let names = self
            .reader
            .inputs
            .iter()
            .enumerate()
            .map(name)
            .collect::<Result<Vec<_>, _>>()?;
        let mut filling = self.filling.take();
        let tensors = self.tensors(&names, body)?;
        if filling.is_none() {
            filling = Some(TensorRows::new(loaded, &tensors, limits.rows)?);
        }
        let is_done = match &mut filling {
            Some(filling) => filling.fill(loaded, &tensors, rows, (VALUES / rows.width()).max(1))?,
            None => true,
        };
        self.filling = filling;
        Ok(is_done)
    }
}

impl RowsProtocol for V2 {
    fn reset(&mut self) {
        self.reader.reset();
        self.json_bytes = None;
        self.filling = None;
        self.writer.reset();
    }

    fn read(
        &mut self,
        loaded: &LoadedModel,
        body: &[u8],
        rows: &mut Rows,
        limits: ReadLimits,
    ) -> Option<Result<(), RowsError>> {
        if !self.reader.is_done() {
            let json_bytes = self.json_bytes.unwrap_or(body.len());
            let Some(json) = body.get(..json_bytes) else {
                let fault = "inference-header-content-length is more than the body has";
                return Some(Err(RowsError::Request(fault)));
            };
            match self.reader.read(json, limits.bytes) {
                Some(Ok(())) => {}
                other => return other,
            }
            if let Err(error) = self.settle(loaded, body, rows) {
                return Some(Err(error));
            }
        }
        match self.fill(loaded, body, rows, limits) {
            Ok(false) => None,
            Ok(true) => Some(rows.check_names()),
            Err(error) => Some(Err(error)),
        }
    }

    fn asked(&self) -> Asked {
        Asked::of(&self.outputs)
    }

    fn write(&mut self, answer: &AnswerRows<'_>, body: &[u8], out: &mut Vec<u8>) -> bool {
        let id = self.reader.id.and_then(|span| span.text(body));
        self.writer.write(answer, id.as_deref(), &self.outputs, out)
    }

    fn held_bytes(&self) -> usize {
        self.reader.values.capacity() * size_of::<f64>() + self.starts.capacity() * size_of::<u32>()
    }
}
