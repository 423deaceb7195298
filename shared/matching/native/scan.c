/* One pass over a JSON text, in the safe direction only: it says "nothing lost" of what surely survives a fast parser.

   Two things do not survive: digits beyond a double's (or a 64-bit integer's), and members whose name comes twice. So
   numbers are counted digit by digit, and the names of each open object are remembered by a hash. Equal names have equal
   hashes, so no duplicate is missed; equal hashes of different names cost a closer look and no more. */
#include "scan.h"

#include <stdint.h>
#include <string.h>

enum {
    DEPTH_MAX = 250,      /* as event.py's: the slow ways refuse what is nested deeper */
    MEMBERS_MAX = 256,    /* of one object: names are compared with all before them */
    NAMES_MAX = 1024,     /* of all open objects together */
    INTEGER_DIGITS = 18,  /* any integer of so many fits 64 bits */
    DECIMAL_DIGITS = 15,  /* any decimal of so many survives its double */
    LARGE_EXPONENT_DIGITS = 3,
    SMALL_EXPONENT_DIGITS = 2, /* near 1e-308 even short decimals do not survive */
};

#define ONES 0x0101010101010101u
#define HIGHS 0x8080808080808080u

static inline uint64_t load_word(const unsigned char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* The high bit of each byte that is a quote or a backslash; above the first of them some others may be set, too. */
static inline uint64_t ends_of_text(uint64_t word)
{
    uint64_t quotes = word ^ (ONES * '"');
    uint64_t escapes = word ^ (ONES * '\\');
    return (((quotes - ONES) & ~quotes) | ((escapes - ONES) & ~escapes)) & HIGHS;
}

/* The first quote or backslash, or `end`. */
static inline const unsigned char *skip_text(const unsigned char *at, const unsigned char *end)
{
    while (end - at >= 8) {
        uint64_t found = ends_of_text(load_word(at));
        if (found != 0) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
            return at + (__builtin_ctzll(found) >> 3);
#else
            break;
#endif
        }
        at += 8;
    }
    while (at < end && *at != '"' && *at != '\\')
        at++;
    return at;
}

/* Names of up to eight bytes have hashes of their own; a crafted collision costs its sender's event a closer look. */
static inline uint64_t hash_name(const unsigned char *at, size_t length)
{
    uint64_t hash = length * 0x9E3779B97F4A7C15u;
    uint64_t word = 0;
    for (; length >= 8; at += 8, length -= 8) {
        hash = (hash ^ load_word(at)) * 0xD6E8FEB86659FD93u;
        hash ^= hash >> 32;
    }
    memcpy(&word, at, length);
    return hash ^ word * 0xA0761D6478BD642Fu;
}

static inline bool is_digit(unsigned char byte) { return (unsigned char)(byte - '0') < 10; }

static inline const unsigned char *skip_digits(const unsigned char *at, const unsigned char *end)
{
    while (at < end && is_digit(*at))
        at++;
    return at;
}

/* The end of the number that begins at `at`; NULL: its digits may be too many. */
static inline const unsigned char *skip_number(const unsigned char *at, const unsigned char *end)
{
    const unsigned char *begin = *at == '-' ? at + 1 : at;
    at = skip_digits(begin, end);
    ptrdiff_t digits = at - begin;
    if (at == end || (*at != '.' && *at != 'e' && *at != 'E'))
        return digits <= INTEGER_DIGITS ? at : NULL;
    if (*at == '.') {
        begin = at + 1;
        at = skip_digits(begin, end);
        digits += at - begin;
    }
    if (digits > DECIMAL_DIGITS)
        return NULL;
    if (at < end && (*at == 'e' || *at == 'E')) {
        ptrdiff_t digits_max = LARGE_EXPONENT_DIGITS;
        at++;
        if (at < end && (*at == '-' || *at == '+'))
            digits_max = *at++ == '-' ? SMALL_EXPONENT_DIGITS : LARGE_EXPONENT_DIGITS;
        begin = at;
        at = skip_digits(begin, end);
        if (at - begin > digits_max)
            return NULL;
    }
    return at;
}

static inline const unsigned char *skip_space(const unsigned char *at, const unsigned char *end)
{
    while (at < end && *at <= ' ')
        at++;
    return at;
}

bool scan_is_lossless(const unsigned char *at, size_t length)
{
    const unsigned char *end = at + length;
    uint64_t names[NAMES_MAX];
    uint16_t first_names[DEPTH_MAX + 1]; /* of each open object */
    size_t objects = 0, arrays = 0;
    size_t known = 0, first = 0; /* the innermost object's names are names[first..known) */

    while (at < end) {
        unsigned char byte = *at;
        if (byte == '"') {
            const unsigned char *text = ++at;
            bool is_escaped = false;
            at = skip_text(at, end);
            while (at < end && *at == '\\') {
                is_escaped = true;
                if (end - at < 2)
                    return false;
                at = skip_text(at + 2, end);
            }
            if (at == end)
                return false;
            size_t size = (size_t)(at - text);
            at = skip_space(at + 1, end);
            if (at < end && *at == ':') {
                if (is_escaped || objects == 0 || known == NAMES_MAX || known - first == MEMBERS_MAX)
                    return false;
                uint64_t hash = hash_name(text, size);
                bool is_known = false;
                for (size_t each = first; each < known; each++)
                    is_known |= names[each] == hash;
                if (is_known)
                    return false;
                names[known++] = hash;
                at++;
            }
        }
        else if (byte == '-' || is_digit(byte)) {
            at = skip_number(at, end);
            if (at == NULL)
                return false;
        }
        else {
            at++;
            if (byte == '{') {
                if (objects + arrays == DEPTH_MAX)
                    return false;
                first_names[objects++] = (uint16_t)first;
                first = known;
            }
            else if (byte == '}') {
                if (objects == 0)
                    return false;
                known = first;
                first = first_names[--objects];
            }
            else if (byte == '[') {
                if (objects + arrays == DEPTH_MAX)
                    return false;
                arrays++;
            }
            else if (byte == ']') {
                if (arrays == 0)
                    return false;
                arrays--;
            }
            else if (byte <= ' ') {
                at = skip_space(at, end);
            }
            else if (byte >= 'a') { /* the rest of true, false or null */
                while (at < end && *at >= 'a' && *at <= 'z')
                    at++;
            }
        }
    }
    return true;
}
