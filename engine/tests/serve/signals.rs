//! Signals before the server is ready, and signals that mean nothing to it.

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;

use crate::harness::Launch;
use crate::on_both;
use crate::score::lead;

/// What keeps the start for a second: a task metadata endpoint that takes connections and says nothing.
fn a_signal_while_starting_ends_the_process(runtime: &str) {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("it is bound");
    let mut stopped_in_time = false;
    // The endpoint is given up after a second; on a busy machine the signal may come later, and then it drains.
    for signal in [Signal::TERM, Signal::INT].into_iter().cycle().take(20) {
        let launch = Launch::new(runtime).variable("ECS_CONTAINER_METADATA_URI_V4", &format!("http://{address}/v4/x"));
        let mut server = launch.spawn();
        let connection = silent.accept().expect("it is asked");
        server.signal(signal);
        assert_eq!(server.wait(), 0, "{}", server.log());
        drop(connection);
        thread::sleep(Duration::from_millis(50));
        stopped_in_time = server.log().contains("asked to stop while starting");
        if stopped_in_time {
            assert!(!server.log().contains("\"ready\""), "{}", server.log());
            break;
        }
    }
    assert!(stopped_in_time);
}

fn a_model_that_is_no_file_is_refused_at_once(runtime: &str) {
    let folder =
        std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("pipes-{runtime}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the target directory can be written");
    let path = folder.join("model.json");
    mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).expect("a pipe");
    for flag in ["--model", "--config"] {
        let launch = Launch::new(runtime).args(&[flag, path.to_str().expect("text")]);
        let (code, log) = launch.refused();
        assert_eq!(code, Some(78), "{log}");
        assert!(log.contains("it is a pipe; only a regular file is accepted"), "{log}");
    }
    std::fs::remove_dir_all(&folder).expect("it is ours");
}

fn signals_without_a_meaning_change_nothing(runtime: &str) {
    let mut server = Launch::new(runtime).start();
    let mut connection = server.connect();
    for signal in [
        Signal::USR1,
        Signal::USR2,
        Signal::PIPE,
        Signal::XFSZ,
        Signal::ALARM,
        Signal::VTALARM,
        Signal::PROF,
        Signal::IO,
        Signal::TTOU,
    ] {
        server.signal(signal);
        assert_eq!(connection.post("/score", &lead(1)).status, 200, "{signal:?}");
    }
    server.stop();
}

on_both!(
    a_signal_while_starting_ends_the_process,
    a_model_that_is_no_file_is_refused_at_once,
    signals_without_a_meaning_change_nothing,
);
