/* Tables, rows, bindings, cells and the rows of SQL. */

#ifndef READING_H
#define READING_H

#include "world.h"

static int32_t no_more(void *context, const shmirror_row *row)
{
    (void)row;
    ++*(int *)context;
    return 1;
}

static void misuse_of_a_table(void)
{
    shmirror_table *t = LIVE(shmirror_table);
    shmirror_table *words;
    shmirror_row *row = LIVE(shmirror_row);
    shmirror_rows *rows = LIVE(shmirror_rows);
    shmirror_binding *b = LIVE(shmirror_binding);
    shmirror_cell *cell;
    shmirror_value key = one();
    shmirror_value blob = shmirror_bytes("x", 1);
    record out;
    const char *name = NULL;
    uint64_t count = 77;
    size_t index = 77;
    int visits = 0;

    OK(shmirror_mirror_table(LIVE(shmirror_mirror), "words", &words));
    CLOSES(shmirror_table, table);
    HANDLE(shmirror_table, table, shmirror_table_name(it, &name));
    HANDLE(shmirror_table, table, shmirror_table_rows(it, &count));
    HANDLE(shmirror_table, table, shmirror_table_column(it, "n", &index));
    HANDLE(shmirror_table, table, shmirror_table_read(it, &key, 1, row));
    HANDLE(shmirror_table, table, shmirror_table_read_i64(it, 1, row));
    HANDLE(shmirror_table, table, shmirror_table_read_text(it, "a", 1, row));
    HANDLE(shmirror_table, table, shmirror_table_fetch(it, &key, 1, b, &out, sizeof out));
    HANDLE(shmirror_table, table, shmirror_table_fetch_i64(it, 1, b, &out, sizeof out));
    HANDLE(shmirror_table, table, shmirror_table_fetch_text(it, "a", 1, b, &out, sizeof out));
    HANDLE(shmirror_table, table, shmirror_table_read_many(it, &key, 1, 1, rows));
    HANDLE(shmirror_table, table, shmirror_table_scan(it, 0, rows));
    HANDLE(shmirror_table, table, shmirror_table_each(it, 0, no_more, &visits, NULL));
    HANDLE(shmirror_table, table, shmirror_table_cell(it, &key, 1, "n", &cell));
    THAT(name == NULL && count == 77 && index == 77 && visits == 0 && cell == NULL);

    HANDLE(shmirror_row, row, shmirror_table_read(t, &key, 1, it));
    HANDLE(shmirror_row, row, shmirror_table_read_i64(t, 1, it));
    HANDLE(shmirror_row, row, shmirror_table_read_text(words, "a", 1, it));
    HANDLE(shmirror_rows, rows, shmirror_table_read_many(t, &key, 1, 1, it));
    HANDLE(shmirror_rows, rows, shmirror_table_scan(t, 0, it));
    HANDLE(shmirror_binding, binding, shmirror_table_fetch(t, &key, 1, it, &out, sizeof out));
    HANDLE(shmirror_binding, binding, shmirror_table_fetch_i64(t, 1, it, &out, sizeof out));
    HANDLE(shmirror_binding, binding,
           shmirror_table_fetch_text(words, "a", 1, it, &out, sizeof out));

    IS_NULL(name, shmirror_table_name(t, NULL));
    IS_NULL(count, shmirror_table_rows(t, NULL));
    IS_NULL(index, shmirror_table_column(t, "n", NULL));
    TEXT(name, shmirror_table_column(t, text, &index));
    IS(SHMIRROR_UNKNOWN_COLUMN, shmirror_table_column(t, "none", &index));

    VALUES(key, shmirror_table_read(t, given, 1, row));
    KEY(shmirror_table_read(t, given, many, row));
    VALUES(key, shmirror_table_fetch(t, given, 1, b, &out, sizeof out));
    KEY(shmirror_table_fetch(t, given, many, b, &out, sizeof out));
    VALUES(key, shmirror_table_cell(t, given, 1, "n", &cell));
    KEY(shmirror_table_cell(t, given, many, "n", &cell));
    VALUES(keys, shmirror_table_read_many(t, given, 1, 1, rows));
    RANGE(key_size, shmirror_table_read_many(t, &key, 0, 1, rows));
    RANGE(key_size, shmirror_table_read_many(t, &key, 17, 1, rows));
    RANGE(key_size, shmirror_table_read_many(t, &key, SIZE_MAX, 1, rows));
    COUNT(count, shmirror_table_read_many(t, &key, 1, many, rows));
    COUNT(count, shmirror_table_read_many(t, &key, 16, many, rows));
    OK(shmirror_table_read_many(t, NULL, 1, 0, rows));
    IS(SHMIRROR_NOT_FOUND, shmirror_table_read(t, &blob, 1, row));
    IS(SHMIRROR_BAD_KEY, shmirror_table_read(t, (shmirror_value[1]){{0, 0, {0}}}, 1, row));

    /* A sized text may be empty, and then NULL. */
    IS_NULL(key, shmirror_table_read_text(words, NULL, 1, row));
    FAILS(key, "utf8", SHMIRROR_NOT_UTF8, shmirror_table_read_text(words, "\xff", 1, row));
    RANGE_IS(size, SHMIRROR_BAD_ARGUMENT, shmirror_table_read_text(words, "a", SIZE_MAX, row));
    IS(SHMIRROR_NOT_FOUND, shmirror_table_read_text(words, NULL, 0, row));
    IS_NULL(key, shmirror_table_fetch_text(words, NULL, 1, b, &out, sizeof out));
    FAILS(key, "utf8", SHMIRROR_NOT_UTF8,
          shmirror_table_fetch_text(words, "\xff", 1, b, &out, sizeof out));
    RANGE_IS(size, SHMIRROR_BAD_ARGUMENT,
             shmirror_table_fetch_text(words, "a", SIZE_MAX, b, &out, sizeof out));
    IS(SHMIRROR_NOT_FOUND, shmirror_table_fetch_text(words, NULL, 0, b, &out, sizeof out));

    /* The struct is as large as the binding says, at least. */
    IS_NULL(out, shmirror_table_fetch(t, &key, 1, b, NULL, sizeof out));
    IS_NULL(out, shmirror_table_fetch_i64(t, 1, b, NULL, sizeof out));
    IS_NULL(out, shmirror_table_fetch_text(t, "1", 1, b, NULL, sizeof out));
    RANGE_IS(out_size, SHMIRROR_SHORT_BUFFER, shmirror_table_fetch(t, &key, 1, b, &out, 0));
    RANGE_IS(out_size, SHMIRROR_SHORT_BUFFER, shmirror_table_fetch_i64(t, 1, b, &out, 40));
    RANGE_IS(out_size, SHMIRROR_SHORT_BUFFER, shmirror_table_fetch_text(t, "1", 1, b, &out, 40));
    OK(shmirror_table_fetch_i64(t, 1, b, &out, 41));
    THAT(out.id == 1 && out.n == 10 && out.r == 1.5 && strcmp(out.s, "one") == 0);
    OK(shmirror_table_fetch_text(t, "1", 1, b, &out, sizeof out));
    IS(SHMIRROR_UNKNOWN_COLUMN, shmirror_table_fetch_text(words, "a", 1, b, &out, sizeof out));
    IS(SHMIRROR_NOT_FOUND, shmirror_table_fetch_i64(t, 99, b, &out, sizeof out));

    /* Any order is 0, any other number is the order of the key. */
    RANGE_IS(sorted, SHMIRROR_OK, shmirror_table_scan(t, INT32_MIN, rows));
    RANGE_IS(sorted, SHMIRROR_OK, shmirror_table_each(t, INT32_MAX, no_more, &visits, &count));
    THAT(visits == 1 && count != 77);
    IS_NULL(visit, shmirror_table_each(t, 0, NULL, NULL, NULL));
    MAY_BE_NULL(revision, shmirror_table_each(t, 0, no_more, &visits, NULL));
    cover("shmirror_table_each(", "context", "null");

    TEXT(column, shmirror_table_cell(t, &key, 1, text, &cell));
    MAKES(shmirror_cell, shmirror_table_cell(t, &key, 1, "n", out));
    IS(SHMIRROR_UNKNOWN_COLUMN, shmirror_table_cell(t, &key, 1, "none", &cell));
    IS(SHMIRROR_NO_SUCH_ROW, shmirror_table_cell(t, &blob, 1, "n", &cell));
    THAT(cell == NULL);
    OK(shmirror_table_close(words));
}

