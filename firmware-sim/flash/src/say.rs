//! Lines in pieces, without `core::fmt`: formatting would be a tenth of the bootloader.

use core::fmt;

/// Puts a number in decimal, from the highest digit that is not zero; `grouped` with commas between thousands.
pub fn say_number(number: u32, grouped: bool, put: &mut dyn FnMut(&[u8])) {
    let mut unit = 1_000_000_000;
    while unit > 1 && number < unit {
        unit /= 10;
    }
    while unit > 0 {
        put(&[b'0' + (number / unit % 10) as u8]);
        if grouped && matches!(unit, 1_000 | 1_000_000 | 1_000_000_000) {
            put(b",");
        }
        unit /= 10;
    }
}

/// Shows what `say` puts in pieces of UTF-8, for programs that can format.
pub fn show(say: impl FnOnce(&mut dyn FnMut(&[u8])), formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut result = Ok(());
    say(&mut |piece| {
        result = result.and_then(|()| match str::from_utf8(piece) {
            Ok(text) => formatter.write_str(text),
            Err(_) => Err(fmt::Error),
        });
    });
    result
}

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};

    use super::*;

    #[test]
    fn numbers_are_decimal() {
        let said = |number, grouped| {
            let mut text = String::new();
            say_number(number, grouped, &mut |piece| {
                text.push_str(str::from_utf8(piece).unwrap());
            });
            text
        };
        for number in [0, 7, 10, 99, 100, 999, 1_000, 65_535, u32::MAX] {
            assert_eq!(said(number, false), number.to_string());
        }
        for (number, text) in [
            (999, "999"),
            (1_020_304, "1,020,304"),
            (u32::MAX, "4,294,967,295"),
        ] {
            assert_eq!(said(number, true), text);
        }
    }
}
