//! The keys of TLS sessions (RFC 5077, RFC 8446): a client shows a ticket that only we can open, and saves a handshake.
//!
//! All shards have the same keys, so a client resumes on any of them. They are never changed in place: another set is made
//! and handed to the shards ([`Tickets::next`] when it is time, [`Tickets::new`] when no session from before may be
//! resumed). Only the keys of now and of before open tickets, so a ticket lives for at most two spans.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::error::Unspecified;
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::server::ProducesTickets;

/// After this time another key makes the tickets.
pub(super) const SPAN: Duration = Duration::from_secs(6 * 3600);

/// How long a client may keep a ticket: two spans. Unit: seconds.
const LIFETIME_S: u32 = 12 * 3600;

const NAME_BYTES: usize = 16;
const TAG_BYTES: usize = 16;
const AROUND_BYTES: usize = NAME_BYTES + NONCE_LEN + TAG_BYTES;

/// A ticket of more bytes is none of ours: the longest holds a client's chain of certificates.
const TICKET_BYTES_MAX: usize = 64 << 10;

/// One key, and the name that its tickets begin with.
struct Key {
    name: [u8; NAME_BYTES],
    key: LessSafeKey,
}

impl Key {
    fn new() -> Result<Self, Unspecified> {
        let random = SystemRandom::new();
        let (mut name, mut key) = ([0; NAME_BYTES], [0; 32]);
        random.fill(&mut name)?;
        random.fill(&mut key)?;
        let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &key)?);
        Ok(Self { name, key })
    }
}

/// Keys of sessions; the first makes tickets.
pub struct Tickets {
    keys: Vec<Arc<Key>>,
}

impl Tickets {
    /// How long one key makes tickets.
    pub const SPAN: Duration = SPAN;

    /// A new key, which opens no ticket from before.
    ///
    /// # Errors
    /// When the kernel gives no random bytes.
    pub fn new() -> Result<Self, Unspecified> {
        Ok(Self {
            keys: vec![Arc::new(Key::new()?)],
        })
    }

    /// Another key for new tickets; those of the last key are still opened.
    ///
    /// # Errors
    /// When the kernel gives no random bytes.
    pub fn next(&self) -> Result<Self, Unspecified> {
        let last = self.keys.first().map(Arc::clone);
        Ok(Self {
            keys: std::iter::once(Arc::new(Key::new()?)).chain(last).collect(),
        })
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").field("keys", &self.keys.len()).finish()
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME_S
    }

    /// Name, nonce, ciphertext and tag. The nonce is random: a counter would tell how many clients there are.
    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let key = self.keys.first()?;
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(plain.len() + AROUND_BYTES);
        ticket.extend(key.name);
        ticket.extend(nonce);
        ticket.extend(plain);
        let sealed = &mut ticket[NAME_BYTES + NONCE_LEN..];
        let (nonce, aad) = (Nonce::assume_unique_for_key(nonce), Aad::from(key.name));
        let tag = key.key.seal_in_place_separate_tag(nonce, aad, sealed).ok()?;
        ticket.extend(tag.as_ref());
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > TICKET_BYTES_MAX {
            return None;
        }
        let (name, rest) = ticket.split_first_chunk::<NAME_BYTES>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        // The name is no secret: it is in every ticket.
        let key = self.keys.iter().find(|key| key.name == *name)?;
        let mut opened = sealed.to_vec();
        let (nonce, aad) = (Nonce::assume_unique_for_key(*nonce), Aad::from(key.name));
        let length = key.key.open_in_place(nonce, aad, &mut opened).ok()?.len();
        opened.truncate(length);
        Some(opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_lives_for_two_spans() {
        let first = Tickets::new().unwrap();
        let ticket = first.encrypt(b"a session").unwrap();
        assert_eq!(first.decrypt(&ticket).as_deref(), Some(&b"a session"[..]));
        let second = first.next().unwrap();
        assert_eq!(second.decrypt(&ticket).as_deref(), Some(&b"a session"[..]));
        assert_eq!(second.next().unwrap().decrypt(&ticket), None);
        assert_eq!(Tickets::new().unwrap().decrypt(&ticket), None);
        assert_ne!(
            second.encrypt(b"a session").unwrap()[..NAME_BYTES],
            ticket[..NAME_BYTES]
        );
    }

    #[test]
    fn nothing_else_is_opened() {
        let tickets = Tickets::new().unwrap();
        let ticket = tickets.encrypt(b"a session").unwrap();
        for place in 0..ticket.len() {
            let mut other = ticket.clone();
            other[place] ^= 1;
            assert_eq!(tickets.decrypt(&other), None, "{place}");
            assert_eq!(tickets.decrypt(&ticket[..place]), None, "{place}");
        }
        assert_eq!(tickets.decrypt(&vec![0; TICKET_BYTES_MAX + 1]), None);
    }
}
