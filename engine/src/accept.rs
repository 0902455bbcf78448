//! The acceptor: one thread and one listener; each socket goes to the shard with the fewest connections.
//!
//! `SO_REUSEPORT` would hash connections to shards: a few long-lived ones (a load balancer's) end up 6 to 2. The thread
//! blocks in `poll` and costs nothing while there is no new connection; [`Acceptor::stop`] wakes it through an eventfd.
//!
//! ```text
//!  a place is free ───────▶ a shard, for everything
//!  none, or no descriptor ─▶ waiting ─┬─ a place is free ────────────────────────▶ a shard, for everything
//!                                     ├─ it says something, and there is one of the places for health checks ─▶ a shard,
//!                                     │    for one answer of /healthz, /readyz or /metrics; anything else is 503
//!                                     └─ it says nothing, and others come ───────▶ closed
//! ```
//! So a client that only holds connections open cannot block health checks. One descriptor is kept in reserve for the
//! same reason: when the process has no other, it is closed, and the next connection, which gets its place, is a
//! waiting one.

mod waiting;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::net::{SocketFlags, accept_with};

use self::waiting::Waiting;
use crate::limits::{HEALTH_CONNECTIONS, UNSENT_KERNEL_BYTES};
use crate::log_limiter::LogLimiter;
use crate::shard::mailbox::{Address, Mail};
use crate::telemetry::{Admission, Gauges};

/// How long to wait before asking again for what cannot be had: a descriptor, memory, a free place.
const BACK_OFF: Duration = Duration::from_millis(20);

/// That there are as many connections as there may be, and others wait, this often: it may last for days.
const FULL_EVERY: Duration = Duration::from_secs(60);

/// One shard, as the acceptor sees it.
#[derive(Debug, Clone)]
pub struct ShardEntry {
    /// Where its sockets go.
    pub address: Address,
    /// How many connections it has.
    pub gauges: Arc<Gauges>,
}

/// A running acceptor.
#[derive(Debug)]
pub struct Acceptor {
    thread: JoinHandle<()>,
    stop: Arc<OwnedFd>,
}

/// Binds the listener. Another process on the same port is an error.
///
/// # Errors
/// The operating system's reason.
pub fn bind(addresses: &[SocketAddr]) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(addresses)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

impl Acceptor {
    /// Starts accepting.
    ///
    /// # Errors
    /// When the thread or its eventfd cannot be made.
    pub fn start(listener: TcpListener, places: Vec<ShardEntry>, connections_max: usize) -> io::Result<Self> {
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let state = Loop {
            listener,
            places,
            connections_max,
            stop: Arc::clone(&stop),
            waiting: Waiting::default(),
            spare: None,
            turn: 0,
            shortage_log: LogLimiter::default(),
            full_log: LogLimiter::every(FULL_EVERY),
        };
        let thread = thread::Builder::new()
            .name("acceptor".into())
            .spawn(move || state.run())?;
        Ok(Self { thread, stop })
    }

    /// Stops accepting: connections that are established by now are still served. Returns when the listener is closed.
    pub fn stop(self) {
        // An eventfd that is not read cannot be full after one write.
        let _ = rustix::io::write(&*self.stop, &1u64.to_ne_bytes());
        if self.thread.join().is_err() {
            tracing::error!("the acceptor panicked");
        }
    }
}

struct Loop {
    listener: TcpListener,
    places: Vec<ShardEntry>,
    connections_max: usize,
    stop: Arc<OwnedFd>,
    waiting: Waiting,
    /// The descriptor in reserve; none while it is in use.
    spare: Option<OwnedFd>,
    turn: usize,
    shortage_log: LogLimiter,
    full_log: LogLimiter,
}

/// The result of an attempt to accept.
enum Tried {
    Taken(TcpStream),
    /// Another try may have another end.
    Again,
    NobodyThere,
    Shortage(Errno),
}

impl Loop {
    fn run(mut self) {
        loop {
            let stops = if self.is_full() || !self.has_spare() {
                self.turn_when_full()
            } else {
                self.turn_with_places()
            };
            if stops {
                break;
            }
        }
        // Connections that the kernel has completed would be reset by closing the listener.
        while !self.is_full() {
            let socket = match self.waiting.pop() {
                Some(socket) => socket,
                None => match self.try_one() {
                    Tried::Taken(socket) => socket,
                    Tried::Again => continue,
                    Tried::NobodyThere | Tried::Shortage(_) => break,
                },
            };
            self.place(socket, Admission::Full);
        }
    }

    /// Accepts every connection that waits; true when it is time to stop.
    fn turn_with_places(&mut self) -> bool {
        if let Some(socket) = self.waiting.pop() {
            return self.place(socket, Admission::Full);
        }
        match self.try_one() {
            Tried::Taken(socket) => self.place(socket, Admission::Full),
            Tried::Again => false,
            Tried::NobodyThere => self.stops_after(None, false),
            Tried::Shortage(errno) => {
                self.complain(errno);
                self.accept_with_spare()
            }
        }
    }

