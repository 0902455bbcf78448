//! The reasons of a score: the features that move its margin most, with what each adds.
//!
//! A model's [`Explainer`] is made when it is first needed, by a thread that may take its time
//! ([`Explaining::prepare`]); until then nobody waits for it. Explaining a row and writing its reasons allocates
//! nothing once a thread's [`ReasonsWorkspace`] is there.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::BufMut;
use quintile_model::{ExplainScratch, Explainer, ExplainerError, KernelChoice, Model};

use crate::limits::REASONS_MAX;
use crate::loaded::LoadedModel;
use crate::render;

/// Which way a feature moves a margin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Up.
    Raises,
    /// Down.
    Lowers,
}

impl Direction {
    /// As requests and answers have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Raises => "raises",
            Self::Lowers => "lowers",
        }
    }

    fn of(contribution: f64) -> Self {
        if contribution > 0.0 { Self::Raises } else { Self::Lowers }
    }
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReasonsRequest {
    /// How many reasons at most; none at 0.
    pub count: u16,
    /// Those that move the margin one way alone; none for both.
    pub direction: Option<Direction>,
}

/// A query that asks for reasons in a way that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReasonsRequestError {
    /// The number.
    #[error("explain is how many reasons to give, a whole number from 0 to {REASONS_MAX}")]
    Count,
    /// The direction.
    #[error("direction keeps the reasons of one kind: raises or lowers")]
    Direction,
    /// A name.
    #[error("the query has a parameter that is not known; accepted: explain, direction, unusual")]
    Unknown,
}

impl ReasonsRequest {
    /// What a query says: `explain=4&direction=lowers`. `unusual` is read elsewhere.
    ///
    /// # Errors
    /// A number or a direction that is none, and a parameter that there is not.
    pub fn of_query(query: &str) -> Result<Self, ReasonsRequestError> {
        let mut request = Self::default();
        for parameter in query.split('&') {
            match parameter.split_once('=').unwrap_or((parameter, "")) {
                ("explain", count) => request.count = reasons(count)?,
                ("direction", "raises") => request.direction = Some(Direction::Raises),
                ("direction", "lowers") => request.direction = Some(Direction::Lowers),
                ("direction", _) => return Err(ReasonsRequestError::Direction),
                ("unusual" | "", _) => {}
                _ => return Err(ReasonsRequestError::Unknown),
            }
        }
        Ok(request)
    }

    /// Whether there is something to explain.
    #[must_use]
    pub fn asks(self) -> bool {
        self.count > 0
    }
}

fn reasons(count: &str) -> Result<u16, ReasonsRequestError> {
    let is_plain = count.bytes().all(|byte| byte.is_ascii_digit());
    let count = count.parse().ok().filter(|&count| is_plain && count <= REASONS_MAX);
    count.ok_or(ReasonsRequestError::Count)
}

/// What explains a model, once it is there.
#[derive(Debug, Default)]
pub struct Explaining {
    kernel: KernelChoice,
    is_claimed: AtomicBool,
    explainer: OnceLock<Result<Explainer, ExplainerError>>,
}

impl Explaining {
    /// Nothing yet.
    pub(crate) fn new(kernel: KernelChoice) -> Self {
        Self {
            kernel,
            ..Self::default()
        }
    }

    /// What explains the model, or why nothing does; none while it is not made.
    pub fn get(&self) -> Option<&Result<Explainer, ExplainerError>> {
        self.explainer.get()
    }

    /// Whether the caller is the first to ask, and so the one that has [`Self::prepare`] called.
    pub fn claim(&self) -> bool {
        !self.is_claimed.swap(true, Ordering::Relaxed)
    }

    /// Takes [`Self::claim`] back: it could not be made.
    pub fn disclaim(&self) {
        self.is_claimed.store(false, Ordering::Relaxed);
    }

    /// Makes it, which takes as long as loading a model.
    pub fn prepare(&self, model: &Model) -> &Result<Explainer, ExplainerError> {
        self.explainer.get_or_init(|| match model.explainer(self.kernel) {
            // A kernel that was asked for and does not explain on this CPU is no reason not to explain.
            Err(ExplainerError::Kernel(_)) => model.explainer(KernelChoice::Auto),
            made => made,
        })
    }
}

/// A thread's memory for the reasons of a model, and those of its last row.
#[derive(Debug)]
pub struct ReasonsWorkspace {
    model_number: u32,
    scratch: ExplainScratch,
    /// Columns by what they add, the most first.
    order: Vec<u32>,
    output: usize,
}

impl ReasonsWorkspace {
    /// Memory for a model.
    #[must_use]
    pub fn new(loaded: &LoadedModel, explainer: &Explainer) -> Self {
        Self {
            model_number: loaded.model_number,
            scratch: explainer.scratch(),
            order: Vec::with_capacity(loaded.model.schema().len()),
            output: loaded.model.probability_output().unwrap_or(0),
        }
    }

