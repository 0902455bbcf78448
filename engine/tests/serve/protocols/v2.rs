//! The Open Inference Protocol over HTTP.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Value, json};

use super::{probability, row, tensor};
use crate::client::{Answer, Connection};
use crate::harness::Launch;
use crate::on_both;
use crate::records::{read, read_texts};

const INFER: &str = "/v2/models/demo/infer";

/// The values of an output.
fn output(answer: &Answer, name: &str) -> Vec<f64> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    let outputs = answer["outputs"].as_array().expect("outputs");
    let found = outputs.iter().find(|output| output["name"] == name);
    let data = found.and_then(|output| output["data"].as_array()).expect("data");
    data.iter().map(|value| value.as_f64().expect("a number")).collect()
}

/// The text of an error, the only thing that clients print.
fn error(answer: &Answer) -> (u16, String) {
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let text = answer.json()["error"]
        .as_str()
        .expect("a text and no object")
        .to_owned();
    (answer.status, text)
}

fn rows_are_scored_as_leads_are(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let mut connection = server.connect();
    for count in [1, 3, 64, 65, 1000] {
        let rows: Vec<_> = (0..count).map(row).collect();
        let answer = connection.post(INFER, &tensor(&rows).to_string());
        let found = output(&answer, "predict");
        assert_eq!(found.len(), count);
        for number in (0..count).step_by(1 + count / 10) {
            let wanted = probability(&mut connection, number);
            assert_eq!(found[number].to_bits(), wanted.to_bits(), "row {number} of {count}");
        }
    }
    let answer = connection.post(INFER, &tensor(&[row(1)]).to_string()).json();
    assert_eq!(answer["model_name"], "demo");
    assert_eq!(answer["model_version"], "1.0.0");
    assert_eq!(answer.get("id"), None);
    assert_eq!(answer["outputs"][0]["shape"], json!([1]));
    assert_eq!(answer["outputs"][0]["datatype"], "FP32");
}

fn a_tensor_a_feature_goes_by_name(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let mut connection = server.connect();
    let rows = [row(1), row(2)];
    let one = |column: usize| {
        let data: Vec<_> = rows.iter().map(|row| row[column].clone()).collect();
        json!({"name": format!("f{}", column + 1), "datatype": "FP64", "shape": [2, 1], "data": data})
    };
    let inputs: Vec<_> = (0..50).rev().map(one).collect();
    let found = output(
        &connection.post(INFER, &json!({"inputs": inputs}).to_string()),
        "predict",
    );
    for (place, number) in [1, 2].into_iter().enumerate() {
        assert_eq!(found[place].to_bits(), probability(&mut connection, number).to_bits());
    }
    let mut wrong = inputs.clone();
    wrong[3]["name"] = json!("colour");
    let (status, text) = error(&connection.post(INFER, &json!({"inputs": wrong}).to_string()));
    assert_eq!(status, 400);
    assert!(text.contains("input 3"), "{text}");
    wrong[3]["name"] = wrong[4]["name"].clone();
    let (status, text) = error(&connection.post(INFER, &json!({"inputs": wrong}).to_string()));
    assert!(status == 400 && text.contains("twice"), "{text}");
}

/// The body of a binary request: its JSON text and tensors, and where the tensors begin.
fn binary(json: &Value, tensors: &[u8]) -> (String, Vec<u8>) {
    let text = json.to_string();
    let headers = format!("inference-header-content-length: {}\r\n", text.len());
    (headers, [text.as_bytes(), tensors].concat())
}

fn singles(rows: &[Vec<Value>]) -> Vec<u8> {
    #[expect(clippy::cast_possible_truncation, reason = "what a client does")]
    let single = |value: &Value| value.as_f64().map_or(f32::NAN, |value| value as f32);
    rows.iter()
        .flatten()
        .flat_map(|value| single(value).to_le_bytes())
        .collect()
}

