//! A token's PIN: from a file, from the environment, or typed. Never from the command line, which others can read.

use std::path::Path;

use cryptoki::types::AuthPin;
use zeroize::Zeroizing;

use super::TokenError;
use super::uri::TokenUri;
use crate::owner_only;
use crate::publisher::{PublisherError, files};

/// The environment's.
pub(super) const PIN_VARIABLE: &str = "DELTAGATE_PIN";
/// Longest PIN file: PKCS#11 has no bound on a PIN; no token takes one of this length.
const PIN_FILE_BYTES_MAX: u64 = 1_024;

/// The PIN of the token with this label: from `pin-source` of its URI, else of `DELTAGATE_PIN`, else asked for.
pub(super) fn pin(uri: &TokenUri, token: &str) -> Result<AuthPin, PublisherError> {
    if let Some(path) = &uri.pin_source {
        return from_file(path);
    }
    if let Ok(pin) = std::env::var(PIN_VARIABLE).map(Zeroizing::new) {
        return Ok(AuthPin::new(pin.as_str().into()));
    }
    let wanted = || TokenError::PinWanted {
        token: token.to_owned(),
    };
    let question = format!("PIN of token {token}: ");
    let typed = super::prompt::secret(&question).map_err(|_| wanted())?;
    match typed.is_empty() {
        true => Err(wanted().into()),
        false => Ok(AuthPin::new(typed.as_str().into())),
    }
}

fn from_file(path: &Path) -> Result<AuthPin, PublisherError> {
    let bytes = Zeroizing::new(files::read(path, PIN_FILE_BYTES_MAX)?);
    let metadata = std::fs::metadata(path).map_err(|source| PublisherError::Read {
        path: path.to_owned(),
        source,
    })?;
    if let Some(mode) = owner_only::open_to_others(path, &metadata) {
        return Err(TokenError::PinFileIsOpen {
            path: path.to_owned(),
            mode,
        }
        .into());
    }
    let text = std::str::from_utf8(&bytes).ok();
    let pin = text
        .map(|text| text.trim_end_matches(['\n', '\r']))
        .filter(|pin| !pin.is_empty());
    match pin {
        Some(pin) => Ok(AuthPin::new(pin.into())),
        None => Err(TokenError::PinFile {
            path: path.to_owned(),
        }
        .into()),
    }
}
