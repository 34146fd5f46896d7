//! "Latest is N": what a publisher says of a class from time to time, so that who is kept in the dark can notice.
//!
//! `docs/freeze.md` is the specification. A statement is a release whose image is the statement, for a class of its own that no
//! device has: digest, signature and keys are checked by the code that checks a release, and by every bootloader that offers it.
//!
//! ```text
//! the image      0 "DGL1"   4 class-id [16]   20 latest u32   24 issued-at s u32   28 valid-for s u32       big-endian
//! on the air     0 number u32   4 latest u32   8 issued-at s u32   12 valid-for s u32   16 signature [64]   big-endian
//! ```
//!
//! On the air there is nothing that the device knows: it puts the envelope together again, [`SignedLatest::envelope`], and a byte
//! that anybody altered is a signature that does not match.

use wire_cbor::Writer;

use crate::KeyId;
use crate::builder::{PROTECTED, SIGN1_BYTES};
use crate::cose::TAG_SIGN1;
use crate::envelope::TAG_ENVELOPE;

/// Bytes of the image of a statement.
pub const LATEST_IMAGE_BYTES: usize = 4 + 16 + 3 * 4;
/// Bytes of a statement on the air.
pub const LATEST_BYTES: usize = 4 * 4 + 64;
/// Longest envelope of a statement: tag, map, authentication and manifest with their keys and heads.
pub const LATEST_ENVELOPE_BYTES_MAX: usize = 2 + 1 + (1 + 2 + WRAPPER_BYTES) + (1 + 2 + MANIFEST_BYTES_MAX);
/// The highest number of a statement: a check-in says it beside two bits, in 32.
pub const NUMBER_MAX: u32 = (1 << 30) - 1;
/// The shortest time that a statement may be valid for, seconds: an hour, or devices would ask at every check-in.
pub const VALID_S_MIN: u32 = 3_600;
/// The longest, seconds: 366 days. Whoever has a stolen key keeps nobody quiet for longer with one statement.
pub const VALID_S_MAX: u32 = 366 * 24 * 3_600;

/// The first bytes of the image, with the version of its format.
const MAGIC: [u8; 4] = *b"DGL1";
/// What the class of statements is named after, behind the class that they are about.
const CLASS_NAME: &[u8] = b"deltagate latest";

/// Override of four parameters, then two conditions with their policies.
const SHARED_BYTES: usize = 3 + 2 * 18 + (1 + 2 + DIGEST_BYTES) + 3 + 4;
/// Components and shared sequence.
const COMMON_BYTES: usize = 1 + 5 + 1 + 2 + SHARED_BYTES;
/// Version, sequence number, common, validate, invoke.
const MANIFEST_BYTES_MAX: usize = 1 + 2 + 6 + (1 + 2 + COMMON_BYTES) + 2 * 5;
/// `[-16, bstr .size 32]`
const DIGEST_BYTES: usize = 4 + 32;
/// Array, digest and signature as byte strings.
const WRAPPER_BYTES: usize = 1 + (2 + DIGEST_BYTES) + (2 + SIGN1_BYTES);
/// What the closed form below says of lengths that have to fit one byte.
const _: () = assert!(SHARED_BYTES == 85 && COMMON_BYTES == 94 && WRAPPER_BYTES == 125 && SIGN1_BYTES == 84);
const _: () = assert!(MANIFEST_BYTES_MAX < 256 && LATEST_ENVELOPE_BYTES_MAX == 250);

/// What is stated of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latest {
    /// Which of two statements is newer, from 1 to [`NUMBER_MAX`].
    pub number: u32,
    /// The sequence number of the newest release, from 1.
    pub sequence: u32,
    /// When it was signed, by the publisher's clock: seconds since 1970, until 2106.
    pub issued_s: u32,
    /// For how long the publisher means it to be the newest, seconds: [`VALID_S_MIN`] to [`VALID_S_MAX`].
    pub valid_s: u32,
}

impl Latest {
    /// Whether its numbers are in their ranges.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.number > 0
            && self.number <= NUMBER_MAX
            && self.sequence > 0
            && self.valid_s >= VALID_S_MIN
            && self.valid_s <= VALID_S_MAX
    }

    /// The image of the statement.
    #[must_use]
    pub fn image(&self, class_id: &[u8; 16]) -> [u8; LATEST_IMAGE_BYTES] {
        let mut bytes = [0; LATEST_IMAGE_BYTES];
        let (head, words) = bytes.split_at_mut(20);
        let (magic, class) = head.split_at_mut(4);
        magic.copy_from_slice(&MAGIC);
        class.copy_from_slice(class_id);
        put(words, &[self.sequence, self.issued_s, self.valid_s]);
        bytes
    }

    /// The statement in an image, and the class that it is about; `None` for any other image. `number` is the sequence number of the
    /// manifest. Who signed it, and that its manifest is for [`latest_class`], the caller has seen.
    #[must_use]
    pub fn of_image(number: u32, image: &[u8]) -> Option<(Self, [u8; 16])> {
        let image: &[u8; LATEST_IMAGE_BYTES] = image.try_into().ok()?;
        let (magic, rest) = image.split_first_chunk::<4>()?;
        let (class_id, words) = rest.split_first_chunk::<16>()?;
        let [sequence, issued_s, valid_s] = words_of(words)?;
        let latest = Self {
            number,
            sequence,
            issued_s,
            valid_s,
        };
        (*magic == MAGIC && latest.is_sound()).then_some((latest, *class_id))
    }
}

