//! A key in a token: it signs, and is made there.
//!
//! Nothing that a token returns is taken on trust. A signature is checked against the public key before anyone sees it, and a key
//! that is shown or made has signed a text first: a public key that is not this key's would, once it is in devices, lock its
//! publisher out of them.

use std::fmt;

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, KeyType, ObjectClass};
use cryptoki::session::Session;
use ed25519_dalek::{Signature, VerifyingKey};
use wire_manifest::Anchor;

use super::TokenError;
use super::entry::{Entry, Purpose};
use super::generate::generate;
use super::object::{self, Object};
use super::uri::{TokenUri, key_uri};
use crate::publisher::PublisherError;
use crate::publisher::signer::Signer;

/// A private key in a token, behind a PIN that was right.
pub struct TokenKey {
    entry: Entry,
    known: Known,
}

/// What is known of a key.
pub(super) struct Known {
    pub(super) object: Object,
    anchor: Anchor,
    uri: String,
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKey({})", self.known.uri)
    }
}

/// What a key signs to show that it is the one of its public key. Nothing that is signed otherwise begins like this: a COSE
/// structure begins with an array.
const PROOF: &[u8] = b"deltagate: the key of this signature is the one that was named";

impl TokenKey {
    /// Opens the one key that is as the URI says.
    pub fn open(text: &str) -> Result<TokenKey, PublisherError> {
        let uri = TokenUri::parse(text).map_err(TokenError::Uri)?;
        let entry = Entry::open(&uri, Purpose::Sign)?;
        let object = the_one(&entry, &uri)?;
        let known = Known::of(&entry, object, &uri)?;
        Ok(TokenKey { entry, known })
    }

    /// Makes a key in the token, under a label that no other key in it has. It has signed when this returns it.
    pub fn generate(text: &str) -> Result<TokenKey, PublisherError> {
        let uri = TokenUri::parse(text).map_err(TokenError::Uri)?;
        let label = uri.object.clone().ok_or(TokenError::NoLabel)?;
        let entry = Entry::open(&uri, Purpose::Generate)?;
        let known = generate(&entry, &uri, &label)?;
        Ok(TokenKey { entry, known })
    }

    /// Takes it out of the token, with its public key: it was just made, and nobody trusts it.
    pub fn destroy(self) {
        let same_id = [Attribute::Id(self.known.object.id.clone())];
        let public = object::find(&self.entry.session, ObjectClass::PUBLIC_KEY, &same_id);
        let public = public.unwrap_or_default().into_iter().map(|public| public.handle);
        for handle in public.chain([self.known.object.handle]) {
            // What cannot be taken out stays, under its label.
            let _ = self.entry.session.destroy_object(handle);
        }
    }

    /// Its URI: with its label and its id.
    pub fn uri(&self) -> &str {
        &self.known.uri
    }

    /// Whether the token says that it shows the key to nobody.
    pub fn is_kept(&self) -> bool {
        self.known.object.is_kept()
    }

    /// Whether the token says that it made the key, which is then nowhere else.
    pub fn is_made_there(&self) -> bool {
        self.known.object.made_there == Some(true)
    }

    /// Has it sign a text that says nothing, and checks that: it is the key of its public key.
    pub fn prove(&self) -> Result<(), TokenError> {
        self.known.prove(&self.entry.session)
    }
}

impl Signer for TokenKey {
    fn anchor(&self) -> Anchor {
        self.known.anchor
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], PublisherError> {
        Ok(self.known.sign(&self.entry.session, message)?)
    }
}

impl Known {
    /// Of a private key whose public key the token says.
    pub(super) fn of(entry: &Entry, object: Object, uri: &TokenUri) -> Result<Known, TokenError> {
        let uri = key_uri(entry.token.info.label(), &object.label, &object.id, uri);
        let anchor = public_key(&entry.session, &object, &uri)?;
        Ok(Known { object, anchor, uri })
    }

    pub(super) fn prove(&self, session: &Session) -> Result<(), TokenError> {
        self.sign(session, PROOF).map(|_| ())
    }

    fn sign(&self, session: &Session, message: &[u8]) -> Result<[u8; 64], TokenError> {
        let mechanism = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519));
        let key = || self.uri.clone();
        let made = session.sign(&mechanism, self.object.handle, message);
        let signature = made.map_err(|error| match error {
            Error::Pkcs11(RvError::UserNotLoggedIn, _) => TokenError::PinEachTime { key: key() },
            error => TokenError::call("sign with the token's key", error),
        })?;
        let verified = VerifyingKey::from_bytes(&self.anchor.key)
            .ok()
            .and_then(|public| {
                let signature = <[u8; 64]>::try_from(signature).ok()?;
                public
                    .verify_strict(message, &Signature::from_bytes(&signature))
                    .ok()?;
                Some(signature)
            });
        verified.ok_or_else(|| TokenError::BadSignature { key: key() })
    }
}

/// The one private key that is as the URI says.
fn the_one(entry: &Entry, uri: &TokenUri) -> Result<Object, TokenError> {
    let mut found = object::find(&entry.session, ObjectClass::PRIVATE_KEY, &object::named(uri))?;
    let token = entry.token.shown();
    let asked = uri.key_text();
    let uris = |objects: &[Object]| {
        let each = objects.iter().filter(|object| object.is_edwards());
        each.map(|object| key_uri(entry.token.info.label(), &object.label, &object.id, uri))
            .collect()
    };
    match (found.pop(), found.is_empty()) {
        (Some(object), true) => Ok(object),
        (Some(object), false) => {
            found.push(object);
            Err(TokenError::SeveralKeys {
                count: found.len(),
                there: uris(&found),
                token,
                asked,
            })
        }
        (None, _) => {
            let all = object::find(&entry.session, ObjectClass::PRIVATE_KEY, &[])?;
            Err(TokenError::NoKey {
                there: uris(&all),
                token,
                asked,
            })
        }
    }
}

/// The public key of a private one, where that can sign at all.
fn public_key(session: &Session, object: &Object, uri: &str) -> Result<Anchor, TokenError> {
    let key = || uri.to_owned();
    match object.key_type {
        Some(KeyType::EC_EDWARDS) | None => {}
        Some(kind) => {
            return Err(TokenError::NotEd25519 {
                key: key(),
                kind: kind.to_string(),
            });
        }
    }
    if object.asks_each_time {
        return Err(TokenError::PinEachTime { key: key() });
    }
    let anchor = match object.public_keys(session)?.as_slice() {
        [point] => Anchor { key: *point },
        [] => return Err(TokenError::NoPublicKey { key: key() }),
        several => {
            return Err(TokenError::SeveralPublicKeys {
                key: key(),
                count: several.len(),
            });
        }
    };
    match anchor.is_usable() {
        true => Ok(anchor),
        false => Err(TokenError::WeakKey { key: key() }),
    }
}
