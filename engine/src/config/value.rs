//! Kinds of values: what each accepts, from a text (variables and flags) or a TOML value, and how it is stored.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use quintile_model::nearest::nearest;
use quintile_scoring::text::{clip, excerpt};
use toml::de::DeValue;

use super::Settings;
use super::units::Unit;

/// Bytes of a text or path. Linux takes paths of 4,096.
const TEXT_BYTES_MAX: usize = 4096;

/// The word for an empty list.
const NONE: &str = "none";

/// A kind of value, with the function that stores one.
pub(crate) enum ValueKind {
    /// Any text that `check` takes; `form` says what that is.
    Text {
        form: &'static str,
        check: fn(&str) -> Result<(), String>,
        set: fn(&mut Settings, String),
    },
    /// A path, which need not be UTF-8 when it comes from a variable or flag.
    Path { set: fn(&mut Settings, PathBuf) },
    /// One of a few words. `set` says whether it knows the word, and it knows all of `words`.
    Word {
        words: fn() -> Vec<&'static str>,
        set: fn(&mut Settings, &str) -> bool,
    },
    /// Some of a few words, each once: a list in the file, with commas between them elsewhere. `none` alone is no word.
    Words {
        words: fn() -> Vec<&'static str>,
        set: fn(&mut Settings, &[&str]),
    },
    /// Any number of texts that `check` takes, each once: a list in the file, with commas between them elsewhere.
    /// `none` alone is no text.
    Texts {
        form: &'static str,
        check: fn(&str) -> Result<(), String>,
        set: fn(&mut Settings, Vec<String>),
    },
    /// A whole number.
    Count {
        range: RangeInclusive<usize>,
        unit: &'static str,
        set: fn(&mut Settings, usize),
    },
    /// A number.
    Number {
        range: RangeInclusive<f64>,
        unit: &'static str,
        set: fn(&mut Settings, f64),
    },
    /// A duration in whole milliseconds.
    Millis {
        range: RangeInclusive<usize>,
        set: fn(&mut Settings, Duration),
    },
    /// A duration in seconds, fractions allowed.
    Seconds {
        range: RangeInclusive<f64>,
        set: fn(&mut Settings, Duration),
    },
}

/// What is wrong with a value: the fault's message after the key's name, and its hint.
#[derive(Debug, PartialEq)]
pub(crate) struct ValueError {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl ValueKind {
    /// What its numbers count, where people write that with a unit.
    pub(crate) fn unit(&self) -> Option<Unit> {
        match self {
            Self::Count { unit, .. } => Unit::named(unit),
            Self::Millis { .. } => Some(Unit::Millis),
            Self::Seconds { .. } => Some(Unit::Seconds),
            _ => None,
        }
    }

    /// A text with a unit as the plain number that it means; any other as it is.
    pub(crate) fn plain<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.unit().and_then(|unit| unit.read(text)) {
            Some(Ok(number)) => number.to_string().into(),
            _ => text.into(),
        }
    }

    /// What it accepts, as errors and help say it.
    pub(crate) fn accepts(&self) -> String {
        let accepts = self.accepts_plain();
        match self.unit() {
            Some(unit) => format!("{accepts}, or with a unit, as {}", unit.examples()),
            None => accepts,
        }
    }

    /// The same without other ways to write a number.
    pub(crate) fn accepts_plain(&self) -> String {
        match self {
            Self::Text { form, .. } => (*form).to_owned(),
            Self::Path { .. } => "a path".into(),
            Self::Word { words, .. } => words().join(", "),
            Self::Words { words, .. } => format!("one or several of {}, or none", words().join(", ")),
            Self::Texts { form, .. } => format!("a list of {form}, or none"),
            Self::Count { range, unit, .. } => spaced(
                format!("a whole number from {} to {}", range.start(), range.end()),
                unit,
            ),
            Self::Number { range, unit, .. } => {
                spaced(format!("a number from {} to {}", range.start(), range.end()), unit)
            }
            Self::Millis { range, .. } => format!("a whole number from {} to {} ms", range.start(), range.end()),
            Self::Seconds { range, .. } => format!("a number from {} to {} s", range.start(), range.end()),
        }
    }

