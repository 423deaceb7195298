/* See pool.h. */
#include "pool.h"

#include <string.h>

enum { LINK_AT = 8 };

uint32_t pool_take(Pool *pool)
{
    uint32_t number = pool->free;
    if (number != 0) {
        char *record = pool_at(pool, number);
        memcpy(&pool->free, record + LINK_AT, sizeof pool->free);
        memset(record, 0, pool->record_bytes);
        return number;
    }
    number = pool->used == 0 ? 1 : pool->used;
    if (number == UINT32_MAX)
        return 0;
    if (number >> POOL_CHUNK_BITS >= pool->chunk_count) {
        char **chunks = PyMem_Realloc(pool->chunks, (pool->chunk_count + 1) * sizeof *chunks);
        if (chunks == NULL)
            return 0;
        pool->chunks = chunks;
        chunks[pool->chunk_count] = PyMem_Calloc(POOL_CHUNK, pool->record_bytes);
        if (chunks[pool->chunk_count] == NULL)
            return 0;
        pool->chunk_count++;
    }
    pool->used = number + 1;
    return number;
}

void pool_give(Pool *pool, uint32_t number)
{
    char *record = pool_at(pool, number);
    memset(record, 0, pool->record_bytes);
    memcpy(record + LINK_AT, &pool->free, sizeof pool->free);
    pool->free = number;
}

void pool_clear(Pool *pool)
{
    for (uint32_t each = 0; each < pool->chunk_count; each++)
        PyMem_Free(pool->chunks[each]);
    PyMem_Free(pool->chunks);
    pool->chunks = NULL;
    pool->chunk_count = pool->used = pool->free = 0;
}
