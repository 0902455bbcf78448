//! Reasons and changes of scores: where they are asked for, what they say, and what records keep.

use crate::harness::Launch;
use crate::on_both;
use crate::score::lead;

fn reasons_are_given_where_they_are_asked_for(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let mut connection = server.connect();
    let plain = connection.post("/score", &lead(7)).json();
    assert!(plain.get("reasons").is_none() && plain.get("explained").is_none());
    let json = connection.post("/score?explain=3", &lead(7)).json();
    for member in ["lead_id", "score", "probability", "model"] {
        assert_eq!(json[member], plain[member], "{member}");
    }
    let reasons = json["reasons"].as_array().expect("reasons");
    let sizes = reasons
        .iter()
        .map(|reason| reason["contribution"].as_f64().expect("a number"));
    let sizes: Vec<f64> = sizes.collect();
    assert!(
        sizes.len() == 3 && sizes[0].abs() >= sizes[1].abs() && sizes[1].abs() >= sizes[2].abs(),
        "{sizes:?}"
    );
    let number = |key: &str| json["explained"][key].as_f64().expect("a number");
    let margin = sizes.iter().sum::<f64>() + number("bias") + number("others");
    let probability = 1.0 / (1.0 + (-margin).exp());
    assert!((probability - json["probability"].as_f64().expect("a number")).abs() < 1e-5);
    let lowers = connection.post("/score?explain=50&direction=lowers", &lead(7)).json();
    let lowers = lowers["reasons"].as_array().expect("reasons");
    assert!(!lowers.is_empty() && lowers.iter().all(|reason| reason["direction"] == "lowers"));
    let batch = format!("{{\"leads\":[{},{{}}]}}", lead(7));
    let batch = connection.post("/score/batch?explain=3", &batch).json();
    assert_eq!(batch["results"][0]["reasons"], json["reasons"]);
    assert_eq!(batch["results"][0]["explained"], json["explained"]);
    assert!(batch["results"][1].get("reasons").is_none());
}

/// A lead that says how many reasons it wants.
fn asking(more: &str) -> String {
    lead(7).replacen('{', &format!("{{{more},"), 1)
}

fn a_body_may_ask_for_reasons(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let mut connection = server.connect();
    let lead = asking("\"explain\":2,\"direction\":\"lowers\"");
    // The first one waits until what explains the model is made; so does a line of a batch, beside one that does not ask.
    let lines = format!("{}\n{lead}\n{}\n", self::lead(7), self::lead(7));
    let answer = connection.post_with(
        "/score/batch",
        "content-type: application/x-ndjson\r\n",
        lines.as_bytes(),
    );
    let text = answer.text();
    let results: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let expected = connection
        .post("/score?explain=2&direction=lowers", &self::lead(7))
        .json();
    assert_eq!(expected["reasons"].as_array().map(Vec::len), Some(2));
    assert_eq!(results.len(), 3);
    assert_eq!(results[1]["reasons"], expected["reasons"]);
    assert!(results[0].get("reasons").is_none() && results[2].get("reasons").is_none());
    let own = connection.post("/score?explain=7", &lead).json();
    assert_eq!(
        (&own["reasons"], &own["explained"]),
        (&expected["reasons"], &expected["explained"])
    );
    let batch = format!(
        "{{\"explain\":2,\"leads\":[{},{}],\"direction\":\"lowers\"}}",
        self::lead(7),
        asking("\"explain\":0")
    );
    let batch = connection.post("/score/batch", &batch).json();
    assert_eq!(batch["results"][0]["reasons"], expected["reasons"]);
    assert!(batch["results"][1].get("reasons").is_none());
    for (wrong, code) in [
        ("\"explain\":-1", "wrong_form"),
        ("\"explain\":1.5", "wrong_form"),
        ("\"explain\":\"2\"", "wrong_type"),
        ("\"explain\":null", "wrong_type"),
        ("\"direction\":\"up\"", "wrong_form"),
        ("\"explain\":1,\"explain\":1", "duplicate_key"),
    ] {
        let answer = connection.post("/score", &asking(wrong));
        assert_eq!(answer.status, 422, "{wrong}");
        let fault = answer.json()["error"]["faults"][0].clone();
        let pointer = format!("/{}", wrong.split('"').nth(1).expect("a key"));
        assert_eq!(
            (&fault["code"], &fault["pointer"]),
            (&code.into(), &pointer.into()),
            "{wrong}"
        );
    }
}

