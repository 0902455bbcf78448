//! Protocols of other servers on the same port.

mod others;
mod v2;

use serde_json::{Value, json};

use crate::client::Connection;
use crate::score::lead;

/// Fifty values of a lead.
pub(crate) fn row(number: usize) -> Vec<Value> {
    let lead: Value = serde_json::from_str(&lead(number)).expect("a lead");
    (1..=50)
        .map(|column| {
            lead["features"]
                .get(format!("f{column}"))
                .cloned()
                .unwrap_or(Value::Null)
        })
        .collect()
}

/// What `/score` says of it.
pub(crate) fn probability(connection: &mut Connection, number: usize) -> f64 {
    let answer = connection.post("/score", &lead(number));
    answer.json()["probability"].as_f64().expect("a probability")
}

/// A request of rows by position.
pub(crate) fn tensor(rows: &[Vec<Value>]) -> Value {
    json!({"inputs": [{"name": "x", "datatype": "FP64", "shape": [rows.len(), 50], "data": rows}]})
}
