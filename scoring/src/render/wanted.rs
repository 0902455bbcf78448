//! What a feature accepts, in words: from its kind and the rules of the manifest.

use std::fmt;

use arrayvec::ArrayVec;
use quintile_model::{Form, Schema};

/// The form of a feature's values: `a whole number or null`.
pub(super) struct Wanted<'s> {
    pub(super) schema: &'s Schema,
    pub(super) column: usize,
}

/// The range of a feature's values: `from 0 to 100 %`.
pub(super) struct Limits<'s> {
    pub(super) schema: &'s Schema,
    pub(super) column: usize,
}

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = self.schema.rule(self.column);
        let has_names = self.schema.categories(self.column).is_some();
        let mut ways: ArrayVec<&dyn fmt::Display, 6> = ArrayVec::new();
        match (rule.form, has_names) {
            (Form::Binary, _) => ways.extend([&"true" as &dyn fmt::Display, &"false", &"1", &"0"]),
            (Form::Code { .. }, false) => ways.push(&"the number of a category"),
            (_, true) => ways.extend([&"a category" as &dyn fmt::Display, &"its number"]),
            (Form::Any, false) => ways.push(&"a number"),
            (Form::Whole, false) => ways.push(&"a whole number"),
        }
        if !rule.required {
            ways.push(&"null");
        }
        for (index, way) in ways.iter().enumerate() {
            let separator = match (index, ways.len() - index) {
                (0, _) => "",
                (1, 1) => " or ",
                (_, 1) => ", or ",
                _ => ", ",
            };
            write!(f, "{separator}{way}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Limits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = self.schema.rule(self.column);
        match (rule.least.is_finite(), rule.greatest.is_finite()) {
            (true, false) => write!(f, "at least {}", rule.least)?,
            (false, true) => write!(f, "at most {}", rule.greatest)?,
            _ => write!(f, "from {} to {}", rule.least, rule.greatest)?,
        }
        match self.schema.unit(self.column) {
            Some(unit) => write!(f, " {unit}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use quintile_model::{Identity, Manifest, Model, Options};

    use super::*;

    /// The demo's schema, with what a manifest says of the first.
    fn schema(note: &str) -> Schema {
        let model = include_bytes!("../../../engine/demo/demo.ubj");
        let manifest = Manifest::parse(&format!("[features.f1]\n{note}")).expect("a manifest");
        let identity = Identity {
            name: "m".into(),
            version: "1".into(),
        };
        let ensemble = quintile_model::load(model).expect("a model");
        let model = Model::build(ensemble, manifest, identity, Options::default()).expect("they fit");
        model.schema().clone()
    }

    #[test]
    fn what_is_wanted_reads_well() {
        for (note, wanted) in [
            ("", "a number or null"),
            ("required = true", "a number"),
            ("type = \"integer\"", "a whole number or null"),
            ("type = \"boolean\"", "true, false, 1, 0, or null"),
            ("type = \"boolean\"\nrequired = true", "true, false, 1, or 0"),
            ("categories = [\"a\", \"b\"]", "a category, its number, or null"),
            ("categories = [\"a\"]\nrequired = true", "a category or its number"),
            ("type = \"category\"", "the number of a category or null"),
        ] {
            let schema = schema(note);
            let (schema, column) = (&schema, 0);
            assert_eq!(Wanted { schema, column }.to_string(), wanted, "{note}");
        }
    }

    #[test]
    fn limits_have_their_unit() {
        for (note, limits) in [
            ("range = [0, 100]\nunit = \"%\"", "from 0 to 100 %"),
            ("range = [-0.5, inf]", "at least -0.5"),
            ("range = [-inf, 1e3]", "at most 1000"),
        ] {
            let schema = schema(note);
            let (schema, column) = (&schema, 0);
            assert_eq!(Limits { schema, column }.to_string(), limits, "{note}");
        }
    }
}
