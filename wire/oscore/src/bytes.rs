//! Up to `N` bytes in place, put together piece by piece.

#[derive(Clone, Copy)]
pub(crate) struct Bytes<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Bytes<N> {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; N],
            length: 0,
        }
    }

    /// The caller's `N` is the sum of the longest pieces; what would not fit is left out.
    pub(crate) fn append(&mut self, piece: &[u8]) {
        let places = self.bytes.iter_mut().skip(self.length);
        for (place, byte) in places.zip(piece) {
            *place = *byte;
        }
        self.length += piece.len();
    }

    /// Zeros up to the end.
    pub(crate) const fn fill(&mut self) {
        self.length = N;
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.length).unwrap_or_default()
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&[])
    }
}
