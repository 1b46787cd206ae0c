/* Shows what there is: browser                  the tables, with columns, types and keys
 *                       browser TABLE            its rows, in key order
 *                       browser TABLE KEY...     one row; a composite key has several KEYs
 *
 * Nothing is known of the tables beforehand: all comes from the schema at run time. Values are written
 * as SQL writes them, so that NULL and 'NULL', 1 and '1', x'00' and '' differ. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <shmirror.h>

/* Most characters of a value in a table of rows. */
#define WIDEST 60
/* Most columns that a key can have. */
#define KEY_COLUMNS 16

/* Says why a call failed. */
static int failed(shmirror_status status)
{
    /* Statuses below 16 are outcomes, not failures, and set no message. */
    const char *why = status < 16 ? shmirror_strerror(status) : shmirror_last_message();
    fprintf(stderr, "browser: %s: %s\n", shmirror_status_name(status), why);
    return 1;
}

/* ---- text that grows ---- */

struct text {
    char *data;
    size_t size;
    size_t capacity;
};

static void append(struct text *text, const char *data, size_t size)
{
    if (size >= text->capacity - text->size) {
        const size_t capacity = 2 * text->capacity + size + 1;
        char *const grown = realloc(text->data, capacity);
        if (grown == NULL) {
            perror("browser");
            exit(1);
        }
        text->data = grown;
        text->capacity = capacity;
    }
    memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size] = '\0';
}

/* Bytes of the longest beginning that has at most `most` characters of UTF-8. */
static size_t cut(const struct text *text, size_t most)
{
    size_t i = 0;
    for (; i < text->size; i++) {
        /* Every byte but 10xxxxxx begins a character. */
        if (((unsigned char)text->data[i] & 0xc0) != 0x80 && most-- == 0) {
            break;
        }
    }
    return i;
}

/* How many characters there are. (On a terminal, some are two columns wide: that is left out here.) */
static size_t width(const struct text *text)
{
    size_t count = 0;
    for (size_t i = 0; i < text->size; i++) {
        count += ((unsigned char)text->data[i] & 0xc0) != 0x80;
    }
    return count;
}

/* ---- values as SQL writes them ---- */

static void append_string(struct text *text, const shmirror_text *string)
{
    append(text, "'", 1);
    for (size_t i = 0; i < string->size; i++) {
        const unsigned char byte = (unsigned char)string->data[i];
        if (byte == '\'') {
            append(text, "''", 2);
        } else if (byte < ' ' || byte == 0x7f) {
            /* No value moves the cursor. */
            char escape[5];
            snprintf(escape, sizeof escape, "\\x%02x", byte);
            append(text, escape, 4);
        } else {
            append(text, &string->data[i], 1);
        }
    }
    append(text, "'", 1);
}

static void append_blob(struct text *text, const shmirror_blob *blob)
{
    append(text, "x'", 2);
    for (size_t i = 0; i < blob->size; i++) {
        char digits[3];
        snprintf(digits, sizeof digits, "%02x", blob->data[i]);
        append(text, digits, 2);
    }
    append(text, "'", 1);
}

/* The fewest digits that read back as the same number, and a point, so that it is seen to be REAL. */
static void append_real(struct text *text, double real)
{
    char digits[40];
    if (isinf(real)) {
        append(text, real > 0 ? "inf" : "-inf", real > 0 ? 3 : 4);
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, real);
        if (strtod(digits, NULL) == real) {
            break;
        }
    }
    append(text, digits, strlen(digits));
    if (strpbrk(digits, ".e") == NULL) {
        append(text, ".0", 2);
    }
}

static void append_value(struct text *text, const shmirror_value *value)
{
    char digits[24];
    switch (value->type) {
    case SHMIRROR_TYPE_NULL:
        append(text, "NULL", 4);
        break;
    case SHMIRROR_TYPE_INTEGER:
        snprintf(digits, sizeof digits, "%" PRId64, value->as.integer);
        append(text, digits, strlen(digits));
        break;
    case SHMIRROR_TYPE_REAL:
        append_real(text, value->as.real);
        break;
    case SHMIRROR_TYPE_TEXT:
        append_string(text, &value->as.text);
        break;
    case SHMIRROR_TYPE_BLOB:
        append_blob(text, &value->as.blob);
        break;
    default:
        append(text, "?", 1);
        break;
    }
}

static void pad(size_t count)
{
    printf("%*s", (int)count, "");
}

/* ---- the list of tables ---- */

