//! Makes a key in a token.

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::TokenError;
use super::entry::Entry;
use super::key::Known;
use super::object::{self, Object};
use super::uri::{TokenUri, key_uri};
use crate::publisher::PublisherError;

/// `CKA_EC_PARAMS` of an Ed25519 key, by its name: PrintableString "edwards25519" (PKCS#11 3.0 §2.3.5).
const CURVE_NAME: [u8; 14] = *b"\x13\x0cedwards25519";
/// The same by its object identifier, 1.3.101.112 (RFC 8410 §3), which some modules take instead.
const CURVE_OID: [u8; 5] = [0x06, 0x03, 0x2b, 0x65, 0x70];
/// Length of an id we give: what a YubiHSM keeps one in, which no other token has less room than.
const ID_BYTES: usize = 2;

/// Makes a key under a label and an id that no other key in the token has. The token has said that the key stays in it, and it has
/// signed; else it is taken out again.
pub(super) fn generate(entry: &Entry, uri: &TokenUri, label: &str) -> Result<Known, PublisherError> {
    refuse_if_there(entry, uri, Attribute::Label(label.into()))?;
    let id = match &uri.id {
        Some(id) => {
            refuse_if_there(entry, uri, Attribute::Id(id.clone()))?;
            id.clone()
        }
        None => free_id(&entry.session)?,
    };
    let (public, private) = pair(&entry.session, label, &id).map_err(|error| failed(entry, error))?;
    let key = checked(entry, uri, private);
    if key.is_err() {
        for object in [private, public] {
            // What cannot be taken out stays, under its label; nobody trusts it.
            let _ = entry.session.destroy_object(object);
        }
    }
    Ok(key?)
}

fn checked(entry: &Entry, uri: &TokenUri, private: ObjectHandle) -> Result<Known, TokenError> {
    let object = Object::read(&entry.session, private)?;
    if !object.is_kept() {
        return Err(TokenError::Extractable {
            token: entry.token.shown(),
        });
    }
    let key = Known::of(entry, object, uri)?;
    key.prove(&entry.session)?;
    Ok(key)
}

/// Refuses a label or id that a key in the token has, private or public.
fn refuse_if_there(entry: &Entry, uri: &TokenUri, with: Attribute) -> Result<(), TokenError> {
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        if let Some(key) = object::find(&entry.session, class, std::slice::from_ref(&with))?.first() {
            return Err(TokenError::KeyExists {
                key: key_uri(entry.token.info.label(), &key.label, &key.id, uri),
            });
        }
    }
    Ok(())
}

/// An id that no object in the token has. YubiHSMs give 0 and 65535 meanings of their own.
fn free_id(session: &Session) -> Result<Vec<u8>, PublisherError> {
    loop {
        let mut id = [0; ID_BYTES];
        getrandom::fill(&mut id).map_err(PublisherError::Randomness)?;
        let there = session.find_objects(&[Attribute::Id(id.to_vec())]);
        let there = there.map_err(|error| TokenError::call("list the token's keys", error))?;
        if there.is_empty() && id != [0; ID_BYTES] && id != [0xff; ID_BYTES] {
            return Ok(id.to_vec());
        }
    }
}

/// The public key and the private key.
fn pair(session: &Session, label: &str, id: &[u8]) -> Result<(ObjectHandle, ObjectHandle), Error> {
    let both = [
        Attribute::Token(true),
        Attribute::Label(label.into()),
        Attribute::Id(id.to_vec()),
    ];
    let of_private = [
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ];
    let on_curve = |params: &[u8]| {
        let of_public = [
            Attribute::Private(false),
            Attribute::Verify(true),
            Attribute::EcParams(params.to_vec()),
        ];
        session.generate_key_pair(
            &Mechanism::EccEdwardsKeyPairGen,
            &[&both[..], &of_public].concat(),
            &[&both[..], &of_private].concat(),
        )
    };
    // What a module says of a curve that it does not know by this name, it chooses itself: so any error but these.
    match on_curve(&CURVE_NAME) {
        Ok(pair) => Ok(pair),
        Err(error) if is_of_the_token(&error) => Err(error),
        Err(_) => on_curve(&CURVE_OID),
    }
}

fn is_of_the_token(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::TokenWriteProtected
                | RvError::DeviceMemory
                | RvError::DeviceRemoved
                | RvError::UserNotLoggedIn
                | RvError::FunctionCanceled
                | RvError::FunctionRejected,
            _,
        )
    )
}

fn failed(entry: &Entry, error: Error) -> TokenError {
    match error {
        Error::Pkcs11(RvError::TokenWriteProtected, _) => TokenError::WriteProtected {
            token: entry.token.shown(),
        },
        error => TokenError::call("make a key in the token", error),
    }
}
