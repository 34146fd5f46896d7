//! What the encoder takes images for: `infer IMAGE…`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    for path in std::env::args().skip(1) {
        let image = std::fs::read(&path)?;
        println!("{path}: {:x?}", gateway_delta::inferred(&image, &image));
    }
    Ok(())
}
