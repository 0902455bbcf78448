//! Rows in JSON, as KServe's first protocol, MLflow and SageMaker have them: lists of values by position, or objects of
//! values by name. A few rows at a time.
//!
//! ```text
//! {"instances":[[1,2],…]}  {"instances":[{"f1":1,…},…]}  {"inputs":[[…]]}  {"inputs":{"f1":[1,…],…}}
//! {"dataframe_records":[{…},…]}  {"dataframe_split":{"columns":["f1",…],"data":[[…],…]}}  [[1,2],…]  {"features":[1,2]}
//! ```

use quintile_model::Violation;
use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::read::cells::CellFault;

use super::ReadLimits;
use super::json::{Cursor, Scalar};
use super::rows::Rows;
use super::rows_error::RowsError;
pub use super::table_cells::Manner;
use super::table_cells::{Name, meaning, one, put};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Start,
    /// In the object at the top.
    Top,
    /// In an object of columns and data.
    Split,
    /// In an object of columns.
    Columns,
    /// In a list of rows.
    Rows,
    Done,
}

/// How far a body is read. Its memory is used again.
#[derive(Debug, Default)]
pub struct Table {
    stage: Stage,
    at: usize,
    is_first: bool,
    is_first_row: bool,
    /// Where the rows end: an object of columns and data around them, the object at the top, or nothing.
    is_in_split: bool,
    is_in_object: bool,
    has_rows: bool,
    /// The names of columns.
    names: Vec<Name>,
    has_names: bool,
    /// Where data stand that came before their columns.
    data_at: Option<usize>,
    seen: Vec<bool>,
}

impl Table {
    /// Forgets the body.
    pub fn reset(&mut self) {
        let (mut names, mut seen) = (std::mem::take(&mut self.names), std::mem::take(&mut self.seen));
        names.clear();
        seen.clear();
        *self = Self {
            names,
            seen,
            ..Self::default()
        };
    }

    /// Reads on for a slice; none while there is more.
    pub fn read(
        &mut self,
        manner: Manner,
        loaded: &LoadedModel,
        body: &[u8],
        rows: &mut Rows,
        limits: ReadLimits,
    ) -> Option<Result<(), RowsError>> {
        let until = self.at.saturating_add(limits.bytes);
        let mut cursor = Cursor::new(body, self.at, false);
        while self.stage != Stage::Done {
            let stepped = match self.stage {
                Stage::Start => self.start(manner, loaded, &mut cursor, (body, rows)),
                Stage::Top => self.top(manner, loaded, &mut cursor, (body, rows)),
                Stage::Split => self.split(manner, loaded, &mut cursor, body),
                Stage::Columns => self.column(manner, loaded, &mut cursor, (body, rows)),
                Stage::Rows => self.row(manner, loaded, &mut cursor, (body, rows)),
                Stage::Done => Ok(()),
            };
            self.at = cursor.at();
            if let Err(error) = stepped {
                return Some(Err(error));
            }
            if rows.count() > limits.rows {
                return Some(Err(RowsError::TooManyRows { limit: limits.rows }));
            }
            if self.at >= until && self.stage != Stage::Done {
                return None;
            }
        }
        Some(self.finish(manner, &mut cursor, rows))
    }

    fn finish(&self, manner: Manner, cursor: &mut Cursor<'_>, rows: &Rows) -> Result<(), RowsError> {
        cursor.end()?;
        if !self.has_rows {
            return Err(RowsError::Request(manner.wanted));
        }
        rows.check_names()
    }

    fn start(
        &mut self,
        manner: Manner,
        loaded: &LoadedModel,
        cursor: &mut Cursor<'_>,
        (body, rows): (&[u8], &mut Rows),
    ) -> Result<(), RowsError> {
        self.is_first = true;
        match cursor.peek() {
            Some(b'{') => {
                cursor.step();
                self.is_in_object = true;
                self.stage = Stage::Top;
                Ok(())
            }
            Some(b'[') if manner.takes_lists => {
                let mut inside = *cursor;
                inside.step();
                if matches!(inside.peek(), Some(b'[' | b'{' | b']')) {
                    return self.begin_rows(cursor);
                }
                // A list of values alone is one row.
                self.has_rows = true;
                self.stage = Stage::Done;
                self.list(loaded, cursor, (body, rows))
            }
            _ => Err(RowsError::Request(manner.wanted)),
        }
    }

