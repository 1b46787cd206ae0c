/* Runs a case file through the C library and prints what came of each line.
 *
 * runner SOCKET CASE FOLDER: the daemon's socket, the case file, a folder for files that it makes.
 * What the lines mean is in README.md. Ends with 0 if the whole case was run, whatever came of its
 * lines. */

#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <unistd.h>

#include "lines.h"

/* How long anything may take. */
#define PATIENCE UINT64_C(60000000000)

enum { MOST = 32 };

/* Things that a case gives names to. */
typedef struct {
    char name[64];
    void *thing;
    uint64_t number;
} named;

typedef struct {
    named all[MOST];
    size_t count;
} names;

static const char *folder;
static shmirror_options *options;
static shmirror_mirror *mirror;
static shmirror_producer *producer;
static shmirror_transaction *transaction;
static shmirror_row *row;
static shmirror_rows *rows;
static shmirror_event *event;
static names tables, cells, tickets, subscribers, marks;
static values parameters;
static kept *kept_parameters;
static uint64_t start, last_commit;
static bool in_transaction;

static named *find(names *list, const char *name)
{
    size_t i;
    for (i = 0; i < list->count; i++) {
        if (strcmp(list->all[i].name, name) == 0) {
            return &list->all[i];
        }
    }
    return NULL;
}

/* The place of a name, a new one if it is new. */
static named *place(names *list, const char *name)
{
    named *known = find(list, name);
    if (known == NULL) {
        if (list->count == MOST || strlen(name) >= sizeof known->name) {
            give_up("too many names", name);
        }
        known = &list->all[list->count++];
        memset(known, 0, sizeof *known);
        strcpy(known->name, name);
    }
    return known;
}

static named *must(names *list, const char *name)
{
    named *known = find(list, name);
    if (known == NULL) {
        give_up("no such name", name);
    }
    return known;
}

/* A call that no case lets fail. */
static void sure(int32_t status)
{
    if (status != SHMIRROR_OK) {
        give_up(shmirror_status_name(status), shmirror_last_message());
    }
}

/* Prints a status that is not success; whether it is. */
static bool failed(int32_t status)
{
    if (status != SHMIRROR_OK) {
        printf("%s\n", shmirror_status_name(status));
    }
    return status != SHMIRROR_OK;
}

/* The same, with what is told of it. */
static bool failed_with_message(int32_t status)
{
    if (status != SHMIRROR_OK) {
        fputs(shmirror_status_name(status), stdout);
        /* What is no row has other words in Rust. */
        if (status >= 16 && status != SHMIRROR_ENCODE) {
            putchar(' ');
            put_message(stdout, shmirror_last_message());
        }
        putchar('\n');
    }
    return status != SHMIRROR_OK;
}

/* The revision that a word stands for: a number from the start, `now` or a mark. */
static uint64_t revision_of(const char *text)
{
    if (strcmp(text, "now") == 0) {
        return SHMIRROR_FROM_NOW;
    }
    if (text[0] >= '0' && text[0] <= '9') {
        uint64_t number = strtoull(text, NULL, 10);
        return number == 0 ? 0 : start + number;
    }
    return must(&marks, text)->number;
}

static void put_revision(FILE *out, uint64_t revision)
{
    fprintf(out, "%" PRIu64, revision == 0 ? 0 : revision - start);
}

static void put_commit(const shmirror_commit *commit)
{
    last_commit = commit->revision;
    printf("commit ");
    put_revision(stdout, commit->revision);
    printf(" changes %" PRIu64 "\n", commit->changes);
}

/* The handle of a table, which is kept, as programs keep it. */
static shmirror_table *table_of(const char *name)
{
    named *known = place(&tables, name);
    if (known->thing == NULL) {
        shmirror_table *made;
        if (failed(shmirror_mirror_table(mirror, name, &made))) {
            return NULL;
        }
        known->thing = made;
    }
    return (shmirror_table *)known->thing;
}

/* A row's columns, with their values. */
static void put_columns(FILE *out, const shmirror_row *r)
{
    size_t count, i;
    sure(shmirror_row_columns(r, &count));
    for (i = 0; i < count; i++) {
        const char *name;
        shmirror_value value;
        sure(shmirror_row_column_name(r, i, &name));
        sure(shmirror_row_value(r, i, &value));
        fputc(' ', out);
        put_name(out, name);
        fputc('=', out);
        put_value(out, &value);
    }
}

