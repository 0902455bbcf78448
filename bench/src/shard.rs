//! Which of a Quintile server's shards answered: the request id that it made says so.

use memchr::memmem::Finder;

/// Reads a shard's number out of answers.
#[derive(Debug)]
pub struct ShardOf(Finder<'static>);

impl Default for ShardOf {
    fn default() -> Self {
        Self(Finder::new("\"request_id\":\""))
    }
}

impl ShardOf {
    /// The shard of an answer's body; none when no id of Quintile's is in it. Two bits of variant, then eight for the
    /// shard, begin the id's second half.
    #[must_use]
    pub fn read(&self, body: &[u8]) -> Option<u8> {
        const SECOND_HALF: usize = "01a20e7f-6d99-7c39-".len();
        let id = &body[self.0.find(body)? + self.0.needle().len()..];
        let word = std::str::from_utf8(id.get(SECOND_HALF..SECOND_HALF + 4)?).ok()?;
        let word = u16::from_str_radix(word, 16).ok()?;
        let is_ours = id.get(14) == Some(&b'7') && word >> 14 == 0b10;
        is_ours.then_some((word >> 6 & 0xff) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shard_stands_in_the_id() {
        let read = |id: &str| ShardOf::default().read(format!("{{\"score\":1,\"request_id\":\"{id}\"}}").as_bytes());
        assert_eq!(read("01a20e7f-6d99-7c39-8063-0f4bf4172e43"), Some(1));
        assert_eq!(read("01a20e7f-6d99-7c39-8023-0f4bf4172e43"), Some(0));
        assert_eq!(read("01a20e7f-6d99-7c39-bfff-0f4bf4172e43"), Some(255));
        assert_eq!(read("01a20e7f-6d99-4c39-8063-0f4bf4172e43"), None, "somebody else's");
        assert_eq!(read("mine"), None);
        assert_eq!(ShardOf::default().read(b"{}"), None);
    }
}
