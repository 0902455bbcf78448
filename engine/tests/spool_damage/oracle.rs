//! What the next process does with damaged files, held against what was written.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use quintile::record::Schema;
use quintile::spool::{Cursor, Spool, Writer};
use uuid::Uuid;

use crate::Random;
use crate::base::{Base, Known, Records, SINKS, Written, options, read, schema};
use crate::damage::Damaged;

/// Records of the next process, of a model that the one before had not.
const LATER: u64 = 6;

/// What became of one damage that broke no promise.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// Records that a sink was owed and has not got.
    pub(crate) missing: usize,
    /// Something was said about the damage.
    pub(crate) is_told: bool,
}

/// Warnings and errors of one thread.
#[derive(Debug, Default)]
pub(crate) struct Logged(Mutex<Vec<u8>>);

impl Logged {
    fn take(&self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut *self.0.lock().unwrap())).into_owned()
    }

    /// Its last lines.
    pub(crate) fn tail(&self) -> String {
        let text = self.take();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(4)..].join("\n  ")
    }
}

struct Lines(Arc<Logged>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs what logs to there.
pub(crate) fn logging(logged: &Arc<Logged>, run: impl FnOnce()) {
    let lines = Arc::clone(logged);
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::WARN)
        .with_writer(move || Lines(Arc::clone(&lines)))
        .finish();
    tracing::subscriber::with_default(subscriber, run);
}

/// What one process delivered to a sink.
type Delivered = HashSet<Uuid>;

/// Everything that is to hold of a process over these files and of the one after it.
pub(crate) fn check(
    base: &Base,
    damaged: &Damaged,
    folder: &Path,
    logged: &Logged,
    random: &mut Random,
) -> Result<Verdict, String> {
    let _ = fs::remove_dir_all(folder);
    damaged.write(folder);
    logged.take();
    let opened = Spool::open(options(folder, 2 << 20));
    let (spool, mut writers) = match opened {
        Err(_) if damaged.has_no_lock() => {
            return Ok(Verdict {
                missing: 0,
                is_told: true,
            });
        }
        opened => opened.map_err(|error| format!("does not start: {error}"))?,
    };
    let later = write_later(&spool, &mut writers, base, damaged, random)?;
    let mut cursors = spool.cursors();
    let mut verdict = Verdict {
        missing: 0,
        is_told: false,
    };
    let mut delivered = Vec::new();
    for cursor in &mut cursors {
        let got = deliver(cursor, base, &later)?;
        if let Some(id) = later.written.keys().find(|id| !got.contains(*id)) {
            return Err(format!("new record {id} is not delivered"));
        }
        delivered.push(got);
    }
    let found = spool.found().clone();
    let damages: u64 = cursors.iter().map(Cursor::damaged).max().unwrap_or(0);
    let counted = found.damaged_bytes > 0 || found.put_aside > 0 || found.postponed > 0 || damages > 0;
    let lines = logged.take();
    verdict.is_told = counted || !lines.is_empty();
    for (sink, delivered) in delivered.iter().enumerate() {
        let missing: Vec<_> = owed(base, sink)
            .filter(|known| !delivered.contains(&known.written.record_id))
            .collect();
        verdict.missing = verdict.missing.max(missing.len());
        let first = missing
            .first()
            .map(|known| format!("{} of {}", known.written.lead_id, known.file.display()));
        let about = format!(
            "{} of {} records, first {first:?}, sink {}",
            missing.len(),
            base.records.len(),
            SINKS[sink]
        );
        if missing
            .iter()
            .any(|known| damaged.is_untouched(base, known) && !damaged.is_gone(base, known))
            && !verdict.is_told
        {
            return Err(format!("lost, and nothing said: {about}"));
        }
        if !damaged.is_small {
            continue;
        }
        if missing.iter().any(|known| damaged.is_untouched(base, known)) {
            return Err(format!(
                "lost records that the damage has not hit: {about}; {found:?}; {lines}"
            ));
        }
        let bytes: usize = missing.iter().map(|known| known.bytes.len()).sum();
        if bytes > found.damaged_bytes {
            return Err(format!(
                "{bytes} bytes of records are lost, {} counted: {about}",
                found.damaged_bytes
            ));
        }
    }
    for cursor in &mut cursors {
        cursor.acknowledge(cursor.number());
    }
    let aside = put_aside(folder);
    if aside.len() < found.put_aside {
        return Err(format!("{} files put aside, {} there", found.put_aside, aside.len()));
    }
    drop((writers, cursors));
    let remains = spool.close();
    if remains.is_cut_short || !remains.records.is_empty() {
        let lines = logged.take();
        return Err(format!("all is acknowledged, and the end leaves {remains:?}: {lines}"));
    }
    check_next(base, &later, folder, &aside, found.postponed > 0)?;
    Ok(verdict)
}

