//! The PROXY protocol, versions 1 and 2: a load balancer that passes bytes on says first whose they are.
//! <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>
//!
//! With `server.proxy_protocol` every connection begins with it, before TLS. Exactly its bytes are read. The address is
//! for log lines and nothing else.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes of the longest line of version 1, its end included.
const LINE_BYTES_MAX: usize = 107;

/// Bytes that version 2 may have behind its head. The protocol allows 65,535; NLBs send less than a hundred.
const REST_BYTES_MAX: usize = 1024;

/// Reads it. None within says that the balancer speaks for itself, as for its health checks.
///
/// # Errors
/// A peer that says something else, or stops.
pub(super) async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<IpAddr>> {
    // The shortest line of version 1 is longer.
    let mut first = [0; SIGNATURE.len()];
    stream.read_exact(&mut first).await?;
    let found = if first == SIGNATURE {
        let mut head = [0; 4];
        stream.read_exact(&mut head).await?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if length > REST_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut rest = [0; REST_BYTES_MAX];
        let rest = &mut rest[..length];
        stream.read_exact(rest).await?;
        version2(head[0], head[1], rest)
    } else if first.starts_with(b"PROXY ") {
        let mut line = [0; LINE_BYTES_MAX];
        line[..first.len()].copy_from_slice(&first);
        let mut length = first.len();
        // Byte by byte, because what follows the line is not ours.
        while !line[..length].ends_with(b"\r\n") {
            let byte = line.get_mut(length..=length).ok_or(io::ErrorKind::InvalidData)?;
            stream.read_exact(byte).await?;
            length += 1;
        }
        version1(&line[..length - 2])
    } else {
        None
    };
    found.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// `PROXY TCP4 192.0.2.1 10.0.0.1 51234 8080`, or `PROXY UNKNOWN` and anything.
fn version1(line: &[u8]) -> Option<Option<IpAddr>> {
    let text = std::str::from_utf8(line).ok()?.strip_prefix("PROXY ")?;
    let mut words = text.split(' ');
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(None);
    }
    let addresses = [words.next()?, words.next()?];
    let source: IpAddr = match family {
        "TCP4" => addresses.map(|text| text.parse::<Ipv4Addr>().ok().map(IpAddr::V4)),
        "TCP6" => addresses.map(|text| text.parse::<Ipv6Addr>().ok().map(IpAddr::V6)),
        _ => return None,
    }
    .into_iter()
    .collect::<Option<Vec<_>>>()?
    .swap_remove(0);
    let ports = [words.next()?, words.next()?];
    let is_right = ports.iter().all(|port| port.parse::<u16>().is_ok()) && words.next().is_none();
    is_right.then(|| Some(source.to_canonical()))
}

fn version2(version_command: u8, family: u8, rest: &[u8]) -> Option<Option<IpAddr>> {
    match (version_command, family >> 4) {
        // The balancer itself.
        (0x20, _) => Some(None),
        (0x21, 1) => {
            let (source, _) = rest.split_first_chunk::<4>().filter(|_| rest.len() >= 12)?;
            Some(Some(Ipv4Addr::from(*source).into()))
        }
        (0x21, 2) => {
            let (source, _) = rest.split_first_chunk::<16>().filter(|_| rest.len() >= 36)?;
            Some(Some(IpAddr::from(Ipv6Addr::from(*source)).to_canonical()))
        }
        // Of no family that is known, or a Unix socket.
        (0x21, 0 | 3) => Some(None),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(bytes: &[u8]) -> (io::Result<Option<IpAddr>>, usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut rest = bytes;
        let read = runtime.block_on(read(&mut rest));
        (read, rest.len())
    }

    fn second(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    #[test]
    fn both_versions_say_whose_a_connection_is() {
        let four = [192, 0, 2, 1, 10, 0, 0, 1, 0xc8, 0x22, 0x1f, 0x90];
        let mut six = [0; 36];
        six[..16].copy_from_slice(&"2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        let with_more = [&four[..], &[0x04, 0, 2, 7, 7]].concat();
        for (header, expected) in [
            (
                b"PROXY TCP4 192.0.2.1 10.0.0.1 51234 8080\r\n".to_vec(),
                Some("192.0.2.1"),
            ),
            (
                b"PROXY TCP6 2001:db8::1 ::1 51234 8080\r\n".to_vec(),
                Some("2001:db8::1"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), None),
            (second(0x21, 0x11, &four), Some("192.0.2.1")),
            (second(0x21, 0x11, &with_more), Some("192.0.2.1")),
            (second(0x21, 0x21, &six), Some("2001:db8::1")),
            (second(0x20, 0x11, &four), None),
            (second(0x20, 0, &[]), None),
            (second(0x21, 0, &[]), None),
        ] {
            let (read, left) = read_all(&[&header[..], b"GET /"].concat());
            let expected: Option<IpAddr> = expected.map(|text| text.parse().unwrap());
            assert_eq!((read.unwrap(), left), (expected, 5), "{header:?}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let four = [192, 0, 2, 1, 10, 0, 0, 1, 0xc8, 0x22, 0x1f, 0x90];
        for bytes in [
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 51234\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 51234 99999\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 51234 80 90\r\n".to_vec(),
            b"PROXY TCP4 ::1 ::2 51234 80\r\n".to_vec(),
            b"PROXY TCP9 192.0.2.1 10.0.0.1 51234 80\r\n".to_vec(),
            [b"PROXY UNKNOWN".as_slice(), &[b' '; 200]].concat(),
            b"PROXY TCP4 192.0.2.1".to_vec(),
            second(0x31, 0x11, &four),
            second(0x22, 0x11, &four),
            second(0x21, 0x11, &four[..8]),
            second(0x21, 0x41, &four),
            second(0x21, 0x11, &[0; REST_BYTES_MAX + 1]),
            second(0x21, 0x11, &four)[..20].to_vec(),
            Vec::new(),
        ] {
            assert!(read_all(&bytes).0.is_err(), "{bytes:?}");
        }
    }
}