static void misuse_of_a_row(void)
{
    shmirror_row *r = LIVE(shmirror_row);
    shmirror_row *empty;
    shmirror_binding *b = LIVE(shmirror_binding);
    uint64_t revision = 77;
    size_t count = 77;
    const char *name = NULL;
    int32_t type = 77;
    int64_t i64 = 77;
    double f64;
    float f32;
    bool truth;
    int32_t i32;
    uint32_t u32;
    uint64_t u64;
    shmirror_text text_out;
    shmirror_blob blob;
    shmirror_value value;
    record out;

    OK(shmirror_table_read_i64(LIVE(shmirror_table), 1, r));
    CLOSES(shmirror_row, row);
    MAKES(shmirror_row, shmirror_row_new(out));
    HANDLE(shmirror_row, row, shmirror_row_revision(it, &revision));
    HANDLE(shmirror_row, row, shmirror_row_columns(it, &count));
    HANDLE(shmirror_row, row, shmirror_row_column_name(it, 0, &name));
    HANDLE(shmirror_row, row, shmirror_row_find(it, "n", &count));
    HANDLE(shmirror_row, row, shmirror_row_type(it, 0, &type));
    HANDLE(shmirror_row, row, shmirror_row_i64(it, 0, &i64));
    HANDLE(shmirror_row, row, shmirror_row_f64(it, 0, &f64));
    HANDLE(shmirror_row, row, shmirror_row_bool(it, 0, &truth));
    HANDLE(shmirror_row, row, shmirror_row_i32(it, 0, &i32));
    HANDLE(shmirror_row, row, shmirror_row_u32(it, 0, &u32));
    HANDLE(shmirror_row, row, shmirror_row_u64(it, 0, &u64));
    HANDLE(shmirror_row, row, shmirror_row_f32(it, 0, &f32));
    HANDLE(shmirror_row, row, shmirror_row_text(it, 3, &text_out));
    HANDLE(shmirror_row, row, shmirror_row_blob(it, 4, &blob));
    HANDLE(shmirror_row, row, shmirror_row_value(it, 0, &value));
    HANDLE(shmirror_row, row, shmirror_row_copy_text(it, 3, NULL, 0, NULL));
    HANDLE(shmirror_row, row, shmirror_row_key(it, &value, 1, &count));
    HANDLE(shmirror_row, row, shmirror_row_json(it, NULL, 0, NULL));
    HANDLE(shmirror_row, row, shmirror_row_fetch(it, b, &out, sizeof out));
    HANDLE(shmirror_binding, binding, shmirror_row_fetch(r, it, &out, sizeof out));
    THAT(revision == 77 && count == 77 && name == NULL && type == 77 && i64 == 77);

    IS_NULL(revision, shmirror_row_revision(r, NULL));
    IS_NULL(count, shmirror_row_columns(r, NULL));
    IS_NULL(name, shmirror_row_column_name(r, 0, NULL));
    IS_NULL(index, shmirror_row_find(r, "n", NULL));
    IS_NULL(type, shmirror_row_type(r, 0, NULL));
    IS_NULL(value, shmirror_row_i64(r, 0, NULL));
    IS_NULL(value, shmirror_row_f64(r, 0, NULL));
    IS_NULL(value, shmirror_row_bool(r, 0, NULL));
    IS_NULL(value, shmirror_row_i32(r, 0, NULL));
    IS_NULL(value, shmirror_row_u32(r, 0, NULL));
    IS_NULL(value, shmirror_row_u64(r, 0, NULL));
    IS_NULL(text, shmirror_row_text(r, 3, NULL));
    IS_NULL(blob, shmirror_row_blob(r, 4, NULL));
    IS_NULL(out, shmirror_row_value(r, 0, NULL));
    IS_NULL(value, shmirror_row_f32(r, 0, NULL));
    MAY_BE_NULL(count, shmirror_row_key(r, &value, 1, NULL));
    IS_NULL(values, shmirror_row_key(r, NULL, 1, &count));
    RANGE_IS(capacity, SHMIRROR_SHORT_BUFFER, shmirror_row_key(r, &value, 0, &count));
    RANGE_IS(capacity, SHMIRROR_SHORT_BUFFER, shmirror_row_key(r, NULL, 0, &count));
    THAT(count == 1);

#define NO_COLUMN(call)                                                                            \
    do {                                                                                           \
        size_t no = 5;                                                                             \
        RANGE_IS(index, SHMIRROR_UNKNOWN_COLUMN, call);                                            \
        no = SIZE_MAX;                                                                             \
        RANGE_IS(index, SHMIRROR_UNKNOWN_COLUMN, call);                                            \
        no = (size_t)1 << 32;                                                                      \
        RANGE_IS(index, SHMIRROR_UNKNOWN_COLUMN, call);                                            \
    } while (0)
    NO_COLUMN(shmirror_row_column_name(r, no, &name));
    NO_COLUMN(shmirror_row_type(r, no, &type));
    NO_COLUMN(shmirror_row_i64(r, no, &i64));
    NO_COLUMN(shmirror_row_f64(r, no, &f64));
    NO_COLUMN(shmirror_row_bool(r, no, &truth));
    NO_COLUMN(shmirror_row_i32(r, no, &i32));
    NO_COLUMN(shmirror_row_u32(r, no, &u32));
    NO_COLUMN(shmirror_row_u64(r, no, &u64));
    NO_COLUMN(shmirror_row_f32(r, no, &f32));
    NO_COLUMN(shmirror_row_text(r, no, &text_out));
    NO_COLUMN(shmirror_row_blob(r, no, &blob));
    NO_COLUMN(shmirror_row_value(r, no, &value));
    NO_COLUMN(shmirror_row_copy_text(r, no, NULL, 0, NULL));

    IS(SHMIRROR_TYPE_MISMATCH, shmirror_row_i64(r, 3, &i64));
    IS(SHMIRROR_TYPE_MISMATCH, shmirror_row_text(r, 0, &text_out));
    IS(SHMIRROR_TYPE_MISMATCH, shmirror_row_blob(r, 3, &blob));
    IS(SHMIRROR_TYPE_MISMATCH, shmirror_row_bool(r, 1, &truth));
    IS(SHMIRROR_TYPE_MISMATCH, shmirror_row_copy_text(r, 0, NULL, 0, NULL));
    TEXT(column, shmirror_row_find(r, text, &count));
    IS(SHMIRROR_UNKNOWN_COLUMN, shmirror_row_find(r, "none", &count));
    BUFFER(shmirror_row_copy_text(r, 3, buffer, size, length));
    BUFFER(shmirror_row_json(r, buffer, size, length));
    IS_NULL(out, shmirror_row_fetch(r, b, NULL, sizeof out));
    RANGE_IS(out_size, SHMIRROR_SHORT_BUFFER, shmirror_row_fetch(r, b, &out, 40));
    OK(shmirror_row_fetch(r, b, &out, 41));

    /* A row that was never filled has no columns. */
    OK(shmirror_row_new(&empty));
    OK(shmirror_row_revision(empty, &revision));
    OK(shmirror_row_columns(empty, &count));
    THAT(revision == 0 && count == 0);
    IS(SHMIRROR_UNKNOWN_COLUMN, shmirror_row_i64(empty, 0, &i64));
    IS(SHMIRROR_UNKNOWN_COLUMN, shmirror_row_find(empty, "n", &count));
    IS(SHMIRROR_UNKNOWN_COLUMN, shmirror_row_fetch(empty, b, &out, sizeof out));
    OK(shmirror_row_key(empty, &value, 1, &count));
    THAT(count == 0);
    OK(shmirror_row_close(empty));

    OK(shmirror_table_read_i64(LIVE(shmirror_table), 2, r));
    IS(SHMIRROR_NULL_VALUE, shmirror_row_i64(r, 1, &i64));
    IS(SHMIRROR_NULL_VALUE, shmirror_row_blob(r, 4, &blob));
    OK(shmirror_table_read_i64(LIVE(shmirror_table), 1, r));
}

