//! The acceptor: one thread and one listener; each socket goes to the shard with the fewest connections.
//!
//! `SO_REUSEPORT` would hash connections to shards: a few long-lived ones (a load balancer's) end up 6 to 2. The thread
//! blocks in `poll` and costs nothing while nobody connects; [`Acceptor::stop`] wakes it through an eventfd.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};

use crate::shard::mailbox::{Address, Mail};
use crate::telemetry::Gauges;

/// How long to wait before asking again for what cannot be had: a descriptor, memory, a free place.
const BACK_OFF: Duration = Duration::from_millis(20);

/// A shortage that lasts is logged this often.
const COMPLAIN_EVERY: Duration = Duration::from_secs(1);

/// One shard, as the acceptor sees it.
#[derive(Debug, Clone)]
pub struct Place {
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
    pub fn start(listener: TcpListener, places: Vec<Place>, connections_max: usize) -> io::Result<Self> {
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let state = Loop {
            listener,
            places,
            connections_max,
            stop: Arc::clone(&stop),
            turn: 0,
            complained: None,
        };
        let thread = thread::Builder::new()
            .name("acceptor".into())
            .spawn(move || state.run())?;
        Ok(Self { thread, stop })
    }

    /// Stops accepting: whoever has connected by now is still served. Returns when the listener is closed.
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
    places: Vec<Place>,
    connections_max: usize,
    stop: Arc<OwnedFd>,
    turn: usize,
    complained: Option<Instant>,
}

/// What came of trying to accept.
enum Tried {
    Taken,
    NobodyThere,
    Shortage(Errno),
}

impl Loop {
    fn run(mut self) {
        loop {
            if self.is_full() {
                if self.stops_within(BACK_OFF) {
                    break;
                }
                continue;
            }
            match self.try_one() {
                Tried::Taken => {}
                Tried::NobodyThere => {
                    if self.wait_for_peer() {
                        break;
                    }
                }
                Tried::Shortage(errno) => {
                    // The listener stays readable: polling it would spin.
                    self.complain(errno);
                    if self.stops_within(BACK_OFF) {
                        break;
                    }
                }
            }
        }
        // Connections that the kernel has completed would be reset by closing the listener.
        while !self.is_full() && matches!(self.try_one(), Tried::Taken) {}
    }

    fn is_full(&self) -> bool {
        self.places
            .iter()
            .map(|place| place.gauges.open_connections())
            .sum::<usize>()
            >= self.connections_max
    }

    fn try_one(&mut self) -> Tried {
        match accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(socket) => {
                self.place(TcpStream::from(socket));
                Tried::Taken
            }
            Err(Errno::AGAIN) => Tried::NobodyThere,
            // The peer gave up between connecting and being accepted, or the call was interrupted (see accept(2)).
            Err(Errno::INTR | Errno::CONNABORTED | Errno::PROTO | Errno::PERM) => Tried::Taken,
            // Out of descriptors or memory, or something that asking again at once will not mend.
            Err(errno) => Tried::Shortage(errno),
        }
    }

    /// Hands a socket to the shard with the fewest connections; equals take turns. A shard that has ended or is far
    /// behind is passed over; when all are, the socket waits.
    fn place(&mut self, socket: TcpStream) {
        // A small answer must not wait for the peer's acknowledgement of the one before.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "set TCP_NODELAY");
        }
        let mut mail = Mail::Socket(socket);
        loop {
            let count = self.places.len();
            self.turn = (self.turn + 1) % count;
            let mut order: Vec<usize> = (0..count).map(|step| (self.turn + step) % count).collect();
            order.sort_by_key(|&index| self.places[index].gauges.open_connections());
            for index in order {
                let place = &self.places[index];
                place.gauges.connections.fetch_add(1, Ordering::Relaxed);
                match place.address.send(mail) {
                    Ok(()) => return,
                    Err(back) => mail = back,
                }
                place.gauges.connections.fetch_sub(1, Ordering::Relaxed);
            }
            if self.stops_within(BACK_OFF) {
                return;
            }
        }
    }

    /// Blocks until somebody connects; true when it is time to stop.
    fn wait_for_peer(&self) -> bool {
        let mut fds = [
            PollFd::new(&self.listener, PollFlags::IN),
            PollFd::new(&*self.stop, PollFlags::IN),
        ];
        let _ = poll(&mut fds, None);
        !fds[1].revents().is_empty()
    }

    fn stops_within(&self, time: Duration) -> bool {
        let mut fds = [PollFd::new(&*self.stop, PollFlags::IN)];
        let _ = poll(&mut fds, Timespec::try_from(time).ok().as_ref());
        !fds[0].revents().is_empty()
    }

    fn complain(&mut self, errno: Errno) {
        if self.complained.is_none_or(|last| last.elapsed() >= COMPLAIN_EVERY) {
            self.complained = Some(Instant::now());
            tracing::warn!(error = %errno, "connections wait: accepting fails (out of file descriptors? see ulimit -n)");
        }
    }
}
