//! Connections beyond the limit that have sent nothing yet. They are accepted, so that a health check behind them is
//! seen.
//!
//! They wait for a place, or for their first byte, with which they get one of the places for health checks. A waiting
//! connection costs a descriptor; when there are too many, the one that has waited longest is closed for the next.

use std::collections::VecDeque;
use std::net::TcpStream;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::limits::WAITING_CONNECTIONS;

const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// The one that has waited longest first.
    sockets: VecDeque<TcpStream>,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    pub(super) fn push(&mut self, socket: TcpStream) {
        self.sockets.push_back(socket);
    }

    /// The one that has waited longest.
    pub(super) fn pop(&mut self) -> Option<TcpStream> {
        self.sockets.pop_front()
    }

    /// The one that has waited longest of those that have said something, or have gone.
    pub(super) fn take_ready(&mut self) -> Option<TcpStream> {
        let place = self.ready().iter().position(|&ready| ready)?;
        self.sockets.remove(place)
    }

    /// Makes room for one more by closing the one that has been silent for longest; false when none is.
    pub(super) fn make_room(&mut self) -> bool {
        self.sockets.len() < WAITING_CONNECTIONS || self.close_silent()
    }

    /// Closes the one that has been silent for longest, which gives a descriptor back; false when none is.
    pub(super) fn close_silent(&mut self) -> bool {
        match self.ready().iter().position(|&ready| !ready) {
            Some(place) => self.sockets.remove(place).is_some(),
            None => false,
        }
    }

    /// What to poll for, to learn when one of them sends something.
    pub(super) fn interest(&self) -> impl Iterator<Item = PollFd<'_>> {
        self.sockets.iter().map(|socket| PollFd::new(socket, PollFlags::IN))
    }

    fn ready(&self) -> Vec<bool> {
        let mut fds: Vec<_> = self.interest().collect();
        // When it fails, no connection is ready, and the next round polls again.
        let _ = poll(&mut fds, Some(&AT_ONCE));
        fds.iter().map(|fd| !fd.revents().is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn who_says_something_comes_first_and_who_is_silent_makes_room() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Waiting::default();
        let mut clients: Vec<TcpStream> = (0..WAITING_CONNECTIONS)
            .map(|_| {
                let client = TcpStream::connect(address).unwrap();
                waiting.push(listener.accept().unwrap().0);
                client
            })
            .collect();
        assert!(waiting.take_ready().is_none());
        for number in [0, 3] {
            clients[number].write_all(b"x").unwrap();
        }
        // Loopback brings a byte before the write returns; a loaded machine may deliver it a moment later.
        while waiting.ready().iter().filter(|&&ready| ready).count() < 2 {}
        assert!(waiting.make_room(), "the second one is silent");
        assert_eq!(clients[1].read(&mut [0]).unwrap(), 0, "and is closed");
        let peer = |socket: Option<TcpStream>| socket.unwrap().peer_addr().unwrap();
        assert_eq!(peer(waiting.take_ready()), clients[0].local_addr().unwrap());
        assert_eq!(peer(waiting.take_ready()), clients[3].local_addr().unwrap());
        assert_eq!(peer(waiting.pop()), clients[2].local_addr().unwrap());
        assert!(waiting.take_ready().is_none() && !waiting.is_empty());
    }
}
