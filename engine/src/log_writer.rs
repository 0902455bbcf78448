//! Log lines on their way to standard error: a bounded queue, and one thread that writes.
//!
//! ```text
//!  any thread ── a whole line ──▶ queue (lines, bytes) ──▶ thread "log" ── write(2) ──▶ standard error
//!                   └─ no room: dropped, counted                └─ fails: dropped, counted; told when it works again
//! ```
//! Standard error may be a full disk, a pipe whose reader has gone or has stopped to read, a terminal that has hung up.
//! A thread that logs never waits for it, never fails and takes no lock. Only the thread `log` may block, and
//! [`finish`] waits for it only for a given time. `O_NONBLOCK` is left alone: the descriptor is shared with other
//! processes.
//!
//! `tracing_appender::non_blocking` bounds lines but not bytes, and does not count or report lines whose write fails.
//! Its guard prints with `println!` when the end takes too long, which panics when standard output is gone.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::raw_write::write_all;

/// Lines that may wait. A start has twenty, a burst of failed requests 6,400 a second at most.
const LINES_MAX: usize = 4096;

/// Bytes of all lines that wait: a line has some hundred, one with a backtrace some ten thousand.
const BYTES_MAX: usize = 1 << 20;

/// Between two lines that tell how many were dropped, while more lines come.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// The log of this process.
static LOG: OnceLock<LogQueue> = OnceLock::new();

/// Starts the thread that writes to standard error; `report` renders the line that says how many lines were dropped. A
/// second call changes nothing.
///
/// # Errors
/// When the thread cannot be started.
pub(crate) fn start(report: fn(u64) -> Vec<u8>) -> io::Result<()> {
    if LOG.get().is_none() {
        let queue = LogQueue::start(io::stderr(), report)?;
        // Of two that start at once, one queue stays empty and its thread ends.
        let _ = LOG.set(queue);
    }
    Ok(())
}

/// Queues a line, or counts it as dropped. Never waits, never fails.
pub(crate) fn write(line: &[u8]) {
    if let Some(queue) = LOG.get() {
        queue.push(line);
    }
}

/// Lines of this process that were not written.
pub(crate) fn dropped() -> u64 {
    LOG.get()
        .map_or(0, |queue| queue.counts.dropped.load(Ordering::Relaxed))
}

/// Waits until every line so far is written or dropped, but no longer than `bound`.
pub(crate) fn finish(bound: Duration) {
    if let Some(queue) = LOG.get() {
        queue.finish(bound);
    }
}

#[derive(Debug, Default)]
struct Counts {
    /// Of the lines that wait.
    queued_bytes: AtomicUsize,
    dropped: AtomicU64,
}

enum Message {
    Line(Vec<u8>),
    /// Answered when everything before it is written or dropped.
    Flush(Sender<()>),
}

struct LogQueue {
    messages: Sender<Message>,
    counts: Arc<Counts>,
}

impl LogQueue {
    fn start(output: impl AsFd + Send + 'static, report: fn(u64) -> Vec<u8>) -> io::Result<Self> {
        let (messages, received) = bounded(LINES_MAX);
        let counts = Arc::new(Counts::default());
        let writer = LogThread {
            output,
            report,
            counts: Arc::clone(&counts),
            told: 0,
            told_at: None,
            torn: false,
        };
        let thread = thread::Builder::new().name("log".into());
        thread.spawn(move || writer.run(&received))?;
        Ok(Self { messages, counts })
    }

    fn push(&self, line: &[u8]) {
        let bytes = line.len();
        let before = self.counts.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes <= BYTES_MAX && self.messages.try_send(Message::Line(line.to_vec())).is_ok() {
            return;
        }
        self.counts.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.counts.dropped.fetch_add(1, Ordering::Relaxed);
    }

    fn finish(&self, bound: Duration) {
        let until = Instant::now() + bound;
        let (done, finished) = bounded(1);
        if self.messages.send_deadline(Message::Flush(done), until).is_ok() {
            let _ = finished.recv_deadline(until);
        }
    }
}

/// The one that writes.
struct LogThread<F> {
    output: F,
    report: fn(u64) -> Vec<u8>,
    counts: Arc<Counts>,
    /// Dropped lines that a log line has reported.
    told: u64,
    told_at: Option<Instant>,
    /// A line was cut off by an error: the next one begins on a new line.
    torn: bool,
}

