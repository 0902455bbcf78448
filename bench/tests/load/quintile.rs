//! Against the real server: exact answers, a wrong model found out, real leads.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::bench;

struct Server {
    child: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server's binary lies beside ours; where only this package was built, it is built now.
fn binary() -> PathBuf {
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    BUILT.get_or_init(build).clone()
}

fn build() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_quintile-bench")).with_file_name("quintile");
    if !path.exists() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--package", "quintile", "--locked"]);
        assert!(cargo.status().expect("cargo runs").success(), "the server can be built");
    }
    path
}

fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/demo/demo.ubj")
}

fn start(model: &Path) -> Server {
    let mut command = Command::new(binary());
    command.args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--sink",
        "none",
        "--log",
        "json",
        "--shards",
        "1",
        "--model",
    ]);
    let mut child = command
        .arg(model)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let log = child.stderr.take().expect("it is piped");
    let mut lines = BufReader::new(log).lines();
    let ready = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let entry: serde_json::Value = serde_json::from_str(&line).ok()?;
        let listen = &entry["attributes"]["quintile.listen"];
        (entry["body"] == "ready").then(|| listen.as_str().map(str::to_owned))?
    });
    // A log without a reader would stop the server.
    let drain = std::thread::Builder::new().name("server-log".into());
    drain
        .spawn(move || lines.for_each(drop))
        .expect("a thread can be started");
    let address = ready.expect("the server says where it listens");
    Server {
        child,
        url: format!("http://{address}"),
    }
}

#[test]
fn every_score_is_the_models_own() {
    let server = start(&demo());
    let demo = demo();
    let model = demo.to_str().unwrap();
    for (name, more) in [("exact", vec![]), ("exact-h2", vec!["--h2", "--streams", "4"])] {
        let mut words = vec![
            "run",
            &server.url,
            "--model",
            model,
            "--count",
            "3000",
            "--time",
            "60s",
            "--warmup",
            "0s",
        ];
        words.extend(["--connections", "8", "--leads", "1000"]);
        words.extend(more);
        let ran = bench(name, &words);
        let report = ran.report();
        assert_eq!(
            (ran.code, report.right, report.bodies),
            (0, 3_000, 1_000),
            "{} {}",
            ran.out,
            ran.error
        );
        assert_eq!(report.checked, "status, id, exact score and prediction");
    }
    let health = format!("{}/healthz", server.url);
    let ran = bench(
        "health",
        &[
            "run", &health, "--get", "--count", "500", "--time", "60s", "--warmup", "0s",
        ],
    );
    assert_eq!((ran.code, ran.report().right), (0, 500), "{} {}", ran.out, ran.error);
}

#[test]
fn another_models_scores_are_found_out() {
    // The same model with other bands: no prediction differs, and every lead whose score changed must be reported.
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("bands-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the target directory can be written");
    let other = folder.join("demo.ubj");
    std::fs::copy(demo(), &other).expect("the demo can be copied");
    let server = start(&demo());
    let words = |model| {
        vec![
            "run",
            &*server.url,
            "--model",
            model,
            "--count",
            "500",
            "--time",
            "60s",
            "--warmup",
            "0s",
            "--leads",
            "500",
        ]
    };
    std::fs::write(other.with_extension("toml"), "edges = [0.0, 0.0, 0.0, 0.0]\n").unwrap();
    let ran = bench("bands-faulty", &words(other.to_str().unwrap()));
    assert_eq!(ran.code, 1, "edges must rise: {}", ran.error);
    std::fs::write(
        other.with_extension("toml"),
        "edges = [0.9996, 0.9997, 0.9998, 0.9999]\n",
    )
    .unwrap();
    let ran = bench("bands", &words(other.to_str().unwrap()));
    let report = ran.report();
    assert_eq!(ran.code, 3, "{} {}", ran.out, ran.error);
    let wrong = report.failed.get("wrong score").copied().unwrap_or(0);
    assert!(wrong > 0 && wrong + report.right == 500, "{:?}", report.failed);
}

#[test]
fn leads_that_do_not_fit_are_told_with_the_servers_words() {
    let server = start(&demo());
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("unfit.csv");
    std::fs::write(&file, "f1,colour\n1,red\n2,blue\n").expect("the target directory can be written");
    let words = [
        "run",
        &server.url,
        "--payload",
        file.to_str().unwrap(),
        "--count",
        "20",
        "--time",
        "60s",
        "--warmup",
        "0s",
    ];
    let ran = bench("unfit", &words);
    assert_eq!(
        (ran.code, ran.report().failed.get("status 4xx")),
        (3, Some(&20)),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("unknown_feature") && ran.out.contains("colour"),
        "{}",
        ran.out
    );
    let demo = demo();
    let mut words = words.to_vec();
    words.extend(["--model", demo.to_str().unwrap()]);
    let ran = bench("fit", &words);
    assert_eq!(
        (ran.code, ran.report().right),
        (0, 20),
        "only f1 is the model's: {} {}",
        ran.out,
        ran.error
    );
}
