//! What encoding takes, on Linux: `cost [--effort fast|default|best] [--memory BYTES] BASE TARGET`.
//!
//! Prints the CPU time of one encoding, and the peak of the process's memory above what it had before the images were read, for
//! each byte of the larger one. Two small images are encoded before: the encoder's code and the tables that every image needs do not
//! count. To compare: `time bsdiff BASE TARGET PATCH`. One pair for a process, as a peak never falls.

use std::error::Error;
use std::fs;

use gateway_delta::{Effort, Options, encode};
use wire_patch::MemoryClass;

/// An image that is encoded before anything is measured.
const SMALL: [u8; 64] = *b"The quick brown fox jumps over the lazy dog. It jumps once more.";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let effort = match take(&mut arguments, "--effort").as_deref() {
        Some("fast") => Effort::Fast,
        Some("best") => Effort::Best,
        None | Some("default") => Effort::Default,
        Some(other) => return Err(format!("no effort: {other}").into()),
    };
    let memory = take(&mut arguments, "--memory").map_or(Ok(32_768), |bytes| bytes.parse())?;
    let memory = MemoryClass::fitting(memory).ok_or("at least 4096 bytes of decoder memory are needed")?;
    let [base, target] = &arguments[..] else {
        return Err("usage: cost [--effort fast|default|best] [--memory BYTES] BASE TARGET".into());
    };
    let options = Options {
        effort,
        ..Options::new(memory)
    };
    encode(&SMALL, &SMALL[1..], &options)?;
    let idle = peak_bytes()?;
    let (base, target) = (fs::read(base)?, fs::read(target)?);
    let start = cpu_seconds()?;
    let patch = encode(&base, &target, &options)?;
    let (seconds, peak) = (cpu_seconds()? - start, peak_bytes()? - idle);
    let larger = base.len().max(target.len());
    println!(
        "{larger} bytes, a patch of {}: {seconds:.3} s of CPU time, {:.2} for a megabyte; {} KiB at the peak, {:.2} bytes a byte",
        patch.len(),
        seconds / larger as f64 * 1e6,
        peak >> 10,
        peak as f64 / larger as f64
    );
    Ok(())
}

/// Takes an option and its value out of the arguments.
fn take(arguments: &mut Vec<String>, name: &str) -> Option<String> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.drain(at..arguments.len().min(at + 2)).nth(1)
}

/// Of this thread, the only one.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let times = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = times.split(' ').next().ok_or("an empty schedstat")?.parse()?;
    Ok(nanoseconds * 1e-9)
}

/// The most memory that this process ever had.
fn peak_bytes() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .ok_or("no VmHWM")?;
    Ok(kib.parse::<u64>()? << 10)
}
