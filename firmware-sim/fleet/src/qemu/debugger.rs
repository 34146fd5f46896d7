//! Stops a machine right after a certain store to its flash, through QEMU's debugger port.
//!
//! What a power cut leaves behind is the flash, and the flash changes by stores only: between two of them it does not matter
//! when the power goes away. So a machine that is killed after the store number N, for every N, was killed at every moment
//! there is, and no clock is asked.
//!
//! The port speaks GDB's remote serial protocol (GDB manual, appendix E): `$`, text, `#`, two digits of checksum. `Z2` watches
//! a range for stores and `z2` does no more, `c` goes on, `s` does one instruction, and the machine says `T05…watch:ADDRESS;`
//! when it stopped. It stops before the store, as processors of these kinds do, which is then done by itself.

use crate::lines::Lines;
use std::io::{self, BufRead, BufReader, Error, Read, Write};
use std::ops::Range;
use std::os::unix::net::UnixStream;

/// QEMU's port is its standard input, a socket, and it stands still until told to go on.
pub(super) const ARGUMENTS: [&str; 5] = [
    "-S",
    "-chardev",
    "socket,id=debugger,fd=0",
    "-gdb",
    "chardev:debugger",
];

/// How the remark begins that the watched store happened.
pub(super) const STOPPED: &str = "stopped";

/// Where a machine is to be stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Addresses, as the processor sees them.
    pub range: Range<u32>,
    /// The store to them that is the last to happen, from 1.
    pub number: u32,
}

/// Lets the machine at the other end of `port` run to its store, in a thread that ends with it.
pub(super) fn start(port: UnixStream, watch: Watch, serial: Lines) -> io::Result<()> {
    let mut debugger = Debugger {
        answers: BufReader::new(port.try_clone()?),
        port,
    };
    // From here on no packet is acknowledged: the socket loses none.
    debugger.ask("QStartNoAckMode")?;
    debugger.demand(&watch.command('Z'))?;
    std::thread::Builder::new()
        .name("debugger".into())
        .spawn(move || {
            // An error is a machine that was killed.
            if debugger.run_to(&watch).is_ok() {
                serial.remark(&format!(
                    "{STOPPED} at store {} of {:x?}",
                    watch.number, watch.range
                ));
                // The port stays open for as long as the machine is there.
                let _ = debugger.answers.read(&mut [0]);
            }
        })?;
    Ok(())
}

impl Watch {
    /// With `Z` to begin, with `z` to end it.
    fn command(&self, letter: char) -> String {
        let bytes = self.range.end - self.range.start;
        format!("{letter}2,{:x},{bytes:x}", self.range.start)
    }
}

struct Debugger {
    port: UnixStream,
    answers: BufReader<UnixStream>,
}

impl Debugger {
    /// Ends when the machine stands behind the store.
    fn run_to(&mut self, watch: &Watch) -> io::Result<()> {
        for number in 1..=watch.number {
            let stopped = self.ask("c")?;
            if !stopped.contains("watch:") {
                return Err(Error::other(format!("it stopped for no store: {stopped}")));
            }
            self.demand(&watch.command('z'))?;
            self.ask("s")?;
            if number < watch.number {
                self.demand(&watch.command('Z'))?;
            }
        }
        Ok(())
    }

    fn demand(&mut self, text: &str) -> io::Result<()> {
        match self.ask(text)?.as_str() {
            "OK" => Ok(()),
            other => Err(Error::other(format!("QEMU says {other:?} to {text}"))),
        }
    }

    fn ask(&mut self, text: &str) -> io::Result<String> {
        let sum = text.bytes().fold(0_u8, u8::wrapping_add);
        self.port.write_all(format!("${text}#{sum:02x}").as_bytes())?;
        let mut answer = Vec::new();
        self.answers.skip_until(b'$')?;
        self.answers.read_until(b'#', &mut answer)?;
        self.answers.read_exact(&mut [0; 2])?;
        answer.pop();
        String::from_utf8(answer).map_err(Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The other end: answers what it is asked, in this order.
    fn answering(answers: &'static [(&str, &str)]) -> (Debugger, std::thread::JoinHandle<()>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let thread = std::thread::spawn(move || {
            let mut theirs = BufReader::new(theirs);
            for (expected, answer) in answers {
                let mut asked = Vec::new();
                theirs.read_until(b'#', &mut asked).unwrap();
                assert_eq!(String::from_utf8(asked).unwrap(), format!("${expected}#"));
                theirs.read_exact(&mut [0; 2]).unwrap();
                write!(theirs.get_mut(), "+${answer}#00").unwrap();
            }
        });
        let answers = BufReader::new(ours.try_clone().unwrap());
        (Debugger { port: ours, answers }, thread)
    }

    #[test]
    fn it_stands_behind_the_store_not_before_it() {
        let (mut debugger, machine) = answering(&[
            ("c", "T05thread:01;watch:21000040;"),
            ("z2,21000040,8", "OK"),
            ("s", "T05thread:01;"),
            ("Z2,21000040,8", "OK"),
            ("c", "T05thread:01;watch:21000040;"),
            ("z2,21000040,8", "OK"),
            ("s", "T05thread:01;"),
        ]);
        let watch = Watch {
            range: 0x2100_0040..0x2100_0048,
            number: 2,
        };
        debugger.run_to(&watch).unwrap();
        machine.join().unwrap();
    }

    #[test]
    fn what_is_no_store_is_an_error() {
        let (mut debugger, machine) = answering(&[("c", "W00")]);
        let watch = Watch {
            range: 0..4,
            number: 1,
        };
        assert!(debugger.run_to(&watch).is_err());
        machine.join().unwrap();
    }

    #[test]
    fn a_machine_that_is_gone_is_an_error() {
        let (mut debugger, machine) = answering(&[]);
        machine.join().unwrap();
        assert!(debugger.ask("c").is_err());
    }
}
