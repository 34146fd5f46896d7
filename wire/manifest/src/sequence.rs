//! Command sequences of our profile (draft-ietf-suit-manifest-37 §8.4.6 and following).
//!
//! | Sequence | Commands, in this order |
//! |---|---|
//! | shared | override-parameters {vendor, class, digest, size}, condition vendor, condition class |
//! | validate | condition image-match |
//! | invoke | directive invoke |
//! | install, where there is one | override-parameters {version: at least this sequence number}, condition version |
//!
//! A sequence is one array of alternating commands and arguments. There is nothing to execute: a manifest that holds
//! exactly this means one thing, and every other one is refused by naming the first command that differs. Reporting
//! policies are read and mean nothing to us.

use crate::cbor::{Reader, Seen};
use crate::error::told;
use crate::{IMAGE_BYTES_MAX, Item, Malformed, ManifestError, Unsupported};

const VENDOR_IDENTIFIER: i32 = 1;
const CLASS_IDENTIFIER: i32 = 2;
/// condition-image-match.
pub(crate) const IMAGE_MATCH: i32 = 3;
const OVERRIDE_PARAMETERS: i32 = 20;
/// directive-invoke.
pub(crate) const INVOKE: i32 = 23;

/// draft-ietf-suit-update-management-13 §8: condition and parameter have one number.
pub(crate) const VERSION: i32 = 28;
/// draft-ietf-suit-update-management-13 §5.4: greater or equal.
pub(crate) const VERSION_AT_LEAST: u64 = 2;

/// `[ override-parameters, { version =>` of the install sequence, of four items.
const INSTALL_BEFORE: [u8; 5] = [0x84, OVERRIDE_PARAMETERS as u8, 0xA1, 0x18, VERSION as u8];
/// `[ at-least, [` of the version in it: one of ours is a list of one number.
const VERSION_BEFORE: [u8; 3] = [0x82, VERSION_AT_LEAST as u8, 0x81];

/// SUIT_Reporting_Policy: four bits.
const POLICY_MAX: u32 = 15;

/// What the shared sequence sets.
pub(crate) struct Parameters<'a> {
    pub(crate) vendor_id: &'a [u8; 16],
    pub(crate) class_id: &'a [u8; 16],
    pub(crate) image_digest: &'a [u8; 32],
    pub(crate) image_size: u32,
}

/// Reads the shared sequence.
pub(crate) fn read_shared(bytes: &[u8]) -> Result<Parameters<'_>, ManifestError> {
    let mut commands = Commands::new(bytes)?;
    commands.expect(OVERRIDE_PARAMETERS, Item::OverrideParameters)?;
    let parameters = read_parameters(&mut commands.reader)?;
    commands.expect(VENDOR_IDENTIFIER, Item::VendorCondition)?;
    commands.policy()?;
    commands.expect(CLASS_IDENTIFIER, Item::ClassCondition)?;
    commands.policy()?;
    commands.end()?;
    parameters.complete()
}

/// Reads a sequence of one command that takes a reporting policy.
pub(crate) fn read_only(bytes: &[u8], command: i32, name: Item) -> Result<(), ManifestError> {
    let mut commands = Commands::new(bytes)?;
    commands.expect(command, name)?;
    commands.policy()?;
    commands.end()
}

/// Reads an install sequence: the lowest sequence number of the image that is replaced.
///
/// It is the place of such a condition, because an update executes it and a boot does not: by then the predecessor is gone. As
/// nothing else may stand in it, it is compared with the bytes that it has in the shortest encoding.
pub(crate) fn read_install(bytes: &[u8]) -> Result<u32, ManifestError> {
    install(bytes).ok_or(Unsupported::Install.into())
}

fn install(bytes: &[u8]) -> Option<u32> {
    let mut reader = Reader::new(bytes.strip_prefix(&INSTALL_BEFORE)?);
    let mut version = Reader::new(reader.bytes().ok()?.strip_prefix(&VERSION_BEFORE)?);
    let number = version.uint().ok()??;
    let policy = match (version.end(), reader.int()) {
        (Ok(()), Ok(VERSION)) => reader.uint().ok()??,
        _ => return None,
    };
    reader.end().ok()?;
    (policy <= POLICY_MAX).then_some(number)
}

