//! The Open Inference Protocol over gRPC: messages, and tensors of a request → rows → the answer. Frames, trailers and
//! statuses are HTTP's (`http/protocols/grpc.rs`).

pub mod messages;
pub mod reflection;

use prost::Message as _;
use quintile_scoring::loaded::LoadedModel;

use super::output::Output;
use super::rows::{Asked, Rows};
use super::rows_error::RowsError;
use super::tensor::{Datatype, Tensor, Values, text_starts};
use super::tensor_rows::{LEAD_ID, TensorRows};
use super::v2::binary_values;
use super::{AnswerRows, ReadLimits, RowsProtocol};
use messages::{InferInput, ModelInferRequest, ModelInferResponse, Parameter, TensorContents, TensorMetadata};

/// The service's name.
pub const SERVICE: &str = "inference.GRPCInferenceService";

/// Bytes before a message: whether it is compressed, and its length.
pub const PREFIX_BYTES: usize = 5;

/// Values of tensors that are made rows before a shard looks at its other requests.
const VALUES: usize = 16 << 10;

/// A request to infer.
#[derive(Debug, Default)]
pub struct Grpc {
    request: ModelInferRequest,
    outputs: Vec<Output>,
    /// Where the texts of raw tensors begin, by input.
    starts: Vec<Vec<u32>>,
    filling: Option<TensorRows>,
}

impl Grpc {
    /// The request that is to be answered.
    pub fn set_request(&mut self, request: ModelInferRequest) {
        self.request = request;
    }

    fn settle(&mut self, loaded: &LoadedModel, rows: &mut Rows) -> Result<(), RowsError> {
        let request = &self.request;
        let raw = request.raw_input_contents.len();
        if raw > 0 && raw != request.inputs.len() {
            return Err(RowsError::Request(
                "raw_input_contents has an entry for each input, or none at all",
            ));
        }
        if raw > 0 && request.inputs.iter().any(|input| input.contents.is_some()) {
            return Err(RowsError::Request(
                "the values are in raw_input_contents or in the contents of the inputs, not in both",
            ));
        }
        self.outputs.clear();
        for (place, wanted) in request.outputs.iter().enumerate() {
            let output = Output::of(&wanted.name, loaded);
            self.outputs
                .push(output.map_err(|fault| RowsError::Output { output: place, fault })?);
        }
        if self.outputs.is_empty() {
            self.outputs.push(Output::usual(loaded));
        }
        self.starts.clear();
        for (input, bytes) in request.raw_input_contents.iter().enumerate() {
            let mut starts = Vec::new();
            if request.inputs[input].datatype == Datatype::Bytes.name() {
                text_starts(bytes, &mut starts).map_err(|fault| RowsError::Tensor { input, fault })?;
            }
            self.starts.push(starts);
        }
        match request
            .parameters
            .get(LEAD_ID)
            .and_then(|parameter| parameter.choice.as_ref())
        {
            Some(Parameter::String(id)) => rows.set_request(id),
            _ => rows.set_request(&request.id),
        }
        Ok(())
    }

    fn tensors(&self) -> Result<Vec<Tensor<'_>>, RowsError> {
        let inputs = self.request.inputs.iter().enumerate();
        inputs.map(|(place, input)| self.tensor(place, input)).collect()
    }

    fn tensor<'a>(&'a self, place: usize, input: &'a InferInput) -> Result<Tensor<'a>, RowsError> {
        let wrong = |fault| RowsError::Tensor { input: place, fault };
        let datatype = Datatype::of(input.datatype.as_bytes()).ok_or(wrong(
            "its datatype is none of BOOL, INT8 to INT64, UINT8 to UINT64, FP16, BF16, FP32, FP64 and BYTES",
        ))?;
        let values = match (self.request.raw_input_contents.get(place), &input.contents) {
            (Some(bytes), _) if datatype == Datatype::Bytes => {
                Values::RawTexts(bytes, self.starts.get(place).map_or(&[][..], Vec::as_slice))
            }
            (Some(bytes), _) => Values::Raw(bytes),
            (None, Some(contents)) => {
                of_contents(contents, datatype).ok_or(wrong("FP16 and BF16 come as raw contents"))?
            }
            // Messages leave out what is empty.
            (None, None) => Values::Floats(&[]),
        };
        let mut dimensions = input.shape.iter().map(|&dimension| usize::try_from(dimension));
        let negative = wrong("its shape has a negative dimension");
        let rows = dimensions.next().transpose().map_err(|_| negative)?.unwrap_or(1);
        let columns = dimensions.try_fold(1_usize, |product, dimension| {
            dimension.map(|dimension| product.saturating_mul(dimension))
        });
        Ok(Tensor {
            input: place,
            name: &input.name,
            datatype,
            rows,
            columns: columns.map_err(|_| negative)?,
            dimensions: input.shape.len(),
            values,
        })
    }

    fn fill(&mut self, loaded: &LoadedModel, rows: &mut Rows, limits: ReadLimits) -> Result<bool, RowsError> {
        let filling = self.filling.take();
        let tensors = self.tensors()?;
        let mut filling = match filling {
            Some(filling) => filling,
            None => TensorRows::new(loaded, &tensors, limits.rows)?,
        };
        let is_done = filling.fill(loaded, &tensors, rows, (VALUES / rows.width()).max(1))?;
        drop(tensors);
        self.filling = Some(filling);
        Ok(is_done)
    }
}

