//! What can be asked for, and what is said when it is not understood.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::check::Depth;
use crate::run::Plan;
use crate::schedule::Arrivals;
use crate::search::{Goal, How};
use crate::target::{Protocol, Trust};
use crate::worker::Pacing;

/// Connections that one run may open.
const CONNECTIONS_MAX: u64 = 50_000;

/// Streams of an h2 connection, if nothing else is asked for.
const H2_STREAMS: u64 = 16;

const EXAMPLES: &str = "\
Examples:
  quintile-bench run http://127.0.0.1:8080 --rate 300 --model model.ubj
        300 requests a second, evenly; every score compared with the model's own
  quintile-bench run http://127.0.0.1:8080 --rate 20000 --poisson --payload leads.csv --json a.json --svg a.svg
        by chance, with real leads; the report and its plot in files
  quintile-bench run http://127.0.0.1:8080 --connections 64
        as fast as answers come: what the server can do, not how long its clients wait
  quintile-bench search http://127.0.0.1:8080 --p99 10ms
        the highest rate whose p99 stays under 10 ms
  quintile-bench compare a.json b.json

Exit codes: 0 every answer was right, 1 it could not be done, 2 not understood, 3 answers were wrong or missing.";

/// Loads an HTTP server and measures how long its answers take, counted from when each request was due.
#[derive(Debug, Parser)]
#[command(name = "quintile-bench", version, about, after_long_help = EXAMPLES, after_help = "--help has examples.")]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Load a server: at a rate (an open loop) or, without one, as fast as answers come (a closed loop)
    #[command(after_long_help = EXAMPLES)]
    Run(RunArgs),
    /// Find the highest rate at which a quantile of the latencies stays under a limit
    #[command(after_long_help = EXAMPLES)]
    Search(SearchArgs),
    /// Measure the load generator itself, against the least that can answer
    Overhead(OverheadArgs),
    /// Tell how still this machine is: how often and how long something else runs instead of a thread that never waits
    Stalls {
        /// How long to look
        #[arg(long, value_name = "TIME", default_value = "5s", value_parser = look)]
        time: Duration,
    },
    /// Print two reports beside each other, with ratios
    Compare {
        /// A report that --json has written
        first: PathBuf,
        /// Another one, divided by the first
        second: PathBuf,
    },
    /// Draw reports over each other
    Plot {
        /// Reports that --json has written
        #[arg(required = true)]
        reports: Vec<PathBuf>,
        /// Where to write the SVG
        #[arg(long, value_name = "FILE")]
        svg: PathBuf,
        /// A title [default: the first report's URL]
        #[arg(long)]
        title: Option<String>,
    },
    /// Be the least that can answer: fixed bytes to every request
    Respond {
        /// Where to listen
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: String,
        /// Stay on this CPU
        #[arg(long)]
        cpu: Option<usize>,
    },
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) load: LoadArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
    /// Requests a second
    #[arg(long, value_name = "RATE", value_parser = rate)]
    rate: Option<f64>,
    /// Let requests come by chance, as those of independent clients do, and not evenly
    #[arg(long, requires = "rate")]
    poisson: bool,
}

#[derive(Debug, Args)]
pub(super) struct SearchArgs {
    #[command(flatten)]
    pub(super) load: LoadArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
    /// What the quantile must stay under, e.g. 10ms
    #[arg(long, alias = "limit", value_name = "TIME", value_parser = humantime::parse_duration)]
    p99: Duration,
    /// Another quantile than 0.99, e.g. 0.999
    #[arg(long, value_name = "SHARE", default_value_t = 0.99)]
    quantile: f64,
    /// Hold each rate for --time and halve the gap, or climb evenly within --time
    #[arg(long, value_enum, default_value_t = How::RunStep)]
    how: How,
    /// The first rate
    #[arg(long, value_name = "RATE", default_value = "1000", value_parser = rate)]
    from: f64,
    /// The last rate
    #[arg(long, value_name = "RATE", default_value = "200000", value_parser = rate)]
    to: f64,
    /// The width of the gap at which the search ends, as a share
    #[arg(long, value_name = "SHARE", default_value_t = 0.02)]
    resolution: f64,
    /// Let requests come by chance, and not evenly
    #[arg(long)]
    poisson: bool,
}

