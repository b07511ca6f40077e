/* From the sums of a round to the motion: what each place answers alone, what many answer together,
 * and what lies between. */
#include "refine.h"
#include <math.h> /* sqrtf, which the processor does, and NAN */
#include <string.h>

static const float TINY = 1e-6f;

static inline float larger(float a, float b) { return a > b ? a : b; }

static inline float smaller(float a, float b) { return a < b ? a : b; }

static inline float length_of(float x, float y) { return sqrtf(x * x + y * y); }

/* Write each place's own motion, [2][h][w], how alike its halves are, and over what
 * they have in common by chance their energy beyond it. */
HOT static void alone(const round_t *given, ptrdiff_t area, int32_t side, const float *restrict total,
                      const float *restrict span, const float *restrict velocity,
                      const float *restrict sums, float *restrict common, float *restrict own,
                      float *restrict alike)
{
    const float farthest = given->farthest * (float)side / 2, damping = given->damping;
    for (ptrdiff_t i = 0; i < area; i++) {
        const float stiff = damping * total[i] + TINY, pixels = span[i] * (float)side / 4;
        const float xx = sums[i] + stiff, xy = sums[area + i], yy = sums[2 * area + i] + stiff;
        const float xt = sums[3 * area + i], yt = sums[4 * area + i];
        const float tt = sums[5 * area + i], ii = sums[6 * area + i];
        const float scale = -1 / larger(xx * yy - xy * xy, stiff * stiff);
        const float dx = (yy * xt - xy * yt) * scale, dy = (xx * yt - xy * xt) * scale;
        const float held = smaller(1, farthest / larger(length_of(dx, dy), TINY)) / pixels;
        own[i] = velocity[i] + dx * held;
        own[area + i] = velocity[area + i] + dy * held;
        const float energy = larger(ii + tt / 4 - common[i], TINY);
        alike[i] = larger(-1, smaller(1, (ii - tt / 4 - common[i]) / energy));
        common[i] = energy;
    }
}

/* Add the terms of a row of places to TERMS rows that are `apart`. */
HOT static void add_terms(const round_t *given, ptrdiff_t area, float quarter,
                          const float *restrict sums, const float *restrict total,
                          const float *restrict span, const float *restrict velocity,
                          const float *restrict alike, int32_t w, float *restrict rows,
                          ptrdiff_t apart)
{
    const float damping = given->damping, least = given->least_alike;
    for (int32_t i = 0; i < w; i++) {
        const float pixels = span[i] * quarter, sure = larger(alike[i], least);
        const float counts = sure * sure * pixels, square = counts * pixels;
        const float stiff = damping * total[i] + TINY, xy = square * sums[area + i];
        const float xx = square * (sums[i] + stiff), yy = square * (sums[2 * area + i] + stiff);
        const float u = velocity[i], v = velocity[area + i];
        rows[i] += xx;
        rows[apart + i] += xy;
        rows[2 * apart + i] += yy;
        rows[3 * apart + i] += xx * u + xy * v - counts * sums[3 * area + i];
        rows[4 * apart + i] += xy * u + yy * v - counts * sums[4 * area + i];
    }
}

/* Solve blocks, TERMS maps; the motion is written over the first two. */
HOT static void solve_blocks(float *restrict blocks, ptrdiff_t count)
{
    for (ptrdiff_t i = 0; i < count; i++) {
        const float xx = blocks[i], xy = blocks[count + i], yy = blocks[2 * count + i];
        const float x = blocks[3 * count + i], y = blocks[4 * count + i];
        const float scale = 1 / larger(xx * yy - xy * xy, TINY * xx * yy + 1e-30f);
        blocks[i] = (yy * x - xy * y) * scale;
        blocks[count + i] = (xx * y - xy * x) * scale;
    }
}

/* Write a row of `w` places between the middles of blocks, of which `row` is nearer than `other`. */
HOT static void between(const float *restrict row, const float *restrict other, int32_t w,
                        float *restrict line, float *restrict to)
{
    const int32_t blocks = (w + 1) / 2;
    for (int32_t i = 0; i < blocks; i++) line[i + 1] = 0.75f * row[i] + 0.25f * other[i];
    line[0] = line[1];
    line[blocks + 1] = line[blocks];
    for (int32_t i = 0; i < w / 2; i++) {
        to[2 * i] = 0.75f * line[i + 1] + 0.25f * line[i];
        to[2 * i + 1] = 0.75f * line[i + 1] + 0.25f * line[i + 2];
    }
    if (w % 2) to[w - 1] = 0.75f * line[blocks] + 0.25f * line[blocks - 1];
}