/// The class of the statements about a class. `hash` is SHA-256 of parts one after the other, which a device has from its bootloader.
/// A UUID of version 8 (RFC 9562 §5.8), so that it is no device's, which has version 5.
#[must_use]
pub fn latest_class(class_id: &[u8; 16], hash: &mut dyn FnMut(&[&[u8]]) -> [u8; 32]) -> [u8; 16] {
    let digest = hash(&[class_id, CLASS_NAME]);
    let [mut uuid, _] = halves(&digest);
    let [.., version, _, variant, _, _, _, _, _, _, _] = &mut uuid;
    *version = *version & 0x0F | 0x80;
    *variant = *variant & 0x3F | 0x80;
    uuid
}

/// A statement on the air, read and not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedLatest {
    /// What it says.
    pub latest: Latest,
    /// The signature of the envelope that it is made of, by a key that is not named: there are at most four to try.
    pub signature: [u8; 64],
}

impl SignedLatest {
    /// Reads what came on the air; `None`: it is no statement of this version, or out of range.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LATEST_BYTES] = bytes.try_into().ok()?;
        let (words, signature) = bytes.split_last_chunk::<64>()?;
        let [number, sequence, issued_s, valid_s] = words_of(words)?;
        let latest = Latest {
            number,
            sequence,
            issued_s,
            valid_s,
        };
        latest.is_sound().then_some(Self {
            latest,
            signature: *signature,
        })
    }

    /// What goes on the air.
    #[must_use]
    pub fn encode(&self) -> [u8; LATEST_BYTES] {
        let mut bytes = [0; LATEST_BYTES];
        let (words, signature) = bytes.split_at_mut(16);
        let Latest {
            number,
            sequence,
            issued_s,
            valid_s,
        } = self.latest;
        put(words, &[number, sequence, issued_s, valid_s]);
        signature.copy_from_slice(&self.signature);
        bytes
    }

    /// The envelope that was signed, of the one form that a publisher writes: `deltagate image latest`, [`crate::Release::encode`].
    /// It is for `statements`, the class that [`latest_class`] makes of `class_id`.
    pub fn envelope<'b>(
        &self,
        into: &'b mut [u8; LATEST_ENVELOPE_BYTES_MAX],
        vendor_id: &[u8; 16],
        class_id: &[u8; 16],
        statements: &[u8; 16],
        key_id: KeyId,
        hash: &mut dyn FnMut(&[&[u8]]) -> [u8; 32],
    ) -> Option<&'b [u8]> {
        let image = hash(&[&self.latest.image(class_id)]);
        let mut buffer = [0; MANIFEST_BYTES_MAX];
        let mut writer = Writer::new(&mut buffer);
        writer.raw(&[0xA5, 1, 1, 2]).uint(self.latest.number.into());
        writer.raw(&[3, 0x58, COMMON_BYTES as u8, 0xA2, 2, 0x81, 0x81, 0x41, 0, 4]);
        writer.raw(&[0x58, SHARED_BYTES as u8, 0x86, 20, 0xA4, 1]);
        writer.bytes(vendor_id).uint(2).bytes(statements);
        writer
            .raw(&[3, 0x58, DIGEST_BYTES as u8])
            .raw(&DIGEST_HEAD)
            .raw(&image);
        writer.uint(14).uint(LATEST_IMAGE_BYTES as u64);
        writer.raw(&[1, 15, 2, 15, 7, 0x43, 0x82, 3, 15, 9, 0x43, 0x82, 23, 2]);
        let manifest = writer.finish()?;
        let digest = hash(&[&[0x58, manifest.len() as u8], manifest]);
        let mut writer = Writer::new(into);
        writer
            .tag(TAG_ENVELOPE)
            .raw(&[0xA2, 2, 0x58, WRAPPER_BYTES as u8]);
        writer
            .raw(&[0x82, 0x58, DIGEST_BYTES as u8])
            .raw(&DIGEST_HEAD)
            .raw(&digest);
        writer.bytes_head(SIGN1_BYTES as u64).tag(TAG_SIGN1).array(4);
        writer.bytes(&PROTECTED).raw(&[0xA1, 4]).bytes(&key_id.0);
        writer.null().bytes(&self.signature);
        writer.uint(3).bytes(manifest);
        writer.finish()
    }
}

/// `[-16, bstr .size 32]` up to the digest.
const DIGEST_HEAD: [u8; 4] = [0x82, 0x2F, 0x58, 0x20];

fn halves(digest: &[u8; 32]) -> [[u8; 16]; 2] {
    let mut halves = [[0; 16]; 2];
    for (place, half) in halves.iter_mut().zip(digest.as_chunks().0) {
        *place = *half;
    }
    halves
}

fn put(into: &mut [u8], words: &[u32]) {
    for (place, word) in into.as_chunks_mut().0.iter_mut().zip(words) {
        *place = word.to_be_bytes();
    }
}

fn words_of<const N: usize>(bytes: &[u8]) -> Option<[u32; N]> {
    let (words, rest) = bytes.as_chunks();
    let words: &[[u8; 4]; N] = words.try_into().ok()?;
    rest.is_empty().then(|| words.map(u32::from_be_bytes))
}
