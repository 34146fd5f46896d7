//! A factory's list of devices: comma- or semicolon-separated values (RFC 4180) with a head line that names the columns.
//!
//! `docs/identity.md` has the columns. Every line is read, and what is wrong with each is said; what it says about other devices of
//! the gateway is the core's to judge. A field may stand in quotation marks, with `""` for one of them; it holds no line break.

use std::borrow::Cow;

use gateway_core::{
    BadLine, Credentials, DeviceName, Enrolment, GroupName, Import, Kid, Label, NameKind, NotAPskIdentity,
    Octets, PSK_BYTES_MAX, Psk, PskIdentity, PskKey, PublicKey, SECRET_BYTES, Secret,
};
use wire_checkin::DeviceId;
use wire_edhoc::Fault;
use zeroize::Zeroizing;

use crate::hex;

/// Columns there may be. The first must; of each line one of the next two pairs, or `public_key`, or more of them.
const COLUMNS: [&str; 14] = [
    "device",
    "kid",
    "secret",
    "psk_identity",
    "psk",
    "salt",
    "id_context",
    "gateway_id",
    "label",
    "group",
    "eui",
    "imei",
    "serial",
    "public_key",
];
/// As many devices as a gateway claims.
const LINES_MAX: usize = 20_000;
/// Every column at its longest, and as much again.
const LINE_BYTES_MAX: usize = 1_024;
/// Longest list: lines of 400 bytes.
pub const LIST_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Why nothing of a list can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// It is no text.
    #[error("list is not UTF-8")]
    Encoding,
    /// The head line lacks a column.
    #[error("list has no column \"{0}\" in its head line")]
    Missing(&'static str),
    /// The head line has a column that means nothing.
    #[error("list has a column \"{0}\", which is none of {columns}", columns = COLUMNS.join(", "))]
    Unknown(String),
    /// The head line has a column twice.
    #[error("list has the column \"{0}\" twice")]
    Twice(&'static str),
    /// There are too many lines.
    #[error("list has more than {LINES_MAX} devices")]
    Long,
}

/// Reads a list.
pub fn read(list: &[u8], skip_bad: bool) -> Result<Import, ListError> {
    let text = std::str::from_utf8(list).map_err(|_| ListError::Encoding)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = (1..).zip(text.lines());
    let head = lines.next().map_or("", |(_, head)| head);
    let separator = if head.contains(';') { ';' } else { ',' };
    let places = places(head, separator)?;
    let mut import = Import {
        skip_bad,
        ..Import::default()
    };
    for (line, text) in lines.filter(|(_, text)| !text.trim().is_empty()) {
        if import.lines.len() + import.bad.len() == LINES_MAX {
            return Err(ListError::Long);
        }
        match device(text, separator, &places) {
            Ok(enrolment) => import.lines.push((line, enrolment)),
            Err(Wrong { what, why }) => import.bad.push(BadLine {
                line,
                what: what.to_owned(),
                why,
            }),
        }
    }
    Ok(import)
}

/// Which column of the file each of [`COLUMNS`] is.
type Places = [Option<usize>; COLUMNS.len()];

fn places(head: &str, separator: char) -> Result<Places, ListError> {
    let mut places = Places::default();
    let names = fields(head, separator).unwrap_or_default();
    for (at, name) in names.iter().enumerate() {
        let name = name.trim().to_ascii_lowercase();
        let Some(column) = COLUMNS.iter().position(|column| *column == name) else {
            return Err(ListError::Unknown(name));
        };
        if places[column].replace(at).is_some() {
            return Err(ListError::Twice(COLUMNS[column]));
        }
    }
    let has = |column: usize| places[column].is_some();
    // Device; key id and secret, unless there are identity and key of DTLS or a public key; of a pair both.
    let needs_credentials = has(1) || has(2) || !(has(3) || has(4) || has(PUBLIC_KEY));
    let needs_psk = has(3) || has(4);
    let needed = [true, needs_credentials, needs_credentials, needs_psk, needs_psk];
    let missing = (0..)
        .zip(needed)
        .find(|(column, needed)| *needed && !has(*column));
    missing.map_or(Ok(places), |(column, _)| Err(ListError::Missing(COLUMNS[column])))
}

struct Wrong {
    what: &'static str,
    why: String,
}

fn wrong(what: &'static str, why: impl Into<String>) -> Wrong {
    let why = why.into();
    Wrong { what, why }
}

fn device(text: &str, separator: char, places: &Places) -> Result<Enrolment, Wrong> {
    if text.len() > LINE_BYTES_MAX {
        return Err(wrong("line", format!("it is longer than {LINE_BYTES_MAX} bytes")));
    }
    let fields = fields(text, separator).ok_or_else(|| wrong("line", "a quotation mark is not closed"))?;
    let columns = places.iter().flatten().count();
    if fields.len() != columns {
        let why = format!("it has {} fields, and the head line {columns}", fields.len());
        return Err(wrong("line", why));
    }
    // Empty is as good as absent.
    let field = |column: &'static str| {
        let place = COLUMNS.iter().position(|other| *other == column)?;
        let text = fields.get(places[place]?)?.trim();
        (!text.is_empty()).then_some(text)
    };
    let mut names = Vec::new();
    for kind in NameKind::ALL {
        if let Some(text) = field(kind.name()) {
            let name = DeviceName::new(kind, text);
            names.push(name.ok_or_else(|| wrong(kind.name(), format!("it is not {}", kind.expects())))?);
        }
    }
    let public_key = field(COLUMNS[PUBLIC_KEY]).map(public_key).transpose()?;
    let credentials = match ["kid", "secret", "salt", "id_context", "gateway_id"].map(field) {
        [None, None, None, None, None] if places[PSK].is_some() || public_key.is_some() => None,
        [kid, text, salt, id_context, gateway_id] => {
            let kid: Result<Kid, _> = kid.ok_or_else(|| wrong("kid", EMPTY))?.parse();
            let credentials = Credentials {
                kid: kid.map_err(|_| wrong("kid", "it is not 2 to 14 hex digits, an even number of them"))?,
                gateway_id: octets("gateway_id", gateway_id)?,
                secret: secret(text.ok_or_else(|| wrong("secret", EMPTY))?)?,
                salt: octets("salt", salt)?,
                id_context: octets("id_context", id_context)?,
            };
            let checked = credentials.check();
            Some(checked.map_err(|_| wrong("kid", "the gateway has the same"))?)
        }
    };
    let psk = match ["psk_identity", "psk"].map(field) {
        [None, None] if credentials.is_some() || public_key.is_some() => None,
        [identity, key] => Some(psk(identity, key)?),
    };
    let label = field("label").map(|text| Label::new(text).ok_or_else(|| wrong("label", NO_LABEL)));
    let group = field("group").map(|text| GroupName::new(text).ok_or_else(|| wrong("group", NO_GROUP)));
    let device = identifier(field("device").ok_or_else(|| wrong("device", EMPTY))?);
    Ok(Enrolment {
        device: device
            .ok_or_else(|| wrong("device", "it is not 2 to 32 hex digits, an even number of them"))?,
        credentials,
        psk,
        public_key,
        names,
        label: label.transpose()?,
        group: group.transpose()?,
    })
}

