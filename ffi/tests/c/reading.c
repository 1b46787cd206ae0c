/* Every function that reads, with right and wrong arguments, and rows whose table is altered.
 *
 * In: the daemon's socket, in SHMIRROR_SOCKET. Out: the status that it ends with.
 */
#define _GNU_SOURCE

#include <float.h>
#include <math.h>

#include "expect.h"

static shmirror_mirror *mirror;
static shmirror_producer *producer;
static shmirror_row *row;
static shmirror_rows *rows;

/* A handle that was closed, of the kind that its user takes it for. */
static void *stale;

static void sql(const char *text)
{
    OK(shmirror_execute(producer, text, NULL));
}

static shmirror_table *table_of(const char *name)
{
    shmirror_table *table = NULL;

    OK(shmirror_mirror_table(mirror, name, &table));
    return table;
}

static size_t column(const char *name)
{
    size_t index = 99;

    OK(shmirror_row_find(row, name, &index));
    return index;
}

static int64_t integer(const char *name)
{
    int64_t value = -99;

    OK(shmirror_row_i64(row, column(name), &value));
    return value;
}

static int same(shmirror_text text, const char *expected)
{
    return text.size == strlen(expected) && memcmp(text.data, expected, text.size) == 0;
}

static void tables(void)
{
    shmirror_table *t, *gone;
    shmirror_schema *schema = NULL;
    const char *name = NULL;
    uint64_t count = 99;
    size_t index = 99;

    section("tables");
    FAILS(SHMIRROR_UNKNOWN_TABLE, "did you mean kinds", shmirror_mirror_table(mirror, "kind", &t));
    EXPECT(t == NULL);
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_mirror_table(mirror, NULL, &t));
    STATUS(SHMIRROR_NOT_UTF8, shmirror_mirror_table(mirror, "\xff", &t));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_mirror_table(mirror, "kinds", NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_mirror_table(NULL, "kinds", &t));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_mirror_table(stale, "kinds", &t));
    t = table_of("KINDS");
    OK(shmirror_table_name(t, &name));
    EXPECT(strcmp(name, "KINDS") == 0);
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_table_name(t, NULL));
    OK(shmirror_table_rows(t, &count));
    EXPECT(count == 2);
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_table_rows(NULL, &count));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_table_rows(stale, &count));
    OK(shmirror_table_column(t, "REAL", &index));
    EXPECT(index == 2);
    FAILS(SHMIRROR_UNKNOWN_COLUMN, "no column \"reel\"; did you mean real",
          shmirror_table_column(t, "reel", &index));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_table_column(t, NULL, &index));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_table_column(t, "real", NULL));
    OK(shmirror_table_schema(t, &schema));
    OK(shmirror_schema_close(schema));
    OK(shmirror_table_close(t));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_table_close(t));
    OK(shmirror_table_close(NULL));

    sql("CREATE TABLE brief (id INTEGER PRIMARY KEY, v INT); INSERT INTO brief VALUES (1, 1)");
    gone = table_of("brief");
    OK(shmirror_table_read_i64(gone, 1, row));
    sql("DROP TABLE brief");
    FAILS(SHMIRROR_UNKNOWN_TABLE, "no table \"brief\"", shmirror_table_read_i64(gone, 1, row));
    STATUS(SHMIRROR_UNKNOWN_TABLE, shmirror_table_rows(gone, &count));
    STATUS(SHMIRROR_UNKNOWN_TABLE, shmirror_table_column(gone, "v", &index));
    STATUS(SHMIRROR_UNKNOWN_TABLE, shmirror_table_scan(gone, 0, rows));
    EXPECT(integer("v") == 1);
    sql("CREATE TABLE brief (v TEXT, id INTEGER PRIMARY KEY); INSERT INTO brief VALUES ('x', 1)");
    OK(shmirror_table_read_i64(gone, 1, row));
    EXPECT(column("id") == 1);
    sql("DROP TABLE brief");
    OK(shmirror_table_close(gone));
}

