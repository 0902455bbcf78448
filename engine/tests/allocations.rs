//! What a keep-alive request allocates on a warm shard: nothing of ours, and hyper's own as written down here.
//!
//! The server runs in this process under a counting allocator. Each thread counts for itself; the shard's count is read
//! before and after a run of requests. `POST /debug/static` reads the same body over the same connection code and
//! answers fixed bytes, so the difference to `POST /score` is what scoring and recording allocate.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use quintile::config::Settings;
use quintile::runtime::{Choice, probe};
use quintile::server;

/// Allocations of hyper, its body channel and the backend for one `POST` with a body, and for one `GET`. These may only
/// fall: when one does, write the new number here.
const POST_BASELINE: [(Choice, u64); 2] = [(Choice::Epoll, 1), (Choice::Glommio, 13)];
const GET_BASELINE: [(Choice, u64); 2] = [(Choice::Epoll, 0), (Choice::Glommio, 12)];

/// What a request of the Open Inference Protocol allocates beyond those, however many rows it has: its task's state, its
/// list of tensors and the names of these.
const V2_BEYOND: u64 = 3;

/// Ticks, metrics and glommio's reactor allocate at their own times, so each request is counted by itself and the
/// median of many is what a request costs.
const REQUESTS: usize = 501;

/// Long enough for the shard to go to sleep: a glommio executor that has just parked allocates more than a busy one,
/// and without a pause it would depend on the machine which of the two is counted.
const PAUSE: Duration = Duration::from_micros(500);

/// A spool that stays full for longer than this is a fault.
const SHED_MAX: usize = 1_000;

const THREADS_MAX: usize = 256;
static COUNTS: [AtomicU64; THREADS_MAX] = [const { AtomicU64::new(0) }; THREADS_MAX];
static OWNERS: [AtomicI32; THREADS_MAX] = [const { AtomicI32::new(0) }; THREADS_MAX];
static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SLOT: Cell<usize> = const { Cell::new(usize::MAX) };
}

fn count() {
    let slot = SLOT.get();
    let slot = if slot == usize::MAX {
        let slot = NEXT.fetch_add(1, Ordering::Relaxed).min(THREADS_MAX - 1);
        SLOT.set(slot);
        OWNERS[slot].store(rustix::thread::gettid().as_raw_nonzero().get(), Ordering::Relaxed);
        slot
    } else {
        slot
    };
    COUNTS[slot].fetch_add(1, Ordering::Relaxed);
}

struct Counting;

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait")]
// SAFETY: every call goes to the system's allocator unchanged; counting touches statics and a const-initialised cell
// only, which do not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The count of the first thread with this name: threads it starts inherit it.
fn counter_of(name: &str) -> &'static AtomicU64 {
    let slot = (0..NEXT.load(Ordering::Relaxed).min(THREADS_MAX)).find(|&slot| {
        let path = format!("/proc/self/task/{}/comm", OWNERS[slot].load(Ordering::Relaxed));
        std::fs::read_to_string(path).is_ok_and(|comm| comm.trim() == name)
    });
    &COUNTS[slot.expect("the thread has allocated")]
}

struct Client {
    socket: TcpStream,
    space: Vec<u8>,
}

impl Client {
    /// Sends one request and reads its answer, which comes in one piece. Where the disk is so slow that there is no
    /// room for a record, it is sent again: what the median of many costs is not changed by a few of these.
    fn ask(&mut self, request: &[u8]) {
        for _ in 0..SHED_MAX {
            self.socket.write_all(request).expect("the server reads");
            let read = self.socket.read(&mut self.space).expect("the server answers");
            let answer = &self.space[..read];
            if answer.starts_with(b"HTTP/1.1 503") {
                std::thread::sleep(20 * PAUSE);
                continue;
            }
            assert!(
                answer.starts_with(b"HTTP/1.1 200"),
                "{}",
                String::from_utf8_lossy(answer)
            );
            return;
        }
        panic!("{SHED_MAX} times in a row there was no room for a record");
    }

