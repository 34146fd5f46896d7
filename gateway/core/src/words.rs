//! Numbers of things in words.

use core::fmt::Display;

/// `1 device`, `2 devices`: both forms are given, so that a verb can go with its noun and no plural is guessed.
pub fn count<N: Display + PartialEq + From<u8>>(number: N, one: &str, many: &str) -> String {
    let words = if number == N::from(1) { one } else { many };
    format!("{number} {words}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_singular() {
        for (number, words) in [
            (0, "0 entries"),
            (1, "1 entry"),
            (2, "2 entries"),
            (21, "21 entries"),
        ] {
            assert_eq!(count(number, "entry", "entries"), words);
        }
        assert_eq!(
            count(1_usize, "device is late", "devices are late"),
            "1 device is late"
        );
        assert_eq!(
            count(9_u64, "device is late", "devices are late"),
            "9 devices are late"
        );
    }
}
