/*
 * The decoder in C on an emulated Cortex-M3 (QEMU's mps2-an385): reads cases from the file `cases` of the directory in
 * which the emulator was started, writes the answers to `answers`, both through semihosting.
 *
 * A case is base length, patch length, memory length (32 bits each, little-endian), base, patch. An answer is the
 * decoder's result, the image's length (0 unless it is done) and the image.
 */
#include "deltagate_patch.h"

enum { IMAGE_BYTES_MAX = 1 << 16, MEMORY_BYTES_MAX = 1 << 17 };
enum { SYS_OPEN = 0x01, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT = 0x18 };
enum { READ_BINARY = 1, WRITE_BINARY = 5 };
#define APPLICATION_EXIT 0x20026u /* ADP_Stopped_ApplicationExit */

typedef struct {
    const uint8_t *base, *patch;
    uint8_t *result;
    uint32_t produced;
} storage;

static uint8_t base[IMAGE_BYTES_MAX], patch[IMAGE_BYTES_MAX], result[IMAGE_BYTES_MAX];
static uint16_t memory[MEMORY_BYTES_MAX / 2];
static deltagate_patch decoder;

static uint32_t semihosting(uint32_t operation, uintptr_t argument) {
    register uint32_t r0 __asm__("r0") = operation;
    register uintptr_t r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static uint32_t file(const char *name, uint32_t length, uint32_t mode) {
    const uint32_t arguments[3] = {(uintptr_t)name, mode, length};
    return semihosting(SYS_OPEN, (uintptr_t)arguments);
}

/* Whether all of them were read, or written. */
static int all(uint32_t operation, uint32_t handle, const void *bytes, uint32_t count) {
    const uint32_t arguments[3] = {handle, (uintptr_t)bytes, count};
    return count == 0 || semihosting(operation, (uintptr_t)arguments) == 0;
}

/* Compilers call it without being told to. */
void *memcpy(void *to, const void *from, size_t count);
void *memcpy(void *to, const void *from, size_t count) {
    uint8_t *t = to;
    const uint8_t *f = from;
    while (count-- > 0) {
        *t++ = *f++;
    }
    return to;
}

static int copy(uint8_t *to, const uint8_t *from, size_t count) {
    memcpy(to, from, count);
    return 0;
}

static int read_base(void *context, uint32_t offset, uint8_t *bytes, size_t count) {
    return copy(bytes, ((storage *)context)->base + offset, count);
}

static int read_patch(void *context, uint32_t offset, uint8_t *bytes, size_t count) {
    return copy(bytes, ((storage *)context)->patch + offset, count);
}

static int read_output(void *context, uint32_t offset, uint8_t *bytes, size_t count) {
    return copy(bytes, ((storage *)context)->result + offset, count);
}

static int append_output(void *context, const uint8_t *bytes, size_t count) {
    storage *s = context;
    copy(s->result + s->produced, bytes, count);
    s->produced += count;
    return s->produced > IMAGE_BYTES_MAX;
}

static deltagate_patch_result decode(storage *s, const uint32_t lengths[3]) {
    deltagate_patch_io io = {s, lengths[0], lengths[1], read_base, read_patch, read_output, append_output};
    deltagate_patch_header header;
    deltagate_patch_result ended = deltagate_patch_parse(&header, s->patch, lengths[1]);
    if (ended == DELTAGATE_PATCH_DONE) {
        ended = deltagate_patch_begin(&decoder, &header, memory, lengths[2], &io);
    }
    if (ended == DELTAGATE_PATCH_DONE) {
        ended = deltagate_patch_step(&decoder, 5 * header.target_bytes + 4);
    }
    return ended;
}

void reset(void);
void reset(void) {
    uint32_t cases = file("cases", 5, READ_BINARY), answers = file("answers", 7, WRITE_BINARY);
    uint32_t lengths[3];
    while (all(SYS_READ, cases, lengths, sizeof lengths)) {
        storage s = {base, patch, result, 0};
        uint32_t answer[2];
        if (lengths[0] > IMAGE_BYTES_MAX || lengths[1] > IMAGE_BYTES_MAX || lengths[2] > MEMORY_BYTES_MAX ||
            !all(SYS_READ, cases, base, lengths[0]) || !all(SYS_READ, cases, patch, lengths[1])) {
            break;
        }
        answer[0] = (uint32_t)decode(&s, lengths);
        answer[1] = answer[0] == 0 ? s.produced : 0;
        all(SYS_WRITE, answers, answer, sizeof answer);
        all(SYS_WRITE, answers, result, answer[1]);
    }
    semihosting(SYS_EXIT, APPLICATION_EXIT);
    for (;;) {
    }
}

extern uint32_t stack_top;
__attribute__((section(".vectors"), used)) static const uintptr_t vectors[2] = {
    (uintptr_t)&stack_top,
    (uintptr_t)reset,
};
