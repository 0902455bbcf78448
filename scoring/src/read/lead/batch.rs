//! The envelope of a batch: `{"leads": […]}`, without the contents of the list.

use simd_json::Node;

use super::{Echo, Fault, FaultKind, FaultPlace, Lead, Members, entries};
use crate::read::faults::JsonType;
use crate::read::parser::Document;

impl Lead {
    /// Reads a batch whose leads are cut out. Only its faults are of use afterwards.
    pub(in crate::read) fn take_batch(&mut self, document: &Document<'_>) {
        self.reset();
        let Some(&Node::Object { count, .. }) = document.nodes.first() else {
            return self.wrong_type(FaultPlace::Body, document, 0);
        };
        let (mut is_seen, mut seen) = (false, Members::default());
        for (key, value) in entries(document.nodes, 1, count) {
            if self.take_wish(document, (key, value), &mut seen) {
                continue;
            }
            if key != "leads" {
                self.faults.push(|| Fault {
                    place: FaultPlace::UnknownBatchField(Echo::new(key)),
                    kind: FaultKind::Unknown,
                });
                continue;
            }
            self.once(&mut is_seen, FaultPlace::Leads);
            if !matches!(document.nodes.get(value), Some(Node::Array { .. })) {
                self.wrong_type(FaultPlace::Leads, document, value);
            }
        }
        if !is_seen {
            self.fault(FaultPlace::Leads, FaultKind::Missing);
        }
    }

    /// The fault of a batch that is no object.
    pub(in crate::read) fn refuse_type(&mut self, found: JsonType) {
        self.reset();
        self.fault(FaultPlace::Body, FaultKind::WrongType { found });
    }
}
