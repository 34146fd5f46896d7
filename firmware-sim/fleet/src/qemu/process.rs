//! The QEMU process and the thread that stays with it.

use crate::board::Board;
use crate::lines::Lines;
use crate::watched::Watched;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;

/// How often in a row a machine may lock up before its supervisor leaves it off.
const LOCKUPS_MAX: u32 = 20;

/// How the remark begins that QEMU will not come back.
pub(super) const QEMU_GONE: &str = "QEMU is gone";

/// `abort()`: what QEMU does when the emulated core locks up.
const SIGABRT: i32 = 6;

/// Keeps one QEMU process running until it is dropped.
#[derive(Debug)]
pub(super) struct Supervisor {
    state: Watched<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    stopping: bool,
    child: Option<Child>,
}

impl Supervisor {
    /// Starts QEMU; an error is one of starting it, such as QEMU not being installed.
    pub(super) fn start(
        board: Board,
        arguments: Vec<String>,
        input: Option<OwnedFd>,
        serial: Lines,
        power_cycles: Watched<u32>,
    ) -> io::Result<Self> {
        let state: Watched<State> = Watched::default();
        let shared = state.clone();
        let (started, first) = mpsc::channel();
        // The death signal is tied to the thread that spawns, so the supervisor spawns itself.
        let thread = std::thread::Builder::new().name("qemu".into()).spawn(move || {
            let qemu = Qemu {
                board,
                arguments,
                input,
            };
            supervise(&shared, &qemu, &serial, &power_cycles, &started);
        })?;
        let supervisor = Self {
            state,
            thread: Some(thread),
        };
        match first.recv() {
            Ok(Some(error)) => Err(error),
            Ok(None) => Ok(supervisor),
            Err(_) => Err(io::Error::other("the QEMU supervisor died")),
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.state.update(|state| {
            state.stopping = true;
            if let Some(child) = &mut state.child {
                // It may have ended by itself.
                let _ = child.kill();
            }
        });
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What is started.
struct Qemu {
    board: Board,
    arguments: Vec<String>,
    /// Its standard input, which no program of ours reads: one end of whatever else QEMU is to be connected with.
    input: Option<OwnedFd>,
}

fn supervise(
    state: &Watched<State>,
    qemu: &Qemu,
    serial: &Lines,
    power_cycles: &Watched<u32>,
    started: &mpsc::Sender<Option<io::Error>>,
) {
    for _ in 0..LOCKUPS_MAX {
        let mut child = match qemu.spawn() {
            Ok(child) => child,
            Err(error) => {
                let _ = started.send(Some(error));
                return;
            }
        };
        let output = child.stdout.take();
        let stopping = state.update(|state| {
            if state.stopping {
                let _ = child.kill();
            }
            state.child = Some(child);
            state.stopping
        });
        let _ = started.send(None);
        if let (Some(output), false) = (output, stopping) {
            serial.read_all(output);
        }
        let status = state.update(|state| state.child.take().map(|mut child| child.wait()));
        if state.look(|state| state.stopping) {
            return;
        }
        if !locked_up(&status) {
            serial.remark(&format!(
                "{QEMU_GONE}{}; QEMU 7.2 or newer is needed",
                ended(&status)
            ));
            return;
        }
        serial.remark("the core locked up; power cycle");
        power_cycles.update(|cycles| *cycles += 1);
    }
    serial.remark(&format!("{QEMU_GONE} after {LOCKUPS_MAX} lockups"));
}

impl Qemu {
    /// Runs QEMU so that the kernel kills it when this process dies. Looks for it first: the guard would be found in any case.
    fn spawn(&self) -> io::Result<Child> {
        let qemu = self.board.qemu();
        if !is_installed(qemu) {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!(
                    "{qemu} is not in PATH; install it with: scripts/prepare {}",
                    self.board.qemu_part()
                ),
            ));
        }
        let mut guarded = Command::new("setpriv");
        guarded.args(["--pdeathsig", "KILL", qemu]);
        match self.run(&mut guarded) {
            // Without util-linux, the guard in `Drop` is all there is.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.run(&mut Command::new(qemu)),
            other => other,
        }
    }

    fn run(&self, command: &mut Command) -> io::Result<Child> {
        let input = match &self.input {
            Some(input) => Stdio::from(input.try_clone()?),
            None => Stdio::null(),
        };
        command
            .args(&self.arguments)
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
    }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Exit 134 is how a shell shows the same abort.
fn locked_up(status: &Option<io::Result<ExitStatus>>) -> bool {
    let Some(Ok(status)) = status else {
        return false;
    };
    status.signal() == Some(SIGABRT) || status.code() == Some(134)
}

/// How it ended, as the rest of a sentence.
fn ended(status: &Option<io::Result<ExitStatus>>) -> String {
    match status {
        // QEMU has printed why; the usual reason is an option that an old one does not know.
        Some(Ok(status)) if status.code().is_some() => format!(": {status}; is it version 7.2 or newer?"),
        Some(Ok(status)) => format!(": {status}"),
        Some(Err(error)) => format!(": {error}"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_the_path_is_not_installed() {
        assert!(is_installed("sh"));
        assert!(!is_installed("qemu-system-that-nobody-wrote"));
    }
}
