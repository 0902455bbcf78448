//! What a certificate says of itself: how long it is valid, and whose it is.

use super::der::{self, BOOLEAN, INTEGER, OBJECT_ID, OCTET_STRING, Reader, SEQUENCE};

/// subjectAltName (RFC 5280, 4.2.1.6).
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// Context tags: extensions of a certificate; dNSName and uniformResourceIdentifier of a name.
const EXTENSIONS: u8 = 0xa3;
const VERSION: u8 = 0xa0;
const DNS_NAME: u8 = 0x82;
const URI: u8 = 0x86;

/// Names of one certificate that are read.
const NAMES_MAX: usize = 100;

/// Bytes of a name that is read. A longer one can be in no rule.
const NAME_BYTES_MAX: usize = 1024;

/// The time in which a certificate is valid, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Its first second.
    pub not_before: i64,
    /// Its last second.
    pub not_after: i64,
}

impl Validity {
    /// Whether it is over at this time.
    #[must_use]
    pub fn is_over(&self, now: i64) -> bool {
        now > self.not_after
    }

    /// Whether it ends soon: less than a third of it is left, and less than two weeks. Who renews certificates by a program
    /// does so when a third is left; who does so by hand needs two weeks.
    #[must_use]
    pub fn ends_soon(&self, now: i64) -> bool {
        const TWO_WEEKS: i64 = 14 * 86_400;
        let whole = self.not_after.saturating_sub(self.not_before);
        self.not_after.saturating_sub(now) < TWO_WEEKS.min(whole / 3)
    }
}

/// The names of a client: DNS and URI names of its certificate, in their order. Never its common name.
pub type CertificateNames = Vec<String>;

/// The parts of a certificate that are looked at.
struct Parts<'a> {
    validity: Validity,
    extensions: Option<Reader<'a>>,
}

fn parts(certificate: &[u8]) -> Option<Parts<'_>> {
    let mut fields = Reader::new(certificate).enter(SEQUENCE)?.enter(SEQUENCE)?;
    if fields.peek() == Some(VERSION) {
        fields.any()?;
    }
    fields.take(INTEGER)?;
    // The algorithm and the issuer.
    fields.take(SEQUENCE)?;
    fields.take(SEQUENCE)?;
    let mut validity = fields.enter(SEQUENCE)?;
    let mut time = || validity.any().and_then(|(tag, text)| der::time(tag, text));
    let validity = Validity {
        not_before: time()?,
        not_after: time()?,
    };
    // The subject and its key.
    fields.take(SEQUENCE)?;
    fields.take(SEQUENCE)?;
    let mut extensions = None;
    while !fields.is_empty() {
        // What else may stand here are unique identifiers, which nobody uses.
        if let (EXTENSIONS, content) = fields.any()? {
            extensions = Some(Reader::new(content).enter(SEQUENCE)?);
        }
    }
    Some(Parts { validity, extensions })
}

/// How long a certificate (DER) is valid; none when it cannot be read.
#[must_use]
pub fn validity(certificate: &[u8]) -> Option<Validity> {
    parts(certificate).map(|parts| parts.validity)
}

/// The DNS and URI names of a certificate (DER) whose chain was verified. A name with other than visible ASCII is left out:
/// it could only be mistaken for another one (a name with a zero byte, Envoy's CVE-2025-66220).
#[must_use]
pub fn names(certificate: &[u8]) -> CertificateNames {
    let mut names = Vec::new();
    let Some(mut extensions) = parts(certificate).and_then(|parts| parts.extensions) else {
        return names;
    };
    while let Some(mut extension) = extensions.enter(SEQUENCE) {
        let id = extension.take(OBJECT_ID);
        if extension.peek() == Some(BOOLEAN) {
            extension.any();
        }
        let value = extension.take(OCTET_STRING);
        if id != Some(SUBJECT_ALT_NAME) {
            continue;
        }
        let Some(mut listed) = value.and_then(|value| Reader::new(value).enter(SEQUENCE)) else {
            continue;
        };
        while let Some((tag, name)) = listed.any()
            && names.len() < NAMES_MAX
        {
            let is_right = name.len() <= NAME_BYTES_MAX && name.iter().all(u8::is_ascii_graphic) && !name.is_empty();
            if is_right && let (DNS_NAME | URI, Ok(name)) = (tag, std::str::from_utf8(name)) {
                names.push(name.to_owned());
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType, date_time_ymd};

    use super::*;

    #[test]
    fn names_and_times_are_those_of_the_certificate() {
        let mut params = CertificateParams::new(vec!["crm.example".to_owned(), "10.0.0.1".to_owned()]).unwrap();
        params
            .subject_alt_names
            .push(SanType::URI("spiffe://bank/crm".try_into().unwrap()));
        params.not_before = date_time_ymd(2024, 2, 29);
        params.not_after = date_time_ymd(2051, 1, 1);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(names(made.der()), ["crm.example", "spiffe://bank/crm"]);
        let valid = validity(made.der()).unwrap();
        assert_eq!((valid.not_before, valid.not_after), (1_709_164_800, 2_556_144_000));
        // No cut and no changed byte makes it panic.
        for cut in 0..made.der().len() {
            assert_eq!(names(&made.der()[..cut]), Vec::<String>::new());
            let mut changed = made.der().to_vec();
            changed[cut] ^= 0xff;
            let _ = (names(&changed), validity(&changed));
        }
    }

    #[test]
    fn a_name_that_could_be_mistaken_is_left_out() {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        let odd = |name: &str| SanType::DnsName(name.try_into().unwrap());
        params.subject_alt_names = vec![odd("crm.example\0.evil"), odd("a b"), odd("crm.example")];
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(names(made.der()), ["crm.example"]);
    }

    #[test]
    fn soon_is_a_third_or_two_weeks() {
        let day = 86_400;
        let of = |days: i64| Validity {
            not_before: 0,
            not_after: days * day,
        };
        assert!(!of(90).ends_soon(75 * day) && of(90).ends_soon(77 * day));
        assert!(!of(3).ends_soon(day) && of(3).ends_soon(2 * day + 1));
        assert!(!of(1).is_over(day) && of(1).is_over(day + 1));
    }
}
