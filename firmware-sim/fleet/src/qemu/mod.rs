//! One emulated device: a [`Board`] on QEMU, with a flash file that survives a reset, `kill -9` and a cold start.
//!
//! A [`Machine`] owns its QEMU process through a supervisor thread. QEMU aborts with "Lockup" when
//! the core faults inside a fault; real hardware would sit there until someone cuts its power, so
//! the supervisor starts it again and counts a power cycle. No process outlives its machine: it is
//! killed on drop, and the kernel kills it if this process dies first (`setpriv --pdeathsig`).

mod arguments;
mod debugger;
mod process;

use crate::board::Board;
use crate::lines::{HARNESS, Lines};
use crate::watched::Watched;
pub use debugger::Watch;
use process::Supervisor;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a machine is made of.
#[derive(Clone, Debug)]
pub struct MachineConfig {
    /// What it is.
    pub board: Board,
    /// The file with its bootloader: [`Board::bootloader_file`].
    pub bootloader: PathBuf,
    /// The flash file, exactly [`Board::flash_file_bytes`] long.
    pub flash: PathBuf,
    /// Where the serial log is appended.
    pub serial_log: PathBuf,
    /// The unix socket that is the other end of the serial line, for one caller at a time; QEMU binds it.
    pub serial_socket: PathBuf,
    /// The unix socket QEMU binds and the one it sends frames to.
    pub network: (PathBuf, PathBuf),
    /// Hardware address in QEMU's notation.
    pub mac: String,
}

/// A device that can be started, killed and started again.
#[derive(Debug)]
pub struct Machine {
    config: MachineConfig,
    takes_writes: bool,
    serial: Lines,
    power_cycles: Watched<u32>,
    running: Option<Supervisor>,
}

impl Machine {
    /// A machine that is switched off. Refuses a flash file of the wrong size.
    pub fn new(config: MachineConfig) -> io::Result<Self> {
        let bytes = std::fs::metadata(&config.flash)?.len();
        let needed = config.board.flash_file_bytes();
        if bytes != needed as u64 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "flash file {} has {bytes} bytes, needs {needed}",
                    config.flash.display()
                ),
            ));
        }
        let serial = Lines::open(&config.serial_log)?;
        Ok(Self {
            config,
            takes_writes: true,
            serial,
            power_cycles: Watched::new(0),
            running: None,
        })
    }

    /// Switches the machine on. Does nothing when it is on.
    pub fn start(&mut self) -> io::Result<()> {
        if self.running.is_none() {
            self.run(self.config.arguments(self.takes_writes), None)?;
        }
        Ok(())
    }

    /// Switches the machine on, to be stopped right after the store that `watch` describes. Then a line says so that
    /// [`Machine::is_stopped`] knows, and nothing is left but [`Machine::kill`].
    pub fn start_watched(&mut self, watch: Watch) -> io::Result<()> {
        self.kill();
        let (ours, qemus) = UnixStream::pair()?;
        let mut arguments = self.config.arguments(self.takes_writes);
        arguments.extend(debugger::ARGUMENTS.map(str::to_owned));
        self.run(arguments, Some(qemus.into()))?;
        debugger::start(ours, watch, self.serial.clone())
    }

    fn run(&mut self, arguments: Vec<String>, input: Option<OwnedFd>) -> io::Result<()> {
        self.running = Some(Supervisor::start(
            self.config.board,
            arguments,
            input,
            self.serial.clone(),
            self.power_cycles.clone(),
        )?);
        Ok(())
    }

    /// Whether this line says that the watched store happened and the machine stands still.
    pub fn is_stopped(line: &str) -> bool {
        line.strip_prefix(HARNESS)
            .is_some_and(|remark| remark.starts_with(debugger::STOPPED))
    }

    /// From its next start on, no erase and no write to its flash succeeds, and the part says so. Only [`Board::Virt`] has a part that
    /// can.
    pub fn wear_out_flash(&mut self) {
        self.takes_writes = false;
    }

    /// Cuts the power: `kill -9`. Returns when the process is gone.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// The machine's serial output.
    pub fn serial(&self) -> &Lines {
        &self.serial
    }

    /// Waits for a serial line after `from` that satisfies `fact`; see [`Lines::wait_for`].
    pub fn wait_for_line(
        &self,
        from: usize,
        patience: Duration,
        fact: impl FnMut(&str) -> bool,
    ) -> Option<(usize, String)> {
        self.serial.wait_for(from, patience, fact)
    }

    /// Whether this line says that QEMU ended without [`Machine::kill`] and stays off.
    pub fn is_last_word(line: &str) -> bool {
        line.strip_prefix(HARNESS)
            .is_some_and(|remark| remark.starts_with(process::QEMU_GONE))
    }

    /// How often the core locked up and was switched off and on.
    pub fn power_cycles(&self) -> u32 {
        self.power_cycles.get()
    }

    /// The serial line, as `deltagate device recover` takes it.
    pub fn serial_line(&self) -> String {
        format!("unix:{}", self.config.serial_socket.display())
    }

    /// The flash file.
    pub fn flash(&self) -> &Path {
        &self.config.flash
    }
}
