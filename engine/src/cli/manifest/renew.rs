//! `manifest init --renew`: a manifest after retraining. What rows say is taken from the new ones; what people wrote
//! stays, comments and the order of lines included.
//!
//! A person's edges and ranges are told from written ones by what was written beside them: `[init]` has the edges, and
//! each feature's `seen` is the range that was seen.

use std::collections::HashMap;

use quintile_model::{FeatureKind, FeatureNote, GoldenSource, Manifest, Precision, Trees, is_derived_version};
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, Value};

use super::draft::{Draft, QUINTILES_OF, SEEN_IN, head_line};
use super::golden::comment_on;
use super::profile;
use super::reasons::renew_groups;

/// The manifest, and what is worth saying.
pub(super) struct Renewed {
    pub(super) text: String,
    pub(super) notes: Vec<String>,
}

/// Renews a manifest: its text, and what it says.
pub(super) fn text(before: &(String, Manifest), draft: &Draft<'_>) -> Result<Renewed, String> {
    let (text, manifest) = before;
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| error.to_string())?;
    let mut notes = Vec::new();
    head(&mut document, manifest, draft);
    edges(&mut document, manifest, draft, &mut notes);
    features(&mut document, manifest, draft, &mut notes);
    renew_groups(&mut document, draft.loaded.model.schema(), &mut notes);
    let proofs = manifest.golden().iter();
    let proofs = proofs.filter(|row| row.source == GoldenSource::Library).count();
    golden(&mut document, draft);
    if proofs > 0
        && draft
            .golden_rows()
            .1
            .iter()
            .any(|row| row.source == GoldenSource::Quintile)
    {
        notes.push(format!(
            "{proofs} golden rows had the training library's numbers, and now have Quintile's own, which prove less: --expect takes \
             the library's for the new ones"
        ));
    }
    init(&mut document, draft);
    // The old one is of other rows.
    document.remove("profile");
    let text = comments(&document.to_string(), draft) + &draft.profile.map(profile::text).unwrap_or_default();
    Ok(Renewed { text, notes })
}

/// Version, names and the precision of inputs. A version that nobody gave names the file before.
fn head(document: &mut DocumentMut, manifest: &Manifest, draft: &Draft<'_>) {
    if manifest.version.as_deref().is_some_and(is_derived_version) {
        remove(document.as_table_mut(), "version");
    }
    match draft.names() {
        Some(names) if manifest.names() != Some(names.as_slice()) => {
            set(
                document.as_table_mut(),
                "names",
                Value::Array(names.into_iter().collect()),
            );
        }
        None if manifest.names().is_some() => {
            remove(document.as_table_mut(), "names");
        }
        _ => {}
    }
    let model = &draft.loaded.model;
    if model.is_input_stated() && !document.contains_key("input") {
        let bits = match model.input_precision() {
            Precision::F32 => "float32",
            Precision::F64 => "float64",
        };
        set(document.as_table_mut(), "input", bits.into());
    }
}

fn edges(document: &mut DocumentMut, manifest: &Manifest, draft: &Draft<'_>, notes: &mut Vec<String>) {
    if draft.loaded.banded_output().is_none() {
        return;
    }
    let is_written = match (manifest.edges(), manifest.init.edges) {
        (None, _) => true,
        (Some(edges), Some(written)) => edges.map(f64::to_bits) == written.map(f64::to_bits),
        // A manifest of a version that did not remember.
        (Some(_), None) => {
            let key = document
                .key("edges")
                .and_then(|key| key.leaf_decor().prefix()?.as_str());
            key.is_some_and(|comments| comments.contains(QUINTILES_OF))
        }
    };
    match draft.fitted() {
        Some((_, fitted)) if is_written => {
            let mut array = Array::new();
            array.extend(fitted);
            set(document.as_table_mut(), "edges", Value::Array(array));
        }
        Some(_) => {
            notes.push("edges are kept, for a person wrote them; quintile fit-bands fits them to the rows".to_owned())
        }
        None => notes.push("edges are kept, for the rows have fewer than five different predictions".to_owned()),
    }
}

