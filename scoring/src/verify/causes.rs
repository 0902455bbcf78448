//! Causes for a difference between our numbers and the library's: each is a change of the rows that can be tried.

#![expect(clippy::float_cmp, reason = "markers are the very numbers that programs write")]

use std::collections::HashMap;
use std::rc::Rc;

use quintile_model::{Model, Precision};

use super::scores::RowTable;
use crate::text::excerpt;

/// Numbers that programs write where a value is missing.
const MARKERS: [f64; 14] = [
    0.0, -1.0, -9.0, -99.0, -999.0, -9999.0, -99999.0, 9.0, 99.0, 999.0, 9999.0, 99999.0, -1e30, 1e30,
];

/// Rows in which a frequent value is looked for.
const SURVEY_ROWS: usize = 5_000;

/// Categories of a column of which every order is tried.
const ORDERED_MAX: usize = 5;

/// A column, and for each of its codes the library's.
type ColumnOrder = (usize, Vec<usize>);

/// A change of one row.
pub(super) type Change = Rc<dyn Fn(&mut [f64])>;

/// Something that could explain the differences.
#[derive(Clone)]
pub(super) struct Cause {
    /// A word for programs.
    pub(super) name: &'static str,
    /// What the library did, as a sentence's end: "the library …".
    pub(super) what: String,
    /// What to do about it.
    pub(super) advice: String,
    pub(super) change: Change,
}

impl Cause {
    fn new(name: &'static str, what: String, advice: String, change: impl Fn(&mut [f64]) + 'static) -> Self {
        let change = Rc::new(change);
        Self {
            name,
            what,
            advice,
            change,
        }
    }

    /// Both at once.
    pub(super) fn and(&self, other: &Self) -> Self {
        let (first, second) = (Rc::clone(&self.change), Rc::clone(&other.change));
        Self {
            name: self.name,
            what: format!("{}, and {}", self.what, other.what),
            advice: format!("{}; {}", self.advice, other.advice),
            change: Rc::new(move |row| {
                first(row);
                second(row);
            }),
        }
    }
}

/// All causes that are a change of rows, but for orders of columns.
pub(super) fn of_values(model: &Model, table: &RowTable, manifest: &str) -> Vec<Cause> {
    let mut causes = markers(model, table, manifest);
    causes.extend(fills(table));
    causes.extend(narrowing(model, manifest));
    causes.extend(codes(model, table));
    causes
}

/// A number that was missing to the library, in all columns or in one.
fn markers(model: &Model, table: &RowTable, manifest: &str) -> Vec<Cause> {
    let schema = model.schema();
    let mut causes = Vec::new();
    for marker in MARKERS.into_iter().chain(frequent(table)) {
        let is_marker = move |value: f64| value == marker;
        let in_columns: Vec<usize> = (0..table.width)
            .filter(|&column| (0..table.rows().min(SURVEY_ROWS)).any(|row| is_marker(table.row(row)[column])))
            .collect();
        if in_columns.is_empty() {
            continue;
        }
        causes.push(Cause::new(
            "missing_marker",
            format!("took {marker:?} for missing (missing={marker:?})"),
            format!("add this line to {manifest}, above its first [table]: missing = {marker:?}"),
            move |row| {
                row.iter_mut()
                    .filter(|value| **value == marker)
                    .for_each(|value| *value = f64::NAN)
            },
        ));
        if in_columns.len() > 1 {
            causes.extend(in_columns.into_iter().map(|column| {
                let name = excerpt(schema.name(column));
                Cause::new(
                    "missing_marker",
                    format!("took {marker:?} for missing in {name}"),
                    format!("add to {manifest}: missing = {marker:?} under [features.{name}]"),
                    move |row| {
                        if row[column] == marker {
                            row[column] = f64::NAN;
                        }
                    },
                )
            }));
        }
    }
    causes
}

/// The value that most cells have, if it is no usual marker and many cells have it.
fn frequent(table: &RowTable) -> Option<f64> {
    let mut counts: HashMap<u64, usize> = HashMap::new();
    let rows = table.rows().min(SURVEY_ROWS);
    for &value in &table.values[..rows * table.width] {
        if !value.is_nan() {
            *counts.entry(value.to_bits()).or_default() += 1;
        }
    }
    let (bits, count) = counts.into_iter().max_by_key(|&(bits, count)| (count, bits))?;
    let value = f64::from_bits(bits);
    let is_usual = MARKERS.contains(&value);
    (!is_usual && count * 50 > rows * table.width).then_some(value)
}

/// A number that stood in the place of what is missing here.
fn fills(table: &RowTable) -> Vec<Cause> {
    if !table.values.iter().any(|value| value.is_nan()) {
        return Vec::new();
    }
    let fill = |number: f64| {
        Cause::new(
            "missing_filled",
            format!("was given {number:?} where a value is missing here"),
            format!("fill missing cells of the rows with {number:?} as was done before (fillna), in every request too"),
            move |row| {
                row.iter_mut()
                    .filter(|value| value.is_nan())
                    .for_each(|value| *value = number)
            },
        )
    };
    [0.0, -1.0, -999.0, -9999.0, 999.0].map(fill).into()
}

