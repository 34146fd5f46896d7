//! Finding a device by what a person has at hand: a label, the sticker with an EUI, an IMEI or a serial number, a few digits of
//! a log line.
//!
//! A text is compared with each of these forms of a device, without regard to case and to the punctuation of addresses:
//!
//! | form | why |
//! |---|---|
//! | the identifier in hex | what everything else prints |
//! | its bytes as text, when they are | serial numbers as identifiers |
//! | its digits swapped in pairs | IMEI as 3GPP TS 24.008 §10.5.1.4 packs it; packed the plain way it is the hex form |
//! | as EUI-64 and as the EUI-48 that this was made of, with the U/L bit as it is and flipped | RFC 4291 Appendix A |
//! | the label | what people call it |
//!
//! When nothing holds the text, the nearest forms by edit distance are named: a digit misread, a letter left out.

use gateway_core::Label;
use wire_checkin::DeviceId;

/// A device that was found, best first when sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Match {
    /// A form is the text.
    Whole,
    /// A form begins with it.
    Start,
    /// A form holds it.
    Within,
    /// None does; so many characters would have to change.
    Near(usize),
}

impl Match {
    /// Whether the text itself was found.
    pub fn is_found(&self) -> bool {
        !matches!(self, Match::Near(_))
    }
}

/// Devices that hold the text; if none does, the nearest ones. Best first, then by identifier.
pub fn find<'d>(
    text: &str,
    devices: impl Iterator<Item = (DeviceId, Option<&'d Label>)>,
) -> Vec<(DeviceId, Match)> {
    let wanted = Wanted::new(text);
    let mut found: Vec<_> = devices
        .filter_map(|(id, label)| Some((wanted.compare(id, label)?, id)))
        .collect();
    found.sort_unstable();
    if found.iter().any(|(how, _)| how.is_found()) {
        found.retain(|(how, _)| how.is_found());
    } else {
        found.truncate(NEAREST_MAX);
    }
    found.into_iter().map(|(how, id)| (id, how)).collect()
}

/// Guesses that fit a glance.
const NEAREST_MAX: usize = 5;
/// Longest text that is compared: an identifier and a label have 32 and 64 characters.
const TEXT_CHARS_MAX: usize = 64;

struct Wanted {
    /// As a label may hold it.
    text: String,
    /// As an address, when it can be one.
    digits: Option<String>,
}

impl Wanted {
    fn new(text: &str) -> Wanted {
        let text: String = text.trim().chars().take(TEXT_CHARS_MAX).collect();
        let text = text.to_lowercase();
        let digits: String = text.chars().filter(|c| !":-. ".contains(*c)).collect();
        let is_hex = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_hexdigit());
        Wanted {
            text,
            digits: is_hex.then_some(digits),
        }
    }

    fn compare(&self, id: DeviceId, label: Option<&Label>) -> Option<Match> {
        if self.text.is_empty() {
            return None;
        }
        let addresses = address_forms(id);
        let words = label.map(|label| label.as_str().to_lowercase());
        let texts: Vec<String> = as_text(id).into_iter().chain(words.clone()).collect();
        let digits = self.digits.iter();
        let in_addresses = digits.flat_map(|digits| addresses.iter().filter_map(|form| holds(form, digits)));
        let in_texts = texts.iter().filter_map(|form| holds(form, &self.text));
        if let Some(found) = in_addresses.chain(in_texts).min() {
            return Some(found);
        }
        // Words in any order.
        let label = words.unwrap_or_default();
        if self.text.split_whitespace().all(|word| label.contains(word)) {
            return Some(Match::Within);
        }
        let near_address = self
            .digits
            .iter()
            .filter_map(|digits| nearest(&addresses, digits));
        let label_words = label.split_whitespace().map(str::to_owned);
        let candidates: Vec<String> = texts.into_iter().chain(label_words).collect();
        let near = near_address.chain(nearest(&candidates, &self.text)).min()?;
        Some(Match::Near(near))
    }
}

fn holds(form: &str, text: &str) -> Option<Match> {
    match form.find(text)? {
        0 if form.len() == text.len() => Some(Match::Whole),
        0 => Some(Match::Start),
        _ => Some(Match::Within),
    }
}

/// The least number of edits that makes one of the forms of the text, when that is few enough to be a slip: a third.
fn nearest(forms: &[String], text: &str) -> Option<usize> {
    let distance = |form: &String| strsim::osa_distance(form, text);
    let slip = (text.chars().count() / 3).max(1);
    forms.iter().map(distance).min().filter(|edits| *edits <= slip)
}

