/* Numbers by hash, in 256 parts that grow one by one: so one more entry never moves more than a few thousand.

   Beside its entries each part keeps a byte of every entry's hash. These bytes are a sixteenth of the entries: with
   100,000 rules they stay in the processor's cache, and a look-up that finds nothing reads no more than them.

   It knows hashes only. Several entries may have one hash: whoever looks up tells them apart. */
#ifndef UPSHOT_TABLE_H
#define UPSHOT_TABLE_H

#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

enum { TABLE_PARTS = 256, TABLE_PART_SHIFT = 56, TABLE_TAG_SHIFT = 48 };

typedef struct {
    uint64_t hash;
    uint32_t value;
} TableEntry;

typedef struct {
    uint8_t *tags; /* 0: no entry here */
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
/* Another value for an entry that is there; needs no memory. */
void table_renumber(Table *table, uint64_t hash, uint32_t value, uint32_t other);
void table_clear(Table *table);

static inline uint8_t table_tag(uint64_t hash) { return (uint8_t)(hash >> TABLE_TAG_SHIFT) | 1; }

static inline void table_prefetch(const Table *table, uint64_t hash)
{
    const TablePart *part = &table->parts[hash >> TABLE_PART_SHIFT];
    if (part->tags != NULL)
        __builtin_prefetch(&part->tags[hash & part->mask]);
}

/* Where a look-up for a hash begins. */
static inline uint32_t table_begin(uint64_t hash) { return (uint32_t)hash; }

/* Goes to the next place where the hash may be, and asks for it; false: there is none. */
static inline bool table_seek(const Table *table, uint64_t hash, uint32_t *at)
{
    const TablePart *part = &table->parts[hash >> TABLE_PART_SHIFT];
    if (part->tags == NULL)
        return false;
    for (uint8_t tag = table_tag(hash);; (*at)++) {
        uint8_t here = part->tags[*at & part->mask];
        if (here == 0)
            return false;
        if (here == tag) {
            __builtin_prefetch(&part->entries[*at & part->mask]);
            return true;
        }
    }
}

/* The next value of a hash, 0 after the last; `*at` goes behind it. */
static inline uint32_t table_next(const Table *table, uint64_t hash, uint32_t *at)
{
    const TablePart *part = &table->parts[hash >> TABLE_PART_SHIFT];
    while (table_seek(table, hash, at)) {
        const TableEntry *entry = &part->entries[(*at)++ & part->mask];
        if (entry->hash == hash)
            return entry->value;
    }
    return 0;
}

#endif
