//! A recording as folded stacks and as a picture.

use std::collections::HashMap;

use super::symbols::Symbols;
use super::{HAS_FRAME_POINTERS, Recording};

/// Lines `thread;outermost;…;innermost count`, which every flame graph program reads. With `inlined`, functions that
/// were inlined are there, for which all of the program's debug information is read: hundreds of megabytes, for as long
/// as it takes.
pub(crate) fn folded(recording: &Recording, inlined: bool) -> Vec<String> {
    let mut names = HashMap::new();
    let mut symbols = Symbols::new();
    let mut counts: HashMap<String, u64> = HashMap::new();
    for ((thread, frames), count) in &recording.stacks {
        let mut line = recording
            .threads
            .get(*thread as usize)
            .map_or_else(|| "a thread that has ended".into(), |name| clean(name));
        for (depth, &address) in frames.iter().enumerate().rev() {
            // A return address is behind its call.
            let address = if depth == 0 { address } else { address.saturating_sub(1) };
            let functions: &Vec<String> = names.entry(address).or_insert_with(|| {
                let found = if inlined { functions_at(address) } else { Vec::new() };
                if found.is_empty() {
                    vec![demangled(&symbols.name(address))]
                } else {
                    found
                }
            });
            for function in functions.iter().rev() {
                line.push(';');
                line.push_str(function);
            }
        }
        *counts.entry(line).or_default() += count;
    }
    // The next recording may be far away.
    backtrace::clear_symbol_cache();
    let mut lines: Vec<String> = counts
        .into_iter()
        .map(|(line, count)| format!("{line} {count}"))
        .collect();
    lines.sort_unstable();
    lines
}

/// The function at an address and those that were inlined into it, innermost first.
fn functions_at(address: u64) -> Vec<String> {
    let mut functions = Vec::new();
    // `resolve` takes return addresses, and looks one byte before them.
    let at = std::ptr::without_provenance_mut(usize::try_from(address).map_or(0, |address| address + 1));
    backtrace::resolve(at, |symbol| {
        if let Some(name) = symbol.name() {
            functions.push(clean(&format!("{name:#}")));
        }
    });
    functions
}

/// Without the hash at the end.
fn demangled(name: &str) -> String {
    clean(&format!("{:#}", rustc_demangle::demangle(name)))
}

/// Without what separates frames and counts.
fn clean(name: &str) -> String {
    name.replace([';', '\n'], ":")
}

/// A flame graph, with what it took to make it below its title.
///
/// # Errors
/// What inferno says of it; nothing was sampled, for one.
pub(crate) fn svg(recording: &Recording, lines: &[String], title: &str) -> Result<Vec<u8>, String> {
    let mut options = inferno::flamegraph::Options::default();
    options.title = title.to_owned();
    options.subtitle = Some(told(recording));
    options.count_name = "samples".to_owned();
    options.hash = true;
    let mut out = Vec::new();
    inferno::flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), &mut out)
        .map_err(|error| error.to_string())?;
    Ok(out)
}

/// What was seen and what it cost.
pub(crate) fn told(recording: &Recording) -> String {
    let Recording {
        samples,
        walks,
        lost,
        hertz,
        ..
    } = recording;
    let (wall, cpu) = (recording.wall.as_secs_f64(), recording.cpu.as_secs_f64());
    let handler = recording.handler.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let each_us = handler * 1e6 / (*walks).max(1) as f64;
    let share = 100.0 * handler / cpu.max(1e-9);
    let mut told = format!(
        "{samples} samples at {hertz} a second of CPU time; {cpu:.2} s of CPU in {wall:.1} s; a walk of the stack took about {each_us:.1} µs, \
         all of them {share:.2} % of the CPU time"
    );
    if *lost > 0 {
        told.push_str(&format!("; {lost} samples lost"));
    }
    if recording.unseen > 0 {
        told.push_str(&format!("; {} threads could not be watched", recording.unseen));
    }
    if !recording.has_callers {
        told.push_str("; process_vm_readv is denied here: callers are missing");
    }
    if !HAS_FRAME_POINTERS {
        told.push_str("; this program was built without frame pointers: callers are missing");
    }
    told
}
