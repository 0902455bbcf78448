//! The sink that writes Parquet files.
//!
//! ```text
//!  record ─▶ rows ─▶ row group, encoded in memory ─▶ tmp/<own name>.tmp ─fsync─ rename ─▶ scores/date=…/hour=…/<name>.parquet
//!            8,192       65,536 rows or 64 MiB          (locked while open)                 (complete, or not there)
//! ```
//! One file for each hour of the records' own time and each model; records of two shards reach the end of an hour in
//! any order, so the old hour's file stays open a moment longer. Encoding never touches the disk, so it never fails;
//! steps that touch the disk can be repeated. While one file cannot be written, no further record is taken.

mod file;
mod folder;
mod layout;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use self::file::Open;
use self::folder::Folder;
pub(super) use self::folder::Shared;
use self::layout::Layout;
use super::s3::Uploads;
use super::{Delivery, EncodingSink, SinkError};
use crate::config::{Aws, Records};
use crate::record::Schema;
use crate::side::calendar::hour_of;
use crate::spool::Item;

/// How long a file stays open for stragglers after the first record of a later one.
const STRAGGLERS: Duration = Duration::from_secs(2);

/// Files that are open at once: this hour's and the one before, of two models.
const OPEN_MAX: usize = 4;

/// Where finished files go.
enum FileTarget {
    /// To their name in the folder.
    Disk,
    /// To a bucket. Until they are there they lie in the folder under a temporary name.
    Store(Uploads),
}

/// Writes files under `<data_dir>/scores`, or to a bucket.
pub(super) struct Parquet {
    folder: Folder,
    place: FileTarget,
    roll_rows: u64,
    roll_after: Duration,
    open: Vec<Open>,
    layout: Option<Arc<Layout>>,
    /// The number that the next record will have.
    next: u64,
    files: u64,
}

impl Parquet {
    /// The sink `parquet`.
    pub(super) fn open(records: &Records) -> Result<Self, SinkError> {
        Self::new(records, Folder::open(&records.data_dir)?, FileTarget::Disk)
    }

    /// The sink `s3`.
    pub(super) fn to_bucket(records: &Records, aws: &Aws) -> Result<Self, SinkError> {
        let uploads = Uploads::open(records, aws)?;
        let folder = Folder::open(&records.data_dir.join("uploads"))?;
        Self::new(records, folder, FileTarget::Store(uploads))
    }

    fn new(records: &Records, folder: Folder, place: FileTarget) -> Result<Self, SinkError> {
        Ok(Self {
            folder,
            place,
            roll_rows: (records.roll_rows as u64).max(1),
            roll_after: records.roll_after,
            open: Vec::with_capacity(OPEN_MAX),
            layout: None,
            next: 0,
            files: 0,
        })
    }

    /// Writes what must be written before anything else is taken, and moves finished files to their place.
    fn settle(&mut self, now: Instant) -> Result<(), SinkError> {
        while let Some(place) = self.open.iter().position(|file| file.is_due(now)) {
            self.open[place].advance(&mut self.folder, &mut self.place, now)?;
            if self.open[place].is_published() {
                self.open.swap_remove(place);
                self.files += 1;
            }
        }
        Ok(())
    }

    fn layout(&mut self, schema: &Arc<Schema>) -> Arc<Layout> {
        match &self.layout {
            Some(layout) if layout.number() == schema.model_number => Arc::clone(layout),
            _ => Arc::clone(self.layout.insert(Arc::new(Layout::new(schema)))),
        }
    }

    /// The file a record belongs into. A new one makes all others ones that end soon.
    fn place(&mut self, item: &Item<'_>, now: Instant) -> Result<usize, SinkError> {
        let hour = hour_of(item.record.time_us);
        let same = |file: &Open| file.is_open_for(hour, item.schema.model_number);
        if let Some(place) = self.open.iter().position(same) {
            return Ok(place);
        }
        for file in &mut self.open {
            file.end_by(now + STRAGGLERS);
        }
        while self.open.len() >= OPEN_MAX {
            self.open[0].end_by(now);
            self.settle(now)?;
        }
        let layout = self.layout(item.schema);
        self.open.push(Open::new(layout, item, now + self.roll_after));
        Ok(self.open.len() - 1)
    }
}

impl EncodingSink for Parquet {
    fn wants(&self) -> bool {
        // An upload takes as long as it takes: files behind it wait, and their records in the spool.
        matches!(self.place, FileTarget::Disk) || self.open.len() < OPEN_MAX
    }

    fn take(&mut self, item: &Item<'_>, now: Instant) -> Result<(), SinkError> {
        if !item.schema.fits(&item.record) {
            return Err(SinkError::Unfit("it has not its model's number of outputs or features"));
        }
        self.settle(now)?;
        let place = self.place(item, now)?;
        let file = &mut self.open[place];
        file.push(&item.record);
        self.next = item.number + 1;
        if file.records() >= self.roll_rows {
            file.end_by(now);
        }
        Ok(())
    }

    fn due(&self) -> Option<Instant> {
        self.open.iter().map(Open::due).min()
    }

    fn deliver(&mut self, now: Instant) -> Result<(), SinkError> {
        self.settle(now)
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        let now = Instant::now();
        for file in &mut self.open {
            file.end_by(now);
        }
        self.settle(now)
    }

    fn delivered(&self) -> Delivery {
        Delivery {
            end: self.open.iter().map(Open::first).min().unwrap_or(self.next),
            files: self.files,
        }
    }
}
