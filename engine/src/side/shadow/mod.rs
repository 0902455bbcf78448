//! Scores other versions on the rows that records have: shadows, and the champion of before while a new one is on
//! trial.
//!
//! ```text
//! shard ─ record ─▶ spool ─ Observer ─▶ thread "shadow" (nice +10): the row by feature names ─▶ the other version's score
//!                     ▲                        │ compared with the champion's: report, way back
//!                     └── a record of its own ─┘ same request_id and lead_id, role = shadow
//! ```
//! A version that is slow, panics or lags costs no answer anything: it reads what was written anyway, rests in
//! proportion to what it has worked, and skips what it cannot keep up with.

mod job;
mod report;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender, unbounded};

pub(super) use self::job::Job;
pub(super) use self::report::ShadowReports;

use super::counts::Stop;
use super::error::StartError;
use super::worker::CpuBudget;
use super::{join, spawn};
use crate::clock::thread_cpu;
use crate::models::{Command, ModelsHandle, Registry, RollbackSettings};
use crate::record::{Frame, IdSource, Role};
use crate::spool::{Observer, Writer};
use crate::topology;

/// How long it waits when there is nothing to do.
const IDLE: Duration = Duration::from_millis(10);

/// How long it works before it rests.
const TURN: Duration = Duration::from_millis(2);

/// Comparisons with the champion of before are looked at so many times until they end, but not before they have so many
/// rows: of fewer, one row in another bin says too much.
const LOOKS: u64 = 5;
const LOOK_ROWS_MIN: u64 = 50;

/// What shadows are made of.
#[derive(Debug)]
pub struct ShadowSetup {
    /// Records in.
    pub observer: Observer,
    /// Records out.
    pub writer: Writer,
    /// The writer's number among those of the shards.
    pub number: u16,
    /// What makes record ids this process's own.
    pub nonce: u64,
    /// Who is told what came of a comparison.
    pub models: ModelsHandle,
    /// When a new champion is taken back.
    pub rollback: Option<RollbackSettings>,
}

/// The thread, as the rest of side sees it.
#[derive(Debug)]
pub(super) struct ShadowThread {
    /// Other models that are served.
    pub(super) registries: Sender<Arc<Registry>>,
    thread: JoinHandle<()>,
    stop: Stop,
}

impl ShadowThread {
    /// Starts it.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(super) fn start(
        setup: ShadowSetup,
        registry: &Arc<Registry>,
        reports: Arc<ShadowReports>,
        pace: CpuBudget,
    ) -> Result<Self, StartError> {
        let (registries, registries_out) = unbounded();
        let _ = registries.send(Arc::clone(registry));
        let stop = Stop::default();
        let scorer = ShadowScorer::new(setup, registries_out, reports, pace, stop.clone());
        let thread = spawn("shadow", move || scorer.run())?;
        Ok(Self {
            registries,
            thread,
            stop,
        })
    }

    /// Ends it: before the spool, for what it records is delivered too.
    pub(super) fn end(self, deadline: Instant) {
        self.stop.at(deadline);
        if let Err(reason) = join("shadow", self.thread, deadline) {
            tracing::error!(%reason, "the thread that scores beside did not end well");
        }
    }
}

/// The thread `shadow`: reads records and gives them to its jobs.
struct ShadowScorer {
    setup: ShadowSetup,
    ids: IdSource,
    registries: Receiver<Arc<Registry>>,
    reports: Arc<ShadowReports>,
    jobs: Vec<Job>,
    frame: Vec<u8>,
    pace: CpuBudget,
    stop: Stop,
}

impl ShadowScorer {
    fn new(
        setup: ShadowSetup,
        registries: Receiver<Arc<Registry>>,
        reports: Arc<ShadowReports>,
        pace: CpuBudget,
        stop: Stop,
    ) -> Self {
        Self {
            ids: IdSource::new(setup.number, setup.nonce),
            setup,
            registries,
            reports,
            jobs: Vec::new(),
            frame: Vec::new(),
            pace,
            stop,
        }
    }

    /// Works until the end.
    fn run(mut self) {
        topology::yield_to_shards();
        while !self.stop.is_set() {
            if let Some(registry) = self.registries.try_iter().last() {
                self.take(&registry);
            }
            if self.jobs.is_empty() {
                self.setup.observer.skip();
                self.setup.observer.take_dropped();
                std::thread::sleep(IDLE);
                continue;
            }
            let before = thread_cpu();
            if self.turn() {
                std::thread::sleep(self.pace.rest(thread_cpu().saturating_sub(before)));
            } else {
                std::thread::sleep(IDLE);
            }
        }
    }

    /// Other models are served: what is still to be compared goes on.
    fn take(&mut self, registry: &Registry) {
        let mut kept = std::mem::take(&mut self.jobs);
        for model in registry.models() {
            let Some(champion) = &model.champion else { continue };
            for (shadow, is_watch) in [(&model.shadow, false), (&model.watch, true)] {
                let Some(shadow) = shadow else { continue };
                let known = kept.iter().position(|job| job.number == shadow.number);
                let job = match known {
                    Some(place) => kept.swap_remove(place),
                    None => Job::new(&model.name, shadow, champion, is_watch),
                };
                self.jobs.push(job);
            }
        }
        self.reports.keep_only(&self.jobs);
    }

    /// Scores for a moment; false when there was nothing.
    fn turn(&mut self) -> bool {
        let began = Instant::now();
        let mut has_worked = false;
        while began.elapsed() < TURN {
            let Some((record, schema)) = self.setup.observer.next_record() else {
                break;
            };
            has_worked = true;
            if record.extras.role() != Some(Role::Champion.name()) {
                continue;
            }
            for job in &mut self.jobs {
                let fits = job.takes(&record, schema);
                if fits && job.score(&record, schema) && !job.is_watch {
                    let frame = &mut self.frame;
                    let is_kept = write(
                        job,
                        &record,
                        &mut self.ids,
                        &mut self.setup.writer,
                        frame,
                        self.setup.number,
                    );
                    job.dropped += u64::from(!is_kept);
                }
            }
        }
        let dropped = self.setup.observer.take_dropped();
        for job in &mut self.jobs {
            job.dropped += dropped;
        }
        self.reports.tell(&self.jobs);
        self.end_watches();
        has_worked
    }

    /// Tells what came of comparisons that have seen enough.
    fn end_watches(&mut self) {
        let Some(rollback) = self.setup.rollback else { return };
        let wanted = rollback.rows as u64;
        let models = &self.setup.models;
        self.jobs.retain_mut(|job| {
            if !job.is_watch {
                return true;
            }
            let rows = job.comparison.rows();
            let looked = rows * LOOKS / wanted.max(1);
            if looked <= job.looked || rows < LOOK_ROWS_MIN {
                return true;
            }
            job.looked = looked;
            let psi = job.comparison.psi();
            let too_far = (psi > rollback.prediction_psi).then_some((psi, rows));
            if too_far.is_none() && rows < wanted {
                return true;
            }
            models.tell(Command::Compared {
                name: job.name.clone(),
                number: job.number,
                too_far,
            });
            false
        });
    }
}

/// Writes the record of a shadow's score; false when there is no room.
fn write(
    job: &Job,
    record: &Frame<'_>,
    ids: &mut IdSource,
    writer: &mut Writer,
    frame: &mut Vec<u8>,
    number: u16,
) -> bool {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let time_us = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
    job.entry(record, ids.next(time_us), time_us, number).encode(frame);
    writer.append(frame).is_ok()
}
