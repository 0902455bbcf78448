//! Opens files that are read whole: models, manifests, configurations. Anything but a regular file is refused by its
//! kind, and never waited for: opening a named pipe would block until it has a writer, and reading a terminal until
//! there is input.

use std::fmt;
use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Opens a regular file for reading.
///
/// # Errors
/// The operating system's reason; [`io::ErrorKind::IsADirectory`] for a folder, and
/// [`io::ErrorKind::InvalidInput`] for anything else that is not a regular file.
pub fn open(path: &Path) -> io::Result<File> {
    // Checked before it is opened, because opening a device or a pipe may have effects; and after, because it may have
    // been replaced. Without O_NONBLOCK that could block; for regular files the flag means nothing.
    check(&std::fs::metadata(path)?)?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    check(&file.metadata()?)?;
    Ok(file)
}

fn check(metadata: &Metadata) -> io::Result<()> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok(());
    }
    if kind.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::EISDIR));
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, NotRegular(kind)))
}

/// Something that is read in another way than a regular file, or not at all.
#[derive(Debug)]
struct NotRegular(FileType);

impl std::error::Error for NotRegular {}

impl fmt::Display for NotRegular {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.0 {
            kind if kind.is_fifo() => "a pipe",
            kind if kind.is_socket() => "a socket",
            kind if kind.is_char_device() => "a character device",
            kind if kind.is_block_device() => "a block device",
            _ => "of an unknown kind",
        };
        write!(f, "it is {kind}; only a regular file is accepted")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn what_is_no_regular_file_is_refused_by_its_kind_and_not_waited_for() {
        let folder = std::env::temp_dir().join(format!("quintile-regular-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let at = |name: &str| folder.join(name);
        mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        let _listener = UnixListener::bind(at("socket")).unwrap();
        std::os::unix::fs::symlink(at("pipe"), at("link")).unwrap();
        for (path, says) in [
            (at("pipe"), "it is a pipe; only a regular file is accepted"),
            (at("link"), "it is a pipe; only a regular file is accepted"),
            (at("socket"), "it is a socket; only a regular file is accepted"),
            (
                "/dev/zero".into(),
                "it is a character device; only a regular file is accepted",
            ),
        ] {
            assert_eq!(open(&path).unwrap_err().to_string(), says, "{path:?}");
        }
        assert_eq!(open(&folder).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert_eq!(open(&at("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::write(at("file"), "text").unwrap();
        std::os::unix::fs::symlink(at("file"), at("link to it")).unwrap();
        assert_eq!(io::read_to_string(open(&at("link to it")).unwrap()).unwrap(), "text");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
