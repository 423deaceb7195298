/* The rules that an event matches, once its values are noted.

   With many rules the cost is the wait for memory: an entry of the table, the bucket, the rule, each somewhere else. So
   the look-ups of an event are gathered first and go through these stages side by side, each asking for what the next
   one reads. */
#include "store.h"

#include <math.h>

enum { PROBES = 32 };

typedef struct {
    Operand operand;
    uint64_t hash;
    uint32_t look;
    uint32_t bucket;
} Probe;

typedef struct {
    Store *store;
    PyObject *found;
    uint32_t depth;
    bool ask_all; /* what led here was necessary, not sufficient: ask a rule's first fields again */
    uint32_t count;
    uint8_t order[PROBES]; /* the probes that are still of interest */
    Probe probes[PROBES];
} Search;

static int search_level(Store *store, uint32_t level, uint32_t depth, bool ask_all, PyObject *found);

static int meet_rule(Search *search, uint32_t number, bool ask_all)
{
    Store *store = search->store;
    const Rule *rule = RULE(store, number);
    const uint32_t *fields = rule_fields(rule);
    for (uint32_t at = ask_all ? 0 : 1; at < rule->field_count; at++) {
        int holds = field_holds(store, FIELD(store, fields[at]));
        if (holds <= 0)
            return holds;
    }
    return PyList_Append(search->found, rule->id);
}

static int meet_bucket(Search *search, const Probe *probe)
{
    Store *store = search->store;
    Bucket *bucket = BUCKET(store, probe->bucket);
    if (!operand_equals(&bucket->operand, &probe->operand))
        return 0;
    bool ask_all = search->ask_all || bucket->operand.kind == FILED_CELL;
    const Filed *filed = bucket_filed(bucket);
    for (uint32_t at = 0; at < bucket->count; at++) {
        int holds = filed[at].guard == 0 ? 1 : field_holds(store, FIELD(store, filed[at].guard));
        if (holds < 0 || (holds > 0 && meet_rule(search, filed[at].rule, ask_all) < 0))
            return -1;
    }
    if (bucket->level_inside != 0)
        return search_level(store, bucket->level_inside, search->depth + 1, ask_all, search->found);
    return 0;
}

/* Whether a bucket is worth comparing its operand, and asks for what that needs; -1 with an exception set. */
static int may_match(const Search *search, const Probe *probe)
{
    Store *store = search->store;
    Bucket *bucket = BUCKET(store, probe->bucket);
    const Filed *filed = bucket_filed(bucket);
    int some = bucket->level_inside != 0 || bucket->count > FEW_RULES;
    for (uint32_t at = 0; at < bucket->count && at < FEW_RULES; at++) {
        int holds = filed[at].guard == 0 ? 1 : field_holds(store, FIELD(store, filed[at].guard));
        if (holds < 0)
            return -1;
        if (holds > 0) {
            __builtin_prefetch(RULE(store, filed[at].rule));
            some = 1;
        }
    }
    if (some && bucket->operand.text != NULL) {
        __builtin_prefetch(bucket->operand.text);
        __builtin_prefetch((char *)bucket->operand.text + sizeof(PyASCIIObject));
    }
    return some;
}

/* The next bucket of a probe's hash; its operand need not be the probe's. */
static bool next_bucket(const Store *store, Probe *probe)
{
    do
        probe->bucket = table_next(&store->table, probe->hash, &probe->look);
    while (probe->bucket >= store->buckets.used); /* the place of a use that has this hash, see find_bucket */
    return probe->bucket != 0;
}

