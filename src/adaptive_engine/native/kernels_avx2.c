/* For CPUs with AVX2, FMA and F16C: what kernels_avx512.c does, in halves of eight numbers, with the same results to
 * the bit.
 *
 * Products of bytes are _mm256_maddubs_epi16: unsigned ones times signed ones, added in twos to 16 bits, where too
 * large a sum would be cut off. So the unsigned factor always has four bits: 2 * 15 * 127 at a time, of which eight
 * still fit in 16 bits. Unsigned bytes are two such factors, low + 16 * high. */
#if defined(__x86_64__)
#pragma GCC target("avx2,fma,f16c")
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "kernels.h"

#define UNROLL _Pragma("GCC unroll 16")
#define INLINE static inline __attribute__((always_inline))

INLINE __m256i load(const void *at) { return _mm256_loadu_si256(at); }
INLINE __m256 halves(const uint8_t *at) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)at)); }
INLINE __m256i low_bits(__m256i bytes) { return _mm256_and_si256(bytes, _mm256_set1_epi8(15)); }
INLINE __m256i high_bits(__m256i bytes) { return low_bits(_mm256_srli_epi16(bytes, 4)); }
INLINE __m256 magnitude(__m256 x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }

INLINE __m256i four_of(const void *bytes, int i) {
    int32_t four;
    memcpy(&four, (const uint8_t *)bytes + 4 * i, 4);
    return _mm256_set1_epi32(four);
}

INLINE __m256i add_products(__m256i sum, __m256i four_bits, __m256i bytes) {
    sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(four_bits, bytes));
    /* Keeps GCC from adding in another order, for which it has too few registers. */
    __asm__("" : "+x"(sum));
    return sum;
}

/* Sums of 32 bits from those of 16: of low bits, or of low and high ones. */
INLINE __m256i widen(__m256i low) { return _mm256_madd_epi16(low, _mm256_set1_epi16(1)); }
INLINE __m256i widen_both(__m256i low, __m256i high) {
    return _mm256_add_epi32(widen(low), _mm256_madd_epi16(high, _mm256_set1_epi16(16)));
}

/* All lanes in the order of _mm512_reduce_add_ps. */
INLINE float sum_of(__m256 low, __m256 high) {
    const __m256 eight = _mm256_add_ps(low, high);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

INLINE float largest_of(__m256 eight) {
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

INLINE int32_t int_sum_of(__m256i eight) {
    const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}

/* ---- products ---- */

/* At once: their sums, and what is multiplied, just fit in 16 registers. */
enum { ROWS = 6 };

/* The sums of a group for `rows` rows, in 16 bits: of four bits of each weight, the high ones of 8 if `high`. */
INLINE void multiply_group(int rows, int bits, int high, const uint8_t *weights, const int8_t *bytes,
                           __m256i sums[][2]) {
    UNROLL for (int r = 0; r < rows; r++) sums[r][0] = sums[r][1] = _mm256_setzero_si256();
    UNROLL for (int i = 0; i < 8; i++) {
        __m256i w[2];
        UNROLL for (int h = 0; h < 2; h++) {
            const __m256i loaded = load(weights + 64 * (bits == 4 ? i / 2 : i) + 32 * h);
            w[h] = (bits == 4 ? i % 2 : high) ? high_bits(loaded) : low_bits(loaded);
        }
        UNROLL for (int r = 0; r < rows; r++) {
            const __m256i four = four_of(bytes + r * GROUP, bits == 4 ? i / 2 + i % 2 * 4 : i);
            UNROLL for (int h = 0; h < 2; h++) sums[r][h] = add_products(sums[r][h], w[h], four);
        }
    }
}

/* `rows` and `bits` are constants where this is used. */
INLINE void multiply_rows(int rows, int bits, const uint8_t *tile, const Quantised *x, int32_t row, float *out,
                          ptrdiff_t stride) {
    const int32_t groups = x->width / GROUP;
    const int8_t *bytes = x->bytes + (size_t)row * GROUP;
    const float *scales = x->scales + row, *sums = x->sums + row;
    const uint8_t *weights = tile, *half_floats = tile + (size_t)groups * (bits == 4 ? 256 : 512);
    __m256 total[ROWS][2];
    UNROLL for (int r = 0; r < rows; r++) total[r][0] = total[r][1] = _mm256_setzero_ps();
    for (int32_t g = 0; g < groups; g++) {
        __m256i low[ROWS][2], high[ROWS][2];
        __m256 scale[2], least[2];
        if (bits == 8) {
            multiply_group(rows, bits, 1, weights, bytes, high);
            /* What this loaded is loaded again, not kept. */
            __asm__("" : "+r"(weights), "+r"(bytes));
        }
        multiply_group(rows, bits, 0, weights, bytes, low);
        UNROLL for (int h = 0; h < 2; h++) {
            const uint8_t *at = half_floats + g * 32 + 16 * h;
            scale[h] = halves(at);
            least[h] = bits == 4 ? halves(at + (size_t)groups * 32) : _mm256_mul_ps(scale[h], _mm256_set1_ps(-128));
        }
        UNROLL for (int r = 0; r < rows; r++) {
            const __m256 factor = _mm256_set1_ps(scales[r]);
            const __m256 sum = _mm256_set1_ps(sums[r]);
            UNROLL for (int h = 0; h < 2; h++) {
                const __m256i products = bits == 4 ? widen(low[r][h]) : widen_both(low[r][h], high[r][h]);
                const __m256 scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(products), scale[h]);
                total[r][h] = _mm256_fmadd_ps(scaled, factor, total[r][h]);
                total[r][h] = _mm256_fmadd_ps(least[h], sum, total[r][h]);
            }
        }
        weights += bits == 4 ? 256 : 512;
        bytes += (size_t)x->rows * GROUP;
        scales += x->rows;
        sums += x->rows;
    }
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int h = 0; h < 2; h++) _mm256_storeu_ps(out + r * stride + 8 * h, total[r][h]);
}