static void keys(void)
{
    shmirror_table *t = table_of("kinds"), *text = table_of("texts"), *pair = table_of("pairs");
    shmirror_value key[17];
    char longest[400];
    size_t i, count = 99;

    section("keys");
    for (i = 0; i < COUNT(key); i++) {
        key[i] = shmirror_integer(1);
    }
    OK(shmirror_table_read_i64(t, 1, row));
    OK(shmirror_table_read(t, key, 1, row));
    EXPECT(integer("id") == 1);
    STATUS(SHMIRROR_NOT_FOUND, shmirror_table_read_i64(t, 77, row));
    key[0] = shmirror_string("1");
    OK(shmirror_table_read(t, key, 1, row));
    OK(shmirror_table_read_text(t, "1", 1, row));
    key[0] = shmirror_real(1.5);
    STATUS(SHMIRROR_NOT_FOUND, shmirror_table_read(t, key, 1, row));
    key[0] = shmirror_real(NAN);
    STATUS(SHMIRROR_NOT_FOUND, shmirror_table_read(t, key, 1, row));
    STATUS(SHMIRROR_NOT_FOUND, shmirror_table_read(text, key, 1, row));
    key[0] = shmirror_null();
    FAILS(SHMIRROR_BAD_KEY, "NULL is no key", shmirror_table_read(t, key, 1, row));
    FAILS(SHMIRROR_BAD_KEY, "1 expected", shmirror_table_read(t, key, 0, row));
    FAILS(SHMIRROR_BAD_KEY, "key of 16 values, 1 expected", shmirror_table_read(t, key, 16, row));
    STATUS(SHMIRROR_BAD_ARGUMENT, shmirror_table_read(t, key, 17, row));
    STATUS(SHMIRROR_BAD_ARGUMENT, shmirror_table_read(t, key, SIZE_MAX, row));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_table_read(t, NULL, 1, row));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_table_read(t, key, 1, NULL));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_table_read(t, key, 1, stale));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_table_read(stale, key, 1, row));
    key[0].type = 5;
    STATUS(SHMIRROR_BAD_ARGUMENT, shmirror_table_read(t, key, 1, row));
    key[0] = shmirror_string_n("\xff", 1);
    STATUS(SHMIRROR_NOT_UTF8, shmirror_table_read(t, key, 1, row));
    key[0] = shmirror_string_n(NULL, 1);
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_table_read(t, key, 1, row));

    memset(longest, 'k', sizeof longest);
    OK(shmirror_table_read_text(text, longest, sizeof longest, row));
    EXPECT(integer("v") == 400);
    OK(shmirror_table_read_text(text, "7", 1, row));
    OK(shmirror_table_read_i64(text, 7, row));
    OK(shmirror_table_read_text(text, NULL, 0, row));
    EXPECT(integer("v") == 0);
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_table_read_text(text, NULL, 1, row));
    STATUS(SHMIRROR_NOT_UTF8, shmirror_table_read_text(text, "\xc3", 1, row));
    STATUS(SHMIRROR_NOT_FOUND, shmirror_table_read_text(text, longest, 399, row));

    key[0] = shmirror_string("north");
    key[1] = shmirror_integer(2);
    OK(shmirror_table_read(pair, key, 2, row));
    EXPECT(integer("v") == 20);
    key[0] = shmirror_string("NORTH");
    OK(shmirror_table_read(pair, key, 2, row));
    STATUS(SHMIRROR_BAD_KEY, shmirror_table_read(pair, key, 1, row));
    STATUS(SHMIRROR_BAD_KEY, shmirror_table_read_i64(pair, 2, row));
    STATUS(SHMIRROR_BAD_KEY, shmirror_table_read_text(pair, "north", 5, row));

    STATUS(SHMIRROR_SHORT_BUFFER, shmirror_row_key(row, key, 1, &count));
    EXPECT(count == 2);
    OK(shmirror_row_key(row, key, COUNT(key), &count));
    EXPECT(count == 2 && same(key[0].as.text, "north") && key[1].as.integer == 2);
    OK(shmirror_row_key(row, key, 2, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_row_key(row, NULL, 2, &count));
    OK(shmirror_table_close(t));
    OK(shmirror_table_close(text));
    OK(shmirror_table_close(pair));
}

