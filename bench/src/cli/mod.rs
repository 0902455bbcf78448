//! The command line: arguments → a plan, a pool and a target → a report.
//!
//! Results go to standard output, progress and errors to standard error. Exit codes: 0 done and every answer right, 1
//! it could not be done, 2 the command line is not understood, 3 done and answers were wrong or missing, or no rate
//! kept the promise.

mod args;
mod bodies;
mod progress;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;

use crate::check::Depth;
use crate::payload::Pool;
use crate::plot;
use crate::report::{self, Report, compare, hgrm, table};
use crate::responder;
use crate::run::{Outcome, Plan, run};
use crate::schedule::Arrivals;
use crate::search::search;
use crate::stalls;
use crate::target::{Protocol, Target, Trust};
use args::{Cli, Command, LoadArgs, OutputArgs};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const WRONG: u8 = 3;

/// Requests at once on a connection where `overhead` shows what is left without most system calls.
const PIPELINED: usize = 16;

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => args.arrivals().and_then(|arrivals| {
            let (target, pool, plan) = set_up(&args.load, arrivals)?;
            let report = one_run(&args.load, &target, &pool, &plan)?;
            publish(&report, &args.output)
        }),
        Command::Search(args) => find(&args),
        Command::Overhead(args) => overhead(&args),
        Command::Stalls { time } => stalls(time),
        Command::Compare { first, second } => both(&first, &second),
        Command::Plot { reports, svg, title } => draw(&reports, &svg, title.as_deref()),
        Command::Respond { listen, cpu } => respond(&listen, cpu),
    };
    done.unwrap_or_else(|error| {
        eprintln!("quintile-bench: {error}");
        ExitCode::FAILURE
    })
}

fn set_up(load: &LoadArgs, arrivals: Arrivals) -> Result<(Target, Pool, Plan)> {
    let trust = load.trust();
    let target = Target::new(&load.url, load.protocol(), &trust)?;
    let (pool, depth) = bodies::pool(load, &target, &trust)?;
    let plan = load.plan(arrivals, depth)?;
    Ok((target, pool, plan))
}

fn one_run(load: &LoadArgs, target: &Target, pool: &Pool, plan: &Plan) -> Result<Report> {
    let outcome = with_progress(target, pool, plan)?;
    Ok(Report::new(load.name(), target, pool, plan, &outcome))
}

fn with_progress(target: &Target, pool: &Pool, plan: &Plan) -> Result<Outcome> {
    let mut progress = progress::Progress::new(plan.warmup + plan.duration);
    let outcome = run(target, pool, plan, &mut |share, done| progress.tell(share, done));
    progress.finish();
    Ok(outcome?)
}

/// Prints a report and writes the files that were asked for.
fn publish(report: &Report, output: &OutputArgs) -> Result<ExitCode> {
    print!("{}", table::render(report));
    if let Some(path) = &output.json {
        report.write(path)?;
    }
    if let Some(path) = &output.hgrm {
        report::write(path, &hgrm::render(report))?;
    }
    if let Some(path) = &output.svg {
        report::write(path, &plot::render(std::slice::from_ref(report), &report.url))?;
    }
    let is_clean = report.failures() == 0 && report.unfinished == 0;
    // Where no connection is ever free nothing is right, and where nothing was due nothing is wrong.
    Ok(if is_clean && report.right > 0 {
        ExitCode::SUCCESS
    } else {
        WRONG.into()
    })
}

fn find(args: &args::SearchArgs) -> Result<ExitCode> {
    let goal = args.goal()?;
    let (target, pool, plan) = set_up(&args.load, Arrivals::Saturate)?;
    let mut say = |tried: &report::Try| {
        let verdict = if tried.kept { "kept" } else { "not kept" };
        eprintln!(
            "  {:.0}/s: p99 {}, {verdict}",
            tried.rate,
            crate::units::time(tried.p99)
        );
    };
    let report = search(args.load.name(), &target, &pool, &plan, &goal, &mut say)?;
    let best = report.search.as_ref().and_then(|search| search.best);
    let published = publish(&report, &args.output)?;
    if let Some(search) = &report.search {
        println!("\n{}", table::search(search));
    }
    let found = best.is_some() && (goal.how == crate::search::How::Ramp || published == ExitCode::SUCCESS);
    Ok(if found { ExitCode::SUCCESS } else { WRONG.into() })
}

/// The load generator's own limits, against the least that can answer.
fn overhead(args: &args::OverheadArgs) -> Result<ExitCode> {
    let cpus = responder::cpus();
    let (for_responder, for_us) = match cpus[..] {
        [first, .., last] => (Some(first), Some(last)),
        _ => (None, None),
    };
    let address = responder::start("127.0.0.1:0", for_responder)?;
    if let Some(cpu) = for_us {
        responder::pin(cpu);
    }
    println!(
        "against a responder that looks at nothing, on {}\n",
        if for_us.is_some() {
            "a CPU of its own; the load generator has one too"
        } else {
            "the same CPU"
        }
    );
    let target = Target::new(&format!("http://{address}/score"), Protocol::H1, &Trust::Web)?;
    let fields: Vec<_> = (1..=50)
        .map(|number| crate::payload::synthetic::Field::number(format!("f{number}")))
        .collect();
    let leads = crate::payload::synthetic::leads(&fields, 4_096, 1);
    let pool = Pool::of_leads(leads, None, "50 features of chance".into());
    let mut plan = Plan::new(Arrivals::Saturate, Depth::Status);
    (plan.connections, plan.duration) = (args.connections, args.time);
    let full = with_progress(&target, &pool, &plan)?;
    let full = Report::new("closed loop", &target, &pool, &plan, &full);
    print!("{}", table::render(&full));
    plan.streams = PIPELINED;
    let piped = with_progress(&target, &pool, &plan)?;
    let piped = Report::new("closed loop, pipelined", &target, &pool, &plan, &piped);
    print!("\n{}", table::render(&piped));
    plan.streams = 1;
    plan.arrivals = Arrivals::Constant((full.rate / 2.0).max(1.0));
    let half = with_progress(&target, &pool, &plan)?;
    let half = Report::new("open loop at half that rate", &target, &pool, &plan, &half);
    print!("\n{}", table::render(&half));
    let is_clean = [&full, &piped, &half]
        .iter()
        .all(|report| report.failures() + report.unfinished == 0);
    Ok(if is_clean { ExitCode::SUCCESS } else { WRONG.into() })
}

fn stalls(time: Duration) -> Result<ExitCode> {
    print!("{}", stalls::render(&stalls::watch(&responder::cpus(), time)?, time));
    Ok(ExitCode::SUCCESS)
}

fn both(first: &std::path::Path, second: &std::path::Path) -> Result<ExitCode> {
    print!("{}", compare::render(&Report::read(first)?, &Report::read(second)?));
    Ok(ExitCode::SUCCESS)
}

fn draw(paths: &[PathBuf], svg: &std::path::Path, title: Option<&str>) -> Result<ExitCode> {
    let reports = paths
        .iter()
        .map(|path| Report::read(path))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let url = reports.first().map_or("", |report| report.url.as_str());
    report::write(svg, &plot::render(&reports, title.unwrap_or(url)))?;
    Ok(ExitCode::SUCCESS)
}

fn respond(listen: &str, cpu: Option<usize>) -> Result<ExitCode> {
    let address = responder::start(listen, cpu)?;
    println!("listening on {address}");
    loop {
        std::thread::park();
    }
}
