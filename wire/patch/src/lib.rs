//! The deltagate patch format, draft 1, and its streaming decoder.
#![no_std]

mod cells;
mod coder;
mod control;
mod decoder;
mod error;
mod header;
mod io;
mod logistic;
mod models;
mod source;

pub use coder::{BitCoder, one_part};
pub use control::{Control, Triple};
pub use decoder::{DECODER_BYTES_MAX, Decoder, Progress};
pub use error::DecodeError;
pub use header::{HEADER_BYTES, Header, IMAGE_BYTES_MAX, MemoryClass};
pub use io::{IoFailed, OUTPUT_PIECE_BYTES, Output, ReadAt};
pub use models::{Models, Number, Predicted, TooLarge};
pub use source::crc32;
