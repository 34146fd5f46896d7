//! The request body.

use wire_cbor::Writer;

use crate::reader::{Known, Reader};
use crate::writer::{Entries, encode};
use crate::{
    DecodeError, Deferral, DeferralReason, DeferralStage, DeviceId, DigestPrefix, EncodeError, Formats,
    Freshness, LastUpdate, Outcome,
};

/// Longest body [`CheckIn::encode`] writes: the map header, 19 keys of one byte, and the longest value of each key in
/// the order of their numbers.
pub const CHECK_IN_BYTES_MAX: usize = 1
    + 19
    + 17
    + 17
    + 34
    + 9
    + 5
    + 5
    + 5
    + 1
    + 5
    + 5
    + 5
    + (1 + 9 + 2 + 5)
    + 1
    + 17
    + (1 + 1 + 2 + 5)
    + 5
    + 3
    + 3
    + 5;

/// RFC 7959 §2.2: szx 7 is reserved, so 6 (1,024 bytes) is the largest block.
const SZX_MAX: u8 = 6;

/// What a device says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckIn {
    /// Key 1: who checks in.
    pub device_id: DeviceId,
    /// Key 14: UUID of the vendor.
    pub vendor_id: [u8; 16],
    /// Key 2: UUID of the device class.
    pub class_id: [u8; 16],
    /// Key 3: which image runs; devices send 8 bytes of its digest.
    pub running_digest: DigestPrefix,
    /// Key 4: sequence number of the running image.
    pub sequence_number: u64,
    /// Key 5: bytes an image, and the payload staged behind it, may take in the spare slot.
    pub slot_capacity_bytes: u32,
    /// Key 6: bytes of a separate staging area; `None`: payloads are staged in the spare slot's free tail.
    pub staging_bytes: Option<u32>,
    /// Key 7: what one erase clears; image and staged payload each round up to it. At least 1.
    pub erase_sector_bytes: u32,
    /// Key 8: largest block the device takes, as RFC 7959's szx, 0 to 6.
    pub block_szx_max: u8,
    /// Key 9: the device's estimate of the round trip in milliseconds; 0: not known, and not sent.
    pub round_trip_ms: u32,
    /// Key 10: memory a patch decoder may use, in bytes.
    pub decoder_memory_bytes: u32,
    /// Key 11: payload formats the device decodes.
    pub formats: Formats,
    /// Key 12: what became of the last update, until a 2.04 has answered it.
    pub last_update: Option<LastUpdate>,
    /// Key 13: the running image is on trial and waits for this answer to be confirmed. `false` is not sent.
    pub on_trial: bool,
    /// Key 15: the device was offered an update and puts it off.
    pub deferral: Option<Deferral>,
    /// Key 16: the device has a single slot and applies patches in place; the longest reach that a patch from the running
    /// image may have, in bytes, 0 if there is no room for any. Then keys 5, 6 and 10 speak of that slot, of the area in which
    /// the patch is staged, and of the updater's decoder. `None`: it has two slots.
    pub in_place_reach_bytes: Option<u32>,
    /// Key 17: the number of the set of trust anchors in force, 0 for the factory's keys. `None`: it takes no sets.
    pub anchors: Option<u16>,
    /// Key 18: the number of a newer set that it keeps until an image has come that starts under it.
    pub anchors_waiting: Option<u16>,
    /// Key 19: what the device knows of the newest release. It asks for a newer statement than that with it.
    pub freshness: Option<Freshness>,
}

impl CheckIn {
    /// Reads a whole body.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::default();
        let mut reader = Reader::new(body);
        reader.map(&mut |reader, key| fields.read(reader, key))?;
        reader.end()?;
        fields.complete()
    }

    /// Writes the body into `buffer`, of which [`CHECK_IN_BYTES_MAX`] bytes always suffice, and returns it.
    pub fn encode<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], EncodeError> {
        if self.block_szx_max > SZX_MAX {
            return Err(EncodeError::OutOfRange { key: 8 });
        }
        if self.erase_sector_bytes == 0 {
            return Err(EncodeError::OutOfRange { key: 7 });
        }
        encode(buffer, |entries| self.write(entries))
    }

    fn write(&self, entries: &mut Entries<'_, '_>) {
        entries.bytes(1, self.device_id.as_bytes());
        entries.bytes(2, &self.class_id);
        entries.bytes(3, self.running_digest.as_bytes());
        entries.key(4).uint(self.sequence_number);
        entries.number(5, self.slot_capacity_bytes);
        entries.number_if_any(6, self.staging_bytes);
        entries.number(7, self.erase_sector_bytes);
        entries.number(8, self.block_szx_max.into());
        entries.number_if_any(9, Some(self.round_trip_ms).filter(|ms| *ms > 0));
        entries.number(10, self.decoder_memory_bytes);
        entries.number(11, self.formats.bits());
        if let Some(last) = self.last_update {
            write_last_update(entries.key(12), last);
        }
        if self.on_trial {
            entries.key(13).bool(true);
        }
        entries.bytes(14, &self.vendor_id);
        if let Some(deferral) = self.deferral {
            let items = entries.key(15).array(3);
            items.uint(deferral.stage.code().into());
            items.uint(deferral.reason.code().into());
            items.uint(deferral.seconds.into());
        }
        entries.number_if_any(16, self.in_place_reach_bytes);
        entries.number_if_any(17, self.anchors.map(u32::from));
        entries.number_if_any(18, self.anchors_waiting.map(u32::from));
        entries.number_if_any(19, self.freshness.map(Freshness::code));
    }
}

