//! Takes whole frames from the shards' queues and hands them to the worker in batches.
//!
//! The buffers go round: there are [`BUFFERS`] of them, and when the worker holds all, the pump takes nothing. Then the
//! queues fill and the shards refuse new work, which is the only answer to a sink that is too slow that loses nothing.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use tokio::time::MissedTickBehavior;

use super::counts::{Counts, Stop};
use crate::record::Consumer;

/// How often the queues are looked at.
const TICK: Duration = Duration::from_millis(10);

/// A batch is sent when it holds this much, which the worker encodes in about 10 ms.
const BATCH_BYTES: usize = 1 << 20;

/// Batches between pump and worker. One is filled and one is worked on; the others smooth.
const BUFFERS: usize = 4;

/// The pump's ends of the two channels: full buffers to the worker, empty ones back.
#[derive(Debug)]
pub(super) struct Batches {
    full: Sender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
}

/// The worker's ends.
#[derive(Debug)]
pub(super) struct Buffers {
    pub(super) full: Receiver<Vec<u8>>,
    pub(super) empty: Sender<Vec<u8>>,
}

/// Both ends, with all buffers empty and on the pump's side.
pub(super) fn batches() -> (Batches, Buffers) {
    let (full_in, full_out) = bounded(BUFFERS);
    let (empty_in, empty_out) = bounded(BUFFERS);
    for _ in 0..BUFFERS {
        let _ = empty_in.try_send(Vec::new());
    }
    let pump = Batches {
        full: full_in,
        empty: empty_out,
    };
    let worker = Buffers {
        full: full_out,
        empty: empty_in,
    };
    (pump, worker)
}

pub(super) struct Pump {
    queues: Vec<Consumer>,
    batches: Batches,
    counts: Arc<Counts>,
    /// The queue that comes first in the next round, so that a busy one does not starve the others.
    first: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum Round {
    /// The queues are empty.
    Done,
    /// A full batch was sent; there may be more.
    More,
    /// The worker holds all buffers.
    Behind,
    /// There is no worker any more.
    Gone,
}

impl Pump {
    pub(super) fn new(queues: Vec<Consumer>, batches: Batches, counts: Arc<Counts>) -> Self {
        Self {
            queues,
            batches,
            counts,
            first: 0,
        }
    }

    /// Pumps until the end, and then until the queues are empty. Dropping the channel ends the worker.
    pub(super) async fn run(mut self, stop: &Stop) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut gone = false;
        loop {
            tick.tick().await;
            // Looked at before the queues: what came before the end is in them now.
            let (last, late) = (stop.is_set(), stop.has_passed());
            let mut round = self.round();
            while round == Round::More {
                tokio::task::yield_now().await;
                round = self.round();
            }
            self.note_waiting();
            if round == Round::Gone && !std::mem::replace(&mut gone, true) {
                tracing::error!(
                    "the worker thread has ended; records cannot be delivered and are kept in their queues"
                );
            }
            match round {
                Round::Done if last && self.is_drained() => return,
                Round::Done | Round::Behind | Round::Gone if late || (last && gone) => return self.count_left(),
                _ => {}
            }
        }
    }

    /// Fills one buffer and sends it.
    fn round(&mut self) -> Round {
        if self.is_drained() {
            return Round::Done;
        }
        let mut batch = match self.batches.empty.try_recv() {
            Ok(batch) => batch,
            Err(TryRecvError::Empty) => return Round::Behind,
            Err(TryRecvError::Disconnected) => return Round::Gone,
        };
        let count = self.queues.len();
        for turn in 0..count {
            let queue = &mut self.queues[(self.first + turn) % count];
            if batch.len() < BATCH_BYTES {
                let room = BATCH_BYTES - batch.len();
                self.counts.took(queue.drain_into(&mut batch, room));
            }
        }
        self.first = (self.first + 1) % count;
        let more = batch.len() >= BATCH_BYTES / 2;
        // There is a place for every buffer, so only a worker that is gone refuses one.
        match self.batches.full.try_send(batch) {
            Ok(()) if more => Round::More,
            Ok(()) => Round::Done,
            Err(_) => Round::Gone,
        }
    }

    fn is_drained(&self) -> bool {
        self.queues.iter().all(|queue| queue.pending_bytes() == 0)
    }

    fn note_waiting(&self) {
        for (shard, queue) in self.queues.iter().enumerate() {
            self.counts.waits(shard, queue.pending_bytes());
        }
    }

    /// Takes what nobody will deliver, only to know how much it is.
    fn count_left(mut self) {
        let mut scratch = Vec::new();
        for queue in &mut self.queues {
            loop {
                scratch.clear();
                match queue.drain_into(&mut scratch, BATCH_BYTES) {
                    0 => break,
                    frames => self.counts.took(frames),
                }
            }
        }
    }
}
