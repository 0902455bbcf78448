//! Leads that take long to read: read in turns, as batches are, so that a request beside them waits for one slice.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;

use super::error::RequestError;
use super::routes::contained;
use crate::limits::{LONG_LEAD_BYTES, LONG_PLAIN_BYTES_MAX};
use crate::models::{ModelChoice, ModelVersion};
use crate::shard::ShardCore;
use crate::shard::slice_queue::SliceTurn;
use quintile_scoring::read::{ReadError, SlicedRead};

/// Whether a body is read here.
#[inline]
pub(super) fn is_long(body: &[u8]) -> bool {
    body.len() > LONG_LEAD_BYTES
}

/// Reads a lead to its end, for the model that it belongs to. What was read is in the shard's workspace until the
/// caller's next `await`.
pub(super) async fn read(core: &Rc<ShardCore>, choice: &ModelChoice, body: &[u8]) -> Result<(), RequestError> {
    let mut turn = SliceTurn::to_read(Rc::clone(core));
    poll_fn(|cx| turn.poll(cx)).await;
    let is_short_enough = body.len() <= LONG_PLAIN_BYTES_MAX;
    if is_short_enough && contained(core, || Ok(core.scorer.borrow_mut().read_plain(choice, body)))? {
        return Ok(());
    }
    let is_default = matches!(choice, ModelChoice::Default);
    let (mut kept, mut version, mut read) = start(core, choice, body);
    let mut is_settled = false;
    loop {
        poll_fn(|cx| turn.poll(cx)).await;
        if is_default && core.scorer.borrow().is_outdated(&kept) {
            // Another model has come meanwhile.
            (kept, version, read) = start(core, choice, body);
            is_settled = false;
        }
        let (slice, other) = contained(core, || {
            let mut scorer = core.scorer.borrow_mut();
            let slice = scorer.read_slice(&version, &mut read, body);
            let is_read = slice.is_some_and(|outcome| !matches!(outcome, Err(ReadError::NotJson(_))));
            let is_anothers = is_read && scorer.settle(&kept) && !is_settled;
            Ok((slice, is_anothers.then(|| Arc::clone(scorer.current()))))
        })?;
        if let Some(other) = other {
            // It has to read the lead from its beginning.
            read = SlicedRead::new(&other.loaded, body);
            (version, is_settled) = (other, true);
        } else if let Some(outcome) = slice {
            return outcome.map_err(RequestError::Rejected);
        }
    }
}

/// What is asked for, the model that reads the lead first, and its reading.
fn start(core: &ShardCore, choice: &ModelChoice, body: &[u8]) -> (ModelChoice, Arc<ModelVersion>, SlicedRead) {
    let mut scorer = core.scorer.borrow_mut();
    let kept = scorer.kept(choice);
    let version = Arc::clone(scorer.begin(&kept));
    let read = SlicedRead::new(&version.loaded, body);
    (kept, version, read)
}
