//! What a device was given to prove who it is, and to believe only its gateway: the record of `docs/identity.md`, in flash.
//!
//! ```text
//! first sector
//!    0 "DGC0"   4 length of the record u8   5 version u8, 1   6 master secret [16]
//!   22 s u8, 0..=16       master salt [s]
//!      c u8, 0..=16       ID Context [c]; none has 0 bytes
//!      d u8, 1..=7        the device's Sender ID, its kid [d]
//!      g u8, 0..=7        its Recipient ID, the gateway's Sender ID [g]; unlike the kid
//!      crc32 of all before it u32
//! behind it, two banks
//!   the log of sequence numbers: see SequenceLog
//! last sector
//!    0 a record as above, only while the first sector is being written   128 one program unit of zeros: it is whole
//! ```
//!
//! They are written when the device is enrolled, and by nobody else: they lie outside of slots and logs. New keys are a new
//! first sector over an old log, which goes on counting, so that even the same keys, written again, are safe. Whoever erases the log
//! as well has to write keys that were never used.
//!
//! A flasher writes the first sector, and nothing else. [`Credentials::write`] on the device itself writes the last sector first, so that
//! whenever the power goes away one of the two holds the old keys or the new ones, whole.

use core::fmt;

use embedded_storage::nor_flash::NorFlash;

use crate::layout::log_bank_bytes;
use crate::{CRC, FlashError, Partition, Region, put};

/// The longest record, in bytes.
pub const CREDENTIALS_BYTES_MAX: usize =
    SALT_AT + (1 + LONG_BYTES_MAX) * 2 + (1 + ID_BYTES_MAX) * 2 + CRC_BYTES;

const MAGIC: [u8; 4] = *b"DGC0";
const VERSION: u8 = 1;
const SECRET_BYTES: usize = 16;
const LONG_BYTES_MAX: usize = 16;
const ID_BYTES_MAX: usize = 7;
const CRC_BYTES: usize = 4;
const SECRET_AT: usize = 6;
const SALT_AT: usize = SECRET_AT + SECRET_BYTES;

/// Where the last sector says that its record is whole: behind the longest, and a multiple of every program unit we know of.
const WHOLE_AT: u32 = 128;
const _: () = assert!(CREDENTIALS_BYTES_MAX <= WHOLE_AT as usize);

/// What the partition takes on a part with sectors of so many bytes: the sector of the credentials, the log, and a sector for
/// credentials on their way.
#[must_use]
pub const fn credentials_bytes(sector_bytes: u32) -> u32 {
    spare_at(sector_bytes) + sector_bytes
}

/// Where the last sector begins.
const fn spare_at(sector_bytes: u32) -> u32 {
    sector_bytes + 2 * log_bank_bytes(sector_bytes)
}

/// A device's credentials: the input of its OSCORE context (RFC 8613 §3.2).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Of this device alone.
    pub master_secret: [u8; SECRET_BYTES],
    /// None has no bytes.
    pub master_salt: Name<LONG_BYTES_MAX>,
    /// None has no bytes.
    pub id_context: Name<LONG_BYTES_MAX>,
    /// Who the device is: its Sender ID. At least one byte.
    pub kid: Name<ID_BYTES_MAX>,
    /// Who its gateway is. Unlike the kid.
    pub gateway: Name<ID_BYTES_MAX>,
}

/// What is where credentials belong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// Erased flash: the device was never given any.
    Nothing,
    /// Something else, or a part that cannot be read. Whoever speaks in the clear now has been made to.
    Damaged,
    /// Credentials.
    Sound(Credentials),
}

/// Up to `N` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name<const N: usize> {
    /// Bytes past `length` are zero, so that the derived equality holds.
    bytes: [u8; N],
    length: u8,
}

impl<const N: usize> Name<N> {
    /// `None` when longer than `N` bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > N {
            return None;
        }
        let mut name = Self {
            bytes: [0; N],
            length: bytes.len() as u8,
        };
        put(&mut name.bytes, 0, bytes);
        Some(name)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

