//! Patches decoded on the emulated Cortex-M3, with the instructions counted.
//!
//! QEMU runs the `bench` firmware with `-icount shift=0`: every instruction takes a nanosecond of the board's clock, so that
//! the counts are the same on every machine. The jobs are loaded into the board's memory, and the firmware prints a line
//! for each. It decodes every patch twice, the second time with a power cut in the middle and a checkpoint to go on from.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Bytes of the board's memory for jobs; the firmware has the rest for its results.
const JOBS_BYTES_MAX: usize = 12 << 20;
/// Where that memory is.
const JOBS_ADDRESS: u32 = 0x2100_0000;

/// One patch to decode.
#[derive(Clone, Debug)]
pub struct Job {
    /// At most 32 bytes, no spaces.
    pub name: String,
    /// What the patch is applied to.
    pub base: Vec<u8>,
    /// The patch.
    pub patch: Vec<u8>,
    /// What has to come out.
    pub target: Vec<u8>,
}

/// What the firmware says of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The job's name.
    pub name: String,
    /// Bytes of the patch's memory class.
    pub memory_bytes: u32,
    /// Bytes of the result.
    pub target_bytes: u32,
    /// Instructions of all steps together.
    pub instructions: u64,
    /// CRC-32 of the result.
    pub crc: u32,
}

/// A job again, with a power cut half-way: what its checkpoint took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// The job's name.
    pub name: String,
    /// Instructions of writing it.
    pub writing_instructions: u64,
    /// Instructions of resuming from it.
    pub resuming_instructions: u64,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The jobs in their order.
    pub decoded: Vec<Decoded>,
    /// The jobs again in their order.
    pub resumed: Vec<Resumed>,
    /// Bytes of the decoder struct.
    pub decoder_bytes: u32,
    /// Most bytes of stack in use while decoding, the struct and the caller's small loop included.
    pub stack_bytes: u32,
    /// The same with checkpoints.
    pub checkpoint_stack_bytes: u32,
}

/// The jobs as the firmware reads them; its `jobs.rs` draws the layout.
fn loaded(jobs: &[Job]) -> io::Result<Vec<u8>> {
    let mut bytes = b"dGjb".to_vec();
    bytes.extend((jobs.len() as u32).to_le_bytes());
    for job in jobs {
        let mut name = job.name.clone().into_bytes();
        name.resize(32, 0);
        bytes.extend(name);
        for part in [&job.base, &job.patch, &job.target] {
            bytes.extend((part.len() as u32).to_le_bytes());
        }
        for part in [&job.base, &job.patch, &job.target] {
            bytes.extend(part);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
    }
    if bytes.len() > JOBS_BYTES_MAX {
        return Err(io::Error::other(format!(
            "jobs take {} bytes, the board has {JOBS_BYTES_MAX}",
            bytes.len()
        )));
    }
    Ok(bytes)
}

/// Ends with its owner.
struct Qemu(Child);

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Decodes all jobs with the firmware in the ELF file `firmware`. Anything but the right result is an error.
pub fn run(firmware: &Path, jobs: &[Job]) -> io::Result<Report> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(&loaded(jobs)?)?;
    let loader = format!(
        "loader,file={},addr={JOBS_ADDRESS},force-raw=on",
        file.path().display()
    );
    let child = Command::new("qemu-system-arm")
        .args(["-machine", "mps2-an385", "-icount", "shift=0,sleep=off"])
        .args(["-nodefaults", "-display", "none", "-monitor", "none"])
        .args(["-serial", "stdio", "-no-reboot", "-device", &loader, "-kernel"])
        .arg(firmware)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut qemu = Qemu(child);
    let output = qemu.0.stdout.take().expect("it is piped");
    let (mut decoded, mut resumed) = (Vec::new(), Vec::new());
    for line in BufReader::new(output).lines() {
        let line = line?;
        let fields: Vec<&str> = line.split(' ').collect();
        match fields[..] {
            ["bench:", "decoded", name, memory, target, instructions, crc] => decoded.push(Decoded {
                name: name.to_owned(),
                memory_bytes: number(memory, &line)?,
                target_bytes: number(target, &line)?,
                instructions: number(instructions, &line)?,
                crc: u32::from_str_radix(crc, 16).map_err(|_| strange(&line))?,
            }),
            ["bench:", "resumed", name, writing, resuming] => resumed.push(Resumed {
                name: name.to_owned(),
                writing_instructions: number(writing, &line)?,
                resuming_instructions: number(resuming, &line)?,
            }),
            ["bench:", "done", decoder, stack, checkpoint_stack]
                if decoded.len() == jobs.len() && resumed.len() == jobs.len() =>
            {
                return Ok(Report {
                    decoded,
                    resumed,
                    decoder_bytes: number(decoder, &line)?,
                    stack_bytes: number(stack, &line)?,
                    checkpoint_stack_bytes: number(checkpoint_stack, &line)?,
                });
            }
            _ => return Err(strange(&line)),
        }
    }
    Err(strange("no last line"))
}

fn number<T: std::str::FromStr>(field: &str, line: &str) -> io::Result<T> {
    field.parse().map_err(|_| strange(line))
}

fn strange(line: &str) -> io::Error {
    io::Error::other(format!("the device says: {line}"))
}
