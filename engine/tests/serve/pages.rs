//! What browsers and programs read: pages, descriptions, status.

use crate::client::{Answer, Connection};
use crate::harness::{Launch, PATIENCE};
use crate::on_both;
use crate::score::lead;

/// Every path that is read, and what it is.
const PATHS: [(&str, &str); 17] = [
    ("/", "text/html; charset=utf-8"),
    ("/home.css", "text/css; charset=utf-8"),
    ("/home.js", "text/javascript; charset=utf-8"),
    ("/icon.svg", "image/svg+xml"),
    ("/explore", "text/html; charset=utf-8"),
    ("/explore.css", "text/css; charset=utf-8"),
    ("/explore.js", "text/javascript; charset=utf-8"),
    ("/models", "text/html; charset=utf-8"),
    ("/models.css", "text/css; charset=utf-8"),
    ("/models.js", "text/javascript; charset=utf-8"),
    ("/docs", "text/html; charset=utf-8"),
    ("/docs/start.js", "text/javascript; charset=utf-8"),
    ("/docs/swagger-ui.css", "text/css; charset=utf-8"),
    ("/docs/swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
    ("/openapi.json", "application/json"),
    ("/v1/schema", "application/json"),
    ("/v1/status", "application/json"),
];

/// What a browser says that it takes. Programs are told at `/` that the server lives.
const HTML: &str = "accept: text/html,*/*;q=0.8\r\n";

fn get_with(connection: &mut Connection, path: &str, headers: &str) -> Answer {
    connection.send(format!("GET {path} HTTP/1.1\r\nhost: q\r\n{headers}\r\n"));
    connection.answer()
}

fn every_page_has_its_headers(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let mut connection = server.connect();
    for (path, kind) in PATHS {
        let answer = get_with(&mut connection, path, HTML);
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some(kind)),
            "{path}"
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert!(
            !answer.body.is_empty() && answer.header("x-request-id").is_some(),
            "{path}"
        );
        if kind.starts_with("text/html") {
            let policy = answer.header("content-security-policy").expect("a policy");
            assert!(
                policy.starts_with("default-src 'none';") && !policy.contains("unsafe"),
                "{policy}"
            );
            for way_around in ["<style", " style=", "onclick", "<script>", "http://", "https://"] {
                assert!(!answer.text().contains(way_around), "{path}: {way_around}");
            }
        }
        connection.send(format!(
            "HEAD {path} HTTP/1.1\r\nhost: q\r\n{HTML}\r\nGET /healthz HTTP/1.1\r\nhost: q\r\n\r\n"
        ));
        // The answer to HEAD has a length and no body: the next answer stands right behind its head.
        let health = connection.answer_behind_head(kind);
        assert_eq!(health.text(), "ok\n", "{path}");
        let refused = connection.post(path, "");
        assert_eq!(
            (refused.status, refused.header("allow")),
            (405, Some("GET, HEAD, OPTIONS")),
            "{path}"
        );
    }
}

fn what_a_browser_has_is_not_sent_again(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let mut connection = server.connect();
    for (path, _) in PATHS {
        let first = get_with(&mut connection, path, HTML);
        let Some(tag) = first.header("etag").map(str::to_owned) else {
            assert_eq!((path, first.header("cache-control")), ("/v1/status", Some("no-store")));
            continue;
        };
        let again = get_with(&mut connection, path, &format!("{HTML}if-none-match: \"x\", {tag}\r\n"));
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        assert_eq!(again.header("etag"), Some(tag.as_str()), "{path}");
        let other = get_with(&mut connection, path, &format!("{HTML}if-none-match: \"x\"\r\n"));
        assert_eq!((other.status, other.body), (200, first.body), "{path}");
    }
    let bundle = connection.get("/docs/swagger-ui-bundle.js");
    assert_eq!(
        bundle.header("cache-control"),
        Some("public, max-age=31536000, immutable")
    );
    let root = get_with(&mut connection, "/", HTML);
    assert_eq!(root.header("cache-control"), Some("no-cache"));
}

