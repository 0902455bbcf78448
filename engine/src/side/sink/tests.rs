//! What holds for every sink that computes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::record::Schema;
use crate::side::testing::{Recorder, TestDir, logistic};

const NOW_US: i64 = 1_764_000_000_000_000;

/// Those of the kind that computes.
const COMPUTE: &[SinkKind] = &[SinkKind::Parquet];

fn each(name: &str, test: impl Fn(&mut dyn EncodingSink, &TestDir)) {
    for &kind in COMPUTE {
        let dir = TestDir::new(name);
        let records = Records {
            sinks: vec![kind],
            data_dir: dir.path().to_path_buf(),
            roll_rows: 10,
            ..Records::default()
        };
        let Opened::EncodingSink(mut sink) = open(kind, &records, &Aws::default()).unwrap() else {
            panic!("{} is of the other kind", kind.name());
        };
        test(sink.as_mut(), &dir);
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
    let schema = Arc::new(Schema::of(&logistic(["a", "b", "c", "d"], 1)));
    each("flush", |sink, _| {
        let mut recorder = Recorder::new(&logistic(["a", "b", "c", "d"], 1), 0);
        let mut taken = 0;
        for count in [1_u32, 9, 10, 11, 25] {
            for number in 0..count {
                let record = recorder.frame(NOW_US, number);
                let (number, schema) = (taken, &schema);
                sink.take(&Item { number, record, schema }, Instant::now()).unwrap();
                taken += 1;
            }
            assert!(sink.delivered().end <= taken);
            sink.flush().unwrap();
            assert_eq!(sink.delivered().end, taken);
            assert_eq!(sink.due(), None);
        }
    });
}

#[test]
fn what_is_due_is_delivered() {
    let model = logistic(["a", "b", "c", "d"], 1);
    let schema = &Arc::new(Schema::of(&model));
    each("due", |sink, _| {
        let now = Instant::now();
        let mut recorder = Recorder::new(&model, 0);
        let record = recorder.frame(NOW_US, 1);
        let item = Item {
            number: 0,
            record,
            schema,
        };
        sink.take(&item, now).unwrap();
        if let Some(due) = sink.due() {
            assert!(due > now && due <= now + Records::default().roll_after);
            sink.deliver(due - Duration::from_millis(1)).unwrap();
            assert_eq!(sink.delivered().end, 0);
            sink.deliver(due).unwrap();
        }
        assert_eq!(sink.delivered().end, 1);
    });
}
