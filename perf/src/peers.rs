//! All engines of a plan, interleaved: each round gives every engine the same rows that no earlier round had, first one
//! a call, then 1,024 a call. A slow engine gets fewer of them. Every answer that is timed is also compared with the
//! training library's.

use std::fs;
use std::path::Path;

use quintile_model::KernelChoice;

use crate::host::Host;
use crate::ours::Ours;
use crate::plan::{Fault, Figures, ModelFigures, Plan, PlannedEngine, PlannedModel, read_doubles, read_singles};

const ROUND_ROWS: usize = 4_096;
const BATCH_ROWS: usize = 1_024;
const WARM_ROWS: usize = 256;
/// How long a turn takes at most, so that a run ends; but some rows must be timed.
const TURN_NS: f64 = 1e8;
const SINGLE_ROWS_MIN: usize = 256;

/// Which rows are scored, and how many with each call.
#[derive(Clone, Copy)]
pub(crate) struct Turn {
    pub(crate) first: usize,
    pub(crate) count: usize,
    pub(crate) per_call: usize,
}

impl Turn {
    /// Rows beside the turn's: the caches are the last engine's, and the rows that warm them must not be those timed.
    pub(crate) fn warm(self, rows: usize) -> Option<Self> {
        let count = self.per_call.max(WARM_ROWS.min(self.count / 4));
        let first = self.first.checked_sub(count).unwrap_or(self.first + self.count);
        (first + count <= rows).then_some(Self { first, count, ..self })
    }
}

enum Engine {
    Ours(Box<Ours>),
    Host(Host),
}

struct Contestant {
    /// `None` once it has failed.
    engine: Option<Engine>,
    /// Where it differs from the model's.
    reference: Option<Vec<f64>>,
    figures: Figures,
}

/// One row a call, or a batch.
#[derive(Clone, Copy)]
enum Use {
    Single,
    Batch,
}

struct Rows {
    values: Vec<f32>,
    features: usize,
}

pub(crate) fn run(plan: &Path, figures: &Path, rounds: &str) -> Result<(), Fault> {
    let rounds: usize = rounds.parse().map_err(|error| format!("rounds {rounds}: {error}"))?;
    let plan = Plan::read(plan)?;
    let rows = Rows {
        values: read_singles(&plan.rows)?,
        features: plan.features,
    };
    let rounds_max = rows.values.len() / plan.features / ROUND_ROWS;
    if rounds == 0 || rounds > rounds_max {
        return Err(format!("rounds {rounds}: the rows are enough for 1 to {rounds_max}").into());
    }
    let mut all = Vec::new();
    for model in &plan.models {
        eprintln!("timing {}", model.name);
        all.push(compare(&plan, model, &rows, rounds)?);
    }
    let report = serde_json::json!({
        "rounds": rounds,
        "rows_a_round": ROUND_ROWS,
        "rows_a_batch": BATCH_ROWS,
        "models": all,
    });
    fs::write(figures, serde_json::to_vec_pretty(&report)?)
        .map_err(|error| format!("cannot write {}: {error}", figures.display()).into())
}

fn compare(plan: &Plan, model: &PlannedModel, rows: &Rows, rounds: usize) -> Result<ModelFigures, Fault> {
    let reference = read_reference(&model.reference, rounds)?;
    let mut contestants = ours(model)?;
    for engine in &model.engines {
        contestants.push(Contestant::theirs(plan, engine, rounds)?);
    }
    let mut margins = vec![0.0; ROUND_ROWS];
    for round in 0..rounds {
        // Each round begins with another engine, so that none always follows the same one.
        let count = contestants.len();
        for place in 0..count {
            let contestant = &mut contestants[(place + round) % count];
            for which in [Use::Single, Use::Batch] {
                let turn = contestant.figures.turn(which, round * ROUND_ROWS);
                contestant.take(turn, rows, &reference, &mut margins[..turn.count]);
            }
        }
    }
    Ok(ModelFigures {
        name: model.name.clone(),
        engines: contestants.into_iter().map(|contestant| contestant.figures).collect(),
    })
}

fn read_reference(path: &Path, rounds: usize) -> Result<Vec<f64>, Fault> {
    let margins = read_doubles(path)?;
    if margins.len() < rounds * ROUND_ROWS {
        return Err(format!("{}: too few margins", path.display()).into());
    }
    Ok(margins)
}

