//! Hostile files: an error that names the place, never long, never much memory. `damage.rs` breaks files at random.

#![allow(
    clippy::unwrap_used,
    reason = "the lint spares test functions but not what they call"
)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use quintile_model::load;

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

/// A JSON model of one stump per tree, with one piece replaced.
fn edited(from: &str, to: &str) -> String {
    let text = String::from_utf8(fixture("objective-binary-logistic.json")).unwrap();
    assert!(text.contains(from), "{from} is not in the fixture");
    load(text.replacen(from, to, 1).as_bytes()).expect_err(to).to_string()
}

/// The text of an array in the first tree.
fn array(key: &str) -> String {
    let text = String::from_utf8(fixture("objective-binary-logistic.json")).unwrap();
    let start = text.find(&format!("\"{key}\":[")).unwrap();
    let end = start + text[start..].find(']').unwrap() + 1;
    text[start..end].to_owned()
}

/// The error after element `index` of the first tree's array is set.
fn with_element(key: &str, index: usize, value: &str) -> String {
    let old = array(key);
    let (head, list) = old.trim_end_matches(']').split_once('[').unwrap();
    let mut elements: Vec<&str> = list.split(',').collect();
    elements[index] = value;
    edited(&old, &format!("{head}[{}]", elements.join(",")))
}

#[test]
fn faults_name_the_tree_the_node_and_the_field() {
    let path = "learner.gradient_booster.model.trees[0].";
    for (error, needles) in [
        (
            with_element("left_children", 0, "99"),
            ["left_children[0]", "99 is no child"],
        ),
        (
            with_element("left_children", 0, "0"),
            ["left_children[0]", "0 is no child"],
        ),
        (
            with_element("right_children", 0, "-3"),
            ["right_children[0]", "-3 is no child"],
        ),
        (
            with_element("left_children", 0, "3"),
            ["left_children[0]", "parents[3] is"],
        ),
        (
            with_element("split_indices", 0, "-7"),
            ["split_indices[0]", "-7 is no feature"],
        ),
        (
            with_element("default_left", 0, "2"),
            ["default_left[0]", "0 or 1 is accepted, not 2"],
        ),
        (
            with_element("split_type", 0, "1"),
            ["split_type[0]", "categories_nodes"],
        ),
        (
            with_element("split_conditions", 0, "1E0,2E0"),
            ["split_conditions", "entries, but num_nodes is"],
        ),
        (
            with_element("left_children", 0, "\"a\""),
            ["left_children", "integers is accepted"],
        ),
        (
            with_element("left_children", 0, "1.5"),
            ["left_children", "integers is accepted"],
        ),
    ] {
        assert!(error.starts_with(path), "{error}");
        assert!(
            needles.iter().all(|needle| error.contains(needle)),
            "{error} lacks one of {needles:?}"
        );
    }
    for (error, needle) in [
        (
            with_element("split_indices", 0, "4"),
            "tree 0, node 0: it splits on feature 4, but the model has 4 features",
        ),
        (
            with_element("split_conditions", 0, "NaN"),
            "tree 0, node 0: its threshold",
        ),
        (
            edited("\"num_trees\":\"2\"", "\"num_trees\":\"3\""),
            "trees: 2 trees, but num_trees is 3",
        ),
        (
            edited("\"num_trees\":\"2\"", "\"num_trees\":\"0\""),
            "num_trees: the model holds no trees",
        ),
        (
            edited("\"num_trees\":\"2\"", "\"num_trees\":\"-2\""),
            "num_trees: a count is accepted, not \"-2\"",
        ),
        (
            edited("\"num_trees\":\"2\"", "\"num_trees\":\"2000000000\""),
            "more than the",
        ),
        (
            edited(
                "\"num_class\":\"0\",\"num_feature\":\"4\"",
                "\"num_class\":\"0\",\"num_feature\":\"1048330\"",
            ),
            "more than the 65536 accepted",
        ),
        (
            edited("\"tree_info\":[0,0]", "\"tree_info\":[0,7]"),
            "tree 1 adds to output 7",
        ),
        (
            edited("\"tree_info\":[0,0]", "\"tree_info\":[0,-1]"),
            "tree_info[1]: an output is accepted, not -1",
        ),
        (
            edited("\"tree_info\":[0,0]", "\"tree_info\":[0]"),
            "tree_info: 1 entries",
        ),
        (
            edited("\"iteration_indptr\":[0,1,2]", "\"iteration_indptr\":[0,2,1]"),
            "iteration",
        ),
        (edited("\"id\":1", "\"id\":0"), "id: 0 is not a new number from 0 to 1"),
        (
            edited("\"name\":\"gbtree\"", "\"name\":\"forest\""),
            "gbtree, dart and gblinear are accepted, not \"forest\"",
        ),
        (
            edited("\"learner\":", "\"teacher\":"),
            "the file: the field \"learner\" is missing",
        ),
        (
            edited("\"num_class\":\"0\"", "\"num_class\":\"5000\""),
            "more than the 4096 accepted",
        ),
    ] {
        assert!(error.contains(needle), "{error} lacks {needle}");
    }
}

