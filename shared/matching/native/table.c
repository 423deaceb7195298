/* See table.h: open addressing with linear probing, two thirds full at most. */
#include "table.h"

enum { ENTRIES_MIN = 8 };

static void place(TablePart *part, uint64_t hash, uint32_t value)
{
    uint32_t at = (uint32_t)hash & part->mask;
    while (part->entries[at].value != 0)
        at = (at + 1) & part->mask;
    part->entries[at] = (TableEntry){.hash = hash, .value = value};
    part->used++;
}

static bool grow(TablePart *part)
{
    uint32_t before = part->entries == NULL ? 0 : part->mask + 1;
    uint32_t count = before == 0 ? ENTRIES_MIN : before * 2;
    TableEntry *entries = count > before ? PyMem_Calloc(count, sizeof *entries) : NULL;
    if (entries == NULL)
        return false;
    TablePart grown = {.entries = entries, .mask = count - 1};
    for (uint32_t at = 0; at < before; at++)
        if (part->entries[at].value != 0)
            place(&grown, part->entries[at].hash, part->entries[at].value);
    PyMem_Free(part->entries);
    *part = grown;
    return true;
}

bool table_add(Table *table, uint64_t hash, uint32_t value)
{
    TablePart *part = &table->parts[hash >> TABLE_PART_SHIFT];
    uint64_t room = part->entries == NULL ? 0 : (uint64_t)part->mask + 1;
    if (((uint64_t)part->used + 1) * 3 > room * 2 && !grow(part))
        return false;
    place(part, hash, value);
    return true;
}

void table_remove(Table *table, uint64_t hash, uint32_t value)
{
    TablePart *part = &table->parts[hash >> TABLE_PART_SHIFT];
    if (part->entries == NULL)
        return;
    TableEntry *entries = part->entries;
    uint32_t mask = part->mask;
    uint32_t hole = (uint32_t)hash & mask;
    while (entries[hole].value != value || entries[hole].hash != hash) {
        if (entries[hole].value == 0)
            return;
        hole = (hole + 1) & mask;
    }
    /* entries behind move up, unless that would put them before where their hash begins to look */
    for (uint32_t at = (hole + 1) & mask; entries[at].value != 0; at = (at + 1) & mask) {
        uint32_t home = (uint32_t)entries[at].hash & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            entries[hole] = entries[at];
            hole = at;
        }
    }
    entries[hole].value = 0;
    part->used--;
    if (part->used == 0) {
        PyMem_Free(part->entries);
        *part = (TablePart){0};
    }
}

void table_clear(Table *table)
{
    for (int each = 0; each < TABLE_PARTS; each++) {
        PyMem_Free(table->parts[each].entries);
        table->parts[each] = (TablePart){0};
    }
}
