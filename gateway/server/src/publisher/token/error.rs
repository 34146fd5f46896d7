//! What cannot be done with a token, and what to do next.

use std::env::consts::ARCH;
use std::path::PathBuf;

use cryptoki::error::Error as Pkcs11Error;
use thiserror::Error;

use super::cause::Cause;
use super::module::{self, IS_STATIC, MODULE_VARIABLE};
use super::pin::PIN_VARIABLE;
use super::uri::UriError;

/// Why a token's key cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The name of the key cannot be read.
    #[error("the name of the key is no PKCS#11 URI we can use")]
    Uri(#[source] UriError),
    /// Nobody said which module speaks with the token.
    #[error("no PKCS#11 module was named")]
    NoModule,
    /// The module cannot be loaded.
    #[error("cannot load the PKCS#11 module {}", path.display())]
    Load {
        /// Its file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Cause,
    },
    /// The module or the token refused.
    #[error("cannot {operation}")]
    Call {
        /// What was asked of it.
        operation: &'static str,
        /// What it said.
        #[source]
        source: Cause,
    },
    /// No token is as was said.
    #[error("no token is {asked}")]
    NoToken {
        /// What was asked for.
        asked: String,
        /// Those there are.
        there: Vec<String>,
    },
    /// Several are.
    #[error("{} tokens are {asked}", there.len())]
    SeveralTokens {
        /// What was asked for.
        asked: String,
        /// Those.
        there: Vec<String>,
    },
    /// The token was set up without a PIN of its user.
    #[error("token {token} has no user PIN yet")]
    PinNotSet {
        /// Its label.
        token: String,
    },
    /// A PIN has to be typed, and there is no terminal.
    #[error("token {token} wants its PIN, and there is nobody to ask")]
    PinWanted {
        /// Its label.
        token: String,
    },
    /// Others can read the PIN.
    #[error("PIN file {} can be read by others (mode {mode:03o})", path.display())]
    PinFileIsOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file without a PIN.
    #[error("{} holds no PIN", path.display())]
    PinFile {
        /// The file.
        path: PathBuf,
    },
    /// The token does not take the PIN.
    #[error("token {token} refuses the PIN{}", left.text())]
    PinWrong {
        /// Its label.
        token: String,
        /// What it says of further tries.
        left: TriesLeft,
    },
    /// The token takes no PIN any more.
    #[error("token {token} is locked: too many wrong PINs")]
    PinLocked {
        /// Its label.
        token: String,
    },
    /// The token cannot make Ed25519 keys or signatures.
    #[error("token {token} does not offer {mechanism}")]
    NoMechanism {
        /// Its label.
        token: String,
        /// The mechanism, as PKCS#11 calls it.
        mechanism: &'static str,
    },
    /// No private key is as was said.
    #[error("token {token} has no private key {asked}", asked = or_any(asked))]
    NoKey {
        /// Its label.
        token: String,
        /// What was asked for.
        asked: String,
        /// The Ed25519 keys there are, as URIs.
        there: Vec<String>,
    },
    /// Several are.
    #[error("token {token} has {count} private keys {asked}", asked = or_any(asked))]
    SeveralKeys {
        /// Its label.
        token: String,
        /// What was asked for.
        asked: String,
        /// How many.
        count: usize,
        /// Those for Ed25519, as URIs.
        there: Vec<String>,
    },
    /// A key that is to be made has no name.
    #[error("the new key has no label")]
    NoLabel,
    /// A key of another kind.
    #[error("{key} is not an Ed25519 key, but {kind}")]
    NotEd25519 {
        /// Its URI.
        key: String,
        /// What it is.
        kind: String,
    },
    /// The token does not say the public key.
    #[error("the token does not say the public key of {key}")]
    NoPublicKey {
        /// Its URI.
        key: String,
    },
    /// The token says several public keys.
    #[error("the token has {count} different public keys with the id or label of {key}")]
    SeveralPublicKeys {
        /// Its URI.
        key: String,
        /// How many.
        count: usize,
    },
    /// The public key in the token is one that verifies anything, or nothing.
    #[error("the public key of {key} has small order")]
    WeakKey {
        /// Its URI.
        key: String,
    },
    /// The key wants the PIN for each signature.
    #[error("{key} wants its PIN again for each signature, which is not supported")]
    PinEachTime {
        /// Its URI.
        key: String,
    },
    /// What the token returned is no signature by that key.
    #[error("the token returned what is no signature by {key}: nothing was written")]
    BadSignature {
        /// Its URI.
        key: String,
    },
    /// A key of that name is there: keys are never overwritten.
    #[error("{key} exists already")]
    KeyExists {
        /// Its URI.
        key: String,
    },
    /// Nothing is written to this token.
    #[error("token {token} is write-protected")]
    WriteProtected {
        /// Its label.
        token: String,
    },
    /// The token made a key that could leave it. It was destroyed.
    #[error("token {token} made a key that could be read out of it; the key was destroyed")]
    Extractable {
        /// Its label.
        token: String,
    },
}

