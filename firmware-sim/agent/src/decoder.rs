//! The patch decoder, where the agent applies patches itself: with the feature `two-slots`. Without it there is none, and nothing of it
//! is linked: with a single slot it is the updater's.

#[cfg(not(feature = "two-slots"))]
pub(crate) use absent::Decoder;
#[cfg(feature = "two-slots")]
pub(crate) use wire_patch::Decoder;

/// Whether there is one.
pub(crate) const IS_LINKED: bool = cfg!(feature = "two-slots");

#[cfg(not(feature = "two-slots"))]
mod absent {
    use core::convert::Infallible;
    use core::marker::PhantomData;

    use wire_patch::{DecodeError, Header, Output, Progress, ReadAt};

    /// A type of which there is no value.
    #[derive(Debug)]
    pub(crate) struct Decoder<'m>(Infallible, PhantomData<&'m mut [u8]>);

    impl<'m> Decoder<'m> {
        pub(crate) fn new(header: Header, _: &'m mut [u8]) -> Result<Self, DecodeError> {
            Err(DecodeError::MemoryTooSmall {
                needed: header.memory.bytes(),
                given: 0,
            })
        }

        pub(crate) fn step(
            &mut self,
            _: &mut impl ReadAt,
            _: &mut impl ReadAt,
            _: &mut impl Output,
            _: u32,
        ) -> Result<Progress, DecodeError> {
            match self.0 {}
        }

        pub(crate) const fn produced(&self) -> u32 {
            match self.0 {}
        }

        pub(crate) const fn into_memory(self) -> &'m mut [u8] {
            match self.0 {}
        }
    }
}
