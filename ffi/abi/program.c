/* A program of any version since 0.1: it uses only what that had. Built against each frozen header, run
 * on newer libraries beside the daemon that SHMIRROR_SOCKET names, where the table pump has a row 7.
 * Prints the library's version and what it read. Exit status: the status of the call that failed. */
#include <inttypes.h>
#include <stdio.h>

#include <shmirror.h>

static int failed(shmirror_status status)
{
    fprintf(stderr, "%s: %s\n", shmirror_status_name((int32_t)status), shmirror_last_message());
    return (int)status;
}

#define TRY(call)                      \
    do {                               \
        shmirror_status got = (call);  \
        if (got != SHMIRROR_OK) {      \
            return failed(got);        \
        }                              \
    } while (0)

int main(void)
{
    shmirror_options *options = NULL;
    shmirror_mirror *mirror = NULL;
    shmirror_table *table = NULL;
    shmirror_row *row = NULL;
    shmirror_cell *cell = NULL;
    shmirror_schema *schema = NULL;
    shmirror_value key = shmirror_integer(7);
    shmirror_value state = shmirror_null();
    shmirror_column column;
    int64_t id = 0;
    double flow = 0;

    TRY(SHMIRROR_CHECK_VERSION());
    TRY(shmirror_options_new(&options));
    TRY(shmirror_options_program(options, "an older one"));
    TRY(shmirror_attach(options, &mirror));
    TRY(shmirror_mirror_table(mirror, "pump", &table));
    TRY(shmirror_table_schema(table, &schema));
    TRY(shmirror_schema_column(schema, 1, &column));
    TRY(shmirror_row_new(&row));
    TRY(shmirror_table_read(table, &key, 1, row));
    TRY(shmirror_row_i64(row, 0, &id));
    TRY(shmirror_row_value(row, 1, &state));
    TRY(shmirror_table_cell(table, &key, 1, "flow", &cell));
    TRY(shmirror_cell_f64(cell, &flow));
    printf("%s id %" PRId64 " %s %.*s flow %.1f\n", shmirror_version(), id, column.name,
           (int)state.as.text.size, state.as.text.data, flow);
    TRY(shmirror_cell_close(cell));
    TRY(shmirror_row_close(row));
    TRY(shmirror_schema_close(schema));
    TRY(shmirror_table_close(table));
    TRY(shmirror_mirror_close(mirror));
    TRY(shmirror_options_close(options));
    return 0;
}
