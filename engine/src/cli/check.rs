//! `quintile check`: everything that would keep `serve` from starting, found without serving.
//!
//! Each check prints what it found, or its faults. A check whose key is faulty is not made, because the setting is not
//! known; all others are.

use std::fmt::Write as _;
use std::net::SocketAddr;

use quintile_scoring::text::harmless;

use super::args::ServeArgs;
use super::json::{Object, array};
use super::print::{PrintArgs, PrintFormat};
use super::{Exit, Streams, report};
use crate::config::{Fault, ReadSettings, Settings};
use crate::server::{ModelSource, Preflight, Security, ServeError, services};

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

/// Looks at everything and prints it. Nothing is changed but for a file that is made and removed in each folder.
pub(crate) fn run(args: &CheckArgs, streams: &mut Streams<'_>) -> Exit {
    let checks = checks(&Settings::read_of_process(&args.serve.flags), true);
    let is_right = checks.iter().all(|check| check.outcome.is_ok());
    let text = match args.print.format() {
        PrintFormat::Json => json(&checks, is_right),
        PrintFormat::Csv => csv(&checks),
        PrintFormat::Table => table(&checks, streams.watched.stdout && streams.watched.colours),
    };
    match report::print(&text, streams) {
        Exit::Success if !is_right => Exit::Configuration,
        exit => exit,
    }
}

/// All for which a server would not start, when its configuration already has faults.
pub(crate) fn all_faults(read: &ReadSettings) -> Vec<Fault> {
    let checks = checks(read, false).into_iter();
    checks.filter_map(|check| check.outcome.err()).flatten().collect()
}

/// What `serve` looks at before it starts, by [`Preflight`], and what it would only find while it runs, if that is asked for.
fn checks(read: &ReadSettings, asks_services: bool) -> Vec<Check> {
    let settings = &read.settings;
    let is_open = |key: &str| read.faults.iter().any(|fault| fault.leaves_open(key));
    let found = Preflight::new(settings, &is_open);
    let mut records = found.records(settings, &is_open);
    if asks_services
        && !["records.sinks", "aws.region", "aws.endpoint"]
            .iter()
            .any(|key| is_open(key))
    {
        records.extend(services(settings));
    }
    let mut checks = vec![Check {
        name: "configuration",
        outcome: configuration(read),
    }];
    let listens = |(_, address): &(_, SocketAddr)| format!("{address} is free");
    let admin = |admin: &Option<(_, SocketAddr)>| match (admin, &settings.admin) {
        (Some(admin), _) => listens(admin),
        (None, Some(address)) => format!("{address} is in use; the server starts without it"),
        (None, None) => "none".into(),
    };
    let records = if records.is_empty() {
        Ok(records_line(settings))
    } else {
        Err(records)
    };
    let others = [
        ("model", outcome(found.model.as_ref(), model_line)),
        ("listen", outcome(found.listener.as_ref(), listens)),
        ("admin", outcome(found.admin.as_ref(), admin)),
        ("security", outcome(found.security.as_ref(), Security::told)),
        (
            "auth",
            found
                .security
                .as_ref()
                .and_then(|security| security.as_ref().ok())
                .map(|security| Ok(security.told_of_access())),
        ),
        (
            "runtime",
            outcome(found.runtime.as_ref(), |(chosen, why)| {
                format!("{}: {why}", chosen.name())
            }),
        ),
        ("shards", Some(Ok(found.topology.to_string()))),
        ("records", Some(records)),
    ];
    for (name, outcome) in others {
        // A setting that is not known is a fault already.
        if let Some(outcome) = outcome {
            let located = |faults: Vec<Fault>| {
                faults
                    .into_iter()
                    .map(|fault| fault.at_its_origin(&read.told))
                    .collect()
            };
            let outcome = outcome.map_err(located);
            checks.push(Check { name, outcome });
        }
    }
    checks
}

/// What was found, in words, or the faults.
fn outcome<T>(
    found: Option<&Result<T, ServeError>>,
    line: impl FnOnce(&T) -> String,
) -> Option<Result<String, Vec<Fault>>> {
    found.map(|result| result.as_ref().map(line).map_err(ServeError::faults))
}

fn configuration(read: &ReadSettings) -> Result<String, Vec<Fault>> {
    if !read.faults.is_empty() {
        return Err(read.faults.clone());
    }
    let effective = read.told.effective();
    let set = effective.iter().filter(|key| key.source.is_some()).count();
    Ok(format!(
        "{set} of {} values set, the others are defaults",
        effective.len()
    ))
}

fn model_line(source: &ModelSource) -> String {
    let ModelSource::Single { loaded, .. } = source else {
        return "the store can be read; its models are loaded when the server starts".into();
    };
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
    match loaded.own_golden_rows() {
        0 => {}
        // Writing to a String cannot fail.
        own => drop(write!(
            found,
            "; {own} of these have Quintile's own numbers, not the library's"
        )),
    }
    for note in model.notes() {
        found.push_str("; note: ");
        found.push_str(note);
    }
    found
}

fn records_line(settings: &Settings) -> String {
    let records = &settings.records;
    if records.sinks.is_empty() {
        return "no sink: answers are not written down".into();
    }
    let (folder, spool) = (records.data_dir.display(), records.spool_dir());
    format!("{folder} and the spool {} can be written to", spool.display())
}

fn table(checks: &[Check], colours: bool) -> String {
    let mut out = String::new();
    let mut line = |sign: &str, name: &str, text: String| {
        let (begin, end) = match (colours, sign) {
            (true, "ok") => ("\u{1b}[32m", "\u{1b}[0m"),
            (true, "FAULT") => ("\u{1b}[1;31m", "\u{1b}[0m"),
            _ => ("", ""),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{begin}{sign:<6}{end} {name:<14} {}", harmless(&text));
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
