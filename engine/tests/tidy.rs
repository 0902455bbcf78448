//! Rules that keep files and functions short enough to be read at once. A test that is a table of cases may be longer
//! than other functions.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file at most.
const FILE_LINES_MAX: usize = 450;

/// Lines of a function at most, from its first line to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;

/// The crates, beside each other.
const CRATES: [&str; 8] = [
    "model", "scoring", "engine", "swagger", "bench", "fuzz", "perf", "xtask",
];

#[test]
fn files_are_short() {
    let long: Vec<_> = sources()
        .into_iter()
        .map(|(name, text)| (name, text.lines().count()))
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .collect();
    assert!(long.is_empty(), "more than {FILE_LINES_MAX} lines: {long:#?}");
}

#[test]
fn functions_are_short() {
    let shipped = sources().into_iter().filter(|(name, _)| !is_test(name));
    let long: Vec<_> = shipped
        .flat_map(|(name, text)| {
            let long = functions(&text)
                .into_iter()
                .filter(|(_, lines)| *lines > FUNCTION_LINES_MAX);
            long.map(|(function, lines)| format!("{name} {function}: {lines}"))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(long.is_empty(), "more than {FUNCTION_LINES_MAX} lines: {long:#?}");
}

#[test]
fn a_function_ends_at_its_brace() {
    let text = "impl A {\n    pub(crate) async fn one(&self) {\n        if x {\n        }\n    }\n}\nfn two() {}\n\
                trait B {\n    fn three(\n        a: u8,\n    ) -> u8;\n}\nconst fn four() {\n}\n";
    let found = functions(text);
    let wanted = [("one", 4), ("two", 1), ("three", 3), ("four", 2)];
    assert_eq!(found, wanted.map(|(name, lines)| (name.to_owned(), lines)));
}

/// The names and lines of all functions, as rustfmt lays them out.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = name(line) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let ends = |line: &&str| {
            line.strip_prefix(indent)
                .is_some_and(|rest| rest == "}" || rest.starts_with(')') && rest.ends_with(';'))
        };
        let is_one_line = line.ends_with([';', '}']);
        let end = if is_one_line {
            Some(0)
        } else {
            lines[start..].iter().position(ends)
        };
        found.push((name, end.map_or(1, |end| end + 1)));
    }
    found
}

/// The function that a line begins.
fn name(line: &str) -> Option<String> {
    let (before, after) = line.split_once("fn ")?;
    let words = before.split_whitespace();
    let is_head = before.is_empty() || before.ends_with(' ');
    let is_head = is_head
        && words.into_iter().all(|word| {
            matches!(
                word,
                "pub" | "const" | "async" | "unsafe" | "extern" | "\"C\"" | "super)" | "crate)"
            ) || word.starts_with("pub(")
                || word.ends_with(')')
        });
    let end = after.find(|letter: char| !letter.is_alphanumeric() && letter != '_')?;
    (is_head && end > 0).then(|| after[..end].to_owned())
}

fn is_test(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or_default();
    name.contains("/tests/") || file == "tests.rs" || file.ends_with("_tests.rs")
}

/// Every source file of ours, by its name.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for name in CRATES {
        walk(&root.join(name), &mut found);
    }
    assert!(found.len() > 200, "{} files were found", found.len());
    let named = found.into_iter().map(|path| {
        let name = path.strip_prefix(&root).expect("below it").display().to_string();
        (name, fs::read_to_string(&path).expect("it is text"))
    });
    named.collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target") {
                walk(&path, found);
            }
        } else if path.extension().is_some_and(|suffix| suffix == "rs") {
            found.push(path);
        }
    }
}