impl TokenError {
    /// The module or the token refused what was asked of it.
    pub(super) fn call(operation: &'static str, source: Pkcs11Error) -> TokenError {
        TokenError::Call {
            operation,
            source: Cause(source),
        }
    }

    /// What to do next, as one line for a terminal.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Uri(error) => error.hint().to_owned(),
            Self::NoModule => format!(
                "name the library that came with the token: export {MODULE_VARIABLE}=FILE, or ?module-path=FILE in the URI; {}",
                found_here()
            ),
            Self::Load { .. } if IS_STATIC => format!(
                "this program is linked statically and can load none: take the Debian package, or a build for {ARCH}-unknown-linux-gnu"
            ),
            Self::Load { .. } => format!(
                "name the library that came with the token, built for this system: export {MODULE_VARIABLE}=FILE; {}",
                found_here()
            ),
            Self::NoToken { there, .. } if there.is_empty() => {
                "this module has no token that was set up: is it plugged in, and is the module the right one? For SoftHSM: \
                 softhsm2-util --init-token --free --label NAME"
                    .to_owned()
            }
            Self::NoToken { there, .. } => format!("there are: {}", there.join(", ")),
            Self::SeveralTokens { there, .. } => format!("say which: {}", there.join(", ")),
            Self::PinNotSet { .. } => {
                "set it with the token's own tool, such as: pkcs11-tool --module MODULE --init-pin --login --login-type so".to_owned()
            }
            Self::PinWanted { .. } => format!(
                "run it at a terminal, put the PIN into a file of mode 0600 and name it in the URI: ?pin-source=file:/path, or set \
                 {PIN_VARIABLE}"
            ),
            Self::PinFileIsOpen { path, .. } => format!("chmod 600 {}", path.display()),
            Self::PinFile { .. } => "write the PIN into it, alone in one line".to_owned(),
            Self::PinWrong { .. } => {
                "check the token's label and its PIN before another try: most tokens lock after a few".to_owned()
            }
            Self::PinLocked { .. } => {
                "unlock it with its SO PIN or PUK and the token's own tool, such as: pkcs11-tool --module MODULE --init-pin --login \
                 --login-type so"
                    .to_owned()
            }
            Self::NoMechanism { .. } => {
                "take a token that signs with Ed25519: no device takes another signature; `deltagate key list` says what this one does".to_owned()
            }
            Self::NoKey { there, .. } if there.is_empty() => {
                "make one in it: deltagate key generate --token 'pkcs11:token=NAME;object=LABEL'".to_owned()
            }
            Self::NoKey { there, .. } => format!("there are: {}", there.join(", ")),
            Self::SeveralKeys { there, .. } => format!("say which: {}", there.join(", ")),
            Self::NoLabel => "give it one: 'pkcs11:token=NAME;object=LABEL'".to_owned(),
            Self::NotEd25519 { .. } => "name an Ed25519 key: no device takes another signature".to_owned(),
            Self::NoPublicKey { .. } => {
                "put its public key into the token beside it, with the same id: pkcs11-tool --write-object FILE.der --type pubkey --id HEX"
                    .to_owned()
            }
            Self::SeveralPublicKeys { .. } => {
                "take those out that are not its own: pkcs11-tool --list-objects, then --delete-object --type pubkey".to_owned()
            }
            Self::WeakKey { .. } | Self::BadSignature { .. } => {
                "do not use this key; is another public key in the token under the same id or label?".to_owned()
            }
            Self::PinEachTime { .. } => {
                "use a key whose PIN counts for the session; on a YubiKey one made with --pin-policy=once, on an OpenPGP card after `forcesig` of gpg --card-edit".to_owned()
            }
            Self::KeyExists { .. } => {
                "choose another label: object=LABEL; a replaced key would lock out every device".to_owned()
            }
            Self::WriteProtected { .. } => "make the key in another token, or lift the protection with the token's own tool".to_owned(),
            Self::Extractable { .. } => "use another token, or set this one up so that private keys stay in it".to_owned(),
            Self::Call { .. } => "see that the token is plugged in and set up: deltagate key list".to_owned(),
        })
    }
}

fn or_any(asked: &str) -> &str {
    match asked {
        "" => "at all",
        asked => asked,
    }
}

fn found_here() -> String {
    match module::found_here().as_slice() {
        [] => "SoftHSM's is in Debian's package softhsm2, one for many cards in opensc-pkcs11".to_owned(),
        found => format!("here are {}", found.join(", ")),
    }
}

/// What a token says of further tries for its PIN. Numbers are not to be had by PKCS#11.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriesLeft {
    /// Nothing.
    Unknown,
    /// A wrong one was tried since the last right one.
    Fewer,
    /// The next wrong one locks it.
    One,
    /// None.
    None,
}

impl TriesLeft {
    fn text(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Fewer => "; it counts wrong ones, and does not say how many are left",
            Self::One => "; one try is left before it locks",
            Self::None => "; it is locked now",
        }
    }
}
