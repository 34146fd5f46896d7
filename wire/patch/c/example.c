/*
 * Applies a patch on a computer: `example OLD PATCH NEW [MEMORY_BYTES]`.
 *
 * Shows how the decoder is used. What it leaves to a device: comparing the base's SHA-256 with the prefix in the header
 * before the first step, and checking the result's signature after the last one. See README.md.
 *
 * Exits with 0 when NEW is complete, 1 when the patch was refused, 2 when it was called wrongly, 3 when a file failed.
 */
#include "deltagate_patch.h"

#include <stdio.h>
#include <stdlib.h>

#define STEPS_PER_CALL 1000u
#define MEMORY_BYTES_MAX 131072u

enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2, EXIT_FILES = 3 };

typedef struct {
    FILE *base, *patch, *output;
} files;

static int read_from(FILE *file, uint32_t offset, uint8_t *bytes, size_t count) {
    return fseek(file, (long)offset, SEEK_SET) != 0 || fread(bytes, 1, count, file) != count;
}

static int read_base(void *context, uint32_t offset, uint8_t *bytes, size_t count) {
    return read_from(((files *)context)->base, offset, bytes, count);
}

static int read_patch(void *context, uint32_t offset, uint8_t *bytes, size_t count) {
    return read_from(((files *)context)->patch, offset, bytes, count);
}

static int read_output(void *context, uint32_t offset, uint8_t *bytes, size_t count) {
    return read_from(((files *)context)->output, offset, bytes, count);
}

static int append_output(void *context, const uint8_t *bytes, size_t count) {
    FILE *output = ((files *)context)->output;
    return fseek(output, 0, SEEK_END) != 0 || fwrite(bytes, 1, count, output) != count;
}

/* Opens a file; its length too, unless `bytes` is NULL. */
static FILE *opened(const char *path, const char *mode, uint32_t *bytes) {
    FILE *file = fopen(path, mode);
    long length = 0;
    if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (length = ftell(file)) < 0 || length > 0x7FFFFFFF) {
        fprintf(stderr, "example: %s cannot be opened\n", path);
        exit(EXIT_FILES);
    }
    if (bytes != NULL) {
        *bytes = (uint32_t)length;
    }
    return file;
}

static deltagate_patch_result refused(const char *path, deltagate_patch_result result) {
    if (result != DELTAGATE_PATCH_DONE) {
        fprintf(stderr, "example: %s: %s\n", path, deltagate_patch_message(result));
        exit(result >= DELTAGATE_PATCH_BASE_UNREADABLE ? EXIT_FILES : EXIT_REFUSED);
    }
    return result;
}

int main(int argc, char **argv) {
    static uint16_t memory[MEMORY_BYTES_MAX / 2]; /* A device takes what its patches need: 4096 bytes are enough for class 12. */
    static deltagate_patch decoder;
    uint8_t start[DELTAGATE_PATCH_HEADER_BYTES_MAX];
    deltagate_patch_header header;
    deltagate_patch_result result;
    deltagate_patch_io io;
    files f;
    unsigned long memory_bytes = MEMORY_BYTES_MAX;

    if (argc == 5) {
        char *end;
        memory_bytes = strtoul(argv[4], &end, 10);
        if (*end != '\0' || memory_bytes == 0 || memory_bytes > MEMORY_BYTES_MAX) {
            fprintf(stderr, "example: MEMORY_BYTES is a number up to %u\n", MEMORY_BYTES_MAX);
            return EXIT_USAGE;
        }
    }
    if (argc != 4 && argc != 5) {
        fprintf(stderr, "usage: example OLD PATCH NEW [MEMORY_BYTES]\n");
        return EXIT_USAGE;
    }
    f.base = opened(argv[1], "rb", &io.base_bytes);
    f.patch = opened(argv[2], "rb", &io.patch_bytes);
    io.context = &f;
    io.read_base = read_base;
    io.read_patch = read_patch;
    io.read_output = read_output;
    io.append_output = append_output;

    rewind(f.patch);
    refused(argv[2], deltagate_patch_parse(&header, start, fread(start, 1, sizeof start, f.patch)));
    refused(argv[2], deltagate_patch_begin(&decoder, &header, memory, memory_bytes, &io));
    f.output = opened(argv[3], "w+b", NULL);
    do {
        result = deltagate_patch_step(&decoder, STEPS_PER_CALL); /* Between steps, a device feeds its watchdog. */
    } while (result == DELTAGATE_PATCH_MORE);
    if (result != DELTAGATE_PATCH_DONE) {
        fclose(f.output);
        remove(argv[3]);
    }
    refused(argv[2], result);
    if (fclose(f.output) != 0) {
        fprintf(stderr, "example: %s cannot be written\n", argv[3]);
        return EXIT_FILES;
    }
    printf("%s: %lu bytes from a patch of %lu, with %lu bytes of decoder memory\n", argv[3],
           (unsigned long)header.target_bytes, (unsigned long)io.patch_bytes, (unsigned long)header.memory_bytes);
    return EXIT_DONE;
}
