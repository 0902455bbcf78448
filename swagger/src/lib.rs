//! Swagger UI's script and style as bytes, taken out of an archive and compressed by `build.rs`. Its authors' licence
//! is Apache-2.0 (<https://github.com/swagger-api/swagger-ui>).
//!
//! Only what the page at `/docs` needs is here; the engine serves it.

/// A file in the forms in which it is sent.
#[derive(Debug, Clone, Copy)]
pub struct Asset {
    /// Compressed with brotli.
    pub brotli: &'static [u8],
    /// Compressed with gzip, for browsers: over plain HTTP they take nothing better.
    pub gzip: &'static [u8],
    /// The text itself. Its pages are those of the program's file, so it takes memory only where it is asked for.
    pub text: &'static [u8],
    /// What tells this text from that of another release: hexadecimal digits.
    pub digest: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));
