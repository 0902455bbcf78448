//! `quintile version`: what this program is, and what it can do on this machine.

use std::fmt::Write as _;

use quintile_model::{KernelChoice, Options};
use quintile_scoring::loaded::LoadedModel;

use super::json::{Object, array};
use super::print::{PrintArgs, PrintFormat};
use super::{Exit, Streams, report};
use crate::runtime::{self, Choice};
use crate::topology::{CpuSettings, Topology};

pub(crate) const EXAMPLES: &str = "Examples:
  quintile version
  quintile version --format json
  quintile --version --format json";

/// `version`.
#[derive(Debug, clap::Args)]
pub(crate) struct VersionArgs {
    #[command(flatten)]
    pub(crate) print: PrintArgs<false>,
}

/// Everything that a report of a fault needs.
struct Facts {
    /// Each kernel that is compiled in, and why it cannot run here, if it cannot.
    kernels: Vec<(&'static str, Option<String>)>,
    /// The kernel of the embedded demo.
    kernel: String,
    runtime: &'static str,
    why: String,
    shards: usize,
}

/// `quintile version`.
pub(crate) fn run(args: &VersionArgs, streams: &mut Streams<'_>) -> Exit {
    let text = match args.print.format() {
        PrintFormat::Json => json(&Facts::gather()),
        PrintFormat::Table | PrintFormat::Csv => text(&Facts::gather()),
    };
    report::print(&text, streams)
}

/// `quintile --version --json`.
pub(crate) fn as_json() -> String {
    json(&Facts::gather())
}

impl Facts {
    /// Tries what can be tried: kernels on the embedded demo, io_uring by starting it.
    fn gather() -> Self {
        crate::server::quiet_trials();
        let build = |kernel| {
            let options = Options {
                kernel,
                ..Options::default()
            };
            LoadedModel::load(None, options, 0)
        };
        let kernels = KernelChoice::NAMES
            .into_iter()
            .filter(|(_, choice)| *choice != KernelChoice::Auto)
            .map(|(name, choice)| (name, build(choice).err().map(|error| error.to_string())))
            .collect();
        let topology = Topology::detect(&CpuSettings::default());
        // Auto never refuses.
        let (runtime, why) = runtime::choose(Choice::Auto, topology.shards).map_or_else(
            |refused| ("none", refused.to_string()),
            |(chosen, why)| (chosen.name(), why),
        );
        Self {
            kernels,
            kernel: build(KernelChoice::Auto)
                .map_or_else(|error| error.to_string(), |demo| demo.model.kernel().to_string()),
            runtime,
            why,
            shards: topology.shards,
        }
    }
}

fn text(facts: &Facts) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{name:<10} {value}");
    };
    line("quintile", env!("CARGO_PKG_VERSION").into());
    line("commit", env!("BUILD_COMMIT").into());
    line("target", env!("BUILD_TARGET").into());
    let usable = |usable: bool| {
        let names = facts.kernels.iter().filter(|(_, why)| why.is_none() == usable);
        names.map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    };
    line(
        "kernels",
        format!("{} (auto takes {} for the demo)", usable(true), facts.kernel),
    );
    for (name, why) in &facts.kernels {
        if let Some(why) = why {
            line("", format!("not {name}: {why}"));
        }
    }
    line("runtime", format!("auto takes {}: {}", facts.runtime, facts.why));
    line("shards", facts.shards.to_string());
    out
}

fn json(facts: &Facts) -> String {
    let kernel = |(name, why): &(&str, Option<String>)| {
        let mut object = Object::default();
        object.text("name", Some(name));
        object.raw("usable", &why.is_none().to_string());
        object.text("why_not", why.as_deref());
        object.finish()
    };
    let mut object = Object::default();
    object.text("version", Some(env!("CARGO_PKG_VERSION")));
    object.text("commit", Some(env!("BUILD_COMMIT")));
    object.text("target", Some(env!("BUILD_TARGET")));
    object.raw("kernels", &array(facts.kernels.iter().map(kernel)));
    object.text("kernel", Some(&facts.kernel));
    object.text("runtime", Some(facts.runtime));
    object.text("runtime_why", Some(&facts.why));
    object.raw("shards", &facts.shards.to_string());
    object.finish() + "\n"
}
