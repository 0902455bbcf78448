//! Rows as libsvm has them: a line a row, `INDEX:VALUE` pairs; what is absent is missing. If no index of a body is 0,
//! they count from 1, as SageMaker's container takes them.

use quintile_model::Cell;
use quintile_scoring::loaded::LoadedModel;

use super::ReadLimits;
use super::rows::Rows;
use super::rows_error::RowsError;

/// How far a body is read: once for its least index, once for its rows.
#[derive(Debug, Default)]
pub struct Libsvm {
    at: usize,
    least: Option<usize>,
    is_known: bool,
}

const WRONG: &str = "a line of libsvm is LABEL INDEX:VALUE INDEX:VALUE …, with whole numbers as indices";

/// The pairs of a line; tokens without a colon are labels.
fn pairs(line: &[u8]) -> impl Iterator<Item = Result<(usize, &[u8]), RowsError>> {
    let tokens = line
        .split(u8::is_ascii_whitespace)
        .filter(|token| token.contains(&b':'));
    tokens.map(|token| {
        let at = token.iter().position(|&byte| byte == b':').unwrap_or(0);
        let index = std::str::from_utf8(&token[..at])
            .ok()
            .and_then(|text| text.parse().ok());
        Ok((index.ok_or(RowsError::Request(WRONG))?, &token[at + 1..]))
    })
}

impl Libsvm {
    /// Forgets the body.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Reads on for a slice; none while there is more.
    pub fn read(
        &mut self,
        loaded: &LoadedModel,
        body: &[u8],
        rows: &mut Rows,
        limits: ReadLimits,
    ) -> Option<Result<(), RowsError>> {
        let until = self.at.saturating_add(limits.bytes);
        loop {
            let rest = body.get(self.at..).unwrap_or_default();
            if rest.is_empty() {
                if self.is_known {
                    let is_empty = rows.count() == 0;
                    return Some(if is_empty {
                        Err(RowsError::Request(WRONG))
                    } else {
                        Ok(())
                    });
                }
                (self.is_known, self.at) = (true, 0);
                return None;
            }
            if self.at >= until {
                return None;
            }
            let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
            self.at += (length + 1).min(rest.len());
            if let Err(error) = self.line(loaded, rest[..length].trim_ascii(), rows) {
                return Some(Err(error));
            }
            if rows.count() > limits.rows {
                return Some(Err(RowsError::TooManyRows { limit: limits.rows }));
            }
        }
    }

    fn line(&mut self, loaded: &LoadedModel, line: &[u8], rows: &mut Rows) -> Result<(), RowsError> {
        if line.is_empty() {
            return Ok(());
        }
        if !self.is_known {
            for pair in pairs(line) {
                let (index, _) = pair?;
                self.least = Some(self.least.map_or(index, |least| least.min(index)));
            }
            return Ok(());
        }
        let shift = usize::from(self.least.is_some_and(|least| least >= 1));
        let row = rows.count();
        rows.add(1);
        for pair in pairs(line) {
            let (index, value) = pair?;
            let column = index - shift;
            if column >= loaded.model.schema().len() {
                return Err(RowsError::Width { row, found: column + 1 });
            }
            rows.put_at(loaded, (row, column), Cell::Untyped(value))?;
        }
        Ok(())
    }
}
