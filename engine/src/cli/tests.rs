//! The command line from its arguments to its streams and exit codes, without a process.

use clap::CommandFactory as _;

use super::*;
use crate::config::keys::KEYS;

mod inspect;

/// Exit code, standard output, standard error.
fn quintile(arguments: &[&str], stdin: &str) -> (Exit, String, String) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut streams = Streams {
        stdin: &mut stdin.as_bytes(),
        stdout: &mut stdout,
        stderr: &mut stderr,
        watched: Watched::default(),
    };
    let words = ["quintile"].iter().chain(arguments).map(OsString::from);
    let exit = run(words, &mut streams);
    (
        exit,
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

fn fixture(name: &str) -> String {
    format!("{}/../model/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_grammar_is_sound() {
    super::args::Cli::command().debug_assert();
    grammar::command().debug_assert();
}

#[test]
fn flags_of_serve_reach_the_configuration_as_they_are() {
    let words = [
        "quintile",
        "serve",
        "--listen",
        "h:1",
        "--model",
        "m.ubj",
        "--runtime",
        "epoll",
        "--shards",
        "-1",
        "--cpus",
        "1.5",
        "--sink",
        "none",
        "--data-dir",
        "d",
        "--log",
        "json",
        "--trees",
        "best",
        "--kernel",
        "scalar",
        "--config",
        "c.toml",
    ];
    let Command::Serve(args) = grammar::parse(&words.map(OsString::from)).unwrap().command else {
        panic!("not serve");
    };
    assert_eq!(args.flags.config.as_deref(), Some(std::path::Path::new("c.toml")));
    let expected: Vec<(&str, OsString)> = [
        ("listen", "h:1"),
        ("runtime", "epoll"),
        ("shards", "-1"),
        ("cpus", "1.5"),
        ("model", "m.ubj"),
        ("trees", "best"),
        ("kernel", "scalar"),
        ("sink", "none"),
        ("data-dir", "d"),
        ("log", "json"),
    ]
    .map(|(name, value)| (name, value.into()))
    .to_vec();
    assert_eq!(args.flags.values, expected);
    assert_eq!(KEYS.iter().filter(|key| key.flag.is_some()).count(), expected.len());
}

#[test]
fn help_is_a_result_and_long_help_has_examples() {
    for command in [
        &[][..],
        &["serve"],
        &["score"],
        &["inspect"],
        &["time"],
        &["spool", "inspect"],
        &["records", "schema"],
        &["manifest", "init"],
        &["fit-bands"],
        &["check"],
        &["config", "show"],
        &["config", "schema"],
        &["healthcheck"],
        &["version"],
        &["completions"],
        &["man"],
    ] {
        let help = |flag| quintile(&[command, &[flag]].concat(), "");
        let ((short_exit, short, _), (exit, long, stderr)) = (help("-h"), help("--help"));
        assert_eq!((short_exit, exit, stderr.as_str()), (Exit::Success, Exit::Success, ""));
        assert_eq!(
            long.lines()
                .filter(|line| line.starts_with("  ") && line.contains("quintile "))
                .count(),
            3,
            "{long}"
        );
        assert!(
            long.contains("Examples:") && !short.contains("Examples:") && short.lines().count() <= 40,
            "{short}"
        );
    }
    let (_, serve, _) = quintile(&["serve", "--help"], "");
    for key in KEYS.iter() {
        let named = key.flag.map_or_else(|| key.path(), |flag| format!("--{flag} <"));
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            serve.contains(&named) && words(&serve).contains(&words(key.help)),
            "{named}"
        );
    }
    let (exit, version, _) = quintile(&["-V"], "");
    assert_eq!(
        (exit, version),
        (Exit::Success, format!("quintile {}\n", super::args::VERSION))
    );
}

#[test]
fn a_wrong_command_line_is_a_usage_error_and_short() {
    let long = "x".repeat(100_000);
    for arguments in [
        &[][..],
        &["sevre"],
        &["serve", "--prot", "1"],
        &["serve", "--shards"],
        &["serve", "--shards", "1", "--shards", "2"],
        &["score"],
        &["score", "--output", "margins", "rows.csv"],
        &["score", "--trees", "most", "rows.csv"],
        &["score", "--kernel", &long, "rows.csv"],
        &["inspect", "a", "b"],
        &["time", "model.ubj"],
        &["time", "--batch", "1"],
        &["time", "--input", "csv"],
        &["time", "--format", "csv", "--json"],
        &["inspect", "--format", "xml"],
        &["version", "--format", "csv"],
        &["man", "scor"],
        &["healthcheck", "--path", "x"],
        &["manifest", "int", "m"],
        &["inspect", "--json", "--format", "csv"],
        &["serve", "--shards", "0", "--log", "xml"],
    ] {
        let (exit, stdout, stderr) = quintile(arguments, "");
        assert_eq!((exit, stdout.as_str()), (Exit::Usage, ""), "{arguments:.40?}: {stderr}");
        // Without a word it is the help of the whole program.
        let lines_max = if arguments.is_empty() { 38 } else { 24 };
        assert!(
            !stderr.is_empty() && stderr.len() < 2_000 && stderr.lines().count() <= lines_max,
            "{arguments:.40?}: {stderr}"
        );
    }
    let (_, _, stderr) = quintile(&["serve", "--shards", "0", "--log", "xml"], "");
    assert!(
        stderr.contains("--shards: is 0; accepted") && stderr.contains("--log: is \"xml\"; accepted: json, text"),
        "{stderr}"
    );
}

#[test]
fn a_configuration_with_faults_has_its_own_exit_code() {
    let (exit, stdout, stderr) = quintile(&["serve", "--config", "/no/such.toml", "--shards", "0"], "");
    assert_eq!((exit, stdout.as_str()), (Exit::Configuration, ""));
    assert!(
        stderr.starts_with("quintile: the configuration has 2 faults:\n  /no/such.toml (--config): cannot be read"),
        "{stderr}"
    );
}

#[test]
fn rows_come_from_standard_input_or_a_file() {
    let names = (1..=50)
        .map(|number| format!("f{number}"))
        .collect::<Vec<_>>()
        .join(",");
    let rows = format!("{names}\n{}\n", ",".repeat(49));
    let (exit, stdout, stderr) = quintile(&["score", "--output", "margin", "-"], &rows);
    assert_eq!(
        (exit, stdout.as_str(), stderr.as_str()),
        (Exit::Success, "margin\n-2.592759132385254\n", "")
    );
    let (_, stdout, _) = quintile(&["score", "--output", "score", "--kernel", "reference", "-"], &rows);
    assert_eq!(stdout, "score\n3\n");
    // A row whose cells are all empty is none where rows come back.
    let (_, stdout, stderr) = quintile(&["score", "-"], &rows);
    assert!(
        stdout.ends_with(",,,is blank: none of its cells has a value\n"),
        "{stdout}"
    );
    assert!(stderr.ends_with("quintile: 0 scored, 1 not\n"), "{stderr}");
    let rows = format!("{names}\nnan{}\n", ",".repeat(49));
    let (_, stdout, _) = quintile(&["score", "-"], &rows);
    assert_eq!(
        stdout,
        format!(
            "{names},score,probability,error\nnan{},3,0.06960588693618774,\n",
            ",".repeat(49)
        )
    );
    let (exit, stdout, stderr) = quintile(&["score", "/no/such.csv"], "");
    assert_eq!((exit, stdout.as_str()), (Exit::CommandError, ""));
    assert!(
        stderr.starts_with("quintile: /no/such.csv: read the rows: "),
        "{stderr}"
    );
    let (exit, _, stderr) = quintile(&["score", "-"], "a,b\n1,2\n");
    assert_eq!(exit, Exit::CommandError);
    assert!(
        stderr.starts_with("quintile: -: 2 columns do not fit the model's 50"),
        "{stderr}"
    );
}

#[test]
fn models_that_cannot_be_used_say_why_on_a_screen() {
    let best = fixture("gbtree-base-score.ubj");
    let csv = fixture("gbtree-base-score.csv");
    for (arguments, says) in [
        (&["score", "--model", "/no/such.ubj", "-"][..], "read /no/such.ubj: "),
        (&["inspect", "/no/such.ubj"], "read /no/such.ubj: "),
        (&["inspect", &csv], "load "),
        (&["inspect", "/"], "is a folder"),
        (
            &["score", "--model", &best, "--trees", "best", "-"],
            "the model file has no best_iteration",
        ),
    ] {
        let (exit, stdout, stderr) = quintile(arguments, "");
        assert_eq!(
            (exit, stdout.as_str()),
            (Exit::CommandError, ""),
            "{arguments:?}: {stderr}"
        );
        assert!(
            stderr.starts_with("quintile: ") && stderr.contains(says),
            "{arguments:?}: {stderr}"
        );
        assert!(stderr.len() < 2_000 && stderr.lines().count() <= 24);
    }
}

#[test]
fn notes_of_a_model_go_to_standard_error() {
    let model = fixture("best-iteration.ubj");
    let (exit, stdout, stderr) = quintile(&["score", "--model", &model, "-"], "a,b,c,d\n1,2,3,4\n");
    assert_eq!((exit, stdout.lines().count()), (Exit::Success, 2));
    assert!(
        stderr.contains("quintile: note: the file names best_iteration"),
        "{stderr}"
    );
    assert!(
        stderr.contains("quintile: note: columns are taken by position"),
        "{stderr}"
    );
}

#[test]
fn time_tells_what_each_kernel_takes_or_why_it_cannot() {
    let linear = fixture("linear-logistic.json");
    let (exit, table, stderr) = quintile(&["time", "--model", &linear, "--seconds", "1"], "");
    assert_eq!((exit, stderr.as_str()), (Exit::Success, ""));
    for says in [
        "rows         20000, made from the model's thresholds",
        "one row a call",
        "1024 rows a call",
        "* scalar ",
        "  avx512     - ",
    ] {
        assert!(table.contains(says), "{says}\n{table}");
    }
    let (_, csv, _) = quintile(
        &[
            "time",
            "--model",
            &linear,
            "--kernel",
            "auto",
            "--format",
            "csv",
            "--seconds",
            "1",
        ],
        "",
    );
    let lines: Vec<_> = csv.lines().collect();
    assert_eq!(
        lines[0],
        "kernel,chosen,rows_a_call,rounds,median_ns,p10_ns,p90_ns,least_ns,bytes"
    );
    assert!(
        lines[1].starts_with("scalar,true,1,") && lines[2].starts_with("scalar,true,1024,"),
        "{csv}"
    );
    assert_eq!(lines.len(), 3);
}

#[test]
fn time_takes_rows_as_score_reads_them() {
    let names = (1..=50)
        .map(|number| format!("f{number}"))
        .collect::<Vec<_>>()
        .join(",");
    let row = |value: usize| format!("{value}{}\n", ",".repeat(49));
    let rows = format!("{names}\n{}", (0..30).map(row).collect::<String>());
    let arguments = [
        "time",
        "--rows",
        "-",
        "--kernel",
        "reference",
        "--json",
        "--seconds",
        "1",
    ];
    let (exit, json, stderr) = quintile(&arguments, &rows);
    assert_eq!(exit, Exit::Success, "{stderr}");
    assert!(stderr.contains("too good: 30 of 1000"), "{stderr}");
    for says in [
        r#""file":"the embedded demo","model":"demo 1.0.0","rows":30,"rows_made":false"#,
        r#""kernels":[{"kernel":"reference","chosen":false,"unsupported":null,"#,
        r#""single":{"rows_a_call":1,"rounds":"#,
        r#""batch":{"rows_a_call":30,"rounds":"#,
    ] {
        assert!(json.contains(says), "{says}\n{json}");
    }
    for (rows, says) in [
        (format!("{names}\n"), "-: there are no rows to time"),
        ("a,b\n1,2\n".to_owned(), "-: 2 columns do not fit the model's 50"),
    ] {
        let (exit, stdout, stderr) = quintile(&arguments, &rows);
        assert_eq!((exit, stdout.as_str()), (Exit::CommandError, ""));
        assert!(stderr.starts_with(&format!("quintile: {says}")), "{stderr}");
    }
    let lines = "{\"f1\":1}\n".repeat(1_500);
    let (exit, json, stderr) = quintile(&[&arguments[..], &["--input", "ndjson"]].concat(), &lines);
    assert_eq!((exit, stderr.as_str()), (Exit::Success, ""));
    assert!(json.contains(r#""rows":1500,"rows_made":false"#), "{json}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let time = ["time", "--kernel", "reference", "--seconds", "1"];
    for arguments in [&["inspect"][..], &["--help"], &["score", "-"], &time] {
        let mut stderr = Vec::new();
        let rows = format!("{}x\n{}\n", ",".repeat(49), ",".repeat(49));
        let mut streams = Streams {
            stdin: &mut rows.as_bytes(),
            stdout: &mut Gone,
            stderr: &mut stderr,
            watched: Watched::default(),
        };
        let words = ["quintile"].iter().chain(arguments).map(OsString::from);
        assert_eq!(
            run(words, &mut streams),
            Exit::Success,
            "{arguments:?}: {}",
            String::from_utf8_lossy(&stderr)
        );
    }
}

#[test]
fn exit_codes_are_those_of_the_manual() {
    let codes = [
        Exit::Success,
        Exit::CommandError,
        Exit::Usage,
        Exit::Bug,
        Exit::Configuration,
    ];
    assert_eq!(
        codes.map(|exit| exit as u8),
        super::shell::EXIT_CODES.map(|(code, _)| code)
    );
    let (_, page, _) = quintile(&["man"], "");
    for (code, meaning) in super::shell::EXIT_CODES {
        assert!(page.contains(&format!("\\fB{code}\\fR\n{meaning}")), "{code}");
    }
}
