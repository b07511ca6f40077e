/* Motion made exact by events: they are carried along it to pictures of an older and a newer half,
 * and how far those lie apart moves it.
 *
 * edgesnn/decide/refine.py says what a round means (Plain, in NumPy); here it is done in float32, one
 * event after the other, and only in rows where events are. A picture has `side` pixels along a place,
 * 2 or 4, and BORDER empty ones around it. */
#ifndef EDGESNN_REFINE_H
#define EDGESNN_REFINE_H

#include "engine.h"

enum { BORDER = 2, MOST_SIDE = 4, KINDS = 4, SUMS = 7, TERMS = 5, RECORD = 16, NEAR = 6, BLOCK = 16 };

/* The numbers of a Round of edgesnn/decide/refine.py and of that file; last is of recent.py, taps are
 * of halves.py. Who changes them raises CALLED_AS. */
typedef struct {
    float span, first, damping, pull, last, farthest, few, least, least_alike, misfit, slow;
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
    float *span, *total, *common;      /* a map; common becomes the energy of the halves */
    float *blocks;                     /* twice TERMS maps of blocks of two by two places */
    float *down, *blurred, *by, *rows; /* 1, 2 (side + 2), 2 and SUMS rows of a picture */
} work_t;

void carry(const work_t *work, const uint8_t *events, int64_t count, int64_t t_us, int64_t step_us,
           int32_t cell, const float *velocity);
void compare_halves(const work_t *work);
void around(const float *from, int32_t maps, int32_t h, int32_t w, const float *taps, float *line,
            float *to);
void solve(const work_t *work, float *velocity, float *told);

#endif
