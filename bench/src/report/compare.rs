//! Two reports beside each other, with the ratio of the second to the first.

use std::fmt::Write as _;

use super::Report;
use crate::units::{count, time, whole};

/// A line of the comparison.
struct Line {
    name: &'static str,
    values: [f64; 2],
    text: fn(f64) -> String,
}

/// The comparison as a table, with a warning for every way in which the runs were not alike.
#[must_use]
pub fn render(first: &Report, second: &Report) -> String {
    let lines = [
        line("right answers a second", [first.rate, second.rate], |rate| {
            count(whole(rate.round()))
        }),
        quantile("p50", [first.latency.p50, second.latency.p50]),
        quantile("p90", [first.latency.p90, second.latency.p90]),
        quantile("p99", [first.latency.p99, second.latency.p99]),
        quantile("p99.9", [first.latency.p999, second.latency.p999]),
        quantile("p99.99", [first.latency.p9999, second.latency.p9999]),
        quantile("max", [first.latency.max, second.latency.max]),
        line("mean", [first.latency.mean, second.latency.mean], |mean| {
            time(whole(mean))
        }),
        line(
            "failed or unfinished",
            [first, second].map(|report| (report.failures() + report.unfinished) as f64),
            |number| count(whole(number)),
        ),
    ];
    let mut text = format!(
        "  {:<24}{:>16}{:>16}{:>10}\n",
        "",
        short(&first.name),
        short(&second.name),
        "ratio"
    );
    for Line {
        name,
        values,
        text: words,
    } in lines
    {
        let ratio = match values {
            [_, 0.0] | [0.0, _] => "–".to_owned(),
            [first, second] => format!("{:.3}", second / first),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  {name:<24}{:>16}{:>16}{ratio:>10}",
            words(values[0]),
            words(values[1])
        );
    }
    for difference in differences(first, second) {
        let _ = writeln!(text, "  note: {difference}");
    }
    text
}

fn line(name: &'static str, values: [f64; 2], text: fn(f64) -> String) -> Line {
    Line { name, values, text }
}

fn quantile(name: &'static str, values: [u64; 2]) -> Line {
    line(name, values.map(|ns| ns as f64), |ns| time(whole(ns)))
}

fn short(name: &str) -> &str {
    name.char_indices().nth(15).map_or(name, |(end, _)| &name[..end])
}

fn differences(first: &Report, second: &Report) -> Vec<String> {
    let pair = |what: &str, values: [String; 2]| {
        let [a, b] = values;
        (a != b).then(|| format!("the runs differ in {what}: {a} and {b}"))
    };
    let both = [first, second];
    let rate = |report: &Report| report.rate_asked.map_or("none".into(), |rate| format!("{rate:.0}"));
    [
        pair(
            "their machines",
            both.map(|report| format!("{} with {}", report.machine.cpu, report.machine.kernel)),
        ),
        pair("arrivals", both.map(|report| report.arrivals.clone())),
        pair("the rate asked for", both.map(rate)),
        pair("connections", both.map(|report| report.connections.to_string())),
        pair("protocol", both.map(|report| format!("{:?}", report.protocol))),
        pair("what was checked", both.map(|report| report.checked.clone())),
        pair("their bodies", both.map(|report| report.payload.clone())),
    ]
    .into_iter()
    .flatten()
    .collect()
}
