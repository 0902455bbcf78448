//! The same numbers in other places: other classes, other rows, fewer digits.

use quintile_model::Precision;

use super::compare::Distance;
use super::expected::Expected;
use super::scores::{Quantity, Scores};
use super::{Comparison, Finding};

/// Digits of a double and of a float whose texts always read back as the same number.
const DIGITS_F64: usize = 17;
const DIGITS_F32: usize = 9;

/// Causes for which no row need be scored again.
pub(super) fn findings(comparison: &Comparison<'_>) -> Vec<Finding> {
    let (scores, expected) = (comparison.scores, comparison.expected);
    let found = [
        other_quantity(comparison),
        class_order(scores, expected, comparison.quantity),
        other_class(scores, expected),
        row_order(scores, expected, comparison.quantity),
        rounded_text(scores, expected, comparison.quantity),
    ];
    found.into_iter().flatten().collect()
}

/// Margins where predictions were asked for, or the other way round.
fn other_quantity(comparison: &Comparison<'_>) -> Option<Finding> {
    let (scores, expected) = (comparison.scores, comparison.expected);
    let rows: Vec<usize> = (0..expected.rows()).collect();
    let others = scores.quantities(expected.width).into_iter();
    let others = others.filter(|quantity| !comparison.quantities.contains(quantity));
    let counted = others.map(|quantity| (scores.equal(quantity, expected, &rows), quantity));
    let (equal, quantity) = counted.max_by_key(|&(equal, _)| equal)?;
    Some(Finding {
        cause: "other_quantity",
        what: format!("the expected numbers are the model's {}", quantity.plural()),
        advice: "compare them with what they are: leave out --of, or name it".into(),
        equal,
    })
}

/// Outputs in another order: for each expected column our column that has its numbers.
fn class_order(scores: &Scores, expected: &Expected, quantity: Quantity) -> Option<Finding> {
    if expected.width < 2 {
        return None;
    }
    let rows = 0..expected.rows();
    let is_same = |output: usize, place: usize| {
        rows.clone().all(|row| {
            let ours = scores.number(quantity, row, output);
            Distance::between(scores.precision(), ours, expected.row(row)[place]) == Distance::Equal
        })
    };
    let mut order = Vec::new();
    for place in 0..expected.width {
        order.push((0..expected.width).find(|output| !order.contains(output) && is_same(*output, place))?);
    }
    let is_reversed = order.iter().rev().copied().eq(0..expected.width);
    let named = if is_reversed { "reversed: " } else { "" };
    Some(Finding {
        cause: "class_order",
        what: format!("the expected columns are the model's outputs in another order ({named}{order:?})"),
        advice: "write the columns in the order of the model's classes, 0 first".into(),
        equal: expected.rows(),
    })
}

/// The probability of the other class.
fn other_class(scores: &Scores, expected: &Expected) -> Option<Finding> {
    if expected.width != 1 || !scores.is_probability() {
        return None;
    }
    let rows: Vec<usize> = (0..expected.rows()).collect();
    let equal = scores.equal(Quantity::OtherClass, expected, &rows);
    (equal * 2 > rows.len()).then(|| Finding {
        cause: "class_order",
        what: "the expected numbers are the probabilities of the other class (1 - p): the classes are reversed".into(),
        advice: "take the second column of predict_proba, or the model that was trained with the labels as they are"
            .into(),
        equal,
    })
}

/// The same numbers in other rows.
fn row_order(scores: &Scores, expected: &Expected, quantity: Quantity) -> Option<Finding> {
    let ours = (0..expected.rows()).flat_map(|row| (0..expected.width).map(move |output| (row, output)));
    let mut ours: Vec<f64> = ours.map(|(row, output)| scores.number(quantity, row, output)).collect();
    let mut theirs = expected.values.clone();
    ours.sort_by(f64::total_cmp);
    theirs.sort_by(f64::total_cmp);
    let mut pairs = ours.iter().zip(&theirs);
    let is_same = pairs.all(|(&ours, &theirs)| Distance::between(scores.precision(), ours, theirs) == Distance::Equal);
    let has_many = ours.first() != ours.last();
    (is_same && has_many).then(|| Finding {
        cause: "row_order",
        what: "the expected numbers are ours, but in another order of rows".into(),
        advice: "write rows and expected numbers in the same order (shuffling, sorting and joins change it)".into(),
        equal: expected.rows(),
    })
}

/// Numbers that were printed with too few digits to be compared to the last bit.
fn rounded_text(scores: &Scores, expected: &Expected, quantity: Quantity) -> Option<Finding> {
    let (needed, advice) = match scores.precision() {
        Precision::F32 => (DIGITS_F32, "print them with nine digits, as '%.9g'"),
        Precision::F64 => (DIGITS_F64, "print them with seventeen digits, as '%.17g'"),
    };
    if expected.digits == 0 || expected.digits >= needed {
        return None;
    }
    let digits = expected.digits;
    // Texts with a fixed number of decimals have the fewer digits the smaller a number is.
    let of_decimals = i32::try_from(expected.decimals).map_or(0.0, |decimals| 10f64.powi(-decimals));
    let is_same = |row: usize, output: usize| {
        let ours = scores.number(quantity, row, output);
        let theirs = expected.row(row)[output];
        let last_digit = 10f64.powi(-decimals(digits, ours)).max(of_decimals);
        // It may be rounded up or down.
        (ours - theirs).abs() <= last_digit.mul_add(0.6, f64::EPSILON * ours.abs())
    };
    let equal = (0..expected.rows())
        .filter(|&row| (0..expected.width).all(|output| is_same(row, output)))
        .count();
    (equal == expected.rows()).then(|| Finding {
        cause: "rounded_text",
        what: format!("the expected numbers have {digits} digits at most, and ours agree in all of them"),
        advice: advice.into(),
        equal,
    })
}

/// Decimals of a number that is written with this many significant digits.
#[expect(
    clippy::cast_possible_truncation,
    reason = "digits are few, and a float's exponent is small"
)]
fn decimals(digits: usize, number: f64) -> i32 {
    let leading = if number == 0.0 {
        0
    } else {
        number.abs().log10().floor() as i32
    };
    digits as i32 - 1 - leading
}
