/* The steps of a decoder-only transformer, shared out among threads.
 *
 * A step is a list of phases, in each of which threads take pieces of work until none is left, and wait for one another:
 *
 *     embed                    rows of the embeddings, angles of their positions
 *     for each layer:
 *       normalise              rows as bytes
 *       project_cached         keys and values by head; keys rotated; into the cache
 *       keep_wanted            in the last layer: the others have done what they are for
 *       project_queries        by head; rotated
 *       attend                 by tiles of rows and heads of keys
 *       attention_out          added to the rows
 *       normalise
 *       gate_up                pieces of 32 columns, as bytes
 *       down                   added to the rows
 *     normalise_last, head     logits
 *
 * All pieces write what no other piece of their phase reads or writes. */
#define _GNU_SOURCE
#include "decoder.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <pmmintrin.h>
#endif

#include "kernels.h"

#define EXPORT __attribute__((visibility("default")))

#define LOG2_E 1.44269504f

enum {
    ROW_CHUNK = 64,       /* rows of a piece of a product */
    NORM_ROWS = 8,        /* rows of a piece that is done row by row */
    OUT_TILES = 2,        /* of a piece of attention_out and down */
    HEAD_TILES = 16,      /* of a piece of the head */
    QUERY_TILE = 48,      /* queries of a piece of attention, at least one row's */
    SPINS = 2000,
    PIECE_TILES = 2,      /* columns of gate_up that are quantised together are two tiles */
};

typedef struct {
    float *cosines, *sines;                 /* [rows, head_dim / 2] */
    float *stream;                          /* [rows, hidden] what layers add to */
    int32_t *positions, *sequence;          /* [rows] */
    int32_t *begins;                        /* [rows + 1] of what is left of each sequence in the last layer */
    Quantised normed, attended, gated;
    int8_t *queries;                        /* [kv_heads, rows, heads per kv head, head_dim] */
    float *query_scales, *query_sums;       /* [kv_heads, rows, heads per kv head] */
    int32_t rows;                           /* that there is room for */
} Buffers;

typedef void (*Phase)(Decoder *, const Layer *, int32_t layer, int32_t piece, void *scratch);

struct Decoder {
    Model model;
    const Kernels *kernels;
    uint8_t *cache;
    int32_t cache_blocks;
    size_t block_bytes, layer_bytes, scratch_bytes;
    uint8_t *scratch;                       /* [threads, scratch_bytes] */
    Buffers buffers;
    Step step;
    int32_t rows;                           /* of the phase, and first row of each sequence */
    const int32_t *begins;

    int32_t threads;
    pthread_t *handles;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t asked, answered;               /* numbers of steps */
    int32_t left;                           /* threads that have left the step */
    bool closing;
    atomic_int *taken, *done;               /* [threads, phases] and [phases] pieces */
    atomic_int started;                     /* threads */
    int32_t phases;
};

/* ---- the cache ---- */

static size_t block_bytes(const Model *m) {
    return (size_t)BLOCK * m->head_dim * 2 + (size_t)BLOCK * 3 * sizeof(float);
}

static CacheBlock cache_block(const Decoder *d, int32_t layer, int32_t block, int32_t head) {
    uint8_t *at = d->cache + (size_t)layer * d->layer_bytes +
                  ((size_t)block * d->model.kv_heads + head) * d->block_bytes;
    const size_t bytes = (size_t)BLOCK * d->model.head_dim;
    float *scales = (float *)(at + 2 * bytes);
    return (CacheBlock){at, (int8_t *)(at + bytes), scales, scales + BLOCK, scales + 2 * BLOCK};
}

typedef struct {
    const Decoder *decoder;
    const int32_t *blocks;
    int32_t layer, head;
} Blocks;

static CacheBlock nth_block(const void *context, int32_t i) {
    const Blocks *b = context;
    return cache_block(b->decoder, b->layer, b->blocks[i], b->head);
}

/* ---- phases ---- */