/// Values of 32 bits for a model that compares in 64.
#[expect(clippy::cast_possible_truncation, reason = "that is what is tried")]
fn narrowing(model: &Model, manifest: &str) -> Option<Cause> {
    (model.input_precision() == Precision::F64).then(|| {
        Cause::new(
            "input_32_bits",
            "rounded every value to 32 bits before it compared it (scikit-learn does)".into(),
            format!("add this line to {manifest}, above its first [table]: input = \"float32\""),
            |row| row.iter_mut().for_each(|value| *value = f64::from(*value as f32)),
        )
    })
}

/// Categories that the library numbered in another order.
fn codes(model: &Model, table: &RowTable) -> Vec<Cause> {
    let schema = model.schema();
    let mut by_rule: Vec<(&'static str, Vec<ColumnOrder>)> = vec![
        ("sorted by name", Vec::new()),
        ("reversed", Vec::new()),
        ("in the order of their first rows", Vec::new()),
    ];
    let mut causes = Vec::new();
    for column in 0..schema.len() {
        let Some(categories) = schema.categories(column) else {
            continue;
        };
        let names: Vec<String> = categories.names().iter().map(ToString::to_string).collect();
        let count = names.len();
        let mut sorted: Vec<usize> = (0..count).collect();
        sorted.sort_by(|&one, &other| names[one].cmp(&names[other]));
        let orders = [
            ranks(&sorted),
            (0..count).rev().collect(),
            ranks(&first_seen(table, column, count)),
        ];
        for ((_, columns), order) in by_rule.iter_mut().zip(orders) {
            columns.push((column, order));
        }
        if count <= ORDERED_MAX {
            causes.extend(
                permutations(count)
                    .into_iter()
                    .skip(1)
                    .map(|order| recoded(schema.name(column), column, order)),
            );
        }
    }
    causes.extend(
        by_rule
            .into_iter()
            .filter(|(_, columns)| !columns.is_empty())
            .map(|(rule, columns)| {
                Cause::new(
                    "category_order",
                    format!("numbered the categories of every column in another order ({rule})"),
                    "send category names, not codes, or train again with the categories of the model file".into(),
                    move |row| {
                        columns
                            .iter()
                            .for_each(|(column, order)| recode(&mut row[*column], order))
                    },
                )
            }),
    );
    causes
}

fn recoded(name: &str, column: usize, order: Vec<usize>) -> Cause {
    Cause::new(
        "category_order",
        format!(
            "numbered the categories of {} in another order {order:?}",
            excerpt(name)
        ),
        "send category names, not codes, or train again with the categories of the model file".into(),
        move |row| recode(&mut row[column], &order),
    )
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "codes are small whole numbers; what is none stays as it is"
)]
fn recode(value: &mut f64, order: &[usize]) {
    if *value >= 0.0
        && value.fract() == 0.0
        && let Some(&code) = order.get(*value as usize)
    {
        *value = code as f64;
    }
}

/// Codes of a column in the order in which rows first have them; those that no row has come last.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "only whole numbers below the count are taken"
)]
fn first_seen(table: &RowTable, column: usize, count: usize) -> Vec<usize> {
    let mut seen: Vec<usize> = Vec::new();
    for row in 0..table.rows() {
        let value = table.row(row)[column];
        let is_code = value >= 0.0 && value.fract() == 0.0 && value < count as f64;
        if is_code && !seen.contains(&(value as usize)) {
            seen.push(value as usize);
            if seen.len() == count {
                break;
            }
        }
    }
    let rest: Vec<usize> = (0..count).filter(|code| !seen.contains(code)).collect();
    seen.extend(rest);
    seen
}

/// For each member its place in an order: the order turned round.
pub(super) fn ranks(order: &[usize]) -> Vec<usize> {
    let mut ranks = vec![0; order.len()];
    for (rank, &code) in order.iter().enumerate() {
        ranks[code] = rank;
    }
    ranks
}

/// All orders of this many things, the usual one first.
pub(super) fn permutations(count: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for _ in 0..count {
        all = all
            .into_iter()
            .flat_map(|taken: Vec<usize>| {
                let rest: Vec<usize> = (0..count).filter(|one| !taken.contains(one)).collect();
                rest.into_iter().map(move |one| [taken.as_slice(), &[one]].concat())
            })
            .collect();
    }
    all
}

/// Columns that the library took in another order: `order[column]` is our column whose value it took.
pub(super) fn column_order(what: String, advice: String, order: Vec<usize>) -> Cause {
    Cause::new("column_order", what, advice, move |row| reorder(row, &order))
}

/// Gives each column the value of another one: `order[column]` says which.
pub(super) fn reorder(row: &mut [f64], order: &[usize]) {
    let before = row.to_vec();
    for (value, &from) in row.iter_mut().zip(order) {
        *value = before[from];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_all_there_and_the_usual_one_is_first() {
        let orders = permutations(4);
        assert_eq!((orders.len(), orders[0].as_slice()), (24, &[0, 1, 2, 3][..]));
        assert_eq!(ranks(&[2, 0, 1]), [1, 2, 0]);
    }

    #[test]
    fn only_codes_are_recoded() {
        for (value, expected) in [(0.0, 2.0), (2.0, 0.0), (3.0, 3.0), (0.5, 0.5), (-1.0, -1.0)] {
            let mut changed = value;
            recode(&mut changed, &[2, 1, 0]);
            assert_eq!(changed.to_bits(), f64::to_bits(expected), "{value}");
        }
    }
}
