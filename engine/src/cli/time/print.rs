//! The times, for people, for scripts and for spreadsheets.

use std::fmt::Write as _;

use quintile_scoring::text::harmless;

use super::super::json::{Object, array};
use super::{Samples, Times};

/// Shares of the rounds between which the spread of a figure is shown.
const SPREAD: [f64; 2] = [0.1, 0.9];

const MEDIAN: f64 = 0.5;

/// For people.
pub(super) fn table(times: &Times) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "model        {} ({})",
        harmless(&times.model),
        harmless(&times.file)
    );
    let origin = match times.are_made {
        true => ", made from the model's thresholds, one value in ten missing",
        false => "",
    };
    let _ = writeln!(out, "rows         {}{origin}", times.rows);
    let cpu = times.cpu.map_or("not pinned".to_owned(), |cpu| format!("CPU {cpu}"));
    let processor = times.processor.as_deref().unwrap_or("unknown");
    let _ = writeln!(out, "processor    {}, {cpu}", harmless(processor));
    let rounds = times.kernels.iter().flat_map(|kernel| &kernel.outcome);
    let rounds = rounds.map(|figures| figures.batch.0.len()).max().unwrap_or(0);
    let _ = writeln!(
        out,
        "\nnanoseconds a row: median of {rounds} rounds, 10th and 90th percentile"
    );
    let many = format!("{} rows a call", times.batch);
    let _ = writeln!(
        out,
        "  {:<10} {:<32} {:<32} {:>9}",
        "kernel", "one row a call", many, "KiB"
    );
    for kernel in &times.kernels {
        let star = if kernel.is_chosen { '*' } else { ' ' };
        let _ = match &kernel.outcome {
            Ok(figures) => writeln!(
                out,
                "{star} {:<10} {}  {} {:>9}",
                kernel.choice,
                cell(&figures.single),
                cell(&figures.batch),
                figures.bytes / 1024
            ),
            Err(why) => writeln!(out, "{star} {:<10} - {why}", kernel.choice),
        };
    }
    let _ = writeln!(out, "* is what is taken where no kernel is asked for");
    out
}

fn cell(samples: &Samples) -> String {
    let [low, high] = SPREAD.map(|share| samples.at(share));
    format!("{:>10.1} {:>9.1} {:>9.1}", samples.at(MEDIAN), low, high)
}

/// One JSON object.
pub(super) fn json(times: &Times) -> String {
    let mut object = Object::default();
    object.text("file", Some(&times.file));
    object.text("model", Some(&times.model));
    object.raw("rows", &times.rows.to_string());
    object.raw("rows_made", &times.are_made.to_string());
    object.text("processor", times.processor.as_deref());
    object.raw("cpu", &times.cpu.map_or("null".to_owned(), |cpu| cpu.to_string()));
    let kernels = times.kernels.iter().map(|kernel| {
        let mut object = Object::default();
        object.text("kernel", Some(&kernel.choice.to_string()));
        object.raw("chosen", &kernel.is_chosen.to_string());
        match &kernel.outcome {
            Ok(figures) => {
                object.text("unsupported", None);
                object.raw("bytes", &figures.bytes.to_string());
                object.raw("single", &samples(&figures.single, 1));
                object.raw("batch", &samples(&figures.batch, times.batch));
            }
            Err(why) => object.text("unsupported", Some(why)),
        }
        object.finish()
    });
    object.raw("kernels", &array(kernels));
    object.finish() + "\n"
}

fn samples(samples: &Samples, rows_a_call: usize) -> String {
    let mut object = Object::default();
    object.raw("rows_a_call", &rows_a_call.to_string());
    object.raw("rounds", &samples.0.len().to_string());
    for (name, share) in [
        ("median_ns", MEDIAN),
        ("p10_ns", SPREAD[0]),
        ("p90_ns", SPREAD[1]),
        ("least_ns", 0.0),
    ] {
        // A figure is finite, and Rust prints a finite double as JSON does.
        object.raw(name, &format!("{:.1}", samples.at(share)));
    }
    object.finish()
}

/// A line a kernel and number of rows a call; kernels that do not take the model have none.
pub(super) fn csv(times: &Times) -> String {
    let mut out = String::from("kernel,chosen,rows_a_call,rounds,median_ns,p10_ns,p90_ns,least_ns,bytes\n");
    for kernel in &times.kernels {
        let Ok(figures) = &kernel.outcome else { continue };
        for (rows_a_call, samples) in [(1, &figures.single), (times.batch, &figures.batch)] {
            let [median, low, high, least] = [MEDIAN, SPREAD[0], SPREAD[1], 0.0].map(|share| samples.at(share));
            let _ = writeln!(
                out,
                "{},{},{rows_a_call},{},{median:.1},{low:.1},{high:.1},{least:.1},{}",
                kernel.choice,
                kernel.is_chosen,
                samples.0.len(),
                figures.bytes
            );
        }
    }
    out
}
