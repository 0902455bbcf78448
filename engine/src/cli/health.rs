//! `quintile healthcheck`: whether a server answers, for images without curl.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Stream};

use super::{Exit, Streams, report};
use crate::config::units::Unit;
use crate::config::{ConfigError, Fault, Flags, Settings};
use crate::tls::{self, ClientCertificates};

pub(crate) const EXAMPLES: &str = "Examples:
  quintile healthcheck
  quintile healthcheck 127.0.0.1:8080 --path /healthz
  quintile healthcheck --wait 10s";

/// Bytes of an answer's head that are read: its first line is at the start.
const HEAD_BYTES: usize = 512;

/// How long to wait before asking again.
const AGAIN: Duration = Duration::from_millis(20);

/// `healthcheck`.
#[derive(Debug, clap::Args)]
pub(crate) struct HealthArgs {
    /// HOST:PORT of the server; without it, where this configuration listens
    #[arg(value_name = "HOST:PORT")]
    pub(crate) address: Option<String>,
    /// What to ask for
    #[arg(long, default_value = "/readyz", value_parser = path)]
    pub(crate) path: String,
    /// Milliseconds that it may take in all, 10 to 60000
    #[arg(long, value_name = "N", default_value = "2000", value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub(crate) timeout_ms: u64,
    /// How long to ask again while there is no answer or another one, as 10s or 1m; prints nothing until then
    #[arg(long, value_name = "TIME", value_parser = wait)]
    pub(crate) wait: Option<Duration>,
    /// A file with the credential to show, as one header: x-api-key: KEY, or authorization: Bearer TOKEN
    #[arg(long, value_name = "FILE")]
    pub(crate) header_file: Option<PathBuf>,
}

/// The header of a file. What is wrong with it is told without it.
fn header(args: &HealthArgs) -> Result<String, String> {
    let Some(path) = &args.header_file else {
        return Ok(String::new());
    };
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: cannot be read: {error}"))?;
    let line = text.trim_end();
    let is_header = line.split_once(':').is_some_and(|(name, value)| {
        name.parse::<http::HeaderName>().is_ok() && value.trim().parse::<http::HeaderValue>().is_ok()
    });
    match is_header {
        true => Ok(format!("{line}\r\n")),
        false => Err(format!(
            "{shown}: has something else than one header, as x-api-key: KEY"
        )),
    }
}

/// A duration; a number alone is seconds.
fn wait(text: &str) -> Result<Duration, String> {
    let seconds = match Unit::Seconds.read(text) {
        Some(read) => read?,
        None => text.parse().map_err(|_| "write a duration, as 10s or 1m".to_owned())?,
    };
    if (0.0..=3600.0).contains(&seconds) {
        return Ok(Duration::from_secs_f64(seconds));
    }
    Err("it may be from 0s to 1h".into())
}

fn path(text: &str) -> Result<String, String> {
    let is_path = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_path
        .then(|| text.to_owned())
        .ok_or_else(|| "a path begins with / and has no spaces".into())
}

/// Who is asked.
struct Asked {
    address: String,
    /// The certificate that it shows, if it speaks TLS.
    tls: Option<Arc<ClientConfig>>,
    /// Its connections begin with the PROXY protocol.
    proxied: bool,
    /// The credential, as a line.
    header: String,
}

/// Who is asked: what the arguments say, and otherwise what the configuration says. A server whose clients need
/// certificates is asked where operators ask it.
fn asked(args: &HealthArgs) -> Result<Asked, ConfigError> {
    let settings = match (Settings::of_process(&Flags::default()), &args.address) {
        (Ok(settings), _) => settings,
        // The configuration is not needed.
        (Err(_), Some(_)) => Settings::default(),
        (Err(error), None) => return Err(error),
    };
    let tls = settings.tls.paths().filter(|paths| {
        args.address.is_some() || settings.admin.is_none() || paths.client != ClientCertificates::Required
    });
    let needs_certificate = settings.tls.paths().is_some() && tls.is_none();
    let address = match (&args.address, settings.admin) {
        (Some(address), _) => address.clone(),
        (None, Some(admin)) if needs_certificate => admin,
        (None, _) => settings.listen,
    };
    let mut asked = Asked {
        address,
        tls: None,
        proxied: settings.proxy_protocol && !needs_certificate,
        header: header(args).map_err(|message| ConfigError {
            faults: vec![Fault::of_key("--header-file", message)],
        })?,
    };
    let Some(paths) = tls else {
        return Ok(asked);
    };
    match tls::client_config(&paths.certificate) {
        Ok(config) => {
            asked.tls = Some(config);
            Ok(asked)
        }
        Err(error) => Err(ConfigError {
            faults: vec![Fault::of_key("tls.certificate", error)],
        }),
    }
}

