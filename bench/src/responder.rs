//! The least that can answer: reads requests to their ends, looks at nothing, writes fixed bytes. What the load
//! generator reaches against it is the load generator's own limit.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, LocalOptions};

/// Bytes of a request at most.
const REQUEST_BYTES_MAX: usize = 1 << 20;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

/// Binds, and answers on a thread of its own until the process ends.
///
/// # Errors
/// When the address is taken or no thread can be had.
pub fn start(address: &str, cpu: Option<usize>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    thread::Builder::new().name("responder".into()).spawn(move || {
        if let Some(cpu) = cpu {
            pin(cpu);
        }
        if let Ok(runtime) = Builder::new_current_thread()
            .enable_io()
            .build_local(LocalOptions::default())
        {
            runtime.block_on(accept(listener));
        }
    })?;
    Ok(address)
}

/// Keeps the calling thread on a CPU; a CPU that is not ours is no reason to stop.
pub fn pin(cpu: usize) {
    let _ = try_pin(cpu);
}

/// Keeps the calling thread on a CPU.
///
/// # Errors
/// When the CPU is not ours.
pub fn try_pin(cpu: usize) -> io::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(cpu);
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

/// The CPUs that this process may use.
#[must_use]
pub fn cpus() -> Vec<usize> {
    let set = rustix::thread::sched_getaffinity(None).unwrap_or_default();
    (0..rustix::thread::CpuSet::MAX_CPU)
        .filter(|&cpu| set.is_set(cpu))
        .collect()
}

async fn accept(listener: TcpListener) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        drop(tokio::task::spawn_local(async move {
            // A client that goes away ends its connection and nothing else.
            let _ = serve(stream).await;
        }));
    }
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    let (mut filled, mut out) = (0, Vec::new());
    loop {
        let count = stream.read(&mut buffer[filled..]).await?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        let mut start = 0;
        while let Some(length) = request_bytes(&buffer[start..filled]).filter(|length| start + length <= filled) {
            out.extend_from_slice(ANSWER);
            start += length;
        }
        stream.write_all(&out).await?;
        out.clear();
        buffer.copy_within(start..filled, 0);
        filled -= start;
        if filled == buffer.len() {
            if filled > REQUEST_BYTES_MAX {
                return Ok(());
            }
            buffer.resize(2 * filled, 0);
        }
    }
}

/// The length of the request that these bytes begin with; none while its head is not complete.
#[must_use]
pub fn request_bytes(bytes: &[u8]) -> Option<usize> {
    let head = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    let name = b"content-length: ";
    let Some(at) = memchr::memmem::find(&bytes[..head], name) else {
        return Some(head);
    };
    let digits = bytes[at + name.len()..head]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    Some(head + digits.fold(0_usize, |sum, &digit| sum * 10 + usize::from(digit - b'0')))
}
