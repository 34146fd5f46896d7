//! Asks a person at the terminal for a secret, without showing it.

use std::io;

use zeroize::Zeroizing;

/// Asks at the process's terminal, whatever its standard streams are. A shell sets its terminal right again when the command
/// is interrupted meanwhile.
#[cfg(unix)]
pub(super) fn secret(question: &str) -> io::Result<Zeroizing<String>> {
    use std::fs::File;
    use std::io::{BufRead, BufReader, Write};

    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

    let mut terminal = File::options().read(true).write(true).open("/dev/tty")?;
    let before = tcgetattr(&terminal)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    // Silent before it asks: what is typed at once does not show either.
    tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
    let asked = terminal.write_all(question.as_bytes());
    // With room for any PIN, so that no copy is left behind where the text grew.
    let mut line = Zeroizing::new(String::with_capacity(1_024));
    let read = BufReader::new(&terminal).read_line(&mut line);
    tcsetattr(&terminal, OptionalActions::Flush, &before)?;
    terminal.write_all(b"\n")?;
    asked.and(read)?;
    let end = line.trim_end_matches(['\n', '\r']).len();
    line.truncate(end);
    Ok(line)
}

/// Nobody is asked: a file or the environment says it.
#[cfg(not(unix))]
pub(super) fn secret(_: &str) -> io::Result<Zeroizing<String>> {
    Err(io::ErrorKind::Unsupported.into())
}