    /// Whether it was made for this model.
    #[must_use]
    pub fn fits(&self, loaded: &LoadedModel) -> bool {
        self.model_number == loaded.model_number
    }

    /// Finds the reasons of a row.
    pub fn explain(&mut self, explainer: &Explainer, row: &[f64], request: ReasonsRequest) {
        explainer.explain_row(row, &mut self.scratch);
        let values = self.scratch.contributions(self.output);
        let columns = values.len().saturating_sub(1);
        let is_reason = |&column: &u32| {
            let value = values[column as usize];
            // Zero moves nothing; a NaN of a linear model says nothing.
            value.abs() > 0.0 && request.direction.is_none_or(|wanted| wanted == Direction::of(value))
        };
        self.order.clear();
        self.order.extend((0u32..).take(columns).filter(is_reason));
        let size = |column: u32| values[column as usize].abs();
        self.order
            .sort_unstable_by(|&a, &b| size(b).total_cmp(&size(a)).then(a.cmp(&b)));
        self.order.truncate(usize::from(request.count));
    }

    /// The reasons of the last row: column and contribution.
    pub fn reasons(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        let values = self.scratch.contributions(self.output);
        self.order
            .iter()
            .map(|&column| (column as usize, values[column as usize]))
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
        let told: f64 = self.reasons().map(|(_, contribution)| contribution).sum();
        (bias, values.iter().sum::<f64>() - told)
    }

    /// Writes `,"reasons":[…],"explained":{…}`, the members that an explained answer has beside all others.
    pub fn write<B: BufMut>(&self, out: &mut B, loaded: &LoadedModel, row: &[f64]) {
        out.put_slice(b",\"reasons\":[");
        for (number, (column, contribution)) in self.reasons().enumerate() {
            if number > 0 {
                out.put_u8(b',');
            }
            write_reason(
                out,
                loaded,
                column,
                row.get(column).copied().unwrap_or(f64::NAN),
                contribution,
            );
        }
        let (bias, others) = self.bias_and_others();
        out.put_slice(b"],\"explained\":{\"output\":");
        out.put_slice(itoa::Buffer::new().format(self.output).as_bytes());
        out.put_slice(b",\"bias\":");
        render::number(out, bias);
        out.put_slice(b",\"others\":");
        render::number(out, others);
        out.put_u8(b'}');
    }
}

fn write_reason<B: BufMut>(out: &mut B, loaded: &LoadedModel, column: usize, value: f64, contribution: f64) {
    let schema = loaded.model.schema();
    let name = schema.name(column);
    out.put_slice(b"{\"feature\":");
    render::string(out, name);
    if let Some(label) = schema.label(column) {
        out.put_slice(b",\"label\":");
        render::string(out, label);
    }
    out.put_slice(b",\"value\":");
    match category(loaded, column, value) {
        Some(category) => render::string(out, category),
        None => render::number(out, value),
    }
    out.put_slice(b",\"contribution\":");
    render::number(out, contribution);
    out.put_slice(b",\"direction\":\"");
    out.put_slice(Direction::of(contribution).name().as_bytes());
    out.put_slice(b"\",\"text\":");
    render::string(out, schema.label(column).unwrap_or(name));
    out.put_u8(b'}');
}

/// The name of a value that is a category's code.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "codes that were read from names are small whole numbers, and others find no name"
)]
#[must_use]
pub fn category(loaded: &LoadedModel, column: usize, value: f64) -> Option<&str> {
    let categories = loaded.model.schema().categories(column)?;
    let code = (value >= 0.0).then_some(value as usize)?;
    categories.names().get(code).map(String::as_str)
}

/// Bytes that reasons take in an answer at most.
#[must_use]
pub fn bytes_max(loaded: &LoadedModel, request: ReasonsRequest) -> usize {
    let count = usize::from(request.count).min(loaded.model.schema().len());
    128 + count * loaded.reason_bytes_max
}

