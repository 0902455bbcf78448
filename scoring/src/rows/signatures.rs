//! The format of a file from its first bytes. Files that are no table of rows are refused with their format and what to
//! do instead.

/// A compression that is read as if it were not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
}

impl Compression {
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, 0x08, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// A file that is no table of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreign {
    /// What it is.
    pub(super) name: &'static str,
    /// What makes rows of it.
    pub(super) remedy: &'static str,
}

const fn foreign(name: &'static str, remedy: &'static str) -> Foreign {
    Foreign { name, remedy }
}

const TO_CSV: &str = "save its sheet as CSV (UTF-8)";
const TO_PARQUET: &str = "write the table as Parquet or CSV";

/// Beginnings that no table of rows has.
const BEGINNINGS: [(&[u8], Foreign); 21] = [
    (b"BZh", foreign("compressed with bzip2", "decompress it with bunzip2")),
    (b"\xfd7zXZ\0", foreign("compressed with xz", "decompress it with unxz")),
    (
        b"\x04\x22\x4d\x18",
        foreign("compressed with LZ4", "decompress it with unlz4"),
    ),
    (
        b"\xff\x06\0\0sNaPpY",
        foreign("compressed with Snappy", "decompress it"),
    ),
    (
        b"\x1f\x9d",
        foreign("compressed with compress", "decompress it with uncompress"),
    ),
    (b"7z\xbc\xaf\x27\x1c", foreign("a 7z archive", "unpack it")),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        foreign("an Excel workbook (.xls)", TO_CSV),
    ),
    (b"ARROW1\0\0", foreign("an Arrow file (Feather)", TO_PARQUET)),
    (b"\xff\xff\xff\xff", foreign("an Arrow stream", TO_PARQUET)),
    (b"FEA1", foreign("a Feather file", TO_PARQUET)),
    (b"Obj\x01", foreign("an Avro file", TO_PARQUET)),
    (
        b"SQLite format 3\0",
        foreign("an SQLite database", "write one table of it as CSV"),
    ),
    (b"\x89HDF\r\n", foreign("an HDF5 file", TO_PARQUET)),
    (b"\x93NUMPY", foreign("a NumPy array", TO_PARQUET)),
    (b"%PDF-", foreign("a PDF document", "export the table as CSV")),
    (b"<!DOCTYPE", foreign("a web page", "download the table itself, as CSV")),
    (b"<html", foreign("a web page", "download the table itself, as CSV")),
    (b"<?xml", foreign("XML", "save it as CSV (UTF-8)")),
    (
        b"version https://git-lfs",
        foreign("a Git LFS pointer in place of the file", "fetch it with git lfs pull"),
    ),
    (b"\xff\xfe\0\0", foreign("UTF-32 text", "save it as UTF-8")),
    (b"\0\0\xfe\xff", foreign("UTF-32 text", "save it as UTF-8")),
];

impl Foreign {
    /// What a file is that begins so, if it is no table of rows.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        if head.starts_with(b"PK\x03\x04") {
            let is_workbook = contains(head, b"xl/") || contains(head, b"[Content_Types].xml");
            return Some(match is_workbook {
                true => foreign("an Excel workbook (.xlsx)", TO_CSV),
                false => foreign("a zip archive", "unpack it"),
            });
        }
        // Letters that a header may begin with, if text follows.
        let is_binary = |at: usize| {
            head.get(at)
                .is_some_and(|byte| !byte.is_ascii_graphic() && *byte != b' ')
        };
        if head.starts_with(b"ORC") && is_binary(3) && !matches!(head.get(3), Some(b'\r' | b'\n' | b'\t')) {
            return Some(foreign("an ORC file", TO_PARQUET));
        }
        if head.starts_with(b"PARE") && is_binary(4) && !matches!(head.get(4), Some(b'\r' | b'\n' | b'\t')) {
            return Some(foreign("an encrypted Parquet file", "write it without encryption"));
        }
        if let [0x80, 2..=5, ..] = head {
            return Some(foreign("a Python pickle", TO_PARQUET));
        }
        if head.get(257..262) == Some(b"ustar") {
            return Some(foreign("a tar archive", "unpack it"));
        }
        let found = BEGINNINGS.iter().find(|(beginning, _)| head.starts_with(beginning));
        found
            .filter(|(beginning, _)| {
                *beginning != b"BZh" || matches!(head.get(3..10), Some([b'1'..=b'9', b'1', b'A', b'Y', ..]))
            })
            .map(|&(_, foreign)| foreign)
    }
}

/// Whether a file that begins so is Parquet: the mark, and behind it what no text has.
pub(super) fn is_parquet(head: &[u8]) -> bool {
    head.strip_prefix(b"PAR1").is_some_and(|rest| {
        rest.iter()
            .take(64)
            .any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace())
    })
}

fn contains(head: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(head, part).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_kinds_are_known_and_headers_are_not() {
        for (head, name) in [
            (
                &b"PK\x03\x04\x14\0\x06\0[Content_Types].xml"[..],
                "an Excel workbook (.xlsx)",
            ),
            (b"PK\x03\x04\x14\0\x06\0rows.csv", "a zip archive"),
            (b"BZh91AY&SY", "compressed with bzip2"),
            (b"ORC\x08\x03", "an ORC file"),
            (b"\x80\x04\x95", "a Python pickle"),
        ] {
            assert_eq!(Foreign::of(head).map(|foreign| foreign.name), Some(name), "{head:?}");
        }
        for head in [
            "BZh,a", "ORC,a\n", "ORC\n", "PARENT,a", "PARE\tb", "PAR1,a\n", "a,b\n", "",
        ] {
            assert_eq!(Foreign::of(head.as_bytes()), None, "{head:?}");
            assert!(!is_parquet(head.as_bytes()), "{head:?}");
        }
        assert!(is_parquet(b"PAR1\x15\x04\x15"));
    }
}
