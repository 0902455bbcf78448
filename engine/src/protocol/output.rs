//! What a request may ask for of its rows, under which names, and the values.

use quintile_model::{Model, Precision};
use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::loaded::manner::{PredictionManner, class_of};

use super::rows::Scored;
use super::tensor::Datatype;

/// What a tensor of an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    /// Predictions: `[R]`, or `[R, K]` of several outputs.
    Predictions,
    /// Probabilities of both classes, or of all: `[R, 2]`, `[R, K]`.
    Probabilities,
    /// The band, 1 to 5: `[R]`.
    Score,
    /// Predictions, as rows of one column at least: `[R, 1]`, `[R, K]`.
    Column,
    /// The class of each row: `[R, 1]`.
    Label,
    /// The same as a number, by a threshold, whose bits these are: `[R]`.
    Class(u32),
    /// Raw sums: `[R]`, `[R, M]`.
    Margin,
    /// Contributions of the features and the bias to the margin: `[R, F+1]`, `[R, M, F+1]`.
    Contributions,
}

/// Names of outputs, and what they mean. The first three are those of MLServer, Triton and KServe.
const NAMES: [(&str, OutputKind); 7] = [
    ("predict", OutputKind::Predictions),
    ("output__0", OutputKind::Predictions),
    ("output-0", OutputKind::Predictions),
    ("predict_proba", OutputKind::Probabilities),
    ("score", OutputKind::Score),
    ("margin", OutputKind::Margin),
    ("contributions", OutputKind::Contributions),
];

/// What is said of an output that no model has.
pub const UNKNOWN_OUTPUT: &str = "there is no output of this name; accepted are predict (also as output__0 and output-0), predict_proba, score, margin \
     and contributions";

/// An output that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output {
    /// Under which name.
    pub name: &'static str,
    /// What it is.
    pub kind: OutputKind,
    /// Whether its values come as bytes.
    pub is_binary: bool,
}

impl Output {
    /// What is answered to those who ask for nothing.
    #[must_use]
    pub fn usual(loaded: &LoadedModel) -> Self {
        let name = if loaded.folder == Some(TRITON) { 1 } else { 0 };
        Self {
            name: NAMES[name].0,
            kind: predictions(loaded),
            is_binary: false,
        }
    }

    /// The output of a name.
    ///
    /// # Errors
    /// In words, why this model has none.
    pub fn of(name: &str, loaded: &LoadedModel) -> Result<Self, &'static str> {
        let known = NAMES.iter().find(|(known, _)| *known == name);
        let &(name, kind) = known.ok_or(UNKNOWN_OUTPUT)?;
        match kind {
            OutputKind::Probabilities if !has_probabilities(&loaded.model) => {
                Err("this model predicts no probabilities of classes; ask for predict")
            }
            OutputKind::Score if loaded.model.bands().is_none() => {
                Err("this model has no scores from 1 to 5, because its manifest has no edges; ask for predict")
            }
            OutputKind::Predictions => Ok(Self {
                name,
                kind: predictions(loaded),
                is_binary: false,
            }),
            _ => Ok(Self {
                name,
                kind,
                is_binary: false,
            }),
        }
    }

    /// All outputs of a model that metadata lists.
    pub fn all(loaded: &LoadedModel) -> impl Iterator<Item = Self> + '_ {
        let is_alias = |name: &str| matches!(name, "output__0" | "output-0");
        let names = NAMES.iter().filter(move |(name, _)| !is_alias(name));
        names.filter_map(|(name, _)| Self::of(name, loaded).ok())
    }
}

/// Folders whose servers answer in a manner of their own.
const TRITON: &str = "Triton FIL folder";
const MLSERVER: &str = "MLServer folder";

