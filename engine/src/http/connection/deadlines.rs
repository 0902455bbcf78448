//! The clock of one connection: which phase it is in and when that phase must end.
//!
//! ```text
//!  accept → (Handshake →) FirstByte → Head → (request: no limit of the connection's) → Idle → Head → …
//!          any of them, when the peer does not read: Write, or Unsent where only windows say so; when closing: Linger
//! ```
//! `io` reports reads, writes and flushes, `connection` reports requests. The body's limit is not here: it belongs to
//! a request (an h2 connection has many at once) and is kept by `http::body`.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::task::Context;
use std::time::Duration;

use super::READ_BUFFER_BYTES_MAX;
use crate::auth::Principal;
use crate::budget::{BudgetError, Charge, Purpose, Size};
use crate::limits::HEALTH_STEP;
use crate::shard::ShardCore;
use crate::shard::timers::Timer;
use crate::telemetry::{Admission, Phase};

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Handshake,
    FirstByte,
    Head,
    Request,
    Idle,
    Write,
    /// The socket takes what is written, and the peer's windows do not.
    Unsent,
    Linger,
}

/// Bytes of answers that an h2 connection may have unsent at no charge of their own.
pub(super) const UNSENT_BYTES_FREE: usize = 64 << 10;

/// What an unsent answer holds beside its body: its head, its stream, its task. Unit: bytes.
const UNSENT_ANSWER_BYTES: usize = 8 << 10;

/// What a connection holds whose peer does not read: hyper's buffer and a piece of an answer. Unit: bytes.
const BLOCKED_BYTES: usize = 64 << 10;

/// One connection's phase and deadline.
#[derive(Debug)]
pub struct ConnectionDeadlines {
    core: Rc<ShardCore>,
    timer: Timer,
    stage: Cell<Stage>,
    http2: Cell<bool>,
    secure: Cell<bool>,
    /// Whose the certificate is that the client showed.
    certificate: OnceCell<Rc<Principal>>,
    /// Where it comes from, if that is known.
    peer: Cell<Option<IpAddr>>,
    admission: Admission,
    in_flight: Cell<u32>,
    /// A request has come.
    asked: Cell<bool>,
    /// How often the connection was polled.
    polls: Cell<u64>,
    /// Timers of batches whose answers wait for the peer to take more.
    owed: RefCell<Vec<Timer>>,
    /// Bytes of answers that are handed on and not written yet, where streams share the connection.
    unsent: Cell<usize>,
    /// Whether some of them were written since the limit of the others began.
    has_progressed: Cell<bool>,
    /// For buffers of a peer that sends much, and of one that does not read.
    reads: RefCell<Charge>,
    answers: RefCell<Charge>,
    /// There was no memory for what the peer does not read: the connection ends.
    is_over: Cell<bool>,
}

impl ConnectionDeadlines {
    /// Starts the clock of a connection that has said nothing yet.
    pub(super) fn new(core: Rc<ShardCore>, admission: Admission, peer: Option<IpAddr>) -> Rc<Self> {
        let timer = core.wheel.borrow_mut().insert();
        let charge = |purpose| RefCell::new(Charge::new(&core.budget, purpose));
        let (reads, answers) = (charge(Purpose::Connections), charge(Purpose::Answers));
        let watch = Rc::new(Self {
            core,
            timer,
            stage: Cell::new(Stage::FirstByte),
            http2: Cell::new(false),
            secure: Cell::new(false),
            certificate: OnceCell::new(),
            peer: Cell::new(peer),
            admission,
            in_flight: Cell::new(0),
            asked: Cell::new(false),
            polls: Cell::new(0),
            owed: RefCell::default(),
            unsent: Cell::new(0),
            has_progressed: Cell::new(false),
            reads,
            answers,
            is_over: Cell::new(false),
        });
        watch.enter(Stage::FirstByte, watch.core.limits().first_byte);
        watch
    }

    fn enter(&self, stage: Stage, limit: Duration) {
        // There are few such connections, so none is kept.
        let limit = if self.is_health_only() {
            limit.min(HEALTH_STEP)
        } else {
            limit
        };
        self.stage.set(stage);
        self.core.wheel.borrow_mut().set(self.timer, limit);
    }

    fn enter_idle(&self) {
        let limits = self.core.limits();
        let limit = if self.core.draining.get() {
            limits.drain_idle.min(limits.idle)
        } else {
            limits.idle
        };
        self.enter(Stage::Idle, limit);
    }

    /// A TLS handshake begins.
    pub(super) fn handshakes(&self) {
        self.enter(Stage::Handshake, self.core.limits().handshake);
    }

    /// The handshake is over: the client may speak.
    pub(super) fn is_secure(&self) {
        self.secure.set(true);
        let limits = self.core.limits();
        let limit = if self.core.draining.get() {
            limits.drain_idle.min(limits.first_byte)
        } else {
            limits.first_byte
        };
        self.enter(Stage::FirstByte, limit);
    }

