//! Without an argument the targets with their longest input, one a line; with a directory their seeds, in a folder each.

// What was built to be counted needs somebody to count, also here.
#[cfg(feature = "libfuzzer")]
use libfuzzer_sys as _;

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let Some(directory) = env::args_os().nth(1) else {
        for target in fuzz::TARGETS {
            println!("{} {}", target.name, target.bytes_max);
        }
        return Ok(());
    };
    for target in fuzz::TARGETS {
        let folder = Path::new(&directory).join(target.name);
        fs::create_dir_all(&folder)?;
        for (number, seed) in (target.seeds)().into_iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
