//! The text format of HdrHistogram's plotters: value in milliseconds, percentile, count, and 1/(1 − percentile).

use std::fmt::Write as _;

use super::Report;

/// A report's latencies as `.hgrm`: every recorded value, so nothing is lost between two percentiles.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut text = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
    let total: u64 = report.latency_count();
    let mut seen = 0;
    for &(ns, count) in &report.histogram {
        seen += count;
        let share = seen as f64 / total as f64;
        let value = ns as f64 / 1e6;
        // Writing to a String cannot fail. The last value has no finite last column, and plotters expect none.
        let _ = if seen == total {
            writeln!(text, "{value:12.6} {share:2.12} {seen:10}")
        } else {
            writeln!(text, "{value:12.6} {share:2.12} {seen:10} {:14.2}", 1.0 / (1.0 - share))
        };
    }
    let (mean, max) = (report.latency.mean / 1e6, report.latency.max as f64 / 1e6);
    let square = |&(ns, count): &(u64, u64)| (ns as f64 / 1e6 - mean).powi(2) * count as f64;
    let deviation = (report.histogram.iter().map(square).sum::<f64>() / total.max(1) as f64).sqrt();
    let _ = writeln!(text, "#[Mean    = {mean:12.6}, StdDeviation   = {deviation:12.6}]");
    let _ = writeln!(text, "#[Max     = {max:12.6}, Total count    = {total:12}]");
    let _ = writeln!(text, "#[Buckets = {:12}, SubBuckets     = {:12}]", 32, 2048);
    text
}
