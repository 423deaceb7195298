/* Numbers by hash, in 256 parts that grow one by one: so one more entry never moves more than a few thousand.

   It knows hashes only. Several entries may have one hash: whoever looks up tells them apart. */
#ifndef UPSHOT_TABLE_H
#define UPSHOT_TABLE_H

#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

enum { TABLE_PARTS = 256, TABLE_PART_SHIFT = 56 };

typedef struct {
    uint64_t hash;
    uint32_t value; /* 0: the entry is empty */
} TableEntry;

typedef struct {
    TableEntry *entries;
    uint32_t mask;
    uint32_t used;
} TablePart;

typedef struct {
    TablePart parts[TABLE_PARTS];
} Table;

/* False: out of memory, nothing has changed. */
bool table_add(Table *table, uint64_t hash, uint32_t value);
void table_remove(Table *table, uint64_t hash, uint32_t value);
void table_clear(Table *table);

static inline void table_prefetch(const Table *table, uint64_t hash)
{
    const TablePart *part = &table->parts[hash >> TABLE_PART_SHIFT];
    if (part->entries != NULL)
        __builtin_prefetch(&part->entries[hash & part->mask]);
}

/* The next value of a hash, 0 after the last. `*at` is where to look: begin with `table_begin`. */
static inline uint32_t table_begin(uint64_t hash) { return (uint32_t)hash; }

static inline uint32_t table_next(const Table *table, uint64_t hash, uint32_t *at)
{
    const TablePart *part = &table->parts[hash >> TABLE_PART_SHIFT];
    if (part->entries == NULL)
        return 0;
    for (;;) {
        const TableEntry *entry = &part->entries[(*at)++ & part->mask];
        if (entry->value == 0 || entry->hash == hash)
            return entry->value;
    }
}

#endif
