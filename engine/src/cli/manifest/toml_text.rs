//! Names, texts and numbers as TOML has them.

use std::fmt::Write as _;

/// Appends a line.
pub(super) fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}

/// A TOML key: bare where it may be.
pub(super) fn key(name: &str) -> String {
    let is_bare = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if is_bare { name.to_owned() } else { basic(name) }
}

/// A TOML basic string on one line, which a key must be.
pub(super) fn basic(text: &str) -> String {
    let mut out = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            letter if letter.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04X}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out + "\""
}

/// A TOML array of texts.
pub(super) fn texts(texts: &[String]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| basic(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// A TOML array of numbers, each of which reads back as the same double.
pub(super) fn numbers(numbers: &[f64]) -> String {
    let texts: Vec<_> = numbers
        .iter()
        .map(|number| match number {
            number if number.is_nan() => "nan".to_owned(),
            number => format!("{number:?}"),
        })
        .collect();
    format!("[{}]", texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_numbers_are_toml() {
        for name in ["f1", "Total Time", "a\"b\\", "\u{7f}\n", "ü", "", "a.b"] {
            let text = format!(
                "{} = {}",
                key(name),
                numbers(&[f64::NAN, f64::INFINITY, -0.0, 1e300, 0.1])
            );
            let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            let values = table[name].as_array().unwrap();
            assert!(values[0].as_float().unwrap().is_nan());
            assert_eq!(values[3].as_float(), Some(1e300));
        }
    }
}