static int32_t parts(int32_t count, int32_t size) { return (count + size - 1) / size; }
static int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }
static float *row_of(const Decoder *d, int32_t row) { return d->buffers.stream + (size_t)row * d->model.hidden; }

static float half_to_float(uint16_t half) {
    const uint32_t sign = (uint32_t)(half >> 15) << 31, exponent = half >> 10 & 31, fraction = half & 1023;
    if (exponent == 0) {
        const float value = ldexpf((float)fraction, -24);
        return sign ? -value : value;
    }
    const uint32_t bits = sign | (exponent == 31 ? 255u : exponent + 112) << 23 | fraction << 13;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* One column of a matrix, as the embedding of a token. */
static void column_of(const Matrix *m, int32_t column, float *out) {
    const int32_t groups = m->inputs / GROUP, per_group = m->bits == 4 ? 256 : 512;
    const uint8_t *tile = m->tiles + (size_t)(column / TILE) * groups * (m->bits == 4 ? 320 : 544);
    const uint16_t *scales = (const uint16_t *)(tile + (size_t)groups * per_group);
    const uint16_t *leasts = scales + (size_t)groups * TILE;
    for (int32_t g = 0; g < groups; g++) {
        const int32_t at = g * TILE + column % TILE;
        const float scale = half_to_float(scales[at]), low = m->bits == 4 ? half_to_float(leasts[at]) : -128 * scale;
        for (int32_t i = 0; i < GROUP; i++) {
            const int32_t four = i / 4 % (m->bits == 4 ? 4 : 8);
            const uint8_t byte = tile[(size_t)g * per_group + four * 64 + column % TILE * 4 + i % 4];
            const int32_t weight = m->bits == 8 ? byte : i < 16 ? byte & 15 : byte >> 4;
            out[g * GROUP + i] = scale * (float)weight + low;
        }
    }
}

static void embed(Decoder *d, const Layer *layer, int32_t index, int32_t piece, void *scratch) {
    (void)layer, (void)index, (void)scratch;
    Buffers *b = &d->buffers;
    const int32_t half = d->model.head_dim / 2, end = least((piece + 1) * NORM_ROWS, d->rows);
    for (int32_t row = piece * NORM_ROWS; row < end; row++) {
        column_of(&d->model.embeddings, (int32_t)d->step.tokens[row], row_of(d, row));
        for (int32_t i = 0; i < half; i++) {
            const float angle = (float)b->positions[row] * d->model.frequencies[i];
            b->cosines[row * half + i] = cosf(angle);
            b->sines[row * half + i] = sinf(angle);
        }
    }
}

static void normalise_rows(Decoder *d, const float *weights, int32_t piece, float *scratch) {
    const int32_t end = least((piece + 1) * NORM_ROWS, d->rows);
    for (int32_t row = piece * NORM_ROWS; row < end; row++) {
        d->kernels->normalise(row_of(d, row), weights, d->model.hidden, d->model.epsilon, scratch);
        d->kernels->quantise(scratch, &d->buffers.normed, row, 0, d->model.hidden);
    }
}

static void normalise_for_attention(Decoder *d, const Layer *layer, int32_t index, int32_t piece, void *scratch) {
    (void)index;
    normalise_rows(d, layer->attention_norm, piece, scratch);
}

static void normalise_for_mlp(Decoder *d, const Layer *layer, int32_t index, int32_t piece, void *scratch) {
    (void)index;
    normalise_rows(d, layer->mlp_norm, piece, scratch);
}

typedef enum { QUERIES, KEYS, VALUES } Kind;

/* What becomes of the numbers of a head in one row. */
static void place_head(Decoder *d, const Layer *layer, int32_t index, Kind kind, int32_t head, int32_t row, float *x) {
    const Model *m = &d->model;
    Buffers *b = &d->buffers;
    const int32_t dim = m->head_dim, half = dim / 2, each = m->heads / m->kv_heads;
    const float *bias = kind == QUERIES ? layer->query_bias : kind == KEYS ? layer->key_bias : layer->value_bias;
    const float *norm = kind == QUERIES ? layer->query_norm : kind == KEYS ? layer->key_norm : 0;
    if (bias)
        for (int32_t i = 0; i < dim; i++) x[i] += bias[(size_t)head * dim + i];
    if (norm) d->kernels->normalise(x, norm, dim, m->epsilon, x);
    if (kind != VALUES) d->kernels->rotate(x, b->cosines + (size_t)row * half, b->sines + (size_t)row * half, half);
    if (kind == QUERIES) {
        const size_t at = ((size_t)(head / each) * d->rows + row) * each + head % each;
        int32_t sum;
        b->query_scales[at] = d->kernels->quantise_query(x, dim, b->queries + at * dim, &sum) * LOG2_E / sqrtf((float)dim);
        b->query_sums[at] = (float)sum;
        return;
    }
    const int32_t position = b->positions[row];
    const int32_t *blocks = d->step.blocks + d->step.block_begins[b->sequence[row]];
    const CacheBlock block = cache_block(d, index, blocks[position / BLOCK], head);
    (kind == KEYS ? d->kernels->store_key : d->kernels->store_value)(x, dim, &block, position % BLOCK);
}

static void project_head(Decoder *d, const Layer *layer, int32_t index, Kind kind, int32_t head, int32_t chunk, float *out) {
    const int32_t dim = d->model.head_dim, tiles = dim / TILE;
    const int32_t begin = chunk * ROW_CHUNK, rows = least(ROW_CHUNK, d->rows - begin);
    const Matrix *matrix = kind == QUERIES ? &layer->queries : kind == KEYS ? &layer->keys : &layer->values;
    d->kernels->multiply(matrix, head * tiles, tiles, &d->buffers.normed, begin, rows, out, dim);
    for (int32_t r = 0; r < rows; r++) place_head(d, layer, index, kind, head, begin + r, out + (size_t)r * dim);
}

static void project_cached(Decoder *d, const Layer *layer, int32_t index, int32_t piece, void *scratch) {
    const int32_t heads = d->model.kv_heads, head = piece % (2 * heads), chunk = piece / (2 * heads);
    project_head(d, layer, index, head < heads ? KEYS : VALUES, head % heads, chunk, scratch);
}

static void project_queries(Decoder *d, const Layer *layer, int32_t index, int32_t piece, void *scratch) {
    project_head(d, layer, index, QUERIES, piece % d->model.heads, piece / d->model.heads, scratch);
}

static void project(Decoder *d, const Layer *layer, int32_t index, int32_t piece, void *scratch) {
    const int32_t cached = 2 * d->model.kv_heads * parts(d->rows, ROW_CHUNK);
    if (piece < cached) project_cached(d, layer, index, piece, scratch);
    else project_queries(d, layer, index, piece - cached, scratch);
}

static void move_row(const Quantised *q, int32_t from, int32_t to) {
    for (int32_t group = 0; group < q->width / GROUP; group++) {
        const size_t begin = (size_t)group * q->rows;
        memcpy(q->bytes + (begin + to) * GROUP, q->bytes + (begin + from) * GROUP, GROUP);
        q->scales[begin + to] = q->scales[begin + from];
        q->sums[begin + to] = q->sums[begin + from];
    }
}

/* One piece. The rows that are wanted become the first ones, and the only ones. */
static void keep_wanted(Decoder *d, const Layer *layer, int32_t index, int32_t piece, void *scratch) {
    (void)layer, (void)index, (void)piece, (void)scratch;
    Buffers *b = &d->buffers;
    const size_t half = d->model.head_dim / 2;
    for (int32_t to = 0; to < d->step.wanted; to++) {
        const int32_t from = (int32_t)d->step.wanted_rows[to];
        if (from == to) continue;
        memcpy(row_of(d, to), row_of(d, from), d->model.hidden * sizeof(float));
        memcpy(b->cosines + to * half, b->cosines + from * half, half * sizeof(float));
        memcpy(b->sines + to * half, b->sines + from * half, half * sizeof(float));
        b->positions[to] = b->positions[from];
        b->sequence[to] = b->sequence[from];
        move_row(&b->normed, from, to);
    }
    d->rows = d->step.wanted;
    d->begins = b->begins;
}

/* Rows of a piece of attention: so that a tile has about QUERY_TILE queries. */
static int32_t attended_rows(const Model *m) {
    const int32_t rows = QUERY_TILE * m->kv_heads / m->heads;
    return rows ? rows : 1;
}

static void attend(Decoder *d, const Layer *layer, int32_t index, int32_t piece, void *scratch) {
    (void)layer;
    const Model *m = &d->model;
    Buffers *b = &d->buffers;
    const int32_t size = attended_rows(m), each = m->heads / m->kv_heads, dim = m->head_dim;
    const int32_t head = piece % m->kv_heads, tile = piece / m->kv_heads;
    /* Tiles do not cross sequences. The last ones, which are the deepest, come first: what is begun last shall be short. */
    int32_t sequence = d->step.sequences - 1, behind = tile, count;
    while (behind >= (count = parts(d->begins[sequence + 1] - d->begins[sequence], size))) behind -= count, sequence--;
    const int32_t first = d->begins[sequence] + (count - 1 - behind) * size;
    const int32_t rows = least(size, d->begins[sequence + 1] - first);
    int32_t positions[MAX_SHARING];
    for (int32_t i = 0; i < rows * each; i++) positions[i] = b->positions[first + i / each];
    const size_t at = ((size_t)head * d->rows + first) * each;
    const Blocks blocks = {d, d->step.blocks + d->step.block_begins[sequence], index, head};
    float *out = scratch;
    const Queries queries = {rows * each, dim, b->queries + at * dim, b->query_scales + at, b->query_sums + at, positions, out};
    d->kernels->attend(&queries, nth_block, &blocks);
    for (int32_t i = 0; i < rows * each; i++)
        d->kernels->quantise(out + (size_t)i * dim, &b->attended, first + i / each, (head * each + i % each) * dim, dim);
}

/* Adds x W to the rows. */
static void add_product(Decoder *d, const Matrix *matrix, const Quantised *x, int32_t piece, float *out) {
    const int32_t pieces = parts(matrix->outputs / TILE, OUT_TILES), column = piece % pieces * OUT_TILES;
    const int32_t tiles = least(OUT_TILES, matrix->outputs / TILE - column);
    const int32_t begin = piece / pieces * ROW_CHUNK, rows = least(ROW_CHUNK, d->rows - begin);
    d->kernels->multiply(matrix, column, tiles, x, begin, rows, out, OUT_TILES * TILE);
    for (int32_t r = 0; r < rows; r++) {
        float *to = row_of(d, begin + r) + column * TILE;
        for (int32_t i = 0; i < tiles * TILE; i++) to[i] += out[r * OUT_TILES * TILE + i];
    }
}

static void attention_out(Decoder *d, const Layer *layer, int32_t index, int32_t piece, void *scratch) {
    (void)index;
    add_product(d, &layer->attention_out, &d->buffers.attended, piece, scratch);
}

static void down(Decoder *d, const Layer *layer, int32_t index, int32_t piece, void *scratch) {
    (void)index;
    add_product(d, &layer->down, &d->buffers.gated, piece, scratch);
}

static void gate_up(Decoder *d, const Layer *layer, int32_t index, int32_t piece, void *scratch) {
    (void)index;
    const int32_t width = PIECE_TILES * TILE, pieces = d->model.mlp / width, column = piece % pieces;
    const int32_t begin = piece / pieces * ROW_CHUNK, rows = least(ROW_CHUNK, d->rows - begin);
    float *out = scratch;
    d->kernels->multiply(&layer->gate_up, column * 2 * PIECE_TILES, 2 * PIECE_TILES, &d->buffers.normed, begin, rows, out,
                         2 * width);
    for (int32_t r = 0; r < rows; r++) {
        float *gates = out + (size_t)r * 2 * width;
        d->kernels->gate(gates, gates + width, width);
        d->kernels->quantise(gates, &d->buffers.gated, begin + r, column * width, width);
    }
}

static void normalise_last(Decoder *d, const Layer *layer, int32_t index, int32_t piece, void *scratch) {
    (void)layer, (void)index;
    normalise_rows(d, d->model.final_norm, piece, scratch);
}

static void head(Decoder *d, const Layer *layer, int32_t index, int32_t piece, void *scratch) {
    (void)layer, (void)index;
    const Matrix *m = &d->model.head;
    const int32_t end = least((piece + 1) * HEAD_TILES, m->outputs / TILE), width = OUT_TILES * TILE;
    float *out = scratch;
    for (int32_t column = piece * HEAD_TILES; column < end; column += OUT_TILES) {
        const int32_t tiles = least(OUT_TILES, end - column);
        for (int32_t begin = 0; begin < d->rows; begin += ROW_CHUNK) {
            const int32_t rows = least(ROW_CHUNK, d->rows - begin);
            /* Not to the logits at once: their rows are so far apart that they push each other out of a processor's cache. */
            d->kernels->multiply(m, column, tiles, &d->buffers.normed, begin, rows, out, width);
            for (int32_t r = 0; r < rows; r++)
                memcpy(d->step.logits + (size_t)(begin + r) * m->outputs + column * TILE, out + r * width, tiles * TILE * sizeof *out);
        }
    }
}

/* ---- threads ---- */

/* What a thread has for itself in a step. */
typedef struct {
    int32_t number, phase;
    void *scratch;
} Worker;

/* Where the part of `count` begins that is the n-th of `of`. */
static int32_t share_of(int32_t count, int32_t n, int32_t of) { return (int32_t)((int64_t)count * n / of); }

/* Each thread has its part of the pieces, and then takes what is left of others'. Neighbours write to the same lines of a
 * processor's cache: where one thread has both, these need not go to and fro. And weights are read from their begin to
 * their end, as processors expect.
 *
 * Waits for pieces, and not for threads: one that has no processor and no piece holds nobody up. */
static void run_phase(Decoder *d, Worker *worker, Phase work, const Layer *layer, int32_t index, int32_t pieces) {
    const int32_t phase = worker->phase++;
    int32_t own = 0;
    for (int32_t i = 0; i < d->threads; i++) {
        const int32_t part = (worker->number + i) % d->threads, begin = share_of(pieces, part, d->threads);
        const int32_t count = share_of(pieces, part + 1, d->threads) - begin;
        atomic_int *taken = d->taken + (size_t)part * d->phases + phase;
        for (int32_t n; (n = atomic_fetch_add_explicit(taken, 1, memory_order_relaxed)) < count; own++)
            work(d, layer, index, begin + n, worker->scratch);
    }
    atomic_int *done = d->done + phase;
    if (own) atomic_fetch_add_explicit(done, own, memory_order_acq_rel);
    for (int32_t spins = 0; atomic_load_explicit(done, memory_order_acquire) < pieces;) {
        /* Who is waited for may need this processor. */
        if (spins > SPINS) sched_yield();
        else __builtin_ia32_pause(), spins++;
    }
}

static void run_step(Decoder *d, Worker *worker) {
    const Model *m = &d->model;
    const Step *step = &d->step;
    const int32_t *begins = step->begins, tiles = attended_rows(m);
    int32_t rows = step->rows, chunks = parts(rows, ROW_CHUNK);
    run_phase(d, worker, embed, 0, 0, parts(rows, NORM_ROWS));
    for (int32_t i = 0; i < m->layers; i++) {
        const Layer *layer = m->layer + i;
        run_phase(d, worker, normalise_for_attention, layer, i, parts(rows, NORM_ROWS));
        if (i + 1 < m->layers) {
            run_phase(d, worker, project, layer, i, (m->heads + 2 * m->kv_heads) * chunks);
        } else {
            run_phase(d, worker, project_cached, layer, i, 2 * m->kv_heads * chunks);
            run_phase(d, worker, keep_wanted, layer, i, 1);
            rows = step->wanted;
            begins = d->buffers.begins;
            chunks = parts(rows, ROW_CHUNK);
            run_phase(d, worker, project_queries, layer, i, m->heads * chunks);
        }
        int32_t attended = 0;
        for (int32_t s = 0; s < step->sequences; s++) attended += parts(begins[s + 1] - begins[s], tiles);
        const int32_t by_row = parts(rows, NORM_ROWS);
        const int32_t outs = parts(m->hidden / TILE, OUT_TILES) * chunks;
        run_phase(d, worker, attend, layer, i, attended * m->kv_heads);
        run_phase(d, worker, attention_out, layer, i, outs);
        run_phase(d, worker, normalise_for_mlp, layer, i, by_row);
        run_phase(d, worker, gate_up, layer, i, m->mlp / (PIECE_TILES * TILE) * chunks);
        run_phase(d, worker, down, layer, i, outs);
    }
    if (!m->layers) {
        run_phase(d, worker, keep_wanted, 0, 0, 1);
        rows = step->wanted;
    }
    run_phase(d, worker, normalise_last, 0, 0, parts(rows, NORM_ROWS));
    run_phase(d, worker, head, 0, 0, rows ? parts(m->head.outputs / TILE, HEAD_TILES) : 0);
}

static void *work(void *argument) {
    Decoder *d = argument;
    /* Numbers below 2^-126 are zero, with any instructions: they matter to nothing, and are slow. */
    _mm_setcsr(_mm_getcsr() | _MM_FLUSH_ZERO_ON | _MM_DENORMALS_ZERO_ON);
    Worker worker = {.number = atomic_fetch_add(&d->started, 1)};
    worker.scratch = d->scratch + d->scratch_bytes * (size_t)worker.number;
    uint64_t done = 0;
    for (;;) {
        pthread_mutex_lock(&d->lock);
        while (d->asked == done && !d->closing) pthread_cond_wait(&d->changed, &d->lock);
        const bool closing = d->closing;
        pthread_mutex_unlock(&d->lock);
        if (closing) break;
        done++;
        worker.phase = 0;
        run_step(d, &worker);
        /* The last to leave: the next step counts anew. */
        pthread_mutex_lock(&d->lock);
        if (++d->left == d->threads) {
            d->left = 0;
            d->answered = done;
            pthread_cond_broadcast(&d->changed);
        }
        pthread_mutex_unlock(&d->lock);
    }
    return 0;
}

/* Where there is a thread for each processor that this process may use, each gets one for itself. Else two of them are
 * often woken on the same one, and take turns there for many milliseconds before the kernel moves one to the other, idle
 * one. With fewer threads there are idle processors enough, and other programs may need some of them. */
static void spread(const Decoder *d) {
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) || CPU_COUNT(&allowed) != d->threads) return;
    for (int cpu = 0, thread = 0; thread < d->threads; cpu++) {
        if (!CPU_ISSET(cpu, &allowed)) continue;
        cpu_set_t own;
        CPU_ZERO(&own);
        CPU_SET(cpu, &own);
        /* Where it is refused, they are as others are. */
        pthread_setaffinity_np(d->handles[thread++], sizeof own, &own);
    }
}

