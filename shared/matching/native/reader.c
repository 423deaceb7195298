/* `Reader(parse, closer, otherwise)(raw)`: the object that `parse` makes of bytes of which nothing can be lost. Where
   something may be, what `closer` says of the bytes and what was parsed; where they were not even parsed, what `otherwise`
   says of them. A call costs the parse, the scan and 20 ns. */
#include "reader.h"

#include "scan.h"

#include <stddef.h>
#include <structmember.h>

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *parse;
    PyObject *closer;
    PyObject *otherwise;
} Reader;

static PyObject *reader_call(PyObject *callable, PyObject *const *arguments, size_t flags, PyObject *names)
{
    Reader *self = (Reader *)callable;
    if (PyVectorcall_NARGS(flags) != 1 || (names != NULL && PyTuple_GET_SIZE(names) != 0)) {
        PyErr_SetString(PyExc_TypeError, "one argument is expected: bytes");
        return NULL;
    }
    PyObject *raw = arguments[0];
    if (PyBytes_CheckExact(raw)) {
        PyObject *root = PyObject_Vectorcall(self->parse, arguments, 1, NULL);
        if (root == NULL) {
            if (!PyErr_ExceptionMatches(PyExc_ValueError))
                return NULL;
            PyErr_Clear(); /* it may be JSON all the same: `otherwise` knows */
        }
        else {
            const unsigned char *text = (const unsigned char *)PyBytes_AS_STRING(raw);
            if (PyDict_CheckExact(root) && scan_is_lossless(text, (size_t)PyBytes_GET_SIZE(raw)))
                return root;
            PyObject *both[] = {raw, root};
            PyObject *read = PyObject_Vectorcall(self->closer, both, 2, NULL);
            Py_DECREF(root);
            return read;
        }
    }
    return PyObject_Vectorcall(self->otherwise, arguments, 1, NULL);
}

static PyObject *reader_new(PyTypeObject *type, PyObject *arguments, PyObject *named)
{
    static char *names[] = {"parse", "closer", "otherwise", NULL};
    PyObject *parse, *closer, *otherwise;
    if (!PyArg_ParseTupleAndKeywords(arguments, named, "OOO", names, &parse, &closer, &otherwise))
        return NULL;
    Reader *self = (Reader *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->call = reader_call;
    self->parse = Py_NewRef(parse);
    self->closer = Py_NewRef(closer);
    self->otherwise = Py_NewRef(otherwise);
    return (PyObject *)self;
}

static int reader_traverse(PyObject *object, visitproc visit, void *arg)
{
    Reader *self = (Reader *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->parse);
    Py_VISIT(self->closer);
    Py_VISIT(self->otherwise);
    return 0;
}

static int reader_clear(PyObject *object)
{
    Reader *self = (Reader *)object;
    /* None rather than NULL: what is unreachable may still be called by finalizers */
    Py_SETREF(self->parse, Py_NewRef(Py_None));
    Py_SETREF(self->closer, Py_NewRef(Py_None));
    Py_SETREF(self->otherwise, Py_NewRef(Py_None));
    return 0;
}

static void reader_dealloc(PyObject *object)
{
    Reader *self = (Reader *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    Py_CLEAR(self->parse);
    Py_CLEAR(self->closer);
    Py_CLEAR(self->otherwise);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef reader_methods[] = {
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "What is read, for type checkers."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef reader_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Reader, call), READONLY, NULL},
    {NULL},
};

static PyType_Slot reader_slots[] = {
    {Py_tp_doc, "Reads an event: the parser's object where nothing of it can be lost, else what a closer look makes of it."},
    {Py_tp_new, reader_new},
    {Py_tp_traverse, reader_traverse},
    {Py_tp_clear, reader_clear},
    {Py_tp_dealloc, reader_dealloc},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_members, reader_members},
    {Py_tp_methods, reader_methods},
    {0, NULL},
};

PyType_Spec reader_spec = {
    .name = "shared.matching.native._kernel.Reader",
    .basicsize = sizeof(Reader),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = reader_slots,
};
