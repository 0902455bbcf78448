//! Seeded faults: each with its place, what is said and what is hinted at.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use quintile_model::{KernelChoice, Trees};

use super::*;

/// One fault: the file, variables and flags it comes from, where it is found, and words of its message and hint.
struct Seed {
    file: &'static str,
    variable: (&'static str, &'static str),
    flag: (&'static str, &'static str),
    place: &'static str,
    says: &'static str,
    hint: &'static str,
}

const fn file(file: &'static str, place: &'static str, says: &'static str, hint: &'static str) -> Seed {
    Seed {
        file,
        variable: ("", ""),
        flag: ("", ""),
        place,
        says,
        hint,
    }
}

const fn variable(name: &'static str, value: &'static str, says: &'static str, hint: &'static str) -> Seed {
    Seed {
        file: "",
        variable: (name, value),
        flag: ("", ""),
        place: name,
        says,
        hint,
    }
}

const fn flag(
    name: &'static str,
    value: &'static str,
    place: &'static str,
    says: &'static str,
    hint: &'static str,
) -> Seed {
    Seed {
        file: "",
        variable: ("", ""),
        flag: (name, value),
        place,
        says,
        hint,
    }
}

#[rustfmt::skip]
const SEEDS: &[Seed] = &[
    // Syntax.
    file("[server\nshards = 1", "q.toml:1:8", "unclosed table, expected `]`", "a section is [name] on a line of its own"),
    file("[server]\nshards = ", "q.toml:2:10", "string values must be quoted", "write a value behind shards =, or leave the line out"),
    file("[server]\nshards = 1\nshards = 2", "q.toml:3:1", "duplicate key", "leave one of the two out"),
    file("[log]\nlevel = \"info", "q.toml:2:14", "invalid basic string", "texts stand in quotes: level = \"info\""),
    // Sections.
    file("[sever]\nshards = 1", "q.toml:1:2", "there is no section \"sever\"; accepted: server, model, models, models.rollback, records, scoring, aws, tls, auth, limits, log", "did you mean [server]?"),
    file("[kafka]\n", "q.toml:1:2", "there is no section \"kafka\"", "take it out: quintile config show lists every key"),
    file("listen = \"a:1\"", "q.toml:1:1", "there is no section \"listen\"", "listen is a key of [server]"),
    file("server = 3", "q.toml:1:10", "server is of type integer; accepted: a section, [server]", "write [server] on a line of its own, and its keys below"),
    file("[[server]]\nshards = 1", "q.toml:1:1", "server is of type array; accepted: a section, [server]", "write [server] on a line of its own, and its keys below"),
    // Names.
    file("[server]\nshrads = 2", "q.toml:2:1", "[server] has no key \"shrads\"; accepted: listen, runtime, shards, cpus", "did you mean shards?"),
    file("[server]\n  sink = \"none\"", "q.toml:2:3", "[server] has no key \"sink\"", "did you mean sinks of [records]?"),
    file("[server]\nhead_byte_max = 9000", "q.toml:2:1", "[server] has no key", "did you mean head_bytes_max of [limits]?"),
    file("[limits]\nidle = 5", "q.toml:2:1", "[limits] has no key \"idle\"", "did you mean idle_ms? It takes a whole number from 100 to 86400000 ms, or with a unit, as \"500ms\", \"75s\" or \"5m\""),
    file("[limits]\nlinger = 5", "q.toml:2:1", "[limits] has no key \"linger\"", "did you mean linger_ms? It takes a whole number from 0 to 60000 ms, or with a unit, as \"500ms\", \"75s\" or \"5m\""),
    file("[log]\nzzz = 5", "q.toml:2:1", "[log] has no key \"zzz\"; accepted: format, level", "take it out, or choose one of these"),
    file("# ü\n\n[model]\n\"pa\\u001bth\" = \"x\"", "q.toml:4:1", "[model] has no key \"pa\\u{1b}th\"", "did you mean path?"),
    // Types.
    file("[server]\nshards = \"2\"", "q.toml:2:10", "server.shards is of type string; accepted: a whole number from 1 to 256", "write it without quotes"),
    file("[server]\nshards = \"two\"", "q.toml:2:10", "server.shards is of type string", ""),
    file("[server]\nshards = 2.0", "q.toml:2:10", "server.shards is of type float", ""),
    file("[server]\nlisten = 8080", "q.toml:2:10", "server.listen is of type integer; accepted: HOST:PORT", "write it in quotes"),
    file("[log]\nformat = true", "q.toml:2:10", "log.format is of type boolean; accepted: json, text", "write it in quotes"),
    file("[server]\ncpus = [1]", "q.toml:2:8", "server.cpus is of type array; accepted: a number from 0.01 to 1024 CPUs", ""),
    file("[model]\npath = {a = 1}", "q.toml:2:8", "model.path is of type table; accepted: a path", ""),
    file("[records]\nroll_seconds = 2026-11-24", "q.toml:2:16", "records.roll_seconds is of type datetime", ""),
    // Ranges.
    file("[server]\nshards = 0", "q.toml:2:10", "server.shards is 0; accepted: a whole number from 1 to 256", ""),
    file("[server]\nshards = -1", "q.toml:2:10", "server.shards is -1", ""),
    file("[server]\nshards = 99999999999999999999999999999999999999999", "q.toml:2:10", "server.shards is \"99999999999999999999999999999999999999999\"", ""),
    file("[server]\ncpus = nan", "q.toml:2:8", "server.cpus is NaN", ""),
    file("[server]\ncpus = -inf", "q.toml:2:8", "server.cpus is -inf", ""),
    file("[limits]\nhead_bytes_max = 4096", "q.toml:2:18", "limits.head_bytes_max is 4096; accepted: a whole number from 8192 to 1048576 bytes", ""),
    file("[limits]\nheaders_max = 101", "q.toml:2:15", "accepted: a whole number from 8 to 100 headers", ""),
    file("[limits]\nidle_ms = 99", "q.toml:2:11", "limits.idle_ms is 99; accepted: a whole number from 100 to 86400000 ms", "did you mean 99 s? Write \"99s\" or 99000"),
    file("[records]\nroll_seconds = 0", "q.toml:2:16", "records.roll_seconds is 0; accepted: a number from 0.1 to 86400 s", ""),
    file("[records]\nspool_bytes = 0xFF", "q.toml:2:15", "records.spool_bytes is 255; accepted: a whole number from 1048576 to 1099511627776 bytes", "did you mean 255 MiB? Write \"255MiB\" or 267386880"),
    file("[records]\nwhen_full = \"block\"", "q.toml:2:13", "records.when_full is \"block\"; accepted: shed, drop", ""),
    // Words and forms.
    file("[server]\nruntime = \"glomio\"", "q.toml:2:11", "server.runtime is \"glomio\"; accepted: auto, glommio, epoll", "did you mean \"glommio\"?"),
    file("[model]\nkernel = \"avx\"", "q.toml:2:10", "model.kernel is \"avx\"; accepted: auto, reference, scalar, avx512, avx512bw, avx2, neon", "did you mean \"avx2\"?"),
    file("[server]\nlisten = \"8080\"", "q.toml:2:10", "server.listen is \"8080\", which is a port without a host: write 127.0.0.1:8080 for this machine alone, 0.0.0.0:8080 for every interface", ""),
    file("[server]\nlisten = \":8080\"", "q.toml:2:10", "without a host: write 127.0.0.1:8080 for this machine alone", ""),
    file("[server]\nlisten = \"::1:80\"", "q.toml:2:10", "IPv6 addresses stand in brackets", ""),
    file("[server]\nlisten = \"h:70000\"", "q.toml:2:10", "whose port is no number up to 65535", ""),
    file("[log]\nlevel = \"inof\"", "q.toml:2:9", "\"inof\" is no level (did you mean \"info\"?)", ""),
    file("[log]\nlevel = \"quintile=loud\"", "q.toml:2:9", "which is no filter", ""),
    file("[model]\npath = \"\"", "q.toml:2:8", "model.path is empty; accepted: a path", ""),
    // Variables.
    variable("QUINTILE_SERVER__SHARDS", "many", "is \"many\"; accepted: a whole number from 1 to 256", ""),
    variable("QUINTILE_SERVER__SHARDS", "", "is \"\"; accepted", ""),
    variable("QUINTILE_SERVER__CPUS", "0", "is 0; accepted: a number from 0.01 to 1024 CPUs", ""),
    variable("QUINTILE_SERVER_LISTEN", "a:1", "there is no such setting", "did you mean QUINTILE_SERVER__LISTEN?"),
    variable("QUINTILE_CONFGI", "a", "there is no such setting", "did you mean QUINTILE_CONFIG?"),
    variable("QUINTILE_KAFKA__BROKERS", "a", "there is no such setting; accepted: QUINTILE_CONFIG and QUINTILE_SECTION__KEY", "quintile config show lists the keys"),
    variable("QUINTILE_server__listen", "a:1", "there is no such setting", "did you mean QUINTILE_SERVER__LISTEN?"),
    variable("QUINTILE_RECORDS__SINKS", "parqet", "names \"parqet\"; accepted: one or several of parquet, s3, firehose, stdout, or none", "did you mean \"parquet\"?"),
    variable("QUINTILE_RECORDS__SINKS", "parquet,parquet", "names \"parquet\" twice; accepted", ""),
    variable("QUINTILE_RECORDS__SINKS", "none,parquet", "names none and others; accepted", ""),
    variable("QUINTILE_RECORDS__SINKS", "", "names \"\"; accepted", ""),
    file("[records]\nsinks = \"parquet\"", "q.toml:2:9", "records.sinks is of type string; accepted: one or several", "write it in brackets, as [\"parquet\"]"),
    file("[records]\nsinks = [1]", "q.toml:2:9", "records.sinks holds more than texts; accepted: one or several", ""),
    variable("QUINTILE_LIMITS__DRAIN_MS", "20 parsecs", "is \"20 parsecs\", of which \"parsecs\" is no unit; accepted: a whole number from 100 to 3600000 ms", ""),
    variable("QUINTILE_MODEL__TREES", "none", "is \"none\"; accepted: all, best", ""),
    variable("QUINTILE_LOG__FORMAT", "xml", "is \"xml\"; accepted: json, text", ""),
    variable("QUINTILE_LIMITS__BODY_BYTES_MAX", "1M", "is \"1M\", which may mean \"1MiB\" (powers of 1024) or \"1MB\" (powers of 1000): write one of them; accepted: a whole number from 1024 to 268435456 bytes", ""),
    variable("QUINTILE_LIMITS__HEAD_MSS", "100", "there is no such setting", "did you mean QUINTILE_LIMITS__HEAD_MS?"),
    variable("QUINTILE_RECORDS__ROLL_SECONDS", "-1", "is -1; accepted: a number from 0.1 to 86400 s", ""),
    variable("QUINTILE_PORT", "8080", "there is no such setting", "did you mean QUINTILE_SERVER__LISTEN? It takes HOST:PORT, as 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080"),
    variable("QUINTILE_MODEL", "m.ubj", "there is no such setting", "did you mean QUINTILE_MODEL__PATH? It takes a path"),
    variable("QUINTILE_MODEL__PATH", "s3://lake/m.ubj", "is a URL (s3://…), not a path on this machine; accepted: a path", "copy it here first: aws s3 cp s3://lake/m.ubj m.ubj"),
    variable("QUINTILE_LIMITS__DRAIN_MS", "2h", "is \"2h\", which is 7200000 ms; accepted: a whole number from 100 to 3600000 ms", ""),
    variable("QUINTILE_LIMITS__BODY_BYTES_MAX", "1min", "\"min\" is no unit of a size", ""),
    variable("QUINTILE_LIMITS__IDLE_MS", "1.5ms", "which is 1.5 ms", ""),
    file("{\"server\": {\"listen\": \"a:1\"}}", "q.toml:1:1", "the file is JSON; accepted: TOML", "write [server] and under it listen = \"127.0.0.1:8080\": docs/configuration.md has every key; a model is given as serve FILE, or with --model"),
    file("server:\n  listen: a:1\n", "q.toml:1:1", "the file is YAML; accepted: TOML", "write [server] and under it listen = \"127.0.0.1:8080\": docs/configuration.md has every key; a model is given as serve FILE, or with --model"),
    file("[records]\nspool_bytes = \"5m\"", "q.toml:2:15", "records.spool_bytes is \"5m\"", ""),
    file("[limits]\nidle_ms = 75.5", "q.toml:2:11", "limits.idle_ms is of type float", "write a whole number, or a text with a unit in quotes"),
    file("[server]\nadmin = \"127.0.0.1:8080\"", "q.toml:2:9", "server.admin is 127.0.0.1:8080, the port of server.listen (127.0.0.1:8080)", "give it another port, as 127.0.0.1:9901, or write none"),
    file("[records]\nforget = [\"parquet\"]", "q.toml:2:10", "records.forget names a sink that records.sinks has too", "take it out of one of the two"),
    file("[limits]\ndrain_delay_ms = \"30s\"", "q.toml:2:18", "limits.drain_delay_ms is 30 s, which leaves nothing of limits.drain_ms (25 s)", "give a shorter drain_delay_ms, or a longer drain_ms"),
    // Flags.
    flag("listen", "localhost", "--listen", "is \"localhost\" without a port: write localhost:8080", ""),
    flag("sink", "kafka", "--sink", "accepted: one or several", ""),
    flag("kernel", "avx-512", "--kernel", "accepted: auto, reference", "did you mean \"avx512\"?"),
    flag("runtime", "tokio", "--runtime", "is \"tokio\"; accepted: auto, glommio, epoll", ""),
    flag("shards", "257", "--shards", "is 257; accepted: a whole number from 1 to 256", ""),
    flag("shards", "0", "--shards", "is 0; accepted: a whole number from 1 to 256", ""),
    flag("cpus", "1,5", "--cpus", "is \"1,5\"; accepted: a number", ""),
    flag("log", "jsno", "--log", "is \"jsno\"; accepted: json, text", "did you mean \"json\"?"),
    flag("trees", "bset", "--trees", "accepted: all, best", "did you mean \"best\"?"),
    flag("data-dir", "", "--data-dir", "is empty; accepted: a path", ""),
];