fn features(document: &mut DocumentMut, manifest: &Manifest, draft: &Draft<'_>, notes: &mut Vec<String>) {
    let schema = draft.loaded.model.schema();
    let said: HashMap<&str, &FeatureNote> = manifest
        .features
        .iter()
        .map(|note| (note.name.as_str(), note))
        .collect();
    let tables = document.entry("features").or_insert_with(|| {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    });
    let Some(tables) = tables.as_table_like_mut() else {
        return;
    };
    let gone: Vec<String> = tables
        .iter()
        .map(|(name, _)| name.to_owned())
        .filter(|name| schema.column(name).is_none())
        .collect();
    for name in &gone {
        tables.remove(name);
        notes.push(format!(
            "the model has no feature {name:?} any more: what the manifest said of it is gone"
        ));
    }
    for (column, name) in schema.names().enumerate() {
        let is_new = !tables.contains_key(name);
        let table = tables.entry(name).or_insert_with(|| Item::Table(Table::new()));
        let Some(table) = table.as_table_like_mut() else {
            continue;
        };
        feature(table, (draft, column), said.get(name).copied(), is_new, notes);
    }
}

/// What rows say of one feature.
fn feature(
    table: &mut dyn toml_edit::TableLike,
    (draft, column): (&Draft<'_>, usize),
    said: Option<&FeatureNote>,
    is_new: bool,
    notes: &mut Vec<String>,
) {
    let schema = draft.loaded.model.schema();
    let name = schema.name(column);
    if let Some(categories) = schema
        .categories(column)
        .filter(|_| said.is_some_and(|note| note.categories.is_some()))
    {
        let names = categories.names().iter().map(String::as_str);
        set_like(table, "categories", Value::Array(names.collect()));
    }
    let Some((_, survey)) = draft.survey else { return };
    let seen = survey.columns[column];
    if schema.kind(column) == FeatureKind::Category {
        return;
    }
    if !seen.is_known() {
        table.remove("seen");
        return;
    }
    let range = |(least, greatest): (f64, f64)| Value::Array([least, greatest].into_iter().collect());
    let now = (seen.least, seen.greatest);
    let is_same = |one: Option<(f64, f64)>, other: Option<(f64, f64)>| {
        one.zip(other)
            .is_some_and(|(one, other)| one.0.to_bits() == other.0.to_bits() && one.1.to_bits() == other.1.to_bits())
    };
    let stated = said.and_then(|note| note.range);
    let is_written = is_same(stated, said.and_then(|note| note.seen));
    let kind = said.and_then(|note| note.kind);
    if is_written || (is_new && draft.is_strict) {
        set_like(table, "range", range(now));
        let whole = [FeatureKind::Integer, FeatureKind::Boolean];
        if kind.is_some_and(|kind| whole.contains(&kind)) && !seen.is_whole {
            set_like(table, "type", "number".into());
        }
    } else if let Some((least, greatest)) = stated.filter(|stated| now.0 < stated.0 || now.1 > stated.1) {
        notes.push(format!(
            "feature {name:?}: rows have {} to {}, and the manifest demands {least} to {greatest}, which is kept",
            now.0, now.1
        ));
    }
    if kind == Some(FeatureKind::Integer) && !seen.is_whole && !is_written {
        notes.push(format!(
            "feature {name:?}: rows have fractions, and the manifest demands whole numbers, which is kept"
        ));
    }
    set_like(table, "seen", range(now));
}

fn golden(document: &mut DocumentMut, draft: &Draft<'_>) {
    let decor = match document.get("golden") {
        Some(Item::ArrayOfTables(tables)) => tables.get(0).map(|first| first.decor().clone()),
        _ => None,
    };
    let (comment, rows) = draft.golden_rows();
    let mut tables = ArrayOfTables::new();
    for (index, row) in rows.into_iter().enumerate() {
        let mut table = Table::new();
        let array = |numbers: &[f64]| Value::Array(numbers.iter().copied().collect());
        set(&mut table, "features", array(&row.features));
        set(&mut table, "margin", array(&row.margin));
        if row.source == GoldenSource::Library && !row.prediction.is_empty() {
            set(&mut table, "prediction", array(&row.prediction));
        }
        set(&mut table, "source", row.source.name().into());
        if row.trees == Trees::Best {
            set(&mut table, "trees", "best".into());
        }
        if let Some(decor) = decor.as_ref().filter(|_| index == 0) {
            let above = decor.prefix().and_then(|above| above.as_str()).unwrap_or_default();
            // Whose numbers they are may have changed.
            let above = GoldenSource::NAMES
                .iter()
                .fold(above.to_owned(), |above, &(_, source)| {
                    above.replace(comment_on(source), comment)
                });
            table.decor_mut().set_prefix(above);
        }
        tables.push(table);
    }
    document.remove("golden");
    document.insert("golden", Item::ArrayOfTables(tables));
}

fn init(document: &mut DocumentMut, draft: &Draft<'_>) {
    let decor = document
        .get("init")
        .and_then(Item::as_table)
        .map(|table| table.decor().clone());
    document.remove("init");
    let mut table = Table::new();
    for (name, value) in draft.init_note() {
        if let Ok(value) = value.parse::<Value>() {
            set(&mut table, name, value);
        }
    }
    if let Some(decor) = decor {
        *table.decor_mut() = decor;
    }
    // Behind all golden rows, which are inserted anew as well.
    document.insert("init", Item::Table(table));
}

/// Comments that say what was seen: those of the draft stand for those before.
fn comments(text: &str, draft: &Draft<'_>) -> String {
    let schema = draft.loaded.model.schema();
    let manifest = Manifest::parse(text).unwrap_or_default();
    let edges = manifest.edges();
    let demanded = manifest.features.iter().filter(|note| note.range.is_some()).count();
    let mut column = None;
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        if line.starts_with('[') {
            column = section(line).and_then(|name| schema.column(&name));
        }
        let fresh = match (line, column) {
            (line, _) if line.starts_with(QUINTILES_OF) => {
                let is_renewed = |(_, fitted): &(String, [f64; 4])| {
                    edges.is_some_and(|edges| edges.map(f64::to_bits) == fitted.map(f64::to_bits))
                };
                draft.fitted().filter(is_renewed).map(|(comment, _)| comment)
            }
            (line, _) if line.starts_with(SEEN_IN) => draft
                .survey
                .map(|(rows, survey)| head_line(rows, survey, demanded, schema.len())),
            (line, Some(column)) => {
                let kinds = [
                    "# type = ",
                    "# range = ",
                    "# required = true  # it",
                    "required = false  # it",
                ];
                let start = kinds.into_iter().find(|kind| line.starts_with(kind));
                start.and_then(|start| {
                    let start = start.split_once(" = ").map_or(start, |(key, _)| key);
                    let key = start.trim_start_matches("# ");
                    let is_of = |fresh: &&String| fresh.trim_start_matches("# ").starts_with(&format!("{key} ="));
                    draft.demands(column).iter().find(is_of).cloned().filter(|fresh| {
                        // A demand never comes of a comment.
                        line.starts_with('#') == fresh.starts_with('#') || key == "required"
                    })
                })
            }
            _ => None,
        };
        out.push_str(fresh.as_deref().unwrap_or(line));
        out.push('\n');
    }
    out
}

