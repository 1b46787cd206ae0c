/* How misuse is tried, and what is printed of it.
 *
 * In: calls with one thing wrong. Out: lines `covered FUNCTION PARAMETER HOW` on standard output,
 * which the test compares with the header; a line on standard error for everything that came out
 * wrong. */

#ifndef CHECK_H
#define CHECK_H

#include <shmirror.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long anything may take: 60 s. */
#define PATIENCE UINT64_C(60000000000)

static int wrong;

/* One handle of each kind, alive; and one of each that was closed. */
#define KINDS(X)                                                                                   \
    X(options) X(mirror) X(catalogue) X(schema) X(table) X(row) X(rows) X(binding) X(cell)         \
    X(producer) X(transaction) X(ticket) X(subscriber) X(history) X(event) X(result)
#define KIND(name) KIND_shmirror_##name,
enum { KINDS(KIND) KIND_COUNT };
static void *live[KIND_COUNT];
static void *closed[KIND_COUNT];
#define LIVE(type) ((type *)live[KIND_##type])

static void complain(const char *call, const char *file, int line, const char *what)
{
    wrong++;
    fprintf(stderr, "%s:%d: %s: %s\n", file, line, call, what);
}

static void cover(const char *call, const char *parameter, const char *how)
{
    printf("covered %.*s %s %s\n", (int)strcspn(call, "("), call, parameter, how);
}

/* A status is the one that is expected; what is a failure has a message. */
static void see(const char *call, const char *file, int line, int32_t status, int32_t expected)
{
    char what[4096];
    if (status != expected) {
        snprintf(what, sizeof what, "%s, expected %s: %s", shmirror_status_name(status),
                 shmirror_status_name(expected), status < 16 ? "" : shmirror_last_message());
        complain(call, file, line, what);
    } else if (status >= 16 &&
               (shmirror_last_status() != status || shmirror_last_message()[0] == '\0')) {
        complain(call, file, line, "the failure was not kept");
    }
}

static void see_message(const char *call, const char *file, int line, const char *part)
{
    char what[4096];
    if (strstr(shmirror_last_message(), part) == NULL) {
        snprintf(what, sizeof what, "the message is \"%s\", expected \"%s\" in it",
                 shmirror_last_message(), part);
        complain(call, file, line, what);
    }
}

/* The call comes to this. */
#define IS(expected, call) see(#call, __FILE__, __LINE__, (int32_t)(call), expected)
#define OK(call) IS(SHMIRROR_OK, call)
/* Something is so. */
#define THAT(so) ((so) ? (void)0 : complain(#so, __FILE__, __LINE__, "is not so"))

