//! The fast reader of a body: one pass over the client's own bytes, for bodies as programs write them.
//!
//! ```text
//! {"lead_id":"…","features":{"f1":0.12,"f2":null, … }}      any order of keys, any whitespace between tokens
//!                             ▲
//!                             the key that followed last time is compared as it stands; only another one is looked up
//! ```
//! It accepts valid plain bodies, and refuses everything else: a fault of any kind, an escape, a number beyond a
//! double. Then the body is read again with the tape (`parser`), which knows all of JSON and finds every fault, so
//! anything that this reader does not expect costs time, but never an answer. It understands a body exactly as the tape
//! does: `Lead` gives both their meaning, and tests compare their rows, bit for bit.
//!
//! Nothing is copied and nothing is allocated. Every function takes the rest of the body and returns what it leaves, or
//! none if that is not plain. They pass it by value: behind a reference it would be in memory, and each step would wait
//! for the store of the step before.

mod number;

use super::lead::Lead;
use crate::loaded::LoadedModel;
pub use number::number;

/// Reads a body into the lead. False when it has to be read the long way; the lead is that of no request then.
pub(super) fn read(lead: &mut Lead, loaded: &LoadedModel, body: &[u8]) -> bool {
    lead.reset();
    document(lead, loaded, body).is_some() && lead.faults().total() == 0
}

fn document(lead: &mut Lead, loaded: &LoadedModel, body: &[u8]) -> Option<()> {
    let mut rest = whitespace(byte(whitespace(body), b'{')?);
    let (mut id_seen, mut features_seen) = (false, false);
    let (mut explain_seen, mut direction_seen) = (false, false);
    loop {
        let (name, behind) = key(rest)?;
        rest = match name {
            "lead_id" if !id_seen => {
                id_seen = true;
                let (id, behind) = string(behind)?;
                lead.name(id);
                behind
            }
            "features" if !features_seen => {
                features_seen = true;
                features(lead, loaded, behind)?
            }
            "explain" if !explain_seen => {
                explain_seen = true;
                let (count, behind) = number(behind)?;
                lead.explain(count);
                behind
            }
            "direction" if !direction_seen => {
                direction_seen = true;
                let (name, behind) = string(behind)?;
                lead.keep_direction(name);
                behind
            }
            _ => return None,
        };
        let (goes_on, behind) = another(rest)?;
        rest = behind;
        if !goes_on {
            break;
        }
    }
    (id_seen && features_seen && rest.is_empty()).then_some(())
}

fn features<'a>(lead: &mut Lead, loaded: &LoadedModel, rest: &'a [u8]) -> Option<&'a [u8]> {
    let mut rest = whitespace(byte(rest, b'{')?);
    if let Some(behind) = byte(rest, b'}') {
        lead.require(loaded);
        return Some(behind);
    }
    let mut last = None;
    loop {
        let guess = lead.after(last);
        let (column, behind) = match loaded.columns.key_at(rest, guess) {
            Some(bytes) => (guess, whitespace(&rest[bytes..])),
            None => unexpected(lead, loaded, last, rest)?,
        };
        if !lead.see(column) {
            return None;
        }
        let (goes_on, behind) = another(value(lead, loaded, column, behind)?)?;
        rest = behind;
        if !goes_on {
            lead.require(loaded);
            return Some(rest);
        }
        last = Some(column);
    }
}

/// The column of a key that is not the one which was expected.
fn unexpected<'a>(
    lead: &mut Lead,
    loaded: &LoadedModel,
    last: Option<usize>,
    rest: &'a [u8],
) -> Option<(usize, &'a [u8])> {
    // Where one feature is left out, the next follows.
    let next = lead.after(last) + 1;
    if let Some(bytes) = loaded.columns.key_at(rest, next) {
        return Some((next, whitespace(&rest[bytes..])));
    }
    let (name, rest) = key(rest)?;
    let column = loaded.columns.column(name)?;
    lead.learn(last, column);
    Some((column, rest))
}

#[inline]
fn value<'a>(lead: &mut Lead, loaded: &LoadedModel, column: usize, rest: &'a [u8]) -> Option<&'a [u8]> {
    match rest.first()? {
        b'n' => {
            lead.number(loaded, column, f64::NAN);
            rest.strip_prefix(b"null")
        }
        b'"' => {
            let (name, rest) = string(rest)?;
            lead.category(loaded, column, name)?;
            Some(rest)
        }
        b't' => {
            lead.flag(loaded, column, true)?;
            rest.strip_prefix(b"true")
        }
        b'f' => {
            lead.flag(loaded, column, false)?;
            rest.strip_prefix(b"false")
        }
        // Signs and digits go one way: a branch between them would be a guess at the value's sign.
        _ => {
            let (number, rest) = number(rest)?;
            lead.number(loaded, column, number);
            Some(rest)
        }
    }
}

/// Whether a comma or the end of the object follows, and up to what comes then.
#[inline]
fn another(rest: &[u8]) -> Option<(bool, &[u8])> {
    if let [b',', b'"', ..] = rest {
        return Some((true, &rest[1..]));
    }
    match whitespace(rest) {
        [b',', rest @ ..] => Some((true, whitespace(rest))),
        [b'}', rest @ ..] => Some((false, whitespace(rest))),
        _ => None,
    }
}

/// A key, and up to its value.
fn key(rest: &[u8]) -> Option<(&str, &[u8])> {
    let (key, rest) = string(rest)?;
    Some((key, whitespace(byte(whitespace(rest), b':')?)))
}

/// A string that means what it says: no escapes, no control characters, UTF-8.
fn string(rest: &[u8]) -> Option<(&str, &[u8])> {
    let rest = byte(rest, b'"')?;
    let end = rest.iter().position(|&byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
    let (text, rest) = rest.split_at(end);
    Some((std::str::from_utf8(text).ok()?, byte(rest, b'"')?))
}

#[inline]
fn byte(rest: &[u8], byte: u8) -> Option<&[u8]> {
    rest.split_first()
        .and_then(|(&first, rest)| (first == byte).then_some(rest))
}

#[inline]
fn whitespace(mut rest: &[u8]) -> &[u8] {
    while let [b' ' | b'\n' | b'\r' | b'\t', behind @ ..] = rest {
        rest = behind;
    }
    rest
}
