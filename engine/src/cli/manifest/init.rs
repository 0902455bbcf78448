//! `quintile manifest init`: what is asked for, in the order in which it is found out.
//!
//! ```text
//! manifest before ─▶ model, its demands left out ─▶ names of a file without ─▶ rows ─▶ library's numbers ─▶ Draft or renewed
//! ```
//! Nothing is written that the program would not take: the text is loaded with the model before it goes to its place.

use std::path::Path;

use quintile_model::{Ensemble, GoldenSource, InitNote, Manifest, Precision, ReferenceProfile, Trees};
use quintile_scoring::drift::profile_of_rows;
use quintile_scoring::loaded::{self, LoadedModel};
use quintile_scoring::rows::{self, Rows};

use super::draft::Draft;
use super::library::{self, Confirmed};
use super::survey::Survey;
use super::{InitArgs, options, renew, replace, survey, taken};
use crate::cli::{Exit, Streams, report};

/// Names that an error lists.
const NAMES_TOLD: usize = 12;

/// Writes the manifest.
pub(super) fn run(args: &InitArgs, streams: &mut Streams<'_>) -> Exit {
    match written(args, streams) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn written(args: &InitArgs, streams: &mut Streams<'_>) -> Result<Exit, Exit> {
    let beside = loaded::manifest_path(&args.model);
    let place = args.out.clone().or_else(|| beside.clone());
    let place = place.filter(|place| place != Path::new("-"));
    if let Some(place) = place
        .as_ref()
        .filter(|place| place.exists() && !args.force && !args.renew)
    {
        let message = format!(
            "{} is there: --renew takes what rows say from the new ones and keeps the rest, --force writes it anew, --out - prints",
            place.display()
        );
        return Err(report::failure(message, streams));
    }
    let before = before(beside.as_deref(), args, streams)?;
    let mut draft = DraftModel {
        trees: args.trees,
        ..DraftModel::default()
    };
    let mut loaded = draft.load(&args.model, streams)?;
    if let Some(names) = names(&loaded, args, streams)? {
        draft.names = Some(names);
        loaded = draft.load(&args.model, streams)?;
    }
    // No file says that it is of scikit-learn, whose forests are the ones with such votes.
    let model = &loaded.model;
    if model.are_shares() && model.precision() == Precision::F64 && !model.is_input_stated() {
        draft.input = Some(Precision::F32);
        loaded = draft.load(&args.model, streams)?;
    }
    let confirmed = library::confirm(args, &mut loaded, &mut draft, streams)?;
    let survey = surveyed(&loaded, args, confirmed.as_ref(), streams)?;
    for note in loaded.model.notes() {
        report::note(note, streams);
    }
    let profile = survey
        .as_ref()
        .map(|survey| profiled(&draft, survey, args, streams))
        .transpose()?;
    let draft_text = Draft {
        loaded: &loaded,
        profile: profile.as_ref(),
        model: &args.model,
        survey: args.rows.as_deref().zip(survey.as_ref()),
        is_strict: args.strict,
        before: before.as_ref().map(|(_, manifest)| manifest),
    };
    let text = match before.as_ref().filter(|_| args.renew) {
        Some(before) => renewed(before, &draft_text, streams)?,
        None => draft_text.text(),
    };
    check(args, &text, streams)?;
    if let Some(manifest) = before.as_ref().map(|(_, manifest)| manifest).filter(|_| args.force) {
        tell_demands(manifest, streams);
    }
    save(place.as_deref(), &text, streams)
}

/// Writes the text to its place, or prints it.
fn save(place: Option<&Path>, text: &str, streams: &mut Streams<'_>) -> Result<Exit, Exit> {
    let Some(place) = place else {
        return Ok(report::print(text, streams));
    };
    match replace(place, text) {
        Ok(()) => {
            report::note(format_args!("wrote {}", place.display()), streams);
            Ok(Exit::Success)
        }
        Err(error) => {
            let message = format!("write {}: {error}", place.display());
            Err(report::failure(message, streams))
        }
    }
}

/// The manifest that is there: its text and what it says.
fn before(
    beside: Option<&Path>,
    args: &InitArgs,
    streams: &mut Streams<'_>,
) -> Result<Option<(String, Manifest)>, Exit> {
    let Some(place) = beside.filter(|place| place.is_file()) else {
        if args.renew {
            report::note("there is no manifest to renew: a new one is written", streams);
        }
        return Ok(None);
    };
    let failed = |error: String| format!("read the manifest {}: {error}", place.display());
    let read = quintile_scoring::regular_file::open(place).and_then(std::io::read_to_string);
    let text = read.map_err(|error| report::failure(failed(error.to_string()), streams))?;
    let manifest = Manifest::parse(&text).map_err(|error| report::failure(failed(error.to_string()), streams))?;
    Ok(Some((text, manifest)))
}

/// A model under what is kept of its manifest.
#[derive(Default)]
pub(super) struct DraftModel {
    names: Option<Vec<String>>,
    pub(super) input: Option<Precision>,
    trees: Trees,
}

impl DraftModel {
    pub(super) fn load(&self, model: &Path, streams: &mut Streams<'_>) -> Result<LoadedModel, Exit> {
        let change = |manifest: &mut Manifest, ensemble: &Ensemble| {
            if let Some(names) = &self.names {
                manifest.set_names(names.clone());
            }
            manifest.keep_descriptions(ensemble);
            // It is of the model file before.
            manifest.init = InitNote::default();
            if let Some(input) = self.input {
                manifest.set_input(input);
            }
        };
        let loaded = LoadedModel::load_changed(model, options(self.trees), &change);
        loaded.map_err(|error| report::model(&error, streams))
    }
}

/// Names for a model file that has none: those that were given, or those of the rows' header.
fn names(loaded: &LoadedModel, args: &InitArgs, streams: &mut Streams<'_>) -> Result<Option<Vec<String>>, Exit> {
    let schema = loaded.model.schema();
    if !schema.is_numbered() {
        // The manifest before may have named them; else the model file has.
        let own: Vec<&str> = schema.names().collect();
        if args.names.is_empty() || args.names == own {
            return Ok(None);
        }
        let message = "the model has names: --names is for a file without any; in a manifest that has them, change its line names";
        return Err(report::failure(message, streams));
    }
    if !args.names.is_empty() {
        if args.names.len() == schema.len() {
            return Ok(Some(args.names.clone()));
        }
        let message = format!(
            "--names has {}, but the model takes {} features",
            args.names.len(),
            schema.len()
        );
        return Err(report::failure(message, streams));
    }
    let Some(path) = args.rows.as_deref() else {
        return Ok(None);
    };
    let header = rows::header_names(path, args.input);
    let header = header.map_err(|error| report::failure(format_args!("{}: {error}", path.display()), streams))?;
    let Some(header) = header.filter(|header| !schema.names().all(|name| header.iter().any(|own| own == name))) else {
        return Ok(None);
    };
    if header.len() == schema.len() {
        return Ok(Some(header));
    }
    let more = if header.len() > NAMES_TOLD { ", …" } else { "" };
    let told: Vec<&str> = header.iter().take(NAMES_TOLD).map(String::as_str).collect();
    let message = format!(
        "{} has {} columns ({}{more}), the model takes {} features and has no names for them: say which of the columns, in the \
         order of training, with --names {}",
        path.display(),
        header.len(),
        told.join(", "),
        schema.len(),
        example(&header, schema.len())
    );
    Err(report::failure(message, streams))
}

/// The flag's value as it may be: the first columns.
fn example(header: &[String], count: usize) -> String {
    let names: Vec<&str> = header.iter().take(count.min(3)).map(String::as_str).collect();
    let more = if count > names.len() { ",…" } else { "" };
    format!("{}{more}", names.join(","))
}

fn surveyed(
    loaded: &LoadedModel,
    args: &InitArgs,
    confirmed: Option<&Confirmed>,
    streams: &mut Streams<'_>,
) -> Result<Option<Survey>, Exit> {
    let Some(path) = args.rows.as_deref() else {
        return Ok(None);
    };
    let rows = Rows {
        path,
        input: args.input,
        missing: &args.missing,
    };
    let mut survey = survey(&rows, Survey::lenient(loaded, &rows), streams)?;
    if confirmed.is_some() {
        survey.source = GoldenSource::Library;
    }
    if let Some(text) = taken(&survey.taken) {
        report::note(text, streams);
    }
    Ok(Some(survey))
}

/// What the rows hold, with texts for missing values as the survey took them.
fn profiled(
    draft: &DraftModel,
    survey: &Survey,
    args: &InitArgs,
    streams: &mut Streams<'_>,
) -> Result<ReferenceProfile, Exit> {
    let mut loaded = draft.load(&args.model, streams)?;
    loaded.model.take_all_values();
    let taken = survey.taken.iter().map(|&text| text.to_owned());
    let missing: Vec<String> = args.missing.iter().cloned().chain(taken).collect();
    let rows = Rows {
        path: args.rows.as_deref().unwrap_or(Path::new("")),
        input: args.input,
        missing: &missing,
    };
    profile_of_rows(&loaded, &rows)
        .map_err(|error| report::failure(format_args!("{}: {error}", rows.path.display()), streams))
}

fn renewed(before: &(String, Manifest), draft: &Draft<'_>, streams: &mut Streams<'_>) -> Result<String, Exit> {
    let renewed = renew::text(before, draft).map_err(|error| report::failure(error, streams))?;
    for note in &renewed.notes {
        report::note(note, streams);
    }
    Ok(renewed.text)
}

/// Loads the model under the text, as a server would.
fn check(args: &InitArgs, text: &str, streams: &mut Streams<'_>) -> Result<(), Exit> {
    let manifest = Manifest::parse(text).map_err(|error| report::failure(error, streams))?;
    let change = |other: &mut Manifest, _: &Ensemble| *other = manifest.clone();
    let loaded = LoadedModel::load_changed(&args.model, options(args.trees), &change);
    loaded.map(drop).map_err(|error| report::model(&error, streams))
}

/// Demands that a manifest had and the new one has not.
fn tell_demands(before: &Manifest, streams: &mut Streams<'_>) {
    let demands = before.features.iter();
    let demands = demands.filter(|note| note.range.is_some() || note.required == Some(true));
    let names: Vec<&str> = demands.map(|note| note.name.as_str()).collect();
    if !names.is_empty() {
        let message = format!(
            "what the manifest before demanded of {} features is taken from the rows now, or a comment; --renew keeps what a person wrote",
            names.len()
        );
        report::note(message, streams);
    }
}