static void misuse_of_rows(void)
{
    shmirror_rows *rs = LIVE(shmirror_rows);
    shmirror_rows *empty;
    shmirror_row *row = LIVE(shmirror_row);
    shmirror_binding *b = LIVE(shmirror_binding);
    uint64_t revision = 77;
    size_t count = 77;
    record out;
    shmirror_value keys[2];

    OK(shmirror_table_scan(LIVE(shmirror_table), 1, rs));
    CLOSES(shmirror_rows, rows);
    MAKES(shmirror_rows, shmirror_rows_new(out));
    HANDLE(shmirror_rows, rows, shmirror_rows_revision(it, &revision));
    HANDLE(shmirror_rows, rows, shmirror_rows_count(it, &count));
    HANDLE(shmirror_rows, rows, shmirror_rows_at(it, 0, row));
    HANDLE(shmirror_rows, rows, shmirror_rows_next(it, row));
    HANDLE(shmirror_rows, rows, shmirror_rows_rewind(it));
    HANDLE(shmirror_rows, rows, shmirror_rows_fetch(it, 0, b, &out, sizeof out));
    HANDLE(shmirror_row, row, shmirror_rows_at(rs, 0, it));
    HANDLE(shmirror_row, row, shmirror_rows_next(rs, it));
    HANDLE(shmirror_binding, binding, shmirror_rows_fetch(rs, 0, it, &out, sizeof out));
    IS_NULL(revision, shmirror_rows_revision(rs, NULL));
    IS_NULL(count, shmirror_rows_count(rs, NULL));
    IS_NULL(out, shmirror_rows_fetch(rs, 0, b, NULL, sizeof out));
    RANGE_IS(out_size, SHMIRROR_SHORT_BUFFER, shmirror_rows_fetch(rs, 0, b, &out, 40));
    RANGE(index, shmirror_rows_at(rs, 2, row));
    RANGE(index, shmirror_rows_at(rs, SIZE_MAX, row));
    RANGE(index, shmirror_rows_fetch(rs, 2, b, &out, sizeof out));
    RANGE(index, shmirror_rows_fetch(rs, SIZE_MAX, b, &out, sizeof out));
    /* What failed took no row away. */
    OK(shmirror_rows_next(rs, row));
    OK(shmirror_rows_next(rs, row));
    IS(SHMIRROR_END, shmirror_rows_next(rs, row));
    IS(SHMIRROR_END, shmirror_rows_next(rs, row));
    OK(shmirror_rows_rewind(rs));
    OK(shmirror_rows_next(rs, row));
    keys[0] = shmirror_integer(99);
    keys[1] = shmirror_integer(1);
    OK(shmirror_table_read_many(LIVE(shmirror_table), keys, 1, 2, rs));
    IS(SHMIRROR_NOT_FOUND, shmirror_rows_at(rs, 0, row));
    IS(SHMIRROR_NOT_FOUND, shmirror_rows_fetch(rs, 0, b, &out, sizeof out));
    OK(shmirror_rows_at(rs, 1, row));

    OK(shmirror_rows_new(&empty));
    OK(shmirror_rows_count(empty, &count));
    THAT(count == 0);
    IS(SHMIRROR_END, shmirror_rows_next(empty, row));
    IS(SHMIRROR_BAD_ARGUMENT, shmirror_rows_at(empty, 0, row));
    OK(shmirror_rows_close(empty));
    OK(shmirror_table_scan(LIVE(shmirror_table), 1, rs));
}

