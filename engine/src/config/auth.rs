//! The settings of `[auth]`.

use std::time::Duration;

use super::SecretSource;
use crate::auth::{Access, Algorithm, ApiKeys, Class, Rule, TokenRules, TokenUse};

/// Who may do what.
#[derive(Debug, Clone, PartialEq)]
pub struct Auth {
    /// Who issues tokens; none are accepted without one.
    pub issuer: Option<String>,
    /// Where its keys are, if somebody says so.
    pub jwks_url: Option<String>,
    /// Algorithms of tokens.
    pub algorithms: Vec<Algorithm>,
    /// Whose tokens are accepted.
    pub clients: Vec<String>,
    /// Which tokens are accepted.
    pub token_use: Vec<TokenUse>,
    /// How far clocks may be apart.
    pub leeway: Duration,
    /// How often the issuer's keys are fetched.
    pub refresh: Duration,
    /// The shortest time between two fetches that tokens ask for.
    pub cooldown: Duration,
    /// For how long the last keys serve.
    pub stale: Duration,
    /// Where API keys are, as `file:PATH` or `aws-secretsmanager:ID`.
    pub api_keys: Option<String>,
    /// The rules of each class that somebody sets, in the order of [`Class::ALL`].
    pub rules: [Option<Vec<Rule>>; Class::ALL.len()],
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            issuer: None,
            jwks_url: None,
            algorithms: vec![Algorithm::Rs256],
            clients: Vec::new(),
            token_use: vec![TokenUse::Access],
            leeway: Duration::from_secs(30),
            refresh: Duration::from_secs(300),
            cooldown: Duration::from_secs(30),
            stale: Duration::from_secs(86_400),
            api_keys: None,
            rules: Default::default(),
        }
    }
}

impl Auth {
    /// The rules of a class; texts that are none were refused before.
    pub(super) fn set_rules(&mut self, class: Class, rules: &[String]) {
        let rules = rules.iter().filter_map(|rule| Rule::parse(rule).ok());
        self.rules[class as usize] = Some(rules.collect());
    }

    /// Takes from `new` what a reload can put into force.
    pub(super) fn adopt(&mut self, new: &Self) {
        self.api_keys.clone_from(&new.api_keys);
    }

    /// Where the API keys are, if there are any.
    #[must_use]
    pub fn key_source(&self) -> Option<SecretSource> {
        Some(SecretSource::or_path(self.api_keys.as_deref()?))
    }

    /// Where the issuer's keys are.
    #[must_use]
    pub fn jwks_url(&self) -> Option<String> {
        let issuer = self.issuer.as_ref()?;
        let default = || format!("{}/.well-known/jwks.json", issuer.trim_end_matches('/'));
        Some(self.jwks_url.clone().unwrap_or_else(default))
    }

    /// Rules and credentials; none where nobody is asked for anything. `has_certificates` says whether clients may show
    /// certificates.
    #[must_use]
    pub fn access(&self, keys: Option<ApiKeys>, has_certificates: bool) -> Option<Access> {
        let has_credentials = self.issuer.is_some() || self.api_keys.is_some() || has_certificates;
        if !has_credentials && self.rules.iter().all(Option::is_none) {
            return None;
        }
        let default = |class| match class {
            Class::Health => Rule::Anyone,
            _ if has_credentials => Rule::Authenticated,
            _ => Rule::Anyone,
        };
        let rules = Class::ALL.map(|class| {
            let set = self.rules[class as usize].clone();
            set.unwrap_or_else(|| vec![default(class)])
        });
        let tokens = self.issuer.clone().map(|issuer| TokenRules {
            issuer,
            algorithms: self.algorithms.clone(),
            clients: self.clients.clone(),
            uses: self.token_use.clone(),
            leeway_s: self.leeway.as_secs_f64(),
            stale_s: self.stale.as_secs(),
        });
        Some(Access::new(tokens, keys, rules))
    }

    /// Whether the admin listener asks for credentials.
    #[must_use]
    pub fn guards_admin(&self) -> bool {
        self.rules[Class::Admin as usize].is_some()
    }
}
