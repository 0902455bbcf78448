//! Names for the results' own columns that differ from those of the rows.

use std::collections::HashSet;

/// Gives each of our columns a name that occurs once: its own, or `quintile.NAME` where the rows have a column of that
/// name, or that with a number behind it.
pub(super) fn unique(ours: &[String], theirs: &HashSet<&str>) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(ours.len());
    let mut taken: HashSet<String> = HashSet::new();
    for own in ours {
        let spelled = |number: usize| match number {
            0 => own.clone(),
            1 => format!("quintile.{own}"),
            _ => format!("quintile.{own}_{number}"),
        };
        let is_free = |name: &String| !theirs.contains(name.as_str()) && !taken.contains(name);
        // One of these names is free, because the rows have fewer.
        let name = (0..=theirs.len() + ours.len() + 1).map(spelled).find(is_free);
        let name = name.unwrap_or_else(|| own.clone());
        taken.insert(name.clone());
        names.push(name);
    }
    names
}

/// The first name that occurs twice.
pub(super) fn twice<'n>(names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let mut seen = HashSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_gets_a_prefix_then_a_number() {
        let ours = ["score", "prediction_0", "error"].map(str::to_owned);
        let of = |theirs: &[&str]| unique(&ours, &theirs.iter().copied().collect()).join(" ");
        assert_eq!(of(&["a", "Score"]), "score prediction_0 error");
        assert_eq!(of(&["score", "x"]), "quintile.score prediction_0 error");
        assert_eq!(
            of(&["score", "quintile.score", "error", "quintile.error", "quintile.error_2"]),
            "quintile.score_2 prediction_0 quintile.error_3"
        );
    }

    #[test]
    fn the_second_of_two_equal_names_is_found() {
        assert_eq!(twice(["a", "b", "A"].into_iter()), None);
        assert_eq!(twice(["a", "b", "b", "a"].into_iter()), Some("b"));
    }
}