    /// What one such request makes the shard allocate.
    fn cost(&mut self, request: &[u8]) -> u64 {
        let counter = counter_of("shard-0");
        let mut counts: Vec<u64> = (0..REQUESTS)
            .map(|_| {
                let before = counter.load(Ordering::Relaxed);
                std::thread::sleep(PAUSE);
                self.ask(request);
                counter.load(Ordering::Relaxed) - before
            })
            .collect();
        counts.sort_unstable();
        counts[REQUESTS / 2]
    }
}

fn post(path: &str) -> Vec<u8> {
    let features: Vec<String> = (1..=50).map(|column| format!("\"f{column}\":{column}.25")).collect();
    let body = format!("{{\"lead_id\":\"lead-1\",\"features\":{{{}}}}}", features.join(","));
    format!(
        "POST {path} HTTP/1.1\r\nhost: q\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A request of so many rows, all in one tensor.
fn infer(rows: usize) -> Vec<u8> {
    let values: Vec<String> = (0..rows * 50).map(|value| (value % 90).to_string()).collect();
    let body = format!(
        "{{\"inputs\":[{{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[{rows},50],\"data\":[{}]}}]}}",
        values.join(",")
    );
    let length = body.len();
    format!("POST /v2/models/demo/infer HTTP/1.1\r\nhost: q\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

fn measure(runtime: Choice) {
    // One server at a time, because threads are identified by name.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut settings = Settings {
        listen: "127.0.0.1:0".into(),
        runtime,
        shards: Some(1),
        ..Settings::default()
    };
    // A spool of 1 MiB has segments of 256 KiB: the shard changes them many times while it is watched.
    let data = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("allocations-{runtime}"));
    let _ = std::fs::remove_dir_all(&data);
    settings.records.data_dir.clone_from(&data);
    settings.records.spool_bytes = 1 << 20;
    let running = server::start(&settings).expect("it starts");
    let socket = TcpStream::connect(running.address()).expect("it listens");
    socket.set_nodelay(true).expect("a TCP socket");
    let mut client = Client {
        socket,
        space: vec![0; 64 << 10],
    };
    let (score, fixed) = (post("/score"), post("/debug/static"));
    let explained = post("/score?explain=5");
    let (tensor, tensors) = (infer(1), infer(3));
    for _ in 0..2000 {
        client.ask(&score);
        client.ask(&explained);
        client.ask(&fixed);
        client.ask(&tensor);
        client.ask(&tensors);
    }
    let get = b"GET /healthz HTTP/1.1\r\nhost: q\r\n\r\n";
    let (_, post_baseline) = POST_BASELINE
        .into_iter()
        .find(|(choice, _)| *choice == runtime)
        .expect("in the table");
    let (_, get_baseline) = GET_BASELINE
        .into_iter()
        .find(|(choice, _)| *choice == runtime)
        .expect("in the table");
    let v2 = post_baseline + V2_BEYOND;
    let wanted = [post_baseline, post_baseline, post_baseline, get_baseline, v2, v2];
    let costs = [
        client.cost(&fixed),
        client.cost(&score),
        client.cost(&explained),
        client.cost(get),
        client.cost(&tensor),
        client.cost(&tensors),
    ];
    drop(client);
    let delivered = running.drain().expect("a clean end");
    assert!(delivered.records > REQUESTS as u64, "they were recorded");
    let _ = std::fs::remove_dir_all(&data);
    assert_eq!(
        costs, wanted,
        "{runtime}: a request allocates [POST static, POST /score, with reasons, GET, a tensor of a row, of three]; the first three must be equal, and the last two, and if one fell, \
         write it down"
    );
}

#[test]
fn epoll() {
    measure(Choice::Epoll);
}

#[test]
fn glommio() {
    match probe::io_uring(1) {
        Ok(()) => measure(Choice::Glommio),
        Err(why) => eprintln!("SKIPPED: THE GLOMMIO RUNTIME, for this machine denies it: {why}"),
    }
}
