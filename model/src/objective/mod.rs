//! Base score → base margin and margin → prediction, exactly as each library computes them.
//!
//! `exp`, `log` and similar functions are the platform's libm, as in the libraries: with the same glibc both give the
//! same bits, elsewhere a prediction may differ by one unit in the last place.

mod catboost;
mod fast_exp;
mod lightgbm;
mod onnx;
mod transform;
mod treelite;

/// How a base score in prediction space becomes a margin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaseLink {
    /// It already is a margin.
    Identity,
    /// `-logf(1/b - 1)`, with b first clamped to [1e-6, 1 − 1e-6].
    Logit,
    /// `logf(b)`.
    Log,
}

pub use transform::Transform;

/// A training objective by name, with the two functions it defines.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    name: String,
    base_link: BaseLink,
    transform: Transform,
    known: bool,
    /// What margins are divided by on their way to predictions: a LightGBM forest's iterations.
    divisor: Option<f64>,
    /// How outputs hang together.
    groups: Groups,
    /// Whether the margins are shares of classes that sum to one, as a forest's averaged votes are.
    are_shares: bool,
}

/// Which outputs a transform takes together.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Groups {
    /// All of them.
    One,
    /// Treelite's targets: each has `stride` outputs, of which the first ones are its classes.
    Targets { stride: usize, classes: Vec<usize> },
}

/// Outputs up to which a forest's averages need no heap: classes of nearly every forest.
const AVERAGES_ON_STACK: usize = 64;

/// `kRtEps` of XGBoost, the distance a logistic base score keeps from 0 and 1.
const LOGISTIC_EPSILON: f32 = 1e-6;

impl Objective {
    /// The objective XGBoost registers under this name. An unknown name is a custom objective: margins are served as
    /// predictions and [`Self::is_known`] says so.
    #[must_use]
    pub fn xgboost(name: &str) -> Self {
        let (base_link, transform, known) = match name {
            "binary:logistic" | "reg:logistic" => (BaseLink::Logit, Transform::Sigmoid, true),
            "binary:hinge" => (BaseLink::Identity, Transform::Hinge, true),
            "count:poisson" | "reg:gamma" | "reg:tweedie" | "survival:cox" | "survival:aft" => {
                (BaseLink::Log, Transform::Exp, true)
            }
            "multi:softprob" => (BaseLink::Identity, Transform::Softmax, true),
            "multi:softmax" => (BaseLink::Identity, Transform::ArgMax, true),
            // `reg:expectileerror` (3.3 on) is the identity for one alpha; the reader refuses it with several.
            "binary:logitraw"
            | "reg:squarederror"
            | "reg:linear"
            | "reg:squaredlogerror"
            | "reg:pseudohubererror"
            | "reg:absoluteerror"
            | "reg:quantileerror"
            | "reg:expectileerror"
            | "rank:pairwise"
            | "rank:ndcg"
            | "rank:map" => (BaseLink::Identity, Transform::Identity, true),
            _ => (BaseLink::Identity, Transform::Identity, false),
        };
        Self {
            name: name.to_owned(),
            base_link,
            transform,
            known,
            divisor: None,
            groups: Groups::One,
            are_shares: false,
        }
    }

    /// The same objective of a model whose margins are known to be shares of classes.
    pub(crate) fn of_shares(mut self) -> Self {
        self.are_shares = self.transform == Transform::Identity;
        self
    }

    /// Whether predictions are shares of classes that sum to one, as a forest's averaged votes are.
    #[must_use]
    pub fn are_shares(&self) -> bool {
        self.are_shares
    }

    /// Between which numbers predictions lie, both included.
    #[must_use]
    pub fn prediction_range(&self, margin_len: usize) -> (f64, f64) {
        match self.transform {
            _ if self.gives_probabilities() => (0.0, 1.0),
            Transform::Hinge => (0.0, 1.0),
            Transform::Exp | Transform::FastExp | Transform::ExpRatio { .. } | Transform::LogOnePlusExp => {
                (0.0, f64::INFINITY)
            }
            Transform::ArgMax => (0.0, margin_len.saturating_sub(1) as f64),
            _ => (f64::NEG_INFINITY, f64::INFINITY),
        }
    }

