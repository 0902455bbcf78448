//! glibc's allocator, told to give memory back.
//!
//! Left alone it raises the size from which allocations have pages of their own, up to 32 MiB, whenever such an
//! allocation is freed: after some large bodies, large bodies lie between small allocations in the arenas of the
//! shards, and what is freed there stays resident. Fixed, every buffer of 128 KiB or more goes back to the system when
//! it is freed. Other allocators are left as they are.

/// Allocations from here on have pages of their own. glibc's own first value. Unit: bytes.
#[cfg(target_env = "gnu")]
const MAPPED_BYTES_MIN: i32 = 128 << 10;

/// Free bytes at the end of an arena that are given back. Unit: bytes.
#[cfg(target_env = "gnu")]
const TRIM_BYTES: i32 = 256 << 10;

/// Tells the allocator; to be called before threads start.
pub(crate) fn configure() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "mallopt has no safe wrapper")]
    // SAFETY: mallopt takes two numbers and may be called at any time; a value that it does not accept changes nothing.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_BYTES_MIN);
        libc::mallopt(libc::M_TRIM_THRESHOLD, TRIM_BYTES);
    }
}

/// Gives free pages of all arenas back. Holds each arena's lock for as long as that takes, so it is for quiet moments.
pub(crate) fn trim() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "malloc_trim has no safe wrapper")]
    // SAFETY: malloc_trim takes the allocator's own locks and touches only memory that is free.
    unsafe {
        libc::malloc_trim(0);
    }
}
