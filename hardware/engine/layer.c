/* Layers: weights of the events are added up, and only what they touch is compared. */
#include "engine.h"
#include <string.h>

#define SUM int16_t
#define NAME(x) x##_16
#include "scatter.inc"
#undef SUM
#undef NAME
#define SUM int32_t
#define NAME(x) x##_32
#include "scatter.inc"

/* Sums of one accumulator. */
static size_t sums_in(const node_t *node, const shape_t *out)
{
    return (size_t)out->cells * (size_t)node->wide;
}

/* Add the weights of the events of one slot to accumulator `at` of those that m has. */
static void add_events(const node_t *node, const shape_t *in, const shape_t *out, memory_t *m,
                       int32_t set, int32_t coefficient, int32_t slot, int32_t at)
{
    const size_t from = (size_t)slot * (size_t)in->size, to = (size_t)at * sums_in(node, out);
    if (node->narrow)
        add_events_16(node, in, out, set, coefficient, m->index + from, m->level + from,
                      m->events[slot], (int16_t *)m->sums + to);
    else
        add_events_32(node, in, out, set, coefficient, m->index + from, m->level + from,
                      m->events[slot], (int32_t *)m->sums + to);
}

static void clear(const node_t *node, const shape_t *out, memory_t *m, int32_t at)
{
    const size_t bytes = sums_in(node, out) * (node->narrow ? sizeof(int16_t) : sizeof(int32_t));
    if (m->filled[at]) memset((char *)m->sums + (size_t)at * bytes, 0, bytes);
    m->filled[at] = 0;
}

/* List what is 1 in flags, which are rounded up to 8 with zeros; y is empty. */
void list_spikes(const uint8_t *flags, int32_t size, value_t *y)
{
    uint32_t *restrict index = y->index; /* bytes may be anything's: what they are written beside */
    uint8_t *restrict dense = y->dense;  /* is looked up again unless it is here */
    int32_t events = 0;
    for (int32_t i = 0; i < size; i += 8) {
        uint64_t eight;
        memcpy(&eight, flags + i, 8);
        if (!eight) continue;
        for (int32_t k = i; k < i + 8; k++) { /* without a branch: what is no spike is overwritten */
            index[events] = (uint32_t)k;
            dense[k] = flags[k];
            events += flags[k];
        }
    }
    y->events = events;
}

HOT static void compare(const int32_t *restrict h, const int32_t *restrict theta, int32_t size,
                        uint8_t *restrict flags)
{
    for (int32_t i = 0; i < size; i++) flags[i] = h[i] >= theta[i];
}

/* Put 1 into the list and the map of y where h reaches theta. */
void collect(const int32_t *h, const int32_t *theta, const shape_t *shape, uint8_t *flags,
             value_t *y)
{
    compare(h, theta, shape->size, flags);
    list_spikes(flags, shape->size, y);
}

/* Empty a uint8 value. */
void forget(value_t *y)
{
    const uint32_t *restrict index = y->index;
    uint8_t *restrict dense = y->dense;
    const int32_t events = y->events;
    for (int32_t e = 0; e < events; e++) dense[index[e]] = 0;
    y->events = 0;
}

/* Note the newest input among those that are remembered. */
void remember(const node_t *node, const shape_t *in, memory_t *m, const value_t *x)
{
    m->now = m->now == node->past ? 0 : m->now + 1;
    const size_t at = (size_t)m->now * (size_t)in->size;
    m->events[m->now] = x->events;
    const int32_t events = x->events;
    const uint32_t *restrict index = x->index;
    const uint8_t *restrict dense = x->dense;
    uint8_t *restrict level = m->level + at;
    memcpy(m->index + at, index, sizeof *index * (size_t)events);
    for (int32_t e = 0; e < events; e++) level[e] = dense[index[e]];
}

static int32_t slot_of(const node_t *node, const memory_t *m, int32_t lag)
{
    const int32_t slot = m->now - lag;
    return slot < 0 ? slot + node->past + 1 : slot;
}

/* The sums of one slot of a ring of sums, or what one slot adds to the steps to come. */
HOT static void take_slot(const plan_t *plan, const node_t *node, memory_t *m, int32_t slot,
                          int32_t age)
{
    const shape_t *in = plan->shape + node->input[0], *out = plan->shape + node->out;
    const size_t at = (size_t)slot * (size_t)in->size;
    const int32_t events = m->events[slot];
    if (!node->rows) { /* the ring of sums turns with the inputs */
        clear(node, out, m, slot);
        m->filled[slot] = events > 0;
        add_events(node, in, out, m, 0, 1, slot, slot);
        return;
    }
    /* row 0 is the newest step's, row d is d steps later; `age` steps ago all was `age` earlier */
    if (!events) return;
    for (int32_t row = 0; row < node->rows; row++) m->filled[row] = 1;
    int32_t *restrict sums = m->sums;
    const int32_t size = out->size, all = node->rows * size;
    for (int32_t a = 0; a < node->taps; a++) {
        if (!node->tap[a]) continue;
        const int32_t earliest = (age - a) * size, shift = (m->newest_row + a - age) * size;
        for (int32_t e = 0; e < events; e++) {
            const uint32_t i = m->index[at + (size_t)e];
            const int32_t v = node->tap[a] * m->level[at + (size_t)e];
            const int32_t first = node->synapse_of[i], end = node->synapse_of[i + 1];
            const int32_t *restrict place = node->synapse_at;
            const int16_t *restrict weight = node->synapse_weight;
            for (int32_t s = first; s < end; s++) {
                int32_t to = place[s];
                if (to < earliest) continue;
                to += shift;
                to -= to >= all ? all : 0;
                sums[to] += v * weight[s];
            }
        }
    }
}

