/* Motion made exact by events: they are carried along it to pictures of an older and a newer half,
 * and how far those lie apart moves it.
 *
 * edgesnn/decide/refine.py says what a round means (Plain, in NumPy); here it is done in float32, one
 * event after the other, and only where events are. A picture has `side` pixels along a place, 2 or
 * 4, and BORDER empty ones around it. */
#include "engine.h"
#include <math.h> /* sqrtf, which the processor does */
#include <string.h>

enum { BORDER = 2, MOST_SIDE = 4, KINDS = 4, SUMS = 7, RECORD = 16, NEAR = 6, BLOCK = 16 };

/* The numbers of edgesnn/decide/refine.py; damping is that of `side`. */
typedef struct {
    float span, first, last, damping, farthest, few, slow;
    float taps[2 * NEAR + 1]; /* of the Gaussian, along one axis */
} round_t;

/* What a round has in memory; every map is [..][h][w]. */
typedef struct {
    const round_t *given;
    int32_t h, w, side, shift;
    ptrdiff_t wide, high, area;
    float *pictures;                   /* [KINDS][high][wide] */
    float *counts, *raised;            /* KINDS maps */
    float *products, *sums;            /* SUMS maps */
    float *span, *total;               /* a map */
    float *down, *blurred, *by, *rows; /* 1, 2 (side + 2), 2 and SUMS rows of a picture */
} work_t;

