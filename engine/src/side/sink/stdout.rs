//! The sink that writes lines of JSON to standard output, for pipes and for looking.
//!
//! A thread of its own, `stdout`, writes. It may wait for a reader for ever: this stops this sink and no other, and no
//! thread waits for it at the end. (A runtime that ends would wait for tokio's own threads.) If the reader has gone,
//! every write fails, and the records wait, as for any failed sink.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use rustix::io::Errno;
use tokio::sync::mpsc;

use super::ndjson::Lines;
use super::{NetworkSink, SinkError};
use crate::raw_write::write_all;
use crate::side::DeliveryError;
use crate::side::sink_reader::{self, SinkReader};

/// Bytes of lines that are written at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Between two attempts at an output that fails.
const PAUSE: Duration = Duration::from_secs(1);

/// The standard output sink: hands lines to its thread, and acknowledges what that thread has written.
pub(super) struct Stdout {
    chunks: Sender<Chunk>,
    ended: mpsc::UnboundedReceiver<(Chunk, Option<Errno>)>,
}

/// Lines, and how many of their bytes are written.
#[derive(Default)]
struct Chunk {
    lines: Vec<u8>,
    written: usize,
}

impl Stdout {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn open() -> Result<Self, SinkError> {
        Self::to(io::stdout())
    }

    fn to(output: impl AsFd + Send + 'static) -> Result<Self, SinkError> {
        // One is on its way at any time.
        let (chunks, received) = bounded(1);
        let (done, ended) = mpsc::unbounded_channel();
        let thread = std::thread::Builder::new().name("stdout".into());
        let spawned = thread.spawn(move || write_chunks(&output, &received, &done));
        spawned.map_err(|source| SinkError::Thread { name: "stdout", source })?;
        Ok(Self { chunks, ended })
    }

    /// Has a chunk written, and waits until that is done or the deadline has passed; then none.
    async fn write(&mut self, chunk: Chunk, lane: &SinkReader) -> Option<(Chunk, Option<Errno>)> {
        self.chunks.send(chunk).ok()?;
        loop {
            tokio::select! {
                ended = self.ended.recv() => return ended,
                () = tokio::time::sleep(sink_reader::TICK) => {}
            }
            if lane.is_late() {
                return None;
            }
        }
    }

    async fn deliver(mut self, mut lane: SinkReader) -> Result<(), DeliveryError> {
        let (mut lines, mut chunk) = (Lines::default(), Chunk::default());
        loop {
            chunk.lines.clear();
            chunk.written = 0;
            while chunk.lines.len() < CHUNK_BYTES {
                let Some(item) = lane.peek() else { break };
                lines.write(&item.record, item.schema, &mut chunk.lines);
                lane.advance();
            }
            if chunk.lines.is_empty() {
                if lane.is_finished() {
                    return Ok(());
                }
                tokio::time::sleep(sink_reader::TICK).await;
                if lane.is_late() {
                    return Err(DeliveryError::new(&lane));
                }
                continue;
            }
            loop {
                let Some((back, error)) = self.write(chunk, &lane).await else {
                    lane.failed(&"its reader does not read");
                    return Err(DeliveryError::new(&lane));
                };
                chunk = back;
                let Some(errno) = error else { break };
                lane.failed(&errno);
                if lane.is_late() {
                    return Err(DeliveryError::new(&lane));
                }
                tokio::time::sleep(PAUSE).await;
            }
            lane.succeeded();
            lane.acknowledge(lane.number());
        }
    }
}

impl NetworkSink for Stdout {
    fn run(self: Box<Self>, lane: SinkReader) -> Pin<Box<dyn Future<Output = Result<(), DeliveryError>>>> {
        Box::pin(self.deliver(lane))
    }
}

/// Writes one chunk after the other until the sink has ended.
fn write_chunks(output: &impl AsFd, chunks: &Receiver<Chunk>, done: &mpsc::UnboundedSender<(Chunk, Option<Errno>)>) {
    for mut chunk in chunks {
        let error = match write_all(output.as_fd(), &chunk.lines[chunk.written..]) {
            Ok(()) => None,
            Err((errno, more)) => {
                // What was in a pipe is lost with its reader: all of it is written again, and ids tell. A disk that was
                // full keeps what it has, and goes on in the middle of a line.
                chunk.written = if errno == Errno::PIPE { 0 } else { chunk.written + more };
                Some(errno)
            }
        };
        if done.send((chunk, error)).is_err() {
            return;
        }
    }
}
