/* What a field asks of the one plain value at its path: its operators, of which one must hold, or that there is none.

   A spec, as encode.py writes it: (path, or_absent, ((kind, …), …)). Equal specs of several rules share one field, whose
   answer is kept as long as the event is the same. */
#include "store.h"

#include <math.h>

enum { TEXTS_COMPARED_MAX = 8 };

static bool is_text(PyObject *object) { return PyUnicode_CheckExact(object); }

static int double_of(PyObject *object, double *number)
{
    if (!PyFloat_CheckExact(object) || isnan(PyFloat_AS_DOUBLE(object))) {
        PyErr_SetString(PyExc_TypeError, "an operator's numbers are floats");
        return -1;
    }
    *number = PyFloat_AS_DOUBLE(object) + 0.0; /* of both zeros the positive one */
    return 0;
}

static int read_texts(Operator *operator, PyObject *texts)
{
    if (!PyTuple_CheckExact(texts)) {
        PyErr_SetString(PyExc_TypeError, "texts are a tuple");
        return -1;
    }
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(texts); at++)
        if (!is_text(PyTuple_GET_ITEM(texts, at))) {
            PyErr_SetString(PyExc_TypeError, "texts are strings");
            return -1;
        }
    operator->object = PyTuple_GET_SIZE(texts) > TEXTS_COMPARED_MAX ? PyFrozenSet_New(texts) : Py_NewRef(texts);
    return operator->object == NULL ? -1 : 0;
}

static int read_numbers(Operator *operator, PyObject *numbers)
{
    if (!PyTuple_CheckExact(numbers)) {
        PyErr_SetString(PyExc_TypeError, "numbers are a tuple");
        return -1;
    }
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(numbers); at++) {
        double ignored;
        if (double_of(PyTuple_GET_ITEM(numbers, at), &ignored) < 0)
            return -1;
    }
    operator->object = Py_NewRef(numbers);
    return 0;
}

static int read_operator(Operator *operator, PyObject *entry)
{
    static const int sizes[OP_KINDS] = {2, 2, 2, 4, 2, 1, 2, 2, 2};
    if (!PyTuple_CheckExact(entry) || PyTuple_GET_SIZE(entry) < 1 || !PyLong_CheckExact(PyTuple_GET_ITEM(entry, 0)))
        goto unknown;
    long kind = PyLong_AsLong(PyTuple_GET_ITEM(entry, 0));
    if (kind < 0 || kind >= OP_KINDS || PyTuple_GET_SIZE(entry) != sizes[kind])
        goto unknown;
    operator->kind = (uint8_t)kind;
    PyObject *operand = kind == OP_EXISTS ? NULL : PyTuple_GET_ITEM(entry, 1);
    switch ((OperatorKind)kind) {
    case OP_TEXT:
    case OP_PREFIX:
    case OP_SUFFIX:
        if (!is_text(operand))
            goto unknown;
        operator->object = Py_NewRef(operand);
        return 0;
    case OP_NUMBER:
        return double_of(operand, &operator->low);
    case OP_RANGE:
    case OP_CONSTANT: {
        PyObject *flags = PyTuple_GET_ITEM(entry, kind == OP_RANGE ? 3 : 1);
        long value = PyLong_CheckExact(flags) ? PyLong_AsLong(flags) : -1;
        if (value < 0 || value > 3 || (kind == OP_CONSTANT && value > VALUE_TRUE))
            goto unknown;
        operator->flags = (uint8_t)value;
        if (kind == OP_CONSTANT)
            return 0;
        return double_of(operand, &operator->low) < 0 ? -1 : double_of(PyTuple_GET_ITEM(entry, 2), &operator->high);
    }
    case OP_NOT_TEXTS:
        return read_texts(operator, operand);
    case OP_NOT_NUMBERS:
        return read_numbers(operator, operand);
    case OP_EXISTS:
        return 0;
    case OP_KINDS:
        break;
    }
unknown:
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_TypeError, "no such operator");
    return -1;
}

