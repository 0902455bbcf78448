//! What a body says of the reasons it wants: `"explain": 4, "direction": "lowers"`, beside a lead's members and a
//! batch's.

use simd_json::Node;

use super::{FaultKind, FaultPlace, Lead, number};
use crate::read::parser::Document;
use crate::reasons::{Direction, ReasonsWish, count};

/// Which members of a body were there.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::read) struct Members {
    pub(in crate::read) id: bool,
    pub(in crate::read) features: bool,
    pub(in crate::read) explain: bool,
    pub(in crate::read) direction: bool,
}

impl Lead {
    /// What the body says of reasons.
    pub(in crate::read) fn wish(&self) -> ReasonsWish {
        self.wish
    }

    /// Takes a member that says something of reasons; false for any other.
    pub(super) fn take_wish(
        &mut self,
        document: &Document<'_>,
        (key, value): (&str, usize),
        seen: &mut Members,
    ) -> bool {
        let node = document.nodes.get(value);
        let is_huge = |text: &str| document.is_huge_number(text);
        match key {
            "explain" => {
                self.once(&mut seen.explain, FaultPlace::Explain);
                match node {
                    Some(Node::Static(value)) if number(*value).is_some_and(|number| !number.is_nan()) => {
                        self.explain(number(*value).unwrap_or(f64::NAN));
                    }
                    Some(Node::String(text)) if is_huge(text) => self.explain(f64::NAN),
                    _ => self.wrong_type(FaultPlace::Explain, document, value),
                }
            }
            "direction" => {
                self.once(&mut seen.direction, FaultPlace::Direction);
                match node {
                    Some(Node::String(name)) if !is_huge(name) => self.keep_direction(name),
                    _ => self.wrong_type(FaultPlace::Direction, document, value),
                }
            }
            _ => return false,
        }
        true
    }

    /// Takes the number of reasons.
    pub(in crate::read) fn explain(&mut self, number: f64) {
        self.wish.count = count(number);
        if self.wish.count.is_none() {
            self.fault(FaultPlace::Explain, FaultKind::WrongForm);
        }
    }

    /// Takes the direction that reasons are kept of.
    pub(in crate::read) fn keep_direction(&mut self, name: &str) {
        self.wish.direction = Direction::named(name);
        if self.wish.direction.is_none() {
            self.fault(FaultPlace::Direction, FaultKind::WrongForm);
        }
    }
}
