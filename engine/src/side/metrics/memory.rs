//! Metrics of the memory budget.

use prometheus::proto::MetricFamily;

use super::families::{counter, float, gauge, labels};
use crate::budget::{Budget, Purpose};

pub(super) fn memory(budget: &Budget) -> [MetricFamily; 3] {
    let used = Purpose::ALL.map(|purpose| {
        let bytes = float(budget.used_for(purpose) as u64);
        (labels(&[("purpose", purpose.name())]), bytes)
    });
    [
        gauge(
            "quintile_memory_budget_bytes",
            "What requests and connections may hold in all.",
            [(vec![], float(budget.bytes() as u64))],
        ),
        gauge(
            "quintile_memory_used_bytes",
            "What requests and connections hold, by purpose.",
            used,
        ),
        counter(
            "quintile_memory_refused_total",
            "How often the memory budget had no room: bodies answered 503 and connections closed.",
            [(vec![], budget.refused())],
        ),
    ]
}
