//! What became of leads: `lead_id,outcome[,time]` as CSV.

use std::fs::File;
use std::io::BufRead;
use std::path::Path;

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use sha2::Digest as _;

use super::QualityError;
use crate::replay;
use crate::text::excerpt;

/// One outcome, and the last score before it. 64 bytes, whatever the lead's id.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    /// The first 128 bits of the SHA-256 of the lead's id.
    key: u128,
    /// When it became known, in microseconds since 1970; the end of time where the file does not say.
    pub(super) time: i64,
    pub(super) is_converted: bool,
    pub(super) scored: Option<Scored>,
}

/// A score that an outcome is joined with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scored {
    /// In microseconds since 1970.
    pub(super) time: i64,
    pub(super) prediction: f64,
    pub(super) band: Option<u8>,
}

/// All outcomes of a file, by lead and time.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    pub(super) rows: Vec<Outcome>,
    /// Rows for a lead and a time that the file already had; the first one counts.
    pub(super) duplicates: u64,
}

fn key(lead_id: &str) -> u128 {
    let digest = sha2::Sha256::digest(lead_id.as_bytes());
    u128::from_be_bytes(std::array::from_fn(|index| digest[index]))
}

impl Outcomes {
    pub(super) fn read(path: &Path) -> Result<Self, QualityError> {
        let fault = |line: u64, says: String| QualityError::Outcomes {
            path: path.to_path_buf(),
            line,
            says,
        };
        let file = File::open(path).map_err(|error| fault(0, error.to_string()))?;
        let mut file = std::io::BufReader::new(file);
        let separator = separator(&mut file).map_err(|error| fault(0, error.to_string()))?;
        let mut reader = csv::ReaderBuilder::new().delimiter(separator).from_reader(file);
        let header = reader.headers().map_err(|error| fault(1, error.to_string()))?.clone();
        let place = |name: &str| {
            header
                .iter()
                .position(|own| own.trim_start_matches('\u{feff}').trim() == name)
        };
        let (Some(id), Some(outcome)) = (place("lead_id"), place("outcome")) else {
            return Err(fault(
                1,
                "the header must have the columns lead_id and outcome, and may have time".into(),
            ));
        };
        let time = place("time");
        let mut outcomes = Self::default();
        let mut record = csv::StringRecord::new();
        while reader
            .read_record(&mut record)
            .map_err(|error| fault(error.position().map_or(0, csv::Position::line), error.to_string()))?
        {
            let line = record.position().map_or(0, csv::Position::line);
            let cell = |place: usize| record.get(place).unwrap_or_default().trim();
            let known = replay::outcome(cell(outcome)).map_err(|says| fault(line, says))?;
            let Some(is_converted) = known else {
                continue;
            };
            let time = match time.map(cell) {
                None | Some("") => i64::MAX,
                Some(text) => micros(text).ok_or_else(|| {
                    let says =
                        "is no time; accepted: 2026-11-30, 2026-11-30T12:00:00 (in UTC) or 2026-11-30T12:00:00+01:00";
                    fault(line, format!("{} {says}", excerpt(text)))
                })?,
            };
            outcomes.rows.push(Outcome {
                key: key(cell(id)),
                time,
                is_converted,
                scored: None,
            });
        }
        // The sort is stable, so the first of equals stays.
        outcomes.rows.sort_by_key(|row| (row.key, row.time));
        let before = outcomes.rows.len();
        outcomes.rows.dedup_by_key(|row| (row.key, row.time));
        outcomes.duplicates = (before - outcomes.rows.len()) as u64;
        Ok(outcomes)
    }

    /// Joins a score with every outcome of its lead that came later and has no later score yet.
    pub(super) fn join(&mut self, lead_id: &str, scored: Scored) {
        let key = key(lead_id);
        let first = self.rows.partition_point(|row| row.key < key);
        let own = self.rows[first..].iter_mut().take_while(|row| row.key == key);
        for row in own.filter(|row| scored.time < row.time) {
            if row.scored.is_none_or(|known| known.time <= scored.time) {
                row.scored = Some(scored);
            }
        }
    }

    /// The places of a lead's outcomes that a score at this time is joined with.
    pub(super) fn places(&self, lead_id: &str, time: i64) -> impl Iterator<Item = usize> {
        let key = key(lead_id);
        let first = self.rows.partition_point(|row| row.key < key);
        let own = self
            .rows
            .iter()
            .enumerate()
            .skip(first)
            .take_while(move |(_, row)| row.key == key);
        own.filter(move |(_, row)| row.scored.is_some_and(|scored| scored.time == time))
            .map(|(place, _)| place)
    }
}

/// What separates the cells of the header.
fn separator(file: &mut impl BufRead) -> std::io::Result<u8> {
    let head = file.fill_buf()?;
    let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let known = [b',', b';', b'\t']
        .into_iter()
        .find(|separator| line.contains(separator));
    Ok(known.unwrap_or(b','))
}

/// A time in microseconds since 1970: with a zone, or in UTC.
fn micros(text: &str) -> Option<i64> {
    if let Ok(time) = DateTime::parse_from_rfc3339(&text.replacen(' ', "T", 1)) {
        return Some(time.timestamp_micros());
    }
    for form in [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%dT%H:%M",
    ] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, form) {
            return Some(time.and_utc().timestamp_micros());
        }
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_and_without_a_zone() {
        let second = 1_764_504_000_000_000;
        for text in [
            "2025-11-30T12:00:00Z",
            "2025-11-30 12:00:00",
            "2025-11-30T13:00:00+01:00",
            "2025-11-30 12:00",
        ] {
            assert_eq!(micros(text), Some(second), "{text}");
        }
        assert_eq!(micros("2025-11-30"), Some(second - 43_200_000_000));
        assert_eq!(micros("30.11.2025"), None);
    }
}