#define MULTIPLY(n)                                                                                              \
    static __attribute__((noinline)) void multiply##n(int bits, const uint8_t *tile, const Quantised *x,         \
                                                      int32_t row, float *out, ptrdiff_t stride) {               \
        if (bits == 4) multiply_rows(n, 4, tile, x, row, out, stride);                                           \
        else multiply_rows(n, 8, tile, x, row, out, stride);                                                     \
    }
MULTIPLY(1) MULTIPLY(2) MULTIPLY(3) MULTIPLY(4) MULTIPLY(5) MULTIPLY(6)

static void multiply(const Matrix *matrix, int32_t tile, int32_t tiles, const Quantised *x, int32_t row, int32_t rows,
                     float *out, ptrdiff_t stride) {
    static void (*const of[])(int, const uint8_t *, const Quantised *, int32_t, float *, ptrdiff_t) = {
        0, multiply1, multiply2, multiply3, multiply4, multiply5, multiply6};
    const size_t groups = (size_t)matrix->inputs / GROUP, bytes = groups * (matrix->bits == 4 ? 320 : 544);
    const uint8_t *at = matrix->tiles + (size_t)tile * bytes;
    for (int32_t t = 0; t < tiles; t++, at += bytes, out += TILE)
        for (int32_t done = 0; done < rows;) {
            const int32_t left = rows - done;
            /* Seven are four and three, not six and one. */
            const int32_t n = left <= ROWS ? left : left < 2 * ROWS ? (left + 1) / 2 : ROWS;
            of[n](matrix->bits, at, x, row + done, out + done * stride, stride);
            done += n;
        }
}

/* ---- rows ---- */

INLINE __m256i to_ints(__m256 x, __m256 factor) { return _mm256_cvtps_epi32(_mm256_mul_ps(x, factor)); }

/* 32 bytes from numbers that packing left in turns of four. */
INLINE __m256i in_order(__m256i bytes) {
    return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}
INLINE __m256i signed_bytes(const __m256i v[4]) {
    return in_order(_mm256_packs_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3])));
}
INLINE __m256i unsigned_bytes(const __m256i v[4]) {
    return in_order(_mm256_packus_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3])));
}

INLINE float most_of(const float *x, int32_t count) {
    __m256 most = _mm256_setzero_ps();
    for (int32_t i = 0; i < count; i += 8) most = _mm256_max_ps(most, magnitude(_mm256_loadu_ps(x + i)));
    return largest_of(most);
}