static void getters(void)
{
    shmirror_table *t = table_of("kinds");
    shmirror_row *empty = NULL;
    shmirror_value value;
    shmirror_text text;
    shmirror_blob blob;
    const char *name = NULL;
    int64_t i = -99;
    double d = -99;
    bool b = false;
    int32_t i32 = -99;
    uint32_t u32 = 99;
    uint64_t u64 = 99, revision = 0;
    float f = -99;
    size_t n = 99, index = 99;
    char buffer[8];
    char json[256];
    static const int32_t types[] = {
        SHMIRROR_TYPE_INTEGER, SHMIRROR_TYPE_INTEGER, SHMIRROR_TYPE_REAL,    SHMIRROR_TYPE_TEXT,
        SHMIRROR_TYPE_BLOB,    SHMIRROR_TYPE_NULL,    SHMIRROR_TYPE_INTEGER,
    };

    section("getters");
    OK(shmirror_table_read_i64(t, 1, row));
    OK(shmirror_row_columns(row, &n));
    EXPECT(n == COUNT(types));
    for (index = 0; index < n; index++) {
        OK(shmirror_row_type(row, index, &i32));
        EXPECT(i32 == types[index]);
    }
    FAILS(SHMIRROR_UNKNOWN_COLUMN, "\"kinds\"", shmirror_row_type(row, n, &i32));
    OK(shmirror_row_revision(row, &revision));
    EXPECT(revision > 0);
    OK(shmirror_row_column_name(row, 3, &name));
    EXPECT(strcmp(name, "text") == 0);
    STATUS(SHMIRROR_UNKNOWN_COLUMN, shmirror_row_column_name(row, SIZE_MAX, &name));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_row_column_name(row, 3, NULL));
    OK(shmirror_row_find(row, "Blob", &index));
    EXPECT(index == 4);
    FAILS(SHMIRROR_UNKNOWN_COLUMN, "bleb", shmirror_row_find(row, "bleb", &index));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_row_find(row, NULL, &index));

    OK(shmirror_row_i64(row, 1, &i));
    EXPECT(i == INT64_C(-9007199254740993));
    FAILS(SHMIRROR_TYPE_MISMATCH,
          "table \"kinds\", column \"int\": found integer -9007199254740993",
          shmirror_row_f64(row, 1, &d));
    STATUS(SHMIRROR_TYPE_MISMATCH, shmirror_row_i32(row, 1, &i32));
    STATUS(SHMIRROR_TYPE_MISMATCH, shmirror_row_u32(row, 1, &u32));
    STATUS(SHMIRROR_TYPE_MISMATCH, shmirror_row_u64(row, 1, &u64));
    STATUS(SHMIRROR_TYPE_MISMATCH, shmirror_row_f32(row, 1, &f));
    STATUS(SHMIRROR_TYPE_MISMATCH, shmirror_row_bool(row, 1, &b));
    STATUS(SHMIRROR_TYPE_MISMATCH, shmirror_row_text(row, 1, &text));
    STATUS(SHMIRROR_TYPE_MISMATCH, shmirror_row_blob(row, 1, &blob));
    OK(shmirror_row_f64(row, 2, &d));
    EXPECT(d == 2.5);
    OK(shmirror_row_f32(row, 2, &f));
    EXPECT(f == 2.5f);
    STATUS(SHMIRROR_TYPE_MISMATCH, shmirror_row_i64(row, 2, &i));
    OK(shmirror_row_text(row, 3, &text));
    EXPECT(same(text, "w\xc3\xa4rme"));
    STATUS(SHMIRROR_TYPE_MISMATCH, shmirror_row_i64(row, 3, &i));
    STATUS(SHMIRROR_TYPE_MISMATCH, shmirror_row_blob(row, 3, &blob));
    OK(shmirror_row_blob(row, 4, &blob));
    EXPECT(blob.size == 3 && memcmp(blob.data, "\x00\xab\xff", 3) == 0);
    STATUS(SHMIRROR_TYPE_MISMATCH, shmirror_row_text(row, 4, &text));
    i = 1;
    FAILS(SHMIRROR_NULL_VALUE, "table \"kinds\", column \"none\": found null, expected an integer",
          shmirror_row_i64(row, 5, &i));
    EXPECT(i == 1 && shmirror_last_status() == SHMIRROR_NULL_VALUE);
    STATUS(SHMIRROR_NULL_VALUE, shmirror_row_f64(row, 5, &d));
    STATUS(SHMIRROR_NULL_VALUE, shmirror_row_bool(row, 5, &b));
    FAILS(SHMIRROR_NULL_VALUE, "expected text", shmirror_row_text(row, 5, &text));
    STATUS(SHMIRROR_NULL_VALUE, shmirror_row_blob(row, 5, &blob));
    STATUS(SHMIRROR_NULL_VALUE, shmirror_row_copy_text(row, 5, buffer, sizeof buffer, &n));
    OK(shmirror_row_value(row, 5, &value));
    EXPECT(value.type == SHMIRROR_TYPE_NULL);
    OK(shmirror_row_bool(row, 6, &b));
    OK(shmirror_row_u32(row, 6, &u32));
    OK(shmirror_row_u64(row, 6, &u64));
    OK(shmirror_row_i32(row, 6, &i32));
    EXPECT(b && u32 == 1 && u64 == 1 && i32 == 1);
    OK(shmirror_row_value(row, 3, &value));
    EXPECT(value.type == SHMIRROR_TYPE_TEXT && same(value.as.text, "w\xc3\xa4rme"));
    STATUS(SHMIRROR_UNKNOWN_COLUMN, shmirror_row_value(row, 7, &value));
    STATUS(SHMIRROR_UNKNOWN_COLUMN, shmirror_row_i64(row, 7, &i));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_row_i64(row, 1, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_row_text(row, 3, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_row_i64(NULL, 1, &i));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_row_i64(stale, 1, &i));

    memset(buffer, 'x', sizeof buffer);
    STATUS(SHMIRROR_SHORT_BUFFER, shmirror_row_copy_text(row, 3, buffer, 6, &n));
    EXPECT(n == 6 && buffer[0] == 'x');
    STATUS(SHMIRROR_SHORT_BUFFER, shmirror_row_copy_text(row, 3, NULL, 0, &n));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_row_copy_text(row, 3, NULL, 7, &n));
    OK(shmirror_row_copy_text(row, 3, buffer, 7, &n));
    EXPECT(n == 6 && strcmp(buffer, "w\xc3\xa4rme") == 0 && buffer[7] == 'x');

    STATUS(SHMIRROR_SHORT_BUFFER, shmirror_row_json(row, NULL, 0, &n));
    memset(json, 'x', sizeof json);
    STATUS(SHMIRROR_SHORT_BUFFER, shmirror_row_json(row, json, n, NULL));
    EXPECT(json[0] == 'x');
    OK(shmirror_row_json(row, json, n + 1, &n));
    EXPECT(strcmp(json, "{\"id\":1,\"int\":-9007199254740993,\"real\":2.5,"
                        "\"text\":\"w\xc3\xa4rme\",\"blob\":\"0x00abff\",\"none\":null,"
                        "\"yes\":1}") == 0);
    EXPECT(n == strlen(json) && json[n + 1] == 'x');

    OK(shmirror_row_new(&empty));
    OK(shmirror_row_columns(empty, &n));
    OK(shmirror_row_revision(empty, &revision));
    EXPECT(n == 0 && revision == 0);
    FAILS(SHMIRROR_UNKNOWN_COLUMN, "never filled", shmirror_row_i64(empty, 0, &i));
    FAILS(SHMIRROR_UNKNOWN_COLUMN, "never filled", shmirror_row_find(empty, "id", &index));
    OK(shmirror_row_key(empty, NULL, 0, &n));
    EXPECT(n == 0);
    OK(shmirror_row_json(empty, buffer, sizeof buffer, &n));
    EXPECT(strcmp(buffer, "{}") == 0);
    OK(shmirror_row_close(empty));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_row_revision(empty, &revision));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_row_new(NULL));
    OK(shmirror_table_close(t));
}

