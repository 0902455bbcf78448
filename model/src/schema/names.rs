//! Where the names of features come from, and what became of them in the file.

use super::{FeatureKind, Schema, SchemaError};

impl Schema {
    /// A schema of columns without names: they are called `f0`, `f1` and so on until a manifest names them.
    ///
    /// # Errors
    /// Too many features.
    pub fn try_numbered(kinds: impl IntoIterator<Item = FeatureKind>) -> Result<Self, SchemaError> {
        let named = kinds.into_iter().enumerate();
        let schema = Self::try_new(named.map(|(column, kind)| (format!("f{column}"), kind)).collect())?;
        Ok(schema.numbered())
    }

    /// The same schema, whose names only say which column it is.
    pub(crate) fn numbered(mut self) -> Self {
        self.is_numbered = true;
        self
    }

    /// The same schema of a library that writes spaces of names as underscores.
    pub(crate) fn without_spaces(mut self) -> Self {
        self.has_lost_spaces = true;
        self
    }

    /// Whether an underscore of a name may have been a space in training: then both spellings mean the feature.
    #[must_use]
    pub fn has_lost_spaces(&self) -> bool {
        self.has_lost_spaces
    }

    /// Whether the names are made of column numbers, because the model file has none of its own.
    #[must_use]
    pub fn is_numbered(&self) -> bool {
        self.is_numbered
    }

    /// Gives the columns other names, as many as there are.
    ///
    /// # Errors
    /// Names that no schema takes.
    pub(crate) fn rename(&mut self, names: &[String]) -> Result<(), SchemaError> {
        Self::try_new(names.iter().map(|name| (name.clone(), FeatureKind::Number)).collect())?;
        for (feature, name) in self.features.iter_mut().zip(names) {
            feature.name.clone_from(name);
        }
        self.is_numbered = false;
        Ok(())
    }
}
