//! Memory-mapped registers.
#![expect(
    unsafe_code,
    reason = "a register is an address, and only volatile access reaches it"
)]

use core::marker::PhantomData;
use core::ptr::{with_exposed_provenance, with_exposed_provenance_mut};

/// One register of the board, 32 bits wide unless it says otherwise.
pub(crate) struct Register<T = u32> {
    address: usize,
    _width: PhantomData<T>,
}

impl<T> Clone for Register<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Register<T> {}

impl<T: Copy> Register<T> {
    /// The register at `address`.
    ///
    /// # Safety
    /// The aligned address of a device register of this board: access to it has no effect on memory that Rust owns.
    pub(crate) const unsafe fn at(address: usize) -> Self {
        Self {
            address,
            _width: PhantomData,
        }
    }

    pub(crate) fn read(self) -> T {
        // SAFETY: by the contract of `at` this is a device register.
        unsafe { with_exposed_provenance::<T>(self.address).read_volatile() }
    }

    pub(crate) fn write(self, value: T) {
        // SAFETY: by the contract of `at` this is a device register.
        unsafe { with_exposed_provenance_mut::<T>(self.address).write_volatile(value) }
    }
}

/// A block of registers: the register at a byte offset from its base, checked against its length while compiling.
macro_rules! register_block {
    ($name:ident, $base:literal, $bytes:literal) => {
        crate::register::register_block!($name: u32, $base, $bytes);
    };
    ($name:ident: $width:ty, $base:literal, $bytes:literal) => {
        #[expect(unsafe_code, reason = "names the registers of one device")]
        const fn $name(offset: usize) -> crate::register::Register<$width> {
            assert!(offset < $bytes && offset.is_multiple_of(size_of::<$width>()));
            // SAFETY: the memory map of the board, which the crate's front page names, has this device there.
            unsafe { crate::register::Register::at($base + offset) }
        }
    };
}
pub(crate) use register_block;
