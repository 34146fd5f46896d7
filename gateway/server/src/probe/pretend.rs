//! The device that a probe pretends to be.

use wire_checkin::{CHECK_IN_BYTES_MAX, CheckIn, DeviceId, DigestPrefix, Format, Formats};

use super::ProbeError;
use crate::publisher::identity::{class_id, vendor_id};

/// What the technician says of it.
#[derive(Debug, Clone)]
pub(super) struct Pretend<'p> {
    pub(super) device: Option<&'p str>,
    pub(super) vendor: Option<&'p str>,
    pub(super) class: Option<&'p str>,
    pub(super) running: Option<&'p str>,
    pub(super) sequence_number: u64,
    pub(super) block_size: u16,
}

/// `probe` in ASCII: no device of anybody's.
const PROBE_ID: &str = "70726f6265";

/// The body of its check-in.
pub(super) fn body(pretend: &Pretend<'_>) -> Result<Vec<u8>, ProbeError> {
    let wrong = |what: &'static str, text: &str| ProbeError::Usage {
        what,
        text: text.into(),
    };
    let device = pretend.device.unwrap_or(PROBE_ID);
    let device_id: DeviceId = device
        .parse()
        .map_err(|_| wrong("an identifier of 2 to 32 hex digits", device))?;
    let vendor_id = pretend
        .vendor
        .map_or([0; 16], |text| uuid(text).unwrap_or_else(|| vendor_id(text)));
    let class_id = match (pretend.class, pretend.vendor) {
        (None, _) => [0; 16],
        (Some(text), vendor) => match (uuid(text), vendor) {
            (Some(id), _) => id,
            (None, Some(_)) => class_id(&vendor_id, text),
            (None, None) => return Err(wrong("a UUID, nor is a vendor named beside it", text)),
        },
    };
    let running = pretend.running.unwrap_or("0000000000000000");
    let running_digest = hex(running)
        .and_then(|bytes| DigestPrefix::new(&bytes))
        .ok_or_else(|| wrong("a digest, of which 16 to 64 hex digits are needed", running))?;
    let check_in = CheckIn {
        device_id,
        vendor_id,
        class_id,
        running_digest,
        sequence_number: pretend.sequence_number,
        slot_capacity_bytes: wire_manifest::IMAGE_BYTES_MAX,
        staging_bytes: None,
        erase_sector_bytes: 4_096,
        block_szx_max: (pretend.block_size.max(16).ilog2() - 4).min(6) as u8,
        round_trip_ms: 0,
        decoder_memory_bytes: 16_384,
        formats: Formats::of(&[Format::Full, Format::Patch]),
        last_update: None,
        on_trial: false,
        deferral: None,
        in_place_reach_bytes: None,
        anchors: None,
        anchors_waiting: None,
        freshness: None,
    };
    let mut buffer = [0; CHECK_IN_BYTES_MAX];
    let body = check_in.encode(&mut buffer);
    Ok(body.expect("every field is within its range").to_vec())
}

fn uuid(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    hex(&digits)?.try_into().ok()
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return None;
    }
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.as_bytes().chunks_exact(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pretend() -> Pretend<'static> {
        Pretend {
            device: None,
            vendor: None,
            class: None,
            running: None,
            sequence_number: 0,
            block_size: 1_024,
        }
    }

    #[test]
    fn names_and_uuids_are_the_same_class() {
        let named = body(&Pretend {
            vendor: Some("example.com"),
            class: Some("thermometer"),
            ..pretend()
        });
        let vendor = vendor_id("example.com");
        let class = crate::publisher::identity::uuid_text(&class_id(&vendor, "thermometer"));
        let by_uuid = body(&Pretend {
            vendor: Some("example.com"),
            class: Some(&class),
            ..pretend()
        });
        assert_eq!(named.unwrap(), by_uuid.unwrap());
    }

    #[test]
    fn what_is_no_identifier_is_refused() {
        for wrong in [
            Pretend {
                device: Some("xyz"),
                ..pretend()
            },
            Pretend {
                class: Some("thermometer"),
                ..pretend()
            },
            Pretend {
                running: Some("12"),
                ..pretend()
            },
        ] {
            assert!(matches!(body(&wrong), Err(ProbeError::Usage { .. })), "{wrong:?}");
        }
    }
}
