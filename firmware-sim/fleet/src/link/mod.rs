//! The emulated link: how long a packet takes, and whether it arrives at all.
//!
//! [`LinkModel`] is a pure function of `(time, direction, size)` and its seed. It holds no packet,
//! opens no socket and reads no clock: the [bridge](crate::bridge) plays its verdicts in real time,
//! the [simulation](crate::sim) on virtual time.
//!
//! Each direction is one transmitter with a queue in front of it:
//!
//! ```text
//! offer ──▶ too big? ──▶ queue full? ──▶ serialise at the rate ──▶ lost? ──▶ delay ──▶ deliver
//!              drop          drop         (airtime is spent)       drop     (+ late, if reordered)
//! ```
//!
//! A lost packet spends its airtime, as on a radio. A duplicate is sent a second time and spends
//! airtime again, so that the rate holds whatever the faults.

mod model;
mod profile;

pub use model::{Counters, DropReason, LinkModel, Traffic, Verdict};
pub use profile::{BitsPerSecond, Bursts, LinkProfile, PerMillion};

/// Bytes that IPv4 (RFC 791 without options) and UDP (RFC 768) add to a datagram's payload.
pub const IP_UDP_HEADER_BYTES: usize = 20 + 8;

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the device to the gateway.
    Up,
    /// From the gateway to the device.
    Down,
}
