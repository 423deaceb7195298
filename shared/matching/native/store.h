/* What the index holds, and who does what with it.

   A rule (here: one alternative of a rule) is a few fields that must all hold. It is filed in buckets: one for each
   operator of its first field, in the root level. A bucket is found by the hash of (level, path, operand). A bucket that
   gets crowded becomes a level of its own, in which its rules are filed under their second fields, and so on.

   fields.c  what a field asks of the value at its path    paths.c  which values of an event are asked about
   filing.c  rules into buckets and out again              levels.c what a level looks up at each path
   find.c    the rules that an event matches               index.c  the Python type around them */
#ifndef UPSHOT_STORE_H
#define UPSHOT_STORE_H

#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

#include "hash.h"
#include "pool.h"
#include "table.h"

enum {
    ROOT_LEVEL = 1,
    ROOT_STEP = 1,
    KEYS_MAX = 16,      /* of a path */
    FIELDS_MAX = 16,    /* of a rule; both bound recursion */
    OPERATORS_MAX = 64, /* of a field */
    FEW_FIELDS = 4,
    FEW_RULES = 2,
    FEW_USES = 8, /* of a level, which are looked through one by one */
    CROWDED = 8,  /* rules of a bucket that can go deeper; then, asked at powers of two, it becomes a level */
};

/* What encode.py calls operators; the order is part of the contract with it. */
typedef enum {
    OP_TEXT,
    OP_PREFIX,
    OP_NUMBER,
    OP_RANGE,
    OP_CONSTANT,
    OP_EXISTS,
    OP_NOT_TEXTS,
    OP_NOT_NUMBERS,
    OP_SUFFIX,
    OP_KINDS,
} OperatorKind;

enum { LOW_INCLUDED = 1, HIGH_INCLUDED = 2 };

typedef struct {
    uint8_t kind;  /* OperatorKind */
    uint8_t flags; /* OP_RANGE: which bounds are included; OP_CONSTANT: a ValueKind */
    union {
        PyObject *object; /* OP_TEXT, OP_PREFIX, OP_SUFFIX: a str; OP_NOT_…: a tuple, or a frozenset of many texts */
        double low;       /* OP_NUMBER: the number */
    };
    double high;
} Operator;

typedef struct {
    PyObject *spec; /* the key in Store.shared_fields, or NULL: this field is one rule's alone */
    uint32_t path;
    uint32_t uses;
    uint32_t asked_in; /* the find that `holds` is of */
    uint8_t holds;
    uint8_t or_absent;
    uint8_t can_file;
    uint8_t operator_count;
    Operator *operators; /* &one, or several of their own */
    Operator one;
} Field;

typedef enum { VALUE_NULL, VALUE_FALSE, VALUE_TRUE, VALUE_TEXT, VALUE_NUMBER } ValueKind;

/* An edge of a path: the step that it leaves, and its key. */
typedef struct {
    PyObject *key;
    uint32_t step;
} Passed;

/* A path that rules name, and the value that the event being asked about has there. */
typedef struct {
    PyObject *name;
    PyObject *text; /* owned while the find lasts */
    double number;
    Passed *edges;
    uint32_t edge_count;
    uint32_t step; /* where it ends */
    uint32_t uses;
    uint32_t found_in; /* the find in which there was a value */
    uint32_t root_use; /* 1 + its place among the root level's uses, or 0 */
    uint8_t kind;      /* ValueKind */
} Path;

typedef struct {
    PyObject *id; /* NULL: a free record */
    uint32_t field_count;
    union {
        uint32_t few[FEW_FIELDS];
        uint32_t *many;
    };
} Rule;

typedef enum { FILED_TEXT, FILED_PREFIX, FILED_NUMBER, FILED_CELL, FILED_CONSTANT, FILED_USE } FiledKind;

/* The operand of a bucket, and of a probe for one. */
typedef struct {
    PyObject *text; /* FILED_TEXT, FILED_PREFIX (of a probe: the whole value) */
    double number;  /* FILED_NUMBER; FILED_CELL: which cell of its width */
    uint32_t level;
    uint32_t path;
    int32_t detail; /* FILED_PREFIX: its length; FILED_CELL: the width's exponent; FILED_CONSTANT: a ValueKind */
    uint8_t kind;
} Operand;

/* A rule in a bucket, with the number of its next field (or 0), which mostly tells that it need not be looked at. */
typedef struct {
    uint32_t rule;
    uint32_t guard;
} Filed;

typedef struct {
    Operand operand;
    uint32_t level_inside; /* or 0 */
    uint32_t count;
    uint32_t room; /* of `many`; 0: they are few */
    union {
        Filed few[FEW_RULES];
        Filed *many;
    };
} Bucket;

