//! A segment: frames of one shard, each sink's checkpoint, and the file that both are written to.
//!
//! Its frames are in a slot of the arena while they are written, and until all of them are in its file. The first page
//! and the marks, which surround the frames in the file, are its control and stay in memory as long as the segment. A
//! shard stores into the slot, a cursor into the control, and only the spool's own thread ([`super::disk`]) touches the
//! file. [`super::layout`] has the offsets.

mod checkpoints;
mod window;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(super) use self::window::{Window, read_at};
use super::arena::{Entry, Field, Slot, State, UNNAMED};
use super::folder::{Folder, write_all_at};
use super::frames;
use super::layout::{BODY, END_AT, HEAD_BYTES, Layout, name_of};
use super::protocol::{FrameLook, SEAL_BYTES, look};
use crate::record::check;

const PAGE: usize = 4096;

/// One file of the spool, and the memory in front of it.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) layout: Layout,
    /// Its place among all segments: the serial, unless another file has the same one.
    pub(super) order: u64,
    entry: Entry,
    slot: Mutex<Option<Arc<Slot>>>,
    home: Mutex<Home>,
    /// Records in it. One writer.
    appended: AtomicU64,
    /// Its shard will append no more.
    sealed: AtomicBool,
    /// Where the frames end that are in the file. The spool's thread only, until there is no slot.
    written: AtomicUsize,
    /// All frames are in the file, and the word behind them that says so.
    is_written: AtomicBool,
    /// Parts of the control that the file has not got: a bit for the first page, and 63 for the marks.
    dirty: AtomicU64,
    /// Of a process that has ended: where whole frames lie behind each other.
    old: Option<Vec<Range<usize>>>,
}

/// Where its file is.
#[derive(Debug, Clone)]
pub(super) struct Home {
    pub(super) folder: Arc<Folder>,
    pub(super) name: PathBuf,
    /// Open as long as frames are written to it.
    pub(super) file: Option<Arc<File>>,
}

/// What an old segment starts with.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) layout: Layout,
    pub(super) control: Vec<u8>,
    pub(super) walk: frames::Walk,
    /// The file says something else: it is to be written again.
    pub(super) is_mended: bool,
}

impl Segment {
    /// A new one, its frames in a slot that is zero where frames may be.
    pub(super) fn new(layout: Layout, order: u64, entry: Entry, slot: Arc<Slot>, home: Home, sinks: &[&str]) -> Self {
        entry.set(Field::Slot, slot.number as u64 + 1);
        let segment = Self::of(layout, order, entry, home);
        *segment.slot_lock() = Some(slot);
        for (number, sink) in sinks.iter().enumerate() {
            segment.name_slot(number, &name_of(sink));
        }
        segment.entry.set(Field::State, State::Used as u64);
        segment
    }

    /// One that another process has left.
    pub(super) fn found(found: Found, order: u64, entry: Entry, home: Home) -> Self {
        for (place, chunk) in found.control.as_chunks::<8>().0.iter().enumerate() {
            let word = u64::from_le_bytes(*chunk);
            if word != 0 {
                entry.control.long(8 * place).store(word, Ordering::Relaxed);
            }
        }
        let mut segment = Self::of(found.layout, order, entry, home);
        segment.appended = AtomicU64::new(found.walk.frames);
        segment.sealed = AtomicBool::new(true);
        segment.is_written = AtomicBool::new(true);
        segment.written = AtomicUsize::new(found.walk.end());
        segment.dirty = AtomicU64::new(if found.is_mended { u64::MAX } else { 0 });
        segment.old = Some(found.walk.extents);
        segment.entry.set(Field::State, State::Used as u64);
        segment
    }

    fn of(layout: Layout, order: u64, entry: Entry, home: Home) -> Self {
        for (place, chunk) in layout.encode().as_chunks::<8>().0.iter().enumerate() {
            let word = u64::from_le_bytes(*chunk);
            entry.control.long(8 * place).store(word, Ordering::Relaxed);
        }
        entry.set(Field::Bytes, layout.bytes as u64);
        entry.set(Field::File, number_of(&home.name).unwrap_or(UNNAMED));
        Self {
            layout,
            order,
            entry,
            slot: Mutex::default(),
            home: Mutex::new(home),
            appended: AtomicU64::new(0),
            sealed: AtomicBool::new(false),
            written: AtomicUsize::new(BODY),
            is_written: AtomicBool::new(false),
            dirty: AtomicU64::new(u64::MAX),
            old: None,
        }
    }

