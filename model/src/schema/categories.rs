//! The names of a feature's categories, whose codes are their places in the list the training library saved.

/// What becomes of a name that training never saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unseen {
    /// The row is refused. XGBoost says "Found a category not in the training set" and gives no prediction. (Its
    /// releases 3.1 and 3.2 do so only for names that sort behind every known one, and take others for the next name in
    /// order; 3.3 mended that, and a neighbour's score is no answer.)
    Refused,
    /// The value is missing. LightGBM sets the training categories on the column, which turns other names into NaN.
    Missing,
}

/// What a category was called in training.
#[derive(Debug, Clone, PartialEq)]
pub enum CategoryName {
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Any other number, whole ones included.
    Float(f64),
    /// A boolean.
    Boolean(bool),
}

impl CategoryName {
    /// As text. Booleans are `True` and `False`, as pandas writes them to a file of rows.
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Integer(integer) => integer.to_string(),
            Self::Float(float) => format!("{float:?}"),
            Self::Boolean(true) => "True".to_owned(),
            Self::Boolean(false) => "False".to_owned(),
        }
    }

    /// The number that it equals. Text is a number if it is spelled as numbers are: `1.0` is one, `01` is a text.
    fn number(&self) -> Option<Number> {
        match self {
            Self::Text(text) => Number::of_text(text).filter(|_| is_spelled_as_number(text)),
            Self::Integer(integer) => Some(Number::Whole((*integer).into())),
            Self::Float(float) => Some(Number::of(*float)),
            Self::Boolean(_) => None,
        }
    }

    /// The boolean that it equals: text in any case of letters.
    fn boolean(&self) -> Option<bool> {
        match self {
            Self::Text(text) => boolean_word(text.as_bytes()),
            Self::Boolean(boolean) => Some(*boolean),
            Self::Integer(_) | Self::Float(_) => None,
        }
    }
}

/// Names by code, and codes by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Categories {
    names: Vec<String>,
    /// Codes in the order of their names.
    sorted: Vec<u32>,
    /// Codes of the names that are numbers, in the order of these. None where several names are the same number.
    numbers: Vec<(Number, Option<u32>)>,
    /// Whether numbers were numbers in training, so that their text may be spelled in other ways.
    is_numeric: bool,
    /// Codes of the names that are false and true. None where there is none, or several are.
    booleans: [Option<u32>; 2],
    /// Whether a number that is no name may be a code: no name is a number or a boolean.
    takes_codes: bool,
    unseen: Unseen,
    /// Whether other names are [`UNKNOWN_CATEGORY`], whatever the library does with them.
    are_unseen_counted: bool,
}

/// What a name that is none of a feature's categories becomes where values are counted, not scored. No code is infinite.
pub const UNKNOWN_CATEGORY: f64 = f64::INFINITY;

impl Categories {
    /// Names that were text in training, in the order of their codes. None when two are equal.
    #[must_use]
    pub fn new(names: Vec<String>, unseen: Unseen) -> Option<Self> {
        Self::typed(names.into_iter().map(CategoryName::Text).collect(), unseen)
    }

    /// Names of any type, in the order of their codes. None when two are equal, or the same as text.
    #[must_use]
    pub fn typed(typed: Vec<CategoryName>, unseen: Unseen) -> Option<Self> {
        let names: Vec<String> = typed.iter().map(CategoryName::text).collect();
        let mut sorted: Vec<u32> = (0..u32::try_from(names.len()).ok()?).collect();
        sorted.sort_unstable_by_key(|&code| names[code as usize].as_str());
        let is_twice = |pair: &[u32]| names[pair[0] as usize] == names[pair[1] as usize];
        if sorted.windows(2).any(is_twice) {
            return None;
        }
        let mut numbers: Vec<(Number, Option<u32>)> = (0..)
            .zip(&typed)
            .filter_map(|(code, name)| Some((name.number()?, Some(code))))
            .collect();
        numbers.sort_unstable();
        for index in 1..numbers.len() {
            if numbers[index - 1].0 == numbers[index].0 {
                numbers[index - 1].1 = None;
                numbers[index].1 = None;
            }
        }
        let boolean = |which: bool| {
            let mut codes = (0..).zip(&typed).filter(|(_, name)| name.boolean() == Some(which));
            match (codes.next(), codes.next()) {
                (Some((code, _)), None) => Some(code),
                _ => None,
            }
        };
        let reads_as_value = |name: &CategoryName| {
            name.boolean().is_some() || name.number().is_some() || Number::of_text(&name.text()).is_some()
        };
        let is_typed_number = |name: &CategoryName| matches!(name, CategoryName::Integer(_) | CategoryName::Float(_));
        Some(Self {
            sorted,
            numbers,
            is_numeric: typed.iter().any(is_typed_number),
            booleans: [boolean(false), boolean(true)],
            takes_codes: !typed.iter().any(reads_as_value),
            names,
            unseen,
            are_unseen_counted: false,
        })
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

    /// Whether a number is a code: where no name reads as a number or a boolean.
    #[must_use]
    pub fn takes_codes(&self) -> bool {
        self.takes_codes
    }

    /// Whether a boolean is the name of a category.
    #[must_use]
    pub fn has_booleans(&self) -> bool {
        self.booleans.iter().any(Option::is_some)
    }

    /// The names that are numbers, each once.
    pub fn numbers(&self) -> impl Iterator<Item = f64> + '_ {
        self.numbers
            .iter()
            .filter(|(_, code)| code.is_some())
            .map(|(number, _)| number.value())
    }