static void many(void)
{
    shmirror_table *t = table_of("kinds"), *pair = table_of("pairs");
    shmirror_value keys[4];
    shmirror_rows *fresh = NULL;
    uint64_t revision = 99;
    size_t n = 99;

    section("many rows");
    OK(shmirror_rows_new(&fresh));
    OK(shmirror_rows_count(fresh, &n));
    OK(shmirror_rows_revision(fresh, &revision));
    EXPECT(n == 0 && revision == 0);
    STATUS(SHMIRROR_END, shmirror_rows_next(fresh, row));
    STATUS(SHMIRROR_BAD_ARGUMENT, shmirror_rows_at(fresh, 0, row));
    OK(shmirror_rows_close(fresh));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_rows_count(fresh, &n));

    keys[0] = shmirror_integer(2);
    keys[1] = shmirror_integer(77);
    keys[2] = shmirror_string("1");
    OK(shmirror_table_read_many(t, keys, 1, 3, rows));
    OK(shmirror_rows_count(rows, &n));
    OK(shmirror_rows_revision(rows, &revision));
    EXPECT(n == 3 && revision > 0);
    OK(shmirror_rows_at(rows, 0, row));
    EXPECT(integer("id") == 2);
    STATUS(SHMIRROR_NOT_FOUND, shmirror_rows_at(rows, 1, row));
    EXPECT(integer("id") == 2);
    FAILS(SHMIRROR_BAD_ARGUMENT, "found 3", shmirror_rows_at(rows, 3, row));
    OK(shmirror_rows_next(rows, row));
    EXPECT(integer("id") == 2);
    OK(shmirror_rows_next(rows, row));
    EXPECT(integer("id") == 1);
    STATUS(SHMIRROR_END, shmirror_rows_next(rows, row));
    STATUS(SHMIRROR_END, shmirror_rows_next(rows, row));
    EXPECT(integer("id") == 1);
    OK(shmirror_rows_rewind(rows));
    OK(shmirror_rows_next(rows, row));
    EXPECT(integer("id") == 2);
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_rows_next(rows, NULL));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_rows_next(stale, row));
    OK(shmirror_table_read_many(t, NULL, 1, 0, rows));
    OK(shmirror_rows_count(rows, &n));
    EXPECT(n == 0);
    STATUS(SHMIRROR_BAD_ARGUMENT, shmirror_table_read_many(t, keys, 0, 1, rows));
    STATUS(SHMIRROR_BAD_ARGUMENT, shmirror_table_read_many(t, keys, 17, 1, rows));
    STATUS(SHMIRROR_BAD_ARGUMENT, shmirror_table_read_many(t, keys, 2, SIZE_MAX / 2 + 1, rows));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_table_read_many(t, NULL, 1, 1, rows));
    STATUS(SHMIRROR_BAD_KEY, shmirror_table_read_many(t, keys, 2, 1, rows));
    OK(shmirror_rows_count(rows, &n));
    EXPECT(n == 0);
    keys[3].type = 9;
    STATUS(SHMIRROR_BAD_ARGUMENT, shmirror_table_read_many(t, keys, 1, 4, rows));

    keys[0] = shmirror_string("south");
    keys[1] = shmirror_integer(1);
    keys[2] = shmirror_string("north");
    keys[3] = shmirror_integer(1);
    OK(shmirror_table_read_many(pair, keys, 2, 2, rows));
    OK(shmirror_rows_at(rows, 0, row));
    EXPECT(integer("v") == 30);
    OK(shmirror_rows_at(rows, 1, row));
    EXPECT(integer("v") == 10);
    OK(shmirror_table_close(t));
    OK(shmirror_table_close(pair));
}

typedef struct walk {
    shmirror_table *table;
    const shmirror_row *last;
    int64_t sum;
    int32_t calls, most;
} walk;

static int32_t visit(void *context, const shmirror_row *seen)
{
    walk *w = context;
    int64_t v = 0;

    OK(shmirror_row_i64(seen, 2, &v));
    w->sum = w->sum * 100 + v;
    w->last = seen;
    return ++w->calls == w->most;
}

/* A walk within a walk. */
static int32_t visit_all(void *context, const shmirror_row *seen)
{
    walk *w = context;
    walk inner = {NULL, NULL, 0, 0, 0};
    int64_t v = 0;

    inner.table = w->table;
    OK(shmirror_table_each(w->table, 1, visit, &inner, NULL));
    STATUS(SHMIRROR_BAD_KEY, shmirror_table_read_i64(w->table, 1, row));
    OK(shmirror_row_i64(seen, 2, &v));
    w->sum = w->sum * 100 + v;
    w->calls += inner.calls;
    return 0;
}

