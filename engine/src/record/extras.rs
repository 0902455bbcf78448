//! Values that only some records have, as the tail of a frame: entries of a tag, a length and a value, one after the
//! other.
//!
//! ```text
//! 0 tag u16   2 length u32   6 value, so many bytes
//! ```
//! If an entry is missing, its column is null. A reader skips unknown tags, so an older build can read frames to which
//! a newer build has added entries.

use crate::limits::{FEATURES_FROM_BYTES_MAX, REASONS_BYTES_MAX};

/// Tag and length of an entry.
const ENTRY_HEAD: usize = 6;

/// Bytes of a role or a protocol in a frame: the words of today have at most 10.
const WORD_BYTES_MAX: usize = 32;

/// Bytes of the longest tail that [`Extras::encode`] writes.
pub(super) const TAIL_BYTES_MAX: usize =
    4 * ENTRY_HEAD + 2 * WORD_BYTES_MAX + REASONS_BYTES_MAX + FEATURES_FROM_BYTES_MAX;

/// Tags never change their meaning, and one that is given up is not used again.
mod tag {
    pub(super) const ROLE: u16 = 1;
    pub(super) const PROTOCOL: u16 = 2;
    pub(super) const REASONS: u16 = 3;
    pub(super) const FEATURES_FROM: u16 = 4;
}

/// As which of several models of one name the model scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The one that answers unless something else is said.
    Champion,
    /// The one that answers a share of the leads.
    Challenger,
    /// One whose score is recorded and never answered.
    Shadow,
}

impl Role {
    /// What the column `role` says.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Champion => "champion",
            Self::Challenger => "challenger",
            Self::Shadow => "shadow",
        }
    }
}

/// In which protocol the lead came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolName {
    /// `POST /score` and `POST /score/batch`.
    Native,
    /// The Open Inference Protocol over HTTP, which KServe and Triton speak.
    V2,
    /// The same over gRPC.
    Grpc,
    /// KServe's first protocol.
    V1,
    /// SageMaker's `/invocations`.
    SageMaker,
    /// MLflow's `/invocations`.
    Mlflow,
}

impl ProtocolName {
    /// What the column `protocol` says.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::V2 => "v2",
            Self::Grpc => "grpc",
            Self::V1 => "v1",
            Self::SageMaker => "sagemaker",
            Self::Mlflow => "mlflow",
        }
    }
}

/// What is known of a record beyond what every record says. By default nothing.
///
/// Its texts are within their limits by construction, so that encoding never has to refuse one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extras<'a> {
    role: Option<&'a str>,
    protocol: Option<&'a str>,
    reasons: Option<&'a str>,
    features_from: Option<&'a str>,
}

impl<'a> Extras<'a> {
    /// Of a lead that came in a protocol, and of which nothing more is known.
    #[must_use]
    pub fn of(protocol: ProtocolName) -> Self {
        Self {
            protocol: Some(protocol.name()),
            ..Self::default()
        }
    }

    /// The same with a role.
    #[must_use]
    pub fn with_role(self, role: Role) -> Self {
        let role = Some(role.name());
        Self { role, ..self }
    }

    /// The same with the reasons of the score, as JSON. None when they have more than [`REASONS_BYTES_MAX`] bytes:
    /// the caller leaves out the smallest of them.
    #[must_use]
    pub fn with_reasons(self, reasons: &'a str) -> Option<Self> {
        let reasons = Some(reasons).filter(|text| text.len() <= REASONS_BYTES_MAX)?;
        Some(Self {
            reasons: Some(reasons),
            ..self
        })
    }

    /// The same with where features came from, as JSON. None when it has more than [`FEATURES_FROM_BYTES_MAX`] bytes.
    #[must_use]
    pub fn with_features_from(self, from: &'a str) -> Option<Self> {
        let from = Some(from).filter(|text| text.len() <= FEATURES_FROM_BYTES_MAX)?;
        Some(Self {
            features_from: Some(from),
            ..self
        })
    }