    /// The client showed a certificate.
    pub(super) fn shows(&self, certificate: Principal) {
        // A connection has one handshake.
        let _ = self.certificate.set(Rc::new(certificate));
    }

    /// Whose the certificate is that the client showed.
    pub(crate) fn certificate(&self) -> Option<&Rc<Principal>> {
        self.certificate.get()
    }

    /// A balancer has said where it comes from.
    pub(super) fn comes_from(&self, client: IpAddr) {
        self.peer.set(Some(client));
    }

    /// Where it comes from, if that is known: for log lines and nothing else.
    pub(crate) fn peer(&self) -> Option<IpAddr> {
        self.peer.get()
    }

    /// Whether what is said on it is encrypted.
    pub(crate) fn has_tls(&self) -> bool {
        self.secure.get()
    }

    /// The preface is complete: an h2 connection waits for requests from now on, even if it sends other frames.
    pub(super) fn is_http2(&self) {
        self.http2.set(true);
        self.enter_idle();
    }

    /// Whether it may only ask how the process is.
    pub(crate) fn is_health_only(&self) -> bool {
        self.admission == Admission::HealthOnly
    }

    /// Whether it may ask for one answer only, and has.
    pub(super) fn has_had_its_request(&self) -> bool {
        self.is_health_only() && self.asked.get()
    }

    /// Another poll of the connection begins.
    pub(super) fn polled(&self) {
        self.polls.set(self.polls.get().wrapping_add(1));
    }

    /// Which poll of the connection this is.
    pub(super) fn polls(&self) -> u64 {
        self.polls.get()
    }

    /// Bytes came in.
    pub(super) fn read(&self) {
        match self.stage.get() {
            Stage::FirstByte => self.enter(Stage::Head, self.core.limits().head),
            Stage::Idle if !self.http2.get() => self.enter(Stage::Head, self.core.limits().head),
            _ => {}
        }
    }

    /// A head is complete and its request is being answered.
    pub(crate) fn request_began(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
        self.asked.set(true);
        if !matches!(self.stage.get(), Stage::Write | Stage::Unsent) {
            self.stage.set(Stage::Request);
            self.core.wheel.borrow_mut().clear(self.timer);
        }
    }

    /// The response is ready to be written.
    pub(crate) fn request_ended(&self) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
    }

    /// The peer does not read what is written to it.
    pub(super) fn write_blocked(&self) {
        if !matches!(self.stage.get(), Stage::Write | Stage::Linger) {
            self.enter(Stage::Write, self.core.limits().write);
            if !self.http2.get() {
                self.charge_answers(BLOCKED_BYTES);
            }
        }
    }

    /// The peer sends much at once, and the buffer for that stays for as long as the connection does.
    pub(super) fn read_much(&self) -> Result<(), BudgetError> {
        if self.http2.get() {
            // Its window is charged already.
            return Ok(());
        }
        self.reads.borrow_mut().set(READ_BUFFER_BYTES_MAX, Size::Small)
    }

    fn charge_answers(&self, bytes: usize) {
        if self.answers.borrow_mut().set(bytes, Size::Small).is_err() {
            self.is_over.set(true);
            self.core.wheel.borrow_mut().wake(self.timer);
        }
    }

    /// Everything written so far has left.
    pub(super) fn flushed(&self) {
        if matches!(self.stage.get(), Stage::Request | Stage::Write | Stage::Unsent) {
            if self.unsent.get() > 0 {
                if self.stage.get() != Stage::Unsent {
                    self.enter_unsent();
                }
                return;
            }
            if !self.http2.get() && self.stage.get() == Stage::Write {
                self.answers.borrow_mut().lower(0);
            }
            if self.in_flight.get() == 0 {
                self.enter_idle();
            } else {
                self.stage.set(Stage::Request);
                self.core.wheel.borrow_mut().clear(self.timer);
            }
        }
    }

    /// The connection is half-closed and waits for the peer to close too.
    pub(super) fn lingering(&self) {
        self.enter(Stage::Linger, self.core.limits().linger);
    }

    pub(super) fn linger_expired(&self) -> bool {
        self.stage.get() == Stage::Linger && self.core.wheel.borrow().fired(self.timer)
    }

    /// No request is being read or answered: closing now interrupts no request.
    pub(super) fn is_quiet(&self) -> bool {
        matches!(self.stage.get(), Stage::FirstByte | Stage::Idle)
    }

    /// The connection is being closed in an orderly way; what is left to write has the usual limit.
    pub(super) fn closing(&self) {
        self.enter(Stage::Write, self.core.limits().write);
    }

    /// The drain began: a quiet connection has a short time left.
    pub(in crate::http) fn drain(&self) {
        if self.is_quiet() {
            let stage = self.stage.get();
            self.enter(stage, self.core.limits().drain_idle);
        }
        self.core.wheel.borrow_mut().wake(self.timer);
    }

    /// The phase whose limit has passed, if one has; otherwise the task is woken when it does.
    pub(super) fn poll_expired(&self, cx: &mut Context<'_>) -> Option<Phase> {
        if self.is_over.get() {
            return Some(Phase::Write);
        }
        let mut wheel = self.core.wheel.borrow_mut();
        if self.owed.borrow().iter().any(|&timer| wheel.poll_fired(timer, cx)) {
            return Some(Phase::Write);
        }
        if !wheel.poll_fired(self.timer, cx) {
            return None;
        }
        match self.stage.get() {
            Stage::Handshake => Some(Phase::Handshake),
            Stage::FirstByte => Some(Phase::FirstByte),
            Stage::Head => Some(Phase::Head),
            Stage::Idle => Some(Phase::Idle),
            Stage::Write => Some(Phase::Write),
            Stage::Unsent if self.unsent.get() > 0 && !self.has_progressed.get() => Some(Phase::Write),
            Stage::Unsent => {
                drop(wheel);
                self.reconsider_unsent(cx);
                None
            }
            Stage::Request | Stage::Linger => None,
        }
    }
}

