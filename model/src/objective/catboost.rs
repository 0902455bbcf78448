//! CatBoost's loss functions, with the prediction its Python classes give by default for each.

use super::{BaseLink, Groups, Objective, Transform};

impl Objective {
    /// The objective of a loss function's name, as the file's parameters have it. An unknown one serves margins.
    #[must_use]
    pub fn catboost(loss: &str) -> Self {
        let (transform, known) = match loss {
            // The probability of the second class; `predict_proba` gives its complement beside it.
            "Logloss" | "CrossEntropy" | "Focal" | "MultiClassOneVsAll" | "MultiLogloss" | "MultiCrossEntropy" => {
                (Transform::Logistic { alpha: 1.0 }, true)
            }
            "MultiClass" => (Transform::SoftmaxOfFastExps, true),
            "Poisson" | "Tweedie" => (Transform::FastExp, true),
            "RMSE"
            | "MAE"
            | "MAPE"
            | "Quantile"
            | "MultiQuantile"
            | "LogLinQuantile"
            | "Lq"
            | "Huber"
            | "Expectile"
            | "LogCosh"
            | "MultiRMSE"
            | "MultiRMSEWithMissingValues"
            | "GroupQuantile"
            | "QueryRMSE"
            | "QuerySoftMax"
            | "QueryCrossEntropy"
            | "PairLogit"
            | "PairLogitPairwise"
            | "YetiRank"
            | "YetiRankPairwise"
            | "StochasticRank"
            | "LambdaMart"
            | "StochasticFilter"
            | "SurvivalAft"
            | "Cox" => (Transform::Identity, true),
            _ => (Transform::Identity, false),
        };
        super::fast_exp::prepare();
        Self {
            name: loss.to_owned(),
            base_link: BaseLink::Identity,
            transform,
            known,
            divisor: None,
            groups: Groups::One,
            are_shares: false,
        }
    }
}