fn swagger_ui_comes_in_the_form_that_is_taken(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let mut connection = server.connect();
    for path in ["/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"] {
        let forms = [
            ("", None),
            ("accept-encoding: gzip, deflate\r\n", Some("gzip")),
            ("accept-encoding: gzip, deflate, br, zstd\r\n", Some("br")),
        ];
        let forms = forms.map(|(headers, encoding)| {
            let answer = get_with(&mut connection, path, headers);
            assert_eq!(
                (answer.status, answer.header("content-encoding")),
                (200, encoding),
                "{path}"
            );
            assert_eq!(answer.header("vary"), Some("accept-encoding"));
            answer.body
        });
        let [plain, gzip, brotli] = forms;
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(gzip.as_slice()), &mut text).expect("gzip");
        assert!(brotli.len() < gzip.len() && gzip.len() < text.len() / 3, "{path}");
        assert!(text == plain, "{path}: the forms differ");
    }
}

fn the_schema_names_what_the_model_takes(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let schema = server.connect().get("/v1/schema").json();
    assert_eq!(
        (&schema["model"]["name"], &schema["model"]["version"]),
        (&"demo".into(), &"1.0.0".into())
    );
    let features = schema["features"].as_array().expect("a list");
    let names: Vec<_> = features
        .iter()
        .map(|feature| feature["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, (1..=50).map(|column| format!("f{column}")).collect::<Vec<_>>());
    assert_eq!(features[0]["label"], "Visits in the last 7 days");
    assert_eq!(schema["bands"]["edges"].as_array().map(Vec::len), Some(4));
    assert_eq!(schema["outputs"]["field"], "probability");
}

fn the_documents_example_scores_as_it_says(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let mut connection = server.connect();
    let document = connection.get("/openapi.json").json();
    assert!(
        document["openapi"]
            .as_str()
            .is_some_and(|version| version.starts_with("3.1."))
    );
    let example = |name: &str| document["components"]["examples"][name]["value"].clone();
    let answer = connection.post("/score", &example("Lead").to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
    for key in ["lead_id", "score", "probability", "model"] {
        assert_eq!(answer.json()[key], example("ScoreAnswer")[key], "{key}");
    }
    let features = document["components"]["schemas"]["Features"]["properties"]
        .as_object()
        .expect("features");
    assert_eq!(features.len(), 50);
    assert_eq!(features["f2"]["title"], "Visits in the last 30 days");
    for (path, operations) in document["paths"].as_object().expect("paths") {
        let status = if operations.get("get").is_some() {
            connection.get(path).status
        } else {
            connection.post(path, "{").status
        };
        assert!([200, 400].contains(&status), "{path}: {status}");
    }
}

fn the_status_moves_with_traffic(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let mut connection = server.connect();
    let before = connection.get("/v1/status").json();
    assert_eq!(before["process"]["runtime"], runtime);
    assert_eq!(
        (&before["process"]["shards"], &before["model"]["features"]),
        (&1.into(), &50.into())
    );
    for number in 0..40 {
        assert_eq!(connection.post("/score", &lead(number)).status, 200);
    }
    assert_eq!(connection.post("/score", "{}").status, 422);
    let sum = |status: &serde_json::Value, of: &str| -> u64 {
        let steps = status["history"][of].as_array().expect("a list");
        let number = |value: &serde_json::Value| value.as_u64().unwrap_or(0);
        steps
            .iter()
            .map(|step| {
                step.as_array()
                    .map_or_else(|| number(step), |bands| bands.iter().map(number).sum())
            })
            .sum()
    };
    let began = std::time::Instant::now();
    let after = loop {
        let status = connection.get("/v1/status").json();
        if sum(&status, "requests") == 41 {
            break status;
        }
        assert!(began.elapsed() < PATIENCE, "{status}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    assert_eq!(
        (
            sum(&after, "scores"),
            sum(&after, "client_errors"),
            sum(&after, "server_errors")
        ),
        (40, 1, 0)
    );
    assert!(after["now"]["p99_us"].as_f64().expect("a number") > 0.0, "{after}");
    assert!(after["now"]["leads_per_s"].as_f64().expect("a number") > 0.0, "{after}");
}

fn pages_can_be_turned_off(runtime: &str) {
    let server = Launch::new(runtime).no_sink().set("SERVER__PAGES", "off").start();
    let mut connection = server.connect();
    for (path, kind) in PATHS {
        let wanted = if kind == "application/json" { 200 } else { 404 };
        assert_eq!(get_with(&mut connection, path, HTML).status, wanted, "{path}");
    }
}

on_both!(
    every_page_has_its_headers,
    what_a_browser_has_is_not_sent_again,
    swagger_ui_comes_in_the_form_that_is_taken,
    the_schema_names_what_the_model_takes,
    the_documents_example_scores_as_it_says,
    the_status_moves_with_traffic,
    pages_can_be_turned_off,
);
