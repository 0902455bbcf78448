//! The known name that is nearest to an unknown one.

/// Units that are easily left out.
const UNITS: [&str; 4] = ["_ms", "_seconds", "_bytes", "_max"];

/// The candidate closest to `name`, if one is close: at most a third of its letters differ, or it lacks its unit.
/// Silent otherwise, because a far-fetched guess misleads more than it helps.
#[must_use]
pub fn nearest<'c>(
    name: &str,
    candidates: impl IntoIterator<Item = &'c str, IntoIter: Clone> + Clone,
) -> Option<&'c str> {
    let lacks_unit = |candidate: &&str| candidate.strip_prefix(name).is_some_and(|unit| UNITS.contains(&unit));
    if let Some(candidate) = candidates.clone().into_iter().find(lacks_unit) {
        return Some(candidate);
    }
    let letters = name.chars().count();
    // The longest name there is has some forty letters: a longer one is not a slip of the finger.
    if letters > 80 {
        return None;
    }
    let close = (letters / 3).clamp(1, 3);
    let distances = candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate));
    let (distance, candidate) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= close).then_some(candidate)
}

/// Letters to insert, drop, replace or swap with their neighbour, case aside.
fn distance(one: &str, other: &str) -> usize {
    let letters = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<Vec<_>>();
    let (one, other) = (letters(one), letters(other));
    let mut before_last = vec![0; other.len() + 1];
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, &letter) in one.iter().enumerate() {
        let mut current = vec![row + 1; other.len() + 1];
        for (column, &another) in other.iter().enumerate() {
            let replaced = last[column] + usize::from(letter != another);
            let mut least = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && letter == other[column - 1] && one[row - 1] == another {
                least = least.min(before_last[column - 1] + 1);
            }
            current[column + 1] = least;
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_slips_of_the_finger() {
        let cases = [
            ("", "", 0),
            ("a", "", 1),
            ("listen", "listne", 1),
            ("listen", "liste", 1),
            ("AB", "ab", 0),
            ("kitten", "sitting", 3),
        ];
        for (one, other, expected) in cases {
            assert_eq!(
                (distance(one, other), distance(other, one)),
                (expected, expected),
                "{one} {other}"
            );
        }
    }

    #[test]
    fn is_silent_when_nothing_is_close() {
        let names = ["listen", "runtime", "shards"];
        assert_eq!(nearest("shrads", names), Some("shards"));
        assert_eq!(nearest("runtimes", names), Some("runtime"));
        assert_eq!(nearest("timeout", names), None);
        assert_eq!(nearest("x", names), None);
        assert_eq!(nearest(&"listen".repeat(1000), names), None);
    }
}
