//! Splits and shadows.

use std::collections::BTreeMap;

use quintile::models::place;

use super::*;

/// The version that a split of ten percent gives a lead to.
fn version_by_split(number: usize) -> &'static str {
    if place("leads", &format!("lead-{number}")) < 0.3 {
        "2"
    } else {
        "1"
    }
}

fn a_split_is_a_function_of_the_lead_alone_for_one_and_for_many(runtime: &str) {
    let store = Store::new("split", runtime);
    store.put("leads", 1);
    store.put("leads", 2);
    let mut server = store.launch(runtime).set("MODELS__VERSIONS", "1,2").shards(2).start();
    let mut operator = Operator::of(&server);
    operator.change(
        "PUT",
        "/v1/models/leads/aliases",
        json!({"champion": "1", "challenger": "2"}),
    );
    operator.change("PUT", "/v1/models/leads/split", json!({"challenger": 30}));
    let models = [expected(&store, 1), expected(&store, 2)];
    let mut connection = server.connect();
    for (number, by_model) in models[0].iter().zip(&models[1]).enumerate() {
        let answer = connection.post("/score", &lead(number));
        assert_eq!(version_of(&answer), version_by_split(number), "lead {number}");
        let (champion, challenger) = by_model;
        let own = if version_by_split(number) == "2" {
            challenger
        } else {
            champion
        };
        assert_eq!(
            answer.json()["probability"].as_f64().map(f64::to_bits),
            Some(own.to_bits())
        );
    }
    // A lead that fits neither is refused in its place; the others are answered in theirs.
    let mut leads: Vec<String> = (0..LEADS).map(lead).collect();
    leads.insert(7, "{\"lead_id\":\"lead-x\",\"features\":{\"nobody\":1}}".into());
    let answer = connection
        .post("/score/batch", &format!("{{\"leads\":[{}]}}", leads.join(",")))
        .json();
    let results = answer["results"].as_array().expect("a list");
    assert_eq!((results.len(), &answer["failed"]), (LEADS + 1, &json!(1)));
    assert_eq!(results[7]["error"]["code"], "invalid_request", "{}", results[7]);
    for (number, result) in results.iter().enumerate().filter(|(place, _)| *place != 7) {
        let number = if number > 7 { number - 1 } else { number };
        assert_eq!(result["lead_id"], format!("lead-{number}"));
        assert_eq!(result["model"]["version"], version_by_split(number), "{result}");
        let of = usize::from(version_by_split(number) == "2");
        assert_eq!(
            result["probability"].as_f64().map(f64::to_bits),
            Some(models[of][number].to_bits())
        );
    }
    for wrong in [
        json!({"champion": 10}),
        json!({"challenger": 101}),
        json!({"challenger": "10"}),
    ] {
        assert_eq!(
            operator.ask("PUT", "/v1/models/leads/split", &wrong).status,
            422,
            "{wrong}"
        );
    }
    operator.change("PUT", "/v1/models/leads/split", json!({}));
    assert!((0..LEADS).all(|number| version_of(&connection.post("/score", &lead(number))) == "1"));
    let challengers = records::read_texts(&server.stop(), "role")
        .into_iter()
        .filter(|role| role == "challenger")
        .count();
    let wanted = 2 * (0..LEADS).filter(|&number| version_by_split(number) == "2").count();
    assert_eq!(challengers, wanted);
}

fn a_shadow_scores_what_was_answered_and_answers_nothing(runtime: &str) {
    let store = Store::new("shadow", runtime);
    store.put("leads", 1);
    store.put("leads", 2);
    let mut server = store.launch(runtime).set("MODELS__VERSIONS", "1,2").shards(2).start();
    let mut operator = Operator::of(&server);
    operator.change("PUT", "/v1/models/leads/aliases", json!({"champion": "1"}));
    assert_eq!(operator.ask("GET", "/v1/models/leads/shadow", &json!({})).status, 404);
    operator.change("PUT", "/v1/models/leads/shadow", json!({"version": "2", "share": 1.0}));
    assert_eq!(
        operator
            .ask("POST", "/v1/models/leads/unload", &json!({"version": "2"}))
            .status,
        409
    );
    let models = [expected(&store, 1), expected(&store, 2)];
    let mut connection = server.connect();
    for number in 0..LEADS {
        assert_eq!(version_of(&connection.post("/score", &lead(number))), "1");
    }
    let began = Instant::now();
    let report = loop {
        let report = operator.ask("GET", "/v1/models/leads/shadow", &json!({})).json();
        if report["rows"].as_u64() == Some(LEADS as u64) {
            break report;
        }
        assert!(began.elapsed() < PATIENCE, "{report}");
        thread::sleep(Duration::from_millis(20));
    };
    let differences: Vec<f64> = models[0]
        .iter()
        .zip(&models[1])
        .map(|(one, two)| (one - two).abs())
        .collect();
    let mean = differences.iter().sum::<f64>() / LEADS as f64;
    let told = |name: &str| report[name].as_f64().expect("a number");
    assert!((told("mean_abs_difference") - mean).abs() < 1e-12, "{report}");
    let most = differences.iter().copied().fold(0.0, f64::max);
    assert!((told("max_abs_difference") - most).abs() < 1e-12, "{report}");
    assert_eq!(
        (&report["dropped"], &report["errors"], &report["version"]),
        (&json!(0), &json!(0), &json!("2"))
    );
    let bands: u64 = report["bands"]
        .as_array()
        .expect("5")
        .iter()
        .flat_map(|row| row.as_array().expect("5"))
        .filter_map(Value::as_u64)
        .sum();
    assert_eq!(bands, LEADS as u64);
    let data = server.stop();
    let (records, roles) = (records::read(&data), records::read_texts(&data, "role"));
    assert_eq!(records.len(), 2 * LEADS);
    let mut pairs: BTreeMap<&str, Vec<(&str, &records::Record)>> = BTreeMap::new();
    for (record, role) in records.iter().zip(&roles) {
        pairs.entry(&record.request_id).or_default().push((role, record));
    }
    for pair in pairs.values_mut() {
        pair.sort_by_key(|(role, _)| *role);
        let [("champion", one), ("shadow", other)] = pair.as_slice() else {
            panic!("{pair:?}");
        };
        assert_eq!(one.lead_id, other.lead_id);
        assert_eq!((one.model_version.as_str(), other.model_version.as_str()), ("1", "2"));
        let number: usize = one.lead_id.trim_start_matches("lead-").parse().expect("a number");
        assert_eq!(other.prediction.to_bits(), models[1][number].to_bits());
    }
}

on_both!(
    a_split_is_a_function_of_the_lead_alone_for_one_and_for_many,
    a_shadow_scores_what_was_answered_and_answers_nothing,
);
