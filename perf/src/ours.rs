//! Our own engine, called as a program calls the crate: a row of `f64` in, margin and prediction out.

use quintile_model::{Identity, KernelChoice, Manifest, Model, Options, Scratch, load};
use rustix::time::{ClockId, clock_gettime};

use crate::peers::Turn;
use crate::plan::Fault;

pub(crate) struct Ours {
    model: Model,
    scratch: Scratch,
    rows: Vec<f64>,
}

impl Ours {
    pub(crate) fn new(file: &[u8], kernel: KernelChoice) -> Result<Self, Fault> {
        let identity = Identity {
            name: "timed".into(),
            version: "1".into(),
        };
        let options = Options {
            kernel,
            ..Options::default()
        };
        let model = Model::build(load(file)?, Manifest::empty(), identity, options)?;
        let scratch = model.scratch();
        let rows = Vec::new();
        Ok(Self { model, scratch, rows })
    }

    pub(crate) fn kernel(&self) -> KernelChoice {
        self.model.kernel()
    }

    /// As `native/host.c` does it: lays the rows out, warms up on others, and times the rest.
    pub(crate) fn run(&mut self, turn: Turn, all: &[f32], features: usize, margins: &mut [f64]) -> f64 {
        if let Some(warm) = turn.warm(all.len() / features) {
            self.lay_out(warm, all, features);
            self.score(warm.per_call, features, &mut margins[..warm.count]);
        }
        self.lay_out(turn, all, features);
        let start = now();
        self.score(turn.per_call, features, margins);
        now() - start
    }

    fn lay_out(&mut self, turn: Turn, all: &[f32], features: usize) {
        self.rows.clear();
        let rows = &all[turn.first * features..][..turn.count * features];
        self.rows.extend(rows.iter().map(|&value| f64::from(value)));
    }

    fn score(&mut self, per_call: usize, features: usize, margins: &mut [f64]) {
        if per_call == 1 {
            for (row, margin) in self.rows.chunks_exact(features).zip(margins) {
                self.model.score_row(row, &mut self.scratch);
                *margin = self.scratch.margins()[0];
            }
            return;
        }
        let calls = self.rows.chunks_exact(per_call * features);
        for (rows, margins) in calls.zip(margins.chunks_exact_mut(per_call)) {
            let each = |number: usize, _, scratch: &Scratch| margins[number] = scratch.margins()[0];
            self.model.score_rows(rows, &mut self.scratch, each);
        }
    }
}

/// Time that this process has had, in nanoseconds; `native/host.c` says why it is not the time of day.
fn now() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
