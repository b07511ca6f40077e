/* The plan is filled node by node; what comes here was checked and repacked before. */
#include "engine.h"
#include <stdlib.h>
#include <string.h>

enum { LINE = 64 };

/* Return zeroed memory, counted; NULL when there is none. A little is left over at the end, so that
 * loops may look at whole words. */
void *engine_zeros(int64_t *total, size_t count, size_t size)
{
    const size_t spare = 64 / size + 1;
    if (total) *total += (int64_t)((count + spare) * size);
#ifdef _WIN32
    return calloc(count + spare, size);
#else /* whole lines of the cache: a run of sums that straddles two costs twice */
    const size_t bytes = ((count + spare) * size + LINE - 1) / LINE * LINE;
    void *made = aligned_alloc(LINE, bytes);
    return made ? memset(made, 0, bytes) : NULL;
#endif
}

static int copied(plan_t *plan, void **to, const void *from, size_t count, size_t size)
{
    *to = engine_zeros(&plan->bytes, count, size);
    if (*to && from) memcpy(*to, from, count * size);
    return *to ? 0 : -1;
}
#define COPY(to, from, count) copied(plan, (void **)&(to), from, (size_t)(count), sizeof *(to))

/* Which calls these are: Python refuses a library that was built for others. */
API int32_t engine_called_as(void) { return CALLED_AS; }

API void engine_free_plan(plan_t *plan)
{
    if (!plan) return;
    for (int32_t i = 0; plan->node && i < plan->nodes; i++) {
        node_t *n = plan->node + i;
        free(n->input); free(n->theta); free(n->current); free(n->drop); free(n->leak);
        free(n->place);
        free(n->weight); free(n->from); free(n->to); free(n->term); free(n->tap);
        free(n->synapse_of); free(n->synapse_at); free(n->synapse_weight);
    }
    free(plan->node);
    free(plan->shape);
    free(plan);
}

API plan_t *engine_plan(int32_t values, int32_t nodes, int32_t output, int32_t input_high)
{
    plan_t *plan = calloc(1, sizeof *plan);
    if (!plan) return NULL;
    plan->values = values, plan->nodes = nodes, plan->output = output;
    plan->input_high = input_high;
#ifdef AVX2
    plan->avx2 = __builtin_cpu_supports("avx2") != 0;
#endif
    if (COPY(plan->shape, NULL, values) || COPY(plan->node, NULL, nodes)) {
        engine_free_plan(plan);
        return NULL;
    }
    return plan;
}

API void engine_shape(plan_t *plan, int32_t value, int32_t channels, int32_t height, int32_t width,
                      int32_t is_sum)
{
    plan->shape[value] = (shape_t){channels, height, width, height * width,
                                   channels * height * width, is_sum};
}

/* Repeat a number per channel for every cell: long loops over neurons need no second index. */
static int per_neuron(plan_t *plan, int32_t **to, const int32_t *of_channel, const shape_t *shape)
{
    if (COPY(*to, NULL, shape->size)) return -1;
    for (int32_t i = 0; i < shape->size; i++) (*to)[i] = of_channel[i % shape->channels];
    return 0;
}

/* Any node; theta, current: per channel of its output, or NULL. Returns 0, or -1: no memory. */
API int32_t engine_node(plan_t *plan, int32_t at, int32_t kind, int32_t out, const int32_t *input,
                        int32_t inputs, int32_t size, int32_t choice, const int32_t *theta,
                        const int32_t *current, int32_t keep, const int32_t *drop,
                        const int32_t *leak, int32_t most)
{
    node_t *n = plan->node + at;
    const int32_t channels = plan->shape[out].channels;
    n->kind = (kind_t)kind, n->out = out, n->inputs = inputs;
    n->size = size, n->choice = choice, n->keep = keep, n->most = most;
    n->past = kind == PREVIOUS, n->slots = n->past + 1;
    if (COPY(n->input, input, inputs)) return -1;
    if (current && per_neuron(plan, &n->current, current, plan->shape + out)) return -1;
    if (drop && per_neuron(plan, &n->drop, drop, plan->shape + out)) return -1;
    if (leak && per_neuron(plan, &n->leak, leak, plan->shape + out)) return -1;
    if (!theta) return 0;
    if (per_neuron(plan, &n->theta, theta, plan->shape + out)) return -1;
    n->lowest_theta = theta[0];
    for (int32_t c = 1; c < channels; c++)
        if (theta[c] < n->lowest_theta) n->lowest_theta = theta[c];
    return 0;
}

