/* Rules into buckets and out again.

   A rule is filed under every operator of its first field. Where a bucket of the root level is crowded, rules go into the
   level inside it under their second fields, and so on. A rule's places follow from its fields and from which buckets
   have levels, so none are kept: whoever takes it out goes the same ways, and finds it in the level or in the bucket. */
#include "store.h"

#include <math.h>

static bool file_in(Store *store, uint32_t level, uint32_t number, uint32_t depth);
static void unfile_from(Store *store, uint32_t level, uint32_t number, uint32_t depth);

bool text_hash(const Store *store, const Operand *operand, uint64_t *hash)
{
    PyObject *text = operand->text, *part = NULL;
    if (operand->detail < PyUnicode_GET_LENGTH(text) && PyUnicode_KIND(text) != PyUnicode_1BYTE_KIND) {
        text = part = PyUnicode_Substring(text, 0, operand->detail);
        if (part == NULL)
            return false;
    }
    uint64_t kind = (uint64_t)PyUnicode_KIND(text);
    size_t size = (size_t)operand->detail * kind;
    uint64_t words[] = {
        (uint64_t)operand->level << 32 | operand->path,
        (uint64_t)(uint32_t)operand->detail << 32 | kind << 8 | operand->kind,
    };
    *hash = hash_of(&store->key, words[0], words[1], PyUnicode_DATA(text), size) & store->hash_mask;
    Py_XDECREF(part);
    return true;
}

uint64_t operand_hash(const Store *store, const Operand *operand)
{
    uint64_t hash = 0;
    if (operand->kind == FILED_TEXT || operand->kind == FILED_PREFIX) {
        (void)text_hash(store, operand, &hash); /* of a whole text: it needs no memory */
        return hash;
    }
    uint64_t one = (uint64_t)operand->level << 32 | operand->path;
    uint64_t two = (uint64_t)(uint32_t)operand->detail << 32 | operand->kind;
    return hash_of(&store->key, one, two, &operand->number, sizeof operand->number) & store->hash_mask;
}

bool operand_equals(const Operand *filed, const Operand *probe)
{
    if (filed->level != probe->level || filed->path != probe->path || filed->kind != probe->kind ||
        filed->detail != probe->detail)
        return false;
    switch ((FiledKind)filed->kind) {
    case FILED_TEXT:
        return text_equals(filed->text, probe->text);
    case FILED_PREFIX:
        return text_begins(probe->text, filed->text);
    default:
        return filed->number == probe->number;
    }
}

/* Any function of the number that never falls would do: the cells from a range's low to its high then hold all of it. */
double cell_of(double number, int32_t exponent) { return floor(number / ldexp(1.0, exponent)) + 0.0; }

/* A power of four that is at least as wide as the range. */
static int32_t width_of(const Operator *range)
{
    int exponent;
    (void)frexp(range->high - range->low, &exponent);
    return (exponent + 1) & ~1;
}

static uint32_t find_bucket(const Store *store, uint64_t hash, const Operand *operand)
{
    uint32_t look = table_begin(hash), number;
    while ((number = table_next(&store->table, hash, &look)) != 0)
        /* it may be the place of a use that has the same hash, which numbers no bucket */
        if (number < store->buckets.used && operand_equals(&BUCKET(store, number)->operand, operand))
            return number;
    return 0;
}

static uint32_t obtain_bucket(Store *store, const Operand *operand, uint64_t hash)
{
    uint32_t number = find_bucket(store, hash, operand);
    if (number != 0)
        return number;
    Use *use = obtain_use(store, operand->level, operand->path);
    if (use == NULL)
        return 0;
    number = pool_take(&store->buckets);
    if (number == 0)
        goto no_memory;
    if (count_bucket(use, operand, 1) < 0) {
        pool_give(&store->buckets, number);
        goto no_memory;
    }
    if (!table_add(&store->table, hash, number)) {
        count_bucket(use, operand, -1);
        pool_give(&store->buckets, number);
        goto no_memory;
    }
    Bucket *bucket = BUCKET(store, number);
    bucket->operand = *operand;
    Py_XINCREF(operand->text);
    LEVEL(store, operand->level)->bucket_count++;
    return number;
no_memory:
    if (use->buckets == 0)
        drop_use(store, operand->level, use);
    return 0;
}

