//! SIGHUP: another model and configuration under load, or the old ones as they were.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::read::Workspace;
use rustix::process::Signal;

use crate::client::{Answer, request};
use crate::harness::{Launch, PATIENCE, Server};
use crate::on_both;
use crate::records;
use crate::score::lead;

mod edges;

/// Leads that are asked for, over and over.
const LEADS: usize = 40;

/// Two models of the same features with other predictions, one with other features, and a configuration that names one.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, runtime: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{runtime}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the target directory can be written");
        let folder = Self(path);
        let demo = fs::read("demo/demo.ubj").expect("the demo");
        folder.write("one.ubj", &demo);
        folder.write(
            "one.toml",
            b"name = \"leads\"\nversion = \"1\"\nedges = [0.02, 0.05, 0.1, 0.2]\n",
        );
        folder.write("two.ubj", another_base_score(demo));
        folder.write(
            "two.toml",
            b"name = \"leads\"\nversion = \"2\"\nedges = [0.02, 0.05, 0.1, 0.2]\n",
        );
        let other = "../model/tests/fixtures/gbtree-base-score.json";
        folder.write("other.json", fs::read(other).expect("the fixture"));
        folder
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        // As a deployment should do it: no reader sees half a file.
        fs::write(self.0.join("new"), bytes).expect("the folder can be written");
        fs::rename(self.0.join("new"), self.0.join(name)).expect("the folder can be written");
    }

    /// The configuration: a model, and more lines.
    fn configure(&self, model: &str, more: &str) {
        self.write("q.toml", format!("[model]\npath = '{}'\n{more}", self.path(model)));
    }

    fn launch(&self, runtime: &str) -> Launch {
        Launch::new(runtime).args(&["--config", &self.path("q.toml")])
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The same trees with another constant to start from: every margin is another one.
pub(crate) fn another_base_score(mut model: Vec<u8>) -> Vec<u8> {
    let name = b"base_score";
    let at = model
        .windows(name.len())
        .position(|bytes| bytes == name)
        .expect("it has one")
        + name.len();
    let digit = at
        + model[at..]
            .iter()
            .position(|byte| (b'1'..=b'8').contains(byte))
            .expect("a number");
    // The first bytes behind the name are the length of the text.
    let digit = digit
        + model[digit..]
            .iter()
            .position(|&byte| byte == b'E' || byte == b'.')
            .expect("a number")
        - 1;
    model[digit] = if model[digit] == b'1' { b'2' } else { b'1' };
    model
}

/// What a model makes of each lead.
fn expected(folder: &Folder, model: &str) -> Vec<f64> {
    let loaded =
        LoadedModel::load(Some(&folder.0.join(model)), quintile_model::Options::default(), 0).expect("a model");
    let mut workspace = Workspace::new(&loaded, 1 << 16);
    let predict = |number| {
        workspace.read(&loaded, lead(number).as_bytes()).expect("a lead");
        workspace.score(&loaded);
        workspace.predictions()[0]
    };
    (0..LEADS).map(predict).collect()
}

/// Sends SIGHUP and waits until the log says `end`, which it has not said `before` times more often.
fn reload(server: &Server, end: &str) {
    let before = count(server, end);
    server.signal(Signal::HUP);
    await_log(server, end, before + 1);
}

fn count(server: &Server, text: &str) -> usize {
    server.log().lines().filter(|line| line.contains(text)).count()
}

fn await_log(server: &Server, text: &str, times: usize) {
    let began = Instant::now();
    while count(server, text) < times {
        assert!(began.elapsed() < PATIENCE, "no {text:?} in\n{}", server.log());
        thread::sleep(Duration::from_millis(5));
    }
}

fn probability(answer: &Answer) -> f64 {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["probability"].as_f64().expect("a number")
}

fn a_model_is_swapped_under_load_and_every_answer_is_exact(runtime: &str) {
    let folder = Folder::new("swap", runtime);
    folder.configure("one.ubj", "");
    let models = ["one.ubj", "two.ubj"].map(|model| expected(&folder, model));
    assert!(
        models[0]
            .iter()
            .zip(&models[1])
            .all(|(one, two)| one.to_bits() != two.to_bits())
    );
    let mut server = folder.launch(runtime).shards(2).start();
    let stop = AtomicBool::new(false);
    let answered = thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let (server, stop, models) = (&server, &stop, &models);
                scope.spawn(move || ask(server, client, models, stop))
            })
            .collect();
        let health = scope.spawn(|| {
            let mut connection = server.connect();
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(connection.get("/readyz").status, 200);
            }
        });
        for round in 0..8 {
            folder.configure(["two.ubj", "one.ubj"][round % 2], "");
            reload(&server, "another model is served from now on");
            // A request that comes now gets the new one.
            let answer = server.connect().post("/score", &lead(0));
            assert_eq!(probability(&answer).to_bits(), models[(round + 1) % 2][0].to_bits());
            thread::sleep(Duration::from_millis(20));
        }
        stop.store(true, Ordering::Relaxed);
        health.join().expect("always ready");
        let clients = clients
            .into_iter()
            .map(|client| client.join().expect("every answer is right"));
        clients.fold([0, 0], |sum, more| [sum[0] + more[0], sum[1] + more[1]])
    });
    assert!(answered.iter().all(|&count| count > 0), "{answered:?}");
    server.await_metric("quintile_reloads_total{result=\"swapped\"}", |count| count > 7.5);
    // Each shard has a text of its own, renewed twice a second.
    let began = Instant::now();
    while !server
        .connect()
        .get("/metrics")
        .text()
        .contains("quintile_model_info{name=\"leads\",version=\"1\"")
    {
        assert!(began.elapsed() < PATIENCE, "the metrics name another model");
        thread::sleep(Duration::from_millis(50));
    }
    // Every answer has a record, and each says which model made it.
    let records = records::read(&server.stop());
    assert_eq!(records.len(), answered[0] + answered[1] + 8);
    for record in &records {
        let number: usize = record.lead_id["lead-".len()..].parse().expect("a number");
        let version = usize::from(record.model_version == "2");
        assert_eq!(
            record.prediction.to_bits(),
            models[version][number].to_bits(),
            "{record:?}"
        );
    }
}

