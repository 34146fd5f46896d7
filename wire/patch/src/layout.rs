//! Where the parts of an image run.

/// Parts of an image that run at different addresses: ESP32 images have up to five that matter.
pub const SEGMENTS_MAX: usize = 5;

/// A part of an image, up to where the next one starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Where in the image it starts, a multiple of 4 below 2^24; 0 for the first.
    pub offset: u32,
    /// The address of its first byte, a multiple of 4.
    pub address: u32,
}

/// Which address every byte of an image has. Wrong ones cost bytes, never correctness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    segments: [Segment; SEGMENTS_MAX],
    len: u8,
}

impl Layout {
    /// An image that runs in one piece; of its address the lowest two bits are dropped.
    pub const fn flat(address: u32) -> Self {
        let mut segments = [Segment {
            offset: 0,
            address: 0,
        }; SEGMENTS_MAX];
        segments[0].address = address & !3;
        Self { segments, len: 1 }
    }

    /// An image of several parts, in the order of their offsets, of which the first must be 0. `None` if they are none or more
    /// than [`SEGMENTS_MAX`], or not as [`Segment`] wants them.
    pub fn of(parts: &[Segment]) -> Option<Self> {
        let mut segments = [Segment::default(); SEGMENTS_MAX];
        segments.get_mut(..parts.len())?.copy_from_slice(parts);
        let aligned = parts
            .iter()
            .all(|part| (part.offset | part.address) & 3 == 0 && part.offset >> 24 == 0);
        let ordered = parts.windows(2).all(|pair| pair[0].offset < pair[1].offset);
        (aligned && ordered && parts.first()?.offset == 0).then_some(Self {
            segments,
            len: parts.len() as u8,
        })
    }

    /// The parts.
    pub fn segments(&self) -> &[Segment] {
        // Never more; the compiler wants it said.
        &self.segments[..usize::from(self.len).min(SEGMENTS_MAX)]
    }

    /// The parts, now so many of them, at least one and at most [`SEGMENTS_MAX`], of which new ones have offset and address 0.
    pub(crate) fn resized(&mut self, len: usize) -> &mut [Segment] {
        let len = len.clamp(1, SEGMENTS_MAX);
        self.segments[len..].fill(Segment::default());
        self.len = len as u8;
        &mut self.segments[..len]
    }

    /// The address of the byte at `offset`.
    // Once in the program.
    #[inline(never)]
    pub fn address(&self, offset: u32) -> u32 {
        let from_here = |segment: &&Segment| segment.offset <= offset;
        let found = self
            .segments()
            .iter()
            .rfind(from_here)
            .unwrap_or(&self.segments[0]);
        found.address.wrapping_add(offset.wrapping_sub(found.offset))
    }

    /// Whether two offsets are in the same part.
    pub(crate) fn same_part(&self, one: u32, other: u32) -> bool {
        self.segments()
            .iter()
            .all(|segment| (segment.offset <= one) == (segment.offset <= other))
    }

    /// Where in an image of `bytes` the byte with this address is.
    pub fn offset(&self, address: u32, bytes: u32) -> Option<u32> {
        let mut end = bytes;
        for segment in self.segments().iter().rev() {
            let inside = address.wrapping_sub(segment.address);
            if segment.offset < end && inside < end - segment.offset {
                return Some(segment.offset + inside);
            }
            end = segment.offset.min(end);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_offsets_belong_together() {
        let parts = [(0, 0x3C00_0000), (0x100, 0x4200_0000), (0x180, 0x4038_0000)];
        let parts = parts.map(|(offset, address)| Segment { offset, address });
        let layout = Layout::of(&parts).expect("ordered");
        for offset in 0..0x200 {
            assert_eq!(layout.offset(layout.address(offset), 0x200), Some(offset));
        }
        assert_eq!(layout.offset(0x4200_0080, 0x200), None);
        assert_eq!(layout.offset(0x4038_0080, 0x200), None);
        assert_eq!(layout.offset(0x4038_0000, 0x180), None);
        assert_eq!(layout.address(0x140), 0x4200_0040);
        assert_eq!(Layout::of(&parts[1..]), None);
        assert_eq!(Layout::of(&[]), None);
    }
}
