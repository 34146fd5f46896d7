//! Every token that a module knows, with the Ed25519 keys in it.

use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, KeyType, ObjectClass};
use cryptoki::session::Session;
use wire_manifest::{Anchor, KeyId};

use super::TokenError;
use super::entry::log_in;
use super::module::{self, Module, Token};
use super::object::{self, Object};
use super::uri::{TokenUri, key_uri};
use crate::publisher::PublisherError;

/// A token, and what is in it.
#[derive(Clone, Debug)]
pub struct ListedToken {
    /// Its URI: with its label and its serial number.
    pub uri: String,
    /// Who made it, and its model.
    pub made_by: String,
    /// What it does for a release.
    pub ability: Ability,
    /// Whether it takes no PIN any more.
    pub is_locked: bool,
    /// The Ed25519 keys in it.
    pub keys: Vec<ListedKey>,
}

/// A key in a token.
#[derive(Clone, Debug)]
pub struct ListedKey {
    /// Its URI.
    pub uri: String,
    /// Its id; absent where the token does not say one public key of it.
    pub key_id: Option<KeyId>,
}

/// What a token does with Ed25519.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// It makes keys, and signs.
    Makes,
    /// It signs, with keys that it got otherwise.
    Signs,
    /// Nothing.
    None,
}

/// The tokens that are as the URI says. Where it names one it is given its PIN, for some show their keys to nobody without.
pub fn list(text: Option<&str>) -> Result<Vec<ListedToken>, PublisherError> {
    let uri = text.map_or(Ok(TokenUri::default()), TokenUri::parse);
    let uri = uri.map_err(TokenError::Uri)?;
    let module = Module::load(&module::path(&uri)?)?;
    if !uri.token_text().is_empty() {
        let token = module.token(&uri)?;
        return Ok(vec![listed(&module, &token, &uri, true)?]);
    }
    let tokens = module.tokens()?;
    let each = tokens.iter().map(|token| listed(&module, token, &uri, false));
    each.collect()
}

fn listed(
    module: &Module,
    token: &Token,
    uri: &TokenUri,
    with_pin: bool,
) -> Result<ListedToken, PublisherError> {
    let session = module.context.open_ro_session(token.slot);
    let session = session.map_err(|error| TokenError::call("open a session with the token", error))?;
    if with_pin {
        log_in(&session, module, token, uri)?;
    }
    let class = match with_pin {
        true => ObjectClass::PRIVATE_KEY,
        false => ObjectClass::PUBLIC_KEY,
    };
    let mut with = object::named(uri);
    with.push(Attribute::KeyType(KeyType::EC_EDWARDS));
    let keys = object::find(&session, class, &with)?;
    let keys = keys.iter().map(|key| {
        Ok(ListedKey {
            uri: key_uri(token.info.label(), &key.label, &key.id, uri),
            key_id: key_id(&session, key, with_pin)?,
        })
    });
    let offered = module.mechanisms(token)?;
    let has = |mechanism| offered.contains(&mechanism);
    Ok(ListedToken {
        uri: token.uri(),
        made_by: format!("{}, {}", token.info.manufacturer_id(), token.info.model()),
        ability: match (
            has(MechanismType::EDDSA),
            has(MechanismType::ECC_EDWARDS_KEY_PAIR_GEN),
        ) {
            (true, true) => Ability::Makes,
            (true, false) => Ability::Signs,
            (false, _) => Ability::None,
        },
        is_locked: token.info.user_pin_locked(),
        keys: keys.collect::<Result<_, TokenError>>()?,
    })
}

fn key_id(session: &Session, key: &Object, is_private: bool) -> Result<Option<KeyId>, TokenError> {
    let points = match is_private {
        true => key.public_keys(session)?,
        false => key.point.into_iter().collect(),
    };
    Ok(match points.as_slice() {
        [point] => Some(Anchor { key: *point }.key_id()),
        _ => None,
    })
}