/// Asks, and says what came back. Success is a status of 200 to 299.
pub(crate) fn run(args: &HealthArgs, streams: &mut Streams<'_>) -> Exit {
    let asked = match asked(args) {
        Ok(asked) => asked,
        Err(error) => return report::configuration(&error, streams),
    };
    let timeout = Duration::from_millis(args.timeout_ms);
    let until = args.wait.map(|wait| Instant::now() + wait);
    let mut answer = ask(&asked, &args.path, timeout);
    while let Some(left) = until.and_then(|until| until.checked_duration_since(Instant::now()))
        && !matches!(answer, Ok(200..300))
    {
        std::thread::sleep(AGAIN.min(left));
        answer = ask(&asked, &args.path, timeout);
    }
    let address = &asked.address;
    match answer {
        Ok(status) if (200..300).contains(&status) => report::print(&format!("{status}\n"), streams),
        Ok(status) => report::failure(format_args!("{address}{} answers {status}", args.path), streams),
        Err(error) => {
            // The configuration of this process may not be the server's.
            let hint = match args.address {
                None if error.kind() == io::ErrorKind::ConnectionRefused => {
                    "; a server with other flags is named by its HOST:PORT"
                }
                _ => "",
            };
            report::failure(format_args!("{address}{}: {error}{hint}", args.path), streams)
        }
    }
}

fn ask(asked: &Asked, path: &str, timeout: Duration) -> io::Result<u16> {
    let addresses: Vec<SocketAddr> = asked.address.to_socket_addrs()?.map(reachable).collect();
    let first = addresses
        .first()
        .ok_or_else(|| io::Error::other("the name has no address"))?;
    let mut socket = TcpStream::connect_timeout(first, timeout)?;
    socket.set_read_timeout(Some(timeout))?;
    socket.set_write_timeout(Some(timeout))?;
    if asked.proxied {
        // It speaks for itself, as a balancer's health checks do.
        socket.write_all(b"PROXY UNKNOWN\r\n")?;
    }
    let head = match &asked.tls {
        None => exchange(&mut socket, asked, path)?,
        Some(config) => {
            let name = ServerName::from(first.ip());
            let mut session = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
            exchange(&mut Stream::new(&mut session, &mut socket), asked, path)?
        }
    };
    status(&head).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, not_http(&head)))
}

/// What an answer is that is no HTTP.
fn not_http(head: &[u8]) -> &'static str {
    // A server that speaks TLS sends an alert.
    match head.first() {
        Some(0x15 | 0x16) => {
            "the server speaks TLS: give this command the server's configuration (QUINTILE_CONFIG, or QUINTILE_TLS__CERTIFICATE and \
             QUINTILE_TLS__KEY), or the address of its admin listener"
        }
        _ => "the answer is not HTTP",
    }
}

/// Sends the request, and reads the beginning of the answer.
fn exchange(stream: &mut (impl io::Read + io::Write), asked: &Asked, path: &str) -> io::Result<Vec<u8>> {
    let Asked { address, header, .. } = asked;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: quintile-healthcheck\r\n{header}Connection: close\r\n\r\n"
    )?;
    let mut head = Vec::new();
    stream.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// A server that listens on every interface is asked on this machine's own.
pub(super) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// The status in the first line of an answer.
pub(super) fn status(head: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(head.split(|&byte| byte == b'\r').next()?).ok()?;
    line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_in_the_first_line() {
        assert_eq!(status(b"HTTP/1.1 200 OK\r\nx: y\r\n"), Some(200));
        assert_eq!(status(b"HTTP/1.0 503 Busy\r\n"), Some(503));
        for head in [&b""[..], b"SSH-2.0\r\n", b"HTTP/1.1\r\n", b"HTTP/1.1 x\r\n", b"\xff\r"] {
            assert_eq!(status(head), None);
        }
    }

    #[test]
    fn every_interface_is_asked_here() {
        let shown = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(
            (shown("0.0.0.0:80"), shown("[::]:80")),
            ("127.0.0.1:80".into(), "[::1]:80".into())
        );
        assert_eq!(shown("10.0.0.1:80"), "10.0.0.1:80");
    }
}
