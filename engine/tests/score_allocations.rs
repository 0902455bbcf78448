//! The way of a good body, from its bytes to the answer's, allocates nothing once warm; gathering faults does not
//! either.
//!
//! A binary of its own, because it replaces the allocator.
#![expect(
    unsafe_code,
    reason = "an allocator that counts can only be installed as an unsafe impl"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::BytesMut;
use quintile_model::Options;
use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::read::{ReadError, Timings, Workspace};
use quintile_scoring::render;

struct Counting;

thread_local! {
    /// Tests run side by side, so each thread counts its own.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending has no counter any more, and needs none.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: needed to see allocations. Every call goes on to the system's allocator with the same arguments, so its
// contract is kept; the counter is a plain thread-local that allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps `alloc`'s contract, which is the same here.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps `alloc_zeroed`'s contract, which is the same here.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: `block` came from this allocator and so from the system's; the rest is the caller's contract.
        unsafe { System.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` came from this allocator and so from the system's.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

fn bodies(loaded: &LoadedModel) -> Vec<Vec<u8>> {
    let names: Vec<&str> = loaded.model.schema().names().collect();
    let id = "x".repeat(200);
    let body = |space: &str, value: &dyn Fn(usize) -> String| {
        let feature = |(column, name)| format!("{space}\"{name}\"{space}:{space}{}", value(column));
        let features: Vec<String> = names.iter().enumerate().map(feature).collect();
        format!(
            "{{\"lead_id\":\"lead \\u00e9 {id}\",\"features\":{{{}}}}}",
            features.join(",")
        )
        .into_bytes()
    };
    vec![
        br#"{"features":{},"lead_id":"1"}"#.to_vec(),
        body("", &|column| format!("{column}")),
        body("", &|column| format!("-0.1234567890123456789012345{column}e-12")),
        body(" \n\t", &|_| "null".into()),
        body("", &|column| format!("1234567890123456789012345678{column}")),
        body("  ", &|_| "1.7976931348623157e-308".into()),
    ]
}

/// Reads, scores and answers each body several times; the very first pass may not allocate either.
fn assert_allocates_nothing(loaded: &LoadedModel) {
    let mut workspace = Workspace::new(loaded, 1 << 20);
    let mut out = BytesMut::with_capacity(render::answer_bytes_max(loaded));
    let timings = Timings {
        parse_ns: 1234,
        score_ns: 5678,
        total_ns: 123_456,
        wake_ns: 0,
    };
    for round in 0..3 {
        for body in bodies(loaded) {
            let mut outcome = Ok(());
            let count = allocations(|| {
                outcome = workspace.read(loaded, &body);
                let score = workspace.score(loaded);
                out.clear();
                render::answer(&mut out, loaded, &workspace, score, "request \u{1} id", &timings);
            });
            assert_eq!(outcome, Ok(()), "{}", String::from_utf8_lossy(&body));
            assert_eq!(count, 0, "round {round}: {}", String::from_utf8_lossy(&body));
        }
    }
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

#[test]
fn a_manifests_demands_cost_no_allocation() {
    let folder = std::env::temp_dir().join(format!("quintile-rules-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let model = folder.join("m.ubj");
    std::fs::write(&model, include_bytes!("../demo/demo.ubj")).unwrap();
    let rules: String = (1..=50)
        .map(|column| format!("[features.f{column}]\nrange = [-1e300, 1e300]\n"))
        .collect();
    std::fs::write(folder.join("m.toml"), rules).unwrap();
    let loaded = LoadedModel::load(Some(&model), Options::default(), 0);
    std::fs::remove_dir_all(&folder).unwrap();
    assert_allocates_nothing(&loaded.unwrap());
}

#[test]
fn the_demo_is_scored_without_allocating() {
    assert_allocates_nothing(&LoadedModel::load(None, Options::default(), 0).unwrap());
}

#[test]
fn other_models_are_scored_without_allocating() {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures");
    for name in [
        "objective-multi-softprob.json",
        "objective-reg-squarederror.ubj",
        "category-mixed.json",
        "dart-softprob.json",
    ] {
        assert_allocates_nothing(&LoadedModel::load(Some(&fixtures.join(name)), Options::default(), 1).unwrap());
    }
}

#[test]
fn names_of_categories_are_scored_without_allocating() {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures");
    for (name, unseen_is_missing) in [("category-names.json", false), ("lightgbm-names.txt", true)] {
        let loaded = LoadedModel::load(Some(&fixtures.join(name)), Options::default(), 1).unwrap();
        let mut workspace = Workspace::new(&loaded, 1 << 20);
        let mut out = BytesMut::with_capacity(render::answer_bytes_max(&loaded));
        let mut bodies = vec![
            r#"{"lead_id":"1","features":{"where":"b b","number":0.5,"code":"-5"}}"#,
            r#"{"lead_id":"1","features":{"code":"7","where":"comma, too"}}"#,
            r#"{"lead_id":"1","features":{"where":"quote \"","number":null,"code":2}}"#,
            r#"{"lead_id":"1","features":{"wh\u0065re":"\u0062\u0020b","number":1e-3,"code":"\u0033\u0030"}}"#,
        ];
        if unseen_is_missing {
            bodies.push(r#"{"lead_id":"1","features":{"where":"unseen \ud83d\ude00","code":"Z\u00fcrich"}}"#);
        }
        for round in 0..3 {
            for body in &bodies {
                let mut outcome = Ok(());
                let count = allocations(|| {
                    outcome = workspace.read(&loaded, body.as_bytes());
                    let score = workspace.score(&loaded);
                    out.clear();
                    render::answer(&mut out, &loaded, &workspace, score, "r", &Timings::default());
                });
                assert_eq!(outcome, Ok(()), "{body}");
                assert_eq!(count, 0, "round {round}: {body}");
            }
        }
    }
    // A name that is refused is a fault like any other: gathering it allocates nothing.
    let loaded = LoadedModel::load(Some(&fixtures.join("category-names.json")), Options::default(), 1).unwrap();
    let mut workspace = Workspace::new(&loaded, 1 << 20);
    let body = br#"{"lead_id":"1","features":{"where":"unseen","code":"\u0041"}}"#;
    let mut outcome = Ok(());
    let count = allocations(|| outcome = workspace.read(&loaded, body));
    assert_eq!((outcome, count), (Err(ReadError::Invalid), 0));
    assert_eq!(workspace.faults().total(), 2);
}

#[test]
fn gathering_faults_allocates_nothing() {
    let loaded = LoadedModel::load(None, Options::default(), 0).unwrap();
    let mut workspace = Workspace::new(&loaded, 1 << 20);
    let unknown: Vec<String> = (0..100).map(|number| format!("\"unknown {number}\":[1,2]")).collect();
    let bodies = [
        r#"{"lead_id":7,"features":{"f1":"x","f1":true,"f51":1e39,"f2":1e39}}"#.to_owned(),
        format!(r#"{{"lead_id":"a","features":{{{}}}}}"#, unknown.join(",")),
        r#"{"lead_id":"a","features":{"f1":1e400}}"#.to_owned(),
        r#"{"lead_id":"a","features":{"f1":01}}"#.to_owned(),
        "[1".to_owned(),
        "\"\\ud800\"".to_owned(),
    ];
    // Bodies with more in them than any good one may make the parser's memory grow, once.
    for round in 0..2 {
        for body in &bodies {
            let mut outcome = Ok(());
            let count = allocations(|| outcome = workspace.read(&loaded, body.as_bytes()));
            assert!(
                matches!(outcome, Err(ReadError::Invalid | ReadError::NotJson(_))),
                "{body}"
            );
            assert!(round == 0 || count == 0, "{count} allocations: {body}");
        }
    }
}