/// Shows who, and no secret.
impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credentials")
            .field("kid", &self.kid.as_bytes())
            .field("gateway", &self.gateway.as_bytes())
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// Reads a record at the beginning of `bytes`; what is behind it is not its own. `None` for anything else.
    #[inline(never)]
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (record, _) = bytes.split_at_checked(usize::from(*bytes.get(MAGIC.len())?))?;
        let (checked, crc) = record.split_last_chunk::<CRC_BYTES>()?;
        if u32::from_le_bytes(*crc) != CRC.checksum(checked) {
            return None;
        }
        let rest = checked.strip_prefix(&MAGIC)?;
        let (&[_length, version], rest) = rest.split_first_chunk()?;
        let (master_secret, mut rest) = rest.split_first_chunk()?;
        let mut parts = [&[][..]; 4];
        for part in &mut parts {
            let (length, behind) = rest.split_first()?;
            (*part, rest) = behind.split_at_checked(usize::from(*length))?;
        }
        let [master_salt, id_context, kid, gateway] = parts;
        let is_sound = version == VERSION && rest.is_empty() && !kid.is_empty() && kid != gateway;
        if !is_sound {
            return None;
        }
        Some(Self {
            master_secret: *master_secret,
            master_salt: Name::new(master_salt)?,
            id_context: Name::new(id_context)?,
            kid: Name::new(kid)?,
            gateway: Name::new(gateway)?,
        })
    }

    /// The record, at the beginning of `room`.
    #[must_use]
    pub fn encode<'r>(&self, room: &'r mut [u8; CREDENTIALS_BYTES_MAX]) -> &'r [u8] {
        put(room, 0, &MAGIC);
        put(room, MAGIC.len() + 1, &[VERSION]);
        put(room, SECRET_AT, &self.master_secret);
        let mut at = SALT_AT;
        for part in [
            self.master_salt.as_bytes(),
            self.id_context.as_bytes(),
            self.kid.as_bytes(),
            self.gateway.as_bytes(),
        ] {
            put(room, at, &[part.len() as u8]);
            put(room, at + 1, part);
            at += 1 + part.len();
        }
        put(room, MAGIC.len(), &[(at + CRC_BYTES) as u8]);
        let crc = CRC.checksum(room.get(..at).unwrap_or_default());
        put(room, at, &crc.to_le_bytes());
        room.get(..at + CRC_BYTES).unwrap_or_default()
    }

    /// Reads them from the partition.
    pub fn read<F: NorFlash>(region: Region<'_, F>) -> Stored {
        let mut is_blank = true;
        for at in [0, spare_at(Region::<F>::SECTOR_BYTES)] {
            let mut bytes = [0; CREDENTIALS_BYTES_MAX];
            let is_read = region.read(at, &mut bytes).is_ok();
            if let Some(sound) = Self::decode(&bytes) {
                return Stored::Sound(sound);
            }
            is_blank &= is_read && bytes.iter().all(|byte| *byte == 0xFF);
        }
        match is_blank {
            true => Stored::Nothing,
            false => Stored::Damaged,
        }
    }

    /// Writes a record in place of the one that is there. Whenever the power goes away, the old one or the new one is read
    /// afterwards, unless there was none; the log between them is left alone. To be called again after a power cut in it.
    ///
    /// # Errors
    /// The flash's; a record that is longer than any is [`FlashError::OutOfBounds`].
    pub fn write<F: NorFlash>(record: &[u8], region: Region<'_, F>) -> Result<(), FlashError> {
        let sector_bytes = Region::<F>::SECTOR_BYTES;
        let spare = region.sub(spare_at(sector_bytes), sector_bytes)?;
        let first = region.sub(0, sector_bytes)?;
        // It is whole, so that the first sector may not be: the power went away in between.
        let mut begun = [0; CREDENTIALS_BYTES_MAX];
        if !spare
            .is_erased(WHOLE_AT, Region::<F>::PROGRAM_BYTES)
            .unwrap_or(true)
            && spare.read(0, &mut begun).is_ok()
            && Self::decode(&begun).is_some()
        {
            put_record(&begun, first)?;
        }
        put_record(record, spare)?;
        let whole = [0; 32];
        let unit = whole.get(..F::WRITE_SIZE).ok_or(FlashError::Misaligned)?;
        spare.program(WHOLE_AT, unit)?;
        put_record(record, first)?;
        spare.erase(0, sector_bytes)
    }
}

