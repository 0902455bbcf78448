//! The document that JSON and UBJSON are both read into, and a cursor that knows its path.
//!
//! Arrays of one kind of number are packed at once: a tree's thresholds are a `Vec<f32>`, not a list of values. Other
//! values are charged to a [`Budget`], so that a file of tiny values cannot take many times its size in memory.

use std::fmt::Write as _;

use super::FormatError;
use crate::limits::document_values_max;

/// A value of a file. XGBoost's floats are `f32`, because its own readers round them to that at once; the numbers of
/// formats that keep 64 bits are doubles.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f32),
    Double(f64),
    Text(String),
    Bools(Vec<bool>),
    Bytes(Vec<u8>),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Doubles(Vec<f64>),
    List(Vec<Value>),
    Object(Object),
}

/// An object's fields in the order of their keys. A tree has twenty, and a file may hold a hundred thousand trees: a
/// map would take ten times their size.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Object {
    fields: Vec<(Box<str>, Value)>,
}

impl Object {
    /// Fields as the file has them, each with the place of its key.
    ///
    /// # Errors
    /// The place of a key that is there twice: its second one.
    pub(super) fn try_new(mut fields: Vec<(Box<str>, Value)>, places: &[usize]) -> Result<Self, usize> {
        let mut order: Vec<usize> = (0..fields.len()).collect();
        order.sort_by(|&a, &b| fields[a].0.cmp(&fields[b].0));
        if let Some(pair) = order.windows(2).find(|pair| fields[pair[0]].0 == fields[pair[1]].0) {
            return Err(places.get(pair[1]).copied().unwrap_or_default());
        }
        fields.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        fields.shrink_to_fit();
        Ok(Self { fields })
    }

    fn get(&self, key: &str) -> Option<&Value> {
        let place = self.fields.binary_search_by(|(known, _)| (**known).cmp(key)).ok()?;
        Some(&self.fields[place].1)
    }
}

impl Value {
    /// What it is, for "… is accepted, not …".
    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float(_) | Self::Double(_) => "a number",
            Self::Text(_) => "a string",
            Self::Bools(_) => "an array of booleans",
            Self::Bytes(_) | Self::Ints(_) => "an array of integers",
            Self::Floats(_) => "an array of numbers",
            Self::Doubles(_) => "64-bit floats",
            Self::List(list) if list.is_empty() => "an empty array",
            Self::List(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

/// How many unpacked values a document may still hold.
#[derive(Debug)]
pub(super) struct Budget {
    all: usize,
    left: usize,
}

impl Budget {
    /// For a file of this many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        let all = document_values_max(bytes);
        Self { all, left: all }
    }

    /// Pays for values.
    pub(super) fn take(&mut self, count: usize) -> Result<(), String> {
        match self.left.checked_sub(count) {
            Some(left) => self.left = left,
            None => {
                let all = self.all;
                return Err(format!(
                    "the file holds more than the {all} values accepted in one of its size"
                ));
            }
        }
        Ok(())
    }
}

/// An array while it is read: packed as long as its elements are of one kind.
#[derive(Debug)]
pub(super) struct ArrayBuilder {
    array: Value,
}

impl ArrayBuilder {
    pub(super) fn new() -> Self {
        Self {
            array: Value::List(Vec::new()),
        }
    }

    pub(super) fn push(&mut self, value: Value, budget: &mut Budget) -> Result<(), String> {
        match (&mut self.array, value) {
            (Value::Ints(ints), Value::Int(int)) => ints.push(int),
            (Value::Floats(floats), Value::Float(float)) => floats.push(float),
            (Value::Floats(floats), Value::Int(int)) => floats.push(to_f32(int)),
            (Value::Doubles(doubles), Value::Double(double)) => doubles.push(double),
            (Value::Doubles(doubles), Value::Int(int)) => doubles.push(int as f64),
            (Value::Bools(bools), Value::Bool(bool)) => bools.push(bool),
            (Value::Ints(ints), Value::Double(double)) => {
                let mut doubles: Vec<f64> = ints.iter().map(|&int| int as f64).collect();
                doubles.push(double);
                self.array = Value::Doubles(doubles);
            }
            (Value::Ints(ints), Value::Float(float)) => {
                let mut floats: Vec<f32> = ints.iter().map(|&int| to_f32(int)).collect();
                floats.push(float);
                self.array = Value::Floats(floats);
            }
            (Value::List(list), value) if list.is_empty() => match value {
                Value::Int(int) => self.array = Value::Ints(vec![int]),
                Value::Float(float) => self.array = Value::Floats(vec![float]),
                Value::Double(double) => self.array = Value::Doubles(vec![double]),
                Value::Bool(bool) => self.array = Value::Bools(vec![bool]),
                value => {
                    budget.take(1)?;
                    list.push(value);
                }
            },
            (Value::List(list), value) => {
                budget.take(1)?;
                list.push(value);
            }
            (_, value) => self.unpack(value, budget)?,
        }
        Ok(())
    }