    /// See [`super::Schema::category_code`]. A name is compared byte for byte; then as a boolean or a number, where
    /// training had these.
    #[must_use]
    pub fn code(&self, name: &str) -> Option<f64> {
        self.code_of_text(name, self.is_numeric)
    }

    /// The code of a text that may also be a number.
    pub(super) fn code_of_untyped(&self, name: &str) -> Option<f64> {
        if self.takes_codes
            && self.place(name).is_none()
            && let Some(number) = Number::of_text(name)
        {
            return Some(number.value());
        }
        self.code_of_text(name, true)
    }

    fn code_of_text(&self, name: &str, may_be_number: bool) -> Option<f64> {
        if let Some(code) = self.place(name) {
            return Some(f64::from(code));
        }
        if let Some(boolean) = boolean_word(name.as_bytes()) {
            return self.code_of_boolean(boolean);
        }
        match Number::of_text(name).filter(|_| may_be_number) {
            Some(number) => self.code_of_number(number),
            None => self.unknown(),
        }
    }

    fn place(&self, name: &str) -> Option<u32> {
        let by_name = |&code: &u32| self.names[code as usize].as_str().cmp(name);
        Some(self.sorted[self.sorted.binary_search_by(by_name).ok()?])
    }

    /// The code of a number: that of the name which equals it, or itself where no name is a number.
    pub(super) fn code_of_number(&self, number: Number) -> Option<f64> {
        if self.takes_codes {
            return Some(number.value());
        }
        if let Ok(place) = self.numbers.binary_search_by(|(name, _)| name.cmp(&number)) {
            // Which of several is meant cannot be known, and the library cannot be asked.
            return self.numbers[place].1.map(f64::from);
        }
        // False is 0 and true is 1, and tables that know no booleans hold these.
        if self.has_booleans() && number == Number::Whole(0) {
            return self.code_of_boolean(false);
        }
        if self.has_booleans() && number == Number::Whole(1) {
            return self.code_of_boolean(true);
        }
        self.unknown()
    }

    /// The code of a boolean: that of the name which is one, or of the number that it is.
    pub(super) fn code_of_boolean(&self, boolean: bool) -> Option<f64> {
        if let Some(code) = self.booleans[usize::from(boolean)] {
            return Some(f64::from(code));
        }
        let number = Number::Whole(i128::from(boolean));
        match self.numbers.binary_search_by(|(name, _)| name.cmp(&number)) {
            Ok(place) => self.numbers[place].1.map(f64::from),
            Err(_) => self.unknown(),
        }
    }

    /// From now on other names are [`UNKNOWN_CATEGORY`].
    pub(super) fn count_unseen(&mut self) {
        self.are_unseen_counted = true;
    }

    fn unknown(&self) -> Option<f64> {
        match self.unseen {
            _ if self.are_unseen_counted => Some(UNKNOWN_CATEGORY),
            Unseen::Missing => Some(f64::NAN),
            Unseen::Refused => None,
        }
    }
}

/// A number whose equality is that of values: 1 and 1.0 are one, and integers beyond 2^53 stay apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Number {
    /// A whole number that fits.
    Whole(i128),
    /// Another one, by its bits.
    Other(u64),
}

