//! Damaged bodies: never a panic, never more leniency than serde_json, the same numbers, and one verdict of simd-json
//! and the scanner.

use serde_json::Value;

use quintile_model::Cell;

use super::*;

const BODIES: &[&str] = &[
    r#"{"lead_id":"lead-1","features":{"f1":0.12,"f2":1,"f3":null,"f4":-5e-3,"f5":12345678901234567890,"f50":1E+5}}"#,
    r#"{"features":{"f21":0.30000000000000004,"f22":-0,"f23":1e-320,"f24":123456789012345678901234567890,"f25":6.25e2},"lead_id":"7"}"#,
    "{\"lead_id\":\"é😀\u{7f}\\n\\ud83d\\ude00\",\"features\":{\"f7\":0,\"f\\u0038\":17,\"f9\":0.1,\"f\\u00310\":33.3}}",
    r#"{ "features" : { "f10" : 1e400 , "f11" : -0 , "f12" : [ 1 , {"a":"b"} ] } , "lead_id" : "\u00e9\ud83d\ude00\n" }"#,
    "{\"lead_id\":\"é\",\"features\":{\"f7\":true,\"f\\u0038\":false,\"f9\":\"x\\\\\\\"\",\"f7\":0.0},\"z\":0}",
    r#"{"lead_id":"01234567890123456789012345678901234567890123456789","features":{"f20":3.4028235677973366e38,"f21":99999999999999999999999999999999999999999999,"f22":0.00000000000000000000000001}}"#,
];

const TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\"lead_id\"",
    "\"features\"",
    "\"f1\"",
    "\"f2\"",
    "\"a\"",
    "null",
    "true",
    "false",
    "0",
    "-",
    "1",
    "12",
    ".",
    "e",
    "E",
    "+",
    "-0",
    "1.5",
    "1e400",
    "-1e400",
    "1e-400",
    "01",
    "1.",
    "\\u",
    "\\u0066",
    "\\ud83d",
    "\\ude00",
    "\\n",
    " ",
    "\n",
    "\t",
    "\u{1}",
    "\0",
    "\u{c}",
    "é",
    "\u{feff}",
    "NaN",
    "{}",
    "[]",
    "/",
    "x",
];

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Oracle {
    Json,
    NotJson,
    /// JSON as far as serde_json looked, but for depth or range.
    Unsure,
}

/// serde_json's verdict. It stops at numbers beyond a double, where a reading that skips values goes on.
fn oracle(body: &[u8]) -> Oracle {
    match serde_json::from_slice::<Value>(body) {
        Ok(_) if levels(body) > crate::limits::BODY_NESTING_MAX => Oracle::Unsure,
        Ok(_) => Oracle::Json,
        Err(error) if error.to_string().contains("number out of range") => {
            match serde_json::from_slice::<serde::de::IgnoredAny>(body) {
                Ok(_) => Oracle::Unsure,
                Err(_) => Oracle::NotJson,
            }
        }
        Err(error) if error.to_string().contains("recursion") => Oracle::Unsure,
        Err(_) => Oracle::NotJson,
    }
}

