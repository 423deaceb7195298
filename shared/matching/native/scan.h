/* Whether a parser that drops digits and hides duplicate members can have done so. */
#ifndef UPSHOT_SCAN_H
#define UPSHOT_SCAN_H

#include <stdbool.h>
#include <stddef.h>

/* True: nothing of this JSON text can have been lost. False: look closer, something may have been. Reads `length` bytes
   and no others, whatever they are; what it says of bytes that are no JSON means nothing. */
bool scan_is_lossless(const unsigned char *text, size_t length);

#endif