/* ---- memory ---- */

static bool make(void *pointer, size_t bytes) {
    void **at = pointer;
    free(*at);
    *at = aligned_alloc(64, (bytes + 63) / 64 * 64);
    return *at != 0;
}

static bool make_quantised(Quantised *q, int32_t rows, int32_t width) {
    q->width = width;
    const size_t groups = (size_t)rows * (width / GROUP);
    return make(&q->bytes, (size_t)rows * width) && make(&q->scales, groups * 4) && make(&q->sums, groups * 4);
}

static bool make_room(Decoder *d, int32_t rows) {
    Buffers *b = &d->buffers;
    const Model *m = &d->model;
    const size_t n = rows;
    bool made = true;
    if (rows > b->rows) {
        b->rows = 0;
        made = make(&b->cosines, n * m->head_dim * 2) && make(&b->sines, n * m->head_dim * 2) &&
               make(&b->stream, n * m->hidden * 4) && make(&b->positions, n * 4) && make(&b->sequence, n * 4) &&
               make(&b->begins, (n + 1) * 4) &&
               make_quantised(&b->normed, rows, m->hidden) &&
               make_quantised(&b->attended, rows, m->heads * m->head_dim) && make_quantised(&b->gated, rows, m->mlp) &&
               make(&b->queries, n * m->heads * m->head_dim) && make(&b->query_scales, n * m->heads * 4) &&
               make(&b->query_sums, n * m->heads * 4);
        if (made) b->rows = rows;
    }
    /* Close together, however many there is room for. */
    b->normed.rows = b->attended.rows = b->gated.rows = rows;
    return made;
}