static bool owns_object(const Operator *operator)
{
    return operator->kind == OP_TEXT || operator->kind == OP_PREFIX || operator->kind == OP_SUFFIX ||
           operator->kind == OP_NOT_TEXTS || operator->kind == OP_NOT_NUMBERS;
}

/* Whether values lead to it: all but what holds for nearly everything, and ranges that no cell is wide enough for. */
static bool can_file(const Operator *operator)
{
    int exponent;
    switch ((OperatorKind)operator->kind) {
    case OP_TEXT:
    case OP_NUMBER:
    case OP_CONSTANT:
        return true;
    case OP_PREFIX:
        return PyUnicode_GET_LENGTH(operator->object) > 0;
    case OP_RANGE:
        if (!isfinite(operator->high - operator->low) || operator->low >= operator->high)
            return false;
        (void)frexp(operator->high - operator->low, &exponent);
        return exponent < 1022;
    default:
        return false;
    }
}

void field_clear(Field *field)
{
    for (int at = 0; field->operators != NULL && at < field->operator_count; at++)
        if (owns_object(&field->operators[at]))
            Py_CLEAR(field->operators[at].object);
    if (field->operators != &field->one)
        PyMem_Free(field->operators);
    field->operators = NULL;
    Py_CLEAR(field->spec);
}

static int read_operators(Field *field, PyObject *entries)
{
    Py_ssize_t count = PyTuple_GET_SIZE(entries);
    field->operators = count == 1 ? &field->one : PyMem_Calloc(count > 0 ? (size_t)count : 1, sizeof(Operator));
    if (field->operators == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    field->can_file = count > 0 && !field->or_absent;
    for (Py_ssize_t at = 0; at < count; at++) {
        if (read_operator(&field->operators[at], PyTuple_GET_ITEM(entries, at)) < 0) {
            field->operators[at].kind = OP_EXISTS; /* which owns nothing */
            field->operator_count = (uint8_t)at;
            return -1;
        }
        field->operator_count = (uint8_t)(at + 1);
        if (!can_file(&field->operators[at]))
            field->can_file = false;
    }
    return 0;
}

uint32_t field_obtain(Store *store, PyObject *spec, bool is_shared)
{
    if (is_shared) {
        PyObject *known = PyDict_GetItemWithError(store->shared_fields, spec);
        if (known != NULL) {
            uint32_t number = (uint32_t)PyLong_AsUnsignedLong(known);
            FIELD(store, number)->uses++;
            return number;
        }
        if (PyErr_Occurred())
            return 0;
    }
    if (!PyTuple_CheckExact(spec) || PyTuple_GET_SIZE(spec) != 3 || !is_text(PyTuple_GET_ITEM(spec, 0)) ||
        !PyBool_Check(PyTuple_GET_ITEM(spec, 1)) || !PyTuple_CheckExact(PyTuple_GET_ITEM(spec, 2)) ||
        PyTuple_GET_SIZE(PyTuple_GET_ITEM(spec, 2)) > OPERATORS_MAX) {
        PyErr_SetString(PyExc_TypeError, "a field is (path, or_absent, operators)");
        return 0;
    }
    uint32_t number = pool_take(&store->fields);
    if (number == 0) {
        PyErr_NoMemory();
        return 0;
    }
    Field *field = FIELD(store, number);
    field->uses = 1;
    field->or_absent = PyTuple_GET_ITEM(spec, 1) == Py_True;
    if (read_operators(field, PyTuple_GET_ITEM(spec, 2)) < 0)
        goto failed;
    field->path = path_obtain(store, PyTuple_GET_ITEM(spec, 0));
    if (field->path == 0)
        goto failed;
    if (is_shared) {
        PyObject *value = PyLong_FromUnsignedLong(number);
        int status = value == NULL ? -1 : PyDict_SetItem(store->shared_fields, spec, value);
        Py_XDECREF(value);
        if (status < 0)
            goto failed;
        field->spec = Py_NewRef(spec);
    }
    return number;
failed:
    if (field->path != 0)
        path_release(store, field->path);
    field_clear(field);
    pool_give(&store->fields, number);
    return 0;
}

void field_release(Store *store, uint32_t number)
{
    Field *field = FIELD(store, number);
    if (--field->uses > 0)
        return;
    if (field->spec != NULL && PyDict_DelItem(store->shared_fields, field->spec) < 0)
        PyErr_Clear(); /* deleting a key that is there needs no memory */
    path_release(store, field->path);
    field_clear(field);
    pool_give(&store->fields, number);
}

bool text_equals(PyObject *one, PyObject *other)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(one);
    int kind = (int)PyUnicode_KIND(one);
    return one == other || (length == PyUnicode_GET_LENGTH(other) && kind == (int)PyUnicode_KIND(other) &&
                            memcmp(PyUnicode_DATA(one), PyUnicode_DATA(other), (size_t)(length * kind)) == 0);
}

