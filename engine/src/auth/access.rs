//! Who may do what, as the configuration and the key file say: made outside of the shards, and handed to them whole.

use http::HeaderValue;

use super::api_keys::ApiKeys;
use super::jwks::Algorithm;
use super::rules::Rule;
use super::token::TokenUse;

/// A class of routes, each with rules of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Class {
    /// How the process is.
    Health,
    /// All that scores or explains.
    Score,
    /// Reports of outcomes.
    Outcomes,
    /// `/metrics`.
    Metrics,
    /// All else that is read.
    Docs,
    /// The admin listener, and every load and unload.
    Admin,
}

impl Class {
    /// All of them, by number.
    pub const ALL: [Self; 6] = [
        Self::Health,
        Self::Score,
        Self::Outcomes,
        Self::Metrics,
        Self::Docs,
        Self::Admin,
    ];

    /// The key of its rules under `[auth]`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Score => "score",
            Self::Outcomes => "outcomes",
            Self::Metrics => "metrics",
            Self::Docs => "docs",
            Self::Admin => "admin",
        }
    }
}

/// What tokens must say.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenRules {
    /// `iss`, byte for byte.
    pub issuer: String,
    /// Algorithms that are accepted.
    pub algorithms: Vec<Algorithm>,
    /// `client_id` of access tokens, `aud` of ID tokens.
    pub clients: Vec<String>,
    /// `token_use`.
    pub uses: Vec<TokenUse>,
    /// How far clocks may be apart. Unit: seconds.
    pub leeway_s: f64,
    /// For how long the last keys serve while no others can be had. Unit: seconds.
    pub stale_s: u64,
}

/// Credentials and rules in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Access {
    /// What tokens must say, if they are accepted.
    pub(super) tokens: Option<TokenRules>,
    /// Keys, if they are accepted.
    pub(super) keys: Option<ApiKeys>,
    rules: [Vec<Rule>; Class::ALL.len()],
    /// What a 403 says, by class.
    forbidden: [HeaderValue; Class::ALL.len()],
}

impl Access {
    /// Puts it together. `rules` has a list for each class, in the order of [`Class::ALL`].
    #[must_use]
    pub fn new(tokens: Option<TokenRules>, keys: Option<ApiKeys>, rules: [Vec<Rule>; Class::ALL.len()]) -> Self {
        let forbidden = rules.each_ref().map(|rules| forbidden(rules));
        Self {
            tokens,
            keys,
            rules,
            forbidden,
        }
    }

    /// Whether a class is open to everyone.
    #[must_use]
    pub fn is_open(&self, class: Class) -> bool {
        self.rules(class).contains(&Rule::Anyone)
    }

    /// The rules of a class.
    #[must_use]
    pub fn rules(&self, class: Class) -> &[Rule] {
        &self.rules[class as usize]
    }

    /// Names in rules that no key has.
    #[must_use]
    pub fn missing_keys(&self) -> Vec<(Class, String)> {
        let has = |name: &str| {
            self.keys
                .as_ref()
                .is_some_and(|keys| keys.names().any(|known| known == name))
        };
        let of = |class: Class| {
            let names = self.rules(class).iter().filter_map(|rule| match rule {
                Rule::Key(name) if !has(name) => Some((class, name.clone())),
                _ => None,
            });
            names.collect::<Vec<_>>()
        };
        Class::ALL.into_iter().flat_map(of).collect()
    }

    /// The challenge of a 403, with the scopes that would help.
    #[must_use]
    pub fn forbidden(&self, class: Class) -> HeaderValue {
        self.forbidden[class as usize].clone()
    }
}

/// A scope that could end the quoted text is left out: RFC 6749 has none of these characters.
fn forbidden(rules: &[Rule]) -> HeaderValue {
    let scopes: Vec<&str> = rules
        .iter()
        .filter_map(|rule| match rule {
            Rule::Scope(scope) => Some(scope.as_str()),
            _ => None,
        })
        .filter(|scope| {
            scope
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
        })
        .collect();
    let mut text = r#"Bearer realm="quintile", error="insufficient_scope""#.to_owned();
    if !scopes.is_empty() {
        text.push_str(&format!(r#", scope="{}""#, scopes.join(" ")));
    }
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(r#"Bearer realm="quintile""#))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_403_names_the_scopes_that_would_help() {
        let mut rules: [Vec<Rule>; 6] = Default::default();
        rules[Class::Score as usize] = vec![
            Rule::Scope("q/score".into()),
            Rule::Key("crm".into()),
            Rule::Scope("q/all".into()),
            Rule::Scope("a\"b".into()),
        ];
        rules[Class::Metrics as usize] = vec![Rule::Key("prometheus".into())];
        let access = Access::new(None, None, rules);
        let score = access.forbidden(Class::Score);
        assert_eq!(
            score,
            r#"Bearer realm="quintile", error="insufficient_scope", scope="q/score q/all""#
        );
        let metrics = access.forbidden(Class::Metrics);
        assert_eq!(metrics, r#"Bearer realm="quintile", error="insufficient_scope""#);
        assert_eq!(
            access.missing_keys(),
            [
                (Class::Score, "crm".to_owned()),
                (Class::Metrics, "prometheus".to_owned())
            ]
        );
    }
}
