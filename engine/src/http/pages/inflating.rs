//! A packed file as the text that it is, for clients that take no compression.
//!
//! It is inflated piece by piece while it is sent, with a turn for everybody else after each, so that a shard is not held up
//! by a megabyte.

use std::io::Read as _;
use std::task::{Context, Poll};

use bytes::Bytes;
use flate2::bufread::GzDecoder;

/// Bytes of a piece: about 50 µs of work.
const PIECE_BYTES: usize = 16 << 10;

/// What is left of the text.
#[derive(Debug)]
pub struct Inflating {
    packed: GzDecoder<&'static [u8]>,
    left: usize,
    has_rested: bool,
}

impl Inflating {
    /// The text of `bytes` bytes that `gzip` holds.
    pub(super) fn new(gzip: &'static [u8], bytes: usize) -> Self {
        Self {
            packed: GzDecoder::new(gzip),
            left: bytes,
            has_rested: true,
        }
    }

    /// Bytes that are still to come.
    pub(in crate::http) fn left(&self) -> usize {
        self.left
    }

    /// The next piece; none after the last.
    pub(in crate::http) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        if !std::mem::replace(&mut self.has_rested, false) {
            self.has_rested = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut piece = vec![0; self.left.min(PIECE_BYTES)];
        self.packed
            .read_exact(&mut piece)
            .expect("the program holds what it was built with");
        self.left -= piece.len();
        Poll::Ready(Some(piece.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn pieces_make_the_text_and_each_is_followed_by_a_rest() {
        let asset = quintile_swagger::STYLE;
        let mut inflating = Inflating::new(asset.gzip, asset.bytes);
        let mut cx = Context::from_waker(Waker::noop());
        let (mut text, mut rests) = (Vec::new(), 0);
        loop {
            match inflating.poll_piece(&mut cx) {
                Poll::Ready(Some(piece)) => text.extend_from_slice(&piece),
                Poll::Ready(None) => break,
                Poll::Pending => rests += 1,
            }
        }
        assert_eq!((text.len(), inflating.left()), (asset.bytes, 0));
        assert_eq!(rests, asset.bytes.div_ceil(PIECE_BYTES) - 1);
        assert!(crate::describe::digest(&text) == asset.digest);
    }
}
