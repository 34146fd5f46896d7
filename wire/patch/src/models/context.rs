//! Hashes of contexts.

/// The hash of one context: which one it is, and its two parts.
// Not inlined: there are some forty calls, none for every bit.
#[inline(never)]
pub(super) fn hash(context: u32, a: u32, b: u32) -> u32 {
    scramble(
        scramble(a.wrapping_add(context << 28))
            .wrapping_add(b << 3)
            .wrapping_add(context),
    )
}

/// Mixes all bits into the upper ones.
pub(super) fn scramble(x: u32) -> u32 {
    let x = x.wrapping_mul(0x9E37_79B1);
    x ^ (x >> 15)
}
