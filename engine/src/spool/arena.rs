//! The memory in front of the spool's files. All of the spool's `unsafe` that is not the protocol's own is here.
//!
//! ```text
//!     0 header     what follows, in numbers
//!  4096 entries    64 bytes each: a segment in use, its file, its slot, and what the keeper process has to know of it
//!       controls   one an entry: the first page of a segment's file, then its marks
//!       slots      one segment's frames each, at the offsets that they have in the file
//! ```
//! It is one memfd, shared with the keeper process (`keeper.rs`), which writes its contents to the files when this
//! process has died. It is only memory: storing to it waits for no file system. It is sparse, so an entry or a slot
//! that was never used costs nothing; used pages count as shared memory and cannot be reclaimed.

#![expect(
    unsafe_code,
    reason = "memory that is shared with a process is reached by its address"
)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{MemfdFlags, fstat, ftruncate, memfd_create};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

use super::protocol::Memory;

const PAGE: usize = 4096;
const MAGIC: u64 = u64::from_le_bytes(*b"QNTARENA");
const VERSION: u64 = 1;

/// Bytes of an entry.
const ENTRY: usize = 64;

/// What an arena has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    /// Segments at once, also those that have no slot.
    pub(super) entries: usize,
    /// Bytes of each one's control; a multiple of a page.
    pub(super) control_bytes: usize,
    pub(super) slots: usize,
    /// Bytes of a slot: of a segment.
    pub(super) slot_bytes: usize,
}

impl Plan {
    fn controls(&self) -> usize {
        PAGE + (self.entries * ENTRY).next_multiple_of(PAGE)
    }

    fn slots_at(&self) -> usize {
        self.controls() + self.entries * self.control_bytes
    }

    fn len(&self) -> usize {
        self.slots_at() + self.slots * self.slot_bytes
    }

    fn numbers(&self) -> [u64; 6] {
        let sizes = [self.entries, self.control_bytes, self.slots, self.slot_bytes];
        let [entries, control_bytes, slots, slot_bytes] = sizes.map(|size| size as u64);
        [MAGIC, VERSION, entries, control_bytes, slots, slot_bytes]
    }
}

/// Shared memory in slots, one for each segment that is written.
#[derive(Debug)]
pub(super) struct Arena {
    file: OwnedFd,
    base: NonNull<u8>,
    plan: Plan,
    free: Mutex<Free>,
}

#[derive(Debug)]
struct Free {
    entries: Vec<usize>,
    slots: Vec<usize>,
}

// SAFETY: an address; who may read and write what is the contract of `Piece`'s methods.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

/// What an entry says of its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The entry is free.
    Free,
    /// The segment is in use.
    Used,
    /// Every sink has all of it: its file can be removed.
    Finished,
}

/// The words of an entry.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field {
    State,
    /// The number in the file's name, or [`UNNAMED`].
    File,
    /// Bytes of the file.
    Bytes,
    /// Its slot's number and one, or 0.
    Slot,
}

/// In the place of a file's number: it has a name of another kind.
pub(super) const UNNAMED: u64 = u64::MAX;

impl Arena {
    /// Makes one, all of it zero.
    pub(super) fn new(plan: Plan) -> io::Result<Arc<Self>> {
        assert!(
            plan.control_bytes.is_multiple_of(PAGE) && plan.slot_bytes.is_multiple_of(PAGE),
            "whole pages"
        );
        let file = memfd_create("quintile-spool", MemfdFlags::CLOEXEC)?;
        ftruncate(&file, plan.len() as u64)?;
        let arena = Arc::new(Self {
            base: map(file.as_fd(), plan.len())?,
            file,
            plan,
            free: Mutex::new(Free {
                entries: (0..plan.entries).rev().collect(),
                slots: (0..plan.slots).rev().collect(),
            }),
        });
        let header = arena.piece(0, PAGE);
        for (place, number) in plan.numbers().into_iter().enumerate() {
            header.long(8 * place).store(number, Ordering::Relaxed);
        }
        Ok(arena)
    }

