//! `POST /score?target=4`: what would bring the lead to that score. The rows that are tried are scored in turns, as
//! batches are, so that a request beside them waits for one slice.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Instant;

use quintile_scoring::changes::{Found, Search};

use super::error::RequestError;
use super::routes::contained;
use crate::limits::{SLICE, SLICE_LEADS};
use crate::models::ModelChoice;
use crate::protocol::Native;
use crate::shard::ShardCore;
use crate::shard::slice_queue::SliceTurn;

/// Searches what would bring a lead to a score.
pub(super) async fn search(
    core: &Rc<ShardCore>,
    choice: &ModelChoice,
    body: &[u8],
    target: u8,
) -> Result<Found, RequestError> {
    let mut turn = SliceTurn::to_read(Rc::clone(core));
    poll_fn(|cx| turn.poll(cx)).await;
    let lead = contained(core, || {
        let mut scorer = core.scorer.borrow_mut();
        let lead = scorer.read::<Native>(choice, body);
        lead.map_err(RequestError::Rejected)
    })?;
    let model = &lead.version.loaded.model;
    if lead.version.loaded.outline_only.is_some() || model.bands().is_none() {
        return Err(RequestError::NoBands);
    }
    let mut search = contained(core, || {
        let mut scorer = core.scorer.borrow_mut();
        let (score, _) = scorer
            .try_rows(&lead.version, &lead.row)
            .first()
            .copied()
            .unwrap_or_default();
        Ok(Search::new(&lead.version.loaded, &lead.row, score, target))
    })?;
    // Few, until it is known what one costs.
    let mut rows_max = 4;
    loop {
        poll_fn(|cx| turn.poll(cx)).await;
        let is_over = contained(core, || {
            let began = Instant::now();
            let mut scorer = core.scorer.borrow_mut();
            while began.elapsed() < SLICE {
                let rows = search.rows(rows_max);
                if rows.is_empty() {
                    return Ok(true);
                }
                let one = Instant::now();
                let results = scorer.try_rows(&lead.version, rows);
                let cost = one.elapsed().as_nanos() / results.len().max(1) as u128;
                rows_max = usize::try_from(SLICE.as_nanos() / cost.max(1)).unwrap_or(SLICE_LEADS);
                search.take(results);
            }
            Ok(false)
        })?;
        if is_over {
            return Ok(search.finish());
        }
    }
}