/// The feature of a line such as `[features."a b"]`.
fn section(line: &str) -> Option<String> {
    let document: DocumentMut = line.parse().ok()?;
    let features = document.get("features")?.as_table()?;
    features.iter().next().map(|(name, _)| name.to_owned())
}

/// Sets a value in its place, and keeps the comments around it.
fn set(table: &mut Table, key: &str, value: Value) {
    set_like(table, key, value);
}

fn set_like(table: &mut dyn toml_edit::TableLike, key: &str, mut value: Value) {
    if let Some(Item::Value(old)) = table.get_mut(key) {
        *value.decor_mut() = old.decor().clone();
        *old = value;
        return;
    }
    table.insert(key, Item::Value(value));
}

/// Removes a key. Comments above it, which may be about what follows, go to the next one.
fn remove(table: &mut Table, key: &str) {
    let above = table
        .key(key)
        .and_then(|key| Some(key.leaf_decor().prefix()?.as_str()?.to_owned()));
    let keys: Vec<String> = table.iter().map(|(key, _)| key.to_owned()).collect();
    let next = keys
        .iter()
        .position(|other| other == key)
        .and_then(|at| keys.get(at + 1))
        .cloned();
    table.remove(key);
    let (Some(above), Some(next)) = (above.filter(|above| !above.trim().is_empty()), next) else {
        return;
    };
    if let Some(mut next) = table.key_mut(&next) {
        let own = next
            .leaf_decor()
            .prefix()
            .and_then(|own| own.as_str())
            .unwrap_or_default()
            .to_owned();
        next.leaf_decor_mut().set_prefix(format!("{above}{own}"));
    }
}
