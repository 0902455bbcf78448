//! The `quintile-bench` binary against servers with a given behaviour. Counts, checks and lower bounds only: how long
//! anything takes is the machine's business.

mod quintile;
mod responder;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use quintile_bench::report::Report;
use responder::{Manner, Wire, certificate, start};

/// What one run printed, and its report if it wrote one.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) error: String,
    pub(crate) report: Option<Report>,
    folder: PathBuf,
}

impl Ran {
    pub(crate) fn report(&self) -> &Report {
        self.report
            .as_ref()
            .unwrap_or_else(|| panic!("no report\n{}\n{}", self.out, self.error))
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).expect("the file was written")
    }
}

/// Runs `quintile-bench` with these words and files for its results, all named after the test.
pub(crate) fn bench(test: &str, words: &[&str]) -> Ran {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("load-{test}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the target directory can be written");
    let json = folder.join("report.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_quintile-bench"));
    command.args(words).stdin(Stdio::null());
    if matches!(words[0], "run" | "search") {
        command.arg("--json").arg(&json);
        command.arg("--svg").arg(folder.join("report.svg"));
        command.arg("--hgrm").arg(folder.join("report.hgrm"));
    }
    let Output { status, stdout, stderr } = command.output().expect("the binary runs");
    Ran {
        code: status.code().expect("it was not killed"),
        out: String::from_utf8_lossy(&stdout).into_owned(),
        error: String::from_utf8_lossy(&stderr).into_owned(),
        report: Report::read(&json).ok(),
        folder,
    }
}

/// Runs against an address for a count of requests: spinning would take the CPU from the tests beside it.
fn count(test: &str, address: SocketAddr, requests: &str, words: &[&str]) -> Ran {
    let url = format!("http://{address}/score");
    let mut all = vec![
        "run", &url, "--count", requests, "--warmup", "0s", "--time", "60s", "--pacing", "timer",
    ];
    all.extend(words);
    bench(test, &all)
}

#[test]
fn every_request_is_counted_once_and_no_two_are_equal() {
    let address = start(Manner::Right, Wire::Plain);
    let ran = count("right", address, "1000", &["--connections", "7", "--threads", "2"]);
    let report = ran.report();
    assert_eq!(
        (ran.code, report.right, report.failures(), report.unfinished),
        (0, 1_000, 0, 0),
        "{}",
        ran.out
    );
    assert_eq!(report.latency_count(), 1_000);
    assert_eq!(report.payload, "/openapi.json", "the server described what it takes");
    assert!(
        ran.out.contains("1,000 right answers") && ran.out.contains("load generator:"),
        "{}",
        ran.out
    );
    let svg = ran.file("report.svg");
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && svg.matches("<polyline").count() == 3);
    let hgrm = ran.file("report.hgrm");
    assert!(hgrm.contains("Total count    =         1000"), "{hgrm}");
}

#[test]
fn a_stall_is_in_the_latency_of_every_request_that_was_due_meanwhile() {
    let stall = Duration::from_millis(400);
    let address = start(Manner::Stalls(50, stall), Wire::Plain);
    for (arrivals, slack) in [(None, 4), (Some("--poisson"), 60)] {
        let address = if arrivals.is_some() {
            start(Manner::Stalls(50, stall), Wire::Plain)
        } else {
            address
        };
        let mut words = vec!["--rate", "1000", "--connections", "2"];
        words.extend(arrivals);
        let ran = count("stall", address, "1000", &words);
        let report = ran.report();
        assert_eq!((ran.code, report.right), (0, 1_000), "{}", ran.out);
        // In the first half of the stall 200 requests were due, and each of them waited for at least the second half.
        let late: u64 = report
            .histogram
            .iter()
            .filter(|(ns, _)| *ns >= 200_000_000)
            .map(|(_, count)| count)
            .sum();
        assert!(late + slack >= 200, "only {late} of 200 say so: {}", ran.out);
        assert!(report.latency.max >= 400_000_000, "{:?}", report.latency);
        // A client that waits for its server before it sends would have said that two were late.
        assert!(report.queued >= 200, "{}", report.queued);
    }
}

