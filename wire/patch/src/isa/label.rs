//! An image with labels in place of addresses, for the encoder's alignment.

use super::{Ahead, DATA, Isa, Trail};
use crate::layout::Layout;
use crate::relocate::Kind;

/// Puts labels in place of the addresses in an image that point into it: `label` makes one from the offset of what is pointed
/// to, or from `None` for RAM, and `put` takes the place of a changed group and its bytes. In words a label has 32 bits,
/// in instructions the lowest 8 of them count; short branches and loads get none, only their displacement goes.
pub fn with_labels(
    isa: Isa,
    layout: &Layout,
    image: &[u8],
    label: impl Fn(Option<u32>) -> u32,
    mut put: impl FnMut(usize, &[u8]),
) {
    let mut trail = Trail::new();
    let bytes = image.len() as u32;
    let mut at = 0;
    while at + 4 <= image.len() {
        let ahead = Ahead::new(&image[at..]);
        let (old, address) = (ahead.word(0), layout.address(at as u32));
        if at & 3 == 0
            && isa.has_words()
            && isa.is_pointer(&ahead)
            && let Some(offset) = layout.offset(old, bytes)
        {
            put(at, &label(Some(offset)).to_le_bytes());
            at += 4;
            continue;
        }
        let found = isa.read(&mut trail, &ahead, address);
        let (mut len, mut new) = (found.bytes as usize, old);
        if let Some(operand) = found
            .operand
            .filter(|operand| at + operand.bytes as usize <= image.len())
        {
            let offset = layout.offset(operand.address, bytes);
            let named = match operand.kind {
                Kind::Near | Kind::Word => Some(0),
                _ if offset.is_some() || isa.is_ram(operand.address) => {
                    // An address of data stays one.
                    let apart = if offset.is_none() {
                        operand.address & DATA
                    } else {
                        0
                    };
                    Some((label(offset) & 0xFF) << 3 | apart)
                }
                _ => None,
            };
            // As if the instruction were at 0, so that labels are the same wherever it is.
            if let Some(changed) = named.and_then(|named| isa.retarget(&trail, operand.field, old, 0, named))
            {
                (len, new) = (operand.bytes as usize, changed);
                put(at, &new.to_le_bytes()[..len]);
            }
        }
        isa.passed(&mut trail, old, address, new, 0);
        at += len;
    }
}
