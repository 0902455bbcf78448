//! A sink that is taken out of the configuration while records wait for it: the start is refused, with what to do.

use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::harness::Launch;
use crate::on_both;
use crate::score::lead;

fn a_removed_sink_keeps_its_records(runtime: &str) {
    let spool = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("removed-sink-{runtime}-{}", std::process::id()));
    let launch = || Launch::new(runtime).set("RECORDS__SPOOL_DIR", spool.to_str().expect("it is text"));
    // Nobody listens on port 9: what the delivery stream is to get waits.
    let mut server = launch()
        .set("RECORDS__SINKS", "parquet,firehose")
        .set("RECORDS__FIREHOSE_STREAM", "scores")
        .set("AWS__REGION", "eu-central-1")
        .set("AWS__ENDPOINT", "http://127.0.0.1:9")
        .variable("AWS_ACCESS_KEY_ID", "x")
        .variable("AWS_SECRET_ACCESS_KEY", "x")
        .start();
    for number in 0..3 {
        assert_eq!(server.connect().post("/score", &lead(number)).status, 200);
    }
    server.signal(Signal::KILL);
    server.wait_killed();

    let (code, log) = launch().refused();
    assert_eq!(code, Some(78), "{log}");
    let export = format!(
        "quintile spool export {} --sink firehose --out firehose.ndjson",
        spool.display()
    );
    for says in [
        "\"place\":\"records.sinks\"",
        "3 for firehose",
        &export,
        "records.forget",
    ] {
        assert!(
            log.contains(says) || log.contains(&says.replace("\"place\"", "\"quintile.place\"")),
            "{says}: {log}"
        );
    }
    let checked = Command::new(env!("CARGO_BIN_EXE_quintile"))
        .args(["check", "--listen", "127.0.0.1:0"])
        .env("QUINTILE_RECORDS__SPOOL_DIR", &spool)
        .output()
        .expect("the binary starts");
    let checked = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(
        checked.contains("3 for firehose") && checked.contains(&export),
        "{checked}"
    );

    // The command that it names, to standard output.
    let exported = Command::new(env!("CARGO_BIN_EXE_quintile"))
        .args(["spool", "export"])
        .arg(&spool)
        .args(["--sink", "firehose"])
        .output()
        .expect("the binary starts");
    assert_eq!(String::from_utf8_lossy(&exported.stdout).lines().count(), 3);

    let mut server = launch().set("RECORDS__FORGET", "firehose").start();
    assert!(server.log().contains("records.forget names it"), "{}", server.log());
    server.stop();
    // Nothing waits any more, so nothing has to be forgotten.
    launch().start().stop();
    let _ = std::fs::remove_dir_all(spool);
}

on_both!(a_removed_sink_keeps_its_records);
