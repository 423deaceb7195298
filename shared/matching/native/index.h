/* The Python type `Index`. */
#ifndef UPSHOT_INDEX_H
#define UPSHOT_INDEX_H

#include <Python.h>

extern PyType_Spec index_spec;

#endif