/* Reads what the gathered probes lead to. */
static int flush(Search *search)
{
    Store *store = search->store;
    uint32_t sought = 0, met = 0;
    for (uint32_t each = 0; each < search->count; each++) {
        Probe *probe = &search->probes[search->order[each]];
        if (table_seek(&store->table, probe->hash, &probe->look))
            search->order[sought++] = search->order[each];
    }
    search->count = 0;
    for (uint32_t each = 0; each < sought; each++) {
        Probe *probe = &search->probes[search->order[each]];
        if (!next_bucket(store, probe))
            continue;
        __builtin_prefetch(BUCKET(store, probe->bucket));
        search->order[met++] = search->order[each];
    }
    for (uint32_t each = 0; each < met; each++) {
        Probe *probe = &search->probes[search->order[each]];
        uint32_t look = probe->look;
        int may = may_match(search, probe);
        if (may < 0)
            return -1;
        if (may == 0 && !table_seek(&store->table, probe->hash, &look))
            probe->bucket = 0;
    }
    for (uint32_t each = 0; each < met; each++) {
        Probe *probe = &search->probes[search->order[each]];
        if (probe->bucket == 0)
            continue;
        do
            if (meet_bucket(search, probe) < 0)
                return -1;
        while (next_bucket(store, probe));
    }
    return 0;
}

static int add_probe(Search *search, const Operand *operand, uint64_t hash)
{
    if (search->count == PROBES && flush(search) < 0)
        return -1;
    table_prefetch(&search->store->table, hash);
    search->order[search->count] = (uint8_t)search->count;
    search->probes[search->count++] = (Probe){.operand = *operand, .hash = hash, .look = table_begin(hash)};
    return 0;
}

static int probe_text(Search *search, const Use *use, Operand operand, PyObject *text)
{
    uint64_t hash;
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    operand.text = text;
    if (use->texts > 0 && length <= use->longest) {
        operand.kind = FILED_TEXT;
        operand.detail = (int32_t)length;
        if (!text_hash(search->store, &operand, &hash) || add_probe(search, &operand, hash) < 0)
            return -1;
    }
    operand.kind = FILED_PREFIX;
    for (uint32_t at = 0; at < use->lengths.count; at++) {
        operand.detail = use->lengths.items[at].value;
        if (operand.detail > length)
            continue;
        if (!text_hash(search->store, &operand, &hash) || add_probe(search, &operand, hash) < 0)
            return -1;
    }
    return 0;
}

static int probe_number(Search *search, const Use *use, Operand operand, double number)
{
    if (use->numbers > 0) {
        operand.kind = FILED_NUMBER;
        operand.number = number;
        if (add_probe(search, &operand, operand_hash(search->store, &operand)) < 0)
            return -1;
    }
    operand.kind = FILED_CELL;
    for (uint32_t at = 0; at < use->widths.count; at++) {
        operand.detail = use->widths.items[at].value;
        operand.number = cell_of(number, operand.detail);
        if (add_probe(search, &operand, operand_hash(search->store, &operand)) < 0)
            return -1;
    }
    return 0;
}

static int probe_path(Search *search, uint32_t level, const Use *use, const Path *path)
{
    Operand operand = {.level = level, .path = use->path};
    if (path->kind == VALUE_TEXT)
        return probe_text(search, use, operand, path->text);
    if (path->kind == VALUE_NUMBER)
        return probe_number(search, use, operand, path->number);
    if (use->constants == 0)
        return 0;
    operand.kind = FILED_CONSTANT;
    operand.detail = path->kind;
    return add_probe(search, &operand, operand_hash(search->store, &operand));
}

static int search_level(Store *store, uint32_t level, uint32_t depth, bool ask_all, PyObject *found)
{
    const Level *in = LEVEL(store, level);
    Search search;
    search.store = store;
    search.found = found;
    search.depth = depth;
    search.ask_all = ask_all;
    search.count = 0;
    if (level != ROOT_LEVEL && in->use_count <= store->present_count) {
        for (uint32_t at = 0; at < in->use_count; at++) {
            const Path *path = PATH(store, in->uses[at].path);
            if (path->found_in == store->find_number && probe_path(&search, level, &in->uses[at], path) < 0)
                return -1;
        }
        return flush(&search);
    }
    for (uint32_t at = 0; at < store->present_count; at++) {
        uint32_t number = store->present[at];
        const Use *use = find_use(store, level, number);
        if (use != NULL && probe_path(&search, level, use, PATH(store, number)) < 0)
            return -1;
    }
    return flush(&search);
}

int find_rules(Store *store, PyObject *found) { return search_level(store, ROOT_LEVEL, 0, false, found); }
