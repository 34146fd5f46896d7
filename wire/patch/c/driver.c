/*
 * Decodes cases from standard input, for comparison with another decoder. A case is, in little-endian numbers of 32 bits, the
 * bytes of base, patch and memory, then base and patch. Its answer is a status (0, or the number of the error, or
 * 0xFFFFFFFF when it took more steps than the specification allows), the bytes of the result, and these.
 */
#include "deltagate_patch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_PER_CALL 7

typedef struct {
    const uint8_t *base, *patch;
    uint8_t *output;
    uint32_t base_bytes, patch_bytes, output_bytes, output_bytes_max;
} files;

static int read_from(const uint8_t *from, uint32_t length, uint32_t offset, uint8_t *bytes, size_t count) {
    if (count == 0 || offset > length || count > length - offset) {
        abort(); /* The decoder promises never to ask for that. */
    }
    memcpy(bytes, from + offset, count);
    return 0;
}

static int read_base(void *context, uint32_t offset, uint8_t *bytes, size_t count) {
    const files *f = context;
    return read_from(f->base, f->base_bytes, offset, bytes, count);
}

static int read_patch(void *context, uint32_t offset, uint8_t *bytes, size_t count) {
    const files *f = context;
    return read_from(f->patch, f->patch_bytes, offset, bytes, count);
}

static int read_output(void *context, uint32_t offset, uint8_t *bytes, size_t count) {
    const files *f = context;
    return read_from(f->output, f->output_bytes, offset, bytes, count);
}

static int append_output(void *context, const uint8_t *bytes, size_t count) {
    files *f = context;
    if (count == 0 || count > f->output_bytes_max - f->output_bytes || f->output_bytes % DELTAGATE_PATCH_PIECE_BYTES != 0) {
        abort();
    }
    memcpy(f->output + f->output_bytes, bytes, count);
    f->output_bytes += (uint32_t)count;
    return 0;
}

static void *allocated(size_t bytes) {
    void *memory = malloc(bytes > 0 ? bytes : 1);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

/* Whether all of it came. */
static int input(void *bytes, size_t count) {
    return fread(bytes, 1, count, stdin) == count;
}

static int input_u32(uint32_t *value) {
    uint8_t b[4];
    if (!input(b, 4)) {
        return 0;
    }
    *value = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    return 1;
}

static void print_u32(uint32_t value) {
    unsigned i;
    for (i = 0; i < 4; i++) {
        putchar((int)(value >> 8 * i & 255));
    }
}

static uint32_t decode(files *f, uint32_t memory_bytes) {
    deltagate_patch_header header;
    deltagate_patch decoder;
    deltagate_patch_io io = {0};
    uint16_t *memory = allocated(memory_bytes);
    deltagate_patch_result result = deltagate_patch_parse(&header, f->patch, f->patch_bytes);
    io.context = f;
    io.base_bytes = f->base_bytes;
    io.patch_bytes = f->patch_bytes;
    io.read_base = read_base;
    io.read_patch = read_patch;
    io.read_output = read_output;
    io.append_output = append_output;
    if (result == DELTAGATE_PATCH_DONE) {
        f->output_bytes_max = header.target_bytes;
        f->output = allocated(header.target_bytes);
        result = deltagate_patch_begin(&decoder, &header, memory, memory_bytes, &io);
    }
    if (result == DELTAGATE_PATCH_DONE) {
        uint32_t steps_left = 5 * header.target_bytes + 4;
        do {
            uint32_t budget = steps_left < STEPS_PER_CALL ? steps_left : STEPS_PER_CALL;
            result = deltagate_patch_step(&decoder, budget);
            steps_left -= budget;
        } while (result == DELTAGATE_PATCH_MORE && steps_left > 0);
    }
    free(memory);
    return (uint32_t)result;
}

int main(void) {
    uint32_t base_bytes, patch_bytes, memory_bytes;
    while (input_u32(&base_bytes) && input_u32(&patch_bytes) && input_u32(&memory_bytes)) {
        uint8_t *base = allocated(base_bytes), *patch = allocated(patch_bytes);
        files f = {0};
        uint32_t status;
        if (!input(base, base_bytes) || !input(patch, patch_bytes)) {
            return 1;
        }
        f.base = base;
        f.patch = patch;
        f.base_bytes = base_bytes;
        f.patch_bytes = patch_bytes;
        status = decode(&f, memory_bytes);
        print_u32(status);
        print_u32(status == 0 ? f.output_bytes : 0);
        if (status == 0) {
            fwrite(f.output, 1, f.output_bytes, stdout);
        }
        fflush(stdout);
        free(f.output);
        free(base);
        free(patch);
    }
    return 0;
}
