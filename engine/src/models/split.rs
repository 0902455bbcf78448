//! Which leads a challenger gets: a function of the split's salt and the lead's id alone, the same on every shard, in
//! every process and for ever (`docs/models-in-motion.md` has test vectors and Python that reproduces them).
//!
//! A lead's place is a number from 0 to 1: XXH64 with seed 0 of the salt, a zero byte and the lead's id, its upper 53
//! bits over 2^53. A challenger has intervals of places; the champion has the rest. A share that grows keeps its
//! intervals and takes free places, the lowest first; one that shrinks gives up its highest. So nobody who was in moves
//! while shares grow, however many challengers there are.

use std::sync::Arc;

use xxhash_rust::xxh64::Xxh64;

use super::registry::ModelVersion;

/// Places are divided into so many equal parts: a share is a whole number of thousandths of a percent.
pub const UNITS: u32 = 100_000;

/// Challengers of a split at most: as many as a person can compare, and few to look through for each lead.
const ARMS_MAX: usize = 8;

/// A lead's place in a split with this salt: at least 0 and below 1.
#[must_use]
pub fn place(salt: &str, lead_id: &str) -> f64 {
    let mut hash = Xxh64::new(0);
    hash.update(salt.as_bytes());
    hash.update(&[0]);
    hash.update(lead_id.as_bytes());
    fraction(hash.digest())
}

/// The upper 53 bits over 2^53, which a double holds exactly.
#[expect(clippy::cast_precision_loss, reason = "it has 53 bits")]
fn fraction(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1u64 << 53) as f64
}

/// The places of each challenger, by its alias, in units of 1 / [`UNITS`].
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct SplitShares(Vec<(String, Vec<(u32, u32)>)>);

impl SplitShares {
    /// Whether the champion has every lead.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each alias with its intervals, the lower end included.
    pub fn arms(&self) -> impl Iterator<Item = (&str, &[(u32, u32)])> {
        self.0.iter().map(|(alias, parts)| (alias.as_str(), parts.as_slice()))
    }

    /// Each alias with its share in percent.
    pub fn percents(&self) -> impl Iterator<Item = (&str, f64)> {
        self.arms()
            .map(|(alias, parts)| (alias, f64::from(length(parts)) * 100.0 / f64::from(UNITS)))
    }

    /// Whether an alias has a share.
    #[must_use]
    pub fn names(&self, alias: &str) -> bool {
        self.0.iter().any(|(name, _)| name == alias)
    }

    /// The same with other shares, in percent. A lead that is in stays in, unless a share shrinks.
    ///
    /// # Errors
    /// What is wrong with the shares, and what is accepted.
    pub fn changed(&self, wanted: &[(String, f64)]) -> Result<Self, String> {
        if wanted.len() > ARMS_MAX {
            return Err(format!("a split has at most {ARMS_MAX} challengers"));
        }
        let mut shares = Vec::new();
        for (alias, percent) in wanted {
            shares.push((alias, units(alias, *percent)?));
        }
        let sum: u32 = shares.iter().map(|&(_, units)| units).sum();
        if sum > UNITS {
            return Err("the shares of all challengers come to more than 100 percent".into());
        }
        shares.retain(|&(_, units)| units > 0);
        shares.sort();
        let mut arms: Vec<(String, Vec<(u32, u32)>)> = Vec::new();
        for &(alias, units) in &shares {
            let had = self.arms().find(|(name, _)| name == alias);
            let mut parts = had.map_or_else(Vec::new, |(_, parts)| parts.to_vec());
            shrink(&mut parts, units);
            arms.push((alias.clone(), parts));
        }
        for (number, &(_, units)) in shares.iter().enumerate() {
            let mut missing = units - length(&arms[number].1);
            for (from, to) in free(&arms) {
                let taken = missing.min(to - from);
                if taken > 0 {
                    arms[number].1.push((from, from + taken));
                    missing -= taken;
                }
            }
            join(&mut arms[number].1);
        }
        Ok(Self(arms))
    }
}

/// A share in percent as units.
fn units(alias: &str, percent: f64) -> Result<u32, String> {
    let thousandths = percent * f64::from(UNITS) / 100.0;
    let rounded = thousandths.round();
    if !(0.0..=f64::from(UNITS)).contains(&rounded) || (thousandths - rounded).abs() > 1e-6 {
        return Err(format!(
            "the share of {alias} is {percent}; accepted: a number from 0 to 100, in steps of 0.001"
        ));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is whole and in range"
    )]
    Ok(rounded as u32)
}