/// Sends requests until it is stopped; returns how many answers came from each model.
fn ask(server: &Server, client: usize, models: &[Vec<f64>; 2], stop: &AtomicBool) -> [usize; 2] {
    let mut connection = server.connect();
    let mut answered = [0, 0];
    let mut number = client;
    while !stop.load(Ordering::Relaxed) {
        number = (number + 1) % LEADS;
        let answer = connection.post("/score", &lead(number));
        let version = usize::from(answer.json()["model"]["version"] == "2");
        assert_eq!(
            probability(&answer).to_bits(),
            models[version][number].to_bits(),
            "{}",
            answer.text()
        );
        answered[version] += 1;
    }
    answered
}

fn a_fault_keeps_what_is_in_force(runtime: &str) {
    let folder = Folder::new("fault", runtime);
    folder.configure("one.ubj", "");
    let first = expected(&folder, "one.ubj")[3];
    let server = folder.launch(runtime).no_sink().start();
    let mut connection = server.connect();
    let model = fs::read(folder.0.join("one.ubj")).expect("the model");
    let faults: [(&str, Vec<u8>, &[&str]); 6] = [
        ("one.ubj", model[..model.len() / 2].to_vec(), &["one.ubj"]),
        ("one.ubj", Vec::new(), &["one.ubj"]),
        (
            "one.toml",
            b"nmae = 1\nedges = [1]\n".to_vec(),
            &["one.toml:1:1", "one.toml:2:9"],
        ),
        (
            "one.toml",
            format!("[[golden]]\nfeatures = [{}]\nmargin = [1]", ["nan"; 50].join(",")).into(),
            &["golden row 1"],
        ),
        (
            "q.toml",
            b"[limits]\nidle = 1\n[log]\nlevel = 3\n".to_vec(),
            &["q.toml:2:1", "did you mean idle_ms?", "q.toml:4:9"],
        ),
        (
            "q.toml",
            format!("[model]\npath = '{}'\n", folder.path("three.ubj")).into(),
            &["three.ubj: there is no such file"],
        ),
    ];
    for (number, (file, bytes, says)) in faults.iter().enumerate() {
        let before = fs::read(folder.0.join(file)).expect("it is there");
        folder.write(file, bytes);
        let lines = server.log().lines().count();
        reload(&server, "not reloaded");
        let log = server.log();
        let new: Vec<_> = log.lines().skip(lines).collect();
        for said in *says {
            assert!(new.iter().any(|line| line.contains(said)), "{said}\n{}", new.join("\n"));
        }
        assert_eq!(
            probability(&connection.post("/score", &lead(3))).to_bits(),
            first.to_bits()
        );
        folder.write(file, before);
        let refused = u32::try_from(number + 1).expect("a few");
        server.await_metric("quintile_reloads_total{result=\"refused\"}", |count| {
            count > f64::from(refused) - 0.5
        });
    }
    reload(&server, "the model is as it was");
    assert_eq!(connection.get("/readyz").status, 200);
}

