//! The manifest in our profile: one image, for one component, of one vendor's class.

use crate::cbor::{Reader, Seen};
use crate::error::told;
use crate::sequence::{self, Parameters};
use crate::{Item, Malformed, ManifestError, Unsupported, Unverified};

/// Largest image a manifest may name: 16 MiB, the largest payload that Block2 can carry in 16-byte blocks
/// (RFC 7959 §2.2: 2^20 block numbers).
pub const IMAGE_BYTES_MAX: u32 = 16 << 20;

/// draft-ietf-suit-manifest-37 §8.4.1: the version this is.
pub(crate) const MANIFEST_VERSION: u32 = 1;

/// The one component of our profile, `[h'00']`: the application image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ComponentIdentifier;

impl ComponentIdentifier {
    /// The bytes of its one segment.
    pub const SEGMENT: [u8; 1] = [0x00];

    fn read(reader: &mut Reader<'_>) -> Result<Self, ManifestError> {
        let segments = reader.array()?;
        if segments != 1 {
            return Err(Unsupported::Components.into());
        }
        match reader.bytes()? == Self::SEGMENT {
            true => Ok(Self),
            false => Err(Unsupported::Components.into()),
        }
    }
}

/// What a manifest of our profile says. Act on it only inside [`Verified`](crate::Verified).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Which of two images is newer; at most `u32::MAX`.
    pub sequence_number: u64,
    /// UUID of the vendor.
    pub vendor_id: [u8; 16],
    /// UUID of the device class, within the vendor's name space.
    pub class_id: [u8; 16],
    /// What the image is for.
    pub component: ComponentIdentifier,
    /// SHA-256 of the raw image.
    pub image_digest: [u8; 32],
    /// Bytes of the raw image, at most [`IMAGE_BYTES_MAX`].
    pub image_size: u32,
    /// The lowest sequence number that the image it replaces may have; 0: any.
    pub predecessor_min: u64,
    /// SHA-256 of the severable text as a byte string with its header.
    pub text_digest: Option<[u8; 32]>,
}

impl Manifest {
    /// Reads the bytes of a manifest (without the header of their byte string) in our profile.
    // Not inlined: a caller that checks a signature next would carry its stack.
    #[inline(never)]
    pub fn interpret(bytes: &[u8]) -> Result<Unverified<Self>, ManifestError> {
        let mut reader = Reader::new(bytes);
        if reader.peek()? == wire_cbor::Kind::Tag {
            return Err(Unsupported::TaggedManifest.into());
        }
        let mut members = Members::default();
        let mut keys = Seen::default();
        for _ in 0..reader.map()? {
            let key = reader.int()?;
            keys.insert(key)?;
            members.read(&mut reader, key)?;
        }
        reader.end()?;
        members.complete().map(Unverified::new)
    }
}

#[derive(Default)]
struct Members<'a> {
    has_version: bool,
    sequence_number: Option<u32>,
    common: Option<(ComponentIdentifier, Parameters<'a>)>,
    validates: bool,
    invokes: bool,
    predecessor_min: u32,
    text_digest: Option<&'a [u8; 32]>,
}

impl<'a> Members<'a> {
    fn read(&mut self, reader: &mut Reader<'a>, key: i32) -> Result<(), ManifestError> {
        match key {
            1 => match reader.uint()?.unwrap_or(u32::MAX) {
                MANIFEST_VERSION => self.has_version = true,
                other => return Err(Unsupported::ManifestVersion(told(other)).into()),
            },
            2 => self.sequence_number = Some(reader.uint()?.ok_or(Unsupported::SequenceNumber)?),
            3 => self.common = Some(read_common(reader.bytes()?)?),
            7 => {
                sequence::read_only(reader.bytes()?, sequence::IMAGE_MATCH, Item::ImageMatch)?;
                self.validates = true;
            }
            9 => {
                sequence::read_only(reader.bytes()?, sequence::INVOKE, Item::InvokeDirective)?;
                self.invokes = true;
            }
            20 => self.predecessor_min = sequence::read_install(reader.bytes()?)?,
            23 if reader.peek()? == wire_cbor::Kind::Bytes => {
                return Err(Unsupported::UnseveredText.into());
            }
            23 => self.text_digest = Some(reader.digest()?),
            other => return Err(Unsupported::ManifestMember(told(other)).into()),
        }
        Ok(())
    }

    /// Version, sequence number and common are mandatory in the draft; validate and invoke in our profile.
    fn complete(self) -> Result<Manifest, ManifestError> {
        if !self.has_version {
            return Err(Malformed::Missing(Item::ManifestVersion).into());
        }
        let sequence_number = self
            .sequence_number
            .ok_or(Malformed::Missing(Item::ManifestSequenceNumber))?;
        let (component, parameters) = self.common.ok_or(Malformed::Missing(Item::Common))?;
        if !self.validates {
            return Err(Unsupported::Without(Item::Validate).into());
        }
        if !self.invokes {
            return Err(Unsupported::Without(Item::Invoke).into());
        }
        Ok(Manifest {
            sequence_number: sequence_number.into(),
            vendor_id: *parameters.vendor_id,
            class_id: *parameters.class_id,
            component,
            image_digest: *parameters.image_digest,
            image_size: parameters.image_size,
            predecessor_min: self.predecessor_min.into(),
            text_digest: self.text_digest.copied(),
        })
    }
}

fn read_common(bytes: &[u8]) -> Result<(ComponentIdentifier, Parameters<'_>), ManifestError> {
    let mut reader = Reader::new(bytes);
    let (mut component, mut parameters) = (None, None);
    let mut keys = Seen::default();
    for _ in 0..reader.map()? {
        let key = reader.int()?;
        keys.insert(key)?;
        match key {
            2 => component = Some(read_components(&mut reader)?),
            4 => parameters = Some(sequence::read_shared(reader.bytes()?)?),
            other => return Err(Unsupported::CommonMember(told(other)).into()),
        }
    }
    reader.end()?;
    Ok((
        component.ok_or(Malformed::Missing(Item::Components))?,
        parameters.ok_or(Unsupported::Without(Item::SharedSequence))?,
    ))
}

fn read_components(reader: &mut Reader<'_>) -> Result<ComponentIdentifier, ManifestError> {
    match reader.array()? {
        1 => ComponentIdentifier::read(reader),
        0 => Err(Malformed::OutOfRange(Item::Components).into()),
        _ => Err(Unsupported::Components.into()),
    }
}
