//! What clients may do that obey the letter of HTTP/2 or nothing at all: each is bounded in memory, and a client beside is
//! answered. How long that takes is printed, and not asserted.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::client::{Authority, Files};
use crate::client::request;
use crate::harness::{Launch, PATIENCE, Server};
use crate::on_both;
use crate::score::lead;

on_both!(
    streams_that_are_reset_at_once,
    heads_without_an_end,
    empty_pieces_of_a_body,
    tables_that_a_client_wants_huge,
    names_that_are_repeated_from_a_table,
    streams_that_say_nothing,
    settings_and_pings_without_an_end,
    clients_that_stop_in_every_phase,
);

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// More than any of them may take of memory, for one connection or fifty.
const MEMORY_BYTES_MAX: u64 = 48 << 20;

/// Requests at once on one connection, and how often.
const STREAMS: u32 = 100;
const WAVES: u32 = 100;

/// So many frames are enough to show that something has no end.
const FRAMES: u32 = 100_000;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A head in HPACK: `:method`, `:scheme`, `:path` and `:authority`.
fn head(method: u8, path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).expect("a short path");
    [&[method, 0x86, 0x04, length], path.as_bytes(), &[0x41, 1, b'q']].concat()
}

const GET: u8 = 0x82;
const POST: u8 = 0x83;

/// An h2 connection that says what it likes.
struct Attacker(TcpStream);

impl Attacker {
    fn open(server: &Server, settings: &[u8]) -> Self {
        let mut socket = TcpStream::connect(("127.0.0.1", server.port)).expect("the server listens");
        socket
            .set_write_timeout(Some(Duration::from_secs(5)))
            .expect("a TCP socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a TCP socket");
        let begin = [PREFACE, &frame(SETTINGS, 0, 0, settings)].concat();
        socket.write_all(&begin).expect("the server reads");
        Self(socket)
    }

    /// Sends frames until there are no more, or the server takes none. Answers are read meanwhile, so that it is not its
    /// own answers that stop the server. Whether the server has given the connection up.
    fn send(mut self, frames: impl Iterator<Item = Vec<u8>>) -> bool {
        let mut answers = Answers::new(&self.0);
        let reading = thread::Builder::new().name("answers".into()).spawn(move || {
            while answers.read() {}
            answers
        });
        let reading = reading.expect("a thread");
        let mut pieces: Vec<u8> = Vec::new();
        let mut is_refused = false;
        for frame in frames {
            pieces.extend(frame);
            if pieces.len() > 8 << 10 {
                is_refused = self.0.write_all(&pieces).is_err();
                pieces.clear();
            }
            if is_refused {
                break;
            }
        }
        let is_refused = is_refused || self.0.write_all(&pieces).is_err();
        // Either has the server said so, or it learns now that no more comes.
        let _ = self.0.shutdown(Shutdown::Write);
        let answers = reading.join().expect("it does not panic");
        is_refused || answers.is_given_up
    }
}

/// What the server sends, frame by frame.
struct Answers {
    socket: TcpStream,
    unread: Vec<u8>,
    /// GOAWAY with an error.
    is_given_up: bool,
    /// Streams that are answered whole.
    ended: u32,
}

impl Answers {
    fn new(socket: &TcpStream) -> Self {
        Self {
            socket: socket.try_clone().expect("a socket"),
            unread: Vec::new(),
            is_given_up: false,
            ended: 0,
        }
    }

    /// Reads some; false at the end.
    fn read(&mut self) -> bool {
        let mut space = [0; 16 << 10];
        match self.socket.read(&mut space) {
            Ok(0) | Err(_) => return false,
            Ok(count) => self.unread.extend(&space[..count]),
        }
        while let Some((head, rest)) = self.unread.split_first_chunk::<9>() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            if rest.len() < length {
                break;
            }
            let is_end = matches!(head[3], DATA | HEADERS) && head[4] & END_STREAM != 0;
            self.ended += u32::from(is_end);
            self.is_given_up |= head[3] == GOAWAY && rest[4..8] != [0; 4];
            self.unread.drain(..9 + length);
        }
        true
    }
}

