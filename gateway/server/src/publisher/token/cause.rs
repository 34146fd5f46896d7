//! What a module said, in the words of PKCS#11.

use std::error::Error as StdError;
use std::fmt;

use cryptoki::error::Error as Pkcs11Error;

/// What a module said, in the words of PKCS#11.
#[derive(Debug)]
pub struct Cause(pub(super) Pkcs11Error);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Pkcs11Error::Pkcs11(code, function) => {
                write!(f, "C_{function:?} returned {}", code_name(&format!("{code:?}")))
            }
            Pkcs11Error::LibraryLoading(error) => error.fmt(f),
            Pkcs11Error::MissingSymbol(_) => f.write_str("it is no PKCS#11 module"),
            error => error.fmt(f),
        }
    }
}

impl StdError for Cause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0 {
            Pkcs11Error::LibraryLoading(error) => error.source(),
            _ => None,
        }
    }
}

/// `CKR_PIN_LOCKED` for `PinLocked`. A number that PKCS#11 does not name stays one.
fn code_name(variant: &str) -> String {
    let mut name = String::from("CKR");
    for letter in variant.chars() {
        if letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use cryptoki::context::Function;
    use cryptoki::error::RvError;

    #[test]
    fn a_code_has_the_name_of_the_standard() {
        let said = |code| Cause(Pkcs11Error::Pkcs11(code, Function::Sign)).to_string();
        assert_eq!(said(RvError::DeviceRemoved), "C_Sign returned CKR_DEVICE_REMOVED");
        assert!(said(RvError::VendorDefined(7)).starts_with("C_Sign returned CKR_VENDOR_DEFINED"));
    }
}