/* The bytes of 32 numbers, and their sum in eight parts. */
INLINE __m256i bytes_of(const float *x, __m256 factor, __m256i *sum) {
    __m256i v[4];
    UNROLL for (int i = 0; i < 4; i++) v[i] = to_ints(_mm256_loadu_ps(x + 8 * i), factor);
    *sum = _mm256_add_epi32(_mm256_add_epi32(v[0], v[1]), _mm256_add_epi32(v[2], v[3]));
    return signed_bytes(v);
}

static void quantise(const float *x, const Quantised *out, int32_t row, int32_t column, int32_t count) {
    for (int32_t i = 0; i < count; i += GROUP) {
        const float most = most_of(x + i, GROUP), scale = most / 127;
        __m256i sum;
        const __m256i bytes = bytes_of(x + i, _mm256_set1_ps(most > 0 ? 127 / most : 0), &sum);
        const size_t at = (size_t)(column + i) / GROUP * out->rows + row;
        _mm256_storeu_si256((__m256i *)(out->bytes + at * GROUP), bytes);
        out->scales[at] = scale;
        out->sums[at] = scale * (float)int_sum_of(sum);
    }
}

static void normalise(const float *x, const float *weights, int32_t count, float epsilon, float *out) {
    __m256 low = _mm256_setzero_ps(), high = _mm256_setzero_ps();
    for (int32_t i = 0; i < count; i += 16) {
        const __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + i + 8);
        low = _mm256_fmadd_ps(a, a, low);
        high = _mm256_fmadd_ps(b, b, high);
    }
    const __m256 factor = _mm256_set1_ps(1 / sqrtf(sum_of(low, high) / (float)count + epsilon));
    for (int32_t i = 0; i < count; i += 8) {
        const __m256 v = _mm256_mul_ps(_mm256_loadu_ps(x + i), factor);
        _mm256_storeu_ps(out + i, _mm256_mul_ps(v, _mm256_loadu_ps(weights + i)));
    }
}

/* x 2^n by its exponent: n is from -126 to 127. */
INLINE __m256 times_power(__m256 x, __m256 n) {
    const __m256i exponents = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(exponents, 23)));
}

/* Within 2 units in the last place; exp(0) is 1. Cephes' polynomial. */
INLINE __m256 exponential(__m256 x) {
    x = _mm256_min_ps(_mm256_max_ps(x, _mm256_set1_ps(-87)), _mm256_set1_ps(88));
    const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
    __m256 p = _mm256_set1_ps(1.9875691500e-4f);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.3981999507e-3f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(8.3334519073e-3f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(4.1665795894e-2f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.6666665459e-1f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(5.0000001201e-1f));
    p = _mm256_fmadd_ps(p, _mm256_mul_ps(r, r), _mm256_add_ps(r, _mm256_set1_ps(1)));
    return times_power(p, n);
}

/* 2^x for shares of attention, within 1.1e-4 of it; 1 for 0, and 0 far below. A minimax polynomial. */
INLINE __m256 power_of_two(__m256 x) {
    const __m256 n = _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT), r = _mm256_sub_ps(x, n);
    __m256 p = _mm256_set1_ps(5.50089143e-2f);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(2.42210999e-1f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(6.93282962e-1f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1));
    /* What is far below has no exponent. */
    return _mm256_and_ps(times_power(p, n), _mm256_cmp_ps(n, _mm256_set1_ps(-126), _CMP_NLT_UQ));
}

static void gate(float *gates, const float *up, int32_t count) {
    for (int32_t i = 0; i < count; i += 8) {
        const __m256 g = _mm256_loadu_ps(gates + i);
        const __m256 below = _mm256_add_ps(_mm256_set1_ps(1), exponential(_mm256_sub_ps(_mm256_setzero_ps(), g)));
        _mm256_storeu_ps(gates + i, _mm256_mul_ps(_mm256_div_ps(g, below), _mm256_loadu_ps(up + i)));
    }
}

