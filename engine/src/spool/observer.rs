//! Reads every new record once, for readers that only look at records: no checkpoint, and nothing waits
//! for it.
//!
//! It is no sink: a segment is removed when the sinks have it, whether it was read here or not. A reader that is too far
//! behind skips whole segments, and what was not read is counted.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::layout::BODY;
use super::protocol::FrameLook;
use super::segment::{Segment, Window};
use super::shared::Shared;
use crate::record::{Frame, Schema, parse};

/// Segments that may wait to be read. Their memory is given back meanwhile, and files are slower to read.
const SEGMENTS_MAX: usize = 8;

/// A reader of new records that holds none of them back.
#[derive(Debug)]
pub struct Observer {
    shared: Arc<Shared>,
    seen_version: Option<u64>,
    last_order: Option<u64>,
    /// Segments that were not read to their end, oldest first.
    readings: VecDeque<ObservedSegment>,
    window: Window,
    frame: Vec<u8>,
    schema: Option<Arc<Schema>>,
    dropped: u64,
}

#[derive(Debug)]
struct ObservedSegment {
    segment: Arc<Segment>,
    at: usize,
    read: u64,
}

impl Observer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            seen_version: None,
            last_order: None,
            readings: VecDeque::new(),
            window: Window::default(),
            frame: Vec::new(),
            schema: None,
            dropped: 0,
        }
    }

    /// The next record and its model, if there is one now.
    pub fn next_record(&mut self) -> Option<(Frame<'_>, &Arc<Schema>)> {
        if !self.find() {
            return None;
        }
        Some((parse(&self.frame).ok()?, self.schema.as_ref()?))
    }

    /// Goes beyond everything that is there, which nobody wants.
    pub fn skip(&mut self) {
        self.refresh();
        self.readings.retain_mut(|reading| {
            while reading
                .segment
                .read(reading.at, &mut self.window, &mut self.frame)
                .is_ok_and(|read| read.is_ok())
            {
                reading.at += self.frame.len();
                reading.read += 1;
            }
            !reading.segment.is_sealed()
        });
        self.window.close();
    }

    /// Records that were not read and will not be, since this was last asked.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    fn find(&mut self) -> bool {
        self.refresh();
        while self.readings.len() > SEGMENTS_MAX + self.shared.writers.load(Ordering::Relaxed) {
            self.give_up(0);
        }
        let mut place = 0;
        while place < self.readings.len() {
            let reading = &mut self.readings[place];
            let found = reading.segment.read(reading.at, &mut self.window, &mut self.frame);
            match found {
                Ok(Ok(())) => {
                    reading.at += self.frame.len();
                    reading.read += 1;
                    if self.knows_model() {
                        return true;
                    }
                    self.dropped += 1;
                }
                Ok(Err(FrameLook::Nothing)) if !reading.segment.is_sealed() => place += 1,
                Ok(Err(FrameLook::Frame(_))) => match reading.segment.next_frame(reading.at + 8, &mut self.window) {
                    Ok(Some(next)) => reading.at = next,
                    _ => self.give_up(place),
                },
                // A sealed segment that says nothing more is read; one whose file is gone was delivered.
                Ok(Err(_)) => self.give_up(place),
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.give_up(place),
                Err(_) => place += 1,
            }
        }
        false
    }

    fn knows_model(&mut self) -> bool {
        let Ok(record) = parse(&self.frame) else { return false };
        let number = record.model_number;
        if self.schema.as_ref().is_none_or(|schema| schema.model_number != number) {
            self.schema = self.shared.schemas.find(number);
        }
        self.schema.is_some()
    }

    /// Reads no further in a segment.
    fn give_up(&mut self, place: usize) {
        self.window.close();
        if let Some(gone) = self.readings.remove(place) {
            self.dropped += gone.segment.appended().saturating_sub(gone.read);
        }
    }

    fn refresh(&mut self) {
        let version = self.shared.version.load(Ordering::Acquire);
        if self.seen_version == Some(version) {
            return;
        }
        self.seen_version = Some(version);
        for segment in self.shared.segments_after(self.last_order) {
            self.last_order = Some(segment.order);
            if segment.old().is_none() {
                self.readings.push_back(ObservedSegment {
                    segment,
                    at: BODY,
                    read: 0,
                });
            }
        }
    }
}
