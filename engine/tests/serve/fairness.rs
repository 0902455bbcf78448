//! Few long-lived connections, as a load balancer keeps them, are spread evenly.

use std::thread;
use std::time::Duration;

use crate::client::Connection;
use crate::harness::Launch;
use crate::on_both;
use crate::records;
use crate::score::lead;

const TRIALS: usize = 100;

/// The records say which shard answered.
fn eight_connections_on_two_shards(runtime: &str) {
    let mut server = Launch::new(runtime).shards(2).start();
    for trial in 0..TRIALS {
        let mut eight: Vec<Connection> = (0..8).map(|_| server.connect()).collect();
        for connection in &mut eight {
            let answer = connection.post_with("/score", &format!("x-request-id: {trial}\r\n"), lead(trial).as_bytes());
            assert_eq!(answer.status, 200);
        }
        drop(eight);
        // The next trial must not find these half gone.
        thread::sleep(Duration::from_millis(20));
    }
    let records = records::read(&server.stop());
    assert_eq!(records.len(), TRIALS * 8);
    for trial in 0..TRIALS {
        let id = trial.to_string();
        let on_first = records
            .iter()
            .filter(|record| record.request_id == id && record.shard == 0)
            .count();
        assert!((3..=5).contains(&on_first), "trial {trial}: {on_first} of 8 on shard 0");
    }
}

on_both!(eight_connections_on_two_shards);
