//! As much of YAML as `MLmodel` files use: mappings, lists and scalars. Anchors and aliases, with which a small file
//! may expand to a huge one, are refused.

use saphyr_parser::{Event, Parser, ScalarStyle};

/// Levels of nesting. `MLmodel` files have five.
const NESTING_MAX: usize = 32;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Text(String),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

impl Node {
    /// The value of a key; none for anything but a mapping.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// A scalar's text.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// What is open while events come in.
enum Open {
    List(Vec<Node>),
    Map(Vec<(String, Node)>, Option<String>),
}

/// The first document of a text.
pub(super) fn parse(text: &str) -> Result<Node, String> {
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| error.to_string())?;
        let done = match event {
            Event::Alias(_) => {
                return Err(format!("line {}: aliases are not accepted", span.start.line()));
            }
            // Nothing, however it is spelt, is an empty text.
            Event::Scalar(text, ScalarStyle::Plain, ..) if matches!(text.as_ref(), "null" | "~") => {
                Node::Text(String::new())
            }
            Event::Scalar(text, ..) => Node::Text(text.into_owned()),
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() == NESTING_MAX => {
                return Err(format!(
                    "line {}: nested more than {NESTING_MAX} deep",
                    span.start.line()
                ));
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Vec::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(items)) => Node::List(items),
                Some(Open::Map(entries, _)) => Node::Map(entries),
                None => continue,
            },
            _ => continue,
        };
        match open.last_mut() {
            None => return Ok(done),
            Some(Open::List(items)) => items.push(done),
            Some(Open::Map(entries, key)) => match key.take() {
                Some(key) => entries.push((key, done)),
                None => match done {
                    Node::Text(text) => *key = Some(text),
                    _ => return Err(format!("line {}: a key is a text", span.start.line())),
                },
            },
        }
    }
    Err("there is nothing in it".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_mlflow_writes() {
        let text = "flavors:\n  xgboost:\n    code: null\n    data: model.ubj\nlist:\n- a\n- b: 'c\n\n    d'\nsignature:\n  inputs: '[{\"name\":\n    \"x\"}]'\n";
        let node = parse(text).unwrap();
        let data = node
            .get("flavors")
            .and_then(|node| node.get("xgboost"))
            .and_then(|node| node.get("data"));
        assert_eq!(data.and_then(Node::text), Some("model.ubj"));
        let inputs = node
            .get("signature")
            .and_then(|node| node.get("inputs"))
            .and_then(Node::text);
        assert_eq!(inputs, Some("[{\"name\": \"x\"}]"));
        let list = Node::List(vec![
            Node::Text("a".into()),
            Node::Map(vec![("b".into(), Node::Text("c\nd".into()))]),
        ]);
        assert_eq!(node.get("list"), Some(&list));
    }

    #[test]
    fn what_could_grow_is_refused() {
        assert!(parse("a: &x [1]\nb: *x\n").unwrap_err().contains("aliases"));
        assert!(parse(&"[".repeat(100)).is_err());
        assert!(parse("").is_err());
        assert!(parse("a: [").is_err());
    }
}
