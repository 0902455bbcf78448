//! `[model]`: what is served.

use quintile_model::{KernelChoice, Trees};

use super::{Key, TREES};
use crate::config::value::ValueKind;

pub(super) static KEYS: &[Key] = &[
    Key {
        section: "model",
        name: "path",
        flag: Some("model"),
        kind: ValueKind::Path {
            set: |settings, path| settings.model = Some(path),
        },
        default: None,
        help: "The model file, with its manifest beside it (model.ubj, model.toml); without it the embedded demo",
    },
    Key {
        section: "model",
        name: "trees",
        flag: Some("trees"),
        kind: ValueKind::Word {
            words: || TREES.iter().map(|(name, _)| *name).collect(),
            set: |settings, word| trees(word).map(|trees| settings.options.trees = trees).is_some(),
        },
        default: Some("all"),
        help: "Which trees make the prediction: all, or those up to the file's best_iteration",
    },
    Key {
        section: "model",
        name: "kernel",
        flag: Some("kernel"),
        kind: ValueKind::Word {
            words: || KernelChoice::NAMES.iter().map(|(name, _)| *name).collect(),
            set: |settings, word| word.parse().map(|kernel| settings.options.kernel = kernel).is_ok(),
        },
        default: Some("auto"),
        help: "The code that evaluates the trees; auto takes the fastest that supports the model",
    },
];

fn trees(word: &str) -> Option<Trees> {
    TREES.iter().find(|(name, _)| *name == word).map(|&(_, trees)| trees)
}
