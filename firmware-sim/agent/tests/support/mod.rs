//! A bench for the agent: releases signed for real, a gateway of a few lines, a lossy link, and a device that boots
//! through the real bootloader, all on virtual time.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    clippy::unwrap_used,
    reason = "a bench: each test file uses its part, and a broken one should panic"
)]

mod channel;
mod device;
mod gateway;
mod release;

pub use channel::{Attack, Channel, record, record_with};
pub use device::{Device, LAYOUT, Link};
pub use gateway::{Gateway, Offer, Request, respond};
pub use release::{Release, Vendor, image, patch};

/// Small, seeded, good enough to shuffle tests.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// What no coder makes smaller.
    pub fn bytes(mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 32) as u8).collect()
    }

    /// Whether an event of `percent` happens.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}
