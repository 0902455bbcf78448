//! HTTP/1.1 as a client needs it under load: requests are bytes made before the run, answers are read in place.
//!
//! Framing only: lengths, chunks and the end of a connection. What an answer says is for `check`.

use httparse::Status;

/// Headers of an answer at most.
const HEADERS_MAX: usize = 64;

/// Bytes of an answer at most. Unit: bytes.
pub const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Why bytes are no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not a status line and headers.
    #[error("its head is not HTTP/1.1")]
    Head,
    /// A length that is no number.
    #[error("its content-length is no number")]
    Length,
    /// Chunks that are none.
    #[error("its chunks are malformed")]
    Chunk,
    /// Longer than [`ANSWER_BYTES_MAX`].
    #[error("it is longer than 16 MiB")]
    TooLong,
    /// Ends with its connection, on which others were to follow.
    #[error("it has no length, so that no other can follow it")]
    Endless,
}

/// An answer's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// Bytes of the head.
    pub bytes: usize,
    /// What follows.
    pub body: Framing,
    /// Whether the connection ends with this answer.
    pub closes: bool,
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes.
    Length(usize),
    /// With an empty chunk.
    Chunked,
    /// With the connection.
    Close,
}

/// Reads an answer's head; none while it is not complete. Interim answers (1xx) are heads of their own, without a body.
///
/// # Errors
/// What is no head.
pub fn head(bytes: &[u8]) -> Result<Option<Head>, Malformed> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes).map_err(|_| Malformed::Head)? {
        Status::Partial if bytes.len() > ANSWER_BYTES_MAX => return Err(Malformed::TooLong),
        Status::Partial => return Ok(None),
        Status::Complete(length) => length,
    };
    let status = response.code.unwrap_or(0);
    let mut closes = response.version == Some(0);
    let mut body = Framing::Close;
    for header in response.headers.iter() {
        let name = header.name;
        if name.eq_ignore_ascii_case("content-length") && body != Framing::Chunked {
            let text = std::str::from_utf8(header.value).map_err(|_| Malformed::Length)?;
            body = Framing::Length(text.trim().parse().map_err(|_| Malformed::Length)?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            body = Framing::Chunked;
        } else if name.eq_ignore_ascii_case("connection") {
            closes = header.value.eq_ignore_ascii_case(b"close");
        }
    }
    if status / 100 == 1 || status == 204 || status == 304 {
        body = Framing::Length(0);
    }
    if matches!(body, Framing::Length(length) if length > ANSWER_BYTES_MAX) {
        return Err(Malformed::TooLong);
    }
    Ok(Some(Head {
        status,
        bytes: length,
        body,
        closes: closes || body == Framing::Close,
    }))
}

/// Joins the chunks of a body into `out`; how many bytes they took, or none while the last is not there.
///
/// # Errors
/// What are no chunks.
pub fn chunks(bytes: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, Malformed> {
    out.clear();
    let mut at = 0;
    loop {
        let (start, size) = match httparse::parse_chunk_size(&bytes[at..]) {
            Ok(Status::Complete((start, size))) => (start, size),
            Ok(Status::Partial) => return Ok(None),
            Err(_) => return Err(Malformed::Chunk),
        };
        let size = usize::try_from(size).map_err(|_| Malformed::TooLong)?;
        if size > ANSWER_BYTES_MAX || out.len() > ANSWER_BYTES_MAX {
            return Err(Malformed::TooLong);
        }
        at += start;
        if size == 0 {
            break;
        }
        let Some(chunk) = bytes.get(at..at + size + 2) else {
            return Ok(None);
        };
        if !chunk.ends_with(b"\r\n") {
            return Err(Malformed::Chunk);
        }
        out.extend_from_slice(&chunk[..size]);
        at += size + 2;
    }
    // Trailers, which no request asked for, end with an empty line.
    loop {
        let Some(end) = memchr::memmem::find(&bytes[at..], b"\r\n") else {
            return Ok(None);
        };
        at += end + 2;
        if end == 0 {
            return Ok(Some(at));
        }
    }
}

/// A request's bytes.
#[must_use]
pub fn request(method: &str, path: &str, host: &str, headers: &[(String, String)], body: Option<&[u8]>) -> Vec<u8> {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend(format!("{name}: {value}\r\n").bytes());
    }
    if let Some(body) = body {
        bytes.extend(format!("content-length: {}\r\n", body.len()).bytes());
    }
    bytes.extend(b"\r\n");
    bytes.extend(body.unwrap_or_default());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_say_how_the_body_ends() {
        for (text, status, body, closes) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n",
                200,
                Framing::Length(12),
                false,
            ),
            (
                "HTTP/1.1 503 x\r\ncontent-length: 0\r\nConnection: close\r\n\r\n",
                503,
                Framing::Length(0),
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                200,
                Framing::Chunked,
                false,
            ),
            ("HTTP/1.1 200 OK\r\n\r\n", 200, Framing::Close, true),
            (
                "HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\n",
                200,
                Framing::Length(1),
                true,
            ),
            ("HTTP/1.1 204 No Content\r\n\r\n", 204, Framing::Length(0), false),
            ("HTTP/1.1 100 Continue\r\n\r\n", 100, Framing::Length(0), false),
        ] {
            let wanted = Head {
                status,
                bytes: text.len(),
                body,
                closes,
            };
            assert_eq!(head(text.as_bytes()), Ok(Some(wanted)), "{text}");
            for end in 0..text.len() {
                assert_eq!(head(&text.as_bytes()[..end]), Ok(None), "{end} bytes of {text}");
            }
        }
    }

    #[test]
    fn what_is_no_head_is_said() {
        for (text, wanted) in [
            ("SSH-2.0-OpenSSH\r\n", Malformed::Head),
            ("HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n", Malformed::Length),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
                Malformed::TooLong,
            ),
        ] {
            assert_eq!(head(text.as_bytes()), Err(wanted), "{text}");
        }
    }

    #[test]
    fn chunks_are_joined_at_every_cut() {
        let text = b"4\r\nWiki\r\n6;x=y\r\npedia \r\n0\r\nage: 1\r\n\r\nHTTP/1.1";
        let (mut out, whole) = (Vec::new(), text.len() - 8);
        for end in 0..whole {
            assert_eq!(chunks(&text[..end], &mut out), Ok(None), "{end}");
        }
        assert_eq!(chunks(text, &mut out), Ok(Some(whole)));
        assert_eq!(out, b"Wikipedia ");
        assert_eq!(chunks(b"4\r\nWikiXX", &mut out), Err(Malformed::Chunk));
        assert_eq!(chunks(b"x\r\n", &mut out), Err(Malformed::Chunk));
    }
}
