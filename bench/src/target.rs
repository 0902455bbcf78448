//! Where requests go: the URL, the protocol, and what TLS trusts.

use std::fs;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::Uri;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// HTTP's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1.
    H1,
    /// HTTP/2, without an upgrade: with prior knowledge, or agreed on in the TLS handshake.
    H2,
}

/// What certificates are trusted.
#[derive(Debug, Clone, Default)]
pub enum Trust {
    /// Mozilla's roots.
    #[default]
    Web,
    /// The certificates of a PEM file.
    File(PathBuf),
    /// Everything. On loopback the peer is known.
    Anything,
}

/// A server, and how to talk to it.
#[derive(Debug, Clone)]
pub struct Target {
    /// As it was given.
    pub url: Uri,
    /// Its address.
    pub address: SocketAddr,
    /// The version.
    pub protocol: Protocol,
    /// TLS, for `https`.
    pub tls: Option<Tls>,
}

/// A TLS client.
#[derive(Debug, Clone)]
pub struct Tls {
    /// What it trusts and offers.
    pub config: Arc<ClientConfig>,
    /// Who the server must be.
    pub name: ServerName<'static>,
}

/// Why a URL is no target.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Not a URL.
    #[error("{url:?} is no URL: {reason}; accepted: http://HOST:PORT/PATH or https://HOST:PORT/PATH")]
    Url {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A host without an address.
    #[error("look up {host}: {reason}")]
    Host {
        /// The host and port.
        host: String,
        /// The resolver's reason.
        reason: String,
    },
    /// Certificates.
    #[error("read the certificates of {path}: {reason}")]
    Certificates {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// TLS.
    #[error("set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}

impl Target {
    /// Reads a URL; without a path, `/score` is meant.
    ///
    /// # Errors
    /// What is not a URL, a host without an address, certificates that cannot be read.
    pub fn new(text: &str, protocol: Protocol, trust: &Trust) -> Result<Self, TargetError> {
        let wrong = |reason: &str| TargetError::Url {
            url: text.into(),
            reason: reason.into(),
        };
        let url: Uri = text
            .parse()
            .map_err(|error: http::uri::InvalidUri| wrong(&error.to_string()))?;
        let default_port = match url.scheme_str() {
            Some("http") => 80,
            Some("https") => 443,
            _ => return Err(wrong("it begins with neither http:// nor https://")),
        };
        let host = url.host().ok_or_else(|| wrong("it has no host"))?;
        let port = url.port_u16().unwrap_or(default_port);
        let plain = host.trim_start_matches('[').trim_end_matches(']');
        let failed = |reason: String| TargetError::Host {
            host: format!("{host}:{port}"),
            reason,
        };
        let mut addresses = (plain, port)
            .to_socket_addrs()
            .map_err(|error| failed(error.to_string()))?;
        let address = addresses.next().ok_or_else(|| failed("it has no address".into()))?;
        let tls = match default_port {
            443 => Some(Tls {
                config: Arc::new(client(protocol, trust)?),
                name: ServerName::try_from(plain.to_owned()).map_err(|_| wrong("its host is no name of a server"))?,
            }),
            _ => None,
        };
        Ok(Self {
            address,
            protocol,
            tls,
            url,
        })
    }

    /// The path and query to ask for.
    #[must_use]
    pub fn path(&self) -> &str {
        match self.url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str) {
            "/" => "/score",
            path => path,
        }
    }

    /// The host as requests name it.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.authority().map_or("", http::uri::Authority::as_str)
    }

    /// The same server at another path, over HTTP/1.1.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn beside(&self, path: &str, trust: &Trust) -> Result<Self, TargetError> {
        let scheme = self.url.scheme_str().unwrap_or("http");
        Self::new(&format!("{scheme}://{}{path}", self.host()), self.protocol, trust)
    }
}

fn client(protocol: Protocol, trust: &Trust) -> Result<ClientConfig, TargetError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let mut config = match trust {
        Trust::Anything => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Credulous(provider))),
        Trust::Web => builder.with_root_certificates(RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        }),
        Trust::File(path) => builder.with_root_certificates(roots(path)?),
    }
    .with_no_client_auth();
    config.alpn_protocols = vec![match protocol {
        Protocol::H1 => b"http/1.1".to_vec(),
        Protocol::H2 => b"h2".to_vec(),
    }];
    Ok(config)
}

fn roots(path: &Path) -> Result<RootCertStore, TargetError> {
    let failed = |reason: String| TargetError::Certificates {
        path: path.into(),
        reason,
    };
    let bytes = fs::read(path).map_err(|error| failed(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        roots.add(certificate).map_err(|error| failed(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(failed("there is none; accepted: PEM".into()));
    }
    Ok(roots)
}

/// Believes every certificate, but holds the handshake to its signatures.
#[derive(Debug)]
struct Credulous(Arc<CryptoProvider>);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_say_where_and_what() {
        let target = |text| Target::new(text, Protocol::H1, &Trust::Web);
        let plain = target("http://127.0.0.1:8080").expect("it is a URL");
        assert_eq!(
            (plain.path(), plain.host(), plain.address.port()),
            ("/score", "127.0.0.1:8080", 8080)
        );
        let long = target("https://[::1]:8443/v2/models/m/infer?x=1").expect("it is a URL");
        assert_eq!(
            (long.path(), long.address.port(), long.tls.is_some()),
            ("/v2/models/m/infer?x=1", 8443, true)
        );
        for (text, reason) in [
            ("127.0.0.1:8080/score", "accepted: http://"),
            ("ftp://127.0.0.1/", "neither http:// nor https://"),
            ("/score", "neither http:// nor https://"),
            ("http://no host/", "accepted: http://"),
        ] {
            let error = target(text).expect_err(text).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
