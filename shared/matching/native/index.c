/* `Index`: rules that consist of operators the kernel knows, and which of them an event matches.

       number = index.add(rule_id, fields)    # each (path, or_absent, operators), the one to file it under first
       index.connect(otherwise, beside)
       index.candidates(event)                # ids, each once; of events that it cannot take what `otherwise` says
       index.remove(number)

   Not safe for use from several threads at once: the GIL is held throughout. Python code runs within `find` only where
   an event has keys that are no plain strings; a change from there is refused. Within `add` it runs where what is told is
   none of encode.py's making; the rule has no number yet, then, that anybody could name. */
#include "index.h"

#include "store.h"

enum { COMPARED_MAX = 16 }; /* ids that are compared with each other; more go through a dictionary */

typedef struct {
    PyObject_HEAD
    PyObject *otherwise; /* otherwise(event): the ids, for events that are not for this index; or NULL */
    PyObject *beside;    /* beside(event, found) adds what this index does not know; or NULL: it knows all */
    Store store;
} Index;

static int make_key(HashKey *key)
{
    /* from Python's own secret, so that hashes differ from process to process as those of its dictionaries do */
    static const char *const texts[] = {
        "shared.matching.native.0", "shared.matching.native.1", "shared.matching.native.2", "shared.matching.native.3"};
    for (size_t each = 0; each < sizeof texts / sizeof *texts; each++) {
        PyObject *text = PyUnicode_FromString(texts[each]);
        if (text == NULL)
            return -1;
        key->words[each] = (uint64_t)PyObject_Hash(text);
        Py_DECREF(text);
    }
    return 0;
}

