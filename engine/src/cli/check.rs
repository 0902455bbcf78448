//! `quintile check`: everything that would keep `serve` from starting, found without serving.
//!
//! Each check prints what it found, or its faults. If the configuration is faulty, the later checks are not made,
//! because their settings are not known.

use std::fmt::{Display, Write as _};
use std::fs;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::Path;

use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::text::harmless;

use super::args::ServeArgs;
use super::json::{Object, array};
use super::print::{PrintArgs, PrintFormat};
use super::{Exit, Streams, report};
use crate::config::{ADMIN, Fault, SettingSource, Settings};
use crate::topology::Topology;
use crate::{accept, runtime};

pub(crate) const EXAMPLES: &str = "Examples:
  quintile check
  quintile check --config quintile.toml
  quintile check --model model.ubj --listen 0.0.0.0:8080 --format json";

/// `check`.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    #[command(flatten)]
    pub(crate) print: PrintArgs<true>,
}

/// One thing that was looked at.
#[derive(Debug)]
struct Check {
    name: &'static str,
    /// What was found, or what is wrong.
    outcome: Result<String, Vec<Fault>>,
}

/// A fault of what a key leads to.
fn fault(key: &str, message: impl Display) -> Vec<Fault> {
    vec![Fault {
        source: SettingSource::Setting(key.into()),
        message: message.to_string(),
        hint: None,
    }]
}

/// Looks at everything and prints it. Nothing is changed but for a file that is made and removed in the data folder.
pub(crate) fn run(args: &CheckArgs, streams: &mut Streams<'_>) -> Exit {
    let checks = checks(args);
    let is_right = checks.iter().all(|check| check.outcome.is_ok());
    let text = match args.print.format() {
        PrintFormat::Json => json(&checks, is_right),
        PrintFormat::Csv => csv(&checks),
        PrintFormat::Table => table(&checks),
    };
    match report::print(&text, streams) {
        Exit::Success if !is_right => Exit::Configuration,
        exit => exit,
    }
}

fn checks(args: &CheckArgs) -> Vec<Check> {
    let settings = match Settings::load_with_origins(&args.serve.flags) {
        Ok((settings, told)) => {
            let set = told.effective().iter().filter(|key| key.source.is_some()).count();
            let found = format!(
                "{set} of {} values set, the others are defaults",
                told.effective().len()
            );
            (settings, found)
        }
        Err(error) => {
            return vec![Check {
                name: "configuration",
                outcome: Err(error.faults),
            }];
        }
    };
    let (settings, found) = settings;
    let topology = Topology::detect(&settings.cpu_settings());
    vec![
        Check {
            name: "configuration",
            outcome: Ok(found),
        },
        Check {
            name: "model",
            outcome: model(&settings),
        },
        Check {
            name: "listen",
            outcome: listen("server.listen", &settings.listen),
        },
        Check {
            name: "admin",
            outcome: match settings.admin.as_deref() {
                None => Ok("none".into()),
                // The server goes on without it.
                Some(ADMIN) => listen("server.admin", ADMIN).or_else(|_| Ok(format!("{ADMIN} is taken: none"))),
                Some(address) => listen("server.admin", address),
            },
        },
        Check {
            name: "runtime",
            outcome: runtime::choose(settings.runtime, topology.shards)
                .map(|(chosen, why)| format!("{}: {why}", chosen.name()))
                .map_err(|error| fault("server.runtime", error)),
        },
        Check {
            name: "shards",
            outcome: Ok(topology.to_string()),
        },
        Check {
            name: "records",
            outcome: records(&settings),
        },
    ]
}

