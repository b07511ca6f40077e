/* Pictures of events that are carried along a motion, and what tells how far two of them lie apart.
 *
 * edgesnn/decide/refine.py says what both functions mean (Kernels, and Plain in NumPy); here they
 * are in float32, one event after the other, and only where events are. */
#include "engine.h"
#include <string.h>

enum { FINE = 4, BORDER = 2, KINDS = 4, SUMS = 7, RECORD = 16 };

/* events: records of t (int64), x, y (uint16) and p (uint8). velocity: [2][h][w], span: [h][w].
 * pictures: [4][FINE h + 2 BORDER][FINE w + 2 BORDER], counts: [4][h][w]; both are written. */
API void refine_pictures(const uint8_t *events, int64_t count, int64_t t_us, int32_t step_us,
                         int32_t cell, int32_t h, int32_t w, const float *velocity,
                         const float *span, float *pictures, float *counts)
{
    const ptrdiff_t wide = FINE * (ptrdiff_t)w + 2 * BORDER;
    const ptrdiff_t high = FINE * (ptrdiff_t)h + 2 * BORDER, area = (ptrdiff_t)h * w;
    const float right = (float)(FINE * w - 1), low = (float)(FINE * h - 1);
    const float cells = 1 / (float)cell, steps = 1 / (float)step_us;
    memset(pictures, 0, sizeof *pictures * KINDS * (size_t)(high * wide));
    memset(counts, 0, sizeof *counts * KINDS * (size_t)area);
    for (const uint8_t *event = events; count--; event += RECORD) {
        int64_t t;
        uint16_t at[2];
        memcpy(&t, event, sizeof t);
        memcpy(at, event + 8, sizeof at);
        float x = ((float)at[0] + 0.5f) * cells, y = ((float)at[1] + 0.5f) * cells;
        const int32_t column = (int32_t)(x / 2), row = (int32_t)(y / 2);
        if (column >= w || row >= h) continue;
        const ptrdiff_t place = (ptrdiff_t)row * w + column;
        const float age = (float)(int64_t)((uint64_t)t_us - (uint64_t)t) * steps, lasts = span[place];
        if (!(age >= 0 && age <= lasts)) continue;
        const float late = age - lasts / 2;
        x = 2 * (x + velocity[place] * late) - 0.5f;
        y = 2 * (y + velocity[area + place] * late) - 0.5f;
        if (!(x >= 0 && y >= 0 && x < right && y < low)) continue;
        const int32_t left = (int32_t)x, top = (int32_t)y, which = 2 * (event[12] > 0) + (late <= 0);
        const float a = x - (float)left, b = y - (float)top;
        const float share[4] = {(1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b};
        float *pixel = pictures + (which * high + top + BORDER) * wide + left + BORDER;
        float *counted = counts + which * area;
        for (int32_t k = 0; k < 4; k++) {
            const int32_t dx = k & 1, dy = k >> 1;
            pixel[dy * wide + dx] += share[k];
            counted[(ptrdiff_t)((top + dy) / FINE) * w + (left + dx) / FINE] += share[k];
        }
    }
}

/* Write `length` pixels of one row, blurred by 1 2 1 both ways; from: the pixel above the first. */
HOT static void blur(const float *restrict from, ptrdiff_t wide, int32_t length,
                     float *restrict down, float *restrict to)
{
    const float *restrict here = from + wide, *restrict below = here + wide;
    for (int32_t i = -1; i <= length; i++) down[i + 1] = from[i] + 2 * here[i] + below[i];
    for (int32_t i = 0; i < length; i++) to[i] = (down[i] + 2 * down[i + 1] + down[i + 2]) / 16;
}

/* Add the products of a row of `length` pixels to sums. o, n: its first pixel in the blurred older
 * and newer picture, whose rows are `wide` apart; fo, fn: by what these are raised, pixel by pixel. */
HOT static void multiply(const float *restrict o, const float *restrict n, ptrdiff_t wide,
                         const float *restrict fo, const float *restrict fn, int32_t length,
                         float *restrict sums, ptrdiff_t apart)
{
    for (int32_t i = 0; i < length; i++) {
        const float ix = (fo[i] * (o[i + 1] - o[i - 1]) + fn[i] * (n[i + 1] - n[i - 1])) / 4;
        const float iy = (fo[i] * (o[i + wide] - o[i - wide]) + fn[i] * (n[i + wide] - n[i - wide])) / 4;
        const float older = fo[i] * o[i], newer = fn[i] * n[i];
        const float it = newer - older, mean = (newer + older) / 2;
        sums[i] += ix * ix;
        sums[i + apart] += ix * iy;
        sums[i + 2 * apart] += iy * iy;
        sums[i + 3 * apart] += ix * it;
        sums[i + 4 * apart] += iy * it;
        sums[i + 5 * apart] += it * it;
        sums[i + 6 * apart] += mean * mean;
    }
}

/* Whether there are events in a place, or above or below it. */
static int any_at(const float *counts, ptrdiff_t area, int32_t h, int32_t w, int32_t row, int32_t column)
{
    for (int32_t k = 0; k < KINDS; k++)
        for (int32_t r = row > 0 ? row - 1 : 0; r <= row + 1 && r < h; r++)
            if (counts[k * area + (ptrdiff_t)r * w + column] != 0) return 1;
    return 0;
}

/* Of the places [first, last) of a row. scratch: as of refine_products. */
static void of_run(const float *pictures, const float *raised, int32_t h, int32_t w, int32_t row,
                   int32_t first, int32_t last, float *scratch, float *products)
{
    const ptrdiff_t wide = FINE * (ptrdiff_t)w + 2 * BORDER, area = (ptrdiff_t)h * w;
    const ptrdiff_t high = FINE * (ptrdiff_t)h + 2 * BORDER;
    const int32_t length = FINE * (last - first);
    float *down = scratch, *blurred = down + wide, *by = blurred + 12 * wide, *sums = by + 2 * wide;
    for (int32_t k = 0; k < SUMS; k++) memset(sums + k * wide, 0, sizeof *sums * (size_t)length);
    for (int32_t polarity = 0; polarity < 2; polarity++) {
        for (int32_t half = 0; half < 2; half++) {
            const int32_t which = 2 * polarity + half;
            const float *picture = pictures + which * high * wide + FINE * first + 1;
            for (int32_t r = 0; r < FINE + 2; r++) /* from a pixel before to a pixel behind */
                blur(picture + (FINE * (ptrdiff_t)row + r) * wide, wide, length + 2, down,
                     blurred + (half * (FINE + 2) + r) * wide);
            for (int32_t i = 0; i < length; i++)
                by[half * wide + i] = raised[which * area + (ptrdiff_t)row * w + first + i / FINE];
        }
        for (int32_t r = 1; r <= FINE; r++)
            multiply(blurred + r * wide + 1, blurred + (FINE + 2 + r) * wide + 1, wide, by, by + wide,
                     length, sums, wide);
    }
    for (int32_t k = 0; k < SUMS; k++)
        for (int32_t i = 0; i < last - first; i++) {
            const float *four = sums + k * wide + FINE * i;
            products[k * area + (ptrdiff_t)row * w + first + i] = four[0] + four[1] + four[2] + four[3];
        }
}

/* pictures and counts: of refine_pictures. raised: [4][h][w]. scratch: 22 rows of a picture.
 * products: [7][h][w], written: 0 where no events are around. */
API void refine_products(const float *pictures, const float *counts, const float *raised, int32_t h,
                         int32_t w, float *scratch, float *products)
{
    const ptrdiff_t area = (ptrdiff_t)h * w;
    memset(products, 0, sizeof *products * SUMS * (size_t)area);
    for (int32_t row = 0; row < h; row++) {
        int32_t first = -1; /* of a run of places with events around them */
        int before = 0, here = any_at(counts, area, h, w, row, 0);
        for (int32_t column = 0; column < w; column++) {
            const int after = column + 1 < w && any_at(counts, area, h, w, row, column + 1);
            const int around = before | here | after;
            if (around && first < 0) first = column;
            if (!around && first >= 0) {
                of_run(pictures, raised, h, w, row, first, column, scratch, products);
                first = -1;
            }
            before = here, here = after;
        }
        if (first >= 0) of_run(pictures, raised, h, w, row, first, w, scratch, products);
    }
}