_Static_assert(sizeof(void *) != 8 || sizeof(Bucket) == 64, "a bucket is a cache line");

typedef struct {
    int32_t value;
    uint32_t count;
} Tally;

typedef struct {
    Tally *items;
    uint32_t count;
} Tallies;

/* A path that something is filed under in one level: what there is to look up for a value. */
typedef struct {
    uint32_t path;
    uint32_t buckets;
    uint32_t texts, numbers, constants;
    Py_ssize_t longest; /* no exact text is longer */
    Tallies lengths;    /* of prefixes, in characters */
    Tallies widths;     /* of cells, as exponents of two */
} Use;

typedef struct {
    Use *uses;
    uint64_t bucket_count;
    uint32_t use_count;
} Level;

typedef struct {
    Py_hash_t hash;
    PyObject *key;
    uint32_t step; /* 0: a key with dots that would lead on at once */
    uint32_t uses;
} Edge;

/* An object on the way to paths: the keys that lead on. */
typedef struct {
    Edge *edges; /* open addressing */
    uint32_t mask;
    uint32_t edge_count;
    uint32_t path; /* of what ends here, or 0 */
} Step;

typedef struct {
    HashKey key;
    uint64_t hash_mask; /* of which bits of a hash count: all, but in tests of collisions */
    PyObject *path_numbers;
    PyObject *shared_fields;
    Pool steps, paths, fields, rules, levels, buckets;
    uint32_t *present; /* the paths of the event being asked about; as long as there are paths */
    uint32_t present_count, present_room;
    uint32_t find_number;
    uint32_t rule_count;
    bool is_busy; /* a find goes on: nothing may change */
    Table table;
} Store;

#define STEP(store, number) ((Step *)pool_at(&(store)->steps, number))
#define PATH(store, number) ((Path *)pool_at(&(store)->paths, number))
#define FIELD(store, number) ((Field *)pool_at(&(store)->fields, number))
#define RULE(store, number) ((Rule *)pool_at(&(store)->rules, number))
#define LEVEL(store, number) ((Level *)pool_at(&(store)->levels, number))
#define BUCKET(store, number) ((Bucket *)pool_at(&(store)->buckets, number))

static inline const uint32_t *rule_fields(const Rule *rule)
{
    return rule->field_count <= FEW_FIELDS ? rule->few : rule->many;
}

static inline Filed *bucket_filed(Bucket *bucket) { return bucket->room == 0 ? bucket->few : bucket->many; }

/* paths.c. The number of a path, with one use more; 0 with an exception set. */
uint32_t path_obtain(Store *store, PyObject *name);
void path_release(Store *store, uint32_t number);
/* Notes the values of an event at all paths: 1; 0: this event is not for this index; -1: an exception is set. */
int paths_fill(Store *store, PyObject *event);
void paths_forget(Store *store);
void paths_clear(Store *store);

/* fields.c. The number of a field, with one use more; 0 with an exception set. */
uint32_t field_obtain(Store *store, PyObject *spec, bool is_shared);
void field_release(Store *store, uint32_t number);
void field_clear(Field *field);
/* Whether it holds for the event being asked about; -1: an exception is set. */
int field_holds(Store *store, Field *field);
bool text_equals(PyObject *one, PyObject *other);
bool text_begins(PyObject *text, PyObject *prefix);

/* filing.c */
uint64_t operand_hash(const Store *store, const Operand *operand);
/* Of a probe's text the first `detail` characters count, in the narrowest units, as Python keeps texts. False: no memory,
   with an exception set. */
bool text_hash(const Store *store, const Operand *operand, uint64_t *hash);
bool operand_equals(const Operand *filed, const Operand *probe);
double cell_of(double number, int32_t exponent);
/* False with an exception set: nothing is filed. */
bool file_rule(Store *store, uint32_t number);
void unfile_rule(Store *store, uint32_t number);
void filing_clear(Store *store);

/* levels.c. What a level looks up at a path: NULL where nothing is filed under it (or memory is out); made where there is
   none; dropped where nothing is left; one bucket more or less, -1: out of memory. */
const Use *find_use(const Store *store, uint32_t level, uint32_t path);
Use *obtain_use(Store *store, uint32_t level, uint32_t path);
void drop_use(Store *store, uint32_t level, Use *use);
int count_bucket(Use *use, const Operand *operand, int by);

/* find.c. Adds the ids of the rules that match, some maybe twice; -1 with an exception set. */
int find_rules(Store *store, PyObject *found);

#endif
