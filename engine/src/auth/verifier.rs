//! One shard's word on who may: the credentials of a request, and the rules of its class.

use std::rc::Rc;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use ring::digest::{SHA256, digest};

use super::access::{Access, Class, TokenRules};
use super::cache::{Remembered, TokenCache};
use super::denial::Denial;
use super::jwks::KeySet;
use super::rules::Rule;
use super::token::{Parsed, Verified};
use crate::telemetry::{Counter, DenialReason};

/// The header of an API key.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What a request shows.
#[derive(Debug, Clone, Copy)]
pub struct Credentials<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Whose the client's certificate is, if it showed one.
    pub certificate: Option<&'a Rc<Principal>>,
    /// Seconds since 1970.
    pub now_s: f64,
    /// Seconds of the process's clock, as [`KeySet::fetched_s`].
    pub clock_s: u64,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Principal {
    /// An API key's name, a certificate's first name, or a token's client and subject.
    pub name: String,
    /// A hash of the name and of what kind it is, for its rate.
    pub number: u64,
    credential: Credential,
}

#[derive(Debug, Clone, PartialEq)]
enum Credential {
    Token(Verified),
    Key,
    Certificate { names: Vec<String>, until_s: f64 },
}

/// Who may, on one shard.
#[derive(Debug)]
pub struct Verifier {
    access: Arc<Access>,
    keys: Option<Arc<KeySet>>,
    cache: TokenCache,
    /// Whose the API keys are, in their order.
    of_keys: Vec<Rc<Principal>>,
    /// An unknown `kid` was seen, and nobody was told yet.
    wants_keys: bool,
}

/// A refusal, and who was refused if that is known.
pub type Refused = (Denial, Option<Rc<Principal>>);

impl Verifier {
    /// With these rules and no keys of an issuer yet.
    #[must_use]
    pub fn new(access: Arc<Access>) -> Self {
        Self {
            of_keys: of_keys(&access),
            access,
            keys: None,
            cache: TokenCache::default(),
            wants_keys: false,
        }
    }

    /// Other rules from now on.
    pub fn set_access(&mut self, access: Arc<Access>) {
        self.cache.clear();
        self.of_keys = of_keys(&access);
        self.access = access;
    }

    /// The issuer's keys from now on. What others verified is forgotten.
    pub fn set_keys(&mut self, keys: Arc<KeySet>) {
        if !self.keys.as_ref().is_some_and(|old| old.is_as(&keys)) {
            self.cache.clear();
        }
        self.keys = Some(keys);
    }

    /// The rules in force.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Whether tokens can be verified, or none are accepted.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        self.access.tokens.is_none() || self.keys.is_some()
    }

    /// Whether a token named a key that is not known, since this was last asked.
    pub fn takes_wish_for_keys(&mut self) -> bool {
        std::mem::take(&mut self.wants_keys)
    }

    /// Who asks, if the class asks for it.
    ///
    /// # Errors
    /// Why it may not.
    pub fn check(&mut self, class: Class, shown: Credentials<'_>) -> Result<Option<Rc<Principal>>, Refused> {
        if self.access.is_open(class) {
            return Ok(None);
        }
        let denied = |reason| (Denial::new(reason, class), None);
        let key = self.key_of(shown.headers).map_err(denied)?;
        let token = self.token_of(&shown).map_err(denied)?;
        let certificate = shown.certificate.map(Rc::clone);
        if certificate
            .as_ref()
            .is_some_and(|certificate| certificate.is_past(shown.now_s))
        {
            return Err(denied(DenialReason::Certificate));
        }
        // Each of them is good, and each may meet a rule. The first of them is who asks.
        let all = [token, key, certificate];
        let rules = self.access.rules(class);
        let is_met = |principal: &Rc<Principal>| rules.iter().any(|rule| principal.meets(rule));
        let may = all.iter().flatten().any(is_met);
        match all.into_iter().flatten().next() {
            None => Err(denied(DenialReason::NoCredential)),
            Some(principal) if may => Ok(Some(principal)),
            refused => Err((Denial::new(DenialReason::NotAllowed, class), refused)),
        }
    }

    /// Whose the API key is.
    fn key_of(&self, headers: &HeaderMap) -> Result<Option<Rc<Principal>>, DenialReason> {
        let mut sent = headers.get_all(API_KEY).iter();
        let Some(first) = sent.next() else { return Ok(None) };
        let keys = self.access.keys.as_ref().ok_or(DenialReason::NotAccepted)?;
        match (sent.next(), keys.place_of(first.as_bytes())) {
            (None, Some(place)) => Ok(self.of_keys.get(place).map(Rc::clone)),
            _ => Err(DenialReason::ApiKey),
        }
    }

    /// Who has the token.
    fn token_of(&mut self, shown: &Credentials<'_>) -> Result<Option<Rc<Principal>>, DenialReason> {
        let mut sent = shown.headers.get_all(AUTHORIZATION).iter();
        let Some(first) = sent.next() else { return Ok(None) };
        let access = Arc::clone(&self.access);
        let rules = access.tokens.as_ref().ok_or(DenialReason::NotAccepted)?;
        let token = bearer(first.as_bytes()).filter(|_| sent.next().is_none());
        let token = token.ok_or(DenialReason::Malformed)?;
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, token).as_ref());
        let keys = self.fresh_keys(rules, shown.clock_s);
        if keys.is_some()
            && let Some(known) = self.cache.get(&hash, shown.now_s)
        {
            return Ok(Some(known));
        }
        let parsed = Parsed::new(token, rules)?;
        let keys = keys.ok_or(DenialReason::KeysUnavailable)?;
        let verified = parsed.verify(&keys, rules, shown.now_s);
        self.wants_keys |= verified == Err(DenialReason::UnknownKey);
        let verified = verified?;
        let until_s = verified.until_s;
        let principal = Rc::new(Principal::of(verified));
        let remembered = Remembered {
            principal: Rc::clone(&principal),
            until_s,
        };
        self.cache.put(hash, remembered);
        Ok(Some(principal))
    }

    fn fresh_keys(&self, rules: &TokenRules, clock_s: u64) -> Option<Arc<KeySet>> {
        let keys = self.keys.as_ref()?;
        (clock_s.saturating_sub(keys.fetched_s()) <= rules.stale_s).then(|| Arc::clone(keys))
    }
}

