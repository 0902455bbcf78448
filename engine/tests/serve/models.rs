//! A store of models: names and versions, promotions under load, splits, shadows, the way back, and what operators are
//! told.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::read::Workspace;
use serde_json::{Value, json};

use crate::client::{Answer, Connection};
use crate::harness::{Launch, PATIENCE, Server};
use crate::on_both;
use crate::records;
use crate::reload::another_base_score;
use crate::score::lead;

mod decisions;
mod folders;
mod shares;

/// Leads that are asked for, over and over.
const LEADS: usize = 40;

/// A store with versions of the demo: odd numbers are the demo, even ones start from another constant.
pub(super) struct Store(PathBuf);

impl Store {
    pub(super) fn new(name: &str, runtime: &str) -> Self {
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("store-{name}-{runtime}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("the target directory can be written");
        Self(path)
    }

    /// Puts a version in its place, as a deployment should: by a rename.
    pub(super) fn put(&self, model: &str, version: u64) {
        self.put_with(model, version, "edges = [0.02, 0.05, 0.1, 0.2]\n");
    }

    pub(super) fn put_with(&self, model: &str, version: u64, manifest: &str) {
        let demo = fs::read("demo/demo.ubj").expect("the demo");
        let bytes = if version.is_multiple_of(2) {
            another_base_score(demo)
        } else {
            demo
        };
        let folder = self.0.join(format!(".new-{model}-{version}"));
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("model.ubj"), bytes).expect("a file");
        fs::write(folder.join("model.toml"), manifest).expect("a file");
        fs::create_dir_all(self.0.join(model)).expect("a folder");
        fs::rename(folder, self.folder(model, version)).expect("a rename");
    }

    pub(super) fn folder(&self, model: &str, version: u64) -> PathBuf {
        self.0.join(model).join(version.to_string())
    }