/* Whether `part` stands in `text` from `from` on; both may be kept in units of different width. */
static bool stands_at(PyObject *text, Py_ssize_t from, PyObject *part)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(part);
    if (from < 0 || length > PyUnicode_GET_LENGTH(text) - from)
        return false;
    int kind = (int)PyUnicode_KIND(text), part_kind = (int)PyUnicode_KIND(part);
    const char *data = PyUnicode_DATA(text);
    const void *part_data = PyUnicode_DATA(part);
    if (kind == part_kind)
        return memcmp(data + from * kind, part_data, (size_t)(length * kind)) == 0;
    for (Py_ssize_t at = 0; at < length; at++)
        if (PyUnicode_READ(kind, data, from + at) != PyUnicode_READ(part_kind, part_data, at))
            return false;
    return true;
}

bool text_begins(PyObject *text, PyObject *prefix) { return stands_at(text, 0, prefix); }

static int is_among_texts(PyObject *texts, PyObject *text)
{
    if (!PyTuple_CheckExact(texts))
        return PySet_Contains(texts, text);
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(texts); at++)
        if (text_equals(PyTuple_GET_ITEM(texts, at), text))
            return 1;
    return 0;
}

static bool is_among_numbers(PyObject *numbers, double number)
{
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(numbers); at++)
        if (PyFloat_AS_DOUBLE(PyTuple_GET_ITEM(numbers, at)) == number)
            return true;
    return false;
}

static bool spans(const Operator *range, double number)
{
    if (number <= range->low)
        return number == range->low && (range->flags & LOW_INCLUDED);
    if (number >= range->high)
        return number == range->high && (range->flags & HIGH_INCLUDED);
    return true;
}

static int operator_holds(const Operator *operator, const Path *value)
{
    bool is_number = value->kind == VALUE_NUMBER;
    PyObject *text = value->kind == VALUE_TEXT ? value->text : NULL;
    switch ((OperatorKind)operator->kind) {
    case OP_TEXT:
        return text != NULL && text_equals(operator->object, text);
    case OP_PREFIX:
        return text != NULL && text_begins(text, operator->object);
    case OP_SUFFIX:
        return text != NULL &&
               stands_at(text, PyUnicode_GET_LENGTH(text) - PyUnicode_GET_LENGTH(operator->object), operator->object);
    case OP_NUMBER:
        return is_number && value->number == operator->low;
    case OP_RANGE:
        return is_number && spans(operator, value->number);
    case OP_CONSTANT:
        return value->kind == operator->flags;
    case OP_EXISTS:
        return 1;
    case OP_NOT_TEXTS: {
        int is_among = text == NULL ? 0 : is_among_texts(operator->object, text);
        return is_among < 0 ? -1 : !is_among;
    }
    case OP_NOT_NUMBERS:
        return !is_number || !is_among_numbers(operator->object, value->number);
    case OP_KINDS:
        break;
    }
    return 0;
}

int field_holds(Store *store, Field *field)
{
    if (field->asked_in == store->find_number)
        return field->holds;
    const Path *value = PATH(store, field->path);
    int holds = 0;
    if (value->found_in != store->find_number)
        holds = field->or_absent;
    else
        for (int at = 0; at < field->operator_count && holds == 0; at++)
            holds = operator_holds(&field->operators[at], value);
    if (holds < 0)
        return -1;
    field->asked_in = store->find_number;
    field->holds = (uint8_t)holds;
    return holds;
}
