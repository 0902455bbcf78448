//! How the list of models is printed.

use std::fmt::Write as _;

use quintile_scoring::text::harmless_lines;

use super::ListedModel;
use crate::cli::json::{Object, array, quoted};

pub(super) fn text(models: &[ListedModel]) -> String {
    if models.is_empty() {
        return "no models\n".into();
    }
    let mut out = String::new();
    for model in models {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}", model.name);
        for version in &model.versions {
            let aliases = model.aliases.iter().filter(|(_, of)| *of == version.version);
            let aliases: Vec<&str> = aliases.map(|(alias, _)| alias.as_str()).collect();
            let line = format!("  {:>6}  {:<9} {}", version.version, version.state, aliases.join(", "));
            let _ = writeln!(out, "{}", line.trim_end());
            if let Some(reason) = &version.reason {
                let _ = writeln!(out, "          {reason}");
            }
        }
        for note in &model.notes {
            let _ = writeln!(out, "  {note}");
        }
    }
    harmless_lines(&out)
}

pub(super) fn json(models: &[ListedModel]) -> String {
    let mut out = Object::default();
    let listed = models.iter().map(|model| {
        let mut object = Object::default();
        object.text("name", Some(&model.name));
        let mut aliases = Object::default();
        for (alias, version) in &model.aliases {
            aliases.text(alias, Some(version));
        }
        // An object without members has no brace of its own yet.
        object.raw(
            "aliases",
            &if model.aliases.is_empty() {
                "{}".into()
            } else {
                aliases.finish()
            },
        );
        let versions = model.versions.iter().map(|version| {
            let mut object = Object::default();
            object.text("version", Some(&version.version));
            object.text("state", Some(&version.state));
            object.text("reason", version.reason.as_deref());
            object.finish()
        });
        object.raw("versions", &array(versions));
        object.raw("notes", &array(model.notes.iter().map(|note| quoted(note))));
        object.finish()
    });
    out.raw("models", &array(listed));
    out.finish() + "\n"
}
