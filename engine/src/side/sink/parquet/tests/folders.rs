//! Folders that change under the sink.

use super::*;

#[test]
fn a_folder_that_becomes_a_file_loses_nothing() {
    for folder in ["scores", "tmp"] {
        let block = |dir: &Path| {
            fs::rename(dir.join(folder), dir.join("aside")).unwrap();
            fs::write(dir.join(folder), "in the way").unwrap();
        };
        let unblock = |dir: &Path| {
            fs::remove_file(dir.join(folder)).unwrap();
            fs::rename(dir.join("aside"), dir.join(folder)).unwrap();
        };
        outlives(folder, block, unblock);
    }
}

#[test]
fn an_hour_that_is_a_file_loses_nothing() {
    let block = |dir: &Path| {
        let date = dir.join("scores/date=2025-11-24");
        let _ = fs::rename(&date, dir.join("aside"));
        fs::write(date, "in the way").unwrap();
    };
    let unblock = |dir: &Path| {
        fs::remove_file(dir.join("scores/date=2025-11-24")).unwrap();
        let _ = fs::rename(dir.join("aside"), dir.join("scores/date=2025-11-24"));
    };
    outlives("hour", block, unblock);
}

/// Takes a path away, has the sink refuse, and gives the path back.
fn outlives(name: &str, block: impl Fn(&Path), unblock: impl Fn(&Path)) {
    let dir = TestDir::new(name);
    let mut sink = sink(&dir, 10);
    let model = logistic(NAMES, 1);
    let mut recorder = Recorder::new(&model, 0);
    let mut taken = 0_u32;
    for round in 0..3 {
        block(dir.path());
        let mut refused = 0;
        for _ in 0..25 {
            match sink.take(&recorder.frame(NOW_US, taken), &model, Instant::now()) {
                Ok(()) => taken += 1,
                Err(SinkError::File { .. }) => refused += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert!(refused > 0, "nothing was refused in round {round}");
        assert!(sink.flush().is_err());
        assert!(sink.due().is_some_and(|due| due <= Instant::now()));
        unblock(dir.path());
        sink.deliver(Instant::now()).unwrap();
    }
    sink.flush().unwrap();
    assert_eq!((sink.delivered().end, rows(&dir)), (u64::from(taken), taken as usize));
    let mut leads: Vec<String> = dir
        .files()
        .iter()
        .flat_map(|path| texts(&read(path), "lead_id"))
        .collect();
    leads.sort_unstable();
    let mut expected: Vec<String> = (0..taken).map(|number| format!("lead-{number}")).collect();
    expected.sort_unstable();
    assert_eq!(leads, expected, "each record is there once");
}
