//! Envelopes against serde_json, in pieces of every size.

use super::*;
use crate::read::parser::Parser;

const LEAD_BYTES: usize = 100;

fn read(body: &[u8], piece: usize) -> Result<Envelope, EnvelopeError> {
    let mut envelope = Envelope::new(LEAD_BYTES, 10);
    for piece in body.chunks(piece) {
        envelope.add(piece)?;
    }
    envelope.skeleton()?;
    Ok(envelope)
}

fn leads(envelope: Envelope) -> Vec<(usize, Option<String>)> {
    let mut cut = envelope.cut();
    let mut leads = Vec::new();
    while let Some(piece) = cut.next() {
        let LeadPlace::Element { index, offset } = piece.place else {
            unreachable!()
        };
        assert_eq!(index, leads.len());
        let text = piece.text.map(|text| String::from_utf8_lossy(text).into_owned());
        leads.push((offset, text));
    }
    assert!(cut.is_empty());
    leads
}

#[test]
fn elements_are_found_in_pieces_of_any_size() {
    let body =
        br#" {"x": "[\"leads\":[1,2" , "leads" :[ {"a":[1,{"b":"]},\\\""}]} ,2 , "c,]", [[ ] ] ,null],"y":{"z":[3]}} "#;
    let whole: serde_json::Value = serde_json::from_slice(body).expect("JSON");
    for piece in 1..=body.len() {
        let envelope = read(body, piece).expect("a batch");
        let skeleton: serde_json::Value = serde_json::from_slice(&envelope.skeleton).expect("JSON");
        assert_eq!(skeleton["leads"], serde_json::json!([]));
        assert_eq!((&skeleton["x"], &skeleton["y"]), (&whole["x"], &whole["y"]));
        let leads = leads(envelope);
        assert_eq!(leads.len(), 5, "pieces of {piece}");
        for ((offset, text), wanted) in leads.iter().zip(whole["leads"].as_array().expect("a list")) {
            let text = text.as_ref().expect("short");
            let value: serde_json::Value = serde_json::from_str(text).expect("JSON");
            assert_eq!(&value, wanted);
            assert!(body[*offset..].starts_with(text.as_bytes()));
        }
    }
}

#[test]
fn lists_may_be_empty() {
    for body in [&br#"{"leads":[]}"#[..], b"{\"leads\" : [ \t\r\n ] }"] {
        assert!(leads(read(body, 3).expect("a batch")).is_empty());
    }
}

#[test]
fn what_is_no_list_of_values_is_told_where() {
    let value = JsonReason::Expected(Expected::Value);
    for (body, offset, reason) in [
        (&br#"{"leads":[,]}"#[..], 10, value),
        (br#"{"leads":[1,]}"#, 12, value),
        (br#"{"leads":[1, ,2]}"#, 13, value),
        (b"{\"leads\":[1", 11, JsonReason::End),
        (b"{\"leads\":[{\"a\":\"", 16, JsonReason::End),
        (b"{\"leads\":[1,\x0c2", 14, JsonReason::End),
        (b"  ?", 2, value),
        (b"\xef\xbb\xbf{}", 0, JsonReason::ByteOrderMark),
    ] {
        let fault = read(body, 100).expect_err("no batch");
        assert_eq!(fault, EnvelopeError::NotJson(JsonFault { offset, reason }), "{body:?}");
    }
    for (body, found) in [
        ("[{\"lead_id\":\"a\"}]", JsonType::Array),
        (" \"a\"", JsonType::String),
        ("-1", JsonType::Number),
        ("true", JsonType::Bool),
        ("null", JsonType::Null),
    ] {
        assert_eq!(
            read(body.as_bytes(), 1).expect_err("no object"),
            EnvelopeError::NotObject(found)
        );
    }
}

/// The skeleton's own faults are those of the parser; their place is that of the body.
#[test]
fn faults_of_the_skeleton_are_moved_to_the_body() {
    let mut parser = Parser::new(1 << 16);
    for body in [
        r#"{"leads":[1,22,333],}"#,
        r#"{"leads":[1,22,333]]}"#,
        r#"{"leads":[1,22,333]} x"#,
        r#"{"leads" [1,22,333]}"#,
        r#"{"a":[7,8],"b":[ 9 ],"leads":[1,22,333],}"#,
        r#"{"a":01,"leads":[1,22,333]}"#,
        "",
        "{",
    ] {
        let envelope = read(body.as_bytes(), 5).expect("lists are whole");
        let refused = parser.parse(&envelope.skeleton, |_| ());
        let wanted = parser.parse(body.as_bytes(), |_| ());
        assert_eq!(refused.map_err(|fault| envelope.fault(fault)), wanted, "{body}");
        assert!(wanted.is_err());
    }
}

#[test]
fn limits_of_leads_and_of_what_is_around_them() {
    let list = |count: usize| format!("{{\"leads\":[{}]}}", vec!["{}"; count].join(","));
    assert_eq!(
        leads(read(list(10).as_bytes(), 7).expect("as many as there may be")).len(),
        10
    );
    assert_eq!(
        read(list(11).as_bytes(), 7).expect_err("one more"),
        EnvelopeError::TooManyLeads
    );
    let long = |bytes: usize| format!("{{\"leads\":[\"{}\"]}}", "x".repeat(bytes - 2));
    assert!(
        leads(read(long(LEAD_BYTES).as_bytes(), 9).expect("a batch"))[0]
            .1
            .is_some()
    );
    assert!(
        leads(read(long(LEAD_BYTES + 1).as_bytes(), 9).expect("a batch"))[0]
            .1
            .is_none()
    );
    let padded = format!("{}{{\"leads\":[]}}", " ".repeat(SKELETON_BYTES_MAX));
    assert_eq!(
        read(padded.as_bytes(), 100).expect_err("too much"),
        EnvelopeError::Skeleton
    );
}

#[test]
fn leads_may_lie_across_blocks() {
    let lead = |number: usize| format!("{{\"lead_id\":\"{number}\",\"pad\":\"{}\"}}", "x".repeat(number % 60));
    let all: Vec<String> = (0..5000).map(lead).collect();
    let body = format!("{{\"leads\":[{}]}}", all.join(" ,\n"));
    assert!(body.len() > 3 * BLOCK_BYTES);
    for piece in [1000, BLOCK_BYTES, body.len()] {
        let mut envelope = Envelope::new(LEAD_BYTES, all.len());
        for piece in body.as_bytes().chunks(piece) {
            envelope.add(piece).expect("a batch");
        }
        let texts: Vec<String> = leads(envelope).into_iter().filter_map(|(_, text)| text).collect();
        // White space after an element is a part of it, for its reader.
        assert!(
            texts
                .iter()
                .map(|text| text.trim_end())
                .eq(all.iter().map(String::as_str))
        );
    }
}
