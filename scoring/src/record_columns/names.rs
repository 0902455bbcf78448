//! The names of columns: each occurs once, without regard to case, because Spark, Athena and Snowflake treat `source`
//! and `Source` as one column and refuse a file that has both.

use std::collections::{HashMap, HashSet};

/// What a feature gets in front whose name is taken.
const FEATURE_PREFIX: &str = "feature.";

/// The names that features have as columns, in their order, beside `reserved` names.
///
/// A feature keeps its name unless a reserved one, or an earlier feature, has the same without regard to case. It is
/// `feature.NAME` then, and where that is taken too, `feature.NAME.2` or the next number that is free. Which names a
/// model's columns have depends on the names of its features and on their order alone.
pub(super) fn column_names<'a>(reserved: &[&str], features: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    let mut taken: HashSet<String> = reserved.iter().map(|name| folded(name)).collect();
    // Names that stay come first, so that none of them has to make room for one that moves.
    let stays: Vec<bool> = features.clone().map(|name| taken.insert(folded(name))).collect();
    let mut numbers: HashMap<String, u32> = HashMap::new();
    let column = |(name, stays): (&str, bool)| {
        if stays {
            return name.to_owned();
        }
        let moved = format!("{FEATURE_PREFIX}{name}");
        if taken.insert(folded(&moved)) {
            return moved;
        }
        // Where many are alike, each goes on counting where the last one stopped.
        let number = numbers.entry(folded(&moved)).or_insert(1);
        loop {
            *number += 1;
            let numbered = format!("{moved}.{number}");
            if taken.insert(folded(&numbered)) {
                return numbered;
            }
        }
    };
    features.zip(stays).map(column).collect()
}

/// The common form of two names that some reader may treat as one. Character by character, in both directions: `ß` and
/// `ss`, `ſ` and `s` are alike too, which costs a prefix and never a column.
fn folded(name: &str) -> String {
    name.chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESERVED: [&str; 3] = ["time", "score", "source"];

    fn columns(features: &[&str]) -> Vec<String> {
        column_names(&RESERVED, features.iter().copied())
    }

    #[test]
    fn a_feature_keeps_its_name_where_it_can() {
        assert_eq!(columns(&["f1", "Times", "feature.x"]), ["f1", "Times", "feature.x"]);
        assert_eq!(columns(&["time", "f1"]), ["feature.time", "f1"]);
        assert_eq!(columns(&["a", "A", "b"]), ["a", "feature.A", "b"]);
    }

    #[test]
    fn case_tells_no_two_columns_apart() {
        assert_eq!(
            columns(&["source", "Source", "SOURCE", "Score"]),
            [
                "feature.source",
                "feature.Source.2",
                "feature.SOURCE.3",
                "feature.Score"
            ]
        );
        assert_eq!(
            columns(&["Größe", "GRÖSSE", "größe"]),
            ["Größe", "feature.GRÖSSE", "feature.größe.2"]
        );
    }

    #[test]
    fn a_name_that_stays_is_never_taken_away() {
        assert_eq!(
            columns(&["time", "feature.time", "Feature.Time.2", "TIME"]),
            ["feature.time.3", "feature.time", "Feature.Time.2", "feature.TIME.4"]
        );
    }

    #[test]
    fn any_names_become_different_ones() {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = |end: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % end).unwrap()
        };
        let parts = [
            "a", "A", "score", "Score", "feature.", "FEATURE.", ".2", ".3", "ß", "ss", "Σ", "ς",
        ];
        for _ in 0..2_000 {
            let mut names: Vec<String> = (0..random(30))
                .map(|_| (0..=random(3)).map(|_| parts[random(12)]).collect())
                .collect();
            let mut seen = HashSet::new();
            names.retain(|name| seen.insert(name.clone()));
            let columns = column_names(&RESERVED, names.iter().map(String::as_str));
            let mut all: HashSet<String> = RESERVED.iter().map(|&name| name.to_owned()).collect();
            for column in &columns {
                assert!(all.insert(column.to_lowercase()), "{names:?} became {columns:?}");
            }
            assert_eq!(columns.len(), names.len());
        }
    }

    #[test]
    fn as_many_features_as_a_model_may_have_that_differ_in_case_alone() {
        let names: Vec<String> = (0..1_u32 << 16)
            .map(|number| {
                let letter = |bit: u32| if number >> bit & 1 == 1 { 'A' } else { 'a' };
                (0..16).map(letter).collect()
            })
            .collect();
        let columns = columns(&names.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(columns[0], names[0]);
        assert_eq!(columns[65_535], format!("feature.{}.65535", names[65_535]));
    }
}