static void drop_bucket_if_empty(Store *store, uint32_t number)
{
    Bucket *bucket = BUCKET(store, number);
    if (bucket->count > 0 || bucket->level_inside != 0)
        return;
    uint32_t level = bucket->operand.level;
    Use *use = (Use *)find_use(store, level, bucket->operand.path);
    table_remove(&store->table, operand_hash(store, &bucket->operand), number);
    count_bucket(use, &bucket->operand, -1);
    if (use->buckets == 0)
        drop_use(store, level, use);
    LEVEL(store, level)->bucket_count--;
    if (bucket->room > 0)
        PyMem_Free(bucket->many);
    PyObject *text = bucket->operand.text;
    pool_give(&store->buckets, number);
    Py_XDECREF(text);
}

static bool put(Bucket *bucket, Filed filed)
{
    uint32_t room = bucket->room == 0 ? FEW_RULES : bucket->room;
    if (bucket->count == room) {
        Filed *grown = PyMem_Malloc(2 * (size_t)room * sizeof *grown);
        if (grown == NULL)
            return false;
        memcpy(grown, bucket_filed(bucket), room * sizeof *grown);
        if (bucket->room > 0)
            PyMem_Free(bucket->many);
        bucket->many = grown;
        bucket->room = 2 * room;
    }
    bucket_filed(bucket)[bucket->count++] = filed;
    return true;
}

static void take(Bucket *bucket, uint32_t rule)
{
    Filed *filed = bucket_filed(bucket);
    for (uint32_t at = bucket->count; at-- > 0;)
        if (filed[at].rule == rule) {
            filed[at] = filed[--bucket->count];
            break;
        }
    if (bucket->room > 0 && bucket->count <= FEW_RULES) {
        Filed *many = bucket->many;
        memcpy(bucket->few, many, bucket->count * sizeof *many);
        bucket->room = 0;
        PyMem_Free(many);
    }
}

static bool goes_deeper(const Store *store, uint32_t number, uint32_t depth)
{
    const Rule *rule = RULE(store, number);
    return depth + 1 < rule->field_count && FIELD(store, rule_fields(rule)[depth + 1])->can_file;
}

static void drop_level(Store *store, uint32_t number)
{
    PyMem_Free(LEVEL(store, number)->uses);
    pool_give(&store->levels, number);
}

/* Gives a crowded bucket a level. Where memory is out, some rules stay in the bucket, which is as right, only slower. */
static void split_bucket(Store *store, uint32_t number, uint32_t depth)
{
    Bucket *bucket = BUCKET(store, number);
    uint32_t level = pool_take(&store->levels);
    if (level == 0)
        return;
    Filed *filed = bucket_filed(bucket);
    uint32_t kept = 0;
    for (uint32_t at = 0; at < bucket->count; at++)
        if (!goes_deeper(store, filed[at].rule, depth) || !file_in(store, level, filed[at].rule, depth + 1))
            filed[kept++] = filed[at];
    bucket->count = kept;
    if (LEVEL(store, level)->bucket_count > 0)
        bucket->level_inside = level;
    else
        drop_level(store, level);
}

static bool is_crowded(const Store *store, Bucket *bucket, uint32_t depth)
{
    uint32_t deeper = 0;
    /* asked at powers of two only: rules that cannot go deeper must not be counted for each that comes */
    if (bucket->count <= CROWDED || (bucket->count & (bucket->count - 1)) != 0)
        return false;
    for (uint32_t at = 0; at < bucket->count; at++)
        deeper += goes_deeper(store, bucket_filed(bucket)[at].rule, depth);
    return deeper >= CROWDED;
}

static bool file_under(Store *store, const Operand *operand, uint64_t hash, uint32_t rule, uint32_t depth)
{
    uint32_t number = obtain_bucket(store, operand, hash);
    if (number == 0)
        return false;
    Bucket *bucket = BUCKET(store, number);
    if (bucket->level_inside != 0 && goes_deeper(store, rule, depth))
        return file_in(store, bucket->level_inside, rule, depth + 1);
    /* two ranges of one field may share a cell */
    if (bucket->count > 0 && bucket_filed(bucket)[bucket->count - 1].rule == rule)
        return true;
    const Rule *filed = RULE(store, rule);
    uint32_t guard = depth + 1 < filed->field_count ? rule_fields(filed)[depth + 1] : 0;
    if (!put(bucket, (Filed){.rule = rule, .guard = guard})) {
        drop_bucket_if_empty(store, number);
        return false;
    }
    if (bucket->level_inside == 0 && is_crowded(store, bucket, depth))
        split_bucket(store, number, depth);
    return true;
}