#[derive(Debug, Args)]
pub(super) struct OverheadArgs {
    /// Connections
    #[arg(long, default_value_t = 64)]
    pub(super) connections: usize,
    /// How long each of the two runs counts
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = humantime::parse_duration)]
    pub(super) time: Duration,
}

#[derive(Debug, Args)]
pub(super) struct OutputArgs {
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Write the latencies for HdrHistogram's plotters
    #[arg(long, value_name = "FILE")]
    pub(super) hgrm: Option<PathBuf>,
    /// Draw latency by percentile and over time
    #[arg(long, value_name = "FILE")]
    pub(super) svg: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct LoadArgs {
    /// The server, e.g. http://127.0.0.1:8080; without a path, /score is meant
    pub(super) url: String,
    /// A model file: leads are made to fit it, and every answer must be exactly its own (the manifest beside it counts)
    #[arg(long, value_name = "FILE")]
    pub(super) model: Option<PathBuf>,
    /// Leads to send: CSV with a header, or NDJSON [default: what the server's /openapi.json describes]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["bodies", "get"])]
    pub(super) payload: Option<PathBuf>,
    /// Bodies to send as they are: one a line
    #[arg(long, value_name = "FILE", conflicts_with_all = ["get", "model"])]
    pub(super) bodies: Option<PathBuf>,
    /// Send GET without a body
    #[arg(long, conflicts_with = "model")]
    pub(super) get: bool,
    /// How many leads to make where no file has them
    #[arg(long, value_name = "COUNT", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub(super) leads: u32,
    /// Also tell requests and latencies by shard, which the answers' request ids name
    #[arg(long, conflicts_with = "get")]
    by_shard: bool,
    /// Check the status only, not the id in the answer
    #[arg(long)]
    pub(super) status_only: bool,
    /// The status that is right
    #[arg(long, value_name = "STATUS", default_value_t = 200, value_parser = clap::value_parser!(u16).range(200..=599))]
    status: u16,
    /// Connections
    #[arg(short, long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=CONNECTIONS_MAX))]
    connections: u64,
    /// HTTP/2 with prior knowledge (over TLS: agreed on in the handshake)
    #[arg(long)]
    h2: bool,
    /// Requests at once on each connection: streams of h2, or pipelined on HTTP/1.1 [default: 16 with h2, else 1]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=1000))]
    streams: Option<u64>,
    /// Certificates to trust, as PEM [default: Mozilla's]
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    ca: Option<PathBuf>,
    /// Trust every certificate
    #[arg(long)]
    insecure: bool,
    /// A header to send, e.g. 'authorization: Bearer x'
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub(super) headers: Vec<(String, String)>,
    /// Bearer tokens to send, one a line: each request has the next one
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// How long it counts
    #[arg(short, long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    time: Duration,
    /// What is sent before it counts
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = humantime::parse_duration)]
    warmup: Duration,
    /// How long answers may take after the end
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
    patience: Duration,
    /// Requests at most, the warm-up's too
    #[arg(long, value_name = "COUNT")]
    count: Option<u64>,
    /// Threads, each with its share of the connections
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256))]
    threads: u64,
    /// How requests are sent on time: spin (takes a CPU a thread) or timer (a timerfd, which is later)
    #[arg(long, value_enum, default_value_t = Pacing::Spin)]
    pacing: Pacing,
    /// What chance begins with: the same gaps and leads for the same number
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(super) seed: u64,
    /// What to call the run in tables and plots [default: the URL]
    #[arg(long)]
    name: Option<String>,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.replace('_', "").parse::<f64>() {
        Ok(rate) if rate.is_finite() && (0.001..=1e8).contains(&rate) => Ok(rate),
        _ => Err("accepted: requests a second, from 0.001 to 100000000".into()),
    }
}

fn look(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if (Duration::from_millis(1)..=Duration::from_secs(3600)).contains(&time) => Ok(time),
        _ => Err("accepted: a time from 1ms to 1h".into()),
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let Some((name, value)) = text.split_once(':') else {
        return Err("accepted: NAME: VALUE".into());
    };
    let (name, value) = (name.trim(), value.trim());
    http::HeaderName::try_from(name).map_err(|_| format!("{name:?} is no name of a header"))?;
    http::HeaderValue::try_from(value).map_err(|_| format!("{value:?} is no value of a header"))?;
    Ok((name.to_lowercase(), value.into()))
}

