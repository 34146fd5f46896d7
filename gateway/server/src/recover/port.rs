//! A serial device, or a socket in its place: an emulator's, or a terminal server's on the same site.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long a read waits: how late we notice that it is time to ask again.
const READ_WAIT: Duration = Duration::from_millis(20);

/// An open line.
pub trait Line: Read + Write + Send {}
impl<T: Read + Write + Send> Line for T {}

/// A line and its name.
pub struct Port {
    name: String,
    line: Box<dyn Line>,
}

impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Port({})", self.name)
    }
}

impl Port {
    /// Opens `tcp:HOST:PORT`, `unix:PATH`, or anything else as a serial device at `baud`, 8 bits, no parity, one stop bit.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(name: &str, baud: u32) -> io::Result<Self> {
        let line: Box<dyn Line> = if let Some(address) = name.strip_prefix("tcp:") {
            let stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(READ_WAIT))?;
            // Each question waits for its answer: nothing is gained by collecting bytes.
            stream.set_nodelay(true)?;
            Box::new(stream)
        } else if let Some(path) = name.strip_prefix("unix:") {
            open_unix(path)?
        } else {
            let builder = serialport::new(name, baud).timeout(READ_WAIT);
            Box::new(builder.open().map_err(io::Error::from)?)
        };
        Ok(Self {
            name: name.to_owned(),
            line,
        })
    }

    /// A line that is open already.
    #[must_use]
    pub fn over(name: &str, line: Box<dyn Line>) -> Self {
        let name = name.to_owned();
        Self { name, line }
    }

    /// What it was opened as.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// The line broke.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.line.write_all(bytes)?;
        self.line.flush()
    }

    /// Reads what there is, or waits for it a moment; nothing is 0.
    ///
    /// # Errors
    /// The line broke, or its other end went away.
    pub fn receive(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.line.read(into) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if is_only_silence(&error) => Ok(0),
            other => other,
        }
    }
}

fn is_only_silence(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

#[cfg(unix)]
fn open_unix(path: &str) -> io::Result<Box<dyn Line>> {
    let stream = std::os::unix::net::UnixStream::connect(path)?;
    stream.set_read_timeout(Some(READ_WAIT))?;
    Ok(Box::new(stream))
}

#[cfg(not(unix))]
fn open_unix(_: &str) -> io::Result<Box<dyn Line>> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "this system has no unix sockets",
    ))
}
