//! What runs in the keeper process. It has no log: what it cannot do is tried again, and the folder's lock says who it
//! is.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use quintile_scoring::regular_file;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

use super::place::Place;
use super::{END_WORD, MODEL_WORD};
use crate::spool::arena::{Arena, Entry, Field, State, UNNAMED};
use crate::spool::folder::{Holder, write_all_at};
use crate::spool::layout::{BODY, END_AT, HEAD_BYTES, Layout};
use crate::spool::protocol::SEAL_BYTES;
use crate::spool::segment::{committed, frames_end, name_of_file, write_control};

/// How long a disk may refuse what is left in memory before the keeper process gives up.
const TRY_FOR: Duration = Duration::from_secs(3600);

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// All of the keeper process.
pub(super) fn keep(folder: &Path) -> ExitCode {
    // Its standard error is the folder's lock.
    std::panic::set_hook(Box::new(|_| {}));
    for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2] {
        let _ = signal_hook::flag::register(signal, Arc::default());
    }
    let streams = (
        io::stdin().as_fd().try_clone_to_owned(),
        io::stdout().as_fd().try_clone_to_owned(),
        io::stderr().as_fd().try_clone_to_owned(),
    );
    let (Ok(socket), Ok(memory), Ok(lock)) = streams else {
        return ExitCode::FAILURE;
    };
    let Ok(arena) = Arena::open(memory) else {
        return ExitCode::FAILURE;
    };
    let (mut socket, lock) = (UnixStream::from(socket), File::from(lock));
    let mut models = BTreeMap::new();
    loop {
        match listen(&mut socket, &mut models) {
            Ok(Said::Model) => {}
            Ok(Said::End) => return ExitCode::SUCCESS,
            // Its end was closed, so it is gone.
            Err(_) => break,
        }
    }
    let _ = Holder::Keeper(std::process::id()).write(&lock);
    let until = Instant::now() + TRY_FOR;
    let mut place = Place::of_server(folder, &lock);
    while let Err(error) = place
        .ensure(folder, &models)
        .and_then(|()| write_all(&arena, place.path()))
    {
        if Instant::now() >= until {
            let _ = write_all_at(&lock, format!("keeper 0 gave up: {error}\n").as_bytes(), 0);
            return ExitCode::FAILURE;
        }
        std::thread::sleep(PAUSE);
    }
    place.let_go();
    let _ = Holder::Nobody.write(&lock);
    ExitCode::SUCCESS
}

/// What the server says.
enum Said {
    /// Everything is in its files.
    End,
    /// What a model is called.
    Model,
}

/// Waits until the server says something, or is gone.
fn listen(socket: &mut UnixStream, models: &mut BTreeMap<u32, Vec<u8>>) -> io::Result<Said> {
    let mut word = [0];
    socket.read_exact(&mut word)?;
    match word[0] {
        END_WORD => Ok(Said::End),
        MODEL_WORD => {
            let (mut number, mut len) = ([0; 4], [0; 4]);
            socket.read_exact(&mut number)?;
            socket.read_exact(&mut len)?;
            let mut text = Vec::new();
            let len = u64::from(u32::from_le_bytes(len));
            if socket.take(len).read_to_end(&mut text)? as u64 != len {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            models.insert(u32::from_le_bytes(number), text);
            Ok(Said::Model)
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Writes everything to its file. What fails keeps nothing else from being written.
fn write_all(arena: &Arc<Arena>, folder: &Path) -> io::Result<()> {
    let mut result = Ok(());
    for number in 0..arena.plan().entries {
        let entry = arena.entry(number);
        let name = entry.get(Field::File);
        if name == UNNAMED {
            continue;
        }
        let path = folder.join(name_of_file(name));
        let done = match entry.state() {
            State::Free => Ok(()),
            State::Finished => remove_own(&entry, &path),
            State::Used => write(arena, &entry, folder, path),
        };
        if done.is_err() {
            result = done;
        }
    }
    result
}

fn head(entry: &Entry) -> Option<Layout> {
    let mut head = [0; HEAD_BYTES];
    for (place, chunk) in head.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        *chunk = entry.control.long(8 * place).load(Ordering::Acquire).to_le_bytes();
    }
    Layout::decode(&head).ok()
}

/// Whether a file is this segment's: it says so, or nothing lies in it yet.
fn is_own(file: &File, layout: &Layout) -> io::Result<bool> {
    let mut head = [0; HEAD_BYTES];
    for at in layout.heads() {
        match file.read_exact_at(&mut head, at as u64) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
            read => read?,
        }
        if Layout::decode(&head) == Ok(*layout) {
            return Ok(true);
        }
    }
    // Made, and not written: its first frame would lie here.
    let mut first = [0; 8];
    match file.read_exact_at(&mut first, BODY as u64) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(head == [0; HEAD_BYTES]),
        read => read.map(|()| head == [0; HEAD_BYTES] && first == [0; 8]),
    }
}

fn remove_own(entry: &Entry, path: &Path) -> io::Result<()> {
    let Some(layout) = head(entry) else { return Ok(()) };
    match regular_file::open(path) {
        Ok(file) if is_own(&file, &layout)? => std::fs::remove_file(path),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn write(arena: &Arc<Arena>, entry: &Entry, folder: &Path, mut path: PathBuf) -> io::Result<()> {
    let Some(layout) = head(entry) else { return Ok(()) };
    let slot = usize::try_from(entry.get(Field::Slot))
        .ok()
        .and_then(|slot| slot.checked_sub(1));
    let open = |path: &Path| File::options().read(true).write(true).open(path);
    let mut file = match open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        file => {
            let file = file?;
            is_own(&file, &layout)?.then_some(file)
        }
    };
    let Some(slot) = slot else {
        // All its frames are in the file, wherever that is.
        return file.map_or(Ok(()), |file| write_control(&file, entry, &layout, u64::MAX));
    };
    while file.is_none() {
        // Gone, or another's: under a name that nobody has. The next round finds the number.
        match File::options().read(true).write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let number = entry.get(Field::File) + 1;
                entry.set(Field::File, number);
                path = folder.join(name_of_file(number));
            }
            made => file = Some(made?),
        }
    }
    let file = file.expect("the loop ends with one");
    if file.metadata()?.len() < layout.bytes as u64 {
        file.set_len(layout.bytes as u64)?;
    }
    // Dropping it gives back a slot to nobody: this arena has no list of them.
    let slot = arena.slot(slot);
    let (end, is_sealed) = frames_end(&slot, BODY, &layout);
    let bytes = end - BODY + if is_sealed { SEAL_BYTES } else { 0 };
    write_all_at(&file, committed(&slot, BODY, bytes), BODY as u64)?;
    entry
        .control
        .long(END_AT)
        .store(layout.end_word(end), Ordering::Relaxed);
    write_control(&file, entry, &layout, u64::MAX)?;
    file.sync_data()
}
