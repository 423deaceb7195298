/* The module `_kernel`: what Python sees of the kernel. No state of its own, so each interpreter may have one. */
#include <Python.h>

#include "index.h"
#include "reader.h"
#include "scan.h"

/* One more whenever what encode.py hands over, or what a type is made of, changes its meaning. */
enum { CONTRACT = 2 };

/* A digest of the sources and of the Python, by which an old build is known; scripts/kernel.py defines it. */
#ifndef UPSHOT_BUILT_FROM
#define UPSHOT_BUILT_FROM ""
#endif

static PyObject *is_lossless(PyObject *module, PyObject *raw)
{
    (void)module;
    if (!PyBytes_CheckExact(raw))
        Py_RETURN_FALSE;
    return PyBool_FromLong(
        scan_is_lossless((const unsigned char *)PyBytes_AS_STRING(raw), (size_t)PyBytes_GET_SIZE(raw)));
}

static PyMethodDef functions[] = {
    {"is_lossless", is_lossless, METH_O,
     "Whether nothing of a JSON text that the fast parser took can be lost; False: look closer."},
    {NULL, NULL, 0, NULL},
};

static int add_type(PyObject *module, PyType_Spec *spec)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    if (type == NULL)
        return -1;
    int status = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return status;
}

static int fill(PyObject *module)
{
    if (PyModule_AddIntConstant(module, "CONTRACT", CONTRACT) < 0 ||
        PyModule_AddStringConstant(module, "BUILT_FROM", UPSHOT_BUILT_FROM) < 0)
        return -1;
    return add_type(module, &reader_spec) < 0 || add_type(module, &index_spec) < 0 ? -1 : 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, fill},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "shared.matching.native._kernel",
    .m_doc = "The compiled part of the pattern index; see scan.c, reader.c and index.c.",
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModuleDef_Init(&definition); }