    fn slot_lock(&self) -> MutexGuard<'_, Option<Arc<Slot>>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn home_lock(&self) -> MutexGuard<'_, Home> {
        self.home.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn home(&self) -> Home {
        self.home_lock().clone()
    }

    pub(super) fn path(&self) -> PathBuf {
        let home = self.home_lock();
        home.folder.path.join(&home.name)
    }

    pub(super) fn entry(&self) -> &Entry {
        &self.entry
    }

    pub(super) fn old(&self) -> Option<&[Range<usize>]> {
        self.old.as_deref()
    }

    /// For the one writer.
    #[inline]
    pub(super) fn count_one(&self) {
        let before = self.appended.load(Ordering::Relaxed);
        self.appended.store(before + 1, Ordering::Relaxed);
    }

    pub(super) fn appended(&self) -> u64 {
        self.appended.load(Ordering::Relaxed)
    }

    pub(super) fn set_sealed(&self) {
        self.sealed.store(true, Ordering::Release);
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::Acquire)
    }

    pub(super) fn has_slot(&self) -> bool {
        self.slot_lock().is_some()
    }

    /// Every sink has everything of it.
    pub(super) fn set_finished(&self) {
        self.entry.set(Field::State, State::Finished as u64);
    }

    /// Copies the whole frame that begins at a place over `out`, or says why there is none.
    ///
    /// # Errors
    /// When the file cannot be read now.
    pub(super) fn read(&self, at: usize, window: &mut Window, out: &mut Vec<u8>) -> io::Result<Result<(), FrameLook>> {
        out.clear();
        let slot = self.slot_lock().clone();
        let Some(slot) = slot else {
            return window.read(self, at, out);
        };
        let found = look(&slot.piece, at);
        let FrameLook::Frame(length) = found else {
            return Ok(Err(found));
        };
        if !length.is_multiple_of(8) || !self.layout.has_room(at, length) {
            return Ok(Err(found));
        }
        out.extend_from_slice(committed(&slot, at, length));
        let is_whole = check(out, self.layout.frame_tag(at)).is_ok();
        Ok(if is_whole { Ok(()) } else { Err(found) })
    }

    /// The next place from `at` on at which a whole frame begins. Everything may lie between.
    pub(super) fn next_frame(&self, at: usize, window: &mut Window) -> io::Result<Option<usize>> {
        let slot = self.slot_lock().clone();
        match slot {
            Some(slot) => {
                let bytes = committed(&slot, BODY, self.layout.end() - BODY);
                Ok(frames::next_frame(bytes, BODY, at, &self.layout))
            }
            None => window.next_frame(self, at),
        }
    }

    // What the spool's own thread does.

    /// Writes to the file what it has not got.
    pub(super) fn write(&self) -> io::Result<bool> {
        let mut has_written = false;
        if !self.is_written.load(Ordering::Relaxed) {
            let slot = self.slot_lock().clone();
            let file = self.home_lock().file.clone();
            if let (Some(slot), Some(file)) = (slot, file) {
                has_written = self.write_frames(&slot, &file)?;
            }
        }
        let dirty = self.dirty.swap(0, Ordering::AcqRel);
        if dirty != 0 {
            has_written = true;
            if self.old.is_none() {
                let word = self.layout.end_word(self.written.load(Ordering::Relaxed));
                self.entry.control.long(END_AT).store(word, Ordering::Relaxed);
            }
            let written = self.write_control(dirty);
            if written.is_err() {
                self.dirty.fetch_or(dirty, Ordering::AcqRel);
            }
            written?;
        }
        Ok(has_written)
    }

    fn write_frames(&self, slot: &Slot, file: &File) -> io::Result<bool> {
        let from = self.written.load(Ordering::Relaxed);
        let (to, is_end) = frames_end(slot, from, &self.layout);
        let len = to - from + if is_end { SEAL_BYTES } else { 0 };
        if len > 0 {
            write_all_at(file, committed(slot, from, len), from as u64)?;
            self.written.store(to, Ordering::Relaxed);
            if is_end {
                // Its head says so too.
                self.dirty.fetch_or(1, Ordering::AcqRel);
            }
            self.is_written.store(is_end, Ordering::Release);
        }
        Ok(len > 0)
    }

    fn write_control(&self, dirty: u64) -> io::Result<()> {
        let home = self.home();
        let file = match home.file {
            Some(file) => file,
            None => match home.folder.open_to_write(&home.name) {
                // The reader reports that it is gone.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                file => Arc::new(file?),
            },
        };
        write_control(&file, &self.entry, &self.layout, dirty)
    }