    /// As which of several models: [`Role::name`], or the word of a later build.
    #[must_use]
    pub fn role(&self) -> Option<&'a str> {
        self.role
    }

    /// In which protocol: [`ProtocolName::name`], or the word of a later build.
    #[must_use]
    pub fn protocol(&self) -> Option<&'a str> {
        self.protocol
    }

    /// The reasons of the score, as JSON.
    #[must_use]
    pub fn reasons(&self) -> Option<&'a str> {
        self.reasons
    }

    /// Where features came from, as JSON.
    #[must_use]
    pub fn features_from(&self) -> Option<&'a str> {
        self.features_from
    }

    fn entries(&self) -> [(u16, Option<&'a str>); 4] {
        [
            (tag::ROLE, self.role),
            (tag::PROTOCOL, self.protocol),
            (tag::REASONS, self.reasons),
            (tag::FEATURES_FROM, self.features_from),
        ]
    }

    /// Bytes of the tail.
    pub(super) fn encoded_len(&self) -> usize {
        let entry = |(_, text): (u16, Option<&str>)| text.map_or(0, |text| ENTRY_HEAD + text.len());
        self.entries().into_iter().map(entry).sum()
    }

    /// Appends the tail.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for (tag, text) in self.entries() {
            let Some(text) = text else { continue };
            out.extend_from_slice(&tag.to_le_bytes());
            out.extend_from_slice(&super::frame::count_u32(text.len()).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
    }

    /// Reads a tail. None when its entries do not fill it, when one that is known is no text of a permitted length, and
    /// when one is there twice.
    pub(super) fn decode(mut tail: &'a [u8]) -> Option<Self> {
        let mut extras = Self::default();
        while !tail.is_empty() {
            let (tag, rest) = tail.split_first_chunk::<2>()?;
            let (length, rest) = rest.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            let (value, rest) = rest.split_at_checked(length)?;
            tail = rest;
            let (place, bytes_max) = match u16::from_le_bytes(*tag) {
                tag::ROLE => (&mut extras.role, WORD_BYTES_MAX),
                tag::PROTOCOL => (&mut extras.protocol, WORD_BYTES_MAX),
                tag::REASONS => (&mut extras.reasons, REASONS_BYTES_MAX),
                tag::FEATURES_FROM => (&mut extras.features_from, FEATURES_FROM_BYTES_MAX),
                _ => continue,
            };
            if place.is_some() || value.len() > bytes_max {
                return None;
            }
            *place = Some(std::str::from_utf8(value).ok()?);
        }
        Some(extras)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> Extras<'static> {
        let extras = Extras::of(ProtocolName::Native).with_role(Role::Shadow);
        let extras = extras.with_reasons(r#"[{"feature":"größe"}]"#).unwrap();
        extras.with_features_from("{}").unwrap()
    }

    fn tail(extras: &Extras<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        extras.encode(&mut out);
        assert_eq!(out.len(), extras.encoded_len());
        out
    }

    #[test]
    fn comes_back_as_it_was_and_nothing_takes_no_bytes() {
        for extras in [everything(), Extras::default(), Extras::of(ProtocolName::Grpc)] {
            assert_eq!(Extras::decode(&tail(&extras)), Some(extras));
        }
        assert!(tail(&Extras::default()).is_empty());
    }

    #[test]
    fn tags_of_later_builds_are_skipped_wherever_they_stand() {
        let known = tail(&everything());
        let later = [&[0xFE, 0x7F, 3, 0, 0, 0][..], b"\xFF\x00x"].concat();
        for text in [
            [later.clone(), known.clone()].concat(),
            [known.clone(), later.clone(), later.clone()].concat(),
        ] {
            assert_eq!(Extras::decode(&text), Some(everything()));
        }
        // An entry may say that there is nothing.
        assert_eq!(
            Extras::decode(&[1, 0, 0, 0, 0, 0]).and_then(|extras| extras.role()),
            Some("")
        );
    }

    #[test]
    fn tails_that_no_build_writes_are_refused() {
        let known = tail(&everything());
        let role = 6 + "shadow".len();
        for end in 1..role {
            assert_eq!(Extras::decode(&known[..end]), None, "cut at {end}");
        }
        assert_eq!(Extras::decode(&[&known[..], &known[..role]].concat()), None, "twice");
        assert_eq!(Extras::decode(&[1, 0, 1, 0, 0, 0, 0xFF]), None, "no text");
        assert_eq!(Extras::decode(&[9, 9, 0xFF, 0xFF, 0xFF, 0xFF]), None, "longer than all");
        let long = [&[1, 0, 33, 0, 0, 0][..], &[b'x'; 33]].concat();
        assert_eq!(Extras::decode(&long), None, "a role of 33 bytes");
    }

    #[test]
    fn texts_beyond_their_limits_are_not_taken() {
        let (fits, long) = ("r".repeat(REASONS_BYTES_MAX), "r".repeat(REASONS_BYTES_MAX + 1));
        assert!(everything().with_reasons(&fits).is_some() && everything().with_reasons(&long).is_none());
        let (all, long) = (
            "f".repeat(FEATURES_FROM_BYTES_MAX),
            "f".repeat(FEATURES_FROM_BYTES_MAX + 1),
        );
        assert!(everything().with_features_from(&long).is_none());
        let most = everything()
            .with_reasons(&fits)
            .and_then(|extras| extras.with_features_from(&all));
        assert!(tail(&most.unwrap()).len() <= TAIL_BYTES_MAX);
    }
}
