//! Reads frames from the file after their memory was given back.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::Ordering;

use super::Segment;
use crate::spool::frames;
use crate::spool::protocol::FrameLook;

/// Bytes that are read back of a file at once.
const WINDOW: usize = 256 << 10;

/// A part of a file that is read back. Each cursor has one.
#[derive(Debug, Default)]
pub(in crate::spool) struct Window {
    /// The order of its segment, and its file.
    file: Option<(u64, File)>,
    from: usize,
    bytes: Vec<u8>,
}

impl Window {
    /// Lets go of file and memory.
    pub(in crate::spool) fn close(&mut self) {
        *self = Self::default();
    }

    fn file(&mut self, segment: &Segment) -> io::Result<&File> {
        if self.file.as_ref().is_none_or(|(order, _)| *order != segment.order) {
            self.close();
            let home = segment.home();
            let file = home.folder.open(&home.name)?;
            self.file = Some((segment.order, file));
        }
        let (_, file) = self.file.as_ref().expect("it was opened above");
        Ok(file)
    }

    /// Bytes from a place on: as many, or fewer where the file ends.
    fn bytes(&mut self, segment: &Segment, at: usize, len: usize) -> io::Result<&[u8]> {
        self.file(segment)?;
        let has = self.from..self.from + self.bytes.len();
        if at < has.start || at + len > has.end {
            let wanted = len.max(WINDOW).min(segment.layout.bytes.saturating_sub(at));
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.resize(wanted, 0);
            let (_, file) = self.file.as_ref().expect("it was opened above");
            let read = read_at(file, &mut bytes, at)?;
            bytes.truncate(read);
            (self.from, self.bytes) = (at, bytes);
        }
        let here = at - self.from;
        let there = (here + len).min(self.bytes.len());
        Ok(&self.bytes[here.min(there)..there])
    }

    pub(super) fn read(
        &mut self,
        segment: &Segment,
        at: usize,
        out: &mut Vec<u8>,
    ) -> io::Result<Result<(), FrameLook>> {
        let layout = &segment.layout;
        if segment.old().is_none() && at >= segment.written.load(Ordering::Acquire) {
            return Ok(Err(FrameLook::Sealed));
        }
        let word = self.bytes(segment, at, 8)?.first_chunk().copied();
        let length = word.map_or(0, |word: [u8; 4]| u32::from_le_bytes(word) as usize);
        let length = if layout.has_room(at, length) { length } else { 8 };
        let bytes = self.bytes(segment, at, length.max(8))?;
        match frames::frame(bytes, at, at, layout) {
            Ok(length) => {
                out.extend_from_slice(&bytes[..length]);
                Ok(Ok(()))
            }
            // Nothing more is written here, so nothing is damage as well.
            Err(FrameLook::Nothing) => Ok(Err(FrameLook::Frame(0))),
            Err(found) => Ok(Err(found)),
        }
    }

    pub(super) fn next_frame(&mut self, segment: &Segment, at: usize) -> io::Result<Option<usize>> {
        let end = segment.layout.end();
        if at >= end {
            return Ok(None);
        }
        let bytes = self.bytes(segment, at, end - at)?;
        let next = frames::next_frame(bytes, at, at, &segment.layout);
        self.bytes.truncate(WINDOW);
        Ok(next)
    }
}

/// Reads until a buffer is full or the file ends.
pub(in crate::spool) fn read_at(file: &File, bytes: &mut [u8], at: usize) -> io::Result<usize> {
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], (at + read) as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
