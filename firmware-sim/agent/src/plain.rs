//! In the place of `channel`, without the feature `oscore`: messages go as they are.

use core::cell::RefCell;

use deltagate_services::Services;
use embedded_storage::nor_flash::NorFlash;
use wire_coap::{Message, Token, WriteError, Writer};

use crate::config::Config;
use crate::event::Event;
use crate::journal::Journal;

/// Why a device says nothing: never, without the feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {}

impl Silence {
    /// What happened, and what to do.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {}
    }
}

/// What an image that speaks OSCORE left in the journal: nothing that matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trace {}

impl Trace {
    pub(crate) const fn from_word(_: u32) -> Option<Self> {
        None
    }

    pub(crate) const fn word(self) -> u32 {
        match self {}
    }
}

/// Nothing between client and link.
#[derive(Debug)]
pub(crate) struct Channel;

/// A datagram that is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    Malformed,
}

/// Writes the plain request; its length.
pub(crate) type Write<'w> = &'w mut dyn FnMut(&Channel, &mut [u8]) -> Result<usize, WriteError>;

impl Channel {
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self;
    /// How much longer a request is on the link.
    pub(crate) const OVERHEAD_BYTES_MAX: usize = 0;

    pub(crate) const fn open<F: NorFlash>(
        _: &dyn Services,
        _: &RefCell<F>,
        _: &Config,
        _: &Journal<'_, F>,
        _: Option<u64>,
    ) -> Self {
        Self
    }

    pub(crate) const fn is_protected(&self) -> bool {
        false
    }

    pub(crate) const fn unguessable(&self, _: &dyn Services, seed: u64) -> u64 {
        seed
    }

    pub(crate) const fn reserve<F: NorFlash>(
        &mut self,
        _: &dyn Services,
        _: &RefCell<F>,
        _: &Config,
        _: &mut Journal<'_, F>,
        _: u8,
    ) -> Result<(), Event> {
        Ok(())
    }

    pub(crate) fn request(&mut self, into: &mut [u8], write: Write<'_>) -> Result<usize, WriteError> {
        write(self, into)
    }

    pub(crate) const fn options(&self, _: &mut Writer<'_>) -> Result<(), WriteError> {
        Ok(())
    }

    pub(crate) fn read<'d>(
        &mut self,
        _: Option<Token>,
        datagram: &'d mut [u8],
    ) -> Result<Message<'d>, Unread> {
        Message::parse(datagram).map_err(|_| Unread::Malformed)
    }
}
