//! A little-endian reader that trusts no length: it must fit the remaining bytes.

use super::FormatError;

pub(super) struct Bytes<'b> {
    format: &'static str,
    bytes: &'b [u8],
    at: usize,
}

/// What a little-endian array is made of.
pub(super) trait Element: Sized {
    const BYTES: usize;
    /// Reads one from exactly this many bytes.
    fn read(bytes: &[u8]) -> Self;
}

macro_rules! element {
    ($($element:ty),*) => {$(
        impl Element for $element {
            const BYTES: usize = size_of::<$element>();

            fn read(bytes: &[u8]) -> Self {
                let mut array = [0; size_of::<$element>()];
                array.copy_from_slice(bytes);
                Self::from_le_bytes(array)
            }
        }
    )*};
}

element!(u8, i8, i32, u32, u64, f32, f64);

impl<'b> Bytes<'b> {
    pub(super) fn new(format: &'static str, bytes: &'b [u8]) -> Self {
        Self { format, bytes, at: 0 }
    }

    pub(super) fn fault(&self, message: impl Into<String>) -> FormatError {
        FormatError::Syntax {
            format: self.format,
            offset: self.at,
            message: message.into(),
        }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    fn take(&mut self, count: u64, size: usize, what: &str) -> Result<&'b [u8], FormatError> {
        let left = &self.bytes[self.at..];
        let wanted = usize::try_from(count).ok().and_then(|count| count.checked_mul(size));
        let Some(taken) = wanted.and_then(|wanted| left.get(..wanted)) else {
            let left = left.len();
            return Err(self.fault(format!(
                "{what}: {count} times {size} bytes are claimed, but {left} are left"
            )));
        };
        self.at += taken.len();
        Ok(taken)
    }

    pub(super) fn one<T: Element>(&mut self, what: &str) -> Result<T, FormatError> {
        self.take(1, T::BYTES, what).map(T::read)
    }

    /// A length in 64 bits and that many elements.
    pub(super) fn array<T: Element>(&mut self, what: &str) -> Result<Vec<T>, FormatError> {
        let count = self.one::<u64>(what)?;
        let bytes = self.take(count, T::BYTES, what)?;
        Ok(bytes.chunks_exact(T::BYTES).map(T::read).collect())
    }

    /// So many elements of a size the file states.
    pub(super) fn skip_sized(&mut self, what: &str) -> Result<(), FormatError> {
        let size = self.one::<u64>(what)?;
        let count = self.one::<u64>(what)?;
        let size = usize::try_from(size).map_err(|_| self.fault(format!("{what}: an element has {size} bytes")))?;
        self.take(count, size, what).map(|_| ())
    }

    pub(super) fn text(&mut self, what: &str) -> Result<&'b str, FormatError> {
        let count = self.one::<u64>(what)?;
        let bytes = self.take(count, 1, what)?;
        std::str::from_utf8(bytes).map_err(|_| self.fault(format!("{what} is not UTF-8")))
    }
}
