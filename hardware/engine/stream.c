/* A stream: its memory, one step, and its state in the program's own form (channels first). */
#include "engine.h"
#include <stdlib.h>
#include <string.h>

#define NEW(to, count) (!((to) = engine_zeros(&s->bytes, (size_t)(count), sizeof *(to))))

API void engine_free_stream(stream_t *s)
{
    if (!s) return;
    /* The plan may be gone already: nothing orders what a program that ends lets go. */
    for (int32_t i = 0; s->value && i < s->values; i++) {
        free(s->value[i].index); free(s->value[i].dense); free(s->value[i].sum);
    }
    for (int32_t i = 0; s->memory && i < s->nodes; i++) {
        memory_t *m = s->memory + i;
        free(m->events); free(m->index); free(m->level); free(m->sums); free(m->filled);
        free(m->total); free(m->membrane); free(m->fired);
    }
    free(s->value);
    free(s->memory);
    free(s);
}

static int make_value(stream_t *s, value_t *v, const shape_t *shape)
{
    if (shape->is_sum) return NEW(v->sum, shape->size);
    return NEW(v->index, shape->size) || NEW(v->dense, shape->size);
}

static size_t accumulators(const node_t *n)
{
    return (size_t)(n->rows ? n->rows : n->ring ? n->slots : n->banks);
}

static int make_memory(stream_t *s, memory_t *m, const node_t *n)
{
    const size_t out = (size_t)s->plan->shape[n->out].size;
    if (n->kind == FIRE || n->kind == LEAKY || n->kind == INTEGRATE || n->kind == INTEGRATOR)
        return NEW(m->membrane, out) || NEW(m->fired, out);
    if (n->kind == ADD) return NEW(m->total, out);
    if (n->kind != LAYER && n->kind != PREVIOUS) return 0;
    const size_t slots = (size_t)n->slots, in = (size_t)s->plan->shape[n->input[0]].size;
    if (NEW(m->events, slots) || NEW(m->index, slots * in) || NEW(m->level, slots * in)) return -1;
    if (n->kind == PREVIOUS) return 0;
    const shape_t *shape = s->plan->shape + n->out;
    const size_t rings = accumulators(n), row = (size_t)(shape->width * shape->channels);
    const size_t sums = rings * sums_in(n, shape);
    m->sums = engine_zeros(&s->bytes, sums, n->narrow ? sizeof(int16_t) : sizeof(int32_t));
    return !m->sums || NEW(m->filled, rings) || NEW(m->total, row);
}

API stream_t *engine_stream(const plan_t *plan)
{
    stream_t *s = calloc(1, sizeof *s);
    int failed = 0;
    if (!s) return NULL;
    s->plan = plan, s->values = plan->values, s->nodes = plan->nodes;
    failed = NEW(s->value, plan->values) || NEW(s->memory, plan->nodes);
    for (int32_t i = 0; !failed && i < plan->values; i++)
        failed = make_value(s, s->value + i, plan->shape + i);
    for (int32_t i = 0; !failed && i < plan->nodes; i++)
        failed = make_memory(s, s->memory + i, plan->node + i);
    if (!failed) return s;
    engine_free_stream(s);
    return NULL;
}

API int64_t engine_bytes(const plan_t *plan, const stream_t *s)
{
    return s ? s->bytes : plan->bytes;
}

/* Make the list of what is not 0 in x, channels first; return -1 where a level is above `high`:
 * every bound of the program rests on it. */
static int take(const shape_t *shape, const uint8_t *x, int32_t high, value_t *v)
{
    const int32_t cells = shape->cells, channels = shape->channels;
    uint8_t *restrict dense = v->dense, largest = 0;
    uint32_t *restrict index = v->index;
    int32_t events = 0;
    for (int32_t i = 0; i < shape->size; i++) largest = x[i] > largest ? x[i] : largest;
    if (largest > high) return -1;
    forget(v);
    /* eight places of every channel at once: a cell's events come one after the other */
    const int32_t flat = cells == 1, places = flat ? channels : cells, planes = flat ? 1 : channels;
    for (int32_t first = 0; first < places; first += 8) {
        const int32_t end = first + 8 <= places ? first + 8 : places;
        uint64_t any = end < first + 8;
        for (int32_t c = 0; c < planes && !any; c++) {
            memcpy(&any, x + (size_t)c * (size_t)places + first, 8);
        }
        if (!any) continue;
        for (int32_t place = first; place < end; place++)
            for (int32_t c = 0; c < planes; c++) {
                const uint8_t level = x[(size_t)c * (size_t)places + (size_t)place];
                const int32_t at = place * planes + c;
                index[events] = (uint32_t)at;
                dense[at] = level; /* 0 where nothing is, as it was */
                events += level != 0;
            }
    }
    v->events = events;
    return 0;
}

