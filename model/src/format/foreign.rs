//! Recognises files that are not models of an accepted format, so that the error can say what they are.
//!
//! Only the first bytes of these files are read. A pickle, which can run code, is never opened.

use super::FormatError;
use super::error::ACCEPTED;

/// What a file is and what to do instead.
type Known = (&'static str, &'static str);

/// Bytes that are searched for words that tell one file from another.
const HEAD_BYTES: usize = 4_096;

const LEGACY: Known = (
    "an XGBoost model in the old binary format, which XGBoost itself no longer reads since 3.1",
    "load it with XGBoost 1.6 to 3.0 and save it as JSON or UBJSON (Booster.save_model(\"model.ubj\"))",
);
const WRAPPED: Known = (
    "an XGBoost model in the old binary format within another one, as Spark and the JVM packages wrote it",
    "load it with the package that wrote it and export the booster alone, with XGBoost 1.6 to 3.0, as JSON or UBJSON \
     (saveModel(\"model.ubj\"))",
);
const DUMP: Known = (
    "a dump of an XGBoost model for people, which has lost its objective, its base score and digits of its numbers",
    "save the booster itself as JSON or UBJSON (Booster.save_model(\"model.ubj\"))",
);
const LIGHTGBM_DUMP: Known = (
    "a LightGBM model dumped as JSON, which LightGBM itself cannot read back",
    "save the booster as text (Booster.save_model(\"model.txt\"))",
);
const COMPRESSED_PICKLE: Known = (
    "compressed with zlib, bzip2 or xz, as joblib compresses Python pickles, which can run code and are never opened",
    "load it where it comes from and save the model in its library's own format, scikit-learn's forests through \
     treelite.sklearn.import_model(…).serialize",
);
const PAGE: Known = (
    "an HTML or XML page, perhaps of a failed download",
    "download the file itself",
);

const PREFIXES: [(&[u8], Known); 21] = [
    (b"binf", LEGACY),
    (b"bs64", LEGACY),
    (b"\x1f\x8b", ("compressed with gzip", "decompress it first (gunzip)")),
    (
        b"\x28\xb5\x2f\xfd",
        ("compressed with zstd", "decompress it first (unzstd)"),
    ),
    (b"BZh", COMPRESSED_PICKLE),
    (b"\xfd7zXZ", COMPRESSED_PICKLE),
    (b"\x5d\0\0", COMPRESSED_PICKLE),
    (b"\x78\x01", COMPRESSED_PICKLE),
    (b"\x78\x5e", COMPRESSED_PICKLE),
    (b"\x78\x9c", COMPRESSED_PICKLE),
    (b"\x78\xda", COMPRESSED_PICKLE),
    (
        b"PK\x03\x04",
        (
            "a zip archive, such as a MOJO or a packed model folder",
            "take the model file out of it",
        ),
    ),
    (
        b"version https://git-lfs",
        ("a Git LFS pointer, not the file it points to", "run `git lfs pull`"),
    ),
    (
        b"CBM1",
        (
            "a CatBoost model in its binary format",
            "load it with CatBoost and save it as JSON (save_model(\"model.json\", format=\"json\"))",
        ),
    ),
    (b"\x89HDF", ("an HDF5 file", ACCEPTED)),
    (b"PAR1", ("a Parquet file: data, no model", ACCEPTED)),
    (b"\x93NUMPY", ("a NumPy array: data, no model", ACCEPTED)),
    (
        b"RDX",
        (
            "an R workspace",
            "load it in R and save the booster itself (xgb.save, lgb.save)",
        ),
    ),
    (
        b"\xef\xbb\xbf",
        ("a text with a byte order mark", "save it without one"),
    ),
    (b"\xff\xfe", ("a text in UTF-16", "save it in UTF-8")),
    (b"booster[", DUMP),
];

/// Says what a file is, by its first bytes.
pub(super) fn refusal(bytes: &[u8]) -> FormatError {
    fault(name(bytes).unwrap_or(("no model file we know", ACCEPTED)))
}

/// A Treelite checkpoint of another version than 4.
pub(super) fn old_treelite() -> FormatError {
    fault((
        "a Treelite checkpoint of another version than 4",
        "load it with Treelite 4.0 or later (Model.deserialize) and write it again with Model.serialize",
    ))
}

/// What a JSON object is whose first key is none of XGBoost's.
pub(super) fn json_object(first_key: &[u8], bytes: &[u8]) -> Option<FormatError> {
    let lightgbm: [&[u8]; 3] = [b"name", b"tree_info", b"feature_importances"];
    let has_trees = has_word(bytes, b"\"tree_info\"") && has_word(bytes, b"\"tree_structure\"");
    match first_key {
        b"nodeid" => Some(fault(DUMP)),
        key if lightgbm.contains(&key) && has_trees => Some(fault(LIGHTGBM_DUMP)),
        _ => None,
    }
}

fn fault((what, advice): Known) -> FormatError {
    FormatError::Foreign { what, advice }
}

fn head(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(HEAD_BYTES)]
}

