//! PKCS#11 URIs (RFC 7512): which token, which key in it, whose module, and where its PIN is.
//!
//! | attribute | here |
//! |---|---|
//! | `token`, `manufacturer`, `model`, `serial`, `slot-id` | have to be the token's |
//! | `object`, `id`, `type=private`, `type=public` | have to be the key's |
//! | `module-path` | the module's file, rather than that of `DELTAGATE_PKCS11_MODULE` |
//! | `pin-source` | a file with the PIN |
//! | `pin-value` | refused: it would stand in the list of processes and in the shell's history |
//! | all others | refused: a key that is not the one that was meant signs nothing |

use std::path::PathBuf;

use thiserror::Error;

/// What names a key in a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenUri {
    /// The token's label.
    pub token: Option<String>,
    /// Who made it.
    pub manufacturer: Option<String>,
    /// Its model.
    pub model: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// The slot it is in.
    pub slot_id: Option<u64>,
    /// The key's label.
    pub object: Option<String>,
    /// The key's id, of any bytes.
    pub id: Option<Vec<u8>>,
    /// The file of the module.
    pub module_path: Option<PathBuf>,
    /// The file with the PIN.
    pub pin_source: Option<PathBuf>,
}

/// What such a URI begins with, in any case.
pub(super) const SCHEME: &str = "pkcs11:";

impl TokenUri {
    /// Whether `name` is one of these, and not a file.
    pub fn is_one(name: &str) -> bool {
        let start = name.as_bytes().get(..SCHEME.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(SCHEME.as_bytes()))
    }

    /// Reads one.
    pub fn parse(text: &str) -> Result<TokenUri, UriError> {
        let rest = text.get(SCHEME.len()..).filter(|_| Self::is_one(text));
        let rest = rest.ok_or(UriError::Scheme)?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut uri = TokenUri::default();
        let mut seen: Vec<&str> = Vec::new();
        let parts = path.split(';').chain(query.split('&'));
        for part in parts.filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or(UriError::NoValue)?;
            if seen.contains(&name) {
                return Err(UriError::Twice {
                    name: name.to_owned(),
                });
            }
            seen.push(name);
            uri.take(name, value)?;
        }
        Ok(uri)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), UriError> {
        let bytes = || {
            decoded(value).ok_or_else(|| UriError::Percent {
                name: name.to_owned(),
            })
        };
        let text = || {
            String::from_utf8(bytes()?).map_err(|_| UriError::Text {
                name: name.to_owned(),
            })
        };
        match name {
            "token" => self.token = Some(text()?),
            "manufacturer" => self.manufacturer = Some(text()?),
            "model" => self.model = Some(text()?),
            "serial" => self.serial = Some(text()?),
            "slot-id" => self.slot_id = Some(value.parse().map_err(|_| UriError::SlotId)?),
            "object" => self.object = Some(text()?),
            "id" => self.id = Some(bytes()?),
            "type" if matches!(value, "private" | "public") => {}
            "type" => {
                return Err(UriError::Type {
                    value: value.to_owned(),
                });
            }
            "module-path" => self.module_path = Some(text()?.into()),
            "pin-source" => self.pin_source = Some(pin_file(&text()?)?),
            "pin-value" => return Err(UriError::PinInUri),
            _ => {
                return Err(UriError::Unknown {
                    name: name.to_owned(),
                });
            }
        }
        Ok(())
    }

    /// Whether it names a key, and not only a token.
    pub fn names_a_key(&self) -> bool {
        self.object.is_some() || self.id.is_some()
    }

    /// What is said of the token, for messages.
    pub fn token_text(&self) -> String {
        let slot = self.slot_id.map(|slot| slot.to_string());
        let fields = [
            ("token", &self.token),
            ("manufacturer", &self.manufacturer),
            ("model", &self.model),
            ("serial", &self.serial),
            ("slot-id", &slot),
        ];
        joined(fields.map(|(name, value)| value.as_ref().map(|value| (name, encoded(value.as_bytes())))))
    }

    /// What is said of the key, for messages.
    pub fn key_text(&self) -> String {
        let object = self
            .object
            .as_ref()
            .map(|label| ("object", encoded(label.as_bytes())));
        joined([object, self.id.as_ref().map(|id| ("id", every_byte(id)))])
    }
}

