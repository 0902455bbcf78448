//! One cell of results as text, and whether a text is a number.

use quintile_model::Model;

use super::Output;

/// The number of a cell, NaN when it is missing; none when it is neither.
pub(super) fn value(cell: &[u8]) -> Option<f64> {
    let cell = cell.trim_ascii();
    let is_missing = cell.is_empty() || cell.eq_ignore_ascii_case(b"nan") || cell.eq_ignore_ascii_case(b"null");
    if is_missing {
        return Some(f64::NAN);
    }
    std::str::from_utf8(cell).ok()?.parse().ok()
}

/// The columns of the results.
pub(super) fn names(output: Output, model: &Model) -> Vec<String> {
    let numbered = |name: &str, count: usize| match count {
        1 => vec![name.to_owned()],
        _ => (0..count).map(|index| format!("{name}_{index}")).collect(),
    };
    match output {
        Output::Margin => numbered("margin", model.margin_len()),
        Output::Prediction => numbered("prediction", model.prediction_len()),
        Output::Score => numbered("score", 1),
        Output::Contributions => {
            let of_output = |prefix: String| {
                let names = model.schema().names().chain(std::iter::once("bias"));
                names.map(|name| format!("{prefix}.{name}")).collect::<Vec<_>>()
            };
            let prefixes = numbered("contribution", model.margin_len());
            prefixes.into_iter().flat_map(of_output).collect()
        }
        Output::Rows => {
            let predictions = match model.probability_output() {
                Some(_) => numbered("probability", 1),
                None => numbered("prediction", model.prediction_len()),
            };
            [numbered("score", 1), predictions, numbered("error", 1)].concat()
        }
    }
}

/// A cell of text on its own.
#[must_use]
pub fn csv_cell(cell: &str) -> String {
    let mut line = Vec::new();
    text(&mut line, cell);
    String::from_utf8_lossy(&line).into_owned()
}

/// A cell of text, in quotes where it needs them.
pub(super) fn text(line: &mut Vec<u8>, text: &str) {
    bytes(line, text.as_bytes(), b',');
}

/// The same of bytes that need not be text, between cells that another sign may separate.
pub(super) fn bytes(line: &mut Vec<u8>, bytes: &[u8], separator: u8) {
    if !bytes.iter().any(|byte| b"\"\n\r".contains(byte) || *byte == separator) {
        return line.extend_from_slice(bytes);
    }
    quoted(line, bytes);
}

/// The same in quotes.
fn quoted(line: &mut Vec<u8>, bytes: &[u8]) {
    line.push(b'"');
    for &byte in bytes {
        if byte == b'"' {
            line.push(b'"');
        }
        line.push(byte);
    }
    line.push(b'"');
}

/// Numbers with commas between them, each the shortest decimal that reads back as the same double.
pub(super) fn numbers(line: &mut Vec<u8>, numbers: &[f64]) {
    for (index, &number) in numbers.iter().enumerate() {
        if index > 0 {
            line.push(b',');
        }
        let text: &[u8] = match number {
            _ if number.is_finite() => {
                line.extend_from_slice(zmij::Buffer::new().format_finite(number).as_bytes());
                continue;
            }
            _ if number.is_nan() => b"nan",
            _ if number < 0.0 => b"-inf",
            _ => b"inf",
        };
        line.extend_from_slice(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_is_empty_nan_or_null_and_nothing_else() {
        for cell in ["", " ", "nan", "NaN", "NAN", "null", "NULL", " nan\r", "-nan"] {
            assert!(value(cell.as_bytes()).unwrap().is_nan(), "{cell:?}");
        }
        for cell in [
            "NA", "N/A", "none", "-", "x", "1,5", "1_000", "0x10", "1e", "true", "1 2", "\u{661}", "--1", "nan0",
        ] {
            assert_eq!(value(cell.as_bytes()), None, "{cell:?}");
        }
        assert_eq!(value(b"\xff\xfe"), None);
    }

    #[test]
    fn numbers_are_read_as_python_reads_them() {
        let cases = [
            ("1", 1.0),
            ("-0.0", -0.0),
            ("+1.5", 1.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("1E-3", 0.001),
            (" 2\r", 2.0),
            ("1e400", f64::INFINITY),
            ("-1e400", f64::NEG_INFINITY),
            ("inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("1e-400", 0.0),
            ("0.1000000000000000055511151231257827021181583404541015625", 0.1),
            ("179769313486231570814527423731704356798070e267", f64::MAX),
            ("9007199254740993", 9_007_199_254_740_992.0),
            ("4.9e-324", 5e-324),
        ];
        for (cell, expected) in cases {
            assert_eq!(value(cell.as_bytes()).unwrap().to_bits(), expected.to_bits(), "{cell}");
        }
    }

    #[test]
    fn numbers_are_written_shortest_and_read_back() {
        let text = |number: f64| {
            let mut line = Vec::new();
            numbers(&mut line, &[number]);
            String::from_utf8(line).unwrap()
        };
        let f32s = (0..200_000u32).map(|index| f64::from(f32::from_bits(index.wrapping_mul(2_654_435_761))));
        let f64s = (0..200_000u64).map(|index| f64::from_bits(index.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        for number in f32s.chain(f64s).chain([0.0, -0.0, 5e-324, f64::MAX, f64::MIN_POSITIVE]) {
            let written = text(number);
            if number.is_nan() {
                assert_eq!(written, "nan");
                continue;
            }
            assert_eq!(written.parse::<f64>().unwrap().to_bits(), number.to_bits(), "{written}");
            let digits = |text: &str| {
                let mantissa = text.split('e').next().unwrap_or_default();
                let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
                digits.trim_matches('0').len()
            };
            assert_eq!(
                digits(&written),
                digits(&format!("{number:e}")),
                "{written} is not the shortest"
            );
        }
        assert_eq!(
            [f64::INFINITY, f64::NEG_INFINITY, -f64::NAN, 1.0].map(text),
            ["inf", "-inf", "nan", "1.0"]
        );
    }
}
