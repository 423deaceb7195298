/* Words from wherever they lie, aligned or not. */
#ifndef UPSHOT_WORDS_H
#define UPSHOT_WORDS_H

#include <stdint.h>
#include <string.h>

static inline uint64_t load_word(const unsigned char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline uint64_t load_half_word(const unsigned char *at)
{
    uint32_t half;
    memcpy(&half, at, sizeof half);
    return half;
}

#endif