/// A device's public key as it is typed; also what is wrong with it.
pub fn read_public_key(text: &str) -> Result<PublicKey, &'static str> {
    let mut bytes = vec![0; text.len() / 2];
    match hex::fill(text, &mut bytes).then(|| PublicKey::read(&bytes)) {
        Some(Ok(key)) => Ok(key),
        Some(Err(Fault::Point)) => Err("it is no point of the curve P-256"),
        _ => Err("it is not 64, 66 or 130 hex digits"),
    }
}

fn public_key(text: &str) -> Result<PublicKey, Wrong> {
    read_public_key(text).map_err(|why| wrong("public_key", why))
}

/// Where [`COLUMNS`] has the identity of DTLS.
const PSK: usize = 3;
/// Where it has the public key.
const PUBLIC_KEY: usize = COLUMNS.len() - 1;
const EMPTY: &str = "it is empty";
const NO_LABEL: &str = "it is not 1 to 64 printable characters";
const NO_GROUP: &str = "it is not 1 to 32 of A-Z a-z 0-9 . _ -";

/// An identifier as it is typed or printed: an EUI's hyphens, colons and dots do not count.
pub fn identifier(text: &str) -> Option<DeviceId> {
    let digits: String = text.chars().filter(|c| !":-. ".contains(*c)).collect();
    digits.parse().ok()
}

