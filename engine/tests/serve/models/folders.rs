//! Versions come and go as folders.

use super::*;

fn what_is_renamed_in_is_loaded_and_what_fails_changes_nothing(runtime: &str) {
    let store = Store::new("folders", runtime);
    store.put("leads", 1);
    let server = store.launch(runtime).no_sink().start();
    let (mut connection, mut operator) = (server.connect(), Operator::of(&server));
    store.put("leads", 2);
    operator.await_model("leads", |model| {
        model["aliases"]["champion"] == "2" && state(model, "1") == "unloaded"
    });
    assert_eq!(version_of(&connection.post("/score", &lead(1))), "2");
    // A golden row that the model does not meet.
    let golden = format!(
        "[[golden]]\nfeatures = [{}]\nmargin = [0.123]\n",
        ["1.0"; 50].join(", ")
    );
    store.put_with("leads", 3, &golden);
    let model = operator.await_model("leads", |model| state(model, "3") == "failed");
    let reason = model["versions"][2]["reason"].as_str().expect("a reason").to_owned();
    assert!(reason.contains("golden"), "{reason}");
    assert_eq!(version_of(&connection.post("/score", &lead(1))), "2");
    assert_eq!(
        connection.post("/v1/models/leads/versions/3/score", &lead(1)).status,
        503
    );
    let answer = operator.ask("PUT", "/v1/models/leads/aliases", &json!({"champion": "3"}));
    assert_eq!(answer.status, 409, "{}", answer.text());
    // It is tried again when its files change.
    fs::write(
        store.folder("leads", 3).join("model.toml"),
        "edges = [0.02, 0.05, 0.1, 0.2]\n",
    )
    .expect("a file");
    operator.await_model("leads", |model| model["aliases"]["champion"] == "3");
    assert_eq!(version_of(&connection.post("/score", &lead(1))), "3");
    let index = operator.ask("POST", "/v2/repository/index", &json!({})).json();
    let ready: Vec<_> = index
        .as_array()
        .expect("a list")
        .iter()
        .filter(|entry| entry["state"] == "READY")
        .collect();
    assert_eq!((ready.len(), &ready[0]["version"]), (1, &json!("3")), "{index}");
}

fn half_a_copy_is_not_loaded(runtime: &str) {
    let store = Store::new("half", runtime);
    store.put("leads", 1);
    let server = store.launch(runtime).no_sink().start();
    let mut operator = Operator::of(&server);
    // A copy that is written in place, a part at a time.
    let demo = fs::read("demo/demo.ubj").expect("the demo");
    let folder = store.folder("leads", 2);
    fs::create_dir_all(&folder).expect("a folder");
    for end in (1..=4).map(|part| demo.len() * part / 4) {
        fs::write(folder.join("model.ubj"), &demo[..end]).expect("a file");
        thread::sleep(Duration::from_millis(700));
        assert_ne!(state(&operator.model("leads"), "2"), "failed", "half of it was loaded");
    }
    operator.await_model("leads", |model| model["aliases"]["champion"] == "2");
    assert!(!server.log().contains("is not loaded"), "{}", server.log());
}

fn a_store_without_a_model_to_serve_is_told(runtime: &str) {
    let store = Store::new("empty", runtime);
    let (code, log) = store.launch(runtime).no_sink().refused();
    assert_eq!(code, Some(78), "{log}");
    assert!(log.contains("leads has no version that can be served"), "{log}");
    let (code, log) = store.launch(runtime).args(&["--model", "demo/demo.ubj"]).refused();
    assert_eq!(code, Some(78), "{log}");
    assert!(log.contains("models.store"), "{log}");
}

on_both!(
    what_is_renamed_in_is_loaded_and_what_fails_changes_nothing,
    half_a_copy_is_not_loaded,
    a_store_without_a_model_to_serve_is_told,
);
