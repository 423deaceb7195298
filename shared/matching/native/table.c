/* See table.h: open addressing with linear probing, two thirds full at most. */
#include "table.h"

enum { ENTRIES_MIN = 8 };

static void place(TablePart *part, uint64_t hash, uint32_t value)
{
    uint32_t at = (uint32_t)hash & part->mask;
    while (part->tags[at] != 0)
        at = (at + 1) & part->mask;
    part->tags[at] = table_tag(hash);
    part->entries[at] = (TableEntry){.hash = hash, .value = value};
    part->used++;
}

static void empty(TablePart *part)
{
    PyMem_Free(part->tags);
    PyMem_Free(part->entries);
    *part = (TablePart){0};
}

static bool grow(TablePart *part)
{
    uint32_t before = part->tags == NULL ? 0 : part->mask + 1;
    uint32_t count = before == 0 ? ENTRIES_MIN : before * 2;
    if (count < before)
        return false;
    TablePart grown = {.mask = count - 1};
    grown.tags = PyMem_Calloc(count, sizeof *grown.tags);
    grown.entries = PyMem_Calloc(count, sizeof *grown.entries);
    if (grown.tags == NULL || grown.entries == NULL) {
        empty(&grown);
        return false;
    }
    for (uint32_t at = 0; at < before; at++)
        if (part->tags[at] != 0)
            place(&grown, part->entries[at].hash, part->entries[at].value);
    empty(part);
    *part = grown;
    return true;
}

bool table_add(Table *table, uint64_t hash, uint32_t value)
{
    TablePart *part = &table->parts[hash >> TABLE_PART_SHIFT];
    uint64_t room = part->tags == NULL ? 0 : (uint64_t)part->mask + 1;
    if (((uint64_t)part->used + 1) * 3 > room * 2 && !grow(part))
        return false;
    place(part, hash, value);
    return true;
}

/* The entry of a hash that has this value; NULL: there is none. */
static TableEntry *find_entry(const TablePart *part, uint64_t hash, uint32_t value)
{
    if (part->tags == NULL)
        return NULL;
    for (uint32_t at = (uint32_t)hash & part->mask; part->tags[at] != 0; at = (at + 1) & part->mask)
        if (part->entries[at].value == value && part->entries[at].hash == hash)
            return &part->entries[at];
    return NULL;
}

void table_renumber(Table *table, uint64_t hash, uint32_t value, uint32_t other)
{
    TableEntry *entry = find_entry(&table->parts[hash >> TABLE_PART_SHIFT], hash, value);
    if (entry != NULL)
        entry->value = other;
}

void table_remove(Table *table, uint64_t hash, uint32_t value)
{
    TablePart *part = &table->parts[hash >> TABLE_PART_SHIFT];
    TableEntry *entries = part->entries, *entry = find_entry(part, hash, value);
    if (entry == NULL)
        return;
    uint32_t mask = part->mask, hole = (uint32_t)(entry - entries);
    /* entries behind move up, unless that would put them before where their hash begins to look */
    for (uint32_t at = (hole + 1) & mask; part->tags[at] != 0; at = (at + 1) & mask) {
        uint32_t home = (uint32_t)entries[at].hash & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            entries[hole] = entries[at];
            part->tags[hole] = part->tags[at];
            hole = at;
        }
    }
    part->tags[hole] = 0;
    if (--part->used == 0)
        empty(part);
}

void table_clear(Table *table)
{
    for (int each = 0; each < TABLE_PARTS; each++)
        empty(&table->parts[each]);
}
