//! The settings of `[tls]`.

use std::path::PathBuf;

use super::SecretSource;
use crate::tls::{ClientCertificates, TlsPaths};

/// Where certificates are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// The server's chain. With it the listener speaks TLS.
    pub certificate: Option<PathBuf>,
    /// Its private key: a path, or a reference as `aws-secretsmanager:ID`.
    pub key: Option<PathBuf>,
    /// Roots of clients.
    pub client_ca: Option<PathBuf>,
    /// Their revocation lists.
    pub client_crl: Option<PathBuf>,
    /// Whether clients show a certificate, if somebody says so.
    pub client: Option<ClientCertificates>,
}

impl Tls {
    /// Whether clients show a certificate.
    #[must_use]
    pub fn client(&self) -> ClientCertificates {
        self.client.unwrap_or(match self.client_ca {
            Some(_) => ClientCertificates::Required,
            None => ClientCertificates::None,
        })
    }

    /// Where the private key is, if there is one.
    #[must_use]
    pub fn key_source(&self) -> Option<SecretSource> {
        let key = self.key.as_ref()?;
        Some(match key.to_str() {
            Some(text) => SecretSource::or_path(text),
            None => SecretSource::File(key.clone()),
        })
    }

    /// The files, if the listener speaks TLS. A key that is in no file has its reference for a name.
    #[must_use]
    pub fn paths(&self) -> Option<TlsPaths> {
        Some(TlsPaths {
            certificate: self.certificate.clone()?,
            key: match self.key_source()? {
                SecretSource::File(path) => path,
                SecretSource::Aws(secret) => secret.to_string().into(),
            },
            client_ca: self.client_ca.clone(),
            client_crl: self.client_crl.clone(),
            client: self.client(),
        })
    }

    /// Takes from `new` what a reload can put into force.
    pub(super) fn adopt(&mut self, new: &Self) {
        self.certificate.clone_from(&new.certificate);
        self.key.clone_from(&new.key);
        self.client_ca.clone_from(&new.client_ca);
        self.client_crl.clone_from(&new.client_crl);
    }
}