fn of_contents(contents: &TensorContents, datatype: Datatype) -> Option<Values<'_>> {
    Some(match datatype {
        Datatype::Bool => Values::Bools(&contents.bools),
        Datatype::Int8 | Datatype::Int16 | Datatype::Int32 => Values::Ints(&contents.ints),
        Datatype::Int64 => Values::Longs(&contents.longs),
        Datatype::Uint8 | Datatype::Uint16 | Datatype::Uint32 => Values::Uints(&contents.uints),
        Datatype::Uint64 => Values::Ulongs(&contents.ulongs),
        Datatype::Fp32 => Values::Floats(&contents.floats),
        Datatype::Fp64 => Values::Doubles(&contents.doubles),
        Datatype::Bytes => Values::Texts(&contents.texts),
        Datatype::Fp16 | Datatype::Bf16 => return None,
    })
}

/// A message in its frame.
pub fn framed(message: &impl prost::Message, out: &mut Vec<u8>) {
    let length = message.encoded_len();
    out.reserve(PREFIX_BYTES + length);
    out.push(0);
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    message.encode_raw(out);
}

impl RowsProtocol for Grpc {
    fn reset(&mut self) {
        self.request.clear();
        self.filling = None;
    }

    fn read(
        &mut self,
        loaded: &LoadedModel,
        _: &[u8],
        rows: &mut Rows,
        limits: ReadLimits,
    ) -> Option<Result<(), RowsError>> {
        if self.filling.is_none()
            && let Err(error) = self.settle(loaded, rows)
        {
            return Some(Err(error));
        }
        match self.fill(loaded, rows, limits) {
            Ok(false) => None,
            Ok(true) => Some(rows.check_names()),
            Err(error) => Some(Err(error)),
        }
    }

    fn asked(&self) -> Asked {
        Asked::of(&self.outputs)
    }

    fn write(&mut self, answer: &AnswerRows<'_>, _: &[u8], out: &mut Vec<u8>) -> bool {
        let model = &answer.loaded.model;
        let rows = answer.rows.count();
        let (mut outputs, mut raw) = (Vec::new(), Vec::new());
        for output in &self.outputs {
            let own = output
                .kind
                .dimensions(model)
                .into_iter()
                .filter(|&dimension| dimension > 0);
            let shape = std::iter::once(rows).chain(own);
            outputs.push(TensorMetadata {
                name: output.name.to_owned(),
                datatype: output.kind.datatype(model).name().to_owned(),
                shape: shape
                    .map(|dimension| i64::try_from(dimension).unwrap_or(i64::MAX))
                    .collect(),
            });
            let mut bytes = Vec::new();
            binary_values(answer, output.kind, 0..rows * output.kind.width(model), &mut bytes);
            raw.push(bytes);
        }
        let response = ModelInferResponse {
            model_name: answer.name.to_owned(),
            model_version: answer.version.to_owned(),
            id: std::mem::take(&mut self.request.id),
            outputs,
            raw_output_contents: raw,
        };
        framed(&response, out);
        true
    }

    fn held_bytes(&self) -> usize {
        let raw: usize = self.request.raw_input_contents.iter().map(Vec::capacity).sum();
        raw + self
            .starts
            .iter()
            .map(|starts| starts.capacity() * size_of::<u32>())
            .sum::<usize>()
    }
}
