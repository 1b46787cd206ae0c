/* The loops of a C program, to be timed beside those of a Rust program (examples/figures.rs), which
 * loads this as a shared object.
 *
 * In: a socket, once; then keys, or how often. Out: a sum over all that was read, so that the other
 * side can compare it with its own; -1 where something failed.
 */
#include <stdio.h>
#include <string.h>

#include <shmirror.h>

typedef struct sample {
    int64_t a;
    double d;
} sample;

typedef struct text_key {
    const char *data;
    size_t size;
} text_key;

static shmirror_mirror *mirror;
static shmirror_table *by_integer, *by_text;
static shmirror_cell *cell_a, *cell_d;
static shmirror_binding *binding;
static shmirror_row *row;
static shmirror_rows *rows;

/* Work that is not the library's, for the test to see that it is noticed: a look at the clock, some
 * 20 ns that nothing else runs beside. */
#ifdef EXTRA
#define extra() ((void)shmirror_now())
#else
#define extra() ((void)0)
#endif

static int failed(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, shmirror_last_message());
    return 1;
}

/* The tables of these names, and cells of the row with the key 1. */
int figures_open(const char *socket, const char *integer_table, const char *text_table);
int figures_open(const char *socket, const char *integer_table, const char *text_table)
{
    static const shmirror_field fields[] = {
        SHMIRROR_FIELD(sample, a, "a", SHMIRROR_FIELD_I64),
        SHMIRROR_FIELD(sample, d, "d", SHMIRROR_FIELD_F64),
    };
    shmirror_options *options;
    shmirror_value key = shmirror_integer(1);
    int wrong;

    wrong = shmirror_options_new(&options) != SHMIRROR_OK
        || shmirror_options_socket(options, socket) != SHMIRROR_OK
        || shmirror_attach(options, &mirror) != SHMIRROR_OK
        || shmirror_options_close(options) != SHMIRROR_OK
        || shmirror_mirror_table(mirror, integer_table, &by_integer) != SHMIRROR_OK
        || shmirror_mirror_table(mirror, text_table, &by_text) != SHMIRROR_OK
        || shmirror_table_cell(by_integer, &key, 1, "a", &cell_a) != SHMIRROR_OK
        || shmirror_table_cell(by_integer, &key, 1, "d", &cell_d) != SHMIRROR_OK
        || shmirror_binding_new(fields, 2, &binding) != SHMIRROR_OK
        || shmirror_row_new(&row) != SHMIRROR_OK
        || shmirror_rows_new(&rows) != SHMIRROR_OK;
    return wrong ? failed("figures_open") : 0;
}

void figures_close(void);
void figures_close(void)
{
    shmirror_rows_close(rows);
    shmirror_row_close(row);
    shmirror_binding_close(binding);
    shmirror_cell_close(cell_d);
    shmirror_cell_close(cell_a);
    shmirror_table_close(by_text);
    shmirror_table_close(by_integer);
    shmirror_mirror_close(mirror);
}

double figures_cell_i64(size_t turns);
double figures_cell_i64(size_t turns)
{
    int64_t value, sum = 0;
    size_t i;

    for (i = 0; i < turns; i++) {
        if (shmirror_cell_i64(cell_a, &value) != SHMIRROR_OK) {
            return failed("shmirror_cell_i64") - 2;
        }
        sum += value;
        extra();
    }
    return (double)sum;
}

double figures_cell_f64(size_t turns);
double figures_cell_f64(size_t turns)
{
    double value, sum = 0;
    size_t i;

    for (i = 0; i < turns; i++) {
        if (shmirror_cell_f64(cell_d, &value) != SHMIRROR_OK) {
            return failed("shmirror_cell_f64") - 2;
        }
        sum += value;
        extra();
    }
    return sum;
}

/* The row alone; the sum is the number of rows. */
double figures_row(const int64_t *keys, size_t count);
double figures_row(const int64_t *keys, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (shmirror_table_read_i64(by_integer, keys[i], row) != SHMIRROR_OK) {
            return failed("shmirror_table_read_i64") - 2;
        }
        extra();
    }
    return (double)count;
}

double figures_row_getters(const int64_t *keys, size_t count);
double figures_row_getters(const int64_t *keys, size_t count)
{
    double d, sum = 0;
    int64_t a;
    size_t i;

    for (i = 0; i < count; i++) {
        if (shmirror_table_read_i64(by_integer, keys[i], row) != SHMIRROR_OK
            || shmirror_row_i64(row, 1, &a) != SHMIRROR_OK
            || shmirror_row_f64(row, 4, &d) != SHMIRROR_OK) {
            return failed("shmirror_table_read_i64 and getters") - 2;
        }
        sum += (double)a + d;
        extra();
    }
    return sum;
}

double figures_fetch(const int64_t *keys, size_t count);
double figures_fetch(const int64_t *keys, size_t count)
{
    double sum = 0;
    sample into;
    size_t i;

    for (i = 0; i < count; i++) {
        if (shmirror_table_fetch_i64(by_integer, keys[i], binding, &into, sizeof into)
            != SHMIRROR_OK) {
            return failed("shmirror_table_fetch_i64") - 2;
        }
        sum += (double)into.a + into.d;
        extra();
    }
    return sum;
}

double figures_text(const text_key *keys, size_t count);
double figures_text(const text_key *keys, size_t count)
{
    double d, sum = 0;
    int64_t a;
    size_t i;

    for (i = 0; i < count; i++) {
        if (shmirror_table_read_text(by_text, keys[i].data, keys[i].size, row) != SHMIRROR_OK
            || shmirror_row_i64(row, 1, &a) != SHMIRROR_OK
            || shmirror_row_f64(row, 2, &d) != SHMIRROR_OK) {
            return failed("shmirror_table_read_text and getters") - 2;
        }
        sum += (double)a + d;
        extra();
    }
    return sum;
}

double figures_scan(void);
double figures_scan(void)
{
    shmirror_status status = shmirror_table_scan(by_integer, 0, rows);
    double d, sum = 0;
    int64_t a;

    while (status == SHMIRROR_OK && (status = shmirror_rows_next(rows, row)) == SHMIRROR_OK) {
        if (shmirror_row_i64(row, 1, &a) != SHMIRROR_OK
            || shmirror_row_f64(row, 4, &d) != SHMIRROR_OK) {
            return failed("getters of a scanned row") - 2;
        }
        sum += (double)a + d;
        extra();
    }
    return status == SHMIRROR_END ? sum : failed("shmirror_table_scan") - 2;
}

static int32_t add(void *context, const shmirror_row *visited)
{
    double d;
    int64_t a;

    if (shmirror_row_i64(visited, 1, &a) != SHMIRROR_OK
        || shmirror_row_f64(visited, 4, &d) != SHMIRROR_OK) {
        return 1;
    }
    *(double *)context += (double)a + d;
    extra();
    return 0;
}

double figures_each(void);
double figures_each(void)
{
    double sum = 0;

    if (shmirror_table_each(by_integer, 0, add, &sum, NULL) != SHMIRROR_OK) {
        return failed("shmirror_table_each") - 2;
    }
    return sum;
}