    /// The library's name for it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is one of the library's own. If not, predictions are margins.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.known
    }

    /// How margins become predictions.
    #[must_use]
    pub fn transform(&self) -> Transform {
        self.transform
    }

    /// The margin of a base score. May be NaN or infinite when the score lies outside the objective's range.
    #[must_use]
    pub fn base_margin(&self, base_score: f32) -> f32 {
        match self.base_link {
            BaseLink::Identity => base_score,
            BaseLink::Log => base_score.ln(),
            // XGBoost refuses scores outside [0, 1] and clamps the ends since 2.1.
            BaseLink::Logit if !(0.0..=1.0).contains(&base_score) => f32::NAN,
            BaseLink::Logit => {
                let clamped = base_score.clamp(LOGISTIC_EPSILON, 1.0 - LOGISTIC_EPSILON);
                -(1.0 / clamped - 1.0).ln()
            }
        }
    }

    /// How many predictions come from this many margins.
    #[must_use]
    pub fn prediction_len(&self, margin_len: usize) -> usize {
        match self.transform {
            Transform::ArgMax => 1,
            _ => margin_len,
        }
    }

    /// Whether each prediction is a probability of its own.
    #[must_use]
    pub fn is_probability(&self) -> bool {
        matches!(
            self.transform,
            Transform::Sigmoid | Transform::Logistic { .. } | Transform::LogisticOfMagnitude | Transform::Probability
        )
    }

    /// Whether its predictions are probabilities, each of its own or of classes that exclude one another.
    #[must_use]
    pub fn gives_probabilities(&self) -> bool {
        let is_of_classes = self.transform.is_joint() && self.transform != Transform::ArgMax;
        self.is_probability() || is_of_classes || self.are_shares
    }

    /// Writes the predictions of one row. `out` has [`Self::prediction_len`] places; what is beyond either end is
    /// ignored.
    pub fn predict_f32(&self, margins: &[f32], out: &mut [f64]) {
        self.grouped(margins, out, Transform::apply_f32);
    }

    /// As [`Self::predict_f32`], for a model whose sums are 64-bit floats.
    pub fn predict_f64(&self, margins: &[f64], out: &mut [f64]) {
        let Some(divisor) = self.divisor else {
            return self.grouped(margins, out, Transform::apply_f64);
        };
        // A forest's outputs are few: a joint transform of averages goes through a copy on the stack or, beyond, the
        // heap.
        let mut averages = [0.0; AVERAGES_ON_STACK];
        let mut more = Vec::new();
        let averages = match averages.get_mut(..margins.len()) {
            Some(averages) => averages,
            None => {
                more.resize(margins.len(), 0.0);
                more.as_mut_slice()
            }
        };
        for (average, &margin) in averages.iter_mut().zip(margins) {
            *average = margin / divisor;
        }
        self.grouped(averages, out, Transform::apply_f64);
    }

    /// Applies the transform to each group of outputs.
    fn grouped<T: Copy>(&self, margins: &[T], out: &mut [f64], apply: fn(Transform, &[T], &mut [f64]))
    where
        f64: From<T>,
    {
        let Groups::Targets { stride, classes } = &self.groups else {
            return apply(self.transform, margins, out);
        };
        for (place, &margin) in out.iter_mut().zip(margins) {
            *place = f64::from(margin);
        }
        let targets = margins.chunks_exact(*stride).zip(out.chunks_exact_mut(*stride));
        for ((margins, out), &classes) in targets.zip(classes) {
            let taken = classes.min(*stride);
            apply(self.transform, &margins[..taken], &mut out[..taken]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predict(name: &str, margins: &[f32]) -> Vec<f64> {
        let objective = Objective::xgboost(name);
        let mut out = vec![0.0; objective.prediction_len(margins.len())];
        objective.predict_f32(margins, &mut out);
        out
    }

    #[test]
    fn transforms_are_total() {
        for name in [
            "binary:logistic",
            "binary:hinge",
            "count:poisson",
            "multi:softprob",
            "multi:softmax",
            "mine",
        ] {
            for margin in [
                0.0,
                -0.0,
                1e-45,
                3.4e38,
                -3.4e38,
                f32::INFINITY,
                f32::NEG_INFINITY,
                f32::NAN,
            ] {
                assert!(!predict(name, &[margin, 0.5]).is_empty(), "{name} {margin}");
            }
            predict(name, &[]);
        }
        assert_eq!(predict("binary:logistic", &[0.0, f32::INFINITY]), [0.5, 1.0]);
        assert!(predict("binary:logistic", &[f32::NEG_INFINITY])[0] > 0.0);
    }

    #[test]
    fn the_first_of_equal_margins_is_the_class() {
        assert_eq!(predict("multi:softmax", &[0.1, 0.7, 0.7]), [1.0]);
        assert_eq!(predict("multi:softmax", &[-1.0]), [0.0]);
    }

    #[test]
    fn base_scores_are_clamped_or_refused_as_the_library_does() {
        let logistic = Objective::xgboost("binary:logistic");
        assert_eq!(logistic.base_margin(0.5).to_bits(), (-0.0f32).to_bits());
        assert_eq!(
            logistic.base_margin(0.0).to_bits(),
            logistic.base_margin(1e-6).to_bits()
        );
        assert!(logistic.base_margin(1.0).is_finite() && logistic.base_margin(1.1).is_nan());
        assert!(Objective::xgboost("count:poisson").base_margin(0.0).is_infinite());
        assert_eq!(
            Objective::xgboost("binary:logitraw").base_margin(0.25).to_bits(),
            0.25f32.to_bits()
        );
    }

    #[test]
    fn unknown_objectives_serve_margins() {
        assert!(!Objective::xgboost("my:loss").is_known());
        assert_eq!(predict("my:loss", &[0.25, -3.0]), [0.25, -3.0]);
    }
}
