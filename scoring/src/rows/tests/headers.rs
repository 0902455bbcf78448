//! Columns: by name, by position, or refused.

use super::*;

#[test]
fn columns_match_by_name_in_any_order_and_extra_ones_are_ignored() {
    let loaded = loaded("gbtree-base-score"); // age, Total Time Spent, quote " and ü, d
    let model = &loaded;
    let plain = "age,Total Time Spent,\"quote \"\" and ü\",d\n1,2,3,4\n-1,,0.5,nan\n";
    let expected = margins(model, plain);
    let turned = "d,\"quote \"\" and ü\",age,Total Time Spent\n4,3,1,2\nnan,0.5,-1,null\n";
    assert_eq!(margins(model, turned), expected);
    let wide = "id,d,label,\"quote \"\" and ü\",age,Total Time Spent\nx,4,yes,3,1,2\n,nan,\"a\nb\",0.5,-1,\n";
    let (results, notes, outcome) = run(model, Output::Margin, wide.as_bytes());
    outcome.unwrap();
    assert_eq!(results.lines().skip(1).collect::<Vec<_>>(), expected);
    assert_eq!(notes, "quintile: note: not taken by the model: \"id\", \"label\"\n");
    let spaced = " age ,Total Time Spent, \"quote \"\" and ü\",d\n1,2,3,4\n";
    assert!(
        refusal(model, spaced).contains("1 missing (\"quote \\\" and ü\")"),
        "a quote after a space is text"
    );
    assert_eq!(margins(&demo(), &names(50).replace(',', " , ")), Vec::<String>::new());
}

#[test]
fn columns_match_by_position_when_their_number_fits_and_it_is_said() {
    let loaded = loaded("gbtree-base-score");
    let model = &loaded;
    let expected = margins(model, "age,Total Time Spent,\"quote \"\" and ü\",d\n1,2,3,4\n");
    for (header, says) in [
        (
            "a,b,c,e",
            "columns are taken by position: the header does not name \"age\", \"Total Time Spent\",",
        ),
        ("0,1,2,3", "columns are taken by position"),
        ("1,2,3,4", "columns are taken by position"),
        (",,,", "columns are taken by position"),
        ("a,a,a,a", "columns are taken by position"),
    ] {
        let (results, notes, outcome) = run(model, Output::Margin, format!("{header}\n1,2,3,4\n").as_bytes());
        outcome.unwrap();
        assert_eq!(results.lines().nth(1), Some(expected[0].as_str()), "{header}");
        assert!(notes.contains(says), "{header}: {notes}");
    }
}

#[test]
fn a_header_with_some_of_the_names_elsewhere_is_refused() {
    let loaded = loaded("gbtree-base-score");
    for (header, says) in [
        (
            "b,age,c,d",
            "2 missing (\"Total Time Spent\", \"quote \\\" and ü\"); there are \"age\" (column 2, the model's 1), \"d\" (column 4, \
             the model's 4)",
        ),
        (
            "d,b,c,age",
            "\"d\" (column 1, the model's 4), \"age\" (column 4, the model's 1)",
        ),
        ("age,age,c,d", "\"age\" (column 2, the model's 1)"),
        (
            "age,Total Time Spent,id,d",
            "1 missing (\"quote \\\" and ü\"); there are \"age\" (column 1, the model's 1)",
        ),
    ] {
        let error = refusal(&loaded, &format!("{header}\n1,2,3,4\n"));
        assert!(error.contains(says), "{header}: {error}");
    }
}

#[test]
fn headers_that_do_not_fit_are_refused_with_what_is_missing_and_extra() {
    let loaded = loaded("gbtree-base-score");
    let demo = demo();
    for (model, rows, says) in [
        (&loaded, "", "there is no header line"),
        (&loaded, "\n\r\n\n", "there is no header line"),
        (
            &loaded,
            "age,d\n1,2\n",
            "2 columns do not fit the model's 4: 2 missing (\"Total Time Spent\", \"quote \\\" and ü\"); none not the model's",
        ),
        (
            &loaded,
            "age,x,y,z,d\n",
            "5 columns do not fit the model's 4: 2 missing",
        ),
        (&loaded, "age,x,y,z,d\n", "3 not the model's (\"x\", \"y\", \"z\")"),
        (
            &loaded,
            "0.5,1,nan,-3\n1,2,3,4\n",
            "the first line holds numbers, not names",
        ),
        (
            &loaded,
            "age,age,Total Time Spent,\"quote \"\" and ü\",d\n",
            "column \"age\" occurs twice in the header",
        ),
        (
            &demo,
            "\u{1b}[31m\n",
            "50 missing (\"f1\", \"f2\", \"f3\", \"f4\", \"f5\", \"f6\", \"f7\", \"f8\" and 42 more); 1 not the model's (\"\\u{1b}[31m\")",
        ),
    ] {
        let error = refusal(model, rows);
        assert!(error.contains(says), "{rows:?}: {error}");
        assert!(error.len() < 1_000);
    }
    let wide = "x".repeat(10_000) + &",y".repeat(100_000);
    assert!(refusal(&demo, &wide).len() < 1_000);
}

#[test]
fn headers_may_be_marked_quoted_and_end_as_windows_does() {
    let loaded = loaded("gbtree-base-score");
    let model = &loaded;
    let expected = margins(model, "age,Total Time Spent,\"quote \"\" and ü\",d\n1,2,3,4\n");
    for rows in [
        "\u{feff}age,Total Time Spent,\"quote \"\" and ü\",d\n1,2,3,4\n",
        "\u{feff}\"age\",\"Total Time Spent\",\"quote \"\" and ü\",\"d\"\r\n1,2,3,4\r\n",
        "\r\n\nage,Total Time Spent,\"quote \"\" and ü\",d\n1,2,3,4",
        "age,Total Time Spent,\"quote \"\" and ü\",d\n\"1\",\" 2 \",3.0,4\n\n\r\n\n",
        "age,Total Time Spent,\"quote \"\" and ü\",d\r\n1,2,3,\"4\"\r\n\r\n",
    ] {
        let (results, notes, outcome) = run(model, Output::Margin, rows.as_bytes());
        outcome.unwrap();
        assert_eq!(
            (results.lines().nth(1), notes.as_str()),
            (Some(expected[0].as_str()), ""),
            "{rows:?}"
        );
        assert_eq!(results.lines().count(), 2, "{rows:?}");
    }
}