/// What predictions are, as the server of the model's folder answers them.
fn predictions(loaded: &LoadedModel) -> OutputKind {
    let is_classifier = has_probabilities(&loaded.model);
    match (loaded.folder, loaded.manner) {
        (Some(TRITON), PredictionManner::Probabilities) if is_classifier => OutputKind::Probabilities,
        (Some(TRITON), PredictionManner::Class { threshold }) if is_classifier => {
            OutputKind::Class(threshold.to_bits())
        }
        (Some(MLSERVER), PredictionManner::Label) if is_classifier => OutputKind::Label,
        (Some(MLSERVER), PredictionManner::Label | PredictionManner::Column) => OutputKind::Column,
        _ => OutputKind::Predictions,
    }
}

/// Whether a model predicts probabilities of classes.
fn has_probabilities(model: &Model) -> bool {
    model.gives_probabilities()
}

/// Whether a prediction is the probability of one of two classes, so that the other's is 1 less it.
fn is_binary(model: &Model) -> bool {
    model.prediction_len() == 1
}

impl OutputKind {
    /// The datatype of its values.
    #[must_use]
    pub fn datatype(self, model: &Model) -> Datatype {
        match self {
            Self::Score | Self::Label => Datatype::Int64,
            Self::Contributions => Datatype::Fp64,
            Self::Class(_) => Datatype::Fp32,
            _ if model.precision() == Precision::F32 => Datatype::Fp32,
            _ => Datatype::Fp64,
        }
    }

    /// Its dimensions behind the rows; those that are 0 are not there.
    #[must_use]
    pub fn dimensions(self, model: &Model) -> [usize; 2] {
        let several = |count: usize| if count == 1 { 0 } else { count };
        match self {
            Self::Predictions => [several(model.prediction_len()), 0],
            Self::Probabilities if is_binary(model) => [2, 0],
            Self::Probabilities => [model.prediction_len(), 0],
            Self::Column => [model.prediction_len(), 0],
            Self::Label => [1, 0],
            Self::Score | Self::Class(_) => [0, 0],
            Self::Margin => [several(model.margin_len()), 0],
            Self::Contributions if model.margin_len() == 1 => [model.schema().len() + 1, 0],
            Self::Contributions => [model.margin_len(), model.schema().len() + 1],
        }
    }

    /// Values of a row.
    #[must_use]
    pub fn width(self, model: &Model) -> usize {
        self.dimensions(model)
            .iter()
            .map(|&dimension| dimension.max(1))
            .product()
    }

    /// One value of all rows'.
    #[inline]
    #[must_use]
    pub fn value(self, model: &Model, scored: &Scored, place: usize) -> f64 {
        let at = |values: &[f64], place: usize| values.get(place).copied().unwrap_or(f64::NAN);
        match self {
            Self::Predictions | Self::Column => at(&scored.predictions, place),
            Self::Label => class(model, scored, place, 0.5),
            Self::Class(threshold) => class(model, scored, place, f32::from_bits(threshold)),
            Self::Probabilities if is_binary(model) => {
                let probability = at(&scored.predictions, place / 2);
                if place % 2 == 1 {
                    probability
                } else {
                    complement(model, probability)
                }
            }
            Self::Probabilities => at(&scored.predictions, place),
            Self::Score => scored.bands.get(place).copied().map_or(0.0, f64::from),
            Self::Margin => at(&scored.margins, place),
            Self::Contributions => at(&scored.contributions, place),
        }
    }
}

/// The class of a row.
#[expect(clippy::cast_precision_loss, reason = "a class is far below 2^53")]
fn class(model: &Model, scored: &Scored, row: usize, threshold: f32) -> f64 {
    let width = model.prediction_len();
    let predictions = scored.predictions.get(row * width..(row + 1) * width);
    class_of(predictions.unwrap_or_default(), threshold) as f64
}

/// The probability of the other class, in the precision of the library that trained the model.
#[expect(clippy::cast_possible_truncation, reason = "it was widened")]
fn complement(model: &Model, probability: f64) -> f64 {
    match model.precision() {
        Precision::F32 => f64::from(1.0 - probability as f32),
        Precision::F64 => 1.0 - probability,
    }
}
