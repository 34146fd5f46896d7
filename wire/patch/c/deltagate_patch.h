/*
 * Decoder of deltagate patches: turns the firmware image that a device runs (the base) into another (the target).
 *
 * C99. No heap, no recursion, no floating point, nothing from the C library. Written from the specification of the
 * format, the front page of the Rust crate wire-patch; README.md says how to use it and what it costs.
 *
 * Patches are hostile: whatever the bytes, every call returns after bounded work, with an error that has a name.
 */
#ifndef DELTAGATE_PATCH_H
#define DELTAGATE_PATCH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Instruction sets whose addresses are understood: all, unless told otherwise. One that was left out is refused by name
 * (DELTAGATE_PATCH_UNKNOWN_INSTRUCTION_SET) before anything is written.
 */
#ifndef DELTAGATE_PATCH_THUMB
#define DELTAGATE_PATCH_THUMB 1
#endif
#ifndef DELTAGATE_PATCH_RISCV /* RV32 and RV64 */
#define DELTAGATE_PATCH_RISCV 1
#endif
#ifndef DELTAGATE_PATCH_AARCH64
#define DELTAGATE_PATCH_AARCH64 1
#endif
#ifndef DELTAGATE_PATCH_XTENSA
#define DELTAGATE_PATCH_XTENSA 1
#endif
#ifndef DELTAGATE_PATCH_AVR
#define DELTAGATE_PATCH_AVR 1
#endif
#ifndef DELTAGATE_PATCH_MCS51
#define DELTAGATE_PATCH_MCS51 1
#endif

/* Whether patches are known that may be applied in place. Without, they are of an unknown version: this decoder has no checkpoints,
   which a device that applies them in place needs. */
#ifndef DELTAGATE_PATCH_IN_PLACE
#define DELTAGATE_PATCH_IN_PLACE 0
#endif

/* Bytes in the header of a patch, and of one that may be applied in place. */
#define DELTAGATE_PATCH_HEADER_BYTES 22
#define DELTAGATE_PATCH_HEADER_BYTES_MAX 24

/*
 * The bytes of every piece of the result but the last, which may be shorter: a power of two. What a flash programs at once,
 * or more.
 */
#ifndef DELTAGATE_PATCH_PIECE_BYTES
#define DELTAGATE_PATCH_PIECE_BYTES 16
#endif

/* The version of the format that this decoder knows. */
#define DELTAGATE_PATCH_VERSION 1

/* What came of a call. The errors have the names, and the order, of `DecodeError` in the Rust crate. */
typedef enum {
    DELTAGATE_PATCH_MORE = -1, /* Not an error: step again. */
    DELTAGATE_PATCH_DONE = 0,  /* The whole result was appended, and its CRC-32 is right. */

    /* Malformed. */
    DELTAGATE_PATCH_TRUNCATED,           /* Shorter than a header, or the stream ends before the image is complete. */
    DELTAGATE_PATCH_TRAILING_BYTES,      /* The image is complete but coded bytes remain. */
    DELTAGATE_PATCH_NUMBER_TOO_LARGE,    /* A number has more digits than any legal one. */
    DELTAGATE_PATCH_EMPTY_TRIPLE,        /* A control triple yields no byte. */
    DELTAGATE_PATCH_OUTPUT_OVERRUN,      /* The triples ask for more bytes than the image has left. */
    DELTAGATE_PATCH_SOURCE_OUT_OF_RANGE, /* A copy from outside the base image and the result so far. */
    DELTAGATE_PATCH_NO_REACH,            /* To be applied in place, with a reach of nothing. */
    DELTAGATE_PATCH_SOURCE_OUT_OF_REACH, /* A copy from a part of the base that the result may have overwritten. */
    DELTAGATE_PATCH_RESULT_MISMATCH,     /* The CRC-32 of the result is wrong: corrupt patch or wrong base. */

    /* Unsupported: nothing was written. */
    DELTAGATE_PATCH_NOT_A_PATCH,
    DELTAGATE_PATCH_UNKNOWN_VERSION,
    DELTAGATE_PATCH_UNKNOWN_MEMORY_CLASS,
    DELTAGATE_PATCH_UNKNOWN_INSTRUCTION_SET, /* Unknown, or left out when this decoder was compiled. */

    /* The caller's side. */
    DELTAGATE_PATCH_MEMORY_TOO_SMALL, /* Nothing was written. */
    DELTAGATE_PATCH_BASE_LENGTH,      /* The base has not the length in the header. Nothing was written. */
    DELTAGATE_PATCH_BASE_UNREADABLE,
    DELTAGATE_PATCH_PATCH_UNREADABLE,
    DELTAGATE_PATCH_OUTPUT_FAILED,
    DELTAGATE_PATCH_POISONED /* A step after an error. */
} deltagate_patch_result;

/* The first bytes of a patch, read and checked. */
typedef struct {
    uint32_t target_bytes; /* Length of the result. */
    uint32_t base_bytes;   /* Length of the base image. */
    uint32_t target_crc32; /* CRC-32 (ISO-HDLC) of the result: against accidents only. */
    uint32_t memory_bytes; /* The memory that the decoder needs: 4096 to 131072. */
#if DELTAGATE_PATCH_IN_PLACE
    uint32_t reach_bytes;  /* How far behind the result the base is needed, in place; 0 of a patch that is not for that. */
#endif
    uint8_t base_digest_prefix[8]; /* First bytes of the base's SHA-256: the caller compares them before the first step. */
} deltagate_patch_header;

/*
 * The caller's storage. Every function returns 0 when it did what it was asked and anything else when it could not; the
 * decoder then stops with an error that names the side. Must stay as it is while a decoder runs.
 */
