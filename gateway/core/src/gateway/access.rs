//! Who may ask for what, and as whom whoever asks is believed.

use super::{Gateway, Origin};
use crate::config::Access;
use crate::resources::Route;
use wire_checkin::DeviceId;
use wire_coap::Code;

impl Gateway {
    /// Whether whoever asks may ask for this at all.
    pub(super) fn may_ask(&self, origin: Origin, route: Route) -> bool {
        if origin.caller.is_some() || matches!(route, Route::WellKnownCore | Route::Handshake) {
            return true;
        }
        let state = self.journal.state();
        match (self.links.get(origin.link).config.access, route) {
            (Access::Authenticated, Route::Image(short)) => self.config.public_images.contains(&short),
            (Access::Authenticated, _) => false,
            (Access::Open, route) => route
                .device(state)
                .is_none_or(|id| !state.identities.is_bound(id)),
        }
    }

    /// Whether whoever asks is this device.
    pub(super) fn is_believed(&self, origin: Origin, id: DeviceId) -> bool {
        match origin.caller {
            Some(caller) => caller == id,
            None => !self.journal.state().identities.is_bound(id),
        }
    }

    /// What whoever is not believed is answered: prove it, or that is another's.
    pub(super) fn disbelief(&self, origin: Origin) -> Code {
        match origin.caller {
            None => Code::UNAUTHORIZED,
            Some(_) => Code::FORBIDDEN,
        }
    }
}
