//! What a body says of reasons: the same through every reader.

use super::*;
use crate::reasons::{Direction, ReasonsWish};

/// What each reader makes of a body: the plain one, the tape, and the one that reads in slices.
fn wishes(loaded: &LoadedModel, body: &str) -> [Result<ReasonsWish, Vec<String>>; 3] {
    let mut workspace = Workspace::new(loaded, 4096);
    let told = |workspace: &Workspace, read: Result<(), ReadError>| match read {
        Ok(()) => Ok(workspace.wish()),
        Err(_) => Err(workspace
            .faults()
            .list()
            .iter()
            .map(|fault| format!("{fault:?}"))
            .collect()),
    };
    let read = workspace.read(loaded, body.as_bytes());
    let plain = told(&workspace, read);
    let read = workspace.read_any(loaded, body.as_bytes());
    let tape = told(&workspace, read);
    let mut sliced = SlicedRead::new(loaded, body.as_bytes());
    let read = loop {
        if let Some(read) = workspace.read_slice(loaded, &mut sliced, body.as_bytes(), 1) {
            break read;
        }
    };
    let sliced = told(&workspace, read);
    [plain, tape, sliced]
}

#[test]
fn every_reader_understands_it() {
    let loaded = demo();
    let wish = |count, direction| ReasonsWish {
        count,
        direction,
        target: None,
    };
    for (members, expected) in [
        ("", wish(None, None)),
        ("\"explain\":4,", wish(Some(4), None)),
        (
            "\"explain\": 4.0 , \"direction\":\"lowers\",",
            wish(Some(4), Some(Direction::Lowers)),
        ),
        (
            "\"direction\":\"r\\u0061ises\",\"expl\\u0061in\":1e3,",
            wish(Some(1000), Some(Direction::Raises)),
        ),
        ("\"explain\":-0,", wish(Some(0), None)),
    ] {
        let body = format!("{{{members}\"lead_id\":\"a\",\"features\":{{\"f1\":1}}}}");
        assert_eq!(
            wishes(&loaded, &body),
            [Ok(expected), Ok(expected), Ok(expected)],
            "{body}"
        );
        // What the body before said is forgotten.
        let mut workspace = Workspace::new(&loaded, 4096);
        workspace.read(&loaded, body.as_bytes()).unwrap();
        workspace.read(&loaded, br#"{"lead_id":"a","features":{}}"#).unwrap();
        assert_eq!(workspace.wish(), ReasonsWish::default());
    }
    for members in [
        "\"explain\":true,",
        "\"explain\":null,",
        "\"explain\":[],",
        "\"explain\":1e999,",
        "\"explain\":1001,",
        "\"explain\":3,\"explain\":3,",
        "\"direction\":1,",
        "\"direction\":\"\",",
        "\"direction\":\"lowers\",\"direction\":\"lowers\",",
    ] {
        let body = format!("{{{members}\"lead_id\":\"a\",\"features\":{{}}}}");
        let [plain, tape, sliced] = wishes(&loaded, &body);
        assert!(
            plain.is_err() && plain == tape && tape == sliced,
            "{body}: {plain:?} {tape:?} {sliced:?}"
        );
    }
}

#[test]
fn a_batch_may_say_it_once() {
    let loaded = demo();
    let mut workspace = Workspace::new(&loaded, 4096);
    workspace
        .read_skeleton(br#"{"explain":3,"leads":[],"direction":"raises"}"#)
        .unwrap();
    let wish = workspace.wish();
    assert_eq!((wish.count, wish.direction), (Some(3), Some(Direction::Raises)));
    assert!(workspace.read_skeleton(br#"{"explain":-3,"leads":[]}"#).is_err());
    workspace.read_skeleton(br#"{"leads":[]}"#).unwrap();
    assert_eq!(workspace.wish(), ReasonsWish::default());
}