static size_t most(size_t a, size_t b) { return a > b ? a : b; }

/* ---- what Python calls ---- */

/* The best kernels that the CPU has, or those of this name; NULL where it has none. */
static const Kernels *kernels_of(const char *name) {
#if defined(__x86_64__)
    const bool avx512 = __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    if (avx512 && (!name || !strcmp(name, avx512_kernels.name))) return &avx512_kernels;
    if (avx2 && (!name || !strcmp(name, avx2_kernels.name))) return &avx2_kernels;
#endif
    return 0;
}

EXPORT void decoder_free(Decoder *d);

EXPORT const char *decoder_instructions(void) {
    const Kernels *kernels = kernels_of(0);
    return kernels ? kernels->name : 0;
}

EXPORT size_t decoder_block_bytes(const Model *model) { return block_bytes(model) * model->kv_heads * model->layers; }

/* NULL where memory or threads cannot be had. `model` is copied, but not what it points to; `cache` has
 * decoder_block_bytes for each block. Block 0 is nobody's. `instructions` is the name of those to use, NULL the best;
 * EINVAL where the CPU does not have them. */
EXPORT Decoder *decoder_new(const Model *model, uint8_t *cache, int32_t cache_blocks, int32_t threads,
                            const char *instructions) {
    const Kernels *kernels = kernels_of(instructions);
    if (!kernels) {
        errno = EINVAL;
        return 0;
    }
    Decoder *d = calloc(1, sizeof *d);
    if (!d) return 0;
    const size_t dim = model->head_dim;
    d->model = *model;
    d->kernels = kernels;
    d->cache = cache;
    d->cache_blocks = cache_blocks;
    d->block_bytes = block_bytes(model);
    d->layer_bytes = d->block_bytes * model->kv_heads * cache_blocks;
    d->scratch_bytes = most(most((size_t)ROW_CHUNK * dim, (size_t)ROW_CHUNK * 4 * PIECE_TILES * TILE),
                            most(model->hidden, most(QUERY_TILE, model->heads / model->kv_heads) * dim)) * 4;
    d->scratch_bytes = (d->scratch_bytes + 63) / 64 * 64;
    d->phases = 5 + 7 * model->layers;
    d->taken = calloc((size_t)threads * d->phases, sizeof *d->taken);
    d->done = calloc(d->phases, sizeof *d->done);
    d->handles = calloc(threads, sizeof *d->handles);
    d->scratch = aligned_alloc(64, d->scratch_bytes * threads);
    pthread_mutex_init(&d->lock, 0);
    pthread_cond_init(&d->changed, 0);
    d->threads = threads;
    int32_t made = 0;
    while (d->taken && d->done && d->handles && d->scratch && made < threads && !pthread_create(d->handles + made, 0, work, d)) made++;
    if (made == threads) {
        spread(d);
        return d;
    }
    d->threads = made;
    decoder_free(d);
    return 0;
}

