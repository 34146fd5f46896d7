//! Sizes of our patch and of BSDIFF40 for pairs of files: `measure [--memory BYTES] BASE TARGET [BASE TARGET]...`
//!
//! Every patch is applied before its size is printed. With several pairs, the last line is the geometric mean of
//! our size relative to BSDIFF40's.

use std::error::Error;

use gateway_delta::{Options, encode};
use wire_patch::{Decoder, Header, IoFailed, MemoryClass, Output, Progress};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut memory = 32_768;
    if let Some(at) = arguments.iter().position(|argument| argument == "--memory") {
        memory = arguments
            .get(at + 1)
            .ok_or("--memory needs a number of bytes")?
            .parse()?;
        arguments.drain(at..at + 2);
    }
    let memory = MemoryClass::fitting(memory).ok_or("at least 4096 bytes of decoder memory are needed")?;
    let pairs = arguments.as_chunks::<2>().0;
    if pairs.is_empty() || !arguments.len().is_multiple_of(2) {
        return Err("usage: measure [--memory BYTES] BASE TARGET [BASE TARGET]...".into());
    }
    println!(
        "{:>9} {:>9} {:>9} {:>9} {:>6}  target",
        "base", "target", "bsdiff40", "ours", "ratio"
    );
    let mut logarithms = 0.0;
    for [base_path, target_path] in pairs {
        let (base, target) = (std::fs::read(base_path)?, std::fs::read(target_path)?);
        let patch = encode(&base, &target, &Options::new(memory))?;
        if apply(&base, &patch)? != target {
            return Err(format!("the patch to {target_path} does not give {target_path}").into());
        }
        let mut rival = Vec::new();
        qbsdiff::Bsdiff::new(&base, &target).compare(std::io::Cursor::new(&mut rival))?;
        let ratio = patch.len() as f64 / rival.len() as f64;
        logarithms += ratio.ln();
        println!(
            "{:>9} {:>9} {:>9} {:>9} {ratio:>6.3}  {target_path}",
            base.len(),
            target.len(),
            rival.len(),
            patch.len()
        );
    }
    let mean = (logarithms / pairs.len() as f64).exp();
    println!(
        "geometric mean of {} pairs at {} bytes of decoder memory: {mean:.3}",
        pairs.len(),
        memory.bytes()
    );
    Ok(())
}

struct Collected(Vec<u8>);

impl Output for Collected {
    fn append(&mut self, bytes: &[u8]) -> Result<(), IoFailed> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), IoFailed> {
        let start = offset as usize;
        buf.copy_from_slice(self.0.get(start..start + buf.len()).ok_or(IoFailed)?);
        Ok(())
    }
}

fn apply(mut base: &[u8], mut patch: &[u8]) -> Result<Vec<u8>, wire_patch::DecodeError> {
    let header = Header::parse(patch)?;
    let mut memory = vec![0; header.memory.bytes() as usize];
    let mut decoder = Decoder::new(header, &mut memory)?;
    let mut out = Collected(Vec::new());
    while decoder.step(&mut base, &mut patch, &mut out, u32::MAX)? == Progress::More {}
    Ok(out.0)
}
