/* Layers: weights of the events are added up, and only what they touch is compared. */
#include "engine.h"
#include <string.h>

enum { MOST = 16 }; /* events of one cell that are added together */
#ifdef __GNUC__
typedef int16_t weights_t __attribute__((vector_size(LANES * 2), aligned(2), may_alias));
#endif

#define TARGET
#define SUM int16_t
#define MOST_RUNS 9
#define NAME(x) x##_16
#include "scatter.inc"
#undef SUM
#undef MOST_RUNS
#undef NAME
#define SUM int32_t
#define MOST_RUNS 0
#define NAME(x) x##_32
#include "scatter.inc"
#ifdef AVX2
#undef TARGET
#undef SUM
#undef MOST_RUNS
#undef NAME
#define TARGET __attribute__((target("avx2")))
#define SUM int16_t
#define MOST_RUNS 9
#define NAME(x) x##_16_avx2
#include "scatter.inc"
#undef SUM
#undef MOST_RUNS
#undef NAME
#define SUM int32_t
#define MOST_RUNS 0
#define NAME(x) x##_32_avx2
#include "scatter.inc"
#define BEST(plan, x) ((plan)->avx2 ? x##_avx2 : x)
#else
#define BEST(plan, x) x
#endif

/* Sums of one accumulator. */
size_t sums_in(const node_t *node, const shape_t *out)
{
    return (size_t)out->height * (size_t)node->across * (size_t)node->wide;
}

/* Add the weights of the events of one slot to accumulator `at` of those that m has. */
static void add_events(const plan_t *plan, const node_t *node, memory_t *m, int32_t set,
                       int32_t coefficient, int32_t slot, int32_t at)
{
    const shape_t *in = plan->shape + node->input[0], *out = plan->shape + node->out;
    const size_t from = (size_t)slot * (size_t)in->size, to = (size_t)at * sums_in(node, out);
    if (node->narrow)
        BEST(plan, add_events_16)(node, in, set, coefficient, m->index + from, m->level + from,
                                  m->events[slot], (int16_t *)m->sums + to);
    else
        BEST(plan, add_events_32)(node, in, set, coefficient, m->index + from, m->level + from,
                                  m->events[slot], (int32_t *)m->sums + to);
}

static void clear(const node_t *node, const shape_t *out, memory_t *m, int32_t at)
{
    const size_t bytes = sums_in(node, out) * (node->narrow ? sizeof(int16_t) : sizeof(int32_t));
    if (m->filled[at]) memset((char *)m->sums + (size_t)at * bytes, 0, bytes);
    m->filled[at] = 0;
}

/* Note the newest input among those that are remembered. */
void remember(const node_t *node, const shape_t *in, memory_t *m, const value_t *x)
{
    m->now = m->now == node->slots - 1 ? 0 : m->now + 1;
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
    return slot < 0 ? slot + node->slots : slot;
}

/* Synapses first to end; shift: how far behind their places their sums lie. */
static inline void add_synapses(const node_t *node, int32_t first, int32_t end, int32_t v,
                                int32_t *restrict sums, int32_t shift)
{
    const int32_t *restrict place = node->synapse_at;
    const int16_t *restrict weight = node->synapse_weight;
    if (v == 1)
#pragma GCC unroll 8
        for (int32_t s = first; s < end; s++) sums[place[s] + shift] += weight[s];
    else
#pragma GCC unroll 8
        for (int32_t s = first; s < end; s++) sums[place[s] + shift] += v * weight[s];
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
        add_events(plan, node, m, 0, 1, slot, slot);
        return;
    }
    /* row 0 is the newest step's, row d is d steps later; `age` steps ago all was `age` earlier */
    if (!events) return;
    for (int32_t row = 0; row < node->rows; row++) m->filled[row] = 1;
    int32_t *restrict sums = m->sums;
    const int32_t size = out->size;
    for (int32_t a = 0; a < node->taps; a++) {
        if (!node->tap[a]) continue;
        /* delays from `past` on are still to come, and from `wraps` on at the ring's begin */
        const int32_t past = age > a ? age - a : 0, shift = m->newest_row + a - age;
        const int32_t wraps = shift < 0 ? node->rows : node->rows - shift;
        for (int32_t e = 0; e < events; e++) {
            const uint32_t i = m->index[at + (size_t)e];
            const int32_t v = node->tap[a] * m->level[at + (size_t)e];
            const int32_t *border = node->synapse_of + (size_t)i * (size_t)(node->rows + 1);
            const int32_t middle = border[wraps > past ? wraps : past];
            add_synapses(node, border[past], middle, v, sums, shift * size);
            add_synapses(node, middle, border[node->rows], v, sums, (shift - node->rows) * size);
        }
    }
}

