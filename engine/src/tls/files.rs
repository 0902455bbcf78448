//! Reads the files of TLS, says all that is wrong with them, and makes what rustls is configured with.

use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::digest::{Context, SHA256};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};

use super::certificate::{Validity, validity};
use super::tickets::Tickets;

/// Bytes of a file. A revocation list of a large CA has a few megabytes.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Protocols that are offered, the preferred first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Whether a client shows a certificate. A bad one is always refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificates {
    /// It is not asked for one.
    None,
    /// It may.
    Optional,
    /// It must.
    Required,
}

/// Where the files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsPaths {
    /// The server's chain, leaf first.
    pub certificate: PathBuf,
    /// Its private key, or the name of where it is.
    pub key: PathBuf,
    /// Roots of clients.
    pub client_ca: Option<PathBuf>,
    /// Revocation lists of these roots.
    pub client_crl: Option<PathBuf>,
    /// Whether clients show a certificate.
    pub client: ClientCertificates,
}

impl TlsPaths {
    /// All files but that of the key.
    #[must_use]
    pub fn files_beside_key(&self) -> Vec<PathBuf> {
        let all = [
            Some(&self.certificate),
            self.client_ca.as_ref(),
            self.client_crl.as_ref(),
        ];
        all.into_iter().flatten().cloned().collect()
    }
}

/// Which of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFile {
    /// The chain.
    Certificate,
    /// The private key.
    Key,
    /// Roots of clients.
    ClientCa,
    /// Revocation lists.
    ClientCrl,
}

/// What is wrong with a file. It never repeats what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsError {
    /// Which file.
    pub file: TlsFile,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<&'static str>,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl TlsError {
    fn new(file: TlsFile, path: &Path, message: impl fmt::Display) -> Self {
        Self {
            file,
            message: format!("{}: {message}", path.display()),
            hint: None,
        }
    }

    fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }
}

/// What the files say, checked.
pub struct Material {
    identity: Arc<CertifiedKey>,
    verifier: Arc<dyn ClientCertVerifier>,
    validity: Validity,
    /// A digest of roots, revocation lists and whether they matter: with another one no session from before is resumed.
    trust: [u8; 32],
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Material")
            .field("validity", &self.validity)
            .finish_non_exhaustive()
    }
}

impl Material {
    /// Reads all files. `key` is the text of the private key where that is in no file.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn read(paths: &TlsPaths, key: Option<&[u8]>) -> Result<Self, Vec<TlsError>> {
        let mut faults = Vec::new();
        let mut keep = |fault| faults.push(fault);
        let chain = certificates(TlsFile::Certificate, &paths.certificate)
            .map_err(&mut keep)
            .ok();
        let key = private_key(&paths.key, key).map_err(&mut keep).ok();
        let roots = paths.client_ca.as_ref();
        let roots = roots.and_then(|path| roots_of(path).map_err(&mut keep).ok());
        let lists = paths.client_crl.as_ref();
        let lists = lists.and_then(|path| revocation_lists(path).map_err(&mut keep).ok());
        let (Some((chain, _)), Some(key)) = (chain, key) else {
            return Err(faults);
        };
        if !faults.is_empty() {
            return Err(faults);
        }
        let identity = identity(paths, chain, &key);
        let verifier = verifier(paths, roots.as_ref().map(|(roots, _)| roots), lists.as_ref());
        match (identity, verifier) {
            (Ok((identity, validity)), Ok(verifier)) => Ok(Self {
                identity,
                verifier,
                validity,
                trust: trust(paths.client, [roots.map(|(_, pem)| pem), lists.map(|(_, pem)| pem)]),
            }),
            (identity, verifier) => Err(identity.err().into_iter().chain(verifier.err()).collect()),
        }
    }

    /// How long the server's certificate is valid.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Whether both trust the same clients, so that sessions of one may be resumed by the other.
    #[must_use]
    pub fn trusts_as(&self, other: &Self) -> bool {
        self.trust == other.trust
    }

    /// What handshakes are made with.
    ///
    /// # Panics
    /// Never: ring has suites for both versions.
    #[must_use]
    pub fn config(&self, tickets: Arc<Tickets>) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .expect("ring has suites for both");
        let mut config = builder
            .with_client_cert_verifier(Arc::clone(&self.verifier))
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&self.identity))));
        config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
        config.ticketer = tickets;
        // It has a lock, and only the sessions of one process.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Arc::new(config)
    }
}

/// The cryptography of all of TLS.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn read(file: TlsFile, path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    let opened = quintile_scoring::regular_file::open(path);
    let read = opened.and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    let fault = match read {
        Ok(_) if bytes.len() as u64 <= FILE_BYTES_MAX => return Ok(bytes),
        Ok(_) => TlsError::new(file, path, format_args!("has more than {FILE_BYTES_MAX} bytes")),
        Err(error) => {
            let fault = TlsError::new(file, path, format_args!("cannot be read: {error}"));
            match error.kind() {
                io::ErrorKind::PermissionDenied => fault
                    .hint("the user of this process must be able to read it: chown it, or chmod g+r and add the group"),
                io::ErrorKind::NotFound => {
                    fault.hint("quintile tls self-signed makes a certificate and a key for development")
                }
                _ => fault,
            }
        }
    };
    Err(fault)
}

