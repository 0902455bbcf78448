//! Who may import whom. The table stands in `docs/architecture.md` too, and both must say the same; what breaks it
//! breaks this test. Code of tests is free: it builds what it tests out of anything.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A folder or file of a crate's `src`, and what it may import besides itself. `a::b` allows that module alone.
type Table = &'static [(&'static str, &'static [&'static str])];

/// The engine, from the top down.
const ENGINE: Table = &[
    ("main", &["cli"]),
    (
        "cli",
        &[
            "config",
            "log_writer",
            "models",
            "record",
            "runtime",
            "server",
            "side",
            "spool",
            "tls",
            "topology",
        ],
    ),
    (
        "server",
        &[
            "accept",
            "allocator",
            "auth",
            "budget",
            "config",
            "http",
            "limits",
            "log_limiter",
            "log_writer",
            "models",
            "record",
            "remote",
            "runtime",
            "shard",
            "side",
            "spool",
            "telemetry",
            "tls",
            "topology",
        ],
    ),
    ("accept", &["limits", "log_limiter", "shard::mailbox", "telemetry"]),
    (
        "http",
        &[
            "auth",
            "budget",
            "limits",
            "media_type",
            "models",
            "network",
            "protocol",
            "record",
            "remote",
            "runtime",
            "shard",
            "telemetry",
            "tls",
        ],
    ),
    (
        "side",
        &[
            "allocator",
            "auth",
            "budget",
            "clock",
            "config",
            "limits",
            "log_limiter",
            "log_writer",
            "media_type",
            "models",
            "profile",
            "raw_write",
            "record",
            "remote",
            "shard::mailbox",
            "spool",
            "telemetry",
            "topology",
        ],
    ),
    (
        "shard",
        &[
            "auth",
            "budget",
            "config",
            "limits",
            "models",
            "protocol",
            "record",
            "remote",
            "runtime",
            "spool",
            "telemetry",
        ],
    ),
    ("models", &["config", "record"]),
    (
        "config",
        &[
            "auth", "budget", "limits", "network", "protocol", "runtime", "tls", "topology",
        ],
    ),
    ("spool", &["clock", "log_limiter", "record"]),
    ("record", &["limits"]),
    ("profile", &["clock"]),
    ("protocol", &[]),
    ("topology", &["limits"]),
    ("allocator", &[]),
    ("budget", &[]),
    ("clock", &[]),
    ("log_limiter", &[]),
    ("log_writer", &["raw_write"]),
    ("raw_write", &[]),
    ("limits", &[]),
    ("media_type", &[]),
    ("network", &[]),
    ("remote", &[]),
    ("runtime", &[]),
    ("auth", &["telemetry"]),
    ("telemetry", &[]),
    ("tls", &[]),
];

/// The crate that scores without a server.
const SCORING: Table = &[
    ("verify", &["loaded", "rows", "text"]),
    (
        "replay",
        &["comparison", "loaded", "record_columns", "render", "rows", "text"],
    ),
    ("comparison", &[]),
    ("quality", &["comparison", "drift", "replay", "text"]),
    ("drift", &["comparison", "loaded", "regular_file", "replay", "rows"]),
    (
        "rows",
        &["limits", "loaded", "missing_texts", "read", "reasons", "render", "text"],
    ),
    ("read", &["limits", "loaded", "missing_texts", "reasons", "render"]),
    (
        "loaded",
        &[
            "limits",
            "read",
            "reasons",
            "record_columns",
            "regular_file",
            "render",
            "text",
        ],
    ),
    ("record_columns", &[]),
    ("changes", &["loaded", "reasons", "render"]),
    ("render", &["changes", "limits", "loaded", "read", "reasons", "text"]),
    ("reasons", &["limits", "loaded", "render"]),
    ("missing_texts", &["text"]),
    ("text", &["limits"]),
    ("limits", &[]),
    ("regular_file", &[]),
];

/// Crates that what scores must not know: runtimes, HTTP, sockets, clouds, the command line.
const NO_SERVER: [&str; 9] = [
    "tokio",
    "hyper",
    "http",
    "glommio",
    "aws-",
    "rustls",
    "object_store",
    "clap",
    "quintile",
];

/// An import that is not in the table.
#[derive(Debug, PartialEq, Eq)]
struct Breach {
    file: String,
    line: usize,
    import: String,
}

#[test]
fn nobody_imports_what_the_table_does_not_allow() {
    let breaches: Vec<_> = [("engine", ENGINE), ("scoring", SCORING)]
        .into_iter()
        .flat_map(|(name, table)| breaches(&root().join(name).join("src"), table))
        .collect();
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn the_engine_has_no_rings() {
    // Each imports only what stands below it, so that the table itself is a proof.
    for (place, (from, to)) in ENGINE.iter().enumerate() {
        for target in *to {
            let target = target.split("::").next().unwrap_or_default();
            let below = ENGINE.iter().position(|(name, _)| *name == target).expect(target);
            assert!(below > place, "{from} imports {target}, which stands above it");
        }
    }
}

#[test]
fn the_table_is_that_of_the_documentation() {
    let text = fs::read_to_string(root().join("docs/architecture.md")).expect("docs/architecture.md");
    let section = text.split("\n## Walls\n").nth(1).expect("a section named Walls");
    let section = section.split("\n## ").next().unwrap_or_default();
    let told: Vec<(String, Vec<String>)> = section.lines().filter_map(row).collect();
    let table = ENGINE.iter().filter(|(from, _)| *from != "main");
    let wanted: Vec<(String, Vec<String>)> = table
        .map(|(from, to)| ((*from).to_owned(), to.iter().map(|name| (*name).to_owned()).collect()))
        .collect();
    assert_eq!(told, wanted);
}

#[test]
fn what_scores_knows_no_server() {
    let text = fs::read_to_string(root().join("scoring/Cargo.toml")).expect("scoring/Cargo.toml");
    let named = text
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !matches!(*name, "quintile-model" | "name"));
    let known: Vec<_> = named
        .filter(|name| {
            NO_SERVER.iter().any(|no| {
                if no.ends_with('-') {
                    name.starts_with(no)
                } else {
                    name == no
                }
            })
        })
        .collect();
    assert!(known.is_empty(), "{known:?}");
}

