//! The answer to a request, a part at a time: a JSON text, and behind it the tensors that are wanted as bytes.

use std::io::Write as _;

use quintile_scoring::render;

use crate::protocol::AnswerRows;
use crate::protocol::output::{Output, OutputKind};
use crate::protocol::tensor::Datatype;

/// Values that are written before a shard looks at its other requests.
const VALUES: usize = 4096;

/// How far an answer is written.
#[derive(Debug, Default)]
pub(super) struct Writer {
    has_begun: bool,
    /// The output that is being written, first as JSON.
    output: usize,
    /// Its next value.
    value: usize,
    json_bytes: Option<usize>,
}

impl Writer {
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Bytes of the JSON part, where binary tensors follow.
    pub(super) fn json_bytes(&self) -> Option<usize> {
        self.json_bytes
    }

    /// Writes on; true at the end.
    pub(super) fn write(
        &mut self,
        answer: &AnswerRows<'_>,
        id: Option<&str>,
        outputs: &[Output],
        out: &mut Vec<u8>,
    ) -> bool {
        if !self.has_begun {
            head(answer, id, out);
            self.has_begun = true;
        }
        let mut left = VALUES;
        while let Some(output) = outputs.get(self.output) {
            if !self.json(answer, *output, out, &mut left) {
                return false;
            }
            (self.output, self.value) = (self.output + 1, 0);
        }
        if self.output == outputs.len() {
            out.extend_from_slice(b"]}");
            if !outputs.iter().any(|output| output.is_binary) {
                return true;
            }
            self.json_bytes = Some(out.len());
            self.output += 1;
        }
        while let Some(output) = outputs.get(self.output - outputs.len() - 1) {
            if output.is_binary && !self.binary(answer, output.kind, out, &mut left) {
                return false;
            }
            (self.output, self.value) = (self.output + 1, 0);
        }
        true
    }

    fn json(&mut self, answer: &AnswerRows<'_>, output: Output, out: &mut Vec<u8>, left: &mut usize) -> bool {
        let model = &answer.loaded.model;
        let kind = output.kind;
        let values = answer.rows.count() * kind.width(model);
        if *left == 0 {
            return false;
        }
        if self.value == 0 {
            if self.output > 0 {
                out.push(b',');
            }
            describe(answer, output, out);
            if output.is_binary {
                let bytes = values * kind.datatype(model).bytes().unwrap_or(0);
                let _ = write!(out, ",\"parameters\":{{\"binary_data_size\":{bytes}}}}}");
                return true;
            }
            out.extend_from_slice(b",\"data\":[");
        }
        let is_whole = kind.datatype(model) == Datatype::Int64;
        let end = values.min(self.value + *left);
        *left -= end - self.value;
        for place in self.value..end {
            if place > 0 {
                out.push(b',');
            }
            let value = kind.value(model, answer.scored, place);
            if is_whole {
                out.extend_from_slice(itoa::Buffer::new().format(whole(value)).as_bytes());
            } else {
                render::number(out, value);
            }
        }
        self.value = end;
        if end < values {
            return false;
        }
        out.extend_from_slice(b"]}");
        true
    }

    fn binary(&mut self, answer: &AnswerRows<'_>, kind: OutputKind, out: &mut Vec<u8>, left: &mut usize) -> bool {
        let model = &answer.loaded.model;
        let values = answer.rows.count() * kind.width(model);
        let end = values.min(self.value + *left);
        *left -= end - self.value;
        binary_values(answer, kind, self.value..end, out);
        self.value = end;
        end == values
    }
}

/// Values of an output as little-endian bytes.
#[expect(clippy::cast_possible_truncation, reason = "a 32-bit value that was widened")]
pub(crate) fn binary_values(
    answer: &AnswerRows<'_>,
    kind: OutputKind,
    range: std::ops::Range<usize>,
    out: &mut Vec<u8>,
) {
    let model = &answer.loaded.model;
    let datatype = kind.datatype(model);
    for place in range {
        let value = kind.value(model, answer.scored, place);
        match datatype {
            Datatype::Fp32 => out.extend_from_slice(&(value as f32).to_le_bytes()),
            Datatype::Int64 => out.extend_from_slice(&whole(value).to_le_bytes()),
            _ => out.extend_from_slice(&value.to_le_bytes()),
        }
    }
}

fn head(answer: &AnswerRows<'_>, id: Option<&str>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"model_name\":");
    render::string(out, answer.name);
    out.extend_from_slice(b",\"model_version\":");
    render::string(out, answer.version);
    if let Some(id) = id {
        out.extend_from_slice(b",\"id\":");
        render::string(out, id);
    }
    out.extend_from_slice(b",\"outputs\":[");
}

/// `{"name":…,"datatype":…,"shape":[…]`
fn describe(answer: &AnswerRows<'_>, output: Output, out: &mut Vec<u8>) {
    let model = &answer.loaded.model;
    let datatype = output.kind.datatype(model).name();
    let _ = write!(
        out,
        "{{\"name\":\"{}\",\"datatype\":\"{datatype}\",\"shape\":[{}",
        output.name,
        answer.rows.count()
    );
    for dimension in output.kind.dimensions(model) {
        if dimension > 0 {
            let _ = write!(out, ",{dimension}");
        }
    }
    out.push(b']');
}

#[expect(clippy::cast_possible_truncation, reason = "a score is 0 to 5")]
fn whole(value: f64) -> i64 {
    value as i64
}
