//! What operators decide is kept, and is the same for all processes of a store.

use super::*;

fn two_processes_agree_and_a_restart_forgets_nothing(runtime: &str) {
    let store = Store::new("agree", runtime);
    store.put("leads", 1);
    store.put("leads", 2);
    let launch = || store.launch(runtime).set("MODELS__VERSIONS", "1,2").no_sink();
    let (one, other) = (launch().start(), launch().start());
    let late = launch().set("MODELS__POLL_SECONDS", "0").start();
    let (mut at_one, mut at_other, mut at_late) = (Operator::of(&one), Operator::of(&other), Operator::of(&late));
    at_one.change(
        "PUT",
        "/v1/models/leads/aliases",
        json!({"champion": "1", "challenger": "2"}),
    );
    at_one.change("PUT", "/v1/models/leads/split", json!({"challenger": 25}));
    let told = at_other.await_model("leads", |model| model["split"]["challenger"] == 25);
    assert_eq!(told["aliases"], json!({"champion": "1", "challenger": "2"}));
    assert_eq!(
        version_of(&other.connect().post("/v1/models/leads@champion/score", &lead(1))),
        "1"
    );
    // Who has not looked since decides on what is not so any more.
    let answer = at_late.ask("PUT", "/v1/models/leads/aliases", &json!({"champion": "2"}));
    assert_eq!(answer.status, 409, "{}", answer.text());
    assert_eq!(at_late.model("leads")["aliases"]["champion"], "1");
    at_late.change("POST", "/v1/models/leads/rollback", json!({}));
    at_other.await_model("leads", |model| model["aliases"]["champion"] == "2");
    let again = at_other.ask("POST", "/v1/models/leads/rollback", &json!({}));
    assert_eq!(again.status, 409, "{}", again.text());
    drop((one, other, late));
    let server = launch().start();
    let told = Operator::of(&server).model("leads");
    assert_eq!(told["aliases"], json!({"champion": "2", "challenger": "2"}));
    assert_eq!(told["split"], json!({"challenger": 25}));
}

fn what_an_operator_loads_stays_loaded(runtime: &str) {
    let store = Store::new("stays", runtime);
    for version in [1, 2, 3] {
        store.put("leads", version);
    }
    let launch = || store.launch(runtime).set("MODELS__VERSIONS", "2,3").no_sink();
    let server = launch().start();
    let mut operator = Operator::of(&server);
    operator.change("POST", "/v1/models/leads/load", json!({"version": "1"}));
    operator.change("POST", "/v1/models/leads/unload", json!({"version": "2"}));
    let states = |model: &Value| [1, 2, 3].map(|version: u64| state(model, &version.to_string()));
    let wanted = ["ready", "unloaded", "ready"];
    thread::sleep(Duration::from_millis(2_500));
    assert_eq!(states(&operator.model("leads")), wanted);
    drop(server);
    let server = launch().start();
    let model = Operator::of(&server).model("leads");
    assert_eq!(
        (states(&model), &model["aliases"]["champion"]),
        (wanted.map(String::from), &json!("3"))
    );
}

fn a_champion_that_scores_otherwise_is_taken_back(runtime: &str) {
    let store = Store::new("back", runtime);
    store.put("leads", 1);
    store.put("leads", 2);
    let server = store
        .launch(runtime)
        .set("MODELS__VERSIONS", "1,2")
        .set("MODELS__ROLLBACK__ROWS", "50")
        .set("MODELS__ROLLBACK__PREDICTION_PSI", "0.05")
        .start();
    let (mut connection, mut operator) = (server.connect(), Operator::of(&server));
    operator.change("PUT", "/v1/models/leads/aliases", json!({"champion": "1"}));
    // The rows of the way to it are too few to say anything of it.
    operator.change("PUT", "/v1/models/leads/aliases", json!({"champion": "2"}));
    let began = Instant::now();
    let mut number = 0;
    while operator.model("leads")["rolled_back"].is_null() {
        assert!(began.elapsed() < PATIENCE, "{}", server.log());
        assert_eq!(connection.post("/score", &lead(number)).status, 200);
        number += 1;
    }
    let model = operator.model("leads");
    assert_eq!(model["aliases"]["champion"], "1", "{model:#}");
    assert_eq!(
        (&model["rolled_back"]["from"], &model["rolled_back"]["to"]),
        (&json!("2"), &json!("1"))
    );
    assert!(server.log().contains("it is taken back"), "{}", server.log());
    assert_eq!(version_of(&connection.post("/score", &lead(1))), "1");
}

on_both!(
    two_processes_agree_and_a_restart_forgets_nothing,
    what_an_operator_loads_stays_loaded,
    a_champion_that_scores_otherwise_is_taken_back,
);
