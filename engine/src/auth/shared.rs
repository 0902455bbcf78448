//! Rules and keys in force, for threads that are no shards: the admin listener. It takes a lock, so no shard has it.

use std::rc::Rc;
use std::sync::{Arc, PoisonError, RwLock};

use super::access::{Access, Class};
use super::jwks::KeySet;
use super::verifier::{Credentials, Principal, Refused, Verifier};

/// Rules and keys in force.
#[derive(Debug, Default)]
pub struct SharedAccess {
    access: RwLock<Option<Arc<Access>>>,
    keys: RwLock<Option<Arc<KeySet>>>,
    /// Whether the admin listener asks for credentials.
    guards_admin: bool,
}

impl SharedAccess {
    /// Nobody is asked yet.
    #[must_use]
    pub fn new(guards_admin: bool) -> Self {
        Self {
            guards_admin,
            ..Self::default()
        }
    }

    /// The rules from now on.
    pub fn set_access(&self, access: Option<Arc<Access>>) {
        *self.access.write().unwrap_or_else(PoisonError::into_inner) = access;
    }

    /// The issuer's keys from now on.
    pub fn set_keys(&self, keys: Arc<KeySet>) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(keys);
    }

    /// Whether tokens can be verified, or none are accepted.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        self.verifier().is_none_or(|verifier| verifier.has_keys())
    }

    fn verifier(&self) -> Option<Verifier> {
        let access = self.access.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        let mut verifier = Verifier::new(access);
        if let Some(keys) = self.keys.read().unwrap_or_else(PoisonError::into_inner).clone() {
            verifier.set_keys(keys);
        }
        Some(verifier)
    }

    /// Whether the admin listener takes a request.
    ///
    /// # Errors
    /// Why not, and the challenge of a 403.
    pub fn check_admin(
        &self,
        class: Class,
        shown: Credentials<'_>,
    ) -> Result<Option<Rc<Principal>>, (Refused, http::HeaderValue)> {
        match self.verifier() {
            Some(mut verifier) if self.guards_admin => verifier
                .check(class, shown)
                .map_err(|refused| (refused, verifier.access().forbidden(class))),
            _ => Ok(None),
        }
    }
}
