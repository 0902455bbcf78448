//! The rules of a manifest for a feature's values. A model file has no such rules: trees compare any number.

/// The demands on the values of one feature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// The least value; minus infinity where there is none.
    pub least: f64,
    /// The greatest value; infinity where there is none.
    pub greatest: f64,
    /// What form the numbers have.
    pub form: Form,
    /// Whether it may not be missing.
    pub required: bool,
}

/// The form of a feature's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Any.
    Any,
    /// Whole ones.
    Whole,
    /// 0 or 1.
    Binary,
    /// Codes of categories, and their number.
    Code {
        /// The first code that is none.
        end: u32,
    },
}

/// How a value breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// Missing, and required.
    Required,
    /// Below or above the range.
    Range,
    /// Not of the form.
    Form,
}

impl Rule {
    /// Demands nothing.
    pub const NONE: Self = Self {
        least: f64::NEG_INFINITY,
        greatest: f64::INFINITY,
        form: Form::Any,
        required: false,
    };

    /// Whether a value, NaN for missing, is what is demanded.
    ///
    /// # Errors
    /// How it is not.
    #[inline]
    pub fn check(&self, value: f64) -> Result<(), Violation> {
        if value.is_nan() {
            return if self.required {
                Err(Violation::Required)
            } else {
                Ok(())
            };
        }
        let is_right = match self.form {
            Form::Any => true,
            // An infinity has no fraction either, but is no whole number.
            Form::Whole => value.trunc().to_bits() == value.to_bits() && value.is_finite(),
            Form::Binary => matches!(value, 0.0 | 1.0),
            Form::Code { end } => value >= 0.0 && value < f64::from(end) && value.trunc() >= value,
        };
        if !is_right {
            return Err(Violation::Form);
        }
        if value < self.least || value > self.greatest {
            return Err(Violation::Range);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_include_their_ends_and_missing_is_within_all_of_them() {
        let rule = Rule {
            least: -1.5,
            greatest: 2.0,
            ..Rule::NONE
        };
        for value in [-1.5, 2.0, 0.0, -0.0, f64::NAN] {
            assert_eq!(rule.check(value), Ok(()), "{value}");
        }
        for value in [
            -1.5f64.next_up() - 1.0,
            2.0f64.next_up(),
            f64::INFINITY,
            f64::NEG_INFINITY,
        ] {
            assert_eq!(rule.check(value), Err(Violation::Range), "{value}");
        }
        assert_eq!(Rule::NONE.check(f64::INFINITY), Ok(()));
    }

    #[test]
    fn forms_are_of_the_number_not_of_its_text() {
        let form = |form, value| Rule { form, ..Rule::NONE }.check(value).is_ok();
        for value in [0.0, -0.0, 3.0, -7.0, 1e300] {
            assert!(form(Form::Whole, value), "{value}");
        }
        for value in [0.5, 1e-300, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(
                !form(Form::Whole, value) && !form(Form::Code { end: 9 }, value),
                "{value}"
            );
        }
        for (value, right) in [
            (0.0, true),
            (-0.0, true),
            (1.0, true),
            (2.0, false),
            (-1.0, false),
            (0.5, false),
        ] {
            assert_eq!(form(Form::Binary, value), right, "{value}");
        }
        for (value, right) in [
            (0.0, true),
            (-0.0, true),
            (2.0, true),
            (3.0, false),
            (-1.0, false),
            (1.5, false),
        ] {
            assert_eq!(form(Form::Code { end: 3 }, value), right, "{value}");
        }
    }

    #[test]
    fn what_is_required_may_not_be_missing() {
        let rule = Rule {
            required: true,
            ..Rule::NONE
        };
        assert_eq!(
            (rule.check(f64::NAN), rule.check(0.0)),
            (Err(Violation::Required), Ok(()))
        );
    }
}
