//! Sends chunks to worker threads and returns their results in order.
//!
//! Each chunk has the sending end of a channel for one result; the calling thread keeps the receiving ends in the order
//! of the rows. The chunks in progress are limited by number and by bytes, so that neither many threads nor long rows
//! fill the memory: the calling thread waits for the oldest result before it reads on.

use std::collections::VecDeque;
use std::io::Write;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use quintile_model::{ExplainScratch, Explainer, Scratch};

use super::progress::Progress;
use super::results::{Answer, Results};
use super::sink::Sink;
use super::source::{Chunk, Memory, RowSource};
use super::style::Style;
use super::{Job, ScoreError};
use crate::reasons::{ReasonsRequest, ReasonsWorkspace};

/// Chunks under way for each thread: one that it works on and one that waits for it.
const CHUNKS_A_THREAD: usize = 2;

/// Bytes of all chunks under way, beyond the first.
const BYTES_MAX: usize = 128 << 20;

/// The result of a chunk: the results up to the fault, if there is one.
struct Done {
    results: Results,
    fault: Option<ScoreError>,
}

/// The result of the rows.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) rows: u64,
    /// Rows without a score, and what is wrong with the first.
    pub(super) bad: u64,
    pub(super) first: Option<String>,
}

impl Tally {
    fn add(&mut self, results: &Results) {
        self.rows += results.rows();
        self.bad += results.bad;
        self.first = self.first.take().or_else(|| results.first.clone());
    }
}

/// Scores all rows of the source.
pub(super) fn run<W: Write, P: Write>(
    job: &Job<'_>,
    source: &mut RowSource<'_>,
    style: &Style,
    sink: &mut Sink<W>,
    progress: &mut Option<Progress<P>>,
) -> Result<Tally, ScoreError> {
    if job.threads == 0 {
        return run_alone(job, source, style, sink);
    }
    let under_way_max = job.threads * CHUNKS_A_THREAD;
    thread::scope(|scope| {
        let (chunks, taken) = bounded::<(Chunk, Sender<Done>)>(under_way_max);
        for _ in 0..job.threads {
            let taken = taken.clone();
            scope.spawn(move || {
                let mut worker = Worker::new(job, style);
                for (chunk, answer) in taken {
                    // The reader has gone after a fault before these rows.
                    let _ = answer.send(worker.work(&chunk));
                }
            });
        }
        drop(taken);
        let mut under_way = ChunksInFlight::default();
        let mut tally = Tally::default();
        let mut write = |done: Done| {
            if let Some(progress) = progress {
                progress.add(done.results.rows());
            }
            tally.add(&done.results);
            sink.write(done.results)?;
            done.fault.map_or(Ok(()), Err)
        };
        let end = loop {
            let chunk = match source.next() {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break Ok(()),
                Err(fault) => break Err(fault),
            };
            while under_way.answers.len() >= under_way_max || under_way.bytes + chunk.bytes() > BYTES_MAX {
                match under_way.oldest() {
                    Some(done) => write(done)?,
                    None => break,
                }
            }
            while let Some(done) = under_way.ready() {
                write(done)?;
            }
            let (answer, answered) = bounded(1);
            under_way.add(chunk.bytes(), answered);
            if chunks.send((chunk, answer)).is_err() {
                // No worker is left: they have panicked, and so does the scope.
                break Ok(());
            }
        };
        while let Some(done) = under_way.oldest() {
            write(done)?;
        }
        end.map(|()| tally)
    })
}

/// The same on the calling thread, for texts so short that a thread would cost more.
fn run_alone<W: Write>(
    job: &Job<'_>,
    source: &mut RowSource<'_>,
    style: &Style,
    sink: &mut Sink<W>,
) -> Result<Tally, ScoreError> {
    let mut tally = Tally::default();
    let mut worker = Worker::new(job, style);
    while let Some(chunk) = source.next()? {
        let done = worker.work(&chunk);
        tally.add(&done.results);
        sink.write(done.results)?;
        if let Some(fault) = done.fault {
            return Err(fault);
        }
    }
    Ok(tally)
}