fn binary_tensors_come_and_go(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let mut connection = server.connect();
    let rows: Vec<_> = (0..200).map(row).collect();
    let request = json!({
        "parameters": {"binary_data_output": true},
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [200, 50], "parameters": {"binary_data_size": 40000}}],
    });
    let (headers, body) = binary(&request, &singles(&rows));
    let answer = connection.post_with(INFER, &headers, &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
    let json_bytes: usize = answer
        .header("inference-header-content-length")
        .and_then(|text| text.parse().ok())
        .expect("a length");
    let head: Value = serde_json::from_slice(&answer.body[..json_bytes]).expect("JSON");
    assert_eq!(head["outputs"][0]["parameters"]["binary_data_size"], 800);
    let values: Vec<f32> = answer.body[json_bytes..]
        .chunks(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four")))
        .collect();
    assert_eq!(values.len(), 200);
    for number in [0, 63, 64, 199] {
        let wanted = probability(&mut connection, number);
        assert_eq!(f64::from(values[number]).to_bits(), wanted.to_bits());
    }
    // Lengths that contradict one another are refused, whichever they are.
    for (json_bytes, tensor_bytes, size) in [
        (0, 40000, 40000),
        (9999, 40000, 40000),
        (0, 39999, 40000),
        (0, 40000, 39996),
    ] {
        let mut request = request.clone();
        request["inputs"][0]["parameters"]["binary_data_size"] = json!(size);
        let (mut headers, body) = binary(&request, &singles(&rows)[..tensor_bytes]);
        if json_bytes > 0 {
            headers = format!("inference-header-content-length: {}\r\n", body.len() + json_bytes);
        }
        let refused = connection.post_with(INFER, &headers, &body);
        let is_right = (json_bytes, tensor_bytes, size) == (0, 40000, 40000);
        assert_eq!(refused.status == 200, is_right, "{}", refused.text());
    }
}

fn outputs_are_what_is_asked_for(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let mut connection = server.connect();
    let mut request = tensor(&[row(1), row(2)]);
    let names = [
        "output__0",
        "output-0",
        "predict_proba",
        "score",
        "margin",
        "contributions",
    ];
    request["outputs"] = names.iter().map(|name| json!({"name": name})).collect();
    request["id"] = json!("gr\u{f6}\"1");
    let answer = connection.post(INFER, &request.to_string());
    let predictions = output(&answer, "output__0");
    assert_eq!(output(&answer, "output-0"), predictions);
    let both = output(&answer, "predict_proba");
    #[expect(clippy::cast_possible_truncation, reason = "the library's own subtraction")]
    for (pair, &prediction) in both.chunks(2).zip(&predictions) {
        assert_eq!(pair, [f64::from(1.0 - prediction as f32), prediction]);
    }
    for (number, (&score, &margin)) in output(&answer, "score")
        .iter()
        .zip(&output(&answer, "margin"))
        .enumerate()
    {
        let wanted = connection.post("/score", &crate::score::lead(number + 1)).json();
        assert_eq!(Some(score), wanted["score"].as_f64());
        let all = output(&answer, "contributions");
        let sum: f64 = all[number * 51..(number + 1) * 51].iter().sum();
        assert!((sum - margin).abs() < 1e-4, "{sum} {margin}");
    }
    assert_eq!(answer.json()["id"], "gr\u{f6}\"1");
    let shapes: Vec<_> = answer.json()["outputs"]
        .as_array()
        .expect("outputs")
        .iter()
        .map(|output| (output["datatype"].clone(), output["shape"].clone()))
        .collect();
    assert_eq!(shapes[2], (json!("FP32"), json!([2, 2])));
    assert_eq!(shapes[3], (json!("INT64"), json!([2])));
    assert_eq!(shapes[5], (json!("FP64"), json!([2, 51])));
    request["outputs"] = json!([{"name": "predict"}, {"name": "colour"}]);
    let (status, text) = error(&connection.post(INFER, &request.to_string()));
    assert!(status == 400 && text.starts_with("outputs[1]"), "{text}");
}

fn compressed_bodies_and_tokens_of_python(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let mut connection = server.connect();
    let text = tensor(&[row(3)]).to_string().replace("null", "NaN");
    assert!(text.contains("NaN"));
    let plain = output(&connection.post(INFER, &text), "predict");
    assert_eq!(plain[0].to_bits(), probability(&mut connection, 3).to_bits());
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text.as_bytes()).expect("a Vec takes all");
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(text.as_bytes()).expect("a Vec takes all");
    for (coding, body) in [("gzip", gzip.finish()), ("deflate", zlib.finish())] {
        let headers = format!("content-encoding: {coding}\r\n");
        let answer = connection.post_with(INFER, &headers, &body.expect("a Vec takes all"));
        assert_eq!(output(&answer, "predict"), plain, "{coding}");
    }
    // `/score` does not take the token.
    let lead = crate::score::lead(3).replace("null", "NaN");
    assert_eq!(connection.post("/score", &lead).status, 400);
}