fn as_text(id: DeviceId) -> Option<String> {
    let text = std::str::from_utf8(id.as_bytes()).ok()?;
    let printable = text.chars().all(|c| c.is_ascii_graphic());
    printable.then(|| text.to_lowercase())
}

/// Hex digits of every form, the identifier itself first.
fn address_forms(id: DeviceId) -> Vec<String> {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let bytes = id.as_bytes();
    let swapped: Vec<u8> = bytes.iter().map(|byte| byte.rotate_left(4)).collect();
    let mut forms = vec![hex(bytes), hex(&swapped)];
    match *bytes {
        [a, b, c, d, e, f] => {
            let eui_64 = |first| [first, b, c, 0xff, 0xfe, d, e, f];
            forms.extend([hex(&eui_64(a)), hex(&eui_64(a ^ UNIVERSAL_LOCAL))]);
        }
        [a, b, c, 0xff, 0xfe, d, e, f] => {
            let flipped = a ^ UNIVERSAL_LOCAL;
            forms.extend([
                hex(&[flipped, b, c, 0xff, 0xfe, d, e, f]),
                hex(&[a, b, c, d, e, f]),
                hex(&[flipped, b, c, d, e, f]),
            ]);
        }
        _ => {}
    }
    forms
}

/// The bit of an EUI's first byte that says who gave it; flipped in an interface identifier of IPv6.
const UNIVERSAL_LOCAL: u8 = 0x02;

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Vec<(DeviceId, Option<Label>)> {
        let id = |bytes: &[u8]| DeviceId::new(bytes).unwrap();
        vec![
            (
                id(&[0x52, 0x54, 0, 0x12, 0x34, 0x56]),
                Label::new("Roof 3, sn A1234"),
            ),
            (id(&[0x52, 0x54, 0, 0x12, 0x34, 0x57]), Label::new("cellar")),
            // IMEI 356938035643809, packed with its digits swapped and filled with f.
            (id(&[0x53, 0x96, 0x83, 0x30, 0x65, 0x34, 0x08, 0xf9]), None),
            // IMEI 490154203237518, packed the plain way.
            (id(&[0x04, 0x90, 0x15, 0x42, 0x03, 0x23, 0x75, 0x18]), None),
            (id(b"SN-00417"), None),
            (id(&[0x02, 0x1b, 0x44, 0xff, 0xfe, 0x11, 0x3a, 0xb7]), None),
        ]
    }

    fn found(text: &str) -> Vec<(usize, Match)> {
        let site = site();
        let devices = site.iter().map(|(id, label)| (*id, label.as_ref()));
        let place = |id| site.iter().position(|(other, _)| *other == id).unwrap();
        find(text, devices)
            .into_iter()
            .map(|(id, how)| (place(id), how))
            .collect()
    }

    #[test]
    fn a_device_is_found_by_whatever_is_printed_on_it() {
        for (text, place, how) in [
            ("525400123456", 0, Match::Whole),
            ("52:54:00:12:34:56", 0, Match::Whole),
            ("52-54-00-12-34-57", 1, Match::Whole),
            ("5054:00ff:fe12:3456", 0, Match::Whole),
            ("roof", 0, Match::Start),
            ("a1234", 0, Match::Within),
            ("A1234 roof", 0, Match::Within),
            ("CELLAR", 1, Match::Whole),
            ("356938035643809", 2, Match::Start),
            ("490154203237518", 3, Match::Within),
            ("sn-00417", 4, Match::Whole),
            ("00417", 4, Match::Within),
            ("00:1b:44:11:3a:b7", 5, Match::Whole),
            ("001b44fffe113ab7", 5, Match::Whole),
        ] {
            assert_eq!(found(text), [(place, how)], "{text}");
        }
        assert_eq!(found("52540012345").len(), 2);
    }

    #[test]
    fn a_slip_finds_the_nearest() {
        assert_eq!(found("525400123465"), [(0, Match::Near(1)), (1, Match::Near(2))]);
        assert_eq!(found("celar"), [(1, Match::Near(1))]);
        assert_eq!(found("SN-00471"), [(4, Match::Near(1))]);
        assert_eq!(found("356938035643890")[0], (2, Match::Near(2)));
    }

    #[test]
    fn what_is_like_nothing_finds_nothing() {
        for text in ["", "  ", "submarine", "ffffffffffff", "\u{1f600}"] {
            assert_eq!(found(text), [], "{text}");
        }
    }
}
