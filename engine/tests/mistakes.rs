//! A hundred mistakes that people make in their first hour: in the configuration, variables, flags, the manifest and the model
//! file. Each must be told with the key, flag or cell it is in, the value that is wrong, and what to do next.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mistake, and what must be told of it.
struct Mistake {
    /// The configuration file; none when empty.
    file: &'static str,
    variable: (&'static str, &'static str),
    /// The command line; `check` when empty.
    words: &'static [&'static str],
    /// The manifest beside the demo's model; none when empty.
    manifest: &'static str,
    /// A file that is given as a model, by its name, and its bytes.
    model: (&'static str, &'static [u8]),
    /// Where it is, what is wrong, what to do.
    told: &'static [&'static str],
}

const NONE: Mistake = Mistake {
    file: "",
    variable: ("", ""),
    words: &[],
    manifest: "",
    model: ("", b""),
    told: &[],
};

const fn file(file: &'static str, told: &'static [&'static str]) -> Mistake {
    Mistake { file, told, ..NONE }
}

const fn variable(name: &'static str, value: &'static str, told: &'static [&'static str]) -> Mistake {
    Mistake {
        variable: (name, value),
        told,
        ..NONE
    }
}

const fn flags(words: &'static [&'static str], told: &'static [&'static str]) -> Mistake {
    Mistake { words, told, ..NONE }
}

const fn manifest(manifest: &'static str, told: &'static [&'static str]) -> Mistake {
    Mistake { manifest, told, ..NONE }
}

const fn model(name: &'static str, bytes: &'static [u8], told: &'static [&'static str]) -> Mistake {
    Mistake {
        model: (name, bytes),
        told,
        ..NONE
    }
}

