//! One sink's position in the records: what it reads next, and up to where it has delivered everything.
//!
//! It reads the oldest segment first, and stays in a segment while there is something in it; a shard's records come in
//! the order in which they were made. The segments themselves store what a sink has acknowledged, and what it has got
//! out of order: a marked record does not come again, even if an earlier one takes long. Records that were read
//! together are a run, which is remembered until it is acknowledged.

mod run;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use self::run::{MARKED, Run};
use super::layout::{ALL, BODY};
use super::protocol::FrameLook;
use super::segment::{Segment, Window};
use super::shared::Shared;
use crate::log_limiter::LogLimiter;
use crate::record::{Frame, Schema, parse};

/// Between two attempts at a file that cannot be read.
const PAUSE: Duration = Duration::from_millis(200);

/// A record on its way to a sink.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    /// How many records this cursor has read before: what [`Cursor::acknowledge`] counts in.
    pub number: u64,
    /// The record.
    pub record: Frame<'a>,
    /// Its model.
    pub schema: &'a Arc<Schema>,
}

/// Reads records in order and remembers which are delivered.
#[derive(Debug)]
pub struct Cursor {
    shared: Arc<Shared>,
    sink: usize,
    seen_version: Option<u64>,
    last_order: Option<u64>,
    /// Segments that were not read to their end, oldest first.
    readings: VecDeque<Reading>,
    /// Which of them is read on.
    current: usize,
    /// Whether `frame` is the record that comes next in the current one.
    has_frame: bool,
    frame: Vec<u8>,
    /// Of a segment that has left memory.
    window: Window,
    /// A file could not be read: when to try again, and how often that is logged.
    retry_at: Option<Instant>,
    log: LogLimiter,
    schema: Option<Arc<Schema>>,
    /// What was read and not acknowledged, oldest first.
    held: VecDeque<Run>,
    held_bytes: usize,
    number: u64,
    acknowledged: u64,
    /// Records that are marked and not acknowledged.
    marked: u64,
    damaged: u64,
    oldest_us: Option<i64>,
}

#[derive(Debug)]
struct Reading {
    segment: Arc<Segment>,
    slot: Option<usize>,
    at: usize,
    /// The gap at this place was reported.
    reported: usize,
}

impl Cursor {
    pub(super) fn new(shared: Arc<Shared>, sink: usize) -> Self {
        Self {
            shared,
            sink,
            seen_version: None,
            last_order: None,
            readings: VecDeque::new(),
            current: 0,
            has_frame: false,
            frame: Vec::new(),
            window: Window::default(),
            retry_at: None,
            log: LogLimiter::default(),
            schema: None,
            held: VecDeque::new(),
            held_bytes: 0,
            number: 0,
            acknowledged: 0,
            marked: 0,
            damaged: 0,
            oldest_us: None,
        }
    }