#[test]
fn what_never_is_answered_is_told_with_the_time_it_waited() {
    let address = start(Manner::Silent, Wire::Plain);
    let url = format!("http://{address}/score");
    let words = [
        "run",
        &url,
        "--rate",
        "100",
        "--time",
        "1s",
        "--warmup",
        "0s",
        "--patience",
        "500ms",
        "--connections",
        "3",
    ];
    let ran = bench("silent", &words);
    let report = ran.report();
    assert_eq!((ran.code, report.right, report.unfinished), (3, 0, 100), "{}", ran.out);
    assert!(
        report.latency.max >= 1_490_000_000,
        "the first was due at once: {:?}",
        report.latency
    );
    assert!(report.latency.p50 >= 900_000_000, "{:?}", report.latency);
}

#[test]
fn closed_connections_are_failures_and_are_opened_again() {
    let address = start(Manner::Closes(10), Wire::Plain);
    let ran = count("closes", address, "200", &["--connections", "4"]);
    let report = ran.report();
    assert_eq!((ran.code, report.right), (3, 180), "{}", ran.out);
    assert_eq!(report.failed.get("closed"), Some(&20), "{:?}", report.failed);
    assert!((16..=20).contains(&report.reconnects), "{}", report.reconnects);
    assert!(
        ran.out.contains("closed the connection before its answer was complete"),
        "{}",
        ran.out
    );
}

#[test]
fn a_server_may_close_after_an_answer() {
    let address = start(Manner::SaysClose(5), Wire::Plain);
    let ran = count("says-close", address, "100", &["--connections", "1"]);
    let report = ran.report();
    assert_eq!((ran.code, report.right, report.reconnects), (0, 100, 19), "{}", ran.out);
}

#[test]
fn wrong_answers_are_told_apart() {
    let address = start(Manner::WrongId(4), Wire::Plain);
    let ran = count("wrong-id", address, "100", &[]);
    assert_eq!((ran.code, ran.report().right), (3, 75), "{}", ran.out);
    assert_eq!(ran.report().failed.get("wrong id"), Some(&25));
    let ran = count("status-only", address, "100", &["--status-only"]);
    assert_eq!((ran.code, ran.report().right), (0, 100), "{}", ran.out);

    let address = start(Manner::Busy(5), Wire::Plain);
    let ran = count("busy", address, "100", &[]);
    assert_eq!((ran.code, ran.report().right), (3, 80), "{}", ran.out);
    assert_eq!(ran.report().failed.get("status 503"), Some(&20));
    assert!(ran.out.contains("record_queue_full"), "a sample is shown: {}", ran.out);
}

#[test]
fn chunks_h2_and_tls_carry_the_same_answers() {
    let (h1_pem, h1) = certificate("h1", b"http/1.1");
    let (h2_pem, h2) = certificate("h2", b"h2");
    let lines = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("wires.ndjson");
    std::fs::write(&lines, "{\"f1\":1,\"f2\":\"a\"}\n{\"f1\":null}\n").expect("the target directory can be written");
    let lines = lines.to_str().expect("it is UTF-8");
    for (name, scheme, manner, wire, words) in [
        ("chunked", "http", Manner::Chunked, Wire::Plain, vec![]),
        ("h2", "http", Manner::Right, Wire::H2, vec!["--h2", "--streams", "5"]),
        ("pipelined", "http", Manner::Right, Wire::Plain, vec!["--streams", "5"]),
        (
            "pipelined-chunks",
            "http",
            Manner::Chunked,
            Wire::Plain,
            vec!["--streams", "5"],
        ),
        (
            "pipelined-tls",
            "https",
            Manner::Right,
            Wire::Tls(h1.clone()),
            vec!["--insecure", "--streams", "5"],
        ),
        (
            "tls",
            "https",
            Manner::Right,
            Wire::Tls(h1.clone()),
            vec!["--ca", h1_pem.to_str().unwrap()],
        ),
        (
            "tls-h2",
            "https",
            Manner::Right,
            Wire::TlsH2(h2),
            vec!["--h2", "--ca", h2_pem.to_str().unwrap()],
        ),
        (
            "insecure",
            "https",
            Manner::Chunked,
            Wire::Tls(h1.clone()),
            vec!["--insecure"],
        ),
    ] {
        let url = format!("{scheme}://{}/score", start(manner, wire));
        for rate in [None, Some("2000")] {
            let mut all = vec![
                "run", &url, "--count", "300", "--time", "60s", "--warmup", "0s", "-c", "3",
            ];
            all.extend(["--payload", lines, "--pacing", "timer"]);
            all.extend(&words);
            all.extend(rate.iter().flat_map(|rate| ["--rate", rate]));
            let ran = bench(name, &all);
            let report = ran.report();
            assert_eq!(
                (ran.code, report.right, report.bodies),
                (0, 300, 2),
                "{name}: {} {}",
                ran.out,
                ran.error
            );
        }
    }
    let url = format!("https://{}/score", start(Manner::Right, Wire::Tls(h1)));
    let ran = bench("untrusted", &["run", &url, "--payload", lines]);
    assert_eq!(ran.code, 1, "{}", ran.out);
    assert!(ran.error.contains("certificate"), "{}", ran.error);
}

