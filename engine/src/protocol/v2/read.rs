//! The JSON part of a request, in one pass that can stop within a tensor's data and go on later.

use std::ops::Range;

use crate::protocol::json::{Cursor, JsonError, Scalar, Span};
use crate::protocol::rows_error::RowsError;
use crate::protocol::tensor::{Datatype, kinds};

/// Levels of lists in a tensor's data: more than any shape that is accepted has.
const LISTS_MAX: usize = 8;

/// What a request says of an input.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) name: Option<Span>,
    pub(super) datatype: Option<Datatype>,
    pub(super) shape: Option<Shape>,
    /// Bytes of its binary data.
    pub(super) binary_bytes: Option<usize>,
    /// Where they are.
    pub(super) binary: Range<usize>,
    /// Where its texts begin: which of all.
    pub(super) starts: Range<usize>,
    /// Which of all values its data are.
    pub(super) data: Option<Range<usize>>,
    /// Kinds of its data.
    pub(super) kinds: u8,
}

/// A shape: rows, and values of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) dimensions: usize,
}

/// An output that a request wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct WantedOutput {
    pub(super) name: Span,
    pub(super) is_binary: Option<bool>,
}

/// Where in the text the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Start,
    Top,
    Inputs,
    Input,
    Data,
    Done,
}

/// What stands before the next token of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Before {
    #[default]
    Open,
    Value,
    Comma,
}

/// What is read, and how far.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) id: Option<Span>,
    pub(super) lead_id: Option<Span>,
    pub(super) inputs: Vec<Input>,
    pub(super) outputs: Vec<WantedOutput>,
    pub(super) are_outputs_binary: bool,
    /// Numbers of all data; of a text its place among the texts; NaN for null.
    pub(super) values: Vec<f64>,
    pub(super) texts: Vec<Span>,
    stage: Stage,
    at: usize,
    /// Whether nothing of an object or list was read yet: the request, its inputs, an input.
    firsts: [bool; 3],
    lists: usize,
    before: Before,
}

/// What is said of a body that is no object.
const OBJECT: &str =
    "an object: {\"inputs\":[{\"name\":…,\"shape\":[rows,features],\"datatype\":\"FP32\",\"data\":[…]}]}";

impl Reader {
    pub(super) fn reset(&mut self) {
        self.id = None;
        self.lead_id = None;
        self.inputs.clear();
        self.outputs.clear();
        self.are_outputs_binary = false;
        self.values.clear();
        self.texts.clear();
        self.stage = Stage::Start;
        self.at = 0;
    }

    pub(super) fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Reads on, for about so many bytes; none while there is more.
    pub(super) fn read(&mut self, text: &[u8], bytes: usize) -> Option<Result<(), RowsError>> {
        let until = self.at.saturating_add(bytes);
        let mut cursor = Cursor::new(text, self.at, true);
        while self.stage != Stage::Done {
            let stepped = match self.stage {
                Stage::Start => cursor.take(b'{', OBJECT).map(|()| {
                    self.firsts[0] = true;
                    self.stage = Stage::Top;
                }),
                Stage::Top => self.top(&mut cursor, text),
                Stage::Inputs => self.inputs(&mut cursor),
                Stage::Input => self.input(&mut cursor, text),
                Stage::Data => self.data(&mut cursor, until),
                Stage::Done => Ok(()),
            };
            self.at = cursor.at();
            if let Err(error) = stepped {
                return Some(Err(error.into()));
            }
            if self.at >= until && self.stage != Stage::Done {
                return None;
            }
        }
        Some(cursor.end().map_err(RowsError::from))
    }

    fn top(&mut self, cursor: &mut Cursor<'_>, text: &[u8]) -> Result<(), JsonError> {
        let Some(key) = cursor.member(&mut self.firsts[0])? else {
            self.stage = Stage::Done;
            return Ok(());
        };
        match key.raw(text) {
            b"id" => self.id = string(cursor)?,
            b"inputs" => {
                cursor.take(b'[', "a list of inputs")?;
                self.firsts[1] = true;
                self.stage = Stage::Inputs;
            }
            b"outputs" => self.outputs(cursor, text)?,
            b"parameters" => {
                let (lead_id, binary) = (&mut self.lead_id, &mut self.are_outputs_binary);
                parameters(cursor, text, |key, value| match (key, value) {
                    (b"lead_id", Scalar::Text(span)) => *lead_id = Some(span),
                    (b"binary_data_output", Scalar::Boolean(flag)) => *binary = flag,
                    _ => {}
                })?;
            }
            _ => cursor.skip()?,
        }
        Ok(())
    }

    fn inputs(&mut self, cursor: &mut Cursor<'_>) -> Result<(), JsonError> {
        if !cursor.element(&mut self.firsts[1])? {
            self.stage = Stage::Top;
            return Ok(());
        }
        cursor.take(b'{', "an input: an object")?;
        self.inputs.push(Input::default());
        self.firsts[2] = true;
        self.stage = Stage::Input;
        Ok(())
    }