static PyObject *index_new(PyTypeObject *type, PyObject *arguments, PyObject *named)
{
    static char *names[] = {"hash_mask", NULL};
    unsigned long long hash_mask = UINT64_MAX;
    if (!PyArg_ParseTupleAndKeywords(arguments, named, "|$K", names, &hash_mask))
        return NULL;
    Index *self = (Index *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    Store *store = &self->store;
    store->hash_mask = hash_mask;
    store->steps.record_bytes = sizeof(Step);
    store->paths.record_bytes = sizeof(Path);
    store->fields.record_bytes = sizeof(Field);
    store->rules.record_bytes = sizeof(Rule);
    store->levels.record_bytes = sizeof(Level);
    store->buckets.record_bytes = sizeof(Bucket);
    store->path_numbers = PyDict_New();
    store->shared_fields = PyDict_New();
    if (store->path_numbers == NULL || store->shared_fields == NULL || make_key(&store->key) < 0)
        goto failed;
    if (pool_take(&store->steps) != ROOT_STEP || pool_take(&store->levels) != ROOT_LEVEL) {
        PyErr_NoMemory();
        goto failed;
    }
    return (PyObject *)self;
failed:
    Py_DECREF(self);
    return NULL;
}

static void drop_rule(Store *store, uint32_t number)
{
    PyObject *type, *value, *trace; /* what made it fail, if it did */
    PyErr_Fetch(&type, &value, &trace);
    Rule *rule = RULE(store, number);
    PyObject *id = rule->id;
    const uint32_t *fields = rule_fields(rule);
    for (uint32_t at = 0; at < rule->field_count; at++)
        if (fields[at] != 0)
            field_release(store, fields[at]);
    if (rule->field_count > FEW_FIELDS)
        PyMem_Free(rule->many);
    pool_give(&store->rules, number);
    store->rule_count--;
    PyErr_Restore(type, value, trace);
    Py_XDECREF(id); /* last: it may run any code */
}

static uint32_t make_rule(Store *store, PyObject *id, PyObject *specs)
{
    uint32_t number = pool_take(&store->rules);
    if (number == 0) {
        PyErr_NoMemory();
        return 0;
    }
    Rule *rule = RULE(store, number);
    uint32_t count = (uint32_t)PyTuple_GET_SIZE(specs);
    if (count > FEW_FIELDS) {
        rule->many = PyMem_Calloc(count, sizeof *rule->many);
        if (rule->many == NULL) {
            pool_give(&store->rules, number);
            PyErr_NoMemory();
            return 0;
        }
    }
    rule->field_count = count;
    store->rule_count++;
    uint32_t *fields = (uint32_t *)rule_fields(rule);
    for (uint32_t at = 0; at < count; at++) {
        /* the field that it is filed under is seldom another rule's, too */
        fields[at] = field_obtain(store, PyTuple_GET_ITEM(specs, (Py_ssize_t)at), at > 0);
        if (fields[at] == 0) {
            drop_rule(store, number);
            return 0;
        }
    }
    rule->id = Py_NewRef(id); /* it can be removed from now on */
    return number;
}

static bool may_change(const Store *store)
{
    if (store->is_busy)
        PyErr_SetString(PyExc_RuntimeError, "the index cannot change while it is asked");
    return !store->is_busy;
}

static PyObject *index_add(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
    Store *store = &((Index *)object)->store;
    if (count != 2 || !PyTuple_CheckExact(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "a rule's id and a tuple of fields are expected");
        return NULL;
    }
    if (!may_change(store))
        return NULL;
    Py_ssize_t fields = PyTuple_GET_SIZE(arguments[1]);
    if (fields < 1 || fields > FIELDS_MAX) {
        PyErr_SetString(PyExc_ValueError, "a rule has 1 to 16 fields");
        return NULL;
    }
    uint32_t number = make_rule(store, arguments[0], arguments[1]);
    if (number == 0)
        return NULL;
    if (!FIELD(store, rule_fields(RULE(store, number))[0])->can_file) {
        PyErr_SetString(PyExc_ValueError, "nothing leads to the first field");
        drop_rule(store, number);
        return NULL;
    }
    PyObject *told = PyLong_FromUnsignedLong(number);
    if (told == NULL || !file_rule(store, number)) {
        Py_XDECREF(told);
        drop_rule(store, number);
        return NULL;
    }
    return told;
}

static PyObject *index_remove(PyObject *object, PyObject *argument)
{
    Store *store = &((Index *)object)->store;
    unsigned long number = PyLong_AsUnsignedLong(argument);
    if ((number == (unsigned long)-1 && PyErr_Occurred()) || !may_change(store))
        return NULL;
    if (number == 0 || number >= store->rules.used || RULE(store, (uint32_t)number)->id == NULL) {
        PyErr_SetString(PyExc_KeyError, "no such rule");
        return NULL;
    }
    unfile_rule(store, (uint32_t)number);
    drop_rule(store, (uint32_t)number);
    Py_RETURN_NONE;
}

static void begin_find(Store *store)
{
    store->is_busy = true;
    if (++store->find_number != 0)
        return;
    store->find_number = 1; /* after four thousand million: nothing may seem to be of this one */
    for (uint32_t each = 1; each < store->paths.used; each++)
        PATH(store, each)->found_in = 0;
    for (uint32_t each = 1; each < store->fields.used; each++)
        FIELD(store, each)->asked_in = 0;
}

static PyObject *index_find(PyObject *object, PyObject *event)
{
    Store *store = &((Index *)object)->store;
    if (!PyDict_CheckExact(event) || store->is_busy)
        Py_RETURN_NONE;
    PyObject *found = PyList_New(0);
    if (found == NULL)
        return NULL;
    begin_find(store);
    int status = paths_fill(store, event);
    if (status > 0 && find_rules(store, found) < 0)
        status = -1;
    paths_forget(store);
    store->is_busy = false;
    if (status > 0)
        return found;
    Py_DECREF(found);
    if (status < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *index_connect(PyObject *object, PyObject *const *arguments, Py_ssize_t count)
{
    Index *self = (Index *)object;
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "two callables are expected, the second maybe None");
        return NULL;
    }
    Py_XSETREF(self->otherwise, Py_NewRef(arguments[0]));
    Py_XSETREF(self->beside, arguments[1] == Py_None ? NULL : Py_NewRef(arguments[1]));
    Py_RETURN_NONE;
}

/* Each once. Ids of one rule are one object, so those that are equal but not the same need not be thought of. */
static PyObject *without_repeats(PyObject *found)
{
    Py_ssize_t count = PyList_GET_SIZE(found);
    bool is_repeated = count > COMPARED_MAX;
    for (Py_ssize_t at = 1; at < count && !is_repeated; at++)
        for (Py_ssize_t before = 0; before < at; before++)
            is_repeated |= PyList_GET_ITEM(found, at) == PyList_GET_ITEM(found, before);
    if (!is_repeated)
        return found;
    PyObject *ids = PyDict_New(), *list = NULL;
    for (Py_ssize_t at = 0; ids != NULL && at < PyList_GET_SIZE(found); at++)
        if (PyDict_SetItem(ids, PyList_GET_ITEM(found, at), Py_None) < 0)
            Py_CLEAR(ids);
    if (ids != NULL)
        list = PyDict_Keys(ids);
    Py_XDECREF(ids);
    Py_DECREF(found);
    return list;
}

static PyObject *index_candidates(PyObject *object, PyObject *event)
{
    Index *self = (Index *)object;
    PyObject *found = index_find(object, event);
    if (found == Py_None && self->otherwise != NULL) {
        Py_DECREF(found);
        PyObject *otherwise = Py_NewRef(self->otherwise);
        found = PyObject_CallOneArg(otherwise, event);
        Py_DECREF(otherwise);
        return found;
    }
    if (found == NULL || found == Py_None)
        return found;
    if (self->beside != NULL) {
        PyObject *beside = Py_NewRef(self->beside), *both[] = {event, found};
        PyObject *told = PyObject_Vectorcall(beside, both, 2, NULL);
        Py_DECREF(beside);
        if (told == NULL) {
            Py_DECREF(found);
            return NULL;
        }
        Py_DECREF(told);
    }
    return without_repeats(found);
}

static Py_ssize_t index_length(PyObject *object) { return ((Index *)object)->store.rule_count; }

static PyObject *index_is_bare(PyObject *object, void *closure)
{
    (void)closure;
    const Store *store = &((Index *)object)->store;
    if (store->path_numbers == NULL) /* the collector has taken everything */
        Py_RETURN_TRUE;
    const Level *root = LEVEL(store, ROOT_LEVEL);
    return PyBool_FromLong(store->rule_count == 0 && root->bucket_count == 0 && root->use_count == 0 &&
                           STEP(store, ROOT_STEP)->edges == NULL && PyDict_GET_SIZE(store->path_numbers) == 0 &&
                           PyDict_GET_SIZE(store->shared_fields) == 0);
}

static int index_traverse(PyObject *object, visitproc visit, void *arg)
{
    Store *store = &((Index *)object)->store;
    Py_VISIT(Py_TYPE(object));
    /* All else that is held are texts and numbers, and tuples of these: no cycle goes through them. */
    Py_VISIT(((Index *)object)->otherwise);
    Py_VISIT(((Index *)object)->beside);
    Py_VISIT(store->path_numbers);
    Py_VISIT(store->shared_fields);
    for (uint32_t each = 1; each < store->rules.used; each++)
        Py_VISIT(RULE(store, each)->id);
    return 0;
}

/* Lets go of everything: the collector calls it on what nobody can reach, so nobody asks afterwards but finalizers. */
static int index_clear(PyObject *object)
{
    Store *store = &((Index *)object)->store;
    Pool rules = store->rules, fields = store->fields;
    store->rules = (Pool){.record_bytes = sizeof(Rule)};
    store->fields = (Pool){.record_bytes = sizeof(Field)};
    store->rule_count = 0;
    store->is_busy = true; /* for good: it answers None, and takes no rule */
    Py_CLEAR(((Index *)object)->otherwise);
    Py_CLEAR(((Index *)object)->beside);
    filing_clear(store);
    paths_clear(store);
    Py_CLEAR(store->path_numbers);
    Py_CLEAR(store->shared_fields);
    for (uint32_t each = 1; each < fields.used; each++)
        field_clear(pool_at(&fields, each));
    pool_clear(&fields);
    for (uint32_t each = 1; each < rules.used; each++) {
        Rule *rule = pool_at(&rules, each);
        if (rule->id == NULL)
            continue;
        if (rule->field_count > FEW_FIELDS)
            PyMem_Free(rule->many);
        Py_CLEAR(rule->id);
    }
    pool_clear(&rules);
    return 0;
}

static void index_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    index_clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef index_methods[] = {
    {"add", (PyCFunction)(void (*)(void))index_add, METH_FASTCALL, "Add a rule; its number, by which to remove it."},
    {"remove", index_remove, METH_O, "Take a rule out by its number."},
    {"connect", (PyCFunction)(void (*)(void))index_connect, METH_FASTCALL,
     "Say who answers for other events, and who adds what this index does not know (None: nothing)."},
    {"candidates", index_candidates, METH_O, "The ids of the rules that match, each once."},
    {"find", index_find, METH_O, "The ids of the rules that match, some maybe twice; None: ask another index."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "What ids are, for type checkers."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef index_members[] = {
    {"is_bare", index_is_bare, NULL, "Whether nothing of any rule is left.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot index_slots[] = {
    {Py_tp_doc, "Rules of operators that the kernel knows."},
    {Py_tp_new, index_new},
    {Py_tp_traverse, index_traverse},
    {Py_tp_clear, index_clear},
    {Py_tp_dealloc, index_dealloc},
    {Py_tp_methods, index_methods},
    {Py_tp_getset, index_members},
    {Py_sq_length, index_length},
    {0, NULL},
};

PyType_Spec index_spec = {
    .name = "shared.matching.native._kernel.Index",
    .basicsize = sizeof(Index),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = index_slots,
};
