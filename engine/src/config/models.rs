//! What `[models]` says: a store of models, and what of it is served.

use std::time::Duration;

/// Between two looks at a folder, unless something else is said.
const FOLDER_POLL: Duration = Duration::from_secs(1);

/// The same of S3, where each look is a request that costs money.
const S3_POLL: Duration = Duration::from_secs(30);

/// Numbers of versions that may be named one by one.
const VERSIONS_MAX: usize = 64;

/// A store of models, and what of it is served.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelsSettings {
    /// A folder or `s3://BUCKET/PREFIX`; without it one model is served, that of `model.path`.
    pub store: Option<String>,
    /// The model that `POST /score` means.
    pub default: Option<String>,
    /// Which versions of each model are loaded.
    pub versions: VersionPolicy,
    /// Between two looks at the store; none when it is looked at only when somebody asks. [`Self::with_poll`] fills it
    /// in.
    pub poll: Option<Duration>,
    /// What the operator said of it.
    pub poll_asked: Option<Duration>,
    /// Bytes of the plans of all loaded models.
    pub memory_bytes_max: usize,
    /// When a new champion is taken back by itself; never without it.
    pub rollback: Option<RollbackSettings>,
    /// Whether records are kept, which shadows and the way back need.
    pub keeps_records: bool,
    /// Whether what explains a model is made when it is loaded.
    pub is_explained: bool,
}

/// Which versions of a model are loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionPolicy {
    /// So many of the highest.
    Latest(usize),
    /// Every version.
    All,
    /// These.
    These(Vec<u64>),
}

/// When a new champion is taken back by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RollbackSettings {
    /// Rows after a promotion that are compared.
    pub rows: usize,
    /// How far the predictions of both may be from each other: the population stability index.
    pub prediction_psi: f64,
}

impl Default for ModelsSettings {
    fn default() -> Self {
        Self {
            store: None,
            default: None,
            versions: VersionPolicy::Latest(1),
            poll: None,
            poll_asked: None,
            memory_bytes_max: 256 << 20,
            rollback: None,
            keeps_records: true,
            is_explained: false,
        }
    }
}

impl Default for RollbackSettings {
    fn default() -> Self {
        Self {
            rows: 500,
            prediction_psi: 0.5,
        }
    }
}

impl ModelsSettings {
    /// Whether the store is in S3.
    #[must_use]
    pub fn is_s3(&self) -> bool {
        self.store.as_deref().is_some_and(|store| store.starts_with("s3://"))
    }

    /// Until the next look at the store. At S3 a fifth more or less, so that tasks which were started together do not ask
    /// together.
    #[must_use]
    pub fn next_poll(&self) -> Option<Duration> {
        let share = if self.is_s3() { 0.8 + 0.4 * fastrand::f64() } else { 1.0 };
        self.poll.map(|poll| poll.mul_f64(share))
    }

    /// The same with what the store's kind says where nobody said anything.
    #[must_use]
    pub fn with_poll(mut self, keeps_records: bool) -> Self {
        let usual = if self.is_s3() { S3_POLL } else { FOLDER_POLL };
        self.poll = Some(self.poll_asked.unwrap_or(usual)).filter(|poll| !poll.is_zero());
        self.keeps_records = keeps_records;
        self
    }

    /// The same, where every answer has reasons or not.
    #[must_use]
    pub fn explained(self, is_explained: bool) -> Self {
        Self { is_explained, ..self }
    }
}

impl VersionPolicy {
    /// `latest:N`, `all`, or whole numbers with commas between them.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == "all" {
            return Some(Self::All);
        }
        let number = |text: &str| {
            let number: u64 = text.parse().ok()?;
            (number.to_string() == text).then_some(number)
        };
        if let Some(count) = text.strip_prefix("latest:") {
            let count = usize::try_from(number(count)?).ok()?;
            return (1..=VERSIONS_MAX).contains(&count).then_some(Self::Latest(count));
        }
        let numbers: Vec<u64> = text.split(',').map(|text| number(text.trim())).collect::<Option<_>>()?;
        (numbers.len() <= VERSIONS_MAX).then_some(Self::These(numbers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_words_or_numbers() {
        for (text, policy) in [
            ("latest:1", VersionPolicy::Latest(1)),
            ("latest:12", VersionPolicy::Latest(12)),
            ("all", VersionPolicy::All),
            ("7", VersionPolicy::These(vec![7])),
            ("1, 20", VersionPolicy::These(vec![1, 20])),
        ] {
            assert_eq!(VersionPolicy::parse(text), Some(policy), "{text}");
        }
        for text in [
            "",
            "latest",
            "latest:0",
            "latest:01",
            "latest:65",
            "01",
            "1,,2",
            "-1",
            "1.5",
            "v1",
            "ALL",
        ] {
            assert_eq!(VersionPolicy::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_look_at_s3_is_rarer_and_zero_is_none() {
        let poll = |store: &str, asked| {
            let settings = ModelsSettings {
                store: Some(store.into()),
                poll_asked: asked,
                ..ModelsSettings::default()
            };
            settings.with_poll(true).poll
        };
        assert_eq!(poll("models", None), Some(Duration::from_secs(1)));
        assert_eq!(poll("s3://lake/models", None), Some(Duration::from_secs(30)));
        assert_eq!(
            poll("models", Some(Duration::from_secs(9))),
            Some(Duration::from_secs(9))
        );
        assert_eq!(poll("models", Some(Duration::ZERO)), None);
    }
}
