//! The deltagate patch format, draft 1, and its streaming decoder.
//!
//! A patch turns one firmware image (the *base*) into another (the *target*): bsdiff's control triples, differences and
//! extra bytes, predicted by adaptive models and written by one binary range coder, in the order in which a device needs
//! them. The decoder has no heap, stops after any number of steps, and works in the memory that the header names.
//!
//! This page is the specification; the code next to it is the reference. Drafts may change in every byte. Left out of
//! this draft: prediction of moved addresses, checkpoints inside a patch.
//!
//! ```
//! use wire_patch::{Decoder, Header, IoFailed, Output, Progress};
//!
//! struct Collected(Vec<u8>);
//! impl Output for Collected {
//!     fn append(&mut self, bytes: &[u8]) -> Result<(), IoFailed> {
//!         self.0.extend(bytes);
//!         Ok(())
//!     }
//!     fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), IoFailed> {
//!         buf.copy_from_slice(&self.0[offset as usize..][..buf.len()]);
//!         Ok(())
//!     }
//! }
//!
//! let mut patch: &[u8] = b"dG\x81\x0c\0\0\0\0\0\0\xe3\xb0\xc4\x42\x98\xfc\x1c\x14\0\0\0\0"; // nothing to nothing
//! let header = Header::parse(patch)?;
//! let mut memory = [0; 4096];
//! let mut decoder = Decoder::new(header, &mut memory)?;
//! let mut out = Collected(Vec::new());
//! while decoder.step(&mut &b""[..], &mut patch, &mut out, 1_000)? == Progress::More {}
//! assert!(out.0.is_empty());
//! # Ok::<(), wire_patch::DecodeError>(())
//! ```
//!
//! # Who checks what
//!
//! | what | who | when |
//! |---|---|---|
//! | magic, draft, memory class | [`Header::parse`] | before anything |
//! | memory given ≥ memory needed | [`Decoder::new`] | before anything is written |
//! | base length | [`Decoder::step`] | before anything is written |
//! | base digest prefix | the caller, who knows the digest of what it runs | before anything is written |
//! | triples, numbers, end of patch | the decoder | as they come |
//! | CRC-32 of the result | the decoder | at the end; against accidents only |
//! | SHA-256 of the result, signed | the caller | before the result is used |
//!
//! A patch is never trusted: any bytes end in success or in a named [`DecodeError`]. Every triple yields at least one byte
//! and every byte takes at most four steps, so that a patch takes at most `4 × target + 4` steps.
//!
//! # Layout
//!
//! All numbers little-endian.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 2 | magic `dG` |
//! | 2 | 1 | draft, 0x81 |
//! | 3 | 1 | memory class: the decoder needs 1 << class bytes, class 12 to 17 |
//! | 4 | 3 | target length |
//! | 7 | 3 | base length |
//! | 10 | 8 | first bytes of the base's SHA-256 |
//! | 18 | 4 | CRC-32 (ISO-HDLC) of the target |
//! | 22 | … | coded stream to the end of the patch |
//!
//! # Range coder
//!
//! State: `range` = 0xFFFFFFFF and `code` = the first four bytes, big-endian. To decode a bit that is 1 with a probability of
//! `p` / 65536: clamp `p` to 16..=65519; `ones` = `(range >> 16) × p + (((range & 0xFFFF) × p) >> 16)`. If `code < ones` the
//! bit is 1 and `range = ones`; else it is 0 and `code -= ones`, `range -= ones`. While `range < 2^24`: `range <<= 8`,
//! `code = code << 8 | next byte`. Up to four bytes after the patch's end read as zero (the encoder cuts them off); a fifth
//! is an error, and so are bytes left over when the target is complete.
//!
//! # Memory
//!
//! The memory is an array of 16-bit cells:
//!
//! | cells | what | start value |
//! |---|---|---|
//! | 280 | number counters: for each of the 5 [`Number`]s in their order, 28 for the length and 28 for the leading bit | 0x8000 |
//! | 48 | weights for hits: 8 sets of 6 | 3277 |
//! | 48 | weights for differences: 8 sets of 6 | 3277 |
//! | 96 | weights for literals: 16 sets of 6 | 3277 |
//! | a quarter of the rest, rounded down | hit counters | 0x8000 |
//! | the same number | difference counters | 0x8000 |
//! | what remains | literal counters | 0x8000 |
//!
//! A **counter** holds a probability `p` (upper 12 bits) and a count `n` (lower 4). After a bit: `r = RATES[n]`; for a 1
//! `p += ((4095 - p) × r) >> 16`, for a 0 `p -= (p × r) >> 16`; `n = min(n + 1, 15)`. `RATES` = 32768, 26214, 18724, 14563, 11915, 10082, 8738, 7710, 6898, 6241, 5698, 5242, 4854, 4519, 4228, 4200.
//!
//! A bit coded with **one counter alone** has the probability `counter | 8`.
//!
//! A bit coded with **six mixed counters**: each counter's `p`, clamped to 1..=4095, becomes
//! `input = stretch(p) = L(p) - L(4096 - p)`, where `L(x) = 256 e + S[(x << 6 >> e) & 63]` with `e = floor(log2 x)` and
//! `S[i] = round(256 log2(1 + (i + 0.5) / 64))`. The sum of `input × weight` (weights signed), arithmetically shifted right by
//! 13, clamped to ±4095 and increased by 4096, is `t`; the probability is
//! `(Q[t >> 7] × (128 - (t & 127)) + Q[(t >> 7) + 1] × (t & 127)) >> 7` with
//! `Q[i] = min(65535, round(65536 / (1 + 2^(-(i - 32) / 2))))`. After the bit, the error is 65535 for a 1 and 0 for a 0, minus
//! the probability (before the range coder's clamp); each weight moves by `(input × error) >> 17`, arithmetically, and is
//! clamped to 16 bits; then each counter learns, in order (two contexts may share one).
//!
//! A hashed context's counter is cell `((h >> 16) × len) >> 16` of its region. `h` comes from
//! `hash(k, a, b) = scramble(scramble(a + (k << 28)) + (b << 3) + k)` and `scramble(x)`: `x *= 0x9E3779B1; x ^ (x >> 15)`,
//! all modulo 2^32.
//!
//! # Numbers
//!
//! A number `v` is coded as `v + 1`: one bit 1 for every bit below its leading one, then a 0, the i-th of them with length
//! counter i (28 ones: too large). Then the bits below the leading one, the highest first: that one with leading-bit
//! counter number (count of ones), the others with a probability of 1/2.
//!
//! # Control
//!
//! Until the target is complete: a triple, then the bytes it stands for. A triple is `copy` (CopyBytes), `extra`
//! (ExtraBytes) and, if `copy > 0`, a Seek: the source relative to the expected one, as 0, -1, 1, -2, … = 0, 1, 2, 3, …. The
//! expected source is 0 at first, afterwards `source + copy + extra` of the last triple (its expected one if it had no
//! copy). A source below the base's length is a place in the base, and the copy must end inside it; from there on it is a
//! place in the target, which must have been produced, and the copy may run into the bytes it makes. A triple without
//! bytes, or with more than the target has left, is an error.
//!
//! # Copies
//!
//! `streak` counts hits in a row and is set to 64 at the start of every triple. A copy starts with a FirstRun number. Later,
//! when `streak ≥ 64`, a Run number comes; it says how many bytes are the predicted ones, up to a changed byte or the end of
//! the copy. When `streak < 64`, one bit says whether the next byte is the predicted one (1, a hit) or changed. A changed byte
//! is coded as its difference `d` = byte - predicted, modulo 256. Eight mixed bits, the highest first, code a byte; `node` is
//! 1 followed by the bits so far, and each context's hash is `scramble(context ^ node)`.
//!
//! # Contexts
//!
//! `align` = target offset mod 4. `last` = the last four target bytes, newest lowest. `history` = one bit for each target
//! byte, newest lowest: 1 for hits. `q` = predicted byte; `next` = the base's byte after it, 0 past its end and for copies
//! from the target. `d1` = newest difference; `da` = newest difference at this alignment; all 0 at first. `l1`, `l2` = the last
//! byte and the one before it. Contexts are written (a, b), in the order k = 1 to 6.
//!
//! | bit | contexts | weight set |
//! |---|---|---|
//! | hit | (history & 255, align) (q, align << 2 \| history & 3) (q \| next << 8, align & 1) (q \| l1 << 8, align & 1) (da, history & 15) (l1 \| l2 << 8 \| q << 16 \| next << 24, history & 1) | history & 7 |
//! | difference | (da, align & 1) (q, align & 1) (d1, history & 7) (q \| l1 << 8, 0) (q \| next << 8, da) (align, history & 15) | bit index, 0 the highest |
//! | literal | (align, 0) (last & 0xFF, align & 1) (last & 0xFFFF, 0) (last & 0xFFFFFF, 0) (last & 0xFF00, align & 1) (last & 0xFF00FF00, align & 1) | (align & 1) × 8 + bit index |
//!
//! # Modules
//!
//! | module | knows |
//! |---|---|
//! | `header` | the first 22 bytes |
//! | `coder` | bits and probabilities, nothing of what they mean |
//! | `cells`, `logistic` | counters, mixing, the tables |
//! | `models` | which context predicts which bit |
//! | `control` | triples |
//! | `source` | where predictions come from |
//! | `decoder` | the order of it all |
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