/// Chunks that workers have, in the order of their rows.
#[derive(Default)]
struct ChunksInFlight {
    answers: VecDeque<(usize, Receiver<Done>)>,
    bytes: usize,
}

impl ChunksInFlight {
    fn add(&mut self, bytes: usize, answered: Receiver<Done>) {
        self.bytes += bytes;
        self.answers.push_back((bytes, answered));
    }

    /// Waits for the oldest; none when there is none, or its worker panicked.
    fn oldest(&mut self) -> Option<Done> {
        let (bytes, answered) = self.answers.pop_front()?;
        self.bytes -= bytes;
        answered.recv().ok()
    }

    /// The oldest, if it is there.
    fn ready(&mut self) -> Option<Done> {
        let (bytes, answered) = self.answers.front()?;
        let done = answered.try_recv().ok()?;
        self.bytes -= bytes;
        self.answers.pop_front();
        Some(done)
    }
}

/// The reasons of rows in words.
struct RowReasons<'j> {
    job: &'j Job<'j>,
    explainer: &'j Explainer,
    workspace: ReasonsWorkspace,
    words: Vec<String>,
}

impl<'j> RowReasons<'j> {
    fn new(job: &'j Job<'j>, explainer: &'j Explainer) -> Self {
        Self {
            job,
            explainer,
            workspace: ReasonsWorkspace::new(job.loaded, explainer),
            words: Vec::new(),
        }
    }

    /// Those of a row, the most important first.
    fn of(&mut self, row: &[f64]) -> &[String] {
        let request = ReasonsRequest {
            count: self.job.reasons,
            direction: None,
            is_demanded: true,
        };
        let loaded = self.job.loaded;
        self.workspace.explain(loaded, self.explainer, row, request);
        let reasons = self.workspace.reasons(loaded);
        let words = reasons.map(|(unit, amount)| unit.told(loaded, row, amount));
        self.words.clear();
        self.words.extend(words);
        &self.words
    }
}

/// A thread's own memory.
struct Worker<'j> {
    job: &'j Job<'j>,
    style: &'j Style,
    scratch: Scratch,
    explaining: Option<(&'j Explainer, ExplainScratch)>,
    reasons: Option<RowReasons<'j>>,
    memory: Memory,
}

impl<'j> Worker<'j> {
    fn new(job: &'j Job<'j>, style: &'j Style) -> Self {
        Self {
            job,
            style,
            scratch: job.loaded.model.scratch(),
            explaining: style
                .explainer
                .as_ref()
                .filter(|_| style.reasons == 0)
                .map(|explainer| (explainer, explainer.scratch())),
            reasons: style
                .explainer
                .as_ref()
                .filter(|_| style.reasons > 0)
                .map(|explainer| RowReasons::new(job, explainer)),
            memory: Memory::default(),
        }
    }

    fn work(&mut self, chunk: &Chunk) -> Done {
        let (loaded, style, scratch) = (self.job.loaded, self.style, &mut self.scratch);
        let (explaining, reasons) = (&mut self.explaining, &mut self.reasons);
        let mut results = match Results::new(style, chunk) {
            Ok(results) => results,
            Err(fault) => {
                return Done {
                    results: Results::default(),
                    fault: Some(fault),
                };
            }
        };
        let mut fault = None;
        chunk.read(loaded, self.job.id, &mut self.memory, |index, outcome| {
            match outcome {
                Ok((row, id)) => {
                    let band = loaded.model.score_row(row, scratch);
                    let answer = Answer {
                        band,
                        margins: scratch.margins(),
                        predictions: scratch.predictions(),
                        contributions: match explaining {
                            Some((explainer, scratch)) => {
                                explainer.explain_row(row, scratch);
                                scratch.all()
                            }
                            None => &[],
                        },
                        reasons: match reasons {
                            Some(reasons) => reasons.of(row),
                            None => &[],
                        },
                    };
                    fault = results.push(style, (chunk, index), id, &answer).err();
                }
                Err(error) if style.keeps_faults => {
                    fault = results.push_fault(style, (chunk, index), &error).err();
                }
                Err(error) => fault = Some(error),
            }
            fault.is_none()
        });
        Done { results, fault }
    }
}
