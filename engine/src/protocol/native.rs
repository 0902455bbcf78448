//! Our own format, `POST /score` (`docs/http.md`).

use bytes::BufMut;
use quintile_scoring::loaded::Served;
use quintile_scoring::read::{Rejection, Workspace};
use quintile_scoring::render::{self, Told};

use super::Protocol;

/// `{"lead_id":"…","features":{…}}` → `{"lead_id":"…","score":…}`.
#[derive(Debug, Clone, Copy)]
pub struct Native;

impl Protocol for Native {
    #[inline]
    fn read(workspace: &mut Workspace, served: &Served, body: &[u8]) -> Result<(), Rejection> {
        workspace.read(served, body)
    }

    #[inline]
    fn answer_bytes_max(served: &Served) -> usize {
        render::answer_bytes_max(served)
    }

    #[inline]
    fn write<B: BufMut>(out: &mut B, served: &Served, answer: &Told<'_>) {
        render::told(out, served, answer);
    }

    fn reject<B: BufMut>(out: &mut B, served: &Served, workspace: &Workspace, rejection: &Rejection) {
        render::rejection(out, served, workspace, rejection);
    }
}
