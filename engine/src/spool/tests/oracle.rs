//! Random operations against an oracle, restarts included.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::*;

/// What one sink has read and what of it is acknowledged, by the shards' numbers.
#[derive(Default)]
struct Reader {
    read: Vec<u64>,
    acknowledged: usize,
    /// Of what was read: delivered out of turn.
    marked: BTreeSet<usize>,
    /// Over all processes.
    delivered: BTreeMap<u64, u32>,
}

impl Reader {
    /// Read and not delivered.
    fn waiting(&self) -> usize {
        self.read.len() - self.acknowledged - self.marked.len()
    }

    fn acknowledge(&mut self, more: usize) {
        for place in self.acknowledged..self.acknowledged + more {
            if !self.marked.remove(&place) {
                *self.delivered.entry(self.read[place]).or_default() += 1;
            }
        }
        self.acknowledged += more;
    }

    /// Marking twice, or what is acknowledged, changes nothing.
    fn mark(&mut self, place: usize) {
        if place >= self.acknowledged && self.marked.insert(place) {
            *self.delivered.entry(self.read[place]).or_default() += 1;
        }
    }
}

/// Writers append, sinks read on, acknowledge and mark as they like, and from time to time the process dies: memory
/// stays in the file, everything else is gone. Nothing that was appended is missed by a sink, nothing that it has
/// acknowledged or marked comes again, and each shard's records come in order.
#[test]
fn random_operations_agree_with_an_oracle() {
    let (mut redelivered, mut marked) = (0, 0);
    for seed in 1..=12 {
        let mut random = Random(seed);
        let dir = TestDir::new("oracle");
        let shards = 1 + random.below(3);
        let mut appended = 0_u64;
        let mut readers = SINKS.map(|_| Reader::default());
        for _life in 0..4 {
            let (spool, mut writers) = Spool::open(options(&dir, 4 << 20, shards as usize)).unwrap();
            let owed = |reader: &Reader| {
                (0..appended)
                    .filter(|number| !reader.delivered.contains_key(number))
                    .count()
            };
            for (sink, reader) in SINKS.iter().zip(&readers) {
                let found = spool.found().records.get(sink).copied().unwrap_or(0);
                assert_eq!(found as usize, owed(reader), "seed {seed}, {sink}");
            }
            let model = spool.schemas().register(schema()).unwrap();
            assert_eq!(model, 1);
            let mut ids = IdSource::new(0, seed);
            let mut cursors = spool.cursors();
            for reader in &mut readers {
                (reader.read, reader.acknowledged) = (Vec::new(), 0);
                reader.marked.clear();
            }
            for _ in 0..2_000 {
                match random.below(16) {
                    0..=4 => {
                        let frame = record(&mut ids, model, appended, random.below(300) as usize);
                        let shard = random.below(shards) as usize;
                        if writers[shard].append(&frame).is_ok() {
                            appended += 1;
                        } else {
                            std::thread::sleep(Duration::from_millis(1));
                        }
                    }
                    5..=8 => {
                        let sink = random.below(2) as usize;
                        for _ in 0..random.below(6) {
                            let Some(item) = cursors[sink].peek() else { break };
                            assert_eq!(item.number as usize, readers[sink].read.len());
                            readers[sink].read.push(number(&item));
                            cursors[sink].advance();
                        }
                    }
                    9..=14 => {
                        let sink = random.below(2) as usize;
                        let reader = &mut readers[sink];
                        // Now and then one that is acknowledged, or marked already.
                        let from = reader.acknowledged.saturating_sub(1);
                        if reader.read.len() > from {
                            let place = from + random.below((reader.read.len() - from) as u64) as usize;
                            reader.mark(place);
                            cursors[sink].mark(place as u64);
                            assert_eq!(cursors[sink].unacknowledged() as usize, reader.waiting());
                        }
                    }
                    _ => {
                        let sink = random.below(2) as usize;
                        let reader = &mut readers[sink];
                        let more = random.below((reader.read.len() - reader.acknowledged + 1) as u64) as usize;
                        reader.acknowledge(more);
                        cursors[sink].acknowledge(reader.acknowledged as u64);
                        assert_eq!(cursors[sink].unacknowledged() as usize, reader.waiting());
                    }
                }
            }
            redelivered += readers.iter().map(Reader::waiting).sum::<usize>();
            marked += readers.iter().map(|reader| reader.marked.len()).sum::<usize>();
            if random.below(2) == 0 {
                // The end of a process that has time for it.
                drop((writers, cursors));
                let remains = spool.close();
                for (sink, reader) in SINKS.iter().zip(&readers) {
                    let left = (0..appended)
                        .filter(|number| !reader.delivered.contains_key(number))
                        .count();
                    assert_eq!(remains.records.get(sink).copied().unwrap_or(0) as usize, left);
                }
            } else {
                // The writers have no time to seal what they write to. The threads would be gone too, but must not
                // meet those of the next process here.
                std::mem::forget(writers);
            }
        }
        let (spool, writers) = Spool::open(options(&dir, 4 << 20, 1)).unwrap();
        drop(writers);
        for (mut cursor, reader) in spool.cursors().into_iter().zip(&mut readers) {
            while let Some(item) = cursor.peek() {
                *reader.delivered.entry(number(&item)).or_default() += 1;
                cursor.advance();
            }
            assert!(cursor.is_finished());
            cursor.acknowledge(cursor.number());
            assert!(
                reader.delivered.keys().copied().eq(0..appended),
                "seed {seed}: one is missing"
            );
            assert!(
                reader.delivered.values().all(|&times| times == 1),
                "seed {seed}: one came again"
            );
        }
        assert_eq!(spool.close(), LeftoverRecords::default());
        assert!(!has_segments(&dir));
    }
    assert!(
        redelivered > 500 && marked > 200,
        "{redelivered}, {marked}: hardly anything was in the air when a process ended"
    );
}
