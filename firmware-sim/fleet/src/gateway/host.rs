//! A gateway's machine, where it is not this one: another clock of the day, a small disk.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A clock of the day that is set by hand, for processes that get [`FakedClock::environment`]. Time passes on it as elsewhere, and
/// every other clock of theirs is the machine's.
#[derive(Clone, Debug)]
pub struct FakedClock {
    library: PathBuf,
    offset: PathBuf,
}

impl FakedClock {
    /// Makes what stands between the process and the system's call, in `directory`; the clock is right until it is set. Needs a C
    /// compiler, and a binary that finds its C library when it starts.
    pub fn new(directory: &Path) -> io::Result<Self> {
        let clock = Self {
            library: directory.join("clock.so"),
            offset: directory.join("clock.offset"),
        };
        let source = directory.join("clock.c");
        std::fs::write(&source, include_str!("clock.c"))?;
        std::fs::write(&clock.offset, "0")?;
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&clock.library, &source])
            .output()?;
        match built.status.success() {
            true => Ok(clock),
            false => Err(io::Error::other(String::from_utf8_lossy(&built.stderr))),
        }
    }

    /// Sets it to so many seconds since 1970.
    pub fn set(&self, unix_s: i64) -> io::Result<()> {
        let now = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .map_err(io::Error::other)?;
        // A reader sees the old file or the new one.
        let new = self.offset.with_extension("new");
        std::fs::write(&new, (unix_s - now.as_secs() as i64).to_string())?;
        std::fs::rename(&new, &self.offset)
    }

    /// What a process needs to have this clock.
    pub fn environment(&self) -> [(&'static str, OsString); 2] {
        [
            ("LD_PRELOAD", self.library.clone().into()),
            ("FLEET_CLOCK_OFFSET", self.offset.clone().into()),
        ]
    }
}

/// A disk in memory. The system must let its users mount one in a namespace of their own.
#[derive(Clone, Copy, Debug)]
pub struct SmallDisk {
    /// Its size.
    pub mebibytes: u32,
}

impl SmallDisk {
    /// A command that is `program` with this disk as `directory`.
    pub(super) fn command(self, directory: &Path, program: &Path) -> Command {
        let mount = format!(
            "mount -t tmpfs -o size={}m,mode=700 tmpfs \"$1\" && shift && exec \"$@\"",
            self.mebibytes
        );
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &mount, "sh"])
            .args([directory, program]);
        command
    }
}
