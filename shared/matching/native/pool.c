/* See pool.h. */
#include "pool.h"

#include <string.h>

enum { LINK_AT = 8, CACHE_LINE = 64 };

/* Begins at a cache line, so that a record of 64 bytes is one; what was allocated is noted right before. */
static char *make_chunk(size_t record_bytes)
{
    char *allocated = PyMem_Calloc(POOL_CHUNK * record_bytes + CACHE_LINE + sizeof allocated, 1);
    if (allocated == NULL)
        return NULL;
    uintptr_t after = (uintptr_t)(allocated + sizeof allocated);
    char *chunk = allocated + sizeof allocated + (CACHE_LINE - after % CACHE_LINE) % CACHE_LINE;
    memcpy(chunk - sizeof allocated, &allocated, sizeof allocated);
    return chunk;
}

static void free_chunk(char *chunk)
{
    char *allocated;
    memcpy(&allocated, chunk - sizeof allocated, sizeof allocated);
    PyMem_Free(allocated);
}

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
        chunks[pool->chunk_count] = make_chunk(pool->record_bytes);
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
        free_chunk(pool->chunks[each]);
    PyMem_Free(pool->chunks);
    pool->chunks = NULL;
    pool->chunk_count = pool->used = pool->free = 0;
}
