/* How often each function that reads allocates, once its buffers have grown.
 *
 * In: the daemon's socket, in SHMIRROR_SOCKET. Out: a line for each kind of read: `name: 0 in 10000
 * turns`. The program has an allocator of its own, which counts what this thread asks for: a mirror
 * has a thread that looks after its connection.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <pthread.h>

#include "expect.h"

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *block);

static pthread_t reader;
static int counting;
static unsigned long allocations;

static void count(void)
{
    if (counting && pthread_equal(reader, pthread_self())) {
        allocations++;
    }
}

void *malloc(size_t size)
{
    count();
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
    count();
    return __libc_calloc(number, size);
}

void *realloc(void *block, size_t size)
{
    count();
    return __libc_realloc(block, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    count();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
    count();
    *block = __libc_memalign(alignment, size);
    return *block == NULL ? ENOMEM : 0;
}

void free(void *block)
{
    __libc_free(block);
}

typedef struct record {
    int64_t id;
    double v;
    char note[400];
    uint8_t raw[4];
    uint8_t note_is_null;
} record;

#define TURNS 10000
#define MANY 20

static shmirror_mirror *mirror;
static shmirror_table *numbers, *texts, *wide, *large;
static shmirror_row *row;
static shmirror_rows *rows, *list;
static shmirror_binding *binding;
static shmirror_cell *cell_i, *cell_d, *cell_text, *cell_blob;
static shmirror_value long_keys[MANY], int_keys[MANY], wide_keys[MANY * 5], wide_key[5];
static char key_texts[MANY][401];
static char buffer[20000];
static record into;

static shmirror_table *table_of(const char *name)
{
    shmirror_table *table;

    OK(shmirror_mirror_table(mirror, name, &table));
    return table;
}

static int32_t visit(void *context, const shmirror_row *seen)
{
    (void)seen;
    ++*(int *)context;
    return 0;
}

static void each(shmirror_table *table, int32_t sorted)
{
    int calls = 0;

    OK(shmirror_table_each(table, sorted, visit, &calls, NULL));
    EXPECT(calls == MANY);
}

static void read_int(int i)
{
    shmirror_value key = shmirror_integer(i % MANY);

    OK(shmirror_table_read(numbers, &key, 1, row));
}

static void read_i64(int i)
{
    OK(shmirror_table_read_i64(numbers, i % MANY, row));
}

static void read_none(int i)
{
    STATUS(SHMIRROR_NOT_FOUND, shmirror_table_read_i64(numbers, i + MANY, row));
}

static void read_short_text(int i)
{
    (void)i;
    STATUS(SHMIRROR_NOT_FOUND, shmirror_table_read_text(texts, "short", 5, row));
}

static void read_long_text(int i)
{
    OK(shmirror_table_read_text(texts, key_texts[i % MANY], 400, row));
}

static void read_long_value(int i)
{
    OK(shmirror_table_read(texts, &long_keys[i % MANY], 1, row));
}

static void read_int_as_text(int i)
{
    STATUS(SHMIRROR_NOT_FOUND, shmirror_table_read_i64(texts, i, row));
}

static void read_real_as_text(int i)
{
    shmirror_value key = shmirror_real(i / 1e300);

    STATUS(SHMIRROR_NOT_FOUND, shmirror_table_read(texts, &key, 1, row));
}

static void read_wide(int i)
{
    wide_key[4] = shmirror_integer(i % MANY);
    OK(shmirror_table_read(wide, wide_key, 5, row));
}

static void read_large(int i)
{
    OK(shmirror_table_read_i64(large, i % MANY, row));
}

static void read_both(int i)
{
    read_large(i);
    read_i64(i);
}

static void getters(int i)
{
    shmirror_value value;
    shmirror_value key[16];
    shmirror_text text;
    shmirror_blob blob;
    const char *name;
    double d;
    int64_t n;
    size_t size;

    read_i64(i);
    OK(shmirror_row_find(row, "v", &size));
    OK(shmirror_row_f64(row, size, &d));
    OK(shmirror_row_column_name(row, size, &name));
    OK(shmirror_row_i64(row, 0, &n));
    OK(shmirror_row_text(row, 2, &text));
    OK(shmirror_row_blob(row, 3, &blob));
    OK(shmirror_row_value(row, 2, &value));
    OK(shmirror_row_key(row, key, 16, &size));
    OK(shmirror_row_copy_text(row, 2, buffer, sizeof buffer, &size));
}

static void null_value(int i)
{
    int64_t n;

    (void)i;
    STATUS(SHMIRROR_NULL_VALUE, shmirror_row_i64(row, 4, &n));
}

static void json(int i)
{
    (void)i;
    OK(shmirror_row_json(row, buffer, sizeof buffer, NULL));
}

static void table_things(int i)
{
    uint64_t n;
    size_t size;

    (void)i;
    OK(shmirror_table_rows(numbers, &n));
    OK(shmirror_table_column(numbers, "v", &size));
}

static void fetch_i64(int i)
{
    OK(shmirror_table_fetch_i64(numbers, i % MANY, binding, &into, sizeof into));
}

static void fetch(int i)
{
    OK(shmirror_table_fetch(numbers, &int_keys[i % MANY], 1, binding, &into, sizeof into));
}

static void row_fetch(int i)
{
    read_i64(i);
    OK(shmirror_row_fetch(row, binding, &into, sizeof into));
}

static void many_ints(int i)
{
    (void)i;
    OK(shmirror_table_read_many(numbers, int_keys, 1, MANY, list));
}

static void many_longs(int i)
{
    (void)i;
    OK(shmirror_table_read_many(texts, long_keys, 1, MANY, list));
}

static void many_wide(int i)
{
    (void)i;
    OK(shmirror_table_read_many(wide, wide_keys, 5, MANY, list));
}

static void many_more_and_fewer(int i)
{
    OK(shmirror_table_read_many(texts, long_keys, 1, (size_t)(1 + i % MANY), list));
    OK(shmirror_rows_at(list, 0, row));
}

static void rows_at(int i)
{
    many_ints(i);
    OK(shmirror_rows_at(list, (size_t)(i % MANY), row));
    OK(shmirror_rows_fetch(list, (size_t)(i % MANY), binding, &into, sizeof into));
}

static void scan(int i)
{
    (void)i;
    OK(shmirror_table_scan(numbers, 0, rows));
}

static void scan_ints(int i)
{
    (void)i;
    OK(shmirror_table_scan(numbers, 1, rows));
}

static void scan_longs(int i)
{
    (void)i;
    OK(shmirror_table_scan(texts, 1, rows));
}

static void scan_wide(int i)
{
    (void)i;
    OK(shmirror_table_scan(wide, 1, rows));
}

static void scan_large(int i)
{
    int seen = 0;

    (void)i;
    OK(shmirror_table_scan(large, 1, rows));
    while (shmirror_rows_next(rows, row) == SHMIRROR_OK) {
        seen++;
    }
    EXPECT(seen == MANY);
}

static void each_number(int i)
{
    (void)i;
    each(numbers, 0);
}

static void each_text(int i)
{
    (void)i;
    each(texts, 1);
}

static void each_large(int i)
{
    (void)i;
    each(large, 0);
}

static void cells(int i)
{
    int64_t n;
    double d;
    bool b;

    (void)i;
    OK(shmirror_cell_i64(cell_i, &n));
    OK(shmirror_cell_f64(cell_d, &d));
    OK(shmirror_cell_is_null(cell_d, &b));
}

static void text_of_cell(int i)
{
    (void)i;
    OK(shmirror_cell_text(cell_text, buffer, sizeof buffer, NULL));
}

static void bytes_of_cell(int i)
{
    (void)i;
    OK(shmirror_cell_bytes(cell_blob, (uint8_t *)buffer, sizeof buffer, NULL));
}

/* What the counter must see: of this program's own, and of the library's. */
static void control(int i)
{
    static void *volatile kept;

    (void)i;
    kept = malloc(1);
    free(kept);
}