#[test]
fn base_scores_are_read_in_every_spelling_or_refused() {
    let text = String::from_utf8(fixture("objective-binary-logistic.json")).unwrap();
    let start = text.find("\"base_score\":\"").unwrap();
    let end = start + 14 + text[start + 14..].find('"').unwrap() + 1;
    let with = |spelling: &str| format!("{}\"base_score\":\"{spelling}\"{}", &text[..start], &text[end..]);
    let margin = |spelling: &str| load(with(spelling).as_bytes()).map(|ensemble| ensemble.base_margins().to_vec());
    for spelling in [
        "2.5E-1",
        "0.25",
        "[2.5E-1]",
        "(0.25)",
        " [ 0.25 ] ",
        "0.250000000000000000000001",
    ] {
        assert_eq!(margin(spelling), margin("2.5E-1"), "{spelling}");
        assert!(margin(spelling).is_ok());
    }
    for spelling in [
        "1.5",
        "-1",
        "NaN",
        "[0.5,0.5]",
        "[]",
        "",
        "half",
        "[0.5",
        "{}",
        "[[0.5]]",
        "Infinity",
    ] {
        let error = margin(spelling).expect_err(spelling).to_string();
        assert!(error.starts_with("learner.learner_model_param.base_score: "), "{error}");
    }
}

#[test]
fn category_segments_stay_within_their_array() {
    let text = String::from_utf8(fixture("category-partition.json")).unwrap();
    let edit = |key: &str, index: usize, value: &str| {
        let start = text.find(&format!("\"{key}\":[")).unwrap() + key.len() + 4;
        let end = start + text[start..].find(']').unwrap();
        let mut elements: Vec<&str> = text[start..end].split(',').collect();
        elements[index] = value;
        let edited = format!("{}{}{}", &text[..start], elements.join(","), &text[end..]);
        load(edited.as_bytes()).expect_err(key).to_string()
    };
    for (error, needle) in [
        (edit("categories_segments", 0, "-1"), "categories_segments[0]: "),
        (
            edit("categories_segments", 0, "9223372036854775807"),
            "categories_segments[0]: ",
        ),
        (edit("categories_sizes", 0, "0"), "categories_segments[0]: 0 codes"),
        (edit("categories_sizes", 0, "100000"), "are not within the"),
        (edit("categories", 0, "-1"), "categories[0]: -1 is no code"),
        (edit("categories", 0, "16777216"), "categories[0]: 16777216 is no code"),
        (edit("categories_nodes", 0, "99999"), "categories_nodes[0]: "),
        (edit("split_type", 0, "2"), "split_type[0]: 0 and 1 are accepted, not 2"),
    ] {
        assert!(error.contains(needle), "{error} lacks {needle}");
    }
}

#[test]
fn category_names_that_are_no_text_leave_codes() {
    let text = String::from_utf8(fixture("category-names.json")).unwrap();
    let (from, offset) = ("\"values\":[90,117,114", "\"offsets\":[0,6,");
    assert!(text.contains(from) && text.contains(offset), "the fixture has changed");
    for (byte, used) in [("-61", false), ("195", false), ("91", true)] {
        let edited = text.replacen(from, &format!("\"values\":[{byte},117,114"), 1);
        let ensemble = load(edited.as_bytes()).unwrap();
        assert_eq!(ensemble.schema().category_code(0, "a").is_some(), used, "{byte}");
        assert_eq!(
            ensemble.notes().iter().any(|note| note.contains("cut in the wrong")),
            !used,
            "{byte}"
        );
    }
    for (from, to, needle) in [
        (from, "\"values\":[300,117,114", "300 is no byte"),
        (offset, "\"offsets\":[0,6000,", "6000 is not within"),
        (offset, "\"offsets\":[0,-1,", "-1 is not within"),
        ("[30,-5,7,2]", "[30,-5,7,7]", "same name"),
        (
            "\"feature_types\":[\"c\"",
            "\"feature_types\":[\"float\"",
            "says it is none",
        ),
    ] {
        assert!(text.contains(from), "{from}");
        let error = load(text.replacen(from, to, 1).as_bytes()).expect_err(to).to_string();
        assert!(error.contains(needle), "{error} lacks {needle}");
    }
}

