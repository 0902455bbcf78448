//! The JSON that commands print: objects whose values are written as they come.

use quintile_scoring::render;

/// A JSON object that is being written.
#[derive(Default)]
pub(super) struct Object(String);

impl Object {
    /// Adds a value that is JSON already.
    pub(super) fn raw(&mut self, name: &str, value: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push_str(&quoted(name));
        self.0.push(':');
        self.0.push_str(value);
    }

    /// Adds a string, or null.
    pub(super) fn text(&mut self, name: &str, value: Option<&str>) {
        let value = value.map_or_else(|| "null".into(), quoted);
        self.raw(name, &value);
    }

    /// The object's text.
    pub(super) fn finish(self) -> String {
        self.0 + "}"
    }
}

/// A list of values that are JSON already.
pub(super) fn array(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(","))
}

/// A JSON string.
pub(super) fn quoted(text: &str) -> String {
    let mut out = Vec::new();
    render::string(&mut out, text);
    String::from_utf8_lossy(&out).into_owned()
}
