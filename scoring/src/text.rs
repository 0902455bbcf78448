//! Text for terminals: a list of faults cut to one screen, and external text without control characters.

use std::borrow::Cow;
use std::fmt;

use crate::limits::ECHO_BYTES_MAX;

/// Faults that are printed; the rest is counted.
const LINES_MAX: usize = 20;

/// Bytes that are printed: twenty lines of a terminal's eighty letters, and a little.
const BYTES_MAX: usize = 1_800;

/// A title and a line for each fault.
#[derive(Debug)]
pub struct Screen<L> {
    title: String,
    lines: L,
}

impl<L: Iterator<Item = String> + Clone> Screen<L> {
    /// What to print.
    pub fn new(title: String, lines: L) -> Self {
        Self { title, lines }
    }
}

impl<L: Iterator<Item = String> + Clone> fmt::Display for Screen<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)?;
        let (mut printed, mut bytes) = (0, self.title.len());
        for line in self.lines.clone() {
            let line = clip(&line, BYTES_MAX / 2);
            bytes += line.len() + 3;
            if printed == LINES_MAX || (printed > 0 && bytes > BYTES_MAX) {
                break;
            }
            write!(f, "\n  {line}")?;
            printed += 1;
        }
        match self.lines.clone().count() - printed {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

/// A text cut to this many bytes, with a mark where it was cut.
pub fn clip(text: &str, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return text.into();
    }
    format!("{}…", truncate(text, bytes_max)).into()
}

/// At most 64 bytes of an external text, quoted, and without terminal control characters.
pub fn excerpt(text: &str) -> String {
    let shown = truncate(text, ECHO_BYTES_MAX);
    let mark = if shown.len() < text.len() { "…" } else { "" };
    format!("{shown:?}{mark}")
}

/// Whether a terminal might take a letter for a command, or show what follows it elsewhere than it stands.
pub fn is_unfit(letter: char) -> bool {
    let turns = matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// A text on one line, with nothing in it that a terminal would obey.
pub fn harmless(text: &str) -> String {
    let fit = |letter: char| match is_unfit(letter) {
        true => letter.escape_default().to_string(),
        false => letter.to_string(),
    };
    text.chars().map(fit).collect()
}

/// The same of several lines.
pub fn harmless_lines(text: &str) -> String {
    text.split('\n').map(harmless).collect::<Vec<_>>().join("\n")
}

/// The beginning of a text: whole characters, and at most so many bytes.
pub fn truncate(text: &str, bytes_max: usize) -> &str {
    let mut ends = (0..=bytes_max.min(text.len())).rev();
    let end = ends.find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_short_and_harmless() {
        assert_eq!(excerpt("a\"\u{1b}[31m"), r#""a\"\u{1b}[31m""#);
        assert_eq!(excerpt(&"é".repeat(100)), format!("{:?}…", "é".repeat(32)));
        assert_eq!(
            excerpt(&format!("a{}", "é".repeat(100))),
            format!("\"a{}\"…", "é".repeat(31))
        );
    }

    #[test]
    fn nothing_is_left_that_a_terminal_would_obey() {
        assert_eq!(
            harmless("ü\u{1b}[2J\r\n\u{9b}\u{202e}\t"),
            "ü\\u{1b}[2J\\r\\n\\u{9b}\\u{202e}\\t"
        );
        assert_eq!(harmless_lines("a\u{7}\nb\n"), "a\\u{7}\nb\n");
    }

    #[test]
    fn a_screen_is_never_more_than_a_screen() {
        for (count, length) in [(0, 1), (1, 10), (20, 20), (21, 20), (500, 90), (3, 100_000)] {
            let lines = vec!["é".repeat(length); count];
            let text = Screen::new("title:".into(), lines.into_iter()).to_string();
            assert!(
                text.len() < 2_000 && text.lines().count() <= 22,
                "{count} of {length}: {}",
                text.len()
            );
            let printed = text.lines().filter(|line| line.starts_with("  é")).count();
            let more = text.lines().find_map(|line| {
                line.strip_prefix("  and ")?
                    .strip_suffix(" more")?
                    .parse::<usize>()
                    .ok()
            });
            assert_eq!(printed + more.unwrap_or(0), count);
        }
    }
}
