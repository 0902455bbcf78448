//! Where records go that a service refuses for ever: a file of JSON lines, each with the reason.
//!
//! `DATA_DIR/dead_letters/<sink>.ndjson`. A line is on the disk before the record counts as dealt with. Whoever repairs
//! the cause can send the lines' `record` again by hand; ids tell whether one is there already.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::SinkError;
use crate::score::render;
use crate::side::calendar::civil;

/// The file of one sink. It is made when the first letter comes.
#[derive(Debug)]
pub(super) struct DeadLetters {
    path: PathBuf,
    file: Option<File>,
}

/// One record and why it is here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Letter<'a> {
    /// A JSON text, with or without a newline behind it.
    pub(super) record: &'a [u8],
    pub(super) reason: &'a str,
}

impl DeadLetters {
    /// Makes the folder.
    ///
    /// # Errors
    /// When that cannot be.
    pub(super) fn open(data_dir: &Path, sink: &'static str) -> Result<Self, SinkError> {
        let folder = data_dir.join("dead_letters");
        fs::create_dir_all(&folder).map_err(|source| SinkError::File {
            step: "create",
            path: folder.clone(),
            source,
        })?;
        Ok(Self {
            path: folder.join(format!("{sink}.ndjson")),
            file: None,
        })
    }

    /// Writes letters down, and returns when they are on the disk.
    ///
    /// # Errors
    /// Then some of them may be there; writing them again is right, for ids tell.
    pub(super) fn write(&mut self, letters: &[Letter<'_>], now_us: i64) -> Result<(), SinkError> {
        let mut text = Vec::new();
        for letter in letters {
            line(&mut text, letter, now_us);
        }
        self.append(&text).map_err(|source| {
            // Half a line may be there: the next one must not go on behind it.
            self.file = None;
            SinkError::File {
                step: "write",
                path: self.path.clone(),
                source,
            }
        })
    }

    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            let mut file = OpenOptions::new().append(true).create(true).open(&self.path)?;
            if ends_within_a_line(&self.path)? {
                file.write_all(b"\n")?;
            }
            self.file = Some(file);
        }
        let file = self.file.as_mut().expect("it was opened above");
        file.write_all(text)?;
        file.sync_data()
    }
}

fn ends_within_a_line(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::FileExt as _;
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut last = [b'\n'];
    if length > 0 {
        file.read_exact_at(&mut last, length - 1)?;
    }
    Ok(last != *b"\n")
}

fn line(out: &mut Vec<u8>, letter: &Letter<'_>, now_us: i64) {
    out.extend_from_slice(b"{\"time\":\"");
    civil(now_us).write_rfc3339(out);
    out.extend_from_slice(b"\",\"reason\":");
    render::string(out, letter.reason);
    out.extend_from_slice(b",\"record\":");
    out.extend_from_slice(letter.record.trim_ascii_end());
    out.extend_from_slice(b"}\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::side::testing::TestDir;

    const NOW_US: i64 = 1_764_000_000_123_456;

    fn read(dir: &TestDir) -> String {
        fs::read_to_string(dir.path().join("dead_letters/firehose.ndjson")).unwrap()
    }

    #[test]
    fn each_letter_is_a_line_with_its_reason() {
        let dir = TestDir::new("letters");
        let mut letters = DeadLetters::open(dir.path(), "firehose").unwrap();
        assert!(!dir.path().join("dead_letters/firehose.ndjson").exists());
        let (first, second) = (
            Letter {
                record: b"{\"a\":1}\n",
                reason: "too \"large\"",
            },
            Letter {
                record: b"{}",
                reason: "",
            },
        );
        letters.write(&[first, second], NOW_US).unwrap();
        drop(letters);
        let mut letters = DeadLetters::open(dir.path(), "firehose").unwrap();
        letters.write(&[second], NOW_US).unwrap();
        let empty = "{\"time\":\"2025-11-24T16:00:00.123456Z\",\"reason\":\"\",\"record\":{}}\n";
        let large =
            "{\"time\":\"2025-11-24T16:00:00.123456Z\",\"reason\":\"too \\\"large\\\"\",\"record\":{\"a\":1}}\n";
        assert_eq!(read(&dir), format!("{large}{empty}{empty}"));
    }

    #[test]
    fn a_torn_line_does_not_spoil_the_next() {
        let dir = TestDir::new("torn");
        let mut letters = DeadLetters::open(dir.path(), "firehose").unwrap();
        fs::write(dir.path().join("dead_letters/firehose.ndjson"), "{\"time\":\"20").unwrap();
        let letter = Letter {
            record: b"{}",
            reason: "",
        };
        letters.write(&[letter], NOW_US).unwrap();
        let text = read(&dir);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((lines.len(), lines[0]), (2, "{\"time\":\"20"));
    }
}
