//! Signals, pipes and the demo: reloads at the edges.

use super::*;

fn signals_that_come_close_together_do_no_harm(runtime: &str) {
    let folder = Folder::new("close", runtime);
    folder.configure("two.ubj", "");
    let mut server = folder.launch(runtime).start();
    folder.configure("one.ubj", "");
    for _ in 0..20 {
        server.signal(Signal::HUP);
    }
    await_log(&server, "another model is served from now on", 1);
    let mut connection = server.connect();
    assert_eq!(connection.post("/score", &lead(1)).json()["model"]["version"], "1");
    // A request that is not complete keeps the drain waiting.
    let bytes = request("/score", "", lead(2).as_bytes());
    connection.send(&bytes[..bytes.len() - 5]);
    folder.configure("two.ubj", "");
    server.signal(Signal::HUP);
    server.signal(Signal::TERM);
    await_log(&server, "draining", 1);
    server.signal(Signal::HUP);
    await_log(&server, "SIGHUP while draining", 1);
    connection.send(&bytes[bytes.len() - 5..]);
    assert_eq!(connection.answer().status, 200);
    assert_eq!(server.wait(), 0, "{}", server.log());
    assert_eq!(records::read(&server.data()).len(), 2);
}

/// A named pipe where the model was: reading it would wait for ever.
fn a_pipe_is_refused_and_the_next_model_taken(runtime: &str) {
    let folder = Folder::new("pipe", runtime);
    folder.configure("one.ubj", "");
    let server = folder.launch(runtime).no_sink().start();
    fs::remove_file(folder.path("one.ubj")).expect("the folder can be written");
    let mode = rustix::fs::Mode::RWXU;
    rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.path("one.ubj"),
        rustix::fs::FileType::Fifo,
        mode,
        0,
    )
    .expect("a pipe");
    for _ in 0..3 {
        reload(&server, "not reloaded");
    }
    assert!(
        server.log().contains("it is a pipe; only a regular file is accepted"),
        "{}",
        server.log()
    );
    server.await_metric("quintile_reloads_total{result=\"refused\"}", |count| count > 2.5);
    folder.write("one.ubj", fs::read(folder.path("two.ubj")).expect("it is there"));
    reload(&server, "another model is served from now on");
    assert_eq!(server.connect().post("/score", &lead(1)).status, 200);
}

fn the_embedded_demo_stays(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    reload(&server, "the model is as it was");
    let answer = server.connect().post("/score", &lead(1));
    assert_eq!(answer.json()["model"]["name"], "demo");
    server.await_metric("quintile_reloads_total{result=\"unchanged\"}", |count| count > 0.5);
}

on_both!(
    signals_that_come_close_together_do_no_harm,
    a_pipe_is_refused_and_the_next_model_taken,
    the_embedded_demo_stays,
);
