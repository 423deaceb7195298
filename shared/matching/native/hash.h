/* Hashes with a secret key: the rounds of SipHash-1-3, as Python's own. Without the key nobody can choose texts that collide. */
#ifndef UPSHOT_HASH_H
#define UPSHOT_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    uint64_t first, second;
} HashKey;

static inline uint64_t hash_rotated(uint64_t word, int by) { return word << by | word >> (64 - by); }

static inline void hash_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = hash_rotated(v[1], 13) ^ v[0];
    v[3] = hash_rotated(v[3], 16) ^ v[2];
    v[0] = hash_rotated(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = hash_rotated(v[1], 17) ^ v[2];
    v[3] = hash_rotated(v[3], 21) ^ v[0];
    v[2] = hash_rotated(v[2], 32);
}

/* The hash of two words and `size` bytes; the words must tell apart what has other sizes. They are few and nobody's
   choice, so they only change where the rounds begin, which saves a third of them. */
static inline uint64_t hash_of(const HashKey *key, uint64_t one, uint64_t two, const void *bytes, size_t size)
{
    uint64_t v[4] = {
        key->first ^ 0x736f6d6570736575u ^ one,
        key->second ^ 0x646f72616e646f6du ^ two,
        key->first ^ 0x6c7967656e657261u,
        key->second ^ 0x7465646279746573u,
    };
    const unsigned char *at = bytes;
    while (size > 0) {
        uint64_t word = 0;
        size_t part = size < 8 ? size : 8;
        if (part == 8)
            memcpy(&word, at, 8);
        else
            memcpy(&word, at, part);
        v[3] ^= word;
        hash_round(v);
        v[0] ^= word;
        at += part;
        size -= part;
    }
    v[2] ^= 0xff;
    hash_round(v);
    hash_round(v);
    hash_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif
