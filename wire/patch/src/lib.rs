//! The deltagate patch format, draft 2, and its streaming decoder.
//!
//! A patch turns one firmware image (the *base*) into another (the *target*): bsdiff's control triples, differences and
//! extra bytes, predicted by adaptive models and written by one binary range coder, in the order in which a device needs
//! them. The decoder has no heap, stops after any number of steps, and works in the memory that the header names.
//!
//! Which parts of the base moved where is read first; from it the decoder computes what moved addresses have become: Thumb
//! branches and calls, literal loads, pointers into the image and into RAM.
//!
//! This page is the specification; the code next to it is the reference. Drafts may change in every byte. Left out of
//! this draft: addresses of other instruction sets, checkpoints inside a patch.
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
//! | triples, numbers, end of patch | the decoder | as they come |
//! | CRC-32 of the result | the decoder | at the end; against accidents only |
//! | SHA-256 of the result, signed | the caller | before the result is used |
//!
//! A patch is never trusted: any bytes end in success or in a named [`DecodeError`]. Every triple yields at least one byte
//! and every byte takes at most five steps, so that a patch takes at most `5 × target + 4` steps.
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
//! | 168 | number counters: for each of the 3 [`Number`]s in their order, 28 for the length and 28 for the leading bit | 0x8000 |
//! | 32 | block counters | 0x8000 |
//! | 56 | weights for hits: 8 sets of 7 | 2400 |
//! | 40 | weights for byte hits: 8 sets of 5 | 2400 |
//! | 56 | weights for differences: 8 sets of 7 | 2400 |
//! | 144 | weights for literals: 24 sets of 6 | 2400 |
//! | 64 | with relocation only: 16 RAM shifts of 4 | 0 |
//! | M / 16 | with relocation only: lessons of 2 | 0 |
//! | 4 × entries | with relocation only: the map | |
//! | `H` / 4, `H` being what remains | hit counters | 0x8000 |
//! | `H` / 16 | byte hit counters | 0x8000 |
//! | `H` / 4 | difference counters | 0x8000 |
//! | the rest of `H` | literal counters | 0x8000 |
//!
//! Start values hold before the setup for the number counters, and for all (the number counters again) when the map is
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
//! decoder made after the setup and with number counters as new, each before its bytes.
//!
//! The setup's bits all have a probability of 1/2. One bit says whether there is a [`Relocation`]; if so, 4 bits are `m`
//! (copies of at least 2^m bytes enter the map), then come the base's address, a bit that says whether the target's
//! differs, and, if so, that. An address is 5 bits `z` (below 2 counts as 2) and the bits from the highest to bit `z`; the
//! ones below are zero.
//!
//! # Triples
//!
//! A triple is `copy` (CopyBytes), `extra` (ExtraBytes) and, if `copy > 0`, a Seek: the source relative to the expected
//! one, as 0, -1, 1, -2, … = 0, 1, 2, 3, …. The expected source is 0 at first, afterwards `source + copy + extra` of the last
//! triple (its expected one if it had no copy). A source below the base's length is a place in the base, and the copy must
//! end inside it; from there on it is a place in the target, which must have been produced, and the copy may run into the
//! bytes it makes. A triple without bytes, or with more than the target has left, is an error. The triples end when they
//! yield the target.
//!
//! # Map
//!
//! With relocation, copies from the base of at least 2^m bytes become entries: source, bytes (at most 0xFFFF, which stands
//! for endless, as for the copy in progress) and shift (target offset - source, modulo 2^24), kept in the order of their sources, equal ones in the order
//! of arrival. An entry is four cells: source bits 0 to 15; source bits 16 to 23 and above them shift bits 0 to 7; shift bits 8
//! to 23; bytes. There is room for M / 16 entries; when it is full, further copies are left out.
//!
//! An offset **moves** by the shift of the copy in progress if that covers it (trust 3). Else of the last four entries
//! whose source is not above it, those that cover it count, and the one with the most bytes wins, the later one among
//! equals (trust 2). If none covers it, the last of the four does it (trust 1); if there is none, the offset stays (trust 0).
//! Moved offsets are taken modulo 2^24.
//!
//! # Groups
//!
//! A copy is made in groups of 1, 2 or 4 bytes. `s` and `t` are the offsets of source and target, `left` the bytes left of the
//! copy, `old` the base's word at `s` (little-endian, zero past the end), `B` and `T` the addresses of base and target. The first
//! rule that fits decides; a group is **whole** if `left ≥ 4` and `s + 4` is inside the base.
//!
//! | rule | kind | bytes | predicted |
//! |---|---|---|---|
//! | from the target | 7 Repeat | 1 if `t` is odd, else what has been produced from `s` on, at most 2 and `left` | as they are |
//! | `t` odd, or `left = 1` | 0 Plain | 1 | `old` |
//! | no relocation, or `s` odd | 0 Plain | 2 | `old` |
//! | whole, `s` and `t` multiples of 4, `old - B` inside the base | 4 Pointer | 4 | `old` + its lesson, else `T` + moved `old - B` |
//! | the same, `old` in RAM, and a lesson or in a pool | 5 Ram | 4 | `old` + its lesson, else + the RAM shift |
//! | the same, in a pool | 6 Word | 4 | `old` |
//! | the halfword before was the first of two | 1 Wide | 2 | `old` |
//! | an instruction with an address in it, as below | 2 Near, 3 Far | 2 or 4 | the instruction, moved |
//! | a halfword from 0xE800 on | 1 Wide | 2 | `old` |
//! | anything else | 0 Plain | 2 | `old` |
//!
//! *In RAM*: `old >> 20` is 0x100 or 0x200 to 0x203. *In a pool*: there are 256 pool bits, bit `s / 4 mod 256` belongs to the
//! word at `s`; looking at it (in the three word rules, once) clears it. *First of two*: the last instruction rule reached
//! with a halfword from 0xE800 on was at `s - 2`.
//!
//! | instruction (first halfword, second) | kind | field |
//! |---|---|---|
//! | F000/F800, 9000/9000 (BL, B.W) | 3 | 24 bits S:I1:I2:imm10:imm11, signed, of 2 bytes |
//! | F000/F800, 8000/D000, bits 7 to 9 of the first not all ones (B.W with condition) | 2 | 20 bits S:J2:J1:imm6:imm11, signed, of 2 bytes |
//! | F8DF (LDR.W literal) | 2 | 12 bits of the second, of 1 byte |
//! | E000/F800 (B) | 2 | 11 bits, signed, of 2 bytes |
//! | 4800/F800 (LDR literal) | 2 | 8 bits, of 4 bytes |
//! | D000/F000 but DE00/FE00 (B with condition) | 2 | 8 bits, signed, of 2 bytes |
//!
//! (Values/masks.) The field counts from `s + 4`, for literals from there rounded down to a multiple of 4. The target of a literal
//! load, if it is a multiple of 4, above `s` and less than 1024 above it, has its pool bit set. Those of 4 bytes must be whole.
//! The target must be inside the base; where it moves (Far: where `B` + target goes by its lesson, minus `T`, else moved) is the
//! new target, and the instruction at `t` is given the field for it. If that does not fit, the instruction counts as one without
//! an address.
//!
//! **Lessons.** When a group of 4 bytes was not as predicted, its old address (Far: `B` + target; else `old`) is remembered with
//! its shift: the new address minus the old one, modulo 2^24 (Far: only if the result is of this kind too; Ram: only if the
//! result is in RAM). A lesson is the two cells `((h >> 16) × (M / 32)) >> 16` of its region with `h = (address & ~1) ×
//! 0x9E3779B1`: shift bits 0 to 15; shift bits 16 to 23 and above them `h` bits 8 to 15. It holds for addresses with these bits
//! of `h`, unless both cells are 0; its shift is signed; trust 4. **RAM shifts**: Ram lessons also go, in a ring, into four
//! cells: address, low half first, and new minus old. The RAM shift is that of the first entry with the greatest address not
//! above the one asked for (trust 1); with none, 0 (trust 0). Address 0 is no entry.
//!
//! # Copies
//!
//! `streak` is 0 at first, set to at least 32 at the start of a copy, grows by the bytes of every predicted group, and falls to 0
//! at any other and at a literal. While `streak ≥ 32`, a block comes: of `2^floor(log2 streak)` bytes, at most 4096 and
//! what is left of the copy. One bit, with block counter `2 × min(15, floor(log2 streak)) + (groups & 1)` alone, says
//! whether the groups that begin in it are all predicted; if not, `streak` becomes 0. Otherwise a group comes: one bit
//! says whether it is the predicted one. If not, its bytes follow: for each a bit that says whether it is as predicted
//! (left out for the last if all before it were), and if not its difference `d` = byte - predicted, modulo 256. Eight mixed bits,
//! the highest first, code a byte; `node` is 1 followed by the bits so far, and each context's hash is `scramble(context ^
//! node)`.
//!
//! # Literals
//!
//! Extra bytes come in pairs at even target offsets, if two are left, the second byte (an instruction's upper half)
//! coded first; else one at a time.
//!
//! # Contexts
//!
//! `last` = the last four target bytes, newest lowest. `groups` = one bit for each group, newest lowest: 1 if
//! predicted; `own` = the last 8 of them of the same kind. `class` = kind + 8 × trust + 64 × (target offset mod 4), the offset being
//! the group's; trust is 0 where none is named. `p` = the group's predicted bytes as a number, `half` its lower 16 bits (8 for one byte), also for groups
//! of 4; for one byte or two, `p`'s upper bits are those of `old`, which for a Repeat holds two bytes at most. `recent` = zeros among the last 16 of `groups`. For byte `i` of a
//! group: `align` = its target offset mod 4, `at` = i + 4 × misses + 64 × kind, `misses` having bit j for each wrong byte j so
//! far, for a difference with this one; `q`, `r` = bits 0 to 7 and 8 to 15 of `p >> 8i`; `da` = newest difference at this
//! alignment, `d1` = newest of all, 0 at first. `last`, `groups` and `own` change after the group. Literals: `even` = target offset mod 4, `low`, `high` = the halfword's bytes.
//!
//! | bit | contexts (a, b), k from 1 | weight set |
//! |---|---|---|
//! | hit | (class, groups & 255) (half, class) (half \| last << 16, kind) (class, min(15, floor(log2(streak + 1))) \| recent << 4) (half >> 8, class \| (groups & 7) << 8) (old, kind) (class, own \| (groups & 3) << 8) | kind |
//! | byte hit | (at, align) (at, q) (at, q \| r << 8) (at, da) (at, groups & 15) | i + 4 if misses |
//! | difference | (da, align & 1) (q, align & 1) (d1, at) (q \| (last & 255) << 8, 0) (q \| r << 8, da) (align, groups & 15) (at, 0) | bit index, 0 the highest |
//! | single literal | (even, 0) (last & 0xFF, even & 1) (last & 0xFFFF, even & 1) (last & 0xFFFFFF, even & 1) (last & 0xFF00, even & 1) (last, 0) | bit index |
//! | high, k from 7 | (even, 0) (last & 0xFF, even) (last & 0xFFFF, 0) (last & 0xFF00FF, 0) (last, 0) (last & 0xFFFFFF, 0) | 8 + bit index |
//! | low, k from 13 | (high, even) (high \| last << 8 & 0xFF00, 0) (high \| last << 8 & 0xFFFF00, 0) (high \| last << 8 & 0xFF0000, 0) (high, last) (high \| last & 0xFF00FF00, 0) | 16 + bit index |
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
//! | `source` | the bytes of base and result |
//! | `map` | which part of the base moved where |
//! | `thumb` | instructions with addresses in them |
//! | `relocate` | what a copy will bring, addresses moved |
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
mod map;
mod models;
mod relocate;
mod source;
mod thumb;

pub use coder::{BitCoder, one_part};
pub use control::{Control, Triple};
pub use decoder::{DECODER_BYTES_MAX, Decoder, Progress};
pub use error::DecodeError;
pub use header::{HEADER_BYTES, Header, IMAGE_BYTES_MAX, MemoryClass};
pub use io::{IoFailed, OUTPUT_PIECE_BYTES, Output, ReadAt};
pub use models::{Mark, Models, Number, Setup, TooLarge};
pub use relocate::{Group, Place, Relocation};
pub use source::crc32;
