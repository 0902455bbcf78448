//! Bodies for the demo model, all distinct, for benches of the path of a request.

use std::fmt;

/// How many digits values have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Digits {
    /// Six decimals, which real features have, give or take.
    Six,
    /// All that a double has, as a client's own arithmetic leaves them.
    All,
}

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Six => "6 decimals",
            Self::All => "17 digits",
        })
    }
}

/// So many leads of 50 features, the same for the same seed. One feature in ten is missing, half of those by not being
/// named.
pub(crate) fn bodies(count: usize, digits: Digits) -> Vec<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..count).map(|lead| body(lead, digits, &mut random)).collect()
}

fn body(lead: usize, digits: Digits, random: &mut fastrand::Rng) -> Vec<u8> {
    let mut features = Vec::new();
    for column in 1..=50 {
        let value = 12.0 * random.f64() - 6.0;
        match random.u32(..20) {
            0 => features.push(format!("\"f{column}\":null")),
            1 => {}
            _ if digits == Digits::Six => features.push(format!("\"f{column}\":{value:.6}")),
            _ => features.push(format!("\"f{column}\":{value}")),
        }
    }
    let features = features.join(",");
    format!("{{\"lead_id\":\"lead-{lead:012}\",\"features\":{{{features}}}}}").into_bytes()
}