fn levels(body: &[u8]) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn check(loaded: &LoadedModel, workspace: &mut Workspace, body: &[u8]) {
    let shown = || body.escape_ascii().to_string();
    plain::compare(loaded, workspace, body);
    let (outcome, oracle) = (workspace.read(loaded, body), oracle(body));
    let scanned = scan::scan(body, |_| {});
    match outcome {
        Err(ReadError::NotJson(fault)) => {
            assert_ne!(oracle, Oracle::Json, "{} {fault}", shown());
            assert_ne!(fault.reason, JsonReason::Refused, "{}", shown());
            assert_eq!(scanned, Err(fault));
            assert!(fault.offset <= body.len());
        }
        Err(ReadError::Invalid) => {
            assert_ne!(oracle, Oracle::NotJson, "{}", shown());
            assert_eq!(scanned, Ok(()), "{}", shown());
            assert!(workspace.faults().total() > 0);
            let mut out = Vec::new();
            render::rejection(&mut out, loaded, workspace, &ReadError::Invalid);
            serde_json::from_slice::<Value>(&out).unwrap();
        }
        Ok(()) => {
            assert_eq!(oracle, Oracle::Json, "{}", shown());
            assert_eq!(scanned, Ok(()), "{}", shown());
            let value: Value = serde_json::from_slice(body).unwrap();
            assert_eq!(value["lead_id"].as_str(), Some(workspace.lead_id()));
            assert_eq!(value.as_object().unwrap().len(), 2);
            let features = value["features"].as_object().unwrap();
            let schema = loaded.model.schema();
            for (column, (name, value)) in schema.names().zip(workspace.row()).enumerate() {
                let expected = match features.get(name) {
                    Some(Value::String(text)) => schema.category_code(column, text).expect("refused, but accepted"),
                    Some(Value::Number(number)) => {
                        let float = || Cell::Float(number.as_f64().expect("a number"));
                        let cell = number.as_u64().map(Cell::Unsigned);
                        let cell = cell
                            .or_else(|| number.as_i64().map(Cell::Integer))
                            .unwrap_or_else(float);
                        schema.value(column, cell).expect("refused, but accepted")
                    }
                    Some(Value::Bool(flag)) => schema
                        .value(column, Cell::Boolean(*flag))
                        .expect("refused, but accepted"),
                    _ => f64::NAN,
                };
                assert_eq!(value.to_bits(), expected.to_bits(), "{name} {}", shown());
            }
            assert!(features.keys().all(|name| loaded.columns.column(name).is_some()));
        }
    }
}

pub(super) fn damage(random: &mut Random, body: &mut Vec<u8>) {
    let at = random.below(body.len() + 1);
    let token = random.pick(TOKENS).as_bytes();
    match random.below(12) {
        0 => body.truncate(at),
        1 => {
            body.splice(at..at, token.iter().copied());
        }
        2 if at < body.len() => body[at] = random.next().to_le_bytes()[7],
        3 if at < body.len() => body[at] ^= 1 << random.below(8),
        4 if at < body.len() => {
            body.remove(at);
        }
        5 => {
            let end = (at + random.below(12)).min(body.len());
            body.splice(at..end, token.iter().copied());
        }
        6 => {
            let end = (at + random.below(30)).min(body.len());
            let copy = body[at..end].to_vec();
            let to = random.below(body.len() + 1);
            body.splice(to..to, copy);
        }
        // Often harmless: another digit, a space between tokens.
        7..=9 => {
            let digits: Vec<usize> = (0..body.len()).filter(|&at| body[at].is_ascii_digit()).collect();
            if !digits.is_empty() {
                body[digits[random.below(digits.len())]] = b"00123456789.eE+-"[random.below(16)];
            }
        }
        10 | 11 => {
            let commas: Vec<usize> = (0..body.len()).filter(|&at| b",:{}".contains(&body[at])).collect();
            if !commas.is_empty() {
                body.insert(commas[random.below(commas.len())], b" \n\t\r"[random.below(4)]);
            }
        }
        _ => {}
    }
}

#[test]
fn damaged_bodies() {
    let loaded = demo();
    let mut workspace = Workspace::new(&loaded, 4096);
    let mut random = Random::new(0x5EED_0001);
    for body in BODIES {
        check(&loaded, &mut workspace, body.as_bytes());
        for end in 0..body.len() {
            check(&loaded, &mut workspace, &body.as_bytes()[..end]);
        }
    }
    for _ in 0..60_000 {
        let mut body = random.pick(BODIES).as_bytes().to_vec();
        for _ in 0..=random.below(3) {
            damage(&mut random, &mut body);
        }
        check(&loaded, &mut workspace, &body);
    }
}

#[test]
fn damaged_names_of_categories() {
    let bodies = [
        r#"{"lead_id":"1","features":{"where":"b b","number":0.5,"code":"-5"}}"#,
        r#"{"lead_id":"1","features":{"where":"quote \"","code":"\u0033\u0030"}}"#,
        r#"{"lead_id":"1","features":{"code":7,"number":1e400,"where":"comma, too"}}"#,
        r#"{"lead_id":"1","features":{"where":"Z\u00fcrich","code":null}}"#,
        r#"{"lead_id":"1","features":{"where":"10","code":"30","number":"0.5"}}"#,
    ];
    for model in ["category-names.json", "lightgbm-names.txt"] {
        let loaded = fixture(model);
        let mut workspace = Workspace::new(&loaded, 4096);
        let mut random = Random::new(0x5EED_0004);
        for _ in 0..30_000 {
            let mut body = random.pick(&bodies).as_bytes().to_vec();
            for _ in 0..random.below(3) {
                damage(&mut random, &mut body);
            }
            check(&loaded, &mut workspace, &body);
        }
    }
}