static void unfile_under(Store *store, const Operand *operand, uint64_t hash, uint32_t rule, uint32_t depth)
{
    uint32_t number = find_bucket(store, hash, operand);
    if (number == 0)
        return;
    Bucket *bucket = BUCKET(store, number);
    if (bucket->level_inside != 0 && goes_deeper(store, rule, depth)) {
        unfile_from(store, bucket->level_inside, rule, depth + 1);
        if (LEVEL(store, bucket->level_inside)->bucket_count == 0) {
            drop_level(store, bucket->level_inside);
            bucket->level_inside = 0;
        }
    }
    take(bucket, rule);
    drop_bucket_if_empty(store, number);
}

typedef struct {
    Operand operand;
    uint64_t hash;
} Spot;

enum { SPOTS_MAX = 3 }; /* cells that a range lies in: two, or three where its width was rounded */

/* Where an operator's buckets are; their count, or -1: out of memory. */
static int spots_of(const Store *store, const Operator *operator, uint32_t level, uint32_t path, Spot spots[SPOTS_MAX])
{
    Operand operand = {.level = level, .path = path};
    switch ((OperatorKind)operator->kind) {
    case OP_TEXT:
    case OP_PREFIX:
        operand.kind = operator->kind == OP_TEXT ? FILED_TEXT : FILED_PREFIX;
        operand.text = operator->object;
        operand.detail = (int32_t)PyUnicode_GET_LENGTH(operator->object);
        spots[0].operand = operand;
        return text_hash(store, &operand, &spots[0].hash) ? 1 : -1;
    case OP_RANGE: {
        int32_t exponent = width_of(operator);
        double last = cell_of(operator->high, exponent);
        int count = 0;
        operand.kind = FILED_CELL;
        operand.detail = exponent;
        for (double cell = cell_of(operator->low, exponent); cell <= last && count < SPOTS_MAX; cell += 1.0) {
            operand.number = cell;
            spots[count++] = (Spot){.operand = operand, .hash = operand_hash(store, &operand)};
        }
        return count;
    }
    default: /* numbers and constants: no others are filed */
        operand.kind = operator->kind == OP_NUMBER ? FILED_NUMBER : FILED_CONSTANT;
        operand.number = operator->kind == OP_NUMBER ? operator->low : 0.0;
        operand.detail = operator->kind == OP_NUMBER ? 0 : operator->flags;
        spots[0] = (Spot){.operand = operand, .hash = operand_hash(store, &operand)};
        return 1;
    }
}

static bool file_in(Store *store, uint32_t level, uint32_t number, uint32_t depth)
{
    const Field *field = FIELD(store, rule_fields(RULE(store, number))[depth]);
    for (int at = 0; at < field->operator_count; at++) {
        Spot spots[SPOTS_MAX];
        int count = spots_of(store, &field->operators[at], level, field->path, spots);
        for (int spot = 0; spot < count; spot++)
            if (!file_under(store, &spots[spot].operand, spots[spot].hash, number, depth))
                count = -1;
        if (count < 0) {
            unfile_from(store, level, number, depth);
            return false;
        }
    }
    return true;
}

static void unfile_from(Store *store, uint32_t level, uint32_t number, uint32_t depth)
{
    const Field *field = FIELD(store, rule_fields(RULE(store, number))[depth]);
    for (int at = 0; at < field->operator_count; at++) {
        Spot spots[SPOTS_MAX];
        int count = spots_of(store, &field->operators[at], level, field->path, spots);
        for (int spot = 0; spot < count; spot++)
            unfile_under(store, &spots[spot].operand, spots[spot].hash, number, depth);
    }
}

bool file_rule(Store *store, uint32_t number)
{
    if (file_in(store, ROOT_LEVEL, number, 0))
        return true;
    if (!PyErr_Occurred())
        PyErr_NoMemory();
    return false;
}

void unfile_rule(Store *store, uint32_t number) { unfile_from(store, ROOT_LEVEL, number, 0); }

void filing_clear(Store *store)
{
    for (uint32_t each = 1; each < store->buckets.used; each++) {
        Bucket *bucket = BUCKET(store, each);
        if (bucket->count == 0 && bucket->level_inside == 0)
            continue;
        if (bucket->room > 0)
            PyMem_Free(bucket->many);
        Py_CLEAR(bucket->operand.text);
        bucket->count = bucket->level_inside = 0;
    }
    for (uint32_t each = 1; each < store->levels.used; each++) {
        Level *level = LEVEL(store, each);
        for (uint32_t at = 0; level->uses != NULL && at < level->use_count; at++) {
            PyMem_Free(level->uses[at].lengths.items);
            PyMem_Free(level->uses[at].widths.items);
        }
        PyMem_Free(level->uses);
        level->uses = NULL;
    }
    pool_clear(&store->buckets);
    pool_clear(&store->levels);
    table_clear(&store->table);
}
