//! Timers of one shard: a wheel of ticks, advanced by one task, read by connections and bodies.
//!
//! Limits are set far more often than they pass: every request moves its connection's deadline several times. So a
//! timer that moves to a later deadline stays where it is linked, and is linked again only when its old tick is
//! reached. Setting one is a store; nothing here allocates once the slab has grown to the number of connections.
//!
//! ```text
//! slots   [ t | t+1 | t+2 | … ]        each the head of a doubly linked list of entries
//! entries { deadline, linked at, waker, prev, next }
//! ```

use std::task::{Context, Waker};
use std::time::Duration;

use slab::Slab;

use crate::limits::TICK;

/// Ticks the wheel can see ahead: 102 s at a tenth of a second. Later deadlines are linked again when the wheel has
/// turned once.
const SLOTS: usize = 1024;

const NONE: u32 = u32::MAX;
const NEVER: u64 = u64::MAX;

/// A timer's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timer(u32);

#[derive(Debug)]
struct Entry {
    deadline: u64,
    linked: u64,
    prev: u32,
    next: u32,
    waker: Option<Waker>,
}

/// All timers of a shard.
#[derive(Debug)]
pub struct TimerWheel {
    entries: Slab<Entry>,
    slots: Box<[u32]>,
    now: u64,
}

impl TimerWheel {
    /// A wheel with room for this many timers before it allocates.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            entries: Slab::with_capacity(capacity),
            slots: vec![NONE; SLOTS].into(),
            now: 0,
        }
    }

    /// A timer without a deadline. It lives until [`Self::remove`].
    pub fn insert(&mut self) -> Timer {
        let entry = Entry {
            deadline: NEVER,
            linked: NEVER,
            prev: NONE,
            next: NONE,
            waker: None,
        };
        let key = self.entries.insert(entry);
        Timer(u32::try_from(key).expect("timers are fewer than connections and requests, which have limits"))
    }

    /// Forgets a timer.
    pub fn remove(&mut self, timer: Timer) {
        self.unlink(timer.0);
        self.entries.remove(timer.0 as usize);
    }

    /// Moves a timer's deadline to `after` from now, rounded up to ticks: a limit is never cut short.
    pub fn set(&mut self, timer: Timer, after: Duration) {
        let ticks = after.as_nanos().div_ceil(TICK.as_nanos()) + 1;
        let deadline = self
            .now
            .saturating_add(u64::try_from(ticks).unwrap_or(NEVER))
            .min(NEVER - 1);
        let entry = &mut self.entries[timer.0 as usize];
        entry.deadline = deadline;
        if deadline < entry.linked {
            self.unlink(timer.0);
            self.link(timer.0);
        }
    }

    /// Takes a timer's deadline away.
    pub fn clear(&mut self, timer: Timer) {
        self.entries[timer.0 as usize].deadline = NEVER;
    }

    /// Whether the deadline has passed.
    #[must_use]
    pub fn fired(&self, timer: Timer) -> bool {
        self.entries[timer.0 as usize].deadline <= self.now
    }

    /// As [`Self::fired`]; the task is woken when this deadline passes, or a later one that is set in the meantime.
    pub fn poll_fired(&mut self, timer: Timer, cx: &Context<'_>) -> bool {
        let entry = &mut self.entries[timer.0 as usize];
        if !entry.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            entry.waker = Some(cx.waker().clone());
        }
        entry.deadline <= self.now
    }

    /// Wakes the task that last polled this timer.
    pub fn wake(&mut self, timer: Timer) {
        if let Some(waker) = self.entries[timer.0 as usize].waker.take() {
            waker.wake();
        }
    }

    /// Turns the wheel to the tick that holds `elapsed` since its start, and wakes whose deadline has passed.
    pub fn advance(&mut self, elapsed: Duration) {
        let target = u64::try_from(elapsed.as_nanos() / TICK.as_nanos()).unwrap_or(NEVER - 1);
        // After a long sleep (a suspended machine) one turn looks at every slot.
        let first = target.saturating_sub(SLOTS as u64 - 1).max(self.now + 1);
        for tick in first..=target {
            self.now = tick;
            self.turn(tick);
        }
    }

    fn turn(&mut self, tick: u64) {
        let mut key = std::mem::replace(&mut self.slots[slot(tick)], NONE);
        while key != NONE {
            let entry = &mut self.entries[key as usize];
            let next = entry.next;
            (entry.linked, entry.prev, entry.next) = (NEVER, NONE, NONE);
            if entry.deadline <= self.now {
                if let Some(waker) = entry.waker.take() {
                    waker.wake();
                }
            } else if entry.deadline != NEVER {
                self.link(key);
            }
            key = next;
        }
    }

    fn link(&mut self, key: u32) {
        let entry = &mut self.entries[key as usize];
        let at = entry.deadline.clamp(self.now + 1, self.now + SLOTS as u64 - 1);
        let head = std::mem::replace(&mut self.slots[slot(at)], key);
        (entry.linked, entry.prev, entry.next) = (at, NONE, head);
        if head != NONE {
            self.entries[head as usize].prev = key;
        }
    }

    fn unlink(&mut self, key: u32) {
        let entry = &mut self.entries[key as usize];
        let (at, prev, next) = (entry.linked, entry.prev, entry.next);
        if at == NEVER {
            return;
        }
        (entry.linked, entry.prev, entry.next) = (NEVER, NONE, NONE);
        match prev {
            NONE => self.slots[slot(at)] = next,
            prev => self.entries[prev as usize].next = next,
        }
        if next != NONE {
            self.entries[next as usize].prev = prev;
        }
    }
}