fn has_word(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

fn name(bytes: &[u8]) -> Option<Known> {
    if let Some((_, known)) = PREFIXES.iter().find(|(prefix, _)| bytes.starts_with(prefix)) {
        return Some(*known);
    }
    let head = head(bytes);
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let text = text.trim_start();
    if text.starts_with("<?xml") || text.starts_with('<') {
        let is_pmml = text.contains("<pmml");
        return Some(if is_pmml { PMML } else { PAGE });
    }
    let is_binary_pickle = bytes[0] == 0x80 && bytes.get(1).is_some_and(|&protocol| (2..=5).contains(&protocol));
    let is_text_pickle = [
        "ccopy_reg",
        "(dp0",
        "(lp0",
        "cxgboost",
        "csklearn",
        "clightgbm",
        "ccatboost",
    ];
    if is_binary_pickle || is_text_pickle.iter().any(|start| text.starts_with(start)) {
        return Some(pickle(head));
    }
    if is_legacy(bytes) {
        return Some(LEGACY);
    }
    let is_text = !head.contains(&0);
    if is_text {
        if let Some(known) = toml(text) {
            return Some(known);
        }
        let is_dump = has_word(head, b"\"nodeid\"") || (text.starts_with("0:[") && text.contains("yes="));
        if !is_dump && is_table(head) {
            return Some(TABLE);
        }
        return is_dump.then_some(DUMP).or_else(|| {
            let array = (
                "a JSON array, perhaps a dump, which is no model",
                "save the model in its library's own format: see the list of accepted ones",
            );
            text.starts_with('[').then_some(array)
        });
    }
    // A length in 64 bits and the booster's name, somewhere behind a foreign header.
    let boosters: [&[u8]; 3] = [
        b"\x06\0\0\0\0\0\0\0gbtree",
        b"\x08\0\0\0\0\0\0\0gblinear",
        b"\x04\0\0\0\0\0\0\0dart",
    ];
    boosters
        .iter()
        .any(|booster| has_word(head, booster))
        .then_some(WRAPPED)
}

/// A manifest or a configuration, by the first line that is neither blank nor a comment.
fn toml(text: &str) -> Option<Known> {
    const MANIFEST: Known = (
        "a manifest, which belongs beside a model and is none",
        "name the model's file: its manifest is the file of the same name that ends in .toml, and is read with it",
    );
    const CONFIGURATION: Known = (
        "a configuration, which is no model",
        "give it with --config, and name the model in it with path under [model]",
    );
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#'))?;
    if let Some(section) = line.strip_prefix('[').map(|rest| rest.trim_start_matches('[')) {
        let of_manifest = ["features.", "golden]", "groups.", "init]"];
        let of_configuration = [
            "server]", "model]", "models]", "records]", "scoring]", "limits]", "log]", "aws]",
        ];
        let is_one_of = |sections: &[&str]| sections.iter().any(|known| section.starts_with(known));
        return match () {
            () if is_one_of(&of_manifest) => Some(MANIFEST),
            () if is_one_of(&of_configuration) => Some(CONFIGURATION),
            () => None,
        };
    }
    let (key, value) = line.split_once('=')?;
    let keys = [
        "name",
        "version",
        "edges",
        "description",
        "owner",
        "missing",
        "input",
        "names",
        "band_names",
    ];
    let is_toml = value.trim_start().starts_with(['"', '\'', '[']);
    (is_toml && keys.contains(&key.trim())).then_some(MANIFEST)
}

const TABLE: Known = (
    "a table of text (CSV), which is data and no model",
    "name the model's file first, and the rows behind it: quintile score --model model.ubj rows.csv",
);

/// Whether a text's first lines have as many cells each, two or more, between commas, semicolons or tabs.
fn is_table(head: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(head).or_else(|error| std::str::from_utf8(&head[..error.valid_up_to()])) else {
        return false;
    };
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .take(3)
        .collect();
    let of = |separator: char| {
        let cells = |line: &str| line.split(separator).count();
        let first = lines.first().map_or(0, |line| cells(line));
        // The last line of the head may be cut off.
        first > 1 && lines.len() > 1 && lines[..2].iter().all(|line| cells(line) == first)
    };
    !text.starts_with(['[', '{']) && [',', ';', '\t'].into_iter().any(of)
}

const PMML: Known = (
    "a PMML document",
    "save the model in its library's own format instead: XGBoost as JSON or UBJSON, LightGBM as text, scikit-learn's \
     forests through treelite.sklearn.import_model(…).serialize",
);

/// A pickle is never opened; words in its first bytes say whose it is.
fn pickle(head: &[u8]) -> Known {
    const WHAT: &str = "a Python pickle (joblib writes them too), which can run code and is never opened";
    let owners: [(&[u8], &str); 4] = [
        (
            b"xgboost",
            "load it where it comes from and save the booster as JSON or UBJSON (Booster.save_model(\"model.ubj\"))",
        ),
        (
            b"lightgbm",
            "load it where it comes from and save the booster as text (booster_.save_model(\"model.txt\"))",
        ),
        (
            b"catboost",
            "load it where it comes from and save it as JSON (save_model(\"model.json\", format=\"json\"))",
        ),
        (
            b"sklearn",
            "load it where it comes from and export its trees with treelite.sklearn.import_model(…).serialize(\"model.tl\")",
        ),
    ];
    let owner = owners.iter().find(|(word, _)| has_word(head, word));
    let anywhere = "load it where it comes from and save the model in its library's own format: XGBoost and LightGBM with \
                    Booster.save_model, scikit-learn's forests through treelite.sklearn.import_model(…).serialize";
    (WHAT, owner.map_or(anywhere, |(_, advice)| advice))
}

/// `LearnerModelParam` of the old format is 136 bytes, nearly all zero; the objective's name follows, its length first.
fn is_legacy(bytes: &[u8]) -> bool {
    let Some((length, name)) = bytes.get(136..).and_then(|rest| rest.split_first_chunk::<8>()) else {
        return false;
    };
    let length = u64::from_le_bytes(*length);
    let plain = |byte: &u8| byte.is_ascii_lowercase() || matches!(byte, b':' | b'_');
    (3..=64).contains(&length) && name.len() > 64 && name.iter().take_while(|byte| plain(byte)).count() as u64 >= length
}