    /// A packed array meets a value of another kind.
    fn unpack(&mut self, value: Value, budget: &mut Budget) -> Result<(), String> {
        let len = match &self.array {
            Value::Ints(ints) => ints.len(),
            Value::Floats(floats) => floats.len(),
            Value::Doubles(doubles) => doubles.len(),
            Value::Bools(bools) => bools.len(),
            _ => 0,
        };
        budget.take(len + 1)?;
        let mut list: Vec<Value> = match &self.array {
            Value::Ints(ints) => ints.iter().copied().map(Value::Int).collect(),
            Value::Floats(floats) => floats.iter().copied().map(Value::Float).collect(),
            Value::Doubles(doubles) => doubles.iter().copied().map(Value::Double).collect(),
            Value::Bools(bools) => bools.iter().copied().map(Value::Bool).collect(),
            _ => Vec::new(),
        };
        list.push(value);
        self.array = Value::List(list);
        Ok(())
    }

    pub(super) fn finish(mut self) -> Value {
        match &mut self.array {
            Value::Ints(ints) => ints.shrink_to_fit(),
            Value::Floats(floats) => floats.shrink_to_fit(),
            Value::Doubles(doubles) => doubles.shrink_to_fit(),
            Value::Bools(bools) => bools.shrink_to_fit(),
            Value::List(list) => list.shrink_to_fit(),
            _ => {}
        }
        self.array
    }
}

/// The nearest float, as parsing the integer's text as a float gives.
fn to_f32(int: i64) -> f32 {
    int as f32
}

/// A value and how one came to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    value: &'a Value,
    parent: Option<&'a Cursor<'a>>,
    step: ParseStep<'a>,
}

#[derive(Debug, Clone, Copy)]
enum ParseStep<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