static int32_t visit_and_close(void *context, const shmirror_row *seen)
{
    (void)context;
    OK(shmirror_row_close((shmirror_row *)(uintptr_t)seen));
    return 0;
}

static void scans(void)
{
    shmirror_table *pair = table_of("pairs");
    walk w = {NULL, NULL, 0, 0, 0};
    uint64_t revision = 0, of_scan = 0;
    int64_t sum = 0;
    size_t n = 99, i;

    section("scans");
    OK(shmirror_table_scan(pair, 1, rows));
    OK(shmirror_rows_count(rows, &n));
    EXPECT(n == 3);
    for (i = 0; i < n; i++) {
        OK(shmirror_rows_at(rows, i, row));
        EXPECT(integer("v") == 10 * ((int64_t)i + 1));
    }
    OK(shmirror_table_scan(pair, 0, rows));
    OK(shmirror_rows_revision(rows, &of_scan));
    while (shmirror_rows_next(rows, row) == SHMIRROR_OK) {
        sum += integer("v");
    }
    EXPECT(sum == 60);
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_table_scan(pair, 0, NULL));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_table_scan(stale, 0, rows));

    OK(shmirror_table_each(pair, 1, visit, &w, &revision));
    EXPECT(w.calls == 3 && w.sum == 102030 && revision == of_scan);
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_row_revision(w.last, &revision));
    w.calls = 0;
    w.sum = 0;
    w.most = 2;
    revision = 0;
    OK(shmirror_table_each(pair, 1, visit, &w, &revision));
    EXPECT(w.calls == 2 && w.sum == 1020 && revision == of_scan);
    w.calls = 0;
    w.sum = 0;
    w.table = pair;
    OK(shmirror_table_each(pair, 1, visit_all, &w, NULL));
    EXPECT(w.calls == 9 && w.sum == 102030);
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_table_each(pair, 0, NULL, NULL, NULL));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_table_each(pair, 0, visit_and_close, NULL, NULL));
    w.calls = 0;
    w.most = 0;
    OK(shmirror_table_each(pair, 0, visit, &w, NULL));
    EXPECT(w.calls == 3);
    OK(shmirror_table_close(pair));
}

typedef struct record {
    uint8_t before;
    int64_t id;
    double real;
    uint8_t yes;
    int32_t small;
    uint32_t natural;
    uint64_t large;
    float single;
    char text[8];
    uint8_t blob[3];
    int64_t none;
    uint8_t none_is_null, text_is_null;
    uint8_t after;
} record;

static const shmirror_field FIELDS[] = {
    SHMIRROR_FIELD(record, id, "ID", SHMIRROR_FIELD_I64),
    SHMIRROR_FIELD(record, real, "real", SHMIRROR_FIELD_F64),
    SHMIRROR_FIELD(record, yes, "yes", SHMIRROR_FIELD_BOOL),
    SHMIRROR_FIELD(record, small, "yes", SHMIRROR_FIELD_I32),
    SHMIRROR_FIELD(record, natural, "yes", SHMIRROR_FIELD_U32),
    SHMIRROR_FIELD(record, large, "yes", SHMIRROR_FIELD_U64),
    SHMIRROR_FIELD(record, single, "real", SHMIRROR_FIELD_F32),
    SHMIRROR_FIELD_NULLABLE(record, text, "text", SHMIRROR_FIELD_TEXT, text_is_null),
    SHMIRROR_FIELD(record, blob, "blob", SHMIRROR_FIELD_BYTES),
    SHMIRROR_FIELD_NULLABLE(record, none, "none", SHMIRROR_FIELD_I64, none_is_null),
};

static shmirror_binding *bind(const shmirror_field *fields, size_t count)
{
    shmirror_binding *binding = NULL;

    OK(shmirror_binding_new(fields, count, &binding));
    return binding;
}

static int untouched(const record *r)
{
    const uint8_t *bytes = (const uint8_t *)r;
    size_t i;

    for (i = 0; i < sizeof *r; i++) {
        if (bytes[i] != 0xee) {
            return 0;
        }
    }
    return 1;
}

/* One field that does not fit: what comes of it, and that nothing is written. */
static void refused(shmirror_table *t, int32_t status, const char *part, shmirror_field bad)
{
    shmirror_field fields[2];
    shmirror_binding *binding;
    record r;

    fields[0] = FIELDS[0];
    fields[1] = bad;
    binding = bind(fields, 2);
    memset(&r, 0xee, sizeof r);
    FAILS(status, part, shmirror_table_fetch_i64(t, 1, binding, &r, sizeof r));
    EXPECT(untouched(&r));
    OK(shmirror_binding_close(binding));
}

