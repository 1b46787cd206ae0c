/* Lines of a case in, canonical lines out: what the runners in C and in C++ share.
 *
 * In: a line of a case file (the format is in README.md). Out: its words, the values that they
 * stand for, and the text of values as all runners print them. C99 and C++17. */

#ifndef LINES_H
#define LINES_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <shmirror.h>

enum { MOST_WORDS = 64, LONG_VALUE = 100 };

/* One word of a line: as it stands there, its escapes not yet undone. */
typedef struct {
    const char *text;
    size_t size;
} word;

/* A line in its words. */
typedef struct {
    word words[MOST_WORDS];
    size_t count;
} line;

/* Columns and their values. */
typedef struct {
    const char *names[MOST_WORDS];
    shmirror_value values[MOST_WORDS];
    size_t count;
} columns;

/* The values of a key, or parameters. */
typedef struct {
    shmirror_value values[MOST_WORDS];
    size_t count;
} values;

/* Memory that lasts until forget_line(). */
typedef struct kept {
    struct kept *next;
} kept;
static kept *all_kept;

static void give_up(const char *what, const char *where)
{
    fflush(stdout);
    fprintf(stderr, "conformance runner: %s: %s\n", what, where);
    exit(3);
}

static void *keep(size_t size)
{
    kept *block = (kept *)malloc(sizeof(kept) + size + 1);
    if (block == NULL) {
        give_up("no memory", "");
    }
    block->next = all_kept;
    all_kept = block;
    return block + 1;
}

static inline void forget_line(void)
{
    while (all_kept != NULL) {
        kept *block = all_kept;
        all_kept = block->next;
        free(block);
    }
}

/* A line in its words, which are separated by one blank or more. */
static inline void split(const char *text, line *out)
{
    out->count = 0;
    while (*text != '\0') {
        size_t size = strcspn(text, " ");
        if (size > 0) {
            if (out->count == MOST_WORDS) {
                give_up("too many words", text);
            }
            out->words[out->count].text = text;
            out->words[out->count].size = size;
            out->count++;
        }
        text += size + (text[size] == ' ');
    }
}

