/* Play a tape of engine_tape.py: build each program, run it, compare every output. `.ci/wheels` links
 * it with the engine of a wheel for another processor. */
#include "engine.h"
#include <stdio.h>
#include <stdlib.h>

plan_t *engine_plan(int32_t, int32_t, int32_t, int32_t);
void engine_free_plan(plan_t *);
void engine_shape(plan_t *, int32_t, int32_t, int32_t, int32_t, int32_t);
int32_t engine_node(plan_t *, int32_t, int32_t, int32_t, const int32_t *, int32_t, int32_t, int32_t,
                    const int32_t *, const int32_t *, int32_t, const int32_t *, const int32_t *, int32_t);
int32_t engine_weights(plan_t *, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t,
                       int32_t, const int16_t *, int32_t, int64_t, const int32_t *,
                       const int32_t *, const int32_t *, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t);
int32_t engine_delays(plan_t *, int32_t, int32_t, int32_t, const int32_t *, const int32_t *,
                      const int16_t *, const int32_t *, int32_t);
stream_t *engine_stream(const plan_t *);
int32_t engine_step(stream_t *, const uint8_t *, int32_t *);
void engine_reset(stream_t *);
void engine_free_stream(stream_t *);

enum { MOST = 24 };

static void take(void *to, size_t bytes, FILE *tape)
{
    if (fread(to, 1, bytes, tape) != bytes) {
        fprintf(stderr, "the tape ends too early\n");
        exit(2);
    }
}

/* Run a stream twice, with a reset between; return how many outputs differ. */
static int run(const plan_t *plan, FILE *tape)
{
    int32_t size[3], differ = 0; /* steps, input, output */
    take(size, sizeof size, tape);
    const size_t in = (size_t)size[1], out = (size_t)size[2], steps = (size_t)size[0];
    uint8_t *x = malloc(steps * in);
    int32_t *wanted = malloc(steps * out * sizeof *wanted), *y = malloc(out * sizeof *y);
    stream_t *stream = engine_stream(plan);
    take(x, steps * in, tape);
    take(wanted, steps * out * sizeof *wanted, tape);
    for (int again = 0; again < 2; again++) {
        for (size_t t = 0; t < steps; t++) {
            if (engine_step(stream, x + t * in, y)) differ++;
            for (size_t k = 0; k < out; k++) differ += y[k] != wanted[t * out + k];
        }
        engine_reset(stream);
    }
    engine_free_stream(stream);
    free(x); free(wanted); free(y);
    return differ;
}

int main(int count, char **name)
{
    FILE *tape = count == 2 ? fopen(name[1], "rb") : NULL;
    plan_t *plan = NULL;
    int32_t head[2];
    int programs = 0, differ = 0;
    if (!tape) return fprintf(stderr, "usage: engine_replay OUT.tape\n"), 2;
    while (fread(head, sizeof *head, 2, tape) == 2) {
        void *held[MOST] = {0};
        intptr_t a[MOST] = {0};
        if (head[0] < 0) {
            const int found = run(plan, tape);
            if (found) printf("program %d: %d outputs differ\n", programs, found);
            differ += found, programs++;
            continue;
        }
        for (int32_t i = 0; i < head[1]; i++) {
            int32_t kind;
            int64_t value;
            take(&kind, sizeof kind, tape);
            take(&value, sizeof value, tape);
            if (kind == 2) {
                held[i] = malloc((size_t)value + 1);
                take(held[i], (size_t)value, tape);
            }
            a[i] = kind == 2 ? (intptr_t)held[i] : (intptr_t)value;
        }
#define P(i, type) ((const type *)a[i])
#define I(i) ((int32_t)a[i])
        switch (head[0]) {
        case 0:
            engine_free_plan(plan);
            plan = engine_plan(I(0), I(1), I(2), I(3));
            break;
        case 1: engine_shape(plan, I(1), I(2), I(3), I(4), I(5)); break;
        case 2:
            differ += engine_node(plan, I(1), I(2), I(3), P(4, int32_t), I(5), I(6), I(7),
                                  P(8, int32_t), P(9, int32_t), I(10), P(11, int32_t), P(12, int32_t), I(13)) != 0;
            break;
        case 3:
            differ += engine_weights(plan, I(1), I(2), I(3), I(4), I(5), I(6), I(7),
                                     I(8), P(9, int16_t), I(10), (int64_t)a[11], P(12, int32_t),
                                     P(13, int32_t), P(14, int32_t), I(15), I(16), I(17), I(18),
                                     I(19), I(20)) != 0;
            break;
        default:
            differ += engine_delays(plan, I(1), I(2), I(3), P(4, int32_t), P(5, int32_t),
                                    P(6, int16_t), P(7, int32_t), I(8)) != 0;
        }
        for (int32_t i = 0; i < MOST; i++) free(held[i]);
    }
    engine_free_plan(plan);
    printf("%d programs, %d outputs differ\n", programs, differ);
    return differ || !programs;
}
