/* An event-driven integer engine: one step of a program costs what its spikes cost.
 *
 * plan    what never changes: shapes and repacked weights; shared by any number of streams
 * stream  the memory of one run; not shared between threads
 *
 * Every value (x and each node's output) lies channels last: index = cell * C + channel; a flat
 * value of n features is one cell of n channels. What is uint8 is also a list of the indices that
 * are not 0. Sums are int32, or int16 where the program's bounds prove that they fit; the bounds
 * are proven before a program comes here, and rest on x: a level above `input_high` is refused.
 */
#ifndef EDGESNN_ENGINE_H
#define EDGESNN_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define API __declspec(dllexport)
#else
#define API __attribute__((visibility("default")))
#endif

/* Hot loops exist twice in one library; the loader takes the version that the processor has. */
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(EDGESNN_PLAIN)
#define HOT __attribute__((target_clones("avx2", "default")))
#define AVX2
#else
#define HOT
#endif

enum { CALLED_AS = 2 }; /* raised when what a call takes, or means, changes */

enum { LANES = 16 }; /* sums that are added at once; runs of weights are filled up to so many */

typedef enum {
    LAYER, POOL, UPSAMPLE, CONCAT, ADD, FIRE, LEAKY, INTEGRATE, INTEGRATOR, PREVIOUS
} kind_t;

typedef struct {
    int32_t channels, height, width, cells, size;
    int32_t is_sum; /* int32 sums instead of uint8 */
} shape_t;

/* One weighted sum over the events of one past step: coefficient * weights[set] * x[t - lag]. */
typedef struct {
    int32_t lag, set, coefficient, bank;
} term_t;

/* What an input cell meets: in each of `rows` rows of the kernel, every stride-th, `columns` weights
 * that go to neighbouring sums, one row of sums higher each time. Kernel columns are ordered so that
 * those which lie on neighbouring outputs are neighbours (by their rest modulo the stride, then from
 * last to first), and filled up with zeros so that each cell meets as many: a count that changes from
 * cell to cell would be guessed wrong by the processor half the time. */
typedef struct {
    int32_t kernel, sum;   /* first run of the kernel, and first cell of the sums */
    int32_t rows;
} place_t;

typedef struct {
    kind_t kind;
    int32_t out, inputs, *input;
    int32_t size;                  /* pool, upsample; of neurons: bits of their potentials */
    int32_t choice;                /* pool: 1 or, 0 sum; integrate: its reset; integrator: limit */
    int32_t *theta, lowest_theta;  /* per neuron; NULL: no comparison */
    int32_t *current, keep;        /* neurons with a leak; per neuron */
    int32_t *leak;                 /* what each keeps; NULL: all keep as much */
    int32_t *drop;                 /* integrate: what a reset by subtraction takes off */
    int32_t most;                  /* integrate: spikes in a step */
    int32_t past;                  /* inputs of its state, without the newest: layer, previous */
    int32_t slots;                 /* inputs remembered, with the newest */
    /* layer */
    int32_t conv, kernel_h, stride;
    place_t *place;                /* by input cell */
    int32_t columns;               /* of the kernel that one cell meets */
    int32_t across, left;          /* sums in a row, of which so many lie left of the output's first */
    int32_t wide;                  /* sums of an output cell: its channels, of a ring those of all sets */
    int16_t *weight;               /* [set][input][kernel row][rest modulo the stride][run]; a run is
                                      [kernel column][output], in a ring [kernel column][set][output] */
    int32_t run;                   /* weights of a run, a multiple of LANES */
    size_t set_length;
    int32_t *from, *to;            /* outputs that (set, input channel) reaches */
    term_t *term;
    int32_t terms, banks;          /* accumulators that terms are added to */
    int32_t ring;                  /* an accumulator for each past step instead, in which each input
                                      is added once: terms add those up */
    int32_t running;               /* the sums stay from step to step, and terms say what changes: see
                                      events_weights.py */
    int32_t narrow;                /* accumulators of 16 bits: no sum in them can be larger */
    int32_t rows;                  /* delays: accumulators of the steps to come; 0: no delays */
    int32_t taps, *tap;            /* delays */
    int32_t *synapse_of, *synapse_at;
    int16_t *synapse_weight;
} node_t;

typedef struct {
    int32_t values, nodes, output, input_high;
    int32_t avx2;                  /* whether the processor has it */
    shape_t *shape;
    node_t *node;
    int64_t bytes;
} plan_t;

typedef struct {
    int32_t events;     /* of uint8: how many are not 0 */
    int32_t active;     /* of int32: whether any may be other than 0 */
    uint32_t *index;
    uint8_t *dense;
    int32_t *sum;
} value_t;

/* What a layer, a neuron or a loop remembers. */
typedef struct {
    int32_t now;        /* slot of the newest input */
    int32_t *events;    /* per slot */
    uint32_t *index;    /* (past + 1) * size of the input */
    uint8_t *level;
    void *sums;         /* accumulators: int16 or int32 */
    int32_t *filled;    /* per accumulator of a ring: whether it is other than 0 */
    int32_t *total;     /* H of one row, or of one sum */
    int32_t *membrane;
    uint8_t *fired;
    int32_t newest_row; /* delays: the accumulator of the newest step */
    int32_t settled;    /* neurons: a step without input changed nothing */
} memory_t;

typedef struct {
    const plan_t *plan;
    int32_t values, nodes;
    value_t *value;
    memory_t *memory;
    int64_t bytes;
} stream_t;

/* What n / d is a multiplication with, exact while n d < 2^32 (Granlund and Montgomery, PLDI 1994:
   the error of 2^32 / d + 1 times n stays below 2^32); 0 where n may be larger. */
static inline uint64_t inverse_of(int32_t d, int32_t most)
{
    const uint64_t one = (uint64_t)1 << 32;
    return (uint64_t)d * (uint64_t)most < one ? one / (uint64_t)d + 1 : 0;
}

static inline int32_t quotient(int32_t n, int32_t d, uint64_t inverse)
{
    return inverse ? (int32_t)(((uint64_t)n * inverse) >> 32) : n / d;
}

void *engine_zeros(int64_t *total, size_t count, size_t size);

/* values.c */
void list_events(int32_t size, value_t *y);
void collect(const int32_t *h, const int32_t *theta, int32_t size, value_t *y);
void forget(value_t *y);

/* layer.c */
size_t sums_in(const node_t *node, const shape_t *out);
void layer_step(const plan_t *plan, const node_t *node, memory_t *m, const value_t *x, value_t *y);
void remember(const node_t *node, const shape_t *in, memory_t *m, const value_t *x);
void layer_refill(const plan_t *plan, const node_t *node, memory_t *m);

/* nodes.c */
void node_step(const plan_t *plan, const node_t *node, memory_t *m, value_t *values);
void node_end(const plan_t *plan, const node_t *node, memory_t *m, const value_t *values);

#endif
