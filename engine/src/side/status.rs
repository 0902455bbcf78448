//! The text of `/v1/status`: what is served, how it is doing now, and the last 15 minutes in steps of 10 seconds.
//!
//! The counts are those of `/metrics`, kept for a page that draws them without a database. Its memory never grows:
//! steps are numbers, and only the current one has a histogram.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use quintile_model::Model;
use serde::Serialize;
use serde_json::Value;

use super::ProcessFacts;
use super::recent::{RecentScore, RecentScores};
use crate::models::Registry;
use crate::telemetry::{Route, STATUSES, ShardStats};

/// One step.
const STEP: Duration = Duration::from_secs(10);

/// Steps that are shown: 15 minutes.
const STEPS_MAX: usize = 90;

/// What "now" means.
const NOW: Duration = Duration::from_secs(10);

/// Routes whose answers are counted: those of pages and probes would hide what clients do.
const ROUTES: [Route; 2] = [Route::Score, Route::Batch];

/// What `/v1/status` is made of, and the counts of the last steps.
pub(super) struct Status {
    model: Value,
    process: Value,
    /// Features with values far outside what training saw.
    unusual: Value,
    /// Every model with its versions, and what shadows have come to, where there is a store.
    models: Option<Value>,
    began: Instant,
    /// Steps that are over, the oldest first, and the one that is going on.
    steps: VecDeque<StatusStep>,
    /// Scores of the step that is going on.
    latency: Histogram<u64>,
    /// Sums since the start, at the ticks of the last [`NOW`].
    sums: VecDeque<(Instant, Sums)>,
    /// The last scores, where they are said.
    pub(super) recent: Option<Arc<RecentScores>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct StatusStep {
    number: u64,
    requests: u64,
    client_errors: u64,
    server_errors: u64,
    scores: [u64; 6],
    p50_us: Option<f64>,
    p99_us: Option<f64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    requests: u64,
    leads: u64,
}

#[derive(Serialize)]
struct Report<'a> {
    model: &'a Value,
    process: &'a Value,
    unusual: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    models: Option<&'a Value>,
    uptime_s: u64,
    now: Now,
    history: History,
    /// The newest first; null where `server.recent` is off.
    recent: Option<Vec<RecentScore>>,
}

#[derive(Serialize)]
struct Now {
    requests_per_s: f64,
    leads_per_s: f64,
    p50_us: Option<f64>,
    p99_us: Option<f64>,
}

#[derive(Serialize)]
struct History {
    step_s: u64,
    end_unix_s: u64,
    last_step_s: f64,
    requests: Vec<u64>,
    client_errors: Vec<u64>,
    server_errors: Vec<u64>,
    p50_us: Vec<Option<f64>>,
    p99_us: Vec<Option<f64>>,
    scores: Vec<[u64; 6]>,
}

impl Status {
    pub(super) fn new(about: &ProcessFacts, registry: &Registry, shards: usize, now: Instant) -> Self {
        let process = serde_json::json!({
            "version": about.version,
            "commit": about.commit,
            "runtime": about.runtime,
            "shards": shards,
        });
        Self {
            model: model_told(&registry.champion().loaded.model),
            process,
            unusual: Value::Array(Vec::new()),
            models: None,
            began: now,
            steps: VecDeque::from([StatusStep::default()]),
            latency: ShardStats::new().score_ns,
            sums: VecDeque::from([(now, Sums::default())]),
            recent: None,
        }
    }

    /// Other models are served.
    pub(super) fn serve(&mut self, registry: &Registry) {
        self.model = model_told(&registry.champion().loaded.model);
    }

    /// Features with values far outside what training saw, and how many.
    pub(super) fn set_unusual(&mut self, unusual: Value) {
        self.unusual = unusual;
    }

    /// What is told of the models of a store.
    pub(super) fn tell_models(&mut self, models: Option<Value>) {
        self.models = models;
    }

    /// Counts a block into the step that is going on.
    pub(super) fn add(&mut self, block: &ShardStats) {
        let Some(step) = self.steps.back_mut() else { return };
        for route in ROUTES {
            for (&status, &count) in STATUSES.iter().zip(&block.requests[route as usize]) {
                step.requests += count;
                match status {
                    400..500 => step.client_errors += count,
                    500.. => step.server_errors += count,
                    _ => {}
                }
            }
        }
        for (sum, more) in step.scores.iter_mut().zip(&block.scores) {
            *sum += more;
        }
        self.latency
            .add(&block.score_ns)
            .expect("all blocks have the same bounds");
        step.p50_us = quantile_us(&self.latency, 0.5);
        step.p99_us = quantile_us(&self.latency, 0.99);
    }

