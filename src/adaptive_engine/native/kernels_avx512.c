/* For CPUs with AVX-512 and its VNNI: products of bytes, sixteen sums of four at a time. */
#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "kernels.h"

#define UNROLL _Pragma("GCC unroll 16")
#define INLINE static inline __attribute__((always_inline))

/* Of a product at once: the weights of two tiles take half of the registers. */
enum { ROWS = 2, TILES = 2 };

INLINE __m512 halves(const uint8_t *at) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)at)); }

/* The same four bytes sixteen times. */
INLINE __m512i four_of(const void *bytes) {
    int32_t four;
    memcpy(&four, bytes, 4);
    return _mm512_set1_epi32(four);
}

/* Integers that are added to the bits of this float are added to the float, up to 2^22 of them. */
#define FLOAT_OF_INTS 12582912.0f

/* A group of a tile. */
typedef struct {
    __m512i weights[8];
    __m512 scales, leasts, zeros;           /* `zeros`: what FLOAT_OF_INTS is, scaled: without rounding, as scales are float16 */
} Weights;

INLINE Weights unpack(int bits, const uint8_t *tile, int32_t groups, int32_t group) {
    const uint8_t *data = tile + (size_t)group * GROUP * TILE * bits / 8;
    const uint8_t *scales = tile + (size_t)groups * GROUP * TILE * bits / 8 + (size_t)group * TILE * 2;
    Weights w;
    w.scales = halves(scales);
    if (bits == 4) {
        const __m512i low = _mm512_set1_epi8(15);
        UNROLL for (int i = 0; i < 4; i++) {
            const __m512i pairs = _mm512_loadu_si512(data + 64 * i);
            w.weights[i] = _mm512_and_si512(pairs, low);
            w.weights[i + 4] = _mm512_and_si512(_mm512_srli_epi16(pairs, 4), low);
        }
        w.leasts = halves(scales + (size_t)groups * TILE * 2);
    } else {
        UNROLL for (int i = 0; i < 8; i++) w.weights[i] = _mm512_loadu_si512(data + 64 * i);
        w.leasts = _mm512_mul_ps(w.scales, _mm512_set1_ps(-128));
    }
    w.zeros = _mm512_mul_ps(w.scales, _mm512_set1_ps(FLOAT_OF_INTS));
    return w;
}

/* Adds the products of a group of `rows` rows with that of `tiles` tiles, which are constants where this is used. */
INLINE void add_group(int rows, int tiles, const Weights *w, Quantised x, int32_t row, int32_t group, float *out,
                      ptrdiff_t stride) {
    const size_t at = (size_t)group * x.rows + row;
    const int8_t *bytes = x.bytes + at * GROUP;
    const float *scales = x.scales + at, *sums = x.sums + at;
    __m512i products[ROWS][TILES];
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int t = 0; t < tiles; t++) products[r][t] = _mm512_castps_si512(_mm512_set1_ps(FLOAT_OF_INTS));
    UNROLL for (int i = 0; i < 8; i++)
        UNROLL for (int r = 0; r < rows; r++) {
            const __m512i four = four_of(bytes + r * GROUP + 4 * i);
            UNROLL for (int t = 0; t < tiles; t++)
                products[r][t] = _mm512_dpbusd_epi32(products[r][t], w[t].weights[i], four);
        }
    UNROLL for (int r = 0; r < rows; r++) {
        const __m512 scale = _mm512_set1_ps(scales[r]), sum = _mm512_set1_ps(sums[r]);
        UNROLL for (int t = 0; t < tiles; t++) {
            float *to = out + r * stride + t * TILE;
            const __m512 scaled = _mm512_fmsub_ps(_mm512_castsi512_ps(products[r][t]), w[t].scales, w[t].zeros);
            const __m512 total = _mm512_fmadd_ps(scaled, scale, _mm512_loadu_ps(to));
            _mm512_storeu_ps(to, _mm512_fmadd_ps(w[t].leasts, sum, total));
        }
    }
}