    /// Gives the slot back when all of it is in the file and it has no reader.
    pub(super) fn give_back(&self) -> bool {
        if !self.is_sealed() || !self.is_written.load(Ordering::Acquire) {
            return false;
        }
        let mut slot = self.slot_lock();
        if slot.as_ref().is_none_or(|slot| Arc::strong_count(slot) > 1) {
            return false;
        }
        self.entry.set(Field::Slot, 0);
        *slot = None;
        true
    }

    /// Lets go of the slot of a segment that is not needed any more.
    pub(super) fn drop_slot(&self) {
        self.entry.set(Field::Slot, 0);
        *self.slot_lock() = None;
    }

    pub(super) fn is_written(&self) -> bool {
        self.is_written.load(Ordering::Acquire)
    }

    /// Whether its file has all of it.
    pub(super) fn is_saved(&self) -> bool {
        let is_even = || {
            let slot = self.slot_lock().clone();
            slot.is_none_or(|slot| {
                frames_end(&slot, self.written.load(Ordering::Acquire), &self.layout).0
                    == self.written.load(Ordering::Acquire)
            })
        };
        self.dirty.load(Ordering::Acquire) == 0 && (self.is_written() || is_even())
    }

    /// Closes the file.
    pub(super) fn close_file(&self) {
        self.home_lock().file = None;
    }

    /// Its file is another one now, which has nothing yet.
    pub(super) fn move_to(&self, home: Home) {
        self.entry.set(Field::File, number_of(&home.name).unwrap_or(UNNAMED));
        *self.home_lock() = home;
        self.is_written.store(false, Ordering::Relaxed);
        self.written.store(BODY, Ordering::Relaxed);
        self.dirty.store(u64::MAX, Ordering::Release);
    }
}

/// The number in the name of a segment's file.
pub(super) fn number_of(name: &Path) -> Option<u64> {
    name.file_stem()?.to_str()?.parse().ok()
}

/// The name of a segment's file.
pub(super) fn name_of_file(number: u64) -> PathBuf {
    format!("{number:08}.segment").into()
}

/// Bytes behind a word that was found set. Their writer has finished.
pub(super) fn committed(slot: &Slot, at: usize, len: usize) -> &[u8] {
    #[expect(unsafe_code, reason = "see `Piece::bytes`")]
    // SAFETY: a word that is set is stored after all that belongs to it, and no thread writes there again before the
    // slot has one owner, which this borrow prevents.
    unsafe {
        slot.piece.bytes(at, len)
    }
}

/// Where the frames end that were appended, and whether nothing will follow.
pub(super) fn frames_end(slot: &Slot, from: usize, layout: &Layout) -> (usize, bool) {
    let mut at = from;
    while at < layout.end() + SEAL_BYTES {
        match look(&slot.piece, at) {
            FrameLook::Frame(length) if length.is_multiple_of(8) && layout.has_room(at, length) => at += length,
            FrameLook::Sealed => return (at, true),
            _ => break,
        }
    }
    (at, false)
}

/// Which part of the control a word belongs to: the first page, or one of the marks'.
fn part_of(layout: &Layout, at: usize) -> u32 {
    match at.checked_sub(BODY) {
        None => 0,
        Some(at) => 1 + u32::try_from(at / part_bytes(layout)).unwrap_or(62).min(62),
    }
}

fn part_bytes(layout: &Layout) -> usize {
    layout.marks_bytes().div_ceil(63).next_multiple_of(PAGE).max(PAGE)
}

/// Writes parts of a control to its file.
pub(super) fn write_control(file: &File, entry: &Entry, layout: &Layout, dirty: u64) -> io::Result<()> {
    let copy = |from: usize, to: usize| {
        let words = (from..to).step_by(8);
        let words = words.flat_map(|at| entry.control.long(at).load(Ordering::Acquire).to_le_bytes());
        words.collect::<Vec<u8>>()
    };
    let bytes = part_bytes(layout);
    for part in (0..63).filter(|part| dirty & 2 << part != 0) {
        let from = part * bytes;
        let to = (from + bytes).min(layout.marks_bytes());
        if from < to {
            let marks = copy(BODY + from, BODY + to);
            write_all_at(file, &marks, (layout.marks_at() + from) as u64)?;
        }
    }
    if dirty & 1 != 0 {
        // One after the other: a process that dies between leaves one that is whole.
        let head = copy(0, BODY);
        debug_assert_eq!(&head[..HEAD_BYTES], layout.encode(), "the head does not change");
        for at in layout.heads() {
            write_all_at(file, &head, at as u64)?;
        }
    }
    Ok(())
}