/* Whether all that a step refers to is there. */
static bool refers_to_what_is_there(const Decoder *d, const Step *step) {
    if (step->rows < 0 || step->sequences < 0 || step->sequences > step->rows) return false;
    if (step->begins[0] != 0 || step->begins[step->sequences] != step->rows || step->block_begins[0] != 0) return false;
    for (int32_t s = 0; s < step->sequences; s++) {
        const int64_t rows = (int64_t)step->begins[s + 1] - step->begins[s];
        const int64_t blocks = (int64_t)step->block_begins[s + 1] - step->block_begins[s];
        if (rows < 0 || step->past[s] < 0 || step->past[s] + rows > blocks * BLOCK) return false;
        for (int32_t b = step->block_begins[s]; b < step->block_begins[s + 1]; b++)
            if (step->blocks[b] < 0 || step->blocks[b] >= d->cache_blocks) return false;
    }
    for (int32_t row = 0; row < step->rows; row++)
        if (step->tokens[row] < 0 || step->tokens[row] >= d->model.embeddings.outputs) return false;
    for (int32_t i = 0; i < step->wanted; i++) {
        const int64_t last = i ? step->wanted_rows[i - 1] : -1;
        if (step->wanted_rows[i] <= last || step->wanted_rows[i] >= step->rows) return false;
    }
    return true;
}