INLINE void ask_for(const uint8_t *at, int bytes) {
    for (int i = 0; i < bytes; i += 64) _mm_prefetch(at + i, _MM_HINT_T0);
}

/* Each group of weights is unpacked once for all rows; totals wait in `out`. With each, as much of the next tiles is asked
 * for, which is here when its turn comes: what a processor guesses by itself comes too late where few rows are waiting. */
INLINE void multiply_tiles(int bits, int tiles, const uint8_t *at, const Quantised *x, int32_t row, int32_t rows, float *out,
                           ptrdiff_t stride) {
    /* A copy, which no store to `out` can change, as far as a compiler knows. */
    const Quantised in = *x;
    const int32_t groups = in.width / GROUP;
    const size_t group_bytes = bits == 4 ? 320 : 544, bytes = groups * group_bytes;
    for (int32_t r = 0; r < rows; r++) memset(out + r * stride, 0, (size_t)tiles * TILE * sizeof(float));
    for (int32_t g = 0; g < groups; g++) {
        Weights w[TILES];
        UNROLL for (int t = 0; t < tiles; t++) w[t] = unpack(bits, at + t * bytes, groups, g);
        ask_for(at + tiles * (bytes + g * group_bytes), tiles * group_bytes);
        int32_t r = 0;
        for (; r + ROWS <= rows; r += ROWS) add_group(ROWS, tiles, w, in, row + r, g, out + r * stride, stride);
        for (; r < rows; r++) add_group(1, tiles, w, in, row + r, g, out + r * stride, stride);
    }
}

static void multiply(const Matrix *matrix, int32_t tile, int32_t tiles, const Quantised *x, int32_t row, int32_t rows,
                     float *out, ptrdiff_t stride) {
    const size_t bytes = (size_t)matrix->inputs / GROUP * (matrix->bits == 4 ? 320 : 544);
    for (const uint8_t *at = matrix->tiles + (size_t)tile * bytes; tiles > 0; tiles -= TILES, at += TILES * bytes, out += TILES * TILE) {
        if (tiles == 1 && matrix->bits == 4) multiply_tiles(4, 1, at, x, row, rows, out, stride);
        else if (tiles == 1) multiply_tiles(8, 1, at, x, row, rows, out, stride);
        else if (matrix->bits == 4) multiply_tiles(4, TILES, at, x, row, rows, out, stride);
        else multiply_tiles(8, TILES, at, x, row, rows, out, stride);
    }
}

INLINE __m512i to_bytes(__m512 x, __m512 factor) { return _mm512_cvtps_epi32(_mm512_mul_ps(x, factor)); }

static void quantise(const float *x, const Quantised *out, int32_t row, int32_t column, int32_t count) {
    for (int32_t i = 0; i < count; i += GROUP) {
        const __m512 a = _mm512_loadu_ps(x + i), b = _mm512_loadu_ps(x + i + 16);
        const float most = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b)));
        const float scale = most / 127;
        const __m512 factor = _mm512_set1_ps(most > 0 ? 127 / most : 0);
        const __m512i low = to_bytes(a, factor), high = to_bytes(b, factor);
        const size_t at = (size_t)(column + i) / GROUP * out->rows + row;
        int8_t *bytes = out->bytes + at * GROUP;
        _mm_storeu_si128((__m128i *)bytes, _mm512_cvtsepi32_epi8(low));
        _mm_storeu_si128((__m128i *)(bytes + 16), _mm512_cvtsepi32_epi8(high));
        out->scales[at] = scale;
        out->sums[at] = scale * (float)_mm512_reduce_add_epi32(_mm512_add_epi32(low, high));
    }
}

static void normalise(const float *x, const float *weights, int32_t count, float epsilon, float *out) {
    __m512 squares = _mm512_setzero_ps();
    for (int32_t i = 0; i < count; i += 16) {
        const __m512 v = _mm512_loadu_ps(x + i);
        squares = _mm512_fmadd_ps(v, v, squares);
    }
    const __m512 factor = _mm512_set1_ps(1 / sqrtf(_mm512_reduce_add_ps(squares) / (float)count + epsilon));
    for (int32_t i = 0; i < count; i += 16) {
        const __m512 v = _mm512_mul_ps(_mm512_loadu_ps(x + i), factor);
        _mm512_storeu_ps(out + i, _mm512_mul_ps(v, _mm512_loadu_ps(weights + i)));
    }
}

