//! What became of leads: a file with a column of lead ids and one that says whether the lead converted.
//!
//! 16 bytes a lead: the first 127 bits of the id's SHA-256 and the outcome.

use std::fs::File;
use std::path::Path;

use arrow_array::Array as _;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sha2::Digest as _;

use super::ReplayError;
use crate::rows::numbers::id_text;
use crate::rows::{Format, compression_of};
use crate::text::excerpt;

/// The column of ids.
const LEAD_ID: &str = "lead_id";

/// The column that says what became of a lead, unless another one is named or there are two columns only.
const OUTCOME: &str = "outcome";

/// Whether leads converted, by their ids.
#[derive(Debug, Default)]
pub struct LeadOutcomes {
    /// Sorted; the lowest bit is the outcome.
    keys: Vec<u128>,
}

fn key(lead_id: &str) -> u128 {
    let digest = sha2::Sha256::digest(lead_id.as_bytes());
    let bytes = std::array::from_fn(|index| digest[index]);
    u128::from_be_bytes(bytes) & !1
}

/// The outcome that a cell states; none for an empty one.
pub(crate) fn outcome(cell: &str) -> Result<Option<bool>, String> {
    let cell = cell.trim();
    match cell.to_ascii_lowercase().as_str() {
        "1" | "1.0" | "true" | "yes" => Ok(Some(true)),
        "0" | "0.0" | "false" | "no" => Ok(Some(false)),
        "" | "nan" | "null" | "none" => Ok(None),
        _ => Err(format!(
            "{} is no outcome; accepted: 1 or 0, true or false, yes or no, and nothing where it is not known",
            excerpt(cell)
        )),
    }
}

impl LeadOutcomes {
    /// Reads a file of CSV or Parquet. `column` names the outcomes' column.
    ///
    /// # Errors
    /// What is wrong with the file, and where.
    pub fn read(path: &Path, column: Option<&str>) -> Result<Self, ReplayError> {
        let mut outcomes = Self::default();
        let read = match (Format::of_file(path), compression_of(path)) {
            (_, Some(_)) => Err("it is compressed; accepted: CSV or Parquet as it is".into()),
            (Some(Format::Parquet), _) => outcomes.read_parquet(path, column),
            (Some(Format::Csv), _) | (None, _) => outcomes.read_csv(path, column),
            (Some(Format::Ndjson), _) => Err("it is named as lines of JSON; accepted: CSV or Parquet".into()),
        };
        let read = read.and_then(|()| outcomes.sort());
        read.map(|()| outcomes).map_err(|says| ReplayError::Outcomes {
            path: path.to_path_buf(),
            says,
        })
    }

    /// Leads whose outcome is known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no outcome is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether a lead converted, where that is known.
    #[must_use]
    pub fn of(&self, lead_id: &str) -> Option<bool> {
        let key = key(lead_id);
        let place = self.keys.partition_point(|&known| known < key);
        let &known = self.keys.get(place).filter(|&&known| known & !1 == key)?;
        Some(known & 1 == 1)
    }

