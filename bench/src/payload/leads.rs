//! Leads out of a file: CSV (comma, semicolon or tab, found in its header) or NDJSON, flat or as `POST /score` takes
//! them.

use std::fs;
use std::path::Path;

use super::{BODIES_MAX, Lead, PayloadError, Value};

/// Reads the leads of a file, as many as are kept.
///
/// # Errors
/// A file that cannot be read, a line that is no lead, a file without leads.
pub fn read(path: &Path) -> Result<Vec<Lead>, PayloadError> {
    let text = text(path)?;
    let leads = if text.trim_start().starts_with('{') {
        ndjson(path, &text)?
    } else {
        csv(path, &text)?
    };
    if leads.is_empty() {
        return Err(PayloadError::Empty { path: path.into() });
    }
    Ok(leads)
}

/// A file's text.
///
/// # Errors
/// When it cannot be read or is not UTF-8.
pub fn text(path: &Path) -> Result<String, PayloadError> {
    fs::read_to_string(path).map_err(|source| PayloadError::Read {
        path: path.into(),
        source,
    })
}

fn csv(path: &Path, text: &str) -> Result<Vec<Lead>, PayloadError> {
    let header = text.lines().next().unwrap_or_default();
    let often = |separator: &u8| header.bytes().filter(|byte| byte == separator).count();
    let separator = [b',', b';', b'\t'].into_iter().max_by_key(often).unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .from_reader(text.as_bytes());
    let line = |error: &csv::Error| PayloadError::Line {
        path: path.into(),
        line: error.position().map_or(1, csv::Position::line),
        reason: error.to_string(),
    };
    let names = reader.headers().map_err(|error| line(&error))?.clone();
    let mut leads = Vec::new();
    for record in reader.records().take(BODIES_MAX) {
        let record = record.map_err(|error| line(&error))?;
        // Every second lead says that a value is missing, the others leave it out: both are the same to a server.
        let says_null = leads.len() % 2 == 0;
        let lead = names.iter().zip(&record).filter_map(|(name, cell)| match cell.trim() {
            "" if says_null => Some((name.to_owned(), Value::Null)),
            "" => None,
            cell => Some((name.to_owned(), value(cell))),
        });
        leads.push(lead.collect());
    }
    Ok(leads)
}

fn value(cell: &str) -> Value {
    match cell.parse::<f64>() {
        Ok(number) if number.is_finite() => Value::Number(number),
        _ => Value::Text(cell.to_owned()),
    }
}

fn ndjson(path: &Path, text: &str) -> Result<Vec<Lead>, PayloadError> {
    let mut leads = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        if line.trim().is_empty() || leads.len() == BODIES_MAX {
            continue;
        }
        let lead = lead(line).map_err(|reason| PayloadError::Line {
            path: path.into(),
            line: number,
            reason,
        })?;
        leads.push(lead);
    }
    Ok(leads)
}

fn lead(line: &str) -> Result<Lead, String> {
    use serde_json::Value as Json;
    let object: Json = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let features = match object {
        Json::Object(mut object) => match object.remove("features") {
            Some(Json::Object(features)) => features,
            Some(_) => return Err("\"features\" must be an object of names and values".into()),
            None => object,
        },
        _ => return Err("a lead must be an object of names and values".into()),
    };
    let one = |(name, value): (String, Json)| {
        let value = match value {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Boolean(value),
            Json::Number(number) => Value::Number(number.as_f64().ok_or("a number is beyond a double")?),
            Json::String(text) => Value::Text(text),
            Json::Array(_) | Json::Object(_) => {
                return Err(format!("{name:?} must be a number, a string, true, false or null"));
            }
        };
        Ok((name, value))
    };
    features
        .into_iter()
        .filter(|(name, _)| name != "lead_id")
        .map(one)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> &'static Path {
        Path::new("leads")
    }

    #[test]
    fn a_header_says_what_separates() {
        for text in [
            "a,b;c,d\n1,x,\n,y,3\n",
            "a;b,c;d\n1;x;\n;y;3\n",
            "a\tb\td\n1\tx\t\n\ty\t3\n",
        ] {
            let leads = csv(path(), text).expect("it is CSV");
            assert_eq!(leads[0][0], ("a".to_owned(), Value::Number(1.0)));
            assert_eq!(leads[0][1].1, Value::Text("x".to_owned()));
            assert_eq!(leads[0][2].1, Value::Null);
            assert_eq!(leads[1].len(), 2, "a missing value is left out of every second lead");
        }
    }

    #[test]
    fn both_shapes_of_a_line_are_one_lead() {
        let lines =
            "{\"lead_id\":\"x\",\"a\":1,\"b\":\"u\"}\n\n{\"lead_id\":\"y\",\"features\":{\"a\":1,\"b\":\"u\"}}\n";
        let leads = ndjson(path(), lines).expect("they are leads");
        assert_eq!(leads.len(), 2);
        assert_eq!(leads[0], leads[1]);
    }

    #[test]
    fn faults_name_their_line() {
        for (text, reason) in [
            ("{\"a\":1}\n{\"a\":[1]}", "must be a number"),
            ("{\"a\":1}\n[]", "must be an object"),
            ("{\"a\":1}\n{", "EOF"),
            ("{\"a\":1}\n{\"features\":1}", "must be an object"),
        ] {
            let error = ndjson(path(), text).expect_err(text).to_string();
            assert!(error.contains("line 2") && error.contains(reason), "{error}");
        }
        let error = csv(path(), "a,b\n1,2\n1\n")
            .expect_err("a field is missing")
            .to_string();
        assert!(error.contains("line 3"), "{error}");
    }
}