    fn input(&mut self, cursor: &mut Cursor<'_>, text: &[u8]) -> Result<(), JsonError> {
        let Some(key) = cursor.member(&mut self.firsts[2])? else {
            self.stage = Stage::Inputs;
            return Ok(());
        };
        let Some(input) = self.inputs.last_mut() else {
            return Ok(());
        };
        match key.raw(text) {
            b"name" => input.name = string(cursor)?,
            b"datatype" => {
                const WANTED: &str =
                    "a datatype: BOOL, INT8 to INT64, UINT8 to UINT64, FP16, BF16, FP32, FP64 or BYTES";
                let wrong = cursor.wrong(WANTED);
                let name = cursor.string().map_err(|_| wrong)?;
                input.datatype = Some(Datatype::of(name.raw(text)).ok_or(wrong)?);
            }
            b"shape" => input.shape = Some(shape(cursor)?),
            b"parameters" => parameters(cursor, text, |key, value| {
                if let (b"binary_data_size", Scalar::Number(bytes)) = (key, value) {
                    input.binary_bytes = count(bytes);
                }
            })?,
            b"data" => {
                let wrong = cursor.wrong("the data of an input once");
                cursor.take(b'[', "a list of values")?;
                if input.data.is_some() {
                    return Err(wrong);
                }
                input.data = Some(self.values.len()..self.values.len());
                self.lists = 1;
                self.before = Before::Open;
                self.stage = Stage::Data;
            }
            _ => cursor.skip()?,
        }
        Ok(())
    }

    /// Values of a tensor, until its end or until about this byte.
    fn data(&mut self, cursor: &mut Cursor<'_>, until: usize) -> Result<(), JsonError> {
        let mut found = 0;
        while self.lists > 0 && cursor.at() < until {
            match (cursor.peek(), self.before) {
                (Some(b','), Before::Value) => {
                    cursor.step();
                    self.before = Before::Comma;
                }
                (Some(b']'), Before::Open | Before::Value) => {
                    cursor.step();
                    self.lists -= 1;
                    self.before = Before::Value;
                }
                (_, Before::Value) => return Err(cursor.wrong("a comma or the end of a list")),
                (Some(b'['), _) => {
                    if self.lists == LISTS_MAX {
                        return Err(cursor.wrong("less nesting"));
                    }
                    cursor.step();
                    self.lists += 1;
                    self.before = Before::Open;
                }
                _ => {
                    let (kind, value) = match cursor.scalar()? {
                        Scalar::Number(number) => (kinds::NUMBER, number),
                        Scalar::Null => (0, f64::NAN),
                        Scalar::Boolean(flag) => (kinds::BOOLEAN, f64::from(u8::from(flag))),
                        Scalar::Text(span) => {
                            self.texts.push(span);
                            (kinds::TEXT, place(self.texts.len() - 1))
                        }
                    };
                    found |= kind;
                    self.values.push(value);
                    self.before = Before::Value;
                }
            }
        }
        if let Some(input) = self.inputs.last_mut() {
            input.kinds |= found;
            if let Some(data) = &mut input.data {
                data.end = self.values.len();
            }
        }
        if self.lists == 0 {
            self.stage = Stage::Input;
        }
        Ok(())
    }

    fn outputs(&mut self, cursor: &mut Cursor<'_>, text: &[u8]) -> Result<(), JsonError> {
        if cursor.peek() == Some(b'n') {
            return cursor.skip();
        }
        cursor.take(b'[', "a list of outputs")?;
        let mut is_first = true;
        while cursor.element(&mut is_first)? {
            cursor.take(b'{', "an output: an object with a name")?;
            let (mut is_first, mut name, mut is_binary) = (true, None, None);
            while let Some(key) = cursor.member(&mut is_first)? {
                match key.raw(text) {
                    b"name" => name = string(cursor)?,
                    b"parameters" => parameters(cursor, text, |key, value| {
                        if let (b"binary_data", Scalar::Boolean(flag)) = (key, value) {
                            is_binary = Some(flag);
                        }
                    })?,
                    _ => cursor.skip()?,
                }
            }
            let name = name.ok_or(cursor.wrong("the name of an output"))?;
            self.outputs.push(WantedOutput { name, is_binary });
        }
        Ok(())
    }
}

/// A string; none for null.
fn string(cursor: &mut Cursor<'_>) -> Result<Option<Span>, JsonError> {
    if cursor.peek() == Some(b'n') {
        cursor.skip()?;
        return Ok(None);
    }
    cursor.string().map(Some)
}

/// Hands on the plain values of an object; null is an empty one.
fn parameters(cursor: &mut Cursor<'_>, text: &[u8], mut take: impl FnMut(&[u8], Scalar)) -> Result<(), JsonError> {
    if cursor.peek() == Some(b'n') {
        return cursor.skip();
    }
    cursor.take(b'{', "an object of parameters")?;
    let mut is_first = true;
    while let Some(key) = cursor.member(&mut is_first)? {
        match cursor.peek() {
            Some(b'{' | b'[') => cursor.skip()?,
            _ => take(key.raw(text), cursor.scalar()?),
        }
    }
    Ok(())
}

