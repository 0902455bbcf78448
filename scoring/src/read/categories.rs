//! The categories that a feature accepts, in words. Called for faults only: for a good row no names are listed.

use std::fmt;

use quintile_model::Categories;

use super::faults::Echo;

/// Names that are listed; the rest is counted.
const NAMES_TOLD: usize = 5;

/// How many categories there are and the first of them: `9 categories: "a", "b", "c", "d", "e" and 4 more`.
///
/// The names are the model's, never a client's. Each is cut as a client's key would be.
#[derive(Debug)]
pub struct Accepted<'a>(pub(crate) &'a Categories);

impl fmt::Display for Accepted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.names();
        match names.len() {
            0 => return f.write_str("no categories"),
            1 => f.write_str("1 category: ")?,
            count => write!(f, "{count} categories: ")?,
        }
        for (index, name) in names.iter().take(NAMES_TOLD).enumerate() {
            let (echo, comma) = (Echo::new(name), if index > 0 { ", " } else { "" });
            let mark = if echo.cut_from().is_some() { "…" } else { "" };
            write!(f, "{comma}{:?}{mark}", echo.text())?;
        }
        match names.len().saturating_sub(NAMES_TOLD) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use quintile_model::Unseen;

    use super::*;

    #[test]
    fn five_names_are_told_and_the_rest_is_counted() {
        let told = |names: &[&str]| {
            let names = names.iter().map(|&name| name.to_owned()).collect();
            Accepted(&Categories::new(names, Unseen::Refused).unwrap()).to_string()
        };
        assert_eq!(told(&[]), "no categories");
        assert_eq!(told(&["a\n"]), r#"1 category: "a\n""#);
        assert_eq!(
            told(&["a", "b", "c", "d", "e"]),
            r#"5 categories: "a", "b", "c", "d", "e""#
        );
        assert_eq!(
            told(&["a", "b", "c", "d", "e", "f", "g"]),
            r#"7 categories: "a", "b", "c", "d", "e" and 2 more"#
        );
        let long = "é".repeat(100);
        assert_eq!(told(&[&long]), format!("1 category: \"{}\"…", "é".repeat(32)));
    }
}