/* The call fails so, for one parameter's sake, and the message names that. */
#define FAILS(parameter, how, expected, call)                                                      \
    do {                                                                                           \
        cover(#call, #parameter, how);                                                             \
        see(#call, __FILE__, __LINE__, (int32_t)(call), expected);                                 \
        see_message(#call, __FILE__, __LINE__, "argument " #parameter);                            \
    } while (0)
/* A pointer must not be NULL, and is. */
#define IS_NULL(parameter, call) FAILS(parameter, "null", SHMIRROR_NULL_ARGUMENT, call)
/* A pointer may be NULL. */
#define MAY_BE_NULL(parameter, call)                                                               \
    do {                                                                                           \
        cover(#call, #parameter, "null");                                                          \
        OK(call);                                                                                  \
    } while (0)
/* A number is out of its range. */
#define RANGE(parameter, call) FAILS(parameter, "range", SHMIRROR_BAD_ARGUMENT, call)
/* The same, where it has a status of its own. */
#define RANGE_IS(parameter, expected, call)                                                        \
    do {                                                                                           \
        cover(#call, #parameter, "range");                                                         \
        IS(expected, call);                                                                        \
    } while (0)

/* A handle that is closed, and ones of every other kind. The call says `it`. */
#define STALE(type, parameter, call)                                                               \
    do {                                                                                           \
        type *it = (type *)closed[KIND_##type];                                                    \
        int kind_;                                                                                 \
        cover(#call, #parameter, "closed");                                                        \
        cover(#call, #parameter, "kind");                                                          \
        IS(SHMIRROR_STALE_HANDLE, call);                                                           \
        see_message(#call, __FILE__, __LINE__, #type);                                             \
        for (kind_ = 0; kind_ < KIND_COUNT; kind_++) {                                             \
            it = (type *)(kind_ == KIND_##type ? closed[kind_] : live[kind_]);                     \
            IS(SHMIRROR_STALE_HANDLE, call);                                                       \
            it = (type *)closed[kind_];                                                            \
            IS(SHMIRROR_STALE_HANDLE, call);                                                       \
        }                                                                                          \
    } while (0)
/* And NULL, which must not be. */
#define HANDLE(type, parameter, call)                                                              \
    do {                                                                                           \
        type *it = NULL;                                                                           \
        cover(#call, #parameter, "null");                                                          \
        IS(SHMIRROR_NULL_ARGUMENT, call);                                                          \
        see_message(#call, __FILE__, __LINE__, #type);                                             \
        STALE(type, parameter, call);                                                              \
    } while (0)
/* A terminated text. The call says `text`. */
#define TEXT(parameter, call)                                                                      \
    do {                                                                                           \
        const char *text = NULL;                                                                   \
        IS_NULL(parameter, call);                                                                  \
        text = "ab\xff";                                                                           \
        FAILS(parameter, "utf8", SHMIRROR_NOT_UTF8, call);                                         \
        text = "\xed\xa0\x80";                                                                     \
        FAILS(parameter, "utf8", SHMIRROR_NOT_UTF8, call);                                         \
    } while (0)

/* An array of texts, of one element. The call says `texts`. */
#define TEXTS(parameter, call)                                                                     \
    do {                                                                                           \
        static const char *const none_[1] = {NULL};                                                \
        static const char *const broken_[1] = {"\xc3("};                                           \
        static const char *const fine_[2] = {"n", "n"};                                            \
        const char *const *texts = NULL;                                                           \
        IS_NULL(parameter, call);                                                                  \
        texts = none_;                                                                             \
        FAILS(parameter, "element", SHMIRROR_NULL_ARGUMENT, call);                                 \
        texts = broken_;                                                                           \
        FAILS(parameter, "utf8", SHMIRROR_NOT_UTF8, call);                                         \
        texts = (const char *const *)((const char *)fine_ + 1);                                    \
        FAILS(parameter, "aligned", SHMIRROR_BAD_ARGUMENT, call);                                  \
    } while (0)

/* An array of values, of one element. The call says `given`. */
#define VALUES(parameter, call)                                                                    \
    do {                                                                                           \
        shmirror_value pair_[2];                                                                   \
        const shmirror_value *given = NULL;                                                        \
        IS_NULL(parameter, call);                                                                  \
        pair_[0] = pair_[1] = shmirror_integer(1);                                                 \
        given = (const shmirror_value *)((const char *)pair_ + 1);                                 \
        FAILS(parameter, "aligned", SHMIRROR_BAD_ARGUMENT, call);                                  \
        given = pair_;                                                                             \
        pair_[0].type = 5;                                                                         \
        FAILS(parameter, "value", SHMIRROR_BAD_ARGUMENT, call);                                    \
        pair_[0].type = INT32_MIN;                                                                 \
        FAILS(parameter, "value", SHMIRROR_BAD_ARGUMENT, call);                                    \
        pair_[0] = shmirror_string_n(NULL, 1);                                                     \
        FAILS(parameter, "value", SHMIRROR_NULL_ARGUMENT, call);                                   \
        pair_[0] = shmirror_bytes(NULL, 1);                                                        \
        FAILS(parameter, "value", SHMIRROR_NULL_ARGUMENT, call);                                   \
        pair_[0] = shmirror_string_n("x", SIZE_MAX);                                               \
        FAILS(parameter, "value", SHMIRROR_BAD_ARGUMENT, call);                                    \
        pair_[0] = shmirror_bytes("x", SIZE_MAX);                                                  \
        FAILS(parameter, "value", SHMIRROR_BAD_ARGUMENT, call);                                    \
        pair_[0] = shmirror_string_n("\xff\x41", 2);                                               \
        FAILS(parameter, "value", SHMIRROR_NOT_UTF8, call);                                        \
    } while (0)
/* How many elements an array has: more than fit into memory. The call says `many`. */
#define COUNT(parameter, call)                                                                     \
    do {                                                                                           \
        size_t many = SIZE_MAX;                                                                    \
        cover(#call, #parameter, "range");                                                         \
        IS(SHMIRROR_BAD_ARGUMENT, call);                                                           \
        see_message(#call, __FILE__, __LINE__, "argument ");                                       \
        many = SIZE_MAX / 2;                                                                       \
        IS(SHMIRROR_BAD_ARGUMENT, call);                                                           \
    } while (0)
/* And a key, which has 1 to 16 of them. The call says `given` and `many`. */
#define KEY(call)                                                                                  \
    do {                                                                                           \
        shmirror_value seventeen_[17];                                                             \
        const shmirror_value *given = seventeen_;                                                  \
        size_t many = 17;                                                                          \
        for (many = 0; many < 17; many++) {                                                        \
            seventeen_[many] = shmirror_integer(1);                                                \
        }                                                                                          \
        RANGE(key_size, call);                                                                     \
        many = SIZE_MAX;                                                                           \
        IS(SHMIRROR_BAD_ARGUMENT, call);                                                           \
        many = 0;                                                                                  \
        given = NULL;                                                                              \
        IS(SHMIRROR_BAD_KEY, call);                                                                \
        many = 16;                                                                                 \
        given = seventeen_;                                                                        \
        IS(SHMIRROR_BAD_KEY, call);                                                                \
    } while (0)

/* A text into a buffer. The call says `buffer`, `size` and `length`; `terminator` is 1 where a NUL
 * comes after it, `whole` 1 where what is too small is left as it was. */
#define BUFFER_OF(terminator, whole, call)                                                         \
    do {                                                                                           \
        size_t told_ = 77777;                                                                      \
        size_t *length = &told_;                                                                   \
        size_t size = 0;                                                                           \
        char *buffer = NULL;                                                                       \
        size_t needed_;                                                                            \
        size_t i_;                                                                                 \
        cover(#call, "size", "range");                                                             \
        IS(SHMIRROR_SHORT_BUFFER, call);                                                           \
        THAT(told_ != 77777);                                                                      \
        needed_ = told_ + (terminator);                                                            \
        THAT(needed_ > 1);                                                                         \
        size = needed_;                                                                            \
        IS_NULL(buffer, call);                                                                     \
        size = SIZE_MAX;                                                                           \
        IS_NULL(buffer, call);                                                                     \
        for (size = 1; size < needed_; size += needed_ / 8 + 1) {                                  \
            buffer = (char *)malloc(size);                                                         \
            memset(buffer, 0x55, size);                                                            \
            told_ = 0;                                                                             \
            IS(SHMIRROR_SHORT_BUFFER, call);                                                       \
            THAT(told_ + (terminator) == needed_);                                                 \
            for (i_ = 0; i_ < size; i_++) {                                                        \
                THAT(!(whole) || buffer[i_] == 0x55);                                              \
            }                                                                                      \
            free(buffer);                                                                          \
        }                                                                                          \
        size = needed_ - 1;                                                                        \
        buffer = (char *)malloc(size);                                                             \
        IS(SHMIRROR_SHORT_BUFFER, call);                                                           \
        length = NULL;                                                                             \
        cover(#call, "length", "null");                                                            \
        IS(SHMIRROR_SHORT_BUFFER, call);                                                           \
        free(buffer);                                                                              \
        size = needed_;                                                                            \
        buffer = (char *)malloc(size);                                                             \
        OK(call);                                                                                  \
        THAT(!(terminator) || strlen(buffer) == needed_ - 1);                                      \
        length = &told_;                                                                           \
        told_ = 0;                                                                                 \
        OK(call);                                                                                  \
        THAT(told_ + (terminator) == needed_);                                                     \
        free(buffer);                                                                              \
    } while (0)
#define BUFFER(call) BUFFER_OF(1, 1, call)

/* A function that makes a handle: the place for it must be there. The call says `out`. */
#define MAKES(type, call)                                                                          \
    do {                                                                                           \
        type **out = NULL;                                                                         \
        type *made_ = NULL;                                                                        \
        IS_NULL(out, call);                                                                        \
        out = &made_;                                                                              \
        OK(call);                                                                                  \
        THAT(made_ != NULL);                                                                       \
        OK(type##_close(made_));                                                                   \
        IS(SHMIRROR_STALE_HANDLE, type##_close(made_));                                            \
        cover(#type "_close(", "it", "twice");                                                     \
    } while (0)

/* A function that ends a handle: NULL is fine, a closed one and one of another kind are told. */
#define CLOSES(type, parameter)                                                                    \
    do {                                                                                           \
        cover(#type "_close(", #parameter, "null");                                                \
        OK(type##_close(NULL));                                                                    \
        STALE(type, parameter, type##_close(it));                                                  \
    } while (0)

#endif /* CHECK_H */
