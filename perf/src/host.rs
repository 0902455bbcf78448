//! An engine in a process of its own (`native/host.c`): libraries that bring their own OpenMP, TBB or Python would
//! collide in one. Only the engine that has the turn runs; the others wait for a line on their standard input.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::peers::Turn;
use crate::plan::{Fault, PlannedEngine};

pub(crate) struct Host {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Host {
    pub(crate) fn start(engine: &PlannedEngine, rows: &str, features: usize) -> Result<Self, Fault> {
        if let Some(error) = &engine.error {
            return Err(error.clone().into());
        }
        let words = command(engine, rows, &features.to_string());
        let (program, arguments) = words.split_first().ok_or("the plan has no command")?;
        let mut child = Command::new(program)
            .args(arguments)
            .env("OMP_NUM_THREADS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {program}: {error}"))?;
        let stdout = child.stdout.take().ok_or("it has no standard output")?;
        let mut host = Self {
            child,
            answers: BufReader::new(stdout),
        };
        let mut line = String::new();
        host.answers.read_line(&mut line)?;
        if line == "ready\n" {
            Ok(host)
        } else {
            Err(format!("it did not start: {}", host.child.wait()?).into())
        }
    }

    /// Runs one turn; returns its nanoseconds.
    pub(crate) fn run(&mut self, turn: Turn, margins: &mut [f64]) -> Result<f64, Fault> {
        let stdin = self.child.stdin.as_mut().ok_or("it has no standard input")?;
        writeln!(stdin, "{} {} {}", turn.first, turn.count, turn.per_call)?;
        let mut number = [0; 8];
        self.answers
            .read_exact(&mut number)
            .map_err(|error| format!("it gave no answer: {error}"))?;
        let nanoseconds = f64::from_le_bytes(number);
        for margin in margins {
            self.answers.read_exact(&mut number)?;
            *margin = f64::from_le_bytes(number);
        }
        Ok(nanoseconds)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.child.stdin.take()); // the end of its input ends it
        if self.child.wait().is_err() {
            eprintln!("an engine's process could not be waited for");
        }
    }
}

fn command(engine: &PlannedEngine, rows: &str, features: &str) -> Vec<String> {
    let mut words = engine.command.clone();
    if words.iter().any(|word| word == "ROWS") {
        for word in &mut words {
            match word.as_str() {
                "ROWS" => rows.clone_into(word),
                "FEATURES" => features.clone_into(word),
                _ => {}
            }
        }
    } else if !words.is_empty() {
        words.splice(1..1, [rows.to_owned(), features.to_owned()]);
    }
    words
}
