//! The deltagate patch format, draft 2, and its streaming decoder.
//!
//! A patch turns one firmware image (the *base*) into another (the *target*): bsdiff's control triples, differences and
//! extra bytes, predicted by adaptive models and written by one binary range coder, in the order in which a device needs
//! them. The decoder has no heap, stops after any number of steps, and works in the memory that the header names.
//!
//! Which parts of the base moved where is read first; from it the decoder computes what moved addresses have become: branches
//! and calls, literal loads, addresses put together by two instructions, pointers into the image and into RAM.
//!
//! This page is the specification; the code next to it is the reference. Drafts may change in every byte. Left out of
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
//! let mut patch: &[u8] = b"dG\x82\x0c\0\0\0\0\0\0\xe3\xb0\xc4\x42\x98\xfc\x1c\x14\0\0\0\0"; // nothing to nothing
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
//! | checkpoint: whole, of this decoder and this patch | [`Decoder::resume`] | before it goes on |
//! | result appended before a checkpoint | the caller, who kept it | before it goes on |
//! | triples, numbers, end of patch | the decoder | as they come |
//! | CRC-32 of the result | the decoder | at the end; against accidents only |
//! | SHA-256 of the result, signed | the caller | before the result is used |
//!
//! A patch is never trusted: any bytes end in success or in a named [`DecodeError`]. Every triple yields at least one byte
//! and every byte takes at most five steps, so that a patch takes at most `5 × target + 4` steps.
//!
//! # Reading, stopping and going on
//!
//! Base and result are read at random, the patch by two cursors that each move forward only: one over the triples, a second
//! time, and one over everything. So a decoder wants the patch staged, or at least its triples kept. Nothing else depends
//! on how storage answers: any chopping of steps and reads gives the same result. A step can be made as soon as
//! [`Decoder::patch_bytes_needed`] bytes have arrived. Results are appended in pieces of [`OUTPUT_PIECE_BYTES`].
//!
//! Power cuts: [`Decoder::checkpoint`] writes a decoder to storage between any two steps, [`Decoder::resume`] goes on from
//! there. That costs `1 << class` + [`CHECKPOINT_STATE_BYTES`] bytes of storage each time, and no format: a patch knows nothing of it. A
//! device that can bear to decode again from the beginning needs none.
//!
//! # Layout
//!
//! All numbers little-endian.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 2 | magic `dG` |
//! | 2 | 1 | draft, 0x82 |
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
//! The memory is an array of `M` 16-bit cells:
//!
//! | cells | what | start value |
//! |---|---|---|
//! | 224 | number counters: for each of the 4 [`Number`]s in their order, 28 for the length and 28 for the leading bit | 0x8000 |
//! | 24 | alignment counters: 4 for each of 6 contexts | 0x8000 |
//! | 40 | address counters | 0x8000 |
//! | 8 | halfword counters | 0x8000 |
//! | 32 | block counters | 0x8000 |
//! | 56 | weights for hits: 8 sets of 7 | 2400 |
//! | 40 | weights for byte hits: 8 sets of 5 | 2400 |
//! | 56 | weights for differences: 8 sets of 7 | 2400 |
//! | 64 | weights for literals: 8 sets of 8 | 2400 |
//! | 64 | with relocation only: 2 shift lists of 8 entries of 4 | 0 |
//! | M / 16 | with relocation only: lessons of 2 | 0 |
//! | 4 × entries | with relocation only: the map | |
//! | M / 32 | halfwords: pairs | 0 |
//! | 4 `C`, with `C = H × (4, 1, 2 or 5) / 64` by the setup's share, `H` being what remains | hit counters | 0x8000 |
//! | `C` | byte hit counters | 0x8000 |
//! | 4 `C` | difference counters | 0x8000 |
//! | the rest of `H`, `L` | literals: | |
//! | `Z`, the largest power of two in `L` / 2, at most 512 | order-0 counters | 0x8000 |
//! | 32 | confidence counters: 16 of each match | 0x8000 |
//! | `L` / 8, at most 256 | positions of one byte | 0 |
//! | `L` / 5 | positions of two bytes | 0 |
//! | the rest of `L` | checked counters | 0x8000 |
//!
//! Start values hold before the setup for the number and alignment counters, and for all (these again) when the map is
//! complete.
//!
//! A **counter** holds a probability `p` (upper 12 bits) and a count `n` (lower 4). After a bit: `r = RATES[n]`; for a 1
//! `p += ((4095 - p) × r) >> 16`, for a 0 `p -= (p × r) >> 16`; `n = min(n + 1, 15)`. `RATES` = 32768, 26214, 18724, 14563, 11915, 10082, 8738, 7710, 6898, 6241, 5698, 5242, 4854, 4519, 4228, 4200.
//!
//! A bit coded with **one counter alone** has the probability `counter | 8`.
//!
//! A bit coded with **mixed counters**, one for each context: each counter's `p`, clamped to 1..=4095, becomes
//! `input = stretch(p) = L(p) - L(4096 - p)`, where `L(x) = 256 e + S[(x << 6 >> e) & 63]` with `e = floor(log2 x)` and
//! `S[i] = round(256 log2(1 + (i + 0.5) / 64))`. The sum of `input × weight` (weights signed), arithmetically shifted right by
//! 13, clamped to ±4095 and increased by 4096, is `t`; the probability is
//! `(Q[t >> 7] × (128 - (t & 127)) + Q[(t >> 7) + 1] × (t & 127)) >> 7` with
//! `Q[i] = min(65535, round(65536 / (1 + 2^(-(i - 32) / 2))))`. After the bit, the error is 65535 for a 1 and 0 for a 0, minus
//! the probability (before the range coder's clamp); each weight moves by `(input × error) >> 17`, arithmetically, and is
//! clamped to 16 bits; then each counter learns, in order (two contexts may share one).
//!
//! The `i`-th (from 0) of `n` contexts has its counter in a slice of the region of `len` cells: cell
//! `i × S + (((h >> 16) × S) >> 16)` with `S = len / n`, rounded down. `h` comes from
//! `hash(k, a, b) = scramble(scramble(a + (k << 28)) + (b << 3) + k)` and `scramble(x)`: `x *= 0x9E3779B1; x ^ (x >> 15)`,
//! all modulo 2^32.
//!
//! A **checked counter** is one that several contexts' hashes lead to: a probability `p` (upper 8 bits), the check, which is
//! the lowest five bits of the hash of its owner (middle 5), and a count `n` (lower 3). It is **claimed** before every use: if the check is
//! another's and `n ≥ 3`, `n` falls by one and the context has no counter for this bit; its input is 0 and it learns
//! nothing. If the check is another's and `n < 3`, the counter becomes the context's, with `p` = 128 and `n` = 0. Its input is
//! `stretch(16 p)`. It learns as others do, with 255 for 4095 and `n` up to 7.
//!
//! # Numbers
//!
//! A number `v` is coded as `v + 1`: one bit 1 for every bit below its leading one, then a 0, the i-th of them with length
//! counter i (28 ones: too large). Then the bits below the leading one, the highest first: that one with leading-bit
//! counter number (count of ones), the others with a probability of 1/2.
//!
//! # Order of the stream
//!
//! An empty target has an empty stream. Else: the setup; every triple; then, triple after triple, the bytes of its copy and
//! its extra bytes. A decoder reads the triples twice: once for the map, and a second time, from a copy of the range
//! decoder made after the setup and with number and alignment counters as new, each before its bytes.
//!
//! The setup's bits all have a probability of 1/2. Two bits, the higher first, are the share of copies (see
//! [Memory](#memory)). One bit says whether there is a [`Relocation`]; if so, 4 bits are `m`
//! (copies of at least 2^m bytes enter the map), 4 bits are the number of the instruction set ([`Isa`]; an unknown one is an
//! error), then come the base's layout, a bit that says whether the target's differs, and, if so, that. A layout is 3 bits, how
//! many parts follow the first one (above 4 counts as 4), and the parts: 22 bits of offset, in units of 4 (not for the first, which
//! is at 0), and the address: 5 bits `z` (below 2 counts as 2) and the bits from the highest to bit `z`; the ones below are
//! zero. If the offsets do not ascend, the image has the first part only.
//!
//! # Triples
//!
//! A triple is `copy` (CopyBytes), `extra` (ExtraBytes) and, if `copy > 0`, the source. The expected source is 0 at first,
//! afterwards `source + copy + extra` of the last triple (its expected one if it had no copy). Let `x` be the source minus the
//! target offset at which the triple starts and `e` the same of the expected source, modulo 2^32. First come the two lowest
//! bits of `x`, bit 0 first, each with an alignment counter alone: of the four of context `e mod 4`, number 0 for bit 0, number
//! 1 + bit 0 for bit 1. Then comes a Seek: `floor(x / 4) - floor(e / 4)` as a signed number modulo 2^30, written as 0, -1, 1,
//! -2, … = 0, 1, 2, 3, …. A source below the base's length is a place in the base, and the copy must end inside it; from there
//! on it is a place in the target, which must have been produced, and the copy may run into the bytes it makes. A triple without bytes, or with more than the target has left, is an error. The triples end when they
//! yield the target.
//!
//! # Map
//!
//! With relocation, copies from the base of at least 2^m bytes become entries: source, bytes and shift (target offset -
//! source, modulo 2^24), kept in the order of their sources, equal ones in the order of arrival. An entry is four cells:
//! source bits 0 to 15; source bits 16 to 23 and above them shift bits 0 to 7; shift bits 8 to 23; bytes, from 0x8000 on as
//! 0x8000 + bytes / 512, so that an entry covers up to 511 bytes less than its copy. There is room for M / 16 entries; when it
//! is full, further copies are left out.
//!
//! An offset **moves** by the shift of the copy in progress if that covers it (trust 3). Else of the last four entries
//! whose source is not above it, those that cover it count, and the one with the most bytes wins, the later one among
//! equals (trust 2). If none covers it, the last of the four does it (trust 1); if there is none, the offset stays (trust 0).
//! Moved offsets are taken modulo 2^24.
//!
//! # Addresses
//!
//! When a group that has an address (a Far, a Pointer, a Ram whose predicted address is in RAM, a Word that is an L32R) is not as predicted, one bit, with the address counter of its kind's number alone, says whether an address
//! follows. `a` is the old address, as for lessons, `p` the predicted new one, read from the predicted bytes. For each entry of
//! its list, from the first, except where `a` + shift = `p`: one bit, with address counter `8 + 16 × list + 8 × found + place`
//! alone, says whether `a` + shift is the new address. `list` is 1 for Ram, else 0; `found` says whether the last address had such
//! an entry, 0 at first. If none is, let `d` be the new address minus (`a` + nearest shift of the list, or `p` if there is none),
//! modulo 2^32: its two lowest bits come as those of a source, in context 4 + `list`, then Address, `floor(d / 4)` written as
//! a Seek. The new bytes hold that address: a word is it (a sum: it minus the target's address of `t`), an instruction is `old`
//! given the field for it. When the number is too large or the field does not fit, the bytes follow after all.
//!
//! # Halfwords
//!
//! After a group of 2 bytes of kind 0 to 2 that was not as predicted, a pair of cells remembers the predicted halfword and the
//! one that came instead: pair `((scramble(predicted) >> 16) × (M / 64)) >> 16`. When such a group is not as predicted and its
//! pair holds the predicted halfword and another one, one bit, with the halfword counter of the kind's number alone, says
//! whether the other one comes; if not, the bytes follow.
//!
//! # Literals
//!
//! After a copy from the base and before its extra bytes, if it has any, the literal models are **trained** with the bytes
//! of the base that these replace: the `extra + min(copy, 64)` bytes from the end of the copy on, without those past the
//! base's end and those at offsets below 4. Each is taken bit by bit as if it were a literal with its offset in the base and
//! the four bytes before it there: its order-0 and checked counters (claimed first) learn, and nothing else changes.
//!
//! A literal is eight mixed bits, the highest first; `node` is 1 followed by the bits so far. Its eight inputs are, in this order:
//!
//! 1. Those of the two matches: 0 without a match, or if the bits so far are not those of the byte that it expects. Else `stretch` of the `p` of
//!    its confidence counter `m`, negative if the expected bit is 0; after the weights, this counter learns, as a bit, whether the
//!    expected bit was right.
//! 2. Order 0's: counter `(node + 256 × target offset) mod Z`.
//! 3. Those of five hashed contexts, each with a checked counter in a slice of its own, at `((h >> 16) × slice) >> 16` with
//!    `h = scramble(hash(k, last & mask, target offset & parity) ^ node)`. The slices follow each other; each is its share of the checked
//!    counters, rounded down. In memory classes 12 and 13 only the first context is used, with a share of 1; the inputs of the others are 0.
//!
//! | k | mask | parity | share |
//! |---|---|---|---|
//! | 1 | 0xFF | 1 | 14 / 22 |
//! | 2 | 0xFF00 | 0 | 4 / 22 |
//! | 3 | 0xFFFF0000 | 0 | 2 / 22 |
//! | 4 | 0xFFF0 | 0 | 1 / 22 |
//! | 5 | 0xF0F0F0 | 0 | 1 / 22 |
//!
//! **Matches.** The first one looks for the last byte, the second for the last two. The position of a byte or two is cell
//! `((h >> 16) × len) >> 16` of the `len` positions, `h = scramble(last & 0xFF)` or `scramble(last & 0xFFFF)`. Before every literal
//! and before every group of a copy, the lower 16 bits of the target offset are written to both cells; before a literal, their old
//! contents `c` are looked at first, unless the match has `m ≥ 8`: with `back = (target offset - c) mod 65536`, if `0 < back < target offset`,
//! the bytes before the target offset and those before target offset - back are compared, backwards from the last and at most 8 (and
//! none before the target's first). If more than `m` in a row agree, and for the second match at least two, the match is at target
//! offset - `back` now and `m` their number. The byte at the match is the expected one. After the literal a match moves on by one, and
//! `m` grows by one, up to 15, if the byte was as expected, and falls to 0 if not. Every copy ends both: there is no match, and `m` = 0.
//!
//! # Contexts
//!
//! `last` = the last four target bytes, newest lowest. `groups` = one bit for each group, newest lowest: 1 if
//! predicted; `own` = the last 8 of them of the same kind. `class` = kind + 8 × trust + 128 × (target offset mod 4), the offset being
//! the group's; trust is 0 where none is named, and 8 more for a Pointer that is a word in a pool. `p` = the group's predicted bytes as a number, `half` its lower 16 bits (8 for one byte), also for groups
//! of 4; for fewer than four bytes, `p`'s upper bits are those of `old`, which for a Repeat holds two bytes at most. `recent` = zeros among the last 16 of `groups`. For byte `i` of a
//! group: `align` = its target offset mod 4, `at` = i + 4 × misses + 64 × kind, `misses` having bit j for each wrong byte j so
//! far, for a difference with this one; `q`, `r` = bits 0 to 7 and 8 to 15 of `p >> 8i`; `da` = newest difference at this
//! alignment, `d1` = newest of all, 0 at first. `last`, `groups` and `own` change after the group.
//!
//! | bit | contexts (a, b), k from 1 | weight set |
//! |---|---|---|
//! | hit | (class, groups & 255) (half, class) (half \| last << 16, kind) (class, min(15, floor(log2(streak + 1))) \| recent << 4) (half >> 8, class \| (groups & 7) << 8) (old, kind) (class, own \| (groups & 3) << 8) | kind |
//! | byte hit | (at, align) (at, q) (at, q \| r << 8) (at, da) (at, groups & 15) | i + 4 if misses |
//! | difference | (da, align & 1) (q, align & 1) (d1, at) (q \| (last & 255) << 8, 0) (q \| r << 8, da) (align, groups & 15) (at, 0) | bit index, 0 the highest |
//! | literal | as above | bit index |
//!
//! # Modules
//!
//! | module | knows |
//! |---|---|
//! | `header` | the first 22 bytes |
//! | `coder` | bits and probabilities, nothing of what they mean |
//! | `cells`, `checked`, `logistic` | counters, mixing, the tables |
//! | `models` | which context predicts which bit |
//! | `control` | triples |
//! | `checkpoint` | a decoder written to storage, byte by byte; the `saved` modules name the fields |
//! | `source` | the bytes of base and result |
//! | `layout` | which address every byte of an image has |
//! | `map` | which part of the base moved where |
//! | `isa` | instructions with addresses in them, a module for each instruction set |
//! | `lessons` | what became of addresses that were not foreseen |
//! | `relocate` | what a copy will bring, addresses moved |
//! | `shifts` | how far addresses moved that nothing foresaw |
//! | `decoder` | the order of it all |
#![no_std]

mod cells;
mod checked;
mod checkpoint;
mod coder;
mod control;
mod decoder;
mod error;
mod header;
mod io;
mod isa;
mod layout;
mod lessons;
mod logistic;
mod map;
mod models;
mod relocate;
mod shifts;
mod source;

pub use checkpoint::{CHECKPOINT_STATE_BYTES, CheckpointError, CheckpointStorage};
pub use coder::{BitCoder, one_part};
pub use control::{Control, Triple};
pub use decoder::{DECODER_BYTES_MAX, Decoder, Progress, Stage, State};
pub use error::DecodeError;
pub use header::{HEADER_BYTES, Header, IMAGE_BYTES_MAX, MemoryClass};
pub use io::{IoFailed, OUTPUT_PIECE_BYTES, Output, ReadAt};
pub use isa::{Ahead, Isa, UnknownIsa, with_labels};
pub use layout::{Layout, SEGMENTS_MAX, Segment};
pub use models::{Mark, Models, Number, Setup, TooLarge};
pub use relocate::{Group, Kind, Place, Relocation};
pub use source::crc32;
