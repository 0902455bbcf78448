//! What a file is that is no model of an accepted format, so that its owner need not guess.

use super::FormatError;
use super::error::ACCEPTED;

/// Says what a file is, by its first bytes. None of these is read any further: a pickle least of all.
pub(super) fn refusal(bytes: &[u8]) -> FormatError {
    let (what, advice) = name(bytes).unwrap_or(("no model file we know", ACCEPTED));
    FormatError::Foreign { what, advice }
}

/// A Treelite checkpoint of another version than 4.
pub(super) fn old_treelite() -> FormatError {
    FormatError::Foreign {
        what: "a Treelite checkpoint of another version than 4",
        advice: "load it with Treelite 4.0 or later (Model.deserialize) and write it again with Model.serialize",
    }
}

type Known = (&'static str, &'static str);

fn name(bytes: &[u8]) -> Option<Known> {
    const LEGACY: Known = (
        "an XGBoost model in the old binary format, which XGBoost itself no longer reads since 3.1",
        "load it with XGBoost 1.6 to 3.0 and save it as JSON or UBJSON (Booster.save_model(\"model.ubj\"))",
    );
    const PICKLE: Known = (
        "a Python pickle, which can run code and is never opened",
        "load it where it comes from and save the booster as JSON or UBJSON (Booster.save_model)",
    );
    const PREFIXES: [(&[u8], Known); 11] = [
        (b"binf", LEGACY),
        (b"bs64", LEGACY),
        (b"\x1f\x8b", ("compressed with gzip", "decompress it first")),
        (b"\x28\xb5\x2f\xfd", ("compressed with zstd", "decompress it first")),
        (b"PK\x03\x04", ("a zip archive", "take the model out of it")),
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
        (
            b"\xef\xbb\xbf",
            ("a text with a byte order mark", "save it without one"),
        ),
        (b"booster[", ("an XGBoost text dump, which has lost digits", ACCEPTED)),
        (
            b"[",
            ("a JSON array, perhaps an XGBoost dump, which is no model", ACCEPTED),
        ),
    ];
    if let Some((_, known)) = PREFIXES.iter().find(|(prefix, _)| bytes.starts_with(prefix)) {
        return Some(*known);
    }
    let head = &bytes[..bytes.len().min(512)];
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let text = text.trim_start();
    if text.starts_with("<!doctype") || text.starts_with("<html") || text.starts_with("<?xml") {
        return Some((
            "an HTML or XML page, perhaps of a failed download",
            "download the file itself",
        ));
    }
    if bytes[0] == 0x80 && bytes.get(1).is_some_and(|&protocol| (2..=5).contains(&protocol)) {
        return Some(PICKLE);
    }
    if text.starts_with("ccopy_reg") || text.starts_with("(dp0") || text.starts_with("cxgboost") {
        return Some(PICKLE);
    }
    is_legacy(bytes).then_some(LEGACY)
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
