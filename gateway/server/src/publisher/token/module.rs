//! PKCS#11 modules: libraries that speak with tokens.

use std::env::consts::ARCH;
use std::path::{Path, PathBuf};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::slot::{Slot, TokenInfo};

use super::TokenError;
use super::cause::Cause;
use super::uri::{SCHEME, TokenUri};

/// Names the module where the URI does not.
pub(super) const MODULE_VARIABLE: &str = "DELTAGATE_PKCS11_MODULE";

/// Whether this program is linked statically, and can load no library: musl's `dlopen` then refuses every file.
pub(super) const IS_STATIC: bool = cfg!(all(target_env = "musl", target_feature = "crt-static"));

/// The module: of the URI, else of `DELTAGATE_PKCS11_MODULE`.
pub(super) fn path(uri: &TokenUri) -> Result<PathBuf, TokenError> {
    let variable = || {
        std::env::var_os(MODULE_VARIABLE)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    };
    uri.module_path
        .clone()
        .or_else(variable)
        .ok_or(TokenError::NoModule)
}

/// A loaded module. Ended when dropped.
pub(super) struct Module {
    pub(super) context: Pkcs11,
}

/// A token in one of its slots.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) slot: Slot,
    pub(super) info: TokenInfo,
}

impl Module {
    pub(super) fn load(path: &Path) -> Result<Module, TokenError> {
        let failed = |source| TokenError::Load {
            path: path.to_owned(),
            source: Cause(source),
        };
        let context = Pkcs11::new(path).map_err(failed)?;
        // Never unloaded: libraries of others leave threads and exit handlers behind.
        std::mem::forget(context.clone());
        match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            // Another part of this process loaded it, which does not matter.
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(Module { context }),
            Err(source) => Err(failed(source)),
        }
    }

    /// Every token that was set up.
    pub(super) fn tokens(&self) -> Result<Vec<Token>, TokenError> {
        let failed = |error| TokenError::call("list the tokens", error);
        let slots = self.context.get_slots_with_token().map_err(failed)?;
        // A token that is pulled out meanwhile, or cannot be read, is not there.
        let infos = slots.into_iter().filter_map(|slot| {
            let info = self.context.get_token_info(slot).ok()?;
            Some(Token { slot, info })
        });
        Ok(infos.filter(|token| token.info.token_initialized()).collect())
    }

    /// What a token can do.
    pub(super) fn mechanisms(&self, token: &Token) -> Result<Vec<MechanismType>, TokenError> {
        let mechanisms = self.context.get_mechanism_list(token.slot);
        mechanisms.map_err(|error| TokenError::call("ask the token what it can do", error))
    }

    /// The one token that is as the URI says.
    pub(super) fn token(&self, uri: &TokenUri) -> Result<Token, TokenError> {
        let all = self.tokens()?;
        let found: Vec<&Token> = all.iter().filter(|token| token.is(uri)).collect();
        let asked = match uri.token_text() {
            text if text.is_empty() => "there".to_owned(),
            text => text,
        };
        match found.as_slice() {
            [token] => Ok((*token).clone()),
            [] => Err(TokenError::NoToken {
                asked,
                there: all.iter().map(Token::name).collect(),
            }),
            several => Err(TokenError::SeveralTokens {
                asked,
                there: several.iter().map(|token| token.name()).collect(),
            }),
        }
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // Whatever it says: nothing of it is used any more.
        let _ = self.context.clone().finalize();
    }
}

impl Token {
    fn is(&self, uri: &TokenUri) -> bool {
        let same = |asked: &Option<String>, has: &str| asked.as_deref().is_none_or(|asked| asked == has);
        same(&uri.token, self.info.label())
            && same(&uri.manufacturer, self.info.manufacturer_id())
            && same(&uri.model, self.info.model())
            && same(&uri.serial, self.info.serial_number())
            && uri.slot_id.is_none_or(|slot| slot == self.slot.id())
    }

    /// Its label, as a terminal may show it.
    pub(super) fn shown(&self) -> String {
        self.info.label().escape_debug().to_string()
    }

    /// Its URI.
    pub(super) fn uri(&self) -> String {
        format!("{SCHEME}{}", self.name())
    }

    /// What tells it from every other, as in a URI.
    fn name(&self) -> String {
        let uri = TokenUri {
            token: Some(self.info.label().to_owned()),
            serial: Some(self.info.serial_number().to_owned()),
            ..TokenUri::default()
        };
        uri.token_text()
    }
}

/// Modules where packages put them: the first of each.
pub(super) fn found_here() -> Vec<String> {
    let multiarch = format!("/usr/lib/{ARCH}-linux-gnu");
    let directories = [
        "/usr/lib/softhsm".to_owned(),
        multiarch.clone(),
        format!("{multiarch}/pkcs11"),
        "/usr/lib64".to_owned(),
        "/usr/lib64/pkcs11".to_owned(),
        "/opt/homebrew/lib".to_owned(),
        "/usr/local/lib".to_owned(),
    ];
    let names = [
        "libsofthsm2.so",
        "opensc-pkcs11.so",
        "libykcs11.so",
        "yubihsm_pkcs11.so",
        "p11-kit-proxy.so",
    ];
    let file = |name: &&str| {
        let mut files = directories.iter().map(|directory| format!("{directory}/{name}"));
        files.find(|path| Path::new(path).exists())
    };
    names.iter().filter_map(file).collect()
}