    /// What a flag's value is called in the help.
    pub(crate) fn placeholder(&self) -> &'static str {
        match self {
            Self::Text { form, .. } => form.split(',').next().unwrap_or("TEXT"),
            Self::Path { .. } => "PATH",
            Self::Word { .. } => "NAME",
            Self::Words { .. } => "NAMES",
            Self::Texts { .. } => "LIST",
            Self::Count { .. } | Self::Millis { .. } => "N",
            Self::Number { .. } | Self::Seconds { .. } => "X",
        }
    }

    /// Stores a text.
    pub(crate) fn store_text(&self, settings: &mut Settings, text: &OsStr) -> Result<(), ValueError> {
        if let Self::Path { set } = self {
            return check_path(text).map(|()| set(settings, text.into())).map_err(|why| {
                let mut wrong = self.wrong(why);
                wrong.hint = url_hint(text);
                wrong
            });
        }
        let Some(text) = text.to_str() else {
            return Err(self.wrong("is not UTF-8".into()));
        };
        match self {
            Self::Path { .. } => Ok(()),
            Self::Text { .. } | Self::Word { .. } => self.store_word(settings, text),
            Self::Words { .. } | Self::Texts { .. } => self.store_list(settings, text.split(',')),
            _ if self.has_unit(text) => self.store_measure(settings, text),
            Self::Count { .. } | Self::Millis { .. } => match text.parse() {
                Ok(whole) => self.store_whole(settings, whole),
                Err(_) => Err(self.wrong(format!("is {}", excerpt(text)))),
            },
            Self::Number { .. } | Self::Seconds { .. } => match text.parse() {
                Ok(number) => self.store_number(settings, number),
                Err(_) => Err(self.wrong(format!("is {}", excerpt(text)))),
            },
        }
    }

    /// Stores a TOML value.
    pub(crate) fn store_toml(&self, settings: &mut Settings, value: &DeValue<'_>) -> Result<(), ValueError> {
        match (self, value) {
            (Self::Text { .. } | Self::Word { .. }, DeValue::String(text)) => self.store_word(settings, text),
            (Self::Words { .. } | Self::Texts { .. }, DeValue::Array(words)) => {
                let texts: Option<Vec<_>> = words.iter().map(|word| word.get_ref().as_str()).collect();
                match texts {
                    Some(texts) => self.store_list(settings, texts.into_iter()),
                    None => Err(self.wrong("holds more than texts".into())),
                }
            }
            (Self::Path { .. }, DeValue::String(text)) => self.store_text(settings, OsStr::new(text.as_ref())),
            (Self::Count { .. } | Self::Millis { .. }, DeValue::Integer(integer)) => {
                match i128::from_str_radix(integer.as_str(), integer.radix()) {
                    Ok(whole) => self.store_whole(settings, whole),
                    Err(_) => Err(self.wrong(format!("is {}", excerpt(integer.as_str())))),
                }
            }
            (Self::Number { .. } | Self::Seconds { .. }, DeValue::Integer(number)) => {
                let whole = i128::from_str_radix(number.as_str(), number.radix()).ok();
                // Ranges end far below the numbers that a double cannot hold.
                let number = whole
                    .and_then(|whole| i32::try_from(whole).ok())
                    .map_or(f64::INFINITY, f64::from);
                self.store_number(settings, number)
            }
            (Self::Number { .. } | Self::Seconds { .. }, DeValue::Float(number)) => {
                self.store_number(settings, number.as_str().parse().unwrap_or(f64::NAN))
            }
            (_, DeValue::String(text)) if self.has_unit(text) => self.store_measure(settings, text),
            _ => Err(self.wrong_type(value)),
        }
    }

    fn has_unit(&self, text: &str) -> bool {
        self.unit().is_some_and(|unit| unit.read(text).is_some())
    }

    /// Stores a number that has a unit.
    fn store_measure(&self, settings: &mut Settings, text: &str) -> Result<(), ValueError> {
        let Some((unit, read)) = self.unit().and_then(|unit| Some((unit, unit.read(text)?))) else {
            return Ok(());
        };
        let number = read.map_err(|why| self.wrong(why))?;
        let outside = || {
            let sign = unit.sign();
            self.wrong(format!("is {}, which is {number} {sign}", excerpt(text)))
        };
        match self {
            Self::Seconds { .. } => self.store_number(settings, number).map_err(|_| outside()),
            _ if number.fract() != 0.0 => Err(outside()),
            _ => self.store_whole(settings, whole(number)).map_err(|_| outside()),
        }
    }

    fn store_word(&self, settings: &mut Settings, text: &str) -> Result<(), ValueError> {
        match self {
            Self::Text { check, set, .. } => {
                if text.len() > TEXT_BYTES_MAX {
                    return Err(self.wrong(format!("has {} bytes, more than {TEXT_BYTES_MAX}", text.len())));
                }
                check(text).map_err(|why| self.wrong(format!("is {}{why}", excerpt(text))))?;
                set(settings, text.to_owned());
            }
            Self::Word { words, set } if !set(settings, text) => {
                let mut wrong = self.wrong(format!("is {}", excerpt(text)));
                wrong.hint = nearest(text, words()).map(|word| format!("did you mean {word:?}?"));
                return Err(wrong);
            }
            _ => {}
        }
        Ok(())
    }

    fn store_list<'t>(&self, settings: &mut Settings, texts: impl Iterator<Item = &'t str>) -> Result<(), ValueError> {
        let mut found: Vec<&str> = Vec::new();
        for text in texts.map(str::trim) {
            if text == NONE && found.is_empty() {
                found.push(text);
                continue;
            }
            if found.first() == Some(&NONE) || text == NONE {
                return Err(self.wrong(format!("names {NONE} and others")));
            }
            self.check_item(text)?;
            if found.contains(&text) {
                return Err(self.wrong(format!("names {} twice", excerpt(text))));
            }
            found.push(text);
        }
        found.retain(|&text| text != NONE);
        match self {
            Self::Words { set, .. } => set(settings, &found),
            Self::Texts { set, .. } => set(settings, found.into_iter().map(str::to_owned).collect()),
            _ => {}
        }
        Ok(())
    }

    /// Whether a list may hold a text.
    fn check_item(&self, text: &str) -> Result<(), ValueError> {
        match self {
            Self::Words { words, .. } if !words().contains(&text) => {
                let mut wrong = self.wrong(format!("names {}", excerpt(text)));
                wrong.hint = nearest(text, words()).map(|word| format!("did you mean {word:?}?"));
                Err(wrong)
            }
            Self::Texts { .. } if text.len() > TEXT_BYTES_MAX => Err(self.wrong(format!(
                "names a text of {} bytes, more than {TEXT_BYTES_MAX}",
                text.len()
            ))),
            Self::Texts { check, .. } => check(text).map_err(|why| self.wrong(format!("names {}{why}", excerpt(text)))),
            _ => Ok(()),
        }
    }

    fn store_whole(&self, settings: &mut Settings, whole: i128) -> Result<(), ValueError> {
        let (Self::Count { range, .. } | Self::Millis { range, .. }) = self else {
            return Ok(());
        };
        let Some(number) = usize::try_from(whole).ok().filter(|number| range.contains(number)) else {
            return Err(self.outside(whole as f64, format!("is {whole}")));
        };
        match self {
            Self::Count { set, .. } => set(settings, number),
            Self::Millis { set, .. } => set(settings, Duration::from_millis(number as u64)),
            _ => {}
        }
        Ok(())
    }

    fn store_number(&self, settings: &mut Settings, number: f64) -> Result<(), ValueError> {
        let (Self::Number { range, .. } | Self::Seconds { range, .. }) = self else {
            return Ok(());
        };
        if !range.contains(&number) {
            return Err(self.outside(number, format!("is {number}")));
        }
        match self {
            Self::Number { set, .. } => set(settings, number),
            Self::Seconds { set, .. } => set(settings, Duration::from_secs_f64(number)),
            _ => {}
        }
        Ok(())
    }

    /// A number outside of the range, with the one that was probably meant.
    fn outside(&self, number: f64, what: String) -> ValueError {
        let accepted = |number: f64| match self {
            Self::Count { range, .. } | Self::Millis { range, .. } => {
                number.fract() == 0.0 && number >= *range.start() as f64 && number <= *range.end() as f64
            }
            Self::Number { range, .. } | Self::Seconds { range, .. } => range.contains(&number),
            _ => false,
        };
        let mut wrong = self.wrong(what);
        wrong.hint = self.unit().and_then(|unit| unit.meant(number, accepted));
        wrong
    }

    fn wrong(&self, what: String) -> ValueError {
        ValueError {
            message: format!("{what}; accepted: {}", self.accepts()),
            hint: None,
        }
    }

    /// A TOML value of another type than the key's, with a hint where one sign too many or too few explains it.
    fn wrong_type(&self, value: &DeValue<'_>) -> ValueError {
        if let (Self::Words { .. } | Self::Texts { .. }, DeValue::String(text)) = (self, value) {
            let mut wrong = self.wrong("is of type string".into());
            wrong.hint = Some(format!("write it in brackets, as [{}]", excerpt(text)));
            return wrong;
        }
        let is_number = !matches!(
            self,
            Self::Text { .. } | Self::Path { .. } | Self::Word { .. } | Self::Words { .. } | Self::Texts { .. }
        );
        let hint = match value {
            DeValue::String(text) if is_number && text.trim().parse::<f64>().is_ok() => Some("write it without quotes"),
            DeValue::Float(_) if self.unit().is_some() => Some("write a whole number, or a text with a unit in quotes"),
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) if !is_number => Some("write it in quotes"),
            _ => None,
        };
        let mut wrong = self.wrong(format!("is of type {}", value.type_str()));
        wrong.hint = hint.map(str::to_owned);
        wrong
    }
}

