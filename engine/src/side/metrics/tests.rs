//! The text as Prometheus reads it.

use std::process::{Command, Stdio};
use std::sync::Arc;

use super::families::seconds;
use super::*;
use crate::side::stats::Stats;
use crate::side::testing::{logistic, say};
use crate::telemetry::BUCKETS_NS;

fn about() -> ProcessFacts {
    ProcessFacts {
        version: "1.2.3".into(),
        commit: "abc".into(),
        target: "x86_64-unknown-linux-gnu".into(),
        runtime: "epoll".into(),
    }
}

fn single(model: Arc<quintile_scoring::loaded::LoadedModel>) -> Registry {
    let model = Arc::into_inner(model).expect("nobody else has it");
    Registry::single(Arc::new(crate::models::ModelVersion::alone(0, 1, model)))
}

fn facts() -> Facts {
    Facts::new(&about(), &single(logistic(["a", "b", "c", "d"], 1)), 2)
}

fn render(stats: &ShardStats) -> String {
    let mut latency = Latency::new();
    latency.add(&stats.score_ns);
    latency.settle(std::time::Instant::now());
    let shard = || Gauge {
        requests: 3,
        connections: 2,
        connections_open: 1,
    };
    let text = facts().render(&Reading {
        totals: stats,
        unusual: &UnusualTotals::default(),
        latency: &latency,
        counts: &Counts::new(&["parquet"], None),
        shards: &[shard(), shard()],
        process: &Process::look(),
        log_dropped: 0,
        by_model: Vec::new(),
    });
    String::from_utf8(text.to_vec()).unwrap()
}

fn value(text: &str, sample: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {sample} in\n{text}"))
        .parse()
        .unwrap()
}

#[test]
fn buckets_are_1_2_5_of_every_decade() {
    assert_eq!(BUCKETS_NS[..4], [1_000, 2_000, 5_000, 10_000]);
    assert_eq!(BUCKETS_NS[21], 10_000_000_000);
    assert!(BUCKETS_NS.is_sorted());
}

#[test]
fn everything_is_there_from_the_start() {
    let text = render(&ShardStats::new());
    for sample in [
        "quintile_requests_total{route=\"/score\",status=\"200\"}",
        "quintile_requests_total{route=\"other\",status=\"404\"}",
        "quintile_scores_total{score=\"5\"}",
        "quintile_scores_total{score=\"none\"}",
        "quintile_timeouts_total{phase=\"first_byte\"}",
        "quintile_panics_total",
        "quintile_shed_total",
        "quintile_events_dropped_total",
        "quintile_log_dropped_total",
        "quintile_score_duration_seconds_bucket{le=\"0.000001\"}",
        "quintile_score_duration_seconds_bucket{le=\"10\"}",
        "quintile_score_duration_seconds_bucket{le=\"+Inf\"}",
        "quintile_score_duration_seconds_count",
        "quintile_records_delivered_total{sink=\"parquet\"}",
        "quintile_records_damaged_total{sink=\"parquet\"}",
        "quintile_records_pending{sink=\"parquet\"}",
        "quintile_sink_errors_total{sink=\"parquet\"}",
        "quintile_sink_files_written_total{sink=\"parquet\"}",
    ] {
        assert!(value(&text, sample).abs() < f64::EPSILON, "{sample} is not 0");
    }
    assert!(value(&text, "quintile_score_duration_recent_seconds{quantile=\"0.99\"}").is_nan());
    for (sample, expected) in [
        ("quintile_shard_requests_total{shard=\"1\"}", 3.0),
        ("quintile_connections_total{shard=\"0\"}", 2.0),
        ("quintile_connections_open{shard=\"1\"}", 1.0),
        (
            "quintile_build_info{version=\"1.2.3\",commit=\"abc\",target=\"x86_64-unknown-linux-gnu\"}",
            1.0,
        ),
        ("quintile_runtime_info{backend=\"epoll\",shards=\"2\"}", 1.0),
    ] {
        assert!((value(&text, sample) - expected).abs() < f64::EPSILON, "{sample}");
    }
    assert!(text.contains("quintile_model_info{name=\"logistic\",version=\"sha256-"));
    assert!(value(&text, "process_resident_memory_bytes") > 1e6);
    assert!(value(&text, "process_start_time_seconds") > 1.7e9);
}

