//! Compressed bodies, alone and of batches.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use crate::batch::{LINES, lines, list};
use crate::client::{Answer, Connection};
use crate::harness::Launch;
use crate::on_both;
use crate::score::lead;

const GZIP: &str = "content-encoding: gzip\r\n";

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).expect("a Vec takes all");
    encoder.finish().expect("a Vec takes all")
}

fn refused(answer: &Answer) -> (u16, serde_json::Value) {
    (answer.status, answer.json()["error"]["code"].clone())
}

fn compressed_bodies_are_read(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let mut connection = server.connect();
    let plain = connection.post("/score", &lead(7)).json();
    for coding in ["gzip", "GZIP", "x-gzip"] {
        let headers = format!("content-encoding: {coding}\r\n");
        let answer = connection.post_with("/score", &headers, &gzip(lead(7).as_bytes()));
        assert_eq!(answer.status, 200, "{coding}: {}", answer.text());
        assert_eq!(answer.json()["probability"], plain["probability"]);
    }
    let bad = connection.post_with("/score", GZIP, &gzip(b"{\"lead_id\":\"a\",}"));
    assert_eq!(
        (bad.status, bad.json()["error"]["offset"].clone()),
        (400, json!(15)),
        "of the inflated text"
    );
    let all: Vec<String> = (0..500).map(lead).collect();
    for (form, body) in [("", list(&all)), (LINES, lines(&all))] {
        let text = |headers: &str, body: &[u8]| {
            let answer = server.connect().post_with("/score/batch", headers, body);
            assert_eq!(answer.status, 200);
            answer.text().split("\"model\"").next().unwrap_or_default().to_owned()
        };
        let plain = text(form, body.as_bytes());
        assert_eq!(plain.matches("\"probability\"").count(), 500);
        assert_eq!(text(&format!("{form}{GZIP}"), &gzip(body.as_bytes())), plain);
    }
}

fn bombs_are_refused(runtime: &str) {
    let server = Launch::new(runtime)
        .no_sink()
        .set("LIMITS__BATCH_BYTES_MAX", "2000000")
        .start();
    // White space within a list of leads.
    let bomb = gzip(&[b"{\"leads\":[", &vec![b' '; 100 << 20][..]].concat());
    let before = server.anonymous_bytes();
    for path in ["/score", "/score/batch"] {
        let answer = server.connect().post_with(path, GZIP, &bomb);
        assert_eq!(refused(&answer), (413, json!("body_too_large")), "{path}");
        assert!(answer.text().contains("inflates to more"), "{}", answer.text());
        assert_eq!(answer.header("connection"), Some("close"));
    }
    // A line that never ends is no lead, however long it is.
    let answer = server
        .connect()
        .post_with("/score/batch", &format!("{LINES}{GZIP}"), &bomb);
    assert_eq!(answer.status, 200, "its first piece was a fine start");
    assert!(
        answer.text().contains("\"code\":\"body_too_large\""),
        "{}",
        answer.text()
    );
    let after = server.anonymous_bytes();
    assert!(after < before + (24 << 20), "{before} bytes grew to {after}");
    // Exactly as much as there may be.
    let body = lead(1);
    let padded = format!("{body}{}", " ".repeat((1 << 20) - body.len()));
    let answer = server.connect().post_with("/score", GZIP, &gzip(padded.as_bytes()));
    assert_eq!(answer.status, 200);
    let answer = server
        .connect()
        .post_with("/score", GZIP, &gzip((padded + " ").as_bytes()));
    assert_eq!(answer.status, 413);
}

fn what_does_not_inflate_is_told(runtime: &str) {
    let server = Launch::new(runtime).no_sink().start();
    let whole = gzip(lead(1).as_bytes());
    let mut changed = whole.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 0x55;
    let cut = &whole[..whole.len() - 1];
    for body in [
        cut,
        &whole[..20],
        b"",
        lead(1).as_bytes(),
        &changed,
        &[&whole[..], b"x"].concat(),
    ] {
        for (path, form) in [("/score", ""), ("/score/batch", ""), ("/score/batch", LINES)] {
            let answer = server.connect().post_with(path, &format!("{form}{GZIP}"), body);
            // Of lines that end badly the good ones have been answered.
            if answer.status == 200 {
                assert!(
                    form == LINES && answer.text().ends_with("cut off\"}}\n"),
                    "{}",
                    answer.text()
                );
                continue;
            }
            assert_eq!(refused(&answer), (400, json!("bad_gzip")), "{path} {form}");
        }
    }
    let other = |connection: &mut Connection, coding: &str| {
        let answer = connection.post_with("/score", &format!("content-encoding: {coding}\r\n"), lead(1).as_bytes());
        if answer.status != 200 {
            assert_eq!(
                refused(&answer),
                (415, json!("unsupported_content_encoding")),
                "{coding}"
            );
            assert_eq!(answer.header("accept-encoding"), Some("gzip"));
        }
        answer.status
    };
    let mut connection = server.connect();
    for coding in ["br", "deflate", "zstd", "gzip, gzip", "gzip\r\ncontent-encoding: gzip"] {
        assert_eq!(other(&mut connection, coding), 415, "{coding}");
    }
    assert_eq!(other(&mut connection, "identity"), 200);
}

on_both!(
    compressed_bodies_are_read,
    bombs_are_refused,
    what_does_not_inflate_is_told
);