#[test]
fn every_byte_at_every_place() {
    let loaded = demo();
    let mut workspace = Workspace::new(&loaded, 4096);
    let good = r#"{"lead_id":"é\n","features":{"f1":-1.5e3, "f2":null,"f3":1e400,"f4":[true]}}"#.as_bytes();
    for at in 0..=good.len() {
        for byte in 0..=u8::MAX {
            let mut body = good.to_vec();
            body.insert(at, byte);
            check(&loaded, &mut workspace, &body);
            body.remove(at);
            if let Some(replaced) = body.get_mut(at) {
                *replaced = byte;
                check(&loaded, &mut workspace, &body);
            }
        }
    }
}

#[test]
fn every_escape_of_a_code_unit() {
    let loaded = demo();
    let mut workspace = Workspace::new(&loaded, 4096);
    let mut lead = |id: &str| {
        let body = format!(r#"{{"lead_id":"{id}","features":{{}}}}"#);
        check(&loaded, &mut workspace, body.as_bytes());
    };
    for unit in 0..=u16::MAX {
        lead(&format!("\\u{unit:04x}"));
        lead(&format!("x\\u{unit:04X}\\udc00"));
        lead(&format!("\\uD83D\\u{unit:04X}"));
    }
    for high in [0xD7FF, 0xD800, 0xDBFF, 0xDC00] {
        for low in [0xDBFF, 0xDC00, 0xDFFF, 0xE000] {
            lead(&format!("\\u{high:04x}\\u{low:04x}"));
        }
    }
}

#[test]
fn heaps_of_tokens() {
    let loaded = demo();
    let mut workspace = Workspace::new(&loaded, 4096);
    let mut random = Random::new(0x5EED_0002);
    for _ in 0..60_000 {
        let mut body = Vec::new();
        for _ in 0..random.below(12) {
            body.extend_from_slice(random.pick(TOKENS).as_bytes());
        }
        check(&loaded, &mut workspace, &body);
        // The same behind 64 bytes and more, where another block of the parser takes over.
        let mut shifted = vec![b' '; random.below(130)];
        shifted.extend_from_slice(&body);
        check(&loaded, &mut workspace, &shifted);
    }
}

/// A random value, mostly with well-formed parts, sometimes deep.
fn value(random: &mut Random, out: &mut String, depth: usize) {
    match random.below(if depth > 18 { 6 } else { 9 }) {
        0 => out.push_str(random.pick(&["null", "true", "false", "nul", "truefalse"])),
        1..=3 => out.push_str(random.pick(&[
            "0",
            "-1",
            "1.25",
            "1e5",
            "1e309",
            "-0",
            "123456789012345678901",
            "01",
            "1.",
            "1e-5000",
        ])),
        4 | 5 => out.push_str(random.pick(&[
            "\"\"",
            "\"a\"",
            "\"\\u00e9\"",
            "\"\\ud800\"",
            "\"é\"",
            "\"\\q\"",
            "\"\\ud83d\\ude00\"",
        ])),
        6 | 7 => {
            out.push('[');
            for index in 0..random.below(4) {
                out.push_str(if index > 0 {
                    random.pick(&[",", ",", ",", ",", " , ", ""])
                } else {
                    ""
                });
                value(random, out, depth + 1);
            }
            out.push_str(random.pick(&["]", "]", "]", "]", "]", "]", "}"]));
        }
        _ => {
            out.push('{');
            for index in 0..random.below(4) {
                out.push_str(if index > 0 { "," } else { "" });
                out.push_str(random.pick(&[
                    "\"lead_id\":",
                    "\"features\":",
                    "\"f1\":",
                    "\"f2\" : ",
                    "\"x\":",
                    "\"x\":",
                    "\"x\"",
                ]));
                value(random, out, depth + 1);
            }
            out.push('}');
        }
    }
}

#[test]
fn random_documents() {
    let loaded = demo();
    let mut workspace = Workspace::new(&loaded, 4096);
    let mut random = Random::new(0x5EED_0003);
    for _ in 0..40_000 {
        let mut body = String::new();
        value(&mut random, &mut body, 0);
        check(&loaded, &mut workspace, body.as_bytes());
    }
}
