//! Images for Espressif's ROM loaders say themselves where their parts run.

use wire_patch::{Layout, SEGMENTS_MAX, Segment};

/// The first byte of an image.
const MAGIC: u8 = 0xE9;

/// Offset of the first part's header in images for the ESP32 and its successors; those for the ESP8266 have a shorter one.
const FIRST_HEADERS: [usize; 2] = [24, 8];

/// The parts of an image, if it is one.
pub(super) fn layout(image: &[u8]) -> Option<Layout> {
    (FIRST_HEADERS.into_iter()).find_map(|first| Layout::of(&segments(image, first)?))
}

/// The parts, from the first header on; all of them must lie in the image and be most of it (ESP8266 images go on with
/// code that the header does not name). What comes before a part's first byte counts as
/// its own, and parts that continue others are not named.
fn segments(image: &[u8], first: usize) -> Option<Vec<Segment>> {
    let (magic, count) = (*image.first()?, *image.get(1)?);
    if magic != MAGIC || count == 0 || usize::from(count) > 16 {
        return None;
    }
    let mut at = first;
    let mut parts: Vec<Segment> = Vec::new();
    for _ in 0..count {
        let header: &[u8; 8] = image.get(at..at + 8)?.try_into().ok()?;
        let [a, b, c, d, e, f, g, h] = *header;
        let (address, bytes) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        let end = (at + 8)
            .checked_add(bytes as usize)
            .filter(|end| *end <= image.len())?;
        let offset = if parts.is_empty() { 0 } else { at as u32 };
        let before = at as u32 + 8 - offset;
        parts.push(Segment {
            offset,
            address: address.wrapping_sub(before),
        });
        at = end;
    }
    parts.truncate(SEGMENTS_MAX);
    (at > image.len() / 2).then_some(parts)
}
