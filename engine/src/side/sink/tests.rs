//! What holds for every sink.

use std::time::{Duration, Instant};

use super::*;
use crate::side::testing::{Recorder, TestDir, logistic};

const NOW_US: i64 = 1_764_000_000_000_000;

fn each(name: &str, test: impl Fn(&mut dyn Sink, &TestDir)) {
    for sink in [SinkKind::Parquet, SinkKind::None] {
        let dir = TestDir::new(name);
        let records = Records {
            sink,
            data_dir: dir.path().to_path_buf(),
            roll_rows: 10,
            ..Records::default()
        };
        test(open(&records).unwrap().as_mut(), &dir);
    }
}

#[test]
fn nothing_taken_is_nothing_delivered() {
    each("nothing", |sink, dir| {
        assert_eq!(sink.due(), None);
        sink.deliver(Instant::now()).unwrap();
        sink.flush().unwrap();
        assert_eq!(sink.delivered(), Delivery::default());
        assert!(dir.files().is_empty() && dir.temporary().is_empty());
    });
}

#[test]
fn a_flush_delivers_everything_and_more_can_follow() {
    let model = logistic(["a", "b", "c", "d"], 1);
    each("flush", |sink, _| {
        let mut recorder = Recorder::new(&model, 0);
        let mut taken = 0;
        for count in [1_u32, 9, 10, 11, 25] {
            for number in 0..count {
                sink.take(&recorder.frame(NOW_US, number), &model, Instant::now())
                    .unwrap();
            }
            taken += u64::from(count);
            assert!(sink.delivered().records <= taken);
            sink.flush().unwrap();
            assert_eq!(sink.delivered().records, taken);
            assert_eq!(sink.due(), None);
        }
    });
}

#[test]
fn what_is_due_is_delivered() {
    let model = logistic(["a", "b", "c", "d"], 1);
    each("due", |sink, _| {
        let now = Instant::now();
        sink.take(&Recorder::new(&model, 0).frame(NOW_US, 1), &model, now)
            .unwrap();
        if let Some(due) = sink.due() {
            assert!(due > now && due <= now + Records::default().roll_after);
            sink.deliver(due - Duration::from_millis(1)).unwrap();
            assert_eq!(sink.delivered().records, 0);
            sink.deliver(due).unwrap();
        }
        assert_eq!(sink.delivered().records, 1);
    });
}
