//! Files for records that a service always refuses: lines of JSON, each with the reason.
//!
//! ```text
//! DATA_DIR/dead_letters/<sink>.ndjson                 being written
//!                       <sink>-<micros>.ndjson        full: it was renamed at that moment, in microseconds since 1970
//! ```
//! A line is on the disk before the record counts as handled. Nothing here ever deletes one: at the limit of bytes
//! further letters are refused, their records stay in the spool, and the sink waits until files are taken away. A file
//! may be moved or removed at any time. After the cause is repaired, an operator can send the lines' `record` again;
//! ids show whether a record is already there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use quintile_scoring::render;

use super::SinkError;
use crate::side::calendar::write_rfc3339;

/// Files of a limit: what is full can be taken away while the rest is written.
const FILES: u64 = 8;

/// The files of one sink. The first is made when the first letter comes.
#[derive(Debug)]
pub(super) struct DeadLetters {
    folder: PathBuf,
    sink: &'static str,
    bytes_max: u64,
    /// Of all files, when they were last counted, and what was written since.
    bytes: u64,
}

/// One record and why it is here.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeadLetter<'a> {
    /// A JSON text, with or without a newline behind it.
    pub(super) record: &'a [u8],
    pub(super) reason: &'a str,
}

impl DeadLetters {
    /// Makes the folder and counts what is in it.
    ///
    /// # Errors
    /// When that cannot be.
    pub(super) fn open(data_dir: &Path, sink: &'static str, bytes_max: u64) -> Result<Self, SinkError> {
        let folder = data_dir.join("dead_letters");
        let failed = |step: &'static str| {
            let path = folder.clone();
            move |source| SinkError::File { step, path, source }
        };
        fs::create_dir_all(&folder).map_err(failed("create"))?;
        let mut letters = Self {
            folder: folder.clone(),
            sink,
            bytes_max,
            bytes: 0,
        };
        letters.bytes = letters.count().map_err(failed("list"))?;
        Ok(letters)
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes that all files may have.
    pub(super) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Writes letters down, and returns when they are on the disk.
    ///
    /// # Errors
    /// [`SinkError::DeadLetters`] when there is no room for them: none is there then. After any other error some of
    /// them may be there; writing them again is right, for ids tell.
    pub(super) fn write(&mut self, letters: &[DeadLetter<'_>], now_us: i64) -> Result<(), SinkError> {
        let mut text = Vec::new();
        for letter in letters {
            line(&mut text, letter, now_us);
        }
        let more = text.len() as u64;
        let path = self.folder.join(format!("{}.ndjson", self.sink));
        let failed = |source| SinkError::File {
            step: "write",
            path: path.clone(),
            source,
        };
        if self.bytes + more > self.bytes_max {
            // An operator may have taken files away.
            self.bytes = self.count().map_err(failed)?;
        }
        if self.bytes + more > self.bytes_max {
            return Err(SinkError::DeadLetters {
                folder: self.folder.clone(),
                bytes_max: self.bytes_max,
            });
        }
        self.append(&path, &text, now_us).map_err(failed)?;
        self.bytes += more;
        Ok(())
    }

    /// Opens the file each time, because it may have been moved or removed; letters are rare.
    fn append(&self, path: &Path, text: &[u8], now_us: i64) -> io::Result<()> {
        let file = File::options().append(true).create(true).read(true).open(path)?;
        let length = file.metadata()?.len();
        let is_full = length > 0 && length + text.len() as u64 > self.bytes_max / FILES;
        let mut file = if is_full {
            fs::rename(path, self.folder.join(format!("{}-{now_us}.ndjson", self.sink)))?;
            OpenOptions::new().append(true).create_new(true).open(path)?
        } else {
            file
        };
        if !is_full && ends_within_a_line(&file, length)? {
            file.write_all(b"\n")?;
        }
        file.write_all(text)?;
        file.sync_data()?;
        if is_full || length == 0 {
            File::open(&self.folder)?.sync_all()?;
        }
        Ok(())
    }

    fn count(&self) -> io::Result<u64> {
        let mut bytes = 0;
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let rest = name.to_str().and_then(|name| name.strip_prefix(self.sink));
            if rest.is_some_and(|rest| rest.ends_with(".ndjson") && rest.starts_with(['.', '-'])) {
                match entry.metadata() {
                    Ok(metadata) => bytes += metadata.len(),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(bytes)
    }
}

/// Whether a process died, or a disk was full, in the middle of a line.
fn ends_within_a_line(file: &File, length: u64) -> io::Result<bool> {
    let mut last = [b'\n'];
    if length > 0 {
        file.read_exact_at(&mut last, length - 1)?;
    }
    Ok(last != *b"\n")
}

fn line(out: &mut Vec<u8>, letter: &DeadLetter<'_>, now_us: i64) {
    out.extend_from_slice(b"{\"time\":\"");
    write_rfc3339(out, now_us);
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
        let mut letters = DeadLetters::open(dir.path(), "firehose", 1 << 20).unwrap();
        assert!(!dir.path().join("dead_letters/firehose.ndjson").exists());
        let (first, second) = (
            DeadLetter {
                record: b"{\"a\":1}\n",
                reason: "too \"large\"",
            },
            DeadLetter {
                record: b"{}",
                reason: "",
            },
        );
        letters.write(&[first, second], NOW_US).unwrap();
        drop(letters);
        let mut letters = DeadLetters::open(dir.path(), "firehose", 1 << 20).unwrap();
        letters.write(&[second], NOW_US).unwrap();
        let empty = "{\"time\":\"2025-11-24T16:00:00.123456Z\",\"reason\":\"\",\"record\":{}}\n";
        let large =
            "{\"time\":\"2025-11-24T16:00:00.123456Z\",\"reason\":\"too \\\"large\\\"\",\"record\":{\"a\":1}}\n";
        assert_eq!(read(&dir), format!("{large}{empty}{empty}"));
    }

    #[test]
    fn a_torn_line_does_not_spoil_the_next() {
        let dir = TestDir::new("torn");
        let mut letters = DeadLetters::open(dir.path(), "firehose", 1 << 20).unwrap();
        fs::write(dir.path().join("dead_letters/firehose.ndjson"), "{\"time\":\"20").unwrap();
        let letter = DeadLetter {
            record: b"{}",
            reason: "",
        };
        letters.write(&[letter], NOW_US).unwrap();
        let text = read(&dir);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((lines.len(), lines[0]), (2, "{\"time\":\"20"));
    }

    #[test]
    fn full_files_are_put_aside_and_a_full_folder_refuses_until_somebody_takes_one_away() {
        let dir = TestDir::new("full");
        let folder = dir.path().join("dead_letters");
        let mut letters = DeadLetters::open(dir.path(), "firehose", 8_000).unwrap();
        let names = || {
            let mut names: Vec<_> = fs::read_dir(&folder)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .collect();
            names.sort();
            names
        };
        let mut written = 0;
        let refused = loop {
            let record = format!("{{\"number\":{written},\"padding\":\"{}\"}}", "x".repeat(300));
            let letter = DeadLetter {
                record: record.as_bytes(),
                reason: "r",
            };
            match letters.write(&[letter], NOW_US + written) {
                Ok(()) => written += 1,
                Err(error) => break error,
            }
        };
        assert!(
            refused.to_string().contains("are at their limit of 8000 bytes"),
            "{refused}"
        );
        let texts: Vec<String> = names().iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        assert!(
            names().len() >= 8 && texts.iter().all(|text| text.len() <= 1_000),
            "{:?}",
            names()
        );
        assert_eq!(texts.concat().lines().count() as i64, written, "each is in one of them");
        assert_eq!(letters.bytes(), texts.concat().len() as u64);

        // The next process knows what is there, and goes on when there is room.
        let mut letters = DeadLetters::open(dir.path(), "firehose", 8_000).unwrap();
        let letter = DeadLetter {
            record: &[b'1'; 900],
            reason: "r",
        };
        assert!(letters.write(&[letter], NOW_US).is_err());
        fs::remove_file(&names()[0]).unwrap();
        letters.write(&[letter], NOW_US).unwrap();
    }

    #[test]
    fn a_file_that_is_taken_away_while_it_is_written_is_begun_anew() {
        let dir = TestDir::new("taken");
        let mut letters = DeadLetters::open(dir.path(), "firehose", 1 << 20).unwrap();
        let letter = DeadLetter {
            record: b"{}",
            reason: "",
        };
        letters.write(&[letter], NOW_US).unwrap();
        fs::rename(
            dir.path().join("dead_letters/firehose.ndjson"),
            dir.path().join("taken"),
        )
        .unwrap();
        letters.write(&[letter], NOW_US).unwrap();
        assert_eq!(read(&dir).lines().count(), 1);
    }
}