static void bindings(void)
{
    shmirror_table *t = table_of("kinds"), *texts = table_of("texts");
    shmirror_binding *binding = bind(FIELDS, COUNT(FIELDS)), *none;
    shmirror_field field;
    shmirror_value key = shmirror_integer(1);
    record r;

    section("bindings");
    memset(&r, 0xee, sizeof r);
    OK(shmirror_table_fetch_i64(t, 1, binding, &r, sizeof r));
    EXPECT(r.before == 0xee && r.after == 0xee && r.id == 1 && r.real == 2.5 && r.yes == 1);
    EXPECT(r.small == 1 && r.natural == 1 && r.large == 1 && r.single == 2.5f);
    EXPECT(strcmp(r.text, "w\xc3\xa4rme") == 0 && memcmp(r.blob, "\x00\xab\xff", 3) == 0);
    EXPECT(r.none == 0 && r.none_is_null == 1 && r.text_is_null == 0);

    memset(&r, 0xee, sizeof r);
    OK(shmirror_table_fetch(t, &key, 1, binding, &r, sizeof r));
    EXPECT(r.id == 1);
    OK(shmirror_table_read_i64(t, 1, row));
    memset(&r, 0xee, sizeof r);
    OK(shmirror_row_fetch(row, binding, &r, sizeof r));
    EXPECT(r.id == 1 && r.after == 0xee);
    OK(shmirror_table_scan(t, 1, rows));
    memset(&r, 0xee, sizeof r);
    OK(shmirror_rows_fetch(rows, 0, binding, &r, sizeof r));
    EXPECT(r.id == 1);
    STATUS(SHMIRROR_BAD_ARGUMENT, shmirror_rows_fetch(rows, 2, binding, &r, sizeof r));
    key = shmirror_integer(77);
    OK(shmirror_table_read_many(t, &key, 1, 1, rows));
    STATUS(SHMIRROR_NOT_FOUND, shmirror_rows_fetch(rows, 0, binding, &r, sizeof r));

    memset(&r, 0xee, sizeof r);
    STATUS(SHMIRROR_NOT_FOUND, shmirror_table_fetch_i64(t, 77, binding, &r, sizeof r));
    FAILS(SHMIRROR_SHORT_BUFFER, "the binding needs",
          shmirror_table_fetch_i64(t, 1, binding, &r, offsetof(record, text_is_null)));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_table_fetch_i64(t, 1, binding, NULL, sizeof r));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_table_fetch_i64(t, 1, NULL, &r, sizeof r));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_table_fetch_i64(t, 1, stale, &r, sizeof r));
    /* Row 2: `real` is text. */
    FAILS(SHMIRROR_TYPE_MISMATCH, "column \"real\": found text \"two\"",
          shmirror_table_fetch_i64(t, 2, binding, &r, sizeof r));
    STATUS(SHMIRROR_BAD_KEY, shmirror_table_fetch_text(table_of("pairs"), "x", 1, binding, &r,
                                                       sizeof r));
    EXPECT(untouched(&r));
    FAILS(SHMIRROR_UNKNOWN_COLUMN, "table \"texts\" has no column \"ID\"",
          shmirror_table_fetch_text(texts, "7", 1, binding, &r, sizeof r));
    EXPECT(untouched(&r));
    OK(shmirror_table_fetch_i64(t, 1, binding, &r, sizeof r));

    field = FIELDS[7];
    field.size = 6;
    refused(t, SHMIRROR_SHORT_BUFFER, "column \"text\"", field);
    field = FIELDS[8];
    field.size = 2;
    refused(t, SHMIRROR_SHORT_BUFFER, "column \"blob\"", field);
    field.size = 4;
    refused(t, SHMIRROR_TYPE_MISMATCH, "column \"blob\"", field);
    field = FIELDS[9];
    field.null_offset = SIZE_MAX;
    refused(t, SHMIRROR_NULL_VALUE, "table \"kinds\", column \"none\"", field);
    field = FIELDS[3];
    field.column = "int";
    refused(t, SHMIRROR_TYPE_MISMATCH, "column \"int\"", field);
    field.column = "text";
    refused(t, SHMIRROR_TYPE_MISMATCH, "column \"text\"", field);
    field.column = "nowhere";
    refused(t, SHMIRROR_UNKNOWN_COLUMN, "nowhere", field);

    field = FIELDS[0];
    field.size = 4;
    FAILS(SHMIRROR_BAD_ARGUMENT, "fields[0]", shmirror_binding_new(&field, 1, &none));
    EXPECT(none == NULL);
    field = FIELDS[0];
    field.column = NULL;
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_binding_new(&field, 1, &none));
    field = FIELDS[0];
    field.type = 10;
    STATUS(SHMIRROR_BAD_ARGUMENT, shmirror_binding_new(&field, 1, &none));
    field = FIELDS[0];
    field.offset = SIZE_MAX - 4;
    STATUS(SHMIRROR_BAD_ARGUMENT, shmirror_binding_new(&field, 1, &none));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_binding_new(NULL, 1, &none));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_binding_new(FIELDS, 1, NULL));
    OK(shmirror_binding_close(binding));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_table_fetch_i64(t, 1, binding, &r, sizeof r));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_binding_close(binding));
    OK(shmirror_table_close(t));
    OK(shmirror_table_close(texts));
}