    /// Begins the step of this moment. To be called before the blocks of a tick are added.
    pub(super) fn turn(&mut self, now: Instant) {
        let number = now.duration_since(self.began).as_secs() / STEP.as_secs();
        let last = self.steps.back().map_or(0, |step| step.number);
        // A process that was stopped for a while has nothing to tell of it.
        let first = (last + 1).max((number + 1).saturating_sub(STEPS_MAX as u64));
        for number in first..=number {
            self.latency.reset();
            self.steps.push_back(StatusStep {
                number,
                ..StatusStep::default()
            });
        }
        while self.steps.len() > STEPS_MAX {
            self.steps.pop_front();
        }
    }

    /// The text, and what "now" is measured against later. `totals` are the sums since the start, `recent` the scores
    /// of the last seconds.
    pub(super) fn render(
        &mut self,
        totals: &ShardStats,
        recent: &Histogram<u64>,
        now: Instant,
        now_unix: Duration,
    ) -> Bytes {
        let sums = Sums {
            requests: ROUTES.iter().flat_map(|&route| totals.requests[route as usize]).sum(),
            leads: totals.scores.iter().sum(),
        };
        self.sums.push_back((now, sums));
        while self.sums.get(1).is_some_and(|&(at, _)| now.duration_since(at) >= NOW) {
            self.sums.pop_front();
        }
        let report = Report {
            model: &self.model,
            process: &self.process,
            unusual: &self.unusual,
            models: self.models.as_ref(),
            uptime_s: now.duration_since(self.began).as_secs(),
            now: self.now(now, sums, recent),
            history: self.history(now, now_unix),
            recent: self.recent.as_ref().map(|recent| recent.list()),
        };
        serde_json::to_vec(&report).expect("plain values become JSON").into()
    }

    fn now(&self, now: Instant, sums: Sums, recent: &Histogram<u64>) -> Now {
        let (since, before) = self.sums.front().copied().unwrap_or((now, sums));
        let seconds = now.duration_since(since).as_secs_f64();
        let rate = |count: u64| {
            #[expect(clippy::cast_precision_loss, reason = "a count of ten seconds")]
            let rate = if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
            (rate * 10.0).round() / 10.0
        };
        Now {
            requests_per_s: rate(sums.requests - before.requests),
            leads_per_s: rate(sums.leads - before.leads),
            p50_us: quantile_us(recent, 0.5),
            p99_us: quantile_us(recent, 0.99),
        }
    }

    fn history(&self, now: Instant, now_unix: Duration) -> History {
        let over = now.duration_since(self.began).as_secs_f64() % STEP.as_secs_f64();
        fn each<T>(steps: &VecDeque<StatusStep>, of: impl Fn(&StatusStep) -> T) -> Vec<T> {
            steps.iter().map(of).collect()
        }
        let steps = &self.steps;
        History {
            step_s: STEP.as_secs(),
            end_unix_s: (now_unix + STEP)
                .saturating_sub(Duration::from_secs_f64(over))
                .as_secs(),
            last_step_s: (over * 10.0).round() / 10.0,
            requests: each(steps, |step| step.requests),
            client_errors: each(steps, |step| step.client_errors),
            server_errors: each(steps, |step| step.server_errors),
            p50_us: each(steps, |step| step.p50_us),
            p99_us: each(steps, |step| step.p99_us),
            scores: each(steps, |step| step.scores),
        }
    }
}

fn model_told(model: &Model) -> Value {
    serde_json::json!({
        "name": model.name(),
        "version": model.version(),
        "description": model.description(),
        "format": model.format(),
        "trees": model.tree_count(),
        "features": model.schema().len(),
        "kernel": model.kernel().to_string(),
        "band_names": model.band_names(),
    })
}