fn load(text: &str, variables: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Result<Settings, ConfigError> {
    let flags = Flags {
        config: (!text.is_empty()).then(|| "q.toml".into()),
        values: flags.iter().map(|&(name, value)| (name, value.into())).collect(),
    };
    let variables = variables.iter().map(|&(name, value)| (name.into(), value.into()));
    Settings::load(&flags, variables, |_| Ok(text.as_bytes().to_vec()), true)
}

#[test]
fn every_seeded_fault_is_found_where_it_is() {
    for seed in SEEDS {
        let variables: &[_] = if seed.variable.0.is_empty() {
            &[]
        } else {
            &[seed.variable]
        };
        let flags: &[_] = if seed.flag.0.is_empty() { &[] } else { &[seed.flag] };
        let error = load(seed.file, variables, flags).unwrap_err();
        let fault = &error.faults[0];
        let what = format!("{:?} {:?} {:?}: {error}", seed.file, seed.variable, seed.flag);
        assert_eq!(error.faults.len(), 1, "{what}");
        assert_eq!(fault.source.to_string(), seed.place, "{what}");
        assert!(fault.message.contains(seed.says), "{what}");
        assert_eq!(fault.hint.as_deref().unwrap_or_default(), seed.hint, "{what}");
        assert_eq!(error.is_usage(), !seed.flag.0.is_empty());
    }
    assert!(SEEDS.len() >= 60, "{}", SEEDS.len());
}

#[test]
fn all_faults_are_reported_at_once_in_order() {
    let text = "[server]\nshards = 0\nlisten = 1\nzzz = 1\n[limits]\nidle_ms = 1\n";
    let variables = [("QUINTILE_Z", "1"), ("QUINTILE_LOG__LEVEL", ""), ("HOME", "/")];
    let error = load(text, &variables, &[("shards", "x"), ("runtime", "x")]).unwrap_err();
    let places: Vec<_> = error.faults.iter().map(|fault| fault.source.to_string()).collect();
    assert_eq!(
        places,
        [
            "q.toml:2:10",
            "q.toml:3:10",
            "q.toml:4:1",
            "q.toml:6:11",
            "QUINTILE_LOG__LEVEL",
            "QUINTILE_Z",
            "--shards",
            "--runtime"
        ]
    );
    assert!(!error.is_usage());
    let text = error.to_string();
    assert!(
        text.starts_with("the configuration has 8 faults:\n  q.toml:2:10: server.shards is 0; accepted"),
        "{text}"
    );
}

#[test]
fn a_hundred_faults_are_all_told() {
    let text = (0..100).map(|key| format!("k{key} = 1\n")).collect::<String>();
    let error = load(&format!("[log]\n{text}"), &[], &[]).unwrap_err().to_string();
    assert_eq!(error.lines().count(), 101, "{error}");
    assert!(error.starts_with("the configuration has 100 faults:"), "{error}");
}

#[test]
fn units_are_understood_everywhere_and_numbers_stay_what_they_were() {
    let text =
        "[records]\nspool_bytes = \"1GiB\"\nroll_seconds = \"5m\"\n[limits]\nidle_ms = \"75s\"\nhead_ms = 9000\n";
    let variables = [
        ("QUINTILE_LIMITS__DRAIN_MS", "20s"),
        ("QUINTILE_SERVER__SPIN_US", "1ms"),
    ];
    let settings = load(text, &variables, &[]).unwrap();
    let expected = load(
        "[records]\nspool_bytes = 1073741824\nroll_seconds = 300\n[limits]\nidle_ms = 75000\nhead_ms = 9000\ndrain_ms = 20000\n[server]\nspin_us = 1000\n",
        &[],
        &[],
    );
    assert_eq!(settings, expected.unwrap());
}

#[test]
fn the_port_stays_open_where_kubernetes_stops_a_pod() {
    let delay = |variables: &[(&str, &str)]| load("", variables, &[]).unwrap().limits.drain_delay.as_millis();
    let (pod, task) = (
        ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
        ("ECS_CONTAINER_METADATA_URI_V4", "http://169.254.170.2/v4/x"),
    );
    assert_eq!(delay(&[]), 0);
    assert_eq!(delay(&[pod]), 5000);
    assert_eq!(delay(&[pod, task]), 0);
    assert_eq!(delay(&[pod, ("QUINTILE_LIMITS__DRAIN_DELAY_MS", "0")]), 0);
    assert_eq!(delay(&[pod, ("QUINTILE_LIMITS__DRAIN_MS", "4s")]), 2000);
}

#[test]
fn a_fault_hides_no_other_layer_and_no_demand_between_keys() {
    let text = "[records]\nsinks = [\"s3\"]\nwhen_full = \"x\"\n";
    let error = load(text, &[("QUINTILE_X__Y", "1")], &[("shards", "0")]).unwrap_err();
    let places: Vec<_> = error.faults.iter().map(|fault| fault.source.to_string()).collect();
    assert_eq!(places, ["q.toml:3:13", "QUINTILE_X__Y", "--shards", "records.s3_url"]);
    // Nobody knows whether the sink is asked for when the list has a fault.
    let error = load("[records]\nsinks = [\"s3\", \"x\"]\n", &[], &[]).unwrap_err();
    assert_eq!(error.faults.len(), 1, "{error}");
}

#[test]
fn files_that_cannot_be_read_are_faults_that_say_who_named_them() {
    let absent = |_: &Path| Err(std::io::Error::from(std::io::ErrorKind::NotFound));
    let flags = Flags {
        config: Some("q.toml".into()),
        values: Vec::new(),
    };
    let error = Settings::load(&flags, [], absent, true).unwrap_err();
    assert_eq!(
        error.faults[0].to_string(),
        "q.toml (--config): cannot be read: entity not found"
    );
    let variables = [(OsString::from("QUINTILE_CONFIG"), OsString::from("v.toml"))];
    let error = Settings::load(&Flags::default(), variables, absent, true).unwrap_err();
    assert_eq!(
        error.faults[0].to_string(),
        "v.toml (QUINTILE_CONFIG): cannot be read: entity not found"
    );
    let error = Settings::load(&flags, [], |_| Ok(b"[log]\n# \xff".to_vec()), true).unwrap_err();
    assert_eq!(
        error.faults[0].to_string(),
        "q.toml:2:3: is not UTF-8 from here on; a configuration is a text; a model is given as serve FILE, or with --model"
    );
    let error = Settings::load(&flags, [], |_| Ok(vec![b'\n'; file::FILE_BYTES_MAX + 1]), true).unwrap_err();
    assert!(error.to_string().contains("1048576 bytes accepted"), "{error}");
}

#[test]
fn flags_stand_over_variables_over_the_file() {
    let text = "[server]\nshards = 1\ncpus = 1\nlisten = \"a:1\"\n";
    let variables = [("QUINTILE_SERVER__SHARDS", "2"), ("QUINTILE_SERVER__CPUS", "2")];
    let settings = load(text, &variables, &[("shards", "3")]).unwrap();
    assert_eq!(
        (settings.shards, settings.cpus, settings.listen.as_str()),
        (Some(3), Some(2.0), "a:1")
    );
    // A value that is overridden must be right all the same.
    assert!(load("[server]\nshards = 0", &[], &[("shards", "3")]).is_err());
}

#[test]
fn every_kind_of_value_arrives() {
    let text = r#"
        server = { listen = "[::]:0", runtime = "glommio", shards = 0x10, cpus = 2 }
        model.path = "models/m.ubj"
        model.trees = "best"
        [records]
        sinks = ["none"]
        roll_seconds = 0.25
        spool_bytes = 2_097_152
        when_full = "drop"
        spool_dir = "/s"
        [limits]
        drain_ms = 1_500
        body_bytes_max = 4096
        [log]
        format = "json"
        level = "warn,quintile=debug"
    "#;
    let settings = load(text, &[("QUINTILE_MODEL__KERNEL", "reference")], &[("data-dir", "/d")]).unwrap();
    assert_eq!(settings.runtime, runtime::Choice::Glommio);
    assert_eq!((settings.shards, settings.cpus), (Some(16), Some(2.0)));
    assert_eq!(settings.model.as_deref(), Some(Path::new("models/m.ubj")));
    assert_eq!(
        (settings.options.trees, settings.options.kernel),
        (Trees::Best, KernelChoice::Reference)
    );
    assert_eq!(settings.records.sinks, []);
    assert_eq!(settings.records.roll_after, Duration::from_millis(250));
    assert_eq!(
        (settings.records.spool_bytes, settings.records.data_dir.as_path()),
        (2 << 20, Path::new("/d"))
    );
    assert_eq!(settings.records.spool_dir(), Path::new("/s"));
    assert_eq!(settings.records.when_full, WhenFull::Drop);
    assert_eq!(Records::default().spool_dir(), Path::new("data/spool"));
    assert_eq!(
        (settings.limits.drain, settings.limits.body_bytes_max),
        (Duration::from_millis(1500), 4096)
    );
    assert_eq!(
        (settings.log, settings.log_level.as_str()),
        (LogFormat::Json, "warn,quintile=debug")
    );
}

#[test]
fn the_environment_of_ecs_kubernetes_and_terminals_is_understood() {
    let variables = [
        ("ECS_CONTAINER_METADATA_URI_V4", "http://169.254.170.2/v4/x"),
        ("QUINTILE_BIN", "/q"),
        ("QUINTILE_PORT", "tcp://10.0.0.1:8080"),
        ("QUINTILE_SERVICE_HOST", "10.0.0.1"),
        ("QUINTILESQUE", "1"),
    ];
    let settings = load("", &variables, &[]).unwrap();
    assert_eq!(settings.metadata_uri.as_deref(), Some("http://169.254.170.2/v4/x"));
    assert_eq!((settings.log, settings.log_colour), (LogFormat::Text, true));
    let plain = load("", &[("NO_COLOR", "1")], &[]).unwrap();
    assert_eq!((plain.log, plain.log_colour), (LogFormat::Text, false));
    let piped = Settings::load(&Flags::default(), [], |_| Ok(Vec::new()), false).unwrap();
    assert_eq!(
        (piped.log, piped.log_colour, piped.metadata_uri),
        (LogFormat::Json, false, None)
    );
}

#[cfg(unix)]
#[test]
fn paths_need_not_be_text_but_everything_else_must() {
    use std::os::unix::ffi::OsStringExt as _;
    let odd = || OsString::from_vec(b"/m\xff".to_vec());
    let variables = [("QUINTILE_MODEL__PATH".into(), odd())];
    let settings = Settings::load(&Flags::default(), variables, |_| Ok(Vec::new()), true).unwrap();
    assert_eq!(settings.model.unwrap().into_os_string(), odd());
    let variables = [("QUINTILE_LOG__LEVEL".into(), odd())];
    let error = Settings::load(&Flags::default(), variables, |_| Ok(Vec::new()), true).unwrap_err();
    assert!(
        error.to_string().contains("QUINTILE_LOG__LEVEL: is not UTF-8"),
        "{error}"
    );
    let variables = [(OsString::from_vec(b"QUINTILE_\x1b\xff".to_vec()), odd())];
    let error = Settings::load(&Flags::default(), variables, |_| Ok(Vec::new()), true).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("QUINTILE_\\u{1b}\u{fffd}: there is no such setting"),
        "{error}"
    );
}

