//! Text as the inside of a JSON string.

use std::fmt;

use bytes::BufMut;

/// Bytes that need a look: quote, backslash, control characters, and the first byte of the controls U+0080 to U+009F.
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        special[byte] = true;
        byte += 1;
    }
    special[b'"' as usize] = true;
    special[b'\\' as usize] = true;
    special[0x7F] = true;
    special[0xC2] = true;
    special
};

/// Writes a JSON string, quotes included. Control characters are escaped, those beyond ASCII too.
pub fn string<B: BufMut>(out: &mut B, text: &str) {
    out.put_u8(b'"');
    escape(out, text);
    out.put_u8(b'"');
}

/// As [`string`], of formatted text.
pub(crate) fn string_of<B: BufMut>(out: &mut B, text: fmt::Arguments<'_>) {
    out.put_u8(b'"');
    Escaped(out).put(text);
    out.put_u8(b'"');
}

/// Formatted text goes through it into a JSON string.
pub(super) struct Escaped<'a, B>(pub(super) &'a mut B);

impl<B: BufMut> Escaped<'_, B> {
    pub(super) fn put(&mut self, text: fmt::Arguments<'_>) {
        // Nothing that is written here can fail.
        let _ = fmt::Write::write_fmt(self, text);
    }
}

impl<B: BufMut> fmt::Write for Escaped<'_, B> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape(self.0, text);
        Ok(())
    }
}

fn escape<B: BufMut>(out: &mut B, text: &str) {
    let bytes = text.as_bytes();
    let (mut copied, mut at) = (0, 0);
    while at < bytes.len() {
        let byte = bytes[at];
        if !SPECIAL[usize::from(byte)] {
            at += 1;
            continue;
        }
        let (control, len) = match (byte, bytes.get(at + 1)) {
            (b'"' | b'\\', _) => (None, 1),
            (0xC2, Some(&next @ 0x80..0xA0)) => (Some(next), 2),
            (0xC2, _) => {
                at += 1;
                continue;
            }
            _ => (Some(byte), 1),
        };
        out.put_slice(&bytes[copied..at]);
        match control {
            None => out.put_slice(&[b'\\', byte]),
            Some(control) => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let (high, low) = (HEX[usize::from(control >> 4)], HEX[usize::from(control & 15)]);
                out.put_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
        at += len;
        copied = at;
    }
    out.put_slice(&bytes[copied..]);
}
