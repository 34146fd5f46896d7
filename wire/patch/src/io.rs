//! What the decoder reads from and writes to. Slices implement [`ReadAt`]; a device implements both over its flash.

use crate::relocate::Group;

/// The pieces in which output arrives: every [`Output::append`] but the last is exactly this long.
///
/// 64 is a multiple of every NOR program unit in use (1 to 32 bytes) and divides every page (256), so that a
/// device may program each piece as it comes, without a buffer of its own.
pub const OUTPUT_PIECE_BYTES: usize = 64;

/// The caller's storage did not do what it was asked. The caller knows why; the decoder only stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoFailed;

/// Bytes of known length readable at any offset: the base image, or the patch as staged.
///
/// The decoder asks only for ranges inside `len()`, and never for an empty one.
pub trait ReadAt {
    /// Length in bytes. Must not change while a decoder runs.
    fn len(&self) -> u32;

    /// Whether there are no bytes at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buf` from the bytes at `offset`.
    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), IoFailed>;
}

/// Where the result goes, strictly in order.
pub trait Output {
    /// Appends the next bytes of the result: [`OUTPUT_PIECE_BYTES`] of them, fewer only in the last call.
    fn append(&mut self, bytes: &[u8]) -> Result<(), IoFailed>;

    /// Fills `buf` from what was appended earlier. The decoder asks only for ranges that it has appended.
    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), IoFailed>;

    /// Told of every group of a copy before its bytes are appended: what was predicted and what came. A device has no use for
    /// it; tools that explain a patch do.
    fn copied(&mut self, _group: &Group, _bytes: [u8; 4]) {}
}

impl ReadAt for &[u8] {
    fn len(&self) -> u32 {
        u32::try_from(<[u8]>::len(self)).unwrap_or(u32::MAX)
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), IoFailed> {
        copy_out(self, offset, buf)
    }
}

/// The part of `bytes` at `offset`, copied to `buf`; refused when it is not all there.
fn copy_out(bytes: &[u8], offset: u32, buf: &mut [u8]) -> Result<(), IoFailed> {
    let start = usize::try_from(offset).map_err(|_| IoFailed)?;
    let end = start.checked_add(buf.len()).ok_or(IoFailed)?;
    buf.copy_from_slice(bytes.get(start..end).ok_or(IoFailed)?);
    Ok(())
}
