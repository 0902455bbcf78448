//! What records cost: how many a second reach Parquet, how long an append takes, and what the spool adds to a request.
//!
//! In one process and without sockets: this thread is the shard (bytes of a body → row → score → record → answer),
//! pinned to the first CPU; side, its worker and the spool's threads are on the second, or on the same one.
//!
//! ```text
//! cargo bench -p quintile --bench records -- ship [SECONDS [RATE [same]]]   records a second that reach Parquet
//! cargo bench -p quintile --bench records -- append [SECONDS [RATE]]        one append, and the clock's own cost
//! cargo bench -p quintile --bench records -- pairs [PAIRS [SECONDS [RATE]]] p99 with the spool and without, in turn
//! cargo bench -p quintile --bench records -- encode                         what a compression of Parquet costs and saves
//! ```
//! Records lie under `target/tmp/records`, or where `--data DIR` says.

#![allow(clippy::print_stdout, reason = "a table is what this program is for")]

mod encode;
mod server;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use quintile::config::SinkKind;
use quintile::spool;
use quintile::topology::pin_current_thread;

use server::Bench;

fn main() {
    let mut words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let data = match words.iter().position(|word| word == "--data") {
        Some(place) => {
            words.remove(place);
            PathBuf::from(words.remove(place))
        }
        None => Path::new(env!("CARGO_TARGET_TMPDIR")).join("records"),
    };
    let number = |place: usize, default: u64| words.get(place).map_or(default, |word| word.parse().expect("a number"));
    let _ = std::fs::remove_dir_all(&data);
    std::fs::create_dir_all(&data).expect("the folder can be made");
    match words.first().map(String::as_str) {
        Some("ship") => ship(&data, number(1, 20), number(2, 0), words.get(3).is_some()),
        Some("append") => append(&data, number(1, 20), number(2, 50_000)),
        Some("pairs") => pairs(&data, number(1, 10), number(2, 4), number(3, 20_000)),
        Some("encode") => encode::run(),
        _ => println!("usage: records ship|append|pairs|encode …, see the head of benches/records/main.rs"),
    }
    let _ = std::fs::remove_dir_all(&data);
}

/// Waits without sleeping: a timer's slack is longer than what is measured.
fn wait_until(when: Instant) {
    while Instant::now() < when {
        std::hint::spin_loop();
    }
}

fn pin(cpu: usize) {
    if let Err(error) = pin_current_thread(cpu) {
        println!("not pinned to CPU {cpu}: {error}");
    }
}

fn ship(data: &Path, seconds: u64, rate: u64, same: bool) {
    pin(usize::from(!same));
    let mut bench = Bench::start(data, vec![SinkKind::Parquet]);
    pin(0);
    let gap = if rate == 0 {
        Duration::ZERO
    } else {
        Duration::from_secs(1) / u32::try_from(rate).expect("a rate")
    };
    let began = Instant::now();
    let (mut next, mut answered, mut shed) = (began, 0_u64, 0_u64);
    let (mut anonymous_max, mut file_max, mut spool_max, mut look) = (0, 0, 0, began);
    while began.elapsed() < Duration::from_secs(seconds) {
        if rate > 0 {
            wait_until(next);
            next += gap;
        }
        if bench.shard.serve() {
            answered += 1;
        } else {
            shed += 1;
        }
        if Instant::now() >= look {
            look += Duration::from_millis(250);
            let (anonymous, file) = memory();
            (anonymous_max, file_max) = (anonymous_max.max(anonymous), file_max.max(file));
            spool_max = spool_max.max(bench.spool.as_ref().map_or(0, spool::Gauges::bytes));
        }
    }
    let loaded = began.elapsed();
    let (shard, side) = (bench.shard, bench.side);
    drop(shard);
    let delivered = side
        .finish(Instant::now() + Duration::from_secs(120))
        .expect("all is delivered");
    let all = began.elapsed();
    assert_eq!(delivered.records, answered, "every answer has a record");
    let per_second = |count: u64, time: Duration| count as f64 / time.as_secs_f64();
    println!(
        "answered {:.0}/s, shed {:.0}/s in {:.1} s; delivered {:.0}/s to the end, {:.2} s after the last answer",
        per_second(answered, loaded),
        per_second(shed, loaded),
        loaded.as_secs_f64(),
        per_second(answered, all),
        (all - loaded).as_secs_f64(),
    );
    println!(
        "at most: {} MiB anonymous, {} MiB of files resident, {} MiB of spool; {} MiB of Parquet",
        anonymous_max >> 10,
        file_max >> 10,
        spool_max >> 20,
        folder_bytes(&data.join("scores")) >> 20,
    );
}

/// Resident KiB: our own, and of files.
fn memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
        line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap_or(0)
    };
    (of("RssAnon:"), of("RssFile:") + of("RssShmem:"))
}

