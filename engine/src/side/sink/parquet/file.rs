//! One file, from its first record to its final name.
//!
//! Encoding goes into memory. From there bytes go to a fixed place of the temporary file, so a write that failed
//! half-way is simply repeated. Each stage is reached once and can be attempted any number of times.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::parquet::arrow::ArrowWriter;

use super::folder::{Folder, Temp};
use super::layout::{Layout, Rows};
use super::{FileTarget, SinkError};
use crate::record::Frame;
use crate::side::calendar::{hour_of, moment};
use crate::side::sink::s3::{Upload, Uploads};
use crate::spool::Item;

/// A file is finished when it is this large, for any number of rows: 65,536 features fill a gigabyte with 2,000 of
/// them.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Between two looks at an upload that is under way.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

const NEVER_FAILS: &str = "encoding into memory fails only when schema and columns disagree";

/// How far a file has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It takes records.
    Filling,
    /// It is encoded to its end.
    Encoded,
    /// It is on the disk, under its temporary name.
    Synced,
    /// It has its name, which a crash of the host might still take from it.
    Renamed,
    /// It is there.
    Published,
}

pub(super) struct Open {
    layout: Arc<Layout>,
    /// The number of its first record.
    first: u64,
    hour: i64,
    folders: [String; 2],
    name: String,
    rows: Rows,
    writer: Option<ArrowWriter<Vec<u8>>>,
    /// Encoded bytes that are not in the file yet.
    encoded: Vec<u8>,
    temp: Option<Temp>,
    upload: Option<Upload>,
    stage: Stage,
    records: u64,
    due: Instant,
}

impl Open {
    /// A file named after its first record.
    pub(super) fn new(layout: Arc<Layout>, item: &Item<'_>, due: Instant) -> Self {
        let first = &item.record;
        let at = moment(first.time_us);
        Self {
            first: item.number,
            hour: hour_of(first.time_us),
            folders: [at.format("date=%Y-%m-%d").to_string(), at.format("hour=%H").to_string()],
            name: format!("{}Z-{}.parquet", at.format("%Y%m%dT%H%M%S%6f"), first.record_id),
            rows: Rows::new(&layout),
            writer: None,
            encoded: Vec::new(),
            temp: None,
            upload: None,
            stage: Stage::Filling,
            records: 0,
            due,
            layout,
        }
    }

    pub(super) fn is_open_for(&self, hour: i64, schema: u32) -> bool {
        self.stage == Stage::Filling && self.hour == hour && self.layout.number() == schema
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    pub(super) fn due(&self) -> Instant {
        self.due
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due <= now || !self.encoded.is_empty()
    }

    pub(super) fn is_published(&self) -> bool {
        self.stage == Stage::Published
    }

    pub(super) fn end_by(&mut self, when: Instant) {
        self.due = self.due.min(when);
    }

    /// Takes a record. No file is touched.
    pub(super) fn push(&mut self, record: &Frame<'_>) {
        debug_assert_eq!(self.stage, Stage::Filling, "a file that has ended takes no records");
        self.rows.push(&self.layout, record);
        self.records += 1;
        if self.rows.is_full(&self.layout) {
            self.encode();
        }
    }

    fn encode(&mut self) {
        let batch = self.rows.take(&self.layout);
        let writer = self.writer.get_or_insert_with(|| {
            let (schema, properties) = (self.layout.schema(), self.layout.properties());
            ArrowWriter::try_new(Vec::new(), schema, Some(properties)).expect(NEVER_FAILS)
        });
        writer.write(&batch).expect(NEVER_FAILS);
        writer.sync().expect(NEVER_FAILS);
        // Whole row groups come out; the one that is filling stays with the writer.
        let bytes = std::mem::take(writer.inner_mut());
        self.add_encoded(bytes);
    }

    /// Moves where it can: a row group may be 64 MiB.
    fn add_encoded(&mut self, mut bytes: Vec<u8>) {
        if self.encoded.is_empty() {
            self.encoded = bytes;
        } else {
            self.encoded.append(&mut bytes);
        }
    }

    /// Brings the file as far as it should be by now.
    ///
    /// # Errors
    /// What the file system refused; the file is where it was, and this can be called again.
    pub(super) fn advance(
        &mut self,
        folder: &mut Folder,
        place: &mut FileTarget,
        now: Instant,
    ) -> Result<(), SinkError> {
        if self.stage == Stage::Filling && self.due <= now {
            self.encode();
            let writer = self.writer.take().expect("encoding has made it");
            self.add_encoded(writer.into_inner().expect(NEVER_FAILS));
            self.stage = Stage::Encoded;
        }
        self.write(folder)?;
        if let FileTarget::Store(uploads) = place {
            return self.upload(folder, uploads, now);
        }
        if self.stage == Stage::Encoded {
            self.temp(folder)?.sync(folder)?;
            self.stage = Stage::Synced;
        }
        if self.stage == Stage::Synced {
            let (folders, name) = (self.folders.clone(), self.name.clone());
            let temp = self.temp(folder)?;
            if temp.is_gone() {
                // Its folder was removed under it. The bytes are still ours, through the descriptor.
                temp.renew(folder)?;
            }
            folder.publish(temp, &folders, &name)?;
            self.stage = Stage::Renamed;
        }
        if self.stage == Stage::Renamed {
            folder.sync_place(&self.folders)?;
            self.stage = Stage::Published;
        }
        Ok(())
    }

    /// Has an encoded file uploaded, and looks now and then whether it is.
    fn upload(&mut self, folder: &mut Folder, uploads: &mut Uploads, now: Instant) -> Result<(), SinkError> {
        if self.stage != Stage::Encoded {
            return Ok(());
        }
        let Some(upload) = &self.upload else {
            let name = [&self.folders[0], &self.folders[1], &self.name]
                .map(String::as_str)
                .join("/");
            let file = self.temp(folder)?.share()?;
            self.upload = Some(uploads.start(name, file));
            self.due = now + LOOK_AGAIN;
            return Ok(());
        };
        match upload.look() {
            None => self.due = now + LOOK_AGAIN,
            Some(Ok(())) => {
                self.stage = Stage::Published;
                if let Some(temp) = self.temp.take() {
                    temp.remove();
                }
            }
            Some(Err(error)) => {
                self.upload = None;
                self.due = now;
                return Err(error);
            }
        }
        Ok(())
    }

    fn write(&mut self, folder: &mut Folder) -> Result<(), SinkError> {
        if self.encoded.is_empty() {
            return Ok(());
        }
        if self.temp.is_none() {
            self.temp = Some(folder.create()?);
        }
        let temp = self.temp.as_mut().expect("it was created above");
        temp.append(&self.encoded)?;
        self.encoded = Vec::new();
        if temp.bytes() >= FILE_BYTES_MAX && self.stage == Stage::Filling {
            // Taken up at the next look at what is due.
            self.due = self.due.min(Instant::now());
        }
        Ok(())
    }

    fn temp(&mut self, folder: &mut Folder) -> Result<&mut Temp, SinkError> {
        if self.temp.is_none() {
            self.temp = Some(folder.create()?);
        }
        Ok(self.temp.as_mut().expect("it was created above"))
    }
}
