/* For CPUs with AVX-512 and its VNNI: products of bytes, sixteen sums of four at a time. */
#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "kernels.h"

#define UNROLL _Pragma("GCC unroll 16")
#define INLINE static inline __attribute__((always_inline))

typedef struct {
    __m512i weights[8];
    __m512 scales, leasts;
} Weights;

INLINE __m512 halves(const uint8_t *at) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)at)); }

INLINE Weights unpack4(const uint8_t *tile, int32_t groups, int32_t group) {
    const uint8_t *data = tile + (size_t)group * 256, *scales = tile + (size_t)groups * 256 + (size_t)group * 32;
    const __m512i low = _mm512_set1_epi8(15);
    Weights w;
    UNROLL for (int i = 0; i < 4; i++) {
        const __m512i pairs = _mm512_loadu_si512(data + 64 * i);
        w.weights[i] = _mm512_and_si512(pairs, low);
        w.weights[i + 4] = _mm512_and_si512(_mm512_srli_epi16(pairs, 4), low);
    }
    w.scales = halves(scales);
    w.leasts = halves(scales + (size_t)groups * 32);
    return w;
}

INLINE Weights unpack8(const uint8_t *tile, int32_t groups, int32_t group) {
    const uint8_t *data = tile + (size_t)group * 512;
    Weights w;
    UNROLL for (int i = 0; i < 8; i++) w.weights[i] = _mm512_loadu_si512(data + 64 * i);
    w.scales = halves(tile + (size_t)groups * 512 + (size_t)group * 32);
    w.leasts = _mm512_mul_ps(w.scales, _mm512_set1_ps(-128));
    return w;
}

/* `rows` and `bits` are constants where this is used. */
INLINE void multiply_rows(int rows, int bits, const uint8_t *tile, const Quantised *x, int32_t row, float *out,
                          ptrdiff_t stride) {
    const int32_t groups = x->width / GROUP;
    const int8_t *bytes = x->bytes + (size_t)row * x->width;
    const float *scales = x->scales + (size_t)row * groups, *sums = x->sums + (size_t)row * groups;
    __m512 total[8];
    UNROLL for (int r = 0; r < rows; r++) total[r] = _mm512_setzero_ps();
    for (int32_t g = 0; g < groups; g++) {
        const Weights w = bits == 4 ? unpack4(tile, groups, g) : unpack8(tile, groups, g);
        UNROLL for (int r = 0; r < rows; r++) {
            const int32_t *fours = (const int32_t *)(bytes + (size_t)r * x->width + (size_t)g * GROUP);
            __m512i sum = _mm512_setzero_si512();
            UNROLL for (int i = 0; i < 8; i++)
                sum = _mm512_dpbusd_epi32(sum, w.weights[i], _mm512_set1_epi32(fours[i]));
            const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), w.scales);
            total[r] = _mm512_fmadd_ps(scaled, _mm512_set1_ps(scales[(size_t)r * groups + g]), total[r]);
            total[r] = _mm512_fmadd_ps(w.leasts, _mm512_set1_ps(sums[(size_t)r * groups + g]), total[r]);
        }
    }
    UNROLL for (int r = 0; r < rows; r++) _mm512_storeu_ps(out + r * stride, total[r]);
}

#define ROWS(n)                                                                                     \
    static __attribute__((noinline)) void multiply##n(int bits, const uint8_t *tile, const Quantised *x, int32_t row, \
                                                      float *out, ptrdiff_t stride) {               \
        if (bits == 4) multiply_rows(n, 4, tile, x, row, out, stride);                              \
        else multiply_rows(n, 8, tile, x, row, out, stride);                                        \
    }
ROWS(1) ROWS(2) ROWS(3) ROWS(4) ROWS(5) ROWS(6) ROWS(7) ROWS(8)

static void multiply(const Matrix *matrix, int32_t tile, const Quantised *x, int32_t row, int32_t rows, float *out,
                     ptrdiff_t stride) {
    static void (*const of[])(int, const uint8_t *, const Quantised *, int32_t, float *, ptrdiff_t) = {
        0, multiply1, multiply2, multiply3, multiply4, multiply5, multiply6, multiply7, multiply8};
    const size_t groups = (size_t)matrix->inputs / GROUP, bytes = groups * (matrix->bits == 4 ? 320 : 544);
    const uint8_t *at = matrix->tiles + (size_t)tile * bytes;
    for (int32_t done = 0; done < rows;) {
        const int32_t left = rows - done;
        /* Nine are four and five, not eight and one. */
        const int32_t n = left <= 8 ? left : left < 16 ? (left + 1) / 2 : 8;
        of[n](matrix->bits, at, x, row + done, out + done * stride, stride);
        done += n;
    }
}