static void rotate(float *head, const float *cosines, const float *sines, int32_t half) {
    for (int32_t i = 0; i < half; i += 8) {
        const __m256 c = _mm256_loadu_ps(cosines + i), s = _mm256_loadu_ps(sines + i);
        const __m256 a = _mm256_loadu_ps(head + i), b = _mm256_loadu_ps(head + half + i);
        _mm256_storeu_ps(head + i, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)));
        _mm256_storeu_ps(head + half + i, _mm256_fmadd_ps(b, c, _mm256_mul_ps(a, s)));
    }
}

static float quantise_query(const float *x, int32_t count, int8_t *bytes, int32_t *sum) {
    const float most = most_of(x, count);
    const __m256 factor = _mm256_set1_ps(most > 0 ? 127 / most : 0);
    __m256i total = _mm256_setzero_si256(), part;
    for (int32_t i = 0; i < count; i += 32) {
        _mm256_storeu_si256((__m256i *)(bytes + i), bytes_of(x + i, factor, &part));
        total = _mm256_add_epi32(total, part);
    }
    *sum = int_sum_of(total);
    return most / 127;
}

static void store_key(const float *x, int32_t count, const CacheBlock *block, int32_t at) {
    __m256 most = _mm256_set1_ps(-INFINITY), least = _mm256_set1_ps(INFINITY);
    for (int32_t i = 0; i < count; i += 8) {
        const __m256 v = _mm256_loadu_ps(x + i);
        least = _mm256_min_ps(least, v);
        most = _mm256_max_ps(most, v);
    }
    const float low = -largest_of(_mm256_xor_ps(least, _mm256_set1_ps(-0.0f))), range = largest_of(most) - low;
    const __m256 factor = _mm256_set1_ps(range > 0 ? 255 / range : 0), from = _mm256_set1_ps(low);
    block->key_scales[at] = range / 255;
    block->key_leasts[at] = low;
    for (int32_t i = 0; i < count; i += 32) {
        int32_t fours[8];
        __m256i v[4];
        UNROLL for (int j = 0; j < 4; j++) v[j] = to_ints(_mm256_sub_ps(_mm256_loadu_ps(x + i + 8 * j), from), factor);
        _mm256_storeu_si256((__m256i *)fours, unsigned_bytes(v));
        for (int j = 0; j < 8; j++) memcpy(block->keys + ((size_t)(i / 4 + j) * BLOCK + at) * 4, fours + j, 4);
    }
}

static void store_value(const float *x, int32_t count, const CacheBlock *block, int32_t at) {
    const float most = most_of(x, count);
    const __m256 factor = _mm256_set1_ps(most > 0 ? 127 / most : 0);
    int8_t *to = block->values + (size_t)(at / 4) * count * 4 + at % 4;
    block->value_scales[at] = most / 127;
    for (int32_t i = 0; i < count; i += 32) {
        int8_t bytes[32];
        __m256i sum;
        _mm256_storeu_si256((__m256i *)bytes, bytes_of(x + i, factor, &sum));
        for (int j = 0; j < 32; j++) to[(i + j) * 4] = bytes[j];
    }
}

/* ---- attention ---- */

enum { QUERY_ROWS = 4, EIGHTS = BLOCK / 8 };

/* Below all, and a number: also its difference to itself is one. */
#define LEAST_SCORE -1e30f

/* Of the spans so far: the largest score, and the total of the shares, by lanes. */
typedef struct {
    float most;
    __m256 total[2];
} Running;

/* What a span adds to some rows: their scores, and their shares in values, in low and high bits, with a scale for each
 * block. */
typedef struct {
    float scores[QUERY_ROWS][SPAN * BLOCK];
    uint8_t low[QUERY_ROWS][SPAN * BLOCK], high[QUERY_ROWS][SPAN * BLOCK];
    float scales[QUERY_ROWS][SPAN], kept[QUERY_ROWS];
} Scratch;

