/* Values of uint8: a map, and the list of what is not 0 in it. */
#include "engine.h"
#include <string.h>

/* List what is not 0 in the map of y, behind whose end there are zeros for a while: cell by cell, as
 * layers like it. */
void list_events(int32_t size, value_t *y)
{
    const uint8_t *restrict dense = y->dense; /* bytes may be anything's: what they are read beside */
    uint32_t *restrict index = y->index;      /* is looked up again unless it is here */
    int32_t events = 0;
#ifdef __GNUC__
    for (int32_t i = 0; i < size; i += 64) { /* one bit for each, and from bit to bit */
        uint64_t eight[8], any = 0, bits = 0;
        memcpy(eight, dense + i, sizeof eight);
        for (int32_t k = 0; k < 8; k++) any |= eight[k];
        if (!any) continue;
        for (int32_t k = 0; k < 8; k++) {
            const uint64_t low = 0x7f7f7f7f7f7f7f7fu, ones = 0x0101010101010101u;
            const uint64_t is = ((((eight[k] & low) + low) | eight[k]) >> 7) & ones;
            bits |= (is * 0x0102040810204080u) >> 56 << (8 * k);
        }
        for (; bits; bits &= bits - 1) index[events++] = (uint32_t)(i + __builtin_ctzll(bits));
    }
#else
    for (int32_t i = 0; i < size; i++)
        if (dense[i]) index[events++] = (uint32_t)i;
#endif
    y->events = events;
}

/* Put 1 into the list and the map of y where h reaches theta, and 0 elsewhere. */
HOT static void compare(const int32_t *restrict h, const int32_t *restrict theta, int32_t size,
                        uint8_t *restrict flags)
{
    for (int32_t i = 0; i < size; i++) flags[i] = h[i] >= theta[i];
}

void collect(const int32_t *h, const int32_t *theta, int32_t size, value_t *y)
{
    compare(h, theta, size, y->dense);
    list_events(size, y);
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