/// The URI of a key in a token, by the same module as `asked`.
pub(super) fn key_uri(token: &str, label: &str, id: &[u8], asked: &TokenUri) -> String {
    let known = |name, value: String| (!value.is_empty()).then_some((name, value));
    let fields = [
        known("token", encoded(token.as_bytes())),
        known("object", encoded(label.as_bytes())),
        known("id", every_byte(id)),
    ];
    let module = asked.module_path.as_ref().and_then(|path| path.to_str());
    let module = module.map_or(String::new(), |path| {
        format!("?module-path={}", encoded_path(path))
    });
    format!("{SCHEME}{}{module}", joined(fields))
}

fn joined<const N: usize>(fields: [Option<(&str, String)>; N]) -> String {
    let said = fields.into_iter().flatten();
    let said: Vec<String> = said.map(|(name, value)| format!("{name}={value}")).collect();
    said.join(";")
}

/// RFC 7512 §2.4: an absolute path, with or without `file:`. A command (`|…`) is not run.
fn pin_file(value: &str) -> Result<PathBuf, UriError> {
    if value.starts_with('|') {
        return Err(UriError::PinCommand);
    }
    let path = value.strip_prefix("file:").unwrap_or(value);
    Ok(path.strip_prefix("//").unwrap_or(path).into())
}

/// Percent-encoded characters decoded; all others as they are.
fn decoded(value: &str) -> Option<Vec<u8>> {
    let mut bytes = value.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => 16 * digit(bytes.next()?)? + digit(bytes.next()?)?,
            byte => byte,
        });
    }
    Some(out)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|value| value as u8)
}

/// All but the unreserved characters of RFC 3986 §2.3 encoded: fit for any shell.
fn encoded(bytes: &[u8]) -> String {
    let one = |&byte: &u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02x}"),
    };
    bytes.iter().map(one).collect()
}

/// RFC 7512 §2.3: a slash may stand in a query.
fn encoded_path(path: &str) -> String {
    encoded(path.as_bytes()).replace("%2f", "/")
}

/// RFC 7512 §2.3: an id should be encoded in full.
fn every_byte(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02x}")).collect()
}

/// Why a URI names no key. No message quotes a value: a PIN might stand there.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UriError {
    /// It begins with something else.
    #[error("it does not begin with pkcs11:")]
    Scheme,
    /// A part has no `=`.
    #[error("a part of it is no name=value")]
    NoValue,
    /// An attribute came twice.
    #[error("{name} is there twice")]
    Twice {
        /// The attribute.
        name: String,
    },
    /// A `%` without two hex digits.
    #[error("{name} has a % without two hex digits behind it")]
    Percent {
        /// The attribute.
        name: String,
    },
    /// Text that is not UTF-8.
    #[error("{name} is not UTF-8")]
    Text {
        /// The attribute.
        name: String,
    },
    /// A slot is numbered.
    #[error("slot-id is not a decimal number")]
    SlotId,
    /// Neither a private nor a public key.
    #[error("type={value} is no key that signs")]
    Type {
        /// What it is instead.
        value: String,
    },
    /// The PIN itself is in it.
    #[error(
        "pin-value is refused: a PIN in a command is in the list of processes and in the shell's history"
    )]
    PinInUri,
    /// A command that says the PIN.
    #[error("pin-source is a command, and commands are not run")]
    PinCommand,
    /// An attribute we do not compare.
    #[error("{name} is not understood")]
    Unknown {
        /// The attribute.
        name: String,
    },
}

