/* One pass over a JSON text, in the safe direction only: it says "nothing lost" of what surely survives a fast parser.

   Two things do not survive: digits beyond a double's (or a 64-bit integer's), and members whose name comes twice. So
   numbers are counted digit by digit, and the names of each open object are remembered by a hash. Equal names have equal
   hashes, so no duplicate is missed; equal hashes of different names cost a closer look and no more. */
#include "scan.h"

#include "words.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum {
    DEPTH_MAX = 250,      /* as event.py's: the slow ways refuse what is nested deeper */
    MEMBERS_MAX = 256,    /* of one object: names are compared with all before them */
    NAMES_MAX = 1024,     /* of all open objects together */
    INTEGER_DIGITS = 18,  /* any integer of so many fits 64 bits */
    DECIMAL_DIGITS = 15,  /* any decimal of so many survives its double */
    LARGE_EXPONENT_DIGITS = 3,
    SMALL_EXPONENT_DIGITS = 2, /* near 1e-308 even short decimals do not survive */
};

#if defined(__SSE2__)

enum { BLOCK = 16 };

/* How many bytes of a block come before its first quote or backslash; BLOCK: all. */
static inline int plain_bytes(const unsigned char *at)
{
    __m128i block = _mm_loadu_si128((const __m128i *)(const void *)at);
    __m128i quotes = _mm_cmpeq_epi8(block, _mm_set1_epi8('"'));
    __m128i escapes = _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'));
    unsigned found = (unsigned)_mm_movemask_epi8(_mm_or_si128(quotes, escapes));
    return found == 0 ? BLOCK : __builtin_ctz(found);
}

#elif defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

enum { BLOCK = 8 };

#define ONES 0x0101010101010101u
#define HIGHS 0x8080808080808080u

/* The high bit of each byte that is sought is set; above the first of them some others may be, too. */
static inline int plain_bytes(const unsigned char *at)
{
    uint64_t word = load_word(at), quotes = word ^ (ONES * '"'), escapes = word ^ (ONES * '\\');
    uint64_t found = (((quotes - ONES) & ~quotes) | ((escapes - ONES) & ~escapes)) & HIGHS;
    return found == 0 ? BLOCK : __builtin_ctzll(found) >> 3;
}

#else

enum { BLOCK = 1 };

static inline int plain_bytes(const unsigned char *at) { return *at != '"' && *at != '\\'; }

#endif

/* The first quote or backslash, or `end`. */
static inline const unsigned char *skip_text(const unsigned char *at, const unsigned char *end)
{
    while (end - at >= BLOCK) {
        int plain = plain_bytes(at);
        at += plain;
        if (plain < BLOCK)
            return at;
    }
    while (at < end && *at != '"' && *at != '\\')
        at++;
    return at;
}

/* Of equal names always the same, wherever they stand; a crafted collision costs its sender's event a closer look. */
static inline uint64_t hash_name(const unsigned char *at, size_t length, const unsigned char *end)
{
    uint64_t hash = length * 0x9E3779B97F4A7C15u;
    uint64_t word = 0;
    for (; length >= 8; at += 8, length -= 8) {
        hash = (hash ^ load_word(at)) * 0xD6E8FEB86659FD93u;
        hash ^= hash >> 32;
    }
    if (length > 0) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        if (end - at >= 8)
            word = load_word(at) << (8 * (8 - length));
        else /* the same, byte by byte */
#endif
            for (size_t each = 0; each < length; each++)
                word |= (uint64_t)at[each] << (8 * (each + 8 - length));
    }
    (void)end;
    hash = (hash ^ word) * 0xA0761D6478BD642Fu;
    return hash ^ hash >> 32;
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

/* The names of the open objects. */
typedef struct {
    size_t count, first; /* the innermost object's are hashes[first..count) */
    uint64_t seen;       /* a bit for each of them, so that most new ones need not be compared */
    size_t objects;
    uint64_t hashes[NAMES_MAX];
    struct {
        size_t first;
        uint64_t seen;
    } outer[DEPTH_MAX];
} Names;

static inline bool open_object(Names *names, size_t arrays)
{
    if (names->objects + arrays >= DEPTH_MAX)
        return false;
    names->outer[names->objects].first = names->first;
    names->outer[names->objects++].seen = names->seen;
    names->first = names->count;
    names->seen = 0;
    return true;
}

static inline bool close_object(Names *names)
{
    if (names->objects == 0)
        return false;
    names->count = names->first;
    names->objects--;
    names->first = names->outer[names->objects].first;
    names->seen = names->outer[names->objects].seen;
    return true;
}

/* False: the name may be known already, or there are too many to tell. */
static inline bool add_name(Names *names, uint64_t hash)
{
    if (names->objects == 0 || names->count == NAMES_MAX || names->count - names->first == MEMBERS_MAX)
        return false;
    uint64_t bit = (uint64_t)1 << (hash & 63);
    if (names->seen & bit)
        for (size_t each = names->first; each < names->count; each++)
            if (names->hashes[each] == hash)
                return false;
    names->seen |= bit;
    names->hashes[names->count++] = hash;
    return true;
}

bool scan_is_lossless(const unsigned char *at, size_t length)
{
    const unsigned char *end = at + length;
    Names names; /* as it is: what is read of it was written before */
    size_t arrays = 0;
    names.count = names.first = names.objects = 0;
    names.seen = 0;
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
            if (at < end && *at == ':') { /* it was a name */
                if (is_escaped || !add_name(&names, hash_name(text, size, end)))
                    return false;
                at++;
            }
            else if (at < end && *at == ',')
                at++;
        }
        else if (byte == '-' || is_digit(byte)) {
            at = skip_number(at, end);
            if (at == NULL)
                return false;
        }
        else {
            at++;
            if (byte == '{') {
                if (!open_object(&names, arrays))
                    return false;
            }
            else if (byte == '}') {
                if (!close_object(&names))
                    return false;
            }
            else if (byte == '[') {
                if (names.objects + arrays++ >= DEPTH_MAX)
                    return false;
            }
            else if (byte == ']') {
                if (arrays-- == 0)
                    return false;
            }
            else if (byte <= ' ')
                at = skip_space(at, end);
            else if (byte >= 'a') /* the rest of true, false or null */
                while (at < end && *at >= 'a' && *at <= 'z')
                    at++;
        }
    }
    return true;
}