INLINE __m512i to_bytes(__m512 x, __m512 factor) { return _mm512_cvtps_epi32(_mm512_mul_ps(x, factor)); }

static void quantise(const float *x, const Quantised *out, int32_t row, int32_t column, int32_t count) {
    const int32_t groups = out->width / GROUP;
    for (int32_t i = 0; i < count; i += GROUP) {
        const __m512 a = _mm512_loadu_ps(x + i), b = _mm512_loadu_ps(x + i + 16);
        const float most = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b)));
        const float scale = most / 127;
        const __m512 factor = _mm512_set1_ps(most > 0 ? 127 / most : 0);
        const __m512i low = to_bytes(a, factor), high = to_bytes(b, factor);
        int8_t *bytes = out->bytes + (size_t)row * out->width + column + i;
        _mm_storeu_si128((__m128i *)bytes, _mm512_cvtsepi32_epi8(low));
        _mm_storeu_si128((__m128i *)(bytes + 16), _mm512_cvtsepi32_epi8(high));
        const size_t group = (size_t)row * groups + (size_t)(column + i) / GROUP;
        out->scales[group] = scale;
        out->sums[group] = scale * (float)_mm512_reduce_add_epi32(_mm512_add_epi32(low, high));
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

/* 2^x for shares of attention, within 3e-6 of it; 1 for 0. A minimax polynomial. */
INLINE __m512 power_of_two(__m512 x) {
    x = _mm512_max_ps(x, _mm512_set1_ps(-126));
    const __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT), r = _mm512_sub_ps(x, n);
    __m512 p = _mm512_set1_ps(9.5828492e-3f);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.5906426e-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(2.4024099e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(6.9312418e-1f));
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

/* Products of `rows` queries with the keys of a block. */
INLINE void score_rows(int rows, const int8_t *queries, int32_t head_dim, const uint8_t *keys, __m512i sums[][2]) {
    UNROLL for (int r = 0; r < rows; r++) sums[r][0] = sums[r][1] = _mm512_setzero_si512();
    for (int32_t i = 0; i < head_dim / 4; i++) {
        const __m512i a = _mm512_loadu_si512(keys + i * 128), b = _mm512_loadu_si512(keys + i * 128 + 64);
        UNROLL for (int r = 0; r < rows; r++) {
            int32_t four;
            memcpy(&four, queries + (size_t)r * head_dim + i * 4, 4);
            const __m512i q = _mm512_set1_epi32(four);
            sums[r][0] = _mm512_dpbusd_epi32(sums[r][0], a, q);
            sums[r][1] = _mm512_dpbusd_epi32(sums[r][1], b, q);
        }
    }
}

/* out = out * kept + scale * shares V, for `rows` rows and the values of a block. */
INLINE void weigh_rows(int rows, const uint8_t *shares, const float *kept, const float *scales, const int8_t *values,
                       int32_t head_dim, float *out) {
    for (int32_t d = 0; d < head_dim; d += 32) {
        __m512i sums[8][2];
        UNROLL for (int r = 0; r < rows; r++) sums[r][0] = sums[r][1] = _mm512_setzero_si512();
        for (int32_t i = 0; i < BLOCK / 4; i++) {
            const int8_t *at = values + ((size_t)i * head_dim + d) * 4;
            const __m512i a = _mm512_loadu_si512(at), b = _mm512_loadu_si512(at + 64);
            UNROLL for (int r = 0; r < rows; r++) {
                int32_t four;
                memcpy(&four, shares + r * BLOCK + i * 4, 4);
                const __m512i p = _mm512_set1_epi32(four);
                sums[r][0] = _mm512_dpbusd_epi32(sums[r][0], p, a);
                sums[r][1] = _mm512_dpbusd_epi32(sums[r][1], p, b);
            }
        }
        UNROLL for (int r = 0; r < rows; r++) {
            const __m512 keep = _mm512_set1_ps(kept[r]), scale = _mm512_set1_ps(scales[r]);
            float *to = out + (size_t)r * head_dim + d;
            UNROLL for (int i = 0; i < 2; i++) {
                const __m512 old = _mm512_mul_ps(_mm512_loadu_ps(to + 16 * i), keep);
                _mm512_storeu_ps(to + 16 * i, _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[r][i]), scale, old));
            }
        }
    }
}

enum { QUERY_ROWS = 6 };
/* Below all, and a number: also its difference to itself is one. */
#define LEAST_SCORE -1e30f

