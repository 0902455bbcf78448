//! A parsed body → the lead's id and its row, or all of its faults.
//!
//! Each key costs one look-up, whether it is known, unknown or a duplicate, so that no body takes more than linear
//! time; a category's name costs one search among the names of its feature. [`quintile_model::Schema::value`] says what
//! a value means, here and for every other source of rows.

mod batch;
mod flat;
mod wish;

use arrayvec::ArrayString;
use quintile_model::{Categories, Cell, FeatureKind, Form, Precision};
use simd_json::{Node, StaticNode};

use super::faults::{Echo, Fault, FaultKind, FaultPlace, Faults, JsonType};
use super::parser::Document;
use crate::limits::LEAD_ID_BYTES_MAX;
use crate::loaded::LoadedModel;
use crate::missing_texts::MissingTexts;
use crate::reasons::ReasonsWish;
pub(super) use wish::Members;

/// From here on a double rounds to an infinite `f32`: halfway between `f32::MAX` and 2^128.
const F32_END: f64 = 3.402_823_567_797_336_6e38;

/// From here on a double may stand for several integers.
const INTEGERS_END: f64 = 9_007_199_254_740_992.0;

/// What a request says, and what is wrong with it.
#[derive(Debug)]
pub(super) struct Lead {
    id: ArrayString<LEAD_ID_BYTES_MAX>,
    row: Vec<f64>,
    /// Columns that the body has named, a bit each.
    seen: Vec<u64>,
    faults: Faults,
    /// What it says of reasons.
    wish: ReasonsWish,
    /// The least magnitude that the model's input type cannot hold.
    range_end: f64,
    /// The column whose key followed each column's in the last body that was not as expected; in front, the first one.
    order: Vec<u32>,
    /// Whether it is a row of a file, whose booleans are numbers of any feature.
    is_row: bool,
    /// Texts that are missing values in such a row; none in a request.
    missing: MissingTexts,
    /// The text that is the first fault of such a row.
    refused_text: Option<String>,
}

impl Lead {
    pub(super) fn new(loaded: &LoadedModel) -> Self {
        let features = loaded.model.schema().len();
        Self {
            id: ArrayString::new(),
            row: vec![f64::NAN; features],
            seen: vec![0; features.div_ceil(64)],
            faults: Faults::default(),
            wish: ReasonsWish::default(),
            range_end: range_end(loaded.model.input_precision()),
            order: (0..).take(features + 1).collect(),
            is_row: false,
            missing: MissingTexts::default(),
            refused_text: None,
        }
    }