/* Within 2 units in the last place; exp(0) is 1. Cephes' polynomial. */
INLINE __m512 exponential(__m512 x) {
    x = _mm512_min_ps(_mm512_max_ps(x, _mm512_set1_ps(-87)), _mm512_set1_ps(88));
    const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
    __m512 p = _mm512_set1_ps(1.9875691500e-4f);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3981999507e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
    p = _mm512_fmadd_ps(p, _mm512_mul_ps(r, r), _mm512_add_ps(r, _mm512_set1_ps(1)));
    return _mm512_scalef_ps(p, n);
}

/* 2^x for shares of attention, within 1.1e-4 of it; 1 for 0, and 0 far below. A minimax polynomial. */
INLINE __m512 power_of_two(__m512 x) {
    const __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT), r = _mm512_sub_ps(x, n);
    __m512 p = _mm512_set1_ps(5.50089143e-2f);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(2.42210999e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(6.93282962e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1));
    return _mm512_scalef_ps(p, n);
}

static void gate(float *gates, const float *up, int32_t count) {
    const __m512 one = _mm512_set1_ps(1);
    for (int32_t i = 0; i < count; i += 16) {
        const __m512 g = _mm512_loadu_ps(gates + i);
        const __m512 below = _mm512_add_ps(one, exponential(_mm512_sub_ps(_mm512_setzero_ps(), g)));
        _mm512_storeu_ps(gates + i, _mm512_mul_ps(_mm512_div_ps(g, below), _mm512_loadu_ps(up + i)));
    }
}

static void rotate(float *head, const float *cosines, const float *sines, int32_t half) {
    for (int32_t i = 0; i < half; i += 16) {
        const __m512 c = _mm512_loadu_ps(cosines + i), s = _mm512_loadu_ps(sines + i);
        const __m512 a = _mm512_loadu_ps(head + i), b = _mm512_loadu_ps(head + half + i);
        _mm512_storeu_ps(head + i, _mm512_fmsub_ps(a, c, _mm512_mul_ps(b, s)));
        _mm512_storeu_ps(head + half + i, _mm512_fmadd_ps(b, c, _mm512_mul_ps(a, s)));
    }
}

static float most_of(const float *x, int32_t count) {
    __m512 most = _mm512_setzero_ps();
    for (int32_t i = 0; i < count; i += 16) most = _mm512_max_ps(most, _mm512_abs_ps(_mm512_loadu_ps(x + i)));
    return _mm512_reduce_max_ps(most);
}

static float quantise_query(const float *x, int32_t count, int8_t *bytes, int32_t *sum) {
    const float most = most_of(x, count);
    const __m512 factor = _mm512_set1_ps(most > 0 ? 127 / most : 0);
    __m512i total = _mm512_setzero_si512();
    for (int32_t i = 0; i < count; i += 16) {
        const __m512i v = to_bytes(_mm512_loadu_ps(x + i), factor);
        total = _mm512_add_epi32(total, v);
        _mm_storeu_si128((__m128i *)(bytes + i), _mm512_cvtsepi32_epi8(v));
    }
    *sum = _mm512_reduce_add_epi32(total);
    return most / 127;
}