/* Of the blocks so far: the largest score, and the total of the shares, by lanes. */
typedef struct {
    float most;
    __m512 total;
} Running;

/* What a block adds for `rows` queries: softmax as it goes (FlashAttention, 2022). */
INLINE void attend_rows(int rows, const Queries *q, int32_t from, const CacheBlock *block, int32_t first, Running *running) {
    __m512i sums[QUERY_ROWS][2];
    uint8_t shares[QUERY_ROWS * BLOCK];
    float kept[QUERY_ROWS], scales[QUERY_ROWS];
    score_rows(rows, q->bytes + (size_t)from * q->head_dim, q->head_dim, block->keys, sums);
    const __m512 key_scale[2] = {_mm512_loadu_ps(block->key_scales), _mm512_loadu_ps(block->key_scales + 16)};
    const __m512 key_least[2] = {_mm512_loadu_ps(block->key_leasts), _mm512_loadu_ps(block->key_leasts + 16)};
    const __m512 value_scale[2] = {_mm512_loadu_ps(block->value_scales), _mm512_loadu_ps(block->value_scales + 16)};
    UNROLL for (int r = 0; r < rows; r++) {
        const int32_t seen = q->positions[from + r] - first + 1;
        const uint32_t bits = seen >= BLOCK ? ~0u : seen <= 0 ? 0 : (1u << seen) - 1;
        const __mmask16 mask[2] = {(__mmask16)bits, (__mmask16)(bits >> 16)};
        const float scale = q->scales[from + r];
        const __m512 sum = _mm512_set1_ps(q->sums[from + r]);
        __m512 x[2], p[2], weighed[2];
        UNROLL for (int i = 0; i < 2; i++) {
            x[i] = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[r][i]), key_scale[i]);
            x[i] = _mm512_fmadd_ps(key_least[i], sum, x[i]);
            x[i] = _mm512_mask_blend_ps(mask[i], _mm512_set1_ps(LEAST_SCORE), x[i]);
        }
        Running *const run = running + from + r;
        const float here = _mm512_reduce_max_ps(_mm512_max_ps(x[0], x[1]));
        kept[r] = 1;
        if (here > run->most) {
            kept[r] = _mm512_cvtss_f32(power_of_two(_mm512_set1_ps((run->most - here) * scale)));
            run->most = here;
        }
        const __m512 most = _mm512_set1_ps(run->most * scale);
        UNROLL for (int i = 0; i < 2; i++) {
            p[i] = power_of_two(_mm512_fmsub_ps(x[i], _mm512_set1_ps(scale), most));
            p[i] = _mm512_maskz_mov_ps(mask[i], p[i]);
            weighed[i] = _mm512_maskz_mul_ps(mask[i], p[i], value_scale[i]);
        }
        run->total = _mm512_fmadd_ps(run->total, _mm512_set1_ps(kept[r]), _mm512_add_ps(p[0], p[1]));
        const float largest = _mm512_reduce_max_ps(_mm512_max_ps(weighed[0], weighed[1]));
        scales[r] = largest / 255;
        const __m512 factor = _mm512_set1_ps(largest > 0 ? 255 / largest : 0);
        UNROLL for (int i = 0; i < 2; i++)
            _mm_storeu_si128((__m128i *)(shares + r * BLOCK + 16 * i), _mm512_cvtusepi32_epi8(to_bytes(weighed[i], factor)));
    }
    weigh_rows(rows, shares, kept, scales, block->values, q->head_dim, q->out + (size_t)from * q->head_dim);
}

static void attend(const Queries *q, CacheBlock (*block)(const void *context, int32_t i), const void *context) {
    Running running[q->count];
    int32_t last = 0;
    memset(q->out, 0, (size_t)q->count * q->head_dim * sizeof(float));
    for (int32_t r = 0; r < q->count; r++) {
        running[r] = (Running){LEAST_SCORE, _mm512_setzero_ps()};
        last = q->positions[r] > last ? q->positions[r] : last;
    }
    for (int32_t i = 0; i <= last / BLOCK; i++) {
        const CacheBlock now = block(context, i);
        for (int32_t r = 0; r < q->count;) {
            const int32_t left = q->count - r;
            if (left >= 6) attend_rows(6, q, r, &now, i * BLOCK, running), r += 6;
            else if (left >= 3) attend_rows(3, q, r, &now, i * BLOCK, running), r += 3;
            else if (left == 2) attend_rows(2, q, r, &now, i * BLOCK, running), r += 2;
            else attend_rows(1, q, r, &now, i * BLOCK, running), r += 1;
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