/* Write the motion that fits what is seen farther around each place, [2][h][w]. */
static void together(const work_t *work, const float *velocity, const float *alike, float *many)
{
    const int32_t h = work->h, w = work->w, high = (h + 1) / 2, wide = (w + 1) / 2;
    const ptrdiff_t count = (ptrdiff_t)high * wide, apart = work->wide;
    float *blocks = work->blocks, *summed = blocks + TERMS * count, *rows = work->rows;
    for (int32_t row = 0; row < high; row++) {
        memset(rows, 0, sizeof *rows * (size_t)(TERMS * apart));
        for (int32_t r = 2 * row; r < 2 * row + 2 && r < h; r++) {
            const ptrdiff_t at = (ptrdiff_t)r * w;
            add_terms(work->given, work->area, (float)work->side / 4, work->sums + at,
                      work->total + at, work->span + at, velocity + at, alike + at, w, rows, apart);
        }
        for (int32_t k = 0; k < TERMS; k++) /* of an odd row the last is empty: apart > w */
            for (int32_t i = 0; i < wide; i++)
                blocks[k * count + (ptrdiff_t)row * wide + i] =
                    rows[k * apart + 2 * i] + rows[k * apart + 2 * i + 1];
    }
    around(blocks, TERMS, high, wide, work->given->taps, work->down, summed);
    solve_blocks(summed, count);
    for (int32_t k = 0; k < 2; k++)
        for (int32_t row = 0; row < h; row++) {
            const float *from = summed + k * count + (ptrdiff_t)(row / 2) * wide;
            const int32_t other = row % 2 ? row / 2 + 1 < high : -(row > 0);
            between(from, from + (ptrdiff_t)other * wide, w, work->down,
                    many + k * work->area + (ptrdiff_t)row * w);
        }
}

/* Move the motion to what lies between own and many; told: how much it changed, and how alike the
 * halves were, which is given. */
HOT static void move(const round_t *given, ptrdiff_t area, int32_t side, const float *restrict sums,
                     const float *restrict total, const float *restrict energy,
                     const float *restrict span, const float *restrict own,
                     const float *restrict many, float *restrict velocity, float *restrict told)
{
    const float farthest = given->farthest * (float)side / 2, damping = given->damping;
    const float slow = given->slow, least = given->least, most = given->misfit, pulls = given->pull;
    for (ptrdiff_t i = 0; i < area; i++) {
        const float alike = told[area + i], sure = larger(alike, 0), pixels = span[i] * (float)side / 4;
        const float stiff = damping * total[i] + TINY, u = many[i], v = many[area + i];
        float xx = sums[i] + stiff, yy = sums[2 * area + i] + stiff;
        const float xy = sums[area + i];
        const float x = (u - own[i]) * pixels, y = (v - own[area + i]) * pixels;
        const float off = xx * x * x + 2 * xy * x * y + yy * y * y;
        const float pull = pulls * total[i] / (1 + sure * sure * off / (most * energy[i]));
        xx += pull;
        yy += pull;
        const float right = pull * pixels * (u - velocity[i]) - sums[3 * area + i];
        const float down = pull * pixels * (v - velocity[area + i]) - sums[4 * area + i];
        const float scale = 1 / larger(xx * yy - xy * xy, stiff * stiff);
        const float dx = (yy * right - xy * down) * scale, dy = (xx * down - xy * right) * scale;
        const float length = length_of(dx, dy);
        const float held = smaller(1, farthest / larger(length, TINY)) / pixels;
        const float new_u = velocity[i] + dx * held, new_v = velocity[area + i] + dy * held;
        velocity[i] = new_u;
        velocity[area + i] = new_v;
        told[i] = length * held / (length_of(new_u, new_v) + slow);
        told[area + i] = total[i] < least ? NAN : alike;
    }
}

/* Move the motion; told: see refine_round. The products are written over. */
void solve(const work_t *work, float *velocity, float *told)
{
    const ptrdiff_t area = work->area;
    float *own = work->products, *many = own + 2 * area, *alike = told + area;
    alone(work->given, area, work->side, work->total, work->span, velocity, work->sums, work->common,
          own, alike);
    together(work, velocity, alike, many);
    move(work->given, area, work->side, work->sums, work->total, work->common, work->span, own, many,
         velocity, told);
}
