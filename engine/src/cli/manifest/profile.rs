//! The reference profile as the manifest has it.

use std::fmt::Write as _;

use quintile_model::{ColumnProfile, ProfileBins, ReferenceProfile};

use super::toml_text::{key, numbers, texts};

/// How the section begins.
const PROFILE: &str =
    "\n# What the rows held, for `quintile drift`: a value's bin is the number of edges at or below it.\n[profile]\n";

/// The section, with a line for each feature.
pub(super) fn text(profile: &ReferenceProfile) -> String {
    let mut out = PROFILE.to_owned();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "rows = {}", profile.rows);
    if let Some(prediction) = &profile.prediction {
        let _ = writeln!(out, "prediction = {}", column(prediction));
    }
    out.push_str("\n[profile.features]\n");
    for (name, profile) in &profile.features {
        let _ = writeln!(out, "{} = {}", key(name), column(profile));
    }
    out
}

fn column(profile: &ColumnProfile) -> String {
    let bins = match &profile.bins {
        ProfileBins::Edges(edges) => format!("edges = {}", numbers(edges)),
        ProfileBins::Categories(names) => format!("categories = {}", texts(names)),
    };
    let counts: Vec<String> = profile.counts.iter().map(u64::to_string).collect();
    format!(
        "{{ {bins}, counts = [{}], missing = {} }}",
        counts.join(", "),
        profile.missing
    )
}