#[test]
fn an_h2_stream_that_is_reset_fails_alone() {
    let address = start(Manner::Closes(10), Wire::H2);
    let lines = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("reset.ndjson");
    std::fs::write(&lines, "{\"f1\":1}\n").expect("the target directory can be written");
    let words = ["--h2", "--connections", "2", "--payload", lines.to_str().unwrap()];
    let ran = count("h2-reset", address, "200", &words);
    let report = ran.report();
    assert_eq!((ran.code, report.right, report.reconnects), (3, 180, 0), "{}", ran.out);
    assert_eq!(report.failed.get("h2"), Some(&20));
}

#[test]
fn a_pipelined_connection_that_ends_fails_what_is_under_way_on_it() {
    for (name, manner) in [("closes", Manner::Closes(40)), ("says-close", Manner::SaysClose(40))] {
        let address = start(manner, Wire::Plain);
        let name = format!("pipelined-{name}");
        let words = ["--connections", "2", "--streams", "8"];
        let ran = count(&name, address, "400", &words);
        let report = ran.report();
        let closed = report.failed.get("closed").copied().unwrap_or(0);
        assert_eq!(
            (ran.code, report.right + closed, report.unfinished),
            (3, 400, 0),
            "{}",
            ran.out
        );
        // The one that was refused and at most seven behind it, each time; ids are checked, so none got another's
        // answer.
        assert!((1..=80).contains(&closed) && report.reconnects > 0, "{}", ran.out);
    }
}

#[test]
fn the_warm_up_is_sent_and_not_counted() {
    let url = format!("http://{}/score", start(Manner::Right, Wire::Plain));
    let words = [
        "run", &url, "--rate", "200", "--warmup", "500ms", "--time", "1s", "--pacing", "timer",
    ];
    let ran = bench("warm-up", &words);
    let report = ran.report();
    assert_eq!((ran.code, report.warmup, report.right), (0, 100, 200), "{}", ran.out);
}

#[test]
fn searches_end_and_say_what_they_found() {
    // This server gives up its promise at no rate that is tried, or at every rate.
    let url = format!("http://{}/score", start(Manner::Right, Wire::Plain));
    let short = [
        "--time",
        "200ms",
        "--warmup",
        "0s",
        "--from",
        "50",
        "--to",
        "100",
        "--connections",
        "4",
    ];
    let mut words = vec!["search", &url, "--p99", "1h"];
    words.extend(short);
    let ran = bench("search-all", &words);
    let search = ran.report().search.as_ref().expect("it was a search");
    assert_eq!(
        (ran.code, search.best, search.bounded),
        (0, Some(100.0), false),
        "{} {}",
        ran.out,
        ran.error
    );
    assert!(ran.out.contains("raise --to"), "{}", ran.out);

    let mut words = vec!["search", &url, "--p99", "1ns"];
    words.extend(short);
    let ran = bench("search-none", &words);
    let search = ran.report().search.as_ref().expect("it was a search");
    assert_eq!((ran.code, search.best), (3, None), "{} {}", ran.out, ran.error);
    assert!(search.tried.len() >= 2, "what fails is tried twice");

    let mut words = vec!["search", &url, "--p99", "1h", "--how", "ramp"];
    words.extend(short);
    let ran = bench("search-ramp", &words);
    let search = ran.report().search.as_ref().expect("it was a search");
    assert_eq!((ran.code, search.bounded), (0, false), "{} {}", ran.out, ran.error);
    let best = search.best.expect("every step kept it");
    assert!((75.0..=100.0).contains(&best), "{best}");
}

