//! How far each sink is in a segment. Each checkpoint is written by one thread.

use std::io;
use std::ops::Range;
use std::sync::atomic::Ordering;

use super::{Segment, Window, part_of};
use crate::spool::layout::{ALL, BODY, NAME_BYTES, Name, SLOTS_MAX, checkpoint_at, name_of, slot_at, text_of};
use crate::spool::protocol::FrameLook;

impl Segment {
    fn control_word(&self, at: usize) -> u64 {
        self.entry.control.long(at).load(Ordering::Acquire)
    }

    fn set_control_word(&self, at: usize, value: u64) {
        self.entry.control.long(at).store(value, Ordering::Release);
        self.dirty.fetch_or(1 << part_of(&self.layout, at), Ordering::AcqRel);
    }

    fn slot_name(&self, slot: usize) -> Name {
        let mut name = [0; NAME_BYTES];
        for (place, chunk) in name.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            *chunk = self.control_word(slot_at(slot) + 8 * place).to_le_bytes();
        }
        name
    }

    pub(super) fn name_slot(&self, slot: usize, name: &Name) {
        let value = self.layout.checkpoint(name, slot, BODY as u64);
        self.set_control_word(checkpoint_at(slot), value);
        for (place, chunk) in name.as_chunks::<8>().0.iter().enumerate() {
            self.set_control_word(slot_at(slot) + 8 * place, u64::from_le_bytes(*chunk));
        }
    }

    /// The slot of a sink's checkpoint, made if there is none. None when all slots are other sinks'.
    pub(in crate::spool) fn slot(&self, sink: &str) -> Option<usize> {
        let name = name_of(sink);
        // Two sinks may ask at once.
        let _one = self.home_lock();
        let named = (0..SLOTS_MAX).find(|&slot| self.slot_name(slot) == name);
        named.or_else(|| {
            let free = (0..SLOTS_MAX).find(|&slot| self.slot_name(slot) == [0; NAME_BYTES])?;
            self.name_slot(free, &name);
            Some(free)
        })
    }

    /// The sinks that this segment has checkpoints of.
    pub(in crate::spool) fn sinks(&self) -> Vec<(String, u64)> {
        let names = (0..SLOTS_MAX).map(|slot| (text_of(&self.slot_name(slot)), self.acknowledged(slot)));
        names.filter(|(name, _)| !name.is_empty()).collect()
    }

    /// The offset below which a sink has everything; [`BODY`] at least, and when nothing legible says it.
    pub(in crate::spool) fn acknowledged(&self, slot: usize) -> u64 {
        let value = self.control_word(checkpoint_at(slot));
        let offset = self.layout.acknowledged(&self.slot_name(slot), slot, value);
        offset.unwrap_or(0).max(BODY as u64)
    }

    /// Where a sink goes on in an old segment. The recovery has made sure that a record begins or ends there.
    pub(in crate::spool) fn resume(&self, slot: usize) -> Option<usize> {
        match self.acknowledged(slot) {
            ALL => None,
            offset => Some(usize::try_from(offset).unwrap_or(BODY)),
        }
    }

    /// How many of the records at some places a sink has not got.
    pub(in crate::spool) fn left(&self, slot: Option<usize>, places: &[usize]) -> u64 {
        let from = match slot.map(|slot| self.resume(slot)) {
            Some(None) => return 0,
            Some(Some(from)) => from,
            None => BODY,
        };
        let is_left = |&&place: &&usize| place >= from && !slot.is_some_and(|slot| self.is_marked(slot, place));
        places.iter().filter(is_left).count() as u64
    }

    /// Whether a sink has acknowledged every record of it.
    pub(in crate::spool) fn has_all(&self, slot: Option<usize>) -> bool {
        let end = self.written.load(Ordering::Acquire) as u64;
        slot.map_or(BODY as u64, |slot| self.acknowledged(slot)) >= end
    }

    /// Where its frames begin; none when something between them cannot be read that was whole once.
    pub(in crate::spool) fn places(&self) -> io::Result<Option<Vec<usize>>> {
        let (mut window, mut frame, mut places) = (Window::default(), Vec::new(), Vec::new());
        let extents = self.old.clone().unwrap_or_else(|| {
            vec![Range {
                start: BODY,
                end: usize::MAX,
            }]
        });
        for extent in extents {
            let mut at = extent.start;
            while at < extent.end {
                match self.read(at, &mut window, &mut frame)? {
                    Ok(()) => {
                        places.push(at);
                        at += frame.len();
                    }
                    Err(FrameLook::Nothing | FrameLook::Sealed) if self.old.is_none() => break,
                    Err(_) => return Ok(None),
                }
            }
        }
        Ok(Some(places))
    }

    pub(in crate::spool) fn acknowledge(&self, slot: usize, offset: u64) {
        let value = self.layout.checkpoint(&self.slot_name(slot), slot, offset);
        self.set_control_word(checkpoint_at(slot), value);
    }

    /// Notes that a sink has the frame that begins at a place. Without marks it comes again after a crash.
    pub(in crate::spool) fn mark(&self, slot: usize, at: usize) {
        let name = self.slot_name(slot);
        if let Some((word, value)) = self.layout.mark(&name, slot, at, |at| self.control_word(at)) {
            self.set_control_word(word, value);
        }
    }

    /// Whether a sink has the frame that begins at a place, apart from what it has acknowledged.
    pub(in crate::spool) fn is_marked(&self, slot: usize, at: usize) -> bool {
        let name = self.slot_name(slot);
        self.layout.is_marked(&name, slot, at, |at| self.control_word(at))
    }
}
