//! The binary as a process: its output after a bug, without a reader, and when it cannot serve.

use std::process::{Command, Output, Stdio};

fn quintile(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quintile"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env_remove("RUST_BACKTRACE");
    command
}

fn text(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_panic_says_what_to_report_and_no_value() {
    for trace in ["0", "1"] {
        let output = quintile(&["panic", "lead-4711"]).env("RUST_BACKTRACE", trace).output();
        let (code, stdout, stderr) = text(&output.expect("the binary starts"));
        assert_eq!((code, stdout.as_str()), (Some(70), ""), "{stderr}");
        assert!(
            stderr.starts_with("quintile: a bug, at engine/src/cli/mod.rs:") && stderr.contains("in thread main"),
            "{stderr}"
        );
        assert!(
            stderr.contains("`quintile version`") && !stderr.contains("4711"),
            "{stderr}"
        );
        assert_eq!(stderr.lines().count() > 1, trace == "1", "{stderr}");
    }
}

#[test]
fn a_server_whose_model_or_manifest_is_wrong_ends_with_78_and_a_line_for_each_fault() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("command-line-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the target directory can be written");
    let (model, manifest) = (folder.join("m.ubj"), folder.join("m.toml"));
    std::fs::copy("demo/demo.ubj", &model).expect("the demo");
    std::fs::write(&manifest, "nmae = 1\nedges = [1]\n").expect("the folder can be written");
    let serve = |model: &str| {
        let arguments = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--sink",
            "none",
            "--log",
            "text",
            "--model",
            model,
        ];
        text(&quintile(&arguments).output().expect("the binary starts"))
    };
    let (code, stdout, stderr) = serve(model.to_str().expect("text"));
    assert_eq!((code, stdout.as_str()), (Some(78), ""), "{stderr}");
    for place in ["m.toml:1:1", "m.toml:2:9"] {
        assert!(
            stderr
                .lines()
                .any(|line| line.contains("ERROR") && line.contains(place)),
            "{stderr}"
        );
    }
    let (code, _, stderr) = serve("/no/such.ubj");
    assert!(
        code == Some(78) && stderr.contains("read /no/such.ubj: there is no such file"),
        "{stderr}"
    );
    std::fs::remove_dir_all(&folder).expect("it is ours");
}