/* What a layer with weights has beside: see node_t. terms: four numbers each, as in term_t. */
API int32_t engine_weights(plan_t *plan, int32_t at, int32_t past, int32_t conv, int32_t kernel_h,
                           int32_t columns, int32_t run, int32_t stride, int32_t padding,
                           const int16_t *weight, int32_t sets, int64_t set_length,
                           const int32_t *from, const int32_t *to, const int32_t *terms,
                           int32_t term_count, int32_t banks, int32_t narrow, int32_t wide,
                           int32_t ring, int32_t running)
{
    node_t *n = plan->node + at;
    const shape_t *in = plan->shape + n->input[0], *out = plan->shape + n->out;
    n->past = past, n->running = running;
    n->slots = past + 1 + running; /* running sums take off what is one step older than a state */
    n->conv = conv, n->kernel_h = kernel_h, n->columns = columns, n->run = run;
    n->stride = stride;
    n->set_length = (size_t)set_length;
    n->terms = term_count, n->banks = banks, n->narrow = narrow, n->wide = wide;
    n->ring = ring;
    /* the first cell's first column may lie left of the output, the last one's last right of it */
    const int32_t before = n->columns - 1 - padding / stride;
    const int32_t last = (in->width - 1 + padding) / stride;
    n->left = conv && before > 0 ? before : 0;
    n->across = n->left + (conv && last >= out->width ? last + 1 : out->width);
    if (COPY(n->weight, weight, (size_t)sets * (size_t)set_length)
        || COPY(n->term, NULL, term_count) || COPY(n->from, from, sets * in->channels)
        || COPY(n->to, to, sets * in->channels) || COPY(n->place, NULL, in->cells))
        return -1;
    for (int32_t t = 0; t < term_count; t++)
        memcpy(n->term + t, terms + 4 * t, sizeof *n->term);
    for (int32_t y = 0; y < in->height; y++)
        for (int32_t x = 0; x < in->width; x++) {
            place_t *p = n->place + y * in->width + x;
            int32_t first_row = 0, kernel_row = 0;
            for (int32_t k = 0; k < kernel_h; k++) {
                const int32_t row = y + padding - k;
                if (row < 0 || row % stride || row / stride >= out->height) continue;
                if (!p->rows++) kernel_row = k, first_row = row / stride;
            }
            p->kernel = kernel_row * stride + (x + padding) % stride;
            p->sum = first_row * n->across + (x + padding) / stride - (n->columns - 1) + n->left;
        }
    return 0;
}

/* A layer whose synapses have delays: synapse_at holds delay * outputs + output, those of an input
 * in order; synapse_of (inputs, rows + 1) where those of each delay begin, and where they end. */
API int32_t engine_delays(plan_t *plan, int32_t at, int32_t past, int32_t rows,
                          const int32_t *synapse_of, const int32_t *synapse_at,
                          const int16_t *synapse_weight, const int32_t *taps, int32_t tap_count)
{
    node_t *n = plan->node + at;
    const int32_t inputs = plan->shape[n->input[0]].size, borders = inputs * (rows + 1), count = synapse_of[borders - 1];
    n->past = past, n->slots = past + 1, n->rows = rows, n->taps = tap_count;
    n->wide = plan->shape[n->out].channels;
    n->across = plan->shape[n->out].width;
    return COPY(n->synapse_of, synapse_of, borders) || COPY(n->synapse_at, synapse_at, count)
                   || COPY(n->synapse_weight, synapse_weight, count) || COPY(n->tap, taps, tap_count)
               ? -1 : 0;
}
