//! What encoding takes, on Linux: `cost [--effort fast|default|best] [--memory BYTES] BASE TARGET`.
//!
//! Prints the CPU time of one encoding; the most bytes that were allocated at a time, the images included, for each byte of the
//! larger one; and what the process had resident at its peak above what it had before the images were read. The last depends on
//! the allocator: it keeps what was freed, and what was allocated and never written is not resident. Two small images are
//! encoded before, so that the encoder's code does not count. To compare: `time bsdiff BASE TARGET PATCH`. One pair for a
//! process, as a peak never falls.

use std::error::Error;
use std::fs;

use gateway_delta::{Effort, Options, encode};
use peak_alloc::PeakAlloc;
use wire_patch::MemoryClass;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

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
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    let (base, target) = (fs::read(base)?, fs::read(target)?);
    let start = cpu_seconds()?;
    let patch = encode(&base, &target, &options)?;
    let (seconds, allocated) = (cpu_seconds()? - start, ALLOCATED.peak_usage() - before);
    let resident = peak_bytes()? - idle;
    let larger = base.len().max(target.len());
    println!(
        "{larger} bytes, a patch of {}: {seconds:.3} s of CPU time, {:.2} for a megabyte; {} KiB allocated at the peak, {:.2} bytes a byte; {} KiB resident",
        patch.len(),
        seconds / larger as f64 * 1e6,
        allocated >> 10,
        allocated as f64 / larger as f64,
        resident >> 10
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