impl RunArgs {
    pub(super) fn arrivals(&self) -> super::Result<Arrivals> {
        Ok(match (self.rate, self.poisson) {
            (None, _) => Arrivals::Saturate,
            (Some(rate), false) => Arrivals::Constant(rate),
            (Some(rate), true) => Arrivals::Poisson(rate),
        })
    }
}

impl SearchArgs {
    pub(super) fn goal(&self) -> super::Result<Goal> {
        if !(0.0..1.0).contains(&self.quantile) {
            return Err(format!("--quantile {}: accepted: a share below 1, e.g. 0.99", self.quantile).into());
        }
        if !(0.001..=1.0).contains(&self.resolution) {
            return Err(format!("--resolution {}: accepted: from 0.001 to 1", self.resolution).into());
        }
        if self.from > self.to {
            return Err(format!("--from {} is more than --to {}", self.from, self.to).into());
        }
        Ok(Goal {
            how: self.how,
            quantile: self.quantile,
            limit: self.p99,
            from: self.from,
            to: self.to,
            resolution: self.resolution,
            poisson: self.poisson,
        })
    }
}

impl LoadArgs {
    pub(super) fn protocol(&self) -> Protocol {
        if self.h2 { Protocol::H2 } else { Protocol::H1 }
    }

    pub(super) fn trust(&self) -> Trust {
        match (&self.ca, self.insecure) {
            (_, true) => Trust::Anything,
            (Some(path), false) => Trust::File(path.clone()),
            (None, false) => Trust::Web,
        }
    }

    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.url)
    }

    /// The tokens of the file. What is wrong with it is told without them.
    pub(super) fn credentials(&self) -> super::Result<Vec<http::HeaderValue>> {
        let Some(path) = &self.tokens else {
            return Ok(Vec::new());
        };
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
        let tokens = text.split_whitespace().map(|token| format!("Bearer {token}").parse());
        match tokens.collect::<std::result::Result<Vec<http::HeaderValue>, _>>() {
            Ok(tokens) if !tokens.is_empty() => Ok(tokens),
            _ => Err(format!("{shown}: accepted: one bearer token a line").into()),
        }
    }

    pub(super) fn plan(&self, arrivals: Arrivals, depth: Depth) -> super::Result<Plan> {
        if self.time.is_zero() {
            return Err("--time 0: accepted: a time such as 10s or 500ms".into());
        }
        let narrow = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        Ok(Plan {
            pacing: self.pacing,
            connections: narrow(self.connections),
            streams: narrow(self.streams.unwrap_or(if self.h2 { H2_STREAMS } else { 1 })),
            threads: narrow(self.threads.min(self.connections)),
            warmup: self.warmup,
            duration: self.time,
            count_max: self.count.unwrap_or(Plan::COUNT_MAX).min(Plan::COUNT_MAX),
            patience: self.patience,
            seed: self.seed,
            status: self.status,
            by_shard: self.by_shard,
            headers: self.headers.clone(),
            credentials: self.credentials()?,
            ..Plan::new(arrivals, depth)
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn faults_say_what_would_be_accepted() {
        for (words, part) in [
            (&["run", "http://x", "--rate", "0"][..], "from 0.001"),
            (&["run", "http://x", "--rate", "fast"], "requests a second"),
            (&["run", "http://x", "--poisson"], "--rate"),
            (&["run", "http://x", "--time", "long"], "expected number"),
            (&["run", "http://x", "--header", "x"], "NAME: VALUE"),
            (&["run", "http://x", "--connections", "0"], "1..=50000"),
            (&["run", "http://x", "--get", "--payload", "x"], "cannot be used with"),
            (&["run", "http://x", "--pacing", "x"], "spin, timer"),
            (&["search", "http://x"], "--p99"),
            (&["compare", "a.json"], "<SECOND>"),
        ] {
            let all = std::iter::once("quintile-bench").chain(words.iter().copied());
            let error = Cli::try_parse_from(all).expect_err("it is not understood");
            assert!(error.to_string().contains(part), "{words:?}: {error}");
            assert_eq!(error.exit_code(), 2, "{words:?}");
        }
    }
}
