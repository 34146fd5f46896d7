//! The whole system, for tests and for showing: devices, the links to them, and the gateway.
//!
//! Two worlds share one [link model](link):
//!
//! - **Emulated**: the real firmware on QEMU ([`qemu`]), the real `deltagate` process
//!   ([`gateway`]), and between them the [`bridge`], which plays the link in real time.
//! - **Simulated** ([`sim`]): the device's agent and bootloader and the gateway's core, compiled
//!   for the host, on virtual time. Many updates a second, and a failure is its seed.
//!
//! [`decoding`] runs the patch decoder alone on the emulated processor, to count its instructions.
//!
//! [`factory`] makes what a device leaves the factory with; [`demo`] is `fleet demo`.
//!
//! Nothing here is part of the product, and nothing in the product depends on it.

pub mod agenda;
mod air;
pub mod board;
pub mod bridge;
pub mod compromised;
pub mod decoding;
pub mod demo;
pub mod factory;
pub mod firmware;
pub mod gateway;
pub mod lines;
pub mod link;
mod overhear;
pub mod qemu;
pub mod rig;
pub mod rng;
pub mod sim;
pub mod tap;
pub mod watched;
