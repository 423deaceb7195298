/* A callable that reads an event: the fast parser, and a scan for what it may have lost. */
#ifndef UPSHOT_READER_H
#define UPSHOT_READER_H

#include <Python.h>

extern PyType_Spec reader_spec;

#endif
