//! Beside numbers of scikit-learn and of the definitions (`make.py` makes them), and rows for which verdicts are known.

#![expect(clippy::cast_precision_loss, reason = "numbers of chance")]

use serde_json::Value;

use super::*;

const PAIRS: &str = include_str!("pairs.csv");
const EXPECTED: &str = include_str!("expected.json");

fn pairs() -> Vec<ScoredPair> {
    let rows = PAIRS.lines().skip(1).map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        let number = |cell: usize| cells[cell].parse::<f64>().unwrap();
        ScoredPair {
            champion: number(0),
            other: number(1),
            outcome: (!cells[2].is_empty()).then(|| cells[2] == "1"),
            champion_band: Some(cells[3].parse().unwrap()),
            other_band: Some(cells[4].parse().unwrap()),
        }
    });
    rows.collect()
}

fn compared(pairs: &[ScoredPair], exact_rows: usize) -> ComparisonReport {
    let mut comparison = ModelComparison::with_exact_rows(exact_rows);
    pairs.iter().for_each(|pair| comparison.add(pair));
    comparison.report()
}

/// Numbers near each other, everything else equal; members that are not expected may be there.
fn assert_near(actual: &Value, expected: &Value, place: &str) {
    match (actual, expected) {
        (Value::Object(actual), Value::Object(expected)) => {
            for (name, expected) in expected {
                assert_near(&actual[name], expected, &format!("{place}/{name}"));
            }
        }
        (Value::Array(actual), Value::Array(expected)) => {
            assert_eq!(actual.len(), expected.len(), "{place}");
            for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
                assert_near(actual, expected, &format!("{place}/{index}"));
            }
        }
        (Value::Number(actual), Value::Number(expected)) => {
            let (actual, expected) = (actual.as_f64().unwrap(), expected.as_f64().unwrap());
            assert!(
                (actual - expected).abs() <= 1e-12,
                "{place}: {actual} is not {expected}"
            );
        }
        _ => assert_eq!(actual, expected, "{place}"),
    }
}

#[test]
fn figures_are_those_of_the_libraries() {
    let report = compared(&pairs(), EXACT_ROWS);
    let expected: Value = serde_json::from_str(EXPECTED).unwrap();
    assert_near(&report.json(), &expected, "");
    assert!(report.auc.unwrap().auc_error_max <= 0.0);
}

