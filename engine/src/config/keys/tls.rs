//! `[tls]`: the certificate of the server, and what clients show.

use super::{Key, plain};
use crate::config::value::ValueKind;
use crate::tls::ClientCertificates;

pub(super) static KEYS: &[Key] = &[
    plain(
        "tls",
        "certificate",
        ValueKind::Path {
            set: |settings, path| settings.tls.certificate = Some(path),
        },
        None,
        "The certificate's chain (PEM, leaf first); with it server.listen speaks TLS and nothing else. Files are read again by \
         SIGHUP and when they change",
    ),
    plain(
        "tls",
        "key",
        ValueKind::Path {
            set: |settings, path| settings.tls.key = Some(path),
        },
        None,
        "Its private key (PEM: PKCS#8, PKCS#1 or SEC1): a path, or aws-secretsmanager:ID or aws-ssm:NAME",
    ),
    plain(
        "tls",
        "client_ca",
        ValueKind::Path {
            set: |settings, path| settings.tls.client_ca = Some(path),
        },
        None,
        "Roots of client certificates (PEM)",
    ),
    plain(
        "tls",
        "client_crl",
        ValueKind::Path {
            set: |settings, path| settings.tls.client_crl = Some(path),
        },
        None,
        "Revocation lists of client certificates (PEM), one for each CA of a chain, and not out of date",
    ),
    plain(
        "tls",
        "client",
        ValueKind::Word {
            words: || vec!["none", "optional", "required"],
            set: |settings, word| {
                let client = match word {
                    "none" => ClientCertificates::None,
                    "optional" => ClientCertificates::Optional,
                    "required" => ClientCertificates::Required,
                    _ => return false,
                };
                settings.tls.client = Some(client);
                true
            },
        },
        None,
        "Whether a client shows a certificate; a bad one is always refused. Without it required with client_ca, else none",
    ),
];