/// All sections of one kind in a file, and the file.
fn sections<T: PemObject>(file: TlsFile, path: &Path, kind: &str) -> Result<(Vec<T>, Vec<u8>), TlsError> {
    let bytes = read(file, path)?;
    let all: Result<Vec<T>, pem::Error> = T::pem_slice_iter(&bytes).collect();
    match all {
        Ok(all) if all.is_empty() => {
            Err(
                TlsError::new(file, path, format_args!("has no section -----BEGIN {kind}-----"))
                    .hint("the file is PEM: DER becomes PEM by openssl x509 -inform der, or openssl pkey -inform der"),
            )
        }
        Ok(all) => Ok((all, bytes)),
        // Its text may repeat what is in the file.
        Err(_) => Err(TlsError::new(file, path, "is not PEM, or damaged")),
    }
}

fn certificates(file: TlsFile, path: &Path) -> Result<(Vec<CertificateDer<'static>>, Vec<u8>), TlsError> {
    sections(file, path, "CERTIFICATE")
}

fn private_key(path: &Path, text: Option<&[u8]>) -> Result<PrivateKeyDer<'static>, TlsError> {
    let bytes = match text {
        Some(text) => text.to_vec(),
        None => read(TlsFile::Key, path)?,
    };
    let has = |word: &[u8]| bytes.windows(word.len()).any(|part| part == word);
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| {
        let fault = |message: &str| TlsError::new(TlsFile::Key, path, message);
        if has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") {
            fault("is encrypted").hint("decrypt it: openssl pkey -in KEY -out PLAIN, and protect the file instead")
        } else if has(b"BEGIN CERTIFICATE") {
            fault("has a certificate and no private key")
        } else {
            fault("has no private key that is known: PKCS#8, PKCS#1 or SEC1, as PEM")
        }
    })
}

fn roots_of(path: &Path) -> Result<(RootCertStore, Vec<u8>), TlsError> {
    let (certificates, pem) = certificates(TlsFile::ClientCa, path)?;
    let mut roots = RootCertStore::empty();
    for (place, certificate) in certificates.into_iter().enumerate() {
        roots.add(certificate).map_err(|error| {
            TlsError::new(
                TlsFile::ClientCa,
                path,
                format_args!("certificate {} cannot be a root: {error}", place + 1),
            )
        })?;
    }
    Ok((roots, pem))
}

fn revocation_lists(path: &Path) -> Result<(Vec<CertificateRevocationListDer<'static>>, Vec<u8>), TlsError> {
    sections(TlsFile::ClientCrl, path, "X509 CRL")
}

/// The server's certificate with its key, and how long it is valid.
fn identity(
    paths: &TlsPaths,
    chain: Vec<CertificateDer<'static>>,
    key: &PrivateKeyDer<'static>,
) -> Result<(Arc<CertifiedKey>, Validity), TlsError> {
    let of_key = |message: &dyn fmt::Display| TlsError::new(TlsFile::Key, &paths.key, message);
    let of_chain = |message: &dyn fmt::Display| TlsError::new(TlsFile::Certificate, &paths.certificate, message);
    let key = rustls::crypto::ring::sign::any_supported_type(key).map_err(|_| {
        of_key(&"is of a kind that is not taken: RSA of 2048 bits or more, ECDSA P-256 or P-384, or Ed25519")
    })?;
    let leaf = chain.first().and_then(|leaf| validity(leaf));
    let identity = CertifiedKey::new(chain, key);
    match identity.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
        Err(rustls::Error::InconsistentKeys(_)) => {
            return Err(of_key(&format_args!(
                "is not the key of the certificate {}",
                paths.certificate.display()
            ))
            .hint("the certificate of the server stands first in its file, before those of its issuers"));
        }
        Err(error) => return Err(of_chain(&format_args!("the first certificate cannot be used: {error}"))),
    }
    let leaf = leaf.ok_or_else(|| of_chain(&"the first certificate cannot be read"))?;
    Ok((Arc::new(identity), leaf))
}

type Lists = (Vec<CertificateRevocationListDer<'static>>, Vec<u8>);

/// What decides of clients' certificates.
fn verifier(
    paths: &TlsPaths,
    roots: Option<&RootCertStore>,
    lists: Option<&Lists>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let (Some(roots), Some(path)) = (roots, &paths.client_ca) else {
        return Ok(WebPkiClientVerifier::no_client_auth());
    };
    if paths.client == ClientCertificates::None {
        return Ok(WebPkiClientVerifier::no_client_auth());
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots.clone()), provider());
    if paths.client == ClientCertificates::Optional {
        builder = builder.allow_unauthenticated();
    }
    if let Some((lists, _)) = lists {
        // A list that is out of date may lack certificates that were revoked since: it admits none, as with OpenSSL.
        builder = builder.with_crls(lists.iter().cloned()).enforce_revocation_expiration();
    }
    builder.build().map_err(|error| match &paths.client_crl {
        Some(lists) => TlsError::new(TlsFile::ClientCrl, lists, error),
        None => TlsError::new(TlsFile::ClientCa, path, error),
    })
}

fn trust(client: ClientCertificates, files: [Option<Vec<u8>>; 2]) -> [u8; 32] {
    let mut digest = Context::new(&SHA256);
    digest.update(&[client as u8]);
    for file in files {
        let file = file.unwrap_or_default();
        digest.update(&file.len().to_le_bytes());
        digest.update(&file);
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.finish().as_ref());
    bytes
}
