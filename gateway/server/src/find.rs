//! Finding a device by what a person has at hand: a label, the sticker with an EUI, an IMEI or a serial number, a few digits of
//! a log line.
//!
//! A text is compared with each of these forms of a device, by letters and digits alone: case, blanks and punctuation do not count.
//!
//! | form | why |
//! |---|---|
//! | the identifier in hex | what everything else prints |
//! | its bytes as text, when they are | serial numbers as identifiers |
//! | its digits swapped in pairs | IMEI as 3GPP TS 24.008 §10.5.1.4 packs it; packed the plain way it is the hex form |
//! | as EUI-64 and as the EUI-48 that this was made of, with the U/L bit as it is and flipped | RFC 4291 Appendix A |
//! | the label | what people call it |
//! | its EUI, IMEI or serial number, where they were enrolled with it | what is printed on it |
//!
//! When nothing holds the text, the nearest forms by edit distance are named: a digit misread, a letter left out. Of a label
//! these are its words and any of them in a row.

use gateway_core::{DeviceName, Label, NameKind};
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
    devices: impl Iterator<Item = (DeviceId, Option<&'d Label>, Vec<&'d DeviceName>)>,
) -> Vec<(DeviceId, Match)> {
    let wanted = Wanted::new(text);
    let mut found: Vec<_> = devices
        .filter_map(|(id, label, names)| Some((wanted.compare(id, label, &names)?, id)))
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
    /// The words that were asked for, in any order.
    words: Vec<String>,
    /// All of them in a row.
    text: String,
}

impl Wanted {
    fn new(text: &str) -> Wanted {
        let text: String = text.trim().chars().take(TEXT_CHARS_MAX).collect();
        Wanted {
            words: text.split_whitespace().map(bare).collect(),
            text: bare(&text),
        }
    }

    fn compare(&self, id: DeviceId, label: Option<&Label>, names: &[&DeviceName]) -> Option<Match> {
        if self.text.is_empty() {
            return None;
        }
        let words: Vec<String> = label.map_or(Vec::new(), |label| {
            label.as_str().split_whitespace().map(bare).collect()
        });
        let label = words.concat();
        let mut forms = address_forms(id);
        forms.extend(as_text(id));
        for name in names {
            let eui = (name.kind() == NameKind::Eui).then(|| name.as_str().parse().ok());
            forms.extend(eui.flatten().map(address_forms).unwrap_or_default());
            forms.push(bare(name.as_str()));
        }
        let whole = forms.iter().chain([&label]);
        if let Some(found) = whole.filter_map(|form| holds(form, &self.text)).min() {
            return Some(found);
        }
        if self.words.iter().all(|word| label.contains(word)) {
            return Some(Match::Within);
        }
        forms.extend(rows(&words, self.text.chars().count() + self.slip()));
        let distance = |form: &String| strsim::osa_distance(form, &self.text);
        let like = forms.iter().filter(|form| self.is_as_long_as(form));
        let near = like.map(distance).min().filter(|edits| *edits <= self.slip())?;
        Some(Match::Near(near))
    }

    /// So few edits are a slip: a third of the text, and never all of it.
    fn slip(&self) -> usize {
        let chars = self.text.chars().count();
        (chars / 3).max(1).min(chars - 1)
    }

    /// Whether a slip could be the difference: every other form needs more edits than that.
    fn is_as_long_as(&self, form: &str) -> bool {
        form.chars().count().abs_diff(self.text.chars().count()) <= self.slip()
    }
}

/// Letters and digits in lower case; of what has none, all of it.
fn bare(text: &str) -> String {
    let text = text.to_lowercase();
    let bare: String = text.chars().filter(|c| c.is_alphanumeric()).collect();
    if bare.is_empty() { text } else { bare }
}

/// Words that follow each other, in one: none longer than so many characters.
fn rows(words: &[String], chars_max: usize) -> Vec<String> {
    let mut rows = Vec::new();
    for first in 0..words.len() {
        let mut row = String::new();
        for word in &words[first..] {
            row.push_str(word);
            if row.chars().count() > chars_max {
                break;
            }
            rows.push(row.clone());
        }
    }
    rows
}

fn holds(form: &str, text: &str) -> Option<Match> {
    match form.find(text)? {
        0 if form.len() == text.len() => Some(Match::Whole),
        0 => Some(Match::Start),
        _ => Some(Match::Within),
    }
}

fn as_text(id: DeviceId) -> Option<String> {
    let text = std::str::from_utf8(id.as_bytes()).ok()?;
    let printable = text.chars().all(|c| c.is_ascii_graphic());
    printable.then(|| bare(text))
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
        let devices = site.iter().map(|(id, label)| (*id, label.as_ref(), Vec::new()));
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
            ("roof3", 0, Match::Start),
            ("Roof 3 SN A-1234", 0, Match::Whole),
            ("sn-a 1234", 0, Match::Within),
            ("356938035643809", 2, Match::Start),
            ("490154203237518", 3, Match::Within),
            ("sn-00417", 4, Match::Whole),
            ("SN 00417", 4, Match::Whole),
            ("00417", 4, Match::Within),
            ("00:1b:44:11:3a:b7", 5, Match::Whole),
            ("001b44fffe113ab7", 5, Match::Whole),
        ] {
            assert_eq!(found(text), [(place, how)], "{text}");
        }
        assert_eq!(found("52540012345").len(), 2);
    }

    #[test]
    fn a_device_is_found_by_the_names_that_it_was_enrolled_with() {
        let names = [
            (NameKind::Eui, "70b3d54990000001"),
            (NameKind::Imei, "356938035643809"),
            (NameKind::Serial, "TX/0417-b"),
        ]
        .map(|(kind, text)| DeviceName::new(kind, text).unwrap());
        let id = DeviceId::new(&[1, 2, 3]).unwrap();
        for (text, how) in [
            ("70:b3:d5:49:90:00:00:01", Match::Whole),
            ("35-693803-564380-9", Match::Whole),
            ("643809", Match::Within),
            ("tx/0417", Match::Start),
            ("tx/0471-b", Match::Near(1)),
            ("72b3d54990000001", Match::Near(1)),
        ] {
            let found = find(text, [(id, None, names.iter().collect())].into_iter());
            assert_eq!(found, [(id, how)], "{text}");
        }
    }

    #[test]
    fn a_slip_finds_the_nearest() {
        assert_eq!(found("525400123465"), [(0, Match::Near(1)), (1, Match::Near(2))]);
        assert_eq!(found("celar"), [(1, Match::Near(1))]);
        for text in ["rof3", "rof 3", "Rof-3", "roof 3 sm A1234", "roof 3, sn A1243"] {
            assert_eq!(found(text), [(0, Match::Near(1))], "{text}");
        }
        // A letter for a digit.
        assert_eq!(found("52:54:OO:12:34:56")[0], (0, Match::Near(2)));
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
