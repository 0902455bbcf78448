//! Memory of a shard for requests of other protocols, used again so that a request of few rows allocates none.

use std::cell::RefCell;

use crate::protocol::RowsProtocol;
use crate::protocol::grpc::Grpc;
use crate::protocol::invocations::Invocations;
use crate::protocol::rows::{Rows, Scored};
use crate::protocol::v1::V1;
use crate::protocol::v2::V2;
use crate::record::ProtocolName;

/// Values that are kept for other requests.
const KEPT_MAX: usize = 8;

/// Bytes of one that is kept: one large request must not occupy memory for ever.
const KEPT_BYTES_MAX: usize = 256 << 10;

/// A request's rows and what they came to.
#[derive(Debug, Default)]
pub(super) struct RowsMemory {
    pub(super) rows: Rows,
    pub(super) scored: Scored,
    pub(super) out: Vec<u8>,
}

/// The memory of a shard.
#[derive(Debug, Default)]
pub(in crate::http) struct ProtocolMemory {
    rows: RefCell<Vec<RowsMemory>>,
    v2: RefCell<Vec<V2>>,
    v1: RefCell<Vec<V1>>,
    grpc: RefCell<Vec<Grpc>>,
    invocations: RefCell<Vec<Invocations>>,
}

/// A protocol whose values a shard keeps.
pub(super) trait KeptProtocol: RowsProtocol {
    fn kept(memory: &ProtocolMemory) -> &RefCell<Vec<Self>>;

    /// What records say, as the body has told.
    fn protocol(&self, stated: ProtocolName) -> ProtocolName {
        stated
    }
}

impl KeptProtocol for V2 {
    fn kept(memory: &ProtocolMemory) -> &RefCell<Vec<Self>> {
        &memory.v2
    }
}

impl KeptProtocol for V1 {
    fn kept(memory: &ProtocolMemory) -> &RefCell<Vec<Self>> {
        &memory.v1
    }
}

impl KeptProtocol for Grpc {
    fn kept(memory: &ProtocolMemory) -> &RefCell<Vec<Self>> {
        &memory.grpc
    }
}

impl KeptProtocol for Invocations {
    fn kept(memory: &ProtocolMemory) -> &RefCell<Vec<Self>> {
        &memory.invocations
    }

    fn protocol(&self, stated: ProtocolName) -> ProtocolName {
        if self.is_mlflow() { ProtocolName::Mlflow } else { stated }
    }
}

impl RowsMemory {
    fn bytes(&self) -> usize {
        let scored = &self.scored;
        let values = scored.predictions.capacity() + scored.margins.capacity() + scored.contributions.capacity();
        self.rows.bytes() + values * size_of::<f64>() + scored.bands.capacity() + self.out.capacity()
    }
}

impl ProtocolMemory {
    /// Memory for a request's rows.
    pub(super) fn take_rows(&self) -> RowsMemory {
        let mut memory = self.rows.borrow_mut().pop().unwrap_or_default();
        memory.scored.clear();
        memory.out.clear();
        memory
    }

    /// Takes it back.
    pub(super) fn give_rows(&self, memory: RowsMemory) {
        let mut kept = self.rows.borrow_mut();
        if kept.len() < KEPT_MAX && memory.bytes() <= KEPT_BYTES_MAX {
            kept.push(memory);
        }
    }

    /// Memory for a request of a protocol.
    pub(super) fn take<P: KeptProtocol>(&self) -> P {
        let mut request = P::kept(self).borrow_mut().pop().unwrap_or_default();
        request.reset();
        request
    }

    /// Takes it back.
    pub(super) fn give<P: KeptProtocol>(&self, request: P) {
        let mut kept = P::kept(self).borrow_mut();
        if kept.len() < KEPT_MAX && request.held_bytes() <= KEPT_BYTES_MAX {
            kept.push(request);
        }
    }
}
