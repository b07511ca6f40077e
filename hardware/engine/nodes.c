/* The other nodes: maps of events, sums, and neurons that remember a potential. */
#include "engine.h"
#include <string.h>

enum { KEEP_UNIT = 4096, LIMIT = 1 << 30, TO_ZERO = 0, BY_SUBTRACTION = 1 };

/* A potential after a step's leak and input, limited. */
static inline int32_t charged(int32_t before, int32_t keep, int32_t charge, int32_t limit)
{
    const int32_t left =
        keep == KEEP_UNIT ? before : (int32_t)((int64_t)before * keep / KEEP_UNIT);
    const int32_t h = left + charge;
    return h > limit ? limit : h < -limit ? -limit : h;
}

static void put(value_t *y, uint32_t at, uint8_t v)
{
    if (!y->dense[at]) y->index[y->events++] = at;
    y->dense[at] = v;
}

static void pool(const plan_t *plan, const node_t *node, const value_t *x, value_t *y)
{
    const shape_t *in = plan->shape + node->input[0];
    const int32_t channels = in->channels, width = in->width, size = node->size;
    const int32_t out_width = plan->shape[node->out].width, either = node->choice;
    const uint64_t per_channel = inverse_of(channels, in->size), per_row = inverse_of(width, in->size);
    const uint64_t per_window = inverse_of(size, in->size);
    const uint32_t *restrict index = x->index;
    const uint8_t *restrict level = x->dense;
    uint32_t *restrict listed = y->index;
    uint8_t *restrict dense = y->dense;
    const int32_t count = x->events;
    int32_t events = 0;
    forget(y);
    for (int32_t e = 0; e < count; e++) {
        const int32_t cell = quotient((int32_t)index[e], channels, per_channel);
        const int32_t channel = (int32_t)index[e] - cell * channels;
        const int32_t row = quotient(cell, width, per_row), column = cell - row * width;
        const int32_t to = quotient(row, size, per_window) * out_width
                           + quotient(column, size, per_window);
        const int32_t at = to * channels + channel;
        listed[events] = (uint32_t)at; /* without a branch: what was there is overwritten */
        events += !dense[at];
        dense[at] = either ? 1 : (uint8_t)(dense[at] + level[index[e]]);
    }
    y->events = events;
}

static void upsample(const plan_t *plan, const node_t *node, const value_t *x, value_t *y)
{
    const shape_t *in = plan->shape + node->input[0], *out = plan->shape + node->out;
    const int32_t channels = in->channels, factor = node->size;
    if (in->is_sum) {
        const size_t bytes = sizeof *y->sum * (size_t)channels;
        if (x->active || y->active)
            for (int32_t row = 0; row < out->height; row++)
                for (int32_t column = 0; column < out->width; column++)
                    memcpy(y->sum + (row * out->width + column) * channels,
                           x->sum + (row / factor * in->width + column / factor) * channels, bytes);
        y->active = x->active;
        return;
    }
    forget(y);
    const uint64_t per_channel = inverse_of(channels, in->size);
    const uint64_t per_row = inverse_of(in->width, in->size);
    uint8_t *restrict dense = y->dense;
    const int32_t events = x->events, further = out->width * channels;
    for (int32_t e = 0; e < events; e++) {
        const int32_t cell = quotient((int32_t)x->index[e], channels, per_channel);
        const int32_t channel = (int32_t)x->index[e] - cell * channels;
        const int32_t row = quotient(cell, in->width, per_row), column = cell - row * in->width;
        const int32_t first = (row * out->width + column) * factor * channels + channel;
        const uint8_t level = x->dense[x->index[e]];
        for (int32_t a = 0; a < factor; a++)
            for (int32_t b = 0; b < factor; b++) dense[first + a * further + b * channels] = level;
    }
    if (events) list_events(out->size, y);
}

static void concat(const plan_t *plan, const node_t *node, const value_t *values, value_t *y)
{
    const shape_t *out = plan->shape + node->out;
    int32_t first = 0, any = 0;
    forget(y);
    uint8_t *restrict dense = y->dense;
    for (int32_t i = 0; i < node->inputs; i++) {
        const shape_t *in = plan->shape + node->input[i];
        const value_t *x = values + node->input[i];
        const uint64_t per_channel = inverse_of(in->channels, in->size);
        const int32_t events = x->events, more = out->channels - in->channels;
        for (int32_t e = 0; e < events; e++) { /* each cell has so many channels more */
            const int32_t at = (int32_t)x->index[e];
            dense[at + quotient(at, in->channels, per_channel) * more + first] = x->dense[at];
        }
        first += in->channels;
        any |= events;
    }
    if (any) list_events(out->size, y);
}