    fn begin_rows(&mut self, cursor: &mut Cursor<'_>) -> Result<(), RowsError> {
        cursor.take(b'[', "a list of rows")?;
        if std::mem::replace(&mut self.has_rows, true) {
            return Err(RowsError::Request("the body has rows twice; send them under one key"));
        }
        self.is_first_row = true;
        self.stage = Stage::Rows;
        Ok(())
    }

    fn top(
        &mut self,
        manner: Manner,
        loaded: &LoadedModel,
        cursor: &mut Cursor<'_>,
        (body, rows): (&[u8], &mut Rows),
    ) -> Result<(), RowsError> {
        let Some(key) = cursor.member(&mut self.is_first)? else {
            self.stage = Stage::Done;
            return Ok(());
        };
        let key = key.raw(body);
        if !manner.keys.iter().any(|known| known.as_bytes() == key) {
            return Ok(cursor.skip()?);
        }
        match (key, cursor.peek()) {
            (b"dataframe_split", _) => {
                cursor.take(b'{', "an object: {\"columns\":[…],\"data\":[[…],…]}")?;
                self.is_in_split = true;
                self.is_first = true;
                self.stage = Stage::Split;
                Ok(())
            }
            (b"features", Some(b'[')) => {
                self.has_rows = true;
                self.one_row(manner, loaded, cursor, (body, rows))
            }
            (b"inputs", Some(b'{')) => {
                cursor.step();
                if std::mem::replace(&mut self.has_rows, true) {
                    return Err(RowsError::Request("the body has rows twice; send them under one key"));
                }
                self.is_first_row = true;
                self.seen.clear();
                self.seen.resize(loaded.model.schema().len(), false);
                self.stage = Stage::Columns;
                Ok(())
            }
            _ => self.begin_rows(cursor),
        }
    }

    fn split(
        &mut self,
        manner: Manner,
        loaded: &LoadedModel,
        cursor: &mut Cursor<'_>,
        body: &[u8],
    ) -> Result<(), RowsError> {
        let Some(key) = cursor.member(&mut self.is_first)? else {
            if let Some(at) = self.data_at.take() {
                // Rows are read where they are, and the object is behind them once more.
                cursor.go_to(at);
                return self.begin_rows(cursor);
            }
            self.is_in_split = false;
            self.is_first = false;
            self.stage = Stage::Top;
            return Ok(());
        };
        match key.raw(body) {
            b"columns" => {
                cursor.take(b'[', "a list of column names")?;
                let mut is_first = true;
                self.names.clear();
                while cursor.element(&mut is_first)? {
                    let place = self.names.len();
                    let name = match cursor.scalar()? {
                        Scalar::Text(span) => meaning(manner, loaded, span, (body, place))?,
                        // Names that are numbers are positions, as pandas makes them.
                        _ if place < loaded.model.schema().len() => Name::Feature(place),
                        _ => return Err(RowsError::Unknown { what: "column", place }),
                    };
                    self.names.push(name);
                }
                self.has_names = true;
                self.check_names(manner, loaded)
            }
            b"data" if self.has_names => self.begin_rows(cursor),
            b"data" if !self.has_rows => {
                cursor.peek();
                self.data_at = Some(cursor.at());
                Ok(cursor.skip()?)
            }
            _ => Ok(cursor.skip()?),
        }
    }

    /// That no feature is there twice, and that all are there that must be.
    fn check_names(&mut self, manner: Manner, loaded: &LoadedModel) -> Result<(), RowsError> {
        self.begin_names(loaded);
        for place in 0..self.names.len() {
            if let Name::Feature(column) = self.names[place] {
                self.see(column)?;
            }
        }
        self.end_names(manner, loaded, 0)
    }

    fn begin_names(&mut self, loaded: &LoadedModel) {
        self.seen.clear();
        self.seen.resize(loaded.model.schema().len(), false);
    }

    fn see(&mut self, column: usize) -> Result<(), RowsError> {
        match std::mem::replace(&mut self.seen[column], true) {
            true => Err(RowsError::Twice { column }),
            false => Ok(()),
        }
    }

    fn end_names(&self, manner: Manner, loaded: &LoadedModel, row: usize) -> Result<(), RowsError> {
        let schema = loaded.model.schema();
        if !manner.needs_all && schema.required().is_empty() {
            return Ok(());
        }
        let is_absent = |&column: &usize| !self.seen[column] && (manner.needs_all || schema.rule(column).required);
        match (0..schema.len()).find(is_absent) {
            Some(column) => Err(RowsError::Cell {
                row,
                column,
                fault: CellFault::Violation(Violation::Required),
            }),
            None => Ok(()),
        }
    }