fn write_last_update(writer: &mut Writer<'_>, last: LastUpdate) {
    writer.array(2 + u64::from(last.detail.is_some()));
    writer.uint(last.sequence_number).uint(last.outcome.code().into());
    if let Some(detail) = last.detail {
        writer.uint(detail.into());
    }
}

/// The entries read so far.
#[derive(Default)]
struct Fields {
    device_id: Option<DeviceId>,
    vendor_id: Option<[u8; 16]>,
    class_id: Option<[u8; 16]>,
    running_digest: Option<DigestPrefix>,
    sequence_number: Option<u64>,
    slot_capacity_bytes: Option<u32>,
    staging_bytes: Option<u32>,
    erase_sector_bytes: Option<u32>,
    block_szx_max: Option<u8>,
    round_trip_ms: Option<u32>,
    decoder_memory_bytes: Option<u32>,
    formats: Option<Formats>,
    last_update: Option<LastUpdate>,
    on_trial: Option<bool>,
    deferral: Option<Deferral>,
    in_place_reach_bytes: Option<u32>,
    anchors: Option<u16>,
    anchors_waiting: Option<u16>,
    freshness: Option<Freshness>,
}

impl Fields {
    fn read(&mut self, reader: &mut Reader<'_>, key: i32) -> Result<Known, DecodeError> {
        let out_of_range = DecodeError::OutOfRange { key };
        match key {
            1 => self.device_id = Some(DeviceId::new(reader.bytes()?).ok_or(out_of_range)?),
            2 => self.class_id = Some(reader.byte_array(key)?),
            3 => self.running_digest = Some(DigestPrefix::new(reader.bytes()?).ok_or(out_of_range)?),
            4 => self.sequence_number = Some(reader.uint()?),
            5 => self.slot_capacity_bytes = Some(reader.uint_as(key)?),
            6 => self.staging_bytes = Some(reader.uint_as(key)?),
            7 => self.erase_sector_bytes = Some(reader.uint_as(key)?).filter(|bytes| *bytes > 0),
            8 => self.block_szx_max = Some(reader.uint_as(key)?).filter(|szx| *szx <= SZX_MAX),
            9 => self.round_trip_ms = Some(reader.uint_as(key)?),
            10 => self.decoder_memory_bytes = Some(reader.uint_as(key)?),
            11 => self.formats = Some(Formats::from_bits(reader.uint_as(key)?)),
            12 => self.last_update = Some(read_last_update(reader, key)?),
            13 => self.on_trial = Some(reader.bool()?),
            14 => self.vendor_id = Some(reader.byte_array(key)?),
            15 => self.deferral = Some(read_deferral(reader, key)?),
            16 => self.in_place_reach_bytes = Some(reader.uint_as(key)?),
            17 => self.anchors = Some(reader.uint_as(key)?),
            18 => self.anchors_waiting = Some(reader.uint_as(key)?),
            19 => self.freshness = Some(Freshness::from_code(reader.uint_as(key)?)),
            _ => return Ok(Known::No),
        }
        match key {
            7 if self.erase_sector_bytes.is_none() => Err(out_of_range),
            8 if self.block_szx_max.is_none() => Err(out_of_range),
            _ => Ok(Known::Yes),
        }
    }

    fn complete(self) -> Result<CheckIn, DecodeError> {
        Ok(CheckIn {
            device_id: required(self.device_id, 1)?,
            class_id: required(self.class_id, 2)?,
            running_digest: required(self.running_digest, 3)?,
            sequence_number: required(self.sequence_number, 4)?,
            slot_capacity_bytes: required(self.slot_capacity_bytes, 5)?,
            staging_bytes: self.staging_bytes,
            erase_sector_bytes: required(self.erase_sector_bytes, 7)?,
            block_szx_max: required(self.block_szx_max, 8)?,
            round_trip_ms: self.round_trip_ms.unwrap_or(0),
            decoder_memory_bytes: required(self.decoder_memory_bytes, 10)?,
            formats: required(self.formats, 11)?,
            last_update: self.last_update,
            on_trial: self.on_trial.unwrap_or(false),
            vendor_id: required(self.vendor_id, 14)?,
            deferral: self.deferral,
            in_place_reach_bytes: self.in_place_reach_bytes,
            anchors: self.anchors,
            anchors_waiting: self.anchors_waiting,
            freshness: self.freshness,
        })
    }
}

fn required<T>(field: Option<T>, key: i32) -> Result<T, DecodeError> {
    field.ok_or(DecodeError::MissingKey { key })
}

fn read_last_update(reader: &mut Reader<'_>, key: i32) -> Result<LastUpdate, DecodeError> {
    let items = reader.array()?;
    if !(2..=3).contains(&items) {
        return Err(DecodeError::OutOfRange { key });
    }
    Ok(LastUpdate {
        sequence_number: reader.uint()?,
        outcome: Outcome::from_code(reader.uint_as(key)?),
        detail: if items == 3 {
            Some(reader.uint_as(key)?)
        } else {
            None
        },
    })
}

fn read_deferral(reader: &mut Reader<'_>, key: i32) -> Result<Deferral, DecodeError> {
    let out_of_range = DecodeError::OutOfRange { key };
    if reader.array()? != 3 {
        return Err(out_of_range);
    }
    Ok(Deferral {
        stage: DeferralStage::from_code(reader.uint_as(key)?).ok_or(out_of_range)?,
        reason: DeferralReason::from_code(reader.uint_as(key)?),
        seconds: reader.uint_as(key)?,
    })
}