static void put_row(FILE *out, const shmirror_row *r)
{
    uint64_t revision;
    sure(shmirror_row_revision(r, &revision));
    fputs("row ", out);
    put_revision(out, revision);
    put_columns(out, r);
    fputc('\n', out);
}

/* ---- writing ---- */

static void put_result(const shmirror_result *result)
{
    size_t sets, set;
    sure(shmirror_result_sets(result, &sets));
    for (set = 0; set < sets; set++) {
        size_t width, height, i, j;
        sure(shmirror_result_columns(result, set, &width));
        sure(shmirror_result_rows(result, set, &height));
        printf("set");
        for (i = 0; i < width; i++) {
            const char *name;
            sure(shmirror_result_column_name(result, set, i, &name));
            putchar(' ');
            put_name(stdout, name);
        }
        putchar('\n');
        for (j = 0; j < height; j++) {
            putchar(' ');
            for (i = 0; i < width; i++) {
                shmirror_value value;
                sure(shmirror_result_value(result, set, j, i, &value));
                putchar(' ');
                put_value(stdout, &value);
            }
            putchar('\n');
        }
    }
}

static void run_sql(const char *command, const char *sql)
{
    shmirror_result *result = NULL;
    shmirror_commit commit = {0, 0};
    if (strcmp(command, "execute") == 0) {
        if (!failed_with_message(shmirror_execute(producer, sql, &commit))) {
            put_commit(&commit);
        }
        return;
    }
    if (strcmp(command, "sql") == 0) {
        if (!failed_with_message(shmirror_sql(producer, sql, parameters.values, parameters.count,
                                              &commit, &result))) {
            put_commit(&commit);
            put_result(result);
        }
    } else if (!failed_with_message(shmirror_mirror_query(mirror, sql, parameters.values,
                                                          parameters.count, &result))) {
        uint64_t revision;
        sure(shmirror_result_revision(result, &revision));
        printf("revision ");
        put_revision(stdout, revision);
        putchar('\n');
        put_result(result);
    }
    sure(shmirror_result_close(result));
}

/* insert, upsert, update, delete, with values or from JSON, at once or into the transaction. */
static bool run_change(const char *command, const line *l)
{
    shmirror_commit commit = {0, 0};
    const char *table = l->count > 1 ? name_of(l, 1) : "";
    int32_t status;
    columns c;
    values key;
    size_t next = values_of(l, 2, &key);
    if (strcmp(command, "insert") == 0) {
        columns_of(l, 2, &c);
        status = in_transaction
                     ? shmirror_transaction_insert(transaction, table, c.names, c.values, c.count)
                     : shmirror_insert(producer, table, c.names, c.values, c.count, &commit);
    } else if (strcmp(command, "upsert") == 0) {
        columns_of(l, 2, &c);
        status = in_transaction
                     ? shmirror_transaction_upsert(transaction, table, c.names, c.values, c.count)
                     : shmirror_upsert(producer, table, c.names, c.values, c.count, &commit);
    } else if (strcmp(command, "update") == 0) {
        columns_of(l, next, &c);
        status = in_transaction
                     ? shmirror_transaction_update(transaction, table, key.values, key.count,
                                                   c.names, c.values, c.count)
                     : shmirror_update(producer, table, key.values, key.count, c.names, c.values,
                                       c.count, &commit);
    } else if (strcmp(command, "delete") == 0) {
        status = in_transaction
                     ? shmirror_transaction_delete(transaction, table, key.values, key.count)
                     : shmirror_delete(producer, table, key.values, key.count, &commit);
    } else if (strcmp(command, "insert-json") == 0) {
        status = in_transaction ? shmirror_transaction_insert_json(transaction, table, rest(l, 2))
                                : shmirror_insert_json(producer, table, rest(l, 2), &commit);
    } else if (strcmp(command, "upsert-json") == 0) {
        status = in_transaction ? shmirror_transaction_upsert_json(transaction, table, rest(l, 2))
                                : shmirror_upsert_json(producer, table, rest(l, 2), &commit);
    } else if (strcmp(command, "update-json") == 0) {
        status = in_transaction
                     ? shmirror_transaction_update_json(transaction, table, key.values, key.count,
                                                        rest(l, next))
                     : shmirror_update_json(producer, table, key.values, key.count, rest(l, next),
                                            &commit);
    } else {
        return false;
    }
    if (!failed_with_message(status) && !in_transaction) {
        put_commit(&commit);
    }
    return true;
}