impl Principal {
    fn of(token: Verified) -> Self {
        let name = match &token.subject {
            Some(subject) if *subject != token.client => format!("{}/{subject}", token.client),
            _ => token.client.clone(),
        };
        Self {
            number: number(3, &name),
            name,
            credential: Credential::Token(token),
        }
    }

    fn of_key(name: &str) -> Self {
        Self {
            number: number(1, name),
            name: name.to_owned(),
            credential: Credential::Key,
        }
    }

    /// Whose a client's certificate is: its names, and its last second.
    #[must_use]
    pub fn of_certificate(names: Vec<String>, until_s: f64) -> Self {
        let name = names.first().cloned().unwrap_or_default();
        Self {
            number: number(2, &name),
            name,
            credential: Credential::Certificate { names, until_s },
        }
    }

    /// What counts its requests: by the kind of credential, never by name.
    #[must_use]
    pub fn counter(&self) -> Counter {
        match self.credential {
            Credential::Token(_) => Counter::ByTokens,
            Credential::Key => Counter::ByKeys,
            Credential::Certificate { .. } => Counter::ByCertificates,
        }
    }

    fn is_past(&self, now_s: f64) -> bool {
        matches!(&self.credential, Credential::Certificate { until_s, .. } if now_s > *until_s)
    }

    fn meets(&self, rule: &Rule) -> bool {
        match (rule, &self.credential) {
            (Rule::Anyone | Rule::Authenticated, _) => true,
            (Rule::Scope(scope), Credential::Token(token)) => token.scopes.contains(scope),
            (Rule::Group(group), Credential::Token(token)) => token.groups.contains(group),
            (Rule::Client(client), Credential::Token(token)) => token.client == *client,
            (Rule::Key(name), Credential::Key) => self.name == *name,
            (Rule::Cert(name), Credential::Certificate { names, .. }) => names.contains(name),
            _ => false,
        }
    }
}

/// The token of `Bearer TOKEN`; the scheme is in any case.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    let is_token = !token.is_empty() && token.iter().all(|&byte| byte.is_ascii_graphic());
    (scheme.eq_ignore_ascii_case(b"bearer ") && is_token).then_some(token)
}

/// A hash of a principal of this kind, spread over all bits.
fn number(kind: u8, name: &str) -> u64 {
    let mut text = vec![kind];
    text.extend(name.as_bytes());
    let hash = digest(&SHA256, &text);
    hash.as_ref()
        .first_chunk()
        .map_or(1, |first| u64::from_le_bytes(*first))
}

fn of_keys(access: &Access) -> Vec<Rc<Principal>> {
    let names = access.keys.iter().flat_map(|keys| keys.names());
    names.map(|name| Rc::new(Principal::of_key(name))).collect()
}
