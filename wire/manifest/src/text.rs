//! The severable text (draft-ietf-suit-manifest-37 §8.4.4): words for people, which no device needs.

use core::fmt;

use wire_cbor::{Kind, Writer};

use crate::cbor::{Key, Keys, Reader};
use crate::sha::sha256;
use crate::{ComponentIdentifier, Envelope, Item, Malformed, Manifest, ManifestError, Unsupported, Verified};

/// Longest version or description, in bytes of UTF-8.
pub const TEXT_STRING_BYTES_MAX: usize = 512;

/// Longest text section we write: map, "en" and map, description, component key and map, version; every string has a
/// head of 3 bytes.
pub(crate) const TEXT_BYTES_MAX: usize =
    1 + 3 + 1 + (1 + 3 + TEXT_STRING_BYTES_MAX) + 3 + 1 + (1 + 3 + TEXT_STRING_BYTES_MAX);

/// suit-text-manifest-description.
const MANIFEST_DESCRIPTION: i32 = 1;
/// suit-text-component-version.
const COMPONENT_VERSION: i32 = 6;
/// Most keys of one map we look into, and most languages.
const KEYS_MAX: usize = 16;

/// What people read of a release, in the first language of its text section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text<'a> {
    /// The component's version, as the publisher writes it: `1.4.0`. Orders nothing; the sequence number does.
    pub version: Option<&'a str>,
    /// What the release is.
    pub description: Option<&'a str>,
}

impl<'a> Text<'a> {
    /// Reads a text section: `{ language => { ? 1 => description, ? [h'00'] => { ? 6 => version } } }`. Entries we do not
    /// show are passed over.
    pub fn read(bytes: &'a [u8]) -> Result<Self, ManifestError> {
        let mut reader = Reader::new(bytes);
        let languages = reader.map()?;
        let mut keys = Keys::<KEYS_MAX>::new(Item::Languages);
        let mut text = Self::default();
        for at in 0..languages {
            keys.insert(Key::Text(reader.text()?.as_bytes()))?;
            match at {
                0 => text = Self::read_language(&mut reader)?,
                _ => drop(reader.skip()?),
            }
        }
        reader.end()?;
        Ok(text)
    }

    fn read_language(reader: &mut Reader<'a>) -> Result<Self, ManifestError> {
        let mut text = Self::default();
        let mut keys = Keys::<KEYS_MAX>::new(Item::TextEntries);
        let mut has_component = false;
        for _ in 0..reader.map()? {
            if reader.peek()? == Kind::Array {
                let component = reader.skip()?;
                if component == [0x81, 0x41, ComponentIdentifier::SEGMENT[0]] {
                    if core::mem::replace(&mut has_component, true) {
                        return Err(Malformed::DuplicateKey.into());
                    }
                    text.version = read_component(reader)?;
                } else {
                    reader.skip()?;
                }
                continue;
            }
            let key = reader.key()?;
            keys.insert(key)?;
            match key {
                Key::Int(MANIFEST_DESCRIPTION) => text.description = Some(reader.text()?),
                _ => drop(reader.skip()?),
            }
        }
        Ok(text)
    }

    /// Writes the section into `buffer` and returns it.
    pub(crate) fn encode<'b>(&self, buffer: &'b mut [u8; TEXT_BYTES_MAX]) -> Option<&'b [u8]> {
        let mut writer = Writer::new(buffer);
        writer.map(1).text("en");
        writer.map(u64::from(self.description.is_some()) + u64::from(self.version.is_some()));
        if let Some(description) = self.description {
            writer.int(MANIFEST_DESCRIPTION.into()).text(description);
        }
        if let Some(version) = self.version {
            writer.array(1).bytes(&ComponentIdentifier::SEGMENT);
            writer.map(1).int(COMPONENT_VERSION.into()).text(version);
        }
        writer.finish()
    }
}

/// The version among a component's entries.
fn read_component<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a str>, ManifestError> {
    let mut keys = Keys::<KEYS_MAX>::new(Item::TextEntries);
    let mut version = None;
    for _ in 0..reader.map()? {
        let key = reader.key()?;
        keys.insert(key)?;
        match key {
            Key::Int(COMPONENT_VERSION) => version = Some(reader.text()?),
            _ => drop(reader.skip()?),
        }
    }
    Ok(version)
}

/// Reads the text of `envelope` after checking it against the digest in its verified manifest. `None`: the envelope
/// has no text, which is legal, as it may be severed.
pub fn verify_text<'a>(
    envelope: &Envelope<'a>,
    manifest: &Verified<Manifest>,
) -> Result<Option<Text<'a>>, TextError> {
    let (Some(content), Some(whole)) = (envelope.text_bytes(), envelope.text_with_header()) else {
        return Ok(None);
    };
    let digest = manifest.text_digest.ok_or(TextError::NotInManifest)?;
    if sha256(&[whole]) != digest {
        return Err(TextError::DigestMismatch);
    }
    Text::read(content).map(Some).map_err(|error| match error {
        ManifestError::Malformed(malformed) => TextError::Malformed(malformed),
        ManifestError::Unsupported(unsupported) => TextError::Unsupported(unsupported),
    })
}

/// Why a text does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextError {
    /// The manifest names no text: somebody added it afterwards.
    NotInManifest,
    /// It is not the text the manifest names.
    DigestMismatch,
    /// It is authentic and breaks the draft or CBOR.
    Malformed(Malformed),
    /// It is authentic and outgrows our bounds.
    Unsupported(Unsupported),
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInManifest => f.write_str("text was added that the manifest does not name"),
            Self::DigestMismatch => f.write_str("text does not match its digest in the manifest"),
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::Unsupported(unsupported) => unsupported.fmt(f),
        }
    }
}

impl core::error::Error for TextError {}
