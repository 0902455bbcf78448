//! From a file, a folder or a stream to rows of a known format: by its first bytes, then by its name.
//!
//! Compression, byte order marks, UTF-16 and line ends of old Macs are handled here, so that no reader of rows sees
//! them.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::path::PathBuf;

use flate2::read::MultiGzDecoder;

use super::encoding::{Decompressed, HEAD_BYTES, LineEnd, MacReader, Peeked, Spelling, Utf16, Utf16Reader};
use super::signatures::{self, Compression, Foreign};
use super::{Format, Input, ScoreError};

/// A stream of text, its first bytes read ahead.
pub(super) type Text<'i> = Peeked<Box<dyn Read + 'i>>;

/// Rows whose format is known.
pub enum Opened<'i> {
    /// Cells.
    Csv(Text<'i>),
    /// Lines, or one array.
    Json {
        /// The text.
        text: Text<'i>,
        /// Whether it is one array.
        is_array: bool,
    },
    /// Columns.
    Parquet(File),
    /// Parts of Parquet.
    Folder(PathBuf),
}

/// What is known of the rows before they are opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stated {
    /// The format of a flag: it overrides the name and, between CSV and JSON, the first bytes.
    pub flag: Option<Format>,
    /// What the file's name says.
    pub name: Option<Format>,
}

impl std::fmt::Debug for Opened<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Opened").field(&self.format()).finish()
    }
}

impl<'i> Opened<'i> {
    /// The format that it was found to be.
    #[must_use]
    pub fn format(&self) -> Format {
        match self {
            Self::Csv(_) => Format::Csv,
            Self::Json { .. } => Format::Ndjson,
            Self::Parquet(_) | Self::Folder(_) => Format::Parquet,
        }
    }

    /// Looks at the first bytes.
    ///
    /// # Errors
    /// What is not rows, or is not as it was stated.
    pub fn new(input: Input<'i>, stated: Stated) -> Result<Self, ScoreError> {
        let wanted = stated.flag.or(stated.name);
        let stream: Box<dyn Read + 'i> = match input {
            Input::Stream(stream) if stated.flag == Some(Format::Parquet) => {
                drop(stream);
                return Err(ScoreError::Stream);
            }
            Input::Stream(stream) => stream,
            Input::Folder(folder) => {
                return match stated.flag {
                    Some(flag @ (Format::Csv | Format::Ndjson)) => Err(ScoreError::FolderOfText(flag.name())),
                    Some(Format::Parquet) | None => Ok(Self::Folder(folder)),
                };
            }
            Input::File(mut file) => {
                let mut head = Vec::new();
                (&file)
                    .take(HEAD_BYTES as u64)
                    .read_to_end(&mut head)
                    .map_err(ScoreError::Read)?;
                // What cannot be read twice is a stream: a pipe, a device.
                let is_seekable = file.seek(SeekFrom::Start(0)).is_ok();
                if signatures::is_parquet(&head) || (is_seekable && wanted == Some(Format::Parquet)) {
                    if let Some(foreign) = Foreign::of(&head) {
                        return Err(ScoreError::Foreign(foreign));
                    }
                    return match (stated.flag, is_seekable) {
                        (Some(flag @ (Format::Csv | Format::Ndjson)), _) => Err(ScoreError::NotAsStated {
                            flag: flag.name(),
                            is: "Parquet",
                        }),
                        (_, false) => Err(ScoreError::Stream),
                        (_, true) => Ok(Self::Parquet(file)),
                    };
                }
                match is_seekable {
                    true => Box::new(file),
                    false => Box::new(io::Cursor::new(head).chain(file)),
                }
            }
        };
        let text = text(stream)?;
        if signatures::is_parquet(text.head()) {
            return Err(ScoreError::Stream);
        }
        Self::of_text(text, stated)
    }

    fn of_text(text: Text<'i>, stated: Stated) -> Result<Self, ScoreError> {
        let head = text.head().trim_ascii_start();
        let is_array = head
            .strip_prefix(b"[")
            .is_some_and(|rest| matches!(rest.trim_ascii_start().first(), Some(b'{' | b']')));
        let is_object = head
            .strip_prefix(b"{")
            .is_some_and(|rest| matches!(rest.trim_ascii_start().first(), Some(b'"' | b'}')));
        let is_json = match stated.flag {
            Some(format) => format == Format::Ndjson,
            None => is_array || is_object || stated.name == Some(Format::Ndjson),
        };
        if !is_json {
            return Ok(Self::Csv(text));
        }
        let first_line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
        if first_line.trim_ascii() == b"{" && first_line.len() < head.len() {
            return Err(ScoreError::ObjectOverLines);
        }
        Ok(Self::Json { text, is_array })
    }
}

/// A stream without its compression, its mark and its encoding.
fn text<'i>(stream: Box<dyn Read + 'i>) -> Result<Text<'i>, ScoreError> {
    let mut text = Peeked::new(stream).map_err(ScoreError::Read)?;
    if let Some(compression) = Compression::of(text.head()) {
        let rest: Box<dyn Read + 'i> = match compression {
            Compression::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(HEAD_BYTES, text))),
            Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(text).map_err(ScoreError::Read)?),
        };
        let name = compression.name();
        text = Peeked::new(Box::new(Decompressed { rest, name }) as Box<dyn Read + 'i>).map_err(ScoreError::Read)?;
        if let Some(inner) = Compression::of(text.head()) {
            return Err(ScoreError::CompressedTwice {
                outer: name,
                inner: inner.name(),
            });
        }
    }
    if let Some(foreign) = Foreign::of(text.head()) {
        return Err(ScoreError::Foreign(foreign));
    }
    let mut spelling = Spelling::default();
    if text.head().starts_with(b"\xef\xbb\xbf") {
        text.skip(3);
        spelling.has_mark = true;
    } else if let Some((order, mark_bytes)) = Utf16::of(text.head()) {
        text.skip(mark_bytes);
        spelling.has_mark = true;
        let rest = Box::new(Utf16Reader::new(text, order, mark_bytes)) as Box<dyn Read + 'i>;
        text = Peeked::new(rest).map_err(ScoreError::Read)?;
    }
    spelling.line_end = LineEnd::of(text.head());
    if spelling.line_end == LineEnd::Cr {
        text = Peeked::new(Box::new(MacReader(text)) as Box<dyn Read + 'i>).map_err(ScoreError::Read)?;
    }
    text.set_spelling(spelling);
    Ok(text)
}