#[rustfmt::skip]
const MISTAKES: &[Mistake] = &[
    // The file: syntax and language.
    file("{\"server\": {\"listen\": \"0.0.0.0:8080\"}}", &["q.toml:1:1", "is JSON", "write [server]"]),
    file("server:\n  listen: 0.0.0.0:8080\n", &["q.toml:1:1", "is YAML", "write [server]"]),
    file("[server\nshards = 1", &["q.toml:1:8", "unclosed", "[name] on a line of its own"]),
    file("[server]\nshards =", &["q.toml:2", "shards", "write a value"]),
    file("[server]\nshards = 1\nshards = 2", &["q.toml:3:1", "duplicate key", "leave one of the two out"]),
    file("[server]\nlisten = 127.0.0.1:8080", &["q.toml:2", "listen", "texts stand in quotes: listen = \"127.0.0.1:8080\""]),
    file("[log]\nlevel = info", &["q.toml:2", "level", "texts stand in quotes: level = \"info\""]),
    // Sections and keys.
    file("[sever]\nshards = 1", &["q.toml:1:2", "\"sever\"", "did you mean [server]?"]),
    file("[logging]\nlevel = \"info\"", &["q.toml:1:2", "\"logging\"", "did you mean [log]?"]),
    file("[kafka]\nbrokers = \"a\"", &["q.toml:1:2", "\"kafka\"", "take it out"]),
    file("[sagemaker]\nendpoint = \"a\"", &["q.toml:1:2", "\"sagemaker\"", "did you mean [scoring]?"]),
    file("listen = \"127.0.0.1:8080\"", &["q.toml:1:1", "\"listen\"", "is a key of [server]"]),
    file("port = 8080", &["q.toml:1:1", "\"port\"", "did you mean listen under [server]?"]),
    file("server = 3", &["q.toml:1:10", "server", "write [server] on a line of its own"]),
    file("[server]\nshrads = 2", &["q.toml:2:1", "\"shrads\"", "did you mean shards?"]),
    file("[server]\nport = 8080", &["q.toml:2:1", "\"port\"", "did you mean listen? It takes HOST:PORT"]),
    file("[server]\nworkers = 4", &["q.toml:2:1", "\"workers\"", "did you mean shards?"]),
    file("[server]\nsink = \"none\"", &["q.toml:2:1", "\"sink\"", "did you mean sinks of [records]?"]),
    file("[limits]\nidle = 5", &["q.toml:2:1", "\"idle\"", "did you mean idle_ms?"]),
    file("[limits]\nkeepalive_timeout = 5", &["q.toml:2:1", "\"keepalive_timeout\"", "did you mean idle_ms?"]),
    file("[limits]\ngrace_period = 5", &["q.toml:2:1", "\"grace_period\"", "did you mean drain_ms?"]),
    file("[records]\nbucket = \"lake\"", &["q.toml:2:1", "\"bucket\"", "did you mean s3_url?"]),
    file("[log]\nzzz = 5", &["q.toml:2:1", "\"zzz\"", "format, level"]),
    // Types and ranges.
    file("[server]\nshards = \"2\"", &["server.shards", "string", "without quotes"]),
    file("[server]\nlisten = 8080", &["server.listen", "integer", "HOST:PORT"]),
    file("[server]\nshards = 0", &["server.shards", "is 0", "from 1 to 256"]),
    file("[server]\nshards = -1", &["server.shards", "is -1", "from 1 to 256"]),
    file("[server]\ncpus = 0", &["server.cpus", "is 0", "from 0.01"]),
    file("[server]\npages = true", &["server.pages", "boolean", "on, off"]),
    file("[server]\nruntime = \"tokio\"", &["server.runtime", "\"tokio\"", "auto, glommio, epoll"]),
    file("[server]\nlisten = \"8080\"", &["server.listen", "\"8080\"", "write 127.0.0.1:8080"]),
    file("[server]\nlisten = \":8080\"", &["server.listen", "\":8080\"", "0.0.0.0:8080 for every interface"]),
    file("[server]\nlisten = \"localhost\"", &["server.listen", "\"localhost\"", "write localhost:8080"]),
    file("[server]\nlisten = \"http://0.0.0.0:8080\"", &["server.listen", "http://0.0.0.0:8080", "HOST:PORT"]),
    file("[server]\nlisten = \"127.0.0.1:80800\"", &["server.listen", "127.0.0.1:80800", "65535"]),
    file("[server]\nlisten = \"127.0.0.1:7\"\nadmin = \"127.0.0.1:7\"", &["server.admin", "127.0.0.1:7", "another port"]),
    file("[server]\ncors_origins = [\"crm.example.com\"]", &["server.cors_origins", "crm.example.com", "https://"]),
    file("[records]\nsinks = \"parquet\"", &["records.sinks", "string", "write it in brackets"]),
    file("[records]\nsinks = [\"kafka\"]", &["records.sinks", "\"kafka\"", "parquet, s3, firehose, stdout"]),
    file("[records]\nsinks = [\"s3\"]", &["records.s3_url", "is needed by the sink s3", "set s3_url under [records]"]),
    file("[records]\nsinks = [\"firehose\"]", &["records.firehose_stream", "is needed", "set firehose_stream"]),
    file("[records]\nforget = [\"parquet\"]", &["records.forget", "records.sinks has too", "take it out"]),
    file("[records]\ns3_url = \"lake/scores\"", &["records.s3_url", "\"lake/scores\"", "s3://BUCKET"]),
    file("[records]\nspool_bytes = 1024", &["records.spool_bytes", "is 1024", "from 1048576"]),
    file("[records]\nspool_bytes = \"1G\"", &["records.spool_bytes", "\"1G\"", "\"1GiB\" (powers of 1024)"]),
    file("[records]\nspool_bytes = \"5m\"", &["records.spool_bytes", "\"5m\"", "\"5MiB\" (powers of 1024)"]),
    file("[records]\nspool_bytes = 512", &["records.spool_bytes", "is 512", "did you mean 512 MiB? Write \"512MiB\" or 536870912"]),
    file("[records]\nroll_seconds = 300000", &["records.roll_seconds", "300000", "Write \"300000ms\" or 300"]),
    file("[limits]\ndrain_ms = 25", &["limits.drain_ms", "is 25", "did you mean 25 s? Write \"25s\" or 25000"]),
    file("[limits]\nidle_ms = 75", &["limits.idle_ms", "is 75", "Write \"75s\" or 75000"]),
    file("[limits]\nidle_ms = \"1GiB\"", &["limits.idle_ms", "\"1GiB\"", "no unit of a duration"]),
    file("[limits]\nidle_ms = 75.5", &["limits.idle_ms", "float", "whole number"]),
    file("[limits]\ndrain_delay_ms = \"30s\"", &["limits.drain_delay_ms", "30 s", "a shorter drain_delay_ms"]),
    // Two keys are compared although another one is unknown.
    file(
        "[limits]\nzzz = 1\ndrain_delay_ms = \"30s\"",
        &["no key \"zzz\"", "limits.drain_delay_ms", "a shorter drain_delay_ms"],
    ),
    file("name = \"leads\"\nedges = [0.1, 0.2, 0.3, 0.4]", &["manifest of a model", "a configuration", "quintile serve MODEL"]),
    file("[features.f1]\nrequired = true", &["manifest of a model", "a configuration", "leave out --config"]),
    file("[limits]\nmemory_bytes = 256", &["limits.memory_bytes", "is 256", "Write \"256MiB\""]),
    file("[scoring]\nprimary = \"sagemaker\"", &["scoring.endpoint", "SageMaker", "set endpoint under [scoring]"]),
    file("[log]\nlevel = \"verbose\"", &["log.level", "\"verbose\"", "error, warn, info, debug"]),
    file("[model]\npath = \"s3://lake/leads.ubj\"", &["model.path", "s3://", "aws s3 cp s3://lake/leads.ubj leads.ubj"]),
    file("[model]\npath = \"https://x.example/leads.ubj\"", &["model.path", "https://", "curl -o leads.ubj"]),
    file("[model]\npath = \"\"", &["model.path", "is empty", "a path"]),
    file("[model]\ntrees = 100", &["model.trees", "integer", "all, best"]),
    // Variables.
    variable("QUINTILE_LISTEN", "127.0.0.1:1", &["QUINTILE_LISTEN", "no such setting", "QUINTILE_SERVER__LISTEN"]),
    variable("QUINTILE_PORT", "8080", &["QUINTILE_PORT", "no such setting", "QUINTILE_SERVER__LISTEN? It takes HOST:PORT"]),
    variable("QUINTILE_MODEL", "m.ubj", &["QUINTILE_MODEL", "no such setting", "QUINTILE_MODEL__PATH"]),
    variable("QUINTILE_MODEL_PATH", "m.ubj", &["QUINTILE_MODEL_PATH", "no such setting", "QUINTILE_MODEL__PATH"]),
    variable("QUINTILE_WORKERS", "4", &["QUINTILE_WORKERS", "no such setting", "QUINTILE_SERVER__SHARDS"]),
    variable("QUINTILE_LOG_LEVEL", "debug", &["QUINTILE_LOG_LEVEL", "no such setting", "QUINTILE_LOG__LEVEL"]),
    variable("QUINTILE_SERVER_LISTEN", "a:1", &["QUINTILE_SERVER_LISTEN", "no such setting", "QUINTILE_SERVER__LISTEN"]),
    variable("QUINTILE_CONFGI", "a", &["QUINTILE_CONFGI", "no such setting", "QUINTILE_CONFIG?"]),
    variable("QUINTILE_KAFKA__BROKERS", "a", &["QUINTILE_KAFKA__BROKERS", "no such setting", "config show"]),
    variable("QUINTILE_CONFIG", "/no/such.toml", &["/no/such.toml", "No such file", "QUINTILE_CONFIG"]),
    variable("QUINTILE_SERVER__SHARDS", "two", &["QUINTILE_SERVER__SHARDS", "\"two\"", "from 1 to 256"]),
    variable("QUINTILE_LIMITS__DRAIN_MS", "2h", &["QUINTILE_LIMITS__DRAIN_MS", "7200000 ms", "to 3600000"]),
    variable("QUINTILE_LIMITS__BODY_BYTES_MAX", "1M", &["QUINTILE_LIMITS__BODY_BYTES_MAX", "\"1M\"", "\"1MiB\""]),
    variable("QUINTILE_RECORDS__SINKS", "parqet", &["QUINTILE_RECORDS__SINKS", "\"parqet\"", "did you mean \"parquet\"?"]),
    variable("QUINTILE_RECORDS__DATA_DIR", "s3://lake", &["QUINTILE_RECORDS__DATA_DIR", "s3://", "records.sinks"]),
    variable("QUINTILE_RECORDS__DATA_DIR", "/proc/nowhere", &["records.data_dir", "/proc/nowhere", "set records.data_dir"]),
    variable("QUINTILE_RECORDS__SPOOL_DIR", "/proc/nowhere", &["records.spool_dir", "/proc/nowhere", "set records.spool_dir"]),
    file("[server]\nshards = 64\n[records]\nspool_bytes = \"1MiB\"", &["records.spool_bytes", "1048576 bytes is too small", "must be at least"]),
    variable("QUINTILE_SERVER__LISTEN", "192.0.2.1:8080", &["server.listen", "192.0.2.1:8080", "no such address"]),
    variable("QUINTILE_SERVER__LISTEN", "no.such.host.invalid:80", &["server.listen", "no.such.host.invalid", "127.0.0.1 is this machine"]),
    // Flags.
    flags(&["serve", "--port", "8080"], &["--port", "unexpected argument", "did you mean --listen? It takes HOST:PORT"]),
    flags(&["serve", "--host", "0.0.0.0"], &["--host", "unexpected argument", "did you mean --listen?"]),
    flags(&["serve", "--workers", "4"], &["--workers", "unexpected argument", "did you mean --shards?"]),
    flags(&["serve", "--log-level", "debug"], &["--log-level", "unexpected argument", "QUINTILE_LOG__LEVEL"]),
    flags(&["serve", "--drain-ms", "5"], &["--drain-ms", "unexpected argument", "QUINTILE_LIMITS__DRAIN_MS"]),
    flags(&["serve", "--modle", "m.ubj"], &["--modle", "unexpected argument", "--model"]),
    flags(&["serve", "a.ubj", "b.ubj"], &["b.ubj", "unexpected argument", "--config FILE"]),
    flags(&["check", "--listen", "8080"], &["--listen", "\"8080\"", "write 127.0.0.1:8080"]),
    flags(&["check", "--shards", "0"], &["--shards", "is 0", "from 1 to 256"]),
    flags(&["check", "--kernel", "avx1024"], &["--kernel", "\"avx1024\"", "accepted: auto, reference, scalar, avx512"]),
    flags(&["check", "--kernel", "neon"], &["--kernel", "neon", "quintile version"]),
    flags(&["check", "--trees", "best"], &["--trees", "best", "best_iteration"]),
    flags(&["check", "--config", "/no/such.toml"], &["/no/such.toml", "No such file", "--config"]),
    flags(&["check", "--model", "/no/such.ubj"], &["--model", "/no/such.ubj", "there is no such file"]),
    flags(&["check", "/no/such.ubj"], &["--model", "/no/such.ubj", "there is no such file"]),
    flags(&["healthcheck", "--wait", "soon"], &["--wait", "soon", "as 10s or 1m"]),
    flags(&["scroe", "rows.csv"], &["scroe", "unrecognized subcommand", "score"]),
    // Manifests.
    manifest("nmae = \"x\"", &["m.toml:1:1", "nmae", "name"]),
    manifest("name = 3", &["m.toml:1:8", "name", "write it in quotes"]),
    manifest("[features.f51]\nlabel = \"x\"", &["m.toml", "f51", "f5"]),
    manifest("edges = [0.1, 0.2]", &["m.toml:1", "edges", "four"]),
    manifest("edges = [0.4, 0.2, 0.3, 0.5]", &["m.toml:1", "edge 1 (0.2)", "not above the one before it"]),
    manifest(
        "edgse = [1]\nedges = [10, 20, 40, 60]\n[features.fx]\nunit = \"x\"",
        &["m.toml:1:1", "did you mean edges?", "m.toml:2:", "m.toml:3:"],
    ),
    manifest("[features.f1]\nrnage = [0, 1]", &["m.toml:2:1", "rnage", "range"]),
    // Files that are no models.
    model("m.ubj", b"\x80\x04\x95\x10\x00", &["m.ubj", "pickle", "save_model"]),
    model("m.csv", b"visits,minutes\n1,2\n", &["m.csv", "is a table of text (CSV)", "name the model's file first"]),
    model("m.txt", b"# ours\nname = \"leads\"\n", &["m.txt", "is a manifest", "name the model's file"]),
    model("m.txt", b"[server]\nlisten = \"a:1\"\n", &["m.txt", "is a configuration", "--config"]),
    model("m.json", b"{\"learner\": ", &["m.json", "byte 12", "cut off"]),
    model("m.txt", b"", &["m.txt", "is empty", "accepted are XGBoost models"]),
];

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mistakes-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("the target directory can be written");
    folder
}