fn what_is_wrong_is_said_in_a_text(runtime: &str) {
    let server = Launch::new(runtime)
        .no_sink()
        .set("LIMITS__TENSOR_ROWS_MAX", "100")
        .start();
    let mut connection = server.connect();
    let valid = || tensor(&[row(1)]);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut request = valid();
        change(&mut request["inputs"][0]);
        request.to_string()
    };
    let many: Vec<_> = (0..101).map(row).collect();
    for (body, status, part) in [
        (String::new(), 400, "byte 0"),
        ("{\"inputs\":[{\"data\":[1,}".into(), 400, "byte 22"),
        ("{}".into(), 400, "inputs has no tensor"),
        (with(&|input| input["shape"] = json!([1, 49])), 400, "takes 49"),
        (with(&|input| input["shape"] = json!([50])), 400, "50 features"),
        (with(&|input| input["datatype"] = json!("FP8")), 400, "a datatype"),
        (
            with(&|input| input["datatype"] = json!("BYTES")),
            400,
            "not of its datatype",
        ),
        (with(&|input| input["datatype"] = json!("INT8")), 400, "whole numbers"),
        (
            with(&|input| input["data"][0][7] = json!("98765")),
            400,
            "not of its datatype",
        ),
        (with(&|input| input["data"][0][7] = json!(9.8765e38)), 400, "column 7"),
        (
            with(&|input| _ = input.as_object_mut().expect("one").remove("data")),
            400,
            "no data",
        ),
        (
            with(&|input| _ = input.as_object_mut().expect("one").remove("shape")),
            400,
            "no shape",
        ),
        (tensor(&many).to_string(), 413, "at most 100 rows"),
    ] {
        let (found, text) = error(&connection.post(INFER, &body));
        assert_eq!(found, status, "{text}");
        assert!(text.contains(part), "{text:?} has no {part:?}");
        assert!(!text.contains("98765") && !text.contains("9.8765"), "{text}");
    }
    for (path, status) in [
        ("/v2/models/other/infer", 404),
        ("/v2/models/demo/versions/7/infer", 404),
        ("/v2/nothing", 404),
        ("/v2/repository/models/demo/load", 400),
        ("/v2/systemsharedmemory/region/a/register", 400),
        ("/v2/logging", 400),
    ] {
        assert_eq!(error(&connection.post(path, &valid().to_string())).0, status, "{path}");
    }
    assert_eq!(error(&connection.get(INFER)).0, 405);
    assert_eq!(
        connection
            .post("/v2/models/demo/versions/1.0.0/infer", &valid().to_string())
            .status,
        200
    );
}

