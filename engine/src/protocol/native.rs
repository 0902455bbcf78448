//! Our own format, `POST /score` (`docs/http.md`).

use bytes::BufMut;
use quintile_scoring::loaded::LoadedModel;
use quintile_scoring::read::{ReadError, Workspace};
use quintile_scoring::render::{self, AnswerFields};

use super::Protocol;

/// `{"lead_id":"…","features":{…}}` → `{"lead_id":"…","score":…}`.
#[derive(Debug, Clone, Copy)]
pub struct Native;

impl Protocol for Native {
    #[inline]
    fn read(workspace: &mut Workspace, loaded: &LoadedModel, body: &[u8]) -> Result<(), ReadError> {
        workspace.read(loaded, body)
    }

    #[inline]
    fn answer_bytes_max(loaded: &LoadedModel) -> usize {
        render::answer_bytes_max(loaded)
    }

    #[inline]
    fn write<B: BufMut>(out: &mut B, loaded: &LoadedModel, answer: &AnswerFields<'_>) {
        render::told(out, loaded, answer);
    }

    fn reject<B: BufMut>(out: &mut B, loaded: &LoadedModel, workspace: &Workspace, rejection: &ReadError) {
        render::rejection(out, loaded, workspace, rejection);
    }
}