fn server(runtime: &str) -> Server {
    Launch::new(runtime).no_sink().set("LIMITS__BODY_MS", "2000").start()
}

/// Runs an attack beside a client that must be answered, and looks at the memory.
fn beside<T: Send>(server: &Server, name: &str, attack: impl FnOnce() -> T + Send) -> T {
    let mut client = server.connect();
    assert_eq!(client.post("/score", &lead(0)).status, 200);
    let before = server.anonymous_bytes();
    let mut times = Vec::new();
    let mut most = before;
    let result = thread::scope(|scope| {
        let attacking = scope.spawn(attack);
        while !attacking.is_finished() || times.is_empty() {
            let began = Instant::now();
            assert_eq!(client.post("/score", &lead(1)).status, 200, "{name}");
            times.push(began.elapsed());
            most = most.max(server.anonymous_bytes());
            thread::sleep(Duration::from_millis(2));
        }
        attacking.join().expect("the attack does not panic")
    });
    times.sort();
    let p99 = times[times.len() * 99 / 100];
    let taken = most.saturating_sub(before);
    eprintln!("{name}: p99 beside {p99:?} of {}, {} KiB", times.len(), taken >> 10);
    assert!(taken < MEMORY_BYTES_MAX, "{name} takes {taken} bytes");
    assert_eq!(server.connect().get("/healthz").status, 200, "{name}");
    result
}

fn streams_that_are_reset_at_once(runtime: &str) {
    let server = server(runtime);
    let ended = beside(&server, "rapid reset", || {
        let pair = |stream: u32| {
            let open = frame(HEADERS, END_HEADERS, stream, &head(POST, "/score"));
            [open, frame(RESET, 0, stream, &8_u32.to_be_bytes())].concat()
        };
        Attacker::open(&server, &[]).send((0..FRAMES).map(|number| pair(2 * number + 1)))
    });
    assert!(ended, "the server gives up on such a client");
}

fn heads_without_an_end(runtime: &str) {
    let server = server(runtime);
    for payload in [&[][..], &[0x00, 1, b'a', 1, b'b']] {
        let ended = beside(&server, "CONTINUATION", || {
            let first = frame(HEADERS, 0, 1, &head(GET, "/healthz"));
            let more = (0..FRAMES).map(|_| frame(CONTINUATION, 0, 1, payload));
            Attacker::open(&server, &[]).send(std::iter::once(first).chain(more))
        });
        assert!(ended, "a head has an end");
    }
}

fn empty_pieces_of_a_body(runtime: &str) {
    let server = server(runtime);
    let ended = beside(&server, "empty DATA", || {
        let first = frame(HEADERS, END_HEADERS, 1, &head(POST, "/score"));
        let more = (0..FRAMES).map(|_| frame(DATA, 0, 1, &[]));
        Attacker::open(&server, &[]).send(std::iter::once(first).chain(more))
    });
    assert!(ended, "a body is not made of nothing");
}

fn tables_that_a_client_wants_huge(runtime: &str) {
    let server = server(runtime);
    // SETTINGS_HEADER_TABLE_SIZE: what answers may be remembered in.
    let settings = [&[0, 1][..], &u32::MAX.to_be_bytes()].concat();
    beside(&server, "header tables", || {
        // Ids that are all different, of 100 bytes.
        let ask = |stream: u32| {
            let id = format!("{stream:0100}");
            let more = [&[0x00, 12][..], b"x-request-id", &[100], id.as_bytes()].concat();
            let block = [head(GET, "/healthz"), more].concat();
            frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)
        };
        let mut attacker = Attacker::open(&server, &settings);
        let mut answers = Answers::new(&attacker.0);
        // As many at once as there may be, so that all are answered.
        for wave in 0..WAVES {
            let streams = (wave * STREAMS..(wave + 1) * STREAMS).map(|number| 2 * number + 1);
            let all: Vec<u8> = streams.flat_map(ask).collect();
            attacker.0.write_all(&all).expect("the server reads");
            while answers.ended < (wave + 1) * STREAMS {
                assert!(answers.read(), "the server answers");
            }
        }
    });
}