/* What is left of the line from its word number `from`, as it stands there. */
static inline const char *rest(const line *l, size_t from)
{
    return from < l->count ? l->words[from].text : "";
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int hex_byte(const char *text)
{
    int high = hex_digit(text[0]);
    int low = high < 0 ? -1 : hex_digit(text[1]);
    if (low < 0) {
        give_up("expected two hexadecimal digits", text);
    }
    return high * 16 + low;
}

/* The text of a word part, its escapes undone and a NUL after it. */
static inline shmirror_text unescape(const char *text, size_t size)
{
    char *made = (char *)keep(size);
    shmirror_text out;
    size_t i, n = 0;
    for (i = 0; i < size; i++) {
        if (text[i] != '\\') {
            made[n++] = text[i];
            continue;
        }
        switch (text[++i]) {
        case 's': made[n++] = ' '; break;
        case 'n': made[n++] = '\n'; break;
        case 't': made[n++] = '\t'; break;
        case '\\': made[n++] = '\\'; break;
        case 'x': made[n++] = (char)hex_byte(text + i + 1); i += 2; break;
        default: give_up("no such escape", text);
        }
    }
    made[n] = '\0';
    out.data = made;
    out.size = n;
    return out;
}

/* A word as terminated text. */
static inline const char *name_of(const line *l, size_t index)
{
    if (index >= l->count) {
        give_up("too few words", l->words[0].text);
    }
    return unescape(l->words[index].text, l->words[index].size).data;
}

static inline uint64_t number_of(const line *l, size_t index)
{
    return strtoull(name_of(l, index), NULL, 10);
}

static shmirror_blob bytes_of(const char *hex, size_t size)
{
    uint8_t *made = (uint8_t *)keep(size / 2);
    shmirror_blob out;
    size_t i;
    for (i = 0; i + 1 < size; i += 2) {
        made[i / 2] = (uint8_t)hex_byte(hex + i);
    }
    out.data = made;
    out.size = size / 2;
    return out;
}

/* Whether a word is a value: a letter and a colon come first. */
static inline int is_value(const word *w)
{
    return w->size >= 2 && w->text[1] == ':';
}

/* The value that a part of a word stands for. */
static inline shmirror_value value_of(const char *text, size_t size)
{
    const char *body = text + 2;
    size_t length = size - 2;
    size_t times = 1;
    shmirror_blob unit;
    uint8_t *made;
    size_t i;
    if (size < 2 || text[1] != ':') {
        give_up("expected a value", text);
    }
    switch (text[0]) {
    case 'n': return shmirror_null();
    case 'i': return shmirror_integer((int64_t)strtoll(body, NULL, 10));
    case 'r': return shmirror_real(strtod(unescape(body, length).data, NULL));
    case 't': {
        shmirror_text t = unescape(body, length);
        return shmirror_string_n(t.data, t.size);
    }
    case 'b': {
        shmirror_blob b = bytes_of(body, length);
        return shmirror_bytes(b.data, b.size);
    }
    case 'T':
    case 'B': {
        /* So many times the same. */
        const char *colon = strchr(body, ':');
        times = (size_t)strtoull(body, NULL, 10);
        if (colon == NULL) {
            give_up("expected T:COUNT:TEXT or B:COUNT:HEX", text);
        }
        length -= (size_t)(colon + 1 - body);
        body = colon + 1;
        if (text[0] == 'T') {
            shmirror_text t = unescape(body, length);
            unit.data = (const uint8_t *)t.data;
            unit.size = t.size;
        } else {
            unit = bytes_of(body, length);
        }
        made = (uint8_t *)keep(unit.size * times);
        for (i = 0; i < times; i++) {
            memcpy(made + i * unit.size, unit.data, unit.size);
        }
        made[unit.size * times] = '\0';
        return text[0] == 'T' ? shmirror_string_n((const char *)made, unit.size * times)
                              : shmirror_bytes(made, unit.size * times);
    }
    default: give_up("no such kind of value", text);
    }
    return shmirror_null();
}

/* The values from word `from` on, up to the first word that is none; gives the index of that. */
static inline size_t values_of(const line *l, size_t from, values *out)
{
    out->count = 0;
    while (from < l->count && is_value(&l->words[from])) {
        out->values[out->count++] = value_of(l->words[from].text, l->words[from].size);
        from++;
    }
    return from;
}

/* The part of a word before its `=`, as a name; what follows it comes out of `after`. */
static inline const char *assigned(const word *w, word *after)
{
    const char *equals = (const char *)memchr(w->text, '=', w->size);
    if (equals == NULL) {
        give_up("expected name=…", w->text);
    }
    after->text = equals + 1;
    after->size = w->size - (size_t)(equals + 1 - w->text);
    return unescape(w->text, (size_t)(equals - w->text)).data;
}

/* Columns with values, from word `from` to the line's end. */
static inline void columns_of(const line *l, size_t from, columns *out)
{
    for (out->count = 0; from < l->count; from++, out->count++) {
        word value;
        out->names[out->count] = assigned(&l->words[from], &value);
        out->values[out->count] = value_of(value.text, value.size);
    }
}

/* FNV-1a: http://www.isthe.com/chongo/tech/comp/fnv/ */
static uint64_t fingerprint(const uint8_t *bytes, size_t size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    size_t i;
    for (i = 0; i < size; i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* Text with control characters and backslashes escaped and, in a word, blanks. */
static inline void put_escaped(FILE *out, const char *text, size_t size, int is_word)
{
    size_t i;
    for (i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == ' ' && is_word) {
            fputs("\\s", out);
        } else if (c == '\\') {
            fputs("\\\\", out);
        } else if (c < 0x20 || c == 0x7f) {
            fprintf(out, "\\x%02x", c);
        } else {
            fputc(c, out);
        }
    }
}

static inline void put_name(FILE *out, const char *text)
{
    put_escaped(out, text, strlen(text), 1);
}

/* A message, or SQL. */
static inline void put_message(FILE *out, const char *text)
{
    put_escaped(out, text, strlen(text), 0);
}

/* A value with its class: reals by their bits, what is long by size and fingerprint. */
static inline void put_value(FILE *out, const shmirror_value *value)
{
    uint64_t bits;
    size_t i;
    switch (value->type) {
    case SHMIRROR_TYPE_NULL: fputs("n:", out); return;
    case SHMIRROR_TYPE_INTEGER: fprintf(out, "i:%" PRId64, value->as.integer); return;
    case SHMIRROR_TYPE_REAL:
        memcpy(&bits, &value->as.real, sizeof bits);
        fprintf(out, "r:%016" PRIx64, bits);
        return;
    case SHMIRROR_TYPE_TEXT:
        if (value->as.text.size > LONG_VALUE) {
            fprintf(out, "T:%zu:%016" PRIx64, value->as.text.size,
                    fingerprint((const uint8_t *)value->as.text.data, value->as.text.size));
            return;
        }
        fputs("t:", out);
        put_escaped(out, value->as.text.data, value->as.text.size, 1);
        return;
    case SHMIRROR_TYPE_BLOB:
        if (value->as.blob.size > LONG_VALUE) {
            fprintf(out, "B:%zu:%016" PRIx64, value->as.blob.size,
                    fingerprint(value->as.blob.data, value->as.blob.size));
            return;
        }
        fputs("b:", out);
        for (i = 0; i < value->as.blob.size; i++) {
            fprintf(out, "%02x", value->as.blob.data[i]);
        }
        return;
    default: give_up("a value of an unknown class", "");
    }
}

/* JSON with the numbers and times taken out that differ from run to run. */
static inline void put_json(FILE *out, const char *json)
{
    static const char *const differing[] = {"\"pid\":", "\"uid\":", "\"at\":", "\"sequence\":"};
    while (*json != '\0') {
        size_t i;
        for (i = 0; i < sizeof differing / sizeof *differing; i++) {
            size_t size = strlen(differing[i]);
            if (strncmp(json, differing[i], size) == 0) {
                fputs(differing[i], out);
                fputc('*', out);
                json += size;
                json += strcspn(json, ",}");
                break;
            }
        }
        if (i == sizeof differing / sizeof *differing) {
            fputc(*json++, out);
        }
    }
}

/* The words of an enumeration, in the order of its numbers. */
static inline const char *one_of(const char *const *words, size_t count, int32_t index)
{
    return index >= 0 && (size_t)index < count ? words[index] : "?";
}
#define ONE_OF(list, index) one_of(list, sizeof(list) / sizeof *(list), index)

static const char *const OPERATIONS[] = {"?", "insert", "update", "delete"};
static const char *const AFFINITIES[] = {"blob", "text", "numeric", "integer", "real"};
static const char *const COLLATIONS[] = {"binary", "nocase", "rtrim"};
static const char *const GENERATED[] = {"no", "virtual", "stored"};
static const char *const KEY_KINDS[] = {"integer", "columns", "rowid"};
static const char *const OBJECT_KINDS[] = {"index", "view", "trigger"};
static const char *const ON_CONFLICT[] = {"fail", "replace", "skip", "update"};

static inline int32_t on_conflict_of(const char *name)
{
    int32_t i;
    for (i = 0; i < 4; i++) {
        if (strcmp(ON_CONFLICT[i], name) == 0) {
            return i;
        }
    }
    give_up("no such way to resolve a conflict", name);
    return -1;
}

#endif /* LINES_H */
