/* One round of making motion exact; see refine.h. */
#include "refine.h"
#include <math.h> /* sqrtf, which the processor does, and NAN */
#include <string.h>

/* to[i] = the sum over c < count of taps[c] * from[i + c apart], for i < length. */
HOT static void weighted(const float *restrict from, ptrdiff_t apart, const float *restrict taps,
                         int32_t count, int32_t length, float *restrict to)
{
    int32_t i = 0;
    for (; length >= BLOCK && i < length; i += BLOCK) {
        if (i > length - BLOCK) i = length - BLOCK; /* some once more */
        float sums[BLOCK] = {0};
        for (int32_t c = 0; c < count; c++)
            for (int32_t j = 0; j < BLOCK; j++) sums[j] += taps[c] * from[i + c * apart + j];
        for (int32_t j = 0; j < BLOCK; j++) to[i + j] = sums[j];
    }
    for (; i < length; i++) {
        to[i] = 0;
        for (int32_t c = 0; c < count; c++) to[i] += taps[c] * from[i + c * apart];
    }
}

/* Sum over places around each, `maps` maps of [h][w], weighted by the Gaussian. line: w + 2 NEAR. */
void around(const float *from, int32_t maps, int32_t h, int32_t w, const float *taps, float *line,
            float *to)
{
    memset(line, 0, sizeof *line * (size_t)(w + 2 * NEAR));
    for (int32_t k = 0; k < maps; k++, from += (ptrdiff_t)h * w)
        for (int32_t row = 0; row < h; row++, to += w) {
            const int32_t first = row < NEAR ? 0 : row - NEAR, last = row + NEAR < h ? row + NEAR : h - 1;
            weighted(from + (ptrdiff_t)first * w, w, taps + NEAR + first - row, last - first + 1, w,
                     line + NEAR);
            weighted(line, 1, taps, 2 * NEAR + 1, w, to);
        }
}

/* Say how far back events are looked at. */
HOT static void tell_spans(const work_t *work, const float *velocity)
{
    const round_t *given = work->given;
    for (ptrdiff_t i = 0; i < work->area; i++) {
        const float u = velocity[i], v = velocity[work->area + i], speed = sqrtf(u * u + v * v);
        float span = given->span / (speed > 1e-6f ? speed : 1e-6f);
        span = span > given->first ? span : given->first;
        work->span[i] = span < given->last ? span : given->last;
    }
}

/* How much of the Gaussian lies inside, of what is at `at` of `count`. */
static float reached(const float *taps, int32_t at, int32_t count)
{
    float sum = 0;
    for (int32_t c = -NEAR; c <= NEAR; c++)
        if (at + c >= 0 && at + c < count) sum += taps[NEAR + c];
    return sum;
}

/* Raise each half of a polarity to the other. around: the counts around a place; total: of all;
 * common: what pictures of noise would have in common there. */
HOT static void raise(const float *restrict around, int32_t h, int32_t w, const round_t *given,
                      int32_t side, float *restrict total, float *restrict common,
                      float *restrict raised)
{
    const ptrdiff_t area = (ptrdiff_t)h * w;
    const float few = given->few, pixels = (float)(side * side);
    memset(total, 0, sizeof *total * (size_t)area);
    for (int32_t k = 0; k < KINDS; k += 2)
        for (ptrdiff_t i = 0; i < area; i++) {
            const float old = around[k * area + i] + few, new = around[(k + 1) * area + i] + few;
            const float both = old * new, mean = sqrtf(both);
            raised[k * area + i] = mean / old;
            raised[(k + 1) * area + i] = mean / new;
            total[i] += old - few + (new - few);
            common[i] = k ? common[i] + both : both;
        }
    for (int32_t row = 0; row < h; row++) {
        const float high = reached(given->taps, row, h) * pixels;
        float *here = common + (ptrdiff_t)row * w;
        for (int32_t i = 0; i < w; i++) here[i] /= high * reached(given->taps, i, w);
    }
}

static int32_t blocks_of(int32_t places) { return (places + 1) / 2; }

/* How many floats of memory a round needs. */
API int64_t refine_needs(int32_t h, int32_t w, int32_t side)
{
    const ptrdiff_t wide = side * (ptrdiff_t)w + 2 * BORDER, high = side * (ptrdiff_t)h + 2 * BORDER;
    return KINDS * high * wide + (2 * KINDS + 2 * SUMS + 3) * (ptrdiff_t)h * w
         + 2 * TERMS * (ptrdiff_t)blocks_of(h) * blocks_of(w)
         + (1 + 2 * (MOST_SIDE + 2) + 2 + SUMS) * (wide + 2 * NEAR);
}

/* One round. velocity: [2][h][w], cells per step, is moved; told: [2][h][w], how much it
 * changed and how alike the halves were. memory: as
 * many floats as refine_needs says. events: see `carry`; those off the grid are left out. */
API void refine_round(const uint8_t *events, int64_t count, int64_t t_us, int64_t step_us, int32_t cell,
                      int32_t h, int32_t w, int32_t side, const round_t *given, float *memory,
                      float *velocity, float *told)
{
    const ptrdiff_t area = (ptrdiff_t)h * w;
    work_t work = {.given = given, .h = h, .w = w, .side = side, .shift = side == MOST_SIDE ? 2 : 1,
                   .wide = side * (ptrdiff_t)w + 2 * BORDER, .high = side * (ptrdiff_t)h + 2 * BORDER,
                   .area = area, .pictures = memory};
    const ptrdiff_t row = work.wide + 2 * NEAR;
    work.counts = memory + KINDS * work.high * work.wide;
    work.raised = work.counts + KINDS * area;
    work.products = work.raised + KINDS * area;
    work.sums = work.products + SUMS * area;
    work.span = work.sums + SUMS * area;
    work.total = work.span + area;
    work.common = work.total + area;
    work.blocks = work.common + area;
    work.down = work.blocks + 2 * TERMS * (ptrdiff_t)blocks_of(h) * blocks_of(w);
    work.blurred = work.down + row;
    work.by = work.blurred + 2 * (MOST_SIDE + 2) * row;
    work.rows = work.by + 2 * row;
    tell_spans(&work, velocity);
    carry(&work, events, count, t_us, step_us, cell, velocity);
    around(work.counts, KINDS, h, w, given->taps, work.down, work.sums);
    raise(work.sums, h, w, given, side, work.total, work.common, work.raised);
    compare_halves(&work);
    around(work.products, SUMS, h, w, given->taps, work.down, work.sums);
    solve(&work, velocity, told);
}
