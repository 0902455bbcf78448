//! The progress of a run: a bar on a terminal, nothing elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Parts of the bar.
const PARTS: u64 = 1_000;

pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(super) fn new(whole: Duration) -> Self {
        // indicatif draws on standard error, and only if that is a terminal.
        let bar = ProgressBar::new(PARTS);
        let style = ProgressStyle::with_template("{bar:40} {percent:>3} % of {prefix}, {msg}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_prefix(humantime::format_duration(whole).to_string());
        Self { bar }
    }

    pub(super) fn tell(&mut self, share: f64, done: u64) {
        self.bar
            .set_position(crate::units::whole(share.min(1.0) * PARTS as f64));
        let text = crate::units::count(done);
        self.bar.set_message(if share > 1.0 {
            format!("{text} requests; waiting for the last answers")
        } else {
            format!("{text} requests")
        });
    }

    pub(super) fn finish(&mut self) {
        self.bar.finish_and_clear();
    }
}