typedef struct {
    void *context;        /* Handed to every function. */
    uint32_t base_bytes;  /* Length of the base image. */
    uint32_t patch_bytes; /* Length of the patch, header included. */

    /* Fill `bytes` from `offset` of the base image. Asked only for 1 to 4 bytes inside `base_bytes`. */
    int (*read_base)(void *context, uint32_t offset, uint8_t *bytes, size_t count);
    /* The same of the patch, a byte at a time: two cursors, each of which moves forward only. */
    int (*read_patch)(void *context, uint32_t offset, uint8_t *bytes, size_t count);
    /* The same of the result, a byte at a time. Asked only for what was appended. */
    int (*read_output)(void *context, uint32_t offset, uint8_t *bytes, size_t count);
    /* Append the next bytes of the result: DELTAGATE_PATCH_PIECE_BYTES of them, fewer only in the last call. */
    int (*append_output)(void *context, const uint8_t *bytes, size_t count);
} deltagate_patch_io;

/* Everything below is the decoder's own. */

typedef struct {
    uint32_t range, code, position;
} deltagate_patch_coder;

typedef struct {
    uint32_t start[4]; /* Offsets where the parts behind the first begin; of a part that is not there, above all others. */
    uint32_t shift[5]; /* From a part's offsets to its addresses. */
} deltagate_patch_layout;

struct deltagate_patch_instruction; /* A row of the tables of instructions. */

typedef struct {
    uint8_t kind, trust, bytes;
    uint8_t row_kind; /* The kind, if the instruction can hold its new address. */
    uint8_t word; /* The address is a word: 1, or, of a sum, 2. */
    uint8_t byte, misses; /* Of a group that is not as predicted: the byte in progress; those that differed so far. */
    uint32_t source, old, predicted, address, result;
    const struct deltagate_patch_instruction *row; /* The address is in an instruction. */
} deltagate_patch_group;

typedef struct {
    uint32_t train;         /* The next of the base's bytes that train the literal models before the extra ones. */
    uint16_t match_back[2]; /* How far behind the position a match is; 0: there is none. */
    uint8_t match_length[2];
    uint8_t train_left;     /* Xtensa: bytes left of the last instruction of what trains. */
} deltagate_patch_literals;

/* In the order in which small cores reach the fields best: bytes, halfwords, words, and what is large. */
typedef struct {
    int8_t error;
    uint8_t phase, coder_used, isa, relocation, copies_min_log2, share;
    uint8_t pair; /* The instruction is one of an AUIPC pair. */
    uint8_t own[8], difference_at[4], difference, found;
    uint8_t contexts; /* Contexts of the next mixed bit. */
    uint8_t against; /* The contexts of a mixed bit whose counters tell of a 0. */
    uint16_t map, map_entries, hits, byte_hits, differences;
    uint16_t positions1, positions2, checked, hits_slice, byte_hits_slice, order0_mask;
    uint16_t groups, streak, block;
    uint32_t cell_count;
    uint16_t *cells;
    const deltagate_patch_io *io;
    uint32_t position;                   /* Target bytes produced. */
    uint32_t start, source, copy, extra; /* The triple in progress: `start` is its place in the target. */
    uint32_t last;
    uint32_t target_bytes;
#if DELTAGATE_PATCH_IN_PLACE
    uint32_t reach_bytes;
#endif
    union {
        deltagate_patch_group group;       /* While a triple is copied. */
        deltagate_patch_literals literals; /* After that. */
    } now;
    uint32_t target_crc32, crc32;
    deltagate_patch_coder coder[2]; /* Of everything; of the triples, a second time. */
    int16_t input[8];
    uint16_t cell[8];
    uint32_t context[7];
    deltagate_patch_layout base, target;
    union {
#if DELTAGATE_PATCH_THUMB
        struct {
            uint32_t wide;
            uint8_t pool[32];
        } thumb;
#endif
#if DELTAGATE_PATCH_RISCV || DELTAGATE_PATCH_AARCH64
        struct {
            uint32_t next, pair, origin;
            uint32_t slots[8];
        } registers;
#endif
        struct {
            uint8_t doubt;
            uint8_t left; /* Bytes left of the result's last instruction. */
        } xtensa;
        uint32_t banked; /* MCS-51 */
    } isa_state;
    uint8_t piece[DELTAGATE_PATCH_PIECE_BYTES];
} deltagate_patch;

/*
 * Reads the header, from the first bytes of a patch: DELTAGATE_PATCH_HEADER_BYTES_MAX of them, or all if it has fewer.
 * DELTAGATE_PATCH_DONE when it is good.
 */
deltagate_patch_result deltagate_patch_parse(deltagate_patch_header *header, const uint8_t *bytes, size_t count);

/*
 * Begins to decode the patch with this header, with `memory_bytes` of memory. The decoder keeps the pointers to `memory`
 * and `io`, but not to `header`. DELTAGATE_PATCH_DONE when stepping can start.
 */
deltagate_patch_result deltagate_patch_begin(deltagate_patch *decoder, const deltagate_patch_header *header,
                                             uint16_t *memory, size_t memory_bytes, const deltagate_patch_io *io);

/*
 * Goes on for at most `budget` steps; at most 5 × target + 4 steps make a result. DELTAGATE_PATCH_MORE means that there
 * is more to do, DELTAGATE_PATCH_DONE that the result is complete, everything else that the decoder stopped for good.
 */
deltagate_patch_result deltagate_patch_step(deltagate_patch *decoder, uint32_t budget);

/* What a result means, for people. */
const char *deltagate_patch_message(deltagate_patch_result result);

#ifdef __cplusplus
}
#endif

#endif
