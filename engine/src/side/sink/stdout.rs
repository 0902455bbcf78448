//! The sink that writes lines of JSON to standard output, for pipes and for looking.
//!
//! A reader that stops reading holds up this sink and no other: writing is done by a thread of the runtime's. One that is
//! gone makes every write fail; its records wait, as those of any sink that fails.

use std::pin::Pin;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use super::Waits;
use super::ndjson::Lines;
use crate::side::Left;
use crate::side::lane::{self, Lane};

/// Bytes of lines that are written at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Between two attempts at an output that fails.
const PAUSE: Duration = Duration::from_secs(1);

/// See the head of this file.
pub(super) struct Stdout;

impl Waits for Stdout {
    fn run(self: Box<Self>, lane: Lane) -> Pin<Box<dyn Future<Output = Result<(), Left>>>> {
        Box::pin(write(lane, tokio::io::stdout()))
    }
}

async fn write(mut lane: Lane, mut out: impl tokio::io::AsyncWrite + Unpin) -> Result<(), Left> {
    let (mut lines, mut chunk) = (Lines::default(), Vec::with_capacity(2 * CHUNK_BYTES));
    loop {
        chunk.clear();
        while chunk.len() < CHUNK_BYTES {
            let Some(item) = lane.peek() else { break };
            lines.write(&item.record, item.schema, &mut chunk);
            lane.advance();
        }
        if chunk.is_empty() {
            if lane.is_finished() {
                return Ok(());
            }
            tokio::time::sleep(lane::TICK).await;
            if lane.is_late() {
                return Err(Left::new(&lane));
            }
            continue;
        }
        // Lines that were written before a failure are written again: ids tell.
        while let Err(error) = send(&mut out, &chunk, &lane).await {
            lane.failed(&error);
            if lane.is_late() {
                return Err(Left::new(&lane));
            }
            tokio::time::sleep(PAUSE).await;
        }
        lane.succeeded();
        lane.acknowledge(lane.number());
    }
}

/// Writes and waits until it is written, or the deadline has passed.
async fn send(out: &mut (impl tokio::io::AsyncWrite + Unpin), chunk: &[u8], lane: &Lane) -> std::io::Result<()> {
    let mut written = std::pin::pin!(async {
        out.write_all(chunk).await?;
        out.flush().await
    });
    loop {
        tokio::select! {
            result = &mut written => return result,
            () = tokio::time::sleep(lane::TICK) => {}
        }
        if lane.is_late() {
            return Err(std::io::Error::new(
                std::io::ErrorKind::TimedOut,
                "its reader does not read",
            ));
        }
    }
}