static shmirror_status print_columns(const shmirror_schema *schema)
{
    size_t count = 0;
    int widest = 0;
    shmirror_status status = shmirror_schema_columns(schema, &count);
    for (size_t i = 0; status == SHMIRROR_OK && i < count; i++) {
        shmirror_column column;
        status = shmirror_schema_column(schema, i, &column);
        /* Hidden is the rowid of a table without a key: SELECT * does not show it. */
        if (status == SHMIRROR_OK && column.hidden == 0 && (int)strlen(column.name) > widest) {
            widest = (int)strlen(column.name);
        }
    }
    for (size_t i = 0; status == SHMIRROR_OK && i < count; i++) {
        shmirror_column column;
        status = shmirror_schema_column(schema, i, &column);
        if (status != SHMIRROR_OK || column.hidden != 0) {
            continue;
        }
        printf("  %-*s  %s", widest, column.name,
               column.declared_type[0] != '\0' ? column.declared_type : "(any type)");
        if (column.key_position > 0) {
            printf("  key %" PRId32, column.key_position);
        }
        if (column.not_null != 0) {
            printf("  NOT NULL");
        }
        if (column.default_sql != NULL) {
            printf("  DEFAULT %s", column.default_sql);
        }
        if (column.generated != SHMIRROR_GENERATED_NO) {
            printf("  computed");
        }
        putchar('\n');
    }
    return status;
}

static shmirror_status print_key(const shmirror_schema *schema)
{
    int32_t kind = 0;
    size_t count = 0;
    const uint16_t *indexes = NULL;
    shmirror_status status = shmirror_schema_key_kind(schema, &kind);
    if (status == SHMIRROR_OK && kind == SHMIRROR_KEY_ROWID) {
        printf("no key: by rowid");
        return status;
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_schema_key(schema, &count, &indexes);
    }
    for (size_t i = 0; status == SHMIRROR_OK && i < count; i++) {
        shmirror_column column;
        status = shmirror_schema_column(schema, indexes[i], &column);
        if (status == SHMIRROR_OK) {
            printf("%s%s", i == 0 ? "key " : ", ", column.name);
        }
    }
    return status;
}

static shmirror_status print_table(const shmirror_mirror *mirror, const shmirror_schema *schema)
{
    const char *name = NULL;
    shmirror_table *table = NULL;
    uint64_t rows = 0;
    shmirror_status status = shmirror_schema_name(schema, &name);
    if (status == SHMIRROR_OK) {
        status = shmirror_mirror_table(mirror, name, &table);
    }
    if (status == SHMIRROR_UNKNOWN_TABLE) {
        return SHMIRROR_OK; /* dropped since we have the catalogue */
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_table_rows(table, &rows);
    }
    shmirror_table_close(table);
    if (status != SHMIRROR_OK) {
        return status;
    }
    printf("%s  (%" PRIu64 " %s, ", name, rows, rows == 1 ? "row" : "rows");
    status = print_key(schema);
    printf(")\n");
    return status == SHMIRROR_OK ? print_columns(schema) : status;
}

static shmirror_status list_tables(const shmirror_mirror *mirror)
{
    shmirror_catalogue *catalogue = NULL;
    size_t count = 0;
    shmirror_status status = shmirror_mirror_catalogue(mirror, &catalogue);
    if (status == SHMIRROR_OK) {
        status = shmirror_catalogue_tables(catalogue, &count);
    }
    for (size_t i = 0; status == SHMIRROR_OK && i < count; i++) {
        shmirror_schema *schema = NULL;
        status = shmirror_catalogue_schema(catalogue, i, &schema);
        if (status == SHMIRROR_OK) {
            status = print_table(mirror, schema);
        }
        shmirror_schema_close(schema);
    }
    shmirror_catalogue_close(catalogue);
    return status;
}

/* ---- all rows of a table ---- */

/* What is printed of one row: all columns. Where a table has no key the last of them is the rowid. */
struct line {
    size_t columns;
    struct text cell; /* used for one after the other */
};

static shmirror_status make_cell(struct line *line, const shmirror_row *row, size_t i)
{
    shmirror_value value;
    shmirror_status status = shmirror_row_value(row, i, &value);
    line->cell.size = 0;
    if (status != SHMIRROR_OK) {
        return status;
    }
    append_value(&line->cell, &value);
    if (width(&line->cell) > WIDEST) {
        line->cell.size = cut(&line->cell, WIDEST - 1);
        append(&line->cell, "\xe2\x80\xa6", 3); /* an ellipsis */
    }
    return SHMIRROR_OK;
}

/* A column's name: the rows' own, as the table may have changed since they were read. */
static shmirror_status make_name(struct line *line, const shmirror_row *row, size_t i)
{
    const char *name = "";
    shmirror_status status = shmirror_row_column_name(row, i, &name);
    line->cell.size = 0;
    if (status == SHMIRROR_OK) {
        append(&line->cell, name, strlen(name));
    }
    return status;
}

