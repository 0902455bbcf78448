//! The bounded way of frames from one shard to side: a ring of bytes with one writer and one reader.
//!
//! The writer publishes a whole frame with one Release store or nothing at all, so the reader meets whole frames only.
//! Neither side waits, locks or enters the kernel. The ring itself is `rtrb`'s.

use super::frame::claimed_length;

/// Where a shard puts frames.
#[derive(Debug)]
pub struct Producer {
    ring: rtrb::Producer<u8>,
}

/// Where side takes them.
#[derive(Debug)]
pub struct Consumer {
    ring: rtrb::Consumer<u8>,
}

/// There was no room for the frame; nothing of it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record queue is full")]
pub struct Full;

/// A queue of so many bytes. Its memory is touched here: a shard must not meet page faults on its first lap.
#[must_use]
pub fn queue(bytes: usize) -> (Producer, Consumer) {
    let (mut producer, mut consumer) = rtrb::RingBuffer::new(bytes);
    if let Ok(chunk) = producer.write_chunk_uninit(bytes) {
        chunk.fill_from_iter(std::iter::repeat_n(0xFF, bytes));
    }
    if let Ok(chunk) = consumer.read_chunk(bytes) {
        chunk.commit_all();
    }
    (Producer { ring: producer }, Consumer { ring: consumer })
}

impl Producer {
    /// Puts a whole frame in, or nothing.
    ///
    /// # Errors
    /// When there is no room for all of it.
    ///
    /// # Panics
    /// When the bytes are not one frame by their own account: the reader could never find the next one.
    #[inline]
    pub fn push(&mut self, frame: &[u8]) -> Result<(), Full> {
        let claimed = frame.first_chunk().map(|&bytes| claimed_length(bytes));
        assert!(claimed == Some(frame.len()), "only encoded frames are queued");
        self.ring.push_entire_slice(frame).map_err(|_| Full)
    }

    /// Whether a frame of so many bytes would go in.
    #[inline]
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        self.ring.cached_slots() >= bytes || self.ring.slots() >= bytes
    }
}

impl Consumer {
    /// Appends whole frames to `out`, as many as fit into `max_bytes`, and returns how many. The first one is taken
    /// whatever its size, so that a large frame cannot block the queue for ever.
    pub fn drain_into(&mut self, out: &mut Vec<u8>, max_bytes: usize) -> usize {
        let Ok(chunk) = self.ring.read_chunk(self.ring.slots()) else {
            return 0;
        };
        let (first, second) = chunk.as_slices();
        let (frames, end) = whole_frames(first, second, max_bytes);
        let of_first = end.min(first.len());
        out.extend_from_slice(&first[..of_first]);
        out.extend_from_slice(&second[..end - of_first]);
        chunk.commit(end);
        frames
    }

    /// Bytes that wait.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.ring.slots()
    }

    /// Bytes the queue holds at most.
    #[must_use]
    pub fn capacity_bytes(&self) -> usize {
        self.ring.buffer().capacity()
    }

    /// Whether the producer is gone. What it pushed before is still here.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.ring.is_abandoned()
    }
}

/// How many frames, and bytes of them, a ring's two parts begin with.
fn whole_frames(first: &[u8], second: &[u8], max_bytes: usize) -> (usize, usize) {
    let available = first.len() + second.len();
    let byte = |place: usize| {
        if place < first.len() {
            first[place]
        } else {
            second[place - first.len()]
        }
    };
    let (mut frames, mut end) = (0, 0);
    while end < available {
        // A frame is published as a whole, so its length is there when its first byte is.
        let length = claimed_length([byte(end), byte(end + 1), byte(end + 2), byte(end + 3)]);
        if frames > 0 && end + length > max_bytes {
            break;
        }
        (frames, end) = (frames + 1, end + length);
    }
    debug_assert!(end <= available, "frames are published as a whole");
    (frames, end)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    struct Random(u64);

    impl Random {
        fn below(&mut self, end: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % end as u64).unwrap()
        }
    }

    /// The queue looks at lengths only; the rest is a number to tell frames apart.
    fn frame(length: usize, number: usize) -> Vec<u8> {
        let mut bytes = u32::try_from(length).unwrap().to_le_bytes().to_vec();
        bytes.resize(length, number.to_le_bytes()[0]);
        bytes
    }

    #[test]
    fn random_operations_agree_with_a_deque() {
        let mut random = Random(42);
        for capacity in [16, 61, 64, 1000, 4096] {
            let (mut producer, mut consumer) = queue(capacity);
            let mut oracle: VecDeque<Vec<u8>> = VecDeque::new();
            let waiting = |oracle: &VecDeque<Vec<u8>>| oracle.iter().map(Vec::len).sum::<usize>();
            for number in 0..20_000 {
                if random.below(2) == 0 {
                    let frame = frame(4 + random.below(capacity), number);
                    let fits = waiting(&oracle) + frame.len() <= capacity;
                    assert_eq!(producer.has_room(frame.len()), fits);
                    assert_eq!(producer.push(&frame), if fits { Ok(()) } else { Err(Full) });
                    if fits {
                        oracle.push_back(frame);
                    }
                } else {
                    let max = random.below(capacity + 10);
                    let mut expected = b"kept".to_vec();
                    let mut count = 0;
                    while let Some(next) = oracle.front() {
                        if count > 0 && expected.len() - 4 + next.len() > max {
                            break;
                        }
                        expected.extend_from_slice(&oracle.pop_front().unwrap());
                        count += 1;
                    }
                    let mut out = b"kept".to_vec();
                    assert_eq!(consumer.drain_into(&mut out, max), count);
                    assert_eq!(out, expected);
                }
                assert_eq!(consumer.pending_bytes(), waiting(&oracle));
                assert_eq!(consumer.capacity_bytes(), capacity);
            }
        }
    }

    #[test]
    fn frames_cross_threads_whole_and_in_order() {
        let (mut producer, mut consumer) = queue(1 << 10);
        let total = 200_000_usize;
        let writer = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || {
                for number in 0..total {
                    let frame = frame(8 + number % 300, number);
                    while producer.push(&frame).is_err() {
                        std::hint::spin_loop();
                    }
                }
            })
            .unwrap();
        let (mut out, mut number) = (Vec::new(), 0);
        while number < total {
            out.clear();
            let frames = consumer.drain_into(&mut out, 700);
            let mut rest = out.as_slice();
            for _ in 0..frames {
                let length = claimed_length(*rest.first_chunk().unwrap());
                assert_eq!(rest[..length], frame(8 + number % 300, number));
                (rest, number) = (&rest[length..], number + 1);
            }
            assert!(rest.is_empty());
            if frames == 0 {
                std::thread::yield_now();
            }
        }
        writer.join().unwrap();
        assert!(consumer.is_closed());
    }

    #[test]
    fn what_was_pushed_survives_the_producer() {
        let (mut producer, mut consumer) = queue(64);
        producer.push(&frame(16, 1)).unwrap();
        assert!(!consumer.is_closed());
        drop(producer);
        assert!(consumer.is_closed());
        let mut out = Vec::new();
        assert_eq!(consumer.drain_into(&mut out, 64), 1);
        assert_eq!(out, frame(16, 1));
    }

    #[test]
    #[should_panic(expected = "only encoded frames are queued")]
    fn bytes_that_are_no_frame_are_refused() {
        let (mut producer, _consumer) = queue(64);
        let _ = producer.push(&[9, 0, 0, 0, 1]);
    }
}
