//! As much of protobuf's text format as `config.pbtxt` uses: `name: value`, `name { … }`, `name: [ …, … ]`, comments.

/// Levels of nesting. Triton's configurations have five.
const NESTING_MAX: usize = 32;

/// A message: its fields in order, names repeated as they are.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Message(Vec<(String, Value)>);

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Message(Message),
    /// A string without its quotes.
    Text(String),
    /// A number, a boolean or an enum's word.
    Word(String),
}

impl Message {
    fn all<'m>(&'m self, name: &str) -> impl Iterator<Item = &'m Value> {
        self.0
            .iter()
            .filter(move |(field, _)| field == name)
            .map(|(_, value)| value)
    }

    /// The last string of a field, which is the one that counts.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.all(name)
            .filter_map(|value| match value {
                Value::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .last()
    }

    /// The messages of a field.
    pub(super) fn messages(&self, name: &str) -> Vec<&Self> {
        self.all(name)
            .filter_map(|value| match value {
                Value::Message(message) => Some(message),
                _ => None,
            })
            .collect()
    }

    /// The integers of a field.
    pub(super) fn numbers(&self, name: &str) -> Vec<i64> {
        self.all(name)
            .filter_map(|value| match value {
                Value::Word(word) => word.parse().ok(),
                _ => None,
            })
            .collect()
    }
}

/// The message of a text.
pub(super) fn parse(text: &str) -> Result<Message, String> {
    let mut reader = Reader { rest: text, text };
    let message = reader.message(None, 0)?;
    Ok(message)
}

struct Reader<'t> {
    text: &'t str,
    rest: &'t str,
}

impl<'t> Reader<'t> {
    /// Fields up to the closing brace, or to the end.
    fn message(&mut self, close: Option<char>, depth: usize) -> Result<Message, String> {
        if depth > NESTING_MAX {
            return self.fault("is nested too deep");
        }
        let mut message = Message::default();
        loop {
            self.space();
            match self.rest.chars().next() {
                None if close.is_none() => return Ok(message),
                None => return self.fault("ends within braces"),
                Some(letter) if Some(letter) == close => {
                    self.rest = &self.rest[1..];
                    return Ok(message);
                }
                Some(',' | ';') => self.rest = &self.rest[1..],
                Some(_) => self.field(&mut message, depth)?,
            }
        }
    }

    fn field(&mut self, message: &mut Message, depth: usize) -> Result<(), String> {
        let name = self.word();
        if name.is_empty() {
            return self.fault("has something else where a field's name should be");
        }
        let name = name.to_owned();
        self.space();
        let has_colon = self.eat(':');
        self.space();
        if self.eat('[') {
            loop {
                self.space();
                if self.eat(']') {
                    return Ok(());
                }
                if self.eat(',') {
                    continue;
                }
                let value = self.value(depth)?;
                message.0.push((name.clone(), value));
            }
        }
        if !has_colon && !self.rest.starts_with(['{', '<']) {
            return self.fault("has a field without a value");
        }
        let value = self.value(depth)?;
        message.0.push((name, value));
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if self.eat('{') {
            return self.message(Some('}'), depth + 1).map(Value::Message);
        }
        if self.eat('<') {
            return self.message(Some('>'), depth + 1).map(Value::Message);
        }
        if self.rest.starts_with(['"', '\'']) {
            return self.string().map(Value::Text);
        }
        let word = self.word();
        if word.is_empty() {
            return self.fault("has something else where a value should be");
        }
        Ok(Value::Word(word.to_owned()))
    }

    /// Strings beside one another are one.
    fn string(&mut self) -> Result<String, String> {
        let mut out = String::new();
        while let Some(quote @ ('"' | '\'')) = self.rest.chars().next() {
            self.rest = &self.rest[1..];
            loop {
                let mut letters = self.rest.chars();
                match letters.next() {
                    None | Some('\n') => return self.fault("has a string that does not end"),
                    Some(letter) if letter == quote => {
                        self.rest = letters.as_str();
                        break;
                    }
                    Some('\\') => {
                        out.extend(match letters.next() {
                            Some('n') => Some('\n'),
                            Some('t') => Some('\t'),
                            other => other,
                        });
                        self.rest = letters.as_str();
                    }
                    Some(letter) => {
                        out.push(letter);
                        self.rest = letters.as_str();
                    }
                }
            }
            self.space();
        }
        Ok(out)
    }

    fn word(&mut self) -> &'t str {
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || "_.-+".contains(letter);
        let end = self.rest.find(|letter| !is_part(letter)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn eat(&mut self, letter: char) -> bool {
        match self.rest.strip_prefix(letter) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn space(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            match self.rest.strip_prefix('#') {
                Some(comment) => self.rest = comment.split_once('\n').map_or("", |(_, rest)| rest),
                None => return,
            }
        }
    }

    fn fault<T>(&self, what: &str) -> Result<T, String> {
        let before = &self.text[..self.text.len() - self.rest.len()];
        Err(format!("line {} {what}", 1 + before.matches('\n').count()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_triton_takes() {
        let text = r#"
            backend: "fil" # why
            input [ { name: "input__0" dims: [ 50 ] }, { name: 'b' dims: [ -1, 7 ] } ]
            parameters { key: "model_type" value: { string_value: "xg" "boost_ubj" } }
            parameters [ { key: "x" value < string_value: "a\"b" > } ]
            instance_group [{ kind: KIND_AUTO }]
            dynamic_batching {}
        "#;
        let message = parse(text).unwrap();
        assert_eq!(message.text("backend"), Some("fil"));
        let inputs = message.messages("input");
        assert_eq!((inputs.len(), inputs[1].numbers("dims")), (2, vec![-1, 7]));
        let value = message.messages("parameters")[0].messages("value")[0];
        assert_eq!(value.text("string_value"), Some("xgboost_ubj"));
        let value = message.messages("parameters")[1].messages("value")[0];
        assert_eq!(value.text("string_value"), Some("a\"b"));
    }

    #[test]
    fn what_is_wrong_names_its_line() {
        for text in ["a", "a: ", "a {", "a: \"x", "}", "a: [1", "a: 1 {", "é: 1"] {
            let error = parse(&format!("b: 1\n{text}")).expect_err(text);
            assert!(error.starts_with("line 2 "), "{text}: {error}");
        }
        assert!(parse(&"a{".repeat(1000)).is_err());
    }
}
