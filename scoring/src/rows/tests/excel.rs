//! What Excel writes comes back as Excel reads it.

use super::*;

fn scored(rows: &[u8]) -> (Vec<u8>, String) {
    let (mut results, mut notes) = (Vec::new(), Vec::new());
    score(&named(), Output::Rows, rows, &mut results, &mut notes).expect("rows");
    (results, String::from_utf8_lossy(&notes).into_owned())
}

/// A model of two numbers, `a` and `b`.
fn named() -> LoadedModel {
    let text = "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=1\n\
                objective=binary sigmoid:1\nfeature_names=a_x b\nfeature_infos=[0:1] [0:1]\n\n\
                Tree=0\nnum_leaves=1\nnum_cat=0\nleaf_value=0\n\nend of trees\n";
    LoadedModel::of_bytes(text.as_bytes(), "").expect("a model")
}

fn utf16(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

#[test]
fn marks_line_ends_and_the_stated_separator_are_kept() {
    for (rows, expected) in [
        (
            "\u{feff}a_x,b,Ort\r\n1,2,Köln\r\n".as_bytes().to_vec(),
            "\u{feff}a_x,b,Ort,score,probability,error\r\n1,2,Köln,3,0.5,\r\n",
        ),
        (
            b"sep=;\r\na_x;b\r\n1;2\r\n".to_vec(),
            "sep=;\r\na_x;b;score;probability;error\r\n1;2;3;0.5;\r\n",
        ),
        (
            utf16("a_x\tb\r\n1\t2\r\n"),
            "\u{feff}a_x\tb\tscore\tprobability\terror\r\n1\t2\t3\t0.5\t\r\n",
        ),
        (
            b"a_x,b\r1,2\r3,4\r".to_vec(),
            "a_x,b,score,probability,error\r1,2,3,0.5,\r3,4,3,0.5,\r",
        ),
        (b"a_x,b\n1,2\n".to_vec(), "a_x,b,score,probability,error\n1,2,3,0.5,\n"),
    ] {
        assert_eq!(String::from_utf8(scored(&rows).0).unwrap(), expected);
    }
}

#[test]
fn rows_without_any_value_have_no_score() {
    let (results, notes) = scored(b"a_x,b,c\n1,2,x\n,,\n , ,\n");
    let text = String::from_utf8(results).unwrap();
    let errors: Vec<&str> = text.lines().skip(2).collect();
    assert_eq!(
        errors,
        [
            ",,,,,is blank: none of its cells has a value",
            " , ,,,,is blank: none of its cells has a value"
        ]
    );
    assert!(notes.contains("2 of 3 rows have no score"), "{notes}");
    // Bare numbers have no place for an error, and a row of missing values is a row.
    let (mut results, notes) = (Vec::new(), Vec::new());
    score(&named(), Output::Score, &b"a_x,b\n,\n"[..], &mut results, notes).unwrap();
    assert_eq!(results, b"score\n3\n");
}

#[test]
fn names_with_spaces_match_those_that_lost_them() {
    let (results, _) = scored(b"a x,b\n1,2\n");
    assert!(results.starts_with(b"a x,b,score"));
    let error = score(
        &named(),
        Output::Rows,
        &b"a x,a_x,b\n1,1,2\n"[..],
        Vec::new(),
        Vec::new(),
    )
    .unwrap_err();
    let error = error.to_string();
    assert!(
        error.starts_with("columns \"a x\" and \"a_x\" are both the model's feature \"a_x\""),
        "{error}"
    );
}

#[test]
fn workbooks_are_known_by_their_names() {
    for (name, is_one) in [
        ("a.xlsx", true),
        ("A.XLS", true),
        ("a.ods", true),
        ("a.csv", false),
        ("xlsx", false),
    ] {
        assert_eq!(is_workbook(Path::new(name)), is_one, "{name}");
    }
}
