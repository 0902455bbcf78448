//! Several requests at once on one HTTP/1.1 connection: pipelining (RFC 9112, section 9.3.2). Answers come in the order
//! of the requests.
//!
//! Slots share the connection. The slot whose answer comes next reads, the others wait for their turn. Requests gather
//! in one buffer, which is written when nothing is left to read: a burst of answers is followed by one write of all the
//! requests that it has made room for.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Mutex;

use crate::h1::{self, Framing, Malformed};
use crate::link::{BUFFER_BYTES, Fault, Prepared, Stream, broken};
use crate::payload::ID_DIGITS;
use crate::target::Target;

/// A connection that several slots share.
#[derive(Debug, Default)]
pub struct Pipeline {
    opening: Mutex<()>,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    stream: Option<Stream>,
    /// How many connections there were before this one: what was sent on those has no answer here.
    generation: u64,
    out: Vec<u8>,
    buffer: Vec<u8>,
    start: usize,
    filled: usize,
    answered: u64,
    /// One for each request without an answer, oldest first.
    waiting: VecDeque<Option<Waker>>,
    /// The oldest has read everything there is and sleeps.
    reader_sleeps: bool,
}

impl Pipeline {
    /// Opens the connection if there is none; whether it had to.
    ///
    /// # Errors
    /// When the server does not accept.
    pub async fn open(&self, target: &Target) -> Result<bool, Fault> {
        if self.state.borrow().stream.is_some() {
            return Ok(false);
        }
        let _one_at_a_time = self.opening.lock().await;
        if self.state.borrow().stream.is_some() {
            return Ok(false);
        }
        let stream = Stream::connect(target).await?;
        self.state.borrow_mut().stream = Some(stream);
        Ok(true)
    }

    /// Sends a request and waits for its answer, whose body replaces what is in `body`; the answer's status.
    ///
    /// # Errors
    /// When there is none. Then no other request under way has one either, and the next [`Self::open`] opens a new
    /// connection.
    pub async fn exchange(&self, request: &Prepared, id: &[u8; ID_DIGITS], body: &mut Vec<u8>) -> Result<u16, Fault> {
        let (generation, ticket) = self.state.borrow_mut().send(request, id);
        poll_fn(|cx| {
            let state = &mut *self.state.borrow_mut();
            if state.generation != generation {
                return Poll::Ready(Err(Fault::Closed));
            }
            let poll = state.poll_answer(ticket, body, cx);
            if matches!(poll, Poll::Ready(Err(_) | Ok((_, true)))) {
                state.close();
            }
            poll.map_ok(|(status, _)| status)
        })
        .await
    }
}

impl State {
    fn send(&mut self, request: &Prepared, id: &[u8; ID_DIGITS]) -> (u64, u64) {
        let at = self.out.len();
        self.out.extend_from_slice(&request.bytes);
        if let Some(id_at) = request.id_at {
            self.out[at + id_at..at + id_at + ID_DIGITS].copy_from_slice(id);
        }
        self.waiting.push_back(None);
        (self.generation, self.answered + self.waiting.len() as u64 - 1)
    }

    /// The status of a request's answer, and whether it is the last on this connection.
    fn poll_answer(
        &mut self,
        ticket: u64,
        body: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(u16, bool), Fault>> {
        let before = usize::try_from(ticket - self.answered).unwrap_or(usize::MAX);
        self.waiting[before] = Some(cx.waker().clone());
        if before > 0 {
            if self.reader_sleeps {
                self.write(cx)?;
            }
            return Poll::Pending;
        }
        self.reader_sleeps = false;
        loop {
            if let Some(answer) = self.take(body)? {
                self.answered += 1;
                self.waiting.pop_front();
                if let Some(next) = self.waiting.front_mut().and_then(Option::take) {
                    next.wake();
                }
                return Poll::Ready(Ok(answer));
            }
            self.write(cx)?;
            match self.poll_read(cx)? {
                Poll::Ready(0) => return Poll::Ready(Err(Fault::Closed)),
                Poll::Ready(count) => self.filled += count,
                Poll::Pending => {
                    self.reader_sleeps = true;
                    return Poll::Pending;
                }
            }
        }
    }

    /// The next answer that has been read whole.
    fn take(&mut self, body: &mut Vec<u8>) -> Result<Option<(u16, bool)>, Fault> {
        loop {
            let bytes = &self.buffer[self.start..self.filled];
            let Some(head) = h1::head(bytes)? else { return Ok(None) };
            let rest = &bytes[head.bytes..];
            let took = match head.body {
                Framing::Length(length) if rest.len() < length => return Ok(None),
                Framing::Length(length) => {
                    body.clear();
                    body.extend_from_slice(&rest[..length]);
                    length
                }
                Framing::Chunked => match h1::chunks(rest, body)? {
                    Some(took) => took,
                    None => return Ok(None),
                },
                Framing::Close => return Err(Malformed::Endless.into()),
            };
            self.start += head.bytes + took;
            // An interim answer: the final one follows it.
            if head.status / 100 != 1 {
                return Ok(Some((head.status, head.closes)));
            }
        }
    }

    /// Writes what the socket takes. What it does not take now is written when it wakes `cx`.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
        let Some(stream) = &mut self.stream else {
            return Err(Fault::Closed);
        };
        let mut written = 0;
        while written < self.out.len() {
            match Pin::new(&mut *stream).poll_write(cx, &self.out[written..]) {
                Poll::Ready(Ok(0)) => return Err(Fault::Closed),
                Poll::Ready(Ok(count)) => written += count,
                Poll::Ready(Err(error)) => return Err(broken(error)),
                Poll::Pending => break,
            }
        }
        self.out.drain(..written);
        match Pin::new(stream).poll_flush(cx) {
            Poll::Ready(Err(error)) => Err(broken(error)),
            _ => Ok(()),
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<Poll<usize>, Fault> {
        let Some(stream) = &mut self.stream else {
            return Err(Fault::Closed);
        };
        self.buffer.copy_within(self.start..self.filled, 0);
        (self.start, self.filled) = (0, self.filled - self.start);
        if self.filled == self.buffer.len() {
            if self.filled > 2 * h1::ANSWER_BYTES_MAX {
                return Err(Malformed::TooLong.into());
            }
            self.buffer.resize((2 * self.filled).max(BUFFER_BYTES), 0);
        }
        let mut room = ReadBuf::new(&mut self.buffer[self.filled..]);
        match Pin::new(stream).poll_read(cx, &mut room) {
            Poll::Ready(Ok(())) => Ok(Poll::Ready(room.filled().len())),
            Poll::Ready(Err(error)) => Err(broken(error)),
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    /// Gives the connection up, with everything that is under way on it.
    fn close(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        *self = Self {
            generation: self.generation + 1,
            buffer: std::mem::take(&mut self.buffer),
            ..Self::default()
        };
        waiting.into_iter().flatten().for_each(Waker::wake);
    }
}
