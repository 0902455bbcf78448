//! A thread's memory for the reasons of a model, and those of its last row as JSON.

use bytes::BufMut;
use quintile_model::{ExplainScratch, Explainer};

use super::request::{Direction, ReasonsRequest};
use super::units::Unit;
use crate::limits::REASONS_MAX;
use crate::loaded::LoadedModel;
use crate::render;

/// Bytes that are made ready for reasons. More are taken where a model has long names and a request wants many.
const LIST_BYTES_READY: usize = 64 << 10;

/// Bytes of everything that an explained answer has beside its list of reasons.
const EXPLAINED_BYTES_MAX: usize = 128;

/// A thread's memory for the reasons of a model, and those of its last row.
#[derive(Debug)]
pub struct ReasonsWorkspace {
    model_number: u32,
    scratch: ExplainScratch,
    /// What each unit adds to the margin.
    amounts: Vec<f64>,
    /// Units by what they add, the most first.
    order: Vec<u32>,
    output: usize,
    /// `[{…},{…}]`
    list: Vec<u8>,
    /// Where in it each reason ends.
    ends: Vec<usize>,
    /// The list without its last reasons, where it is too long for a record.
    shortened: Vec<u8>,
}

impl ReasonsWorkspace {
    /// Memory for a model.
    #[must_use]
    pub fn new(loaded: &LoadedModel, explainer: &Explainer) -> Self {
        let units = loaded.reason_units.all().len();
        let reasons = units.min(usize::from(REASONS_MAX));
        let bytes = loaded.reason_units.bytes_max(REASONS_MAX).min(LIST_BYTES_READY);
        Self {
            model_number: loaded.model_number,
            scratch: explainer.scratch(),
            amounts: Vec::with_capacity(units),
            order: Vec::with_capacity(units),
            output: loaded.model.probability_output().unwrap_or(0),
            list: Vec::with_capacity(bytes),
            ends: Vec::with_capacity(reasons),
            shortened: Vec::new(),
        }
    }

    /// Whether it was made for this model.
    #[must_use]
    pub fn fits(&self, loaded: &LoadedModel) -> bool {
        self.model_number == loaded.model_number
    }

    /// Finds the reasons of a row, and writes them down.
    pub fn explain(&mut self, loaded: &LoadedModel, explainer: &Explainer, row: &[f64], request: ReasonsRequest) {
        self.find(loaded, explainer, row, request);
        self.list.clear();
        self.ends.clear();
        self.list.push(b'[');
        for (number, &unit) in self.order.iter().enumerate() {
            if number > 0 {
                self.list.push(b',');
            }
            let amount = self.amounts[unit as usize];
            loaded.reason_units.all()[unit as usize].write(&mut self.list, loaded, row, amount);
            self.ends.push(self.list.len());
        }
        self.list.push(b']');
    }

    fn find(&mut self, loaded: &LoadedModel, explainer: &Explainer, row: &[f64], request: ReasonsRequest) {
        explainer.explain_row(row, &mut self.scratch);
        let values = self.scratch.contributions(self.output);
        let schema = loaded.model.schema();
        let amount = |unit: &Unit| -> f64 {
            let columns = unit.columns(schema);
            columns.as_slice().iter().map(|&column| values[column]).sum()
        };
        self.amounts.clear();
        self.amounts.extend(loaded.reason_units.all().iter().map(amount));
        let amounts = &self.amounts;
        let is_reason = |&unit: &u32| {
            let value = amounts[unit as usize];
            // Zero moves nothing; a NaN of a linear model says nothing.
            value.abs() > 0.0 && request.direction.is_none_or(|wanted| wanted == Direction::of(value))
        };
        let size = |unit: u32| amounts[unit as usize].abs();
        let most_first = |a: &u32, b: &u32| size(*b).total_cmp(&size(*a)).then(a.cmp(b));
        let count = usize::from(request.count);
        self.order.clear();
        self.order.extend((0u32..).take(amounts.len()).filter(is_reason));
        if count == 0 {
            self.order.clear();
        } else if count < self.order.len() {
            self.order.select_nth_unstable_by(count - 1, most_first);
            self.order.truncate(count);
        }
        self.order.sort_unstable_by(most_first);
    }

    /// The reasons of the last row: what each is of, and its contribution.
    pub fn reasons<'w>(&'w self, loaded: &'w LoadedModel) -> impl Iterator<Item = (Unit, f64)> + 'w {
        let units = loaded.reason_units.all();
        let reason = |&unit: &u32| (units[unit as usize], self.amounts[unit as usize]);
        self.order.iter().map(reason)
    }

    /// Which output is explained.
    #[must_use]
    pub fn output(&self) -> usize {
        self.output
    }

    /// The bias, and what all features add that are no reasons.
    #[must_use]
    pub fn bias_and_others(&self) -> (f64, f64) {
        let Some((&bias, values)) = self.scratch.contributions(self.output).split_last() else {
            return (0.0, 0.0);
        };
        let told: f64 = self.order.iter().map(|&unit| self.amounts[unit as usize]).sum();
        (bias, values.iter().sum::<f64>() - told)
    }

    /// Bytes that [`Self::write`] takes at most.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.list.len() + EXPLAINED_BYTES_MAX
    }

    /// Writes `,"reasons":[…],"explained":{…}`, the members that an explained answer has beside all others.
    pub fn write<B: BufMut>(&self, out: &mut B) {
        out.put_slice(b",\"reasons\":");
        out.put_slice(&self.list);
        let (bias, others) = self.bias_and_others();
        out.put_slice(b",\"explained\":{\"output\":");
        out.put_slice(itoa::Buffer::new().format(self.output).as_bytes());
        out.put_slice(b",\"bias\":");
        render::number(out, bias);
        out.put_slice(b",\"others\":");
        render::number(out, others);
        out.put_u8(b'}');
    }

    /// The reasons as JSON of at most so many bytes: those that weigh least are left out where all are too long.
    pub fn recorded(&mut self, bytes_max: usize) -> &str {
        let text = if self.list.len() <= bytes_max {
            &self.list
        } else {
            let fits = self.ends.iter().take_while(|&&end| end < bytes_max).last();
            self.shortened.clear();
            self.shortened
                .extend_from_slice(&self.list[..fits.copied().unwrap_or(1)]);
            self.shortened.push(b']');
            &self.shortened
        };
        std::str::from_utf8(text).unwrap_or("[]")
    }
}
