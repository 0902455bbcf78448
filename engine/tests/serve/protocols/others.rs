//! KServe's first protocol, SageMaker's container and endpoint, MLflow's scoring server.

use serde_json::{Value, json};

use super::{probability, row};
use crate::client::Answer;
use crate::harness::Launch;
use crate::on_both;
use crate::records::read_texts;

fn numbers(values: &Value) -> Vec<f64> {
    let values = values.as_array().unwrap_or_else(|| panic!("no list: {values}"));
    values.iter().map(|value| value.as_f64().expect("a number")).collect()
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn named(row: &[Value]) -> serde_json::Map<String, Value> {
    (1..)
        .zip(row)
        .map(|(column, value)| (format!("f{column}"), value.clone()))
        .collect()
}

fn csv(rows: &[Vec<Value>], delimiter: &str) -> String {
    let cell = |value: &Value| {
        if value.is_null() {
            String::new()
        } else {
            value.to_string()
        }
    };
    let line = |row: &Vec<Value>| row.iter().map(cell).collect::<Vec<_>>().join(delimiter) + "\n";
    rows.iter().map(line).collect()
}

fn kserve_first_protocol(runtime: &str) {
    let mut server = Launch::new(runtime).start();
    let mut connection = server.connect();
    let wanted = [1, 2, 3].map(|number| probability(&mut connection, number));
    let rows = [1, 2, 3].map(row);
    let objects: Vec<_> = rows.iter().map(|row| named(row)).collect();
    let lists_of_one: Vec<_> = objects
        .iter()
        .map(|object| {
            object
                .iter()
                .map(|(name, value)| (name.clone(), json!([value])))
                .collect::<serde_json::Map<_, _>>()
        })
        .collect();
    for body in [
        json!({"instances": rows}),
        json!({"inputs": rows}),
        json!({"instances": objects}),
        json!({"instances": lists_of_one}),
        json!({"parameters": {"x": [1]}, "instances": rows}),
    ] {
        let answer = connection.post("/v1/models/demo:predict", &body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(bits(&numbers(&answer.json()["predictions"])), bits(&wanted), "{body}");
    }
    for (body, part) in [
        ("{", "byte 1"),
        ("{}", "instances"),
        ("[[1]]", "instances"),
        ("{\"instances\":[[1,2]]}", "has 2 values"),
        ("{\"instances\":[{\"colour\":1}]}", "no feature"),
        ("{\"instances\":[{\"f1\":\"98765\"}]}", "takes numbers"),
        ("{\"instances\":[[NaN]]}", "a number"),
    ] {
        let answer = connection.post("/v1/models/demo:predict", body);
        let text = answer.json()["error"].as_str().expect("a text").to_owned();
        assert_eq!(answer.status, 400, "{text}");
        assert!(text.contains(part) && !text.contains("98765"), "{text}");
    }
    assert_eq!(connection.get("/v1/models").json(), json!({"models": ["demo"]}));
    assert_eq!(
        connection.get("/v1/models/demo").json(),
        json!({"name": "demo", "ready": true})
    );
    assert_eq!(connection.get("/v1/models/other").status, 404);
    assert_eq!(connection.post("/v1/models/other:predict", "{}").status, 404);
    // Our own paths are where they were.
    assert_eq!(
        connection.post("/v1/models/demo/score", &crate::score::lead(1)).status,
        200
    );
    drop(connection);
    let protocols = read_texts(&server.stop(), "protocol");
    assert_eq!(protocols.iter().filter(|protocol| *protocol == "v1").count(), 15);
}

fn programs_are_told_at_the_root_that_it_lives(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let mut connection = server.connect();
    for accept in ["", "accept: */*\r\n", "accept: application/json\r\n"] {
        connection.send(format!("GET / HTTP/1.1\r\nhost: a\r\n{accept}\r\n"));
        let answer = connection.answer();
        assert_eq!(answer.json(), json!({"status": "alive"}));
        assert_eq!(answer.header("vary"), Some("accept"));
    }
    connection.send("GET / HTTP/1.1\r\nhost: a\r\naccept: text/html,application/xhtml+xml\r\n\r\n");
    let answer = connection.answer();
    assert_eq!(
        answer.header("content-type").map(|kind| kind.starts_with("text/html")),
        Some(true)
    );
    assert_eq!(answer.header("vary"), Some("accept, accept-encoding"));
}

fn invoke(server: &crate::harness::Server, kind: &str, accept: &str, body: &[u8]) -> Answer {
    let mut headers = String::new();
    for (name, value) in [("content-type", kind), ("accept", accept)] {
        if !value.is_empty() {
            headers += &format!("{name}: {value}\r\n");
        }
    }
    server.connect().post_with("/invocations", &headers, body)
}

fn sagemaker_container(runtime: &str) {
    let mut server = Launch::new(runtime).start();
    let wanted = [1, 2].map(|number| probability(&mut server.connect(), number));
    let rows = [1, 2].map(row).to_vec();
    let lines: String = rows
        .iter()
        .map(|row| json!({"features": row}).to_string() + "\n")
        .collect();
    let libsvm: String = rows.iter().map(|row| libsvm(row)).collect();
    let labelled: String = csv(&rows, ",").lines().map(|line| format!("1,{line}\n")).collect();
    for (kind, body) in [
        ("text/csv", csv(&rows, ",").into_bytes()),
        ("text/csv; charset=utf-8", csv(&rows, ";").into_bytes()),
        ("text/csv; label_size=1", labelled.into_bytes()),
        ("application/json", json!({"instances": rows}).to_string().into_bytes()),
        ("application/json", json!(rows).to_string().into_bytes()),
        ("application/jsonlines", lines.into_bytes()),
        ("text/libsvm", libsvm.clone().into_bytes()),
        ("", libsvm.into_bytes()),
        ("application/x-recordio-protobuf", record_io(&rows)),
        ("application/x-npy", npy(&rows)),
    ] {
        let answer = invoke(&server, kind, "", &body);
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some("text/csv")),
            "{kind}: {}",
            answer.text()
        );
        let found: Vec<f64> = answer
            .text()
            .lines()
            .map(|line| line.parse().expect("a number"))
            .collect();
        let is_narrow = kind.contains("recordio") || kind.contains("npy");
        assert_eq!(bits(&found), bits(&wanted), "{kind} (32 bits: {is_narrow})");
    }
    let body = csv(&rows, ",").into_bytes();
    let json = invoke(&server, "text/csv", "application/json", &body).json();
    let scores: Vec<_> = json["predictions"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["score"].clone())
        .collect();
    assert_eq!(bits(&numbers(&json!(scores))), bits(&wanted));
    let lines = invoke(&server, "text/csv", "application/jsonlines", &body);
    assert!(
        lines.text().starts_with("{\"score\":") && lines.text().ends_with("}\n"),
        "{}",
        lines.text()
    );
    for (kind, accept, body, status) in [
        ("text/csv", "", &b""[..], 204),
        ("image/png", "", b"x", 415),
        ("text/csv", "image/png", b"1", 406),
        ("text/csv", "", b"1,2,3", 400),
        ("text/libsvm", "", b"1 60:2 0:1", 400),
        ("application/x-recordio-protobuf", "", b"abcdefgh", 400),
        ("application/x-npy", "", b"\x93NUMPY", 400),
    ] {
        assert_eq!(invoke(&server, kind, accept, body).status, status, "{kind}");
    }
    let mut connection = server.connect();
    assert_eq!(connection.get("/ping").status, 200);
    let parameters = connection.get("/execution-parameters").json();
    assert_eq!(parameters["MaxPayloadInMB"], 32);
    assert_eq!(parameters["BatchStrategy"], "MULTI_RECORD");
    let endpoint = connection.post_with("/endpoints/any-name/invocations", "content-type: text/csv\r\n", &body);
    assert_eq!(endpoint.status, 200);
    assert_eq!(endpoint.header("x-amzn-invoked-production-variant"), Some("AllTraffic"));
    let refused = connection.post_with("/endpoints/any-name/invocations", "content-type: text/csv\r\n", b"1,2");
    assert_eq!(
        (refused.status, refused.header("x-amzn-errortype")),
        (424, Some("ModelError"))
    );
    assert_eq!(refused.json()["OriginalStatusCode"], 400);
    drop(connection);
    let protocols = read_texts(&server.stop(), "protocol");
    assert_eq!(protocols.iter().filter(|protocol| *protocol == "sagemaker").count(), 26);
}

