//! `POST /c/dry`: the body of a check-in, answered with what a check-in would lead to, in one clause of text. For people who
//! look at a gateway from a device's side; a device has no use for it. It takes the decision that a check-in takes, and
//! changes nothing.
//!
//! | answer | meaning |
//! |---|---|
//! | 2.04, text | the device is or would be served, or has nothing to do |
//! | 4.03, text as diagnostic payload | an operator must do something first |

use crate::checkin::report;
use crate::config::LinkConfig;
use crate::decision::{self, Decision};
use crate::explain;
use crate::identity::ClassId;
use crate::records::DeviceRecord;
use crate::request::Response;
use crate::state::State;
use wire_checkin::CheckIn;
use wire_coap::{Code, ContentFormat};

/// Judges a check-in.
pub(crate) fn answer(state: &State, link: &LinkConfig, said: &CheckIn) -> Response {
    let report = report(said, link);
    let class = report.class;
    let known = state.devices.get(&said.device_id);
    let device = DeviceRecord {
        id: said.device_id,
        claimed: known.is_some_and(|device| device.claimed),
        class: known.and_then(|device| device.class).or(Some(class)),
        report: Some(report),
    };
    let decision = decision::decide(state, &device, link);
    let (is_served, why) = verdict(state, class, &device, &decision);
    // One datagram on every link that is served.
    let mut text = why;
    text.truncate(text.floor_char_boundary(link.block_size().bytes() as usize));
    match is_served {
        true => Response {
            content_format: Some(ContentFormat::TEXT),
            payload: text.into_bytes(),
            ..Response::new(Code::CHANGED)
        },
        false => Response::diagnosed(Code::FORBIDDEN, &text),
    }
}

fn verdict(state: &State, class: ClassId, device: &DeviceRecord, decision: &Decision<'_>) -> (bool, String) {
    let is_known = state.images.values().any(|image| image.class == class);
    match decision {
        _ if !is_known => (
            false,
            format!("unknown class {class}: no image of it was imported"),
        ),
        Decision::Unclaimed => (false, format!("device {} is not claimed", device.id)),
        Decision::NoTarget
        | Decision::UpToDate(_)
        | Decision::NeedsBuilds { .. }
        | Decision::Offer { .. } => (true, explain::end(device, decision)),
        _ => (false, explain::end(device, decision)),
    }
}
