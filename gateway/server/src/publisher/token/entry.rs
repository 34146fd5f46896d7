//! A session with a token that took the PIN.

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::session::{Session, UserType};

use super::error::TriesLeft;
use super::module::{self, Module, Token};
use super::uri::TokenUri;
use super::{TokenError, pin};
use crate::publisher::PublisherError;

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A signature.
    Sign,
    /// A new key.
    Generate,
}

/// A session, and whom it is with.
pub(super) struct Entry {
    // Ends before its module does: fields are dropped in this order.
    pub(super) session: Session,
    pub(super) token: Token,
    _module: Module,
}

impl Entry {
    /// Finds the token, sees that it can do what is wanted, and gives it the PIN: once, for wrong ones are counted.
    pub(super) fn open(uri: &TokenUri, purpose: Purpose) -> Result<Entry, PublisherError> {
        let module = Module::load(&module::path(uri)?)?;
        let token = module.token(uri)?;
        let wanted: &[_] = match purpose {
            Purpose::Sign => &[(MechanismType::EDDSA, "CKM_EDDSA")],
            Purpose::Generate => &[
                (MechanismType::EDDSA, "CKM_EDDSA"),
                (
                    MechanismType::ECC_EDWARDS_KEY_PAIR_GEN,
                    "CKM_EC_EDWARDS_KEY_PAIR_GEN",
                ),
            ],
        };
        let offered = module.mechanisms(&token)?;
        if let Some((_, mechanism)) = wanted.iter().find(|(kind, _)| !offered.contains(kind)) {
            return Err(TokenError::NoMechanism {
                token: token.shown(),
                mechanism,
            }
            .into());
        }
        let session = match purpose {
            Purpose::Sign => module.context.open_ro_session(token.slot),
            Purpose::Generate => module.context.open_rw_session(token.slot),
        };
        let session = session.map_err(|error| TokenError::call("open a session with the token", error))?;
        log_in(&session, &module, &token, uri)?;
        Ok(Entry {
            session,
            token,
            _module: module,
        })
    }
}

/// Gives the token its PIN, or leaves that to a token with keys of its own for it.
pub(super) fn log_in(
    session: &Session,
    module: &Module,
    token: &Token,
    uri: &TokenUri,
) -> Result<(), PublisherError> {
    if !token.info.login_required() {
        return Ok(());
    }
    let label = token.shown();
    if token.info.user_pin_locked() {
        return Err(TokenError::PinLocked { token: label }.into());
    }
    let pin = match token.info.protected_authentication_path() {
        true => None,
        false => Some(pin::pin(uri, &label)?),
    };
    let error = match session.login(UserType::User, pin.as_ref()) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => return Ok(()),
        Err(error) => error,
    };
    Err(match error {
        Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _) => {
            TokenError::PinWrong {
                token: label,
                left: tries_left(module, token),
            }
        }
        Error::Pkcs11(RvError::PinLocked, _) => TokenError::PinLocked { token: label },
        Error::Pkcs11(RvError::UserPinNotInitialized, _) => TokenError::PinNotSet { token: label },
        error => TokenError::call("log in to the token", error),
    }
    .into())
}

fn tries_left(module: &Module, token: &Token) -> TriesLeft {
    match module.context.get_token_info(token.slot) {
        Ok(info) if info.user_pin_locked() => TriesLeft::None,
        Ok(info) if info.user_pin_final_try() => TriesLeft::One,
        Ok(info) if info.user_pin_count_low() => TriesLeft::Fewer,
        _ => TriesLeft::Unknown,
    }
}
