//! The search against every value that there is, on models of the fixtures and on the demo.

use quintile_model::Scratch;

use super::*;
use crate::loaded::LoadedModel;

/// Runs a search to its end.
fn found(loaded: &LoadedModel, row: &[f64], target: u8) -> Found {
    let mut scratch = loaded.model.scratch();
    let score = loaded.model.score_row(row, &mut scratch);
    let mut search = Search::new(loaded, row, score, target);
    let mut results = Vec::new();
    loop {
        let rows = search.rows(64);
        if rows.is_empty() {
            return search.finish();
        }
        results.clear();
        loaded
            .model
            .score_rows(rows, &mut scratch, |_, score, scratch: &Scratch| {
                results.push((score, loaded.model.banded(scratch.predictions())));
            });
        search.take(&results);
    }
}

fn rows(loaded: &LoadedModel) -> Vec<Vec<f64>> {
    let columns = loaded.model.schema().len();
    let value = |row: usize, column: usize| match (row * 7 + column * 13) % 11 {
        0 => f64::NAN,
        other => (other * (column + 3) % 17) as f64 / (1.0 + (row % 5) as f64),
    };
    (0..60)
        .map(|row| (0..columns).map(|column| value(row, column)).collect())
        .collect()
}

fn actionable(features: &[(&str, &str)]) -> LoadedModel {
    let table = |(name, more): &(&str, &str)| format!("[features.{name}]\n{more}\n");
    LoadedModel::demo_with(&features.iter().map(table).collect::<String>())
}

#[test]
fn single_changes_are_the_smallest_and_scored() {
    let loaded = actionable(&[
        ("f1", "actionable = true"),
        ("f2", "actionable = \"increase\"\ntype = \"integer\"\nrange = [0, 40]"),
        ("f3", "actionable = \"decrease\""),
    ]);
    let mut scratch = loaded.model.scratch();
    let mut told = 0;
    for row in rows(&loaded) {
        let row: Vec<f64> = row
            .iter()
            .enumerate()
            .map(|(column, value)| if column == 1 { value.trunc() } else { *value })
            .collect();
        let score = loaded.model.score_row(&row, &mut scratch).unwrap();
        for target in 1..=5 {
            let found = found(&loaded, &row, target);
            if target == score {
                assert!(found.changes.is_empty() && found.text(&loaded).contains("already"));
                continue;
            }
            let reaches = |score: u8| {
                if target > found.score.unwrap() {
                    score >= target
                } else {
                    score <= target
                }
            };
            for change in &found.changes {
                let mut changed = row.clone();
                for feature in &change.features {
                    let today = row[feature.column];
                    assert!(today.is_nan() || feature.column != 1 || feature.value > today);
                    assert!(today.is_nan() || feature.column != 2 || feature.value < today);
                    assert!(
                        feature.column != 1 || (feature.value.fract() == 0.0 && (0.0..=40.0).contains(&feature.value))
                    );
                    changed[feature.column] = feature.value;
                }
                assert_eq!(loaded.model.score_row(&changed, &mut scratch), Some(change.score));
                assert_eq!(
                    loaded.model.banded(scratch.predictions()).to_bits(),
                    change.prediction.to_bits()
                );
                assert!(reaches(change.score), "{change:?}");
                told += 1;
            }
            // Whole numbers can all be tried: the one that is told is the nearest.
            let today = row[1];
            let nearest = (0..=40).map(f64::from).filter(|value| *value > today).find(|&value| {
                let mut changed = row.clone();
                changed[1] = value;
                reaches(loaded.model.score_row(&changed, &mut scratch).unwrap())
            });
            let single = found
                .changes
                .iter()
                .find(|change| change.features.len() == 1 && change.features[0].column == 1);
            if !today.is_nan() {
                let told = single.map(|change| change.features[0].value);
                assert_eq!(told, nearest, "{row:?} to {target}");
            }
        }
    }
    assert!(told > 20, "{told}");
}

