//! The binary range coder, encoding side: the mirror image of `wire-patch`'s.

use std::convert::Infallible;

use wire_patch::{BitCoder, one_part};

/// Zero bytes that a decoder reads past the end of a patch without complaint.
const TRIMMED_BYTES_MAX: usize = 4;

const RANGE_MIN: u32 = 1 << 24;

/// Writes bits. What was written so far is `bytes` followed by some number in `low .. low + range`.
#[derive(Debug)]
pub(crate) struct RangeEncoder {
    bytes: Vec<u8>,
    low: u32,
    range: u32,
}

impl RangeEncoder {
    pub(crate) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            low: 0,
            range: u32::MAX,
        }
    }

    /// The shortest stream that decodes to the bits written.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let zeros = (0..32)
            .rev()
            .find(|zeros| self.rounding(*zeros) < self.range)
            .unwrap_or(0);
        self.add(self.rounding(zeros));
        self.bytes.extend(self.low.to_be_bytes());
        for _ in 0..TRIMMED_BYTES_MAX {
            if self.bytes.last() == Some(&0) {
                self.bytes.pop();
            }
        }
        self.bytes
    }

    /// What must be added to `low` for its last `zeros` bits to be zero.
    fn rounding(&self, zeros: u32) -> u32 {
        self.low.wrapping_neg() & ((1 << zeros) - 1)
    }

    /// Adds to `low`, carrying into the bytes already written.
    fn add(&mut self, amount: u32) {
        let (low, carry) = self.low.overflowing_add(amount);
        self.low = low;
        if carry {
            for byte in self.bytes.iter_mut().rev() {
                *byte = byte.wrapping_add(1);
                if *byte != 0 {
                    break;
                }
            }
        }
    }
}

impl BitCoder for RangeEncoder {
    type Error = Infallible;

    fn code(&mut self, bit: bool, p1: u16) -> Result<bool, Infallible> {
        let ones = one_part(self.range, p1);
        if bit {
            self.range = ones;
        } else {
            self.add(ones);
            self.range -= ones;
        }
        while self.range < RANGE_MIN {
            self.bytes.push((self.low >> 24) as u8);
            self.low <<= 8;
            self.range <<= 8;
        }
        Ok(bit)
    }
}
