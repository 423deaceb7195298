/* What a level looks up for each path: exact texts, prefixes of which lengths, numbers, cells of which widths. */
#include "store.h"

static int tally(Tallies *tallies, int32_t value, int by)
{
    uint32_t at = 0;
    while (at < tallies->count && tallies->items[at].value != value)
        at++;
    if (at == tallies->count) {
        if (by < 0)
            return 0;
        Tally *items = PyMem_Realloc(tallies->items, (at + 1) * sizeof *items);
        if (items == NULL)
            return -1;
        items[at] = (Tally){.value = value};
        tallies->items = items;
        tallies->count++;
    }
    tallies->items[at].count += (uint32_t)by;
    if (tallies->items[at].count == 0)
        tallies->items[at] = tallies->items[--tallies->count];
    return 0;
}

static uint64_t use_hash(const Store *store, uint32_t level, uint32_t path)
{
    Operand operand = {.level = level, .path = path, .kind = FILED_USE};
    return operand_hash(store, &operand);
}

const Use *find_use(const Store *store, uint32_t level, uint32_t path)
{
    const Level *in = LEVEL(store, level);
    if (level == ROOT_LEVEL) {
        uint32_t at = PATH(store, path)->root_use;
        return at == 0 ? NULL : &in->uses[at - 1];
    }
    if (in->use_count <= FEW_USES) {
        for (uint32_t each = 0; each < in->use_count; each++)
            if (in->uses[each].path == path)
                return &in->uses[each];
        return NULL;
    }
    uint64_t hash = use_hash(store, level, path);
    uint32_t look = table_begin(hash), at;
    /* entries of other levels and buckets' may have this hash: what they number is looked at only as a guess */
    while ((at = table_next(&store->table, hash, &look)) != 0)
        if (at <= in->use_count && in->uses[at - 1].path == path)
            return &in->uses[at - 1];
    return NULL;
}

Use *obtain_use(Store *store, uint32_t level, uint32_t path)
{
    Use *known = (Use *)find_use(store, level, path);
    if (known != NULL)
        return known;
    Level *in = LEVEL(store, level);
    if ((in->use_count & (in->use_count - 1)) == 0) { /* room is the next power of two */
        Use *uses = PyMem_Realloc(in->uses, (in->use_count == 0 ? 1 : in->use_count * 2) * sizeof *uses);
        if (uses == NULL)
            return NULL;
        in->uses = uses;
    }
    if (level != ROOT_LEVEL && !table_add(&store->table, use_hash(store, level, path), in->use_count + 1))
        return NULL;
    in->uses[in->use_count] = (Use){.path = path};
    if (level == ROOT_LEVEL)
        PATH(store, path)->root_use = in->use_count + 1;
    return &in->uses[in->use_count++];
}

void drop_use(Store *store, uint32_t level, Use *use)
{
    Level *in = LEVEL(store, level);
    uint32_t at = (uint32_t)(use - in->uses), last = in->use_count - 1;
    uint32_t moved = in->uses[last].path;
    PyMem_Free(use->lengths.items);
    PyMem_Free(use->widths.items);
    if (level == ROOT_LEVEL) {
        PATH(store, use->path)->root_use = 0;
        if (at != last)
            PATH(store, moved)->root_use = at + 1;
    }
    else {
        table_remove(&store->table, use_hash(store, level, use->path), at + 1);
        if (at != last)
            table_renumber(&store->table, use_hash(store, level, moved), last + 1, at + 1);
    }
    in->uses[at] = in->uses[last];
    in->use_count--;
}

int count_bucket(Use *use, const Operand *operand, int by)
{
    switch ((FiledKind)operand->kind) {
    case FILED_TEXT:
        use->texts += (uint32_t)by;
        if (operand->detail > use->longest)
            use->longest = operand->detail;
        break;
    case FILED_NUMBER:
        use->numbers += (uint32_t)by;
        break;
    case FILED_CONSTANT:
        use->constants += (uint32_t)by;
        break;
    case FILED_PREFIX:
        if (tally(&use->lengths, operand->detail, by) < 0)
            return -1;
        break;
    case FILED_CELL:
        if (tally(&use->widths, operand->detail, by) < 0)
            return -1;
        break;
    case FILED_USE:
        break;
    }
    use->buckets += (uint32_t)by;
    return 0;
}