#[test]
fn values_have_few_digits_and_lie_in_their_interval() {
    let loaded = actionable(&[("f1", "actionable = true"), ("f4", "actionable = true")]);
    let mut digits = 0;
    for row in rows(&loaded) {
        for feature in candidates::all(&loaded, &row) {
            let splits = loaded.model.splits().column(feature.column).unwrap();
            for sequence in &feature.sequences {
                let intervals: Vec<usize> = sequence
                    .iter()
                    .map(|candidate| splits.interval(candidate.value))
                    .collect();
                assert!(intervals.windows(2).all(|pair| pair[0] != pair[1]), "{intervals:?}");
                digits = digits.max(
                    sequence
                        .iter()
                        .map(|candidate| candidate.value.to_string().len())
                        .max()
                        .unwrap_or(0),
                );
            }
        }
    }
    assert!((1..=20).contains(&digits), "{digits}");
}

#[test]
fn nothing_that_may_change_is_an_answer() {
    let none = LoadedModel::demo_with("");
    let row = &rows(&none)[1];
    let score = none.model.score_row(row, &mut none.model.scratch()).unwrap();
    let target = if score < 5 { 5 } else { 1 };
    let nothing = found(&none, row, target);
    assert!(
        nothing.changes.is_empty() && nothing.text(&none).contains("actionable"),
        "{nothing:?}"
    );
    let narrow = actionable(&[("f1", "actionable = true\nrange = [0, 0]")]);
    let nothing = found(&narrow, row, target);
    assert!(nothing.changes.is_empty() && nothing.is_complete);
    assert!(
        nothing.text(&narrow).starts_with("nothing that may be changed"),
        "{}",
        nothing.text(&narrow)
    );
}

#[test]
fn two_features_are_changed_where_one_does_not_suffice() {
    let features: Vec<String> = (1..=10)
        .map(|number| format!("[features.f{number}]\nactionable = true\n"))
        .collect();
    let loaded = LoadedModel::demo_with(&features.concat());
    let mut pairs = 0;
    for row in rows(&loaded) {
        for target in 1..=5 {
            let found = found(&loaded, &row, target);
            pairs += found.changes.iter().filter(|change| change.features.len() == 2).count();
            let counts: Vec<usize> = found.changes.iter().map(|change| change.features.len()).collect();
            assert!(
                counts.windows(2).all(|pair| pair[0] == pair[1]),
                "single changes go before pairs"
            );
            let shares: Vec<f64> = found.changes.iter().map(Change::share).collect();
            assert!(shares.windows(2).all(|pair| pair[0] <= pair[1]));
        }
    }
    assert!(pairs > 0);
}

#[test]
fn json_says_what_words_say() {
    let loaded = actionable(&[("f1", "actionable = true\nlabel = \"Visits\"\nunit = \"visits\"")]);
    let row = rows(&loaded)
        .into_iter()
        .find(|row| (1..=5).any(|target| !found(&loaded, row, target).changes.is_empty()));
    let row = row.expect("some row can be changed");
    let found = (1..=5)
        .map(|target| found(&loaded, &row, target))
        .find(|found| !found.changes.is_empty());
    let found = found.expect("as before");
    let mut out = b"{\"x\":1".to_vec();
    found.write(&mut out, &loaded);
    out.push(b'}');
    let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
    let (target, change) = (&json["target"], &found.changes[0]);
    assert_eq!(target["score"], found.target);
    assert_eq!(target["changes"][0]["features"][0]["to"], change.features[0].value);
    assert_eq!(target["changes"][0]["features"][0]["label"], "Visits");
    assert_eq!(target["text"], target["changes"][0]["text"]);
    let text = target["text"].as_str().unwrap();
    assert!(
        text.starts_with("with Visits = ") && text.ends_with(&format!(": {}", change.score)),
        "{text}"
    );
}
