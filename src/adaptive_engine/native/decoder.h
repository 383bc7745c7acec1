/* A decoder-only transformer of the Llama kind with quantised weights, on a CPU. See decoder.c. */
#ifndef ADAPTIVE_DECODER_H
#define ADAPTIVE_DECODER_H

#include <stddef.h>
#include <stdint.h>

enum {
    GROUP = 32,         /* weights and activations share a scale in groups of this many */
    TILE = 16,          /* columns of a matrix that lie together */
    BLOCK = 32,         /* tokens in a block of the cache */
    SPAN = 4,           /* blocks that attention looks at together */
    MAX_HEAD_DIM = 256, /* a multiple of GROUP, as are all sizes */
    MAX_SHARING = 256   /* heads of queries with the same keys */
};

/* y = x W, W of `inputs` rows and `outputs` columns. Tiles of TILE columns follow one another, each of them:
 *
 *     for each group of GROUP inputs, for each four (4 bits: two times four, of which the second has the high
 *     nibbles) of them, for each column: four weights
 *     for each group, for each column: its scale, as float16
 *     4 bits only: for each group, for each column: its least value, as float16
 *
 * A weight of 4 bits is scale * w + least, one of 8 bits is scale * (w - 128). */
typedef struct {
    const uint8_t *tiles;
    int32_t bits, inputs, outputs;
} Matrix;

/* NULL for what a model does not have. */
typedef struct {
    const float *attention_norm, *mlp_norm; /* [hidden] */
    const float *query_bias, *key_bias, *value_bias;
    const float *query_norm, *key_norm;     /* [head_dim] */
    Matrix queries, keys, values;           /* [hidden, heads or kv_heads, head_dim] */
    Matrix attention_out;
    Matrix gate_up;                         /* 2 tiles of the gate and 2 of what it lets through, in turns */
    Matrix down;
} Layer;

typedef struct {
    int32_t layers, hidden, heads, kv_heads, head_dim, mlp;
    float epsilon;
    const float *frequencies;               /* of rotary positions: [head_dim / 2] */
    const float *final_norm;
    Matrix embeddings, head;                /* a column for each token */
    const Layer *layer;
} Model;

/* What one step computes: `rows` tokens of `sequences` sequences, one behind the other. */
typedef struct {
    int32_t rows, sequences, wanted;
    const int64_t *tokens;                  /* [rows] */
    const int32_t *past;                    /* [sequences] tokens in the cache before this step */
    const int32_t *begins;                  /* [sequences + 1] first row of each */
    const int32_t *blocks, *block_begins;   /* of the cache: all of a sequence, from its first token on */
    const int64_t *wanted_rows;             /* [wanted], each after the one before */
    float *logits;                          /* [wanted, outputs of the head] */
} Step;

typedef struct Decoder Decoder;

#endif