/* total = a row of the sums of all terms, (width, channels): H. */
static inline void add_up(const node_t *node, const shape_t *out, const memory_t *m, int32_t row,
                          int32_t *restrict total)
{
    const int32_t channels = out->channels, apart = node->wide, width = out->width;
    const int32_t together = apart == channels; /* a row lies side by side */
    const int32_t runs = together ? 1 : width, count = together ? width * channels : channels;
    const size_t all = sums_in(node, out);
    const int32_t parts = node->ring ? node->terms : node->banks;
    memset(total, 0, sizeof *total * (size_t)(width * channels));
    for (int32_t i = 0; i < parts; i++) {
        const int32_t at = node->ring ? slot_of(node, m, node->term[i].lag) : i;
        const int32_t set = node->ring ? node->term[i].set : 0;
        const int32_t factor = node->ring ? node->term[i].coefficient : 1;
        if (!m->filled[at]) continue;
        int32_t *restrict to = total;
        size_t from = (size_t)at * all + (size_t)(set * channels)
                      + (size_t)((row * node->across + node->left) * apart);
        for (int32_t run = 0; run < runs; run++, to += count, from += (size_t)apart) {
            if (node->narrow) {
                const int16_t *restrict sums = (const int16_t *)m->sums + from;
                if (factor == 1)
                    for (int32_t k = 0; k < count; k++) to[k] += sums[k];
                else
                    for (int32_t k = 0; k < count; k++) to[k] += factor * sums[k];
            } else {
                const int32_t *restrict sums = (const int32_t *)m->sums + from;
                for (int32_t k = 0; k < count; k++) to[k] += factor * sums[k];
            }
        }
    }
}

static inline void compare(const int32_t *restrict h, const int32_t *restrict theta, int32_t size,
                           uint8_t *restrict flags)
{
    for (int32_t i = 0; i < size; i++) flags[i] = h[i] >= theta[i];
}

/* Row by row, so that what is added up is compared while it is at hand. */
HOT static void give_rows(const node_t *node, const shape_t *out, memory_t *m, value_t *y)
{
    const int32_t count = out->width * out->channels;
    for (int32_t row = 0; row < out->height; row++) {
        int32_t *total = node->theta ? m->total : y->sum + row * count;
        add_up(node, out, m, row, total);
        if (node->theta) compare(total, node->theta, count, y->dense + row * count);
    }
}

/* Put H into y, compared or as it is. */
static void give(const node_t *node, const shape_t *out, memory_t *m, value_t *y)
{
    int32_t any = 0;
    if (node->ring)
        for (int32_t i = 0; i < node->terms; i++)
            any |= m->filled[slot_of(node, m, node->term[i].lag)];
    else
        for (int32_t bank = 0; bank < node->banks; bank++) any |= m->filled[bank];
    const int32_t needed = any || (node->theta && node->lowest_theta <= 0);
    if (needed) give_rows(node, out, m, y);
    if (node->theta) {
        if (needed) list_events(out->size, y);
        else forget(y);
        return;
    }
    if (!any && y->active) memset(y->sum, 0, sizeof *y->sum * (size_t)out->size);
    y->active = any;
}

/* The same of a layer with delays, whose sums are complete in one row of its ring. */
static void give_row_of_ring(const node_t *node, const shape_t *out, memory_t *m, value_t *y)
{
    const int32_t *h = (const int32_t *)m->sums + (size_t)m->newest_row * (size_t)out->size;
    const int32_t any = m->filled[m->newest_row];
    const size_t bytes = sizeof *h * (size_t)out->size;
    if (!node->theta) {
        if (any) memcpy(y->sum, h, bytes);
        else if (y->active) memset(y->sum, 0, bytes);
        y->active = any;
    } else if (any || node->lowest_theta <= 0) { /* empty rows hold zeros */
        collect(h, node->theta, out->size, y);
    } else {
        forget(y);
    }
}

void layer_step(const plan_t *plan, const node_t *node, memory_t *m, const value_t *x, value_t *y)
{
    const shape_t *in = plan->shape + node->input[0], *out = plan->shape + node->out;
    remember(node, in, m, x);
    if (node->rows) {
        m->newest_row = m->newest_row + 1 == node->rows ? 0 : m->newest_row + 1;
        take_slot(plan, node, m, m->now, 0);
        give_row_of_ring(node, out, m, y);
        clear(node, out, m, m->newest_row);
        return;
    }
    if (node->ring) take_slot(plan, node, m, m->now, 0);
    if (node->running) { /* without an input that counts the sums are 0 again */
        int32_t seen = 0;
        for (int32_t slot = 0; slot < node->slots; slot++) seen |= m->events[slot];
        m->filled[0] = seen != 0;
    }
    for (int32_t bank = 0; bank < node->banks && !node->running; bank++)
        clear(node, out, m, bank);
    for (int32_t t = 0; t < node->terms && !node->ring; t++) {
        const term_t *term = node->term + t;
        const int32_t slot = slot_of(node, m, term->lag);
        if (!m->events[slot]) continue;
        m->filled[term->bank] = 1;
        add_events(plan, node, m, term->set, term->coefficient, slot, term->bank);
    }
    give(node, out, m, y);
}

/* Make the sums anew from the inputs that were put back, oldest first. */
void layer_refill(const plan_t *plan, const node_t *node, memory_t *m)
{
    if (node->running) { /* what counts at a lag is all that changed up to it */
        for (int32_t lag = 0; lag < node->past; lag++)
            for (int32_t t = 0; t < node->terms; t++) {
                const term_t *term = node->term + t;
                if (term->lag > lag) continue;
                add_events(plan, node, m, term->set, term->coefficient, slot_of(node, m, lag), 0);
                m->filled[0] = 1;
            }
    }
    if (!node->rows && !node->ring) return;
    for (int32_t lag = node->past - 1; lag >= 0; lag--)
        take_slot(plan, node, m, slot_of(node, m, lag), lag);
    /* the newest step has had its own */
    if (node->rows) clear(node, plan->shape + node->out, m, m->newest_row);
}