static void store_key(const float *x, int32_t count, const CacheBlock *block, int32_t at) {
    __m512 least = _mm512_set1_ps(INFINITY), most = _mm512_set1_ps(-INFINITY);
    for (int32_t i = 0; i < count; i += 16) {
        const __m512 v = _mm512_loadu_ps(x + i);
        least = _mm512_min_ps(least, v);
        most = _mm512_max_ps(most, v);
    }
    const float low = _mm512_reduce_min_ps(least), range = _mm512_reduce_max_ps(most) - low;
    const __m512 factor = _mm512_set1_ps(range > 0 ? 255 / range : 0), from = _mm512_set1_ps(low);
    block->key_scales[at] = range / 255;
    block->key_leasts[at] = low;
    for (int32_t i = 0; i < count; i += 16) {
        int32_t fours[4];
        const __m512i v = to_bytes(_mm512_sub_ps(_mm512_loadu_ps(x + i), from), factor);
        _mm_storeu_si128((__m128i *)fours, _mm512_cvtusepi32_epi8(v));
        for (int j = 0; j < 4; j++) memcpy(block->keys + ((size_t)(i / 4 + j) * BLOCK + at) * 4, fours + j, 4);
    }
}

static void store_value(const float *x, int32_t count, const CacheBlock *block, int32_t at) {
    const float most = most_of(x, count);
    const __m512 factor = _mm512_set1_ps(most > 0 ? 127 / most : 0);
    int8_t *to = block->values + (size_t)(at / 4) * count * 4 + at % 4;
    block->value_scales[at] = most / 127;
    for (int32_t i = 0; i < count; i += 16) {
        int8_t bytes[16];
        _mm_storeu_si128((__m128i *)bytes, _mm512_cvtsepi32_epi8(to_bytes(_mm512_loadu_ps(x + i), factor)));
        for (int j = 0; j < 16; j++) to[(i + j) * 4] = bytes[j];
    }
}

enum { QUERY_ROWS = 6 };
/* Below all, and a number: also its difference to itself is one. */
#define LEAST_SCORE -1e30f

/* Of the spans so far: the largest score, and the total of the shares, by lanes. */
typedef struct {
    float most;
    __m512 total;
} Running;

/* What a span adds to some rows: their scores, and their shares in values as bytes with a scale for each block. */
typedef struct {
    float scores[QUERY_ROWS][SPAN * BLOCK];
    uint8_t shares[QUERY_ROWS][SPAN * BLOCK];       /* in fours, two blocks by turns: see fours_at */
    float scales[QUERY_ROWS][SPAN], kept[QUERY_ROWS];
} Scratch;

/* Of 16 keys from `key` on, those that are among the first `seen`. */
INLINE __mmask16 among(int32_t seen, int32_t key) {
    const int32_t count = seen - key;
    return count >= 16 ? 0xffff : count <= 0 ? 0 : (__mmask16)((1u << count) - 1);
}

/* Products of `rows` queries with the keys of a block, as scores. */
INLINE void score_rows(int rows, const Queries *q, int32_t from, const CacheBlock *block, float *scores) {
    const int8_t *queries = q->bytes + (size_t)from * q->head_dim;
    __m512i sums[QUERY_ROWS][2];
    UNROLL for (int r = 0; r < rows; r++) sums[r][0] = sums[r][1] = _mm512_setzero_si512();
    for (int32_t i = 0; i < q->head_dim / 4; i++) {
        const __m512i a = _mm512_loadu_si512(block->keys + i * 128), b = _mm512_loadu_si512(block->keys + i * 128 + 64);
        UNROLL for (int r = 0; r < rows; r++) {
            const __m512i query = four_of(queries + (size_t)r * q->head_dim + i * 4);
            sums[r][0] = _mm512_dpbusd_epi32(sums[r][0], a, query);
            sums[r][1] = _mm512_dpbusd_epi32(sums[r][1], b, query);
        }
    }
    UNROLL for (int i = 0; i < 2; i++) {
        const __m512 scale = _mm512_loadu_ps(block->key_scales + 16 * i), least = _mm512_loadu_ps(block->key_leasts + 16 * i);
        UNROLL for (int r = 0; r < rows; r++) {
            const __m512 x = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[r][i]), scale);
            _mm512_storeu_ps(scores + r * SPAN * BLOCK + 16 * i, _mm512_fmadd_ps(least, _mm512_set1_ps(q->sums[from + r]), x));
        }
    }
}

/* Where packing leaves the shares in the i-th four keys of a block. */
INLINE int fours_at(int block, int i) { return block / 2 * 64 + block % 2 * 8 + i % 4 * 16 + i / 4 * 4; }