/* One step; -1, with nothing done, where x holds a level that the program does not take. */
API int32_t engine_step(stream_t *s, const uint8_t *x, int32_t *y)
{
    const plan_t *plan = s->plan;
    const shape_t *shape = plan->shape + plan->output;
    const value_t *v = s->value + plan->output;
    if (take(plan->shape, x, plan->input_high, s->value)) return -1;
    for (int32_t i = 0; i < plan->nodes; i++)
        node_step(plan, plan->node + i, s->memory + i, s->value);
    for (int32_t i = 0; i < plan->nodes; i++)
        node_end(plan, plan->node + i, s->memory + i, s->value);
    for (int32_t cell = 0; cell < shape->cells; cell++)
        for (int32_t c = 0; c < shape->channels; c++) {
            const int32_t at = cell * shape->channels + c;
            y[c * shape->cells + cell] = shape->is_sum ? v->sum[at] : v->dense[at];
        }
    return 0;
}

API void engine_reset(stream_t *s)
{
    for (int32_t i = 0; i < s->plan->nodes; i++) {
        const node_t *n = s->plan->node + i;
        const size_t out = (size_t)s->plan->shape[n->out].size;
        memory_t *m = s->memory + i;
        m->settled = 0;
        if (m->membrane) memset(m->membrane, 0, out * sizeof *m->membrane);
        if (m->fired) memset(m->fired, 0, out);
        if (m->events) memset(m->events, 0, (size_t)n->slots * sizeof *m->events);
        if (n->kind != LAYER) continue;
        const size_t rings = accumulators(n);
        const size_t bytes = sums_in(n, s->plan->shape + n->out)
                             * (n->narrow ? sizeof(int16_t) : sizeof(int32_t));
        for (size_t r = 0; r < rings; r++)
            if (m->filled[r]) memset((char *)m->sums + r * bytes, 0, bytes);
        memset(m->filled, 0, rings * sizeof *m->filled);
    }
}

/* A layer's last inputs, newest first: uint8 (past, channels, height, width); of a loop what it
 * will give in the next step. */
API void engine_get_history(const stream_t *s, int32_t node, uint8_t *history)
{
    const node_t *n = s->plan->node + node;
    const memory_t *m = s->memory + node;
    const shape_t *in = s->plan->shape + n->input[0];
    memset(history, 0, (size_t)n->past * (size_t)in->size);
    for (int32_t lag = 0; lag < n->past; lag++) {
        const int32_t slot = m->now - lag < 0 ? m->now - lag + n->slots : m->now - lag;
        const size_t at = (size_t)slot * (size_t)in->size;
        for (int32_t e = 0; e < m->events[slot]; e++) {
            const int32_t i = (int32_t)m->index[at + (size_t)e];
            history[(size_t)lag * (size_t)in->size
                    + (size_t)(i % in->channels * in->cells + i / in->channels)]
                = m->level[at + (size_t)e];
        }
    }
}

API void engine_set_history(stream_t *s, int32_t node, const uint8_t *history)
{
    const node_t *n = s->plan->node + node;
    memory_t *m = s->memory + node;
    const shape_t *in = s->plan->shape + n->input[0];
    for (int32_t lag = 0; lag < n->past; lag++) {
        const int32_t slot = m->now - lag < 0 ? m->now - lag + n->slots : m->now - lag;
        const size_t at = (size_t)slot * (size_t)in->size;
        const uint8_t *x = history + (size_t)lag * (size_t)in->size;
        int32_t events = 0;
        for (int32_t k = 0; k < in->size; k++)
            if (x[k]) {
                m->index[at + (size_t)events] = (uint32_t)(k % in->cells * in->channels + k / in->cells);
                m->level[at + (size_t)events++] = x[k];
            }
        m->events[slot] = events;
    }
    layer_refill(s->plan, n, m);
}

/* Potentials and, where it is not NULL, which neurons have fired; channels first. */
API void engine_get_neurons(const stream_t *s, int32_t node, int32_t *membrane, uint8_t *fired)
{
    const memory_t *m = s->memory + node;
    const shape_t *out = s->plan->shape + s->plan->node[node].out;
    for (int32_t k = 0; k < out->size; k++) {
        const int32_t at = k % out->cells * out->channels + k / out->cells;
        membrane[k] = m->membrane[at];
        if (fired) fired[k] = m->fired[at];
    }
}

API void engine_set_neurons(stream_t *s, int32_t node, const int32_t *membrane,
                            const uint8_t *fired)
{
    memory_t *m = s->memory + node;
    const shape_t *out = s->plan->shape + s->plan->node[node].out;
    for (int32_t k = 0; k < out->size; k++) {
        const int32_t at = k % out->cells * out->channels + k / out->cells;
        m->membrane[at] = membrane[k];
        if (fired) m->fired[at] = fired[k];
    }
    m->settled = 0;
}
