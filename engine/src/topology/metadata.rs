//! The limits of the ECS task this process runs in.
//!
//! Inside a task the container's own cgroup usually reads as unlimited, because ECS sets the limit on a cgroup above it
//! that cannot be seen. The task metadata endpoint (version 4) returns it: `GET $ECS_CONTAINER_METADATA_URI_V4/task`
//! answers JSON whose `Limits.CPU` is in vCPUs and whose `Limits.Memory` is in MiB. Containers have a `Limits.CPU` of
//! their own, in CPU *shares*: a weight relative to other containers and no limit, so it is not used.
//!
//! One bounded, blocking request before any thread starts. Plain HTTP to an address, never a name, so nothing is
//! resolved.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use simd_json::prelude::{TypedScalarValue as _, ValueAsScalar as _};

/// Bytes of the whole answer. A task has at most ten containers of a few kilobytes each.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// vCPUs of a task. Fargate has at most 16, the largest EC2 machines below 1,000.
const TASK_CPUS_MAX: f64 = 4096.0;

/// MiB of a task. The largest EC2 machines have 32 TiB.
const TASK_MEMORY_MIB_MAX: u64 = 1 << 26;

/// What a task may use.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct TaskLimits {
    /// vCPUs; none when they are not limited, as on EC2.
    pub cpus: Option<f64>,
    /// Bytes of memory; none when they are not limited.
    pub memory_bytes: Option<u64>,
}

