//! The rules of a class of routes: who may. One that fits is enough.

use quintile_model::nearest::nearest;

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// Everybody, without a credential.
    Anyone,
    /// Everybody with any good credential.
    Authenticated,
    /// Access tokens with this scope.
    Scope(String),
    /// Tokens of a member of this group (`cognito:groups`).
    Group(String),
    /// Tokens of this client.
    Client(String),
    /// The API key of this name.
    Key(String),
    /// A client certificate with this DNS or URI name.
    Cert(String),
}

const WORDS: [&str; 7] = ["anyone", "authenticated", "scope", "group", "client", "key", "cert"];

impl Rule {
    /// Reads one as it is written in the configuration.
    ///
    /// # Errors
    /// What is wrong, to follow the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "anyone" => return Ok(Self::Anyone),
            "authenticated" => return Ok(Self::Authenticated),
            _ => {}
        }
        let (word, name) = text.split_once(':').unwrap_or((text, ""));
        let kind: fn(String) -> Self = match word {
            "scope" => Self::Scope,
            "group" => Self::Group,
            "client" => Self::Client,
            "key" => Self::Key,
            "cert" => Self::Cert,
            _ => {
                let hint = nearest(word, WORDS).map_or_else(String::new, |word| format!(" (did you mean {word:?}?)"));
                return Err(format!(", which is no rule{hint}"));
            }
        };
        if name.is_empty() {
            return Err(format!(", which names nothing: write {word}:NAME"));
        }
        Ok(kind(name.to_owned()))
    }

    /// Whether only tokens can meet it.
    #[must_use]
    pub fn is_of_tokens(&self) -> bool {
        matches!(self, Self::Scope(_) | Self::Group(_) | Self::Client(_))
    }
}

/// Whether a text is a rule.
///
/// # Errors
/// What is wrong, to follow the text.
pub fn check_rule(text: &str) -> Result<(), String> {
    Rule::parse(text).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_have_a_word_and_a_name() {
        for (text, rule) in [
            ("anyone", Rule::Anyone),
            ("authenticated", Rule::Authenticated),
            ("scope:quintile/score", Rule::Scope("quintile/score".into())),
            ("cert:spiffe://bank/crm", Rule::Cert("spiffe://bank/crm".into())),
            ("key:crm", Rule::Key("crm".into())),
            ("group:ops", Rule::Group("ops".into())),
            ("client:7a", Rule::Client("7a".into())),
        ] {
            assert_eq!(Rule::parse(text), Ok(rule));
        }
        for text in ["", "any", "Anyone", "scope", "scope:", "anyone:x", "role:x", " anyone"] {
            assert!(Rule::parse(text).is_err(), "{text}");
        }
    }
}
