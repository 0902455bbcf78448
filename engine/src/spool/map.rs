//! A file in memory. All of the spool's `unsafe` that is not the protocol's own is here.

#![expect(unsafe_code, reason = "memory that is shared with a file is reached by its address")]

use std::fs::File;
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

use super::protocol::Memory;

/// A file's bytes, shared with it. What is written here is in the file when the process dies, however it dies.
///
/// The file must keep its length: the folder is locked, and only its owner changes files in it.
#[derive(Debug)]
pub(super) struct Map {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: an address and a length; who may read and write what is the contract of the methods.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

impl Map {
    /// Maps the first `len` bytes of a file that has them.
    pub(super) fn new(file: &File, len: usize) -> io::Result<Self> {
        Self::of(file, len, MapFlags::SHARED)
    }

    /// The same for looking only: nothing that is written here reaches the file, which may be open for reading alone.
    pub(super) fn look(file: &File, len: usize) -> io::Result<Self> {
        Self::of(file, len, MapFlags::PRIVATE)
    }

    fn of(file: &File, len: usize, kind: MapFlags) -> io::Result<Self> {
        assert!(len >= 8 && len.is_multiple_of(8), "a segment is whole words");
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses touches nothing that exists.
        let base = unsafe { mmap(std::ptr::null_mut(), len, access, kind, file, 0)? };
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, len })
    }

    /// Makes every page present and writable, so that a shard's first write to it costs no page fault. What cannot be
    /// had is an error here and would be a SIGBUS there.
    pub(super) fn populate(&self) -> io::Result<()> {
        // SAFETY: the range is this mapping; populating changes no byte.
        let result = unsafe { madvise(self.base.as_ptr().cast(), self.len, Advice::LinuxPopulateWrite) };
        match result {
            // Linux before 5.14: `zero` touches the pages as well, if less gently.
            Err(Errno::INVAL) => Ok(()),
            result => Ok(result?),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Eight bytes of the header.
    pub(super) fn long(&self, at: usize) -> &AtomicU64 {
        assert!(
            at.is_multiple_of(8) && at + 8 <= self.len,
            "a word inside of the segment"
        );
        // SAFETY: in bounds and aligned, for mappings begin at a page; atomics may be shared.
        unsafe { AtomicU64::from_ptr(self.base.add(at).as_ptr().cast()) }
    }

    /// Zeros from `at` on.
    ///
    /// # Safety
    /// Nobody else reads or writes there meanwhile.
    pub(super) unsafe fn zero(&self, at: usize) {
        assert!(at <= self.len, "inside of the segment");
        // SAFETY: in bounds, and exclusive by the caller's promise.
        unsafe { self.base.add(at).write_bytes(0, self.len - at) };
    }

    /// Bytes that are written.
    ///
    /// # Safety
    /// Nobody writes there while they are borrowed.
    pub(super) unsafe fn bytes(&self, at: usize, len: usize) -> &[u8] {
        assert!(at <= self.len && len <= self.len - at, "inside of the segment");
        // SAFETY: in bounds; not written meanwhile by the caller's promise; bytes need no alignment.
        unsafe { std::slice::from_raw_parts(self.base.add(at).as_ptr(), len) }
    }
}

impl Memory for Map {
    type Word = AtomicU32;

    #[inline]
    fn word(&self, at: usize) -> &AtomicU32 {
        assert!(
            at.is_multiple_of(4) && at + 4 <= self.len,
            "a word inside of the segment"
        );
        // SAFETY: in bounds and aligned, for mappings begin at a page; atomics may be shared.
        unsafe { AtomicU32::from_ptr(self.base.add(at).as_ptr().cast()) }
    }

    #[inline]
    unsafe fn fill(&self, at: usize, bytes: &[u8]) {
        assert!(at <= self.len && bytes.len() <= self.len - at, "inside of the segment");
        // SAFETY: in bounds, exclusive by the caller's promise, and a slice of ours does not overlap the mapping.
        unsafe {
            self.base
                .add(at)
                .copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len())
        };
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and nothing borrows from it any more.
        let result = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
        debug_assert!(result.is_ok(), "a whole mapping can be taken away");
    }
}