/// Bytes of a model's longest reason.
pub(crate) fn reason_bytes_max(model: &Model) -> usize {
    let schema = model.schema();
    let bytes = |column: usize| {
        let categories = schema.categories(column);
        let names = categories.map_or(0, |categories| {
            categories.names().iter().map(String::len).max().unwrap_or(0)
        });
        schema.name(column).len() + 2 * schema.label(column).unwrap_or(schema.name(column)).len() + names
    };
    let longest = (0..schema.len()).map(bytes).max().unwrap_or(0);
    render::ESCAPE_BYTES_MAX * longest + 2 * render::NUMBER_BYTES_MAX + 128
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPLAIN_ALL: ReasonsRequest = ReasonsRequest {
        count: REASONS_MAX,
        direction: None,
    };

    fn demo() -> LoadedModel {
        LoadedModel::demo_with("[features.f2]\nlabel = \"Visits in the last 7 days\"\n")
    }

    fn written(loaded: &LoadedModel, row: &[f64], request: ReasonsRequest) -> serde_json::Value {
        let explainer = loaded.explaining.prepare(&loaded.model).as_ref().unwrap();
        let mut workspace = ReasonsWorkspace::new(loaded, explainer);
        workspace.explain(explainer, row, request);
        let mut out = b"{\"is\":1".to_vec();
        workspace.write(&mut out, loaded, row);
        assert!(out.len() <= bytes_max(loaded, request) + 7);
        out.push(b'}');
        serde_json::from_slice(&out).unwrap()
    }

    fn row(loaded: &LoadedModel) -> Vec<f64> {
        (0..loaded.model.schema().len())
            .map(|column| column as f64 / 3.0)
            .collect()
    }

    #[test]
    fn reasons_are_sorted_and_add_up_to_the_margin() {
        let loaded = demo();
        let row = row(&loaded);
        let mut scratch = loaded.model.scratch();
        loaded.model.score_row(&row, &mut scratch);
        let answer = written(&loaded, &row, EXPLAIN_ALL);
        let reasons = answer["reasons"].as_array().unwrap();
        let sizes: Vec<f64> = reasons
            .iter()
            .map(|reason| reason["contribution"].as_f64().unwrap())
            .collect();
        assert!(
            sizes.len() > 10 && sizes.windows(2).all(|pair| pair[0].abs() >= pair[1].abs()),
            "{sizes:?}"
        );
        let explained = &answer["explained"];
        let number = |key: &str| explained[key].as_f64().unwrap();
        let margin = scratch.margins()[0];
        let sum = sizes.iter().sum::<f64>() + number("bias") + number("others");
        assert!(
            (sum - margin).abs() < 1e-5 && number("others").abs() < 1e-12,
            "{sum} for {margin}"
        );
        assert_eq!(explained["output"], 0);
        for reason in reasons {
            let way = if reason["contribution"].as_f64().unwrap() > 0.0 {
                "raises"
            } else {
                "lowers"
            };
            assert_eq!(reason["direction"], way);
            let label = if reason["feature"] == "f2" {
                "Visits in the last 7 days"
            } else {
                reason["feature"].as_str().unwrap()
            };
            assert_eq!(reason["text"], label);
            assert_eq!(reason.get("label").is_some(), reason["feature"] == "f2");
        }
    }

    #[test]
    fn few_reasons_of_one_direction_leave_the_rest_to_others() {
        let loaded = demo();
        let row = row(&loaded);
        let all = written(&loaded, &row, EXPLAIN_ALL);
        let request = ReasonsRequest {
            count: 3,
            direction: Some(Direction::Lowers),
        };
        let few = written(&loaded, &row, request);
        let lowers = all["reasons"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|reason| reason["direction"] == "lowers");
        let expected: Vec<_> = lowers.take(3).cloned().collect();
        assert_eq!(few["reasons"], serde_json::Value::from(expected));
        let sum = |answer: &serde_json::Value| {
            let reasons = answer["reasons"].as_array().unwrap().iter();
            let told: f64 = reasons.map(|reason| reason["contribution"].as_f64().unwrap()).sum();
            told + answer["explained"]["others"].as_f64().unwrap()
        };
        assert!((sum(&all) - sum(&few)).abs() < 1e-9);
    }

    #[test]
    fn what_is_missing_is_null() {
        let loaded = demo();
        let answer = written(&loaded, &vec![f64::NAN; loaded.model.schema().len()], EXPLAIN_ALL);
        assert!(
            answer["reasons"]
                .as_array()
                .unwrap()
                .iter()
                .all(|reason| reason["value"].is_null())
        );
    }

    #[test]
    fn queries_are_taken_or_refused() {
        let of = ReasonsRequest::of_query;
        assert_eq!(of("").unwrap(), ReasonsRequest::default());
        assert_eq!(of("unusual=1&explain=4").unwrap().count, 4);
        assert_eq!(
            of("explain=4&direction=lowers").unwrap().direction,
            Some(Direction::Lowers)
        );
        assert!(!of("explain=0").unwrap().asks());
        for query in [
            "explain",
            "explain=",
            "explain=-1",
            "explain=+1",
            "explain=1001",
            "explain=1.5",
            "explain=all",
        ] {
            assert_eq!(of(query), Err(ReasonsRequestError::Count), "{query}");
        }
        assert_eq!(of("explain=4&direction=up"), Err(ReasonsRequestError::Direction));
        assert_eq!(of("explian=4"), Err(ReasonsRequestError::Unknown));
    }
}