    /// Whether it was made for a model like this one.
    pub(super) fn fits(&self, loaded: &LoadedModel) -> bool {
        self.row.len() == loaded.model.schema().len()
            && self.range_end.to_bits() == range_end(loaded.model.input_precision()).to_bits()
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn row(&self) -> &[f64] {
        &self.row
    }

    pub(super) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Reads a document from its top. What was read before is gone.
    pub(super) fn take(&mut self, loaded: &LoadedModel, document: &Document<'_>) {
        self.reset();
        let mut seen = Members::default();
        if !self.take_members(loaded, document, &mut seen) {
            return self.wrong_type(FaultPlace::Body, document, 0);
        }
        self.require_members(seen);
    }

    /// Reads members of a lead, and remembers in `seen` whether id and features were among them. False for no object.
    pub(super) fn take_members(&mut self, loaded: &LoadedModel, document: &Document<'_>, seen: &mut Members) -> bool {
        let Some(Node::Object { count, .. }) = document.nodes.first() else {
            return false;
        };
        for (key, value) in entries(document.nodes, 1, *count) {
            match key {
                "lead_id" => {
                    self.once(&mut seen.id, FaultPlace::LeadId);
                    self.take_id(document, value);
                }
                "features" => {
                    self.begin_features(seen);
                    self.take_features(loaded, document, value);
                }
                _ if self.take_wish(document, (key, value), seen) => {}
                _ => self.faults.push(|| Fault {
                    place: FaultPlace::UnknownField(Echo::new(key)),
                    kind: FaultKind::Unknown,
                }),
            }
        }
        true
    }

    /// The features begin.
    pub(super) fn begin_features(&mut self, seen: &mut Members) {
        self.once(&mut seen.features, FaultPlace::Features);
    }

    /// Faults for id and features that the body does not name.
    pub(super) fn require_members(&mut self, members: Members) {
        for (seen, place) in [
            (members.id, FaultPlace::LeadId),
            (members.features, FaultPlace::Features),
        ] {
            if !seen {
                self.fault(place, FaultKind::Missing);
            }
        }
    }

    /// Forgets what was read before.
    pub(super) fn reset(&mut self) {
        self.id.clear();
        self.row.fill(f64::NAN);
        self.seen.fill(0);
        self.faults.clear();
        self.wish = ReasonsWish::default();
    }

    fn once(&mut self, seen: &mut bool, place: FaultPlace) {
        if *seen {
            self.fault(place, FaultKind::Duplicate);
        }
        *seen = true;
    }

    fn take_id(&mut self, document: &Document<'_>, value: usize) {
        match document.nodes.get(value) {
            Some(Node::String(id)) if !document.is_huge_number(id) => self.name(id),
            _ => self.wrong_type(FaultPlace::LeadId, document, value),
        }
    }

    /// Takes the lead's id.
    pub(super) fn name(&mut self, id: &str) {
        self.id.clear();
        if id.is_empty() {
            self.fault(FaultPlace::LeadId, FaultKind::Empty);
        } else if self.id.try_push_str(id).is_err() {
            self.fault(FaultPlace::LeadId, FaultKind::TooLong { bytes: id.len() });
        }
    }

    fn take_features(&mut self, loaded: &LoadedModel, document: &Document<'_>, value: usize) {
        if !self.take_feature_members(loaded, document, value, &mut 0) {
            return self.wrong_type(FaultPlace::Features, document, value);
        }
        self.require(loaded);
    }

    /// Reads members of the features; `guess` is the column that is expected next. False for no object.
    pub(super) fn take_feature_members(
        &mut self,
        loaded: &LoadedModel,
        document: &Document<'_>,
        value: usize,
        guess: &mut usize,
    ) -> bool {
        let Some(Node::Object { count, .. }) = document.nodes.get(value) else {
            return false;
        };
        for (name, value) in entries(document.nodes, value + 1, *count) {
            let Some(column) = loaded.columns.column_near(name, *guess) else {
                self.faults.push(|| Fault {
                    place: FaultPlace::UnknownFeature(Echo::new(name)),
                    kind: FaultKind::Unknown,
                });
                continue;
            };
            *guess = column + 1;
            if !self.see(column) {
                self.fault(FaultPlace::Feature(column), FaultKind::Duplicate);
            }
            self.take_value(loaded, document, value, column);
        }
        true
    }

    /// Faults for required features that the body does not name.
    pub(super) fn require(&mut self, loaded: &LoadedModel) {
        for (word, &required) in loaded.model.schema().required().iter().enumerate() {
            let mut absent = required & !self.seen.get(word).copied().unwrap_or(0);
            while absent != 0 {
                let column = word * 64 + absent.trailing_zeros() as usize;
                self.fault(FaultPlace::Feature(column), FaultKind::Missing);
                absent &= absent - 1;
            }
        }
    }

    /// Whether a column is named for the first time.
    #[inline]
    pub(super) fn see(&mut self, column: usize) -> bool {
        let (word, bit) = (column / 64, 1 << (column % 64));
        let is_first = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        is_first
    }

    fn take_value(&mut self, loaded: &LoadedModel, document: &Document<'_>, value: usize, column: usize) {
        let place = FaultPlace::Feature(column);
        let taken = match document.nodes.get(value) {
            Some(&Node::Static(StaticNode::Bool(flag))) => self.flag(loaded, column, flag),
            Some(&Node::Static(value)) if loaded.model.schema().has_numeric_names(column) => {
                self.named(loaded, column, cell(value));
                Some(())
            }
            Some(&Node::Static(value)) => {
                self.number(loaded, column, number(value).unwrap_or(f64::NAN));
                Some(())
            }
            Some(Node::String(text)) if document.is_huge_number(text) => {
                self.fault(place, FaultKind::OutOfRange);
                Some(())
            }
            Some(Node::String(text)) if self.is_row => return self.row_text(loaded, document, value, column, text),
            Some(Node::String(name)) => self.category(loaded, column, name),
            _ => None,
        };
        if taken.is_none() {
            self.wrong_type(place, document, value);
        }
    }

    /// Takes a feature's number, NaN for null.
    #[inline]
    pub(super) fn number(&mut self, loaded: &LoadedModel, column: usize, number: f64) {
        if number.abs() >= self.range_end {
            self.out_of_range(column);
        }
        self.store(loaded, column, number);
    }

    #[cold]
    fn out_of_range(&mut self, column: usize) {
        self.fault(FaultPlace::Feature(column), FaultKind::OutOfRange);
    }

    /// Takes a boolean; none for a feature of a request that has no use for one.
    pub(super) fn flag(&mut self, loaded: &LoadedModel, column: usize, flag: bool) -> Option<()> {
        let schema = loaded.model.schema();
        let categories = schema.categories(column);
        let is_boolean = schema.rule(column).form == Form::Binary || schema.kind(column) == FeatureKind::Boolean;
        if !(self.is_row || is_boolean || categories.is_some_and(Categories::has_booleans)) {
            return None;
        }
        match categories {
            Some(_) => self.named(loaded, column, Cell::Boolean(flag)),
            None => self.store(loaded, column, f64::from(flag)),
        }
        Some(())
    }

    /// Takes a category's name; none for a feature that has no names.
    pub(super) fn category(&mut self, loaded: &LoadedModel, column: usize, name: &str) -> Option<()> {
        loaded.model.schema().categories(column)?;
        self.named(loaded, column, Cell::Text(name));
        Some(())
    }

    /// Takes what names a category.
    fn named(&mut self, loaded: &LoadedModel, column: usize, cell: Cell<'_>) {
        let schema = loaded.model.schema();
        match (schema.value(column, cell), schema.rule(column).required) {
            (Ok(code), _) if !code.is_nan() => self.row[column] = code,
            (Ok(code), false) => self.row[column] = code,
            (Ok(_), true) if cell == Cell::Null => self.fault(FaultPlace::Feature(column), FaultKind::Missing),
            // A name that training never saw is missing for some libraries, and may not be where one is required.
            _ => self.fault(FaultPlace::Feature(column), FaultKind::UnknownCategory),
        }
    }

    /// Puts a number into the row, NaN for missing, as the name of a category or held to the manifest's rule.
    #[inline]
    fn store(&mut self, loaded: &LoadedModel, column: usize, number: f64) {
        self.row[column] = number;
        if loaded.model.schema().is_checked() {
            self.hold(loaded, column, number);
        }
    }

    /// Out of line, so that the reader's loop keeps its registers where there are no rules.
    #[inline(never)]
    fn hold(&mut self, loaded: &LoadedModel, column: usize, number: f64) {
        let schema = loaded.model.schema();
        if schema.has_numeric_names(column) && !number.is_nan() {
            if number.abs() >= INTEGERS_END {
                // An integer of the body may be another one than this double: the tape has it exactly.
                return self.fault(FaultPlace::Feature(column), FaultKind::UnknownCategory);
            }
            return self.named(loaded, column, Cell::Float(number));
        }
        if let Err(violation) = schema.check(column, number) {
            self.fault(
                FaultPlace::Feature(column),
                FaultKind::of(violation, schema.categories(column).is_some()),
            );
        }
    }

    /// The column whose key is expected after that of another one.
    #[inline]
    pub(super) fn after(&self, last: Option<usize>) -> usize {
        self.order[last.map_or(0, |column| column + 1)] as usize
    }

    /// Expects it there from now on.
    #[expect(clippy::cast_possible_truncation, reason = "FEATURES_MAX is far below 2^32")]
    pub(super) fn learn(&mut self, last: Option<usize>, column: usize) {
        self.order[last.map_or(0, |column| column + 1)] = column as u32;
    }

    #[cold]
    fn wrong_type(&mut self, place: FaultPlace, document: &Document<'_>, value: usize) {
        let found = match document.nodes.get(value) {
            Some(Node::String(text)) if document.is_huge_number(text) => JsonType::Number,
            Some(Node::String(_)) => JsonType::String,
            Some(Node::Object { .. }) => JsonType::Object,
            Some(Node::Array { .. }) => JsonType::Array,
            Some(Node::Static(StaticNode::Bool(_))) => JsonType::Bool,
            Some(Node::Static(StaticNode::Null)) | None => JsonType::Null,
            Some(Node::Static(_)) => JsonType::Number,
        };
        self.fault(place, FaultKind::WrongType { found });
    }

    #[cold]
    fn fault(&mut self, place: FaultPlace, kind: FaultKind) {
        self.faults.push(|| Fault { place, kind });
    }
}

/// The least magnitude that a model's input type cannot hold.
pub fn range_end(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => F32_END,
        // A parsed number is finite already.
        Precision::F64 => f64::INFINITY,
    }
}

