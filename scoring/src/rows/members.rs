//! The members of a line of JSON as they are written, for results that are lines of JSON too.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::render;

/// Why the members of a line cannot come back as they stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MembersError {
    /// The line has a name twice.
    Twice(String),
    /// The line has a name that results have too.
    Ours(String),
}

/// Adds the members of an object's text as they stand, each with a comma behind it. A text that is no object comes back
/// as the member `line`.
pub(super) fn members(out: &mut Vec<u8>, text: &[u8], ours: &[String]) -> Result<(), MembersError> {
    let Some(members) = split(text) else {
        whole(out, text);
        return Ok(());
    };
    let mut names = HashSet::with_capacity(members.len());
    for (name, _) in &members {
        if !names.insert(name) {
            return Err(MembersError::Twice(name.to_string()));
        }
        if ours.iter().any(|ours| ours == name) {
            return Err(MembersError::Ours(name.to_string()));
        }
    }
    for (_, member) in members {
        out.extend_from_slice(member);
        out.push(b',');
    }
    Ok(())
}

/// Adds the whole line as one member, with a comma behind it.
pub(super) fn whole(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(b"\"line\":");
    render::string(out, &String::from_utf8_lossy(text));
    out.push(b',');
}

/// The names of an object's members.
pub(super) fn names(text: &[u8]) -> impl Iterator<Item = String> {
    let members = split(text).unwrap_or_default();
    members
        .into_iter()
        .map(|(name, _)| name.into_owned())
        .collect::<Vec<_>>()
        .into_iter()
}

/// The members of an object, each with its name; none for a text that is no object.
fn split(text: &[u8]) -> Option<Vec<(Cow<'_, str>, &[u8])>> {
    let inside = text.trim_ascii().strip_prefix(b"{")?.strip_suffix(b"}")?;
    std::str::from_utf8(inside).ok()?;
    let mut members = Vec::new();
    let (mut depth, mut is_text, mut is_escaped, mut from) = (0usize, false, false, 0);
    for (at, &byte) in inside.iter().chain(b",").enumerate() {
        match (is_text, byte) {
            (true, _) if is_escaped => is_escaped = false,
            (true, b'\\') => is_escaped = true,
            (_, b'"') => is_text = !is_text,
            (true, _) => {}
            (false, b'{' | b'[') => depth += 1,
            (false, b'}' | b']') => depth = depth.checked_sub(1)?,
            (false, b',') if depth == 0 => {
                let member = inside[from..at].trim_ascii();
                from = at + 1;
                if !member.is_empty() {
                    members.push((name(member)?, member));
                }
            }
            (false, _) => {}
        }
    }
    (!is_text && depth == 0).then_some(members)
}

/// The name of a member, read as JSON.
fn name(member: &[u8]) -> Option<Cow<'_, str>> {
    let rest = member.strip_prefix(b"\"")?;
    let mut is_escaped = false;
    let end = rest.iter().position(|&byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    })?;
    let (name, behind) = (&rest[..end], rest[end + 1..].trim_ascii_start());
    if !behind.starts_with(b":") {
        return None;
    }
    match name.contains(&b'\\') {
        false => std::str::from_utf8(name).ok().map(Cow::Borrowed),
        true => serde_json::from_slice(&member[..end + 2]).ok().map(Cow::Owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<String, MembersError> {
        let mut out = Vec::new();
        let ours = ["score".to_owned(), "error".to_owned()];
        members(&mut out, text.as_bytes(), &ours).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn members_stay_as_they_stand() {
        for (text, kept) in [
            (r#"{"a":1, "b":"x,\"}{" }"#, r#""a":1,"b":"x,\"}{","#),
            (
                r#" {"a":{"score":[1,2]},"Score" : 3} "#,
                r#""a":{"score":[1,2]},"Score" : 3,"#,
            ),
            ("{}", ""),
            ("{\"a\":1e5}", "\"a\":1e5,"),
            ("[1]", "\"line\":\"[1]\","),
            ("{\"a\":1}}", "\"line\":\"{\\\"a\\\":1}}\","),
            ("{\"a}", "\"line\":\"{\\\"a}\","),
            ("{\"a\"}", "\"line\":\"{\\\"a\\\"}\","),
            ("{a:1}", "\"line\":\"{a:1}\","),
        ] {
            assert_eq!(of(text).unwrap(), kept, "{text}");
        }
    }

    #[test]
    fn names_are_compared_as_json_reads_them() {
        for (text, error) in [
            (r#"{"a":1,"score":2}"#, MembersError::Ours("score".to_owned())),
            (r#"{"sc\u006fre":2}"#, MembersError::Ours("score".to_owned())),
            (r#"{"a":1,"b":2,"a":1}"#, MembersError::Twice("a".to_owned())),
            (r#"{"a\"":1,"\u0061\"":1}"#, MembersError::Twice("a\"".to_owned())),
        ] {
            assert_eq!(of(text).unwrap_err(), error, "{text}");
        }
        let names: Vec<_> = names(br#"{"a":1,"\u00fc":{"b":2}}"#).collect();
        assert_eq!(names, ["a", "ü"]);
    }
}
