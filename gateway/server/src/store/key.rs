//! Values that are keys as a whole, as bytes and back.
//!
//! ```text
//! selector:   1 ‖ device id    2 ‖ group name    3 ‖ class id (16)
//! build key:  target (32) ‖ flags (1) ‖ patch memory (8, little-endian) ‖ reach (8, little-endian, absent without)
//!             ‖ base (32, absent without)
//!             flags: bit 0 full, 1 lz4, 2 bsdiff, 3 patch, 4 a base follows, 5 a reach follows: the patch is applied in place
//! ```

use gateway_core::{BuildFormats, BuildKey, Bytes, ClassId, GroupName, ImageDigest, Selector};
use wire_checkin::DeviceId;

pub(super) fn selector_bytes(selector: &Selector) -> Vec<u8> {
    let (kind, value) = match selector {
        Selector::Device(id) => (1, id.as_bytes()),
        Selector::Group(name) => (2, name.as_str().as_bytes()),
        Selector::Class(class) => (3, class.0.as_slice()),
    };
    [&[kind], value].concat()
}

pub(super) fn selector(bytes: &[u8]) -> Option<Selector> {
    let (kind, value) = bytes.split_first()?;
    match kind {
        1 => DeviceId::new(value).map(Selector::Device),
        2 => GroupName::new(std::str::from_utf8(value).ok()?).map(Selector::Group),
        3 => Some(Selector::Class(ClassId(value.try_into().ok()?))),
        _ => None,
    }
}

pub(super) fn build_key_bytes(key: &BuildKey) -> Vec<u8> {
    let BuildFormats {
        full,
        lz4,
        bsdiff,
        patch_memory,
        in_place,
    } = key.formats;
    let flags = u8::from(full)
        | u8::from(lz4) << 1
        | u8::from(bsdiff) << 2
        | u8::from(patch_memory.is_some()) << 3
        | u8::from(key.base.is_some()) << 4
        | u8::from(in_place.is_some()) << 5;
    let mut bytes = key.target.0.to_vec();
    bytes.push(flags);
    bytes.extend(patch_memory.map_or(0, |memory| memory.0).to_le_bytes());
    bytes.extend(in_place.iter().flat_map(|reach| reach.0.to_le_bytes()));
    bytes.extend(key.base.iter().flat_map(|base| base.0));
    bytes
}

pub(super) fn build_key(bytes: &[u8]) -> Option<BuildKey> {
    let (target, rest) = bytes.split_first_chunk::<32>()?;
    let (flags, rest) = rest.split_first()?;
    let (memory, rest) = rest.split_first_chunk::<8>()?;
    let has = |bit: u8| flags & 1 << bit != 0;
    let (in_place, base) = match has(5) {
        true => {
            let (reach, base) = rest.split_first_chunk::<8>()?;
            (Some(Bytes(u64::from_le_bytes(*reach))), base)
        }
        false => (None, rest),
    };
    let base = if has(4) {
        Some(ImageDigest(base.try_into().ok()?))
    } else if base.is_empty() {
        None
    } else {
        return None;
    };
    let patch_memory = has(3).then(|| Bytes(u64::from_le_bytes(*memory)));
    let formats = BuildFormats {
        full: has(0),
        lz4: has(1),
        bsdiff: has(2),
        patch_memory,
        in_place,
    };
    Some(BuildKey {
        base,
        target: ImageDigest(*target),
        formats,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_read_back() {
        let all = [
            Selector::Device(DeviceId::new(&[1, 2]).unwrap()),
            Selector::Group(GroupName::new("roof").unwrap()),
            Selector::Class(ClassId([7; 16])),
        ];
        for value in all {
            assert_eq!(selector(&selector_bytes(&value)), Some(value));
        }
        assert_eq!(selector(&[9, 9]), None);
    }

    #[test]
    fn build_keys_are_read_back() {
        for base in [None, Some(ImageDigest([9; 32]))] {
            for (patch_memory, in_place) in [
                (None, None),
                (Some(Bytes(16_384)), None),
                (Some(Bytes(4_096)), Some(Bytes(28_672))),
            ] {
                let formats = BuildFormats {
                    full: true,
                    lz4: false,
                    bsdiff: true,
                    patch_memory,
                    in_place,
                };
                let key = BuildKey {
                    base,
                    target: ImageDigest([3; 32]),
                    formats,
                };
                assert_eq!(build_key(&build_key_bytes(&key)), Some(key));
            }
        }
        assert_eq!(build_key(&[0; 42]), None);
    }
}
