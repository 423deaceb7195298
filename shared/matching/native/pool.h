/* Records of one size by number: in chunks that never move, so that one more never copies those that are there. */
#ifndef UPSHOT_POOL_H
#define UPSHOT_POOL_H

#include <Python.h>

#include <stdint.h>

enum { POOL_CHUNK_BITS = 10, POOL_CHUNK = 1 << POOL_CHUNK_BITS };

typedef struct {
    char **chunks;
    size_t record_bytes; /* at least 16: a free record keeps its successor in the second eight */
    uint32_t chunk_count;
    uint32_t used; /* numbers below were given out at least once; 0 never is */
    uint32_t free; /* the first free one, or 0 */
} Pool;

/* The number of a record of zeros; 0 where memory is out (no exception is set). */
uint32_t pool_take(Pool *pool);
void pool_give(Pool *pool, uint32_t number);
void pool_clear(Pool *pool);

static inline void *pool_at(const Pool *pool, uint32_t number)
{
    return pool->chunks[number >> POOL_CHUNK_BITS] + (number & (POOL_CHUNK - 1)) * pool->record_bytes;
}

#endif