static void misuse_of_a_binding(void)
{
    shmirror_binding *b = (shmirror_binding *)&b;
    shmirror_field fields[2];
    char unaligned[2 * sizeof *fields + 1];

    CLOSES(shmirror_binding, binding);
    MAKES(shmirror_binding, shmirror_binding_new(RECORD, 4, out));
    fields[0] = fields[1] = RECORD[0];
    memcpy(unaligned + 1, fields, sizeof fields);
    IS_NULL(fields, shmirror_binding_new(NULL, 1, &b));
    THAT(b == NULL);
    FAILS(fields, "aligned", SHMIRROR_BAD_ARGUMENT,
          shmirror_binding_new((const shmirror_field *)(unaligned + 1), 1, &b));
    COUNT(count, shmirror_binding_new(fields, many, &b));
    fields[0].column = NULL;
    IS(SHMIRROR_NULL_ARGUMENT, shmirror_binding_new(fields, 1, &b));
    fields[0].column = "\xff";
    IS(SHMIRROR_NOT_UTF8, shmirror_binding_new(fields, 1, &b));
    fields[0] = RECORD[0];
    fields[0].type = 0;
    IS(SHMIRROR_BAD_ARGUMENT, shmirror_binding_new(fields, 1, &b));
    fields[0].type = 1000;
    IS(SHMIRROR_BAD_ARGUMENT, shmirror_binding_new(fields, 1, &b));
    fields[0].type = INT32_MIN;
    IS(SHMIRROR_BAD_ARGUMENT, shmirror_binding_new(fields, 1, &b));
    /* A size that the type has not; a member that ends nowhere. */
    fields[0] = RECORD[0];
    fields[0].size = 4;
    IS(SHMIRROR_BAD_ARGUMENT, shmirror_binding_new(fields, 1, &b));
    fields[0] = RECORD[0];
    fields[0].offset = SIZE_MAX - 3;
    IS(SHMIRROR_BAD_ARGUMENT, shmirror_binding_new(fields, 1, &b));
    fields[0] = RECORD[0];
    fields[0].flags = 1;
    IS(SHMIRROR_BAD_ARGUMENT, shmirror_binding_new(fields, 1, &b));
    fields[0] = RECORD[3];
    fields[0].size = 0;
    IS(SHMIRROR_BAD_ARGUMENT, shmirror_binding_new(fields, 1, &b));
    THAT(b == NULL);
}

