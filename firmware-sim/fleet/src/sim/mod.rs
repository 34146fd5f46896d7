//! The whole system in one process on virtual time: no sockets, no threads, no clock.
//!
//! Every device is the real agent and the real bootloader on a flash that enforces NOR rules; the
//! gateway is the real core with its changes on a simulated disk; every packet between them crosses
//! a [`LinkModel`]. One agenda holds what comes next, so a run is a function of
//! its scenario and seed.
//!
//! Promises checked at every step, each with its owner:
//!
//! | promise | checked in |
//! |---|---|
//! | every booted image is one we signed, bit for bit, and not below the highest confirmed | `device` |
//! | a withheld image is never offered again | `gateway` |
//! | the gateway never sends more than its link's rate allows | `world` |
//! | no number is used for two protected messages, no ephemeral key for two handshakes, and who spoke protected once never speaks in the clear | `crate::air` |

mod device;
mod gateway;
mod release;
mod world;

pub use device::{BOOTS_MAX, CREDENTIALS, DECODER_MEMORY_BYTES, Hardware, LAYOUT, Moment, enrol};
pub use gateway::GatewaySide;
pub use release::{Behaviour, CLASS_ID, Publisher, SignedImage, VENDOR_ID, newer_profile, similar_images};
pub use world::{Fault, Scenario, Stopped, World};
