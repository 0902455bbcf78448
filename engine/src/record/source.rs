//! The scorer of a record.

/// Who made a score, where there may be two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RecordSource<'a> {
    /// This process, as it was asked to.
    #[default]
    Local,
    /// This process, because SageMaker did not answer: why.
    Fallback(&'a str),
    /// SageMaker.
    SageMaker,
}

impl<'a> RecordSource<'a> {
    /// What the column `source` says.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Local | Self::Fallback(_) => "local",
            Self::SageMaker => "sagemaker",
        }
    }

    /// Why it was not the other one.
    #[must_use]
    pub fn reason(self) -> Option<&'a str> {
        match self {
            Self::Fallback(reason) => Some(reason),
            Self::Local | Self::SageMaker => None,
        }
    }

    /// What stands for it in a frame.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Local => 0,
            Self::Fallback(_) => 1,
            Self::SageMaker => 2,
        }
    }

    /// What a frame's code and reason stand for.
    pub(super) fn of(code: u8, reason: &'a str) -> Option<Self> {
        match (code, reason) {
            (0, "") => Some(Self::Local),
            (1, reason) => Some(Self::Fallback(reason)),
            (2, "") => Some(Self::SageMaker),
            _ => None,
        }
    }
}