fn names_that_are_repeated_from_a_table(runtime: &str) {
    let server = server(runtime);
    beside(&server, "HPACK bomb", || {
        // A header of 4,000 bytes is put into the table, and named by one byte each time after.
        let value = [b'v'; 3_900];
        let put = [&[0x40, 1, b'a', 0x7f, 0xbd, 0x1d][..], &value].concat();
        let first = frame(
            HEADERS,
            END_HEADERS | END_STREAM,
            1,
            &[head(GET, "/healthz"), put].concat(),
        );
        let bomb = |stream: u32| {
            let block = [head(GET, "/healthz"), vec![0xbe; 12_000]].concat();
            frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)
        };
        let bombs = (1..2_000).map(|number| bomb(2 * number + 1));
        Attacker::open(&server, &[]).send(std::iter::once(first).chain(bombs))
    });
}

fn streams_that_say_nothing(runtime: &str) {
    let server = server(runtime);
    beside(&server, "idle streams", || {
        let mut attackers: Vec<Attacker> = (0..50).map(|_| Attacker::open(&server, &[])).collect();
        for attacker in &mut attackers {
            let open = |stream: u32| frame(HEADERS, END_HEADERS, stream, &head(POST, "/score"));
            let all: Vec<u8> = (0..1_000).flat_map(|number| open(2 * number + 1)).collect();
            // It may be refused before it has sent all.
            let _ = attacker.0.write_all(&all);
        }
        thread::sleep(Duration::from_secs(4));
    });
}

fn settings_and_pings_without_an_end(runtime: &str) {
    let server = server(runtime);
    for (name, one) in [
        ("SETTINGS", frame(SETTINGS, 0, 0, &[])),
        ("PING", frame(PING, 0, 0, &[7; 8])),
    ] {
        beside(&server, name, || {
            Attacker::open(&server, &[]).send((0..FRAMES).map(|_| one.clone()))
        });
        // The same of clients that read none of the answers.
        beside(&server, name, || {
            let mut attacker = Attacker::open(&server, &[]);
            for _ in 0..FRAMES / 100 {
                if attacker.0.write_all(&one.repeat(100)).is_err() {
                    break;
                }
            }
        });
    }
}

/// Slowloris, with TLS and without: in the handshake, the head, the body, and in reading.
fn clients_that_stop_in_every_phase(runtime: &str) {
    let (files, authority) = (Files::new("stalls", runtime), Authority::new("ca"));
    files.identity(&authority.sign(1, &["localhost"], |_| {}));
    let short = |launch: Launch| {
        let launch = launch
            .set("LIMITS__HANDSHAKE_MS", "1000")
            .set("LIMITS__HEAD_MS", "1000");
        launch
            .set("LIMITS__BODY_MS", "1000")
            .set("LIMITS__WRITE_MS", "1000")
            .start()
    };
    let (plain, secure) = (short(Launch::new(runtime).no_sink()), short(files.launch(runtime)));
    let hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 32]].concat();
    let page = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nhost: q\r\n\r\n".repeat(40);
    let body = request("/score", "", lead(1).as_bytes());
    for (name, port, bytes) in [
        ("in the handshake", secure.port, &hello[..]),
        ("in the head", plain.port, b"POST /score HTTP/1.1\r\nhost: q\r\nx-a: "),
        ("in the body", plain.port, &body[..body.len() - 9]),
        ("not reading", plain.port, page.as_bytes()),
    ] {
        let mut held: Vec<TcpStream> = Vec::new();
        beside(&plain, name, || {
            for _ in 0..200 {
                let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
                socket.write_all(bytes).expect("the server reads");
                socket.set_read_timeout(Some(PATIENCE)).expect("a TCP socket");
                held.push(socket);
            }
            thread::sleep(Duration::from_millis(2_500));
        });
        for mut socket in held {
            // What was not read is in the kernel; behind it is the end.
            let mut space = vec![0; 1 << 20];
            loop {
                match socket.read(&mut space) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{name}: it is not ended");
                        break;
                    }
                }
            }
        }
    }
}
