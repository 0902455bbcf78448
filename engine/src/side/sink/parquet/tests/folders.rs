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

#[test]
fn a_finished_file_survives_the_removal_of_its_folder() {
    let dir = TestDir::new("finished");
    let mut sink = sink(&dir, 1000);
    let model = logistic(NAMES, 1);
    sink.take(&Recorder::new(&model, 0).frame(NOW_US, 1), &model, Instant::now())
        .unwrap();
    let scores = dir.path().join("scores");
    fs::remove_dir(&scores).unwrap();
    fs::write(&scores, "in the way").unwrap();
    assert!(sink.flush().is_err());
    assert_eq!(dir.temporary().len(), 1);
    fs::remove_dir_all(dir.path().join("tmp")).unwrap();
    fs::remove_file(&scores).unwrap();
    sink.flush().unwrap();
    assert_eq!((sink.delivered().end, rows(&dir)), (1, 1));
    assert!(dir.temporary().is_empty());
}

#[test]
fn what_a_dead_process_left_is_removed_and_what_a_living_one_writes_is_not() {
    let dir = TestDir::new("stale");
    let model = logistic(NAMES, 1);
    let mut recorder = Recorder::new(&model, 0);
    let mut alive = sink(&dir, 1_000_000);
    for number in 0..70_000 {
        alive
            .take(&recorder.frame(NOW_US, number), &model, Instant::now())
            .unwrap();
    }
    let living = dir.temporary();
    assert_eq!(living.len(), 1);
    let dead = dir.path().join("tmp/1-abc-1.tmp");
    let foreign = dir.path().join("tmp/notes.txt");
    fs::write(&dead, "PAR1").unwrap();
    fs::write(&foreign, "mine").unwrap();

    let mut other = sink(&dir, 10);
    assert!(!dead.exists() && foreign.exists() && living[0].exists());
    other
        .take(&recorder.frame(NOW_US, 70_000), &model, Instant::now())
        .unwrap();
    other.flush().unwrap();
    alive.flush().unwrap();
    assert_eq!(rows(&dir), 70_001);

    // A process that ends without finishing leaves a file, and its lock goes with it.
    let mut dying = sink(&dir, 1_000_000);
    for number in 0..70_000 {
        dying
            .take(&recorder.frame(NOW_US, number), &model, Instant::now())
            .unwrap();
    }
    drop(dying);
    assert_eq!(dir.temporary().len(), 2);
    drop(sink(&dir, 10));
    assert_eq!(dir.temporary(), [foreign]);
}

#[test]
fn a_folder_that_cannot_be_used_is_found_at_start() {
    let dir = TestDir::new("open");
    let file = dir.path().join("file");
    fs::write(&file, "in the way").unwrap();
    let records = Records {
        data_dir: file,
        ..Records::default()
    };
    let error = Parquet::open(&records).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("file/scores"), "{error}");
}