#[test]
fn a_wall_that_is_broken_is_found() {
    let folder = std::env::temp_dir().join(format!("quintile-walls-{}", std::process::id()));
    let write = |name: &str, text: &str| {
        let file = folder.join(name);
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(file, text).expect("a file");
    };
    write(
        "a.rs",
        "//! crate::b is not an import here.\nuse crate::{limits, b::Inner};\n",
    );
    write("b/mod.rs", "use super::a::Outer;\nfn f() {\n    crate::c::open();\n}\n");
    write(
        "b/deep.rs",
        "use super::super::a;\nuse super::own;\n#[cfg(test)]\nmod tests {\n    use crate::a;\n}\n",
    );
    write("c.rs", "use crate::b::allowed::Name;\nuse crate::b::Other;\n");
    let table: Table = &[("a", &["limits"]), ("b", &[]), ("c", &["b::allowed"])];
    let mut found: Vec<_> = breaches(&folder, table)
        .into_iter()
        .map(|breach| format!("{}:{} {}", breach.file, breach.line, breach.import))
        .collect();
    found.sort();
    fs::remove_dir_all(&folder).expect("the folder goes");
    let wanted = [
        "a.rs:2 b::Inner",
        "b/deep.rs:1 a",
        "b/mod.rs:1 a::Outer",
        "b/mod.rs:3 c::open",
        "c.rs:2 b::Other",
    ];
    assert_eq!(found, wanted);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A row of the documentation's table: names in backquotes.
fn row(line: &str) -> Option<(String, Vec<String>)> {
    let mut cells = line.strip_prefix("| `")?.split(" | ");
    let names = |cell: &str| {
        cell.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let from = cells.next()?.trim_end_matches('`').to_owned();
    Some((from, names(cells.next()?)))
}

/// Every import under a folder that its table does not allow.
fn breaches(source: &Path, table: Table) -> Vec<Breach> {
    let allowed: BTreeMap<_, _> = table.iter().copied().collect();
    let mut breaches = Vec::new();
    for file in files(source) {
        let name = file.strip_prefix(source).expect("below it").display().to_string();
        let modules = modules(&name);
        let Some(top) = modules.first() else { continue };
        let to = allowed
            .get(top.as_str())
            .unwrap_or_else(|| panic!("{name}: the table has no row for {top}"));
        let text = fs::read_to_string(&file).expect("it is text");
        for (line, import) in imports(&text, modules.len()) {
            let same = import.split("::").next() == Some(top);
            let fits = |allowed: &&str| import == **allowed || import.starts_with(&format!("{allowed}::"));
            if !same && !to.iter().any(fits) {
                breaches.push(Breach {
                    file: name.clone(),
                    line,
                    import,
                });
            }
        }
    }
    breaches
}

/// Source files that are part of the program.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let is_test = name == "tests" || name == "testing" || name.ends_with("_tests");
        if is_test || name == "lib" {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|suffix| suffix == "rs") {
            found.push(path);
        }
    }
    found
}

/// The module that a file is: `http/pages/mod.rs` is `http::pages`.
fn modules(file: &str) -> Vec<String> {
    let file = file.trim_end_matches(".rs");
    let file = file.strip_suffix("/mod").unwrap_or(file);
    file.split('/').map(str::to_owned).collect()
}

/// The paths from the crate's root that a file of so many modules names, with their lines.
fn imports(text: &str, depth: usize) -> Vec<(usize, String)> {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let out_of_here = "super::".repeat(depth);
    let mut found = Vec::new();
    for mark in ["crate::", out_of_here.as_str()] {
        for (at, _) in text.match_indices(mark) {
            let line_start = text[..at].rfind('\n').map_or(0, |at| at + 1);
            let before = &text[line_start..at];
            let goes_on = text[..at].ends_with(|letter: char| letter.is_alphanumeric() || matches!(letter, '_' | ':'));
            if before.trim_start().starts_with("//") || goes_on || before.contains("pub(in ") {
                continue;
            }
            let line = text[..at].matches('\n').count() + 1;
            found.extend(paths(&text[at + mark.len()..]).into_iter().map(|path| (line, path)));
        }
    }
    found
}

/// `a::b` as it is; of `{a, b::c, d::{e, f}}` each, to its first brace.
fn paths(text: &str) -> Vec<String> {
    let is_path = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | ':');
    let Some(group) = text.strip_prefix('{') else {
        let end = text.find(|letter| !is_path(letter)).unwrap_or(text.len());
        return vec![text[..end].trim_end_matches(':').to_owned()];
    };
    let (mut depth, mut names, mut name) = (0, Vec::new(), String::new());
    for letter in group.chars() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(std::mem::take(&mut name)),
            _ if depth == 0 && is_path(letter) => name.push(letter),
            _ => {}
        }
    }
    names.push(name);
    names.retain(|name| !name.is_empty());
    names
        .into_iter()
        .map(|name| name.trim_end_matches(':').to_owned())
        .collect()
}