    pub(super) fn launch(&self, runtime: &str) -> Launch {
        Launch::new(runtime)
            .set("SERVER__ADMIN", "127.0.0.1:0")
            .set("MODELS__STORE", &self.0.display().to_string())
            .set("MODELS__DEFAULT", "leads")
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An operator's connection.
pub(super) struct Operator(Connection);

impl Operator {
    pub(super) fn of(server: &Server) -> Self {
        let log = server.log();
        let (_, rest) = log.split_once("\"quintile.admin\":\"127.0.0.1:").expect("it is logged");
        let port = rest.split('"').next().and_then(|port| port.parse().ok());
        Self(Connection::open(port.expect("a port")))
    }

    pub(super) fn ask(&mut self, method: &str, path: &str, body: &Value) -> Answer {
        let body = body.to_string();
        let length = body.len();
        self.0.send(format!(
            "{method} {path} HTTP/1.1\r\nhost: q\r\ncontent-length: {length}\r\n\r\n{body}"
        ));
        self.0.answer()
    }

    /// Asks for a change that must be made.
    pub(super) fn change(&mut self, method: &str, path: &str, body: Value) {
        let answer = self.ask(method, path, &body);
        assert_eq!(answer.status, 200, "{method} {path} {body}: {}", answer.text());
    }

    pub(super) fn model(&mut self, name: &str) -> Value {
        let all = self.0.get("/v1/models").json();
        let models = all["models"].as_array().expect("a list");
        models
            .iter()
            .find(|model| model["name"] == name)
            .cloned()
            .unwrap_or_default()
    }

    /// What is told of a model, looked at until it is `wanted`.
    pub(super) fn await_model(&mut self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let model = self.model(name);
            if wanted(&model) {
                return model;
            }
            assert!(began.elapsed() < PATIENCE, "{model:#}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

pub(super) fn state(model: &Value, version: &str) -> String {
    let versions = model["versions"].as_array().cloned().unwrap_or_default();
    let found = versions.iter().find(|one| one["version"] == version);
    found
        .and_then(|one| one["state"].as_str())
        .unwrap_or("absent")
        .to_owned()
}

/// What a version makes of each lead.
fn expected(store: &Store, version: u64) -> Vec<f64> {
    let path = store.folder("leads", version).join("model.ubj");
    let loaded = LoadedModel::load(Some(&path), quintile_model::Options::default(), 0).expect("a model");
    let mut workspace = Workspace::new(&loaded, 1 << 16);
    let predict = |number| {
        workspace.read(&loaded, lead(number).as_bytes()).expect("a lead");
        workspace.score(&loaded);
        workspace.predictions()[0]
    };
    (0..LEADS).map(predict).collect()
}

pub(super) fn version_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["model"]["version"]
        .as_str()
        .expect("a version")
        .to_owned()
}

fn a_promotion_under_load_fails_and_tears_nothing(runtime: &str) {
    let store = Store::new("promote", runtime);
    store.put("leads", 1);
    store.put("leads", 2);
    let server = store
        .launch(runtime)
        .set("MODELS__VERSIONS", "1,2")
        .no_sink()
        .shards(2)
        .start();
    let models = [expected(&store, 1), expected(&store, 2)];
    assert!(
        models[0]
            .iter()
            .zip(&models[1])
            .all(|(one, two)| one.to_bits() != two.to_bits())
    );
    let stop = AtomicBool::new(false);
    let answered = thread::scope(|scope| {
        let ask = |client: usize| {
            let (server, stop, models) = (&server, &stop, &models);
            move || {
                let mut connection = server.connect();
                let mut answered = [0usize; 2];
                for number in (client..).map(|number| number % LEADS) {
                    if stop.load(Ordering::Relaxed) {
                        return answered;
                    }
                    let answer = connection.post("/score", &lead(number));
                    let version = usize::from(version_of(&answer) == "2");
                    let probability = answer.json()["probability"].as_f64().expect("a number");
                    // An answer is of one model, from its first digit to its last.
                    assert_eq!(probability.to_bits(), models[version][number].to_bits());
                    answered[version] += 1;
                }
                answered
            }
        };
        let clients: Vec<_> = (0..4).map(|client| scope.spawn(ask(client))).collect();
        let mut operator = Operator::of(&server);
        let mut connections: Vec<Connection> = (0..4).map(|_| server.connect()).collect();
        for round in 0..40 {
            let champion = ["1", "2"][round % 2];
            operator.change("PUT", "/v1/models/leads/aliases", json!({"champion": champion}));
            // Every request from now on gets the new one, on every shard.
            for connection in &mut connections {
                assert_eq!(
                    version_of(&connection.post("/score", &lead(0))),
                    champion,
                    "round {round}"
                );
            }
        }
        stop.store(true, Ordering::Relaxed);
        let clients = clients
            .into_iter()
            .map(|client| client.join().expect("every answer is right"));
        clients.fold([0, 0], |sum, more| [sum[0] + more[0], sum[1] + more[1]])
    });
    assert!(answered.iter().all(|&count| count > 0), "{answered:?}");
}

fn paths_say_which_model(runtime: &str) {
    let store = Store::new("paths", runtime);
    for version in [1, 2, 3] {
        store.put("leads", version);
    }
    store.put("offers.b-2", 1);
    let server = store
        .launch(runtime)
        .set("MODELS__VERSIONS", "latest:2")
        .no_sink()
        .start();
    let (mut connection, mut operator) = (server.connect(), Operator::of(&server));
    operator.change(
        "PUT",
        "/v1/models/leads/aliases",
        json!({"champion": "3", "challenger": "2"}),
    );
    for (path, version) in [
        ("/score", "3"),
        ("/v1/models/leads/score", "3"),
        ("/v1/models/leads@champion/score", "3"),
        ("/v1/models/leads@challenger/score", "2"),
        ("/v1/models/leads/versions/2/score", "2"),
        ("/v1/models/offers.b-2/score", "1"),
    ] {
        assert_eq!(version_of(&connection.post(path, &lead(1))), version, "{path}");
    }
    let batch = format!("{{\"leads\":[{},{}]}}", lead(1), lead(2));
    let answer = connection
        .post("/v1/models/leads@challenger/score/batch", &batch)
        .json();
    assert_eq!(
        (&answer["scored"], &answer["model"]["version"]),
        (&json!(2), &json!("2"))
    );
    assert_eq!(
        connection.get("/v1/models/leads/versions/2/schema").json()["model"]["version"],
        "2"
    );
    let document = connection.get("/openapi.json").json();
    for path in [
        "/score",
        "/v1/models/leads/score",
        "/v1/models/offers.b-2/score/batch",
        "/v1/models/leads/schema",
    ] {
        assert!(document["paths"][path].is_object(), "{path} is not described");
    }
    for (path, status, code) in [
        ("/v1/models/nobody/score", 404, "unknown_model"),
        ("/v1/models/leads@nobody/score", 404, "unknown_model"),
        ("/v1/models/leads/versions/9/score/batch", 404, "unknown_model"),
        ("/v1/models/leads/versions/1/score", 503, "model_not_loaded"),
        ("/v1/models/leads/else", 404, "not_found"),
    ] {
        let answer = connection.post(path, &lead(1));
        assert_eq!(
            (answer.status, answer.json()["error"]["code"].as_str()),
            (status, Some(code)),
            "{path}"
        );
    }
    let series = "quintile_model_scores_total{model=\"leads\",version=\"2\",role=\"challenger\"} 4";
    let began = Instant::now();
    while !server.connect().get("/metrics").text().contains(series) {
        assert!(
            began.elapsed() < PATIENCE,
            "{}",
            server.connect().get("/metrics").text()
        );
        thread::sleep(Duration::from_millis(50));
    }
}

fn loading_and_unloading_gives_memory_back_and_keeps_within_the_budget(runtime: &str) {
    let store = Store::new("memory", runtime);
    store.put("leads", 1);
    store.put("leads", 2);
    let server = store.launch(runtime).set("MODELS__VERSIONS", "1").no_sink().start();
    let (mut connection, mut operator) = (server.connect(), Operator::of(&server));
    let mut round = || {
        operator.change("POST", "/v1/models/leads/load", json!({"version": "2"}));
        assert_eq!(
            version_of(&connection.post("/v1/models/leads/versions/2/score", &lead(1))),
            "2"
        );
        assert_eq!(version_of(&connection.post("/score", &lead(1))), "1");
        operator.change("POST", "/v1/models/leads/unload", json!({"version": "2"}));
        assert_eq!(
            connection.post("/v1/models/leads/versions/2/score", &lead(1)).status,
            503
        );
    };
    (0..3).for_each(|_| round());
    let before = server.anonymous_bytes();
    (0..10).for_each(|_| round());
    // What is freed a moment later is waited for.
    let began = Instant::now();
    while server.anonymous_bytes() > before + (8 << 20) {
        assert!(
            began.elapsed() < PATIENCE,
            "{before} bytes grew to {}",
            server.anonymous_bytes()
        );
        thread::sleep(Duration::from_millis(50));
    }
    let answer = operator.ask("POST", "/v1/models/leads/unload", &json!({"version": "1"}));
    assert_eq!(answer.status, 409, "{}", answer.text());
    let answer = operator.ask("POST", "/v1/models/leads/load", &json!({"version": "7"}));
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert!(
        answer.json()["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("no version 7"))
    );
    // The demo takes more than half a MiB, what its reasons come from included: some of ten have room in 3 MiB, not all.
    drop((connection, operator));
    let server = store
        .launch(runtime)
        .set("MODELS__MEMORY_BYTES_MAX", "3145728")
        .set("MODELS__VERSIONS", "1")
        .no_sink()
        .start();
    let mut operator = Operator::of(&server);
    let statuses: Vec<u16> = (3..13)
        .map(|version| {
            store.put("leads", version);
            operator
                .ask(
                    "POST",
                    "/v1/models/leads/load",
                    &json!({"version": version.to_string()}),
                )
                .status
        })
        .collect();
    assert!(statuses.contains(&200) && statuses.last() == Some(&507), "{statuses:?}");
    assert_eq!(version_of(&server.connect().post("/score", &lead(1))), "1");
}

on_both!(
    a_promotion_under_load_fails_and_tears_nothing,
    paths_say_which_model,
    loading_and_unloading_gives_memory_back_and_keeps_within_the_budget,
);
