//! Values far outside what training saw: counted for every lead, listed where a client asks for them.

use quintile_scoring::changes::Found;
use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::loaded::unusual::{SLOTS, UnusualCounts, UnusualValues};
use quintile_scoring::reasons::ReasonsWish;
use quintile_scoring::render::unusual::UnusualFields;

use super::Scorer;

/// What a client wants of the answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestInfo<'a> {
    /// The request's id.
    pub(crate) id: &'a str,
    /// Whether the answer lists values far outside what training saw.
    pub(crate) lists_unusual: bool,
    /// What its query says of reasons, or its batch.
    pub(crate) reasons: ReasonsWish,
    /// What would bring the lead to the score that the query names, once that is found.
    pub(crate) target: Option<&'a Found>,
}

impl<'a> RequestInfo<'a> {
    pub(crate) fn new(id: &'a str, lists_unusual: bool) -> Self {
        Self {
            id,
            lists_unusual,
            reasons: ReasonsWish::default(),
            target: None,
        }
    }

    /// The same with reasons.
    pub(crate) fn with_reasons(self, reasons: ReasonsWish) -> Self {
        Self { reasons, ..self }
    }
}

/// Such values of the last row, and counts of those of the model that answers `POST /score`.
#[derive(Debug)]
pub(super) struct Unusual {
    found: UnusualValues,
    counts: UnusualCounts,
    /// Whose they are. Other models' values are listed and not counted: their features are others.
    model_number: u32,
}

impl Unusual {
    pub(super) fn of(loaded: &LoadedModel) -> Self {
        Self {
            found: UnusualValues::default(),
            counts: [0; SLOTS],
            model_number: loaded.model_number,
        }
    }

    /// Counts for another model from now on. What was counted since the last report goes with the model before.
    pub(super) fn serve(&mut self, loaded: &LoadedModel) {
        if self.model_number != loaded.model_number {
            self.counts = [0; SLOTS];
            self.model_number = loaded.model_number;
        }
    }

    /// Looks for such values in a row.
    #[inline]
    pub(super) fn look(&mut self, loaded: &LoadedModel, row: &[f64]) {
        self.found.clear();
        if let Some(features) = &loaded.unusual {
            let mut none = [0; SLOTS];
            let is_counted = loaded.model_number == self.model_number;
            let counts = if is_counted { &mut self.counts } else { &mut none };
            features.look(loaded.model.schema(), row, &mut self.found, counts);
        }
    }

    /// Those of the row that was looked at last, where they are asked for.
    pub(super) fn listed<'a>(&'a self, row: &'a [f64], request: RequestInfo<'_>) -> Option<UnusualFields<'a>> {
        let fields = UnusualFields {
            found: &self.found,
            row,
        };
        request.lists_unusual.then_some(fields)
    }
}

impl Scorer {
    /// How many values were far outside what training saw since this was last asked, and of which model they are.
    pub(in crate::shard) fn take_unusual(&mut self) -> (u32, UnusualCounts) {
        let counts = std::mem::replace(&mut self.unusual.counts, [0; SLOTS]);
        (self.unusual.model_number, counts)
    }
}
