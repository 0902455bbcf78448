//! Row groups to worker threads and what came of them back in order, with a bounded number of them under way.

use std::collections::VecDeque;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::files::{RecordFile, RecordFiles};
use super::group::{GroupScorer, ScoredGroup};
use super::{ReplayError, ReplayJob};

/// Row groups under way for each thread: one that it works on and one that waits for it.
const GROUPS_A_THREAD: usize = 2;

type Answer = Result<ScoredGroup, ReplayError>;

/// A row group for a worker: the file's number, the file, the group, and where its answer goes.
type Task<'f> = (usize, &'f RecordFile, usize, Sender<Answer>);

/// Scores every row group of the files and gives each to `take`, in their order.
pub(super) fn run(
    job: &ReplayJob<'_>,
    files: &RecordFiles,
    mut take: impl FnMut(ScoredGroup),
) -> Result<(), ReplayError> {
    let threads = job.threads.max(1);
    let under_way_max = threads * GROUPS_A_THREAD;
    thread::scope(|scope| {
        let (tasks, taken) = bounded::<Task<'_>>(under_way_max);
        for _ in 0..threads {
            let taken = taken.clone();
            scope.spawn(move || {
                let mut scorer = GroupScorer::new(job, files.selected());
                for (number, file, group, answer) in taken {
                    // Nobody waits any more after a fault in an earlier group.
                    let _ = answer.send(scorer.score(number, file, group));
                }
            });
        }
        drop(taken);
        let mut under_way: VecDeque<Receiver<Answer>> = VecDeque::new();
        // Where no answer comes the worker has panicked, and so does the scope.
        let mut take_oldest = |under_way: &mut VecDeque<Receiver<Answer>>| {
            let answer = under_way.pop_front().and_then(|answered| answered.recv().ok());
            answer.transpose().map(|group| group.map(&mut take))
        };
        for (number, file, group) in files.groups() {
            if under_way.len() >= under_way_max {
                take_oldest(&mut under_way)?;
            }
            let (answer, answered) = bounded(1);
            under_way.push_back(answered);
            if tasks.send((number, file, group, answer)).is_err() {
                break;
            }
        }
        while !under_way.is_empty() {
            take_oldest(&mut under_way)?;
        }
        Ok(())
    })
}