impl Number {
    #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^100")]
    pub(super) fn of(value: f64) -> Self {
        const FITS: f64 = 1.267_650_600_228_229_4e30;
        if value.abs() < FITS && value.trunc().total_cmp(&value).is_eq() {
            Self::Whole(value as i128)
        } else {
            Self::Other(value.to_bits())
        }
    }

    /// The number of a text, exactly where it is an integer; none of a text that is no number, or is NaN.
    fn of_text(text: &str) -> Option<Self> {
        let text = text.trim_ascii();
        if let Ok(whole) = text.parse::<i64>() {
            return Some(Self::Whole(whole.into()));
        }
        if let Ok(whole) = text.parse::<u64>() {
            return Some(Self::Whole(whole.into()));
        }
        let value: f64 = text.parse().ok()?;
        (!value.is_nan()).then(|| Self::of(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "an integer becomes the nearest double")]
    pub(super) fn value(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Other(bits) => f64::from_bits(bits),
        }
    }
}

/// Whether a text is spelled as JSON spells numbers: no zeros before others, no plus, digits on both sides of a point.
fn is_spelled_as_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let whole = digits.split(['.', 'e', 'E']).next().unwrap_or_default();
    let is_whole = !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit());
    is_whole && (whole.len() == 1 || !whole.starts_with('0')) && !digits.ends_with('.') && !digits.contains(".e")
}

/// `true` and `false` in any case of letters.
pub(super) fn boolean_word(text: &[u8]) -> Option<bool> {
    match text.trim_ascii() {
        word if word.eq_ignore_ascii_case(b"true") => Some(true),
        word if word.eq_ignore_ascii_case(b"false") => Some(false),
        _ => None,
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

    #[test]
    fn numbers_and_booleans_have_the_name_that_equals_them() {
        use CategoryName::{Boolean, Float, Integer};
        let floats = Categories::typed(vec![Float(1.0), Float(2.5), Float(-0.0)], Unseen::Refused).unwrap();
        for (text, code) in [
            ("1", 0.0),
            ("1.0", 0.0),
            ("1e0", 0.0),
            ("2.50", 1.0),
            ("0", 2.0),
            ("0.0", 2.0),
        ] {
            assert_eq!(floats.code(text), Some(code), "{text}");
        }
        assert_eq!(floats.code_of_number(Number::of(3.0)), None);
        let large = (1i64 << 53) + 1;
        let integers = Categories::typed(vec![Integer(large), Integer(large - 1)], Unseen::Refused).unwrap();
        assert_eq!(integers.code_of_number(Number::Whole(large.into())), Some(0.0));
        assert_eq!(integers.code_of_number(Number::of(9_007_199_254_740_992.0)), Some(1.0));
        let booleans = Categories::typed(vec![Boolean(false), Boolean(true)], Unseen::Refused).unwrap();
        for (text, code) in [("FALSE", 0.0), ("true", 1.0), ("True", 1.0)] {
            assert_eq!(booleans.code(text), Some(code), "{text}");
        }
        assert_eq!(booleans.code_of_number(Number::Whole(1)), Some(1.0));
        assert_eq!(booleans.code_of_number(Number::Whole(2)), None);
    }

    #[test]
    fn text_that_looks_like_a_number_is_compared_as_it_stands_first() {
        let texts = |names: &[&str]| {
            Categories::new(names.iter().map(|&name| name.to_owned()).collect(), Unseen::Refused).unwrap()
        };
        let both = texts(&["1.0", "1", "01"]);
        assert_eq!(
            [both.code("1"), both.code("1.0"), both.code("01")],
            [Some(1.0), Some(0.0), Some(2.0)]
        );
        assert_eq!(both.code_of_number(Number::Whole(1)), None, "which one is meant?");
        let one = texts(&["7", "b"]);
        assert_eq!(one.code("7.0"), None, "text of a typed source is no number");
        assert_eq!(one.code_of_untyped("7.0"), Some(0.0));
        assert_eq!(one.code_of_untyped("1"), None, "no code beside names that are numbers");
        let padded = texts(&["01", "02"]);
        assert_eq!(padded.code_of_number(Number::Whole(1)), None);
        let words = texts(&["a", "b"]);
        assert_eq!(words.code_of_untyped("1"), Some(1.0));
        assert_eq!(words.code_of_boolean(true), None);
    }
}