/* Products of `rows` queries with the keys of a block, eight keys at a time, as scores. */
INLINE void score_rows(int rows, const Queries *q, int32_t from, const CacheBlock *block, float *scores) {
    const int8_t *queries = q->bytes + (size_t)from * q->head_dim;
    for (int k = 0; k < EIGHTS; k++) {
        __m256i total[QUERY_ROWS];
        UNROLL for (int r = 0; r < rows; r++) total[r] = _mm256_setzero_si256();
        for (int32_t d = 0; d < q->head_dim; d += 32) {
            __m256i lows[QUERY_ROWS], highs[QUERY_ROWS];
            UNROLL for (int r = 0; r < rows; r++) lows[r] = highs[r] = _mm256_setzero_si256();
            UNROLL for (int i = 0; i < 8; i++) {
                const __m256i bytes = load(block->keys + (d / 4 + i) * BLOCK * 4 + k * 32);
                const __m256i low = low_bits(bytes), high = high_bits(bytes);
                UNROLL for (int r = 0; r < rows; r++) {
                    const __m256i four = four_of(queries + (size_t)r * q->head_dim + d, i);
                    lows[r] = add_products(lows[r], low, four);
                    highs[r] = add_products(highs[r], high, four);
                }
            }
            UNROLL for (int r = 0; r < rows; r++) total[r] = _mm256_add_epi32(total[r], widen_both(lows[r], highs[r]));
        }
        const __m256 scale = _mm256_loadu_ps(block->key_scales + 8 * k), least = _mm256_loadu_ps(block->key_leasts + 8 * k);
        UNROLL for (int r = 0; r < rows; r++) {
            const __m256 x = _mm256_mul_ps(_mm256_cvtepi32_ps(total[r]), scale);
            _mm256_storeu_ps(scores + r * SPAN * BLOCK + 8 * k, _mm256_fmadd_ps(least, _mm256_set1_ps(q->sums[from + r]), x));
        }
    }
}

/* Of eight keys from `key` on, those that are among the first `seen`. */
INLINE __m256 among(int32_t seen, int32_t key) {
    const __m256i numbers = _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(key));
    return _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(seen), numbers));
}

/* Shares of a row, of whose scores `seen` count: softmax as it goes (FlashAttention, 2022). */
static void share(Scratch *scratch, int r, float scale, int32_t seen, const Span *span, Running *run) {
    const float *scores = scratch->scores[r];
    __m256 total[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()}, most = _mm256_set1_ps(LEAST_SCORE);
    for (int i = 0; i < SPAN * BLOCK; i += 8)
        most = _mm256_max_ps(most, _mm256_blendv_ps(most, _mm256_loadu_ps(scores + i), among(seen, i)));
    const float here = largest_of(most);
    scratch->kept[r] = 1;
    if (here > run->most) {
        scratch->kept[r] = _mm256_cvtss_f32(power_of_two(_mm256_set1_ps((run->most - here) * scale)));
        run->most = here;
    }
    most = _mm256_set1_ps(run->most * scale);
    for (int b = 0; b < SPAN; b++) {
        __m256 p[EIGHTS], weighed[EIGHTS];
        __m256i ints[EIGHTS];
        UNROLL for (int i = 0; i < EIGHTS; i++) {
            const __m256 mask = among(seen, BLOCK * b + 8 * i), x = _mm256_loadu_ps(scores + BLOCK * b + 8 * i);
            p[i] = _mm256_and_ps(power_of_two(_mm256_fmsub_ps(x, _mm256_set1_ps(scale), most)), mask);
            /* Scales of what is not seen may be anything, even no number. */
            weighed[i] = _mm256_mul_ps(p[i], _mm256_and_ps(_mm256_loadu_ps(span->block[b].value_scales + 8 * i), mask));
        }
        UNROLL for (int h = 0; h < 2; h++) total[h] = _mm256_add_ps(total[h], _mm256_add_ps(p[h], p[h + 2]));
        const float largest =
            largest_of(_mm256_max_ps(_mm256_max_ps(weighed[0], weighed[1]), _mm256_max_ps(weighed[2], weighed[3])));
        scratch->scales[r][b] = largest / 255;
        const __m256 factor = _mm256_set1_ps(largest > 0 ? 255 / largest : 0);
        UNROLL for (int i = 0; i < EIGHTS; i++) ints[i] = to_ints(weighed[i], factor);
        const __m256i bytes = unsigned_bytes(ints);
        _mm256_storeu_si256((__m256i *)(scratch->low[r] + BLOCK * b), low_bits(bytes));
        _mm256_storeu_si256((__m256i *)(scratch->high[r] + BLOCK * b), high_bits(bytes));
    }
    UNROLL for (int h = 0; h < 2; h++)
        run->total[h] = _mm256_fmadd_ps(run->total[h], _mm256_set1_ps(scratch->kept[r]), total[h]);
}