    /// Lets those wait who come, and serves health checks; true when it is time to stop.
    fn turn_when_full(&mut self) -> bool {
        while self.has_place_for_health()
            && let Some(socket) = self.waiting.take_ready()
        {
            if self.place(socket, Admission::HealthOnly) {
                return true;
            }
        }
        if !self.waiting.make_room() {
            // Everybody has said something and waits for a place: the listener stays readable, polling it would spin.
            return self.stops_within(BACK_OFF);
        }
        match self.try_one() {
            Tried::Taken(socket) => {
                self.waiting.push(socket);
                self.complain_full();
                false
            }
            Tried::Again => false,
            // There is no signal when a place is free again.
            Tried::NobodyThere => self.stops_after(Some(BACK_OFF), self.has_place_for_health()),
            Tried::Shortage(errno) => {
                self.complain(errno);
                self.accept_with_spare()
            }
        }
    }

    /// Out of descriptors: the one in reserve takes one more connection, or one that is silent makes room.
    fn accept_with_spare(&mut self) -> bool {
        if self.spare.take().is_some()
            && let Tried::Taken(socket) = self.try_one()
        {
            self.waiting.push(socket);
            return false;
        }
        // The listener stays readable: polling it would spin.
        let has_room = !self.waiting.is_empty() && self.waiting.close_silent();
        !has_room && self.stops_within(BACK_OFF)
    }

    /// Whether there is a descriptor in reserve; makes one when there is none.
    fn has_spare(&mut self) -> bool {
        if self.spare.is_none() {
            self.spare = fcntl_dupfd_cloexec(&*self.stop, 0).ok();
        }
        self.spare.is_some()
    }

    fn is_full(&self) -> bool {
        let open = self.places.iter().map(|place| place.gauges.open_connections());
        open.sum::<usize>() >= self.connections_max
    }

    fn has_place_for_health(&self) -> bool {
        let open = self.places.iter().map(|place| place.gauges.open_health_connections());
        open.sum::<usize>() < HEALTH_CONNECTIONS
    }

    fn try_one(&mut self) -> Tried {
        match accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(socket) => Tried::Taken(TcpStream::from(socket)),
            Err(Errno::AGAIN) => Tried::NobodyThere,
            // The peer gave up between connecting and being accepted, or the call was interrupted (see accept(2)).
            Err(Errno::INTR | Errno::CONNABORTED | Errno::PROTO | Errno::PERM) => Tried::Again,
            // Out of descriptors or memory, or something that asking again at once will not mend.
            Err(errno) => Tried::Shortage(errno),
        }
    }

    /// Hands a socket to the shard with the fewest connections; equals take turns. A shard that has ended or is far
    /// behind is passed over; when all are, the socket waits. True when it is time to stop, and the socket is closed.
    fn place(&mut self, socket: TcpStream, admission: Admission) -> bool {
        // A small answer must not wait for the peer's acknowledgement of the one before.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "set TCP_NODELAY");
        }
        // A client that does not read must not fill the kernel's memory, which all connections share.
        if let Err(error) = bound_unsent(&socket) {
            tracing::debug!(%error, "set TCP_NOTSENT_LOWAT");
        }
        let mut mail = Mail::Socket(socket, admission);
        loop {
            let count = self.places.len();
            self.turn = (self.turn + 1) % count;
            let mut order: Vec<usize> = (0..count).map(|step| (self.turn + step) % count).collect();
            order.sort_by_key(|&index| self.places[index].gauges.open_connections());
            for index in order {
                let place = &self.places[index];
                place.gauges.count(admission).fetch_add(1, Ordering::Relaxed);
                match place.address.send(mail) {
                    Ok(()) => return false,
                    Err(back) => mail = back,
                }
                place.gauges.count(admission).fetch_sub(1, Ordering::Relaxed);
            }
            if self.stops_within(BACK_OFF) {
                return true;
            }
        }
    }

    /// Blocks until there is a new connection, or bytes of a waiting one if that matters, or the time is over; true
    /// when it is time to stop.
    fn stops_after(&self, time: Option<Duration>, wakes_for_waiting: bool) -> bool {
        let mut fds = vec![
            PollFd::new(&*self.stop, PollFlags::IN),
            PollFd::new(&self.listener, PollFlags::IN),
        ];
        if wakes_for_waiting {
            fds.extend(self.waiting.interest());
        }
        let time = time.and_then(|time| Timespec::try_from(time).ok());
        let _ = poll(&mut fds, time.as_ref());
        !fds[0].revents().is_empty()
    }

    fn stops_within(&self, time: Duration) -> bool {
        let mut fds = [PollFd::new(&*self.stop, PollFlags::IN)];
        let _ = poll(&mut fds, Timespec::try_from(time).ok().as_ref());
        !fds[0].revents().is_empty()
    }

    fn complain(&mut self, errno: Errno) {
        if self.shortage_log.may_log(Instant::now()) {
            tracing::warn!(error = %errno, "connections wait: accepting fails (out of file descriptors? see ulimit -n)");
        }
    }

    fn complain_full(&mut self) {
        if self.full_log.may_log(Instant::now()) {
            tracing::warn!(
                connections_max = self.connections_max,
                "connections wait: as many are open as limits.connections_max or the descriptors allow; health checks are answered"
            );
        }
    }
}

/// Bounds what the kernel takes of a connection beyond what it has sent.
#[expect(unsafe_code, reason = "rustix has no TCP_NOTSENT_LOWAT")]
fn bound_unsent(socket: &TcpStream) -> io::Result<()> {
    let bytes = UNSENT_KERNEL_BYTES;
    // SAFETY: the descriptor is open, and the value is four bytes that live through the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_NOTSENT_LOWAT,
            std::ptr::from_ref(&bytes).cast(),
            u32::BITS / 8,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