HOT static void add(const plan_t *plan, const node_t *node, memory_t *m, const value_t *values,
                    value_t *y)
{
    const shape_t *out = plan->shape + node->out;
    int32_t any = 0, *restrict total = node->theta ? m->total : y->sum;
    for (int32_t i = 0; i < node->inputs; i++) any |= values[node->input[i]].active;
    if (any || (!node->theta && y->active) || (node->theta && node->lowest_theta <= 0)) {
        memset(total, 0, sizeof *total * (size_t)out->size);
        for (int32_t i = 0; i < node->inputs; i++) {
            const int32_t *restrict x = values[node->input[i]].sum;
            if (values[node->input[i]].active)
                for (int32_t k = 0; k < out->size; k++) total[k] += x[k];
        }
    }
    if (!node->theta) {
        y->active = any;
        return;
    }
    if (any || node->lowest_theta <= 0) collect(total, node->theta, out->size, y);
    else forget(y);
}

HOT static void fire(const plan_t *plan, const node_t *node, memory_t *m, const value_t *x,
                     value_t *y)
{
    const int32_t size = plan->shape[node->out].size;
    int32_t *restrict membrane = m->membrane;
    const int32_t *restrict sum = x->sum, *restrict theta = node->theta;
    uint8_t *restrict fired = m->fired, *restrict flags = y->dense;
    int32_t changed = 0;
    if (m->settled && !x->active) {
        forget(y);
        return;
    }
    for (int32_t i = 0; i < size; i++) {
        int32_t h = membrane[i] + sum[i];
        h = h > LIMIT ? LIMIT : h;
        h = h < -LIMIT ? -LIMIT : h;
        const int32_t spike = (h >= theta[i]) & !fired[i];
        changed |= (h != membrane[i]) | spike;
        membrane[i] = h;
        fired[i] = (uint8_t)(fired[i] | spike);
        flags[i] = (uint8_t)spike;
    }
    list_events(size, y);
    m->settled = !changed && !x->active;
}

HOT static void leaky(const plan_t *plan, const node_t *node, memory_t *m, const value_t *x,
                      value_t *y)
{
    const int32_t size = plan->shape[node->out].size;
    int32_t *restrict membrane = m->membrane;
    const int32_t *restrict sum = x->sum, *restrict theta = node->theta;
    const int32_t *restrict current = node->current, keep = node->keep;
    uint8_t *restrict flags = y->dense;
    int32_t changed = 0;
    if (m->settled && !x->active) {
        forget(y);
        return;
    }
    for (int32_t i = 0; i < size; i++) {
        const int32_t before = membrane[i];
        const int32_t h = before * keep / 256 + sum[i] + current[i];
        const int32_t spike = h >= theta[i], after = spike ? 0 : h;
        changed |= (after != before) | spike;
        membrane[i] = after;
        flags[i] = (uint8_t)spike;
    }
    list_events(size, y);
    m->settled = !changed && !x->active;
}

/* Up to `most` spikes in a step: as many thresholds as fit into the potential. A loop of its own: with
 * its division the other one would not be vectorised, and take two thirds longer. */
HOT static void integrate_counts(const plan_t *plan, const node_t *node, memory_t *m,
                                 const value_t *x, value_t *y)
{
    const int32_t size = plan->shape[node->out].size;
    int32_t *restrict membrane = m->membrane;
    const int32_t *restrict sum = x->sum, *restrict theta = node->theta;
    const int32_t *restrict current = node->current, *restrict leak = node->leak;
    const int32_t keep = node->keep, unit = 1 << node->size, reset = node->choice;
    uint8_t *restrict counts = y->dense;
    int32_t changed = 0;
    if (m->settled && !x->active) {
        forget(y);
        return;
    }
    for (int32_t i = 0; i < size; i++) {
        const int32_t before = membrane[i];
        const int32_t h = charged(before, leak ? leak[i] : keep, sum[i] * unit + current[i], LIMIT);
        int32_t count = h >= theta[i] ? h / theta[i] : 0;
        count = count > node->most ? node->most : count;
        const int32_t left = reset == BY_SUBTRACTION ? h - count * theta[i] : h;
        const int32_t after = count && reset == TO_ZERO ? 0 : left;
        changed |= (after != before) | count;
        membrane[i] = after;
        counts[i] = (uint8_t)count;
    }
    list_events(size, y);
    m->settled = !changed && !x->active;
}