fn server_and_model_are_described(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let mut connection = server.connect();
    let get = |connection: &mut Connection, path: &str| {
        let answer = connection.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    };
    assert_eq!(get(&mut connection, "/v2")["name"], "quintile");
    assert_eq!(get(&mut connection, "/v2/"), get(&mut connection, "/v2"));
    assert_eq!(get(&mut connection, "/v2/health/live"), json!({"live": true}));
    assert_eq!(get(&mut connection, "/v2/health/ready"), json!({"ready": true}));
    let model = get(&mut connection, "/v2/models/demo");
    assert_eq!(model["inputs"][0]["shape"], json!([-1, 50]));
    let outputs: Vec<_> = model["outputs"]
        .as_array()
        .expect("outputs")
        .iter()
        .map(|output| output["name"].clone())
        .collect();
    assert_eq!(
        outputs,
        ["predict", "predict_proba", "score", "margin", "contributions"]
    );
    assert_eq!(
        get(&mut connection, "/v2/models/demo/versions/1.0.0/ready"),
        json!({"name": "demo", "ready": true})
    );
    assert_eq!(
        get(&mut connection, "/v2/models/demo/config")["max_batch_size"],
        1_000_000
    );
    connection.post(INFER, &tensor(&[row(1), row(2)]).to_string());
    connection.post(INFER, "{}");
    for path in ["/v2/models/demo/stats", "/v2/models/stats"] {
        let stats = get(&mut connection, path)["model_stats"][0].clone();
        assert_eq!(
            (&stats["inference_count"], &stats["execution_count"]),
            (&json!(2), &json!(1))
        );
        assert_eq!(stats["inference_stats"]["fail"]["count"], 1);
    }
    let index = connection.post("/v2/repository/index", "");
    assert_eq!(
        index.json(),
        json!([{"name": "demo", "version": "1.0.0", "state": "READY", "reason": ""}])
    );
}

fn every_row_is_recorded(runtime: &str) {
    let mut server = Launch::new(runtime).start();
    let mut connection = server.connect();
    let rows: Vec<_> = (0..70).map(row).collect();
    let mut request = tensor(&rows);
    request["id"] = json!("batch");
    assert_eq!(connection.post(INFER, &request.to_string()).status, 200);
    let mut named = tensor(&rows[..2]);
    let ids = json!({"name": "lead_id", "datatype": "BYTES", "shape": [2, 1], "data": ["anna", "berta"]});
    named["inputs"].as_array_mut().expect("inputs").push(ids);
    assert_eq!(connection.post(INFER, &named.to_string()).status, 200);
    let headers = "x-request-id: own\r\n";
    let single = tensor(&rows[..1]).to_string();
    assert_eq!(connection.post_with(INFER, headers, single.as_bytes()).status, 200);
    let data = server.stop();
    let mut ids: Vec<String> = read(&data).into_iter().map(|record| record.lead_id).collect();
    ids.sort();
    let mut wanted: Vec<String> = (0..70).map(|row| format!("batch/{row}")).collect();
    wanted.extend(["anna", "berta", "own"].map(str::to_owned));
    wanted.sort();
    assert_eq!(ids, wanted);
    assert!(read_texts(&data, "protocol").iter().all(|protocol| protocol == "v2"));
}

fn what_is_off_is_not_there(runtime: &str) {
    let server = Launch::new(runtime)
        .no_sink()
        .set("SERVER__PROTOCOLS", "grpc,v1")
        .start();
    let mut connection = server.connect();
    for path in ["/v2", "/v2/health/live", "/v2/models/demo"] {
        assert_eq!(connection.get(path).status, 404, "{path}");
    }
    assert_eq!(connection.post(INFER, &tensor(&[row(1)]).to_string()).status, 404);
}

on_both!(
    rows_are_scored_as_leads_are,
    a_tensor_a_feature_goes_by_name,
    binary_tensors_come_and_go,
    outputs_are_what_is_asked_for,
    compressed_bodies_and_tokens_of_python,
    what_is_wrong_is_said_in_a_text,
    server_and_model_are_described,
    every_row_is_recorded,
    what_is_off_is_not_there,
);
