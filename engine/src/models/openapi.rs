//! One OpenAPI document for all models of a store: what the default model's says, and for each model its own paths,
//! with schemas of their own.

use quintile_scoring::loaded::describe::{Text, digest};
use serde_json::{Map, Value};

use super::registry::NamedModel;

/// The paths that each model has, as the document of one model names them.
const PATHS: [(&str, &str); 3] = [
    ("/score", "score"),
    ("/score/batch", "score/batch"),
    ("/v1/schema", "schema"),
];

/// Where schemas are.
const SCHEMAS: &str = "#/components/schemas/";

/// The document of a store, with `default`'s own paths in front.
pub(super) fn document<'a>(default: &NamedModel, models: impl Iterator<Item = &'a NamedModel>) -> Option<Text> {
    let mut document = of(default)?;
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for model in models {
        let Some(mut own) = of(model) else { continue };
        rename(&mut own, &model.name);
        for (path, operation) in PATHS {
            if let Some(mut item) = own["paths"].get_mut(path).map(Value::take) {
                name_operations(&mut item, &model.name);
                paths.insert(format!("/v1/models/{}/{operation}", model.name), item);
            }
        }
        if let Some(own) = own["components"]["schemas"].as_object_mut() {
            let renamed = std::mem::take(own).into_iter();
            schemas.extend(renamed.map(|(name, schema)| (format!("{}.{name}", model.name), schema)));
        }
    }
    document["paths"].as_object_mut()?.extend(paths);
    document["components"]["schemas"].as_object_mut()?.extend(schemas);
    let text = document.to_string();
    Some(Text {
        digest: digest(text.as_bytes()),
        bytes: text.into(),
    })
}

/// What a model's champion says of itself.
fn of(model: &NamedModel) -> Option<Value> {
    let champion = model.champion.as_ref()?;
    serde_json::from_slice(&champion.loaded.descriptions().openapi.bytes).ok()
}

/// Lets every reference to a schema mean the one of this model.
fn rename(value: &mut Value, name: &str) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let target = member.as_str().and_then(|text| text.strip_prefix(SCHEMAS));
                match target.filter(|_| key == "$ref") {
                    Some(target) => *member = format!("{SCHEMAS}{name}.{target}").into(),
                    None => rename(member, name),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, name)),
        _ => {}
    }
}

/// Names of operations are unique in a document.
fn name_operations(item: &mut Value, name: &str) {
    let operations = item.as_object_mut().into_iter().flat_map(|item| item.values_mut());
    for id in operations.filter_map(|operation| operation.get_mut("operationId")) {
        if let Some(text) = id.as_str() {
            *id = format!("{text}_{}", name.replace(['.', '-'], "_")).into();
        }
    }
}
