/* Hashes with a secret key, each step a multiplication to 128 bits folded to 64, as wyhash does it. Without the key nobody
   can choose texts that collide, and a collision costs time, never an answer: what is found is compared. */
#ifndef UPSHOT_HASH_H
#define UPSHOT_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "words.h"

#if !defined(__SIZEOF_INT128__)
#error "a compiler and a processor with 128-bit products are needed"
#endif

typedef struct {
    uint64_t words[4];
} HashKey;

static inline uint64_t hash_folded(uint64_t one, uint64_t other)
{
    __extension__ unsigned __int128 product = (unsigned __int128)one * other;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* The hash of two words and `size` bytes; the words must tell apart what has other sizes. Where the bytes are no multiple
   of what is read at once, some are read twice. */
static inline uint64_t hash_of(const HashKey *key, uint64_t one, uint64_t two, const void *bytes, size_t size)
{
    uint64_t state = hash_folded(one ^ key->words[0], two ^ key->words[1]);
    const unsigned char *at = bytes, *end = at + size;
    uint64_t first = 0, last = 0;
    if (size > 16) {
        for (; end - at > 16; at += 16)
            state = hash_folded(load_word(at) ^ key->words[2], load_word(at + 8) ^ state);
        first = load_word(end - 16);
        last = load_word(end - 8);
    }
    else if (size >= 8) {
        first = load_word(at);
        last = load_word(end - 8);
    }
    else if (size >= 4) {
        first = load_half_word(at);
        last = load_half_word(end - 4);
    }
    else if (size > 0)
        first = (uint64_t)at[0] << 16 | (uint64_t)at[size / 2] << 8 | end[-1];
    return hash_folded(hash_folded(first ^ key->words[2], last ^ state), key->words[3] ^ state);
}

#endif
