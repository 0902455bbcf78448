//! Tokens that were verified, by the SHA-256 of the whole token, on one shard.
//!
//! There are two halves: when the new one is full it becomes the old one, and what nobody asks for goes with the old one
//! before. Refused tokens are not remembered, so a flood of them pushes nobody out.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

use super::verifier::Principal;

/// Tokens of one half.
const HALF: usize = 2048;

/// The hash of a token is its hash: its first eight bytes.
#[derive(Default)]
pub(super) struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }
}

type Half = HashMap<[u8; 32], Remembered, BuildHasherDefault<FirstBytes>>;

/// What a token was verified to say.
#[derive(Debug, Clone)]
pub(super) struct Remembered {
    pub(super) principal: Rc<Principal>,
    /// Its last second, leeway included.
    pub(super) until_s: f64,
}

/// The tokens of one shard.
#[derive(Debug, Default)]
pub(super) struct TokenCache {
    new: Half,
    old: Half,
}

impl TokenCache {
    /// A token that is not past.
    pub(super) fn get(&mut self, hash: &[u8; 32], now_s: f64) -> Option<Rc<Principal>> {
        if let Some(found) = self.new.get(hash) {
            return (now_s < found.until_s).then(|| Rc::clone(&found.principal));
        }
        let found = self.old.remove(hash).filter(|found| now_s < found.until_s)?;
        let principal = Rc::clone(&found.principal);
        self.put(*hash, found);
        Some(principal)
    }

    pub(super) fn put(&mut self, hash: [u8; 32], found: Remembered) {
        if self.new.len() >= HALF {
            self.old = std::mem::take(&mut self.new);
        }
        self.new.insert(hash, found);
    }

    /// Forgets all, because keys or rules are others.
    pub(super) fn clear(&mut self) {
        (self.new, self.old) = Default::default();
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.new.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u64) -> [u8; 32] {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_le_bytes());
        hash
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_asked_for() {
        let mut cache = TokenCache::default();
        let remembered = || Remembered {
            principal: Rc::new(Principal::of_certificate(Vec::new(), 0.0)),
            until_s: 100.0,
        };
        for number in 0..20_000 {
            cache.put(hash(number), remembered());
            assert!(cache.get(&hash(0), 99.0).is_some(), "{number}");
        }
        assert!(cache.len() <= 2 * HALF);
        assert!(cache.get(&hash(0), 100.0).is_none(), "it is past");
        assert!(cache.get(&hash(5), 1.0).is_none());
        cache.clear();
        assert_eq!(cache.len(), 0);
    }
}
