//! gzip and zlib bodies, inflated a piece at a time. Pure: compressed bytes in, plain bytes out, and never more than the limit.

use std::io::{self, Write as _};

use flate2::write::{MultiGzDecoder, ZlibDecoder};

/// Why a body does not inflate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InflateError {
    /// It is no gzip or zlib data, or damaged, or cut off.
    Damaged,
    /// There is more in it than is accepted.
    TooLarge,
}

/// One body that is being inflated. Several gzip members one after the other are one body, as gzip has it.
#[derive(Debug)]
pub(super) struct Inflater {
    decoder: Decoder,
    limit: usize,
}

#[derive(Debug)]
enum Decoder {
    Gzip(MultiGzDecoder<Plain>),
    Zlib(ZlibDecoder<Plain>),
}

/// What was inflated and not taken yet.
#[derive(Debug)]
struct Plain {
    bytes: Vec<u8>,
    total: usize,
    limit: usize,
}

impl io::Write for Plain {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        self.total += more.len();
        if self.total > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Inflater {
    /// For a body that inflates to at most `limit` bytes, of gzip or of zlib.
    pub(super) fn new(is_gzip: bool, limit: usize) -> Self {
        let plain = Plain {
            bytes: Vec::new(),
            total: 0,
            limit,
        };
        let decoder = match is_gzip {
            true => Decoder::Gzip(MultiGzDecoder::new(plain)),
            false => Decoder::Zlib(ZlibDecoder::new(plain)),
        };
        Self { decoder, limit }
    }

    /// Inflates the start of `input` and returns how many bytes of it were used: one or more, and so many that some 32
    /// KiB come out, which is what the library hands on at once.
    pub(super) fn step(&mut self, input: &[u8]) -> Result<usize, InflateError> {
        let written = match &mut self.decoder {
            Decoder::Gzip(decoder) => decoder.write(input),
            Decoder::Zlib(decoder) => decoder.write(input),
        };
        match written {
            Ok(0) if !input.is_empty() => Err(InflateError::Damaged),
            Ok(used) => Ok(used),
            Err(_) => Err(self.reason()),
        }
    }

    /// Nothing more will come: the rest, if the body is whole.
    pub(super) fn finish(&mut self) -> Result<(), InflateError> {
        let finished = match &mut self.decoder {
            Decoder::Gzip(decoder) => decoder.try_finish(),
            Decoder::Zlib(decoder) => decoder.try_finish(),
        };
        finished.map_err(|_| self.reason())
    }

    /// Bytes that are inflated and not taken yet.
    pub(super) fn ready(&self) -> usize {
        self.plain().bytes.len()
    }

    /// Takes what is inflated.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let plain = match &mut self.decoder {
            Decoder::Gzip(decoder) => decoder.get_mut(),
            Decoder::Zlib(decoder) => decoder.get_mut(),
        };
        std::mem::take(&mut plain.bytes)
    }

    fn plain(&self) -> &Plain {
        match &self.decoder {
            Decoder::Gzip(decoder) => decoder.get_ref(),
            Decoder::Zlib(decoder) => decoder.get_ref(),
        }
    }

    fn reason(&self) -> InflateError {
        if self.plain().total > self.limit {
            InflateError::TooLarge
        } else {
            InflateError::Damaged
        }
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).expect("a Vec takes all");
        encoder.finish().expect("a Vec takes all")
    }

    /// Inflates a body that comes in pieces, and says how much was ready at once at most.
    fn inflate(body: &[u8], piece: usize, limit: usize) -> Result<(Vec<u8>, usize), InflateError> {
        let mut inflater = Inflater::new(true, limit);
        let (mut text, mut most) = (Vec::new(), 0);
        for mut piece in body.chunks(piece) {
            while !piece.is_empty() {
                let used = inflater.step(piece)?;
                piece = &piece[used..];
                most = most.max(inflater.ready());
                text.extend(inflater.take());
            }
        }
        inflater.finish()?;
        most = most.max(inflater.ready());
        text.extend(inflater.take());
        Ok((text, most))
    }

    fn sample() -> Vec<u8> {
        (0..20_000u32)
            .flat_map(|number| (number * number).to_le_bytes())
            .collect()
    }

    #[test]
    fn pieces_of_any_size_give_the_same_text() {
        let text = sample();
        let body = gzip(&text);
        for piece in [1, 2, 17, 1000, body.len()] {
            assert_eq!(
                inflate(&body, piece, text.len()).expect("whole").0,
                text,
                "pieces of {piece}"
            );
        }
        let several = [gzip(b"a"), gzip(b""), gzip(&text), gzip(b"z")].concat();
        let wanted = [b"a", &text[..], b"z"].concat();
        for piece in [1, 13, several.len()] {
            assert_eq!(
                inflate(&several, piece, wanted.len()).expect("whole").0,
                wanted,
                "members"
            );
        }
    }

    #[test]
    fn a_bomb_is_refused_before_it_has_gone_off() {
        let body = gzip(&vec![b' '; 50 << 20]);
        assert!(body.len() < 100 << 10);
        for piece in [1000, body.len()] {
            assert_eq!(inflate(&body, piece, 1 << 20), Err(InflateError::TooLarge));
        }
        let (text, most) = inflate(&body, body.len(), 50 << 20).expect("as long as it may be");
        assert_eq!(text.len(), 50 << 20);
        assert!(most <= 100 << 10, "{most} bytes at once");
        assert_eq!(inflate(&body, body.len(), (50 << 20) - 1), Err(InflateError::TooLarge));
    }

    #[test]
    fn whatever_is_missing_or_changed_is_noticed() {
        let body = gzip(&sample()[..3000]);
        for end in 0..body.len() {
            assert_eq!(
                inflate(&body[..end], 100, 1 << 20),
                Err(InflateError::Damaged),
                "cut at {end}"
            );
        }
        // Name, time and system of a gzip header mean nothing; everything else is a part of the text or checked.
        for at in (0..body.len()).filter(|at| !(3..10).contains(at)) {
            let mut changed = body.clone();
            changed[at] ^= 0x41;
            assert!(inflate(&changed, 100, 1 << 20).is_err(), "byte {at} changed");
        }
        assert_eq!(
            inflate(&[&body[..], b"x"].concat(), 100, 1 << 20),
            Err(InflateError::Damaged)
        );
        assert_eq!(
            inflate(b"{\"lead_id\":\"a\"}", 100, 1 << 20),
            Err(InflateError::Damaged)
        );
    }

    #[test]
    fn zlib_is_inflated_too() {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&sample()).expect("a Vec takes all");
        let body = encoder.finish().expect("a Vec takes all");
        let whole = |body: &[u8]| {
            let mut inflater = Inflater::new(false, 1 << 20);
            let (mut text, mut rest) = (Vec::new(), body);
            while !rest.is_empty() {
                let used = inflater.step(rest)?;
                rest = &rest[used..];
                text.extend(inflater.take());
            }
            inflater.finish()?;
            text.extend(inflater.take());
            Ok(text)
        };
        assert_eq!(whole(&body), Ok(sample()));
        for end in [0, 1, 100, body.len() - 1] {
            assert_eq!(whole(&body[..end]), Err(InflateError::Damaged), "cut at {end}");
        }
    }
}