fn a_model_with_other_features_takes_over(runtime: &str) {
    let folder = Folder::new("features", runtime);
    folder.configure("one.ubj", "");
    let mut server = folder.launch(runtime).start();
    let mut connection = server.connect();
    let other = r#"{"lead_id":"other","features":{"age":40,"Total Time Spent":3.5,"d":null}}"#;
    assert_eq!(connection.post("/score", &lead(1)).status, 200);
    assert_eq!(connection.post("/score", other).status, 422);
    let describes_other = |server: &Server| {
        server
            .connect()
            .get("/openapi.json")
            .text()
            .contains("Total Time Spent")
    };
    assert!(!describes_other(&server));
    folder.configure("other.json", "");
    reload(&server, "another model is served from now on");
    assert!(describes_other(&server));
    assert_eq!(connection.post("/score", &lead(1)).status, 422);
    let answer = connection.post("/score", other);
    assert_eq!(
        (answer.status, &answer.json()["model"]["name"]),
        (200, &"other".into()),
        "{}",
        answer.text()
    );
    folder.configure("one.ubj", "");
    reload(&server, "another model is served from now on");
    assert_eq!(connection.post("/score", &lead(2)).status, 200);
    let records = records::read(&server.stop());
    let models: HashSet<_> = records.iter().map(|record| record.model_version.as_str()).collect();
    assert_eq!((records.len(), models.len()), (3, 2), "{records:?}");
}

fn descriptions_follow_the_model(runtime: &str) {
    let folder = Folder::new("described", runtime);
    folder.configure("one.ubj", "");
    let server = folder.launch(runtime).no_sink().start();
    let mut connection = server.connect();
    let tags = ["/v1/schema", "/openapi.json"].map(|path| {
        let tag = connection.get(path).header("etag").expect("a tag").to_owned();
        (path, tag)
    });
    folder.configure("other.json", "");
    reload(&server, "another model is served from now on");
    for (path, tag) in tags {
        connection.send(format!(
            "GET {path} HTTP/1.1\r\nhost: q\r\nif-none-match: {tag}\r\n\r\n"
        ));
        let answer = connection.answer();
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.text().contains("Total Time Spent"), "{path}: {}", answer.text());
    }
    let began = Instant::now();
    while connection.get("/v1/status").json()["model"]["name"] != "other" {
        assert!(began.elapsed() < PATIENCE, "the status still tells of the first model");
        thread::sleep(Duration::from_millis(20));
    }
}

fn settings_change_or_are_said_to_take_a_restart(runtime: &str) {
    let folder = Folder::new("settings", runtime);
    folder.configure("one.ubj", "[limits]\nidle_ms = 60000\n[server]\ncpus = 2\n");
    let server = folder.launch(runtime).no_sink().start();
    let mut connection = server.connect();
    assert_eq!(connection.get("/healthz").status, 200);
    folder.configure(
        "one.ubj",
        "[limits]\nidle_ms = 200\nconnections_max = 9\nheaders_max = 8\n[server]\ncpus = 3\n[log]\nlevel = \"warn\"\n",
    );
    server.signal(Signal::HUP);
    await_log(&server, "limits.connections_max", 1);
    // At "warn" the rest of it is not written any more.
    let mut patient = server.connect();
    let began = Instant::now();
    while patient.get("/healthz").status == 200 && began.elapsed() < PATIENCE {
        patient = server.connect();
        patient.send(format!(
            "GET /healthz HTTP/1.1\r\nhost: q\r\n{}\r\n",
            "a: 1\r\n".repeat(9)
        ));
        if patient.answer().status == 431 {
            break;
        }
    }
    assert_eq!(
        connection.get("/healthz").status,
        200,
        "a connection that was there before"
    );
    connection.end();
    patient.end();
    let log = server.log();
    for line in log.lines().filter(|line| line.contains("takes a restart")) {
        assert!(
            line.contains("server.cpus") || line.contains("limits.connections_max"),
            "{line}"
        );
        assert!(
            line.contains("\"2\"") && line.contains("\"3\"") || line.contains("\"10000\"") && line.contains("\"9\""),
            "{line}"
        );
    }
    assert_eq!(count(&server, "takes a restart"), 2, "{log}");
    assert!(
        count(&server, "\"reloaded\"") == 0 && log.contains("limits.idle_ms"),
        "{log}"
    );
    // What takes a restart is said again, what is in force is not.
    folder.configure(
        "one.ubj",
        "[limits]\nidle_ms = 200\nheaders_max = 8\n[server]\ncpus = 3\n[log]\nlevel = \"info\"\n",
    );
    server.signal(Signal::HUP);
    await_log(&server, "takes a restart", 3);
    await_log(&server, "\"reloaded\"", 1);
}

on_both!(
    a_model_is_swapped_under_load_and_every_answer_is_exact,
    a_fault_keeps_what_is_in_force,
    a_model_with_other_features_takes_over,
    descriptions_follow_the_model,
    settings_change_or_are_said_to_take_a_restart,
);
