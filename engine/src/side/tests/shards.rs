//! What runs between side and the shards besides records: counts, texts and log events.

use super::*;

#[test]
fn shards_get_metrics_at_once_and_their_counts_appear() {
    let dir = TestDir::new("metrics");
    let (parts, shards, _events) = parts(&dir, records(&dir, &[]), &[], 2, ROOMY);
    let side = start(parts).unwrap();
    for shard in &shards {
        let Some(Mail::Metrics(text)) = letter(&shard.mailbox) else {
            panic!("no metrics at the start")
        };
        assert!(text.starts_with(b"# HELP quintile_requests_total"));
    }
    // Both shards swap as shards do: the full block back, the empty one kept.
    let mut own = [0, 1].map(|_| Box::new(ShardStats::new()));
    own[0].answered(Route::Score, 200);
    own[1].answered(Route::Score, 200);
    own[1].answered(Route::Other, 404);
    let text = within(Duration::from_secs(5), || {
        for (shard, own) in shards.iter().zip(&mut own) {
            match letter(&shard.mailbox) {
                Some(Mail::Stats(empty)) => shard.full.send(std::mem::replace(own, empty)).unwrap(),
                Some(Mail::Metrics(text)) => {
                    let text = String::from_utf8(text.to_vec()).unwrap();
                    if text.contains("quintile_requests_total{route=\"/score\",status=\"200\"} 2\n") {
                        return Some(text);
                    }
                }
                _ => {}
            }
        }
        None
    });
    assert!(text.contains("quintile_shard_requests_total{shard=\"0\"} 1\n"));
    assert!(text.contains("quintile_shard_requests_total{shard=\"1\"} 2\n"));
    drop(shards);
    side.finish(soon()).unwrap();
}

#[test]
fn events_are_taken_from_their_queue() {
    let dir = TestDir::new("events");
    let (parts, shards, events) = parts(&dir, records(&dir, &[]), &[], 1, ROOMY);
    let side = start(parts).unwrap();
    for kind in [
        EventKind::Slow,
        EventKind::Failed,
        EventKind::Panicked,
        EventKind::TimedOut(Phase::Head),
        EventKind::Denied(DenialReason::NotAllowed),
    ] {
        let event = Event {
            kind,
            shard: 0,
            method: "POST",
            route: Route::Score,
            status: 500,
            total_us: 7,
            request_id: "id".try_into().unwrap(),
            trace: Some(Trace {
                trace_id: 1,
                span_id: 0,
                flags: None,
            }),
            principal: "crm".try_into().unwrap(),
            client: Some("192.0.2.1".parse().unwrap()),
        };
        events.send(event).unwrap();
    }
    within(Duration::from_secs(2), || events.is_empty().then_some(()));
    drop(shards);
    side.finish(soon()).unwrap();
}

#[test]
fn a_side_that_nobody_finishes_ends_by_itself() {
    let (shared, side, shard, _dir) = stubborn(false);
    drop((side, shard));
    // The sink goes when the worker does.
    within(Duration::from_secs(10), || {
        (Arc::strong_count(&shared) == 1).then_some(())
    });
}

#[test]
fn the_worker_gives_way() {
    let (_shared, side, shard, _dir) = stubborn(false);
    // Other tests have workers too; one that does not give way would be found by all of them.
    let nice = |task: &std::path::Path| {
        let stat = std::fs::read_to_string(task.join("stat")).ok()?;
        let (name, rest) = stat.split_once('(')?.1.split_once(") ")?;
        let nice: i32 = rest.split(' ').nth(16)?.parse().ok()?;
        (name == "worker").then_some(nice)
    };
    within(Duration::from_secs(5), || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let found: Vec<i32> = tasks.flatten().filter_map(|task| nice(&task.path())).collect();
        (!found.is_empty() && found.iter().all(|&nice| nice >= 10)).then_some(())
    });
    drop(shard);
    side.finish(soon()).unwrap();
}
