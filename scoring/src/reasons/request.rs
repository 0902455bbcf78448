//! What a request says of the reasons it wants: in its query, in its body, or nothing.

use crate::limits::REASONS_MAX;

/// Which way a feature moves a margin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Up.
    Raises,
    /// Down.
    Lowers,
}

impl Direction {
    /// As requests and answers have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Raises => "raises",
            Self::Lowers => "lowers",
        }
    }

    /// The direction of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "raises" => Some(Self::Raises),
            "lowers" => Some(Self::Lowers),
            _ => None,
        }
    }

    pub(super) fn of(contribution: f64) -> Self {
        if contribution > 0.0 { Self::Raises } else { Self::Lowers }
    }
}

/// The reasons that an answer gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReasonsRequest {
    /// How many reasons at most; none at 0.
    pub count: u16,
    /// Those that move the margin one way alone; none for both.
    pub direction: Option<Direction>,
    /// Whether the client asks. Where only the configuration does, a model that cannot be explained is no fault.
    pub is_demanded: bool,
}

impl ReasonsRequest {
    /// Whether there is something to explain.
    #[must_use]
    pub fn asks(self) -> bool {
        self.count > 0
    }
}

/// What a request says of reasons, as far as it says anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReasonsWish {
    /// How many.
    pub count: Option<u16>,
    /// Which.
    pub direction: Option<Direction>,
    /// The score of which it asks what would bring the lead there.
    pub target: Option<u8>,
}

/// A query that asks for reasons in a way that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReasonsRequestError {
    /// The number.
    #[error("explain is how many reasons to give, a whole number from 0 to {REASONS_MAX}")]
    Count,
    /// The direction.
    #[error("direction keeps the reasons of one kind: raises or lowers")]
    Direction,
    /// The target.
    #[error("target is the score that the lead should have, from 1 to 5")]
    Target,
    /// A target of many leads.
    #[error("target is asked of one lead, with POST /score")]
    TargetOfBatch,
    /// A name.
    #[error("the query has a parameter that is not known; accepted: explain, direction, target, unusual")]
    Unknown,
}

impl ReasonsWish {
    /// What a query says: `explain=4&direction=lowers`. `unusual` is read elsewhere.
    ///
    /// # Errors
    /// A number or a direction that is none, and a parameter that there is not.
    pub fn of_query(query: &str) -> Result<Self, ReasonsRequestError> {
        let mut wish = Self::default();
        for parameter in query.split('&') {
            match parameter.split_once('=').unwrap_or((parameter, "")) {
                ("explain", count) => wish.count = Some(reasons(count)?),
                ("direction", name) => {
                    wish.direction = Some(Direction::named(name).ok_or(ReasonsRequestError::Direction)?);
                }
                ("target", score) => {
                    let score = score.parse().ok().filter(|score| (1..=5).contains(score));
                    wish.target = Some(score.ok_or(ReasonsRequestError::Target)?);
                }
                ("unusual" | "", _) => {}
                _ => return Err(ReasonsRequestError::Unknown),
            }
        }
        Ok(wish)
    }

    /// What is said here, and where that is nothing, what is said there. A body's words count before its query's.
    #[must_use]
    pub fn over(self, other: Self) -> Self {
        Self {
            count: self.count.or(other.count),
            direction: self.direction.or(other.direction),
            target: self.target.or(other.target),
        }
    }

    /// The reasons to give; `usual` is how many where nothing is said.
    #[must_use]
    pub fn request(self, usual: u16) -> ReasonsRequest {
        ReasonsRequest {
            count: self.count.unwrap_or(usual),
            direction: self.direction,
            is_demanded: self.count.is_some(),
        }
    }
}

/// A number of a body as a count of reasons.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is a whole number from 0 to REASONS_MAX"
)]
pub(crate) fn count(number: f64) -> Option<u16> {
    let is_count = (0.0..=f64::from(REASONS_MAX)).contains(&number) && number.fract().abs() <= 0.0;
    is_count.then_some(number as u16)
}

fn reasons(count: &str) -> Result<u16, ReasonsRequestError> {
    let is_plain = count.bytes().all(|byte| byte.is_ascii_digit());
    let count = count.parse().ok().filter(|&count| is_plain && count <= REASONS_MAX);
    count.ok_or(ReasonsRequestError::Count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_taken_or_refused() {
        let of = ReasonsWish::of_query;
        assert_eq!(of("").unwrap(), ReasonsWish::default());
        assert_eq!(of("unusual=1&explain=4").unwrap().count, Some(4));
        assert_eq!(
            of("explain=4&direction=lowers").unwrap().direction,
            Some(Direction::Lowers)
        );
        assert!(!of("explain=0").unwrap().request(4).asks());
        for query in [
            "explain",
            "explain=",
            "explain=-1",
            "explain=+1",
            "explain=1001",
            "explain=1.5",
            "explain=all",
        ] {
            assert_eq!(of(query), Err(ReasonsRequestError::Count), "{query}");
        }
        assert_eq!(of("target=4").unwrap().target, Some(4));
        for query in ["target", "target=0", "target=6", "target=hot"] {
            assert_eq!(of(query), Err(ReasonsRequestError::Target), "{query}");
        }
        assert_eq!(of("explain=4&direction=up"), Err(ReasonsRequestError::Direction));
        assert_eq!(of("explian=4"), Err(ReasonsRequestError::Unknown));
    }

    #[test]
    fn what_is_not_said_is_as_configured_or_as_the_query_has_it() {
        let query = ReasonsWish::of_query("explain=4&direction=lowers").unwrap();
        let silent = ReasonsWish::default();
        assert_eq!(silent.request(0), ReasonsRequest::default());
        assert!(silent.request(2).count == 2 && !silent.request(2).is_demanded);
        let body = ReasonsWish {
            count: Some(9),
            ..ReasonsWish::default()
        };
        let both = body.over(query).request(2);
        assert_eq!(
            (both.count, both.direction, both.is_demanded),
            (9, Some(Direction::Lowers), true)
        );
        assert_eq!(silent.over(query).request(2).count, 4);
        for (number, is_count) in [
            (0.0, true),
            (-0.0, true),
            (1000.0, true),
            (1001.0, false),
            (0.5, false),
            (-1.0, false),
            (f64::NAN, false),
        ] {
            assert_eq!(count(number).is_some(), is_count, "{number}");
        }
    }
}
