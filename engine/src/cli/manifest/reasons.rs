//! What a manifest says of reasons: the sentences of features, and features that are one reason together.

use quintile_model::{Actionable, ReasonTexts, Schema};
use toml_edit::{DocumentMut, Item};

use super::toml_text::{basic, key, line, texts};

/// What is said of one feature, in its table.
pub(super) fn of_feature(out: &mut String, schema: &Schema, column: usize) {
    match schema.actionable(column) {
        Some(Actionable::Any) => line(out, format_args!("actionable = true")),
        Some(way) => line(out, format_args!("actionable = \"{}\"", way.name())),
        None => {}
    }
    sentences(out, schema.texts(column));
}

/// All groups, each with a table of its own.
pub(super) fn groups(out: &mut String, schema: &Schema) {
    for group in schema.groups() {
        let names: Vec<String> = group
            .columns
            .iter()
            .map(|&column| schema.name(column).to_owned())
            .collect();
        line(out, format_args!("\n[groups.{}]", key(&group.name)));
        line(out, format_args!("features = {}", texts(&names)));
        if let Some(label) = &group.label {
            line(out, format_args!("label = {}", basic(label)));
        }
        sentences(out, &group.texts);
    }
}

fn sentences(out: &mut String, texts: &ReasonTexts) {
    let stated = [
        ("raises", &texts.raises),
        ("lowers", &texts.lowers),
        ("missing", &texts.missing),
    ];
    let stated: Vec<String> = stated
        .into_iter()
        .filter_map(|(name, text)| Some(format!("{name} = {}", basic(text.as_ref()?))))
        .collect();
    if !stated.is_empty() {
        line(out, format_args!("reasons = {{ {} }}", stated.join(", ")));
    }
}

/// Takes features out of groups that the model does not have any more, and groups of which nothing is left.
pub(super) fn renew_groups(document: &mut DocumentMut, schema: &Schema, notes: &mut Vec<String>) {
    let Some(groups) = document.get_mut("groups").and_then(Item::as_table_like_mut) else {
        return;
    };
    let mut empty = Vec::new();
    for (name, group) in groups.iter_mut() {
        let Some(members) = group.get_mut("features").and_then(Item::as_array_mut) else {
            continue;
        };
        let before = members.len();
        members.retain(|member| member.as_str().is_some_and(|member| schema.column(member).is_some()));
        if members.len() < before {
            notes.push(format!(
                "the group {:?} has {} features less, which the model does not have any more",
                name.get(),
                before - members.len()
            ));
        }
        if members.is_empty() {
            empty.push(name.get().to_owned());
        }
    }
    for name in &empty {
        groups.remove(name);
    }
    if groups.is_empty() {
        document.remove("groups");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_lose_features_that_are_gone() {
        let schema = quintile_scoring::loaded::LoadedModel::demo_with("");
        let schema = schema.model.schema();
        let text =
            "[groups.a]\nfeatures = [\"f1\", \"gone\"] # ours\nlabel = \"A\"\n[groups.b]\nfeatures = [\"gone\"]\n";
        let mut document: DocumentMut = text.parse().unwrap();
        let mut notes = Vec::new();
        renew_groups(&mut document, schema, &mut notes);
        assert_eq!(
            document.to_string(),
            "[groups.a]\nfeatures = [\"f1\"] # ours\nlabel = \"A\"\n"
        );
        assert_eq!(notes.len(), 2);
    }

    #[test]
    fn what_is_said_of_reasons_is_written_as_it_was_read() {
        let said = "actionable = \"decrease\"\nreasons = { raises = \"a \\\"b\\\"\", missing = \"c\" }\n";
        let group = "\n[groups.\"x y\"]\nfeatures = [\"f1\", \"f2\"]\nlabel = \"X\"\nreasons = { lowers = \"l\" }\n";
        let loaded = quintile_scoring::loaded::LoadedModel::demo_with(&format!("[features.f3]\n{said}{group}"));
        let mut out = String::new();
        of_feature(&mut out, loaded.model.schema(), 2);
        assert_eq!(out, said);
        out.clear();
        groups(&mut out, loaded.model.schema());
        assert_eq!(out, group);
    }
}
