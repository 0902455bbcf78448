//! Documents as ECS gives them, and a small listener that answers as a test wants.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::thread::JoinHandle;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const FARGATE: &str = include_str!("../../tests/topology/fargate-task.json");
const EC2: &str = include_str!("../../tests/topology/ec2-task.json");

fn parse(document: &str) -> Result<Option<f64>, MetadataError> {
    parse_task(&mut document.as_bytes().to_vec()).map(|limits| limits.cpus)
}

#[test]
fn the_task_has_the_limit_and_its_containers_have_shares() {
    assert_eq!(parse(FARGATE).unwrap(), Some(0.25));
    for (limit, expected) in [
        ("0.5", Some(0.5)),
        ("2", Some(2.0)),
        ("16", Some(16.0)),
        ("0", None),
        ("null", None),
    ] {
        assert_eq!(parse(&FARGATE.replace("0.25", limit)).unwrap(), expected, "{limit}");
    }
    assert_eq!(parse(EC2).unwrap(), None);
    assert_eq!(parse(r#"{"Limits": {"Memory": 512}}"#).unwrap(), None);
    assert_eq!(parse(r#"{"Limits": null}"#).unwrap(), None);
    let memory = |document: &str| parse_task(&mut document.as_bytes().to_vec()).map(|limits| limits.memory_bytes);
    assert_eq!(memory(FARGATE).unwrap(), Some(512 << 20));
    assert_eq!(memory(EC2).unwrap(), None);
    assert!(memory(r#"{"Limits": {"Memory": "512"}}"#).is_err());
}

#[test]
fn documents_that_are_none_are_refused() {
    let deep = format!("{}1{}", "[".repeat(300_000), "]".repeat(300_000));
    for document in [
        "",
        "[]",
        "3",
        "{",
        "not json",
        r#"{"Limits": 3}"#,
        r#"{"Limits": {"CPU": "2"}}"#,
        r#"{"Limits": {"CPU": -1}}"#,
        r#"{"Limits": {"CPU": 1e300}}"#,
        r#"{"Limits": {"CPU": {}}}"#,
        &deep,
        &format!(r#"{{"Limits": {deep}}}"#),
    ] {
        let result = parse(document);
        assert!(
            matches!(result, Err(MetadataError::Document { .. })),
            "{:.40}: {result:?}",
            document
        );
    }
}

#[test]
fn only_plain_http_to_an_address_is_asked() {
    let cases = [
        (
            "http://169.254.170.2/v4/0f3c-25",
            "169.254.170.2:80",
            "169.254.170.2",
            "/v4/0f3c-25",
        ),
        (
            "http://169.254.170.2/v4/x/",
            "169.254.170.2:80",
            "169.254.170.2",
            "/v4/x",
        ),
        ("http://127.0.0.1:8080", "127.0.0.1:8080", "127.0.0.1:8080", ""),
        ("http://localhost:81/a", "127.0.0.1:81", "localhost:81", "/a"),
        ("http://localhost/a", "127.0.0.1:80", "localhost", "/a"),
        (
            "http://[fd00:ec2::23]/v4/x",
            "[fd00:ec2::23]:80",
            "[fd00:ec2::23]",
            "/v4/x",
        ),
        ("http://[::1]:99/v4/x", "[::1]:99", "[::1]:99", "/v4/x"),
    ];
    for (uri, address, authority, path) in cases {
        assert_eq!(split(uri), Some((address.parse().unwrap(), authority, path)), "{uri}");
    }
    for uri in [
        "",
        "169.254.170.2/v4",
        "https://169.254.170.2/v4",
        "http://",
        "http:///v4",
        "http://metadata.internal/v4",
        "http://localhosts/v4",
        "http://user@127.0.0.1/v4",
        "http://127.0.0.1:99999/v4",
        "http://127.0.0.1/v4 HTTP/1.1",
        "http://127.0.0.1/v4\r\nX: y",
        "http://127.0.0.1/v4?x=/task",
        "http://127.0.0.1/ü",
    ] {
        assert_eq!(split(uri), None, "{uri:?}");
    }
}

/// Answers one connection with `pieces`, a pause between them, and returns the head of what was asked.
fn serve(pieces: Vec<Vec<u8>>, pause: Duration) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}/v4/x", listener.local_addr().unwrap());
    let answer = move || {
        let (stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(&stream).lines().map_while(Result::ok);
        let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        for piece in pieces {
            // A client that has what it wants goes away.
            let _ = (&stream).write_all(&piece);
            std::thread::sleep(pause);
        }
        head.join("\n")
    };
    let thread = std::thread::Builder::new()
        .name("metadata".into())
        .spawn(answer)
        .unwrap();
    (uri, thread)
}

fn ask(answer: &[u8]) -> Result<Option<f64>, MetadataError> {
    let (uri, thread) = serve(vec![answer.to_vec()], Duration::ZERO);
    let result = task_limits(&uri, SECOND);
    thread.join().unwrap();
    result.map(|limits| limits.cpus)
}

#[test]
fn asks_as_http_wants_it() {
    let (uri, thread) = serve(
        vec![format!("HTTP/1.1 200 OK\r\n\r\n{FARGATE}").into_bytes()],
        Duration::ZERO,
    );
    assert_eq!(task_limits(&uri, SECOND).unwrap().cpus, Some(0.25));
    let host = uri.strip_prefix("http://").unwrap().strip_suffix("/v4/x").unwrap();
    let expected = format!(
        "GET /v4/x/task HTTP/1.1\nHost: {host}\nUser-Agent: quintile\nAccept: application/json\nConnection: close"
    );
    assert_eq!(thread.join().unwrap(), expected);
}

#[test]
fn bodies_end_by_length_by_chunks_or_by_closing() {
    let length = FARGATE.len();
    let (one, two) = FARGATE.split_at(100);
    for answer in [
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{FARGATE}"),
        format!("HTTP/1.0 200 OK\r\n\r\n{FARGATE}"),
        format!("HTTP/1.1 200 \r\ncontent-length:{length}\r\n\r\n{FARGATE}and more"),
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n{one}\r\n{:X};x=y\r\n{two}\r\n0\r\n\r\n",
            two.len()
        ),
    ] {
        assert_eq!(ask(answer.as_bytes()).unwrap(), Some(0.25), "{answer}");
        let pieces = answer.as_bytes().chunks(97).map(<[u8]>::to_vec).collect();
        let (uri, thread) = serve(pieces, Duration::from_millis(1));
        assert_eq!(
            task_limits(&uri, 5 * SECOND).unwrap().cpus,
            Some(0.25),
            "in pieces: {answer}"
        );
        thread.join().unwrap();
    }
}

#[test]
fn answers_that_are_broken_are_errors() {
    for (answer, says) in [
        ("", "its head is cut off"),
        ("HTTP/1.1 200 OK\r\nContent-Le", "its head is cut off"),
        ("SSH-2.0-OpenSSH\r\n\r\n", "it is no HTTP/1"),
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            "it answered with status 404",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}", "its body is cut off"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
            "its length is no number",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n{}",
            "its transfer encoding is not chunked",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}",
            "its last chunk is cut off",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{} \r\n",
            "a chunk is longer than it says",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n{}\r\n",
            "a chunk has no length",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
            "a chunk is longer than a megabyte",
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\n<html>",
            "its document is not understood: it is no JSON",
        ),
    ] {
        let error = ask(answer.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(says), "{answer:?}: {error}");
    }
    let long = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b' '; 2 << 20]].concat();
    assert!(ask(&long).unwrap_err().to_string().contains("longer than a megabyte"));
}

#[test]
fn a_slow_endpoint_costs_no_more_than_the_timeout() {
    // A byte now and then would outlive any timeout of a single read.
    let pieces = std::iter::repeat_n(b"H".to_vec(), 40).collect();
    let (uri, thread) = serve(pieces, Duration::from_millis(25));
    let start = Instant::now();
    let error = task_limits(&uri, Duration::from_millis(200)).unwrap_err();
    assert!(start.elapsed() < Duration::from_millis(800), "{:?}", start.elapsed());
    assert!(
        matches!(
            error,
            MetadataError::Io {
                step: "read its answer",
                ..
            }
        ),
        "{error}"
    );
    thread.join().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = task_limits(&format!("http://{closed}/v4/x"), SECOND).unwrap_err();
    assert!(matches!(error, MetadataError::Io { step: "connect", .. }), "{error}");
    assert!(matches!(
        task_limits("https://127.0.0.1/", SECOND),
        Err(MetadataError::Uri)
    ));
}