/// Says nothing of what it was, were it a secret with a digit missing.
fn secret(text: &str) -> Result<Secret, Wrong> {
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    match hex::fill(text, &mut *bytes) {
        true if bytes.iter().all(|byte| *byte == bytes[0]) => {
            Err(wrong("secret", "all of its bytes are the same"))
        }
        true => Ok(Secret::new(&bytes)),
        false => {
            let count = text.chars().count();
            Err(wrong(
                "secret",
                format!("it is not 32 hex digits, but {count} characters"),
            ))
        }
    }
}

/// As little is said of a key as of a secret.
fn psk(identity: Option<&str>, key: Option<&str>) -> Result<Psk, Wrong> {
    let identity = identity.ok_or_else(|| wrong("psk_identity", EMPTY))?;
    let identity: Result<PskIdentity, NotAPskIdentity> = identity.parse();
    let digits = key.ok_or_else(|| wrong("psk", EMPTY))?;
    let mut bytes = Zeroizing::new([0; PSK_BYTES_MAX]);
    let bytes = bytes.get_mut(..digits.len() / 2);
    let key = bytes.filter(|_| digits.is_ascii()).and_then(|bytes| {
        let is_one = hex::fill(digits, bytes);
        PskKey::new(bytes).filter(|_| is_one)
    });
    let key = key.ok_or_else(|| {
        let count = digits.chars().count();
        wrong(
            "psk",
            format!("it is not 32 to 64 hex digits, an even number of them, but {count} characters"),
        )
    })?;
    if key.expose().iter().all(|byte| *byte == key.expose()[0]) {
        return Err(wrong("psk", "all of its bytes are the same"));
    }
    Ok(Psk {
        identity: identity.map_err(|error| wrong("psk_identity", format!("it is none: {error}")))?,
        key,
    })
}

/// A key as it is typed: 32 to 64 hex digits. `None` for anything else, of which nothing is said.
pub fn psk_key(digits: &str) -> Option<PskKey> {
    let any = psk(Some("x"), Some(digits));
    any.ok().map(|psk| psk.key)
}

fn octets<const MAX: usize>(what: &'static str, text: Option<&str>) -> Result<Octets<MAX>, Wrong> {
    let text = text.unwrap_or_default();
    let mut bytes = vec![0; text.len() / 2];
    let octets = hex::fill(text, &mut bytes).then(|| Octets::new(&bytes)).flatten();
    octets.ok_or_else(|| wrong(what, format!("it is not at most {MAX} bytes in hex digits")))
}

/// The fields of a line; `None` when a quotation mark is not closed or something stands behind it.
fn fields(line: &str, separator: char) -> Option<Vec<Cow<'_, str>>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, behind) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => {
                let end = rest.find(separator).unwrap_or(rest.len());
                (Cow::Borrowed(&rest[..end]), &rest[end..])
            }
        };
        fields.push(field);
        match behind.strip_prefix(separator) {
            Some(next) => rest = next,
            None if behind.is_empty() => return Some(fields),
            None => return None,
        }
    }
}