static void misuse_of_a_cell(void)
{
    shmirror_cell *c = LIVE(shmirror_cell);
    shmirror_cell *s;
    shmirror_cell *b;
    shmirror_cell *nothing;
    shmirror_cell *truthful;
    shmirror_table *words;
    shmirror_table *t = LIVE(shmirror_table);
    shmirror_value key = one();
    shmirror_value two = shmirror_integer(2);
    shmirror_value a = shmirror_string("a");
    int64_t i64 = 77;
    double f64 = 77;
    bool truth = true;

    OK(shmirror_table_cell(t, &key, 1, "s", &s));
    OK(shmirror_table_cell(t, &key, 1, "b", &b));
    OK(shmirror_table_cell(t, &two, 1, "n", &nothing));
    OK(shmirror_mirror_table(LIVE(shmirror_mirror), "words", &words));
    OK(shmirror_table_cell(words, &a, 1, "n", &truthful));
    OK(shmirror_table_close(words));
    CLOSES(shmirror_cell, cell);
    HANDLE(shmirror_cell, cell, shmirror_cell_i64(it, &i64));
    HANDLE(shmirror_cell, cell, shmirror_cell_f64(it, &f64));
    HANDLE(shmirror_cell, cell, shmirror_cell_bool(it, &truth));
    HANDLE(shmirror_cell, cell, shmirror_cell_is_null(it, &truth));
    HANDLE(shmirror_cell, cell, shmirror_cell_text(it, NULL, 0, NULL));
    HANDLE(shmirror_cell, cell, shmirror_cell_bytes(it, NULL, 0, NULL));
    HANDLE(shmirror_cell, cell, shmirror_cell_refresh(it));
    THAT(i64 == 77 && f64 == 77 && truth);
    IS_NULL(value, shmirror_cell_i64(c, NULL));
    IS_NULL(value, shmirror_cell_f64(c, NULL));
    IS_NULL(value, shmirror_cell_bool(truthful, NULL));
    IS_NULL(is_null, shmirror_cell_is_null(c, NULL));
    BUFFER_OF(1, 0, shmirror_cell_text(s, buffer, size, length));
    BUFFER_OF(0, 0, shmirror_cell_bytes(b, (uint8_t *)buffer, size, length));
    IS(SHMIRROR_TYPE_MISMATCH, shmirror_cell_text(c, NULL, 0, NULL));
    IS(SHMIRROR_TYPE_MISMATCH, shmirror_cell_bytes(s, NULL, 0, NULL));
    IS(SHMIRROR_TYPE_MISMATCH, shmirror_cell_i64(s, &i64));
    IS(SHMIRROR_TYPE_MISMATCH, shmirror_cell_f64(b, &f64));
    IS(SHMIRROR_TYPE_MISMATCH, shmirror_cell_bool(c, &truth));
    IS(SHMIRROR_NULL_VALUE, shmirror_cell_i64(nothing, &i64));
    IS(SHMIRROR_NULL_VALUE, shmirror_cell_text(nothing, NULL, 0, NULL));
    see_message("shmirror_cell_text", __FILE__, __LINE__, "null");
    OK(shmirror_cell_close(s));
    OK(shmirror_cell_close(b));
    OK(shmirror_cell_close(nothing));
    OK(shmirror_cell_close(truthful));
}

