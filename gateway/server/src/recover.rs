//! `device recover`: a technician brings an image to a device that cannot start any, over its serial line.
//!
//! The device's end is SMP ([`wire_smp`]), so that other mcumgr clients work too; this one looks into the file first, asks
//! the device who it is, and says before the first byte when the two do not belong together. The device checks all of it
//! again. An upload that was interrupted goes on where the device is: run the same command again.
//!
//! | module | what it is |
//! |---|---|
//! | [`cli`] | arguments, progress, and what is printed |
//! | [`file`](mod@file) | the signed file that is sent, and what it says |
//! | [`port`] | a serial device, or a socket in its place |
//! | [`client`] | questions and answers over a port |
//! | [`upload`] | the whole recovery, step by step |
//! | [`error`] | what can not be done, and what to do next |

pub mod cli;
pub mod client;
pub mod error;
pub mod file;
pub mod port;
pub mod upload;

pub use error::RecoverError;