HOT static void integrate(const plan_t *plan, const node_t *node, memory_t *m, const value_t *x,
                          value_t *y)
{
    const int32_t size = plan->shape[node->out].size;
    int32_t *restrict membrane = m->membrane;
    const int32_t *restrict sum = x->sum, *restrict theta = node->theta;
    const int32_t *restrict current = node->current;
    const int32_t *restrict drop = node->drop, *restrict leak = node->leak;
    const int32_t keep = node->keep, unit = 1 << node->size, reset = node->choice;
    uint8_t *restrict flags = y->dense;
    int32_t changed = 0;
    if (m->settled && !x->active) {
        forget(y);
        return;
    }
    for (int32_t i = 0; i < size; i++) {
        const int32_t before = membrane[i];
        const int32_t h = charged(before, leak ? leak[i] : keep, sum[i] * unit + current[i], LIMIT);
        const int32_t spike = h >= theta[i];
        const int32_t fired = reset == TO_ZERO ? 0 : reset == BY_SUBTRACTION ? h - drop[i] : h;
        const int32_t after = spike ? fired : h;
        changed |= (after != before) | spike;
        membrane[i] = after;
        flags[i] = (uint8_t)spike;
    }
    list_events(size, y);
    m->settled = !changed && !x->active;
}

/* Potentials without spikes: they are the output. */
HOT static void integrator(const plan_t *plan, const node_t *node, memory_t *m, const value_t *x,
                           value_t *y)
{
    const int32_t size = plan->shape[node->out].size;
    int32_t *restrict potential = m->membrane, *restrict given = y->sum;
    const int32_t *restrict sum = x->sum, *restrict current = node->current;
    const int32_t *restrict leak = node->leak;
    const int32_t keep = node->keep, unit = 1 << node->size, limit = node->choice;
    int32_t changed = 0, any = 0;
    if (m->settled && !x->active) return;
    for (int32_t i = 0; i < size; i++) {
        const int32_t before = potential[i];
        const int32_t h = charged(before, leak ? leak[i] : keep, sum[i] * unit + current[i], limit);
        changed |= h != before;
        any |= h;
        potential[i] = given[i] = h;
    }
    y->active = any != 0;
    m->settled = !changed && !x->active;
}

/* What a later node gave in the step before; node_end noted it. */
static void previous(const plan_t *plan, const node_t *node, const memory_t *m, value_t *y)
{
    const size_t at = (size_t)m->now * (size_t)plan->shape[node->out].size;
    forget(y);
    for (int32_t e = 0; e < m->events[m->now]; e++)
        put(y, m->index[at + (size_t)e], m->level[at + (size_t)e]);
}

/* After all nodes of a step. */
void node_end(const plan_t *plan, const node_t *node, memory_t *m, const value_t *values)
{
    if (node->kind == PREVIOUS)
        remember(node, plan->shape + node->out, m, values + node->input[0]);
}

void node_step(const plan_t *plan, const node_t *node, memory_t *m, value_t *values)
{
    const value_t *x = values + node->input[0];
    value_t *y = values + node->out;
    switch (node->kind) {
    case LAYER: layer_step(plan, node, m, x, y); break;
    case POOL: pool(plan, node, x, y); break;
    case UPSAMPLE: upsample(plan, node, x, y); break;
    case CONCAT: concat(plan, node, values, y); break;
    case ADD: add(plan, node, m, values, y); break;
    case FIRE: fire(plan, node, m, x, y); break;
    case LEAKY: leaky(plan, node, m, x, y); break;
    case INTEGRATE:
        if (node->most > 1) integrate_counts(plan, node, m, x, y);
        else integrate(plan, node, m, x, y);
        break;
    case INTEGRATOR: integrator(plan, node, m, x, y); break;
    case PREVIOUS: previous(plan, node, m, y); break;
    }
}
