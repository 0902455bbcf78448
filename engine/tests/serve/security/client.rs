//! Certificates made for a test, and a client that speaks TLS.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa};
use rcgen::{KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use crate::harness::{Launch, PATIENCE, Server};

/// A CA that signs certificates of servers and of clients.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key.
pub(crate) struct Signed {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) pem: String,
    pub(crate) key: KeyPair,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("random bytes");
        Self {
            issuer: CertifiedIssuer::self_signed(params, key).expect("a certificate"),
        }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate of this number. A name with `://` is a URI's.
    pub(crate) fn sign(&self, number: u64, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Signed {
        let (uris, hosts): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| name.contains("://"));
        let hosts: Vec<String> = hosts.into_iter().map(str::to_owned).collect();
        let mut params = CertificateParams::new(hosts).expect("names");
        for uri in uris {
            params
                .subject_alt_names
                .push(SanType::URI(uri.try_into().expect("a URI")));
        }
        params.distinguished_name.push(DnType::CommonName, "common.name");
        params.serial_number = Some(SerialNumber::from(number));
        change(&mut params);
        let key = KeyPair::generate().expect("random bytes");
        let made = params.signed_by(&key, &self.issuer).expect("a certificate");
        Signed {
            certificate: made.der().clone(),
            pem: made.pem(),
            key,
        }
    }

    /// A list of these revoked numbers.
    pub(crate) fn revoke(&self, numbers: &[u64], next_year: i32) -> String {
        let revoked = numbers.iter().map(|&number| RevokedCertParams {
            serial_number: SerialNumber::from(number),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(next_year, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).expect("a list");
        list.pem().expect("PEM")
    }
}

/// A folder of files that a server reads.
pub(crate) struct Files(PathBuf);

impl Files {
    pub(crate) fn new(name: &str, runtime: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{runtime}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the target directory can be written");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// Replaces a file as a deployment should do it: no reader sees half of it.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join("new"), text).expect("the folder can be written");
        fs::rename(self.0.join("new"), self.0.join(name)).expect("the folder can be written");
    }

    /// The server's certificate and key.
    pub(crate) fn identity(&self, signed: &Signed) {
        self.write("tls.key", &signed.key.serialize_pem());
        self.write("tls.crt", &signed.pem);
    }

    /// A server that speaks TLS.
    pub(crate) fn launch(&self, runtime: &str) -> Launch {
        Launch::new(runtime)
            .no_sink()
            .shards(2)
            .set("TLS__CERTIFICATE", &self.path("tls.crt"))
            .set("TLS__KEY", &self.path("tls.key"))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a client trusts and shows.
pub(crate) fn config(
    authority: &Authority,
    shows: Option<&Signed>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.issuer.der().clone()).expect("the CA's certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("suites for it")
        .with_root_certificates(roots);
    match shows {
        None => builder.with_no_client_auth(),
        Some(signed) => builder
            .with_client_auth_cert(
                vec![signed.certificate.clone()],
                PrivateKeyDer::try_from(signed.key.serialize_der()).expect("PKCS#8"),
            )
            .expect("the key of the certificate"),
    }
}

/// A connection that speaks TLS.
pub(crate) struct Secure(pub(crate) StreamOwned<ClientConnection, TcpStream>);

impl Secure {
    pub(crate) fn open(server: &Server, config: &Arc<ClientConfig>) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", server.port)).expect("the server listens");
        socket.set_nodelay(true).expect("a TCP socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a TCP socket");
        let name = ServerName::try_from("localhost").expect("a name");
        let session = ClientConnection::new(Arc::clone(config), name).expect("a configuration");
        Self(StreamOwned::new(session, socket))
    }

    /// Sends bytes, and reads one answer with a length.
    pub(crate) fn ask(&mut self, request: &str) -> std::io::Result<(u16, String)> {
        self.0.write_all(request.as_bytes())?;
        let mut bytes = Vec::new();
        let mut space = [0; 4096];
        loop {
            let text = String::from_utf8_lossy(&bytes);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
                if body.len() >= length.unwrap_or(0) {
                    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
                    return Ok((status.expect("a status"), text.into_owned()));
                }
            }
            match self.0.read(&mut space)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                count => bytes.extend(&space[..count]),
            }
        }
    }

    pub(crate) fn get(&mut self, path: &str) -> std::io::Result<(u16, String)> {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: q\r\n\r\n"))
    }
}

/// The status of one request on a connection of its own, or why there was none.
pub(crate) fn status(server: &Server, config: &Arc<ClientConfig>, path: &str) -> Result<u16, String> {
    let answer = Secure::open(server, config).get(path);
    answer.map(|(status, _)| status).map_err(|error| error.to_string())
}

/// Tries until something is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}: not in time");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
