//! How the training libraries differ for the same trees: how a value of a row is read, what a category's code is, and
//! what happens to a sum.

use crate::kernel::real::Real;

/// The arithmetic of margins and predictions, which is the training library's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// `f32` rows, thresholds, leaves and sums: XGBoost.
    F32,
    /// `f64` throughout: LightGBM, CatBoost.
    F64,
}

/// When a number goes left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `value < threshold`: XGBoost.
    Less,
    /// `value <= threshold`: LightGBM.
    LessOrEqual,
}

/// What becomes of a row's value before anything looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// It is rounded to the precision.
    Rounded,
    /// It is zero if it lies within [`FLUSHED_TO_ZERO`] of it: LightGBM's interface drops such values on the way in.
    Flushed,
    /// It is rounded to `f32` though sums are `f64`: CatBoost, and where a manifest says so.
    Narrowed,
    /// It is rounded to `f32` first, and then zero if it lies within [`FLUSHED_TO_ZERO`]: LightGBM under such a
    /// manifest.
    NarrowedFlushed,
}

/// LightGBM's `kZeroThreshold`, an `f32` that it widens.
pub const FLUSHED_TO_ZERO: f64 = 1e-35f32 as f64;

/// Which values are category codes. A fraction is cut off, so that 0.5 is category 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codes {
    /// 0 to 2^24 − 1; a value below 0 is none, −0.5 included: XGBoost.
    Below24Bits,
    /// 0 to 2^31 − 1 after the cut, so that −0.5 is category 0: LightGBM.
    Int,
    /// 0 up to 2^32 − 1 or the last integer the precision counts to, that one included; a value below 0 is none:
    /// Treelite.
    Unsigned,
    /// Whole numbers from 0 to 2^24 − 1; a fraction makes it none: ONNX asks for equality.
    Whole,
}

impl Codes {
    /// The largest code there can be.
    #[must_use]
    pub fn last(self) -> u32 {
        match self {
            Self::Below24Bits | Self::Whole => crate::limits::CATEGORY_END - 1,
            Self::Int => i32::MAX.unsigned_abs(),
            Self::Unsigned => u32::MAX,
        }
    }
}

/// What happens to the sums once every tree has been added.
#[derive(Debug, Clone, PartialEq)]
pub enum Finish {
    /// Nothing: they are the margins.
    Nothing,
    /// Each is divided by a count, and a constant is added: Treelite. One of each for every output.
    Average {
        /// What a sum is divided by; 1 leaves it as it is.
        divisors: Vec<f64>,
        /// What is added afterwards, in `f64` even to an `f32`.
        offsets: Vec<f64>,
    },
    /// Each is multiplied by one factor, and a constant is added: CatBoost.
    Scale {
        /// The factor.
        scale: f64,
        /// What is added afterwards, one for each output.
        offsets: Vec<f64>,
    },
}

/// A linear model in the place of trees: XGBoost's gblinear.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// One for each column and output, outputs side by side, and a last group that is added first: the bias.
    pub weights: Vec<f32>,
}

impl Finish {
    /// Makes sums margins. Constants are added in `f64` and rounded once, as C++ adds a double to a float.
    pub fn apply<T: Real>(&self, sums: &mut [T]) {
        match self {
            Self::Nothing => {}
            Self::Average { divisors, offsets } => {
                for ((sum, &divisor), &offset) in sums.iter_mut().zip(divisors).zip(offsets) {
                    // A quotient of two f32 in f64, rounded to f32, is the f32 quotient.
                    let average = T::narrow(sum.widen() / divisor);
                    *sum = T::narrow(average.widen() + offset);
                }
            }
            Self::Scale { scale, offsets } => {
                for (sum, &offset) in sums.iter_mut().zip(offsets) {
                    *sum = T::narrow(sum.widen() * scale + offset);
                }
            }
        }
    }
}
