/* The paths that rules name as a tree of keys, and the walk of an event along them.

   A path's keys are joined by dots, and an event's key may itself contain dots: wherever such a key would lead on, the
   tree has an edge that says so, and an event that has one is left to the index in Python, as is one with an array on
   the way or a number that a double cannot hold. */
#include "store.h"

enum {
    EDGES_MIN = 4,
    KEYS_PER_EDGE = 4, /* an object's key is found among the edges four times as fast as an edge among its keys */
};

static const int64_t exact_integer_max = (int64_t)1 << 53;

static inline Edge *find_edge(const Step *step, PyObject *key, Py_hash_t hash)
{
    if (step->edges == NULL)
        return NULL;
    for (size_t at = (size_t)hash;; at++) {
        Edge *edge = &step->edges[at & step->mask];
        if (edge->key == NULL)
            return NULL;
        if (edge->key == key || (edge->hash == hash && text_equals(edge->key, key)))
            return edge;
    }
}

static int grow_edges(Step *step)
{
    uint32_t before = step->edges == NULL ? 0 : step->mask + 1;
    uint32_t count = before == 0 ? EDGES_MIN : before * 2;
    Edge *edges = PyMem_Calloc(count, sizeof *edges);
    if (edges == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (uint32_t each = 0; each < before; each++) {
        Edge *edge = &step->edges[each];
        if (edge->key == NULL)
            continue;
        size_t at = (size_t)edge->hash;
        while (edges[at & (count - 1)].key != NULL)
            at++;
        edges[at & (count - 1)] = *edge;
    }
    PyMem_Free(step->edges);
    step->edges = edges;
    step->mask = count - 1;
    return 0;
}

/* One use more of a key at a step; `leads_on`: to a step, which is made if it has none. The step's number, or 0: a key
   with dots, or with an exception set a failure. */
static uint32_t use_edge(Store *store, uint32_t from, PyObject *key, bool leads_on)
{
    Step *step = STEP(store, from);
    Py_hash_t hash = PyObject_Hash(key);
    Edge *edge = find_edge(step, key, hash);
    if (edge != NULL) {
        edge->uses++;
        return edge->step;
    }
    uint32_t room = step->edges == NULL ? 0 : step->mask + 1;
    if ((step->edge_count + 1) * 2 > room && grow_edges(step) < 0)
        return 0;
    uint32_t next = 0;
    if (leads_on && (next = pool_take(&store->steps)) == 0) {
        PyErr_NoMemory();
        return 0;
    }
    size_t at = (size_t)hash;
    while (step->edges[at & step->mask].key != NULL)
        at++;
    step->edges[at & step->mask] = (Edge){.hash = hash, .key = Py_NewRef(key), .step = next, .uses = 1};
    step->edge_count++;
    return next;
}

/* One use less; the edge and what it leads to go with the last. */
static void leave_edge(Store *store, uint32_t from, PyObject *key)
{
    Step *step = STEP(store, from);
    Edge *edge = find_edge(step, key, PyObject_Hash(key));
    if (edge == NULL || --edge->uses > 0)
        return;
    if (edge->step != 0)
        pool_give(&store->steps, edge->step);
    PyObject *owned = edge->key;
    size_t hole = (size_t)(edge - step->edges);
    for (size_t at = (hole + 1) & step->mask; step->edges[at].key != NULL; at = (at + 1) & step->mask) {
        size_t home = (size_t)step->edges[at].hash & step->mask;
        if (((at - home) & step->mask) >= ((at - hole) & step->mask)) {
            step->edges[hole] = step->edges[at];
            hole = at;
        }
    }
    step->edges[hole] = (Edge){0};
    if (--step->edge_count == 0) {
        PyMem_Free(step->edges);
        step->edges = NULL;
        step->mask = 0;
    }
    Py_DECREF(owned);
}

/* Where each key of a path begins, and behind the last where one more would. Their count, 0: too many. */
static int split(PyObject *name, Py_ssize_t begins[KEYS_MAX + 1])
{
    int count = 1;
    Py_ssize_t length = PyUnicode_GET_LENGTH(name);
    begins[0] = 0;
    for (Py_ssize_t at = 0; at < length; at++)
        if (PyUnicode_READ_CHAR(name, at) == '.') {
            if (count == KEYS_MAX)
                return 0;
            begins[count++] = at + 1;
        }
    begins[count] = length + 1;
    return count;
}

static void leave_edges(Store *store, Path *path)
{
    while (path->edge_count > 0) { /* the last first: a step goes with its edge */
        Passed *passed = &path->edges[--path->edge_count];
        leave_edge(store, passed->step, passed->key);
        Py_DECREF(passed->key);
    }
    PyMem_Free(path->edges);
    path->edges = NULL;
}

/* Adds every edge of a path: through its keys, and from each step on each way that joins several of them. */
static int use_edges(Store *store, Path *path, uint32_t number)
{
    Py_ssize_t begins[KEYS_MAX + 1];
    uint32_t steps[KEYS_MAX + 1] = {ROOT_STEP};
    int count = split(path->name, begins);
    if (count == 0) {
        PyErr_SetString(PyExc_ValueError, "the path has too many keys");
        return -1;
    }
    path->edges = PyMem_Calloc((size_t)(count * (count + 1) / 2), sizeof *path->edges);
    if (path->edges == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (int last = 0; last < count; last++)
        for (int first = last; first >= 0; first--) {
            PyObject *key = PyUnicode_Substring(path->name, begins[first], begins[last + 1] - 1);
            if (key == NULL)
                goto failed;
            uint32_t next = use_edge(store, steps[first], key, first == last);
            if (next == 0 && PyErr_Occurred()) {
                Py_DECREF(key);
                goto failed;
            }
            if (first == last)
                steps[last + 1] = next;
            path->edges[path->edge_count++] = (Passed){.step = steps[first], .key = key};
        }
    path->step = steps[count];
    STEP(store, path->step)->path = number;
    return 0;
failed:
    leave_edges(store, path);
    return -1;
}

static int make_room_for_present(Store *store)
{
    if (store->present_room > store->paths.used)
        return 0;
    uint32_t room = store->paths.used * 2 + 16;
    uint32_t *present = PyMem_Realloc(store->present, room * sizeof *present);
    if (present == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    store->present = present;
    store->present_room = room;
    return 0;
}

uint32_t path_obtain(Store *store, PyObject *name)
{
    PyObject *known = PyDict_GetItemWithError(store->path_numbers, name);
    if (known != NULL) {
        uint32_t number = (uint32_t)PyLong_AsUnsignedLong(known);
        PATH(store, number)->uses++;
        return number;
    }
    if (PyErr_Occurred() || make_room_for_present(store) < 0)
        return 0;
    uint32_t number = pool_take(&store->paths);
    if (number == 0) {
        PyErr_NoMemory();
        return 0;
    }
    Path *path = PATH(store, number);
    path->name = Py_NewRef(name);
    path->uses = 1;
    if (use_edges(store, path, number) == 0) {
        PyObject *value = PyLong_FromUnsignedLong(number);
        int status = value == NULL ? -1 : PyDict_SetItem(store->path_numbers, name, value);
        Py_XDECREF(value);
        if (status == 0)
            return number;
        STEP(store, path->step)->path = 0;
        leave_edges(store, path);
    }
    Py_CLEAR(path->name);
    pool_give(&store->paths, number);
    return 0;
}

void path_release(Store *store, uint32_t number)
{
    Path *path = PATH(store, number);
    if (--path->uses > 0)
        return;
    if (PyDict_DelItem(store->path_numbers, path->name) < 0)
        PyErr_Clear(); /* deleting a key that is there needs no memory */
    STEP(store, path->step)->path = 0;
    leave_edges(store, path);
    Py_CLEAR(path->name);
    pool_give(&store->paths, number);
}

void paths_clear(Store *store)
{
    for (uint32_t each = 1; each < store->paths.used; each++) {
        Path *path = PATH(store, each);
        if (path->name == NULL)
            continue;
        leave_edges(store, path);
        Py_CLEAR(path->name);
    }
    pool_clear(&store->paths);
    pool_clear(&store->steps);
    PyMem_Free(store->present);
    store->present = NULL;
    store->present_room = 0;
}

/* Until Python 3.12 a text of the old C interface may have no characters yet. */
static inline bool is_ready(PyObject *text)
{
#if PY_VERSION_HEX < 0x030C0000
    return PyUnicode_IS_READY(text);
#else
    (void)text;
    return true;
#endif
}

/* What a scalar is to a path; false: nothing that this index compares exactly. */
static bool read_scalar(Path *path, PyObject *value)
{
    if (PyUnicode_CheckExact(value)) {
        if (!is_ready(value))
            return false;
        path->kind = VALUE_TEXT;
        path->text = Py_NewRef(value);
    }
    else if (PyLong_CheckExact(value)) {
        int overflow;
        long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
        if (overflow != 0 || number > exact_integer_max || number < -exact_integer_max)
            return false;
        path->kind = VALUE_NUMBER;
        path->number = (double)number;
    }
    else if (PyFloat_CheckExact(value)) {
        path->kind = VALUE_NUMBER;
        path->number = PyFloat_AS_DOUBLE(value) + 0.0; /* of both zeros the positive one */
    }
    else if (value == Py_None)
        path->kind = VALUE_NULL;
    else if (value == Py_True)
        path->kind = VALUE_TRUE;
    else if (value == Py_False)
        path->kind = VALUE_FALSE;
    else
        return false;
    return true;
}

static int walk(Store *store, uint32_t number, PyObject *object);

static inline int follow(Store *store, const Edge *edge, PyObject *value)
{
    if (edge->step == 0)
        return 0;
    const Step *step = STEP(store, edge->step);
    if (PyDict_CheckExact(value))
        return step->edges == NULL ? 1 : walk(store, edge->step, value);
    if (step->path == 0)
        return PyUnicode_CheckExact(value) || PyLong_Check(value) || PyFloat_CheckExact(value) || value == Py_None;
    Path *path = PATH(store, step->path);
    if (path->found_in == store->find_number || !read_scalar(path, value))
        return 0; /* found before: the event was changed while it was walked */
    path->found_in = store->find_number;
    store->present[store->present_count++] = step->path;
    return 1;
}

static int walk_edges(Store *store, const Step *step, PyObject *object)
{
    int status = 1;
    for (uint32_t at = 0; at <= step->mask && status == 1; at++) {
        const Edge *edge = &step->edges[at];
        if (edge->key == NULL)
            continue;
        PyObject *value = PyDict_GetItemWithError(object, edge->key);
        if (value != NULL) {
            Py_INCREF(value);
            status = follow(store, edge, value);
            Py_DECREF(value);
        }
        else if (PyErr_Occurred())
            status = -1;
    }
    return status;
}

static int walk_keys(Store *store, const Step *step, PyObject *object)
{
    int status = 1;
    Py_ssize_t at = 0;
    PyObject *key, *value;
    while (status == 1 && PyDict_Next(object, &at, &key, &value)) {
        if (!PyUnicode_CheckExact(key) || !is_ready(key))
            return 0;
        Py_hash_t hash = ((PyASCIIObject *)key)->hash;
        Edge *edge = find_edge(step, key, hash != -1 ? hash : PyObject_Hash(key));
        if (edge == NULL)
            continue;
        if (edge->key != key) /* parsers keep the keys they have seen: the next event's is this very object */
            Py_SETREF(edge->key, Py_NewRef(key));
        status = follow(store, edge, value);
    }
    return status;
}

/* Through the keys that rules name here, or the object's own, whichever costs less. Looking rules' keys up may run Python
   code where an event that was put together by hand has keys that are no plain strings; so whatever is walked is held. */
static int walk(Store *store, uint32_t number, PyObject *object)
{
    const Step *step = STEP(store, number);
    bool is_wide = (uint64_t)step->edge_count * KEYS_PER_EDGE < (uint64_t)PyDict_GET_SIZE(object);
    Py_INCREF(object);
    int status = is_wide ? walk_edges(store, step, object) : walk_keys(store, step, object);
    Py_DECREF(object);
    return status;
}

int paths_fill(Store *store, PyObject *event)
{
    store->present_count = 0;
    return STEP(store, ROOT_STEP)->edges == NULL ? 1 : walk(store, ROOT_STEP, event);
}

void paths_forget(Store *store)
{
    for (uint32_t each = 0; each < store->present_count; each++)
        Py_CLEAR(PATH(store, store->present[each])->text);
    store->present_count = 0;
}
