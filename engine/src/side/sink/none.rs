//! The sink that keeps nothing, for measuring and for those who do not want records. Taken is delivered.

use std::sync::Arc;
use std::time::Instant;

use super::{Delivery, Sink, SinkError};
use crate::record::Frame;
use crate::served::Served;

/// Counts.
#[derive(Debug, Default)]
pub(super) struct None {
    records: u64,
}

impl Sink for None {
    fn take(&mut self, _: &Frame<'_>, _: &Arc<Served>, _: Instant) -> Result<(), SinkError> {
        self.records += 1;
        Ok(())
    }

    fn due(&self) -> Option<Instant> {
        Option::None
    }

    fn deliver(&mut self, _: Instant) -> Result<(), SinkError> {
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    fn delivered(&self) -> Delivery {
        Delivery {
            records: self.records,
            files: 0,
        }
    }
}
