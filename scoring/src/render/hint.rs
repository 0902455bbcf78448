//! "Did you mean …": the feature whose name is nearest to an unknown one, if one is near enough.

use crate::loaded::LoadedModel;

/// Names one answer may be compared with. At some 20 ns each this is a tenth of a millisecond of the shard's time.
const NAMES_MAX: usize = 4096;

/// Finds near names until its budget is spent.
pub(super) struct Hints {
    names_left: usize,
}

impl Default for Hints {
    fn default() -> Self {
        Self { names_left: NAMES_MAX }
    }
}

impl Hints {
    /// The nearest of the model's names. A model with more names than are left gets no hint.
    pub(super) fn near<'a>(&mut self, loaded: &'a LoadedModel, name: &str) -> Option<&'a str> {
        let schema = loaded.model.schema();
        self.names_left = self.names_left.checked_sub(schema.len())?;
        let mut best: Option<(usize, &str)> = None;
        for candidate in schema.names() {
            let nearness = nearness(candidate, name);
            // The first of equals stays.
            if nearness > best.map_or(0, |(nearness, _)| nearness) {
                best = Some((nearness, candidate));
            }
        }
        best.map(|(_, candidate)| candidate)
    }
}

/// 0 for names that differ by more than one edit (a byte more, less or other, or two swapped), letter case and spaces for
/// underscores aside. Otherwise the more the longer their common start is.
fn nearness(a: &str, b: &str) -> usize {
    let is_same = |a: &u8, b: &u8| a.eq_ignore_ascii_case(b) || matches!((a, b), (b' ', b'_') | (b'_', b' '));
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b)) {
        return usize::MAX;
    }
    // One byte in common is too little to call a name near.
    if a.len().abs_diff(b.len()) > 1 || a.len().min(b.len()) < 2 {
        return 0;
    }
    let start = a.iter().zip(b).take_while(|(a, b)| is_same(a, b)).count();
    let (a, b) = (&a[start..], &b[start..]);
    let end = a
        .iter()
        .rev()
        .zip(b.iter().rev())
        .take_while(|(a, b)| is_same(a, b))
        .count();
    let (a, b) = (&a[..a.len() - end], &b[..b.len() - end]);
    let near = match (a, b) {
        ([a1, a2], [b1, b2]) => is_same(a1, b2) && is_same(a2, b1),
        _ => a.len().max(b.len()) <= 1,
    };
    if near { start + 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::nearness;

    #[test]
    fn one_edit_is_near() {
        for (a, b) in [
            ("visits_7d", "visits_d"),
            ("visits_7d", "visits_17d"),
            ("visits_7d", "visits_8d"),
            ("visits_7d", "visist_7d"),
            ("visits_7d", "Visits_7D"),
            ("f5", "f51"),
            ("Lead_Origin", "Lead Orign"),
            ("Lead_Origin", "lead origin"),
        ] {
            assert!(nearness(a, b) > 0 && nearness(b, a) > 0, "{a} {b}");
        }
        for (a, b) in [
            ("visits_7d", "visits"),
            ("visits_7d", "vizits_8d"),
            ("f", "g"),
            ("f1", ""),
            ("abcd", "badc"),
        ] {
            assert_eq!((nearness(a, b), nearness(b, a)), (0, 0), "{a} {b}");
        }
        assert!(nearness("f5", "f51") > nearness("f1", "f51"));
    }
}
