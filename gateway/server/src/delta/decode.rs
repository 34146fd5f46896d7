//! The device's decoder on images in memory.

use wire_patch::{DecodeError, Decoder, Header, IoFailed, Output, Progress};

/// What `patch` makes of `base`, in exactly the memory that its header names. The caller knows that the base is the right one.
pub fn apply(base: &[u8], patch: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let memory = Header::parse(patch)?.memory.bytes();
    apply_in(&mut vec![0; memory as usize], base, patch)
}

/// The same in this memory.
pub fn apply_in(memory: &mut [u8], mut base: &[u8], mut patch: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let header = Header::parse(patch)?;
    let mut decoder = Decoder::new(header, memory)?;
    let mut out = Collected(Vec::with_capacity(header.target_bytes as usize));
    while decoder.step(&mut base, &mut patch, &mut out, u32::MAX)? == Progress::More {}
    Ok(out.0)
}

struct Collected(Vec<u8>);

impl Output for Collected {
    fn append(&mut self, bytes: &[u8]) -> Result<(), IoFailed> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), IoFailed> {
        let start = offset as usize;
        let end = start.checked_add(buf.len()).ok_or(IoFailed)?;
        buf.copy_from_slice(self.0.get(start..end).ok_or(IoFailed)?);
        Ok(())
    }
}
