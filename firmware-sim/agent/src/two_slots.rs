//! In the place of `in_place`, without the feature of that name: a type of which there is no value, so that nothing of what a
//! single slot needs is left in the agent of a device with two.

use core::cell::RefCell;

use wire_checkin::Outcome;

use crate::core::FlashFailed;

/// With two slots there is no such event.
pub(crate) const UNPROTECTED: &str = "";

/// What a device with a single slot has beside it: with the feature `in-place`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InPlace {}

impl InPlace {
    pub(crate) const fn memory_bytes(&self) -> u32 {
        match *self {}
    }

    pub(crate) const fn trusts_anybody(&self) -> bool {
        match *self {}
    }

    pub(crate) const fn reach_bytes(&self, _: u32, _: u32, _: u32) -> u32 {
        match *self {}
    }

    pub(crate) const fn ask<F>(&self, _: &RefCell<F>, _: u32, _: [u8; 32]) -> Result<(), FlashFailed> {
        match *self {}
    }

    pub(crate) const fn refusal<F>(&self, _: &RefCell<F>) -> Result<Option<Outcome>, FlashFailed> {
        match *self {}
    }
}