/// The kernel that is chosen, and every other one that takes the model.
fn ours(model: &PlannedModel) -> Result<Vec<Contestant>, Fault> {
    let file = fs::read(&model.path).map_err(|error| format!("cannot read {}: {error}", model.path.display()))?;
    let chosen = Ours::new(&file, KernelChoice::Auto)?;
    let automatic = chosen.kernel();
    let mut contestants = vec![Contestant::ours(format!("Quintile ({automatic})"), "quintile", chosen)];
    for (name, kernel) in KernelChoice::NAMES {
        if matches!(kernel, KernelChoice::Auto | KernelChoice::Reference) || kernel == automatic {
            continue;
        }
        match Ours::new(&file, kernel) {
            Ok(engine) => contestants.push(Contestant::ours(format!("Quintile {name}"), "quintile-forced", engine)),
            Err(error) => eprintln!("  {name}: {error}"),
        }
    }
    Ok(contestants)
}

impl Contestant {
    fn ours(name: String, library: &str, engine: Ours) -> Self {
        Self {
            engine: Some(Engine::Ours(Box::new(engine))),
            reference: None,
            figures: Figures {
                name,
                library: library.into(),
                ..Figures::default()
            },
        }
    }

    /// One that does not start is void, and the run goes on.
    fn theirs(plan: &Plan, engine: &PlannedEngine, rounds: usize) -> Result<Self, Fault> {
        let started = Host::start(engine, &plan.rows.to_string_lossy(), plan.features);
        let mut figures = Figures {
            name: engine.name.clone(),
            library: engine.library.clone(),
            tolerance: engine.tolerance,
            ..Figures::default()
        };
        if let Err(error) = &started {
            figures.set_void(error.to_string());
        }
        let reference = engine.reference.as_deref();
        Ok(Self {
            engine: started.ok().map(Engine::Host),
            reference: reference.map(|path| read_reference(path, rounds)).transpose()?,
            figures,
        })
    }

    fn take(&mut self, turn: Turn, rows: &Rows, reference: &[f64], margins: &mut [f64]) {
        let outcome = match &mut self.engine {
            None => return,
            Some(Engine::Ours(engine)) => Ok(engine.run(turn, &rows.values, rows.features, margins)),
            Some(Engine::Host(host)) => host.run(turn, margins),
        };
        let figures = &mut self.figures;
        match outcome {
            Ok(nanoseconds) => {
                let a_row = nanoseconds / turn.count as f64;
                let times = if turn.per_call == 1 {
                    &mut figures.single
                } else {
                    &mut figures.batch
                };
                times.push(a_row);
                let reference = self.reference.as_deref().unwrap_or(reference);
                figures.check(turn, &reference[turn.first..][..turn.count], margins);
            }
            Err(error) => {
                self.engine = None;
                figures.set_void(error.to_string());
            }
        }
    }
}

impl Figures {
    /// As many of the round's rows as the engine's last turn says it has time for; few in the first round.
    fn turn(&self, which: Use, first: usize) -> Turn {
        let (per_call, least, times) = match which {
            Use::Single => (1, SINGLE_ROWS_MIN, &self.single),
            Use::Batch => (BATCH_ROWS, BATCH_ROWS, &self.batch),
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a positive number, and beyond the largest the largest"
        )]
        let rows = times.last().map_or(BATCH_ROWS, |a_row| (TURN_NS / a_row) as usize);
        let count = rows.clamp(least, ROUND_ROWS) / per_call * per_call;
        Turn { first, count, per_call }
    }

    fn check(&mut self, turn: Turn, reference: &[f64], margins: &[f64]) {
        for (row, (&wanted, &given)) in reference.iter().zip(margins).enumerate() {
            if wanted.to_bits() == given.to_bits() {
                continue;
            }
            // Not-a-number compares with nothing, so it must be caught by what is not within the tolerance.
            let difference = (wanted - given).abs();
            let near = difference <= self.tolerance && self.tolerance > 0.0;
            self.worst_difference = self.worst_difference.max(difference);
            if !near {
                let row = turn.first + row;
                self.set_void(format!(
                    "row {row}: its margin is {given:?} and the library's {wanted:?}"
                ));
            }
        }
    }

    /// Keeps the first reason.
    fn set_void(&mut self, why: String) {
        if self.void.is_none() {
            eprintln!("  {} is void: {why}", self.name);
            self.void = Some(why);
        }
    }
}
