//! One process and what it took.

use std::ffi::OsString;
use std::io::{Read, Seek};
use std::process::{Command, Stdio};
use std::time::Duration;

use wait4::Wait4;

/// What a process took. On Linux a child starts with the peak of its parent, so that peaks below that of the benchmark itself,
/// some 10 MiB, can not be told apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// User and system time of the process and the children it waited for.
    pub(super) cpu: Duration,
    /// Largest resident set.
    pub(super) peak_kib: u64,
}

/// Runs a program to its end; what it says on its last line of standard error is why it failed.
pub(super) fn run(program: &OsString, args: &[OsString]) -> Result<Usage, String> {
    let not_run = |error: std::io::Error| format!("cannot run {}: {error}", program.display());
    let mut words = tempfile::tempfile().map_err(not_run)?;
    let child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(words.try_clone().map_err(not_run)?)
        .spawn()
        .map_err(not_run)?;
    let used = child.wait4().map_err(not_run)?;
    if used.status.success() {
        return Ok(Usage {
            cpu: used.rusage.utime + used.rusage.stime,
            peak_kib: used.rusage.maxrss >> 10,
        });
    }
    let mut said = String::new();
    // What can not be read was not said.
    let _ = words.rewind().and_then(|()| words.read_to_string(&mut said));
    let last = said
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or("no reason given");
    Err(format!("{}: {last}", used.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_the_last_thing_the_program_said() {
        let args = ["-c", "echo first >&2; echo second >&2; exit 3"].map(OsString::from);
        let reason = run(&OsString::from("sh"), &args).unwrap_err();
        assert_eq!(reason, "exit status: 3: second");
    }

    #[test]
    fn a_process_has_a_peak() {
        let usage = run(&OsString::from("true"), &[]).unwrap();
        assert!(usage.peak_kib > 0);
    }
}
