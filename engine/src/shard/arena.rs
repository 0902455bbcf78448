//! Memory for answers. hyper keeps an answer until it is written, so answers are [`Bytes`]. They are cut from a few
//! large blocks that are reused, so they need no allocation.

use bytes::{Bytes, BytesMut};

/// Bytes of a block: some hundred answers.
const BLOCK_BYTES: usize = 64 << 10;

/// Blocks that take turns. One is reused when every answer cut off it has been written.
const BLOCKS: usize = 4;

/// The blocks of a shard.
#[derive(Debug)]
pub struct Arena {
    blocks: [BytesMut; BLOCKS],
    current: usize,
}

impl Arena {
    /// Empty blocks.
    #[must_use]
    pub fn new() -> Self {
        Self {
            blocks: std::array::from_fn(|_| BytesMut::with_capacity(BLOCK_BYTES)),
            current: 0,
        }
    }

    /// Cuts off what `write` appends, which is best at most `bytes_max` long: beyond it a block may grow.
    pub fn cut(&mut self, bytes_max: usize, write: impl FnOnce(&mut BytesMut)) -> Bytes {
        if bytes_max > BLOCK_BYTES / 4 {
            let mut own = BytesMut::with_capacity(bytes_max);
            write(&mut own);
            return own.freeze();
        }
        let Some(block) = self.block(bytes_max) else {
            // All are held by clients that read slowly. Memory of its own is held by this answer alone; of another
            // block each answer would hold all.
            let mut own = BytesMut::with_capacity(bytes_max);
            write(&mut own);
            return own.freeze();
        };
        write(block);
        block.split().freeze()
    }

    fn block(&mut self, bytes: usize) -> Option<&mut BytesMut> {
        if self.blocks[self.current].capacity() < bytes {
            let mut next = (0..BLOCKS).map(|step| (self.current + step) % BLOCKS);
            self.current = next.find(|&index| self.blocks[index].try_reclaim(bytes))?;
        }
        Some(&mut self.blocks[self.current])
    }
}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_do_not_touch_each_other_however_long_they_are_held() {
        let mut arena = Arena::new();
        let mut held: Vec<(Bytes, Vec<u8>)> = Vec::new();
        for round in 0..4000usize {
            let text = vec![u8::try_from(round % 251).unwrap(); 1 + round * 37 % 3000];
            held.push((arena.cut(text.len(), |out| out.extend_from_slice(&text)), text));
            // Hold some for long, so that blocks are full and unreclaimable for a while.
            held.retain(|(_, text)| text[0] % 17 == 3 || round % 5 != 0);
            assert!(held.iter().all(|(cut, text)| cut[..] == text[..]));
            if round % 1000 == 999 {
                held.clear();
            }
        }
    }

    #[test]
    fn a_cut_may_be_longer_than_said_or_than_a_block() {
        let mut arena = Arena::new();
        for said in [1, BLOCK_BYTES, 10 * BLOCK_BYTES] {
            let cut = arena.cut(said, |out| out.extend_from_slice(&vec![7; 3 * BLOCK_BYTES]));
            assert_eq!(cut.len(), 3 * BLOCK_BYTES);
        }
    }
}