#[test]
fn faults_of_a_text_model_name_the_line_or_the_entry() {
    let text = String::from_utf8(fixture("lightgbm-category.txt")).unwrap();
    let line = |key: &str| {
        let start = text.find(&format!("\n{key}=")).unwrap() + 1;
        let end = start + text[start..].find('\n').unwrap();
        &text[start..end]
    };
    let with = |key: &str, line_of: &dyn Fn(&str) -> String| {
        let old = line(key);
        load(text.replacen(old, &line_of(old), 1).as_bytes())
            .expect_err(key)
            .to_string()
    };
    let entry = |key: &str, index: usize, value: &str| {
        with(key, &|old| {
            let (_, list) = old.split_once('=').unwrap();
            let mut entries: Vec<&str> = list.split(' ').collect();
            entries[index] = value;
            format!("{key}={}", entries.join(" "))
        })
    };
    let gone = |key| with(key, &|old| old.replacen(key, "other", 1));
    for (error, needle) in [
        (
            entry("left_child", 0, "99"),
            "Tree=0.left_child[0]: 99 is no node or leaf",
        ),
        (entry("right_child", 0, "-99"), "Tree=0.right_child[0]: -99 is no"),
        (
            entry("left_child", 0, "0"),
            "tree 0, node 0: it is the child of two nodes",
        ),
        (
            entry("left_child", 0, "x"),
            "Tree=0.left_child[0]: \"x\" is no such number",
        ),
        (
            entry("split_feature", 0, "7"),
            "it splits on feature 7, but the model has 7",
        ),
        (entry("leaf_value", 1, "nan"), "its leaf value is NaN"),
        (entry("leaf_value", 1, "1e999"), "its leaf value is inf"),
        (entry("leaf_value", 1, "1 2"), "Tree=0.leaf_value: more entries than"),
        (entry("decision_type", 0, "255"), "Tree=0."),
        (entry("num_leaves", 0, "0"), "num_leaves: 0 leaves"),
        (entry("num_leaves", 0, "9999999"), "num_leaves: 9999999 leaves"),
        (entry("num_leaves", 0, "13"), "entries where 12 are accepted"),
        (entry("num_cat", 0, "1"), "Tree=0.cat_boundaries: the line is missing"),
        (
            entry("cat_boundaries", 1, "99"),
            "cat_threshold: 2 entries where 99 are accepted",
        ),
        (
            entry("cat_boundaries", 0, "2"),
            "cat_boundaries[0]: boundaries begin at 0 and never fall",
        ),
        (
            entry("num_tree_per_iteration", 0, "7"),
            "the objective binary has one output",
        ),
        (
            entry("num_tree_per_iteration", 0, "0"),
            "num_tree_per_iteration: 0 outputs",
        ),
        (
            entry("max_feature_idx", 0, "9"),
            "feature_names: 7 entries for 10 features",
        ),
        (
            entry("max_feature_idx", 0, "99999999"),
            "more features than the 65536 accepted",
        ),
        (
            entry("version", 0, "v9"),
            "version: v2, v3 and v4 are accepted, not \"v9\"",
        ),
        (entry("feature_names", 0, "größe"), "has the name of an earlier feature"),
        (gone("num_class"), "num_class: the line is missing"),
        (entry("num_class", 0, "3"), "num_class: 3 classes, but the trees"),
        (gone("leaf_value"), "Tree=0.leaf_value: the line is missing"),
        (gone("max_feature_idx"), "max_feature_idx: the line is missing"),
        (with("Tree", &|_| "Tree=1".into()), "Tree=0 is accepted here"),
        (
            with("num_class", &|old| format!("{old}\n{old}")),
            "num_class: the key is there twice",
        ),
    ] {
        assert!(error.contains(needle), "{error} lacks {needle}");
    }
}

