//! The answer of an endpoint → predictions. There is no common format, so every common form is read.
//!
//! `0.25` · `0.1,0.9` · `[0.25]` · `{"predictions":[{"score":0.25}]}` (the built-in XGBoost container) ·
//! `{"predictions":[[0.1,0.9]]}` (TensorFlow Serving) · `{"outputs":[{"data":[0.25]}]}` (Open Inference Protocol)

use simd_json::prelude::{ValueAsArray as _, ValueAsScalar as _, ValueObjectAccess as _};
use simd_json::{BorrowedValue, to_borrowed_value};

/// Bytes of an answer that are looked at: predictions of one row, with room for a container that says more.
pub(super) const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Where an object may hold predictions, first match first.
const NAMES: [&str; 9] = [
    "predictions",
    "prediction",
    "score",
    "scores",
    "probability",
    "probabilities",
    "outputs",
    "data",
    "result",
];

/// Objects and lists in each other that are looked through.
const DEPTH_MAX: usize = 8;

/// The predictions of one row.
///
/// # Errors
/// What the answer is instead, in words.
pub(super) fn predictions(body: &[u8]) -> Result<Vec<f64>, String> {
    if body.len() > ANSWER_BYTES_MAX {
        return Err(format!(
            "the answer has {} bytes, more than {ANSWER_BYTES_MAX}",
            body.len()
        ));
    }
    let text = std::str::from_utf8(body)
        .map_err(|_| "the answer is not UTF-8".to_owned())?
        .trim();
    let numbers = if text.starts_with(['{', '[']) {
        let mut bytes = text.as_bytes().to_vec();
        let value = to_borrowed_value(&mut bytes).map_err(|_| "the answer is no JSON".to_owned())?;
        find(&value, DEPTH_MAX)
    } else {
        text.split([',', '\n'])
            .map(|cell| cell.trim().parse::<f64>().ok())
            .collect()
    };
    let numbers = numbers.ok_or_else(|| "the answer holds no predictions".to_owned())?;
    if numbers.iter().all(|number| number.is_finite()) {
        Ok(numbers)
    } else {
        Err("the answer holds a number that is not finite".into())
    }
}

fn find(value: &BorrowedValue<'_>, depth: usize) -> Option<Vec<f64>> {
    if depth == 0 {
        return None;
    }
    if let Some(number) = value.cast_f64() {
        return Some(vec![number]);
    }
    if let Some(list) = value.as_array() {
        let numbers: Option<Vec<f64>> = list.iter().map(|element| element.cast_f64()).collect();
        return match (numbers, list.as_slice()) {
            (Some(numbers), _) if !numbers.is_empty() => Some(numbers),
            // One row was asked about.
            (_, [only]) => find(only, depth - 1),
            _ => None,
        };
    }
    NAMES
        .iter()
        .find_map(|name| value.get(*name))
        .and_then(|inner| find(inner, depth - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_common_form_is_read() {
        for (body, expected) in [
            ("0.25", &[0.25][..]),
            ("0.16741915\n", &[0.167_419_15]),
            ("1", &[1.0]),
            ("0.1,0.2,0.7", &[0.1, 0.2, 0.7]),
            ("0.1\n0.9\n", &[0.1, 0.9]),
            ("[0.25]", &[0.25]),
            (" [[0.1, 0.9]] ", &[0.1, 0.9]),
            (r#"{"predictions":[{"score":0.25}]}"#, &[0.25]),
            (r#"{"predictions":[[0.1,0.9]]}"#, &[0.1, 0.9]),
            (r#"{"predictions":[0.25],"model":"x"}"#, &[0.25]),
            (
                r#"{"model_name":"m","outputs":[{"name":"p","shape":[1,1],"data":[3]}]}"#,
                &[3.0],
            ),
            (r#"{"result":{"probability":1e-9}}"#, &[1e-9]),
        ] {
            assert_eq!(predictions(body.as_bytes()).as_deref(), Ok(expected), "{body}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_a_reason() {
        let nested = "[".repeat(400) + &"]".repeat(400);
        for (body, says) in [
            ("", "holds no predictions"),
            ("body", "holds no predictions"),
            ("0.1,,0.2", "holds no predictions"),
            ("nan", "not finite"),
            ("[1, \"a\"]", "holds no predictions"),
            ("[]", "holds no predictions"),
            ("{}", "holds no predictions"),
            ("[[1],[2]]", "holds no predictions"),
            ("{\"a\":", "no JSON"),
            (nested.as_str(), "answer"),
        ] {
            let error = predictions(body.as_bytes()).unwrap_err();
            assert!(error.contains(says), "{body}: {error}");
        }
        assert!(predictions(&[0xFF]).unwrap_err().contains("UTF-8"));
        assert!(
            predictions(&vec![b'1'; ANSWER_BYTES_MAX + 1])
                .unwrap_err()
                .contains("bytes")
        );
    }
}
