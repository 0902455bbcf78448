//! Standard error that cannot be written, or only slowly, and standard output with it: leads are answered, what is not
//! written is counted and reported, and SIGTERM ends the process as usual.

use std::fs::File;
use std::io::{PipeReader, Read as _, pipe};
use std::os::fd::{AsFd, FromRawFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::Signal;

use crate::harness::{Launch, Server};
use crate::on_both;
use crate::score::lead;

const DROPPED: &str = "quintile_log_dropped_total";

/// Clients that send leads, and requests that are logged, until the log has lost `lines`.
fn load(server: &Server, lines: f64) {
    let ends = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (ends, port) = (Arc::clone(&ends), server.port);
            let run = move || {
                while !ends.load(Ordering::Relaxed) {
                    let mut connection = crate::client::Connection::open(port);
                    assert_eq!(connection.post("/score", &lead(1)).status, 200);
                    // A bug's report, and a line of the request that met it.
                    assert_eq!(connection.post("/debug/panic", "{}").status, 500);
                }
            };
            thread::Builder::new().spawn(run).expect("a thread")
        })
        .collect();
    server.await_metric(DROPPED, |dropped| dropped >= lines);
    ends.store(true, Ordering::Relaxed);
    clients
        .into_iter()
        .for_each(|client| client.join().expect("every request is answered"));
}

fn full_of_zeros(writer: &impl AsFd) {
    let flags = fcntl_getfl(writer).expect("a pipe");
    fcntl_setfl(writer, flags | OFlags::NONBLOCK).expect("a pipe");
    while rustix::io::write(writer, &[b'0'; 4096]).is_ok() {}
    fcntl_setfl(writer, flags).expect("a pipe");
}

/// A pseudo-terminal whose other side is gone.
#[expect(unsafe_code, reason = "the standard library has no pseudo-terminals")]
fn hung_up_terminal() -> OwnedFd {
    let (mut controller, mut terminal) = (0, 0);
    let null = std::ptr::null_mut();
    // SAFETY: both places are valid for a number each; no name and no settings are asked for.
    let result = unsafe { libc::openpty(&raw mut controller, &raw mut terminal, null, null.cast(), null.cast()) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the call above has opened both, and they have no other owner.
    unsafe {
        drop(OwnedFd::from_raw_fd(controller));
        OwnedFd::from_raw_fd(terminal)
    }
}

fn a_log_that_fails_costs_lines_only(runtime: &str) {
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    let full = File::options().write(true).open("/dev/full").expect("it is there");
    for stderr in [OwnedFd::from(full), writer.into(), hung_up_terminal()] {
        let mut server = Launch::new(runtime).start_with_log_to(stderr);
        load(&server, 40.0);
        server.stop();
    }
}

/// A reader that stops: the pipe is full before the server starts, and is never read.
fn a_log_that_stands_still_costs_lines_only(runtime: &str) {
    let (reader, writer) = pipe().expect("a pipe");
    full_of_zeros(&writer);
    let mut server = Launch::new(runtime)
        .set("LOG__LEVEL", "trace")
        .start_with_log_to(writer);
    load(&server, 1.0);
    server.stop();
    drop(reader);
}

/// A reader that stops and continues: lost lines are reported, and their sum is that of the metric.
fn lost_lines_are_told_when_the_reader_goes_on(runtime: &str) {
    let (reader, writer) = pipe().expect("a pipe");
    full_of_zeros(&writer);
    let mut server = Launch::new(runtime)
        .set("LOG__LEVEL", "trace")
        .start_with_log_to(writer);
    load(&server, 10.0);
    let reads = thread::Builder::new()
        .spawn(move || read_all(reader))
        .expect("a thread");
    server.stop();
    let log = reads.join().expect("the log is read");
    let told = log.lines().filter_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line.trim_start_matches('0')).ok()?;
        let is_told = line["body"].as_str()?.starts_with("log lines were dropped");
        is_told.then(|| line["attributes"]["quintile.lines"].as_u64())?
    });
    assert!(told.sum::<u64>() >= 10, "{log}");
    assert!(log.contains("\"drained\""), "the last line is there");
}

fn read_all(mut reader: PipeReader) -> String {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).expect("a pipe");
    String::from_utf8(bytes).expect("text")
}

/// Records for a reader that stops wait; when it goes on during the drain, it gets all of them.
fn a_reader_of_records_that_stops_gets_them_all(runtime: &str) {
    let (reader, writer) = pipe().expect("a pipe");
    full_of_zeros(&writer);
    let mut server = Launch::new(runtime)
        .set("RECORDS__SINKS", "stdout")
        .stdout(writer)
        .start();
    let mut connection = server.connect();
    (0..300).for_each(|number| assert_eq!(connection.post("/score", &lead(number)).status, 200));
    server.signal(Signal::TERM);
    let lines = read_all(reader);
    assert_eq!(server.wait(), 0, "{}", server.log());
    assert_eq!(lines.lines().count(), 300);
}

on_both!(
    a_log_that_fails_costs_lines_only,
    a_log_that_stands_still_costs_lines_only,
    lost_lines_are_told_when_the_reader_goes_on,
    a_reader_of_records_that_stops_gets_them_all,
);