impl UriError {
    /// What to do next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::PinInUri => {
                "leave it out and type the PIN when asked, or name a file of mode 0600: ?pin-source=file:/path"
            }
            Self::PinCommand => "write the PIN to a file of mode 0600 and name it: ?pin-source=file:/path",
            Self::Unknown { name } if name == "module-name" => "name the module's file: ?module-path=FILE",
            Self::Type { .. } => "leave type out, or write type=private",
            Self::Percent { .. } | Self::Text { .. } => {
                "write % itself as %25, and other bytes as % and two hex digits"
            }
            _ => {
                "such as 'pkcs11:token=release;object=release-2026', in quotes; `deltagate key list` shows those there are"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> TokenUri {
        TokenUri::parse(text).unwrap()
    }

    /// RFC 7512 §3, those of its examples that name a key.
    #[test]
    fn examples_of_the_rfc_are_read() {
        let uri = parsed("pkcs11:object=my-pubkey;type=public");
        assert_eq!((uri.object.as_deref(), uri.token), (Some("my-pubkey"), None));
        let uri = parsed("pkcs11:object=my-key;type=private?pin-source=file:/etc/token");
        assert_eq!(uri.pin_source, Some("/etc/token".into()));
        let uri = parsed(
            "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;\
             object=my-certificate;type=private;id=%69%95%3E%5C%F4%BD%EC%91;serial=?pin-source=file:/etc/token_pin",
        );
        assert_eq!(uri.token.as_deref(), Some("The Software PKCS#11 Softtoken"));
        assert_eq!(uri.manufacturer.as_deref(), Some("Snake Oil, Inc."));
        assert_eq!(uri.id, Some(vec![0x69, 0x95, 0x3e, 0x5c, 0xf4, 0xbd, 0xec, 0x91]));
        assert_eq!(uri.serial.as_deref(), Some(""));
        let uri = parsed("pkcs11:slot-id=327;object=my-key?module-path=/mnt/libmypkcs11.so.1");
        assert_eq!(
            (uri.slot_id, uri.module_path),
            (Some(327), Some("/mnt/libmypkcs11.so.1".into()))
        );
        assert_eq!(parsed("PKCS11:"), TokenUri::default());
    }

    #[test]
    fn what_is_not_understood_names_no_key() {
        let refused = |text: &str| TokenUri::parse(text).unwrap_err();
        let name = |name: &str| name.to_owned();
        assert_eq!(refused("publisher.key"), UriError::Scheme);
        assert_eq!(refused("pkcs11:token"), UriError::NoValue);
        assert_eq!(
            refused("pkcs11:token=a;token=b"),
            UriError::Twice { name: name("token") }
        );
        assert_eq!(refused("pkcs11:id=%4"), UriError::Percent { name: name("id") });
        assert_eq!(refused("pkcs11:id=%g0"), UriError::Percent { name: name("id") });
        assert_eq!(
            refused("pkcs11:token=%ff"),
            UriError::Text { name: name("token") }
        );
        assert_eq!(refused("pkcs11:slot-id=-1"), UriError::SlotId);
        assert_eq!(
            refused("pkcs11:type=cert"),
            UriError::Type { value: name("cert") }
        );
        assert_eq!(refused("pkcs11:?pin-source=|cat"), UriError::PinCommand);
        assert_eq!(
            refused("pkcs11:?module-name=x"),
            UriError::Unknown {
                name: name("module-name")
            }
        );
        assert_eq!(
            refused("pkcs11:Token=x"),
            UriError::Unknown { name: name("Token") }
        );
    }

    #[test]
    fn a_pin_in_the_name_is_refused_and_not_repeated() {
        let error = TokenUri::parse("pkcs11:token=a?pin-value=987654").unwrap_err();
        assert_eq!(error, UriError::PinInUri);
        assert!(!format!("{error} {error:?} {}", error.hint()).contains("987654"));
    }

    #[test]
    fn a_key_that_is_shown_is_found_by_what_is_shown() {
        let asked = parsed("pkcs11:?module-path=/usr/lib/soft%20hsm.so");
        let uri = key_uri("a;b=?&% ü", "re lease", &[0, 0x41, 0xff], &asked);
        assert!(
            uri.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b":;=%-?/.".contains(&byte)),
            "{uri}"
        );
        let read = parsed(&uri);
        assert_eq!(read.token.as_deref(), Some("a;b=?&% ü"));
        assert_eq!(read.object.as_deref(), Some("re lease"));
        assert_eq!(read.id, Some(vec![0, 0x41, 0xff]));
        assert_eq!(read.module_path, asked.module_path);
        assert_eq!(key_uri("t", "", &[], &TokenUri::default()), "pkcs11:token=t");
    }
}