fn length(parts: &[(u32, u32)]) -> u32 {
    parts.iter().map(|(from, to)| to - from).sum()
}

/// Gives up the highest places, until there are no more than so many.
fn shrink(parts: &mut Vec<(u32, u32)>, units: u32) {
    parts.sort_unstable();
    let mut excess = length(parts).saturating_sub(units);
    while excess > 0 {
        let Some(last) = parts.last_mut() else { return };
        let cut = excess.min(last.1 - last.0);
        last.1 -= cut;
        excess -= cut;
        if last.0 == last.1 {
            parts.pop();
        }
    }
}

/// Places that no challenger has, the lowest first.
fn free(arms: &[(String, Vec<(u32, u32)>)]) -> Vec<(u32, u32)> {
    let mut taken: Vec<(u32, u32)> = arms.iter().flat_map(|(_, parts)| parts.iter().copied()).collect();
    taken.sort_unstable();
    let mut free = Vec::new();
    let mut at = 0;
    for (from, to) in taken {
        if from > at {
            free.push((at, from));
        }
        at = at.max(to);
    }
    if at < UNITS {
        free.push((at, UNITS));
    }
    free
}

/// Makes one of parts that touch.
fn join(parts: &mut Vec<(u32, u32)>) {
    parts.sort_unstable();
    parts.dedup_by(|next, last| {
        let touch = last.1 == next.0;
        if touch {
            last.1 = next.1;
        }
        touch
    });
}

/// A split as shards use it.
#[derive(Debug)]
pub struct Split {
    /// Tells splits of one model apart: one that is set anew is counted anew.
    pub number: u64,
    salted: Salted,
    arms: Vec<Arm>,
}

/// A hash that has read the salt and the zero byte.
#[derive(Clone)]
struct Salted(Xxh64);

impl std::fmt::Debug for Salted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salted")
    }
}

/// A challenger and its places.
#[derive(Debug)]
pub struct Arm {
    /// Its alias.
    pub alias: String,
    /// The part of all leads that it gets, from 0 to 1.
    pub share: f64,
    /// Who scores them.
    pub version: Arc<ModelVersion>,
    parts: Vec<(f64, f64)>,
}

impl Split {
    /// A split with this salt. `resolve` has the version of an alias; an alias without one has no leads.
    #[must_use]
    pub fn new(
        number: u64,
        salt: &str,
        shares: &SplitShares,
        resolve: impl Fn(&str) -> Option<Arc<ModelVersion>>,
    ) -> Option<Self> {
        let mut hash = Xxh64::new(0);
        hash.update(salt.as_bytes());
        hash.update(&[0]);
        let at = |unit: u32| f64::from(unit) / f64::from(UNITS);
        let arms: Vec<Arm> = shares
            .arms()
            .filter_map(|(alias, parts)| {
                Some(Arm {
                    alias: alias.to_owned(),
                    share: at(length(parts)),
                    version: resolve(alias)?,
                    parts: parts.iter().map(|&(from, to)| (at(from), at(to))).collect(),
                })
            })
            .collect();
        (!arms.is_empty()).then_some(Self {
            number,
            salted: Salted(hash),
            arms,
        })
    }

    /// The challenger that a lead belongs to; none when it is the champion's.
    #[must_use]
    pub fn arm(&self, lead_id: &str) -> Option<&Arm> {
        let mut hash = self.salted.0.clone();
        hash.update(lead_id.as_bytes());
        let place = fraction(hash.digest());
        let has = |arm: &&Arm| arm.parts.iter().any(|&(from, to)| from <= place && place < to);
        self.arms.iter().find(has)
    }

