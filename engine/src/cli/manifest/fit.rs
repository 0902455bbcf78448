//! `quintile fit-bands`: new edges in a manifest, and nothing else in it changed.

use std::fmt::Write as _;
use std::path::Path;

use quintile_model::Manifest;
use quintile_scoring::loaded::{self, LoadedModel};
use quintile_scoring::rows::Rows;
use toml_edit::{Array, DocumentMut, Item, Value};

use super::survey::Survey;
use super::{FitArgs, edges, options, replace, survey};
use crate::cli::{Exit, Streams, report};

pub(super) fn run(args: &FitArgs, streams: &mut Streams<'_>) -> Exit {
    let Some(place) = args.manifest.clone().or_else(|| loaded::manifest_path(&args.model)) else {
        return report::failure("this model's manifest needs a name: --manifest FILE", streams);
    };
    let before = match quintile_scoring::regular_file::open(&place).and_then(std::io::read_to_string) {
        Ok(text) => text,
        Err(error) => {
            let message = format!(
                "read {}: {error}; `quintile manifest init {}` writes one",
                place.display(),
                args.model.display()
            );
            return report::failure(message, streams);
        }
    };
    let loaded = match LoadedModel::load(Some(&args.model), options(args.trees), 0) {
        Ok(loaded) => loaded,
        Err(error) => return report::model(&error, streams),
    };
    for note in loaded.model.notes() {
        report::note(note, streams);
    }
    let Some(_) = loaded.banded_output() else {
        let message = format!(
            "the model gives {} predictions: say in {} which one is banded, by probability_output",
            loaded.model.prediction_len(),
            place.display()
        );
        return report::failure(message, streams);
    };
    let rows = Rows {
        path: &args.rows,
        input: args.input,
        missing: &args.missing,
    };
    let survey = match survey(&rows, Survey::of(&loaded, &rows), streams) {
        Ok(survey) => survey,
        Err(exit) => return exit,
    };
    let Some(fitted) = edges::quintiles(&survey.predictions) else {
        let message = format!(
            "{}: the rows have fewer than five different predictions, so five bands cannot be cut",
            args.rows.display()
        );
        return report::failure(message, streams);
    };
    let after = match refitted(&before, fitted) {
        Ok(text) => text,
        Err(error) => return report::failure(format_args!("{}: {error}", place.display()), streams),
    };
    if !args.dry_run {
        if let Err(error) = replace(&place, &after) {
            return report::failure(format_args!("write {}: {error}", place.display()), streams);
        }
        report::note(format_args!("wrote {}", place.display()), streams);
    }
    let old = loaded.model.bands().map(quintile_model::Bands::edges);
    report::print(&table(old, &fitted, &survey, &args.rows), streams)
}

/// The manifest with other edges. Comments, order and blank lines stay.
fn refitted(before: &str, fitted: [f64; 4]) -> Result<String, String> {
    let mut document: DocumentMut = before
        .parse()
        .map_err(|error: toml_edit::TomlError| error.to_string())?;
    let mut array = Array::new();
    array.extend(fitted);
    match document.get_mut("edges") {
        Some(Item::Value(old)) => {
            let decor = old.decor().clone();
            *old = Value::Array(array);
            *old.decor_mut() = decor;
        }
        // Keys without a table come before the tables, which toml_edit sees to.
        _ => {
            document.insert("edges", toml_edit::value(array));
        }
    }
    let after = document.to_string();
    match Manifest::parse(&after) {
        Ok(_) => Ok(after),
        Err(error) => Err(error.to_string()),
    }
}

/// What the bands were, and what they are, with the rows that fall into each.
fn table(old: Option<[f64; 4]>, new: &[f64; 4], survey: &Survey, rows: &Path) -> String {
    let mut out = format!("{} rows of {}\n", survey.rows, rows.display());
    let counts = edges::counts(new, &survey.predictions);
    let before = old.map(|old| edges::counts(&old, &survey.predictions));
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{:<5} {:<22} {:>9}  {:<22} {:>9}",
        "score", "from, before", "rows", "from, now", "rows"
    );
    let from = |edges: &[f64; 4], band: usize| {
        let edge = band.checked_sub(1).map(|edge| edges[edge]);
        edge.map_or_else(String::new, |edge| format!("{edge:?}"))
    };
    for (band, count) in counts.iter().enumerate() {
        let old_from = old.as_ref().map_or_else(|| "-".to_owned(), |old| from(old, band));
        let old_count = before.map_or_else(|| "-".to_owned(), |counts| counts[band].to_string());
        let _ = writeln!(
            out,
            "{:<5} {old_from:<22} {old_count:>9}  {:<22} {count:>9}",
            band + 1,
            from(new, band)
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_edges_changes() {
        let before = "# head\nname = \"a\" # why\n\n# these\nedges = [ 0.1, 0.2, 0.3, 0.4 ] # those\n\n[features.b] # c\nlabel = 'x'\n";
        let after = refitted(before, [0.25, 0.5, 0.625, 0.75]).unwrap();
        let expected = before.replace("[ 0.1, 0.2, 0.3, 0.4 ]", "[0.25, 0.5, 0.625, 0.75]");
        assert_eq!(after, expected);
    }

    #[test]
    fn edges_are_added_where_there_were_none() {
        let after = refitted(
            "# head\nname = \"a\"\n\n[features.b]\nlabel = 'x'\n",
            [0.25, 0.5, 0.625, 0.75],
        )
        .unwrap();
        assert!(
            after.starts_with("# head\nname = \"a\"\nedges = [0.25, 0.5, 0.625, 0.75]\n"),
            "{after}"
        );
        assert!(refitted("a = ", [0.0; 4]).is_err());
    }
}