/* The largest of each of four vectors, four times over. */
INLINE __m512 largest_of_each(const __m512 x[4]) {
    const __m512 ab = _mm512_max_ps(_mm512_unpacklo_ps(x[0], x[1]), _mm512_unpackhi_ps(x[0], x[1]));
    const __m512 cd = _mm512_max_ps(_mm512_unpacklo_ps(x[2], x[3]), _mm512_unpackhi_ps(x[2], x[3]));
    const __m512 lanes = _mm512_max_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
    const __m512 two = _mm512_max_ps(lanes, _mm512_shuffle_f32x4(lanes, lanes, 0x4e));
    return _mm512_max_ps(two, _mm512_shuffle_f32x4(two, two, 0xb1));
}

/* Shares of a row, of whose scores `seen` count: softmax as it goes (FlashAttention, 2022). `seen` is a constant where
 * all of the span count. */
INLINE void share(Scratch *scratch, int r, float scale, int32_t seen, const Span *span, Running *run) {
    const float *scores = scratch->scores[r];
    __m512 weighed[SPAN][2], largest[SPAN], total = _mm512_setzero_ps(), most = _mm512_set1_ps(LEAST_SCORE);
    UNROLL for (int i = 0; i < 2 * SPAN; i++)
        most = _mm512_mask_max_ps(most, among(seen, 16 * i), most, _mm512_loadu_ps(scores + 16 * i));
    const float here = _mm512_reduce_max_ps(most);
    scratch->kept[r] = 1;
    if (here > run->most) {
        scratch->kept[r] = _mm512_cvtss_f32(power_of_two(_mm512_set1_ps((run->most - here) * scale)));
        run->most = here;
    }
    most = _mm512_set1_ps(run->most * scale);
    UNROLL for (int b = 0; b < SPAN; b++) {
        __m512 p[2];
        UNROLL for (int i = 0; i < 2; i++) {
            const __mmask16 mask = among(seen, BLOCK * b + 16 * i);
            p[i] = power_of_two(_mm512_fmsub_ps(_mm512_loadu_ps(scores + BLOCK * b + 16 * i), _mm512_set1_ps(scale), most));
            p[i] = _mm512_maskz_mov_ps(mask, p[i]);
            /* Scales of what is not seen may be anything, even no number. */
            weighed[b][i] = _mm512_maskz_mul_ps(mask, p[i], _mm512_loadu_ps(span->block[b].value_scales + 16 * i));
        }
        total = _mm512_add_ps(total, _mm512_add_ps(p[0], p[1]));
        largest[b] = _mm512_max_ps(weighed[b][0], weighed[b][1]);
    }
    run->total = _mm512_fmadd_ps(run->total, _mm512_set1_ps(scratch->kept[r]), total);
    const __m128 each = _mm512_castps512_ps128(largest_of_each(largest));
    const __m128 factors = _mm_maskz_div_ps(_mm_cmp_ps_mask(each, _mm_setzero_ps(), _CMP_GT_OQ), _mm_set1_ps(255), each);
    _mm_storeu_ps(scratch->scales[r], _mm_div_ps(each, _mm_set1_ps(255)));
    UNROLL for (int b = 0; b < SPAN; b += 2) {
        __m512i halves[2];
        UNROLL for (int i = 0; i < 2; i++) {
            const __m512 factor = _mm512_broadcastss_ps(_mm_permute_ps(factors, b + i));
            halves[i] = _mm512_packus_epi32(to_bytes(weighed[b + i][0], factor), to_bytes(weighed[b + i][1], factor));
        }
        _mm512_storeu_si512(scratch->shares[r] + BLOCK * b, _mm512_packus_epi16(halves[0], halves[1]));
    }
}

