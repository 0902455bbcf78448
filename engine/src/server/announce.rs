//! The log lines about what was chosen, and why: one each for the process, the model, shards, the runtime, records and
//! limits.

use std::net::SocketAddr;

use quintile_scoring::loaded::LoadedModel;

use crate::config::origins::SettingOrigins;
use crate::config::{Records, Settings, SinkKind, WhenFull};
use crate::limits::Limits;
use crate::record;
use crate::runtime::Chosen;
use crate::topology::Topology;

/// Renamed features that are named one by one; all of them stand in `/v1/schema`.
const RENAMED_NAMED_MAX: usize = 8;

/// The build, and the settings that are not defaults.
pub(super) fn process(told: &SettingOrigins) {
    let set = told.effective().into_iter().filter_map(|key| {
        let (value, source) = (key.value?, key.source?);
        Some(format!("{} = {value} ({source})", key.path))
    });
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        commit = env!("BUILD_COMMIT"),
        target = env!("BUILD_TARGET"),
        set = set.collect::<Vec<_>>().join(", "),
        "quintile"
    );
}

/// Everything runs and the port is open.
pub(super) fn ready(
    (listen, admin): (SocketAddr, Option<SocketAddr>),
    settings: &Settings,
    chosen: Chosen,
    topology: &Topology,
    loaded: &LoadedModel,
) {
    let mut reached = listen;
    if reached.ip().is_unspecified() {
        reached.set_ip(match reached {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    let is_secure = settings.tls.paths().is_some();
    let scheme = if is_secure { "https" } else { "http" };
    tracing::info!(
        url = settings.pages.then(|| format!("{scheme}://{reached}/")),
        %listen,
        runtime = chosen.name(),
        shards = topology.shards,
        model = loaded.model.name(),
        version = loaded.model.version(),
        admin = admin.map(|address| address.to_string()),
        "ready"
    );
}

/// Letters of why a kernel was chosen: a line of the log is to be read. `quintile inspect` says all of it.
const REASON_LETTERS_MAX: usize = 120;

/// The last of the reasons that a plan has for its kernel: those before it are of kernels that were not taken.
fn kernel_reason(explained: &str) -> Option<&str> {
    let line = explained.lines().find_map(|line| line.strip_prefix("kernel: "))?;
    let why = line.split_once(", because ").map_or(line, |(_, why)| why);
    let last = why.rsplit("; ").next().unwrap_or(why);
    let end = last
        .char_indices()
        .nth(REASON_LETTERS_MAX)
        .map_or(last.len(), |(end, _)| end);
    Some(&last[..end])
}

/// `is_named` says whether anybody has named it: a demo that answers real leads is worse than no answer.
pub(super) fn model(loaded: &LoadedModel, is_named: bool) {
    if !is_named {
        tracing::warn!("no model is named: this is the embedded demo (quintile serve MODEL serves yours)");
    }
    if let Some(fault) = &loaded.outline_only {
        tracing::warn!(fault, "the model cannot be evaluated here: SageMaker scores every lead");
    }
    let model = &loaded.model;
    let plan = model.explain();
    tracing::info!(
        model = model.name(),
        version = model.version(),
        format = loaded.folder.unwrap_or(model.format()),
        objective = model.objective(),
        trees = model.tree_count(),
        features = model.schema().len(),
        golden_rows = loaded.golden_rows,
        kernel = %model.kernel(),
        why = kernel_reason(&plan),
        "model"
    );
    for note in model.notes() {
        tracing::warn!(model = model.name(), "{note}");
    }
    if let Some(Err(error)) = loaded.explaining.get() {
        tracing::warn!(
            model = model.name(),
            "answers have no reasons, though scoring.explain asks for them: {error}"
        );
    }
    renamed_features(loaded);
}

/// Which features have a column of another name in records.
fn renamed_features(loaded: &LoadedModel) {
    let renamed: Vec<String> = record::renamed_features(loaded.model.schema().names())
        .map(|(feature, column)| format!("{feature:?} is {column:?}"))
        .collect();
    if renamed.is_empty() {
        return;
    }
    let first = renamed.iter().take(RENAMED_NAMED_MAX).map(String::as_str);
    tracing::warn!(
        model = loaded.model.name(),
        count = renamed.len(),
        features = first.collect::<Vec<_>>().join(", "),
        "features have other names in records, for a column or another feature has theirs, without regard to case; \
         /v1/schema has all of them (record_column)"
    );
}

/// What is set of records and limits.
pub(super) fn settings(settings: &Settings, open_files: Option<u64>) {
    records(&settings.records);
    limits(&settings.limits, open_files);
}

fn records(records: &Records) {
    if records.sinks.is_empty() {
        tracing::info!("records: none are kept, because records.sinks is none");
        return;
    }
    let goes_to = |kind| records.sinks.contains(&kind);
    let sinks: Vec<_> = records.sinks.iter().map(|kind| kind.name()).collect();
    tracing::info!(
        sinks = sinks.join(","),
        folder = goes_to(SinkKind::Parquet).then(|| records.data_dir.display().to_string()),
        stream = records.firehose_stream.as_deref().filter(|_| goes_to(SinkKind::Firehose)),
        s3_url = records.s3_url.as_deref().filter(|_| goes_to(SinkKind::S3)),
        spool = %records.spool_dir().display(),
        spool_bytes = records.spool_bytes,
        when_full = match records.when_full {
            WhenFull::Shed => "shed",
            WhenFull::Drop => "drop",
        },
        "records"
    );
}

fn limits(limits: &Limits, open_files: Option<u64>) {
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(
        body_bytes_max = limits.body_bytes_max,
        head_bytes_max = limits.head_bytes_max,
        connections_max = limits.connections_max,
        in_flight_max = limits.in_flight_max,
        body_ms = millis(limits.body),
        idle_ms = millis(limits.idle),
        drain_delay_ms = millis(limits.drain_delay),
        drain_ms = millis(limits.drain),
        open_files_max = open_files,
        "limits"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_for_a_kernel_is_the_last_one_and_short() {
        let explained = "kernel: avx2, because the avx512 kernel does not support this model: the CPU lacks it; it serves the model\nx";
        assert_eq!(kernel_reason(explained), Some("it serves the model"));
        let long = format!("kernel: scalar, because {}", "ü".repeat(400));
        assert_eq!(
            kernel_reason(&long).map(|why| why.chars().count()),
            Some(REASON_LETTERS_MAX)
        );
        assert_eq!(kernel_reason("x"), None);
    }
}