/* rows TABLE HOW COLUMN… / VALUE… / VALUE… */
static void run_rows(const line *l)
{
    const char *names_of_columns[MOST_WORDS];
    shmirror_value all[MOST_WORDS];
    size_t width = 0, count = 0, height = 0, i;
    for (i = 3; i < l->count && l->words[i].text[0] != '/'; i++) {
        names_of_columns[width++] = name_of(l, i);
    }
    while (i < l->count) {
        values one;
        i = values_of(l, i + 1, &one);
        memcpy(all + count, one.values, one.count * sizeof *all);
        count += one.count;
        height++;
    }
    if (count != width * height) {
        give_up("rows of another width", l->words[0].text);
    }
    failed_with_message(shmirror_transaction_insert_rows(transaction, name_of(l, 1),
                                                         names_of_columns, width, all, height,
                                                         on_conflict_of(name_of(l, 2))));
}

static bool run_transaction(const char *command, const line *l)
{
    shmirror_commit commit = {0, 0};
    if (strcmp(command, "begin") == 0) {
        in_transaction = true;
    } else if (strcmp(command, "clear") == 0) {
        sure(shmirror_transaction_clear(transaction));
        in_transaction = false;
    } else if (strcmp(command, "size") == 0) {
        size_t size;
        sure(shmirror_transaction_size(transaction, &size));
        printf("size %zu\n", size);
    } else if (strcmp(command, "rows") == 0) {
        run_rows(l);
    } else if (strcmp(command, "if-revision") == 0) {
        failed_with_message(
            shmirror_transaction_if_revision(transaction, revision_of(name_of(l, 1))));
    } else if (strcmp(command, "commit") == 0) {
        in_transaction = false;
        if (!failed_with_message(shmirror_transaction_commit(transaction, &commit))) {
            put_commit(&commit);
        }
    } else if (strcmp(command, "submit") == 0 || strcmp(command, "try-submit") == 0) {
        shmirror_ticket *ticket;
        in_transaction = false;
        if (!failed_with_message(command[0] == 's'
                                     ? shmirror_transaction_submit(transaction, &ticket)
                                     : shmirror_transaction_try_submit(transaction, &ticket))) {
            named *known = place(&tickets, name_of(l, 1));
            sure(shmirror_ticket_close((shmirror_ticket *)known->thing));
            known->thing = ticket;
        }
    } else if (strcmp(command, "wait") == 0 || strcmp(command, "poll") == 0) {
        shmirror_ticket *ticket = (shmirror_ticket *)must(&tickets, name_of(l, 1))->thing;
        uint64_t deadline = shmirror_now() + PATIENCE;
        int32_t status;
        if (command[0] == 'w') {
            status = shmirror_ticket_wait_until(ticket, deadline, &commit);
        } else {
            do {
                status = shmirror_ticket_poll(ticket, &commit);
            } while (status == SHMIRROR_PENDING && shmirror_now() < deadline);
        }
        if (!failed_with_message(status)) {
            put_commit(&commit);
        }
    } else {
        return false;
    }
    return true;
}

/* ---- reading ---- */

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

/* The types of a binding's fields, by the names that cases have for them. */
static const char *const FIELDS[] = {"?",   "i64", "f64",  "bool",  "i32",  "u32",
                                     "u64", "f32", "text", "bytes", "value"};
static const size_t FIELD_SIZES[] = {0, 8, 8, 1, 4, 4, 8, 4, 64, 4, sizeof(shmirror_value)};

