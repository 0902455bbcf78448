//! Bodies of many leads, damaged: what is cut out of them is what serde_json reads, in pieces of any size.

use serde_json::Value;

use super::fuzz::damage;
use super::{Random, demo};
use crate::read::Workspace;
use crate::read::batch::{Envelope, EnvelopeError, Lines, Pieces};

const LEADS_MAX: usize = 20;
const LEAD_BYTES_MAX: usize = 4096;

const BODIES: &[&str] = &[
    r#"{"leads":[{"lead_id":"1","features":{"f1":1.5,"f2":null}},{"lead_id":"2","features":{}}]}"#,
    r#" { "leads" : [ {"lead_id":"a\"]},{","features":{"f1":[1,[2]]}} , 17 , "x]" , null ] } "#,
    r#"{"leads":[]}"#,
    r#"{"leads":[[],{},"\\",{"":[{"leads":[1]}]}]}"#,
];

/// Whether it is a batch, and its leads; none for one that is too long.
fn cut(workspace: &mut Workspace, body: &[u8], piece: usize) -> Result<Vec<Option<Vec<u8>>>, EnvelopeError> {
    let mut envelope = Envelope::new(LEAD_BYTES_MAX, LEADS_MAX);
    for piece in body.chunks(piece) {
        envelope.add(piece)?;
    }
    let skeleton = envelope.skeleton()?;
    if workspace.read_skeleton(skeleton).is_err() {
        return Err(EnvelopeError::Skeleton);
    }
    let mut cut = envelope.cut();
    let mut leads = Vec::new();
    while let Some(lead) = cut.next() {
        leads.push(lead.text.map(<[u8]>::to_vec));
    }
    Ok(leads)
}

/// Faults by their place: a character that is cut off in its first piece is bad UTF-8, and a wrong character when it is
/// whole.
fn where_it_ends<T>(cut: Result<T, EnvelopeError>) -> Result<T, (usize, &'static str)> {
    cut.map_err(|fault| match fault {
        EnvelopeError::NotJson(fault) => (fault.offset, "not JSON"),
        EnvelopeError::NotObject(_) => (0, "no object"),
        EnvelopeError::TooManyLeads => (0, "too many leads"),
        EnvelopeError::Skeleton => (0, "no batch"),
    })
}

#[test]
fn damaged_lists_are_cut_as_serde_json_reads_them() {
    let loaded = demo();
    let mut workspace = Workspace::new(&loaded, LEAD_BYTES_MAX);
    let mut random = Random::new(0x5EED_0031);
    let (mut batches, mut others) = (0, 0);
    for _ in 0..60_000 {
        let mut body = random.pick(BODIES).as_bytes().to_vec();
        for _ in 0..random.below(4) {
            damage(&mut random, &mut body);
        }
        let told = || String::from_utf8_lossy(&body).into_owned();
        let whole = cut(&mut workspace, &body, body.len().max(1));
        let piece = 1 + random.below(body.len() + 1);
        assert_eq!(
            where_it_ends(cut(&mut workspace, &body, piece)),
            where_it_ends(whole.clone()),
            "pieces of {piece}: {}",
            told()
        );
        let read: Option<Value> = serde_json::from_slice(&body).ok();
        let list = read
            .as_ref()
            .and_then(Value::as_object)
            .and_then(|object| match object.get("leads") {
                Some(Value::Array(list)) if object.len() == 1 => Some(list),
                _ => None,
            });
        match (&whole, list) {
            (Ok(leads), Some(list)) => {
                let leads: Vec<Value> = leads
                    .iter()
                    .map(|lead| serde_json::from_slice(lead.as_deref().expect("short")).expect("JSON, as all of it is"))
                    .collect();
                assert_eq!(leads, *list, "{}", told());
                batches += 1;
            }
            // An element that is no JSON, or a number beyond a double, fails alone.
            (Ok(leads), None) => {
                let is_whole = |lead: &Option<Vec<u8>>| {
                    serde_json::from_slice::<Value>(lead.as_deref().unwrap_or_default()).is_ok()
                };
                assert!(!leads.iter().all(is_whole), "{}", told());
            }
            // The same key twice is a fault here, and more leads than may be.
            (Err(_), Some(list)) => {
                let twice = told().matches("leads\"").count() > 1 || told().contains('\\');
                assert!(twice || list.len() > LEADS_MAX, "{}", told());
            }
            (Err(_), None) => others += 1,
        }
    }
    assert!(batches > 10_000 && others > 10_000, "{batches} and {others}");
}

#[test]
fn damaged_lines_are_the_lines_of_the_body() {
    let mut random = Random::new(0x5EED_0032);
    for _ in 0..20_000 {
        let mut body = Vec::new();
        for _ in 0..random.below(4) {
            body.extend_from_slice(random.pick(BODIES).as_bytes());
            body.extend_from_slice(random.pick(&["\n", "\r\n", "\n\n", ""]).as_bytes());
        }
        for _ in 0..random.below(4) {
            damage(&mut random, &mut body);
        }
        let wanted: Vec<Vec<u8>> = body
            .split(|&byte| byte == b'\n')
            .map(|line| line.trim_ascii().to_vec())
            .filter(|line| !line.is_empty())
            .collect();
        let piece = 1 + random.below(body.len() + 1);
        let mut lines = Lines::new(LEAD_BYTES_MAX, wanted.len().max(1));
        let mut found = Vec::new();
        let mut take = |lines: &mut Lines| {
            while let Some(line) = lines.next() {
                found.push(line.text.expect("short").trim_ascii().to_vec());
            }
        };
        for piece in body.chunks(piece) {
            lines.add(piece.to_vec().into());
            take(&mut lines);
        }
        lines.end();
        take(&mut lines);
        assert_eq!(found, wanted, "pieces of {piece}: {}", String::from_utf8_lossy(&body));
    }
}
