//! In the place of `channel`, without the feature `oscore`: messages go as they are.

use core::cell::RefCell;

use deltagate_services::Services;
use embedded_storage::nor_flash::NorFlash;
use wire_coap::{Message, Token, WriteError, Writer};

use crate::config::Config;
use crate::core::FlashFailed;

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
    ) -> Result<Self, FlashFailed> {
        Ok(Self)
    }

    pub(crate) const fn reserve<F: NorFlash>(
        &mut self,
        _: &RefCell<F>,
        _: &Config,
    ) -> Result<(), FlashFailed> {
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