/* fields TABLE KEY… COLUMN=TYPE…: the row into a struct. A `?` after the type: it may be NULL. */
static void run_fields(shmirror_table *table, const values *key, const line *l, size_t from)
{
    unsigned char out[MOST_WORDS * 80];
    shmirror_field fields[MOST_WORDS];
    shmirror_binding *binding;
    size_t count = 0, end = 0, i;
    int32_t status;
    for (; from < l->count; from++, count++) {
        word type;
        const char *column = assigned(&l->words[from], &type);
        bool nullable = type.text[type.size - 1] == '?';
        const char *name = unescape(type.text, type.size - nullable).data;
        int32_t kind = 1;
        while (strcmp(FIELDS[kind], name) != 0) {
            kind++;
        }
        fields[count].column = column;
        fields[count].type = kind;
        fields[count].flags = 0;
        fields[count].offset = end;
        fields[count].size = FIELD_SIZES[kind];
        fields[count].null_offset = nullable ? end + 72 : SIZE_MAX;
        end += 80;
    }
    memset(out, 0xAA, sizeof out);
    sure(shmirror_binding_new(fields, count, &binding));
    if (key->count == 1 && key->values[0].type == SHMIRROR_TYPE_INTEGER) {
        status = shmirror_table_fetch_i64(table, key->values[0].as.integer, binding, out, end);
    } else if (key->count == 1 && key->values[0].type == SHMIRROR_TYPE_TEXT) {
        status = shmirror_table_fetch_text(table, key->values[0].as.text.data,
                                           key->values[0].as.text.size, binding, out, end);
    } else {
        status = shmirror_table_fetch(table, key->values, key->count, binding, out, end);
    }
    if (failed(status)) {
        sure(shmirror_binding_close(binding));
        return;
    }
    printf("fields");
    for (i = 0; i < count; i++) {
        const unsigned char *at = out + fields[i].offset;
        union {
            int64_t i64;
            double f64;
            int32_t i32;
            uint32_t u32;
            uint64_t u64;
        } as;
        shmirror_value value = shmirror_null();
        memcpy(&as, at, 8);
        if (fields[i].null_offset != SIZE_MAX && out[fields[i].null_offset] == 1) {
            /* NULL */
        } else if (fields[i].type == SHMIRROR_FIELD_F64) {
            value = shmirror_real(as.f64);
        } else if (fields[i].type == SHMIRROR_FIELD_F32) {
            float single;
            memcpy(&single, at, sizeof single);
            value = shmirror_real(single);
        } else if (fields[i].type == SHMIRROR_FIELD_TEXT) {
            value = shmirror_string((const char *)at);
        } else if (fields[i].type == SHMIRROR_FIELD_BYTES) {
            value = shmirror_bytes(at, fields[i].size);
        } else if (fields[i].type == SHMIRROR_FIELD_BOOL) {
            value = shmirror_integer(*at);
        } else if (fields[i].type == SHMIRROR_FIELD_VALUE) {
            memcpy(&value, at, sizeof value);
        } else if (fields[i].type == SHMIRROR_FIELD_I32) {
            value = shmirror_integer(as.i32);
        } else if (fields[i].type == SHMIRROR_FIELD_U32) {
            value = shmirror_integer(as.u32);
        } else {
            value = shmirror_integer(as.i64);
        }
        putchar(' ');
        put_name(stdout, fields[i].column);
        putchar('=');
        put_value(stdout, &value);
    }
    putchar('\n');
    /* Values borrow from it. */
    sure(shmirror_binding_close(binding));
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

/* ---- cells ---- */

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

/* ---- schema ---- */

static void put_schema(const shmirror_schema *schema)
{
    const char *name, *sql;
    const uint16_t *key;
    int32_t kind;
    bool without_rowid, strict;
    size_t count, parts, i;
    sure(shmirror_schema_name(schema, &name));
    sure(shmirror_schema_sql(schema, &sql));
    sure(shmirror_schema_key_kind(schema, &kind));
    sure(shmirror_schema_flags(schema, &without_rowid, &strict));
    sure(shmirror_schema_columns(schema, &count));
    sure(shmirror_schema_key(schema, &parts, &key));
    printf("table ");
    put_name(stdout, name);
    printf(" key=%s without-rowid=%d strict=%d parts", ONE_OF(KEY_KINDS, kind), without_rowid,
           strict);
    for (i = 0; i < parts; i++) {
        printf(" %u", key[i]);
    }
    printf("\n  ");
    put_message(stdout, sql);
    putchar('\n');
    for (i = 0; i < count; i++) {
        shmirror_column column;
        size_t found;
        sure(shmirror_schema_column(schema, i, &column));
        sure(shmirror_schema_find(schema, column.name, &found));
        printf("  column ");
        put_name(stdout, column.name);
        printf(" type=");
        put_name(stdout, column.declared_type);
        printf(" default=");
        put_name(stdout, column.default_sql == NULL ? "-" : column.default_sql);
        printf(" affinity=%s collation=%s generated=%s key=%d not-null=%d hidden=%d found=%zu\n",
               ONE_OF(AFFINITIES, column.affinity), ONE_OF(COLLATIONS, column.collation),
               ONE_OF(GENERATED, column.generated), (int)column.key_position,
               (int)column.not_null, (int)column.hidden, found);
    }
}

static bool run_schema(const char *command, const line *l)
{
    shmirror_schema *schema;
    if (strcmp(command, "schema") == 0) {
        shmirror_table *table = table_of(name_of(l, 1));
        if (table != NULL && !failed(shmirror_table_schema(table, &schema))) {
            put_schema(schema);
            sure(shmirror_schema_close(schema));
        }
    } else if (strcmp(command, "catalogue") == 0) {
        shmirror_catalogue *catalogue;
        uint64_t version;
        size_t count, i;
        if (failed(shmirror_mirror_catalogue(mirror, &catalogue))) {
            return true;
        }
        sure(shmirror_catalogue_version(catalogue, &version));
        printf("catalogue %" PRIu64 "\n", version);
        sure(shmirror_catalogue_tables(catalogue, &count));
        for (i = 0; i < count; i++) {
            const char *name, *again;
            sure(shmirror_catalogue_table_name(catalogue, i, &name));
            sure(shmirror_catalogue_schema(catalogue, i, &schema));
            sure(shmirror_schema_name(schema, &again));
            if (strcmp(name, again) != 0) {
                give_up("a table has two names", name);
            }
            put_schema(schema);
            sure(shmirror_schema_close(schema));
        }
        sure(shmirror_catalogue_objects(catalogue, &count));
        for (i = 0; i < count; i++) {
            shmirror_object object;
            sure(shmirror_catalogue_object(catalogue, i, &object));
            printf("%s ", ONE_OF(OBJECT_KINDS, object.kind));
            put_name(stdout, object.name);
            printf(" of ");
            put_name(stdout, object.table);
            printf(" ");
            put_message(stdout, object.sql);
            putchar('\n');
        }
        sure(shmirror_catalogue_close(catalogue));
    } else {
        return false;
    }
    return true;
}

/* ---- events ---- */

static void put_names(const char *label, int32_t which)
{
    size_t count, i;
    sure(shmirror_event_names_count(event, which, &count));
    printf(" %s", label);
    for (i = 0; i < count; i++) {
        const char *name;
        sure(shmirror_event_name(event, which, i, &name));
        putchar(i == 0 ? '=' : ',');
        put_name(stdout, name);
    }
}

static void put_event(bool as_json)
{
    int32_t kind, operation, status;
    uint64_t revision, sequence;
    uint32_t uid, pid;
    int64_t at_us;
    const char *table;
    const shmirror_value *key;
    size_t count, i;
    bool is_last;
    if (as_json) {
        char *json;
        shmirror_event_json(event, NULL, 0, &count);
        json = (char *)keep(count);
        sure(shmirror_event_json(event, json, count + 1, NULL));
        put_json(stdout, json);
        putchar('\n');
        return;
    }
    sure(shmirror_event_kind(event, &kind));
    sure(shmirror_event_revision(event, &revision));
    sure(shmirror_event_uid(event, &uid));
    sure(shmirror_event_pid(event, &pid));
    sure(shmirror_event_at_us(event, &at_us));
    if (kind == SHMIRROR_EVENT_SCHEMA) {
        printf("schema ");
        put_revision(stdout, revision);
        put_names("created", SHMIRROR_NAMES_CREATED);
        put_names("changed", SHMIRROR_NAMES_CHANGED);
        put_names("dropped", SHMIRROR_NAMES_DROPPED);
    } else if (kind == SHMIRROR_EVENT_CHANGE) {
        sure(shmirror_event_sequence(event, &sequence));
        sure(shmirror_event_table(event, &table));
        sure(shmirror_event_operation(event, &operation));
        sure(shmirror_event_key(event, &key, &count));
        sure(shmirror_event_is_last(event, &is_last));
        printf("change ");
        put_revision(stdout, revision);
        putchar(' ');
        put_name(stdout, table);
        printf(" %s key", ONE_OF(OPERATIONS, operation));
        for (i = 0; i < count; i++) {
            putchar(' ');
            put_value(stdout, &key[i]);
        }
        put_names("columns", SHMIRROR_NAMES_COLUMNS);
        status = shmirror_event_row(event, row);
        if (status == SHMIRROR_NOT_FOUND) {
            printf(" none");
        } else {
            sure(status);
            sure(shmirror_row_revision(row, &revision));
            printf(" row ");
            put_revision(stdout, revision);
            put_columns(stdout, row);
        }
        printf(" %s%s", sequence == 0 ? "log" : "lane", is_last ? " last" : "");
    } else {
        give_up("an event of another kind", "");
    }
    /* Microseconds: not before 2001 and not after 2286. */
    printf("%s%s%s\n", uid == (uint32_t)getuid() ? "" : " uid?",
           pid == (uint32_t)getpid() ? "" : " pid?",
           at_us > INT64_C(1000000000000000) && at_us < INT64_C(10000000000000000) ? "" : " at?");
}

static bool run_events(const char *command, const line *l)
{
    const char *filter[MOST_WORDS];
    size_t count = 0, i;
    if (strcmp(command, "history") == 0) {
        shmirror_history *history;
        for (i = 2; i < l->count; i++) {
            filter[count++] = name_of(l, i);
        }
        if (failed_with_message(shmirror_mirror_history(mirror, revision_of(name_of(l, 1)), filter,
                                                        count, &history))) {
            return true;
        }
        for (;;) {
            int32_t status = shmirror_history_next(history, event);
            if (status == SHMIRROR_END) {
                break;
            }
            sure(status);
            put_event(false);
        }
        sure(shmirror_history_close(history));
        puts("end");
    } else if (strcmp(command, "subscribe") == 0) {
        shmirror_subscriber *made;
        for (i = 3; i < l->count; i++) {
            filter[count++] = name_of(l, i);
        }
        if (!failed_with_message(
                shmirror_subscribe(options, filter, count, revision_of(name_of(l, 2)), &made))) {
            place(&subscribers, name_of(l, 1))->thing = made;
        }
    } else if (strcmp(command, "events") == 0) {
        shmirror_subscriber *s = (shmirror_subscriber *)must(&subscribers, name_of(l, 1))->thing;
        for (i = number_of(l, 2); i > 0; i--) {
            sure(shmirror_subscriber_next(s, PATIENCE, event));
            put_event(l->count > 3);
        }
    } else if (strcmp(command, "quiet") == 0) {
        shmirror_subscriber *s = (shmirror_subscriber *)must(&subscribers, name_of(l, 1))->thing;
        failed(shmirror_subscriber_try_next(s, event));
    } else if (strcmp(command, "resume") == 0) {
        shmirror_subscriber *s = (shmirror_subscriber *)must(&subscribers, name_of(l, 1))->thing;
        if (!failed_with_message(
                shmirror_subscriber_resume_from(s, revision_of(name_of(l, 2))))) {
            puts("ok");
        }
    } else {
        return false;
    }
    return true;
}

/* ---- the instance ---- */

static bool run_instance(const char *command, const line *l)
{
    if (strcmp(command, "mark") == 0) {
        place(&marks, name_of(l, 1))->number = last_commit;
    } else if (strcmp(command, "params") == 0) {
        /* They last until the next params. */
        while (kept_parameters != NULL) {
            kept *block = kept_parameters;
            kept_parameters = block->next;
            free(block);
        }
        values_of(l, 1, &parameters);
        kept_parameters = all_kept;
        all_kept = NULL;
    } else if (strcmp(command, "revision") == 0) {
        uint64_t revision;
        sure(shmirror_mirror_revision(mirror, &revision));
        printf("revision ");
        put_revision(stdout, revision);
        putchar('\n');
    } else if (strcmp(command, "wait-revision") == 0) {
        uint64_t revision = revision_of(name_of(l, 1));
        if (!failed(shmirror_mirror_wait_revision(mirror, revision, 1000000))) {
            puts("ok");
        }
    } else if (strcmp(command, "live") == 0) {
        bool reader, writer;
        char name[64];
        sure(shmirror_mirror_is_live(mirror, &reader));
        sure(shmirror_producer_is_live(producer, &writer));
        sure(shmirror_mirror_instance_name(mirror, name, sizeof name, NULL));
        printf("mirror %d producer %d name %s\n", reader, writer, name);
    } else if (strcmp(command, "attach") == 0) {
        shmirror_options *other;
        shmirror_mirror *made;
        shmirror_producer *writer;
        const char *how = name_of(l, 1);
        values where;
        values_of(l, 2, &where);
        sure(shmirror_options_new(&other));
        if (strcmp(how, "socket") == 0) {
            sure(shmirror_options_socket(other, where.values[0].as.text.data));
        } else {
            sure(shmirror_options_instance(other, where.values[0].as.text.data));
        }
        failed(shmirror_attach(other, &made));
        failed(shmirror_producer_attach(other, &writer));
        sure(shmirror_options_close(other));
    } else if (strcmp(command, "check") == 0) {
        char *json;
        if (!failed(shmirror_mirror_check(mirror, &json))) {
            puts(strstr(json, "\"ok\":true") != NULL ? "ok" : json);
            shmirror_string_free(json);
        }
    } else if (strcmp(command, "backup") == 0) {
        const char *name = name_of(l, 1);
        char *path = (char *)keep(strlen(folder) + strlen(name) + 2);
        char *json;
        sprintf(path, "%s/%s", folder, name);
        if (!failed(shmirror_mirror_backup(mirror, path, &json))) {
            puts(strstr(json, path) != NULL ? "ok" : json);
            shmirror_string_free(json);
        }
    } else {
        return false;
    }
    return true;
}

static void run(const char *text)
{
    line l;
    const char *command;
    split(text, &l);
    if (l.count == 0 || l.words[0].text[0] == '#') {
        return;
    }
    printf("> %s\n", text);
    command = name_of(&l, 0);
    if (strcmp(command, "execute") == 0 || strcmp(command, "sql") == 0 ||
        strcmp(command, "query") == 0) {
        run_sql(command, rest(&l, 1));
    } else if (!run_change(command, &l) && !run_transaction(command, &l) &&
               !run_read(command, &l) && !run_cell(command, &l) && !run_schema(command, &l) &&
               !run_events(command, &l) && !run_instance(command, &l)) {
        give_up("no such command", command);
    }
    forget_line();
}

static void end(void)
{
    size_t i;
    for (i = 0; i < tables.count; i++) {
        sure(shmirror_table_close((shmirror_table *)tables.all[i].thing));
    }
    for (i = 0; i < cells.count; i++) {
        sure(shmirror_cell_close((shmirror_cell *)cells.all[i].thing));
    }
    for (i = 0; i < tickets.count; i++) {
        sure(shmirror_ticket_close((shmirror_ticket *)tickets.all[i].thing));
    }
    for (i = 0; i < subscribers.count; i++) {
        sure(shmirror_subscriber_close((shmirror_subscriber *)subscribers.all[i].thing));
    }
    all_kept = kept_parameters;
    forget_line();
    sure(shmirror_event_close(event));
    sure(shmirror_rows_close(rows));
    sure(shmirror_row_close(row));
    sure(shmirror_transaction_close(transaction));
    sure(shmirror_producer_close(producer));
    sure(shmirror_mirror_close(mirror));
    sure(shmirror_options_close(options));
}

int main(int argc, char **argv)
{
    FILE *cases;
    char *text = NULL;
    size_t room = 0;
    ssize_t size;
    if (argc != 4) {
        fprintf(stderr, "usage: %s SOCKET CASE FOLDER\n", argv[0]);
        return 2;
    }
    folder = argv[3];
    cases = fopen(argv[2], "r");
    if (cases == NULL) {
        give_up("cannot open", argv[2]);
    }
    sure(SHMIRROR_CHECK_VERSION());
    sure(shmirror_options_new(&options));
    sure(shmirror_options_socket(options, argv[1]));
    sure(shmirror_attach(options, &mirror));
    sure(shmirror_producer_attach(options, &producer));
    sure(shmirror_producer_set_timeout(producer, PATIENCE));
    sure(shmirror_transaction_new(producer, &transaction));
    sure(shmirror_row_new(&row));
    sure(shmirror_rows_new(&rows));
    sure(shmirror_event_new(&event));
    sure(shmirror_mirror_revision(mirror, &start));
    while ((size = getline(&text, &room, cases)) > 0) {
        if (text[size - 1] == '\n') {
            text[size - 1] = '\0';
        }
        run(text);
    }
    free(text);
    fclose(cases);
    end();
    return 0;
}