/// Erases a sector and writes a record into it.
fn put_record<F: NorFlash>(record: &[u8], sector: Region<'_, F>) -> Result<(), FlashError> {
    let mut padded = [0xFF; CREDENTIALS_BYTES_MAX.next_multiple_of(32)];
    if record.len() > CREDENTIALS_BYTES_MAX {
        return Err(FlashError::OutOfBounds);
    }
    put(&mut padded, 0, record);
    sector.erase(0, Region::<F>::SECTOR_BYTES)?;
    let whole = record.len().next_multiple_of(F::WRITE_SIZE);
    sector.program(0, padded.get(..whole).ok_or(FlashError::Misaligned)?)
}

/// The partition for credentials right behind everything that a layout has: where the emulated boards have theirs.
#[must_use]
pub const fn credentials_behind(layout: &crate::Layout) -> Partition {
    Partition::new(layout.end_bytes(), credentials_bytes(layout.sector_bytes))
}

#[cfg(test)]
mod tests {
    use core::cell::RefCell;
    use std::vec::Vec;

    use super::*;
    use crate::Layout;
    use crate::sim::{Explored, Explorer, Limits, Rewrites, SimFlash, Tears};

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(|byte| *byte != b' ').collect();
        let byte = |pair: &[u8]| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    /// The two examples of docs/identity.md: a device in the field was given such a record.
    fn examples() -> [Vec<u8>; 2] {
        [
            bytes("44474330 27 01 0102030405060708090a0b0c0d0e0f10 08 9e7ca92223786340 00 01 01 00 2b27c785"),
            bytes("44474330 20 01 0102030405060708090a0b0c0d0e0f10 00 00 02 0102 00 d0a89211"),
        ]
    }

    /// A record of these parts, its length and CRC right.
    fn record(version: u8, salt: &[u8], id_context: &[u8], kid: &[u8], gateway: &[u8]) -> Vec<u8> {
        let mut record = Vec::from(*b"DGC0\0");
        record.push(version);
        record.extend([7; 16]);
        for part in [salt, id_context, kid, gateway] {
            record.push(part.len() as u8);
            record.extend(part);
        }
        record[4] = record.len() as u8 + 4;
        let crc = CRC.checksum(&record);
        record.extend(crc.to_le_bytes());
        record
    }

    #[test]
    fn the_examples_of_the_documentation_are_read() {
        let [first, second] = examples().map(|record| Credentials::decode(&record).unwrap());
        assert_eq!(first.master_secret, core::array::from_fn(|i| i as u8 + 1));
        assert_eq!(first.master_salt.as_bytes(), bytes("9e7ca92223786340"));
        assert_eq!(
            (first.kid.as_bytes(), first.gateway.as_bytes()),
            (&[1][..], &[][..])
        );
        for (written, record) in examples().iter().zip([&first, &second]) {
            assert_eq!(record.encode(&mut [0; CREDENTIALS_BYTES_MAX]), written.as_slice());
        }
        assert_eq!(second.kid.as_bytes(), [1, 2]);
        assert_eq!(second.master_salt.as_bytes(), []);
    }

    fn sound(record: &[u8]) -> Stored {
        Stored::Sound(Credentials::decode(record).unwrap())
    }

    #[test]
    fn credentials_come_back_from_the_flash() {
        fn on<const P: usize, const S: usize>() {
            let partition = Partition::new(0, credentials_bytes(S as u32));
            let flash = RefCell::new(SimFlash::<P, S>::part(partition.bytes, Rewrites::Once));
            let region = Region::new(&flash, partition);
            assert_eq!(Credentials::read(region), Stored::Nothing);
            let longest = record(1, &[1; 16], &[2; 16], &[3; 7], &[4; 7]);
            assert_eq!(longest.len(), CREDENTIALS_BYTES_MAX);
            for record in examples().into_iter().chain([longest]) {
                Credentials::write(&record, region).unwrap();
                assert_eq!(Credentials::read(region), sound(&record));
            }
            assert_eq!(flash.borrow().rules_broken(), 0);
        }
        on::<1, 256>();
        on::<4, 4_096>();
        on::<32, 0x1_0000>();
        assert!(Layout::EMULATED.leaves_free(credentials_behind(&Layout::EMULATED)));
    }

