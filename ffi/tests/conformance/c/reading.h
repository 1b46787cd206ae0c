/* Lines that read rows and cells. */

#ifndef READING_H
#define READING_H

#include "fields.h"
#include "state.h"

/* get TABLE KEY… COLUMN TYPE, of the row that was just read. */
static void put_typed(const shmirror_row *r, const char *column, const char *type)
{
    size_t i;
    shmirror_value value = shmirror_null();
    int32_t status;
    bool truth = false;
    int32_t small;
    uint32_t natural;
    uint64_t large;
    if (failed(shmirror_row_find(r, column, &i))) {
        return;
    }
    if (strcmp(type, "i64") == 0) {
        status = shmirror_row_i64(r, i, &value.as.integer);
        value.type = SHMIRROR_TYPE_INTEGER;
    } else if (strcmp(type, "f64") == 0) {
        status = shmirror_row_f64(r, i, &value.as.real);
        value.type = SHMIRROR_TYPE_REAL;
    } else if (strcmp(type, "bool") == 0) {
        status = shmirror_row_bool(r, i, &truth);
        value = shmirror_boolean(truth);
    } else if (strcmp(type, "i32") == 0) {
        status = shmirror_row_i32(r, i, &small);
        value = shmirror_integer(status == SHMIRROR_OK ? small : 0);
    } else if (strcmp(type, "u32") == 0) {
        status = shmirror_row_u32(r, i, &natural);
        value = shmirror_integer(status == SHMIRROR_OK ? natural : 0);
    } else if (strcmp(type, "u64") == 0) {
        status = shmirror_row_u64(r, i, &large);
        value = shmirror_integer(status == SHMIRROR_OK ? (int64_t)large : 0);
    } else if (strcmp(type, "f32") == 0) {
        float single = 0;
        status = shmirror_row_f32(r, i, &single);
        value = shmirror_real(single);
    } else if (strcmp(type, "value") == 0) {
        status = shmirror_row_value(r, i, &value);
    } else if (strcmp(type, "text") == 0) {
        status = shmirror_row_text(r, i, &value.as.text);
        value.type = SHMIRROR_TYPE_TEXT;
    } else {
        status = shmirror_row_blob(r, i, &value.as.blob);
        value.type = SHMIRROR_TYPE_BLOB;
    }
    if (!failed(status)) {
        put_value(stdout, &value);
        putchar('\n');
    }
}

/* many TABLE VALUE… / VALUE… */
static void run_many(shmirror_table *table, const line *l)
{
    shmirror_value keys[MOST_WORDS];
    size_t width = 0, count = 0, from = 1, i;
    uint64_t revision;
    while (from < l->count) {
        values key;
        from = values_of(l, from + 1, &key);
        width = key.count;
        memcpy(keys + count * width, key.values, width * sizeof *keys);
        count++;
    }
    if (failed(shmirror_table_read_many(table, keys, width, count, rows))) {
        return;
    }
    sure(shmirror_rows_revision(rows, &revision));
    sure(shmirror_rows_count(rows, &count));
    printf("revision ");
    put_revision(stdout, revision);
    printf(" rows %zu\n", count);
    for (i = 0; i < count; i++) {
        int32_t status = shmirror_rows_at(rows, i, row);
        if (status == SHMIRROR_NOT_FOUND) {
            puts("none");
        } else {
            sure(status);
            put_row(stdout, row);
        }
    }
}

/* Lines that are sorted before they are printed. */
typedef struct {
    char *all[4096];
    size_t count;
} heap_of_lines;

