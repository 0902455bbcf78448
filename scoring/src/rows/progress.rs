//! The progress on a terminal: one line that is overwritten twice a second.

use std::io::Write;
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_millis(500);

pub(crate) struct Progress<W: Write> {
    screen: W,
    /// How many rows there are, where that is known.
    total: Option<u64>,
    began: Instant,
    said: Instant,
    rows: u64,
    is_shown: bool,
}

impl<W: Write> Progress<W> {
    pub(crate) fn new(screen: W, total: Option<u64>) -> Self {
        let now = Instant::now();
        Self {
            screen,
            total,
            began: now,
            said: now,
            rows: 0,
            is_shown: false,
        }
    }

    pub(crate) fn add(&mut self, rows: u64) {
        self.rows += rows;
        if self.said.elapsed() >= EVERY {
            self.said = Instant::now();
            self.is_shown = true;
            let seconds = self.began.elapsed().as_secs().max(1);
            // The screen may be gone; the results are what counts.
            let _ = match self.total.filter(|&total| total >= self.rows && self.rows > 0) {
                Some(total) => {
                    let (percent, left) = (self.rows * 100 / total, (total - self.rows) * seconds / self.rows);
                    let (rows, speed) = (self.rows, self.rows / seconds);
                    write!(
                        self.screen,
                        "\r{percent} %: {rows} of {total} rows, {speed} a second, {left} s left\x1b[K"
                    )
                }
                None => write!(
                    self.screen,
                    "\r{} rows, {} a second\x1b[K",
                    self.rows,
                    self.rows / seconds
                ),
            };
            let _ = self.screen.flush();
        }
    }

    /// Leaves the line as it was.
    pub(crate) fn end(mut self) {
        if self.is_shown {
            let _ = write!(self.screen, "\r\x1b[K");
            let _ = self.screen.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_speaks_twice_a_second_and_leaves_nothing() {
        let mut screen = Vec::new();
        let mut progress = Progress::new(&mut screen, None);
        progress.add(10);
        progress.said = Instant::now()
            .checked_sub(EVERY)
            .expect("the machine is up longer than that");
        progress.add(5);
        progress.end();
        assert_eq!(screen, b"\r15 rows, 15 a second\x1b[K\r\x1b[K");
        let mut screen = Vec::new();
        let mut progress = Progress::new(&mut screen, Some(60));
        progress.said = progress
            .began
            .checked_sub(EVERY)
            .expect("the machine is up longer than that");
        progress.add(15);
        progress.end();
        assert_eq!(screen, b"\r25 %: 15 of 60 rows, 15 a second, 3 s left\x1b[K\r\x1b[K");
        let mut screen = Vec::new();
        Progress::new(&mut screen, None).end();
        assert!(screen.is_empty());
    }
}
