//! A QR code in the terminal (ISO/IEC 18004), two modules to a character.

use std::io::{self, Write};

use qrcode::{Color, EcLevel, QrCode};

use crate::cli::colour::Paint;

/// Modules of light around it, which readers need: ISO/IEC 18004 §5.3.8.
const QUIET: usize = 4;

/// Prints a text as QR code. `None`: it is too long for one.
///
/// In colours where there may be: dark modules are black and light ones white, whatever the terminal's are. Without, light modules are
/// drawn, which is right on a dark terminal; most readers take the inverse, too.
pub(super) fn print(text: &str, paint: Paint, out: &mut dyn Write) -> Option<io::Result<()>> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    Some(
        rows(&code, paint)
            .iter()
            .try_for_each(|row| writeln!(out, "{row}")),
    )
}

fn rows(code: &QrCode, paint: Paint) -> Vec<String> {
    let width = code.width() + 2 * QUIET;
    let is_light = |x: usize, y: usize| {
        let inside = |at: usize| at.checked_sub(QUIET).filter(|at| *at < code.width());
        inside(x)
            .zip(inside(y))
            .is_none_or(|(x, y)| code[(x, y)] == Color::Light)
    };
    let row = |y: usize| {
        let line: String = (0..width)
            .map(|x| match (is_light(x, y), y + 1 >= width || is_light(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            })
            .collect();
        match paint {
            Paint::Plain => line,
            // White on black of the 256 colours, which no scheme changes.
            Paint::Coloured => format!("\x1b[38;5;231;48;5;16m{line}\x1b[0m"),
        }
    };
    (0..width).step_by(2).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a camera would see, pixel by pixel, read by another implementation.
    fn read(rows: &[String]) -> String {
        let lines: Vec<Vec<char>> = rows.iter().map(|row| row.chars().collect()).collect();
        let (scale, width) = (4, lines[0].len());
        let is_light = |x: usize, y: usize| {
            let above = y.is_multiple_of(2);
            match lines[y / 2][x] {
                '█' => true,
                '▀' => above,
                '▄' => !above,
                _ => false,
            }
        };
        let height = 2 * lines.len();
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(scale * width, scale * height, |x, y| {
            if is_light(x / scale, y / scale) { 255 } else { 0 }
        });
        let grids = image.detect_grids();
        grids[0].decode().unwrap().1
    }

    #[test]
    fn another_program_reads_what_is_printed() {
        let text = "4447433020010102030405060708090A0B0C0D0E0F10000002010200D0A89211";
        let code = QrCode::with_error_correction_level(text, EcLevel::L).unwrap();
        let rows = rows(&code, Paint::Plain);
        // With a few words fits 24 rows.
        assert_eq!((rows.len(), rows[0].chars().count()), (19, 37));
        assert_eq!(read(&rows), text);
    }
}