/// The keys of an object with the index of each value. `first` is its first key, `count` all nodes in it.
fn entries<'a>(nodes: &'a [Node<'a>], first: usize, count: usize) -> impl Iterator<Item = (&'a str, usize)> {
    let end = first + count;
    let mut at = first;
    std::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let Some(Node::String(key)) = nodes.get(at) else {
            debug_assert!(false, "an object's keys are strings");
            return None;
        };
        let value = at + 1;
        at = value
            + match nodes.get(value) {
                Some(Node::Object { count, .. } | Node::Array { count, .. }) => count + 1,
                _ => 1,
            };
        Some((*key, value))
    })
}

/// A value as the schema takes it.
fn cell(value: StaticNode) -> Cell<'static> {
    match value {
        StaticNode::F64(number) => Cell::Float(number),
        StaticNode::U64(number) => Cell::Unsigned(number),
        StaticNode::I64(number) => Cell::Integer(number),
        StaticNode::Bool(flag) => Cell::Boolean(flag),
        StaticNode::Null => Cell::Null,
    }
}

/// The double that a number's text is nearest to, NaN for null, none for a boolean.
#[expect(
    clippy::cast_precision_loss,
    reason = "an integer becomes the nearest double, ties to even, as its text would"
)]
pub(super) fn number(value: StaticNode) -> Option<f64> {
    match value {
        StaticNode::F64(number) => Some(number),
        StaticNode::U64(number) => Some(number as f64),
        // Zero with a sign is the only signed zero that simd-json reads as an integer.
        StaticNode::I64(0) => Some(-0.0),
        StaticNode::I64(number) => Some(number as f64),
        StaticNode::Null => Some(f64::NAN),
        StaticNode::Bool(_) => None,
    }
}
