//! The way to the admin socket, where the system has such sockets.

use std::io;
use std::path::Path;

/// A conversation with a gateway.
#[cfg(unix)]
pub(super) type Stream = std::os::unix::net::UnixStream;

/// Opens it.
#[cfg(unix)]
pub(super) fn connect(socket: &Path) -> io::Result<Stream> {
    Stream::connect(socket)
}

/// What there never is.
#[cfg(not(unix))]
#[derive(Debug)]
pub(super) enum Stream {}

#[cfg(not(unix))]
pub(super) fn connect(_: &Path) -> io::Result<Stream> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "a gateway is asked on its own machine",
    ))
}

#[cfg(not(unix))]
impl Stream {
    pub(super) fn set_read_timeout(&self, _: Option<std::time::Duration>) -> io::Result<()> {
        match *self {}
    }
}

#[cfg(not(unix))]
impl io::Read for Stream {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        match *self {}
    }
}

#[cfg(not(unix))]
impl io::Write for Stream {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        match *self {}
    }

    fn flush(&mut self) -> io::Result<()> {
        match *self {}
    }
}