    /// What is damaged is never taken for what was never there.
    #[test]
    fn damaged_credentials_are_not_none() {
        let partition = Partition::new(0, credentials_bytes(256));
        let flash = RefCell::new(SimFlash::<4, 256>::part(partition.bytes, Rewrites::Once));
        let region = Region::new(&flash, partition);
        Credentials::write(&examples()[0], region).unwrap();
        for at in 0..examples()[0].len() {
            flash.borrow_mut().bytes_mut()[at] ^= 0x80;
            assert_eq!(Credentials::read(region), Stored::Damaged, "byte {at}");
            flash.borrow_mut().bytes_mut()[at] ^= 0x80;
        }
        // An erase that was cut after a few bytes.
        for erased in 1..examples()[0].len() {
            let whole = flash.borrow().bytes().to_vec();
            flash.borrow_mut().bytes_mut()[..erased].fill(0xFF);
            assert_eq!(Credentials::read(region), Stored::Damaged, "{erased} bytes");
            flash.borrow_mut().bytes_mut().copy_from_slice(&whole);
        }
        let short = Region::new(&flash, Partition::new(0, 32));
        assert_eq!(Credentials::read(short), Stored::Damaged, "what cannot be read");
        assert_eq!(Credentials::read(region), sound(&examples()[0]));
    }

    /// Every cut of a write of new credentials over old ones, and of the same done again: at no moment there are none.
    fn explore<const P: usize, const S: usize>(rewrites: Rewrites) -> Explored {
        let partition = Partition::new(0, credentials_bytes(S as u32));
        let mut part = SimFlash::<P, S>::part(partition.bytes, rewrites);
        let [old, new] = examples();
        Credentials::write(&old, Region::new(&RefCell::new(&mut part), partition)).unwrap();
        let limits = Limits {
            depth: 3,
            tears: Tears::Many(9),
            states_max: None,
            deeper_max: Some(6),
            seed: 5,
        };
        let explorer = Explorer::new(limits, ());
        let (explored, _) = explorer.explore(part, |probe, _, depth| {
            let flash = RefCell::new(probe);
            let region = Region::new(&flash, partition);
            let found = Credentials::read(region);
            assert!(
                [sound(&old), sound(&new)].contains(&found),
                "{found:?}, cuts {depth}"
            );
            if Credentials::write(&new, region).is_ok() {
                assert_eq!(Credentials::read(region), sound(&new));
            }
            let part = flash.into_inner().flash;
            assert_eq!(part.rules_broken(), 0);
            part
        });
        explored
    }

    #[test]
    fn a_device_that_has_credentials_has_some_whatever_the_cut() {
        let explored = explore::<4, 256>(Rewrites::Bitwise)
            .and(explore::<8, 2_048>(Rewrites::Once))
            .and(explore::<32, 4_096>(Rewrites::Once));
        std::println!("{explored:?}");
        assert!(explored.recoveries > 300);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        for sound in examples() {
            for bit in 0..sound.len() * 8 {
                let mut bytes = sound.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                bytes.resize(CREDENTIALS_BYTES_MAX, 0xFF);
                assert_eq!(Credentials::decode(&bytes), None, "bit {bit}");
            }
        }
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        assert!(Credentials::decode(&record(1, &[], &[], &[1], &[])).is_some());
        for refused in [
            record(2, &[], &[], &[1], &[]),
            record(1, &[0; 17], &[], &[1], &[]),
            record(1, &[], &[0; 17], &[1], &[]),
            record(1, &[], &[], &[], &[1]),
            record(1, &[], &[], &[0; 8], &[]),
            record(1, &[], &[], &[1], &[0; 8]),
            record(1, &[], &[], &[5], &[5]),
        ] {
            assert_eq!(Credentials::decode(&refused), None, "{refused:02x?}");
        }
        for length in 0..39 {
            assert_eq!(Credentials::decode(&examples()[0][..length]), None);
        }
        let mut longer = examples()[0].clone();
        longer.insert(35, 0);
        longer[4] += 1;
        let end = longer.len() - 4;
        let crc = CRC.checksum(&longer[..end]).to_le_bytes();
        longer[end..].copy_from_slice(&crc);
        assert_eq!(Credentials::decode(&longer), None, "not the sum of its parts");
    }

    #[test]
    fn nothing_shows_a_secret() {
        let shown = std::format!("{:?}", Credentials::decode(&record(1, &[], &[], &[1], &[])));
        assert!(shown.contains("kid") && !shown.contains('7'), "{shown}");
    }
}