impl<F: AsFd> LogThread<F> {
    fn run(mut self, received: &Receiver<Message>) {
        for message in received {
            match message {
                Message::Line(line) => {
                    let is_written = self.put(&line);
                    self.counts.queued_bytes.fetch_sub(line.len(), Ordering::Relaxed);
                    match is_written {
                        true => self.tell(received.is_empty()),
                        false => {
                            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
                Message::Flush(done) => {
                    self.tell(true);
                    let _ = done.send(());
                }
            }
        }
    }

    /// Says how many lines were dropped since this was last said, now that writing works.
    fn tell(&mut self, is_idle: bool) {
        let dropped = self.counts.dropped.load(Ordering::Relaxed);
        let is_due = is_idle || self.told_at.is_none_or(|at| at.elapsed() >= TELL_EVERY);
        if dropped == self.told || !is_due {
            return;
        }
        let line = (self.report)(dropped - self.told);
        if self.put(&line) {
            (self.told, self.told_at) = (dropped, Some(Instant::now()));
        }
    }

    /// Writes a whole line; false when that is not possible.
    fn put(&mut self, line: &[u8]) -> bool {
        if self.torn {
            match write_all(self.output.as_fd(), b"\n") {
                Ok(()) => self.torn = false,
                Err(_) => return false,
            }
        }
        match write_all(self.output.as_fd(), line) {
            Ok(()) => true,
            Err((_, written)) => {
                self.torn = written > 0;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, pipe};
    use std::os::fd::OwnedFd;

    use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};

    use super::*;

    /// A pipe holds this much, or less when its user has many.
    const PIPE_BYTES: usize = 64 << 10;

    /// Longer than anything here takes on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn report(lines: u64) -> Vec<u8> {
        format!("{lines} dropped\n").into_bytes()
    }

    fn dropped(queue: &LogQueue) -> u64 {
        queue.counts.dropped.load(Ordering::Relaxed)
    }

    #[test]
    fn lines_keep_their_order() {
        let (reader, writer) = pipe().unwrap();
        let queue = LogQueue::start(writer, report).unwrap();
        let lines: Vec<String> = (0..500).map(|number| format!("line {number}\n")).collect();
        lines.iter().for_each(|line| queue.push(line.as_bytes()));
        queue.finish(PATIENCE);
        // Its thread ends with it, and closes the pipe.
        drop(queue);
        let mut text = String::new();
        { reader }.read_to_string(&mut text).unwrap();
        assert_eq!(text, lines.concat());
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_nobody_fails() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let (reader, closed) = pipe().unwrap();
        drop(reader);
        let read_only = File::open("/dev/null").unwrap();
        for output in [full.into(), closed.into(), OwnedFd::from(read_only)] {
            let queue = LogQueue::start(output, report).unwrap();
            (0..10).for_each(|_| queue.push(b"a line\n"));
            queue.finish(PATIENCE);
            assert_eq!(dropped(&queue), 10);
            assert_eq!(queue.counts.queued_bytes.load(Ordering::Relaxed), 0);
        }
    }

    /// A pipe whose reader stops: the queue fills by bytes or by lines, the rest is dropped, and no thread waits. When
    /// the reader continues, every queued line comes, in order, and one line reports the dropped ones.
    #[test]
    fn a_reader_that_stops_costs_lines_and_is_told_how_many() {
        for line_bytes in [100, 4000] {
            let (reader, writer) = pipe().unwrap();
            let queue = LogQueue::start(writer, report).unwrap();
            let lines = 2 * ((BYTES_MAX + PIPE_BYTES) / line_bytes).max(LINES_MAX + PIPE_BYTES / line_bytes);
            let line = |number: usize| format!("{number:width$}\n", width = line_bytes - 1);
            (0..lines).for_each(|number| queue.push(line(number).as_bytes()));
            let lost = dropped(&queue);
            assert!(lost > 0 && lost < lines as u64, "{lost} of {lines}");
            assert!(queue.counts.queued_bytes.load(Ordering::Relaxed) <= BYTES_MAX);
            // It comes back although nothing can be written.
            queue.finish(Duration::from_millis(1));
            let read = thread::Builder::new().spawn(move || {
                let mut text = String::new();
                { reader }.read_to_string(&mut text).map(|_| text)
            });
            queue.finish(PATIENCE);
            drop(queue);
            let text = read.unwrap().join().unwrap().unwrap();
            let (told, kept): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.ends_with("dropped"));
            let told: u64 = told
                .iter()
                .map(|line| line.split(' ').next().unwrap().parse::<u64>().unwrap())
                .sum();
            let kept: Vec<usize> = kept.iter().map(|line| line.trim().parse().unwrap()).collect();
            assert!(kept.is_sorted());
            assert_eq!((told, kept.len() as u64), (lost, lines as u64 - lost));
        }
    }

    /// A named pipe whose reader goes and comes back.
    #[test]
    fn a_reader_that_comes_back_is_told_what_it_missed() {
        let folder = crate::side::testing::TestDir::new("log-reader");
        let path = folder.path().join("log");
        mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let reader = || rustix::fs::open(&path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).unwrap();
        let first = reader();
        let queue = LogQueue::start(File::options().write(true).open(&path).unwrap(), report).unwrap();
        drop(first);
        (0..3).for_each(|_| queue.push(b"nobody reads\n"));
        queue.finish(PATIENCE);
        assert_eq!(dropped(&queue), 3);
        let mut second = File::from(reader());
        queue.push(b"somebody reads\n");
        queue.finish(PATIENCE);
        drop(queue);
        let mut text = String::new();
        // Nothing is there until the thread has closed its end, and then the end is.
        while second.read_to_string(&mut text).is_err() {}
        assert_eq!(text, "somebody reads\n3 dropped\n");
    }
}