fn shape(cursor: &mut Cursor<'_>) -> Result<Shape, JsonError> {
    const WANTED: &str = "a shape: a list of whole numbers from 0 on";
    let wrong = cursor.wrong(WANTED);
    cursor.take(b'[', WANTED)?;
    let (mut is_first, mut shape) = (true, Shape::of(&[]));
    while cursor.element(&mut is_first)? {
        let Scalar::Number(number) = cursor.scalar()? else {
            return Err(wrong);
        };
        shape.add(count(number).ok_or(wrong)?);
    }
    Ok(shape)
}

impl Shape {
    /// Of dimensions, the rows first.
    pub(super) fn of(dimensions: &[usize]) -> Self {
        let mut shape = Self {
            rows: 1,
            columns: 1,
            dimensions: 0,
        };
        for &dimension in dimensions {
            shape.add(dimension);
        }
        shape
    }

    fn add(&mut self, dimension: usize) {
        match self.dimensions {
            0 => self.rows = dimension,
            _ => self.columns = self.columns.saturating_mul(dimension),
        }
        self.dimensions += 1;
    }
}

/// A whole number from 0 on that a double holds exactly.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be a whole number in between"
)]
fn count(number: f64) -> Option<usize> {
    let is_count = (0.0..9e15).contains(&number) && number.trunc() >= number;
    is_count.then_some(number as usize)
}

/// A place in a list, as a double.
#[expect(clippy::cast_precision_loss, reason = "a body has far fewer texts than 2^53")]
fn place(index: usize) -> f64 {
    index as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, bytes: usize) -> Result<Reader, RowsError> {
        let mut reader = Reader::default();
        reader.reset();
        loop {
            match reader.read(text.as_bytes(), bytes) {
                None => {}
                Some(Ok(())) => return Ok(reader),
                Some(Err(error)) => return Err(error),
            }
        }
    }

    const BODY: &str = r#" {"id":"a\u00e4","parameters":{"binary_data_output":true,"x":{"y":[1]}},"model_name":"m",
        "inputs":[{"data":[[1,2.5],[null,NaN]],"name":"x","datatype":"FP32","shape":[2,2]},
        {"name":"c","shape":[2],"datatype":"BYTES","data":["a","b"],"parameters":null}],
        "outputs":[{"name":"predict","parameters":{"binary_data":false}},{"name":"margin"}]} "#;

    #[test]
    fn slices_of_any_size_read_the_same() {
        for bytes in [1, 2, 7, 100_000] {
            let reader = read(BODY, bytes).expect("a request");
            assert_eq!(reader.id.and_then(|id| id.text(BODY.as_bytes())).as_deref(), Some("aä"));
            assert!(reader.are_outputs_binary);
            let values: Vec<_> = reader.values.iter().map(|value| format!("{value}")).collect();
            assert_eq!(values, ["1", "2.5", "NaN", "NaN", "0", "1"]);
            let [x, c] = &reader.inputs[..] else {
                panic!("two inputs")
            };
            assert_eq!(
                (x.data.clone(), x.kinds, x.shape),
                (Some(0..4), kinds::NUMBER, Some(Shape::of(&[2, 2])))
            );
            assert_eq!((c.data.clone(), c.kinds), (Some(4..6), kinds::TEXT));
            assert_eq!(
                reader.outputs.iter().map(|output| output.is_binary).collect::<Vec<_>>(),
                [Some(false), None]
            );
        }
    }

    #[test]
    fn whatever_is_cut_or_changed_is_no_request_or_another() {
        for end in 0..BODY.trim_end().len() {
            if BODY.is_char_boundary(end) {
                assert!(read(&BODY[..end], 64).is_err(), "cut at {end}");
            }
        }
        for wrong in [
            "[]",
            r#"{"inputs":{}}"#,
            r#"{"inputs":[1]}"#,
            r#"{"inputs":[{"data":[1,]}]}"#,
            r#"{"inputs":[{"data":[1 2]}]}"#,
            r#"{"inputs":[{"data":[[1]}]}"#,
            r#"{"inputs":[{"data":1}]}"#,
            r#"{"inputs":[{"data":[1],"data":[2]}]}"#,
            r#"{"inputs":[{"data":[{}]}]}"#,
            r#"{"inputs":[{"shape":[-1]}]}"#,
            r#"{"inputs":[{"shape":[1.5]}]}"#,
            r#"{"inputs":[{"datatype":"FP8"}]}"#,
            r#"{"outputs":[{}]}"#,
            r#"{"inputs":[{"data":[[[[[[[[[1]]]]]]]]]}]}"#,
        ] {
            assert!(read(wrong, 64).is_err(), "{wrong}");
        }
    }
}