/// A quantile in microseconds; none of nothing.
fn quantile_us(values_ns: &Histogram<u64>, at: f64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a request")]
    let us = |ns: u64| ns as f64 / 1e3;
    (!values_ns.is_empty()).then(|| us(values_ns.value_at_quantile(at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(began: Instant) -> Status {
        let about = ProcessFacts {
            version: "1".into(),
            commit: "c".into(),
            target: "t".into(),
            runtime: "epoll".into(),
        };
        let demo =
            quintile_scoring::loaded::LoadedModel::load(None, quintile_model::Options::default(), 0).expect("the demo");
        Status::new(&about, &single(demo), 2, began)
    }

    fn single(model: quintile_scoring::loaded::LoadedModel) -> Registry {
        Registry::single(std::sync::Arc::new(crate::models::ModelVersion::alone(0, 1, model)))
    }

    fn block(statuses: &[u16], score: u8, ns: u64) -> ShardStats {
        let mut block = ShardStats::new();
        for &status in statuses {
            block.answered(Route::Score, status);
            if status == 200 {
                block.scored(Some(score), ns);
            }
        }
        block.answered(Route::Pages, 200);
        block
    }

    fn told(status: &mut Status, totals: &ShardStats, now: Instant) -> Value {
        let text = status.render(totals, &totals.score_ns, now, Duration::from_secs(1_000_000));
        serde_json::from_slice(&text).expect("JSON")
    }

    #[test]
    fn counts_stand_in_the_step_in_which_they_came() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let (mut status, mut totals) = (status(began), ShardStats::new());
        for (seconds, block) in [
            (1, block(&[200, 200, 422], 5, 2_000)),
            (9, block(&[200, 503], 1, 8_000)),
            (31, block(&[200], 3, 1_000)),
        ] {
            status.turn(at(seconds));
            status.add(&block);
            totals.add(&block);
        }
        let told = told(&mut status, &totals, at(34));
        let history = &told["history"];
        assert_eq!(history["requests"], serde_json::json!([5, 0, 0, 1]));
        assert_eq!(history["client_errors"], serde_json::json!([1, 0, 0, 0]));
        assert_eq!(history["server_errors"], serde_json::json!([1, 0, 0, 0]));
        assert_eq!(history["scores"][0], serde_json::json!([0, 1, 0, 0, 0, 2]));
        assert_eq!(
            (&history["end_unix_s"], &history["last_step_s"]),
            (&1_000_006.into(), &4.0.into())
        );
        assert_eq!(history["p50_us"], serde_json::json!([2.0, null, null, 1.0]));
        assert!(history["p99_us"][0].as_f64().expect("a number") >= 8.0);
        assert_eq!((&told["uptime_s"], &told["process"]["shards"]), (&34.into(), &2.into()));
    }

    #[test]
    fn now_is_the_last_ten_seconds() {
        let began = Instant::now();
        let (mut status, mut totals) = (status(began), ShardStats::new());
        let mut rate = 0.0;
        for second in 1..=30 {
            let now = began + Duration::from_secs(second);
            status.turn(now);
            // Nothing comes after the twentieth second.
            let block = block(if second <= 20 { &[200, 200, 400] } else { &[] }, 2, 1_000);
            status.add(&block);
            totals.add(&block);
            let told = told(&mut status, &totals, now);
            rate = told["now"]["requests_per_s"].as_f64().expect("a number");
            let wanted = if second <= 20 {
                3.0
            } else {
                3.0 - 0.3 * (second - 20) as f64
            };
            assert!((rate - wanted).abs() < 0.06, "second {second}: {rate}");
        }
        assert!(rate.abs() < 1e-9);
    }

    #[test]
    fn never_grows_and_survives_a_long_stop() {
        let began = Instant::now();
        let mut status = status(began);
        let totals = ShardStats::new();
        for seconds in [5, 2_000, 2_005, 1_000_000] {
            let now = began + Duration::from_secs(seconds);
            status.turn(now);
            let told = told(&mut status, &totals, now);
            let steps = told["history"]["requests"].as_array().expect("a list").len();
            assert!(steps == STEPS_MAX || seconds == 5 && steps == 1, "{seconds}: {steps}");
        }
        for tick in 0..1_000 {
            told(
                &mut status,
                &totals,
                began + Duration::from_secs(1_000_000) + tick * Duration::from_millis(500),
            );
        }
        assert!(status.sums.len() <= 22, "{}", status.sums.len());
    }
}