/* out = out * kept + scale * shares V, for `rows` rows and the values of a span. */
INLINE void weigh_rows(int rows, const Scratch *scratch, const Span *span, int32_t head_dim, float *out) {
    for (int32_t d = 0; d < head_dim; d += 32) {
        __m512 totals[QUERY_ROWS][2];
        UNROLL for (int r = 0; r < rows; r++)
            UNROLL for (int i = 0; i < 2; i++)
                totals[r][i] = _mm512_mul_ps(_mm512_loadu_ps(out + (size_t)r * head_dim + d + 16 * i), _mm512_set1_ps(scratch->kept[r]));
        for (int32_t b = 0; b < span->count; b++) {
            __m512i sums[QUERY_ROWS][2];
            UNROLL for (int r = 0; r < rows; r++) sums[r][0] = sums[r][1] = _mm512_setzero_si512();
            UNROLL for (int32_t i = 0; i < BLOCK / 4; i++) {
                const int8_t *at = span->block[b].values + ((size_t)i * head_dim + d) * 4;
                const __m512i low = _mm512_loadu_si512(at), high = _mm512_loadu_si512(at + 64);
                UNROLL for (int r = 0; r < rows; r++) {
                    const __m512i p = four_of(scratch->shares[r] + fours_at(b, i));
                    sums[r][0] = _mm512_dpbusd_epi32(sums[r][0], p, low);
                    sums[r][1] = _mm512_dpbusd_epi32(sums[r][1], p, high);
                }
            }
            UNROLL for (int r = 0; r < rows; r++)
                UNROLL for (int i = 0; i < 2; i++)
                    totals[r][i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[r][i]), _mm512_set1_ps(scratch->scales[r][b]), totals[r][i]);
        }
        UNROLL for (int r = 0; r < rows; r++)
            UNROLL for (int i = 0; i < 2; i++) _mm512_storeu_ps(out + (size_t)r * head_dim + d + 16 * i, totals[r][i]);
    }
}

/* What a span adds for `rows` queries. */
INLINE void attend_rows(int rows, const Queries *q, int32_t from, const Span *span, Running *running) {
    Scratch scratch;
    for (int32_t b = 0; b < span->count; b++) score_rows(rows, q, from, span->block + b, scratch.scores[0] + BLOCK * b);
    for (int r = 0; r < rows; r++) {
        const int32_t seen = q->positions[from + r] - span->first + 1;
        if (seen >= SPAN * BLOCK) share(&scratch, r, q->scales[from + r], SPAN * BLOCK, span, running + from + r);
        else share(&scratch, r, q->scales[from + r], seen, span, running + from + r);
    }
    weigh_rows(rows, &scratch, span, q->head_dim, q->out + (size_t)from * q->head_dim);
}

static void attend(const Queries *q, CacheBlock (*block)(const void *context, int32_t i), const void *context) {
    Running running[q->count];
    int32_t last = 0;
    memset(q->out, 0, (size_t)q->count * q->head_dim * sizeof(float));
    for (int32_t r = 0; r < q->count; r++) {
        running[r] = (Running){LEAST_SCORE, _mm512_setzero_ps()};
        last = q->positions[r] > last ? q->positions[r] : last;
    }
    for (int32_t i = 0; i <= last / BLOCK; i += SPAN) {
        const Span span = span_from(i, last / BLOCK + 1, block, context);
        for (int32_t r = 0; r < q->count;) {
            const int32_t left = q->count - r;
            if (left >= 6) attend_rows(6, q, r, &span, running), r += 6;
            else if (left >= 3) attend_rows(3, q, r, &span, running), r += 3;
            else if (left == 2) attend_rows(2, q, r, &span, running), r += 2;
            else attend_rows(1, q, r, &span, running), r += 1;
        }
    }
    for (int32_t r = 0; r < q->count; r++) {
        const __m512 factor = _mm512_set1_ps(1 / _mm512_reduce_add_ps(running[r].total));
        float *out = q->out + (size_t)r * q->head_dim;
        for (int32_t i = 0; i < q->head_dim; i += 16)
            _mm512_storeu_ps(out + i, _mm512_mul_ps(_mm512_loadu_ps(out + i), factor));
    }
}

const Kernels avx512_kernels = {
    "avx512-vnni", multiply, quantise, normalise, gate, rotate, quantise_query, store_key, store_value, attend,
};
#endif
