//! The names of a feature's categories, whose codes are their places in the list the training library saved.

/// What becomes of a name that training never saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unseen {
    /// The row is refused. XGBoost says "Found a category not in the training set" and gives no prediction. (Its releases
    /// 3.1 and 3.2 do so only for names that sort behind every known one, and take others for the next name in order; 3.3
    /// mended that, and a neighbour's score is no answer.)
    Refused,
    /// The value is missing. LightGBM sets the training categories on the column, which turns other names into NaN.
    Missing,
}

/// Names by code, and codes by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Categories {
    names: Vec<String>,
    /// Codes in the order of their names.
    sorted: Vec<u32>,
    unseen: Unseen,
}

impl Categories {
    /// Names in the order of their codes. None when two are equal.
    #[must_use]
    pub fn new(names: Vec<String>, unseen: Unseen) -> Option<Self> {
        let mut sorted: Vec<u32> = (0..u32::try_from(names.len()).ok()?).collect();
        sorted.sort_unstable_by_key(|&code| names[code as usize].as_str());
        let is_twice = |pair: &[u32]| names[pair[0] as usize] == names[pair[1] as usize];
        if sorted.windows(2).any(is_twice) {
            return None;
        }
        Some(Self { names, sorted, unseen })
    }

    /// The names by code.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What becomes of other names.
    #[must_use]
    pub fn unseen(&self) -> Unseen {
        self.unseen
    }

    /// See [`super::Schema::category_code`]. Names are compared byte for byte.
    #[must_use]
    pub fn code(&self, name: &str) -> Option<f64> {
        let by_name = |&code: &u32| self.names[code as usize].as_str().cmp(name);
        match (self.sorted.binary_search_by(by_name), self.unseen) {
            (Ok(place), _) => Some(f64::from(self.sorted[place])),
            (Err(_), Unseen::Missing) => Some(f64::NAN),
            (Err(_), Unseen::Refused) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn categories(unseen: Unseen) -> Categories {
        Categories::new(["b", "a", "ü", ""].map(str::to_owned).to_vec(), unseen).unwrap()
    }

    #[test]
    fn a_name_has_the_code_of_its_place() {
        let refused = categories(Unseen::Refused);
        for (name, code) in [("b", 0.0), ("a", 1.0), ("ü", 2.0), ("", 3.0)] {
            assert_eq!(refused.code(name), Some(code));
        }
        assert_eq!((refused.code("A"), refused.code("c")), (None, None));
        assert!(categories(Unseen::Missing).code("c").is_some_and(f64::is_nan));
    }

    #[test]
    fn equal_names_are_none() {
        assert!(Categories::new(vec!["a".into(), "b".into(), "a".into()], Unseen::Refused).is_none());
    }
}
