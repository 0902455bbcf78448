//! What is around the leads of a batch: `{"leads": […]}`, without what is in the list.

use simd_json::Node;

use super::{Echo, Fault, Kind, Lead, Place, entries};
use crate::read::faults::JsonType;
use crate::read::parser::Document;

impl Lead {
    /// Reads a batch whose leads are cut out. Only its faults are of use afterwards.
    pub(in crate::read) fn take_batch(&mut self, document: &Document<'_>) {
        self.reset();
        let Some(&Node::Object { count, .. }) = document.nodes.first() else {
            return self.wrong_type(Place::Body, document, 0);
        };
        let mut is_seen = false;
        for (key, value) in entries(document.nodes, 1, count) {
            if key != "leads" {
                self.faults.push(|| Fault {
                    place: Place::UnknownBatchField(Echo::new(key)),
                    kind: Kind::Unknown,
                });
                continue;
            }
            self.once(&mut is_seen, Place::Leads);
            if !matches!(document.nodes.get(value), Some(Node::Array { .. })) {
                self.wrong_type(Place::Leads, document, value);
            }
        }
        if !is_seen {
            self.fault(Place::Leads, Kind::Missing);
        }
    }

    /// The fault of a batch that is no object.
    pub(in crate::read) fn refuse_type(&mut self, found: JsonType) {
        self.reset();
        self.fault(Place::Body, Kind::WrongType { found });
    }
}