    /// All challengers.
    #[must_use]
    pub fn arms(&self) -> &[Arm] {
        &self.arms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(shares: &[(&str, f64)]) -> Vec<(String, f64)> {
        shares
            .iter()
            .map(|&(alias, percent)| (alias.to_owned(), percent))
            .collect()
    }

    fn shares(steps: &[&[(&str, f64)]]) -> SplitShares {
        let all = SplitShares::default();
        steps
            .iter()
            .fold(all, |shares, step| shares.changed(&wanted(step)).expect("shares"))
    }

    fn arm_of(shares: &SplitShares, place: f64) -> Option<&str> {
        let at = |unit: u32| f64::from(unit) / f64::from(UNITS);
        let has = |parts: &[(u32, u32)]| parts.iter().any(|&(from, to)| at(from) <= place && place < at(to));
        shares.arms().find(|(_, parts)| has(parts)).map(|(alias, _)| alias)
    }

    #[test]
    fn a_share_that_grows_keeps_who_was_in_beside_others_that_grow() {
        let steps: [&[(&str, f64)]; 6] = [
            &[("a", 10.0)],
            &[("a", 10.0), ("b", 5.0)],
            &[("a", 20.0), ("b", 5.0)],
            &[("a", 20.0), ("b", 30.5), ("c", 0.001)],
            &[("a", 33.3), ("b", 30.5), ("c", 1.0)],
            &[("a", 60.0), ("b", 38.0), ("c", 2.0)],
        ];
        for end in 1..steps.len() {
            let (before, after) = (shares(&steps[..end]), shares(&steps[..=end]));
            for unit in 0..UNITS {
                let place = f64::from(unit) / f64::from(UNITS);
                let was = arm_of(&before, place);
                assert!(
                    was.is_none() || was == arm_of(&after, place),
                    "step {end}, place {place}"
                );
            }
            let told: Vec<_> = after.percents().collect();
            assert_eq!(told, steps[end].to_vec());
        }
    }

    #[test]
    fn a_share_that_shrinks_gives_up_its_highest_places_and_none_ends_it() {
        let less = shares(&[&[("a", 20.0)], &[("a", 5.0)]]);
        assert_eq!(less, shares(&[&[("a", 5.0)]]));
        assert!(shares(&[&[("a", 20.0)], &[]]).is_empty() && shares(&[&[("a", 0.0)]]).is_empty());
    }

    #[test]
    fn shares_that_cannot_be_are_refused() {
        for wrong in [
            &[("a", 100.001)][..],
            &[("a", -1.0)],
            &[("a", f64::NAN)],
            &[("a", 0.0001)],
            &[("a", 60.0), ("b", 41.0)],
        ] {
            assert!(SplitShares::default().changed(&wanted(wrong)).is_err(), "{wrong:?}");
        }
        let many: Vec<_> = (0..9).map(|number| (format!("a{number}"), 1.0)).collect();
        assert!(SplitShares::default().changed(&many).is_err());
        assert!(
            SplitShares::default()
                .changed(&wanted(&[("a", 60.0), ("b", 40.0)]))
                .is_ok()
        );
    }

    #[test]
    fn places_are_those_of_the_documentation() {
        let text = include_str!("../../../docs/models-in-motion.md");
        let cells = |line: &str| -> Option<[String; 4]> {
            let cells = line.strip_prefix("| `")?.strip_suffix(" |")?.split(" | ");
            let cells: Vec<String> = cells.map(|cell| cell.trim_matches('`').to_owned()).collect();
            let cells: [String; 4] = cells.try_into().ok()?;
            u64::from_str_radix(&cells[2], 16)
                .ok()
                .filter(|_| cells[2].len() == 16)
                .map(|_| cells)
        };
        let rows: Vec<_> = text.lines().filter_map(cells).collect();
        assert_eq!(rows.len(), 5);
        for [salt, lead_id, hash, wanted] in &rows {
            let hash = u64::from_str_radix(hash, 16).expect("it was read before");
            assert_eq!(place(salt, lead_id).to_bits(), fraction(hash).to_bits(), "{lead_id}");
            assert_eq!(place(salt, lead_id).to_string(), *wanted);
        }
    }

    #[test]
    fn places_are_spread_evenly_and_two_salts_know_nothing_of_each_other() {
        let mut counts = [[0u32; 2]; 2];
        for lead in 0..20_000 {
            let id = format!("lead-{lead}");
            let low = |salt| usize::from(place(salt, &id) < 0.5);
            counts[low("leads")][low("offers")] += 1;
        }
        // Each has a quarter; 300 are five standard deviations.
        assert!(
            counts.as_flattened().iter().all(|count| count.abs_diff(5_000) < 300),
            "{counts:?}"
        );
    }
}
