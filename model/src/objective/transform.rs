//! Margins → predictions of one row. Each function is the library's own, step by step and in its precision.

use super::fast_exp::fast_exp;

/// How margins become predictions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Transform {
    /// The margin is the prediction.
    Identity,
    /// Each margin to a probability, as XGBoost bounds and computes it.
    Sigmoid,
    /// Each margin to a probability: `1 / (1 + exp(-alpha x))`.
    Logistic {
        /// The factor.
        alpha: f64,
    },
    /// Each margin to a probability: `1 / (1 + exp(-|x|))`, or its complement below zero. onnxruntime.
    LogisticOfMagnitude,
    /// The margin is a probability.
    Probability,
    /// 1 above zero, else 0.
    Hinge,
    /// `exp`.
    Exp,
    /// `exp2(-x / c)`: isolation forests.
    ExpRatio {
        /// The divisor.
        ratio: f64,
    },
    /// `log1p(exp(x))`.
    LogOnePlusExp,
    /// `sign(x) x x`: LightGBM's `reg_sqrt`, in which zero has no sign.
    SignTimesSquare,
    /// `copysign(x x, x)`: Treelite.
    SignedSquare,
    /// All margins to probabilities that sum to one.
    Softmax,
    /// The same as Treelite computes it: exponentials in `f32` for every precision.
    SoftmaxOfFloats,
    /// `exp` as CatBoost computes it.
    FastExp,
    /// Probabilities that sum to one, of such exponentials.
    SoftmaxOfFastExps,
    /// The same with all steps in the model's precision: onnxruntime.
    SoftmaxInPrecision,
    /// The index of the first largest margin: one prediction for any number of margins.
    ArgMax,
}

impl Transform {
    /// Whether it looks at all margins at once.
    pub(super) fn is_joint(self) -> bool {
        matches!(
            self,
            Self::Softmax | Self::SoftmaxOfFloats | Self::SoftmaxOfFastExps | Self::SoftmaxInPrecision | Self::ArgMax
        )
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the factors of an f32 model are f32 values"
    )]
    pub(super) fn apply_f32(self, margins: &[f32], out: &mut [f64]) {
        match self {
            Self::Identity | Self::Probability => each(margins, out, |margin| margin),
            Self::LogisticOfMagnitude => each(margins, out, |margin: f32| {
                let upper = 1.0 / (1.0 + (-margin.abs()).exp());
                if margin < 0.0 { 1.0 - upper } else { upper }
            }),
            Self::SoftmaxInPrecision => softmax_in_f32(margins, out),
            Self::Sigmoid => each(margins, out, sigmoid),
            Self::Logistic { alpha } => {
                let factor = -(alpha as f32);
                each(margins, out, |margin| 1.0 / (1.0 + (factor * margin).exp()));
            }
            Self::Hinge => each(margins, out, |margin| if margin > 0.0 { 1.0 } else { 0.0 }),
            Self::Exp | Self::FastExp => each(margins, out, f32::exp),
            Self::ExpRatio { ratio } => each(margins, out, |margin| (-margin / ratio as f32).exp2()),
            Self::LogOnePlusExp => each(margins, out, |margin| margin.exp().ln_1p()),
            Self::SignTimesSquare | Self::SignedSquare => {
                each(margins, out, |margin| (margin * margin).copysign(margin));
            }
            Self::Softmax | Self::SoftmaxOfFastExps => softmax_f32(margins, out),
            Self::SoftmaxOfFloats => softmax_of_floats_f32(margins, out),
            Self::ArgMax => arg_max(margins, out),
        }
    }

    pub(super) fn apply_f64(self, margins: &[f64], out: &mut [f64]) {
        match self {
            Self::Identity | Self::Probability => each(margins, out, |margin| margin),
            Self::LogisticOfMagnitude => each(margins, out, |margin: f64| {
                let upper = 1.0 / (1.0 + (-margin.abs()).exp());
                if margin < 0.0 { 1.0 - upper } else { upper }
            }),
            Self::SoftmaxInPrecision => softmax_f64(margins, out, f64::exp),
            Self::Sigmoid => each(margins, out, |margin| 1.0 / (1.0 + (-margin).exp())),
            Self::Logistic { alpha } => each(margins, out, |margin| 1.0 / (1.0 + (-alpha * margin).exp())),
            Self::Hinge => each(margins, out, |margin| if margin > 0.0 { 1.0 } else { 0.0 }),
            Self::Exp => each(margins, out, f64::exp),
            Self::FastExp => each(margins, out, fast_exp),
            Self::ExpRatio { ratio } => each(margins, out, |margin| (-margin / ratio).exp2()),
            Self::LogOnePlusExp => each(margins, out, |margin| margin.exp().ln_1p()),
            Self::SignTimesSquare => each(margins, out, |margin| {
                let sign = f64::from(i8::from(margin > 0.0) - i8::from(margin < 0.0));
                sign * margin * margin
            }),
            Self::SignedSquare => each(margins, out, |margin| (margin * margin).copysign(margin)),
            Self::Softmax => softmax_f64(margins, out, f64::exp),
            Self::SoftmaxOfFastExps => softmax_f64(margins, out, fast_exp),
            Self::SoftmaxOfFloats => softmax_of_floats_f64(margins, out),
            Self::ArgMax => arg_max(margins, out),
        }
    }
}