/* out = out * kept + scale * shares V, for `rows` rows and the values of a span. */
INLINE void weigh_rows(int rows, const Scratch *scratch, const Span *span, int32_t head_dim, float *out) {
    for (int32_t d = 0; d < head_dim; d += 8) {
        __m256 totals[QUERY_ROWS];
        UNROLL for (int r = 0; r < rows; r++)
            totals[r] = _mm256_mul_ps(_mm256_loadu_ps(out + (size_t)r * head_dim + d), _mm256_set1_ps(scratch->kept[r]));
        for (int32_t b = 0; b < span->count; b++) {
            __m256i lows[QUERY_ROWS], highs[QUERY_ROWS];
            UNROLL for (int r = 0; r < rows; r++) lows[r] = highs[r] = _mm256_setzero_si256();
            UNROLL for (int i = 0; i < BLOCK / 4; i++) {
                const __m256i v = load(span->block[b].values + ((size_t)i * head_dim + d) * 4);
                UNROLL for (int r = 0; r < rows; r++) {
                    lows[r] = add_products(lows[r], four_of(scratch->low[r] + BLOCK * b, i), v);
                    highs[r] = add_products(highs[r], four_of(scratch->high[r] + BLOCK * b, i), v);
                }
            }
            UNROLL for (int r = 0; r < rows; r++) {
                const __m256 sum = _mm256_cvtepi32_ps(widen_both(lows[r], highs[r]));
                totals[r] = _mm256_fmadd_ps(sum, _mm256_set1_ps(scratch->scales[r][b]), totals[r]);
            }
        }
        UNROLL for (int r = 0; r < rows; r++) _mm256_storeu_ps(out + (size_t)r * head_dim + d, totals[r]);
    }
}

/* What a span adds for `rows` queries. */
INLINE void attend_rows(int rows, const Queries *q, int32_t from, const Span *span, Running *running) {
    Scratch scratch;
    for (int32_t b = 0; b < span->count; b++) score_rows(rows, q, from, span->block + b, scratch.scores[0] + BLOCK * b);
    for (int r = 0; r < rows; r++)
        share(&scratch, r, q->scales[from + r], q->positions[from + r] - span->first + 1, span, running + from + r);
    weigh_rows(rows, &scratch, span, q->head_dim, q->out + (size_t)from * q->head_dim);
}

static void attend(const Queries *q, CacheBlock (*block)(const void *context, int32_t i), const void *context) {
    Running running[q->count];
    int32_t last = 0;
    memset(q->out, 0, (size_t)q->count * q->head_dim * sizeof(float));
    for (int32_t r = 0; r < q->count; r++) {
        running[r] = (Running){LEAST_SCORE, {_mm256_setzero_ps(), _mm256_setzero_ps()}};
        last = q->positions[r] > last ? q->positions[r] : last;
    }
    for (int32_t i = 0; i <= last / BLOCK; i += SPAN) {
        const Span span = span_from(i, last / BLOCK + 1, block, context);
        for (int32_t r = 0; r < q->count;) {
            const int32_t left = q->count - r;
            if (left >= 4) attend_rows(4, q, r, &span, running), r += 4;
            else if (left == 3) attend_rows(3, q, r, &span, running), r += 3;
            else if (left == 2) attend_rows(2, q, r, &span, running), r += 2;
            else attend_rows(1, q, r, &span, running), r += 1;
        }
    }
    for (int32_t r = 0; r < q->count; r++) {
        const __m256 factor = _mm256_set1_ps(1 / sum_of(running[r].total[0], running[r].total[1]));
        float *out = q->out + (size_t)r * q->head_dim;
        for (int32_t i = 0; i < q->head_dim; i += 8)
            _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_loadu_ps(out + i), factor));
    }
}

const Kernels avx2_kernels = {
    "avx2", multiply, quantise, normalise, gate, rotate, quantise_query, store_key, store_value, attend,
};
#endif