static void altered(void)
{
    static const shmirror_field fields[] = {{"v", SHMIRROR_FIELD_I64, 0, 0, 8, SIZE_MAX}};
    shmirror_binding *binding;
    shmirror_table *t;
    int64_t v = 0;
    size_t index = 99;
    const char *name = NULL;

    section("altered tables");
    sql("CREATE TABLE shape (id INTEGER PRIMARY KEY, first INT, v INT);"
        "INSERT INTO shape VALUES (1, 10, 20)");
    t = table_of("shape");
    binding = bind(fields, 1);
    OK(shmirror_table_read_i64(t, 1, row));
    OK(shmirror_table_scan(t, 0, rows));
    OK(shmirror_table_fetch_i64(t, 1, binding, &v, sizeof v));
    EXPECT(v == 20);
    sql("ALTER TABLE shape DROP COLUMN first; ALTER TABLE shape ADD COLUMN w INT DEFAULT 5;"
        "UPDATE shape SET v = 21");
    /* What was read before has the form of before. */
    OK(shmirror_row_find(row, "v", &index));
    EXPECT(index == 2 && integer("first") == 10 && integer("v") == 20);
    STATUS(SHMIRROR_UNKNOWN_COLUMN, shmirror_row_find(row, "w", &index));
    OK(shmirror_row_fetch(row, binding, &v, sizeof v));
    EXPECT(v == 20);
    OK(shmirror_table_column(t, "v", &index));
    EXPECT(index == 1);
    OK(shmirror_table_fetch_i64(t, 1, binding, &v, sizeof v));
    EXPECT(v == 21);
    OK(shmirror_rows_fetch(rows, 0, binding, &v, sizeof v));
    EXPECT(v == 20);
    OK(shmirror_row_column_name(row, 1, &name));
    OK(shmirror_table_read_i64(t, 1, row));
    EXPECT(strcmp(name, "first") == 0);
    EXPECT(integer("w") == 5 && integer("v") == 21);
    STATUS(SHMIRROR_UNKNOWN_COLUMN, shmirror_row_find(row, "first", &index));
    sql("ALTER TABLE shape RENAME COLUMN v TO u");
    FAILS(SHMIRROR_UNKNOWN_COLUMN, "no column \"v\"",
          shmirror_table_fetch_i64(t, 1, binding, &v, sizeof v));
    sql("ALTER TABLE shape RENAME COLUMN u TO v");
    OK(shmirror_table_fetch_i64(t, 1, binding, &v, sizeof v));
    OK(shmirror_binding_close(binding));
    OK(shmirror_table_close(t));
}