#[test]
fn the_histogram_counts_what_lies_at_or_below_a_bound() {
    let mut stats = ShardStats::new();
    let mut values = vec![
        1,
        999,
        1_000,
        1_001,
        2_000,
        5_000,
        10_000,
        1_000_000,
        10_000_000_000,
        59_000_000_000,
    ];
    values.extend((0..5_000).map(|step| 700 + step * step));
    for &value_ns in &values {
        stats.scored(Some(3), value_ns);
    }
    let text = render(&stats);
    for bound_ns in BUCKETS_NS {
        let bound = seconds(bound_ns);
        let counted = value(
            &text,
            &format!("quintile_score_duration_seconds_bucket{{le=\"{bound}\"}}"),
        );
        let exact = |limit: u64| float(values.iter().filter(|&&value| value <= limit).count() as u64);
        // Values are kept to three digits.
        assert!(
            (exact(bound_ns)..=exact(bound_ns + bound_ns / 1_000)).contains(&counted),
            "{bound}: {counted}, not {}",
            exact(bound_ns)
        );
    }
    let count = float(values.len() as u64);
    assert!((value(&text, "quintile_score_duration_seconds_count") - count).abs() < f64::EPSILON);
    assert!((value(&text, "quintile_scores_total{score=\"3\"}") - count).abs() < f64::EPSILON);
    let sum = seconds(values.iter().sum());
    assert!((value(&text, "quintile_score_duration_seconds_sum") / sum - 1.0).abs() < 1e-3);
    values.sort_unstable();
    for family in ["recent", "life"] {
        let median = value(
            &text,
            &format!("quintile_score_duration_{family}_seconds{{quantile=\"0.5\"}}"),
        );
        assert!((median / seconds(values[values.len() / 2]) - 1.0).abs() < 2e-3);
    }
}

#[test]
fn recent_quantiles_forget() {
    let mut latency = Latency::new();
    let mut block = ShardStats::new();
    block.scored(None, 1_000);
    latency.add(&block.score_ns);
    let begin = latency.span_began();
    for (after, expected) in [(0, 1), (4, 1), (5, 1), (9, 1), (10, 1), (10, 0)] {
        latency.settle(begin + std::time::Duration::from_secs(after));
        assert_eq!(latency.recent.len(), expected, "after {after} s");
    }
}

/// Where promtool is, if it is anywhere: on PATH, or where the setup unpacks it.
#[expect(
    clippy::disallowed_methods,
    reason = "a test finds its tools by PATH, as a shell does"
)]
fn promtool() -> Option<std::path::PathBuf> {
    let mut folders: Vec<_> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    if let Some(target) = std::env::var_os("CARGO_TARGET_DIR") {
        folders.push(std::path::Path::new(&target).join("tools/usr/bin"));
    }
    folders.push(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/tools/usr/bin").into());
    folders
        .iter()
        .map(|folder| folder.join("promtool"))
        .find(|path| path.is_file())
}

#[test]
fn promtool_finds_nothing_to_complain_of() {
    let Some(promtool) = promtool() else {
        say("SKIPPED: THE METRICS ARE NOT CHECKED BY PROMTOOL, WHICH IS NOT HERE (apt-get install prometheus)");
        return;
    };
    let mut scored = ShardStats::new();
    scored.scored(Some(1), 1_234);
    scored.answered(Route::Score, 200);
    for stats in [ShardStats::new(), scored] {
        let mut child = Command::new(&promtool)
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, render(&stats).as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(
            output.status.success() && said.is_empty(),
            "{}",
            String::from_utf8_lossy(&said)
        );
    }
}

#[test]
fn two_blocks_exist_for_a_shard_and_no_more() {
    use crate::shard::mailbox::{Mail, mailbox};
    use crate::side::stats::Link;

    let (address, mailbox) = mailbox();
    let (full_in, full_out) = crossbeam_channel::bounded(2);
    let link = Link::new(address, full_out, Arc::default());
    let demo = quintile_scoring::loaded::LoadedModel::load(None, quintile_model::Options::default(), 0).unwrap();
    let status = crate::side::status::Status::new(&about(), &single(Arc::new(demo)), 1, std::time::Instant::now());
    let (_models, models_out) = crossbeam_channel::unbounded();
    let mut stats = Stats::new(
        vec![link],
        facts(),
        status,
        models_out,
        Arc::new(Counts::new(&["parquet"], None)),
    );
    let letters = || {
        let mut letters = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            loop {
                tokio::select! {
                    biased;
                    letter = mailbox.next() => letters.push(letter.unwrap()),
                    () = std::future::ready(()) => break,
                }
            }
        });
        letters
    };
    let mut own = Box::new(ShardStats::new());
    for round in 0..5 {
        own.answered(Route::Score, 200);
        // The shard is slow: asked three times, it has one block to swap.
        for _ in 0..3 {
            stats.send_empty_blocks();
        }
        let mut blocks = letters().into_iter().filter_map(|letter| match letter {
            Mail::Stats(block) => Some(block),
            _ => None,
        });
        let empty = blocks.next().expect("one block travels");
        assert!(blocks.next().is_none());
        full_in.send(std::mem::replace(&mut own, empty)).unwrap();
        stats.collect();
        stats.publish();
        let letters = letters();
        let [Mail::Metrics(text), Mail::Status(_)] = letters.as_slice() else {
            panic!("not both texts came: {letters:?}")
        };
        let text = String::from_utf8(text.to_vec()).unwrap();
        let sample = "quintile_requests_total{route=\"/score\",status=\"200\"}";
        assert!((value(&text, sample) - f64::from(round + 1)).abs() < f64::EPSILON);
        assert!(
            (value(&text, "quintile_shard_requests_total{shard=\"0\"}") - f64::from(round + 1)).abs() < f64::EPSILON
        );
    }
}
