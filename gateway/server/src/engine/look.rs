//! What the engine shows of itself to whoever looks.

use super::{Engine, SecurePort};
use crate::error_chain::chain;
use crate::observe::{DEVICE_LABELS_MAX, Look, Snapshot};

impl Engine {
    pub(super) async fn take_look(&mut self, look: Look) {
        let probed = self.parts.store.probe().await;
        let core = &self.parts.core;
        let status = core.status();
        let devices = if status.claimed <= DEVICE_LABELS_MAX {
            let devices = core.devices().into_iter();
            devices.filter(|view| view.device.claimed).collect()
        } else {
            Vec::new()
        };
        // Who has gone away meanwhile needs no answer.
        let _ = look.send(Snapshot {
            statements: core.statements(self.parts.clock.now()),
            links: core.links(),
            devices,
            status,
            datagram_errors: self.datagram_errors,
            started_unix_s: self.started_unix_s,
            database: probed.map_err(|error| chain(&error)),
            dtls: self.parts.secure.as_ref().map(SecurePort::counters),
            meters: self.meters.clone(),
        });
    }
}