    fn read_csv(&mut self, path: &Path, column: Option<&str>) -> Result<(), String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        let separator = if path.extension().is_some_and(|ending| ending == "tsv") {
            b'\t'
        } else {
            b','
        };
        let mut reader = csv::ReaderBuilder::new().delimiter(separator).from_reader(file);
        let header = reader.headers().map_err(|error| error.to_string())?.clone();
        // Excel puts a mark before the first name.
        let names: Vec<&str> = header
            .iter()
            .map(|name| name.trim_start_matches('\u{feff}').trim())
            .collect();
        let (id, outcome) = columns(&names, column)?;
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).map_err(|error| error.to_string())? {
            let line = record.position().map_or(0, csv::Position::line);
            let cell = |place: usize| record.get(place).unwrap_or_default();
            self.add(cell(id), cell(outcome))
                .map_err(|says| format!("line {line}: {says}"))?;
        }
        Ok(())
    }

    fn read_parquet(&mut self, path: &Path, column: Option<&str>) -> Result<(), String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| error.to_string())?;
        let fields = builder.schema().fields().clone();
        let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
        let (id, outcome) = columns(&names, column)?;
        let mut row = 0_u64;
        for batch in builder.build().map_err(|error| error.to_string())? {
            let batch = batch.map_err(|error| error.to_string())?;
            let text = |column: usize, index: usize| id_text(batch.column(column), index).unwrap_or_default();
            for index in 0..batch.column(id).len() {
                row += 1;
                self.add(&text(id, index), &text(outcome, index))
                    .map_err(|says| format!("row {row}: {says}"))?;
            }
        }
        Ok(())
    }

    fn add(&mut self, lead_id: &str, cell: &str) -> Result<(), String> {
        if let Some(is_converted) = outcome(cell)? {
            self.keys.push(key(lead_id) | u128::from(is_converted));
        }
        Ok(())
    }

    /// A lead may be in the file twice, but not with two outcomes.
    fn sort(&mut self) -> Result<(), String> {
        self.keys.sort_unstable();
        self.keys.dedup();
        let both = self.keys.windows(2).filter(|pair| pair[0] & !1 == pair[1] & !1).count();
        match both {
            0 => Ok(()),
            leads => Err(format!("{leads} lead ids have both outcomes; each lead needs one")),
        }
    }
}

/// The places of the ids and of the outcomes.
fn columns(names: &[&str], wanted: Option<&str>) -> Result<(usize, usize), String> {
    let place = |name: &str| names.iter().position(|own| *own == name);
    let listed = || {
        names
            .iter()
            .take(20)
            .map(|name| excerpt(name))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let id = place(LEAD_ID).ok_or_else(|| format!("it has no column {LEAD_ID}; it has {}", listed()))?;
    let outcome = match (wanted, names.len()) {
        (Some(wanted), _) => place(wanted),
        (None, 2) => Some(1 - id),
        (None, _) => place(OUTCOME),
    };
    let outcome = outcome.ok_or_else(|| {
        let wanted = excerpt(wanted.unwrap_or(OUTCOME));
        format!(
            "it has no column {wanted}, which says what became of leads (--outcome-column); it has {}",
            listed()
        )
    })?;
    Ok((id, outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_csv(text: &str, column: Option<&str>) -> Result<LeadOutcomes, String> {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("quintile-outcomes-{}-{number}.csv", std::process::id()));
        std::fs::write(&path, text).unwrap();
        let outcomes = LeadOutcomes::read(&path, column);
        std::fs::remove_file(&path).unwrap();
        outcomes.map_err(|error| error.to_string().split_once(": ").unwrap().1.to_owned())
    }

    #[test]
    fn outcomes_are_found_by_id() {
        let outcomes = of_csv("\u{feff}lead_id,won\na,1\nb,no\nc,\na,TRUE\n\"d,e\",0.0\n", None).unwrap();
        let found = ["a", "b", "c", "d,e", "f"].map(|lead| outcomes.of(lead));
        assert_eq!(found, [Some(true), Some(false), None, Some(false), None]);
        assert_eq!(outcomes.len(), 3);
        let outcomes = of_csv("x,won,lead_id\n9,0,a\n", Some("won")).unwrap();
        assert_eq!(outcomes.of("a"), Some(false));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, column, says) in [
            (
                "id,won\na,1\n",
                None,
                "it has no column lead_id; it has \"id\", \"won\"",
            ),
            (
                "lead_id,a,b\nx,1,1\n",
                None,
                "it has no column \"outcome\", which says what became of leads (--outcome-column); it has \"lead_id\", \"a\", \"b\"",
            ),
            (
                "lead_id,won\na,1\nb,maybe\n",
                None,
                "line 3: \"maybe\" is no outcome; accepted: 1 or 0, true or false, yes or no, and nothing where it is not known",
            ),
            (
                "lead_id,won\na,1\na,0\n",
                None,
                "1 lead ids have both outcomes; each lead needs one",
            ),
        ] {
            assert_eq!(of_csv(text, column).unwrap_err(), says);
        }
    }
}
