//! Changes one token of a text: a number, a word, a character of punctuation. What libFuzzer does to bytes mostly ends
//! at the first syntax error.

/// Numbers at the edges of what readers and trees take.
const NUMBERS: &str = "0 -0 1 -1 2 3 127 128 255 256 65535 65536 16777216 2147483647 -2147483648 2147483648 4294967295 4294967296 9223372036854775807 9223372036854775808 -9223372036854775808 18446744073709551615 0.5 -0.0 1e-45 1e-320 3.4028235e38 3.4028236e38 1e308 1e309 -1e309 NaN Infinity 1.0000000180025095e-35";

/// xorshift64*: a seed gives a mutation.
pub struct Random(u64);

impl Random {
    /// Any seed will do.
    #[must_use]
    pub fn new(seed: u32) -> Self {
        Self(u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below a bound, which is at least 1.
    #[expect(clippy::cast_possible_truncation, reason = "it is below a usize")]
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound.max(1) as u64) as usize
    }
}

/// The text with one to three tokens changed.
#[must_use]
pub fn tokens(text: &[u8], words: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut text = text.to_vec();
    for _ in 0..=random.below(3) {
        text = changed(&text, words, random);
    }
    text
}

/// The bytes with a word put in, or put over others.
#[must_use]
pub fn worded(bytes: &[u8], words: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some(word) = words.get(random.below(words.len())) {
        let at = random.below(bytes.len() + 1);
        let end = match random.below(2) {
            0 => at,
            _ => (at + word.len()).min(bytes.len()),
        };
        bytes.splice(at..end, word.iter().copied());
    }
    bytes
}

fn changed(text: &[u8], words: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let spans = spans(text);
    if spans.is_empty() {
        return words.get(random.below(words.len())).cloned().unwrap_or_default();
    }
    let span = spans[random.below(spans.len())].clone();
    let other = spans[random.below(spans.len())].clone();
    let token = &text[span.clone()];
    let new: Vec<u8> = match random.below(10) {
        0 => Vec::new(),
        1 => [token, token].concat(),
        2 | 3 => text[other.clone()].to_vec(),
        4 if !words.is_empty() => words[random.below(words.len())].clone(),
        5 => {
            // A run of tokens, so that lists and lines come and go.
            let end = spans[(random.below(12) + 1).min(spans.len()) - 1].end.max(other.start);
            text[other.start..end.min(other.start + 2_000).max(other.start)].to_vec()
        }
        6 => neighbour(token, random),
        _ => {
            let count = NUMBERS.split(' ').count();
            NUMBERS.split(' ').nth(random.below(count)).unwrap_or_default().into()
        }
    };
    let mut out = Vec::with_capacity(text.len() + new.len());
    out.extend_from_slice(&text[..span.start]);
    out.extend_from_slice(&new);
    out.extend_from_slice(&text[span.end..]);
    out
}

/// An integer that is one more or less, or twice as much; any other token as it is.
fn neighbour(token: &[u8], random: &mut Random) -> Vec<u8> {
    let number = std::str::from_utf8(token)
        .ok()
        .and_then(|text| text.parse::<i64>().ok());
    let Some(number) = number else {
        return token.to_vec();
    };
    let number = match random.below(4) {
        0 => number.saturating_add(1),
        1 => number.saturating_sub(1),
        2 => number.saturating_mul(2),
        _ => number.saturating_neg(),
    };
    number.to_string().into_bytes()
}

/// Where the tokens are: runs of what numbers and names are made of, and single other characters that are no space.
fn spans(text: &[u8]) -> Vec<std::ops::Range<usize>> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte) || byte >= 0x80;
    let mut spans: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, &byte) in text.iter().enumerate() {
        match spans.last_mut() {
            Some(span) if span.end == at && is_word(byte) && is_word(text[at - 1]) => span.end = at + 1,
            _ if byte != b' ' => spans.push(at..at + 1),
            _ => {}
        }
    }
    spans
}