#[test]
fn every_value_in_force_has_its_source() {
    let flags = Flags {
        config: Some("q.toml".into()),
        values: vec![("shards", "3".into())],
    };
    let text = "[server]\nshards = 1\nlisten = \"a:1\"\n[limits]\nidle_ms = 0x2_000\n";
    let variables = [("QUINTILE_SERVER__CPUS".into(), "2".into())];
    let read = |_: &Path| Ok(text.as_bytes().to_vec());
    let (_, told) = Settings::load_told(&flags, variables, read, true).unwrap();
    let effective = told.effective();
    assert_eq!(effective.len(), keys::KEYS.iter().count());
    let shown = |path: &str| {
        let key = effective.iter().find(|key| key.path == path).unwrap();
        let source = key.source.as_ref().map(ToString::to_string);
        format!(
            "{} {}",
            key.value.as_deref().unwrap_or("-"),
            source.as_deref().unwrap_or("default")
        )
    };
    assert_eq!(shown("server.shards"), "3 --shards");
    assert_eq!(shown("server.listen"), "a:1 q.toml:3:10");
    assert_eq!(shown("server.cpus"), "2 QUINTILE_SERVER__CPUS");
    assert_eq!(shown("limits.idle_ms"), "0x2_000 q.toml:5:11");
    assert_eq!(shown("records.roll_rows"), "250000 default");
    assert_eq!(shown("model.path"), "- default");
}