/// Why the metadata could not be used.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// Not `http://ADDRESS[:PORT]/PATH`.
    #[error("it is no http://ADDRESS[:PORT]/PATH")]
    Uri,
    /// Connecting, writing or reading failed or took too long.
    #[error("{step}: {source}")]
    Io {
        /// What was being done.
        step: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// Another status than 200.
    #[error("it answered with status {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// An answer that is not HTTP, or is cut off.
    #[error("its answer is broken: {reason}")]
    Answer {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A document that is not what the endpoint promises.
    #[error("its document is not understood: {reason}")]
    Document {
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Asks for the task's limits. All of it ends within `timeout`.
///
/// # Errors
/// When the endpoint cannot be asked, or not be understood.
pub fn task_limits(uri: &str, timeout: Duration) -> Result<TaskLimits, MetadataError> {
    parse_task(&mut fetch(uri, timeout)?)
}

/// The task's limits from its document. The document is overwritten while it is read.
///
/// # Errors
/// When it is no JSON object, or a limit is no sensible number.
pub fn parse_task(document: &mut [u8]) -> Result<TaskLimits, MetadataError> {
    let broken = |reason| Err(MetadataError::Document { reason });
    // A tape is flat: however deeply a document nests, reading it takes no stack.
    let Ok(tape) = simd_json::to_tape(document) else {
        return broken("it is no JSON");
    };
    let task = tape.as_value();
    let Some(object) = task.as_object() else {
        return broken("it is no object");
    };
    let Some(limits) = object.get("Limits").filter(|limits| !limits.is_null()) else {
        return Ok(TaskLimits::default());
    };
    let Some(limits) = limits.as_object() else {
        return broken("its Limits are no object");
    };
    let cpus = match limits.get("CPU").filter(|cpu| !cpu.is_null()) {
        None => None,
        Some(cpu) => match cpu.cast_f64() {
            Some(0.0) => None,
            Some(cpus) if cpus > 0.0 && cpus <= TASK_CPUS_MAX => Some(cpus),
            _ => return broken("Limits.CPU is no number of vCPUs"),
        },
    };
    let memory_bytes = match limits.get("Memory").filter(|memory| !memory.is_null()) {
        None => None,
        Some(memory) => match memory.as_u64() {
            Some(0) => None,
            Some(mebibytes) if mebibytes <= TASK_MEMORY_MIB_MAX => Some(mebibytes << 20),
            _ => return broken("Limits.Memory is no number of MiB"),
        },
    };
    Ok(TaskLimits { cpus, memory_bytes })
}

/// Splits `http://ADDRESS[:PORT]/PATH` into address, authority and path.
fn split(uri: &str) -> Option<(SocketAddr, &str, &str)> {
    // The path goes into a request line: nothing may end it early.
    let is_plain = uri.len() <= 2048 && uri.bytes().all(|byte| byte.is_ascii_graphic());
    let rest = uri.strip_prefix("http://").filter(|_| is_plain)?;
    let slash = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(slash);
    let address = authority.parse().ok().or_else(|| {
        let (host, port) = match authority.strip_prefix("localhost") {
            Some("") => (Ipv4Addr::LOCALHOST.into(), 80),
            Some(port) => (Ipv4Addr::LOCALHOST.into(), port.strip_prefix(':')?.parse().ok()?),
            None => {
                let bare = authority.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
                (bare.unwrap_or(authority).parse::<IpAddr>().ok()?, 80)
            }
        };
        Some(SocketAddr::new(host, port))
    })?;
    let has_query = path.contains(['?', '#']);
    (!has_query).then_some((address, authority, path.trim_end_matches('/')))
}

fn fetch(uri: &str, timeout: Duration) -> Result<Vec<u8>, MetadataError> {
    let failed = |step| move |source| MetadataError::Io { step, source };
    let (address, authority, path) = split(uri).ok_or(MetadataError::Uri)?;
    let deadline = Instant::now() + timeout;
    let left = || {
        let left = deadline.saturating_duration_since(Instant::now());
        // A timeout of zero would mean none.
        if left.is_zero() {
            Err(io::ErrorKind::TimedOut.into())
        } else {
            Ok(left)
        }
    };
    let mut stream = TcpStream::connect_timeout(&address, timeout).map_err(failed("connect"))?;
    let request = format!(
        "GET {path}/task HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: quintile\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
    );
    let sent = left().and_then(|left| stream.set_write_timeout(Some(left)));
    sent.and_then(|()| stream.write_all(request.as_bytes()))
        .map_err(failed("ask"))?;
    let mut answer = Vec::new();
    let mut chunk = [0; 8 << 10];
    loop {
        let wait = left().and_then(|left| stream.set_read_timeout(Some(left)));
        let count = match wait.and_then(|()| stream.read(&mut chunk)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result.map_err(failed("read its answer"))?,
        };
        answer.extend_from_slice(&chunk[..count]);
        if let Some(body) = body(&answer, count == 0)? {
            return Ok(body);
        }
        if answer.len() > ANSWER_BYTES_MAX {
            return Err(MetadataError::Answer {
                reason: "it is longer than a megabyte",
            });
        }
    }
}

/// The body of an answer, or none while more of it must come. `ended` says that nothing more will.
fn body(answer: &[u8], ended: bool) -> Result<Option<Vec<u8>>, MetadataError> {
    let broken = |reason| MetadataError::Answer { reason };
    let more = |reason| if ended { Err(broken(reason)) } else { Ok(None) };
    let Some(head_end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return more("its head is cut off");
    };
    let head = std::str::from_utf8(&answer[..head_end]).map_err(|_| broken("its head is no text"))?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1."));
    let status = status
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|status| status.parse().ok());
    match status {
        Some(200) => {}
        Some(status) => return Err(MetadataError::Status { status }),
        None => return Err(broken("it is no HTTP/1")),
    }
    let (mut length, mut is_chunked) = (None, false);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.parse::<usize>().map_err(|_| broken("its length is no number"))?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case("chunked") {
                return Err(broken("its transfer encoding is not chunked"));
            }
            is_chunked = true;
        }
    }
    let rest = &answer[head_end + 4..];
    if is_chunked {
        return match unchunk(rest) {
            Ok(Some(body)) => Ok(Some(body)),
            Ok(None) => more("its last chunk is cut off"),
            Err(reason) => Err(broken(reason)),
        };
    }
    match length {
        Some(length) => match rest.get(..length) {
            Some(body) => Ok(Some(body.to_vec())),
            None => more("its body is cut off"),
        },
        None if ended => Ok(Some(rest.to_vec())),
        None => Ok(None),
    }
}

/// Joins chunks; none while the last one must still come. Trailers are not waited for.
fn unchunk(mut rest: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    let mut body = Vec::new();
    loop {
        let Some(line_end) = rest.windows(2).position(|two| two == b"\r\n") else {
            return Ok(None);
        };
        let line = std::str::from_utf8(&rest[..line_end]).map_err(|_| "a chunk has no length")?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let length = usize::from_str_radix(digits, 16).map_err(|_| "a chunk has no length")?;
        if length > ANSWER_BYTES_MAX {
            return Err("a chunk is longer than a megabyte");
        }
        if length == 0 {
            return Ok(Some(body));
        }
        rest = &rest[line_end + 2..];
        let Some(chunk) = rest.get(..length) else {
            return Ok(None);
        };
        body.extend_from_slice(chunk);
        match rest.get(length..length + 2) {
            Some(b"\r\n") => rest = &rest[length + 2..],
            Some(_) => return Err("a chunk is longer than it says"),
            None => return Ok(None),
        }
    }
}

#[cfg(test)]
#[path = "metadata_tests.rs"]
mod tests;