    /// The arena of another process. Nothing in it is to be taken or given back here.
    pub(super) fn open(file: OwnedFd) -> io::Result<Arc<Self>> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "this is no memory of a spool");
        let len = usize::try_from(fstat(&file)?.st_size).map_err(|_| wrong())?;
        if len < PAGE {
            return Err(wrong());
        }
        let mut head = [0; 48];
        rustix::io::pread(&file, &mut head, 0)?;
        let word = |place: usize| u64::from_le_bytes(head.as_chunks().0[place]);
        let size = |place: usize| usize::try_from(word(place)).ok().filter(|&size| size <= len);
        let plan = (|| {
            Some(Plan {
                entries: size(2)?,
                control_bytes: size(3)?,
                slots: size(4)?,
                slot_bytes: size(5)?,
            })
        })();
        let plan = plan.filter(|plan| plan.numbers()[..2] == [word(0), word(1)] && plan.len() == len);
        let plan = plan.ok_or_else(wrong)?;
        Ok(Arc::new(Self {
            base: map(file.as_fd(), len)?,
            file,
            plan,
            free: Mutex::new(Free {
                entries: Vec::new(),
                slots: Vec::new(),
            }),
        }))
    }

    pub(super) fn plan(&self) -> Plan {
        self.plan
    }

    pub(super) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    fn free(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn piece(self: &Arc<Self>, at: usize, len: usize) -> Piece {
        assert!(
            at <= self.plan.len() && len <= self.plan.len() - at,
            "inside of the arena"
        );
        // SAFETY: in bounds of the mapping.
        let base = unsafe { self.base.add(at) };
        Piece {
            base,
            len,
            _arena: Arc::clone(self),
        }
    }

    /// A free entry. It stays free for the keeper process until its state is set.
    pub(super) fn take_entry(self: &Arc<Self>) -> Option<Entry> {
        let number = self.free().entries.pop()?;
        Some(self.entry(number))
    }

    /// Gives an entry back. Its control is zero for the next one who takes it.
    pub(super) fn release(&self, entry: &Entry) {
        entry.set(Field::State, State::Free as u64);
        let control = &entry.control;
        // SAFETY: no other thread uses the entry any more, and the keeper process does not look before this one is
        // dead. Without the pages the bytes are zero, and they cost nothing.
        unsafe {
            let removed = madvise(control.base.as_ptr().cast(), control.len, Advice::LinuxRemove);
            if removed.is_err() {
                control.zero(0, control.len);
            }
        }
        self.free().entries.push(entry.number);
    }

    /// An entry by its number.
    pub(super) fn entry(self: &Arc<Self>, number: usize) -> Entry {
        let plan = self.plan;
        assert!(number < plan.entries, "one of the entries");
        Entry {
            number,
            words: self.piece(PAGE + number * ENTRY, ENTRY),
            control: self.piece(plan.controls() + number * plan.control_bytes, plan.control_bytes),
        }
    }

    /// A free slot. Its bytes are those of its last use.
    pub(super) fn take_slot(self: &Arc<Self>) -> Option<Slot> {
        let number = self.free().slots.pop()?;
        Some(self.slot(number))
    }

    /// A slot by its number.
    pub(super) fn slot(self: &Arc<Self>, number: usize) -> Slot {
        let plan = self.plan;
        assert!(number < plan.slots, "one of the slots");
        Slot {
            number,
            piece: self.piece(plan.slots_at() + number * plan.slot_bytes, plan.slot_bytes),
            arena: Arc::clone(self),
        }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and every piece keeps the arena alive.
        let result = unsafe { munmap(self.base.as_ptr().cast(), self.plan.len()) };
        debug_assert!(result.is_ok(), "a whole mapping can be taken away");
    }
}

fn map(file: BorrowedFd<'_>, len: usize) -> io::Result<NonNull<u8>> {
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping at an address that the kernel chooses touches nothing that exists.
    let base = unsafe { mmap(std::ptr::null_mut(), len, access, MapFlags::SHARED, file, 0)? };
    NonNull::new(base.cast()).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}

