/* What depends on the instructions of the CPU. Each result of a row depends on that row only, and not on how many others
 * there are: that is what makes texts repeatable. */
#ifndef ADAPTIVE_KERNELS_H
#define ADAPTIVE_KERNELS_H

#include "decoder.h"

/* Rows of numbers as bytes with a scale for each group, and the sum of each group times its scale. A group of all rows
 * lies together, as products use it. */
typedef struct {
    int8_t *bytes;                          /* [width / GROUP, rows, GROUP] */
    float *scales, *sums;                   /* [width / GROUP, rows] */
    int32_t width, rows;
} Quantised;

/* One block of one head in the cache. Keys are scale * byte + least, values scale * byte. */
typedef struct {
    uint8_t *keys;                          /* [head_dim / 4, BLOCK, 4] */
    int8_t *values;                         /* [BLOCK / 4, head_dim, 4] */
    float *key_scales, *key_leasts, *value_scales; /* [BLOCK] */
} CacheBlock;

/* Neighbouring blocks, as far as there are any; where not, the first one again. */
typedef struct {
    CacheBlock block[SPAN];
    int32_t count, first;                   /* blocks, and the position of their first key */
} Span;

static inline Span span_from(int32_t begin, int32_t end, CacheBlock (*block)(const void *context, int32_t i),
                             const void *context) {
    Span span = {.count = end - begin < SPAN ? end - begin : SPAN, .first = begin * BLOCK};
    for (int32_t b = 0; b < SPAN; b++) span.block[b] = b < span.count ? block(context, begin + b) : span.block[0];
    return span;
}

/* Queries of a tile of rows that share their keys and values. */
typedef struct {
    int32_t count, head_dim;
    const int8_t *bytes;                    /* [count, head_dim] */
    const float *scales, *sums;             /* [count]; scales include that of attention, for powers of two; sums are of the bytes */
    const int32_t *positions;               /* [count] of the last key that each sees */
    float *out;                             /* [count, head_dim] */
} Queries;

typedef struct {
    const char *name;
    /* out[r, 0..tiles * TILE) = x[r] W, for the tiles from `tile` on. */
    void (*multiply)(const Matrix *matrix, int32_t tile, int32_t tiles, const Quantised *x, int32_t row, int32_t rows,
                     float *out, ptrdiff_t stride);
    void (*quantise)(const float *x, const Quantised *out, int32_t row, int32_t column, int32_t count);
    void (*normalise)(const float *x, const float *weights, int32_t count, float epsilon, float *out);
    void (*gate)(float *gate, const float *up, int32_t count); /* gate = silu(gate) * up */
    void (*rotate)(float *head, const float *cosines, const float *sines, int32_t half);
    float (*quantise_query)(const float *x, int32_t count, int8_t *bytes, int32_t *sum); /* returns the scale */
    void (*store_key)(const float *x, int32_t count, const CacheBlock *block, int32_t at);
    void (*store_value)(const float *x, int32_t count, const CacheBlock *block, int32_t at);
    /* `block(context, i)` is the i-th block of the sequence. */
    void (*attend)(const Queries *queries, CacheBlock (*block)(const void *context, int32_t i), const void *context);
} Kernels;

extern const Kernels avx512_kernels;
extern const Kernels avx2_kernels;

#endif
