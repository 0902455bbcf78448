//! LightGBM's objectives, as a model file names them (`src/objective/*.hpp`, LightGBM 4.6).

use super::{BaseLink, Groups, Objective, Transform};

/// Why an objective line is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ObjectiveError {
    /// Classes in the objective that are not those of the model.
    #[error("the objective has {stated} classes, but the model {outputs} trees an iteration")]
    Classes {
        /// `num_class` of the objective.
        stated: String,
        /// Outputs of the model.
        outputs: usize,
    },
    /// One margin is expected.
    #[error("the objective {name} has one output, but the model {outputs} trees an iteration")]
    Outputs {
        /// The objective.
        name: String,
        /// Outputs of the model.
        outputs: usize,
    },
    /// A sigmoid parameter that is none.
    #[error("the objective's sigmoid is {0:?}: a number above zero is accepted")]
    Sigmoid(String),
}

impl Objective {
    /// The objective of LightGBM's `objective=` line, or of none, for a model of `outputs` trees an iteration.
    ///
    /// `forest_iterations` is how many iterations a random forest averages over; none otherwise.
    ///
    /// # Errors
    /// Parameters that contradict the model, which the library would read beyond its arrays for.
    pub fn lightgbm(
        line: Option<&str>,
        outputs: usize,
        forest_iterations: Option<f64>,
    ) -> Result<Self, ObjectiveError> {
        let line = line.unwrap_or("custom");
        let mut words = line.split(' ').filter(|word| !word.is_empty());
        let name = alias(words.next().unwrap_or("custom"));
        let parameters: Vec<&str> = words.collect();
        let parameter = |key: &str| {
            let found = parameters.iter().rev().find_map(|word| word.strip_prefix(key));
            found.and_then(|value| value.strip_prefix(':'))
        };
        let sigmoid = || {
            let text = parameter("sigmoid");
            let alpha = text.and_then(number);
            alpha
                .filter(|&alpha| alpha > 0.0)
                .map(|alpha| Transform::Logistic { alpha })
                .ok_or_else(|| ObjectiveError::Sigmoid(text.unwrap_or_default().to_owned()))
        };
        let classes = || match parameter("num_class").map(str::parse::<usize>) {
            Some(Ok(stated)) if outputs == stated => Ok(()),
            _ => Err(ObjectiveError::Classes {
                stated: parameter("num_class").unwrap_or("no").to_owned(),
                outputs,
            }),
        };
        let square = match parameters.contains(&"sqrt") {
            true => Transform::SignTimesSquare,
            false => Transform::Identity,
        };
        let (transform, known, single) = match name {
            "regression" | "regression_l1" | "quantile" | "fair" | "mape" => (square, true, true),
            "huber" | "lambdarank" | "rank_xendcg" => (Transform::Identity, true, true),
            "poisson" | "gamma" | "tweedie" => (Transform::Exp, true, true),
            "binary" => (sigmoid()?, true, true),
            "cross_entropy" => (Transform::Logistic { alpha: 1.0 }, true, true),
            "cross_entropy_lambda" => (Transform::LogOnePlusExp, true, true),
            "multiclass" => classes().map(|()| (Transform::Softmax, true, false))?,
            "multiclassova" => {
                classes()?;
                (sigmoid()?, true, false)
            }
            _ => (Transform::Identity, false, false),
        };
        if single && outputs != 1 {
            return Err(ObjectiveError::Outputs {
                name: name.to_owned(),
                outputs,
            });
        }
        Ok(Self {
            name: name.to_owned(),
            base_link: BaseLink::Identity,
            transform,
            known,
            divisor: forest_iterations,
            groups: Groups::One,
            are_shares: false,
        })
    }
}

/// `ParseObjectiveAlias`. It knows whole lines only, but a word with parameters is never an alias.
fn alias(name: &str) -> &str {
    match name {
        "regression_l2" | "mean_squared_error" | "mse" | "l2" | "l2_root" | "root_mean_squared_error" | "rmse" => {
            "regression"
        }
        "mean_absolute_error" | "l1" | "mae" => "regression_l1",
        "softmax" => "multiclass",
        "multiclass_ova" | "ova" | "ovr" => "multiclassova",
        "xentropy" => "cross_entropy",
        "xentlambda" => "cross_entropy_lambda",
        "mean_absolute_percentage_error" => "mape",
        "xendcg" | "xe_ndcg" | "xe_ndcg_mart" | "xendcg_mart" => "rank_xendcg",
        "none" | "null" | "na" => "custom",
        other => other,
    }
}

/// `Common::Atof`, which is not correctly rounded: digits before and after the point are gathered apart.
fn number(text: &str) -> Option<f64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let whole = whole.strip_prefix('+').unwrap_or(whole);
    if whole.len() + fraction.len() == 0 || whole.len() + fraction.len() > 300 {
        return None;
    }
    let digits = |text: &str| {
        text.bytes().try_fold(0.0, |value, byte| {
            byte.is_ascii_digit().then(|| value * 10.0 + f64::from(byte - b'0'))
        })
    };
    let value = digits(whole)? + digits(fraction)? / 10f64.powi(i32::try_from(fraction.len()).ok()?);
    let mut scale = 1.0;
    let mut left = exponent.unsigned_abs().min(308);
    for (step, factor) in [(50, 1e50), (8, 1e8), (1, 10.0)] {
        while left >= step {
            scale *= factor;
            left -= step;
        }
    }
    Some(if exponent < 0 { value / scale } else { value * scale })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_or_refused() {
        let logistic = |alpha| Ok((Transform::Logistic { alpha }, true));
        let read = |line, outputs| {
            Objective::lightgbm(Some(line), outputs, None)
                .map(|objective| (objective.transform(), objective.is_known()))
        };
        assert_eq!(read("binary sigmoid:1", 1), logistic(1.0));
        assert_eq!(read("binary sigmoid:0.7", 1), logistic(0.7));
        assert_eq!(read("multiclassova num_class:3 sigmoid:2e-1", 3), logistic(0.2));
        assert_eq!(read("regression sqrt", 1), Ok((Transform::SignTimesSquare, true)));
        assert_eq!(read("l2_root", 1), Ok((Transform::Identity, true)));
        assert_eq!(
            read("tweedie tweedie_variance_power:1.4", 1),
            Ok((Transform::Exp, true))
        );
        assert_eq!(read("none", 4), Ok((Transform::Identity, false)));
        for (line, outputs) in [
            ("binary", 1),
            ("binary sigmoid:0", 1),
            ("binary sigmoid:x", 1),
            ("binary sigmoid:1", 2),
            ("multiclass", 3),
            ("multiclass num_class:4", 3),
        ] {
            assert!(read(line, outputs).is_err(), "{line}");
        }
    }

    #[test]
    fn a_forest_averages_before_it_transforms() {
        let forest = Objective::lightgbm(Some("multiclass num_class:2"), 2, Some(4.0));
        let plain = Objective::lightgbm(Some("multiclass num_class:2"), 2, None);
        let (mut averaged, mut direct) = ([0.0; 2], [0.0; 2]);
        forest.unwrap().predict_f64(&[2.0, 8.0], &mut averaged);
        plain.unwrap().predict_f64(&[0.5, 2.0], &mut direct);
        assert_eq!(averaged.map(f64::to_bits), direct.map(f64::to_bits));
    }
}