static void library_control(int i)
{
    (void)i;
    OK(shmirror_table_close(table_of("numbers")));
}

static void measure(const char *name, void (*turn)(int), int turns)
{
    int i;

    if (turns > 3) {
        for (i = 0; i < 2 * MANY; i++) {
            turn(i);
        }
    }
    allocations = 0;
    counting = 1;
    for (i = 0; i < turns; i++) {
        turn(i);
    }
    counting = 0;
    printf("%s: %lu in %d turns\n", name, allocations, turns);
}

#define MEASURE(name) measure(#name, name, TURNS)

int main(void)
{
    static const shmirror_field fields[] = {
        SHMIRROR_FIELD(record, id, "id", SHMIRROR_FIELD_I64),
        SHMIRROR_FIELD(record, v, "v", SHMIRROR_FIELD_F64),
        SHMIRROR_FIELD_NULLABLE(record, note, "note", SHMIRROR_FIELD_TEXT, note_is_null),
        SHMIRROR_FIELD(record, raw, "raw", SHMIRROR_FIELD_BYTES),
    };
    shmirror_producer *producer;
    char sql[16384];
    int i, part;

    reader = pthread_self();
    OK(shmirror_attach(NULL, &mirror));
    OK(shmirror_producer_attach(NULL, &producer));
    OK(shmirror_execute(producer,
                        "CREATE TABLE numbers (id INTEGER PRIMARY KEY, v REAL, note TEXT, raw BLOB,"
                        " none);"
                        "CREATE TABLE texts (name TEXT PRIMARY KEY, v INT);"
                        "CREATE TABLE wide (a TEXT, b TEXT, c INT, d REAL, e INT, v INT,"
                        " PRIMARY KEY (a, b, c, d, e));"
                        "CREATE TABLE large (id INTEGER PRIMARY KEY, v TEXT)",
                        NULL));
    for (i = 0; i < MANY; i++) {
        memset(key_texts[i], 'a' + i, 400);
        long_keys[i] = shmirror_string(key_texts[i]);
        int_keys[i] = shmirror_integer(i);
        wide_key[0] = shmirror_string("a key of five columns");
        wide_key[1] = shmirror_string("and of a hundred bytes or so");
        wide_key[2] = shmirror_integer(7);
        wide_key[3] = shmirror_real(0.5);
        wide_key[4] = shmirror_integer(i);
        for (part = 0; part < 5; part++) {
            wide_keys[i * 5 + part] = wide_key[part];
        }
        snprintf(sql, sizeof sql,
                 "INSERT INTO numbers VALUES (%d, 0.5, 'a note of %d', x'01020304', NULL);"
                 "INSERT INTO texts VALUES ('%s', 1);"
                 "INSERT INTO wide VALUES ('%s', '%s', 7, 0.5, %d, 1);"
                 "INSERT INTO large VALUES (%d, hex(zeroblob(%d)))",
                 i, i, key_texts[i], "a key of five columns", "and of a hundred bytes or so", i, i,
                 4000 + 10 * i);
        OK(shmirror_execute(producer, sql, NULL));
    }
    numbers = table_of("numbers");
    texts = table_of("texts");
    wide = table_of("wide");
    large = table_of("large");
    OK(shmirror_row_new(&row));
    OK(shmirror_rows_new(&rows));
    OK(shmirror_rows_new(&list));
    OK(shmirror_binding_new(fields, COUNT(fields), &binding));
    OK(shmirror_table_cell(numbers, &int_keys[1], 1, "id", &cell_i));
    OK(shmirror_table_cell(numbers, &int_keys[1], 1, "v", &cell_d));
    OK(shmirror_table_cell(large, &int_keys[1], 1, "v", &cell_text));
    OK(shmirror_table_cell(numbers, &int_keys[1], 1, "raw", &cell_blob));

    measure("malloc", control, 3);
    measure("library", library_control, 3);
    MEASURE(read_int);
    MEASURE(read_i64);
    MEASURE(read_none);
    MEASURE(read_short_text);
    MEASURE(read_long_text);
    MEASURE(read_long_value);
    MEASURE(read_int_as_text);
    MEASURE(read_real_as_text);
    MEASURE(read_wide);
    MEASURE(read_large);
    MEASURE(read_both);
    MEASURE(getters);
    MEASURE(null_value);
    MEASURE(json);
    MEASURE(table_things);
    MEASURE(fetch_i64);
    MEASURE(fetch);
    MEASURE(row_fetch);
    MEASURE(many_ints);
    MEASURE(many_longs);
    MEASURE(many_wide);
    MEASURE(many_more_and_fewer);
    MEASURE(rows_at);
    MEASURE(scan);
    MEASURE(scan_ints);
    MEASURE(scan_longs);
    MEASURE(scan_wide);
    MEASURE(scan_large);
    MEASURE(each_number);
    MEASURE(each_text);
    MEASURE(each_large);
    MEASURE(cells);
    MEASURE(text_of_cell);
    MEASURE(bytes_of_cell);
    OK(shmirror_mirror_close(mirror));
    OK(shmirror_producer_close(producer));
    return 0;
}
