//! The deltagate patch format, draft 1, and its streaming decoder.
#![no_std]

mod decoder;
mod error;
mod header;
mod io;

pub use decoder::{Decoder, Progress};
pub use error::DecodeError;
pub use header::{HEADER_BYTES, Header, IMAGE_BYTES_MAX, MemoryClass};
pub use io::{IoFailed, OUTPUT_PIECE_BYTES, Output, ReadAt};
