//! What a device does with a patch: the decoder that devices use, over plain memory.

use wire_patch::{Decoder, Header, IoFailed, Output, Progress};

/// The image that `patch` makes of `base`.
pub(crate) fn apply(mut base: &[u8], mut patch: &[u8]) -> Vec<u8> {
    let header = Header::parse(patch).unwrap();
    let mut memory = vec![0; header.memory.bytes() as usize];
    let mut decoder = Decoder::new(header, &mut memory).unwrap();
    let mut result = Image(Vec::new());
    while decoder
        .step(&mut base, &mut patch, &mut result, u32::MAX)
        .unwrap()
        == Progress::More
    {}
    result.0
}

struct Image(Vec<u8>);

impl Output for Image {
    fn append(&mut self, bytes: &[u8]) -> Result<(), IoFailed> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn read_at(&mut self, offset: u32, buffer: &mut [u8]) -> Result<(), IoFailed> {
        let from = offset as usize;
        buffer.copy_from_slice(self.0.get(from..from + buffer.len()).ok_or(IoFailed)?);
        Ok(())
    }
}
