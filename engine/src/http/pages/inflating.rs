//! A packed file as the text that it is, for clients that take no compression.
//!
//! Pieces are inflated one by one as they are sent, so that a shard is not held up by a megabyte.

use std::io::Read as _;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use flate2::bufread::GzDecoder;

use crate::shard::ShardCore;
use crate::shard::turns::Turn;

/// Bytes of a piece: about 50 µs of work.
const PIECE_BYTES: usize = 16 << 10;

/// What is left of the text; each piece takes a turn.
#[derive(Debug)]
pub struct Inflating {
    turn: Turn,
    pieces: Pieces,
}

impl Inflating {
    /// The text of `bytes` bytes that `gzip` holds.
    pub(super) fn new(core: &Rc<ShardCore>, gzip: &'static [u8], bytes: usize) -> Self {
        Self {
            turn: Turn::new(Rc::clone(core)),
            pieces: Pieces::new(gzip, bytes),
        }
    }

    /// Bytes that are still to come.
    pub(in crate::http) fn left(&self) -> usize {
        self.pieces.left
    }

    /// The next piece; none after the last.
    pub(in crate::http) fn poll_piece(&mut self, cx: &Context<'_>) -> Poll<Option<Bytes>> {
        ready!(self.turn.poll(cx));
        Poll::Ready(self.pieces.next())
    }
}

#[derive(Debug)]
struct Pieces {
    packed: GzDecoder<&'static [u8]>,
    left: usize,
}

impl Pieces {
    fn new(gzip: &'static [u8], bytes: usize) -> Self {
        Self {
            packed: GzDecoder::new(gzip),
            left: bytes,
        }
    }
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.left == 0 {
            return None;
        }
        let mut piece = vec![0; self.left.min(PIECE_BYTES)];
        self.packed
            .read_exact(&mut piece)
            .expect("the program holds what it was built with");
        self.left -= piece.len();
        Some(piece.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_the_text() {
        let asset = quintile_swagger::STYLE;
        let mut pieces = Pieces::new(asset.gzip, asset.bytes);
        let (mut text, mut count) = (Vec::new(), 0);
        for piece in pieces.by_ref() {
            text.extend_from_slice(&piece);
            count += 1;
        }
        assert_eq!((text.len(), pieces.left), (asset.bytes, 0));
        assert_eq!(count, asset.bytes.div_ceil(PIECE_BYTES));
        assert!(quintile_scoring::loaded::describe::digest(&text) == asset.digest);
    }
}
