//! The life of each update in log lines. Every line names the update that it is about:
//!
//! | field | meaning |
//! |---|---|
//! | `update` | `<device>/<first 16 digits of the image's digest>`: one image on one device, what to search for |
//! | `device`, `image` | its two halves |
//! | `job`, `artefact` | the path and the first 16 digits of the digest of what it fetches, while it is offered something |
//!
//! A line is written when what it says is on disk, never before. What concerns no single update names what it does concern: a
//! build its `image`, an entry of the audit trail its `device`, an error of the socket its peer.

use gateway_core::{Bytes, Change, Gateway, ImageDigest, Offer, UpdateRecord, UpdateState};
use wire_checkin::DeviceId;

/// Whom a line is about.
struct Identity {
    device: DeviceId,
    image: String,
    job: Option<String>,
    artefact: Option<String>,
}

impl Identity {
    fn of(device: DeviceId, image: ImageDigest, offer: Option<&Offer>) -> Identity {
        Identity {
            device,
            image: image.short_hex(),
            job: offer.map(|offer| offer.path.to_string()),
            artefact: offer.map(|offer| offer.artefact.to_string()[..16].to_owned()),
        }
    }
}

/// One line at this level, with the identity in front of its own fields.
macro_rules! line {
    ($level:ident, $identity:expr, $($rest:tt)+) => {{
        let Identity { device, image, job, artefact } = &$identity;
        tracing::$level!(
            target: TARGET,
            update = %format_args!("{device}/{image}"), %device, image, job, artefact, $($rest)+
        )
    }};
}

/// What the lines are filtered by: `RUST_LOG=info,deltagate::update=debug` also tells of every transfer's progress.
pub const TARGET: &str = "deltagate::update";

/// Whether [`tell`] has anything to say of it.
pub fn is_told(change: &Change) -> bool {
    matches!(change, Change::Update(_) | Change::Served { .. })
}

/// Tells of a change that was stored, if an update is what it changed.
pub fn tell(core: &Gateway, change: &Change) {
    match change {
        Change::Update(update) => entered(core, update),
        Change::Served { path, progress } => {
            if let Some(offer) = core.offer(*path) {
                let size = core.artefact_bytes(offer);
                served(
                    &Identity::of(offer.device, offer.image, Some(offer)),
                    progress.served_to,
                    size,
                );
            }
        }
        _ => {}
    }
}

fn entered(core: &Gateway, update: &UpdateRecord) {
    let offer = core.offer_of(update.device, update.image);
    let identity = Identity::of(update.device, update.image, offer);
    match update.state {
        UpdateState::Offered { .. } => line!(info, identity, offers = update.offers, "update offered"),
        UpdateState::Confirmed => line!(info, identity, "update confirmed"),
        UpdateState::Withheld { outcome, detail } => {
            line!(warn, identity, %outcome, detail, "update withheld until an operator retries it");
        }
        UpdateState::Released => line!(info, identity, "update may be offered again"),
    }
}

fn served(identity: &Identity, to: Bytes, size: Option<Bytes>) {
    let (served_bytes, size_bytes) = (to.0, size.map(|size| size.0));
    if size.is_some_and(|size| to >= size) {
        line!(
            info,
            *identity,
            served_bytes,
            size_bytes,
            "update served to its end"
        );
    } else {
        line!(debug, *identity, served_bytes, size_bytes, "update being fetched");
    }
}
