//! Memory-mapped registers.
#![expect(
    unsafe_code,
    reason = "a register is an address, and only volatile access reaches it"
)]

/// One 32-bit register of the board.
#[derive(Clone, Copy)]
pub(super) struct Register(usize);

impl Register {
    /// The register at `address`.
    ///
    /// # Safety
    /// A 4-aligned address of a device register of this board: access to it has no effect on memory that Rust owns.
    pub(super) const unsafe fn at(address: usize) -> Self {
        Self(address)
    }

    pub(super) fn read(self) -> u32 {
        // SAFETY: by the contract of `at` this is a device register.
        unsafe { core::ptr::with_exposed_provenance::<u32>(self.0).read_volatile() }
    }

    pub(super) fn write(self, value: u32) {
        // SAFETY: by the contract of `at` this is a device register.
        unsafe { core::ptr::with_exposed_provenance_mut::<u32>(self.0).write_volatile(value) }
    }
}

/// A block of registers: the register at a byte offset from its base, checked against its length while compiling.
macro_rules! register_block {
    ($name:ident, $base:literal, $bytes:literal) => {
        #[expect(unsafe_code, reason = "names the registers of one device")]
        const fn $name(offset: usize) -> super::register::Register {
            assert!(offset < $bytes && offset.is_multiple_of(4));
            // SAFETY: the memory map of the board (Arm AN385, table 3-4 and following) has this device there.
            unsafe { super::register::Register::at($base + offset) }
        }
    };
}
pub(super) use register_block;
