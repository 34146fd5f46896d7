//! Technicians' questions about sets of trust anchors.

use gateway_core::{AnchorsRecord, AnchorsRefusal, Command, Refusal};

use super::Engine;
use super::answer::{Refused, document};
use crate::admin::AnswerResult;
use crate::report::{Anchors, Done};

impl Engine {
    /// A set, which the core checks: it knows the one in force.
    pub(super) fn import_anchors(&mut self, envelope: &[u8]) -> Result<AnswerResult, Refused> {
        let now = self.parts.clock.now();
        let record = AnchorsRecord::read(envelope, now.unix_s);
        let record = record.ok_or(Refusal::Anchors(AnchorsRefusal::NotASet))?;
        let reply = self
            .parts
            .core
            .handle_command(now, Command::ImportAnchors(record))?;
        Ok(document(Done::new(reply.to_string())))
    }

    pub(super) fn anchors(&self) -> Anchors {
        let behind = self.parts.core.status().anchors_behind;
        Anchors {
            sets: self.parts.core.anchors().iter().map(Into::into).collect(),
            behind: behind.iter().map(ToString::to_string).collect(),
        }
    }
}
