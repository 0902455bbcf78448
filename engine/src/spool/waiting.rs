//! For which sinks the records of a file wait, as its checkpoints say; and what is looked at before a spool is opened.

use std::collections::BTreeMap;
use std::path::Path;

use super::folder::Holder;
use super::layout::{BODY, Name, SLOTS_MAX, text_of};
use super::recover::{Read, name_in, offset_in, word_in};
use super::{Options, SpoolError, inspect, segment_bytes};

impl Read {
    /// Each sink's slot and name, and the offset below which it has everything.
    pub(super) fn checkpoints(&self) -> impl Iterator<Item = (usize, Name, u64)> {
        let control = &self.found.control;
        let of = |slot| {
            Some((
                slot,
                name_in(control, slot),
                offset_in(control, &self.found.layout, slot)?,
            ))
        };
        (0..SLOTS_MAX).filter_map(of)
    }

    /// Whether a sink with this checkpoint has still to get the record at a place.
    pub(super) fn waits(&self, (slot, name, offset): (usize, Name, u64), place: usize) -> bool {
        let word = |at: usize| word_in(&self.found.control, at);
        place as u64 >= offset.max(BODY as u64) && !self.found.layout.is_marked(&name, slot, place, word)
    }

    /// For each sink that the file knows, how many records wait for it.
    pub(super) fn left(&self) -> Vec<(String, u64)> {
        let left = |of: (usize, Name, u64)| {
            let waits = self.places.iter().filter(|&&place| self.waits(of, place));
            (text_of(&of.1), waits.count() as u64)
        };
        self.checkpoints().map(left).collect()
    }
}

impl Options {
    /// Looks at a spool as [`super::Spool::open`] would find it, and changes nothing.
    ///
    /// # Errors
    /// What would keep it from being opened, but for what only writing shows.
    pub fn examine(&self) -> Result<(), SpoolError> {
        segment_bytes(self)?;
        if !self.folder.exists() {
            return Ok(());
        }
        if Holder::of(&self.folder).is_serving() {
            return Err(SpoolError::InUse(self.folder.clone()));
        }
        let segments = inspect(&self.folder, |_, _| std::ops::ControlFlow::Break(()))?;
        self.refuse_removed_sinks(segments.into_iter().map(|segment| segment.left))
    }

    /// Refuses a spool in which records wait for a sink that is neither configured nor to be forgotten: they would be lost as
    /// soon as the others have them.
    pub(super) fn refuse_removed_sinks(
        &self,
        files: impl Iterator<Item = Vec<(String, u64)>>,
    ) -> Result<(), SpoolError> {
        let mut removed = BTreeMap::new();
        let is_known = |sink: &str| self.sinks.contains(&sink) || self.forget.contains(&sink);
        for (sink, records) in files
            .flatten()
            .filter(|(sink, records)| *records > 0 && !is_known(sink))
        {
            *removed.entry(sink).or_default() += records;
        }
        if removed.is_empty() {
            return Ok(());
        }
        Err(SpoolError::RemovedSinks {
            path: self.folder.clone(),
            sinks: removed.into_iter().collect(),
        })
    }
}

/// The commands that write out what waits for sinks.
pub(super) fn exports(path: &Path, sinks: &[(String, u64)]) -> String {
    let export = |(sink, _): &(String, u64)| {
        let path = path.display();
        format!("quintile spool export {path} --sink {sink} --out {sink}.ndjson")
    };
    sinks.iter().map(export).collect::<Vec<_>>().join(" && ")
}
