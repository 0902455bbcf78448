//! Orders of columns: those that files and programs often have, and a search for any other.

use quintile_model::Model;

use super::causes::{Cause, column_order, permutations, ranks, reorder};
use super::expected::Expected;
use super::scores::{Quantity, RowTable, Scores};

/// Columns of which every order is tried.
const ALL_ORDERS_MAX: usize = 6;

/// Columns of which a better order is searched step by step.
const SEARCH_MAX: usize = 64;

/// Rows that a search scores for each order.
const SEARCH_ROWS: usize = 48;

/// Scorings that a search may take.
const STEPS_MAX: usize = 40_000;

/// Orders that are worth a try. `file` is the model's columns in the order of the file's.
pub(super) fn usual(model: &Model, file: Option<&[usize]>) -> Vec<Cause> {
    let schema = model.schema();
    let width = schema.len();
    let mut causes = Vec::new();
    let advice = "give the library its columns by name, or in the order of the model's features";
    if let Some(file) = file.filter(|file| file.len() == width) {
        let what = "took the columns by their position in the file, not by name";
        causes.push(column_order(what.into(), advice.into(), file.to_vec()));
        causes.push(column_order(
            "had the columns in the file's order when it was trained".into(),
            advice.into(),
            ranks(file),
        ));
    }
    let mut sorted: Vec<usize> = (0..width).collect();
    sorted.sort_by(|&one, &other| schema.name(one).cmp(schema.name(other)));
    let shifted: Vec<usize> = (0..width).map(|column| (column + 1) % width).collect();
    for (what, order) in [
        ("took the columns sorted by name", sorted.clone()),
        ("was trained with the columns sorted by name", ranks(&sorted)),
        ("took the columns in reverse", (0..width).rev().collect()),
        ("took each column's value from its right neighbour", shifted.clone()),
        ("took each column's value from its left neighbour", ranks(&shifted)),
    ] {
        causes.push(column_order(what.into(), advice.into(), order));
    }
    causes
}

/// Searches for an order under which the rows come nearest to what is expected: all orders of few columns, swaps that
/// improve for more.
pub(super) fn searched(
    model: &Model,
    table: &RowTable,
    expected: &Expected,
    quantity: Quantity,
    rows: &[usize],
) -> Option<Cause> {
    let rows = &rows[..rows.len().min(SEARCH_ROWS)];
    let width = table.width;
    if rows.is_empty() || !(2..=SEARCH_MAX).contains(&width) {
        return None;
    }
    let error = |order: &[usize]| {
        let changed = table.select(rows, |row| reorder(row, order));
        Scores::of(model, &changed).mean_error(quantity, expected, rows)
    };
    let order = if width <= ALL_ORDERS_MAX {
        let orders = permutations(width).into_iter().map(|order| (error(&order), order));
        orders.min_by(|one, other| one.0.total_cmp(&other.0))?.1
    } else {
        improved((0..width).collect(), &error)
    };
    let is_usual = order.iter().enumerate().all(|(column, &from)| column == from);
    if is_usual {
        return None;
    }
    let schema = model.schema();
    let moved: Vec<String> = (0..width)
        .filter(|&column| order[column] != column)
        .take(6)
        .map(|column| format!("{} from {}", schema.name(column), schema.name(order[column])))
        .collect();
    let what = format!("took values from other columns ({})", moved.join(", "));
    Some(column_order(
        what,
        "put the values under their own names in the rows".into(),
        order,
    ))
}

/// Swaps pairs for as long as that makes the error smaller.
fn improved(mut order: Vec<usize>, error: &dyn Fn(&[usize]) -> f64) -> Vec<usize> {
    let mut least = error(&order);
    let mut steps = 0;
    loop {
        let mut best = None;
        for one in 0..order.len() {
            for other in one + 1..order.len() {
                order.swap(one, other);
                let found = error(&order);
                order.swap(one, other);
                steps += 1;
                if found < least {
                    least = found;
                    best = Some((one, other));
                }
                if steps >= STEPS_MAX {
                    return order;
                }
            }
        }
        match best {
            Some((one, other)) => order.swap(one, other),
            None => return order,
        }
    }
}