struct Commands<'a> {
    reader: Reader<'a>,
    left: u32,
}

impl<'a> Commands<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, ManifestError> {
        let mut reader = Reader::new(bytes);
        let items = reader.array()?;
        if !items.is_multiple_of(2) {
            return Err(Malformed::OutOfRange(Item::CommandSequence).into());
        }
        Ok(Self {
            reader,
            left: items / 2,
        })
    }

    /// The next command must be `command`, which the draft calls `name`.
    fn expect(&mut self, command: i32, name: Item) -> Result<(), ManifestError> {
        self.left = self.left.checked_sub(1).ok_or(Unsupported::Without(name))?;
        match self.reader.int()? {
            found if found == command => Ok(()),
            other => Err(Unsupported::Command(told(other)).into()),
        }
    }

    fn policy(&mut self) -> Result<(), ManifestError> {
        match self.reader.uint()? {
            Some(0..=POLICY_MAX) => Ok(()),
            _ => Err(Malformed::OutOfRange(Item::ReportingPolicy).into()),
        }
    }

    /// There must be no further command.
    fn end(mut self) -> Result<(), ManifestError> {
        if self.left > 0 {
            return Err(Unsupported::Command(told(self.reader.int()?)).into());
        }
        Ok(self.reader.end()?)
    }
}

/// Parameters as far as an override set them. Whether all are there is asked last, so that a manifest which sets them
/// elsewhere is refused by the name of the command it uses for that.
#[derive(Default)]
struct Overrides<'a> {
    vendor_id: Option<&'a [u8; 16]>,
    class_id: Option<&'a [u8; 16]>,
    image_digest: Option<&'a [u8; 32]>,
    image_size: Option<u32>,
}

impl<'a> Overrides<'a> {
    fn complete(self) -> Result<Parameters<'a>, ManifestError> {
        Ok(Parameters {
            vendor_id: self
                .vendor_id
                .ok_or(Unsupported::Without(Item::VendorIdentifier))?,
            class_id: self.class_id.ok_or(Unsupported::Without(Item::ClassIdentifier))?,
            image_digest: self.image_digest.ok_or(Unsupported::Without(Item::ImageDigest))?,
            image_size: self.image_size.ok_or(Unsupported::Without(Item::ImageSize))?,
        })
    }
}

fn read_parameters<'a>(reader: &mut Reader<'a>) -> Result<Overrides<'a>, ManifestError> {
    let mut overrides = Overrides::default();
    let mut keys = Seen::default();
    for _ in 0..reader.map()? {
        let key = reader.int()?;
        keys.insert(key)?;
        match key {
            1 => overrides.vendor_id = Some(read_uuid(reader, key)?),
            2 => overrides.class_id = Some(read_uuid(reader, key)?),
            3 => {
                let mut digest = Reader::new(reader.bytes()?);
                overrides.image_digest = Some(digest.digest()?);
                digest.end()?;
            }
            14 => overrides.image_size = Some(read_image_size(reader)?),
            other => return Err(Unsupported::Parameter(told(other)).into()),
        }
    }
    Ok(overrides)
}

fn read_image_size(reader: &mut Reader<'_>) -> Result<u32, ManifestError> {
    match reader.uint()?.unwrap_or(u32::MAX) {
        size @ 0..=IMAGE_BYTES_MAX => Ok(size),
        size => Err(Unsupported::ImageSize(told(size)).into()),
    }
}

/// An RFC 9562 UUID; the draft also allows a private enterprise number (tag 112) as vendor.
fn read_uuid<'a>(reader: &mut Reader<'a>, key: i32) -> Result<&'a [u8; 16], ManifestError> {
    if reader.peek()? == wire_cbor::Kind::Tag {
        return Err(Unsupported::IdentifierKind(told(key)).into());
    }
    let bytes = reader.bytes()?;
    bytes
        .try_into()
        .map_err(|_| Malformed::OutOfRange(Item::Identifier).into())
}
