//! Leads that take long to read: read in turns, as batches are, so that a request beside them waits for one slice.

use std::future::poll_fn;
use std::rc::Rc;

use super::error::RequestError;
use super::routes::contained;
use crate::limits::{LONG_LEAD_BYTES, LONG_PLAIN_BYTES_MAX};
use crate::shard::ShardCore;
use crate::shard::slice_queue::SliceTurn;
use quintile_scoring::read::SlicedRead;

/// Whether a body is read here.
#[inline]
pub(super) fn is_long(body: &[u8]) -> bool {
    body.len() > LONG_LEAD_BYTES
}

/// Reads a lead to its end. What was read is in the shard's workspace until the caller's next `await`.
pub(super) async fn read(core: &Rc<ShardCore>, body: &[u8]) -> Result<(), RequestError> {
    let mut turn = SliceTurn::to_read(Rc::clone(core));
    poll_fn(|cx| turn.poll(cx)).await;
    if body.len() <= LONG_PLAIN_BYTES_MAX && contained(core, || Ok(core.scorer.borrow_mut().read_plain(body)))? {
        return Ok(());
    }
    let mut loaded = core.scorer.borrow().shared();
    let mut read = SlicedRead::new(&loaded, body);
    loop {
        poll_fn(|cx| turn.poll(cx)).await;
        let slice = contained(core, || {
            Ok(core.scorer.borrow_mut().read_slice(&mut loaded, &mut read, body))
        })?;
        if let Some(outcome) = slice {
            return outcome.map_err(RequestError::Rejected);
        }
    }
}