/* Begins a step. What `step` points to has to stay until it has ended. Returns 0, ENOMEM, or EINVAL where it refers to
 * what is not there. */
EXPORT int decoder_start(Decoder *d, const Step *step) {
    if (!refers_to_what_is_there(d, step)) return EINVAL;
    if (!make_room(d, step->rows)) return ENOMEM;
    Buffers *b = &d->buffers;
    for (int32_t s = 0; s < step->sequences; s++)
        for (int32_t row = step->begins[s]; row < step->begins[s + 1]; row++) {
            b->sequence[row] = s;
            b->positions[row] = step->past[s] + row - step->begins[s];
        }
    int32_t wanted = 0;
    for (int32_t s = 0; s <= step->sequences; s++) {
        while (wanted < step->wanted && step->wanted_rows[wanted] < step->begins[s]) wanted++;
        b->begins[s] = wanted;
    }
    d->step = *step;
    d->rows = step->rows;
    d->begins = step->begins;
    for (int32_t i = 0; i < d->phases; i++) atomic_store_explicit(d->done + i, 0, memory_order_relaxed);
    for (int32_t i = 0; i < d->threads * d->phases; i++) atomic_store_explicit(d->taken + i, 0, memory_order_relaxed);
    pthread_mutex_lock(&d->lock);
    d->asked++;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
    return 0;
}

/* Waits for the end of the step. */
EXPORT void decoder_finish(Decoder *d) {
    pthread_mutex_lock(&d->lock);
    while (d->answered < d->asked) pthread_cond_wait(&d->changed, &d->lock);
    pthread_mutex_unlock(&d->lock);
}

/* Between steps only. */
EXPORT void decoder_free(Decoder *d) {
    pthread_mutex_lock(&d->lock);
    d->closing = true;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
    for (int32_t i = 0; i < d->threads; i++) pthread_join(d->handles[i], 0);
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
    Buffers *b = &d->buffers;
    void *const all[] = {b->cosines, b->sines, b->stream, b->positions, b->sequence, b->begins, b->queries, b->query_scales,
                         b->query_sums, d->taken, d->done, d->handles, d->scratch, d};
    const Quantised *const quantised[] = {&b->normed, &b->attended, &b->gated};
    for (size_t i = 0; i < sizeof quantised / sizeof *quantised; i++) {
        free(quantised[i]->bytes);
        free(quantised[i]->scales);
        free(quantised[i]->sums);
    }
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}