static void cells(void)
{
    shmirror_table *t = table_of("kinds"), *c;
    shmirror_value key = shmirror_integer(1);
    shmirror_cell *cell[7] = {NULL}, *none, *moving;
    static const char *const columns[] = {"id", "int", "real", "text", "blob", "none", "yes"};
    int64_t i = 0;
    double d = 0;
    bool b = false;
    char text[8];
    uint8_t bytes[4];
    size_t n = 99, at;

    section("cells");
    for (at = 0; at < COUNT(cell); at++) {
        OK(shmirror_table_cell(t, &key, 1, columns[at], &cell[at]));
    }
    FAILS(SHMIRROR_UNKNOWN_COLUMN, "nowhere", shmirror_table_cell(t, &key, 1, "nowhere", &none));
    EXPECT(none == NULL);
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_table_cell(t, &key, 1, NULL, &none));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_table_cell(t, &key, 1, "id", NULL));
    STATUS(SHMIRROR_BAD_KEY, shmirror_table_cell(t, &key, 0, "id", &none));
    STATUS(SHMIRROR_BAD_ARGUMENT, shmirror_table_cell(t, &key, 17, "id", &none));
    key = shmirror_integer(77);
    FAILS(SHMIRROR_NO_SUCH_ROW, "77", shmirror_table_cell(t, &key, 1, "id", &none));
    OK(shmirror_cell_i64(cell[1], &i));
    EXPECT(i == INT64_C(-9007199254740993));
    FAILS(SHMIRROR_TYPE_MISMATCH, "table \"kinds\", column \"int\"",
          shmirror_cell_f64(cell[1], &d));
    OK(shmirror_cell_f64(cell[2], &d));
    EXPECT(d == 2.5);
    STATUS(SHMIRROR_TYPE_MISMATCH, shmirror_cell_i64(cell[2], &i));
    FAILS(SHMIRROR_NULL_VALUE, "table \"kinds\", column \"none\": found null, expected an integer",
          shmirror_cell_i64(cell[5], &i));
    STATUS(SHMIRROR_NULL_VALUE, shmirror_cell_f64(cell[5], &d));
    STATUS(SHMIRROR_NULL_VALUE, shmirror_cell_text(cell[5], text, sizeof text, &n));
    OK(shmirror_cell_is_null(cell[5], &b));
    EXPECT(b);
    OK(shmirror_cell_is_null(cell[4], &b));
    EXPECT(!b);
    OK(shmirror_cell_bool(cell[6], &b));
    EXPECT(b);
    STATUS(SHMIRROR_TYPE_MISMATCH, shmirror_cell_bool(cell[1], &b));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_cell_i64(cell[1], NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_cell_i64(NULL, &i));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_cell_i64(stale, &i));

    memset(text, 'x', sizeof text);
    for (at = 0; at <= 6; at++) {
        n = 99;
        STATUS(SHMIRROR_SHORT_BUFFER, shmirror_cell_text(cell[3], at == 0 ? NULL : text, at, &n));
        EXPECT(n == 6 && text[0] == 'x');
    }
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_cell_text(cell[3], NULL, 1, &n));
    OK(shmirror_cell_text(cell[3], text, 7, &n));
    EXPECT(n == 6 && strcmp(text, "w\xc3\xa4rme") == 0 && text[7] == 'x');
    OK(shmirror_cell_text(cell[3], text, sizeof text, NULL));
    STATUS(SHMIRROR_TYPE_MISMATCH, shmirror_cell_text(cell[4], text, sizeof text, &n));
    memset(bytes, 0xee, sizeof bytes);
    STATUS(SHMIRROR_SHORT_BUFFER, shmirror_cell_bytes(cell[4], bytes, 2, &n));
    EXPECT(n == 3 && bytes[0] == 0xee);
    STATUS(SHMIRROR_SHORT_BUFFER, shmirror_cell_bytes(cell[4], NULL, 0, &n));
    OK(shmirror_cell_bytes(cell[4], bytes, sizeof bytes, &n));
    EXPECT(n == 3 && memcmp(bytes, "\x00\xab\xff\xee", 4) == 0);
    STATUS(SHMIRROR_TYPE_MISMATCH, shmirror_cell_bytes(cell[3], bytes, sizeof bytes, &n));

    sql("CREATE TABLE moving (id INTEGER PRIMARY KEY, v); INSERT INTO moving VALUES (5, 50)");
    c = table_of("moving");
    key = shmirror_integer(5);
    OK(shmirror_table_cell(c, &key, 1, "v", &moving));
    OK(shmirror_table_close(c));
    OK(shmirror_cell_i64(moving, &i));
    EXPECT(i == 50);
    sql("UPDATE moving SET v = ''");
    OK(shmirror_cell_text(moving, text, 1, &n));
    EXPECT(n == 0 && text[0] == '\0');
    sql("UPDATE moving SET v = x''");
    OK(shmirror_cell_bytes(moving, NULL, 0, &n));
    EXPECT(n == 0);
    sql("DELETE FROM moving");
    FAILS(SHMIRROR_DELETED, "table \"moving\", column \"v\"", shmirror_cell_i64(moving, &i));
    STATUS(SHMIRROR_NO_SUCH_ROW, shmirror_cell_refresh(moving));
    sql("INSERT INTO moving VALUES (5, 51)");
    STATUS(SHMIRROR_DELETED, shmirror_cell_text(moving, text, sizeof text, &n));
    OK(shmirror_cell_refresh(moving));
    OK(shmirror_cell_i64(moving, &i));
    EXPECT(i == 51);
    sql("ALTER TABLE moving ADD COLUMN w");
    STATUS(SHMIRROR_RESHAPED, shmirror_cell_i64(moving, &i));
    OK(shmirror_cell_refresh(moving));
    OK(shmirror_cell_i64(moving, &i));
    sql("DROP TABLE moving");
    STATUS(SHMIRROR_RESHAPED, shmirror_cell_is_null(moving, &b));
    STATUS(SHMIRROR_UNKNOWN_TABLE, shmirror_cell_refresh(moving));
    OK(shmirror_cell_close(moving));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_cell_refresh(moving));
    for (at = 0; at < COUNT(cell); at++) {
        OK(shmirror_cell_close(cell[at]));
    }
    OK(shmirror_cell_close(NULL));
    OK(shmirror_table_close(t));
}

int main(void)
{
    shmirror_table *t;
    shmirror_options *options;

    OK(shmirror_options_new(&options));
    OK(shmirror_options_close(options));
    stale = options;
    OK(shmirror_attach(NULL, &mirror));
    OK(shmirror_producer_attach(NULL, &producer));
    OK(shmirror_row_new(&row));
    OK(shmirror_rows_new(&rows));
    sql("CREATE TABLE kinds (id INTEGER PRIMARY KEY, int INTEGER, real REAL, text TEXT, blob BLOB,"
        " none, yes BOOLEAN)");
    sql("INSERT INTO kinds VALUES (1, -9007199254740993, 2.5, 'wärme', x'00abff', NULL, 1),"
        " (2, 0, 'two', '', x'', NULL, 0)");
    sql("CREATE TABLE texts (name TEXT PRIMARY KEY, v INT)");
    sql("INSERT INTO texts VALUES ('', 0), ('7', 7), (replace(hex(zeroblob(200)), '0', 'k'), 400)");
    sql("CREATE TABLE pairs (area TEXT COLLATE NOCASE, no INT, v INT, PRIMARY KEY (area, no))");
    sql("INSERT INTO pairs VALUES ('south', 1, 30), ('north', 2, 20), ('north', 1, 10)");
    tables();
    keys();
    getters();
    many();
    scans();
    bindings();
    altered();
    cells();

    /* What was read outlives table and mirror. */
    t = table_of("kinds");
    OK(shmirror_table_read_i64(t, 1, row));
    OK(shmirror_table_close(t));
    OK(shmirror_mirror_close(mirror));
    EXPECT(integer("id") == 1);
    OK(shmirror_row_close(row));
    OK(shmirror_rows_close(rows));
    OK(shmirror_producer_close(producer));
    return 0;
}
