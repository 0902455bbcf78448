//! A report for people.

use std::fmt::Write as _;

use super::{Quantiles, Report, Search};
use crate::units::{count, time, whole};
use crate::worker::Pacing;

/// The report as lines.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = lines(&mut text, report);
    text
}

fn lines(out: &mut String, report: &Report) -> std::fmt::Result {
    let asked = report.rate_asked.map_or_else(
        || "as fast as answers come (a closed loop)".to_owned(),
        |rate| format!("{}/s {}", count(whole(rate.round())), report.arrivals),
    );
    let protocol = format!("{:?}", report.protocol).to_lowercase();
    let streams = match report.streams {
        1 => String::new(),
        streams => format!(" × {streams} at once"),
    };
    writeln!(out, "{}: {}", report.name, report.url)?;
    writeln!(
        out,
        "  {asked}, {protocol}, {} connections{streams}, {:.1} s after {:.1} s of warm-up",
        report.connections, report.seconds, report.warmup_s
    )?;
    if report.bodies > 0 {
        writeln!(
            out,
            "  {} distinct bodies of {:.0} bytes from {}, each request with an id of its own",
            count(report.bodies as u64),
            report.body_bytes,
            report.payload
        )?;
    }
    writeln!(
        out,
        "\n  {:>12} right answers, {} a second; checked: {}",
        count(report.right),
        count(whole(report.rate.round())),
        report.checked
    )?;
    failures(out, report)?;
    latencies(out, report)?;
    overhead(out, report)
}

/// Requests without a right answer.
fn failures(out: &mut String, report: &Report) -> std::fmt::Result {
    for (kind, failed) in &report.failed {
        writeln!(out, "  {:>12} failed: {kind}", count(*failed))?;
    }
    if report.unfinished > 0 {
        writeln!(
            out,
            "  {:>12} had no answer at the end; they are in the latencies with the time they had waited",
            count(report.unfinished)
        )?;
    }
    for sample in &report.samples {
        writeln!(out, "               {sample}")?;
    }
    Ok(())
}

/// How long answers took.
fn latencies(out: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(
        out,
        "\n  {:<28}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}",
        "", "p50", "p90", "p99", "p99.9", "p99.99", "max"
    )?;
    if report.rate_asked.is_some() {
        row(out, "latency, from when due", &report.latency)?;
    }
    row(out, "service, from when sent", &report.service)?;
    for shard in &report.shards {
        let share = 100.0 * shard.requests as f64 / report.right.max(1) as f64;
        row(
            out,
            &format!("shard {}, {share:.1} % of them", shard.shard),
            &shard.latency,
        )?;
    }
    if report.rate_asked.is_some() {
        row(out, "sent late by us", &report.overhead.lag)?;
        writeln!(
            out,
            "\n  {} requests waited for a free connection ({:.2} %)",
            count(report.queued),
            100.0 * report.queued as f64 / (report.latency_count().max(1)) as f64
        )?;
    }
    Ok(())
}

fn row(out: &mut String, name: &str, of: &Quantiles) -> std::fmt::Result {
    let [p50, p90, p99, p999, p9999, max] = [of.p50, of.p90, of.p99, of.p999, of.p9999, of.max].map(time);
    writeln!(out, "  {name:<28}{p50:>9}{p90:>9}{p99:>9}{p999:>9}{p9999:>9}{max:>9}")
}

fn overhead(out: &mut String, report: &Report) -> std::fmt::Result {
    let overhead = &report.overhead;
    let is_open = report.rate_asked.is_some();
    let spins = is_open && report.pacing == Pacing::Spin;
    writeln!(
        out,
        "  load generator: {} a request of its own, sockets apart; CPU {} a request, {:.0} % busy{}",
        time(overhead.own_ns),
        time(whole(overhead.cpu_ns)),
        100.0 * overhead.busy,
        if spins { " (it spins while it waits)" } else { "" }
    )?;
    if !is_open && overhead.busy > 0.95 {
        writeln!(
            out,
            "  the load generator had no time left: the server may be able to do more (--threads, another machine)"
        )?;
    }
    Ok(())
}

impl Report {
    /// Requests that the latencies are of.
    #[must_use]
    pub fn latency_count(&self) -> u64 {
        self.histogram.iter().map(|&(_, count)| count).sum()
    }
}

/// What a search has tried, and its result.
#[must_use]
pub fn search(search: &Search) -> String {
    let mut out = format!(
        "  {:>11}{:>13}{:>10}{:>10}{:>10}\n",
        "rate", "answered/s", "p50", "p99", "failed"
    );
    for each in &search.tried {
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "  {:>11}{:>13}{:>10}{:>10}{:>10}  {}",
            count(whole(each.rate.round())),
            count(whole(each.answered.round())),
            time(each.p50),
            time(each.p99),
            count(each.failed),
            if each.kept { "kept" } else { "not kept" }
        );
    }
    out.push_str(&verdict(search));
    out
}

fn verdict(search: &Search) -> String {
    let promise = format!("p{} stays under {}", search.quantile * 100.0, time(search.limit_ns));
    match search.best {
        Some(best) if search.bounded => {
            format!(
                "\n  the highest rate whose {promise}: {} requests/s\n",
                count(whole(best.round()))
            )
        }
        Some(best) => format!(
            "\n  {promise} at {} requests/s, and no higher rate was tried: raise --to\n",
            count(whole(best.round()))
        ),
        None => format!("\n  no rate that was tried is one whose {promise}: lower --from\n"),
    }
}
