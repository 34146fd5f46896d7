//! `deltagate probe`: a gateway looked at from a device's side, step by step, over the network that devices use.
//!
//! | step | what it does | what its failure means |
//! |---|---|---|
//! | name | looks the host up | no such name |
//! | UDP | CoAP's ping: an empty message, which is answered with a Reset (RFC 7252 §4.3) | nobody listens, or nothing comes through |
//! | CoAP | `GET /.well-known/core` | something else listens |
//! | check-in | `POST /c/dry`, or `POST /c` with `--record` | what `docs/protocol.md` says of it |
//! | image | `GET /i/{digest}`, block by block, with `--image` | no such image, or the link loses too much |
//!
//! Its messages go through `coap-lite`, which shares no code with the gateway's codec: a mistake that both ends of our own made
//! alike would show. Of that crate only the codec is used, because its block option has 12-bit numbers where RFC 7959 has 20.
//! Everything here is portable.

use std::net::SocketAddr;
use std::time::Duration;

pub mod cli;
mod error;
mod exchange;
mod fetch;
mod pretend;

pub use cli::ProbeArgs;
pub use error::{Missing, ProbeError};

/// Whether somebody at `address` answers CoAP's ping; gives the round trip.
pub fn answers_ping(address: SocketAddr, ack_timeout: Duration) -> Result<Duration, Missing> {
    let peer = exchange::Peer::connect(address, ack_timeout).map_err(exchange::NoAnswer::System);
    peer.and_then(|mut peer| peer.ping()).map_err(Missing::from)
}
