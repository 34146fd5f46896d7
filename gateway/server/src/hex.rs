//! Hex digits of secrets: read and written without the formatting machinery, which would leave copies behind.

/// Appends two lower-case digits.
pub fn push(text: &mut String, byte: u8) {
    for digit in [byte >> 4, byte & 15] {
        text.push(char::from_digit(digit.into(), 16).expect("a digit is below 16"));
    }
}

/// Fills `bytes` from exactly twice as many digits; says whether that is what the text is.
pub fn fill(text: &str, bytes: &mut [u8]) -> bool {
    if text.len() != 2 * bytes.len() {
        return false;
    }
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let pairs = text.as_bytes().chunks_exact(2);
    bytes.iter_mut().zip(pairs).all(|(byte, pair)| {
        let value = digit(pair[0]).zip(digit(pair[1]));
        // At most 255.
        value.is_some_and(|(high, low)| {
            *byte = (high << 4 | low) as u8;
            true
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_back_and_nothing_else_is() {
        let mut text = String::new();
        [0, 0x5A, 0xFF].iter().for_each(|byte| push(&mut text, *byte));
        assert_eq!(text, "005aff");
        let mut bytes = [1; 3];
        assert!(fill("005AfF", &mut bytes));
        assert_eq!(bytes, [0, 0x5A, 0xFF]);
        for text in ["", "005af", "005aff0", "005agf", "+05aff", "é5aff"] {
            assert!(!fill(text, &mut bytes), "{text}");
        }
    }
}
