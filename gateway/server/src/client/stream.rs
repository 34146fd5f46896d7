//! The ways to a gateway: its admin socket, where the system has such sockets, and TLS from anywhere.

use std::io::{self, Read, Write};
use std::path::Path;

use super::ANSWER_TIMEOUT;
use super::remote::Remote;

/// A conversation with a gateway.
pub(super) trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

/// Opens the admin socket.
#[cfg(unix)]
pub(super) fn local(socket: &Path) -> io::Result<Box<dyn Stream>> {
    let stream = std::os::unix::net::UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    Ok(Box::new(stream))
}

#[cfg(not(unix))]
pub(super) fn local(_: &Path) -> io::Result<Box<dyn Stream>> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "this system has no such sockets",
    ))
}

/// Connects to a gateway on another machine. Nothing of TLS is said before the first write.
pub(super) fn remote(remote: &Remote) -> io::Result<Box<dyn Stream>> {
    let stream = remote.connect()?;
    stream.sock.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.sock.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    Ok(Box::new(stream))
}
