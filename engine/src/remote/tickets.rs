//! The remote calls of a shard: each is a future that completes when its answer comes.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
#[cfg(test)]
use std::time::Instant;

use slab::Slab;

use super::{RemoteError, RemoteResponse};

/// Tells a question from every other of its shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    place: usize,
    serial: u64,
}

/// A prediction, and what the shard took to notice it.
type TicketResult = (Result<Box<[f64]>, RemoteError>, Duration);

#[derive(Debug)]
struct Open {
    serial: u64,
    got: Option<TicketResult>,
    waker: Option<Waker>,
}

/// All open questions of a shard.
#[derive(Debug, Clone, Default)]
pub struct Tickets(Rc<RefCell<TicketTable>>);

#[derive(Debug, Default)]
struct TicketTable {
    open: Slab<Open>,
    serial: u64,
}

impl Tickets {
    /// A new question.
    #[must_use]
    pub fn issue(&self) -> PendingTicket {
        let mut desk = self.0.borrow_mut();
        desk.serial += 1;
        let serial = desk.serial;
        let place = desk.open.insert(Open {
            serial,
            got: None,
            waker: None,
        });
        PendingTicket {
            tickets: self.clone(),
            ticket: Ticket { place, serial },
        }
    }

    /// Hands an answer to the task that waits for it, if there still is one.
    pub fn settle(&self, answer: RemoteResponse) {
        let wake = answer.sent.elapsed();
        let waker = {
            let mut desk = self.0.borrow_mut();
            let Some(open) = desk.open.get_mut(answer.ticket.place) else {
                return;
            };
            if open.serial != answer.ticket.serial {
                return;
            }
            open.got = Some((answer.result, wake));
            open.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.borrow().open.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One question: the answer, when it comes. Dropping it gives the answer up.
#[derive(Debug)]
pub struct PendingTicket {
    tickets: Tickets,
    ticket: Ticket,
}

impl PendingTicket {
    /// What the answer must carry.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }
}

impl Future for PendingTicket {
    type Output = TicketResult;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TicketResult> {
        let mut desk = self.tickets.0.borrow_mut();
        let open = &mut desk.open[self.ticket.place];
        if let Some(got) = open.got.take() {
            return Poll::Ready(got);
        }
        open.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for PendingTicket {
    fn drop(&mut self) {
        self.tickets.0.borrow_mut().open.remove(self.ticket.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(ticket: Ticket, prediction: f64) -> RemoteResponse {
        RemoteResponse {
            ticket,
            result: Ok([prediction].into()),
            sent: Instant::now(),
        }
    }

    fn poll(waiting: &mut PendingTicket) -> Option<f64> {
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(waiting).poll(&mut context) {
            Poll::Ready((Ok(predictions), _)) => Some(predictions[0]),
            Poll::Ready((Err(miss), _)) => panic!("{miss}"),
            Poll::Pending => None,
        }
    }

    #[test]
    fn answers_come_in_any_order_and_find_their_question() {
        let tickets = Tickets::default();
        let (mut first, mut second) = (tickets.issue(), tickets.issue());
        assert_eq!((poll(&mut first), poll(&mut second)), (None, None));
        tickets.settle(answer(second.ticket(), 2.0));
        assert_eq!((poll(&mut first), poll(&mut second)), (None, Some(2.0)));
        tickets.settle(answer(first.ticket(), 1.0));
        assert_eq!(poll(&mut first), Some(1.0));
        drop((first, second));
        assert!(tickets.is_empty());
    }

    #[test]
    fn an_answer_that_comes_too_late_reaches_nobody_else() {
        let tickets = Tickets::default();
        let gone = tickets.issue();
        let late = gone.ticket();
        drop(gone);
        tickets.settle(answer(late, 1.0));
        let mut next = tickets.issue();
        assert_eq!(next.ticket().place, late.place, "the place is used again");
        tickets.settle(answer(late, 1.0));
        assert_eq!(poll(&mut next), None);
        tickets.settle(answer(next.ticket(), 2.0));
        assert_eq!(poll(&mut next), Some(2.0));
    }
}
