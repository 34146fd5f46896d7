//! What a token says of its keys.

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::TokenError;
use super::uri::TokenUri;

/// A key in a token, by what the token says of it.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) handle: ObjectHandle,
    pub(super) label: String,
    pub(super) id: Vec<u8>,
    pub(super) key_type: Option<KeyType>,
    /// An Ed25519 public key.
    pub(super) point: Option<[u8; 32]>,
    pub(super) sensitive: Option<bool>,
    pub(super) extractable: Option<bool>,
    pub(super) made_there: Option<bool>,
    pub(super) asks_each_time: bool,
}

/// What is asked of each. What a token does not say of a kind of key is left out of its answer.
const ASKED: [AttributeType; 8] = [
    AttributeType::Label,
    AttributeType::Id,
    AttributeType::KeyType,
    AttributeType::EcPoint,
    AttributeType::Sensitive,
    AttributeType::Extractable,
    AttributeType::Local,
    AttributeType::AlwaysAuthenticate,
];

/// The keys of a class with these attributes.
pub(super) fn find(
    session: &Session,
    class: ObjectClass,
    with: &[Attribute],
) -> Result<Vec<Object>, TokenError> {
    let mut template = vec![Attribute::Class(class)];
    template.extend_from_slice(with);
    let failed = |error| TokenError::call("list the token's keys", error);
    let handles = session.find_objects(&template).map_err(failed)?;
    let each = handles.into_iter().map(|handle| Object::read(session, handle));
    each.collect()
}

/// What a URI says of a key, as attributes.
pub(super) fn named(uri: &TokenUri) -> Vec<Attribute> {
    let label = uri
        .object
        .as_ref()
        .map(|label| Attribute::Label(label.clone().into_bytes()));
    let id = uri.id.as_ref().map(|id| Attribute::Id(id.clone()));
    label.into_iter().chain(id).collect()
}

impl Object {
    pub(super) fn read(session: &Session, handle: ObjectHandle) -> Result<Object, TokenError> {
        let failed = |error| TokenError::call("read what the token says of a key", error);
        let attributes = session.get_attributes(handle, &ASKED).map_err(failed)?;
        let mut object = Object {
            handle,
            label: String::new(),
            id: Vec::new(),
            key_type: None,
            point: None,
            sensitive: None,
            extractable: None,
            made_there: None,
            asks_each_time: false,
        };
        for attribute in attributes {
            match attribute {
                Attribute::Label(label) => object.label = String::from_utf8_lossy(&label).into_owned(),
                Attribute::Id(id) => object.id = id,
                Attribute::KeyType(kind) => object.key_type = Some(kind),
                Attribute::EcPoint(point) => object.point = ed25519_point(&point),
                Attribute::Sensitive(is) => object.sensitive = Some(is),
                Attribute::Extractable(is) => object.extractable = Some(is),
                Attribute::Local(is) => object.made_there = Some(is),
                Attribute::AlwaysAuthenticate(is) => object.asks_each_time = is,
                _ => {}
            }
        }
        Ok(object)
    }

    /// Ed25519, or Ed448: the type is the same.
    pub(super) fn is_edwards(&self) -> bool {
        self.key_type == Some(KeyType::EC_EDWARDS)
    }

    /// Whether the token says that it shows a private key to nobody.
    pub(super) fn is_kept(&self) -> bool {
        self.sensitive == Some(true) && self.extractable == Some(false)
    }

    /// The public keys that are in the token beside this private one: those with its id, or of one without an id, with its label;
    /// else the one that it says itself.
    pub(super) fn public_keys(&self, session: &Session) -> Result<Vec<[u8; 32]>, TokenError> {
        let same = match self.id.is_empty() {
            true => Attribute::Label(self.label.clone().into_bytes()),
            false => Attribute::Id(self.id.clone()),
        };
        let beside = find(session, ObjectClass::PUBLIC_KEY, &[same])?;
        let mut points: Vec<[u8; 32]> = beside.iter().filter_map(|public| public.point).collect();
        points.sort_unstable();
        points.dedup();
        if points.is_empty() {
            points.extend(self.point);
        }
        Ok(points)
    }
}

/// Length of an Ed25519 public key.
const POINT_BYTES: usize = 32;

/// An Ed25519 public key of `CKA_EC_POINT`. PKCS#11 says three things of it, and modules do each of them: the bytes alone (3.1), or
/// in DER an OCTET STRING (3.0) or a BIT STRING (RFC 8410 has one).
fn ed25519_point(value: &[u8]) -> Option<[u8; 32]> {
    let length = POINT_BYTES as u8;
    let point = match value {
        [0x04, len, point @ ..] if *len == length => point,
        [0x03, len, 0, point @ ..] if *len == length + 1 => point,
        point => point,
    };
    point.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_is_read_in_each_of_its_forms() {
        let key = [0x04; 32];
        let with = |start: &[u8]| [start, &key].concat();
        for form in [with(&[]), with(&[0x04, 0x20]), with(&[0x03, 0x21, 0x00])] {
            assert_eq!(ed25519_point(&form), Some(key), "{form:02x?}");
        }
    }

    #[test]
    fn another_kind_of_point_is_none() {
        let ed448 = [7; 57];
        let p256 = [&[0x04, 0x41, 0x04][..], &[7; 64]].concat();
        let short = [&[0x04, 0x20][..], &[7; 31]].concat();
        let odd_bits = [&[0x03, 0x21, 0x01][..], &[7; 32]].concat();
        for form in [&ed448[..], &p256, &short, &odd_bits, &[]] {
            assert_eq!(ed25519_point(form), None, "{form:02x?}");
        }
    }
}
