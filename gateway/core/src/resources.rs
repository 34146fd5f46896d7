//! The resources: `POST /c`, `POST /c/dry`, `GET /<path>`, `GET /<path>/m`, `GET /i/<16 hex digits>`, `GET /.well-known/core`,
//! `POST /.well-known/edhoc`.

use crate::blocks::{self, BlockReply, ReadFailed, Representation};
use crate::config::LinkConfig;
use crate::decision;
use crate::effect::{BuildKey, Payloads};
use crate::identity::ImageDigest;
use crate::pause::PAUSE_MAX_AGE_S;
use crate::records::{ArtefactRecord, OfferPath};
use crate::request::Response;
use crate::state::State;
use crate::units::Bytes;
use sha2::{Digest, Sha256};
use wire_checkin::DeviceId;
use wire_coap::{Code, ContentFormat, Message};

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/c`
    CheckIn,
    /// `/c/dry`
    DryCheckIn,
    /// `/<path>`
    Payload(OfferPath),
    /// `/<path>/m`
    Envelope(OfferPath),
    /// `/i/<16 hex digits>`
    Image([u8; 8]),
    /// `/.well-known/edhoc`
    Handshake,
    /// `/.well-known/core`
    WellKnownCore,
    /// Anything else.
    Unknown,
}

impl Route {
    /// Routes a request by its path.
    pub(crate) fn of(message: &Message<'_>) -> Route {
        let mut path = message.uri_path();
        let segments = (path.next(), path.next(), path.next());
        match segments {
            (Some(b"c"), None, None) => Route::CheckIn,
            (Some(b"c"), Some(b"dry"), None) => Route::DryCheckIn,
            (Some(b".well-known"), Some(b"core"), None) => Route::WellKnownCore,
            (Some(b".well-known"), Some(b"edhoc"), None) => Route::Handshake,
            (Some(b"i"), Some(digits), None) => image_digits(digits).map_or(Route::Unknown, Route::Image),
            (Some(path), None, None) => offer_path(path).map_or(Route::Unknown, Route::Payload),
            (Some(path), Some(b"m"), None) => offer_path(path).map_or(Route::Unknown, Route::Envelope),
            _ => Route::Unknown,
        }
    }

    /// The one method it allows.
    pub(crate) fn method(&self) -> Code {
        match self {
            Route::CheckIn | Route::DryCheckIn | Route::Handshake => Code::POST,
            _ => Code::GET,
        }
    }

    /// Whose bytes a request for it is.
    pub(crate) fn device(&self, state: &State) -> Option<DeviceId> {
        match self {
            Route::Payload(path) | Route::Envelope(path) => state.offers.get(path).map(|offer| offer.device),
            _ => None,
        }
    }
}

/// What a GET leads to.
pub(crate) struct Served {
    pub(crate) response: Response,
    /// Whether the peer is in the middle of a transfer, and paced rather than put off.
    pub(crate) mid_transfer: bool,
    /// Progress of an offer.
    pub(crate) served: Option<(OfferPath, Bytes)>,
    /// A payload that was asked for and does not exist yet.
    pub(crate) wants: Option<BuildKey>,
    /// Target and base of a payload that exists and cannot be read.
    pub(crate) lost: Option<(ImageDigest, Option<ImageDigest>)>,
}

/// Answers a GET from what is known; changes nothing.
pub(crate) fn get(
    state: &State,
    link: &LinkConfig,
    payloads: &dyn Payloads,
    route: Route,
    request: &Message<'_>,
) -> Served {
    match route {
        Route::Payload(_) | Route::Envelope(_) | Route::Image(_) if state.paused_unix_s.is_some() => {
            only(Response::unavailable(PAUSE_MAX_AGE_S))
        }
        Route::Payload(path) => payload(state, link, payloads, path, request),
        Route::Envelope(path) => envelope(state, link, path, request),
        Route::Image(short) => image(state, link, payloads, short, request),
        Route::WellKnownCore => bytes(link, WELL_KNOWN_CORE, ContentFormat::LINK_FORMAT, request),
        Route::CheckIn | Route::DryCheckIn | Route::Handshake | Route::Unknown => {
            only(Response::new(Code::NOT_FOUND))
        }
    }
}

fn payload(
    state: &State,
    link: &LinkConfig,
    payloads: &dyn Payloads,
    path: OfferPath,
    request: &Message<'_>,
) -> Served {
    let Some(offer) = state.offers.get(&path) else {
        return only(Response::new(Code::NOT_FOUND));
    };
    let Some(artefact) = state.artefact_of(offer) else {
        return only(Response::unavailable(NOT_READY_MAX_AGE_S));
    };
    let reply = artefact_block(link, payloads, artefact, request);
    let served = (reply.end > 0).then_some((path, Bytes(reply.end.into())));
    Served {
        served,
        ..of_artefact(artefact, reply)
    }
}

fn envelope(state: &State, link: &LinkConfig, path: OfferPath, request: &Message<'_>) -> Served {
    let image = state
        .offers
        .get(&path)
        .and_then(|offer| state.images.get(&offer.image));
    match image {
        Some(image) => bytes(link, &image.envelope, ContentFormat::CBOR, request),
        None => only(Response::new(Code::NOT_FOUND)),
    }
}

/// The plain image, for any CoAP client. It is built at import; until then the peer is asked to wait.
fn image(
    state: &State,
    link: &LinkConfig,
    payloads: &dyn Payloads,
    short: [u8; 8],
    request: &Message<'_>,
) -> Served {
    let Some(image) = state.image_by_short(short) else {
        return only(Response::new(Code::NOT_FOUND));
    };
    match state.full_artefact(image.digest) {
        Some(artefact) => of_artefact(artefact, artefact_block(link, payloads, artefact, request)),
        None => {
            let wants = Some(decision::baseless_build(image.digest));
            Served {
                wants,
                ..only(Response::unavailable(NOT_READY_MAX_AGE_S))
            }
        }
    }
}

fn artefact_block(
    link: &LinkConfig,
    payloads: &dyn Payloads,
    artefact: &ArtefactRecord,
    request: &Message<'_>,
) -> BlockReply {
    let what = Representation {
        size: u32::try_from(artefact.size.0).unwrap_or(u32::MAX),
        etag: artefact.digest.etag(),
        content_format: ContentFormat::OCTET_STREAM,
    };
    blocks::serve(
        request,
        link.block_size(),
        &what,
        |offset, buffer| match payloads.read(&artefact.digest, offset.into(), buffer) {
            Ok(read) if read == buffer.len() => Ok(()),
            _ => Err(ReadFailed),
        },
    )
}

fn bytes(link: &LinkConfig, content: &[u8], content_format: ContentFormat, request: &Message<'_>) -> Served {
    let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(content));
    let size = u32::try_from(content.len()).unwrap_or(u32::MAX);
    let what = Representation {
        size,
        etag: [a, b, c, d],
        content_format,
    };
    served_block(blocks::serve(
        request,
        link.block_size(),
        &what,
        |offset, buffer| {
            let from = content.get(offset as usize..).ok_or(ReadFailed)?;
            buffer.copy_from_slice(from.get(..buffer.len()).ok_or(ReadFailed)?);
            Ok(())
        },
    ))
}

fn of_artefact(artefact: &ArtefactRecord, reply: BlockReply) -> Served {
    let lost = reply.is_lost.then_some((artefact.target, artefact.base));
    Served {
        lost,
        ..served_block(reply)
    }
}

fn served_block(reply: BlockReply) -> Served {
    Served {
        mid_transfer: reply.mid_transfer,
        ..only(reply.response)
    }
}

fn only(response: Response) -> Served {
    Served {
        response,
        mid_transfer: false,
        served: None,
        wants: None,
        lost: None,
    }
}

fn offer_path(segment: &[u8]) -> Option<OfferPath> {
    OfferPath::new(core::str::from_utf8(segment).ok()?)
}

fn image_digits(segment: &[u8]) -> Option<[u8; 8]> {
    let digits: &[u8; 16] = segment.try_into().ok()?;
    let mut short = [0; 8];
    for (byte, pair) in short.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = *pair else { return None };
        *byte = (hex_digit(high)? << 4) | hex_digit(low)?;
    }
    Some(short)
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// RFC 6690.
const WELL_KNOWN_CORE: &[u8] = b"</c>;ct=60;rt=\"deltagate.check-in\",</c/dry>;ct=0;rt=\"deltagate.dry-check-in\",</i>;ct=42;rt=\"deltagate.image\",</.well-known/edhoc>;ct=65;rt=core.edhoc;ed-comb-req";

/// Seconds after which a peer asks again for a payload that is being built.
const NOT_READY_MAX_AGE_S: u32 = 10;
