//! `/metrics`: clean under promtool, and the numbers are those of what was asked.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::harness::Launch;
use crate::on_both;
use crate::score::lead;

fn counts_what_happened(runtime: &str) {
    let server = Launch::new(runtime).shards(2).start();
    let mut connection = server.connect();
    let mut by_band = [0u32; 6];
    for number in 0..40 {
        let answer = connection.post("/score", &lead(number)).json();
        by_band[usize::try_from(answer["score"].as_u64().expect("a band")).expect("small")] += 1;
    }
    assert_eq!(connection.post("/score", "{}").status, 422);
    assert_eq!(connection.post("/score", "{").status, 400);
    assert_eq!(connection.get("/nowhere").status, 404);
    let is = |wanted: f64| move |value: f64| (value - wanted).abs() < 0.5;
    server.await_metric("quintile_requests_total{route=\"/score\",status=\"200\"}", is(40.0));
    server.await_metric("quintile_requests_total{route=\"/score\",status=\"422\"}", is(1.0));
    server.await_metric("quintile_requests_total{route=\"/score\",status=\"400\"}", is(1.0));
    server.await_metric("quintile_requests_total{route=\"other\",status=\"404\"}", is(1.0));
    server.await_metric("quintile_score_duration_seconds_count", is(40.0));
    for (band, &count) in by_band.iter().enumerate().skip(1) {
        server.await_metric(
            &format!("quintile_scores_total{{score=\"{band}\"}}"),
            is(f64::from(count)),
        );
    }
    server.await_metric("quintile_score_duration_seconds_bucket{le=\"0.000001\"}", |count| {
        count <= 40.0
    });
    let text = server.connect().get("/metrics").text();
    for name in [
        "quintile_build_info{",
        "quintile_model_info{",
        "quintile_runtime_info{",
        "quintile_spool_bytes",
        "quintile_records_pending{sink=\"parquet\"}",
    ] {
        assert!(text.contains(name), "no {name} in\n{text}");
    }
    assert!(text.contains(&format!("\"{runtime}\"")), "the runtime is named\n{text}");
}

/// promtool is brought by `cargo xtask test`; without it there is nothing to ask.
#[test]
fn promtool_has_nothing_to_say() {
    let server = Launch::new("epoll").start();
    assert_eq!(server.connect().post("/score", &lead(1)).status, 200);
    server.await_metric("quintile_score_duration_seconds_count", |count| count >= 1.0);
    let text = server.connect().get("/metrics").text();
    let mut command = Command::new("promtool");
    command
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let Ok(mut promtool) = command.spawn() else {
        eprintln!("SKIPPED: PROMTOOL IS NOT ON PATH: the format of /metrics was not checked");
        return;
    };
    promtool
        .stdin
        .take()
        .expect("it is piped")
        .write_all(text.as_bytes())
        .expect("promtool reads");
    let output = promtool.wait_with_output().expect("promtool ends");
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success() && said.is_empty(),
        "{}\n{text}",
        String::from_utf8_lossy(&said)
    );
}

on_both!(counts_what_happened);