/* How wide each column is: one pass over all rows. */
static shmirror_status measure(struct line *line, shmirror_rows *rows, shmirror_row *row,
                               size_t *widths)
{
    shmirror_status status;
    while ((status = shmirror_rows_next(rows, row)) == SHMIRROR_OK) {
        for (size_t i = 0; status == SHMIRROR_OK && i < line->columns; i++) {
            status = make_cell(line, row, i);
            if (widths[i] < width(&line->cell)) {
                widths[i] = width(&line->cell);
            }
        }
        if (status != SHMIRROR_OK) {
            return status;
        }
    }
    return status == SHMIRROR_END ? shmirror_rows_rewind(rows) : status;
}

static void print_cell(const struct line *line, size_t i, size_t column_width)
{
    fputs(i > 0 ? "  " : "", stdout);
    fwrite(line->cell.data, 1, line->cell.size, stdout);
    if (i + 1 < line->columns) {
        pad(column_width - width(&line->cell));
    }
}

static shmirror_status print_lines(struct line *line, shmirror_rows *rows, shmirror_row *row,
                                   const size_t *widths)
{
    shmirror_status status;
    for (size_t i = 0; i < line->columns; i++) {
        fputs(i > 0 ? "  " : "", stdout);
        for (size_t n = 0; n < widths[i]; n++) {
            putchar('-');
        }
    }
    putchar('\n');
    while ((status = shmirror_rows_next(rows, row)) == SHMIRROR_OK) {
        for (size_t i = 0; i < line->columns; i++) {
            status = make_cell(line, row, i);
            if (status != SHMIRROR_OK) {
                return status;
            }
            print_cell(line, i, widths[i]);
        }
        putchar('\n');
    }
    return status == SHMIRROR_END ? SHMIRROR_OK : status;
}

/* Prints rows that are all of one revision, aligned: once over them for the widths, once for the
 * lines. Only one row at a time is copied. */
static shmirror_status print_rows(struct line *line, shmirror_rows *rows, shmirror_row *row)
{
    size_t *widths = NULL;
    shmirror_status status = shmirror_rows_next(rows, row);
    if (status == SHMIRROR_END) {
        return SHMIRROR_OK; /* no rows */
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_row_columns(row, &line->columns);
    }
    if (status == SHMIRROR_OK) {
        widths = calloc(line->columns, sizeof *widths);
        if (widths == NULL) {
            perror("browser");
            exit(1);
        }
    }
    for (size_t i = 0; status == SHMIRROR_OK && i < line->columns; i++) {
        status = make_name(line, row, i);
        widths[i] = width(&line->cell);
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_rows_rewind(rows);
    }
    if (status == SHMIRROR_OK) {
        status = measure(line, rows, row, widths);
    }
    for (size_t i = 0; status == SHMIRROR_OK && i < line->columns; i++) {
        status = make_name(line, row, i);
        print_cell(line, i, widths[i]);
    }
    if (status == SHMIRROR_OK) {
        putchar('\n');
        status = print_lines(line, rows, row, widths);
    }
    free(widths);
    return status;
}

static shmirror_status print_all(const shmirror_table *table)
{
    struct line line = {0};
    shmirror_rows *rows = NULL;
    shmirror_row *row = NULL;
    size_t count = 0;
    uint64_t revision = 0;
    shmirror_status status = shmirror_rows_new(&rows);
    if (status == SHMIRROR_OK) {
        status = shmirror_row_new(&row);
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_table_scan(table, 1, rows);
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_rows_count(rows, &count);
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_rows_revision(rows, &revision);
    }
    if (status == SHMIRROR_OK) {
        status = print_rows(&line, rows, row);
    }
    if (status == SHMIRROR_OK) {
        printf("(%zu %s at revision %" PRIu64 ")\n", count, count == 1 ? "row" : "rows", revision);
    }
    free(line.cell.data);
    shmirror_row_close(row);
    shmirror_rows_close(rows);
    return status;
}

/* ---- one row ---- */

/* The bytes of 0x and hexadecimal digits, in place of the digits; false: it is no such thing. */
static bool parse_blob(char *word, size_t *size)
{
    const size_t length = strlen(word);
    if (strncmp(word, "0x", 2) != 0 || length % 2 != 0
        || strspn(word + 2, "0123456789abcdefABCDEF") != length - 2) {
        return false;
    }
    *size = length / 2 - 1;
    for (size_t i = 0; i < *size; i++) {
        const char digits[3] = {word[2 + 2 * i], word[3 + 2 * i], '\0'};
        word[i] = (char)strtoul(digits, NULL, 16);
    }
    return true;
}

/* A word of the command line as the value that a key column takes, by its type: the key '42' of a TEXT
 * column is text, that of an INTEGER column a number. What does not fit goes on as text, which no row
 * has as its key. */