impl<'a> Cursor<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self {
            value,
            parent: None,
            step: ParseStep::Root,
        }
    }

    /// The path from the root, as `learner.gradient_booster.model.trees[3]`.
    fn path(&self) -> String {
        let mut path = self.parent.map_or_else(String::new, Cursor::path);
        match self.step {
            ParseStep::Root => {}
            ParseStep::Key(key) if path.is_empty() => path.push_str(key),
            ParseStep::Key(key) => path.extend([".", key]),
            ParseStep::Index(index) => {
                let _ = write!(path, "[{index}]");
            }
        }
        path
    }

    pub(super) fn fault(&self, message: impl Into<String>) -> FormatError {
        let path = self.path();
        FormatError::Field {
            path: if path.is_empty() { "the file".into() } else { path },
            message: message.into(),
        }
    }

    /// A fault of one element of a packed array.
    pub(super) fn fault_at(&self, index: usize, message: impl Into<String>) -> FormatError {
        FormatError::Field {
            path: format!("{}[{index}]", self.path()),
            message: message.into(),
        }
    }

    fn wrong_kind(&self, accepted: &str) -> FormatError {
        self.fault(format!("{accepted} is accepted, not {}", self.value.kind()))
    }

    fn object(&self) -> Result<&'a Object, FormatError> {
        match self.value {
            Value::Object(object) => Ok(object),
            _ => Err(self.wrong_kind("an object")),
        }
    }

    pub(super) fn field(&'a self, key: &'a str) -> Result<Cursor<'a>, FormatError> {
        self.optional(key)?
            .ok_or_else(|| self.fault(format!("the field {key:?} is missing")))
    }

    /// The field, unless it is absent or null.
    pub(super) fn optional(&'a self, key: &'a str) -> Result<Option<Cursor<'a>>, FormatError> {
        let value = self.object()?.get(key).filter(|value| **value != Value::Null);
        Ok(value.map(|value| Cursor {
            value,
            parent: Some(self),
            step: ParseStep::Key(key),
        }))
    }

    /// The elements of an unpacked array; none of an empty one.
    pub(super) fn elements(&'a self) -> Result<impl ExactSizeIterator<Item = Cursor<'a>>, FormatError> {
        let Value::List(list) = self.value else {
            return Err(self.wrong_kind("an array of objects or strings"));
        };
        let element = |(index, value)| Cursor {
            value,
            parent: Some(self),
            step: ParseStep::Index(index),
        };
        Ok(list.iter().enumerate().map(element))
    }

    pub(super) fn text(&self) -> Result<&'a str, FormatError> {
        match self.value {
            Value::Text(text) => Ok(text),
            _ => Err(self.wrong_kind("a string")),
        }
    }

    /// A count, which XGBoost writes as a string of digits.
    pub(super) fn count(&self) -> Result<usize, FormatError> {
        let count = match self.value {
            Value::Text(text) => text.trim().parse().ok(),
            Value::Int(int) => usize::try_from(*int).ok(),
            _ => return Err(self.wrong_kind("a count")),
        };
        count.ok_or_else(|| match self.value {
            Value::Text(text) => self.fault(format!("a count is accepted, not {:?}", shortened(text))),
            Value::Int(int) => self.fault(format!("a count is accepted, not {int}")),
            _ => self.wrong_kind("a count"),
        })
    }

    pub(super) fn ints(&self) -> Result<Ints<'a>, FormatError> {
        match self.value {
            Value::Ints(ints) => Ok(Ints::Wide(ints)),
            Value::Bytes(bytes) => Ok(Ints::Bytes(bytes)),
            Value::List(list) if list.is_empty() => Ok(Ints::Wide(&[])),
            _ => Err(self.wrong_kind("an array of integers")),
        }
    }

    /// Numbers as `f32`; integers in a JSON array count as such.
    pub(super) fn floats(&self) -> Result<std::borrow::Cow<'a, [f32]>, FormatError> {
        match self.value {
            Value::Floats(floats) => Ok(floats.as_slice().into()),
            Value::Ints(ints) => Ok(ints.iter().map(|&int| to_f32(int)).collect::<Vec<_>>().into()),
            Value::List(list) if list.is_empty() => Ok(Vec::new().into()),
            Value::Float(float) => Ok(vec![*float].into()),
            Value::Int(int) => Ok(vec![to_f32(*int)].into()),
            _ => Err(self.wrong_kind("an array of 32-bit floats")),
        }
    }

    /// Numbers as `f64`, of a document whose numbers are; a single number counts as an array of one.
    pub(super) fn doubles(&self) -> Result<std::borrow::Cow<'a, [f64]>, FormatError> {
        match self.value {
            Value::Doubles(doubles) => Ok(doubles.as_slice().into()),
            Value::Ints(ints) => Ok(ints.iter().map(|&int| int as f64).collect::<Vec<_>>().into()),
            Value::List(list) if list.is_empty() => Ok(Vec::new().into()),
            Value::Double(double) => Ok(vec![*double].into()),
            Value::Int(int) => Ok(vec![*int as f64].into()),
            _ => Err(self.wrong_kind("an array of numbers")),
        }
    }

    /// Booleans, or integers that are 0 or 1.
    pub(super) fn bools(&self) -> Result<Vec<bool>, FormatError> {
        if let Value::Bools(bools) = self.value {
            return Ok(bools.clone());
        }
        let ints = self
            .ints()
            .map_err(|_| self.wrong_kind("an array of booleans, or of 0 and 1,"))?;
        let bool = |index| match ints.get(index) {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.fault_at(index, format!("a boolean, 0 or 1 is accepted, not {other}"))),
        };
        (0..ints.len()).map(bool).collect()
    }

    /// Whether it is an object or array without content.
    pub(super) fn is_empty(&self) -> bool {
        match self.value {
            Value::List(list) => list.is_empty(),
            Value::Object(object) => object.fields.is_empty(),
            _ => false,
        }
    }
}

/// Packed integers of either width.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ints<'a> {
    Wide(&'a [i64]),
    Bytes(&'a [u8]),
}

impl Ints<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Wide(ints) => ints.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// The element at an index below the length; 0 beyond.
    pub(super) fn get(&self, index: usize) -> i64 {
        match self {
            Self::Wide(ints) => ints.get(index).copied().unwrap_or_default(),
            Self::Bytes(bytes) => bytes.get(index).copied().map(i64::from).unwrap_or_default(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = i64> {
        (0..self.len()).map(|index| self.get(index))
    }
}

/// A text an error may repeat: its first 64 characters.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}
