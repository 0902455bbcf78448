//! The rules of a body, each with its answer.

use std::path::Path;

use quintile_model::Options;

use super::*;
use crate::render;

mod answers;
mod categories;
mod cut;
mod faults;
mod fuzz;
mod not_json;
mod numbers;
mod plain;
mod rules;
mod wish;

pub(super) fn demo() -> LoadedModel {
    LoadedModel::load(None, Options::default(), 0).unwrap()
}

pub(super) fn fixture(name: &str) -> LoadedModel {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../model/tests/fixtures")
        .join(name);
    LoadedModel::load(Some(&path), Options::default(), 1).unwrap()
}

/// Reads a body with a fresh workspace and tells what came of it in a line: `ok`, `@offset reason`, or each fault's
/// code and pointer.
pub(super) fn verdict(loaded: &LoadedModel, workspace: &mut Workspace, body: &[u8]) -> String {
    match workspace.read(loaded, body) {
        Ok(()) => "ok".into(),
        Err(ReadError::NotJson(fault)) => format!("@{} {}", fault.offset, fault.reason),
        Err(rejection) => {
            let mut out = Vec::new();
            render::rejection(&mut out, loaded, workspace, &rejection);
            let body: serde_json::Value = serde_json::from_slice(&out).unwrap();
            let faults = body["error"]["faults"].as_array().unwrap();
            let word = |fault: &serde_json::Value, key: &str| fault[key].as_str().unwrap().to_owned();
            let line = |fault| format!("{} {}", word(fault, "code"), word(fault, "pointer"));
            faults.iter().map(line).collect::<Vec<_>>().join(", ")
        }
    }
}

/// xorshift64*: small, seeded, the same everywhere.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    #[expect(clippy::cast_possible_truncation, reason = "less than `end`, which is a usize")]
    pub(super) fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    pub(super) fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}