static shmirror_value parse_key(char *word, const shmirror_column *column)
{
    const bool any = column->affinity == SHMIRROR_AFFINITY_BLOB
        || column->affinity == SHMIRROR_AFFINITY_NUMERIC;
    char *end;
    size_t size;
    if (column->affinity == SHMIRROR_AFFINITY_BLOB && parse_blob(word, &size)) {
        return shmirror_bytes(word, size);
    }
    if (any || column->affinity == SHMIRROR_AFFINITY_INTEGER) {
        long long integer;
        errno = 0;
        integer = strtoll(word, &end, 10);
        if (end != word && *end == '\0' && errno == 0) {
            return shmirror_integer(integer);
        }
    }
    if (any || column->affinity == SHMIRROR_AFFINITY_REAL) {
        const double real = strtod(word, &end);
        if (end != word && *end == '\0') {
            return shmirror_real(real);
        }
    }
    return shmirror_string(word);
}

static shmirror_status print_fields(const shmirror_row *row)
{
    struct text cell = {NULL, 0, 0};
    size_t columns = 0;
    int widest = 0;
    uint64_t revision = 0;
    shmirror_status status = shmirror_row_columns(row, &columns);
    for (size_t i = 0; status == SHMIRROR_OK && i < columns; i++) {
        const char *name = "";
        status = shmirror_row_column_name(row, i, &name);
        if ((int)strlen(name) > widest) {
            widest = (int)strlen(name);
        }
    }
    for (size_t i = 0; status == SHMIRROR_OK && i < columns; i++) {
        const char *name = "";
        shmirror_value value;
        status = shmirror_row_column_name(row, i, &name);
        if (status == SHMIRROR_OK) {
            status = shmirror_row_value(row, i, &value);
        }
        if (status == SHMIRROR_OK) {
            cell.size = 0;
            append_value(&cell, &value);
            printf("%-*s  %s\n", widest, name, cell.data);
        }
    }
    free(cell.data);
    if (status == SHMIRROR_OK) {
        status = shmirror_row_revision(row, &revision);
    }
    if (status == SHMIRROR_OK) {
        printf("(revision %" PRIu64 ")\n", revision);
    }
    return status;
}

static shmirror_status print_one(const shmirror_table *table, char **words, size_t count)
{
    shmirror_value key[KEY_COLUMNS];
    shmirror_schema *schema = NULL;
    shmirror_row *row = NULL;
    size_t key_size = 0;
    const uint16_t *indexes = NULL;
    shmirror_status status = shmirror_table_schema(table, &schema);
    if (status == SHMIRROR_OK) {
        status = shmirror_schema_key(schema, &key_size, &indexes);
    }
    for (size_t i = 0; status == SHMIRROR_OK && i < count && i < KEY_COLUMNS; i++) {
        if (i < key_size) {
            shmirror_column column;
            status = shmirror_schema_column(schema, indexes[i], &column);
            if (status == SHMIRROR_OK) {
                key[i] = parse_key(words[i], &column);
            }
        } else {
            key[i] = shmirror_string(words[i]); /* one too many: the library says so */
        }
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_row_new(&row);
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_table_read(table, key, count, row);
    }
    if (status == SHMIRROR_OK) {
        status = print_fields(row);
    }
    shmirror_row_close(row);
    shmirror_schema_close(schema);
    return status;
}

int main(int argc, char **argv)
{
    shmirror_mirror *mirror = NULL;
    shmirror_table *table = NULL;
    shmirror_status status;
    if ((argc > 1 && argv[1][0] == '-') || argc > 2 + KEY_COLUMNS) {
        fprintf(stderr, "usage: browser [TABLE [KEY...]]\n");
        return 2;
    }
    if (SHMIRROR_CHECK_VERSION() != SHMIRROR_OK) {
        return failed(SHMIRROR_VERSION);
    }

    /* Without options: SHMIRROR_SOCKET or SHMIRROR_INSTANCE of the environment, else `default`. */
    status = shmirror_attach(NULL, &mirror);
    if (status == SHMIRROR_OK && argc == 1) {
        status = list_tables(mirror);
    } else if (status == SHMIRROR_OK) {
        status = shmirror_mirror_table(mirror, argv[1], &table);
        if (status == SHMIRROR_OK) {
            status = argc == 2 ? print_all(table) : print_one(table, argv + 2, (size_t)argc - 2);
        }
    }
    if (status != SHMIRROR_OK) {
        failed(status);
    }
    shmirror_table_close(table);
    shmirror_mirror_close(mirror);
    if (fflush(stdout) != 0) {
        perror("browser: standard output");
        return 1;
    }
    return status == SHMIRROR_OK ? 0 : 1;
}