impl ConnectionDeadlines {
    /// The limit of what is unsent has passed, and the peer has taken something: it has as long for the next. Or all
    /// was written or given up, and nothing was flushed since.
    fn reconsider_unsent(&self, cx: &Context<'_>) {
        if self.unsent.get() > 0 {
            self.enter_unsent();
        } else if self.in_flight.get() == 0 {
            self.enter_idle();
        } else {
            self.stage.set(Stage::Request);
            self.core.wheel.borrow_mut().clear(self.timer);
        }
        // So that the connection is woken when the new limit passes.
        let _ = self.core.wheel.borrow_mut().poll_fired(self.timer, cx);
    }

    fn enter_unsent(&self) {
        self.has_progressed.set(false);
        self.enter(Stage::Unsent, self.core.limits().write);
    }

    fn unsent(&self, bytes: usize) {
        self.has_progressed
            .set(self.has_progressed.get() || bytes < self.unsent.get());
        self.unsent.set(bytes);
        let charged = self.answers.borrow().bytes();
        if bytes > UNSENT_BYTES_FREE + charged {
            self.charge_answers(bytes.next_multiple_of(UNSENT_BYTES_FREE));
        } else if bytes <= UNSENT_BYTES_FREE && charged > 0 {
            self.answers.borrow_mut().lower(0);
        }
    }
}

/// An answer that is handed on and not written yet, on a connection whose streams share a socket.
#[derive(Debug)]
pub(crate) struct Unsent {
    watch: Rc<ConnectionDeadlines>,
    bytes: usize,
}

impl Unsent {
    /// Counts it; `bytes` are those of its body.
    pub(crate) fn new(watch: &Rc<ConnectionDeadlines>, bytes: usize) -> Self {
        let bytes = if watch.http2.get() {
            bytes + UNSENT_ANSWER_BYTES
        } else {
            0
        };
        if bytes > 0 {
            watch.unsent(watch.unsent.get() + bytes);
        }
        Self {
            watch: Rc::clone(watch),
            bytes,
        }
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.watch.unsent(self.watch.unsent.get() - self.bytes);
        }
    }
}

/// The limit of one batch's answer: the peer must take the next part of it in time. A connection's own limit does not
/// see this where many streams share a socket, because the socket itself is not blocked.
#[derive(Debug)]
pub(crate) struct UnsentBytes {
    watch: Rc<ConnectionDeadlines>,
    timer: Timer,
}

impl UnsentBytes {
    pub(crate) fn new(watch: Rc<ConnectionDeadlines>) -> Self {
        let mut wheel = watch.core.wheel.borrow_mut();
        let timer = wheel.insert();
        watch.owed.borrow_mut().push(timer);
        // The connection's task must look at the new timer once, to be woken when it fires.
        wheel.wake(watch.timer);
        drop(wheel);
        Self { watch, timer }
    }

    /// A part of the answer was handed on.
    pub(crate) fn begin(&self) {
        let limit = self.watch.core.limits().write;
        self.watch.core.wheel.borrow_mut().set(self.timer, limit);
    }

    /// It was taken.
    pub(crate) fn end(&self) {
        self.watch.core.wheel.borrow_mut().clear(self.timer);
    }
}

impl Drop for UnsentBytes {
    fn drop(&mut self) {
        self.watch.owed.borrow_mut().retain(|&timer| timer != self.timer);
        self.watch.core.wheel.borrow_mut().remove(self.timer);
    }
}

impl Drop for ConnectionDeadlines {
    fn drop(&mut self) {
        self.core.wheel.borrow_mut().remove(self.timer);
    }
}