    /// One column of `{"inputs":{"f1":[…],…}}`.
    fn column(
        &mut self,
        manner: Manner,
        loaded: &LoadedModel,
        cursor: &mut Cursor<'_>,
        (body, rows): (&[u8], &mut Rows),
    ) -> Result<(), RowsError> {
        let mut is_first = std::mem::take(&mut self.is_first_row);
        let is_first_column = is_first;
        let Some(key) = cursor.member(&mut is_first)? else {
            self.stage = Stage::Top;
            self.is_first = false;
            return self.end_names(manner, loaded, 0);
        };
        let name = meaning(manner, loaded, key, (body, 0))?;
        if let Name::Feature(column) = name {
            self.see(column)?;
        }
        cursor.take(b'[', "a list of a column's values")?;
        let (mut is_first, mut row) = (true, 0);
        while cursor.element(&mut is_first)? {
            if is_first_column {
                rows.add(1);
            } else if row == rows.count() {
                return Err(RowsError::Request("the columns have different numbers of values"));
            }
            let value = one(cursor)?;
            put(loaded, rows, (row, name), (value, body))?;
            row += 1;
        }
        if row != rows.count() {
            return Err(RowsError::Request("the columns have different numbers of values"));
        }
        Ok(())
    }

    fn row(
        &mut self,
        manner: Manner,
        loaded: &LoadedModel,
        cursor: &mut Cursor<'_>,
        (body, rows): (&[u8], &mut Rows),
    ) -> Result<(), RowsError> {
        if !cursor.element(&mut self.is_first_row)? {
            self.is_first = false;
            self.stage = match (self.is_in_split, self.is_in_object) {
                (true, _) => Stage::Split,
                (false, true) => Stage::Top,
                (false, false) => Stage::Done,
            };
            return Ok(());
        }
        self.one_row(manner, loaded, cursor, (body, rows))
    }

    fn one_row(
        &mut self,
        manner: Manner,
        loaded: &LoadedModel,
        cursor: &mut Cursor<'_>,
        (body, rows): (&[u8], &mut Rows),
    ) -> Result<(), RowsError> {
        match cursor.peek() {
            Some(b'[') => self.list(loaded, cursor, (body, rows)),
            Some(b'{') => self.object(manner, loaded, cursor, (body, rows)),
            _ => Err(cursor
                .wrong("a row: a list of values, or an object of them by name")
                .into()),
        }
    }

    /// A row by position, or in the order of named columns.
    fn list(
        &mut self,
        loaded: &LoadedModel,
        cursor: &mut Cursor<'_>,
        (body, rows): (&[u8], &mut Rows),
    ) -> Result<(), RowsError> {
        cursor.step();
        let row = rows.count();
        rows.add(1);
        let wanted = if self.has_names {
            self.names.len()
        } else {
            loaded.model.schema().len()
        };
        let (mut is_first, mut found) = (true, 0);
        while cursor.element(&mut is_first)? {
            let name = if self.has_names {
                self.names.get(found).copied()
            } else {
                None
            };
            let name = name.unwrap_or(Name::Feature(found));
            let value = one(cursor)?;
            if found < wanted {
                put(loaded, rows, (row, name), (value, body))?;
            }
            found += 1;
        }
        match found == wanted {
            true => Ok(()),
            false if self.has_names => Err(RowsError::Request(
                "a row of data has another number of values than there are columns",
            )),
            false => Err(RowsError::Width { row, found }),
        }
    }

    fn object(
        &mut self,
        manner: Manner,
        loaded: &LoadedModel,
        cursor: &mut Cursor<'_>,
        (body, rows): (&[u8], &mut Rows),
    ) -> Result<(), RowsError> {
        cursor.step();
        let row = rows.count();
        rows.add(1);
        self.begin_names(loaded);
        let (mut is_first, mut place) = (true, 0);
        while let Some(key) = cursor.member(&mut is_first)? {
            if place == 0 && key.raw(body) == b"features" && cursor.peek() == Some(b'[') {
                rows.remove_last();
                self.list(loaded, cursor, (body, rows))?;
                while cursor.member(&mut is_first)?.is_some() {
                    cursor.skip()?;
                }
                return Ok(());
            }
            let name = meaning(manner, loaded, key, (body, place))?;
            place += 1;
            if name == Name::Ignored {
                cursor.skip()?;
                continue;
            }
            if let Name::Feature(column) = name {
                self.see(column)?;
            }
            let value = one(cursor)?;
            put(loaded, rows, (row, name), (value, body))?;
        }
        self.end_names(manner, loaded, row)
    }

    /// Bytes that are held.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.names.capacity() * size_of::<Name>() + self.seen.capacity()
    }
}
