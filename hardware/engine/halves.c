/* The pictures of older and newer events, and their products. */
#include "refine.h"
#include <string.h>

/* Carry events to the pictures, and count. events: records of t (int64), x, y (uint16), p (uint8). */
void carry(const work_t *work, const uint8_t *events, int64_t count, int64_t t_us, int64_t step_us,
           int32_t cell, const float *velocity)
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
        const float age = (float)(int64_t)((uint64_t)t_us - (uint64_t)t) * steps;
        const float lasts = work->span[place];
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
void compare_halves(const work_t *work)
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
