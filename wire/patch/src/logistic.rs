//! Probabilities as log-odds and back, in integers. Part of the format: both ends compute exactly this.
//!
//! A log-odds value is in units of 1/256 of a factor of two: +256 means "twice as likely as not".

/// Largest magnitude of a log-odds value that [`squash`] tells apart.
const LOG_ODDS_MAX: i32 = 4_095;

/// `STRETCH_LOG2[i]` = round(256 × log2(1 + (i + 0.5) / 64)).
const STRETCH_LOG2: [u8; 64] = [
    3, 9, 14, 20, 25, 30, 36, 41, 46, 51, 56, 61, 66, 71, 75, 80, 85, 89, 94, 98, 103, 107, 111, 116, 120,
    124, 128, 132, 136, 140, 144, 148, 152, 155, 159, 163, 167, 170, 174, 178, 181, 185, 188, 192, 195, 198,
    202, 205, 208, 212, 215, 218, 221, 224, 228, 231, 234, 237, 240, 243, 246, 249, 252, 255,
];

/// `SQUASH[i]` = min(65535, round(65536 / (1 + 2^(-(i - 32) / 2)))): one entry for every 128 units of log-odds.
const SQUASH: [u16; 65] = [
    1, 1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 90, 128, 181, 255, 360, 508, 716, 1_008, 1_417, 1_986,
    2_774, 3_855, 5_322, 7_282, 9_845, 13_107, 17_118, 21_845, 27_146, 32_768, 38_390, 43_691, 48_418,
    52_429, 55_691, 58_254, 60_214, 61_681, 62_762, 63_550, 64_119, 64_528, 64_820, 65_028, 65_176, 65_281,
    65_355, 65_408, 65_446, 65_472, 65_491, 65_504, 65_513, 65_520, 65_525, 65_528, 65_530, 65_532, 65_533,
    65_534, 65_535, 65_535,
];

/// The log-odds of a probability of `p` / 4096, `p` in 0..4096 (0 counts as 1).
#[inline(always)]
pub(crate) fn stretch(p: u16) -> i32 {
    odds_log2(u32::from(p.clamp(1, 4_095)))
}

/// The log-odds of a probability of `p` / 256, `p` in 0..256: [`stretch`] of as many sixteenths.
// Five of a literal's eight inputs are these: the table, half of it, saves 15 instructions for each.
#[inline(always)]
pub(crate) fn stretch_byte(p: u16) -> i32 {
    let p = usize::from(p & 255);
    if p < 128 {
        -i32::from(STRETCH_BYTE[128 - p])
    } else {
        i32::from(STRETCH_BYTE[p - 128])
    }
}

/// `STRETCH_BYTE[i]` = `stretch(16 × (128 + i))`, and one for 0, which counts as 1 / 4096.
const STRETCH_BYTE: [u16; 129] = {
    let mut table = [0; 129];
    let mut i = 0;
    while i < 128 {
        let p = 16 * (128 + i);
        table[i as usize] = odds_log2(p) as u16;
        i += 1;
    }
    table[128] = odds_log2(4_095) as u16;
    table
};

/// 256 × log2 of `p` / (4096 - `p`), `p` in 1..4096.
// In the innermost loop.
#[inline(always)]
const fn odds_log2(p: u32) -> i32 {
    let (zeros, mantissa) = parts(p);
    let (zeros_against, mantissa_against) = parts(4_096 - p);
    ((zeros_against as i32 - zeros as i32) << 8) + mantissa - mantissa_against
}

/// How many zeros `x` starts with, and 256 × log2 of the number between 1 and 2 that follows them, from the six bits behind its
/// leading one.
#[inline(always)]
const fn parts(x: u32) -> (u32, i32) {
    let zeros = x.leading_zeros();
    let mantissa = (x << zeros) >> 25 & 63;
    (zeros, STRETCH_LOG2[mantissa as usize] as i32)
}

/// The probability, of 65536, that has these log-odds.
pub(crate) fn squash(log_odds: i32) -> u16 {
    let t = (log_odds.clamp(-LOG_ODDS_MAX, LOG_ODDS_MAX) + 4_096) as u32;
    let (entry, part) = ((t >> 7) as usize, t & 127);
    ((u32::from(SQUASH[entry]) * (128 - part) + u32::from(SQUASH[entry + 1]) * part) >> 7) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squash_undoes_stretch() {
        for p in 1..4_096_u16 {
            let back = i32::from(squash(stretch(p))) / 16;
            assert!((back - i32::from(p)).abs() <= 40, "{p} came back as {back}");
        }
    }

    #[test]
    fn the_table_for_bytes_is_right() {
        assert!((0..256).all(|p| stretch_byte(p) == stretch(p << 4)));
    }

    #[test]
    fn both_rise_monotonically_and_are_symmetric() {
        assert!((1..4_095).all(|p| stretch(p) <= stretch(p + 1)));
        assert!((-5_000..5_000).all(|x| squash(x) <= squash(x + 1)));
        assert!((1..4_096).all(|p| stretch(p) == -stretch(4_096 - p)));
    }
}
