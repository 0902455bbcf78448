//! Connections and descriptors at their end: those who ask how the process is are answered.

use std::fs::File;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

use crate::client::{Connection, End};
use crate::harness::{Launch, PATIENCE};
use crate::on_both;
use crate::score::lead;

fn limit_descriptors(current: u64, maximum: u64) -> impl Fn() -> std::io::Result<()> {
    let limit = Rlimit {
        current: Some(current),
        maximum: Some(maximum),
    };
    move || Ok(setrlimit(Resource::Nofile, limit)?)
}

/// As many idle clients as there may be, and more than may wait: a health check comes through, a lead is told to come
/// again.
fn idle_clients_do_not_shut_out_health_checks(runtime: &str) {
    let mut server = Launch::new(runtime)
        .no_sink()
        .shards(2)
        .set("LIMITS__CONNECTIONS_MAX", "20")
        .start();
    let mut idle: Vec<Connection> = (0..20).map(|_| server.connect()).collect();
    assert!(
        idle.iter_mut()
            .all(|connection| connection.get("/healthz").status == 200)
    );
    let silent: Vec<Connection> = (0..150).map(|_| server.connect()).collect();
    for _ in 0..40 {
        for path in ["/healthz", "/readyz", "/metrics"] {
            let mut connection = server.connect();
            let answer = connection.get(path);
            assert_eq!(
                (answer.status, answer.header("connection")),
                (200, Some("close")),
                "{path}"
            );
            assert_eq!(connection.end(), End::Closed);
        }
    }
    let mut connection = server.connect();
    let answer = connection.post("/score", &lead(1));
    assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
    assert_eq!(
        (answer.header("retry-after"), answer.json()["error"]["code"].as_str()),
        (Some("1"), Some("overloaded"))
    );
    assert_eq!(connection.end(), End::Closed);
    // Those that have a place keep it.
    assert!(
        idle.iter_mut()
            .all(|connection| connection.post("/score", &lead(1)).status == 200)
    );
    assert!(server.log().contains("connections wait"), "{}", server.log());
    drop((idle, silent));
    // A shard that has noticed that they are gone gives places again.
    while server.connect().post("/score", &lead(1)).status != 200 {
        thread::sleep(Duration::from_millis(20));
    }
    server.stop();
}

/// One that begins a head and stops holds a place for health checks for a moment only.
fn slow_clients_do_not_keep_the_places_of_health_checks(runtime: &str) {
    let server = Launch::new(runtime)
        .no_sink()
        .set("LIMITS__CONNECTIONS_MAX", "4")
        .start();
    let mut idle: Vec<Connection> = (0..4).map(|_| server.connect()).collect();
    assert!(
        idle.iter_mut()
            .all(|connection| connection.get("/healthz").status == 200)
    );
    let mut slow: Vec<Connection> = (0..40).map(|_| server.connect()).collect();
    slow.iter_mut().for_each(|connection| connection.send("GET /he"));
    assert_eq!(server.connect().get("/healthz").status, 200);
    assert!(slow.iter_mut().all(|connection| connection.end() == End::Closed));
}

fn the_soft_limit_is_raised_and_told(runtime: &str) {
    let server = Launch::new(runtime)
        .no_sink()
        .before_exec(limit_descriptors(64, 600))
        .start();
    let log = server.log();
    assert!(log.contains("\"quintile.open_files_max\":600"), "{log}");
    assert!(log.contains("fewer connections than limits.connections_max"), "{log}");
    let mut connections: Vec<Connection> = (0..150).map(|_| server.connect()).collect();
    assert!(
        connections
            .iter_mut()
            .all(|connection| connection.post("/score", &lead(1)).status == 200)
    );
}

/// Something else has taken every descriptor: health is answered out of the one in reserve.
fn without_a_free_descriptor_health_is_answered(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let mut first = server.connect();
    assert_eq!(first.get("/healthz").status, 200);
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("our child is there");
    let numbers = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u64>().ok());
    let pid = Pid::from_raw(i32::try_from(server.pid()).expect("a pid"));
    let limit = Rlimit {
        current: numbers.max().map(|last| last + 1),
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    prlimit(pid, Resource::Nofile, limit).expect("our own child");
    // They take what is left between the others; then there is nothing.
    let mut silent = Vec::new();
    let began = Instant::now();
    while !server.log().contains("accepting fails") {
        assert!(began.elapsed() < PATIENCE, "{}", server.log());
        silent.push(server.connect());
        thread::sleep(Duration::from_millis(5));
    }
    for _ in 0..10 {
        assert_eq!(server.connect().get("/healthz").status, 200);
    }
    assert_eq!(first.post("/score", &lead(1)).status, 200);
    drop(silent);
}

/// Standard streams that are closed at the start become no socket and no file of the spool.
fn closed_streams_stay_without_a_use(runtime: &str) {
    let mut server = Launch::new(runtime)
        .before_exec(|| {
            (0..3).for_each(close);
            Ok(())
        })
        .start_with_log_to(File::open("/dev/null").expect("it is there"));
    assert_eq!(server.connect().post("/score", &lead(1)).status, 200);
    for number in 0..3 {
        let path = format!("/proc/{}/fd/{number}", server.pid());
        assert_eq!(
            std::fs::read_link(&path).expect("it is open").to_str(),
            Some("/dev/null"),
            "{path}"
        );
    }
    server.stop();
}

#[expect(unsafe_code, reason = "a descriptor is closed that nobody owns any more")]
fn close(number: i32) {
    // SAFETY: called between fork and exec, where nothing of this process uses the descriptor afterwards.
    unsafe { libc::close(number) };
}

on_both!(
    idle_clients_do_not_shut_out_health_checks,
    slow_clients_do_not_keep_the_places_of_health_checks,
    the_soft_limit_is_raised_and_told,
    without_a_free_descriptor_health_is_answered,
    closed_streams_stay_without_a_use,
);
