/*
 * Decoder of deltagate patches. The words, and the order of things, are those of the specification: the front page of the
 * Rust crate wire-patch. Every function may set the decoder's error; what it returns then means nothing, and the step
 * ends soon. Nothing is appended after an error.
 */
#include "deltagate_patch.h"

typedef deltagate_patch decoder;
typedef deltagate_patch_group group;
typedef deltagate_patch_literals literals;
typedef deltagate_patch_layout layout;

/* The start of the memory, in cells. */
enum {
    CELLS_NUMBERS = 0, /* For each of 4 numbers, 28 for the length and 28 for the leading bit. */
    CELLS_ALIGNMENT = 224,
    CELLS_ADDRESS = 248,
    CELLS_HALFWORD = 288,
    CELLS_BLOCK = 296,
    WEIGHTS_HIT = 328,
    WEIGHTS_BYTE_HIT = 384,
    WEIGHTS_DIFFERENCE = 424,
    WEIGHTS_LITERAL = 480,
    WEIGHTS_END = 544,
    CELLS_SHIFTS = 544, /* From here on with relocation only. */
    CELLS_LESSONS = 608
};

enum { NUMBER_COPY_BYTES, NUMBER_EXTRA_BYTES, NUMBER_SEEK, NUMBER_ADDRESS };

enum { KIND_PLAIN, KIND_WIDE, KIND_NEAR, KIND_FAR, KIND_POINTER, KIND_RAM, KIND_WORD, KIND_REPEAT };

enum { WORD_NONE, WORD_OLD, WORD_SUM };

enum { LIST_OTHERS, LIST_RAM };

enum { ISA_NONE, ISA_THUMB, ISA_RV32, ISA_RV64, ISA_AARCH64, ISA_XTENSA, ISA_AVR, ISA_MCS51 };

enum { PHASE_BEGIN, PHASE_MAP, PHASE_TRIPLE, PHASE_COPY, PHASE_TRAIN, PHASE_EXTRA, PHASE_END, PHASE_DONE };

#define NUMBER_TOO_LARGE 0xFFFFFFFFu
#define EVEN 0x8000u /* A counter, or a probability, of 1/2. */
#define NO_PART 0xFFFFFFFFu
#define NO_ADDRESS 0xFFFFFFFFu /* Of no instruction that is aligned to two bytes. */
#define PIECE DELTAGATE_PATCH_PIECE_BYTES
#define REGISTERS (DELTAGATE_PATCH_RISCV || DELTAGATE_PATCH_AARCH64)
#define BYTEWISE (DELTAGATE_PATCH_XTENSA || DELTAGATE_PATCH_MCS51)

/*
 * The parts of a step that need the most stack: one after the other, from the same place, so that they need it in turn. A
 * compiler that puts them into one function makes them need it together.
 */
#ifdef __GNUC__
#define IN_TURN __attribute__((noinline))
#else
#define IN_TURN
#endif

/* ---- Arithmetic ---- */

/* Shifted right arithmetically, which C leaves to the compiler. */
static int32_t shifted(int32_t value, unsigned by) {
    return value < 0 ? ~(~value >> by) : value >> by;
}

/* The lowest bits of a number, the highest of them being its sign. */
static uint32_t sign_extended(uint32_t value, unsigned bits) {
    uint32_t sign = (uint32_t)1 << (bits - 1);
    return ((value & (2 * sign - 1)) ^ sign) - sign;
}

/* Rounded down. Not `/`: small cores have no division, and nothing here is in a hurry. */
static uint16_t divided(uint32_t value, uint32_t by) {
    uint32_t quotient = 0;
    unsigned bit = 16;
    while (bit-- > 0) {
        if (value >> bit >= by) {
            value -= by << bit;
            quotient |= (uint32_t)1 << bit;
        }
    }
    return (uint16_t)quotient;
}

static unsigned floor_log2(uint32_t value) {
    unsigned log2 = 0;
    while (value >>= 1) {
        log2++;
    }
    return log2;
}

static uint32_t scramble(uint32_t x) {
    x *= 0x9E3779B1u;
    return x ^ (x >> 15);
}

/* Where in `count` places the upper half of a hash leads. */
static uint32_t place_of(uint32_t h, uint32_t count) {
    return ((h >> 16) * count) >> 16;
}

static void fail(decoder *d, deltagate_patch_result error) {
    if (d->error == 0) {
        d->error = (int8_t)error;
    }
}

/* ---- Bytes of base and result ---- */