static void misuse_of_a_result(void)
{
    shmirror_result *r = LIVE(shmirror_result);
    uint64_t revision = 77;
    size_t count = 77;
    const char *name = NULL;
    shmirror_value value;

    CLOSES(shmirror_result, result);
    HANDLE(shmirror_result, result, shmirror_result_revision(it, &revision));
    HANDLE(shmirror_result, result, shmirror_result_sets(it, &count));
    HANDLE(shmirror_result, result, shmirror_result_columns(it, 0, &count));
    HANDLE(shmirror_result, result, shmirror_result_column_name(it, 0, 0, &name));
    HANDLE(shmirror_result, result, shmirror_result_rows(it, 0, &count));
    HANDLE(shmirror_result, result, shmirror_result_value(it, 0, 0, 0, &value));
    THAT(revision == 77 && count == 77 && name == NULL);
    IS_NULL(revision, shmirror_result_revision(r, NULL));
    IS_NULL(sets, shmirror_result_sets(r, NULL));
    IS_NULL(columns, shmirror_result_columns(r, 0, NULL));
    IS_NULL(name, shmirror_result_column_name(r, 0, 0, NULL));
    IS_NULL(rows, shmirror_result_rows(r, 0, NULL));
    IS_NULL(value, shmirror_result_value(r, 0, 0, 0, NULL));
    RANGE(set, shmirror_result_columns(r, 1, &count));
    RANGE(set, shmirror_result_columns(r, SIZE_MAX, &count));
    RANGE(set, shmirror_result_column_name(r, 1, 0, &name));
    RANGE(column, shmirror_result_column_name(r, 0, 2, &name));
    RANGE(column, shmirror_result_column_name(r, 0, SIZE_MAX, &name));
    RANGE(set, shmirror_result_rows(r, 1, &count));
    RANGE(set, shmirror_result_value(r, 1, 0, 0, &value));
    RANGE(row, shmirror_result_value(r, 0, 1, 0, &value));
    RANGE(row, shmirror_result_value(r, 0, SIZE_MAX, 0, &value));
    RANGE(column, shmirror_result_value(r, 0, 0, 2, &value));
    RANGE(column, shmirror_result_value(r, 0, 0, SIZE_MAX, &value));
}

#endif /* READING_H */