/// A whole number that a double holds. What is outside of every range becomes the nearest that an `i128` has.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float becomes the nearest integer, and none is left out"
)]
fn whole(number: f64) -> i128 {
    number as i128
}

fn spaced(text: String, unit: &str) -> String {
    if unit.is_empty() {
        text
    } else {
        format!("{text} {unit}")
    }
}

/// What to do with a URL where a path is needed.
fn url_hint(path: &OsStr) -> Option<String> {
    let url = path.to_str().filter(|path| path.contains("://"))?;
    let name = url
        .rsplit('/')
        .next()
        .filter(|name| !name.is_empty())
        .unwrap_or("model");
    let (url, name) = (clip(url, 200), clip(name, 100));
    Some(match url.split("://").next() {
        // A folder is where records are to go, a file is a model.
        Some("s3") if !name.contains('.') => {
            format!("records go to S3 with records.sinks = [\"s3\"] and records.s3_url = \"{url}\"")
        }
        Some("s3") => format!("copy it here first: aws s3 cp {url} {name}"),
        Some("file") => "leave file:// out".into(),
        _ => format!("copy it here first: curl -o {name} {url}"),
    })
}

fn check_path(path: &OsStr) -> Result<(), String> {
    let bytes = path.as_encoded_bytes();
    if bytes.is_empty() {
        return Err("is empty".into());
    }
    if bytes.len() > TEXT_BYTES_MAX {
        return Err(format!("has {} bytes, more than {TEXT_BYTES_MAX}", bytes.len()));
    }
    if bytes.contains(&0) {
        return Err("contains a zero byte".into());
    }
    if let Some((scheme, _)) = path.to_str().and_then(|path| path.split_once("://")) {
        return Err(format!("is a URL ({scheme}://…), not a path on this machine"));
    }
    Ok(())
}
