//! The sink that sends records to an Amazon Data Firehose delivery stream, as lines of JSON.
//!
//! ```text
//!  lane ──lines──▶ Outbox ──batches──▶ up to four calls under way ──▶ stream
//!                    │ ▲                         │
//!                    │ └──── verdicts, by index ─┘
//!                    ├─ done ─▶ acknowledged up to the lowest number that is not, and marked beyond it
//!                    └─ dead ─▶ DATA_DIR/dead_letters/firehose.ndjson
//! ```
//! A task on side. [`outbox`] decides everything; this file moves bytes. Records are not compressed here, because the
//! delivery stream compresses them, and data that are compressed twice cannot be read.

mod backoff;
mod client;
mod outbox;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::task::{Id, JoinSet};

use self::client::{Stream, Transport};
use self::outbox::{Batch, Dead, Outbox, Outcome};
use super::dead_letters::{DeadLetter, DeadLetters};
use super::ndjson::Lines;
use super::{NetworkSink, SinkError};
use crate::config::{Aws, Records};
use crate::side::sink_reader::{self, SinkReader};
use crate::side::{DeliveryError, aws};

/// One call, connecting included. 4 MiB over a slow line take seconds.
const CALL: Duration = Duration::from_secs(15);

/// Records that are encoded in one turn: side has other work too.
const TURN_RECORDS: usize = 500;

/// Between two attempts at the dead-letter file.
const GRAVE_PAUSE: Duration = Duration::from_millis(200);

/// The Firehose sink: encodes records as lines, and runs the calls that [`outbox`] decides on.
struct Firehose<T> {
    transport: T,
    letters: DeadLetters,
}

/// Reads what AWS's clients must know; no call is made.
pub(super) fn open(records: &Records, aws: &Aws) -> Result<Box<dyn NetworkSink>, SinkError> {
    let Some(name) = &records.firehose_stream else {
        return Err(SinkError::Setting("records.firehose_stream names no delivery stream"));
    };
    let config = aws::load(aws, CALL)?;
    let stream = Stream {
        client: aws_sdk_firehose::Client::new(&config),
        name: name.clone(),
    };
    Ok(Box::new(Firehose::over(stream, records)?))
}

impl<T: Transport> Firehose<T> {
    fn over(transport: T, records: &Records) -> Result<Self, SinkError> {
        let bytes_max = records.dead_letter_bytes as u64;
        Ok(Self {
            transport,
            letters: DeadLetters::open(&records.data_dir, "firehose", bytes_max)?,
        })
    }
}

impl<T: Transport> NetworkSink for Firehose<T> {
    fn run(self: Box<Self>, lane: SinkReader) -> Pin<Box<dyn Future<Output = Result<(), DeliveryError>>>> {
        let delivery = Delivery {
            outbox: Outbox::new(lane.number()),
            lane,
            sink: *self,
            lines: Lines::default(),
            calls: JoinSet::new(),
            under_way: HashMap::new(),
            rejected: Vec::new(),
            grave_due: Instant::now(),
        };
        Box::pin(delivery.run())
    }
}

struct Delivery<T> {
    lane: SinkReader,
    sink: Firehose<T>,
    outbox: Outbox,
    lines: Lines,
    calls: JoinSet<Outcome>,
    under_way: HashMap<Id, Batch>,
    /// Dead records that are not in their file yet. While there are any, nothing more is read.
    rejected: Vec<Dead>,
    grave_due: Instant,
}

impl<T: Transport> Delivery<T> {
    async fn run(mut self) -> Result<(), DeliveryError> {
        self.count_letters();
        loop {
            let read = self.read();
            self.write_dead_letters();
            if self.lane.is_ending() {
                self.outbox.end_soon(Instant::now());
            }
            while let Some(batch) = self.outbox.next(Instant::now()) {
                self.send(batch);
            }
            self.lane.acknowledge(self.outbox.end());
            if self.outbox.is_empty() && self.lane.is_finished() {
                return Ok(());
            }
            if self.lane.is_late() {
                return Err(DeliveryError::new(&self.lane));
            }
            self.wait(read == TURN_RECORDS).await;
        }
    }

    fn read(&mut self) -> usize {
        let mut read = 0;
        while read < TURN_RECORDS && self.outbox.wants() && self.rejected.is_empty() {
            let Some(item) = self.lane.peek() else { break };
            let mut line = Vec::with_capacity(1024);
            self.lines.write(&item.record, item.schema, &mut line);
            self.lane.advance();
            read += 1;
            if let Err(dead) = self.outbox.push(line, Instant::now()) {
                self.rejected.push(dead);
            }
        }
        read
    }

    fn write_dead_letters(&mut self) {
        if self.rejected.is_empty() || Instant::now() < self.grave_due {
            return;
        }
        let letters: Vec<_> = self.rejected.iter().map(DeadLetter::from).collect();
        let written = self.sink.letters.write(&letters, now_us());
        self.count_letters();
        if let Err(error) = written {
            self.lane.failed(&error);
            self.grave_due = Instant::now() + GRAVE_PAUSE;
            return;
        }
        self.lane.counts().dead_lettered.add(self.rejected.len() as u64);
        for dead in self.rejected.drain(..) {
            let (sink, reason) = (self.lane.name(), &dead.reason);
            tracing::error!(
                sink,
                reason,
                "a record is refused for ever: it is in the dead-letter file"
            );
            self.outbox.buried(dead.number);
            self.lane.mark(dead.number);
        }
    }

    fn count_letters(&self) {
        let counts = self.lane.counts();
        counts.dead_letter_bytes.set(self.sink.letters.bytes());
        counts.dead_letter_bytes_max.set(self.sink.letters.bytes_max());
    }

    /// The call gets copies: what is sent may have to be sent again.
    fn send(&mut self, batch: Batch) {
        let records = batch.parcels.iter().map(|parcel| parcel.bytes().to_vec()).collect();
        let task = self.calls.spawn(self.sink.transport.put(records));
        self.under_way.insert(task.id(), batch);
    }

    async fn wait(&mut self, more: bool) {
        if more && self.calls.is_empty() {
            return tokio::task::yield_now().await;
        }
        let tick = if more { Duration::ZERO } else { sink_reader::TICK };
        let due = self
            .outbox
            .due()
            .map_or(tick, |due| due.saturating_duration_since(Instant::now()).min(tick));
        tokio::select! {
            biased;
            Some(done) = self.calls.join_next_with_id(), if !self.calls.is_empty() => match done {
                Ok((id, outcome)) => self.settle(id, outcome),
                Err(error) => self.settle(error.id(), Outcome::Failed(error.to_string())),
            },
            () = tokio::time::sleep(due) => {}
        }
    }

    fn settle(&mut self, id: Id, outcome: Outcome) {
        let batch = self.under_way.remove(&id).expect("every call has its batch");
        let settled = self.outbox.settle(batch, outcome, Instant::now());
        for &number in &settled.accepted {
            self.lane.mark(number);
        }
        let counts = self.lane.counts();
        counts.retried.add((settled.throttled + settled.failed) as u64);
        counts.throttled.add(settled.throttled as u64);
        self.rejected.extend(settled.dead);
        match settled.error {
            Some(error) => self.lane.failed(&error),
            None => self.lane.succeeded(),
        }
    }
}

impl<'a> From<&'a Dead> for DeadLetter<'a> {
    fn from(dead: &'a Dead) -> Self {
        Self {
            record: &dead.bytes,
            reason: &dead.reason,
        }
    }
}

fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
