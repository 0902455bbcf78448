//! What comes late: files that can be read only after the start, damage that is there only at the end, a folder that
//! goes just before it.

use std::os::unix::fs::symlink;

use super::*;

/// The numbers that a cursor has, until it has as many as wanted.
fn wait_for(cursor: &mut Cursor, wanted: usize) -> BTreeSet<u64> {
    let until = Instant::now() + Duration::from_secs(60);
    let mut numbers = BTreeSet::new();
    while numbers.len() < wanted && Instant::now() < until {
        match cursor.peek() {
            Some(item) => {
                numbers.insert(number(&item));
                cursor.advance();
            }
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    numbers
}

#[test]
fn a_file_that_cannot_be_read_at_the_start_is_delivered_when_it_can() {
    let dir = TestDir::new("postponed");
    leave(&dir, 10);
    let path = files(&dir, "segment").next().unwrap();
    let elsewhere = dir.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    symlink("nothing-there", &path).unwrap();
    let (spool, mut writers) = Spool::open(options(&dir, 4 << 20, 1)).unwrap();
    assert_eq!(spool.found().postponed, 1, "neither damaged nor gone");
    let model = spool
        .schemas()
        .find(1)
        .expect("what cannot be read may be of it")
        .model_number;
    let mut ids = IdSource::new(0, 1);
    append(&mut writers[0], &record(&mut ids, model, 10, 1));
    let mut cursors = spool.cursors();
    for cursor in &mut cursors {
        assert_eq!(wait_for(cursor, 1), BTreeSet::from([10]), "it holds up nothing");
    }
    fs::remove_file(&path).unwrap();
    fs::rename(&elsewhere, &path).unwrap();
    for cursor in &mut cursors {
        assert_eq!(wait_for(cursor, 10), (0..10).collect());
        cursor.acknowledge(cursor.number());
    }
    drop((writers, cursors));
    assert_eq!(spool.close(), LeftoverRecords::default());
    assert!(!has_segments(&dir), "it is removed like any other");
}

#[test]
fn what_is_left_behind_a_damage_at_the_end_is_kept() {
    let dir = TestDir::new("damaged-late");
    let (spool, mut writers) = Spool::open(options(&dir, 4 << 20, 1)).unwrap();
    let model = spool.schemas().register(schema()).unwrap();
    let mut ids = IdSource::new(0, 1);
    let first = Arc::clone(&spool.shared.segments_after(None)[0]);
    let mut count = 0;
    let until = Instant::now() + Duration::from_secs(60);
    while first.has_slot() {
        assert!(Instant::now() < until, "a full segment leaves memory");
        if writers[0].append(&record(&mut ids, model, count, 60)).is_ok() {
            count += 1;
        } else {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let mut bytes = fs::read(first.path()).unwrap();
    bytes[BODY + 40] ^= 0xFF;
    fs::write(first.path(), bytes).unwrap();
    drop(writers);
    let remains = spool.close();
    assert!(remains.segments > 0 && !remains.is_cut_short, "{remains:?}");
    let (spool, _writers) = Spool::open(options(&dir, 4 << 20, 1)).unwrap();
    assert_eq!(read(&spool), (1..count).collect(), "all but the one that is damaged");
}

#[test]
fn a_folder_that_goes_before_the_end_is_made_anew() {
    for number in 0..3 {
        let dir = TestDir::new(&format!("gone-{number}"));
        let (spool, mut writers) = Spool::open(options(&dir, 4 << 20, 1)).unwrap();
        let model = spool.schemas().register(schema()).unwrap();
        append(&mut writers[0], &record(&mut IdSource::new(0, 1), model, number, 1));
        let (folder, elsewhere) = (dir.path().join("spool"), dir.path().join("elsewhere"));
        // At once: file by file, the spool would make some of them anew meanwhile.
        fs::rename(if number == 2 { folder.join("models") } else { folder }, &elsewhere).unwrap();
        if number == 1 {
            let _ = fs::remove_dir_all(&elsewhere);
        }
        drop(writers);
        let remains = spool.close();
        assert_eq!(remains.records.get("parquet"), Some(&1), "{number}: {remains:?}");
        let (spool, _writers) = Spool::open(options(&dir, 4 << 20, 1)).unwrap();
        assert_eq!(read(&spool), BTreeSet::from([number]));
    }
}

#[test]
fn a_folder_that_cannot_be_made_anew_is_told_at_the_end() {
    let dir = TestDir::new("gone-for-good");
    let (spool, mut writers) = Spool::open(options(&dir, 4 << 20, 1)).unwrap();
    let model = spool.schemas().register(schema()).unwrap();
    append(&mut writers[0], &record(&mut IdSource::new(0, 1), model, 0, 1));
    let folder = dir.path().join("spool");
    fs::rename(&folder, dir.path().join("elsewhere")).unwrap();
    fs::write(&folder, "no folder").unwrap();
    drop(writers);
    assert!(spool.close().is_cut_short);
}
