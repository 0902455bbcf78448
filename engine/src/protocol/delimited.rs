//! Rows as cells with a delimiter between them: without a header, as SageMaker has them, or with one, as MLflow has
//! them.

use csv::{ByteRecord, ReaderBuilder, Trim};
use quintile_model::{Cell, Violation};
use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::read::cells::CellFault;

use super::ReadLimits;
use super::rows::Rows;
use super::rows_error::RowsError;
use super::tensor_rows::LEAD_ID;

/// Bytes of a first line that are looked at.
const LINE_BYTES_MAX: usize = 1 << 20;

/// What a column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Feature(usize),
    LeadId,
    Ignored,
}

/// How far a body is read.
#[derive(Debug, Default)]
pub struct Delimited {
    at: usize,
    columns: Vec<Column>,
    record: ByteRecord,
    has_begun: bool,
}

/// The first line of a body.
fn first_line(body: &[u8]) -> &[u8] {
    let body = &body[..body.len().min(LINE_BYTES_MAX)];
    let lines = body.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    lines.into_iter().find(|line| !line.is_empty()).unwrap_or_default()
}

/// What is between the cells of a line.
fn delimiter(line: &[u8]) -> u8 {
    let of = |byte: &u8| line.contains(byte);
    [b',', b';', b'\t', b'|', b' '].into_iter().find(of).unwrap_or(b',')
}

fn is_number(cell: &[u8]) -> bool {
    let cell = cell.trim_ascii();
    let text = std::str::from_utf8(cell).ok();
    cell.is_empty() || cell.eq_ignore_ascii_case(b"nan") || text.is_some_and(|text| text.parse::<f64>().is_ok())
}

impl Delimited {
    /// Whether the first line is names: a cell of it is no number.
    #[must_use]
    pub fn has_header(body: &[u8]) -> bool {
        let line = first_line(body);
        !line.split(|&byte| byte == delimiter(line)).all(is_number)
    }

    /// Forgets the body.
    pub fn reset(&mut self) {
        self.at = 0;
        self.columns.clear();
        self.has_begun = false;
    }

    /// Reads on for a slice; none while there is more.
    pub fn read(
        &mut self,
        (has_label, is_mlflow): (bool, bool),
        loaded: &LoadedModel,
        body: &[u8],
        rows: &mut Rows,
        limits: ReadLimits,
    ) -> Option<Result<(), RowsError>> {
        let rest = body.get(self.at..).unwrap_or_default();
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(Trim::All)
            .delimiter(delimiter(first_line(body)))
            .from_reader(rest);
        let mut record = std::mem::take(&mut self.record);
        let result = loop {
            match reader.read_byte_record(&mut record) {
                Ok(false) => break Some(self.end(rows)),
                Ok(true) => {}
                Err(_) => break Some(Err(RowsError::Request("the CSV text cannot be read"))),
            }
            if let Err(error) = self.line((has_label, is_mlflow), loaded, &record, rows) {
                break Some(Err(error));
            }
            if rows.count() > limits.rows {
                break Some(Err(RowsError::TooManyRows { limit: limits.rows }));
            }
            if reader.position().byte() >= limits.bytes as u64 {
                self.at += usize::try_from(reader.position().byte()).unwrap_or(usize::MAX);
                break None;
            }
        };
        self.record = record;
        result
    }

    fn end(&self, rows: &Rows) -> Result<(), RowsError> {
        match rows.count() {
            0 if !self.has_begun => Err(RowsError::Request("the body has no rows")),
            _ => rows.check_names(),
        }
    }

    fn line(
        &mut self,
        (has_label, is_mlflow): (bool, bool),
        loaded: &LoadedModel,
        record: &ByteRecord,
        rows: &mut Rows,
    ) -> Result<(), RowsError> {
        if !std::mem::replace(&mut self.has_begun, true) {
            let is_header = is_mlflow || !record.iter().all(is_number);
            if is_header {
                return self.header(loaded, record);
            }
        }
        let skipped = usize::from(has_label && self.columns.is_empty());
        let wanted = match self.columns.len() {
            0 => loaded.model.schema().len(),
            named => named,
        };
        let (row, found) = (rows.count(), record.len().saturating_sub(skipped));
        if found != wanted {
            return Err(RowsError::Width { row, found });
        }
        rows.add(1);
        for (place, cell) in record.iter().skip(skipped).enumerate() {
            match self.columns.get(place).copied().unwrap_or(Column::Feature(place)) {
                Column::Feature(column) => rows.put_at(loaded, (row, column), Cell::Untyped(cell))?,
                Column::LeadId => rows.name(std::str::from_utf8(cell).unwrap_or_default())?,
                Column::Ignored => {}
            }
        }
        Ok(())
    }

    fn header(&mut self, loaded: &LoadedModel, record: &ByteRecord) -> Result<(), RowsError> {
        let mut seen = vec![false; loaded.model.schema().len()];
        for (place, name) in record.iter().enumerate() {
            let name = name.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(name);
            let name = std::str::from_utf8(name).unwrap_or_default();
            let column = match loaded.columns.column_near(name, place) {
                Some(column) if std::mem::replace(&mut seen[column], true) => {
                    return Err(RowsError::Twice { column });
                }
                Some(column) => Column::Feature(column),
                None if name == LEAD_ID => Column::LeadId,
                None => Column::Ignored,
            };
            self.columns.push(column);
        }
        match seen.iter().position(|&is_there| !is_there) {
            Some(column) => Err(RowsError::Cell {
                row: 0,
                column,
                fault: CellFault::Violation(Violation::Required),
            }),
            None => Ok(()),
        }
    }
}