fn folder_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => folder_bytes(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

fn append(data: &Path, seconds: u64, rate: u64) {
    pin(1);
    let mut bench = Bench::start(data, vec![SinkKind::Parquet]);
    pin(0);
    let mut times = Histogram::<u64>::new_with_bounds(1, 10_000_000_000, 3).expect("bounds");
    let mut clock = times.clone();
    let gap = Duration::from_secs(1) / u32::try_from(rate).expect("a rate");
    let began = Instant::now();
    let mut next = began;
    while began.elapsed() < Duration::from_secs(seconds) {
        wait_until(next);
        next += gap;
        bench.shard.step();
        let body = &bench.shard.bodies[bench.shard.turn];
        bench
            .shard
            .workspace
            .read(&bench.shard.version.loaded, body)
            .expect("a good body");
        let score = bench.shard.workspace.score(&bench.shard.version.loaded);
        bench.shard.encode(score);
        let start = Instant::now();
        let result = bench.shard.writer.append(&bench.shard.frame);
        let end = Instant::now();
        let nothing = Instant::now();
        result.expect("there is room");
        times += nanoseconds(end - start);
        clock += nanoseconds(nothing - end);
    }
    let (shard, side) = (bench.shard, bench.side);
    let bytes = shard.frame.len();
    drop(shard);
    side.finish(Instant::now() + Duration::from_secs(120))
        .expect("all is delivered");
    println!("{} appends of {bytes} bytes, {rate} a second; nanoseconds", times.len());
    for (name, times) in [("append", &times), ("clock alone", &clock)] {
        let at = |quantile: f64| times.value_at_quantile(quantile);
        println!(
            "{name:12} p50 {:5} p99 {:5} p99.9 {:5} p99.99 {:6} max {:8}",
            at(0.5),
            at(0.99),
            at(0.999),
            at(0.9999),
            times.max()
        );
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1)
}

/// Latency of a request in process, from its due time: p50, p99, p99.9 in nanoseconds.
fn arm(data: &Path, sinks: Vec<SinkKind>, seconds: u64, rate: u64) -> [f64; 3] {
    pin(1);
    let mut bench = Bench::start(data, sinks);
    pin(0);
    let mut times = Histogram::<u64>::new_with_bounds(1, 10_000_000_000, 3).expect("bounds");
    let gap = Duration::from_secs(1) / u32::try_from(rate).expect("a rate");
    let warm = Instant::now() + Duration::from_millis(300);
    while Instant::now() < warm {
        bench.shard.serve();
    }
    let began = Instant::now();
    let mut next = began;
    while began.elapsed() < Duration::from_secs(seconds) {
        wait_until(next);
        assert!(bench.shard.serve(), "there is room");
        times += nanoseconds(next.elapsed());
        next += gap;
    }
    let (shard, side) = (bench.shard, bench.side);
    drop(shard);
    side.finish(Instant::now() + Duration::from_secs(120))
        .expect("all is delivered");
    [0.5, 0.99, 0.999].map(|quantile| times.value_at_quantile(quantile) as f64)
}

fn pairs(data: &Path, pairs: u64, seconds: u64, rate: u64) {
    let mut differences: [Vec<f64>; 3] = Default::default();
    let mut levels: [[Vec<f64>; 2]; 3] = Default::default();
    for pair in 0..pairs {
        let run = |with: bool| {
            let sinks = if with { vec![SinkKind::Parquet] } else { Vec::new() };
            arm(data, sinks, seconds, rate)
        };
        // The one that comes first changes, so that a machine that gets slower or faster favours neither.
        let (none, spool) = if pair % 2 == 0 {
            let none = run(false);
            (none, run(true))
        } else {
            let spool = run(true);
            (run(false), spool)
        };
        for place in 0..3 {
            differences[place].push(spool[place] - none[place]);
            levels[place][0].push(none[place]);
            levels[place][1].push(spool[place]);
        }
    }
    println!("{pairs} pairs of {seconds} s at {rate} requests a second, in turn; nanoseconds from the due time");
    println!("        median none  median spool  mean difference and its 95 % interval");
    for (place, name) in ["p50", "p99", "p99.9"].iter().enumerate() {
        let (mean, half) = interval(&differences[place]);
        println!(
            "{name:6} {:12.0} {:13.0}  {mean:+8.0}  from {:+.0} to {:+.0}",
            median(&mut levels[place][0]),
            median(&mut levels[place][1]),
            mean - half,
            mean + half
        );
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Mean and half of the 95 % interval by Student's t.
fn interval(values: &[f64]) -> (f64, f64) {
    /// For 1, 2, … degrees of freedom.
    const T: [f64; 19] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
        2.120, 2.110, 2.101, 2.093,
    ];
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let t = T.get(values.len().saturating_sub(2)).copied().unwrap_or(2.0);
    (mean, t * (variance / count).sqrt())
}