    /// The next record, if there is one. Looking again gives the same one, until [`Cursor::advance`].
    pub fn peek(&mut self) -> Option<Item<'_>> {
        if !self.has_frame {
            self.has_frame = self.find();
        }
        if !self.has_frame {
            return None;
        }
        Some(Item {
            number: self.number,
            record: parse(&self.frame).ok()?,
            schema: self.schema.as_ref()?,
        })
    }

    /// Goes beyond the record that was looked at.
    pub fn advance(&mut self) {
        let (true, Some(reading)) = (std::mem::take(&mut self.has_frame), self.readings.get_mut(self.current)) else {
            return;
        };
        let time_us = parse(&self.frame).map_or(0, |record| record.time_us);
        let length = self.frame.len();
        let (from, to) = (reading.at, reading.at + length);
        reading.at = to;
        let place = u32::try_from(from).expect("a segment has less than 4 GiB");
        let first = self.number;
        self.number += 1;
        self.held_bytes += length;
        match self.held.back_mut() {
            Some(run) if run.segment.order == reading.segment.order && run.to == from => {
                run.places.push_back((place, run.after(time_us)));
                run.to = to;
            }
            _ => self.held.push_back(Run {
                segment: Arc::clone(&reading.segment),
                slot: reading.slot,
                first,
                places: VecDeque::from([(place, 0)]),
                time_us,
                to,
                is_last: false,
            }),
        }
    }

    /// Says that every record with a number below `end` is delivered and will not be asked for again.
    pub fn acknowledge(&mut self, end: u64) {
        debug_assert!(end <= self.number, "what was not read cannot be delivered");
        if end <= self.acknowledged {
            return;
        }
        self.acknowledged = end;
        self.oldest_us = None;
        while let Some(run) = self.held.front_mut() {
            let is_whole = run.end() <= end;
            let count = run.end().min(end).saturating_sub(run.first);
            let count = usize::try_from(count).expect("no more than are held");
            let from = run.from();
            self.marked -= run
                .places
                .drain(..count)
                .filter(|(place, _)| place & MARKED != 0)
                .count() as u64;
            run.first += count as u64;
            self.held_bytes -= run.from() - from;
            if !is_whole {
                if count > 0 {
                    run.note(run.from() as u64);
                }
                return;
            }
            if run.is_last {
                run.note(ALL);
                self.shared.finish(run.segment.order, self.sink);
            } else {
                run.note(run.to as u64);
            }
            self.held.pop_front();
        }
    }

    /// Says that one record is delivered, though others before it may not be: it does not come again, not even after a
    /// crash.
    pub fn mark(&mut self, number: u64) {
        debug_assert!(number < self.number, "what was not read cannot be delivered");
        let run = self.held.partition_point(|run| run.end() <= number);
        let Some(run) = self.held.get_mut(run) else { return };
        let index = number
            .checked_sub(run.first)
            .and_then(|index| usize::try_from(index).ok());
        let Some((place, _)) = index.and_then(|index| run.places.get_mut(index)) else {
            return;
        };
        if *place & MARKED == 0 {
            if let Some(slot) = run.slot {
                run.segment.mark(slot, *place as usize);
            }
            *place |= MARKED;
            self.marked += 1;
        }
    }

    /// Records read so far.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Records read and neither acknowledged nor marked.
    #[must_use]
    pub fn unacknowledged(&self) -> u64 {
        self.number - self.acknowledged - self.marked
    }

    /// Whether this sink alone holds so much of the spool that it should deliver what it has.
    #[must_use]
    pub fn is_tight(&self) -> bool {
        self.held_bytes > self.shared.bytes_max / 4
    }

    /// Places at which something was damaged, so that records may be missing.
    #[must_use]
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// When the oldest record that is not delivered was made, in microseconds since 1970.
    pub fn oldest_us(&mut self) -> Option<i64> {
        if self.oldest_us.is_none() {
            self.oldest_us = match self.held.front() {
                None => self.peek().map(|item| item.record.time_us),
                Some(run) => run.oldest_us(),
            };
        }
        self.oldest_us
    }

    /// Whether nothing will follow what was read.
    pub fn is_finished(&mut self) -> bool {
        // Looked at before the records: what came before the end is found then.
        let shared = &self.shared;
        let has_ended = shared.writers.load(Ordering::Acquire) == 0 || shared.has_ended.load(Ordering::Acquire);
        has_ended && self.peek().is_none()
    }

    /// Finds the next record that can be read and whose model is known, and copies it.
    fn find(&mut self) -> bool {
        self.refresh();
        // Once round from the current one, which usually has more.
        let mut missed = 0;
        while missed < self.readings.len() {
            if self.current >= self.readings.len() {
                self.current = 0;
            }
            let step = if self.is_early() {
                CursorStep::Nothing
            } else {
                self.step().unwrap_or_else(|error| self.not_now(&error))
            };
            match step {
                CursorStep::Found => return true,
                CursorStep::Moved => missed = 0,
                CursorStep::Nothing => {
                    missed += 1;
                    self.current += 1;
                }
            }
        }
        self.current = 0;
        false
    }

    /// The current segment's file cannot be read now, or not any more.
    fn not_now(&mut self, error: &io::Error) -> CursorStep {
        let now = Instant::now();
        let segment = Arc::clone(&self.readings[self.current].segment);
        if error.kind() == io::ErrorKind::NotFound {
            tracing::error!(path = %segment.path().display(), %error, "lost what was left of a segment: its file is gone");
            self.damaged += 1;
            return self.end();
        }
        self.shared.count_error();
        self.window.close();
        self.retry_at = Some(now + PAUSE);
        if self.log.may_log(now) {
            tracing::error!(path = %segment.path().display(), %error, "a segment of the spool cannot be read now; it is tried again");
        }
        CursorStep::Nothing
    }

    /// Whether the current segment has to wait for an earlier one of its shard. That one may have had nothing when it
    /// was looked at, and then have got its last records before the first ones of this one were written.
    fn is_early(&self) -> bool {
        let own = &self.readings[self.current].segment;
        let mut earlier = self.readings.iter().take(self.current);
        // One of another process that could be read only now waits for none of this process's.
        earlier.any(|reading| {
            let other = &reading.segment;
            other.layout.shard == own.layout.shard && (own.old().is_none() || other.old().is_some())
        })
    }

    fn step(&mut self) -> io::Result<CursorStep> {
        if self.retry_at.is_some_and(|at| at > Instant::now()) {
            return Ok(CursorStep::Nothing);
        }
        self.retry_at = None;
        let reading = &mut self.readings[self.current];
        let segment = &reading.segment;
        let is_marked = |slot| segment.old().is_some() && segment.is_marked(slot, reading.at);
        if let Err(look) = segment.read(reading.at, &mut self.window, &mut self.frame)? {
            return self.gap(look);
        }
        if reading.slot.is_some_and(is_marked) {
            reading.at += self.frame.len();
            return Ok(CursorStep::Moved);
        }
        let model = match parse(&self.frame) {
            Ok(record) => record.model_number,
            Err(error) => {
                tracing::error!(path = %segment.path().display(), at = reading.at, %error, "lost a record");
                reading.at += self.frame.len();
                self.damaged += 1;
                return Ok(CursorStep::Moved);
            }
        };
        if self.schema.as_ref().is_none_or(|schema| schema.model_number != model) {
            self.schema = self.shared.schemas.find(model);
        }
        if self.schema.is_some() {
            return Ok(CursorStep::Found);
        }
        // Recovery has put aside a copy of the file.
        tracing::error!(path = %segment.path().display(), at = reading.at, model, "a record is not delivered: its model is not known");
        reading.at += self.frame.len();
        self.damaged += 1;
        Ok(CursorStep::Moved)
    }

    /// No whole frame begins here.
    fn gap(&mut self, look: FrameLook) -> io::Result<CursorStep> {
        let reading = &mut self.readings[self.current];
        let segment = &reading.segment;
        if let Some(extents) = segment.old() {
            let is_inside = extents.iter().any(|extent| extent.contains(&reading.at));
            if !is_inside {
                // What lies between was reported when the segment was found.
                return Ok(match extents.iter().find(|extent| extent.start >= reading.at) {
                    Some(extent) => {
                        reading.at = extent.start;
                        CursorStep::Moved
                    }
                    None => self.end(),
                });
            }
        }
        match look {
            FrameLook::Nothing => Ok(CursorStep::Nothing),
            FrameLook::Sealed if segment.old().is_none() => Ok(self.end()),
            FrameLook::Sealed | FrameLook::Frame(_) => {
                // It was whole before: another process writes here, or the disk has damaged data whose memory was given
                // back.
                if reading.reported != reading.at {
                    reading.reported = reading.at;
                    self.damaged += 1;
                    tracing::error!(path = %segment.path().display(), at = reading.at, "a record in the spool is damaged; the next whole one is looked for");
                }
                match segment.next_frame(reading.at + 8, &mut self.window)? {
                    Some(next) => {
                        reading.at = next;
                        Ok(CursorStep::Moved)
                    }
                    None if segment.is_sealed() => Ok(self.end()),
                    None => Ok(CursorStep::Nothing),
                }
            }
        }
    }

    /// The current segment was read to its end.
    fn end(&mut self) -> CursorStep {
        let Some(reading) = self.readings.remove(self.current) else {
            return CursorStep::Nothing;
        };
        self.window.close();
        let order = reading.segment.order;
        match self.held.iter_mut().rev().find(|run| run.segment.order == order) {
            Some(run) => run.is_last = true,
            None => {
                if let Some(slot) = reading.slot {
                    reading.segment.acknowledge(slot, ALL);
                }
                self.shared.finish(order, self.sink);
            }
        }
        CursorStep::Moved
    }

    fn refresh(&mut self) {
        let version = self.shared.version.load(Ordering::Acquire);
        if self.seen_version == Some(version) {
            return;
        }
        self.seen_version = Some(version);
        for segment in self.shared.segments_after(self.last_order) {
            self.last_order = Some(segment.order);
            let slot = segment.slot(self.shared.sinks[self.sink]);
            let at = match slot {
                Some(slot) if segment.old().is_some() => segment.resume(slot),
                _ => Some(BODY),
            };
            let Some(at) = at else {
                self.shared.finish(segment.order, self.sink);
                continue;
            };
            self.readings.push_back(Reading {
                segment,
                slot,
                at,
                reported: 0,
            });
        }
    }
}

enum CursorStep {
    /// A record comes next in the current segment, and was copied.
    Found,
    /// Something has changed: look again.
    Moved,
    /// The current segment has nothing at present.
    Nothing,
}
