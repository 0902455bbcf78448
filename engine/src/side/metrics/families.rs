//! Families of the Prometheus format from plain numbers.

use std::time::{SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use prometheus::proto::{self, Bucket, LabelPair, Metric, MetricFamily, MetricType, Quantile, Summary};

use crate::telemetry::BUCKETS_NS;

const QUANTILES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

/// Names of labels and their values.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// A moment in seconds since 1970; 0 for one before.
pub(super) fn since_1970(time: SystemTime) -> f64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.map_or(0.0, |duration| duration.as_secs_f64())
}

pub(super) fn seconds(nanoseconds: u64) -> f64 {
    // Divided, not multiplied: 5e-6 must not become 5.000000000000001e-6.
    float(nanoseconds) / 1e9
}

#[expect(clippy::cast_precision_loss, reason = "the format knows doubles only")]
pub(super) fn float(value: u64) -> f64 {
    value as f64
}

pub(super) fn labels(pairs: Labels<'_>) -> Vec<LabelPair> {
    let pair = |&(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.into());
        pair.set_value(value.into());
        pair
    };
    pairs.iter().map(pair).collect()
}

pub(super) fn info(name: &str, help: &str, pairs: Labels<'_>) -> MetricFamily {
    gauge(name, help, [(labels(pairs), 1.0)])
}

pub(super) fn counter(
    name: &str,
    help: &str,
    samples: impl IntoIterator<Item = (Vec<LabelPair>, u64)>,
) -> MetricFamily {
    let metric = |(labels, value)| {
        let mut counter = proto::Counter::default();
        counter.set_value(float(value));
        let mut metric = Metric::from_label(labels);
        metric.set_counter(counter);
        metric
    };
    let metrics = samples.into_iter().map(metric).collect();
    family(name, help, MetricType::COUNTER, metrics)
}

pub(super) fn gauge(name: &str, help: &str, samples: impl IntoIterator<Item = (Vec<LabelPair>, f64)>) -> MetricFamily {
    let metric = |(labels, value)| {
        let mut gauge = proto::Gauge::default();
        gauge.set_value(value);
        let mut metric = Metric::from_label(labels);
        metric.set_gauge(gauge);
        metric
    };
    let metrics = samples.into_iter().map(metric).collect();
    family(name, help, MetricType::GAUGE, metrics)
}

pub(super) fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.into());
    family.set_help(help.into());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

/// One series of a histogram: counts of the buckets of [`BUCKETS_NS`], which are added up here, and how many values there
/// are and their sum in seconds.
pub(super) fn histogram(labels: Vec<LabelPair>, counts: &[u64], (count, sum): (u64, f64)) -> Metric {
    let mut cumulative = 0;
    let buckets = BUCKETS_NS.iter().zip(counts).map(|(&bound_ns, more)| {
        cumulative += more;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(seconds(bound_ns));
        bucket.set_cumulative_count(cumulative);
        bucket
    });
    let mut histogram = proto::Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(count);
    histogram.set_sample_sum(sum);
    let mut metric = Metric::from_label(labels);
    metric.set_histogram(histogram);
    metric
}

/// Quantiles belong to summaries: a gauge with that label is what promtool warns of.
pub(super) fn summary(name: &str, help: &str, values_ns: &Histogram<u64>, (count, sum): (u64, f64)) -> MetricFamily {
    let quantiles = QUANTILES.map(|at| {
        let mut quantile = Quantile::default();
        quantile.set_quantile(at);
        let value = if values_ns.is_empty() {
            f64::NAN
        } else {
            seconds(values_ns.value_at_quantile(at))
        };
        quantile.set_value(value);
        quantile
    });
    let mut summary = Summary::default();
    summary.set_quantile(quantiles.into());
    summary.set_sample_count(count);
    summary.set_sample_sum(sum);
    let mut metric = Metric::default();
    metric.set_summary(summary);
    family(name, help, MetricType::SUMMARY, vec![metric])
}
