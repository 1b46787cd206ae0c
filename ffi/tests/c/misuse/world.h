/* An instance with a table or two, a handle of each kind that is alive, and one that was closed. */

#ifndef WORLD_H
#define WORLD_H

#include "check.h"

/* A row of the table `t`, as a C program has it. */
typedef struct {
    int64_t id;
    int64_t n;
    double r;
    char s[16];
    uint8_t n_is_null;
} record;

static const shmirror_field RECORD[] = {
    SHMIRROR_FIELD(record, id, "id", SHMIRROR_FIELD_I64),
    SHMIRROR_FIELD_NULLABLE(record, n, "n", SHMIRROR_FIELD_I64, n_is_null),
    SHMIRROR_FIELD(record, r, "r", SHMIRROR_FIELD_F64),
    SHMIRROR_FIELD(record, s, "s", SHMIRROR_FIELD_TEXT),
};

static const char SCHEMA[] =
    "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, r REAL, s TEXT, b BLOB);"
    "CREATE TABLE words (word TEXT PRIMARY KEY, n INTEGER);"
    "CREATE INDEX by_n ON t (n);"
    "INSERT INTO t VALUES (1, 10, 1.5, 'one', x'0102030405'), (2, NULL, 0.5, 'two', NULL);"
    "INSERT INTO words VALUES ('a', 1), ('b', 2)";

static const char *socket_path;
static const char *folder;

static shmirror_value one(void)
{
    return shmirror_integer(1);
}

/* Fills `live`; what it holds is closed by closing all of it. */
static void make_all(void)
{
    shmirror_value key = one();
    shmirror_options *options;
    shmirror_mirror *mirror;
    shmirror_catalogue *catalogue;
    shmirror_table *table;
    shmirror_schema *schema;
    shmirror_row *row;
    shmirror_rows *rows;
    shmirror_binding *binding;
    shmirror_cell *cell;
    shmirror_producer *producer;
    shmirror_transaction *transaction;
    shmirror_ticket *ticket;
    shmirror_subscriber *subscriber;
    shmirror_history *history;
    shmirror_event *event;
    shmirror_result *result;
    const char *n = "n";

    OK(shmirror_options_new(&options));
    OK(shmirror_options_socket(options, socket_path));
    OK(shmirror_attach(options, &mirror));
    OK(shmirror_mirror_catalogue(mirror, &catalogue));
    OK(shmirror_mirror_table(mirror, "t", &table));
    OK(shmirror_table_schema(table, &schema));
    OK(shmirror_row_new(&row));
    OK(shmirror_rows_new(&rows));
    OK(shmirror_binding_new(RECORD, sizeof RECORD / sizeof *RECORD, &binding));
    OK(shmirror_table_cell(table, &key, 1, "n", &cell));
    OK(shmirror_table_read(table, &key, 1, row));
    OK(shmirror_table_scan(table, 1, rows));
    OK(shmirror_producer_attach(options, &producer));
    OK(shmirror_transaction_new(producer, &transaction));
    OK(shmirror_transaction_update(transaction, "t", &key, 1, &n, &key, 1));
    OK(shmirror_transaction_submit(transaction, &ticket));
    OK(shmirror_ticket_wait(ticket, PATIENCE, NULL));
    OK(shmirror_execute(producer, "UPDATE t SET n = 10 WHERE id = 1", NULL));
    OK(shmirror_subscribe(options, NULL, 0, SHMIRROR_FROM_NOW, &subscriber));
    OK(shmirror_mirror_history(mirror, 0, NULL, 0, &history));
    OK(shmirror_event_new(&event));
    OK(shmirror_mirror_query(mirror, "SELECT 1 AS a, 'x' AS b", NULL, 0, &result));
#define KEEP(name) live[KIND_shmirror_##name] = name;
    KINDS(KEEP)
#undef KEEP
}

static void close_all(void **handles)
{
#define CLOSE(name) OK(shmirror_##name##_close((shmirror_##name *)handles[KIND_shmirror_##name]));
    KINDS(CLOSE)
#undef CLOSE
}

static void begin(void)
{
    shmirror_options *options;
    shmirror_producer *producer;
    OK(shmirror_options_new(&options));
    OK(shmirror_options_socket(options, socket_path));
    OK(shmirror_producer_attach(options, &producer));
    OK(shmirror_execute(producer, SCHEMA, NULL));
    OK(shmirror_producer_close(producer));
    OK(shmirror_options_close(options));
    make_all();
    memcpy(closed, live, sizeof closed);
    close_all(closed);
    make_all();
}

#endif /* WORLD_H */
