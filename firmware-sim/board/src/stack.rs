//! How deep the stack ever went.
#![expect(unsafe_code, reason = "reads the stack's memory beside Rust")]

/// What an unused word of the stack holds; each board's start-up code says the same.
pub(crate) const PAINT: u32 = 0x5AFE_57AC;

unsafe extern "C" {
    // SAFETY: the linker script defines both around the stack; only their addresses are used.
    safe static _stack_end: u32;
    safe static _stack_top: u32;
}

/// The address behind the stack, where it begins.
#[cfg(target_arch = "arm")]
pub(crate) fn top() -> usize {
    (&raw const _stack_top).addr()
}

/// How many bytes of the stack were ever used since reset, and how many there are.
#[must_use]
pub fn stack_used_bytes() -> (usize, usize) {
    let (end, top) = ((&raw const _stack_end).addr(), (&raw const _stack_top).addr());
    let unused = (end..top).step_by(4).take_while(|&at| {
        // SAFETY: an aligned word inside the stack's memory; below the stack pointer nothing writes it meanwhile.
        unsafe { core::ptr::with_exposed_provenance::<u32>(at).read_volatile() == PAINT }
    });
    let unused_bytes = unused.count() * 4;
    (top - end - unused_bytes, top - end)
}