fn configured_reasons_are_given_and_recorded(runtime: &str) {
    let mut server = Launch::new(runtime).set("SCORING__EXPLAIN", "3").start();
    let mut connection = server.connect();
    let usual = connection.post("/score", &lead(7)).json();
    assert_eq!(usual["reasons"].as_array().map(Vec::len), Some(3));
    let none = connection.post("/score?explain=0", &lead(7)).json();
    assert!(none.get("reasons").is_none() && none.get("explained").is_none());
    let batch = format!("{{\"leads\":[{}]}}", asking("\"explain\":50"));
    let all = connection.post("/score/batch", &batch).json()["results"][0]["reasons"].clone();
    drop(connection);
    let data = server.stop();
    let recorded = crate::records::read_texts(&data, "reasons");
    assert_eq!(recorded.len(), 3);
    let parse = |text: &String| serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
    assert_eq!(parse(&recorded[0]), usual["reasons"]);
    assert_eq!(recorded[1], "");
    let (kept, all) = (parse(&recorded[2]), all.as_array().expect("reasons").clone());
    let kept = kept.as_array().expect("reasons");
    assert!(
        recorded[2].len() <= 4096 && kept.len() > 3 && kept[..] == all[..kept.len()],
        "{kept:?}"
    );
}

/// A copy of the demo whose manifest lets people change a few features.
fn changeable(name: &str) -> std::path::PathBuf {
    let demo = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("demo");
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::copy(demo.join("demo.ubj"), folder.join("demo.ubj")).expect("the demo");
    let mut manifest = std::fs::read_to_string(demo.join("demo.toml")).expect("its manifest");
    for column in [1, 2, 5] {
        let head = format!("[features.f{column}]\n");
        manifest = manifest.replacen(&head, &format!("{head}actionable = true\n"), 1);
    }
    std::fs::write(folder.join("demo.toml"), manifest).expect("a manifest");
    folder.join("demo.ubj")
}

fn a_target_is_reached_by_what_is_told(runtime: &str) {
    let model = changeable(&format!("target-{runtime}"));
    let mut server = Launch::new(runtime)
        .args(&["--model", model.to_str().expect("UTF-8")])
        .start();
    let mut connection = server.connect();
    let (mut told, mut sent) = (0, 0);
    for number in 0..12 {
        let body: serde_json::Value = serde_json::from_str(&lead(number)).expect("JSON");
        let today = connection.post("/score", &body.to_string()).json();
        sent += 1;
        for target in 1..=5u64 {
            let answer = connection
                .post(&format!("/score?target={target}&explain=1"), &body.to_string())
                .json();
            sent += 1;
            assert_eq!(
                (&answer["score"], &answer["probability"]),
                (&today["score"], &today["probability"])
            );
            assert_eq!(answer["reasons"].as_array().map(Vec::len), Some(1));
            let found = &answer["target"];
            assert_eq!(found["score"], target);
            let changes = found["changes"].as_array().expect("changes");
            let is_already = today["score"] == target;
            assert!(!is_already || changes.is_empty());
            for change in changes {
                let mut changed = body.clone();
                for feature in change["features"].as_array().expect("features") {
                    changed["features"][feature["feature"].as_str().expect("a name")] = feature["to"].clone();
                }
                let scored = connection.post("/score", &changed.to_string()).json();
                sent += 1;
                assert_eq!(
                    (&scored["score"], &scored["probability"]),
                    (&change["score"], &change["prediction"])
                );
                let (score, today) = (scored["score"].as_u64(), today["score"].as_u64());
                assert!(if Some(target) > today {
                    score >= Some(target)
                } else {
                    score <= Some(target)
                });
                told += 1;
            }
        }
    }
    assert!(told > 4, "{told}");
    for (path, code) in [
        ("/score?target=6", "invalid_query"),
        ("/score/batch?target=4", "invalid_query"),
    ] {
        let answer = connection.post(path, &lead(7));
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (422, &code.into()),
            "{path}"
        );
    }
    drop(connection);
    // What was tried has no record.
    assert_eq!(crate::records::read(&server.stop()).len(), sent);
}

fn a_query_that_is_not_understood_is_refused(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let mut connection = server.connect();
    for query in ["explain=all", "explain=-1", "explain=1001", "explain=2&direction=up"] {
        for path in ["/score", "/score/batch"] {
            let answer = connection.post(&format!("{path}?{query}"), &lead(7));
            assert_eq!((answer.status, query), (422, query));
            assert_eq!(answer.json()["error"]["code"], "invalid_query");
        }
    }
    assert_eq!(connection.post("/score?explain=0&x=y", &lead(7)).status, 422);
    assert_eq!(connection.post("/score?explain=0&unusual=1", &lead(7)).status, 200);
}

on_both!(
    reasons_are_given_where_they_are_asked_for,
    a_body_may_ask_for_reasons,
    configured_reasons_are_given_and_recorded,
    a_target_is_reached_by_what_is_told,
    a_query_that_is_not_understood_is_refused,
);