/// Everything that the program prints about a mistake, and its exit code.
fn told(mistake: &Mistake, folder: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quintile"));
    let words = if mistake.words.is_empty() {
        &["check"][..]
    } else {
        mistake.words
    };
    command.args(words).current_dir(folder);
    // No port of anybody's is asked for, unless the mistake is about one.
    command.env("QUINTILE_SERVER__ADMIN", "none");
    if !mistake.file.contains("listen") && !words.contains(&"--listen") {
        command.env("QUINTILE_SERVER__LISTEN", "127.0.0.1:0");
    }
    if mistake.file.contains("admin") {
        command.env_remove("QUINTILE_SERVER__ADMIN");
    }
    if !mistake.file.is_empty() {
        fs::write(folder.join("q.toml"), mistake.file).expect("the folder is ours");
        command.args(["--config", "q.toml"]);
    }
    if !mistake.manifest.is_empty() {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/demo.ubj");
        fs::copy(demo, folder.join("m.ubj")).expect("the folder is ours");
        fs::write(folder.join("m.toml"), mistake.manifest).expect("the folder is ours");
        command.args(["--model", "m.ubj"]);
    }
    let (name, bytes) = mistake.model;
    if !name.is_empty() {
        let _ = fs::remove_file(folder.join("m.toml"));
        fs::write(folder.join(name), bytes).expect("the folder is ours");
        command.args(["--model", name]);
    }
    let (variable, value) = mistake.variable;
    if !variable.is_empty() {
        command.env(variable, value);
    }
    let done = command.output().expect("the binary starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (done.status.code(), text(&done.stdout) + &text(&done.stderr))
}

#[test]
fn each_is_told_with_its_place_its_value_and_what_to_do() {
    let folder = folder("each");
    let mut badly = Vec::new();
    for mistake in MISTAKES {
        let (code, text) = told(mistake, &folder);
        let missing: Vec<_> = mistake.told.iter().filter(|says| !text.contains(**says)).collect();
        let what = format!(
            "{:?} {:?} {:?} {:?} {:?}",
            mistake.file, mistake.variable, mistake.words, mistake.manifest, mistake.model.0
        );
        if !missing.is_empty() || !matches!(code, Some(1 | 2 | 78)) {
            badly.push(format!("{what}\n  exit {code:?}, not told: {missing:?}\n{text}"));
        }
    }
    assert!(
        badly.is_empty(),
        "{} are told badly:\n{}",
        badly.len(),
        badly.join("\n")
    );
    assert!(MISTAKES.len() >= 90, "{}", MISTAKES.len());
    let _ = fs::remove_dir_all(folder);
}

/// Faults of the file, a variable and a flag, a model that is not there and a folder that cannot be written to.
#[test]
fn all_layers_are_told_at_once_by_check_and_by_serve() {
    let folder = folder("layers");
    fs::write(folder.join("q.toml"), "[server]\nshrads = 2\n[limits]\nidle_ms = 5\n").expect("the folder is ours");
    let said = |command: &str| {
        let done = Command::new(env!("CARGO_BIN_EXE_quintile"))
            .args([
                command,
                "--config",
                "q.toml",
                "--model",
                "/no/such.ubj",
                "--trees",
                "bset",
            ])
            .args(["--data-dir", "/proc/nowhere"])
            .env("QUINTILE_LISTEN", "a:1")
            .current_dir(&folder)
            .output()
            .expect("the binary starts");
        assert_eq!(done.status.code(), Some(78));
        String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
    };
    for command in ["check", "serve"] {
        let text = said(command);
        for says in [
            "shrads",
            "limits.idle_ms is 5",
            "QUINTILE_LISTEN",
            "--trees",
            "/proc/nowhere",
            "/no/such.ubj",
        ] {
            assert!(text.contains(says), "{command}: {says}\n{text}");
        }
        assert!(!text.contains(" more"), "{text}");
    }
    let _ = fs::remove_dir_all(folder);
}