fn model(settings: &Settings) -> Result<String, Vec<Fault>> {
    let loaded =
        LoadedModel::load(settings.model.as_deref(), settings.options, 0).map_err(|error| Fault::of_model(&error))?;
    let model = &loaded.model;
    let source = loaded.folder.unwrap_or(model.format());
    let mut found = format!(
        "{} {}: {source}, {} trees, {} features, kernel {}, {} golden rows met",
        model.name(),
        model.version(),
        model.tree_count(),
        model.schema().len(),
        model.kernel(),
        loaded.golden_rows
    );
    if model.bands().is_none() {
        found.push_str("; it has no bands, so \"score\" is null");
    }
    Ok(found)
}

fn listen(key: &str, listen: &str) -> Result<String, Vec<Fault>> {
    let fault = |error| fault(key, format_args!("{listen}: {error}"));
    let addresses: Vec<SocketAddr> = listen.to_socket_addrs().map_err(fault)?.collect();
    // The port is free again when this returns.
    accept::bind(&addresses).map_err(fault)?;
    Ok(format!("{listen} is free"))
}

fn records(settings: &Settings) -> Result<String, Vec<Fault>> {
    if settings.records.sinks.is_empty() {
        return Ok("no sink: answers are not written down".into());
    }
    let (folder, spool) = (&settings.records.data_dir, settings.records.spool_dir());
    let shown = spool.display();
    match writable(folder).and_then(|()| writable(&spool)) {
        Ok(()) => Ok(format!("{} and the spool {shown} can be written to", folder.display())),
        Err(error) => Err(fault("records.data_dir", format_args!("{}: {error}", folder.display()))),
    }
}

/// Whether a folder can be written to, or made where it would be.
fn writable(folder: &Path) -> std::io::Result<()> {
    let mut there = folder;
    while !there.exists() {
        there = match there.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
    }
    let trial = there.join(format!(".quintile-check-{}", std::process::id()));
    fs::File::create(&trial)?;
    fs::remove_file(&trial)
}

fn table(checks: &[Check]) -> String {
    let mut out = String::new();
    let mut line = |sign: &str, name: &str, text: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{sign:<6} {name:<14} {}", harmless(&text));
    };
    for check in checks {
        match &check.outcome {
            Ok(found) => line("ok", check.name, found.clone()),
            Err(faults) => {
                for fault in faults {
                    line("FAULT", check.name, format!("{}: {}", fault.source, fault.message));
                    if let Some(hint) = &fault.hint {
                        line("", "", hint.clone());
                    }
                }
            }
        }
    }
    out
}

/// A line for each check that is right, and for each fault.
fn csv(checks: &[Check]) -> String {
    let mut out = String::from("check,ok,found,place,message,hint\n");
    let mut line = |cells: [&str; 6]| {
        out.push_str(&cells.map(quintile_scoring::rows::csv_cell).join(","));
        out.push('\n');
    };
    for check in checks {
        match &check.outcome {
            Ok(found) => line([check.name, "true", found, "", "", ""]),
            Err(faults) => {
                for fault in faults {
                    let (place, hint) = (fault.source.to_string(), fault.hint.as_deref().unwrap_or_default());
                    line([check.name, "false", "", &place, &fault.message, hint]);
                }
            }
        }
    }
    out
}

fn json(checks: &[Check], is_right: bool) -> String {
    let fault = |fault: &Fault| {
        let mut object = Object::default();
        object.text("place", Some(&fault.source.to_string()));
        object.text("message", Some(&fault.message));
        object.text("hint", fault.hint.as_deref());
        object.finish()
    };
    let check = |check: &Check| {
        let mut object = Object::default();
        object.text("name", Some(check.name));
        object.raw("ok", &check.outcome.is_ok().to_string());
        object.text("found", check.outcome.as_ref().ok().map(String::as_str));
        let faults = check.outcome.as_ref().err().map_or(&[][..], Vec::as_slice);
        object.raw("faults", &array(faults.iter().map(fault)));
        object.finish()
    };
    let mut object = Object::default();
    object.raw("ok", &is_right.to_string());
    object.raw("checks", &array(checks.iter().map(check)));
    object.finish() + "\n"
}