fn each<T: Copy>(margins: &[T], out: &mut [f64], transform: impl Fn(T) -> T)
where
    f64: From<T>,
{
    for (place, &margin) in out.iter_mut().zip(margins) {
        *place = f64::from(transform(margin));
    }
}

/// XGBoost's `common::Sigmoid(float)`. The comparison is written as `std::min` has it, so that NaN stays NaN.
fn sigmoid(margin: f32) -> f32 {
    let negated = -margin;
    let bounded = if 88.7 < negated { 88.7 } else { negated };
    1.0 / (bounded.exp() + 1.0 + 1e-16)
}

/// XGBoost's `common::Softmax`: exponentials in `f32`, their sum in `f64`, the quotient by the sum rounded to `f32`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "XGBoost rounds the sum and holds each exponential in f32"
)]
fn softmax_f32(margins: &[f32], out: &mut [f64]) {
    let Some(&first) = margins.first() else { return };
    let largest = margins.iter().fold(first, |largest, &margin| margin.max(largest));
    let mut sum = 0.0f64;
    for (place, &margin) in out.iter_mut().zip(margins) {
        let exponential = f64::from((margin - largest).exp());
        *place = exponential;
        sum += exponential;
    }
    for place in out.iter_mut().take(margins.len()) {
        *place = f64::from(*place as f32 / sum as f32);
    }
}

/// onnxruntime's `ComputeSoftmax<float>`: the sum is a float too.
#[expect(clippy::cast_possible_truncation, reason = "exponentials are f32 values")]
fn softmax_in_f32(margins: &[f32], out: &mut [f64]) {
    let largest = margins.iter().fold(
        f32::MIN,
        |largest, &margin| if margin > largest { margin } else { largest },
    );
    let mut sum = 0.0f32;
    for (place, &margin) in out.iter_mut().zip(margins) {
        let exponential = (margin - largest).exp();
        *place = f64::from(exponential);
        sum += exponential;
    }
    for place in out.iter_mut().take(margins.len()) {
        *place = f64::from(*place as f32 / sum);
    }
}

/// LightGBM's `Common::Softmax`, and CatBoost's.
fn softmax_f64(margins: &[f64], out: &mut [f64], exp: fn(f64) -> f64) {
    let Some(&first) = margins.first() else { return };
    let largest = margins.iter().fold(
        first,
        |largest, &margin| if largest < margin { margin } else { largest },
    );
    let mut sum = 0.0;
    for (place, &margin) in out.iter_mut().zip(margins) {
        *place = exp(margin - largest);
        sum += *place;
    }
    for place in out.iter_mut().take(margins.len()) {
        *place /= sum;
    }
}

/// GTIL's `softmax<float>`.
#[expect(clippy::cast_possible_truncation, reason = "GTIL rounds the sum to a float")]
fn softmax_of_floats_f32(margins: &[f32], out: &mut [f64]) {
    let Some(&first) = margins.first() else { return };
    let largest = margins.iter().fold(
        first,
        |largest, &margin| if margin > largest { margin } else { largest },
    );
    let mut sum = 0.0f64;
    for (place, &margin) in out.iter_mut().zip(margins) {
        let exponential = f64::from((margin - largest).exp());
        *place = exponential;
        sum += exponential;
    }
    for place in out.iter_mut().take(margins.len()) {
        *place = f64::from(*place as f32 / sum as f32);
    }
}

/// GTIL's `softmax<double>`: the largest margin, the exponentials and their sum are floats all the same.
#[expect(clippy::cast_possible_truncation, reason = "GTIL keeps these in floats")]
fn softmax_of_floats_f64(margins: &[f64], out: &mut [f64]) {
    let Some(&first) = margins.first() else { return };
    let mut largest = first as f32;
    for &margin in &margins[1..] {
        if margin > f64::from(largest) {
            largest = margin as f32;
        }
    }
    let mut sum = 0.0f64;
    for (place, &margin) in out.iter_mut().zip(margins) {
        let exponential = (margin - f64::from(largest)).exp() as f32;
        sum += f64::from(exponential);
        *place = f64::from(exponential);
    }
    for place in out.iter_mut().take(margins.len()) {
        *place /= f64::from(sum as f32);
    }
}

/// `common::FindMaxIndex`: the first of equals; NaN never wins, and keeps the first place if it stands there.
fn arg_max<T: PartialOrd>(margins: &[T], out: &mut [f64]) {
    let mut best = 0;
    for (index, margin) in margins.iter().enumerate() {
        if *margin > margins[best] {
            best = index;
        }
    }
    if let Some(place) = out.first_mut() {
        // Outputs are far below 2^24, so the class is exact in f32 as it is in the library.
        *place = u32::try_from(best).map_or(f64::NAN, f64::from);
    }
}
