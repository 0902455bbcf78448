//! Numbers that count as missing, as a manifest states them: the `missing=0` or `-999` of training.
//!
//! A row keeps what was sent. The code that evaluates it, or checks it against a rule, calls this module.

/// The numbers that count as missing, column by column.
#[derive(Debug, Clone, PartialEq)]
pub struct MissingMarkers {
    /// Lists of bits, as [`Self::bits`] makes them.
    lists: Vec<Vec<u64>>,
    /// Which list counts for each column.
    list_of: Vec<u32>,
    /// Whether the model rounds values to `f32` before anything looks at them.
    narrows: bool,
}

impl MissingMarkers {
    /// The same numbers for every column.
    pub(crate) fn new(numbers: &[f64], columns: usize, narrows: bool) -> Self {
        let mut markers = Self {
            lists: Vec::new(),
            list_of: vec![0; columns],
            narrows,
        };
        markers.push(numbers);
        markers
    }

    /// Other numbers for one column: the common ones do not count there.
    pub(crate) fn set(&mut self, column: usize, numbers: &[f64]) {
        let list = self.lists.len();
        self.push(numbers);
        if let (Some(place), Ok(list)) = (self.list_of.get_mut(column), u32::try_from(list)) {
            *place = list;
        }
    }

    fn push(&mut self, numbers: &[f64]) {
        let bits = numbers.iter().map(|&number| self.bits(number)).collect();
        self.lists.push(bits);
    }

    /// Whether there are none at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.lists.iter().all(Vec::is_empty)
    }

    /// Whether a column's number counts as missing.
    #[must_use]
    pub fn is_missing(&self, column: usize, number: f64) -> bool {
        let list = self.list_of.get(column).and_then(|&list| self.lists.get(list as usize));
        list.is_some_and(|list| list.contains(&self.bits(number)))
    }

    /// The numbers that count for every column which has none of its own, as they are compared.
    #[must_use]
    pub fn common(&self) -> Vec<f64> {
        self.list(0)
    }

    /// The numbers that count for one column in the place of the common ones, if they differ from these.
    #[must_use]
    pub fn own(&self, column: usize) -> Option<Vec<f64>> {
        let place = *self.list_of.get(column)? as usize;
        (self.lists.get(place) != self.lists.first()).then(|| self.list(place))
    }

    fn list(&self, place: usize) -> Vec<f64> {
        let list = self.lists.get(place).into_iter().flatten();
        list.map(|&bits| f64::from_bits(bits)).collect()
    }

    /// Bits that are equal where the library finds numbers equal: after narrowing, and -0.0 is 0.
    #[expect(clippy::cast_possible_truncation, reason = "the model does the same")]
    fn bits(&self, number: f64) -> u64 {
        let number = if self.narrows { f64::from(number as f32) } else { number };
        (number + 0.0).to_bits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_as_the_library_does() {
        let mut markers = MissingMarkers::new(&[0.0, 0.1], 3, true);
        markers.set(1, &[-999.0]);
        markers.set(2, &[]);
        for (column, number, missing) in [
            (0, 0.0, true),
            (0, -0.0, true),
            (0, 1e-50, true),
            (0, f64::from(0.1f32), true),
            (0, -999.0, false),
            (1, -999.0, true),
            (1, 0.0, false),
            (2, 0.0, false),
            (9, 0.0, false),
        ] {
            assert_eq!(markers.is_missing(column, number), missing, "{column} {number}");
        }
        assert_eq!(markers.common(), [0.0, f64::from(0.1f32)]);
        assert_eq!(
            [0, 1, 2, 9].map(|column| markers.own(column)),
            [None, Some(vec![-999.0]), Some(Vec::new()), None]
        );
        assert!(!MissingMarkers::new(&[0.1], 1, false).is_missing(0, f64::from(0.1f32)));
        assert!(MissingMarkers::new(&[], 1, false).is_empty());
    }
}
