//! Settings of glibc's allocator, so that it gives memory back.
//!
//! By default the size from which allocations have pages of their own grows, up to 32 MiB, whenever such an allocation
//! is freed. After some large bodies, further ones lie between small allocations in the arenas of the shards, and stay
//! resident when they are freed. With a fixed size every buffer of 128 KiB or more goes back to the system when it is
//! freed. Other allocators are not changed.

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
