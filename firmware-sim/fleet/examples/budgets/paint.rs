//! What of a program's stack is still as its start-up code painted it, read through QEMU's monitor.

use std::error::Error;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// The bootloader's RAM (`board/link/mps2/bootloader.ld`), its stack first.
const RAM_AT: u64 = 0x2000_0100;
const RAM_BYTES: usize = 0x1_0000 - 0x100;
/// An unused word of the stack (`board/src/stack.rs`).
const PAINT: [u8; 4] = 0x5AFE_57AC_u32.to_le_bytes();

/// The monitor of a QEMU whose files are in one folder.
pub(crate) struct Monitor {
    socket: PathBuf,
    ram: PathBuf,
}

impl Monitor {
    pub(crate) fn in_folder(folder: &Path) -> Self {
        let [socket, ram] = ["monitor", "ram"].map(|name| folder.join(name));
        Self { socket, ram }
    }

    /// What the QEMU is told.
    pub(crate) fn arguments(&self) -> [OsString; 2] {
        let socket = format!("unix:{},server=on,wait=off", self.socket.display());
        ["-monitor".into(), socket.into()]
    }

    /// The lowest address of the stack that was used. Ends the QEMU.
    pub(crate) fn stack_reached(&self) -> Result<u64, Box<dyn Error>> {
        let mut monitor = UnixStream::connect(&self.socket)?;
        // Quoted, lest the path's slash divides the length.
        writeln!(
            monitor,
            "pmemsave {RAM_AT:#x} {RAM_BYTES} \"{}\"\nquit",
            self.ram.display()
        )?;
        // The end of QEMU is the end of this.
        let _ = monitor.read_to_end(&mut Vec::new());
        let ram = std::fs::read(&self.ram)?;
        let painted = ram.chunks(PAINT.len()).take_while(|word| *word == PAINT);
        Ok(RAM_AT + (painted.count() * PAINT.len()) as u64)
    }
}
