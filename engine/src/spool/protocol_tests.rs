//! Every interleaving of a writer and a reader, by loom: that a reader never sees bytes that are being written, and
//! sees every frame once and in order.

#![expect(
    unsafe_code,
    reason = "the trait's method is unsafe, and loom's cells hand out pointers"
)]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::AtomicU32 as LoomU32;

use super::*;

/// Two frames and the end.
const UNITS: usize = 12;
const FRAME: usize = 16;
const TAG: u32 = 0xA5A5_0F0F;

/// A word that may be weaker than what is asked for.
struct Unit {
    value: LoomU32,
    is_weak: bool,
}

impl Word for Unit {
    fn load(&self, order: Ordering) -> u32 {
        self.value.load(order)
    }

    fn store(&self, value: u32, order: Ordering) {
        self.value
            .store(value, if self.is_weak { Ordering::Relaxed } else { order });
    }
}

/// A segment of four-byte units, each an atomic for those that hold a word, and a cell that loom watches for the
/// others.
struct Model {
    words: Vec<Unit>,
    cells: Vec<UnsafeCell<u32>>,
}

impl Model {
    fn new(is_weak: bool) -> Self {
        let unit = |_| Unit {
            value: LoomU32::new(0),
            is_weak,
        };
        Self {
            words: (0..UNITS).map(unit).collect(),
            cells: (0..UNITS).map(|_| UnsafeCell::new(0)).collect(),
        }
    }

    fn read(&self, at: usize, len: usize) -> Vec<u32> {
        let read = |unit: &UnsafeCell<u32>| {
            // SAFETY: loom fails the test if anybody writes meanwhile.
            unit.with(|value| unsafe { *value })
        };
        self.cells[at / 4..(at + len) / 4].iter().map(read).collect()
    }
}

impl Memory for Model {
    type Word = Unit;

    fn word(&self, at: usize) -> &Unit {
        &self.words[at / 4]
    }

    unsafe fn fill(&self, at: usize, bytes: &[u8]) {
        for (unit, chunk) in self.cells[at / 4..].iter().zip(bytes.as_chunks::<4>().0) {
            // SAFETY: loom fails the test if anybody reads or writes meanwhile.
            unit.with_mut(|value| unsafe { *value = u32::from_le_bytes(*chunk) });
        }
    }
}

fn frame(number: u32) -> Vec<u8> {
    [16, 1000 + number, 7 * number, 9 * number]
        .iter()
        .flat_map(|unit: &u32| unit.to_le_bytes())
        .collect()
}

/// A shard writes two frames and moves on to another segment; a sink reads both segments.
fn write_and_read(is_weak: bool) {
    loom::model(move || {
        let first = Arc::new(Model::new(is_weak));
        let second = Arc::new(Model::new(is_weak));
        let (to_first, to_second) = (Arc::clone(&first), Arc::clone(&second));
        let writer = loom::thread::spawn(move || {
            append(&*to_first, 0, &frame(1), TAG);
            seal(&*to_first, FRAME);
            append(&*to_second, 0, &frame(2), TAG);
        });
        let (mut at, mut number) = (0, 0);
        let mut segment = &first;
        while number < 2 {
            match look(&**segment, at) {
                FrameLook::Nothing => loom::thread::yield_now(),
                FrameLook::Sealed => (segment, at) = (&second, 0),
                FrameLook::Frame(length) => {
                    number += 1;
                    assert_eq!(length, FRAME);
                    let expected = [(1000 + number) ^ TAG, 7 * number, 9 * number];
                    assert_eq!(segment.read(at + 4, FRAME - 4), expected);
                    at += length;
                }
            }
        }
        writer.join().expect("the writer does not panic");
    });
}

#[test]
fn a_reader_sees_whole_frames_in_order_whatever_the_interleaving() {
    write_and_read(false);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn without_release_it_would_not() {
    write_and_read(true);
}
