//! A plain HTTP/1.1 client over one socket: it sends exactly the given bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::harness::PATIENCE;

/// A keep-alive connection.
pub(crate) struct Connection {
    pub(crate) socket: TcpStream,
    unread: Vec<u8>,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    Reset,
}

impl Connection {
    pub(crate) fn open(port: u16) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
        socket.set_nodelay(true).expect("a TCP socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a TCP socket");
        Self {
            socket,
            unread: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).expect("the server reads");
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: q\r\n\r\n"));
        self.answer()
    }

    pub(crate) fn post(&mut self, path: &str, body: &str) -> Answer {
        self.post_with(path, "", body.as_bytes())
    }

    /// `headers` end in CRLF each.
    pub(crate) fn post_with(&mut self, path: &str, headers: &str, body: &[u8]) -> Answer {
        self.send(request(path, headers, body));
        self.answer()
    }

    pub(crate) fn answer(&mut self) -> Answer {
        self.try_answer()
            .unwrap_or_else(|end| panic!("{end:?} instead of an answer; got {:?}", self.text()))
    }

    /// Reads one answer, whole.
    pub(crate) fn try_answer(&mut self) -> Result<Answer, End> {
        let mut answer = self.head()?;
        if answer.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk()? {
                answer.body.extend(chunk);
            }
            return Ok(answer);
        }
        let length: usize = answer
            .header("content-length")
            .map_or(0, |text| text.parse().expect("a length"));
        answer.body = self.take(length)?;
        Ok(answer)
    }

    /// Reads an answer's head. What follows is read by [`Self::chunk`].
    pub(crate) fn head(&mut self) -> Result<Answer, End> {
        let head_end = loop {
            if let Some(at) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.fill()?;
        };
        let head = String::from_utf8(self.take(head_end)?).expect("a head is ASCII");
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        Ok(Answer {
            status: status.expect("a status line"),
            head,
            body: Vec::new(),
        })
    }

    /// The next chunk of an answer that comes in chunks; none at its end.
    pub(crate) fn chunk(&mut self) -> Result<Option<Vec<u8>>, End> {
        let line_end = loop {
            if let Some(at) = self.unread.windows(2).position(|two| two == b"\r\n") {
                break at + 2;
            }
            self.fill()?;
        };
        let line = String::from_utf8(self.take(line_end)?).expect("a length is ASCII");
        let length = usize::from_str_radix(line.trim(), 16).expect("a length in hexadecimal");
        let chunk = self.take(length)?;
        assert_eq!(self.take(2)?, b"\r\n");
        Ok((length > 0).then_some(chunk))
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, End> {
        while self.unread.len() < length {
            self.fill()?;
        }
        Ok(self.unread.drain(..length).collect())
    }

    /// Reads the head of an answer to HEAD, which has a length and no body, and the answer behind it.
    pub(crate) fn answer_behind_head(&mut self, kind: &str) -> Answer {
        let head_end = loop {
            if let Some(at) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.fill().expect("an answer");
        };
        let head: Vec<u8> = self.unread.drain(..head_end).collect();
        let head = String::from_utf8(head).expect("a head is ASCII");
        assert!(head.starts_with("HTTP/1.1 200") && head.contains(kind), "{head}");
        self.answer()
    }

    fn fill(&mut self) -> Result<(), End> {
        let mut space = [0; 16 << 10];
        match self.socket.read(&mut space) {
            Ok(0) => Err(End::Closed),
            Ok(read) => {
                self.unread.extend_from_slice(&space[..read]);
                Ok(())
            }
            // A read with a limit of time ends early when the process is stopped and goes on.
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Err(End::Reset),
            Err(error) => panic!("read: {error}"),
        }
    }

    /// Reads until the server closes; what came before is kept.
    pub(crate) fn end(&mut self) -> End {
        loop {
            if let Err(end) = self.fill() {
                return end;
            }
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.unread).into_owned()
    }

    pub(crate) fn half_close(&self) {
        self.socket.shutdown(Shutdown::Write).expect("still connected");
    }

    /// Whether the server says nothing and keeps the connection for this long.
    pub(crate) fn is_quiet_for(&mut self, time: Duration) -> bool {
        self.socket.set_read_timeout(Some(time)).expect("a TCP socket");
        let mut space = [0; 1024];
        let quiet = match self.socket.read(&mut space) {
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            Ok(read) => {
                self.unread.extend_from_slice(&space[..read]);
                false
            }
        };
        self.socket.set_read_timeout(Some(PATIENCE)).expect("a TCP socket");
        quiet
    }
}

pub(crate) fn request(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: q\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("text")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}