fn libsvm(row: &[Value]) -> String {
    let pair = |(column, value): (usize, &Value)| (!value.is_null()).then(|| format!(" {column}:{value}"));
    let pairs: String = row.iter().enumerate().filter_map(pair).collect();
    // Indices count from 1 where none is 0, and both rows have their first feature or neither has.
    format!("1{}\n", if row[0].is_null() { pairs + " 0:nan" } else { pairs })
}

#[expect(clippy::cast_possible_truncation, reason = "what a client does")]
fn single(value: &Value) -> f32 {
    value.as_f64().map_or(f32::NAN, |value| value as f32)
}

fn framed(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(u8::try_from(length & 0x7F).expect("seven bits") | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).expect("seven bits"));
    out.extend_from_slice(bytes);
    out
}

fn record_io(rows: &[Vec<Value>]) -> Vec<u8> {
    let mut out = Vec::new();
    for row in rows {
        let values: Vec<u8> = row.iter().flat_map(|value| single(value).to_le_bytes()).collect();
        let entry = [framed(1, b"values"), framed(2, &framed(2, &framed(1, &values)))].concat();
        let record = framed(1, &entry);
        out.extend_from_slice(&0xCED7_230A_u32.to_le_bytes());
        out.extend_from_slice(&u32::try_from(record.len()).expect("short").to_le_bytes());
        out.extend_from_slice(&record);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

fn npy(rows: &[Vec<Value>]) -> Vec<u8> {
    let head = format!(
        "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, 50), }}\n",
        rows.len()
    );
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend_from_slice(&u16::try_from(head.len()).expect("short").to_le_bytes());
    out.extend_from_slice(head.as_bytes());
    out.extend(rows.iter().flatten().flat_map(|value| single(value).to_le_bytes()));
    out
}

fn mlflow_scoring_server(runtime: &str) {
    let mut server = Launch::new(runtime).start();
    let wanted = [1, 2].map(|number| probability(&mut server.connect(), number));
    let rows = [1, 2].map(row).to_vec();
    let columns: Vec<_> = (1..=50).map(|column| format!("f{column}")).collect();
    let backwards: Vec<_> = columns.iter().rev().collect();
    let turned: Vec<Vec<_>> = rows.iter().map(|row| row.iter().rev().cloned().collect()).collect();
    let by_column: serde_json::Map<_, _> = (0..50)
        .map(|column| (format!("f{}", column + 1), json!([rows[0][column], rows[1][column]])))
        .collect();
    let records: Vec<_> = rows.iter().map(|row| named(row)).collect();
    let mut header = columns.join(",");
    header.push('\n');
    header += &csv(&rows, ",");
    for (kind, body) in [
        (
            "application/json",
            json!({"dataframe_split": {"columns": backwards, "index": [0, 1], "data": turned}}).to_string(),
        ),
        (
            "application/json",
            json!({"dataframe_split": {"data": turned, "columns": backwards}}).to_string(),
        ),
        (
            "application/json; charset=utf-8",
            json!({"dataframe_records": records}).to_string(),
        ),
        ("application/json", json!({"inputs": rows}).to_string()),
        ("application/json", json!({"inputs": by_column}).to_string()),
        ("text/csv", header),
    ] {
        let answer = invoke(&server, kind, "", body.as_bytes());
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some("application/json")),
            "{}",
            answer.text()
        );
        assert_eq!(bits(&numbers(&answer.json()["predictions"])), bits(&wanted), "{body}");
    }
    assert_eq!(read_texts(&server.stop(), "protocol").len(), 14);
    // With SageMaker turned off it is MLflow's alone, with MLflow's errors.
    let server = Launch::new(runtime)
        .no_sink()
        .set("SERVER__PROTOCOLS", "mlflow")
        .start();
    let answer = invoke(
        &server,
        "application/json",
        "",
        json!({"instances": rows}).to_string().as_bytes(),
    );
    assert_eq!(bits(&numbers(&answer.json()["predictions"])), bits(&wanted));
    for (kind, body, status) in [
        ("application/json", "[[1]]", 400),
        ("application/json", "{\"dataframe_records\":[{\"f1\":98765}]}", 400),
        ("text/libsvm", "1 1:1", 415),
        ("", "{}", 415),
    ] {
        let answer = invoke(&server, kind, "", body.as_bytes());
        assert_eq!(
            (answer.status, answer.json()["error_code"].clone()),
            (status, json!("BAD_REQUEST"))
        );
        assert!(!answer.text().contains("98765"));
    }
    assert_eq!(
        invoke(&server, "application/json", "", b"{\"dataframe_records\":[]}").json(),
        json!({"predictions": []})
    );
    assert_eq!(server.connect().get("/health").text(), "\n");
    assert_eq!(server.connect().get("/version").status, 200);
    assert_eq!(server.connect().get("/endpoints/x/invocations").status, 404);
}

on_both!(
    kserve_first_protocol,
    programs_are_told_at_the_root_that_it_lives,
    sagemaker_container,
    mlflow_scoring_server,
);