fn quoted_field(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.find('"')?;
        match text.get(at + 1..)? {
            doubled if doubled.starts_with('"') => from = at + 2,
            behind => {
                let field = match text[..at].contains('"') {
                    true => Cow::Owned(text[..at].replace("\"\"", "\"")),
                    false => Cow::Borrowed(&text[..at]),
                };
                return Some((field, behind));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEAD: &str = "device,kid,secret,label,imei\n";
    const SECRET: &str = "0102030405060708090a0b0c0d0e0f10";

    fn bad(line: &str) -> (String, String) {
        let import = read(format!("{HEAD}{line}\n").as_bytes(), false).unwrap();
        assert_eq!((import.lines.len(), import.bad.len()), (0, 1), "{line}");
        let bad = import.bad[0].clone();
        assert_eq!(bad.line, 2);
        (bad.what, bad.why)
    }

    #[test]
    fn a_list_is_read_as_spreadsheets_write_it() {
        let list = format!(
            "\u{feff}Serial;Device;KID;secret;gateway_id;label;group;salt\r\n\
             A-1;52:54:00:12:AB:CD;0001;{SECRET};;\"roof; \"\"3\"\"\";pumps;9e7ca92223786340\r\n\r\n\
             ;525400000002;0002;{SECRET};ff;;;\r\n"
        );
        let import = read(list.as_bytes(), true).unwrap();
        assert_eq!((import.bad, import.skip_bad), (vec![], true));
        let [(2, first), (4, second)] = import.lines.as_slice() else {
            panic!("{:?}", import.lines)
        };
        assert_eq!(first.device.to_string(), "52540012abcd");
        assert_eq!(first.label, Label::new("roof; \"3\""));
        assert_eq!(first.group, GroupName::new("pumps"));
        assert_eq!(first.names[0].as_str(), "A-1");
        assert_eq!(
            first.credentials.as_ref().unwrap().salt.to_string(),
            "9e7ca92223786340"
        );
        assert_eq!(second.credentials.as_ref().unwrap().gateway_id.as_bytes(), [0xFF]);
        assert_eq!(second.credentials.as_ref().unwrap().kid.to_string(), "0002");
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        for (line, what, why) in [
            (format!(",01,{SECRET},,"), "device", "it is empty"),
            (
                format!("52x4,01,{SECRET},,"),
                "device",
                "it is not 2 to 32 hex digits, an even number of them",
            ),
            (
                format!("5254,1,{SECRET},,"),
                "kid",
                "it is not 2 to 14 hex digits, an even number of them",
            ),
            (
                "5254,01,0102,,".to_owned(),
                "secret",
                "it is not 32 hex digits, but 4 characters",
            ),
            (
                format!("5254,01,{},,", "00".repeat(16)),
                "secret",
                "all of its bytes are the same",
            ),
            (
                format!("5254,01,{SECRET},,356938035643808"),
                "imei",
                "it is not an IMEI of 15 digits, the last of which is the check digit of the others",
            ),
            (
                format!("5254,01,{SECRET},"),
                "line",
                "it has 4 fields, and the head line 5",
            ),
            (
                format!("5254,01,{SECRET},\"roof,"),
                "line",
                "a quotation mark is not closed",
            ),
            (
                format!("5254,01,{SECRET},{},", "x".repeat(65)),
                "label",
                "it is not 1 to 64 printable characters",
            ),
            (
                format!("5254,01,{SECRET},{},", "x".repeat(2_000)),
                "line",
                "it is longer than 1024 bytes",
            ),
        ] {
            assert_eq!(bad(&line), (what.to_owned(), why.to_owned()));
        }
    }

    /// Devices of which some have one kind of key, some the other, and some both.
    #[test]
    fn keys_of_dtls_are_read_beside_those_of_oscore() {
        let list = format!(
            "device,kid,secret,psk_identity,psk\n\
             5254,01,{SECRET},,\n5255,,,urn:dev:5255,{SECRET}{SECRET}\n5256,02,{SECRET},0x00ff,{SECRET}\n\
             5257,,,,\n5258,,,dev,\n5259,,,two words,{SECRET}\n525a,,,dev,{SECRET}0\n525b,,,dev,{}\n",
            "ab".repeat(16)
        );
        let import = read(list.as_bytes(), false).unwrap();
        let has = |enrolment: &Enrolment| (enrolment.credentials.is_some(), enrolment.psk.is_some());
        let read: Vec<_> = import.lines.iter().map(|(_, enrolment)| has(enrolment)).collect();
        assert_eq!(read, [(true, false), (false, true), (true, true)]);
        let psk = import.lines[1].1.psk.clone().unwrap();
        assert_eq!(
            (psk.identity.to_string().as_str(), psk.key.expose().len()),
            ("urn:dev:5255", 32)
        );
        let bad: Vec<_> = import
            .bad
            .iter()
            .map(|bad| (bad.line, bad.what.as_str()))
            .collect();
        assert_eq!(
            bad,
            [
                (5, "psk_identity"),
                (6, "psk"),
                (7, "psk_identity"),
                (8, "psk"),
                (9, "psk")
            ]
        );
        assert!(!import.bad.iter().any(|bad| bad.why.contains("01020304")));
        let only = super::read(b"device,psk_identity,psk\n", false);
        assert_eq!(only, Ok(Import::default()));
    }

    /// A point of RFC 9529 §3: x, and all of it with y.
    const X: &str = "bbc34960526ea4d32e940cad2a234148ddc21791a12afbcbac93622046dd44f0";
    const Y: &str = "4519e257236b2a0ce2023f0931f1f386ca7afda64fcde0108c224c51eabf6072";

    #[test]
    fn a_device_may_have_a_key_of_its_own_or_share_one_or_both() {
        let list = format!(
            "device,public_key,kid,secret\n52,{X},,\n53,04{X}{Y},,\n54,,01,{SECRET}\n55,{X},02,{SECRET}\n"
        );
        let import = read(list.as_bytes(), false).unwrap();
        assert_eq!(import.bad, vec![]);
        let has = |at: usize| {
            let (_, enrolment) = &import.lines[at];
            (enrolment.public_key.is_some(), enrolment.credentials.is_some())
        };
        assert_eq!(
            [0, 1, 2, 3].map(has),
            [(true, false), (true, false), (false, true), (true, true)]
        );
        assert_eq!(import.lines[0].1.public_key, import.lines[1].1.public_key);
        let only = read(
            format!("device,public_key\n52,{X}\n53,\n54,{SECRET}\n").as_bytes(),
            false,
        )
        .unwrap();
        let bad: Vec<(usize, &str)> = only.bad.iter().map(|bad| (bad.line, bad.what.as_str())).collect();
        assert_eq!((only.lines.len(), bad), (1, vec![(3, "kid"), (4, "public_key")]));
        // Half of what is shared is none.
        let half = read(
            format!("device,public_key,kid,secret\n52,{X},,{SECRET}\n").as_bytes(),
            false,
        )
        .unwrap();
        assert_eq!(half.bad[0].what, "kid");
    }

    #[test]
    fn a_head_line_that_cannot_stand_ends_it() {
        let refused = |head: &str| read(head.as_bytes(), false).unwrap_err();
        assert_eq!(refused("device,kid\n"), ListError::Missing("secret"));
        assert_eq!(refused("device,psk_identity\n"), ListError::Missing("psk"));
        assert_eq!(refused("device\n"), ListError::Missing("kid"));
        assert_eq!(
            refused("device,secret,psk_identity,psk\n"),
            ListError::Missing("kid")
        );
        assert_eq!(refused(""), ListError::Unknown(String::new()));
        assert_eq!(
            refused("device,kid,secret,colour\n"),
            ListError::Unknown("colour".into())
        );
        assert_eq!(refused("device,kid,secret,kid\n"), ListError::Twice("kid"));
        assert_eq!(read(&[0xFF], false), Err(ListError::Encoding));
    }

    proptest! {
        /// Whatever is in a list, what is said of it holds nothing of the column of secrets.
        #[test]
        fn no_list_panics_and_no_secret_is_repeated(list in "(device|kid|secret|,|;|\"|\n|[0-9a-f]{32}|\\PC){0,200}") {
            let _ = read(list.as_bytes(), false);
        }

        #[test]
        fn a_secret_with_a_slip_is_not_repeated(digits in "[0-9a-f]{24,31}") {
            let (_, why) = bad(&format!("5254,01,{digits},,"));
            prop_assert!(!why.contains(&digits[..8]));
        }
    }
}