/* total += factor * those sums of accumulator `at` that belong to `set`. */
HOT static void add_up(const node_t *node, const shape_t *out, const memory_t *m, int32_t at,
                       int32_t set, int32_t factor, int32_t *restrict total)
{
    const int32_t channels = out->channels, apart = node->wide;
    const int32_t cells = apart == channels ? 1 : out->cells; /* all lie side by side */
    const int32_t count = apart == channels ? out->size : channels;
    const size_t from = (size_t)at * sums_in(node, out) + (size_t)(set * channels);
    for (int32_t cell = 0; cell < cells; cell++, total += count) {
        const size_t first = from + (size_t)cell * (size_t)apart;
        if (node->narrow) {
            const int16_t *restrict sums = (const int16_t *)m->sums + first;
            if (factor == 1)
                for (int32_t k = 0; k < count; k++) total[k] += sums[k];
            else
                for (int32_t k = 0; k < count; k++) total[k] += factor * sums[k];
        } else {
            const int32_t *restrict sums = (const int32_t *)m->sums + first;
            for (int32_t k = 0; k < count; k++) total[k] += factor * sums[k];
        }
    }
}

/* Add accumulators up: H; return whether anything is there (total is left alone where not). */
static int32_t total_of(const node_t *node, const shape_t *out, const memory_t *m, int32_t *total)
{
    int32_t any = 0;
    for (int32_t i = 0; i < (node->ring ? node->terms : node->banks); i++) {
        const int32_t at = node->ring ? slot_of(node, m, node->term[i].lag) : i;
        if (!m->filled[at]) continue;
        if (!any) memset(total, 0, sizeof *total * (size_t)out->size);
        any = 1;
        if (node->ring)
            add_up(node, out, m, at, node->term[i].set, node->term[i].coefficient, total);
        else
            add_up(node, out, m, at, 0, 1, total);
    }
    return any;
}

/* Put sums into y, compared or as they are; any: whether h holds them, or all are 0. */
static void give(const node_t *node, const shape_t *out, memory_t *m, const int32_t *h, int32_t any,
                 value_t *y)
{
    const size_t bytes = sizeof *h * (size_t)out->size;
    if (!node->theta) {
        if (any && h != y->sum) memcpy(y->sum, h, bytes);
        if (!any && y->active) memset(y->sum, 0, bytes);
        y->active = any;
        return;
    }
    forget(y);
    if (!any && node->lowest_theta > 0) return;
    if (!any) memset(m->total, 0, bytes);
    collect(any ? h : m->total, node->theta, out, m->flags, y);
}

void layer_step(const plan_t *plan, const node_t *node, memory_t *m, const value_t *x, value_t *y)
{
    const shape_t *in = plan->shape + node->input[0], *out = plan->shape + node->out;
    remember(node, in, m, x);
    if (node->rows) {
        m->newest_row = m->newest_row + 1 == node->rows ? 0 : m->newest_row + 1;
        take_slot(plan, node, m, m->now, 0);
        const size_t row = (size_t)m->newest_row * (size_t)out->size;
        give(node, out, m, (int32_t *)m->sums + row, m->filled[m->newest_row], y);
        clear(node, out, m, m->newest_row);
        return;
    }
    if (node->ring) take_slot(plan, node, m, m->now, 0);
    for (int32_t bank = 0; bank < node->banks; bank++) clear(node, out, m, bank);
    for (int32_t t = 0; t < node->terms && !node->ring; t++) {
        const term_t *term = node->term + t;
        const int32_t slot = slot_of(node, m, term->lag);
        if (!m->events[slot]) continue;
        m->filled[term->bank] = 1;
        add_events(node, in, out, m, term->set, term->coefficient, slot, term->bank);
    }
    int32_t *total = node->theta ? m->total : y->sum;
    give(node, out, m, total, total_of(node, out, m, total), y);
}

/* Make the sums anew from the inputs that were put back, oldest first. */
void layer_refill(const plan_t *plan, const node_t *node, memory_t *m)
{
    if (!node->rows && !node->ring) return;
    for (int32_t lag = node->past - 1; lag >= 0; lag--)
        take_slot(plan, node, m, slot_of(node, m, lag), lag);
    /* the newest step has had its own */
    if (node->rows) clear(node, plan->shape + node->out, m, m->newest_row);
}
