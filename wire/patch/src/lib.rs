//! The deltagate patch format, version 1, and its streaming decoder.
//!
//! A patch turns one firmware image (the *base*) into another (the *target*): bsdiff's control triples, differences and
//! extra bytes, predicted by adaptive models and written by one binary range coder, in the order in which a device needs
//! them. The decoder has no heap, stops after any number of steps, and works in the memory that the header names.
//!
//! Which parts of the base moved where is read first; from it the decoder computes what moved addresses have become: branches
//! and calls, literal loads, addresses put together by two instructions, pointers into the image and into RAM.
//!
//! This page is the specification; the code next to it is the reference. Version 1 is frozen: no byte
//! of it changes, the patches in `fixtures/patch` pin it, and whatever is added gets another version.
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
//! let mut patch: &[u8] = b"dG\x01\x0c\0\0\0\0\0\0\xe3\xb0\xc4\x42\x98\xfc\x1c\x14\0\0\0\0"; // nothing to nothing
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
//! | magic, version, memory class | [`Header::parse`] | before anything |
//! | memory given ≥ memory needed | [`Decoder::new`] | before anything is written |
//! | base length | [`Decoder::step`] | before anything is written |
//! | in place: reach ≤ what the device offers | the caller | before anything is written |
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
//! | 2 | 1 | version, 1 |
//! | 3 | 1 | memory class: the decoder needs 1 << class bytes, class 12 to 17 |
//! | 4 | 3 | target length |
//! | 7 | 3 | base length |
//! | 10 | 8 | first bytes of the base's SHA-256 |
//! | 18 | 4 | CRC-32 (ISO-HDLC) of the target |
//! | 22 | … | coded stream to the end of the patch |
//!
//! ## In place
//!
//! A device with a single slot writes the target where the base was. A patch for it is like any other, but says how far behind
//! the target's end so far it still needs the base: its *reach*, in bytes.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 2 | 1 | 0x41: version 1 with a bit added. Decoders that do not know it refuse the patch |
//! | 22 | 2 | reach / 256; 0 is an error |
//! | 24 | … | coded stream to the end of the patch |
//!
//! In such a patch, a copy from the base is an error if source + reach < target offset + 4. Nothing else differs. It follows that when
//! `t` bytes of the target have been produced, what is still to come depends on no byte of the base at an offset below `t` -
//! reach: a copy and its target move on together, and training looks at four bytes before the end of a copy, which is all
//! that is ever looked at before a source. (A decoder may read more than it needs; what it reads there does not matter.)
//!
//! So a device moves the base up by a gap first, `gap` ≥ reach + interval, then writes the target from the slot's front, with a
//! checkpoint every `interval` bytes. Between the checkpoint at `c` and the next one it writes over nothing from `c` +
//! interval - gap of the base on, and it needs nothing before `c` - reach: whenever the power fails, everything from the last
//! checkpoint on can be made again. The interval is the device's own choice: the format knows the reach alone.
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
//! An empty target has an empty stream (four bytes are read all the same, so that a fifth would be one left over). Else: the
//! setup; every triple; then, triple after triple, the bytes of its copy and its extra bytes. A decoder reads the triples
//! twice: once for the map, and a second time, from a copy of the range decoder made after the setup and with number and
//! alignment counters as new, each before its bytes.
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
//! A part of an image ends where the next one starts, and none beyond the image's end. The byte at offset `x` has the address of
//! the last part that does not start above `x`, plus `x`, minus that part's offset. The byte with a given address is sought in the
//! last part of the base first, in the first part last. All modulo 2^32.
//!
//! # Groups
//!
//! A copy is made in groups of 1 to 4 bytes. `s` and `t` are the offsets of source and target, `left` the bytes left of the
//! copy, `old` the base's word at `s` (little-endian; what is past the base's end is zero, here and below). The first rule that
//! fits decides:
//!
//! | rule | kind | bytes | predicted |
//! |---|---|---|---|
//! | from the target | 7 Repeat | 1 if `t` is odd, else what has been produced from `s` on, at most 2 and `left` | as they are |
//! | `t` odd, or `left = 1` | 0 Plain | 1 | `old` |
//! | no relocation, or `s` odd | 0 Plain | 2 | `old` |
//! | `left ≥ 4`, `s` and `t` multiples of 4, `old` a pointer into the base | 4 Pointer | 4 | `old`, followed |
//! | the same, `old` plus the address of `s` in the base, in another part than `s` | 4 Pointer | 4 | that sum, followed, minus the target's address of `t` |
//! | the same, `old` in RAM, and a lesson, in a pool, or not Thumb | 5 Ram | 4 | `old`, followed |
//! | the same, in a pool | 6 Word | 4 | `old` |
//! | an instruction with an address in it, as below | 2 Near, 3 Far, 5 Ram, 6 Word | 2 or 4 | the instruction, moved |
//! | any other instruction, as below | 0 Plain, 1 Wide | 2 or 4, at most `left` | `old` |
//!
//! *A pointer*: in RV64 and AArch64 only if `old >> 24` is not 0, or `old >> 12` is not 0 and the word at `s + 4` is 0. *In RAM*:
//! `old >> 20` is 0x100 or 0x200 to 0x203 (Thumb), 0x3FC (RV32); nothing else is. *In a pool* (Thumb only): there are 256 pool
//! bits, bit `s / 4 mod 256` belongs to the word at `s`; looking at it (in the word rules, once) clears it.
//!
//! An address in the base is **followed** to itself plus its lesson (trust 4) or, without one, to the target's address of where
//! its offset moves. One in RAM is followed to itself plus its lesson (trust 4) or, without one, its RAM shift.
//!
//! **Instructions with addresses.** The instruction set names kind, bytes and address. If there are fewer bytes left, it has
//! no address (what its set remembers from having read it stands all the same). If the address is in the base: of Near the
//! new one is the target's address of where its offset moves, of others it is the one followed. If it is not, but in RAM, and
//! the kind is not Near, it is followed, and Far becomes Ram. Else the address stays (trust 0) if it is one of an AUIPC pair,
//! and any other instruction counts as one without an address. The instruction is then made to hold the new address at the
//! target's address of `t`; if it cannot, it has none.
//!
//! **Lessons.** When a group that holds an address (a Far, a Pointer, a Ram, a Word that is an L32R) was not as predicted,
//! its address `a` (of words `old`, or that sum) is remembered with a shift: what the result holds in its place (of sums:
//! plus the target's address of `t`) minus `a`, modulo 2^24. An instruction is left out if the result has not got the same
//! field (it fits another row of its table, or none; lower instructions are as one row, so are MCS-51's MOVs of two
//! registers), Ram if the new address is not in RAM. A lesson is the two cells `((h >> 16) × (M / 32)) >> 16` of its region
//! with `h = (a & ~1) × 0x9E3779B1`: shift bits 0 to 15; shift bits 16 to 23 and above them `h` bits 8 to 15. It holds for
//! addresses with these bits of `h`, unless both cells are 0; its shift is signed.
//!
//! **Shift lists.** There are two: for Ram, and for the others. What becomes a lesson also goes to the front of its list,
//! from where its shift stands in the list, else instead of the last entry; the others keep their order. An entry is the
//! address, low half first, and the shift, here modulo 2^32; those that were never written count with shift 0. The nearest
//! shift of an address is that of the entry with the least difference to it (of unsigned numbers, the lesser from the
//! greater), the first one among equals; address 0 is no entry. The RAM shift is the nearest one in Ram's list (trust 1),
//! with none, 0 (trust 0). What is followed without a lesson and moves with trust 0 or 1 goes by the nearest shift of the
//! other list instead, if there is one; the trust stays.
//!
//! # Instruction sets
//!
//! Values/masks in hexadecimal; `i` is the instruction, `at` its address. A field's **runs** are written from-to-count: `count` bits
//! from bit `from` of the instruction are the bits from `to` on of the number, which is signed if it says so. Set 0
//! has no addresses in instructions; each is 2 bytes, Plain. A decoder need not know all sets: this crate has a feature for each
//! (`thumb`, `riscv`, `aarch64`, `xtensa`, `avr`, `mcs51`; by default all), and refuses one that was left out as an unknown one.
//!
//! After every group from the base a set may take note (*passed*) of what the group's bytes were and have become; bytes of a
//! word that are not the group's count as zero.
//!
//! ## Thumb (1)
//!
//! Instructions are read by halfwords: 2 bytes, Wide for a halfword from 0xE800 on and for the second of two, else Plain. *Second of
//! two*: the last halfword from 0xE800 on that was read here and was no second itself was at `at - 2`. A second one has no
//! address.
//!
//! | instruction (first halfword, second) | kind | field |
//! |---|---|---|
//! | F000/F800, 9000/9000 (BL, B.W) | Far | 24 bits S:I1:I2:imm10:imm11, signed, of 2 bytes |
//! | F000/F800, 8000/D000, bits 7 to 9 of the first not all ones (B.W with condition) | Near | 20 bits S:J2:J1:imm6:imm11, signed, of 2 bytes |
//! | F8DF (LDR.W literal) | Near | 12 bits of the second, of 1 byte |
//! | E000/F800 (B) | Near | 11 bits, signed, of 2 bytes |
//! | 4800/F800 (LDR literal) | Near | 8 bits, of 4 bytes |
//! | D000/F000 but DE00/FE00 (B with condition) | Near | 8 bits, signed, of 2 bytes |
//!
//! The first three make a group of 4 bytes, the others one of 2. The field counts from `at + 4`, for literals from there
//! rounded down to a multiple of 4. If a literal load has an address (enough bytes are left) and that is in the base, at an
//! offset that is a multiple of 4, above `s` and less than 1024 above it, that has its pool bit set.
//!
//! ## RISC-V (2: RV32, 3: RV64)
//!
//! An instruction is 4 bytes, Wide, if its lowest two bits are ones, else 2, Plain.
//!
//! | instruction | kind | bytes | runs, signed, from `at` |
//! |---|---|---|---|
//! | 6F/7F (JAL) | Far | 4 | 21-1-10, 20-11-1, 12-12-8, 31-20-1 |
//! | 63/7F (branches) | Near | 4 | 8-1-4, 25-5-6, 7-11-1, 31-12-1 |
//! | A001/E003 (C.J) | Near | 2 | 3-1-3, 11-4-1, 2-5-1, 7-6-1, 6-7-1, 9-8-2, 8-10-1, 12-11-1 |
//! | C001/C003 (C.BEQZ, C.BNEZ) | Near | 2 | 3-1-2, 10-3-2, 2-5-1, 5-6-2, 12-8-1 |
//! | 2001/E003, RV32 only (C.JAL) | Far | 2 | as C.J |
//!
//! A **lower** instruction has 12 signed bits `low`: 20-0-12 in 03/7F, 07/7F, 13/707F, 1B/707F and 67/707F; 7-0-5, 25-5-7 in
//! 23/7F and 27/7F. It is based on register `i >> 15 & 31`. `high` is `i & FFFFF000`, the register written `i >> 7 & 31`.
//!
//! **AUIPC** (17/7F) has an address if the word at `s + 4` is a lower instruction based on the register that it writes: `at +
//! high + low`; kind Word, 4 bytes. `next = at + 4` and `pair =` that address are then remembered (`next` is none at first). It is
//! given `high = (new address - its new place + 800) & FFFFF000`. When a group at the address `next - 4` has passed,
//! `origin =` the target's address of it plus `high` of what it has become, and if that is no AUIPC, `next` is none again. What is
//! read at `next` has the address `pair`; kind Far, 4 bytes; it is given `low = new address - origin` if it is a lower instruction and
//! that fits, and holds the address `origin + low`. This comes before all others.
//!
//! **LUI** (37/7F; RV32 only) has the address `high + low`, `low` from the first lower instruction ahead that is based on the
//! register that it writes, else 0: looked for from `s + 4` on, past 2 or 4 bytes at a time, up to `s + 12`. Kind Word, 4 bytes. It is
//! given `high = (new address + 800) & FFFFF000`. There are 8 slots, empty at first; register `r` has slot `r mod 8`. When a
//! LUI has passed and has become a LUI, the slot of the old one's register is filled with the register, the old `high`, and the new
//! one as its sum with a difference of 9 bits, signed, of bits 12 on. When anything else has passed that writes a register, that
//! one's slot is emptied if it is filled for it. A lower instruction based on a register whose slot is filled for it has the
//! address old `high` + `low`; kind Far, 4 bytes; it is given `low = new address - new high` if that fits, and holds new `high` + `low`
//! (of the result, and only if the slot of the result's register is filled for it).
//!
//! *Writes*, by the lowest two bits: 3: `i >> 7 & 31` but for 23/7F, 27/7F and 63/7F. Else by bits 13 to 15 of `i`: 0: `8 +
//! (i >> 2 & 7)` for 0 to 3. 1: `i >> 7 & 31` for 0, 2, 3, and `8 + (i >> 7 & 7)` for 4. 2: `i >> 7 & 31` for 0, 2, 4.
//! Others: none.
//!
//! ## AArch64 (4)
//!
//! What is at an `at` that is a multiple of 4 is an instruction: 4 bytes, Wide; else it is 2 bytes, Plain.
//!
//! | instruction | kind | runs, signed, from `at` |
//! |---|---|---|
//! | 94000000/FC000000 (BL) | Far | 0-2-26 |
//! | 14000000/FC000000 (B) | Near | 0-2-26 |
//! | 54000000/FF000000 (B.cond) | Near | 5-2-19 |
//! | 34000000/7E000000 (CBZ, CBNZ) | Near | 5-2-19 |
//! | 36000000/7E000000 (TBZ, TBNZ) | Near | 5-2-14 |
//! | 18000000/3B000000 (LDR literal) | Near | 5-2-19 |
//! | 10000000/9F000000 (ADR) | Far | 29-0-2, 5-2-19 |
//!
//! A **lower** instruction has 12 bits 10-0-12, `n`, and `low = n << scale`, which must be below 1000: 91000000/FFC00000 with scale 0;
//! 39000000/3B000000 with scale `i >> 30`, and 4 more if bits 23 and 26 are ones. It is based on register `i >> 5 & 31`.
//!
//! **ADRP** (90000000/9F000000, runs 29-0-2, 5-2-19) has the page `(at & FFFFF000) + (number << 12)` and the address page + `low`,
//! `low` from the first of the words at `s + 4`, `s + 8` and `s + 12` that is a lower instruction based on its register `i & 31`,
//! else 0. Kind Word. It is given the pages from its new place to the new address, bits 12 to 31 of the difference, signed. Slots as
//! with LUI hold the pages of ADRP that became ADRP. A lower instruction based on a register whose slot is filled for it has the
//! address page + `low`; kind Far; it is given `low` = the lowest 12 bits of the new address, if they are a multiple of `1 <<
//! scale`, and holds the new page + `low` (of the result, and only if the slot of the result's register is filled for it).
//!
//! *Writes* `i & 31`, by `i >> 25 & 15`: 5, 8, 9, 13 always; 4, 6, 12, 14 if bit 22 is one; others nothing.
//!
//! ## Xtensa (5)
//!
//! Instructions are at any offset and have 1 to 3 bytes. The rules of groups hold with these changes: those that make a group
//! Plain because `t` or `s` is odd do not (`left = 1` still makes a Plain group of 1; a Repeat at an odd `t` is still of 1
//! byte); *in RAM* is `word >> 20` = 3FF or `word >> 16` = 4010; *in a pool* is every *constant*: `word >> 16` = 4000 or
//! 6000. Before the instruction rules: if `s - t` is a multiple of 4, `s + b` too for a `b` of 1 or 2, and the word there is
//! a *landmark*, the group is Plain, of `b` bytes. A landmark is a word with an address in the base, in RAM, constant, or the
//! *start of a function*: 80C112/80FFFF or 136/F00FFF. No group has more than `left` bytes.
//!
//! The instruction `i` is *implausible* if its lowest four bits are 3, 4, 14 or 15; 0 and bits 16 to 19 are 6 to 9 or 12 to 15; 2 and
//! bits 12 to 15 are 3, 7, 8, 11 or 15; 5 and bit 4 is one; 13 and bits 12 to 15 are 1 to 14. It is then 1 byte, Plain. Else it is 2
//! bytes, Plain, if bit 3 is one, and 3 bytes, Wide, if not.
//!
//! *Doubt* is 0 at first. When an instruction is read: at an `at` that is a multiple of 4, the start of a function sets doubt to 0;
//! then an implausible one sets it to 4 and has no address; any other has one only if doubt is 0, else takes 1 off.
//!
//! | instruction | kind | runs | from |
//! |---|---|---|---|
//! | 01/0F (L32R) | Word | 8-2-16 | `(at + 3 & ~3) - 40000` |
//! | 05/0F (CALL0 to CALL12) | Far | 6-2-18, signed | `at + 4 & ~3` |
//! | 06/3F (J) | Near | 6-0-18, signed | `at + 4`, as all below |
//! | 16/3F (BEQZ, BNEZ, BLTZ, BGEZ) | Near | 12-0-12, signed | |
//! | 26/3F, B6/BF, 76/E0FF, 07/0F (other branches) | Near | 16-0-8, signed | |
//! | 8076/C0FF (LOOP, LOOPNEZ, LOOPGTZ) | Near | 16-0-8 | |
//! | 8C/8F (BEQZ.N, BNEZ.N) | Near | 12-0-4, 4-4-2 | |
//!
//! The group has the instruction's bytes. Instructions of kind Word learn a lesson as Far does.
//!
//! ## AVR (6)
//!
//! Images start at address 0, addresses of code are in bytes, and no word rule holds. An address of data counts
//! as 1000000 more; *in RAM* is `address >> 16` = 100. An instruction is 4 bytes, Wide, if the table says so, else 2, Plain; its second
//! halfword is the upper one of `i`. Addresses are absolute but for those from `at + 2`.
//!
//! | instruction | kind | bytes | runs |
//! |---|---|---|---|
//! | C000/E000 (RJMP, RCALL) | Far | 2 | 0-1-12, signed, from `at + 2` |
//! | F000/F800 (branches) | Near | 2 | 3-1-7, signed, from `at + 2` |
//! | 940C/FE0C (JMP, CALL) | Far | 4 | 16-1-16, 0-17-1, 4-18-5 |
//! | 9000/FC0F (LDS, STS) | Far | 4 | 16-0-16, of data |
//! | E010E000/F010F010, bits 21 to 23 as bits 5 to 7 (LDI of two registers) | Far | 4 | 0-0-4, 8-4-4, 16-8-4, 24-12-4, of data |
//!
//! ## MCS-51 (7)
//!
//! Instructions are at any offset, as with Xtensa (but nothing is a landmark); images, addresses of data and *in RAM* are as with AVR,
//! and no word rule holds. An instruction is 1 or 2 bytes, Plain, or 3, Wide: bits `2u` and `2u + 1` of a number, `u` being the
//! upper half of its first byte: 5AAEAAFD, AAAAAAAA, 5AAAAA5F, 55557F55, 55D9AAA5, AEDBEAAA for lower halves 0 to 5, 55E69555 for 6 and
//! 7, 59E69555 above.
//!
//! Code above 8000 is in banks of 8000 bytes. At `at`, 16 bits `a` of code stand for the address `a` if that is below 8000, else for
//! `max(1, at >> 15) << 15 | a & 7FFF`. A new address that cannot be written so as to read the same has no place in the instruction.
//!
//! | first byte | kind | bytes | address |
//! |---|---|---|---|
//! | any, at the address *banked* | Far | 3 | lower byte, upper byte, bank `b`: `a` if `b` is 0 and `a < 8000`, `b << 15 \| a & 7FFF` if neither; else none |
//! | 02, 12 (LJMP, LCALL) | Far | 3 | `a` of code: upper byte, lower byte |
//! | 90 (MOV DPTR) | Far | 3 | of data: upper byte, lower byte |
//! | 7A with 7B, 7C with 7D as third byte, or the other way round (MOV Rn) | Far | 4 | of data: lower byte behind 7A, 7C, upper one behind 7B, 7D |
//! | 10, 20, … 80, B4 to BF, D5, D8 to DF (jumps) | Near | its own | last byte, signed, from the next instruction |
//!
//! Something *banked* is 3 bytes, Wide, also if it has no address. An LJMP or LCALL whose three bytes are those at `s + 6`, too, makes
//! `at + 3` *banked*; nothing is at first.
//!
//! # Copies
//!
//! A group is **doubtful** if it is a Far, Pointer, Ram or Word, or a Near with a trust below 3. `streak` is 0 at first, grows by
//! the bytes of every predicted group, and falls to 0 at any other that is not doubtful and at a literal. While `streak ≥ 128`, a
//! block comes: of `2^floor(log2 streak)` bytes, at most 4096 and what is left of the copy. One bit, with block counter
//! `2 × min(15, floor(log2 streak)) + (groups & 1)` alone, says whether the groups that begin in it are all predicted; if not,
//! `streak` becomes 0. The doubtful ones are no part of that promise: each is coded for itself, and one that is not as
//! predicted ends the block. Where there is no block, a group comes. A group that is coded for itself starts with one bit that
//! says whether it is the predicted one. If not, an address or a halfword follows, as below, or its bytes: for each a bit that
//! says whether it is as predicted (left out for the last if all before it were), and if not its difference `d` = byte -
//! predicted, modulo 256. Eight mixed bits, the highest first, code a byte; `node` is 1 followed by the bits so far, and each
//! context's hash is `scramble(context ^ node)`.
//!
//! # Mispredicted addresses
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
//! What an Xtensa instruction has **left** says where in it a byte is, since the offset does not. `left` is 0 at first. A byte
//! that comes at 0 begins an instruction and makes it 1 if its bit 3 is one, else 2; at 1 and 2 a byte makes it one less. Every
//! byte of the result, of copies and of literals, changes `left`. Training has one of its own, which begins as the result's is
//! then and changes with every byte trained with. **Within** is the `left` that a byte comes at, in Xtensa; in all other
//! sets, and without relocation, it is the byte's offset, in the target or in the base.
//!
//! A literal is eight mixed bits, the highest first; `node` is 1 followed by the bits so far. Its eight inputs are, in this order:
//!
//! 1. Those of the two matches: 0 without a match, or if the bits so far are not those of the byte that it expects. Else `stretch` of the `p` of
//!    its confidence counter `m`, negative if the expected bit is 0; after the weights, this counter learns, as a bit, whether the
//!    expected bit was right.
//! 2. Order 0's: counter `(node + 256 × within) mod Z`, any `left` above 0 counting as 1.
//! 3. Those of five hashed contexts, each with a checked counter in a slice of its own, at `((h >> 16) × slice) >> 16` with
//!    `h = scramble(hash(k, last & mask, within & place) ^ node)`. The slices follow each other; each is its share of the checked
//!    counters, rounded down. In memory classes 12 and 13 only the first context is used, with a share of 1; the inputs of the others are 0.
//!
//! | k | mask | place | place, Xtensa | share |
//! |---|---|---|---|---|
//! | 1 | 0xFF | 1 | 3 | 14 / 22 |
//! | 2 | 0xFF00 | 0 | 3 | 4 / 22 |
//! | 3 | 0xFFFF0000 | 0 | 3 | 2 / 22 |
//! | 4 | 0xFFF0 | 0 | 3 | 1 / 22 |
//! | 5 | 0xF0F0F0 | 0 | 3 | 1 / 22 |
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
//! `last` = the last four target bytes, newest lowest. `groups` = one bit for each group, newest lowest: 1 if predicted;
//! `own` = the last 8 of them of the same kind. `class` = kind + 8 × trust + 128 × (target offset mod 4), the offset being
//! the group's; trust is 0 where none is named, and 8 more for a Pointer in a pool that is `old` and not a sum. `p` = the
//! group's predicted bytes as a number, `half` its lower 16 bits (8 for one byte), also for groups of 4; for fewer than four
//! bytes, `p`'s upper bits are those of `old`, which for a Repeat holds what has been produced from `s` on, two bytes at
//! most, however many of them the group has. `recent` = zeros among the last 16 of `groups`. For byte `i` of a group: `align`
//! = its target offset mod 4, `at` = i + 4 × misses + 64 × kind, `misses` having bit j for each wrong byte j so far, for a
//! difference with this one; `q`, `r` = bits 0 to 7 and 8 to 15 of `p >> 8i`; `da` = newest difference at this alignment,
//! `d1` = newest of all; what comes as an address or a halfword is no difference. All of these are 0 at first. `last`,
//! `groups` and `own` change after the group.
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
//! | `header` | the first 22 bytes, or 24 |
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
pub use header::{
    HEADER_BYTES, HEADER_BYTES_MAX, Header, HeaderBytes, IMAGE_BYTES_MAX, MemoryClass, Reach, VERSION,
};
pub use io::{IoFailed, OUTPUT_PIECE_BYTES, Output, ReadAt};
pub use isa::{Ahead, Isa, UnknownIsa, with_labels};
pub use layout::{Layout, SEGMENTS_MAX, Segment};
pub use models::{Mark, Models, Number, Setup, TooLarge};
pub use relocate::{Group, Kind, Place, Relocation};
pub use source::crc32;