/// A segment's place among the entries, and its control.
#[derive(Debug)]
pub(super) struct Entry {
    number: usize,
    words: Piece,
    pub(super) control: Piece,
}

impl Entry {
    pub(super) fn get(&self, field: Field) -> u64 {
        self.words.long(8 * field as usize).load(Ordering::Acquire)
    }

    pub(super) fn set(&self, field: Field, value: u64) {
        self.words.long(8 * field as usize).store(value, Ordering::Release);
    }

    pub(super) fn state(&self) -> State {
        match self.get(Field::State) {
            state if state == State::Used as u64 => State::Used,
            state if state == State::Finished as u64 => State::Finished,
            _ => State::Free,
        }
    }
}

/// The frames of one segment in memory. Given back when the last reference is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) number: usize,
    pub(super) piece: Piece,
    arena: Arc<Arena>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.arena.free().slots.push(self.number);
    }
}

/// Bytes of the arena.
#[derive(Debug)]
pub(super) struct Piece {
    base: NonNull<u8>,
    len: usize,
    _arena: Arc<Arena>,
}

// SAFETY: an address that the arena keeps valid; who may read and write what is the contract of the methods.
unsafe impl Send for Piece {}
// SAFETY: as above.
unsafe impl Sync for Piece {}

impl Piece {
    /// Makes the pages of a range present and writable, so that a shard's first write to one costs no page fault.
    pub(super) fn populate(&self, from: usize, to: usize) -> io::Result<()> {
        assert!(from <= to && to <= self.len && from.is_multiple_of(PAGE), "inside");
        // SAFETY: the range is in the mapping; populating changes no byte.
        let result = unsafe {
            let at = self.base.add(from).as_ptr().cast();
            madvise(at, to - from, Advice::LinuxPopulateWrite)
        };
        match result {
            // Linux before 5.14: `zero` touches the pages as well, if less gently.
            Err(Errno::INVAL) => Ok(()),
            result => Ok(result?),
        }
    }

    /// Eight bytes.
    pub(super) fn long(&self, at: usize) -> &AtomicU64 {
        assert!(at.is_multiple_of(8) && at + 8 <= self.len, "a word inside");
        // SAFETY: in bounds and aligned, for pieces begin at a multiple of 64; atomics may be shared.
        unsafe { AtomicU64::from_ptr(self.base.add(at).as_ptr().cast()) }
    }

    /// Zeros.
    ///
    /// # Safety
    /// No other thread reads or writes there in the meantime.
    pub(super) unsafe fn zero(&self, from: usize, to: usize) {
        assert!(from <= to && to <= self.len, "inside");
        // SAFETY: in bounds, and exclusive by the caller's promise.
        unsafe { self.base.add(from).write_bytes(0, to - from) };
    }

    /// Bytes that are written.
    ///
    /// # Safety
    /// No thread writes there while they are borrowed.
    pub(super) unsafe fn bytes(&self, at: usize, len: usize) -> &[u8] {
        assert!(at <= self.len && len <= self.len - at, "inside");
        // SAFETY: in bounds; not written in the meantime by the caller's promise; bytes need no alignment.
        unsafe { std::slice::from_raw_parts(self.base.add(at).as_ptr(), len) }
    }
}

impl Memory for Piece {
    type Word = AtomicU32;

    #[inline]
    fn word(&self, at: usize) -> &AtomicU32 {
        assert!(at.is_multiple_of(4) && at + 4 <= self.len, "a word inside");
        // SAFETY: in bounds and aligned, for pieces begin at a multiple of 64; atomics may be shared.
        unsafe { AtomicU32::from_ptr(self.base.add(at).as_ptr().cast()) }
    }

    #[inline]
    unsafe fn fill(&self, at: usize, bytes: &[u8]) {
        assert!(at <= self.len && bytes.len() <= self.len - at, "inside");
        // SAFETY: in bounds, exclusive by the caller's promise, and our slices do not overlap the mapping.
        unsafe {
            self.base
                .add(at)
                .copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len())
        };
    }
}