/* The word at an offset of the base; what is past its end is zero. */
static uint32_t base_word(decoder *d, uint32_t offset) {
    uint8_t bytes[4] = {0, 0, 0, 0};
    if (offset < d->io->base_bytes) {
        uint32_t left = d->io->base_bytes - offset;
        if (d->io->read_base(d->io->context, offset, bytes, left < 4 ? left : 4) != 0) {
            fail(d, DELTAGATE_PATCH_BASE_UNREADABLE);
        }
    }
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* A byte of the result, at an offset below the position. */
static uint8_t target_byte(decoder *d, uint32_t offset) {
    uint8_t byte = 0;
    if (offset >= (d->position & ~(uint32_t)(PIECE - 1))) {
        return d->piece[offset & (PIECE - 1)];
    }
    if (d->io->read_output(d->io->context, offset, &byte, 1) != 0) {
        fail(d, DELTAGATE_PATCH_OUTPUT_FAILED);
    }
    return byte;
}

static void append_piece(decoder *d, uint32_t count) {
    if (d->error == 0 && count > 0 && d->io->append_output(d->io->context, d->piece, count) != 0) {
        fail(d, DELTAGATE_PATCH_OUTPUT_FAILED);
    }
}

/* Whether literals know how many bytes an instruction has left, instead of the parity of their offset. */
static int counts_bytes(const decoder *d) {
    return DELTAGATE_PATCH_XTENSA && d->isa == ISA_XTENSA;
}

/* Bytes left of an Xtensa instruction after one more: bit 3 of the first one tells two bytes from three. */
static uint8_t bytes_left(uint8_t left, uint32_t byte) {
    return (uint8_t)(left != 0 ? left - 1 : (byte & 8) != 0 ? 1 : 2);
}

static void produce(decoder *d, uint8_t byte) {
    unsigned bit;
    if (counts_bytes(d)) {
        d->isa_state.xtensa.left = bytes_left(d->isa_state.xtensa.left, byte);
    }
    d->crc32 ^= byte;
    for (bit = 0; bit < 8; bit++) {
        d->crc32 = (d->crc32 >> 1) ^ (0xEDB88320u & (0 - (d->crc32 & 1)));
    }
    d->last = d->last << 8 | byte;
    d->piece[d->position++ & (PIECE - 1)] = byte;
    if ((d->position & (PIECE - 1)) == 0) {
        append_piece(d, PIECE);
    }
}

/* Bytes of a group, from 0 on, in a word. */
static uint32_t group_mask(const group *g) {
    return 0xFFFFFFFFu >> (32 - 8 * g->bytes);
}

static uint32_t copy_left(const decoder *d) {
    return d->start + d->copy - d->position;
}

/* ---- Range coder ---- */

/* Up to four bytes after the patch's end read as zero: the encoder cuts them off. */
static void shift_in(decoder *d) {
    deltagate_patch_coder *coder = &d->coder[d->coder_used];
    uint8_t byte = 0;
    uint32_t position = coder->position++;
    if (position < d->io->patch_bytes) {
        if (d->io->read_patch(d->io->context, position, &byte, 1) != 0) {
            fail(d, DELTAGATE_PATCH_PATCH_UNREADABLE);
        }
    } else if (position - d->io->patch_bytes >= 4) {
        coder->position = position;
        fail(d, DELTAGATE_PATCH_TRUNCATED);
    }
    coder->code = coder->code << 8 | byte;
}

/* A bit that is 1 with a probability of `p` / 65536. */
static uint32_t bit_of(decoder *d, uint32_t p) {
    deltagate_patch_coder *coder = &d->coder[d->coder_used];
    uint32_t ones, bit;
    p = p < 16 ? 16 : p > 65519 ? 65519 : p;
    ones = (coder->range >> 16) * p + (((coder->range & 0xFFFF) * p) >> 16);
    bit = coder->code < ones;
    if (bit) {
        coder->range = ones;
    } else {
        coder->code -= ones;
        coder->range -= ones;
    }
    while (coder->range < (uint32_t)1 << 24) {
        coder->range <<= 8;
        shift_in(d);
    }
    return bit;
}

/* A number of bits with a probability of 1/2, the highest first. */
static uint32_t even_bits(decoder *d, unsigned count) {
    uint32_t value = 0;
    while (count-- > 0) {
        value = value << 1 | bit_of(d, EVEN);
    }
    return value;
}

/* ---- Counters ---- */

/* A counter's probability is above these lowest bits: 4 of a plain one, all of them its count; 8 of a checked one, 3 of them. */
static unsigned low_bits(const decoder *d, uint32_t cell) {
    return cell < d->checked ? 4 : 8;
}

/* After a bit. */
static void learn(decoder *d, uint32_t cell, uint32_t bit) {
    static const uint16_t RATES[16] = {32768, 26214, 18724, 14563, 11915, 10082, 8738, 7710,
                                       6898,  6241,  5698,  5242,  4854,  4519,  4228, 4200};
    unsigned low = low_bits(d, cell);
    uint32_t value = d->cells[cell];
    uint32_t count_max = low == 4 ? 15 : 7;
    uint32_t count = value & count_max;
    uint32_t p = value >> low;
    uint32_t rate = RATES[count];
    if (bit) {
        p += (((0xFFFFu >> low) - p) * rate) >> 16;
    } else {
        p -= (p * rate) >> 16;
    }
    value &= ((uint32_t)1 << low) - 1;
    d->cells[cell] = (uint16_t)(p << low | (count < count_max ? value + 1 : value));
}

/* A bit coded with one counter alone. */
static uint32_t alone(decoder *d, uint32_t cell) {
    uint32_t bit = bit_of(d, d->cells[cell] | 8u);
    learn(d, cell, bit);
    return bit;
}

static int32_t scaled_log2(uint32_t x) {
    static const uint8_t STEPS[64] = {
        3,   9,   14,  20,  25,  30,  36,  41,  46,  51,  56,  61,  66,  71,  75,  80,  85,  89,  94,  98,  103, 107,
        111, 116, 120, 124, 128, 132, 136, 140, 144, 148, 152, 155, 159, 163, 167, 170, 174, 178, 181, 185, 188, 192,
        195, 198, 202, 205, 208, 212, 215, 218, 221, 224, 228, 231, 234, 237, 240, 243, 246, 249, 252, 255};
    unsigned log2 = floor_log2(x);
    return (int32_t)(256 * log2 + STEPS[(x << 6 >> log2) & 63]);
}

/* The next bits have one context more, which is this. */
static void context(decoder *d, uint32_t a, uint32_t b) {
    uint32_t *at = &d->context[d->contexts++], k = d->contexts;
    *at = scramble(scramble(a + (k << 28)) + (b << 3) + k);
}

/* The `i`-th context of a mixed bit has this counter. 0: it has none. */
static void enter(decoder *d, unsigned i, uint32_t cell) {
    unsigned low = low_bits(d, cell);
    uint32_t p = (uint32_t)d->cells[cell] >> low << (low - 4);
    int32_t input = 0;
    if (cell != 0) {
        input = scaled_log2(p == 0 ? 1 : p) - scaled_log2(4096 - (p == 0 ? 1 : p));
    }
    d->contexts = (uint8_t)(i + 1);
    d->cell[i] = (uint16_t)cell;
    d->input[i] = (int16_t)(d->against >> i & 1 ? -input : input);
}

/* The logistic curve at every 128th place; it is the same from its other end. */
static uint32_t logistic(uint32_t i) {
    static const uint16_t HALF[33] = {1,    1,    2,    3,    4,    6,    8,    11,    16,    23,    32,
                                      45,   64,   90,   128,  181,  255,  360,  508,   716,   1008,  1417,
                                      1986, 2774, 3855, 5322, 7282, 9845, 13107, 17118, 21845, 27146, 32768};
    return i <= 32 ? HALF[i] : 65536u - HALF[64 - i];
}

/* The probability that the contexts that were entered give a bit. */
IN_TURN static uint32_t mixed(const decoder *d, const uint16_t *weights) {
    int32_t sum = 0;
    uint32_t t;
    unsigned i;
    for (i = 0; i < d->contexts; i++) {
        sum += d->input[i] * (int16_t)weights[i];
    }
    sum = shifted(sum, 13);
    sum = sum > 4095 ? 4095 : sum < -4095 ? -4095 : sum;
    t = (uint32_t)(sum + 4096);
    return (logistic(t >> 7) * (128 - (t & 127)) + logistic((t >> 7) + 1) * (t & 127)) >> 7;
}

/* After a bit: the weights of the contexts that were entered for it. */
IN_TURN static void learn_weights(const decoder *d, uint16_t *weights, int32_t error) {
    unsigned i;
    for (i = 0; i < d->contexts; i++) {
        int32_t weight = (int16_t)weights[i] + shifted(d->input[i] * error, 17);
        weight = weight > 32767 ? 32767 : weight < -32768 ? -32768 : weight;
        weights[i] = (uint16_t)weight;
    }
}

/* After a bit: the counters of the contexts that were entered for it. */
IN_TURN static void learn_counters(decoder *d, uint32_t bit) {
    unsigned i;
    for (i = 0; i < d->contexts; i++) {
        if (d->cell[i] != 0) {
            learn(d, d->cell[i], (bit ^ (uint32_t)d->against >> i) & 1);
        }
    }
}

/* A bit coded with the contexts that were entered. */
static uint32_t mixed_bit(decoder *d, uint32_t weights_cell) {
    uint16_t *weights = &d->cells[weights_cell];
    uint32_t p = mixed(d, weights);
    uint32_t bit = bit_of(d, p);
    learn_weights(d, weights, (bit ? 65535 : 0) - (int32_t)p);
    learn_counters(d, bit);
    return bit;
}

/*
 * The contexts of the next bit have equal slices of a region; `node` is 0 when a bit stands for itself, else 1 followed by
 * the bits of the byte so far.
 */
static void enter_all(decoder *d, uint32_t region, uint32_t slice, uint32_t node) {
    unsigned i, n = d->contexts;
    d->against = 0;
    for (i = 0; i < n; i++, region += slice) {
        uint32_t h = d->context[i];
        if (node != 0) {
            h = scramble(h ^ node);
        }
        enter(d, i, region + place_of(h, slice));
    }
}

/* ---- Numbers and triples ---- */

static uint32_t number(decoder *d, uint32_t which) {
    uint32_t counters = CELLS_NUMBERS + 56 * which;
    unsigned ones = 0;
    uint32_t value;
    while (alone(d, counters + ones)) {
        if (++ones == 28) {
            return NUMBER_TOO_LARGE;
        }
    }
    if (ones == 0) {
        return 0;
    }
    value = 2 | alone(d, counters + 28 + ones);
    while (--ones > 0) {
        value = value << 1 | bit_of(d, EVEN);
    }
    return value - 1;
}

/* Adds a signed number to a value: its two lowest bits in a context, then the others. Whether it was not too large. */
static int seek(decoder *d, uint32_t context, uint32_t *value) {
    uint32_t cell = CELLS_ALIGNMENT + 4 * context, folded;
    uint32_t bit0 = alone(d, cell);
    *value += bit0 + 2 * alone(d, cell + 1 + bit0);
    folded = number(d, context < 4 ? NUMBER_SEEK : NUMBER_ADDRESS);
    *value += (folded & 1 ? ~(folded >> 1) : folded >> 1) << 2;
    return folded != NUMBER_TOO_LARGE;
}

static int from_base(const decoder *d) {
    return d->source < d->io->base_bytes;
}

/* The next triple, which starts at the position. */
IN_TURN static void triple(decoder *d) {
    d->start = d->position;
    d->source += d->copy + d->extra;
    d->copy = number(d, NUMBER_COPY_BYTES);
    d->extra = number(d, NUMBER_EXTRA_BYTES);
    if (d->copy == NUMBER_TOO_LARGE || d->extra == NUMBER_TOO_LARGE) {
        fail(d, DELTAGATE_PATCH_NUMBER_TOO_LARGE);
        return;
    }
    if (d->copy > 0) {
        uint32_t context = (d->source - d->start) & 3;
        d->source -= context;
        if (!seek(d, context, &d->source)) {
            fail(d, DELTAGATE_PATCH_NUMBER_TOO_LARGE);
        }
    }
    if (d->copy + d->extra == 0) {
        fail(d, DELTAGATE_PATCH_EMPTY_TRIPLE);
    } else if (d->copy + d->extra > d->target_bytes - d->position) {
        fail(d, DELTAGATE_PATCH_OUTPUT_OVERRUN);
#if DELTAGATE_PATCH_IN_PLACE
    } else if (d->copy > 0 && from_base(d) && d->reach_bytes > 0 && d->source + d->reach_bytes < d->start + 4) {
        fail(d, DELTAGATE_PATCH_SOURCE_OUT_OF_REACH);
#endif
    } else if (d->copy > 0 &&
               (from_base(d) ? d->copy > d->io->base_bytes - d->source : d->source - d->io->base_bytes >= d->start)) {
        fail(d, DELTAGATE_PATCH_SOURCE_OUT_OF_RANGE);
    }
}

/* ---- Setup and memory ---- */

static void read_layout(decoder *d, layout *l) {
    uint32_t count = even_bits(d, 3), before = 0, i;
    int ascending = 1;
    for (i = 0; i < 5; i++) {
        l->shift[i] = 0;
        if (i > 0) {
            l->start[i - 1] = NO_PART;
        }
        if (i <= count) {
            uint32_t z;
            if (i > 0) {
                l->start[i - 1] = even_bits(d, 22) << 2;
                l->shift[i] -= l->start[i - 1];
            }
            z = even_bits(d, 5);
            if (z < 2) {
                z = 2;
            }
            l->shift[i] += even_bits(d, 32 - z) << z;
        }
    }
    for (i = 0; i < 4 && l->start[i] != NO_PART; i++) {
        ascending &= l->start[i] > before;
        before = l->start[i];
    }
    if (!ascending) {
        l->start[0] = l->start[1] = l->start[2] = l->start[3] = NO_PART;
    }
}

/* The instruction sets that were not left out, a bit for each. */
enum {
    ISAS_KNOWN = 1 << ISA_NONE | (DELTAGATE_PATCH_THUMB ? 1 << ISA_THUMB : 0) |
                 (DELTAGATE_PATCH_RISCV ? 1 << ISA_RV32 | 1 << ISA_RV64 : 0) |
                 (DELTAGATE_PATCH_AARCH64 ? 1 << ISA_AARCH64 : 0) | (DELTAGATE_PATCH_XTENSA ? 1 << ISA_XTENSA : 0) |
                 (DELTAGATE_PATCH_AVR ? 1 << ISA_AVR : 0) | (DELTAGATE_PATCH_MCS51 ? 1 << ISA_MCS51 : 0)
};

static void isa_begin(decoder *d);

static void fill(decoder *d, uint32_t from, uint32_t to, uint16_t value) {
    for (; from < to; from++) {
        d->cells[from] = value;
    }
}

IN_TURN static void begin(decoder *d) {
    unsigned i;
    for (i = 0; i < 4; i++) {
        shift_in(d);
    }
    d->phase = PHASE_END;
    if (d->target_bytes == 0) {
        return;
    }
    fill(d, 0, CELLS_ADDRESS, EVEN);
    fill(d, CELLS_ADDRESS, d->cell_count, 0);
    d->share = (uint8_t)even_bits(d, 2);
    d->relocation = (uint8_t)even_bits(d, 1);
    d->map = CELLS_SHIFTS;
    d->checked = 0xFFFF; /* Until the map is complete: none. */
    if (d->relocation) {
        d->copies_min_log2 = (uint8_t)even_bits(d, 4);
        d->isa = (uint8_t)even_bits(d, 4);
        if ((ISAS_KNOWN >> d->isa & 1) == 0) {
            fail(d, DELTAGATE_PATCH_UNKNOWN_INSTRUCTION_SET);
            return;
        }
        read_layout(d, &d->base);
        d->map = (uint16_t)(CELLS_LESSONS + d->cell_count / 16);
        d->target = d->base;
        if (even_bits(d, 1)) {
            read_layout(d, &d->target);
        }
        isa_begin(d);
    }
    d->coder[1] = d->coder[0];
    d->phase = PHASE_MAP;
}

static uint32_t halfwords_of(const decoder *d) {
    return d->map + 4u * d->map_entries;
}

/* The map is complete: the rest of the memory gets its parts, and the triples begin again. */
static void divide_memory(decoder *d) {
    static const uint8_t SHARES[4] = {4, 1, 2, 5};
    uint32_t at = halfwords_of(d), c, left;
    fill(d, at, at + d->cell_count / 32, 0);
    at += d->cell_count / 32;
    left = d->cell_count - at;
    c = left * SHARES[d->share] / 64;
    fill(d, CELLS_NUMBERS, WEIGHTS_HIT, EVEN);
    fill(d, WEIGHTS_HIT, WEIGHTS_END, 2400);
    fill(d, at, d->cell_count, EVEN);
    d->hits = (uint16_t)at;
    d->byte_hits = (uint16_t)(at + 4 * c);
    d->differences = (uint16_t)(at + 5 * c);
    d->hits_slice = divided(4 * c, 7);
    d->byte_hits_slice = divided(c, 5);
    at += 9 * c;
    left -= 9 * c;
    c = (uint32_t)1 << floor_log2(left / 2);
    if (c > 512) {
        c = 512;
    }
    d->order0_mask = (uint16_t)(c - 1);
    at += c + 32;
    d->positions1 = (uint16_t)at;
    c = left / 8;
    at += c > 256 ? 256 : c;
    d->positions2 = (uint16_t)at;
    at += divided(left, 5);
    d->checked = (uint16_t)at;
    fill(d, d->positions1, at, 0);
    d->position = d->source = d->copy = d->extra = 0;
    d->phase = PHASE_TRIPLE;
}

/* ---- Map ---- */

static uint32_t entry_source(const uint16_t *entry) {
    return entry[0] | (uint32_t)(entry[1] & 0xFF) << 16;
}

static uint32_t entry_bytes(const uint16_t *entry) {
    return entry[3] < 0x8000 ? entry[3] : (uint32_t)(entry[3] - 0x8000) << 9;
}

/* Enters a triple into the map. */
IN_TURN static void map_triple(decoder *d) {
    if (d->relocation && d->copy > 0 && from_base(d) && d->copy >> d->copies_min_log2 != 0 &&
        d->map_entries < d->cell_count / 16) {
        uint16_t *entry = &d->cells[d->map + 4u * d->map_entries];
        uint32_t shift = d->start - d->source, left = d->map_entries, i;
        d->map_entries++;
        for (; left > 0 && entry_source(entry - 4) > d->source; left--) {
            entry -= 4;
            for (i = 0; i < 4; i++) {
                entry[4 + i] = entry[i];
            }
        }
        entry[0] = (uint16_t)d->source;
        entry[1] = (uint16_t)((d->source >> 16 & 0xFF) | shift << 8);
        entry[2] = (uint16_t)(shift >> 8);
        entry[3] = (uint16_t)(d->copy < 0x8000 ? d->copy : 0x8000 + (d->copy >> 9));
    }
    d->position += d->copy + d->extra;
    if (d->position == d->target_bytes) {
        divide_memory(d);
    }
}

/* Where an offset of the base moves, and how far that is to be trusted. */
static uint8_t move(const decoder *d, uint32_t *offset) {
    const uint16_t *entry = &d->cells[d->map], *best = NULL;
    uint32_t low = 0, high = d->map_entries, x = *offset, i;
    uint8_t trust = 3;
    uint32_t shift = d->start - d->source;
    if (x - d->source >= d->copy) {
        while (low < high) {
            uint32_t middle = (low + high) / 2;
            if (entry_source(entry + 4 * middle) <= x) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if (low == 0) {
            return 0;
        }
        entry += 4 * low;
        trust = 1;
        for (i = 0; i < 4 && i < low; i++) {
            entry -= 4;
            if (x - entry_source(entry) < entry_bytes(entry) && (best == NULL || entry[3] > best[3])) {
                best = entry;
                trust = 2;
            }
        }
        if (best == NULL) {
            best = &d->cells[d->map + 4 * (low - 1)];
        }
        shift = best[1] >> 8 | (uint32_t)best[2] << 8;
    }
    *offset = (x + shift) & 0xFFFFFF;
    return trust;
}

/* ---- Addresses ---- */

static uint32_t part_of(const layout *l, uint32_t offset) {
    uint32_t part = 4;
    while (part > 0 && l->start[part - 1] > offset) {
        part--;
    }
    return part;
}

static uint32_t address_of(const layout *l, uint32_t offset) {
    return offset + l->shift[part_of(l, offset)];
}

/* Whether an address is in the base, and where. */
static int find(const decoder *d, uint32_t address, uint32_t *offset) {
    uint32_t end = d->io->base_bytes, part = 5;
    while (part-- > 0) {
        uint32_t start = part == 0 ? 0 : d->base.start[part - 1];
        if (start < end) {
            *offset = address - d->base.shift[part];
            if (*offset - start < end - start) {
                return 1;
            }
            end = start;
        }
    }
    return 0;
}

static int in_ram(const decoder *d, uint32_t address) {
    switch (d->isa) {
#if DELTAGATE_PATCH_THUMB
    case ISA_THUMB:
        return address >> 20 == 0x100 || address >> 22 == 0x200 >> 2;
#endif
#if DELTAGATE_PATCH_RISCV
    case ISA_RV32:
        return address >> 20 == 0x3FC;
#endif
#if DELTAGATE_PATCH_XTENSA
    case ISA_XTENSA:
        return address >> 20 == 0x3FF || address >> 16 == 0x4010;
#endif
#if DELTAGATE_PATCH_AVR || DELTAGATE_PATCH_MCS51
    case ISA_AVR:
    case ISA_MCS51:
        return address >> 16 == 0x100;
#endif
    default:
        (void)address;
        return 0;
    }
}

/* ---- Lessons and shift lists ---- */

static uint16_t *lesson_of(const decoder *d, uint32_t address, uint32_t *check) {
    uint32_t h = (address & ~(uint32_t)1) * 0x9E3779B1u;
    *check = h & 0xFF00;
    return &d->cells[CELLS_LESSONS + 2 * place_of(h, d->cell_count / 32)];
}

/* Where an address has moved before. Whether it has. */
static int lesson(const decoder *d, uint32_t address, uint32_t *moved) {
    uint32_t check;
    const uint16_t *cells = lesson_of(d, address, &check);
    if ((cells[1] & 0xFF00) != check || (cells[0] | cells[1]) == 0) {
        return 0;
    }
    *moved = address + sign_extended(cells[0] | (uint32_t)cells[1] << 16, 24);
    return 1;
}

static uint32_t two_cells(const uint16_t *cells) {
    return cells[0] | (uint32_t)cells[1] << 16;
}

static uint16_t *list_of(const decoder *d, uint32_t list) {
    return &d->cells[CELLS_SHIFTS + (list == LIST_RAM ? 0 : 32)];
}

/* Where an address moves with the shift of the entry that is nearest to it. Whether there is an entry. */
static int nearest(const decoder *d, uint32_t list, uint32_t address, uint32_t *moved) {
    const uint16_t *entry = list_of(d, list);
    uint32_t best = 0, i;
    int found = 0;
    for (i = 0; i < 8; i++, entry += 4) {
        uint32_t there = two_cells(entry);
        uint32_t distance = there > address ? there - address : address - there;
        if (there != 0 && (!found || distance < best)) {
            found = 1;
            best = distance;
            *moved = address + two_cells(entry + 2);
        }
    }
    return found;
}

IN_TURN static void remember(decoder *d, uint32_t list, uint32_t address, uint32_t shift) {
    uint32_t check, i;
    uint16_t *cells = lesson_of(d, address, &check);
    uint16_t *first = list_of(d, list), *entry = first;
    cells[0] = (uint16_t)shift;
    cells[1] = (uint16_t)(check | (shift >> 16 & 0xFF));
    while (entry != first + 28 && two_cells(entry + 2) != shift) {
        entry += 4;
    }
    for (; entry != first; entry -= 4) {
        for (i = 0; i < 4; i++) {
            entry[i] = entry[(int32_t)i - 4];
        }
    }
    first[0] = (uint16_t)address;
    first[1] = (uint16_t)(address >> 16);
    first[2] = (uint16_t)shift;
    first[3] = (uint16_t)(shift >> 16);
}

/* What an address has become, and how far that is to be trusted: one in the base at `offset`, else one in RAM. */
static uint8_t follow(const decoder *d, int is_in_base, uint32_t offset, uint32_t *address) {
    uint32_t old = *address;
    uint8_t trust;
    if (lesson(d, old, address)) {
        return 4;
    }
    if (!is_in_base) {
        return (uint8_t)nearest(d, LIST_RAM, old, address);
    }
    trust = move(d, &offset);
    *address = address_of(&d->target, offset);
    if (trust < 2) {
        nearest(d, LIST_OTHERS, old, address);
    }
    return trust;
}

/* ---- Instructions with addresses ---- */

/* `count` bits from bit `from` of the instruction are the bits from `to` on of the number. */
#define RUN(from, to, count) (uint16_t)((from) | (to) << 5 | (count) << 10)
#define RUN_MASK(run) (((uint32_t)1 << ((run) >> 10 & 31)) - 1)
#define LAST_RUN(from, to, count) (uint16_t)(RUN(from, to, count) | 0x8000)

enum {
#if DELTAGATE_PATCH_THUMB
    RUNS_BL = 0,
    RUNS_BW = RUNS_BL + 5,
    RUNS_LDRW = RUNS_BW + 5,
    RUNS_B = RUNS_LDRW + 1,
    RUNS_LDR = RUNS_B + 1,
    RUNS_BCOND = RUNS_LDR + 1,
    RUNS_END_THUMB = RUNS_BCOND + 1,
#else
    RUNS_END_THUMB = 0,
#endif
#if DELTAGATE_PATCH_RISCV
    RUNS_JAL = RUNS_END_THUMB,
    RUNS_BRANCH = RUNS_JAL + 4,
    RUNS_CJ = RUNS_BRANCH + 4,
    RUNS_CBEQZ = RUNS_CJ + 8,
    RUNS_UPPER = RUNS_CBEQZ + 5,
    RUNS_LOAD = RUNS_UPPER + 1,
    RUNS_STORE = RUNS_LOAD + 1,
    RUNS_END_RISCV = RUNS_STORE + 2,
#else
    RUNS_END_RISCV = RUNS_END_THUMB,
#endif
#if DELTAGATE_PATCH_AARCH64
    RUNS_A64_BL = RUNS_END_RISCV,
    RUNS_A64_BCOND = RUNS_A64_BL + 1,
    RUNS_TBZ = RUNS_A64_BCOND + 1,
    RUNS_ADR = RUNS_TBZ + 1,
    RUNS_A64_LOWER = RUNS_ADR + 2,
    RUNS_END_AARCH64 = RUNS_A64_LOWER + 1,
#else
    RUNS_END_AARCH64 = RUNS_END_RISCV,
#endif
#if DELTAGATE_PATCH_XTENSA
    RUNS_L32R = RUNS_END_AARCH64,
    RUNS_CALL = RUNS_L32R + 1,
    RUNS_J = RUNS_CALL + 1,
    RUNS_BEQZ = RUNS_J + 1,
    RUNS_XTENSA_BRANCH = RUNS_BEQZ + 1,
    RUNS_BEQZ_N = RUNS_XTENSA_BRANCH + 1,
    RUNS_END_XTENSA = RUNS_BEQZ_N + 2,
#else
    RUNS_END_XTENSA = RUNS_END_AARCH64,
#endif
#if DELTAGATE_PATCH_AVR
    RUNS_RJMP = RUNS_END_XTENSA,
    RUNS_AVR_BRANCH = RUNS_RJMP + 1,
    RUNS_JMP = RUNS_AVR_BRANCH + 1,
    RUNS_LDS = RUNS_JMP + 3,
    RUNS_LDI = RUNS_LDS + 1,
    RUNS_END_AVR = RUNS_LDI + 4,
#else
    RUNS_END_AVR = RUNS_END_XTENSA,
#endif
#if DELTAGATE_PATCH_MCS51
    RUNS_LJMP = RUNS_END_AVR,
    RUNS_MOV_LOWER = RUNS_LJMP + 2,
    RUNS_MOV_UPPER = RUNS_MOV_LOWER + 2,
    RUNS_JUMP2 = RUNS_MOV_UPPER + 2,
    RUNS_JUMP3 = RUNS_JUMP2 + 1,
    RUNS_BANKED = RUNS_JUMP3 + 1
#endif
};

static const uint16_t RUNS[] = {
#if DELTAGATE_PATCH_THUMB
    RUN(16, 1, 11), RUN(0, 12, 10), RUN(27, 22, 1), RUN(29, 23, 1), LAST_RUN(10, 24, 1), /* BL */
    RUN(16, 1, 11), RUN(0, 12, 6), RUN(29, 18, 1), RUN(27, 19, 1), LAST_RUN(10, 20, 1),  /* BW */
    LAST_RUN(16, 0, 12),                                                                  /* LDRW */
    LAST_RUN(0, 1, 11),                                                                   /* B */
    LAST_RUN(0, 2, 8),                                                                    /* LDR */
    LAST_RUN(0, 1, 8),                                                                    /* BCOND */
#endif
#if DELTAGATE_PATCH_RISCV
    RUN(21, 1, 10), RUN(20, 11, 1), RUN(12, 12, 8), LAST_RUN(31, 20, 1), /* JAL */
    RUN(8, 1, 4), RUN(25, 5, 6), RUN(7, 11, 1), LAST_RUN(31, 12, 1),     /* BRANCH */
    RUN(3, 1, 3), RUN(11, 4, 1), RUN(2, 5, 1), RUN(7, 6, 1),             /* CJ */
    RUN(6, 7, 1), RUN(9, 8, 2), RUN(8, 10, 1), LAST_RUN(12, 11, 1),
    RUN(3, 1, 2), RUN(10, 3, 2), RUN(2, 5, 1), RUN(5, 6, 2), LAST_RUN(12, 8, 1), /* CBEQZ */
    LAST_RUN(12, 12, 20),                                                        /* UPPER */
    LAST_RUN(20, 0, 12),                                                         /* LOAD */
    RUN(7, 0, 5), LAST_RUN(25, 5, 7),                                            /* STORE */
#endif
#if DELTAGATE_PATCH_AARCH64
    LAST_RUN(0, 2, 26),                 /* A64_BL */
    LAST_RUN(5, 2, 19),                 /* A64_BCOND */
    LAST_RUN(5, 2, 14),                 /* TBZ */
    RUN(29, 0, 2), LAST_RUN(5, 2, 19),  /* ADR */
    LAST_RUN(10, 0, 12),                /* A64_LOWER */
#endif
#if DELTAGATE_PATCH_XTENSA
    LAST_RUN(8, 2, 16),                 /* L32R */
    LAST_RUN(6, 2, 18),                 /* CALL */
    LAST_RUN(6, 0, 18),                 /* J */
    LAST_RUN(12, 0, 12),                /* BEQZ */
    LAST_RUN(16, 0, 8),                 /* XTENSA_BRANCH */
    RUN(12, 0, 4), LAST_RUN(4, 4, 2),   /* BEQZ_N */
#endif
#if DELTAGATE_PATCH_AVR
    LAST_RUN(0, 1, 12),                                                 /* RJMP */
    LAST_RUN(3, 1, 7),                                                  /* AVR_BRANCH */
    RUN(16, 1, 16), RUN(0, 17, 1), LAST_RUN(4, 18, 5),                  /* JMP */
    LAST_RUN(16, 0, 16),                                                /* LDS */
    RUN(0, 0, 4), RUN(8, 4, 4), RUN(16, 8, 4), LAST_RUN(24, 12, 4),     /* LDI */
#endif
#if DELTAGATE_PATCH_MCS51
    RUN(16, 0, 8), LAST_RUN(8, 8, 8),   /* LJMP */
    RUN(8, 0, 8), LAST_RUN(24, 8, 8),   /* MOV_LOWER */
    RUN(24, 0, 8), LAST_RUN(8, 8, 8),   /* MOV_UPPER */
    LAST_RUN(8, 0, 8),                  /* JUMP2 */
    LAST_RUN(16, 0, 8),                 /* JUMP3 */
    LAST_RUN(0, 0, 24),                 /* BANKED */
#endif
    0
};

/* What the number is: from where it counts. */
enum {
    MODE_AT,             /* From the instruction's address. */
    MODE_ABSOLUTE,
    MODE_AT_2,           /* From 2 behind it, and so on. */
    MODE_AT_3,
    MODE_AT_4,
    MODE_ALIGNED_4,      /* From 4 behind it, rounded down to a multiple of 4. */
    MODE_DATA,
    MODE_L32R,
    MODE_LOWER,          /* RISC-V: from what the upper half of the address has become. */
    MODE_A64_LOWER,
    MODE_CODE,           /* MCS-51. */
    MODE_BANKED,
    MODE_UPPER,          /* From here on the field holds any address. */
    MODE_AUIPC,
    MODE_ADRP,
    MODE = 0x0F,
    MODE_THUMB_J = 0x40, /* Bits J1 and J2 stand for I1 and I2. */
    MODE_SIGNED = 0x80
};

struct deltagate_patch_instruction {
    uint32_t value, mask;
    uint8_t kind, bytes, mode, runs; /* Kind Plain: it has no address after all. */
};

typedef struct deltagate_patch_instruction row;

#define ROWS_END {1, 0, 0, 0, 0, 0} /* No instruction. */

#if DELTAGATE_PATCH_THUMB
static const row THUMB_ROWS[] = {
    {0x9000F000, 0x9000F800, KIND_FAR, 4, MODE_AT_4 | MODE_SIGNED | MODE_THUMB_J, RUNS_BL},
    {0x8000F380, 0xD000FB80, KIND_PLAIN, 0, 0, 0}, /* Bits 7 to 9 are all ones. */
    {0x8000F000, 0xD000F800, KIND_NEAR, 4, MODE_AT_4 | MODE_SIGNED, RUNS_BW},
    {0x0000F8DF, 0x0000FFFF, KIND_NEAR, 4, MODE_ALIGNED_4, RUNS_LDRW},
    {0x0000E000, 0x0000F800, KIND_NEAR, 2, MODE_AT_4 | MODE_SIGNED, RUNS_B},
    {0x00004800, 0x0000F800, KIND_NEAR, 2, MODE_ALIGNED_4, RUNS_LDR},
    {0x0000DE00, 0x0000FE00, KIND_PLAIN, 0, 0, 0},
    {0x0000D000, 0x0000F000, KIND_NEAR, 2, MODE_AT_4 | MODE_SIGNED, RUNS_BCOND},
    ROWS_END};
#endif

#if DELTAGATE_PATCH_RISCV
static const row RISCV_ROWS[] = {
    {0x37, 0x7F, KIND_WORD, 4, MODE_UPPER, RUNS_UPPER}, /* LUI and C.JAL: RV32 only */
    {0x2001, 0xE003, KIND_FAR, 2, MODE_AT | MODE_SIGNED, RUNS_CJ},
    {0x6F, 0x7F, KIND_FAR, 4, MODE_AT | MODE_SIGNED, RUNS_JAL},
    {0x63, 0x7F, KIND_NEAR, 4, MODE_AT | MODE_SIGNED, RUNS_BRANCH},
    {0xA001, 0xE003, KIND_NEAR, 2, MODE_AT | MODE_SIGNED, RUNS_CJ},
    {0xC001, 0xC003, KIND_NEAR, 2, MODE_AT | MODE_SIGNED, RUNS_CBEQZ},
    {0x17, 0x7F, KIND_WORD, 4, MODE_AUIPC, RUNS_UPPER},
    {0x03, 0x7B, KIND_FAR, 4, MODE_LOWER | MODE_SIGNED, RUNS_LOAD}, /* Also 07. */
    {0x13, 0x7077, KIND_FAR, 4, MODE_LOWER | MODE_SIGNED, RUNS_LOAD}, /* Also 1B. */
    {0x67, 0x707F, KIND_FAR, 4, MODE_LOWER | MODE_SIGNED, RUNS_LOAD},
    {0x23, 0x7B, KIND_FAR, 4, MODE_LOWER | MODE_SIGNED, RUNS_STORE}, /* Also 27. */
    ROWS_END};
#endif

#if DELTAGATE_PATCH_AARCH64
static const row AARCH64_ROWS[] = {
    {0x94000000, 0xFC000000, KIND_FAR, 4, MODE_AT | MODE_SIGNED, RUNS_A64_BL},
    {0x14000000, 0xFC000000, KIND_NEAR, 4, MODE_AT | MODE_SIGNED, RUNS_A64_BL},
    {0x54000000, 0xFF000000, KIND_NEAR, 4, MODE_AT | MODE_SIGNED, RUNS_A64_BCOND},
    {0x34000000, 0x7E000000, KIND_NEAR, 4, MODE_AT | MODE_SIGNED, RUNS_A64_BCOND},
    {0x36000000, 0x7E000000, KIND_NEAR, 4, MODE_AT | MODE_SIGNED, RUNS_TBZ},
    {0x18000000, 0x3B000000, KIND_NEAR, 4, MODE_AT | MODE_SIGNED, RUNS_A64_BCOND},
    {0x10000000, 0x9F000000, KIND_FAR, 4, MODE_AT | MODE_SIGNED, RUNS_ADR},
    {0x90000000, 0x9F000000, KIND_WORD, 4, MODE_ADRP | MODE_SIGNED, RUNS_ADR},
    {0x91000000, 0xFFC00000, KIND_FAR, 4, MODE_A64_LOWER, RUNS_A64_LOWER},
    {0x39000000, 0x3B000000, KIND_FAR, 4, MODE_A64_LOWER, RUNS_A64_LOWER},
    ROWS_END};
#endif

#if DELTAGATE_PATCH_XTENSA
static const row XTENSA_ROWS[] = {
    {0x01, 0x0F, KIND_WORD, 3, MODE_L32R, RUNS_L32R},
    {0x05, 0x0F, KIND_FAR, 3, MODE_ALIGNED_4 | MODE_SIGNED, RUNS_CALL},
    {0x06, 0x3F, KIND_NEAR, 3, MODE_AT_4 | MODE_SIGNED, RUNS_J},
    {0x16, 0x3F, KIND_NEAR, 3, MODE_AT_4 | MODE_SIGNED, RUNS_BEQZ},
    {0x26, 0x3F, KIND_NEAR, 3, MODE_AT_4 | MODE_SIGNED, RUNS_XTENSA_BRANCH},
    {0xB6, 0xBF, KIND_NEAR, 3, MODE_AT_4 | MODE_SIGNED, RUNS_XTENSA_BRANCH},
    {0x76, 0xE0FF, KIND_NEAR, 3, MODE_AT_4 | MODE_SIGNED, RUNS_XTENSA_BRANCH},
    {0x07, 0x0F, KIND_NEAR, 3, MODE_AT_4 | MODE_SIGNED, RUNS_XTENSA_BRANCH},
    {0x8076, 0xC0FF, KIND_NEAR, 3, MODE_AT_4, RUNS_XTENSA_BRANCH},
    {0x8C, 0x8F, KIND_NEAR, 2, MODE_AT_4, RUNS_BEQZ_N},
    ROWS_END};
#endif

#if DELTAGATE_PATCH_AVR
static const row AVR_ROWS[] = {
    {0xC000, 0xE000, KIND_FAR, 2, MODE_AT_2 | MODE_SIGNED, RUNS_RJMP},
    {0xF000, 0xF800, KIND_NEAR, 2, MODE_AT_2 | MODE_SIGNED, RUNS_AVR_BRANCH},
    {0x940C, 0xFE0C, KIND_FAR, 4, MODE_ABSOLUTE, RUNS_JMP},
    {0x9000, 0xFC0F, KIND_FAR, 4, MODE_DATA, RUNS_LDS},
    {0xE010E000, 0xF010F010, KIND_FAR, 4, MODE_DATA, RUNS_LDI}, /* Of neighbours: see lookup(). */
    ROWS_END};
#endif

#if DELTAGATE_PATCH_MCS51
static const row MCS51_ROWS[] = {
    {0x02, 0xEF, KIND_FAR, 3, MODE_CODE, RUNS_LJMP},
    {0x90, 0xFF, KIND_FAR, 3, MODE_DATA, RUNS_LJMP},
    {0x7B007A, 0xFF00FF, KIND_FAR, 4, MODE_DATA, RUNS_MOV_LOWER},
    {0x7D007C, 0xFF00FF, KIND_FAR, 4, MODE_DATA, RUNS_MOV_LOWER},
    {0x7A007B, 0xFF00FF, KIND_FAR, 4, MODE_DATA, RUNS_MOV_UPPER},
    {0x7C007D, 0xFF00FF, KIND_FAR, 4, MODE_DATA, RUNS_MOV_UPPER},
    {0x10, 0xFF, KIND_NEAR, 3, MODE_AT_3 | MODE_SIGNED, RUNS_JUMP3},
    {0x20, 0xEF, KIND_NEAR, 3, MODE_AT_3 | MODE_SIGNED, RUNS_JUMP3},
    {0x40, 0xCF, KIND_NEAR, 2, MODE_AT_2 | MODE_SIGNED, RUNS_JUMP2},
    {0x80, 0xFF, KIND_NEAR, 2, MODE_AT_2 | MODE_SIGNED, RUNS_JUMP2},
    {0xB4, 0xFC, KIND_NEAR, 3, MODE_AT_3 | MODE_SIGNED, RUNS_JUMP3},
    {0xB8, 0xF8, KIND_NEAR, 3, MODE_AT_3 | MODE_SIGNED, RUNS_JUMP3},
    {0xD5, 0xFF, KIND_NEAR, 3, MODE_AT_3 | MODE_SIGNED, RUNS_JUMP3},
    {0xD8, 0xF8, KIND_NEAR, 2, MODE_AT_2 | MODE_SIGNED, RUNS_JUMP2},
    ROWS_END};

static const row BANKED_ROW = {0, 0, KIND_FAR, 3, MODE_BANKED, RUNS_BANKED};
#endif

static const row *rows_of(const decoder *d) {
    switch (d->isa) {
#if DELTAGATE_PATCH_THUMB
    case ISA_THUMB:
        return THUMB_ROWS;
#endif
#if DELTAGATE_PATCH_RISCV
    case ISA_RV32:
        return RISCV_ROWS;
    case ISA_RV64:
        return RISCV_ROWS + 2;
#endif
#if DELTAGATE_PATCH_AARCH64
    case ISA_AARCH64:
        return AARCH64_ROWS;
#endif
#if DELTAGATE_PATCH_XTENSA
    case ISA_XTENSA:
        return XTENSA_ROWS;
#endif
#if DELTAGATE_PATCH_AVR
    case ISA_AVR:
        return AVR_ROWS;
#endif
#if DELTAGATE_PATCH_MCS51
    case ISA_MCS51:
        return MCS51_ROWS;
#endif
    default:
        return NULL;
    }
}

#if REGISTERS
/* By how many bits the number is shifted to the left that an instruction with this row holds: AArch64's lower ones. */
static unsigned scale_of(const row *r, uint32_t i) {
    unsigned scale = i >> 30;
    if ((r->mode & MODE) != MODE_A64_LOWER || (i & 0x38000000) != 0x38000000) { /* Also an ADD. */
        return 0;
    }
    return (i >> 23 & i >> 26 & 1) != 0 ? scale + 4 : scale;
}
#endif

/* The row of an instruction with an address in it, as far as its own bits say. */
static const row *lookup(const decoder *d, uint32_t i) {
    const row *r = rows_of(d);
    while ((i & r->mask) != r->value) {
        if (r->bytes == 0 && r->mask == 0) {
            return NULL;
        }
        r++;
    }
#if DELTAGATE_PATCH_AVR
    if (r->runs == RUNS_LDI && d->isa == ISA_AVR && ((i >> 16 ^ i) & 0xE0) != 0) {
        return NULL;
    }
#endif
#if DELTAGATE_PATCH_AARCH64
    if ((r->mode & MODE) == MODE_A64_LOWER && ((i >> 10 & 0xFFF) << scale_of(r, i)) >= 0x1000) {
        return NULL;
    }
#endif
    return r->kind == KIND_PLAIN ? NULL : r;
}

/* Thumb's bits J1 and J2, which BL has in the place of I1 and I2. */
static uint32_t turned(const row *r, uint32_t i) {
    return DELTAGATE_PATCH_THUMB && (r->mode & MODE_THUMB_J) != 0 && (i & 0x400) == 0 ? i ^ 0x28000000 : i;
}

/* The number in an instruction's field, whose highest bit is in the last run. */
static uint32_t number_in(const row *r, uint32_t i) {
    const uint16_t *runs = &RUNS[r->runs];
    uint32_t number = 0, run;
    i = turned(r, i);
    do {
        run = *runs++;
        number |= (i >> (run & 31) & RUN_MASK(run)) << (run >> 5 & 31);
    } while (run < 0x8000);
    return (r->mode & MODE_SIGNED) != 0 ? sign_extended(number, (run >> 5 & 31) + (run >> 10 & 31)) : number;
}

/* The instruction with another number in its field. */
static uint32_t with_number(const row *r, uint32_t i, uint32_t number) {
    const uint16_t *runs = &RUNS[r->runs];
    uint32_t run;
    do {
        run = *runs++;
        i ^= ((i >> (run & 31) ^ number >> (run >> 5 & 31)) & RUN_MASK(run)) << (run & 31);
    } while (run < 0x8000);
    return turned(r, i);
}

/* The address of a group in the target, or what it was in the base. */
static uint32_t group_at(const decoder *d, int become) {
    return become ? address_of(&d->target, d->position) : address_of(&d->base, d->now.group.source);
}

#if REGISTERS
/* Whether a row is of instructions that hold the lower half of an address. */
static int is_lower(const row *r) {
    return (r->mode & MODE) == MODE_LOWER || (r->mode & MODE) == MODE_A64_LOWER;
}

static uint32_t based_on(const decoder *d, uint32_t i) {
    return i >> (d->isa == ISA_AARCH64 ? 5 : 15) & 31;
}

/*
 * A slot: whether it is filled, bits 3 and 4 of its register, the difference in 9 bits, the old upper part in 20.
 * Whether a register's slot is filled for it.
 */
static int is_filled(const decoder *d, uint32_t r) {
    return (d->isa_state.registers.slots[r & 7] & 7) == ((r >> 3) << 1 | 1);
}
#endif

/* Whether the bits of an instruction with this row mean an address. */
static int holds(const decoder *d, const row *r, uint32_t i) {
    switch (r->mode & MODE) {
#if REGISTERS
    case MODE_LOWER:
    case MODE_A64_LOWER:
        return d->pair || is_filled(d, based_on(d, i));
#endif
#if DELTAGATE_PATCH_MCS51
    case MODE_BANKED:
        return (i >> 16 & 0xFF) != 0 ? i >> 15 & 1 : (~i >> 15 & 1);
#endif
    default:
        (void)d;
        (void)i;
        return 1;
    }
}

/* From where the number counts that such an instruction holds. */
static uint32_t from_of(const decoder *d, const row *r, uint32_t i, int become) {
    uint32_t at = group_at(d, become);
    unsigned mode = r->mode & MODE;
    switch (mode) {
    case MODE_ALIGNED_4:
        return (at + 4) & ~(uint32_t)3;
#if DELTAGATE_PATCH_XTENSA
    case MODE_L32R:
        return ((at + 3) & ~(uint32_t)3) - 0x40000;
#endif
#if DELTAGATE_PATCH_AVR || DELTAGATE_PATCH_MCS51
    case MODE_DATA:
        return 0x1000000;
    case MODE_ABSOLUTE:
    case MODE_CODE:
    case MODE_BANKED:
        return 0;
#endif
#if REGISTERS
    case MODE_LOWER:
    case MODE_A64_LOWER: {
        uint32_t slot = d->isa_state.registers.slots[based_on(d, i) & 7];
        if (d->pair) {
            return d->isa_state.registers.origin;
        }
        return (slot & 0xFFFFF000u) + (become ? sign_extended(slot >> 3, 9) << 12 : 0);
    }
    case MODE_UPPER:
        return 0;
    case MODE_AUIPC:
        return at;
    case MODE_ADRP:
        return at & 0xFFFFF000u;
#endif
    default:
        (void)i;
        return at + mode;
    }
}

/* The address that an instruction with this row holds, of the target or of the base. */
static uint32_t held(const decoder *d, const row *r, uint32_t i, int become) {
    uint32_t number = number_in(r, i);
    switch (r->mode & MODE) {
#if DELTAGATE_PATCH_AARCH64
    case MODE_A64_LOWER:
        number <<= scale_of(r, i);
        break;
    case MODE_ADRP:
        number <<= 12;
        break;
#endif
#if DELTAGATE_PATCH_MCS51
    case MODE_CODE:
        if (number >= 0x8000) {
            uint32_t at = group_at(d, become);
            number = (at < 0x8000 ? 0x8000 : at & ~(uint32_t)0x7FFF) | (number & 0x7FFF);
        }
        break;
    case MODE_BANKED:
        number = number >> 16 << 15 | (number & 0x7FFF);
        break;
#endif
    default:
        break;
    }
    return number + from_of(d, r, i, become);
}

static void isa_begin(decoder *d) {
    switch (d->isa) {
#if DELTAGATE_PATCH_THUMB
    case ISA_THUMB:
        d->isa_state.thumb.wide = NO_ADDRESS;
        break;
#endif
#if REGISTERS
    case ISA_RV32:
    case ISA_RV64:
    case ISA_AARCH64:
        d->isa_state.registers.next = NO_ADDRESS;
        break;
#endif
#if DELTAGATE_PATCH_MCS51
    case ISA_MCS51:
        d->isa_state.banked = NO_ADDRESS;
        break;
#endif
    default:
        break;
    }
}

#if DELTAGATE_PATCH_MCS51
static unsigned mcs51_bytes(uint32_t i) {
    static const uint32_t BYTES[9] = {0x5AAEAAFD, 0xAAAAAAAA, 0x5AAAAA5F, 0x55557F55, 0x55D9AAA5,
                                      0xAEDBEAAA, 0x55E69555, 0x55E69555, 0x59E69555};
    uint32_t lower = i & 15, upper = i >> 4 & 15;
    return BYTES[lower < 8 ? lower : 8] >> 2 * upper & 3;
}
#endif

#if DELTAGATE_PATCH_XTENSA
static int xtensa_start_of_function(uint32_t word) {
    return (word & 0x80FFFF) == 0x80C112 || (word & 0xF00FFF) == 0x136;
}

static int xtensa_implausible(uint32_t i) {
    uint32_t third = i >> 12 & 15;
    switch (i & 15) {
    case 3:
    case 4:
    case 14:
    case 15:
        return 1;
    case 0:
        return 0xF3C0 >> (i >> 16 & 15) & 1;
    case 2:
        return 0x8988 >> third & 1;
    case 5:
        return i >> 4 & 1;
    case 13:
        return third != 0 && third != 15;
    default:
        return 0;
    }
}
#endif

static int xtensa_constant(const decoder *d, uint32_t word) {
    return DELTAGATE_PATCH_XTENSA && d->isa == ISA_XTENSA && (word >> 16 == 0x4000 || word >> 16 == 0x6000);
}

#if REGISTERS
/* Adds to a group's address what the lower instruction brings that goes with its upper one. Whether there is one. */
static int add_lower(decoder *d, unsigned mode) {
    group *g = &d->now.group;
    uint32_t upper = mode == MODE_ADRP ? g->old & 31 : g->old >> 7 & 31, ahead = 4;
    do {
        uint32_t i = base_word(d, g->source + ahead);
        const row *r = lookup(d, i);
        if (r != NULL && is_lower(r) && based_on(d, i) == upper) {
            g->address += number_in(r, i) << scale_of(r, i);
            return 1;
        }
        ahead += mode == MODE_ADRP || (i & 3) == 3 ? 4 : 2;
    } while (ahead <= 12 && mode != MODE_AUIPC);
    return 0;
}
#endif

/*
 * Reads the instruction of a group from the base: the row with which it has the address `group.address`, or none; else
 * its kind and bytes.
 */
IN_TURN static const row *read_instruction(decoder *d) {
    group *g = &d->now.group;
    uint32_t i = g->old, at = group_at(d, 0);
    const row *r = d->isa == ISA_NONE ? NULL : lookup(d, i);
    g->kind = KIND_PLAIN;
    g->bytes = 2;
    d->pair = 0;
    (void)at;
    switch (d->isa) {
#if DELTAGATE_PATCH_THUMB
    case ISA_THUMB: {
        int second = d->isa_state.thumb.wide == at - 2;
        int wide = (i & 0xFFFF) >= 0xE800;
        if (wide || second) {
            g->kind = KIND_WIDE;
        }
        if (second) {
            return NULL;
        }
        if (wide) {
            d->isa_state.thumb.wide = at;
        }
        break;
    }
#endif
#if DELTAGATE_PATCH_RISCV
    case ISA_RV32:
    case ISA_RV64:
        if ((i & 3) == 3) {
            g->kind = KIND_WIDE;
            g->bytes = 4;
        }
        if (at == d->isa_state.registers.next) {
            g->address = d->isa_state.registers.pair;
            d->pair = 1;
            return r != NULL && is_lower(r) ? r : NULL;
        }
        break;
#endif
#if DELTAGATE_PATCH_AARCH64
    case ISA_AARCH64:
        if ((at & 3) != 0) {
            return NULL;
        }
        g->kind = KIND_WIDE;
        g->bytes = 4;
        break;
#endif
#if DELTAGATE_PATCH_XTENSA
    case ISA_XTENSA: {
        uint8_t *doubt = &d->isa_state.xtensa.doubt;
        if ((at & 3) == 0 && xtensa_start_of_function(i)) {
            *doubt = 0;
        }
        if (xtensa_implausible(i)) {
            *doubt = 4;
            g->bytes = 1;
            return NULL;
        }
        if ((i & 8) == 0) {
            g->kind = KIND_WIDE;
            g->bytes = 3;
        }
        if (*doubt > 0) {
            --*doubt;
            return NULL;
        }
        break;
    }
#endif
#if DELTAGATE_PATCH_AVR
    case ISA_AVR:
        if (r != NULL && r->bytes == 4) {
            g->kind = KIND_WIDE;
            g->bytes = 4;
        }
        break;
#endif
#if DELTAGATE_PATCH_MCS51
    case ISA_MCS51:
        g->bytes = (uint8_t)mcs51_bytes(i);
        if (at == d->isa_state.banked) {
            g->bytes = 3;
            r = &BANKED_ROW;
        } else if (r != NULL && (r->mode & MODE) == MODE_CODE &&
                   ((base_word(d, g->source + 6) ^ i) & 0xFFFFFF) == 0) {
            d->isa_state.banked = at + 3;
        }
        if (g->bytes == 3) {
            g->kind = KIND_WIDE;
        }
        break;
#endif
    default:
        break;
    }
    if (r == NULL || !holds(d, r, i)) {
        return NULL;
    }
    g->address = held(d, r, i, 0);
#if REGISTERS
    if ((r->mode & MODE) >= MODE_UPPER) {
        int found = add_lower(d, r->mode & MODE);
        if (r->mode == MODE_AUIPC) {
            d->pair = 1;
            if (!found) {
                return NULL;
            }
            d->isa_state.registers.next = at + 4;
            d->isa_state.registers.pair = g->address;
        }
    }
#endif
    return r;
}

#if REGISTERS
/* The register that an instruction writes, or 32. */
static uint32_t written(const decoder *d, uint32_t i) {
    uint32_t which;
    if (d->isa == ISA_AARCH64) {
        uint32_t class = i >> 25 & 15;
        return (0x2320 >> class & 1) != 0 || ((0x5050 >> class & 1) != 0 && (i & 0x400000) != 0) ? i & 31 : 32;
    }
    if ((i & 3) == 3) {
        return (i & 0x7B) == 0x23 || (i & 0x7F) == 0x63 ? 32 : i >> 7 & 31;
    }
    /* 8 for each of the values of bits 0 and 1, one for each value of bits 13 to 15. */
    which = (i & 3) * 8 + (i >> 13 & 7);
    if (0x150D00u >> which & 1) {
        return i >> 7 & 31;
    }
    if (which < 4) {
        return 8 + (i >> 2 & 7);
    }
    if (which == 12) {
        return 8 + (i >> 7 & 7);
    }
    return 32;
}

/* A group from the base has passed: what its bytes were and have become. */
IN_TURN static void passed(decoder *d) {
    uint32_t was = d->now.group.old & group_mask(&d->now.group), become = d->now.group.result;
    uint32_t upper = was & 0xFFFFF000u, upper_become = become & 0xFFFFF000u, r;
    int fills = 0;
    if (d->isa == ISA_AARCH64) {
        fills = (was & 0x9F000000u) == 0x90000000u && (become & 0x9F000000u) == 0x90000000u;
        r = was & 31;
        if (fills) {
            const row *adrp = lookup(d, was);
            upper = held(d, adrp, was, 0);
            upper_become = held(d, adrp, become, 1);
        }
    } else {
        fills = d->isa == ISA_RV32 && (was & 0x7F) == 0x37 && (become & 0x7F) == 0x37;
        r = was >> 7 & 31;
        if (group_at(d, 0) == d->isa_state.registers.next - 4) {
            d->isa_state.registers.origin = group_at(d, 1) + upper_become;
            if ((become & 0x7F) != 0x17) {
                d->isa_state.registers.next = NO_ADDRESS;
            }
        }
    }
    if (fills) {
        d->isa_state.registers.slots[r & 7] = upper | ((upper_become - upper) >> 12 & 0x1FF) << 3 | r >> 3 << 1 | 1;
    } else {
        r = written(d, was);
        if (r < 32 && is_filled(d, r)) {
            d->isa_state.registers.slots[r & 7] = 0;
        }
    }
}
#endif

/* ---- Groups ---- */

/* An offset of the base that a word is taken to point to. */
static int points(decoder *d, uint32_t word, uint32_t *offset) {
    if (!find(d, word, offset)) {
        return 0;
    }
    if (!REGISTERS || (d->isa != ISA_RV64 && d->isa != ISA_AARCH64) || word >> 24 != 0) {
        return 1;
    }
    return word >> 12 != 0 && base_word(d, d->now.group.source + 4) == 0;
}

/* The word rules: whether one fits. */
IN_TURN static int predict_word(decoder *d) {
    group *g = &d->now.group;
    uint32_t old = g->old, at = group_at(d, 0), offset, unused, address = old;
    int in_pool = xtensa_constant(d, old);
#if DELTAGATE_PATCH_THUMB
    if (d->isa == ISA_THUMB) {
        uint8_t *pool = &d->isa_state.thumb.pool[g->source >> 5 & 31];
        uint8_t bit = (uint8_t)(1 << (g->source >> 2 & 7));
        in_pool = (*pool & bit) != 0;
        *pool &= (uint8_t)~bit;
    }
#endif
    g->bytes = 4;
    g->word = WORD_OLD;
    if (!points(d, old, &offset)) {
        address = old + at;
        g->word = WORD_SUM;
        if (!find(d, address, &offset) || part_of(&d->base, offset) == part_of(&d->base, g->source)) {
            g->word = WORD_OLD;
            g->predicted = g->address = old;
            if (in_ram(d, old) && (in_pool || d->isa != ISA_THUMB || lesson(d, old, &unused))) {
                g->kind = KIND_RAM;
                g->trust = follow(d, 0, 0, &g->predicted);
                return 1;
            }
            g->word = WORD_NONE;
            g->kind = KIND_WORD;
            return in_pool;
        }
    }
    g->kind = KIND_POINTER;
    g->address = address;
    g->trust = follow(d, 1, offset, &address);
    if (g->word == WORD_SUM) {
        address -= group_at(d, 1);
    } else if (in_pool) {
        g->trust = (uint8_t)(g->trust + 8);
    }
    g->predicted = address;
    return 1;
}

/* The instruction rules; the new address is the result, if there is one. */
IN_TURN static void predict_instruction(decoder *d, const row *r) {
    group *g = &d->now.group;
    uint32_t left = copy_left(d);
    if (r != NULL && left >= r->bytes) {
        uint32_t address = g->address, offset;
        uint8_t kind = r->kind, trust = 0;
        int has_address = 1;
        if (find(d, address, &offset)) {
#if DELTAGATE_PATCH_THUMB
            if (r->mode == MODE_ALIGNED_4 && (offset & 3) == 0 && offset - g->source - 1 < 1023) { /* A literal load. */
                d->isa_state.thumb.pool[offset >> 5 & 31] |= (uint8_t)(1 << (offset >> 2 & 7));
            }
#endif
            if (kind == KIND_NEAR) {
                trust = move(d, &offset);
                address = address_of(&d->target, offset);
            } else {
                trust = follow(d, 1, offset, &address);
            }
        } else if (kind != KIND_NEAR && in_ram(d, address)) {
            trust = follow(d, 0, 0, &address);
            if (kind == KIND_FAR) {
                kind = KIND_RAM;
            }
        } else {
            has_address = d->pair;
        }
        if (has_address) {
            g->row = r;
            g->row_kind = kind;
            g->trust = trust;
            g->result = address;
        }
    }
    if (g->bytes > left) {
        g->bytes = (uint8_t)left;
    }
}

#if DELTAGATE_PATCH_XTENSA
/* How many bytes there are to a word that tells where instructions begin again; 0 when it is not near. */
IN_TURN static uint8_t xtensa_landmark(decoder *d) {
    uint32_t s = d->now.group.source, unused;
    uint32_t b = -s & 3;
    if (((s - d->position) & 3) == 0 && (b == 1 || b == 2)) {
        uint32_t word = base_word(d, s + b);
        if (find(d, word, &unused) || in_ram(d, word) || xtensa_constant(d, word) || xtensa_start_of_function(word)) {
            return (uint8_t)b;
        }
    }
    return 0;
}
#endif

/* Whether words that are pointers come before instructions. */
static int has_words(const decoder *d) {
    return !(DELTAGATE_PATCH_AVR || DELTAGATE_PATCH_MCS51) || d->isa < ISA_AVR;
}

/* What the next group of the copy is if it has no address: whether it may have one. */
IN_TURN static int predict_plain(decoder *d) {
    group *g = &d->now.group;
    uint32_t left = copy_left(d);
    uint32_t t = d->position, s = d->source + (t - d->start);
    int bytewise = BYTEWISE && (d->isa == ISA_XTENSA || d->isa == ISA_MCS51);
    g->kind = KIND_PLAIN;
    g->trust = 0;
    g->word = WORD_NONE;
    g->row = NULL;
    g->bytes = 1;
    if (!from_base(d)) {
        uint32_t produced;
        s -= d->io->base_bytes;
        produced = t - s;
        g->kind = KIND_REPEAT;
        g->old = target_byte(d, s);
        if (produced > 1) {
            g->old |= (uint32_t)target_byte(d, s + 1) << 8;
            if (left > 1 && (t & 1) == 0) {
                g->bytes = 2;
            }
        }
        g->predicted = g->old;
        return 0;
    }
    g->source = s;
    g->old = g->predicted = base_word(d, s);
    if (left == 1 || ((t & 1) != 0 && !bytewise)) {
        return 0;
    }
    g->bytes = 2;
    return d->relocation && ((s & 1) == 0 || bytewise);
}

/* What the next group of the copy is, and what it will bring. */
static void predict(decoder *d) {
    group *g = &d->now.group;
    if (!predict_plain(d)) {
        return;
    }
    if (copy_left(d) >= 4 && ((g->source | d->position) & 3) == 0 && has_words(d) && predict_word(d)) {
        return;
    }
    g->word = WORD_NONE;
    g->kind = KIND_PLAIN;
    g->predicted = g->old;
#if DELTAGATE_PATCH_XTENSA
    if (d->isa == ISA_XTENSA) {
        g->bytes = xtensa_landmark(d);
        if (g->bytes != 0) {
            return;
        }
    }
#endif
    predict_instruction(d, read_instruction(d));
}

/* Whether other rows of its mode have the same field: the lower halves of addresses, and MOVs of two registers. */
static int one_field(const decoder *d, const row *r) {
    unsigned mode = r->mode & MODE;
    return mode == MODE_LOWER || mode == MODE_A64_LOWER || (mode == MODE_DATA && d->isa == ISA_MCS51 && r->bytes == 4);
}

/* The address that a group's bytes hold. Whether they hold one of the same kind. */
static int group_address(const decoder *d, uint32_t bytes, uint32_t *address) {
    const group *g = &d->now.group;
    *address = g->word == WORD_SUM ? bytes + group_at(d, 1) : bytes;
    if (g->row != NULL) {
        const row *r = g->row;
        if (r->mask != 0) {
            r = lookup(d, bytes);
            if (r == NULL || (r != g->row && (r->mode != g->row->mode || !one_field(d, r) || !one_field(d, g->row)))) {
                return 0;
            }
        }
        if (!holds(d, r, bytes)) {
            return 0;
        }
        *address = held(d, r, bytes, 1);
    }
    return g->kind != KIND_RAM || in_ram(d, *address);
}

/* Whether a group holds an address that is coded, and learned, when it is not the predicted one. */
static int learns(const group *g) {
    return g->kind == KIND_FAR || g->kind == KIND_POINTER || g->kind == KIND_RAM ||
           (g->kind == KIND_WORD && g->row != NULL && (g->row->mode & MODE) == MODE_L32R);
}

/* ---- Bytes of groups ---- */

IN_TURN static int hit(decoder *d) {
    const group *g = &d->now.group;
    uint32_t class = g->kind + 8u * g->trust + ((d->position & 3) << 7);
    uint32_t half = g->predicted & (g->bytes == 1 ? 0xFF : 0xFFFF);
    uint32_t ones, run = floor_log2(d->streak + 1u), recent = 16;
    for (ones = d->groups; ones != 0; ones &= ones - 1) {
        recent--;
    }
    d->contexts = 0;
    context(d, class, d->groups & 255u);
    context(d, half, class);
    context(d, half | d->last << 16, g->kind);
    context(d, class, (run > 15 ? 15 : run) | recent << 4);
    context(d, half >> 8, class | (d->groups & 7u) << 8);
    context(d, g->old, g->kind);
    context(d, class, d->own[g->kind] | (d->groups & 3u) << 8);
    enter_all(d, d->hits, d->hits_slice, 0);
    return (int)mixed_bit(d, WEIGHTS_HIT + 7u * g->kind);
}

/* Whether the next byte of a group that is not as predicted is: not the last one, if all others were. */
IN_TURN static int is_byte_hit(decoder *d) {
    const group *g = &d->now.group;
    uint32_t i = g->byte, p = g->predicted >> 8 * i; /* Past the group's bytes these are those of `old`. */
    uint32_t align = (d->position + i) & 3, at = i + 4u * g->misses + 64u * g->kind;
    if (g->misses == 0 && i + 1 == g->bytes) {
        return 0;
    }
    d->contexts = 0;
    context(d, at, align);
    context(d, at, p & 0xFF);
    context(d, at, p & 0xFFFF);
    context(d, at, d->difference_at[align]);
    context(d, at, d->groups & 15u);
    enter_all(d, d->byte_hits, d->byte_hits_slice, 0);
    return (int)mixed_bit(d, WEIGHTS_BYTE_HIT + 5 * (g->misses != 0 ? i + 4 : i));
}

/* Such a byte, if it is not: its difference. */
IN_TURN static void differing_byte(decoder *d) {
    group *g = &d->now.group;
    uint32_t p = g->predicted >> 8 * g->byte;
    uint32_t align = (d->position + g->byte) & 3, at, node = 1, weights = WEIGHTS_DIFFERENCE;
    g->misses |= (uint8_t)(1 << g->byte);
    at = g->byte + 4u * g->misses + 64u * g->kind;
    d->contexts = 0;
    context(d, d->difference_at[align], align & 1);
    context(d, p & 0xFF, align & 1);
    context(d, d->difference, at);
    context(d, (p & 0xFF) | (d->last & 0xFF) << 8, 0);
    context(d, p & 0xFFFF, d->difference_at[align]);
    context(d, align, d->groups & 15u);
    context(d, at, 0);
    do {
        enter_all(d, d->differences, d->hits_slice, node);
        node = node << 1 | mixed_bit(d, weights);
        weights += 7;
    } while (node < 256);
    d->difference_at[align] = d->difference = (uint8_t)node;
    g->result += (((p + node) & 0xFF) - (p & 0xFF)) << 8 * g->byte;
}

/* The bytes of a group that is not as predicted, each for itself. */
static void differing_bytes(decoder *d) {
    group *g = &d->now.group;
    g->result = g->predicted & group_mask(g);
    g->misses = 0;
    for (g->byte = 0; g->byte < g->bytes; g->byte++) {
        if (!is_byte_hit(d)) {
            differing_byte(d);
        }
    }
}

/* ---- Mispredicted groups ---- */

/* Whether a group that is not as predicted has an address that is coded. The result is the address that was predicted. */
IN_TURN static int mispredicted_address(decoder *d) {
    group *g = &d->now.group;
    return group_address(d, g->predicted, &g->result) && alone(d, (uint32_t)CELLS_ADDRESS + g->kind);
}

static uint32_t group_list(const decoder *d) {
    return d->now.group.kind == KIND_RAM ? LIST_RAM : LIST_OTHERS;
}

/* Whether that address moved like one that came before. Then the result is where it moved. */
IN_TURN static int listed_address(decoder *d) {
    group *g = &d->now.group;
    const uint16_t *entry = list_of(d, group_list(d));
    uint32_t cell = CELLS_ADDRESS + 8 + 16 * group_list(d) + 8u * d->found, end = cell + 8;
    for (; cell < end; cell++, entry += 4) {
        uint32_t address = g->address + two_cells(entry + 2);
        if (address != g->result && alone(d, cell)) {
            g->result = address;
            d->found = 1;
            return 1;
        }
    }
    d->found = 0;
    return 0;
}

/* Where it moved, if not. Whether the number was not too large. */
IN_TURN static int distant_address(decoder *d) {
    group *g = &d->now.group;
    nearest(d, group_list(d), g->address, &g->result);
    return seek(d, 4 + group_list(d), &g->result);
}

/* Puts the address that is the result into a word or an instruction. Whether that is possible. */
IN_TURN static int put_address(decoder *d) {
    group *g = &d->now.group;
    const row *r = g->row;
    uint32_t address = g->result, number;
    if (r == NULL) {
        if (g->word == WORD_SUM) {
            g->result = address - group_at(d, 1);
        }
        return 1;
    }
    if (!holds(d, r, g->old)) {
        return 0;
    }
    number = address - from_of(d, r, g->old, 1);
    switch (r->mode & MODE) {
#if DELTAGATE_PATCH_RISCV
    case MODE_UPPER:
    case MODE_AUIPC:
        number += 0x800;
        break;
#endif
#if DELTAGATE_PATCH_AARCH64
    case MODE_ADRP:
        number = sign_extended(number >> 12, 20);
        break;
    case MODE_A64_LOWER: {
        unsigned scale = scale_of(r, g->old);
        number = (address & 0xFFF) >> scale;
        if (number << scale != (address & 0xFFF)) {
            return 0;
        }
        break;
    }
#endif
#if DELTAGATE_PATCH_MCS51
    case MODE_CODE:
    case MODE_BANKED:
        if (address >= 0x8000) {
            number = ((r->mode & MODE) == MODE_BANKED ? address >> 15 << 16 : 0) | 0x8000 | (address & 0x7FFF);
        }
        break;
#endif
    default:
        break;
    }
    g->result = with_number(r, g->old, number);
    return (r->mode & MODE) >= MODE_UPPER || (r->mode & MODE) == MODE_A64_LOWER ||
           (holds(d, r, g->result) && held(d, r, g->result, 1) == address);
}

IN_TURN static void learn_address(decoder *d) {
    group *g = &d->now.group;
    uint32_t address;
    g->result &= group_mask(g);
    if (group_address(d, g->result, &address)) {
        remember(d, group_list(d), g->address, address - g->address);
    }
}

/* The pair of halfwords of a group of 2 bytes; NULL if it has none. */
static uint16_t *pair_of(const decoder *d) {
    const group *g = &d->now.group;
    if (g->bytes != 2 || g->kind > KIND_NEAR) {
        return NULL;
    }
    return &d->cells[halfwords_of(d) + 2 * place_of(scramble(g->predicted & 0xFFFF), d->cell_count / 64)];
}

IN_TURN static int mispredicted_halfword(decoder *d) {
    group *g = &d->now.group;
    const uint16_t *pair = pair_of(d);
    uint16_t predicted = (uint16_t)g->predicted;
    if (pair == NULL || pair[0] != predicted || pair[1] == predicted) {
        return 0;
    }
    g->result = pair[1];
    return (int)alone(d, (uint32_t)CELLS_HALFWORD + g->kind);
}

static void learn_halfword(decoder *d) {
    uint16_t *pair = pair_of(d);
    if (pair != NULL) {
        pair[0] = (uint16_t)d->now.group.predicted;
        pair[1] = (uint16_t)d->now.group.result;
    }
}

/* The two cells of positions: of the last byte, of the last two. */
static uint16_t *position_cell(const decoder *d, unsigned match) {
    uint32_t h = scramble(d->last & (match == 0 ? 0xFF : 0xFFFF));
    uint32_t start = match == 0 ? d->positions1 : d->positions2;
    uint32_t end = match == 0 ? d->positions2 : d->checked;
    return &d->cells[start + place_of(h, end - start)];
}

static int doubtful(const group *g) {
    return (g->kind >= KIND_FAR && g->kind <= KIND_WORD) || (g->kind == KIND_NEAR && g->trust < 3);
}

/* Before a group. */
IN_TURN static void copy_begins(decoder *d) {
    unsigned i;
    for (i = 0; i < 2; i++) {
        *position_cell(d, i) = (uint16_t)d->position;
    }
    if (d->block == 0 && d->streak >= 128) {
        uint32_t log2 = floor_log2(d->streak), left = copy_left(d);
        uint32_t block = (uint32_t)1 << (log2 > 12 ? 12 : log2);
        d->block = (uint16_t)(block < left ? block : left);
        if (!alone(d, CELLS_BLOCK + 2 * (log2 > 15 ? 15 : log2) + (d->groups & 1u))) {
            d->streak = d->block = 0;
        }
    }
}

/* After a group, whose result is known. */
IN_TURN static void copy_ends(decoder *d, int is_hit) {
    group *g = &d->now.group;
    uint32_t bytes = g->result;
    unsigned i;
    if (is_hit) {
        if (d->streak < 0x8000) { /* From there on all are the same. */
            d->streak = (uint16_t)(d->streak + g->bytes);
        }
        d->block = (uint16_t)(d->block < g->bytes ? 0 : d->block - g->bytes);
    } else {
        d->block = 0;
        if (!doubtful(g)) {
            d->streak = 0;
        }
    }
    d->groups = (uint16_t)(d->groups << 1 | is_hit);
    d->own[g->kind] = (uint8_t)(d->own[g->kind] << 1 | is_hit);
    for (i = 0; i < g->bytes; i++, bytes >>= 8) {
        produce(d, (uint8_t)bytes);
    }
}

/* One group of a copy. */
static void copy_group(decoder *d) {
    group *g = &d->now.group;
    int is_hit;
    copy_begins(d);
    predict(d);
    if (g->row != NULL) {
        if (put_address(d)) {
            g->predicted = g->result;
            g->kind = g->row_kind;
            g->bytes = g->row->bytes;
        } else {
            g->row = NULL;
            g->trust = 0;
        }
    }
    g->result = g->predicted & group_mask(g);
    is_hit = (d->block != 0 && !doubtful(g)) || hit(d);
    if (!is_hit) {
        if (learns(g)) {
            if (!mispredicted_address(d) || !(listed_address(d) || distant_address(d)) || !put_address(d)) {
                differing_bytes(d);
            }
            learn_address(d);
        } else {
            if (!mispredicted_halfword(d)) {
                differing_bytes(d);
            }
            learn_halfword(d);
        }
    }
#if REGISTERS
    if (d->isa >= ISA_RV32 && d->isa <= ISA_AARCH64 && from_base(d)) {
        passed(d);
    }
#endif
    copy_ends(d, is_hit);
}

/* ---- Literals ---- */

/* The first match looks for the last byte, the second for the last two. */
static void look_for_match(decoder *d, unsigned match) {
    literals *l = &d->now.literals;
    uint16_t *cell = position_cell(d, match);
    uint32_t t = d->position, back = (t - *cell) & 0xFFFF, agree = 0;
    *cell = (uint16_t)t;
    if (l->match_length[match] >= 8 || back == 0 || back >= t) {
        return;
    }
    while (agree < 8 && agree < t - back && target_byte(d, t - 1 - agree) == target_byte(d, t - back - 1 - agree)) {
        agree++;
    }
    if (agree > l->match_length[match] && agree > match) {
        l->match_back[match] = (uint16_t)back;
        l->match_length[match] = (uint8_t)agree;
    }
}

/* The contexts of a bit of a literal: those of the matches, its place, then those that follow other bytes. */
IN_TURN static void enter_literal(decoder *d, uint32_t within, uint32_t node) {
    static const uint8_t SHARES[5] = {14, 4, 2, 1, 1};
    uint32_t at = d->checked, all = d->cell_count - d->checked, k, i;
    int all_contexts = d->cell_count > 4096;
    d->against = 0;
    for (i = 0; i < 2; i++) {
        uint32_t expected = d->context[5 + i], cell = 0;
        k = 8 - floor_log2(node);
        if (expected >> k == node) {
            cell = d->positions1 - 32u + 16 * i + d->now.literals.match_length[i];
        }
        d->against |= (uint8_t)((~expected >> (k - 1) & 1) << i);
        enter(d, i, cell);
    }
    if (counts_bytes(d) && within > 1) {
        within = 1;
    }
    enter(d, 2, d->positions1 - 33u - d->order0_mask + ((node + (within << 8)) & d->order0_mask));
    for (k = 0; k < 5; k++) {
        uint32_t share = all_contexts ? divided(all * SHARES[k], 22) : k == 0 ? all : 0;
        uint32_t h = scramble(d->context[k] ^ node);
        uint32_t cell = 0;
        if (share != 0) {
            cell = at + place_of(h, share);
            i = d->cells[cell];
            if ((i >> 3 & 31) != (h & 31)) {
                if ((i & 7) >= 3) {
                    d->cells[cell]--;
                    cell = 0;
                } else {
                    d->cells[cell] = (uint16_t)(0x8000 | (h & 31) << 3);
                }
            }
        }
        enter(d, (unsigned)k + 3, cell);
        at += share;
    }
}

/*
 * One byte of literals, or, to train their counters with it, one of the base: with so many bytes left of its instruction, or
 * at this offset. `known` is 0, or 256 more than the byte of the base.
 */
IN_TURN static uint8_t literal(decoder *d, uint32_t within, uint32_t last, uint32_t known) {
    static const uint32_t MASKS[5] = {0xFF, 0xFF00, 0xFFFF0000u, 0xFFF0, 0xF0F0F0};
    literals *l = &d->now.literals;
    uint32_t *expected = &d->context[5];
    uint32_t node = 1, weights = WEIGHTS_LITERAL, k;
    d->contexts = 0;
    for (k = 0; k < 5; k++) {
        context(d, last & MASKS[k], within & (counts_bytes(d) ? 3u : k == 0));
    }
    for (k = 0; k < 2; k++) {
        expected[k] = 0; /* Of no byte. */
        if (known == 0 && l->match_back[k] != 0) {
            expected[k] = 0x100u | target_byte(d, d->position - l->match_back[k]);
        }
    }
    do {
        enter_literal(d, within, node);
        node <<= 1;
        if (known != 0) {
            known <<= 1;
            node |= known >> 8 & 1;
            learn_counters(d, node & 1);
        } else {
            node |= mixed_bit(d, weights);
        }
        weights += 8;
    } while (node < 256);
    for (k = 0; k < 2; k++) {
        if (expected[k] != 0) {
            if (expected[k] != node) {
                l->match_length[k] = 0;
            } else if (l->match_length[k] < 15) {
                l->match_length[k]++;
            }
        }
    }
    return (uint8_t)node;
}

/* ---- The order of it all ---- */

/* Where the bytes of the base end that train the literal models. */
static uint32_t train_end(const decoder *d) {
    uint32_t end = d->source + d->copy + d->extra + (d->copy < 64 ? d->copy : 64);
    return end < d->io->base_bytes ? end : d->io->base_bytes;
}

/* After a step of a triple. */
static void next_phase(decoder *d) {
    literals *l = &d->now.literals;
    uint32_t done = d->position - d->start;
    if (d->phase == PHASE_TRIPLE) {
        d->block = 0;
        d->phase = d->copy > 0 ? PHASE_COPY : PHASE_EXTRA;
    } else if (d->phase == PHASE_COPY && done == d->copy) { /* A copy ends the matches. */
        l->match_back[0] = l->match_back[1] = 0;
        l->match_length[0] = l->match_length[1] = 0;
        l->train_left = d->isa_state.xtensa.left;
        l->train = d->source + d->copy < 4 ? 4 : d->source + d->copy;
        d->phase = PHASE_TRAIN;
    }
    if (d->phase == PHASE_TRAIN && (d->extra == 0 || !from_base(d) || l->train >= train_end(d))) {
        d->phase = PHASE_EXTRA;
    }
    if (d->phase == PHASE_EXTRA && done == d->copy + d->extra) {
        d->phase = d->position == d->target_bytes ? PHASE_END : PHASE_TRIPLE;
    }
}

IN_TURN static void train(decoder *d) {
    literals *l = &d->now.literals;
    uint32_t before = base_word(d, l->train - 4), byte = base_word(d, l->train) & 255;
    uint32_t last = before >> 24 | (before >> 8 & 0xFF00) | (before & 0xFF00) << 8 | before << 24;
    uint32_t within = l->train;
    if (counts_bytes(d)) {
        within = l->train_left;
        l->train_left = bytes_left(l->train_left, byte);
    }
    literal(d, within, last, 0x100 | byte);
    l->train++;
}

static void extra(decoder *d) {
    d->streak = 0;
    look_for_match(d, 0);
    look_for_match(d, 1);
    produce(d, literal(d, counts_bytes(d) ? d->isa_state.xtensa.left : d->position, d->last, 0));
}

static void end(decoder *d) {
    append_piece(d, d->position & (PIECE - 1));
    if (d->coder[0].position < d->io->patch_bytes) {
        fail(d, DELTAGATE_PATCH_TRAILING_BYTES);
    } else if ((d->crc32 ^ 0xFFFFFFFFu) != d->target_crc32) {
        fail(d, DELTAGATE_PATCH_RESULT_MISMATCH);
    }
    d->phase = PHASE_DONE;
}

static void one_step(decoder *d) {
    switch (d->phase) {
    case PHASE_BEGIN:
        begin(d);
        return;
    case PHASE_MAP:
        triple(d);
        if (d->error == 0) {
            map_triple(d);
        }
        return;
    case PHASE_TRIPLE:
        d->coder_used = 1;
        triple(d);
        d->coder_used = 0;
        break;
    case PHASE_COPY:
        copy_group(d);
        break;
    case PHASE_TRAIN:
        train(d);
        break;
    case PHASE_EXTRA:
        extra(d);
        break;
    default:
        end(d);
        return;
    }
    next_phase(d);
}

deltagate_patch_result deltagate_patch_step(deltagate_patch *d, uint32_t budget) {
    if (d->error != 0) {
        return DELTAGATE_PATCH_POISONED;
    }
    while (d->phase != PHASE_DONE) {
        if (budget-- == 0) {
            return DELTAGATE_PATCH_MORE;
        }
        one_step(d);
        if (d->error != 0) {
            return (deltagate_patch_result)d->error;
        }
    }
    return DELTAGATE_PATCH_DONE;
}

/* The version of patches that may be applied in place. */
#define IN_PLACE_VERSION (DELTAGATE_PATCH_VERSION | 0x40)

static uint32_t little_endian(const uint8_t *bytes, unsigned count) {
    uint32_t value = 0;
    while (count-- > 0) {
        value = value << 8 | bytes[count];
    }
    return value;
}

deltagate_patch_result deltagate_patch_parse(deltagate_patch_header *header, const uint8_t *bytes, size_t count) {
    unsigned i;
    if (count < DELTAGATE_PATCH_HEADER_BYTES) {
        return DELTAGATE_PATCH_TRUNCATED;
    }
    if (bytes[0] != 'd' || bytes[1] != 'G') {
        return DELTAGATE_PATCH_NOT_A_PATCH;
    }
#if DELTAGATE_PATCH_IN_PLACE
    header->reach_bytes = 0;
    if (bytes[2] == IN_PLACE_VERSION) {
        if (count < DELTAGATE_PATCH_HEADER_BYTES_MAX) {
            return DELTAGATE_PATCH_TRUNCATED;
        }
        header->reach_bytes = little_endian(bytes + DELTAGATE_PATCH_HEADER_BYTES, 2) << 8;
        if (header->reach_bytes == 0) {
            return DELTAGATE_PATCH_NO_REACH;
        }
    } else
#endif
        if (bytes[2] != DELTAGATE_PATCH_VERSION) {
        return DELTAGATE_PATCH_UNKNOWN_VERSION;
    }
    if (bytes[3] < 12 || bytes[3] > 17) {
        return DELTAGATE_PATCH_UNKNOWN_MEMORY_CLASS;
    }
    header->memory_bytes = (uint32_t)1 << bytes[3];
    header->target_bytes = little_endian(bytes + 4, 3);
    header->base_bytes = little_endian(bytes + 7, 3);
    for (i = 0; i < 8; i++) {
        header->base_digest_prefix[i] = bytes[10 + i];
    }
    header->target_crc32 = little_endian(bytes + 18, 4);
    return DELTAGATE_PATCH_DONE;
}

deltagate_patch_result deltagate_patch_begin(deltagate_patch *d, const deltagate_patch_header *header, uint16_t *memory,
                                             size_t memory_bytes, const deltagate_patch_io *io) {
    volatile uint8_t *byte = (volatile uint8_t *)d; /* Volatile: or compilers call memset(). */
    size_t left = sizeof *d;
    while (left-- > 0) {
        *byte++ = 0;
    }
    d->error = DELTAGATE_PATCH_MEMORY_TOO_SMALL;
    if (memory_bytes < header->memory_bytes) {
        return DELTAGATE_PATCH_MEMORY_TOO_SMALL;
    }
    if (io->base_bytes != header->base_bytes) {
        return DELTAGATE_PATCH_BASE_LENGTH;
    }
    d->error = 0;
    d->io = io;
    d->cells = memory;
    d->cell_count = header->memory_bytes / 2;
    d->target_bytes = header->target_bytes;
    d->target_crc32 = header->target_crc32;
    d->crc32 = 0xFFFFFFFFu;
    d->coder[0].range = 0xFFFFFFFFu;
    d->coder[0].position = DELTAGATE_PATCH_HEADER_BYTES;
#if DELTAGATE_PATCH_IN_PLACE
    d->reach_bytes = header->reach_bytes;
    if (d->reach_bytes > 0) {
        d->coder[0].position = DELTAGATE_PATCH_HEADER_BYTES_MAX;
    }
#endif
    return DELTAGATE_PATCH_DONE;
}

const char *deltagate_patch_message(deltagate_patch_result result) {
    switch (result) {
    case DELTAGATE_PATCH_MORE:
        return "patch is not yet applied";
    case DELTAGATE_PATCH_DONE:
        return "patch is applied";
    case DELTAGATE_PATCH_TRUNCATED:
        return "patch ends early";
    case DELTAGATE_PATCH_TRAILING_BYTES:
        return "patch has bytes after its end";
    case DELTAGATE_PATCH_NUMBER_TOO_LARGE:
        return "patch holds a number that is too large";
    case DELTAGATE_PATCH_EMPTY_TRIPLE:
        return "patch holds a control triple without bytes";
    case DELTAGATE_PATCH_OUTPUT_OVERRUN:
        return "patch yields more bytes than it declares";
    case DELTAGATE_PATCH_SOURCE_OUT_OF_RANGE:
        return "patch copies from outside its sources";
    case DELTAGATE_PATCH_NO_REACH:
        return "patch has no reach";
    case DELTAGATE_PATCH_SOURCE_OUT_OF_REACH:
        return "patch copies from behind its reach";
    case DELTAGATE_PATCH_RESULT_MISMATCH:
        return "patched image has the wrong checksum";
    case DELTAGATE_PATCH_NOT_A_PATCH:
        return "not a deltagate patch";
    case DELTAGATE_PATCH_UNKNOWN_VERSION:
        return "patch of unknown version";
    case DELTAGATE_PATCH_UNKNOWN_MEMORY_CLASS:
        return "patch of unknown memory class";
    case DELTAGATE_PATCH_UNKNOWN_INSTRUCTION_SET:
        return "patch for unknown instruction set";
    case DELTAGATE_PATCH_MEMORY_TOO_SMALL:
        return "patch needs more decoder memory";
    case DELTAGATE_PATCH_BASE_LENGTH:
        return "patch is for a base of another length";
    case DELTAGATE_PATCH_BASE_UNREADABLE:
        return "base image could not be read";
    case DELTAGATE_PATCH_PATCH_UNREADABLE:
        return "patch could not be read";
    case DELTAGATE_PATCH_OUTPUT_FAILED:
        return "patched image could not be written";
    case DELTAGATE_PATCH_POISONED:
        return "decoder was stepped after an error";
    }
    return "unknown result";
}