/// Numbers of chance from 0 to 1.
fn dice() -> impl FnMut() -> f64 {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Leads whose truth is a number of chance, and two models that see it with so much noise each.
fn leads(rows: usize, noise: [f64; 2]) -> Vec<ScoredPair> {
    let mut dice = dice();
    let band = |prediction: f64| Some(quintile_model::Bands::PROBABILITY.score(prediction));
    (0..rows)
        .map(|_| {
            let truth = dice();
            let [champion, other] = noise.map(|noise| (truth + noise * (dice() - 0.5)).clamp(0.0, 1.0));
            ScoredPair {
                champion,
                other,
                champion_band: band(champion),
                other_band: band(other),
                outcome: Some(dice() < truth),
            }
        })
        .collect()
}

#[test]
fn bins_move_areas_by_no_more_than_they_say() {
    let leads = leads(20_000, [0.8, 0.4]);
    let exact = compared(&leads, EXACT_ROWS).auc.unwrap();
    let binned = compared(&leads, 2_000).auc.unwrap();
    assert!(binned.auc_error_max > 0.0 && binned.auc_error_max < 1e-3, "{binned:?}");
    for (binned_area, exact_area) in [(binned.champion, exact.champion), (binned.other, exact.other)] {
        assert!(
            (binned_area - exact_area).abs() <= binned.auc_error_max,
            "{binned:?} {exact:?}"
        );
    }
    let (binned, exact) = (binned.interval.unwrap(), exact.interval.unwrap());
    assert!(
        (0..2).all(|bound| (binned[bound] - exact[bound]).abs() < 1e-4),
        "{binned:?} {exact:?}"
    );
}

#[test]
fn predictions_of_few_values_lose_nothing_in_bins() {
    let mut leads = leads(20_000, [0.8, 0.4]);
    for lead in &mut leads {
        (lead.champion, lead.other) = (
            (lead.champion * 50.0).round() / 50.0,
            (lead.other * 30.0).round() / 30.0,
        );
    }
    let (exact, binned) = (compared(&leads, EXACT_ROWS), compared(&leads, 5_000));
    let (exact, binned) = (exact.auc.unwrap(), binned.auc.unwrap());
    assert!(binned.auc_error_max <= 0.0, "{binned:?}");
    assert!((exact.other - binned.other).abs() < 1e-12 && (exact.champion - binned.champion).abs() < 1e-12);
    let (exact, binned) = (exact.interval.unwrap(), binned.interval.unwrap());
    assert!(
        (0..2).all(|bound| (binned[bound] - exact[bound]).abs() < 1e-12),
        "{binned:?} {exact:?}"
    );
}

fn verdict(pairs: &[ScoredPair]) -> (Verdict, String) {
    let report = compared(pairs, EXACT_ROWS);
    (report.promotion.verdict, report.promotion.line())
}

#[test]
fn the_verdict_follows_from_what_was_seen() {
    let better = leads(20_000, [0.6, 0.3]);
    let (says, line) = verdict(&better);
    assert_eq!(says, Verdict::Yes, "{line}");
    assert!(line.contains("it ranks leads better (AUC 0."), "{line}");
    let worse = leads(20_000, [0.3, 0.6]);
    let (says, line) = verdict(&worse);
    assert_eq!(says, Verdict::No, "{line}");
    assert!(
        line.starts_with("May it be promoted? no: it ranks leads worse"),
        "{line}"
    );
    assert_eq!(verdict(&worse[..80]).0, Verdict::LookFirst, "few rows");
    let mut same = leads(2_000, [0.6, 0.6]);
    for lead in &mut same {
        (lead.other, lead.other_band, lead.outcome) = (lead.champion, lead.champion_band, None);
    }
    let (says, line) = verdict(&same);
    assert_eq!(says, Verdict::Yes, "{line}");
    assert!(line.contains("without outcomes nobody can tell"), "{line}");
    same.iter_mut().for_each(|lead| lead.other = lead.champion.powi(3));
    let (says, line) = verdict(&same);
    assert_eq!(says, Verdict::No, "{line}");
    assert!(line.contains("distributed differently"), "{line}");
}

#[test]
fn scores_that_move_much_ask_for_a_look() {
    let mut leads = leads(2_000, [0.0, 0.0]);
    for (row, lead) in leads.iter_mut().enumerate() {
        (lead.champion_band, lead.other_band, lead.outcome) = (Some(4), Some(if row % 10 == 0 { 3 } else { 5 }), None);
    }
    let report = compared(&leads, EXACT_ROWS);
    assert_eq!((report.movement.down, report.movement.up), (200, 0));
    assert_eq!(report.promotion.verdict, Verdict::LookFirst);
    assert!(
        report
            .promotion
            .line()
            .contains("200 of 2000 rows move from 4-5 to 1-3 (10.00 %)"),
        "{}",
        report.promotion.line()
    );
}

#[test]
fn what_is_no_number_or_not_scored_is_counted_and_said() {
    let mut comparison = ModelComparison::default();
    let pair = ScoredPair {
        champion: 0.5,
        champion_band: Some(3),
        other: f64::NAN,
        other_band: Some(1),
        outcome: Some(true),
    };
    comparison.add(&pair);
    comparison.add_unscored();
    let report = comparison.report();
    assert_eq!(
        (report.rows, report.unscored, report.not_numbers, report.equal),
        (1, 1, 1, 0)
    );
    assert_eq!(report.movement.bands[2][0], 1);
    let line = report.promotion.line();
    assert!(
        line.contains("it refuses 1 of 2 rows") && line.contains("1 rows have a prediction that is no number"),
        "{line}"
    );
    assert_eq!((report.shift, report.auc), (None, None));
}

#[test]
fn infinite_predictions_have_no_json_number() {
    let pair = |champion: f64, other: f64| ScoredPair {
        champion,
        other,
        champion_band: None,
        other_band: None,
        outcome: None,
    };
    let report = compared(
        &[pair(1.0, f64::INFINITY), pair(f64::INFINITY, f64::INFINITY)],
        EXACT_ROWS,
    );
    let json = report.json();
    assert_eq!(
        (&json["max_abs_difference"], &json["equal"]),
        (&Value::Null, &Value::from(1))
    );
    assert_eq!(json["band_agreement"], Value::Null);
    let names = ModelNames {
        champion: "a",
        other: "b",
    };
    assert!(report.text(names).contains("none: a model has no bands"));
}

#[test]
fn the_text_has_the_table_of_scores_and_the_interval() {
    let report = compared(&pairs(), EXACT_ROWS);
    let names = ModelNames {
        champion: "leads 3",
        other: "leads 4",
    };
    let text = report.text(names);
    assert!(text.starts_with("May it be promoted? "), "{text}");
    let row = report.movement.bands[3].map(|count| format!(" {count:>5}")).concat();
    assert!(text.contains(&format!("\n    4{row}\n")), "{text}");
    assert!(text.contains("95 % interval") && text.contains("(DeLong)"), "{text}");
    assert!(text.lines().skip(1).all(|line| line.len() <= 110), "{text}");
}