#[test]
fn reports_are_compared_and_drawn_together() {
    let address = start(Manner::Right, Wire::Plain);
    let first = count("compare-a", address, "100", &["--name", "first"]);
    let second = count("compare-b", address, "100", &["--name", "second", "--connections", "2"]);
    let paths = [&first, &second].map(|ran| ran.folder.join("report.json"));
    let [a, b] = [&paths[0], &paths[1]].map(|path| path.to_str().unwrap());
    let ran = bench("compare", &["compare", a, b]);
    assert_eq!(ran.code, 0, "{}", ran.error);
    assert!(
        ran.out.contains("ratio") && ran.out.contains("differ in connections: 64 and 2"),
        "{}",
        ran.out
    );
    let same = bench("compare-same", &["compare", a, a]);
    assert!(
        same.out.contains("1.000") && !same.out.contains("differ"),
        "{}",
        same.out
    );
    let svg = first.folder.join("both.svg");
    let ran = bench(
        "plot",
        &["plot", a, b, "--svg", svg.to_str().unwrap(), "--title", "a < b"],
    );
    assert_eq!(ran.code, 0, "{}", ran.error);
    let text = std::fs::read_to_string(svg).expect("it was drawn");
    assert!(
        text.contains("first:") && text.contains("second:") && text.contains("a &lt; b"),
        "{text}"
    );
    let ran = bench("compare-none", &["compare", a, "Cargo.toml"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.error.contains("Cargo.toml") && ran.error.contains("accepted: what --json has written"),
        "{}",
        ran.error
    );
}

#[test]
fn what_cannot_be_done_is_said_with_what_could() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .unwrap();
    let nowhere = format!("http://{closed}/score");
    let answering = format!("http://{}/nothing", start(Manner::Right, Wire::Plain));
    for (words, code, part) in [
        (vec!["run", &nowhere, "--get"], 1, "is the server running there?"),
        (vec!["run", &nowhere], 1, "--payload"),
        (vec!["run", &answering], 1, "no JSON body for POST /nothing"),
        (vec!["run", "localhost:1"], 1, "accepted: http://"),
        (vec!["run", &answering, "--payload", "absent.csv"], 1, "absent.csv"),
        (vec!["run", &answering, "--model", "Cargo.toml"], 1, "load Cargo.toml"),
        (vec!["run", &answering, "--get", "--time", "0s"], 1, "--time 0"),
        (vec!["run"], 2, "<URL>"),
        (
            vec!["search", &answering, "--p99", "1ms", "--from", "9", "--to", "1"],
            1,
            "--from 9 is more than --to 1",
        ),
    ] {
        let ran = bench("cannot", &words);
        assert_eq!(ran.code, code, "{words:?}: {}", ran.error);
        assert!(ran.error.contains(part), "{words:?}: {}", ran.error);
    }
    let help = bench("help", &["--help"]);
    assert!(
        help.code == 0 && help.out.contains("Examples:") && help.out.contains("Exit codes:"),
        "{}",
        help.out
    );
}

#[test]
fn stalls_are_told_for_each_cpu() {
    let ran = bench("stalls", &["stalls", "--time", "50ms"]);
    assert_eq!(ran.code, 0, "{} {}", ran.out, ran.error);
    let cpus = quintile_bench::responder::cpus();
    assert_eq!(ran.out.lines().count(), 1 + cpus.len(), "{}", ran.out);
    let ran = bench("no stalls", &["stalls", "--time", "0s"]);
    assert!(ran.code == 2 && ran.error.contains("from 1ms to 1h"), "{}", ran.error);
}

#[test]
fn the_load_generator_measures_itself() {
    let ran = bench("overhead", &["overhead", "--time", "300ms", "--connections", "4"]);
    assert_eq!(ran.code, 0, "{} {}", ran.out, ran.error);
    assert!(
        ran.out.contains("closed loop") && ran.out.contains("sent late by us"),
        "{}",
        ran.out
    );
}
