//! The faults of a request, as values that borrow and allocate nothing. `render` makes their texts.

use arrayvec::{ArrayString, ArrayVec};
use quintile_model::Violation;

use crate::limits::{ECHO_BYTES_MAX, FAULTS_MAX};

/// The faults of one body: the first of them, and how many there are.
#[derive(Debug, Default)]
pub struct Faults {
    list: ArrayVec<Fault, FAULTS_MAX>,
    total: usize,
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub place: FaultPlace,
    /// What.
    pub kind: FaultKind,
}

/// Where in a body a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultPlace {
    /// The body itself.
    Body,
    /// `lead_id`.
    LeadId,
    /// `features`.
    Features,
    /// `leads` of a batch.
    Leads,
    /// `explain`.
    Explain,
    /// `direction`.
    Direction,
    /// A feature of the model, by its column.
    Feature(usize),
    /// A key beside `lead_id` and `features`.
    UnknownField(Echo),
    /// A key beside a batch's `leads`.
    UnknownBatchField(Echo),
    /// A key among the features that the model does not have.
    UnknownFeature(Echo),
}

/// What a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// A value of another type than the place takes.
    WrongType {
        /// Its type.
        found: JsonType,
    },
    /// A string that is no category of a feature, whose library gives no prediction for it.
    UnknownCategory,
    /// A number that the model's input type cannot hold.
    OutOfRange,
    /// A number outside of the range that the manifest states.
    BeyondLimits,
    /// A number that is not of the form that the manifest states: not whole, not 0 or 1, or no category's code.
    WrongForm,
    /// A key that was there before.
    Duplicate,
    /// A key that is required and not there, or a required feature that is null.
    Missing,
    /// A key that means nothing.
    Unknown,
    /// A string of no bytes.
    Empty,
    /// A string of too many bytes.
    TooLong {
        /// How many it has.
        bytes: usize,
    },
}

/// The types of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonType {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// The start of an unknown key, never more than [`ECHO_BYTES_MAX`] bytes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo {
    text: ArrayString<ECHO_BYTES_MAX>,
    bytes: usize,
}

impl Faults {
    /// Those that are kept, in the order of the body, with what is missing last.
    #[must_use]
    pub fn list(&self) -> &[Fault] {
        &self.list
    }

    /// How many there are, kept or not.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }

    /// Adds one. Takes a function so that a fault which only counts costs no copy of a key.
    #[cold]
    pub(super) fn push(&mut self, fault: impl FnOnce() -> Fault) {
        self.total += 1;
        if !self.list.is_full() {
            self.list.push(fault());
        }
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.total = 0;
    }
}

impl Fault {
    /// The code that programs look at.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.kind {
            FaultKind::WrongType { .. } => "wrong_type",
            FaultKind::UnknownCategory => "unknown_category",
            FaultKind::OutOfRange | FaultKind::BeyondLimits => "out_of_range",
            FaultKind::WrongForm => "wrong_form",
            FaultKind::Duplicate => "duplicate_key",
            FaultKind::Missing if matches!(self.place, FaultPlace::Feature(_)) => "missing_feature",
            FaultKind::Missing => "missing_field",
            FaultKind::Unknown if matches!(self.place, FaultPlace::UnknownFeature(_)) => "unknown_feature",
            FaultKind::Unknown => "unknown_field",
            FaultKind::Empty => "empty",
            FaultKind::TooLong { .. } => "too_long",
        }
    }
}

impl FaultKind {
    /// What a broken rule of the manifest is, for a feature with named categories or one without.
    pub fn of(violation: Violation, has_names: bool) -> Self {
        match violation {
            Violation::Form if has_names => Self::UnknownCategory,
            Violation::Required => Self::Missing,
            Violation::Range => Self::BeyondLimits,
            Violation::Form => Self::WrongForm,
        }
    }
}

impl JsonType {
    /// The type with its article, for sentences.
    #[must_use]
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

impl Echo {
    /// As much of a key as an error repeats.
    #[must_use]
    pub fn new(key: &str) -> Self {
        let mut end = key.len().min(ECHO_BYTES_MAX);
        while !key.is_char_boundary(end) {
            end -= 1;
        }
        let mut text = ArrayString::new();
        // Fits, because `end` is at most its capacity.
        let _ = text.try_push_str(&key[..end]);
        Self { text, bytes: key.len() }
    }

    /// What is repeated of the key.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The length of the whole key, if it is longer than [`Self::text`].
    #[must_use]
    pub fn cut_from(&self) -> Option<usize> {
        (self.bytes > self.text.len()).then_some(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_cut_between_characters() {
        let key = "é".repeat(40);
        let echo = Echo::new(&format!("x{key}"));
        assert_eq!(echo.text().len(), 63);
        assert_eq!(echo.cut_from(), Some(81));
        assert_eq!(Echo::new(&"x".repeat(64)).cut_from(), None);
        assert_eq!(Echo::new("").text(), "");
    }

    #[test]
    fn counting_goes_on_when_the_list_is_full() {
        let mut faults = Faults::default();
        for _ in 0..1000 {
            faults.push(|| Fault {
                place: FaultPlace::Body,
                kind: FaultKind::Missing,
            });
        }
        assert_eq!((faults.list().len(), faults.total()), (FAULTS_MAX, 1000));
        faults.clear();
        assert_eq!((faults.list().len(), faults.total()), (0, 0));
    }
}