#[test]
fn hostile_sizes_end_at_once() {
    let counted = |head: &[u8], body: &[u8], times: usize| [head, &body.repeat(times)].concat();
    let cases: Vec<(&str, Vec<u8>)> =
        vec![
        (
            "counted array of 2^62",
            b"{L\0\0\0\0\0\0\0\x07learner[#L\x40\0\0\0\0\0\0\0".to_vec(),
        ),
        (
            "typed array of 2^62",
            b"{L\0\0\0\0\0\0\0\x07learner[$L#L\x40\0\0\0\0\0\0\0".to_vec(),
        ),
        ("string of 2^62", b"{L\x40\0\0\0\0\0\0\0learner".to_vec()),
        ("negative length", b"{L\xff\xff\xff\xff\xff\xff\xff\xfflearner".to_vec()),
        ("twenty million nulls", counted(b"{i\x01a[", b"Z", 20_000_000)),
        ("alternating kinds", counted(b"{\"a\":[0", b",null,0", 3_000_000)),
        ("deep arrays", counted(b"{\"a\":", b"[", 5_000_000)),
        ("deep objects", counted(b"", b"{i\x01a", 2_000_000)),
        ("one long number", counted(b"{\"a\":", b"9", 20_000_000)),
        ("one long float", counted(b"{\"a\":0.", b"9", 20_000_000)),
        ("one long string", counted(b"{\"a\":\"", b"\\n", 10_000_000)),
        ("spaces", counted(b"{", b" ", 20_000_000)),
        ("lines without end", counted(b"tree\n", b"a=b\n", 5_000_000)),
        ("many small trees", counted(b"tree\nnum_class=1\nmax_feature_idx=0\n", b"Tree=0\n\n", 1_000_000)),
        (
            "leaves that are not there",
            b"tree\nnum_class=1\nmax_feature_idx=0\nTree=0\nnum_leaves=2000000\nleaf_value=1 2\n\n".to_vec(),
        ),
        (
            "terms that are not there",
            b"tree\nnum_class=1\nmax_feature_idx=0\nTree=0\nnum_leaves=1\nleaf_value=1\nis_linear=1\nleaf_const=1\n\
              num_features=4294967295\nleaf_features=1\nleaf_coeff=1\n\n"
                .to_vec(),
        ),
    ];
    for (name, bytes) in cases {
        let start = Instant::now();
        let error = load(&bytes).expect_err(name).to_string();
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "{name} took {:?}",
            start.elapsed()
        );
        assert!(error.len() < 400, "{name}: {error}");
    }
}

#[test]
fn foreign_files_are_named() {
    for (bytes, needle) in [
        (&b""[..], "empty"),
        (b"   \n", "no model file we know"),
        (b"binf\0\0\0\x3f", "old binary format"),
        (
            b"\0\0\0\x02\x06\0\0\0\0\0\0\0gbtree\0\0",
            "as Spark and the JVM packages wrote it",
        ),
        (b"\x80\x04\x95\0", "pickle"),
        (
            b"\x80\x04\x95\0\x8c\x18sklearn.ensemble._forest",
            "treelite.sklearn.import_model",
        ),
        (b"\x80\x04\x95\0\x8c\x10lightgbm.sklearn", "booster_.save_model"),
        (b"\x80\x02cxgboost.core\nBooster", "model.ubj"),
        (b"ccopy_reg\n_reconstructor", "pickle"),
        (b"\x78\x9c\xad\x55", "joblib"),
        (b"BZh31AY&SYP", "joblib"),
        (b"\xfd7zXZ\0", "joblib"),
        (b"\x1f\x8b\x08\0", "gunzip"),
        (b"PK\x03\x04", "zip"),
        (
            b"tree\nversion=v4\n",
            "LightGBM text: the file ends before the first tree",
        ),
        (
            b"{\"name\": \"tree\", \"version\": \"v4\", \"tree_info\": [{\"tree_structure\": {}}]}",
            "dumped as JSON",
        ),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"\n <HTML>", "HTML"),
        (
            b"<?xml version=\"1.0\"?>\n<PMML xmlns=\"\" version=\"4.4\">",
            "a PMML document",
        ),
        (b"CBM1....", "format=\"json\""),
        (b"booster[0]:\n0:[f0<1]", "dump"),
        (b"0:[f0<1] yes=1,no=2,missing=2", "dump"),
        (b"[{\"nodeid\":0}]", "dump"),
        (b"0.5\n[\n  { \"nodeid\": 0", "dump"),
        (b"{ \"nodeid\": 0, \"depth\": 0", "dump"),
        (b"[1]", "a JSON array"),
        (b"\x04\0\0\0\x01\0\0\0\0\0\0\0\x02\x02", "Treelite checkpoint"),
        (b"\x03\0\0\0\x01\0\0\0\0\0\0\0\x02\x02", "another version than 4"),
        (b"hello", "accepted are XGBoost models"),
        (b"{}", "the field \"learner\" is missing"),
        (b"{", "cut off"),
        (b"{L", "UBJSON"),
    ] {
        let error = load(bytes).expect_err(needle).to_string();
        assert!(error.contains(needle), "{error} lacks {needle}");
    }
}
