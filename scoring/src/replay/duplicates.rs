//! Records that came twice: a process died between delivering a file and acknowledging it, and the next one delivered its
//! records again, in another file (`docs/records.md`). The copies have one id.
//!
//! Files come in the order of their first ids, so an id can come again only if it is not below the first id of the next file:
//! only such ids are kept, and only while a later file may have them. Files of one server hardly overlap.

use std::collections::HashSet;

/// Tells the second copy of a record.
#[derive(Debug)]
pub(super) struct DuplicateFilter {
    /// The first and the last id of each file.
    ranges: Vec<(u128, u128)>,
    /// The file that is being read.
    file: usize,
    /// Ids of earlier files that this one may have, with the last id of each file.
    earlier: Vec<(u128, HashSet<u128>)>,
    /// Ids of this file that a later one may have.
    own: HashSet<u128>,
}

impl DuplicateFilter {
    pub(super) fn new(ranges: Vec<(u128, u128)>) -> Self {
        Self {
            ranges,
            file: 0,
            earlier: Vec::new(),
            own: HashSet::new(),
        }
    }

    /// Whether a record of a file has come before. Files come one after the other.
    pub(super) fn is_twice(&mut self, file: usize, id: u128) -> bool {
        if file != self.file {
            self.earlier
                .push((self.ranges[self.file].1, std::mem::take(&mut self.own)));
            self.file = file;
            let first = self.ranges[file].0;
            self.earlier.retain(|(last, ids)| *last >= first && !ids.is_empty());
        }
        if self.earlier.iter().any(|(_, ids)| ids.contains(&id)) {
            return true;
        }
        let may_come_again = self.ranges.get(file + 1).is_some_and(|next| id >= next.0);
        may_come_again && !self.own.insert(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_overlapping_files_is_told_and_little_is_kept() {
        let files: [&[u128]; 5] = [&[1, 2, 3, 4], &[3, 4, 5], &[4, 9], &[10, 11, 12], &[20]];
        let ranges = files.map(|ids| (ids[0], *ids.last().unwrap()));
        let mut filter = DuplicateFilter::new(ranges.to_vec());
        let mut twice = Vec::new();
        for (file, ids) in files.iter().enumerate() {
            for &id in *ids {
                if filter.is_twice(file, id) {
                    twice.push((file, id));
                }
            }
        }
        assert_eq!(twice, [(1, 3), (1, 4), (2, 4)]);
        assert!(filter.own.is_empty() && filter.earlier.is_empty(), "{filter:?}");
    }

    #[test]
    fn files_without_a_range_are_kept_whole() {
        let any = (0, u128::MAX);
        let mut filter = DuplicateFilter::new(vec![any, any]);
        let twice = [(0, 7), (0, 8), (1, 8), (1, 9)].map(|(file, id)| filter.is_twice(file, id));
        assert_eq!(twice, [false, false, true, false]);
    }
}
