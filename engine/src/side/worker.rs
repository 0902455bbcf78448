//! The thread that encodes: takes batches of frames from the pump and feeds them to the sink, one record after another.
//!
//! A sink that fails is asked again with the same record after a pause, for as long as the process lives; nothing else
//! is taken meanwhile. It runs at low priority: a shard that shares its core must not wait for an encoder.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;

use super::counts::{Counts, Stop};
use super::pump::{Batches, Buffers, batches};
use super::sink::{Sink, SinkError};
use crate::record::{Frame, decode};
use crate::served::Served;

/// Of 20 levels; 10 leaves a shard on the same core about nine tenths of it.
const NICE: i32 = 10;

/// Between two attempts at a sink that fails. A disk that is full for a moment costs no more than this.
const PAUSE: Duration = Duration::from_millis(200);

/// Between two log lines about the same trouble.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// Without anything due, the thread wakes this often to see that nothing is.
const IDLE: Duration = Duration::from_secs(1);

pub(super) struct Worker {
    sink: Box<dyn Sink>,
    models: Vec<Arc<Served>>,
    buffers: Buffers,
    counts: Arc<Counts>,
    stop: Stop,
    trouble: Trouble,
}

/// A sink that fails, and what was last said about it.
#[derive(Default)]
struct Trouble {
    failures: u64,
    last: Option<SinkError>,
    logged: Option<Instant>,
    damage_logged: Option<Instant>,
}

/// The deadline has passed while the sink failed.
struct GaveUp;

impl Worker {
    /// The worker, and the pump's way to it.
    pub(super) fn new(
        sink: Box<dyn Sink>,
        models: Vec<Arc<Served>>,
        counts: Arc<Counts>,
        stop: Stop,
    ) -> (Self, Batches) {
        let (batches, buffers) = batches();
        let worker = Self {
            sink,
            models,
            buffers,
            counts,
            stop,
            trouble: Trouble::default(),
        };
        (worker, batches)
    }

    /// Works until the pump is gone and everything is delivered, or the deadline has passed; then the sink's last error.
    pub(super) fn run(mut self) -> Result<(), String> {
        // The calling thread only: to Linux a thread is a process. Refused in odd sandboxes, where we go on without.
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            tracing::debug!(%error, "the worker keeps its priority");
        }
        self.work().map_err(|GaveUp| {
            let last = self.trouble.last.map(|error| error.to_string());
            last.unwrap_or_else(|| "it was still busy".into())
        })
    }

    fn work(&mut self) -> Result<(), GaveUp> {
        loop {
            let now = Instant::now();
            let wait = self
                .sink
                .due()
                .map_or(IDLE, |due| due.saturating_duration_since(now).min(IDLE));
            match self.buffers.full.recv_timeout(wait) {
                Ok(mut batch) => {
                    self.consume(&batch)?;
                    batch.clear();
                    // The pump may be gone, and the buffer with it.
                    let _ = self.buffers.empty.try_send(batch);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.insist(|sink, _| sink.flush()),
            }
            if self.sink.due().is_some_and(|due| due <= Instant::now()) {
                self.insist(|sink, now| sink.deliver(now))?;
            }
        }
    }

    fn consume(&mut self, batch: &[u8]) -> Result<(), GaveUp> {
        let mut rest = batch;
        while !rest.is_empty() {
            match decode(rest) {
                Ok((frame, length)) => {
                    self.take(&frame)?;
                    rest = &rest[length..];
                }
                Err(error) => {
                    // Memory does not rot in a queue: this is a fault of ours, and where the next record begins is not
                    // known. What is lost shows as records that were taken and never delivered.
                    self.counts.lost_one();
                    tracing::error!(%error, bytes = rest.len(), "lost the rest of a batch of records");
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, frame: &Frame<'_>) -> Result<(), GaveUp> {
        let Some(model) = self
            .models
            .iter()
            .find(|served| served.generation == frame.model)
            .map(Arc::clone)
        else {
            self.damaged(&SinkError::Unfit("it names a model that is not known"));
            return Ok(());
        };
        self.insist(|sink, now| sink.take(frame, &model, now))
    }

    /// Does one thing until it succeeds or the deadline has passed. A record that does not fit is none to insist on.
    fn insist(&mut self, mut step: impl FnMut(&mut dyn Sink, Instant) -> Result<(), SinkError>) -> Result<(), GaveUp> {
        loop {
            let result = step(self.sink.as_mut(), Instant::now());
            let delivered = self.sink.delivered();
            self.counts.deliveries(delivered.records, delivered.files);
            match result {
                Ok(()) => {
                    self.recovered();
                    return Ok(());
                }
                Err(error @ SinkError::Unfit(_)) => {
                    self.damaged(&error);
                    return Ok(());
                }
                Err(error) => {
                    self.failed(error);
                    if self.stop.has_passed() {
                        return Err(GaveUp);
                    }
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }

    fn failed(&mut self, error: SinkError) {
        self.counts.failed_once();
        self.trouble.failures += 1;
        if due(&mut self.trouble.logged) {
            let failures = self.trouble.failures;
            tracing::error!(%error, failures, "records cannot be delivered; they are kept and tried again");
        }
        self.trouble.last = Some(error);
    }

    fn recovered(&mut self) {
        if self.trouble.failures > 0 {
            tracing::info!(failures = self.trouble.failures, "records are delivered again");
            self.trouble.failures = 0;
            self.trouble.last = None;
        }
    }

    fn damaged(&mut self, error: &SinkError) {
        self.counts.lost_one();
        if due(&mut self.trouble.damage_logged) {
            tracing::error!(%error, damaged = self.counts.damaged(), "lost a record");
        }
    }
}

/// Whether the next log line may be written; if so, it counts as written.
fn due(logged: &mut Option<Instant>) -> bool {
    let now = Instant::now();
    let due = logged.is_none_or(|last| now.duration_since(last) >= LOG_EVERY);
    if due {
        *logged = Some(now);
    }
    due
}
