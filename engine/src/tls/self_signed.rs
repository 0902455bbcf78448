//! `quintile tls self-signed`: a certificate and its key for development.

use std::time::Duration;

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};
use rcgen::{PKCS_ECDSA_P256_SHA256, date_time_ymd};

/// A certificate and its private key, as PEM.
pub struct Pair {
    /// The certificate. It is its own root: clients trust it by itself.
    pub certificate: String,
    /// The key (PKCS#8).
    pub key: String,
}

/// Why none could be made.
#[derive(Debug, thiserror::Error)]
#[error("make a certificate: {0}")]
pub struct SelfSignedError(#[from] rcgen::Error);

/// Makes one of ECDSA P-256 for these names and addresses, valid from an hour before `now` (seconds since 1970).
///
/// # Errors
/// When a name cannot be in a certificate, or the kernel gives no random bytes.
pub fn self_signed(names: &[String], days: u32, now: u64) -> Result<Pair, SelfSignedError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(names)?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, "Quintile development");
    params.distinguished_name = subject;
    // As a CA it would not be taken for a server's certificate by rustls.
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let date = |seconds| date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    params.not_before = date(now.saturating_sub(3_600));
    params.not_after = date(now + u64::from(days) * 86_400);
    let certificate = params.self_signed(&key)?;
    Ok(Pair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}