static int32_t visit(void *context, const shmirror_row *r)
{
    heap_of_lines *lines = (heap_of_lines *)context;
    size_t size;
    FILE *out = open_memstream(&lines->all[lines->count++], &size);
    put_row(out, r);
    fclose(out);
    return 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* scan, each: all rows, in key order or, where the order is any, sorted by their lines. */
static void run_scan(shmirror_table *table, bool each, bool sorted)
{
    static heap_of_lines lines;
    uint64_t revision;
    size_t i;
    lines.count = 0;
    if (each) {
        if (failed(shmirror_table_each(table, sorted, visit, &lines, &revision))) {
            return;
        }
    } else {
        if (failed(shmirror_table_scan(table, sorted, rows))) {
            return;
        }
        sure(shmirror_rows_revision(rows, &revision));
        sure(shmirror_rows_rewind(rows));
        for (;;) {
            int32_t status = shmirror_rows_next(rows, row);
            if (status == SHMIRROR_END) {
                break;
            }
            sure(status);
            visit(&lines, row);
        }
    }
    if (!sorted) {
        qsort(lines.all, lines.count, sizeof *lines.all, compare);
    }
    printf("revision ");
    put_revision(stdout, revision);
    printf(" rows %zu\n", lines.count);
    for (i = 0; i < lines.count; i++) {
        fputs(lines.all[i], stdout);
        free(lines.all[i]);
    }
}

static bool run_read(const char *command, const line *l)
{
    static const char *const known[] = {"read", "get",  "fields", "json", "key",
                                        "many", "scan", "each",   "count"};
    shmirror_table *table;
    size_t next, i, size;
    values key;
    int32_t status;
    for (i = 0; i < sizeof known / sizeof *known && strcmp(known[i], command) != 0; i++) {
    }
    if (i == sizeof known / sizeof *known) {
        return false;
    }
    table = table_of(name_of(l, 1));
    if (table == NULL) {
        return true;
    }
    if (strcmp(command, "many") == 0) {
        run_many(table, l);
        return true;
    }
    if (strcmp(command, "scan") == 0 || strcmp(command, "each") == 0) {
        run_scan(table, command[0] == 'e', strcmp(name_of(l, 2), "sorted") == 0);
        return true;
    }
    if (strcmp(command, "count") == 0) {
        uint64_t count;
        if (!failed(shmirror_table_rows(table, &count))) {
            printf("count %" PRIu64 "\n", count);
        }
        return true;
    }
    next = values_of(l, 2, &key);
    if (strcmp(command, "fields") == 0) {
        run_fields(table, &key, l, next);
        return true;
    }
    if (key.count == 1 && key.values[0].type == SHMIRROR_TYPE_INTEGER) {
        status = shmirror_table_read_i64(table, key.values[0].as.integer, row);
    } else if (key.count == 1 && key.values[0].type == SHMIRROR_TYPE_TEXT) {
        status = shmirror_table_read_text(table, key.values[0].as.text.data,
                                          key.values[0].as.text.size, row);
    } else {
        status = shmirror_table_read(table, key.values, key.count, row);
    }
    if (failed(status)) {
        return true;
    }
    if (strcmp(command, "read") == 0) {
        put_row(stdout, row);
    } else if (strcmp(command, "get") == 0) {
        put_typed(row, name_of(l, next), name_of(l, next + 1));
    } else if (strcmp(command, "json") == 0) {
        char *json;
        if (shmirror_row_json(row, NULL, 0, &size) != SHMIRROR_SHORT_BUFFER) {
            give_up("the length of a row's JSON was not told", "");
        }
        json = (char *)keep(size);
        sure(shmirror_row_json(row, json, size + 1, NULL));
        puts(json);
    } else {
        shmirror_value own[16];
        sure(shmirror_row_key(row, own, 16, &size));
        printf("key");
        for (i = 0; i < size; i++) {
            putchar(' ');
            put_value(stdout, &own[i]);
        }
        putchar('\n');
    }
    return true;
}

static void put_cell(shmirror_cell *cell, const char *type)
{
    shmirror_value value = shmirror_null();
    int32_t status;
    bool truth = false;
    size_t size;
    if (strcmp(type, "i64") == 0) {
        status = shmirror_cell_i64(cell, &value.as.integer);
        value.type = SHMIRROR_TYPE_INTEGER;
    } else if (strcmp(type, "f64") == 0) {
        status = shmirror_cell_f64(cell, &value.as.real);
        value.type = SHMIRROR_TYPE_REAL;
    } else if (strcmp(type, "bool") == 0) {
        status = shmirror_cell_bool(cell, &truth);
        value = shmirror_boolean(truth);
    } else if (strcmp(type, "null") == 0) {
        status = shmirror_cell_is_null(cell, &truth);
        value = shmirror_boolean(truth);
    } else if (strcmp(type, "text") == 0) {
        char *text = NULL;
        status = shmirror_cell_text(cell, NULL, 0, &size);
        if (status == SHMIRROR_SHORT_BUFFER) {
            text = (char *)keep(size);
            status = shmirror_cell_text(cell, text, size + 1, &size);
            value = shmirror_string_n(text, size);
        }
    } else {
        uint8_t *bytes = NULL;
        status = shmirror_cell_bytes(cell, NULL, 0, &size);
        if (status == SHMIRROR_SHORT_BUFFER) {
            bytes = (uint8_t *)keep(size);
            status = shmirror_cell_bytes(cell, bytes, size, &size);
        }
        value = shmirror_bytes(bytes, status == SHMIRROR_OK ? size : 0);
    }
    if (!failed(status)) {
        put_value(stdout, &value);
        putchar('\n');
    }
}

static bool run_cell(const char *command, const line *l)
{
    if (strcmp(command, "cell") == 0) {
        shmirror_table *table = table_of(name_of(l, 2));
        named *known = place(&cells, name_of(l, 1));
        shmirror_cell *cell;
        values key;
        size_t next = values_of(l, 3, &key);
        if (table == NULL ||
            failed(shmirror_table_cell(table, key.values, key.count, name_of(l, next), &cell))) {
            return true;
        }
        sure(shmirror_cell_close((shmirror_cell *)known->thing));
        known->thing = cell;
        puts("ok");
    } else if (strcmp(command, "value") == 0) {
        put_cell((shmirror_cell *)must(&cells, name_of(l, 1))->thing, name_of(l, 2));
    } else if (strcmp(command, "refresh") == 0) {
        if (!failed(shmirror_cell_refresh((shmirror_cell *)must(&cells, name_of(l, 1))->thing))) {
            puts("ok");
        }
    } else {
        return false;
    }
    return true;
}

#endif /* READING_H */