/* Carry events to the pictures, and count. events: records of t (int64), x, y (uint16), p (uint8). */
static void carry(const work_t *work, const uint8_t *events, int64_t count, int64_t t_us,
                  int32_t step_us, int32_t cell, const float *velocity)
{
    const int32_t h = work->h, w = work->w, side = work->side, shift = work->shift;
    const ptrdiff_t wide = work->wide, high = work->high, area = work->area;
    const float right = (float)(side * w - 1), low = (float)(side * h - 1);
    const float cells = 1 / (float)cell, steps = 1 / (float)step_us, pixels = (float)side / 2;
    memset(work->pictures, 0, sizeof(float) * KINDS * (size_t)(high * wide));
    memset(work->counts, 0, sizeof(float) * KINDS * (size_t)area);
    for (const uint8_t *event = events; count--; event += RECORD) {
        int64_t t;
        uint16_t at[2];
        memcpy(&t, event, sizeof t);
        memcpy(at, event + 8, sizeof at);
        float x = ((float)at[0] + 0.5f) * cells, y = ((float)at[1] + 0.5f) * cells;
        const int32_t column = (int32_t)(x / 2), row = (int32_t)(y / 2);
        if (column >= w || row >= h) continue;
        const ptrdiff_t place = (ptrdiff_t)row * w + column;
        const float age = (float)(int64_t)((uint64_t)t_us - (uint64_t)t) * steps, lasts = work->span[place];
        if (!(age >= 0 && age <= lasts)) continue;
        const float late = age - lasts / 2;
        x = pixels * (x + velocity[place] * late) - 0.5f;
        y = pixels * (y + velocity[area + place] * late) - 0.5f;
        if (!(x >= 0 && y >= 0 && x < right && y < low)) continue;
        const int32_t left = (int32_t)x, top = (int32_t)y, which = 2 * (event[12] > 0) + (late <= 0);
        const float a = x - (float)left, b = y - (float)top;
        const float share[4] = {(1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b};
        float *pixel = work->pictures + (which * high + top + BORDER) * wide + left + BORDER;
        float *counted = work->counts + which * area;
        for (int32_t k = 0; k < 4; k++) {
            const int32_t dx = k & 1, dy = k >> 1;
            pixel[dy * wide + dx] += share[k];
            counted[(ptrdiff_t)((top + dy) >> shift) * w + ((left + dx) >> shift)] += share[k];
        }
    }
}

/* Write `length` pixels of one row, blurred by 1 2 1 both ways; from: the pixel above the first. */
HOT static void blur(const float *restrict from, ptrdiff_t wide, int32_t length,
                     float *restrict down, float *restrict to)
{
    const float *restrict here = from + wide, *restrict below = here + wide;
    for (int32_t i = -1; i <= length; i++) down[i + 1] = from[i] + 2 * here[i] + below[i];
    for (int32_t i = 0; i < length; i++) to[i] = (down[i] + 2 * down[i + 1] + down[i + 2]) * 0.0625f;
}

/* Add the products of a row of `length` pixels to sums, SUMS rows that are `apart`. o, n: its first
 * pixel in the blurred older and newer picture, each with the rows above and below; fo, fn: by what
 * these are raised, pixel by pixel. */
HOT static void multiply(const float *restrict o, const float *restrict above_o,
                         const float *restrict below_o, const float *restrict n,
                         const float *restrict above_n, const float *restrict below_n,
                         const float *restrict fo, const float *restrict fn, int32_t length,
                         float *restrict sums, ptrdiff_t apart)
{
    for (int32_t first = 0; first < length; first += BLOCK) {
        float xs[BLOCK], ys[BLOCK], ts[BLOCK], is[BLOCK];
        const int32_t count = length - first < BLOCK ? length - first : BLOCK;
        for (int32_t j = 0; j < count; j++) {
            const int32_t i = first + j;
            xs[j] = (fo[i] * (o[i + 1] - o[i - 1]) + fn[i] * (n[i + 1] - n[i - 1])) * 0.25f;
            ys[j] = (fo[i] * (below_o[i] - above_o[i]) + fn[i] * (below_n[i] - above_n[i])) * 0.25f;
            ts[j] = fn[i] * n[i] - fo[i] * o[i];
            is[j] = (fn[i] * n[i] + fo[i] * o[i]) * 0.5f;
        }
        float *sum = sums + first;
        for (int32_t j = 0; j < count; j++) sum[j] += xs[j] * xs[j];
        sum += apart;
        for (int32_t j = 0; j < count; j++) sum[j] += xs[j] * ys[j];
        sum += apart;
        for (int32_t j = 0; j < count; j++) sum[j] += ys[j] * ys[j];
        sum += apart;
        for (int32_t j = 0; j < count; j++) sum[j] += xs[j] * ts[j];
        sum += apart;
        for (int32_t j = 0; j < count; j++) sum[j] += ys[j] * ts[j];
        sum += apart;
        for (int32_t j = 0; j < count; j++) sum[j] += ts[j] * ts[j];
        sum += apart;
        for (int32_t j = 0; j < count; j++) sum[j] += is[j] * is[j];
    }
}

static int has_events(const work_t *work, ptrdiff_t place)
{
    for (int32_t k = 0; k < KINDS; k++)
        if (work->counts[k * work->area + place] != 0) return 1;
    return 0;
}

/* Write the products of the places [first, last) of a row. */
static void of_row(const work_t *work, int32_t row, int32_t first, int32_t last)
{
    const ptrdiff_t wide = work->wide, begin = (ptrdiff_t)row * work->w + first;
    const int32_t side = work->side, length = side * (last - first);
    float *blurred = work->blurred, *by = work->by, *rows = work->rows;
    for (int32_t k = 0; k < SUMS; k++) memset(rows + k * wide, 0, sizeof *rows * (size_t)length);
    for (int32_t polarity = 0; polarity < 2; polarity++) {
        for (int32_t half = 0; half < 2; half++) {
            const int32_t which = 2 * polarity + half;
            const float *picture = work->pictures + (which * work->high + side * (ptrdiff_t)row) * wide
                                 + side * first + 1;
            const float *raised = work->raised + which * work->area + begin;
            for (int32_t r = 0; r < side + 2; r++) /* from a pixel before to a pixel behind */
                blur(picture + r * wide, wide, length + 2, work->down,
                     blurred + (half * (side + 2) + r) * wide);
            for (int32_t i = 0; i < length; i++) by[half * wide + i] = raised[i >> work->shift];
        }
        for (int32_t r = 1; r <= side; r++) {
            const float *o = blurred + r * wide + 1, *n = o + (side + 2) * wide;
            multiply(o, o - wide, o + wide, n, n - wide, n + wide, by, by + wide, length, rows, wide);
        }
    }
    for (int32_t i = 0; i < last - first; i++) {
        if (!has_events(work, begin + i)) continue;
        for (int32_t k = 0; k < SUMS; k++) {
            float sum = 0;
            for (int32_t j = 0; j < side; j++) sum += rows[k * wide + side * i + j];
            work->products[k * work->area + begin + i] = sum;
        }
    }
}

/* Multiply the pictures where there are events. */
static void compare(const work_t *work)
{
    memset(work->products, 0, sizeof(float) * SUMS * (size_t)work->area);
    for (int32_t row = 0; row < work->h; row++) {
        const ptrdiff_t begin = (ptrdiff_t)row * work->w;
        int32_t first = 0, last = work->w; /* gaps are done too: shorter loops take longer */
        while (first < last && !has_events(work, begin + first)) first++;
        while (last > first && !has_events(work, begin + last - 1)) last--;
        if (first < last) of_row(work, row, first, last);
    }
}

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
static void around(const float *from, int32_t maps, int32_t h, int32_t w, const float *taps,
                   float *line, float *to)
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

/* Raise each half of a polarity to the other; around: the counts around a place; total: of all. */
HOT static void raise(const float *restrict around, ptrdiff_t area, float few,
                      float *restrict total, float *restrict raised)
{
    memset(total, 0, sizeof *total * (size_t)area);
    for (int32_t k = 0; k < KINDS; k += 2)
        for (ptrdiff_t i = 0; i < area; i++) {
            const float old = around[k * area + i] + few, new = around[(k + 1) * area + i] + few;
            const float mean = sqrtf(old * new);
            raised[k * area + i] = mean / old;
            raised[(k + 1) * area + i] = mean / new;
            total[i] += old - few + (new - few);
        }
}

/* Move the motion; told: how much it changed, and how alike the halves were. cell: in pixels. */
HOT static void move(const float *restrict sums, const float *restrict total,
                     const float *restrict span, ptrdiff_t area, float cell, const round_t *given,
                     float *restrict velocity, float *restrict told)
{
    const float damping = given->damping, farthest = given->farthest, slow = given->slow;
    for (ptrdiff_t i = 0; i < area; i++) {
        const float stiff = damping * total[i] + 1e-6f;
        const float xx = sums[i] + stiff, xy = sums[area + i], yy = sums[2 * area + i] + stiff;
        const float xt = sums[3 * area + i], yt = sums[4 * area + i];
        const float tt = sums[5 * area + i], ii = sums[6 * area + i];
        const float scale = -1 / (xx * yy - xy * xy);
        const float dx = (yy * xt - xy * yt) * scale, dy = (xx * yt - xy * xt) * scale;
        const float length = sqrtf(dx * dx + dy * dy), shortest = length > 1e-6f ? length : 1e-6f;
        const float least = farthest / shortest, most = least < 1 / cell ? least : 1 / cell;
        const float to_cells = most * 2 / span[i];
        const float u = velocity[i] + dx * to_cells, v = velocity[area + i] + dy * to_cells;
        velocity[i] = u;
        velocity[area + i] = v;
        told[i] = length * to_cells / (sqrtf(u * u + v * v) + slow);
        told[area + i] = (ii - tt / 4) / (ii + tt / 4 + 1e-6f);
    }
}

/* How many floats of memory a round needs. */
API int64_t refine_needs(int32_t h, int32_t w, int32_t side)
{
    const ptrdiff_t wide = side * (ptrdiff_t)w + 2 * BORDER, high = side * (ptrdiff_t)h + 2 * BORDER;
    return KINDS * high * wide + (2 * KINDS + 2 * SUMS + 2) * (ptrdiff_t)h * w
         + (1 + 2 * (MOST_SIDE + 2) + 2 + SUMS) * (wide + 2 * NEAR);
}

/* One round. velocity: [2][h][w], cells per step, is moved; told: [2][h][w], see `move`. memory: as
 * many floats as refine_needs says. events: see `carry`; those off the grid are left out. */
API void refine_round(const uint8_t *events, int64_t count, int64_t t_us, int32_t step_us, int32_t cell,
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
    work.down = work.total + area;
    work.blurred = work.down + row;
    work.by = work.blurred + 2 * (MOST_SIDE + 2) * row;
    work.rows = work.by + 2 * row;
    tell_spans(&work, velocity);
    carry(&work, events, count, t_us, step_us, cell, velocity);
    around(work.counts, KINDS, h, w, given->taps, work.down, work.sums);
    raise(work.sums, area, given->few, work.total, work.raised);
    compare(&work);
    around(work.products, SUMS, h, w, given->taps, work.down, work.sums);
    move(work.sums, work.total, work.span, area, (float)side / 2, given, velocity, told);
}
