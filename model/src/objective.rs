//! Base score → base margin and margin → prediction, exactly as XGBoost computes them.
//!
//! Sources: XGBoost 3.2.0 `src/objective/*.cu`, `src/common/math.h`. All arithmetic is `f32` in XGBoost's order, except the
//! softmax sum, which is `f64` there too. `expf` and `logf` are the platform's libm, as they are for the library: with the
//! same glibc both give the same bits, elsewhere a prediction may differ by one unit in the last place.

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

/// How margins become predictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transform {
    /// The margin is the prediction.
    Identity,
    /// Each margin to a probability.
    Sigmoid,
    /// 1 above zero, else 0.
    Hinge,
    /// `expf`.
    Exp,
    /// All margins to probabilities that sum to one.
    Softmax,
    /// The index of the first largest margin: one prediction whatever the number of margins.
    ArgMax,
}

/// A training objective by name, with the two functions it defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objective {
    name: String,
    base_link: BaseLink,
    transform: Transform,
    known: bool,
}

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
            // XGBoost refuses scores outside [0, 1] and clamps the ends since 2.1 (issue 11499).
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

    /// Writes the predictions of one row. `out` has [`Self::prediction_len`] places; what is beyond either end is ignored.
    pub fn predict_f32(&self, margins: &[f32], out: &mut [f64]) {
        match self.transform {
            Transform::Identity => each(margins, out, |margin| margin),
            Transform::Sigmoid => each(margins, out, sigmoid),
            Transform::Hinge => each(margins, out, |margin| if margin > 0.0 { 1.0 } else { 0.0 }),
            Transform::Exp => each(margins, out, f32::exp),
            Transform::Softmax => softmax(margins, out),
            Transform::ArgMax => {
                if let Some(first) = out.first_mut() {
                    *first = arg_max(margins);
                }
            }
        }
    }
}

fn each(margins: &[f32], out: &mut [f64], transform: impl Fn(f32) -> f32) {
    for (place, &margin) in out.iter_mut().zip(margins) {
        *place = f64::from(transform(margin));
    }
}

/// `common::Sigmoid(float)`. The comparison is written as `std::min` has it, so that NaN stays NaN.
fn sigmoid(margin: f32) -> f32 {
    let negated = -margin;
    let bounded = if 88.7 < negated { 88.7 } else { negated };
    1.0 / (bounded.exp() + 1.0 + 1e-16)
}

/// `common::Softmax`: exponentials in `f32`, their sum in `f64`, the quotient by the sum rounded to `f32`.
fn softmax(margins: &[f32], out: &mut [f64]) {
    let Some(&first) = margins.first() else { return };
    let largest = margins.iter().fold(first, |largest, &margin| margin.max(largest));
    let mut sum = 0.0f64;
    for (place, &margin) in out.iter_mut().zip(margins) {
        let exponential = f64::from((margin - largest).exp());
        *place = exponential;
        sum += exponential;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "XGBoost rounds the sum and holds each exponential in f32"
    )]
    for place in out.iter_mut().take(margins.len()) {
        *place = f64::from(*place as f32 / sum as f32);
    }
}

/// `common::FindMaxIndex`: the first of equals; NaN never wins, and keeps the first place if it stands there.
fn arg_max(margins: &[f32]) -> f64 {
    let mut best = 0;
    for (index, &margin) in margins.iter().enumerate() {
        if margin > margins[best] {
            best = index;
        }
    }
    // Outputs are far below 2^24, so the class is exact in f32 as it is in the library.
    u32::try_from(best).map_or(f64::NAN, f64::from)
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