/// Records of another model, after the damage: its number must be new.
fn write_later(
    spool: &Spool,
    writers: &mut [Writer],
    base: &Base,
    damaged: &Damaged,
    random: &mut Random,
) -> Result<Later, String> {
    let mut schema = schema("4", &["visits", "age", "amount"]);
    schema.model_number = spool
        .schemas()
        .register(schema.clone())
        .map_err(|error| format!("no model can be registered: {error}"))?;
    for (number, old) in &base.schemas {
        let mut records = base
            .records
            .values()
            .filter(|known| known.written.model_number == *number);
        let is_named = records.any(|known| damaged.is_untouched(base, known) && !damaged.is_gone(base, known));
        if let Some(now) = spool.schemas().find(*number).filter(|now| is_named && **now != *old) {
            return Err(format!("model {number} was {old:?} and is {now:?}"));
        }
    }
    let mut records = Records::new(0, random.next());
    let mut written = HashMap::new();
    for number in 0..LATER {
        let record = records
            .append(&mut writers[0], &schema, 1_000_000 + number, random)
            .ok_or("no room for new records")?;
        written.insert(record.record_id, record);
    }
    Ok(Later { schema, written })
}

/// See [`write_later`].
struct Later {
    schema: Schema,
    written: HashMap<Uuid, Written>,
}

fn owed(base: &Base, sink: usize) -> impl Iterator<Item = &Known> {
    base.records.values().filter(move |known| !known.had[sink])
}

/// Reads everything, and compares each record with what was written.
fn deliver(cursor: &mut Cursor, base: &Base, later: &Later) -> Result<Delivered, String> {
    let mut delivered = HashSet::new();
    while let Some(item) = cursor.peek() {
        let found = Written::of(&item.record);
        let is_new = later.written.contains_key(&found.record_id);
        let (written, schema) = if is_new {
            (&later.written[&found.record_id], &later.schema)
        } else {
            let known = base
                .records
                .get(&found.record_id)
                .ok_or_else(|| format!("nobody wrote {found:?}"))?;
            (&known.written, &base.schemas[&known.written.model_number])
        };
        if *written != found {
            return Err(format!("{written:?} came out as {found:?}"));
        }
        if **item.schema != *schema {
            return Err(format!(
                "{} of {schema:?} came out under {:?}",
                found.lead_id, item.schema
            ));
        }
        delivered.insert(found.record_id);
        cursor.advance();
    }
    Ok(delivered)
}

fn put_aside(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    read(folder, |path| {
        path.extension().is_some_and(|ending| ending == "damaged")
    })
}

/// The process after the next has nothing to do, and leaves alone what is put aside.
fn check_next(
    base: &Base,
    later: &Later,
    folder: &Path,
    aside: &BTreeMap<PathBuf, Vec<u8>>,
    may_come_again: bool,
) -> Result<(), String> {
    let (spool, writers) =
        Spool::open(options(folder, 2 << 20)).map_err(|error| format!("does not start again: {error}"))?;
    drop(writers);
    for cursor in &mut spool.cursors() {
        let again = deliver(cursor, base, later)?;
        if !again.is_empty() && !may_come_again {
            return Err(format!(
                "{} acknowledged records come again after a clean end",
                again.len()
            ));
        }
    }
    let now = put_aside(folder);
    match aside.iter().find(|(path, bytes)| now.get(*path) != Some(bytes)) {
        Some((path, _)) => Err(format!("{} was put aside and is gone or another", path.display())),
        None => Ok(()),
    }
}