fn slot(tick: u64) -> usize {
    usize::try_from(tick % SLOTS as u64).expect("a remainder of SLOTS is below it")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn wakes_once_and_never_early() {
        let (mut wheel, count) = (TimerWheel::new(4), Arc::new(Count::default()));
        let waker = Waker::from(Arc::clone(&count));
        let timer = wheel.insert();
        wheel.set(timer, TICK * 5);
        assert!(!wheel.poll_fired(timer, &Context::from_waker(&waker)));
        wheel.advance(TICK * 5);
        assert!(
            !wheel.fired(timer),
            "set between two ticks, five full ones have not passed at the fifth"
        );
        wheel.advance(TICK * 6);
        assert!(wheel.fired(timer));
        wheel.advance(TICK * 3000);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }

    /// A task that learns that one deadline has passed, and sets the next at once, must be woken for that one too.
    #[test]
    fn wakes_for_a_deadline_set_after_the_last_look() {
        let (mut wheel, count) = (TimerWheel::new(4), Arc::new(Count::default()));
        let waker = Waker::from(Arc::clone(&count));
        let timer = wheel.insert();
        wheel.set(timer, TICK);
        wheel.advance(TICK * 2);
        assert!(wheel.poll_fired(timer, &Context::from_waker(&waker)));
        wheel.set(timer, TICK * 3);
        wheel.advance(TICK * 6);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }

    /// Deadlines that only a list of all timers knows are compared with the wheel's, under random operations.
    #[test]
    fn agrees_with_a_plain_list() {
        let mut wheel = TimerWheel::new(0);
        let mut model: Vec<(Timer, u64)> = Vec::new();
        let (mut state, mut now) = (0x9e37_79b9_7f4a_7c15u64, 0u64);
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        for _ in 0..200_000 {
            match random(8) {
                0 if model.len() < 64 => model.push((wheel.insert(), NEVER)),
                1 if !model.is_empty() => {
                    let index = usize::try_from(random(model.len() as u64)).unwrap();
                    wheel.remove(model.swap_remove(index).0);
                }
                2 if !model.is_empty() => {
                    let index = usize::try_from(random(model.len() as u64)).unwrap();
                    wheel.clear(model[index].0);
                    model[index].1 = NEVER;
                }
                3..=5 if !model.is_empty() => {
                    let index = usize::try_from(random(model.len() as u64)).unwrap();
                    let ticks = u32::try_from(random(3000)).unwrap();
                    wheel.set(model[index].0, TICK * ticks);
                    model[index].1 = now + u64::from(ticks) + 1;
                }
                _ => {
                    now += random(40);
                    wheel.advance(TICK * u32::try_from(now).unwrap());
                }
            }
            for &(timer, deadline) in &model {
                assert_eq!(wheel.fired(timer), deadline <= now, "deadline {deadline}, now {now}");
                let entry = &wheel.entries[timer.0 as usize];
                assert!(
                    deadline == NEVER || deadline <= now || entry.linked <= deadline,
                    "would be woken late"
                );
            }
        }
    }
}
