/* Every function that writes, with right and wrong arguments, and through the ends of a daemon.
 *
 * In: the daemon's socket, in SHMIRROR_SOCKET; its requests lane has 1 MiB, its transactions 2 s.
 * Out: what it asks of the test (expect.h), and the status that it ends with.
 */
#define _GNU_SOURCE

#include <math.h>
#include <pthread.h>

#include "expect.h"

static shmirror_producer *producer;

/* A handle that is closed, as any kind. */
static void *stale;

static const char *const ID[] = {"id"};
static const char *const ID_V[] = {"id", "v"};
static const char *const ID_C[] = {"id", "c"};
static const char *const V[] = {"v"};
static const char *const U[] = {"u"};

/* The one value that a query gives. */
static int64_t number_of(const char *sql)
{
    shmirror_result *result = NULL;
    shmirror_value value;
    size_t sets, rows;

    OK(shmirror_sql(producer, sql, NULL, 0, NULL, &result));
    OK(shmirror_result_sets(result, &sets));
    EXPECT(sets == 1);
    OK(shmirror_result_rows(result, 0, &rows));
    EXPECT(rows == 1);
    OK(shmirror_result_value(result, 0, 0, 0, &value));
    EXPECT(value.type == SHMIRROR_TYPE_INTEGER);
    OK(shmirror_result_close(result));
    return value.as.integer;
}

/* Whether a query that gives one truth gives 1. */
static int holds(const char *condition)
{
    char sql[1024];

    snprintf(sql, sizeof sql, "SELECT (%s) IS TRUE", condition);
    return number_of(sql) == 1;
}

static size_t size_of(shmirror_transaction *transaction)
{
    size_t size = 99;

    OK(shmirror_transaction_size(transaction, &size));
    return size;
}

static shmirror_transaction *fresh(void)
{
    shmirror_transaction *transaction = NULL;

    OK(shmirror_transaction_new(producer, &transaction));
    return transaction;
}

/* ---- arguments ---- */

static void producers_and_their_timeout(void)
{
    shmirror_producer *other = stale;
    shmirror_options *options;
    uint64_t timeout = 0;
    bool live = false;

    section("producers_and_their_timeout");
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_producer_attach(NULL, NULL));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_producer_attach(stale, &other));
    EXPECT(other == NULL);
    OK(shmirror_options_new(&options));
    OK(shmirror_options_socket(options, "/nonexistent/socket"));
    FAILS(SHMIRROR_NO_DAEMON, "/nonexistent/socket", shmirror_producer_attach(options, &other));
    OK(shmirror_options_close(options));

    OK(shmirror_producer_attach(NULL, &other));
    OK(shmirror_producer_is_live(other, &live));
    EXPECT(live);
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_producer_is_live(other, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_producer_is_live(NULL, &live));
    OK(shmirror_producer_timeout(other, &timeout));
    EXPECT(timeout == 10000 * MS);
    OK(shmirror_producer_set_timeout(other, 123 * MS));
    OK(shmirror_producer_timeout(other, &timeout));
    EXPECT(timeout == 123 * MS);
    /* No clock reaches so far. */
    OK(shmirror_producer_set_timeout(other, SHMIRROR_FOREVER));
    OK(shmirror_producer_timeout(other, &timeout));
    EXPECT(timeout == SHMIRROR_FOREVER);
    OK(shmirror_execute(other, "SELECT 1", NULL));
    OK(shmirror_sql(other, "SELECT 1", NULL, 0, NULL, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_producer_timeout(other, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_producer_set_timeout(NULL, 1));
    OK(shmirror_producer_close(other));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_producer_close(other));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_producer_is_live(other, &live));
    OK(shmirror_producer_close(NULL));
}

static void arguments_that_are_none(void)
{
    shmirror_value values[2], wrong[2], key[1];
    const char *bad_names[2] = {"id", NULL}, *not_utf8[2] = {"id", "\xff"};
    shmirror_transaction *transaction = stale;
    shmirror_ticket *ticket = stale;
    shmirror_result *result = stale;
    shmirror_commit commit = {7, 7};
    void *misfits[2];
    size_t i, size;
    uint64_t number;

    section("arguments_that_are_none");
    values[0] = shmirror_integer(1);
    values[1] = shmirror_null();
    wrong[0] = values[0];
    wrong[1] = values[1];
    wrong[1].type = 99;
    key[0] = shmirror_integer(1);
    misfits[0] = NULL;
    misfits[1] = stale;
    for (i = 0; i < 2; i++) {
        const int32_t told = i == 0 ? SHMIRROR_NULL_ARGUMENT : SHMIRROR_STALE_HANDLE;
        void *x = misfits[i];

        STATUS(told, shmirror_insert(x, "t", ID_V, values, 2, &commit));
        STATUS(told, shmirror_upsert(x, "t", ID_V, values, 2, &commit));
        STATUS(told, shmirror_update(x, "t", key, 1, ID_V, values, 2, &commit));
        STATUS(told, shmirror_delete(x, "t", key, 1, &commit));
        STATUS(told, shmirror_insert_json(x, "t", "{}", &commit));
        STATUS(told, shmirror_upsert_json(x, "t", "{}", &commit));
        STATUS(told, shmirror_update_json(x, "t", key, 1, "{}", &commit));
        STATUS(told, shmirror_execute(x, "SELECT 1", &commit));
        result = stale;
        STATUS(told, shmirror_sql(x, "SELECT 1", NULL, 0, &commit, &result));
        EXPECT(result == NULL);
        transaction = stale;
        STATUS(told, shmirror_transaction_new(x, &transaction));
        EXPECT(transaction == NULL);
        STATUS(told, shmirror_transaction_clear(x));
        STATUS(told, shmirror_transaction_size(x, &size));
        STATUS(told, shmirror_transaction_insert(x, "t", ID_V, values, 2));
        STATUS(told, shmirror_transaction_upsert(x, "t", ID_V, values, 2));
        STATUS(told, shmirror_transaction_update(x, "t", key, 1, ID_V, values, 2));
        STATUS(told, shmirror_transaction_delete(x, "t", key, 1));
        STATUS(told, shmirror_transaction_insert_json(x, "t", "{}"));
        STATUS(told, shmirror_transaction_upsert_json(x, "t", "{}"));
        STATUS(told, shmirror_transaction_update_json(x, "t", key, 1, "{}"));
        STATUS(told, shmirror_transaction_insert_rows(x, "t", ID_V, 2, values, 1, 0));
        STATUS(told, shmirror_transaction_if_revision(x, 0));
        STATUS(told, shmirror_transaction_commit(x, &commit));
        ticket = stale;
        STATUS(told, shmirror_transaction_submit(x, &ticket));
        EXPECT(ticket == NULL);
        ticket = stale;
        STATUS(told, shmirror_transaction_try_submit(x, &ticket));
        EXPECT(ticket == NULL);
        STATUS(told, shmirror_ticket_number(x, &number));
        STATUS(told, shmirror_ticket_poll(x, &commit));
        STATUS(told, shmirror_ticket_wait(x, 0, &commit));
        STATUS(told, shmirror_ticket_wait_until(x, 0, &commit));
    }
    EXPECT(commit.revision == 7 && commit.changes == 7);
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_transaction_new(producer, NULL));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_transaction_close(stale));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_ticket_close(stale));
    OK(shmirror_transaction_close(NULL));
    OK(shmirror_ticket_close(NULL));
    /* A handle of another kind. */
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_transaction_clear((shmirror_transaction *)producer));

    FAILS(SHMIRROR_NULL_ARGUMENT, "table", shmirror_insert(producer, NULL, ID_V, values, 2, NULL));
    FAILS(SHMIRROR_NOT_UTF8, "table", shmirror_insert(producer, "\xc3", ID_V, values, 2, NULL));
    FAILS(SHMIRROR_NULL_ARGUMENT, "columns", shmirror_insert(producer, "t", NULL, values, 2, NULL));
    FAILS(SHMIRROR_NULL_ARGUMENT, "columns",
          shmirror_insert(producer, "t", bad_names, values, 2, NULL));
    FAILS(SHMIRROR_NOT_UTF8, "columns", shmirror_insert(producer, "t", not_utf8, values, 2, NULL));
    FAILS(SHMIRROR_NULL_ARGUMENT, "values", shmirror_insert(producer, "t", ID_V, NULL, 2, NULL));
    FAILS(SHMIRROR_BAD_ARGUMENT, "99", shmirror_insert(producer, "t", ID_V, wrong, 2, NULL));
    STATUS(SHMIRROR_BAD_ARGUMENT, shmirror_insert(producer, "t", ID_V, values, SIZE_MAX, NULL));
    wrong[1] = shmirror_string_n("\xff", 1);
    FAILS(SHMIRROR_NOT_UTF8, "values", shmirror_insert(producer, "t", ID_V, wrong, 2, NULL));
    wrong[1] = shmirror_string_n(NULL, 1);
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_insert(producer, "t", ID_V, wrong, 2, NULL));
    FAILS(SHMIRROR_NULL_ARGUMENT, "key",
          shmirror_update(producer, "t", NULL, 1, ID_V, values, 2, NULL));
    FAILS(SHMIRROR_BAD_ARGUMENT, "key_size", shmirror_delete(producer, "t", key, 17, NULL));
    FAILS(SHMIRROR_NULL_ARGUMENT, "json", shmirror_insert_json(producer, "t", NULL, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_update_json(producer, NULL, key, 1, "{}", NULL));
    FAILS(SHMIRROR_NULL_ARGUMENT, "sql", shmirror_execute(producer, NULL, NULL));
    FAILS(SHMIRROR_NOT_UTF8, "sql", shmirror_execute(producer, "SELECT '\xff'", NULL));
    FAILS(SHMIRROR_NULL_ARGUMENT, "sql", shmirror_sql(producer, NULL, NULL, 0, NULL, NULL));
    FAILS(SHMIRROR_NULL_ARGUMENT, "params",
          shmirror_sql(producer, "SELECT ?1", NULL, 1, NULL, NULL));

    transaction = fresh();
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_transaction_size(transaction, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_transaction_submit(transaction, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_transaction_try_submit(transaction, NULL));
    FAILS(SHMIRROR_BAD_ARGUMENT, "on_conflict",
          shmirror_transaction_insert_rows(transaction, "t", ID_V, 2, values, 1, 4));
    FAILS(SHMIRROR_BAD_ARGUMENT, "row_count",
          shmirror_transaction_insert_rows(transaction, "t", ID_V, 2, values, SIZE_MAX, 0));
    FAILS(SHMIRROR_NULL_ARGUMENT, "values",
          shmirror_transaction_insert_rows(transaction, "t", ID_V, 2, NULL, 1, 0));
    FAILS(SHMIRROR_BAD_ARGUMENT, "row_count",
          shmirror_transaction_insert_rows(transaction, "t", NULL, 0, NULL, 3, 0));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_transaction_insert(transaction, NULL, ID_V, values, 2));
    EXPECT(size_of(transaction) == 0);
    OK(shmirror_transaction_close(transaction));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_transaction_close(transaction));
}

/* ---- one change, one transaction ---- */

static void one_change_at_a_time(void)
{
    shmirror_value values[2], key[1];
    shmirror_commit first, second;
    static const uint8_t bytes[3] = {0, 255, 10};

    section("one_change_at_a_time");
    OK(shmirror_execute(producer, "CREATE TABLE t (id INTEGER PRIMARY KEY, v, w DEFAULT 'w')",
                        &first));
    values[0] = shmirror_integer(INT64_MIN);
    values[1] = shmirror_string_n("\xc3\xbc\0x", 4);
    OK(shmirror_insert(producer, "t", ID_V, values, 2, &second));
    EXPECT(second.revision == first.revision + 1 && second.changes == 1);
    EXPECT(holds("SELECT v = 'ü' || char(0) || 'x' AND w = 'w' FROM t "
                 "WHERE id = -9223372036854775808"));
    key[0] = values[0];
    values[1] = shmirror_bytes(bytes, 3);
    OK(shmirror_upsert(producer, "t", ID_V, values, 2, &first));
    EXPECT(first.revision == second.revision + 1 && first.changes == 1);
    EXPECT(holds("SELECT v = x'00ff0a' AND w = 'w' FROM t"));
    values[1] = shmirror_real(-0.5);
    OK(shmirror_update(producer, "t", key, 1, V, values + 1, 1, NULL));
    EXPECT(holds("SELECT v = -0.5 AND typeof(v) = 'real' FROM t"));
    values[1] = shmirror_real(INFINITY);
    OK(shmirror_update(producer, "t", key, 1, V, values + 1, 1, NULL));
    EXPECT(holds("SELECT v = 9e999 FROM t"));
    values[1] = shmirror_string(NULL);
    OK(shmirror_update(producer, "t", key, 1, V, values + 1, 1, NULL));
    EXPECT(holds("SELECT v IS NULL FROM t"));
    values[1] = shmirror_bytes(NULL, 0);
    OK(shmirror_update(producer, "t", key, 1, V, values + 1, 1, NULL));
    EXPECT(holds("SELECT v = x'' FROM t"));
    OK(shmirror_delete(producer, "t", key, 1, &first));
    EXPECT(first.changes == 1 && number_of("SELECT count(*) FROM t") == 0);
    /* A new row of defaults alone. */
    OK(shmirror_insert(producer, "t", NULL, NULL, 0, NULL));
    EXPECT(holds("SELECT id = 1 AND v IS NULL AND w = 'w' FROM t"));
    key[0] = shmirror_integer(1);
    OK(shmirror_delete(producer, "t", key, 1, NULL));
}

static void json_rows(void)
{
    shmirror_value key[1];
    shmirror_transaction *transaction = fresh();

    section("json_rows");
    OK(shmirror_insert_json(producer, "t", "{\"id\": 5, \"v\": 1, \"w\": 1.0}", NULL));
    EXPECT(holds("SELECT typeof(v) = 'integer' AND typeof(w) = 'real' FROM t WHERE id = 5"));
    OK(shmirror_upsert_json(producer, "t", "{\"id\": 5, \"v\": 1e2, \"w\": \"\\u00fc\"}", NULL));
    EXPECT(holds("SELECT v = 100 AND typeof(v) = 'real' AND w = 'ü' FROM t WHERE id = 5"));
    key[0] = shmirror_integer(5);
    OK(shmirror_update_json(producer, "t", key, 1, "{\"v\": true, \"w\": null}", NULL));
    EXPECT(holds("SELECT v = 1 AND w IS NULL FROM t WHERE id = 5"));
    FAILS(SHMIRROR_ENCODE, "table \"t\"", shmirror_insert_json(producer, "t", "[1]", NULL));
    FAILS(SHMIRROR_ENCODE, "table \"t\"", shmirror_upsert_json(producer, "t", "", NULL));
    FAILS(SHMIRROR_ENCODE, "table \"t\"",
          shmirror_update_json(producer, "t", key, 1, "{\"v\": 1", NULL));
    FAILS(SHMIRROR_ENCODE, "column \"v\"",
          shmirror_insert_json(producer, "t", "{\"v\": 9223372036854775808}", NULL));
    FAILS(SHMIRROR_ENCODE, "column \"v\"",
          shmirror_transaction_insert_json(transaction, "t", "{\"v\": [1]}"));
    EXPECT(size_of(transaction) == 0);
    OK(shmirror_transaction_insert_json(transaction, "t", "{\"id\": 6}"));
    OK(shmirror_transaction_upsert_json(transaction, "t", "{\"id\": 6, \"v\": 6}"));
    key[0] = shmirror_integer(6);
    OK(shmirror_transaction_update_json(transaction, "t", key, 1, "{\"w\": \"six\"}"));
    OK(shmirror_transaction_commit(transaction, NULL));
    EXPECT(holds("SELECT v = 6 AND w = 'six' FROM t WHERE id = 6"));
    OK(shmirror_transaction_close(transaction));
    OK(shmirror_execute(producer, "DELETE FROM t", NULL));
}

/* ---- what a daemon rejects ---- */

static void every_rejection(void)
{
    shmirror_value values[2], key[2];
    shmirror_commit commit = {7, 7};
    shmirror_transaction *transaction = fresh();
    char *long_name = malloc(400), *long_sql = malloc((1 << 20) + 2);

    section("every_rejection");
    EXPECT(long_name != NULL && long_sql != NULL);
    OK(shmirror_execute(producer,
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);"
        "CREATE TABLE ruled (id TEXT PRIMARY KEY, u UNIQUE, n NOT NULL DEFAULT 0,"
        "                    c CHECK (c > 0), p REFERENCES parent (id)) WITHOUT ROWID;"
        "CREATE TABLE strict_one (id INTEGER PRIMARY KEY, i INTEGER) STRICT;"
        "CREATE TABLE two (a TEXT, b INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID;"
        "CREATE TRIGGER guard BEFORE INSERT ON ruled WHEN new.id = 'no'"
        "  BEGIN SELECT RAISE(ABORT, 'not this one'); END;"
        "INSERT INTO ruled (id, u) VALUES ('a', 1)", NULL));
#define RULED(status, part, json) \
    FAILS(status, part, shmirror_insert_json(producer, "ruled", json, &commit))
    RULED(SHMIRROR_PRIMARY_KEY, "ruled", "{\"id\": \"a\"}");
    RULED(SHMIRROR_UNIQUE, "ruled.u", "{\"id\": \"b\", \"u\": 1}");
    RULED(SHMIRROR_NOT_NULL, "ruled.n", "{\"id\": \"b\", \"n\": null}");
    RULED(SHMIRROR_CHECK, "c > 0", "{\"id\": \"b\", \"c\": 0}");
    RULED(SHMIRROR_FOREIGN_KEY, "", "{\"id\": \"b\", \"p\": 4}");
    RULED(SHMIRROR_TRIGGER, "not this one", "{\"id\": \"no\"}");
    RULED(SHMIRROR_UNKNOWN_COLUMN, "colour", "{\"id\": \"b\", \"colour\": 1}");
    FAILS(SHMIRROR_UNKNOWN_TABLE, "rulet", shmirror_insert_json(producer, "rulet", "{}", &commit));
    FAILS(SHMIRROR_DATATYPE, "strict_one",
          shmirror_insert_json(producer, "strict_one", "{\"id\": 1, \"i\": \"x\"}", &commit));
    key[0] = shmirror_string("zzz");
    FAILS(SHMIRROR_NO_SUCH_ROW, "zzz", shmirror_delete(producer, "ruled", key, 1, &commit));
    values[0] = shmirror_integer(1);
    STATUS(SHMIRROR_NO_SUCH_ROW,
           shmirror_update(producer, "ruled", key, 1, U, values, 1, &commit));
    FAILS(SHMIRROR_MALFORMED, "no column",
          shmirror_update(producer, "ruled", key, 1, NULL, NULL, 0, &commit));
    FAILS(SHMIRROR_BAD_KEY, "two", shmirror_delete(producer, "two", key, 1, &commit));
    key[1] = shmirror_null();
    FAILS(SHMIRROR_BAD_KEY, "two", shmirror_delete(producer, "two", key, 2, &commit));
    FAILS(SHMIRROR_BAD_KEY, "two", shmirror_delete(producer, "two", NULL, 0, &commit));
    FAILS(SHMIRROR_SQL, "syntax", shmirror_execute(producer, "SELEC 1", &commit));
    FAILS(SHMIRROR_SQL, "nothing_here",
          shmirror_sql(producer, "SELECT * FROM nothing_here", NULL, 0, &commit, NULL));
    STATUS(SHMIRROR_NOT_ALLOWED, shmirror_execute(producer, "ATTACH 'x' AS y", &commit));
    STATUS(SHMIRROR_NOT_ALLOWED, shmirror_execute(producer, "BEGIN", &commit));
    STATUS(SHMIRROR_NOT_ALLOWED, shmirror_execute(producer, "PRAGMA journal_mode = OFF", &commit));
    memset(long_name, 'n', 400);
    memcpy(long_name, "CREATE TABLE ", 13);
    strcpy(long_name + 13 + 256, " (id INTEGER PRIMARY KEY)");
    FAILS(SHMIRROR_LIMIT, "255", shmirror_execute(producer, long_name, &commit));
    memset(long_sql, ' ', (1 << 20) + 1);
    long_sql[(1 << 20) + 1] = '\0';
    FAILS(SHMIRROR_TOO_LARGE, "1048576", shmirror_execute(producer, long_sql, &commit));
    STATUS(SHMIRROR_TIME_LIMIT, shmirror_execute(producer,
        "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n)"
        " INSERT INTO parent SELECT i FROM n WHERE i < 0", &commit));
    values[0] = shmirror_string("b");
    values[1] = shmirror_real(NAN);
    FAILS(SHMIRROR_ENCODE, "table \"ruled\", column \"c\"",
          shmirror_insert(producer, "ruled", ID_C, values, 2, &commit));
    FAILS(SHMIRROR_ENCODE, "table \"ruled\", column \"u\"",
          shmirror_update(producer, "ruled", values, 1, U, values + 1, 1,
                          &commit));
    FAILS(SHMIRROR_NO_SUCH_ROW, "NaN", shmirror_delete(producer, "ruled", values + 1, 1, &commit));
    EXPECT(commit.revision == 7 && commit.changes == 7);

    /* All or nothing, and the transaction serves for the next. */
    OK(shmirror_transaction_insert_json(transaction, "parent", "{\"id\": 1}"));
    OK(shmirror_transaction_insert_json(transaction, "ruled", "{\"id\": \"a\"}"));
    STATUS(SHMIRROR_PRIMARY_KEY, shmirror_transaction_commit(transaction, &commit));
    EXPECT(size_of(transaction) == 0 && number_of("SELECT count(*) FROM parent") == 0);
    OK(shmirror_transaction_insert_json(transaction, "parent", "{\"id\": 1}"));
    OK(shmirror_transaction_commit(transaction, &commit));
    EXPECT(commit.changes == 1 && number_of("SELECT count(*) FROM parent") == 1);
    OK(shmirror_transaction_close(transaction));
    free(long_name);
    free(long_sql);
}

static void sql_with_parameters_and_rows(void)
{
    shmirror_value params[3], value;
    shmirror_result *result = NULL;
    shmirror_commit commit;
    size_t sets, rows;
    uint64_t revision;

    section("sql_with_parameters_and_rows");
    params[0] = shmirror_integer(1);
    params[1] = shmirror_string("one");
    params[2] = shmirror_bytes("\x01", 1);
    OK(shmirror_sql(producer, "INSERT INTO t VALUES (?1, ?2, ?3) RETURNING v, id", params, 3,
                    &commit, &result));
    EXPECT(commit.changes == 1);
    OK(shmirror_result_revision(result, &revision));
    EXPECT(revision == commit.revision);
    OK(shmirror_result_value(result, 0, 0, 0, &value));
    EXPECT(value.type == SHMIRROR_TYPE_TEXT && value.as.text.size == 3);
    OK(shmirror_result_close(result));
    /* No rows wanted, none kept. */
    params[0] = shmirror_integer(2);
    OK(shmirror_sql(producer, "INSERT INTO t VALUES (?1, ?2, ?3) RETURNING id", params, 3,
                    &commit, NULL));
    EXPECT(number_of("SELECT count(*) FROM t") == 2);
    OK(shmirror_sql(producer, "SELECT 1; SELECT 2 WHERE 0; DELETE FROM t", NULL, 0, NULL, &result));
    OK(shmirror_result_sets(result, &sets));
    OK(shmirror_result_rows(result, 1, &rows));
    EXPECT(sets == 2 && rows == 0);
    OK(shmirror_result_close(result));
    /* Parameters are for one statement. */
    result = stale;
    STATUS(SHMIRROR_MALFORMED,
           shmirror_sql(producer, "SELECT ?1; SELECT ?1", params, 1, NULL, &result));
    EXPECT(result == NULL);
    OK(shmirror_execute(producer, "SELECT 1", &commit));
    EXPECT(commit.changes == 0);
}

/* ---- transactions ---- */

static void transactions_of_many_changes(void)
{
    shmirror_transaction *transaction = fresh();
    shmirror_value rows[6], key[1];
    shmirror_commit commit, next;

    section("transactions_of_many_changes");
    /* One of nothing. */
    OK(shmirror_transaction_commit(transaction, &commit));
    EXPECT(commit.changes == 0);
    rows[0] = shmirror_integer(1);
    rows[1] = shmirror_string("a");
    rows[2] = shmirror_integer(2);
    rows[3] = shmirror_string("b");
    rows[4] = shmirror_integer(3);
    rows[5] = shmirror_string("c");
    OK(shmirror_transaction_insert_rows(transaction, "t", ID_V, 2, rows, 3,
                                        SHMIRROR_ON_CONFLICT_FAIL));
    OK(shmirror_transaction_insert_rows(transaction, "t", ID_V, 2, NULL, 0,
                                        SHMIRROR_ON_CONFLICT_FAIL));
    EXPECT(size_of(transaction) == 2);
    key[0] = shmirror_integer(3);
    OK(shmirror_transaction_delete(transaction, "t", key, 1));
    key[0] = shmirror_integer(1);
    OK(shmirror_transaction_update(transaction, "t", key, 1, V, rows + 5, 1));
    OK(shmirror_transaction_insert(transaction, "t", ID, rows + 4, 1));
    EXPECT(size_of(transaction) == 5);
    OK(shmirror_transaction_commit(transaction, &commit));
    EXPECT(size_of(transaction) == 0);
    EXPECT(holds("SELECT group_concat(id || coalesce(v, '-'), ' ') = '1c 2b 3-' FROM t"));

    OK(shmirror_transaction_insert_rows(transaction, "t", ID_V, 2, rows, 1,
                                        SHMIRROR_ON_CONFLICT_FAIL));
    STATUS(SHMIRROR_PRIMARY_KEY, shmirror_transaction_commit(transaction, NULL));
    OK(shmirror_execute(producer, "UPDATE t SET w = 'kept'", NULL));
    OK(shmirror_transaction_insert_rows(transaction, "t", ID_V, 2, rows, 1,
                                        SHMIRROR_ON_CONFLICT_SKIP));
    OK(shmirror_transaction_insert_rows(transaction, "t", ID_V, 2, rows + 2, 1,
                                        SHMIRROR_ON_CONFLICT_REPLACE));
    OK(shmirror_transaction_insert_rows(transaction, "t", ID_V, 2, rows + 4, 1,
                                        SHMIRROR_ON_CONFLICT_UPDATE));
    OK(shmirror_transaction_commit(transaction, NULL));
    EXPECT(holds("SELECT group_concat(id || v || w, ' ') = '1ckept 2bw 3ckept' FROM t"));
    OK(shmirror_transaction_upsert(transaction, "t", ID_V, rows, 2));
    OK(shmirror_transaction_clear(transaction));
    EXPECT(size_of(transaction) == 0);

    /* Compare and set. */
    FAILS(SHMIRROR_USAGE, "comes first", shmirror_transaction_if_revision(transaction, 1));
    OK(shmirror_transaction_insert_rows(transaction, "t", ID_V, 2, rows, 3,
                                        SHMIRROR_ON_CONFLICT_REPLACE));
    FAILS(SHMIRROR_USAGE, "several rows", shmirror_transaction_if_revision(transaction, 1));
    EXPECT(size_of(transaction) == 1);
    OK(shmirror_transaction_commit(transaction, &commit));
    OK(shmirror_transaction_update(transaction, "t", key, 1, V, rows + 5, 1));
    OK(shmirror_transaction_if_revision(transaction, commit.revision));
    OK(shmirror_transaction_commit(transaction, &next));
    OK(shmirror_transaction_update(transaction, "t", key, 1, V, rows + 1, 1));
    OK(shmirror_transaction_if_revision(transaction, commit.revision));
    STATUS(SHMIRROR_REVISION_MISMATCH, shmirror_transaction_commit(transaction, NULL));
    EXPECT(size_of(transaction) == 0);
    OK(shmirror_transaction_delete(transaction, "t", key, 1));
    OK(shmirror_transaction_if_revision(transaction, next.revision));
    OK(shmirror_transaction_commit(transaction, NULL));
    OK(shmirror_transaction_upsert(transaction, "t", ID_V, rows, 2));
    OK(shmirror_transaction_if_revision(transaction, 0));
    OK(shmirror_transaction_commit(transaction, NULL));
    OK(shmirror_transaction_upsert(transaction, "t", ID_V, rows, 2));
    OK(shmirror_transaction_if_revision(transaction, 0));
    STATUS(SHMIRROR_REVISION_MISMATCH, shmirror_transaction_commit(transaction, NULL));

    /* Refused before it is submitted: it stays. */
    rows[1] = shmirror_real(NAN);
    OK(shmirror_transaction_insert(transaction, "t", ID_V, rows, 2));
    FAILS(SHMIRROR_ENCODE, "table \"t\", column \"v\"",
          shmirror_transaction_commit(transaction, NULL));
    EXPECT(size_of(transaction) == 1);
    OK(shmirror_transaction_close(transaction));
    OK(shmirror_execute(producer, "DELETE FROM t", NULL));
}

/* ---- tickets and lanes ---- */

static pid_t daemon_pid;

/* Until thaw(), it takes nothing out of the lane. */
static void freeze(void)
{
    int state = 0;
    char path[64], line[256];
    uint64_t deadline = soon();

    daemon_pid = ask("pid");
    EXPECT(kill(daemon_pid, SIGSTOP) == 0);
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)daemon_pid);
    while (state != 'T') {
        FILE *file = fopen(path, "r");

        EXPECT(file != NULL && fgets(line, sizeof line, file) != NULL);
        fclose(file);
        state = strrchr(line, ')')[2];
        EXPECT(shmirror_now() < deadline);
    }
}

static void thaw(void)
{
    EXPECT(kill(daemon_pid, SIGCONT) == 0);
}

static shmirror_ticket *submitted(int64_t id)
{
    shmirror_transaction *transaction = fresh();
    shmirror_ticket *ticket = NULL;
    shmirror_value value = shmirror_integer(id);

    OK(shmirror_transaction_insert(transaction, "t", ID, &value, 1));
    OK(shmirror_transaction_submit(transaction, &ticket));
    EXPECT(size_of(transaction) == 0);
    OK(shmirror_transaction_close(transaction));
    return ticket;
}

static void tickets(void)
{
    shmirror_ticket *first, *second, *rejected;
    shmirror_commit commit = {7, 7}, again;
    uint64_t start, a, b, deadline = soon();
    int32_t status;

    section("tickets");
    freeze();
    first = submitted(1);
    second = submitted(2);
    rejected = submitted(1);
    OK(shmirror_ticket_number(first, &a));
    OK(shmirror_ticket_number(second, &b));
    EXPECT(b == a + 1);
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_ticket_number(first, NULL));
    STATUS(SHMIRROR_PENDING, shmirror_ticket_poll(first, &commit));
    STATUS(SHMIRROR_TIMED_OUT, shmirror_ticket_wait(first, 0, &commit));
    start = shmirror_now();
    STATUS(SHMIRROR_TIMED_OUT, shmirror_ticket_wait(first, 30 * MS, &commit));
    EXPECT(shmirror_now() - start >= 30 * MS);
    start = shmirror_now();
    STATUS(SHMIRROR_TIMED_OUT, shmirror_ticket_wait_until(first, start + 30 * MS, &commit));
    EXPECT(shmirror_now() - start >= 30 * MS);
    STATUS(SHMIRROR_TIMED_OUT, shmirror_ticket_wait_until(first, 0, &commit));
    EXPECT(commit.revision == 7 && commit.changes == 7);
    /* One that nobody waits for takes nothing back. */
    OK(shmirror_ticket_close(second));
    thaw();
    OK(shmirror_ticket_wait(first, SHMIRROR_FOREVER, &commit));
    EXPECT(commit.changes == 1);
    OK(shmirror_ticket_wait_until(first, SHMIRROR_FOREVER, NULL));
    OK(shmirror_ticket_poll(first, &again));
    EXPECT(again.revision == commit.revision && again.changes == commit.changes);
    while ((status = shmirror_ticket_poll(rejected, NULL)) == SHMIRROR_PENDING) {
        EXPECT(shmirror_now() < deadline);
    }
    EXPECT(status == SHMIRROR_PRIMARY_KEY);
    STATUS(SHMIRROR_PRIMARY_KEY, shmirror_ticket_wait(rejected, LONG, NULL));
    EXPECT(number_of("SELECT count(*) FROM t") == 2);
    OK(shmirror_ticket_close(first));
    OK(shmirror_ticket_close(rejected));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_ticket_poll(first, &commit));
}

static void an_outcome_that_nobody_asked_for_in_time(void)
{
    shmirror_producer *other = NULL;
    shmirror_transaction *transaction = NULL;
    shmirror_ticket *first, *last = NULL;
    shmirror_value value = shmirror_integer(1);
    int i;

    section("an_outcome_that_nobody_asked_for_in_time");
    first = submitted(100);
    OK(shmirror_producer_attach(NULL, &other));
    OK(shmirror_producer_set_timeout(other, LONG));
    OK(shmirror_transaction_new(other, &transaction));
    for (i = 0; i < 4200; i++) {
        OK(shmirror_ticket_close(last));
        OK(shmirror_transaction_insert_rows(transaction, "t", ID, 1, &value, 1,
                                            SHMIRROR_ON_CONFLICT_SKIP));
        OK(shmirror_transaction_submit(transaction, &last));
    }
    OK(shmirror_ticket_wait(last, LONG, NULL));
    STATUS(SHMIRROR_OUTCOME_EXPIRED, shmirror_ticket_poll(first, NULL));
    STATUS(SHMIRROR_OUTCOME_EXPIRED, shmirror_ticket_wait(first, LONG, NULL));
    EXPECT(number_of("SELECT count(*) FROM t WHERE id = 100") == 1);
    OK(shmirror_ticket_close(first));
    OK(shmirror_ticket_close(last));
    OK(shmirror_transaction_close(transaction));
    OK(shmirror_producer_close(other));
    OK(shmirror_execute(producer, "DELETE FROM t", NULL));
}

static void a_full_lane(void)
{
    static char text[200000];
    shmirror_transaction *transaction = fresh();
    shmirror_ticket *tickets[16], *none = stale;
    shmirror_value row[2];
    shmirror_status status = SHMIRROR_OK;
    shmirror_commit commit = {7, 7};
    uint64_t start, timeout;
    int taken = 0, i;

    section("a_full_lane");
    memset(text, 'x', sizeof text);
    row[1] = shmirror_string_n(text, sizeof text);
    freeze();
    for (;;) {
        row[0] = shmirror_integer(taken);
        OK(shmirror_transaction_insert(transaction, "t", ID_V, row, 2));
        EXPECT(taken < (int)COUNT(tickets));
        status = shmirror_transaction_try_submit(transaction, &tickets[taken]);
        if (status != SHMIRROR_OK) {
            EXPECT(tickets[taken] == NULL);
            break;
        }
        EXPECT(size_of(transaction) == 0);
        taken++;
    }
    STATUS(SHMIRROR_FULL, status);
    EXPECT(taken >= 4 && size_of(transaction) == 1);
    OK(shmirror_producer_timeout(producer, &timeout));
    OK(shmirror_producer_set_timeout(producer, 40 * MS));
    start = shmirror_now();
    FAILS(SHMIRROR_FULL, "full", shmirror_transaction_submit(transaction, &none));
    EXPECT(shmirror_now() - start >= 40 * MS && none == NULL && size_of(transaction) == 1);
    STATUS(SHMIRROR_FULL, shmirror_transaction_commit(transaction, &commit));
    EXPECT(size_of(transaction) == 1);
    STATUS(SHMIRROR_FULL, shmirror_insert(producer, "t", ID_V, row, 2, &commit));
    /* Room for something small; its outcome does not come. */
    row[0] = shmirror_integer(1000);
    STATUS(SHMIRROR_TIMED_OUT, shmirror_insert(producer, "t", ID, row, 1, &commit));
    EXPECT(commit.revision == 7 && commit.changes == 7);
    OK(shmirror_producer_set_timeout(producer, timeout));
    thaw();
    OK(shmirror_transaction_commit(transaction, NULL));
    EXPECT(size_of(transaction) == 0);
    for (i = 0; i < taken; i++) {
        OK(shmirror_ticket_wait(tickets[i], LONG, NULL));
        OK(shmirror_ticket_close(tickets[i]));
    }
    EXPECT(number_of("SELECT count(*) FROM t") == taken + 2);
    OK(shmirror_execute(producer, "DELETE FROM t", NULL));

    /* More than half of the lane: never. */
    for (i = 0; i < 4; i++) {
        row[0] = shmirror_integer(i);
        OK(shmirror_transaction_insert(transaction, "t", ID_V, row, 2));
    }
    FAILS(SHMIRROR_TOO_LARGE, "524", shmirror_transaction_commit(transaction, NULL));
    none = stale;
    STATUS(SHMIRROR_TOO_LARGE, shmirror_transaction_submit(transaction, &none));
    EXPECT(none == NULL);
    STATUS(SHMIRROR_TOO_LARGE, shmirror_transaction_try_submit(transaction, &none));
    EXPECT(size_of(transaction) == 4);
    OK(shmirror_transaction_close(transaction));
}

static void more_than_any_lane_takes(void)
{
    shmirror_transaction *transaction = fresh();
    size_t size = (size_t)66 << 20;
    char *text = malloc(size);
    shmirror_value row[2];

    section("more_than_any_lane_takes");
    EXPECT(text != NULL);
    memset(text, 'x', size);
    row[0] = shmirror_integer(1);
    row[1] = shmirror_string_n(text, size);
    OK(shmirror_transaction_insert(transaction, "t", ID_V, row, 2));
    free(text);
    FAILS(SHMIRROR_TOO_LARGE, "67108864", shmirror_transaction_commit(transaction, NULL));
    EXPECT(size_of(transaction) == 1);
    OK(shmirror_transaction_close(transaction));
}

/* ---- threads ---- */

static void *commits(void *transaction)
{
    shmirror_status status;

    /* BUSY: the other one is looking whether we are at it. */
    do {
        status = shmirror_transaction_commit(transaction, NULL);
    } while (status == SHMIRROR_BUSY);
    OK(status);
    return NULL;
}

static void one_thread_at_a_time(void)
{
    shmirror_transaction *transaction = fresh();
    shmirror_value value = shmirror_integer(1);
    uint64_t deadline = soon();
    pthread_t thread;
    size_t size;
    shmirror_status status;

    section("one_thread_at_a_time");
    freeze();
    OK(shmirror_transaction_insert(transaction, "t", ID, &value, 1));
    EXPECT(pthread_create(&thread, NULL, commits, transaction) == 0);
    while ((status = shmirror_transaction_size(transaction, &size)) == SHMIRROR_OK) {
        EXPECT(shmirror_now() < deadline);
    }
    STATUS(SHMIRROR_BUSY, status);
    STATUS(SHMIRROR_BUSY, shmirror_transaction_clear(transaction));
    STATUS(SHMIRROR_BUSY, shmirror_transaction_insert(transaction, "t", ID, &value, 1));
    STATUS(SHMIRROR_BUSY, shmirror_transaction_if_revision(transaction, 1));
    STATUS(SHMIRROR_BUSY, shmirror_transaction_commit(transaction, NULL));
    STATUS(SHMIRROR_BUSY, shmirror_transaction_close(transaction));
    thaw();
    EXPECT(pthread_join(thread, NULL) == 0);
    EXPECT(size_of(transaction) == 0 && number_of("SELECT count(*) FROM t") == 1);
    OK(shmirror_transaction_close(transaction));
}

#define THREADS 4
#define EACH 500

static void *inserts(void *first)
{
    int64_t id = *(int64_t *)first;
    int i;

    for (i = 0; i < EACH; i++) {
        shmirror_value value = shmirror_integer(id + i);

        OK(shmirror_insert(producer, "t", ID, &value, 1, NULL));
    }
    return NULL;
}

static void any_thread_uses_a_producer(void)
{
    pthread_t threads[THREADS];
    int64_t first[THREADS];
    int i;

    section("any_thread_uses_a_producer");
    for (i = 0; i < THREADS; i++) {
        first[i] = 10000 * (i + 1);
        EXPECT(pthread_create(&threads[i], NULL, inserts, &first[i]) == 0);
    }
    for (i = 0; i < THREADS; i++) {
        EXPECT(pthread_join(threads[i], NULL) == 0);
    }
    EXPECT(number_of("SELECT count(*) FROM t WHERE id >= 10000") == THREADS * EACH);
    OK(shmirror_execute(producer, "DELETE FROM t", NULL));
}

/* ---- fork ---- */

struct waiting {
    shmirror_ticket *ticket;
    pthread_t thread;
    shmirror_status status;
    shmirror_commit commit;
    uint64_t started;
};

static void *waits(void *argument)
{
    struct waiting *waiting = argument;

    __atomic_store_n(&waiting->started, 1, __ATOMIC_RELEASE);
    waiting->status = shmirror_ticket_wait(waiting->ticket, LONG, &waiting->commit);
    return NULL;
}

static void begin_waiting(struct waiting *waiting, shmirror_ticket *ticket)
{
    uint64_t deadline = soon();

    memset(waiting, 0, sizeof *waiting);
    waiting->ticket = ticket;
    EXPECT(pthread_create(&waiting->thread, NULL, waits, waiting) == 0);
    while (__atomic_load_n(&waiting->started, __ATOMIC_ACQUIRE) == 0) {
        EXPECT(shmirror_now() < deadline);
    }
    nap();
}

static void a_forked_child(void)
{
    shmirror_transaction *transaction = fresh(), *busy = fresh();
    shmirror_ticket *ticket, *none = stale;
    shmirror_value value = shmirror_integer(2);
    struct waiting waiting;
    uint64_t number, deadline = soon();
    pthread_t committing;
    size_t size;
    bool live = true;
    pid_t child;

    section("a_forked_child");
    OK(shmirror_transaction_insert(transaction, "t", ID, &value, 1));
    value = shmirror_integer(4);
    OK(shmirror_transaction_insert(busy, "t", ID, &value, 1));
    freeze();
    ticket = submitted(1);
    /* Threads of the parent's are in the middle of calls when it forks. */
    begin_waiting(&waiting, ticket);
    EXPECT(pthread_create(&committing, NULL, commits, busy) == 0);
    while (shmirror_transaction_size(busy, &size) != SHMIRROR_BUSY) {
        EXPECT(shmirror_now() < deadline);
    }
    child = fork();
    if (child == 0) {
        alarm(60);
        OK(shmirror_producer_is_live(producer, &live));
        EXPECT(!live);
        STATUS(SHMIRROR_FORKED, shmirror_insert(producer, "t", ID, &value, 1, NULL));
        STATUS(SHMIRROR_FORKED, shmirror_execute(producer, "DELETE FROM t", NULL));
        STATUS(SHMIRROR_FORKED, shmirror_sql(producer, "SELECT 1", NULL, 0, NULL, NULL));
        STATUS(SHMIRROR_FORKED, shmirror_transaction_commit(transaction, NULL));
        STATUS(SHMIRROR_FORKED, shmirror_transaction_submit(transaction, &none));
        EXPECT(none == NULL);
        STATUS(SHMIRROR_FORKED, shmirror_transaction_size(transaction, &size));
        STATUS(SHMIRROR_FORKED, shmirror_transaction_size(busy, &size));
        STATUS(SHMIRROR_FORKED, shmirror_ticket_poll(ticket, NULL));
        STATUS(SHMIRROR_FORKED, shmirror_ticket_wait(ticket, SHMIRROR_FOREVER, NULL));
        STATUS(SHMIRROR_FORKED, shmirror_ticket_number(ticket, &number));
        OK(shmirror_ticket_close(ticket));
        OK(shmirror_transaction_close(busy));
        OK(shmirror_transaction_close(transaction));
        OK(shmirror_producer_close(producer));
        STATUS(SHMIRROR_STALE_HANDLE, shmirror_ticket_poll(ticket, NULL));
        thaw();
        OK(shmirror_producer_attach(NULL, &producer));
        value = shmirror_integer(3);
        OK(shmirror_insert(producer, "t", ID, &value, 1, NULL));
        OK(shmirror_producer_close(producer));
        _exit(0);
    }
    expect_child(child);
    EXPECT(pthread_join(waiting.thread, NULL) == 0);
    EXPECT(pthread_join(committing, NULL) == 0);
    OK(waiting.status);
    OK(shmirror_ticket_close(ticket));
    OK(shmirror_transaction_commit(transaction, NULL));
    OK(shmirror_transaction_close(transaction));
    OK(shmirror_transaction_close(busy));
    EXPECT(holds("SELECT group_concat(id, ' ') = '1 2 3 4' FROM t"));
    OK(shmirror_execute(producer, "DELETE FROM t", NULL));
}

/* ---- ends of the daemon ---- */

static void killed_under_a_waiting_ticket(void)
{
    shmirror_ticket *ticket, *unasked;
    struct waiting waiting;

    section("killed_under_a_waiting_ticket");
    freeze();
    ticket = submitted(1);
    unasked = submitted(2);
    begin_waiting(&waiting, ticket);
    ask("kill");
    /* Nobody there to ask: under way as before. */
    STATUS(SHMIRROR_PENDING, shmirror_ticket_poll(unasked, NULL));
    FAILS(SHMIRROR_DISCONNECTED, "away", shmirror_ticket_wait(unasked, 50 * MS, NULL));
    ask("start");
    EXPECT(pthread_join(waiting.thread, NULL) == 0);
    OK(waiting.status);
    EXPECT(waiting.commit.revision > 0);
    OK(shmirror_ticket_wait(unasked, LONG, NULL));
    OK(shmirror_ticket_close(ticket));
    OK(shmirror_ticket_close(unasked));
    EXPECT(holds("SELECT group_concat(id, ' ') = '1 2' FROM t"));
    OK(shmirror_execute(producer, "DELETE FROM t", NULL));
}

static void a_daemon_that_stopped(void)
{
    shmirror_transaction *transaction = fresh();
    shmirror_ticket *ticket = NULL;
    shmirror_value value = shmirror_integer(1);
    shmirror_commit commit = {7, 7};
    shmirror_status status;
    uint64_t timeout, deadline = soon();
    bool live = true;

    section("a_daemon_that_stopped");
    OK(shmirror_producer_timeout(producer, &timeout));
    OK(shmirror_producer_set_timeout(producer, 60 * MS));
    OK(shmirror_transaction_insert(transaction, "t", ID, &value, 1));
    ask("stop");
    while (live) {
        OK(shmirror_producer_is_live(producer, &live));
        EXPECT(shmirror_now() < deadline);
    }
    /* It retired its lane: nothing can be submitted, and everything is as it was. */
    status = shmirror_transaction_submit(transaction, &ticket);
    EXPECT(status == SHMIRROR_NO_DAEMON || status == SHMIRROR_DISCONNECTED);
    EXPECT(ticket == NULL && size_of(transaction) == 1);
    status = shmirror_transaction_try_submit(transaction, &ticket);
    EXPECT(status == SHMIRROR_NO_DAEMON || status == SHMIRROR_DISCONNECTED);
    EXPECT(ticket == NULL && size_of(transaction) == 1);
    status = shmirror_transaction_commit(transaction, &commit);
    EXPECT(status == SHMIRROR_NO_DAEMON || status == SHMIRROR_DISCONNECTED);
    EXPECT(size_of(transaction) == 1 && commit.revision == 7);
    ask("start");
    OK(shmirror_producer_set_timeout(producer, timeout));
    OK(shmirror_transaction_commit(transaction, &commit));
    EXPECT(size_of(transaction) == 0 && commit.changes == 1);
    EXPECT(number_of("SELECT count(*) FROM t") == 1);

    /* Killed, it retired nothing: what goes into its lane is known later. */
    OK(shmirror_producer_set_timeout(producer, 60 * MS));
    value = shmirror_integer(2);
    OK(shmirror_transaction_insert(transaction, "t", ID, &value, 1));
    ask("kill");
    STATUS(SHMIRROR_DISCONNECTED, shmirror_transaction_commit(transaction, &commit));
    EXPECT(size_of(transaction) == 0);
    ask("start");
    OK(shmirror_producer_set_timeout(producer, timeout));
    OK(shmirror_execute(producer, "SELECT 1", NULL));
    EXPECT(number_of("SELECT count(*) FROM t") == 2);
    OK(shmirror_transaction_close(transaction));
}

static void restarts_under_writers(void)
{
    static const char *const ends[] = {"stop", "kill", "stop", "kill"};
    pthread_t threads[THREADS];
    int64_t first[THREADS];
    size_t i;

    section("restarts_under_writers");
    for (i = 0; i < THREADS; i++) {
        first[i] = 10000 * ((int64_t)i + 1);
        EXPECT(pthread_create(&threads[i], NULL, inserts, &first[i]) == 0);
    }
    for (i = 0; i < COUNT(ends); i++) {
        ask(ends[i]);
        ask("start");
    }
    for (i = 0; i < THREADS; i++) {
        /* Each committed once: a second time it would be there already. */
        EXPECT(pthread_join(threads[i], NULL) == 0);
    }
    EXPECT(number_of("SELECT count(*) FROM t WHERE id >= 10000") == THREADS * EACH);
}

static void another_instance(void)
{
    shmirror_ticket *ticket;

    section("another_instance");
    freeze();
    ticket = submitted(7);
    ask("other");
    STATUS(SHMIRROR_OTHER_INSTANCE, shmirror_ticket_wait(ticket, LONG, NULL));
    STATUS(SHMIRROR_OTHER_INSTANCE, shmirror_ticket_poll(ticket, NULL));
    OK(shmirror_ticket_close(ticket));
}

int main(void)
{
    shmirror_options *options = NULL;
    shmirror_transaction *left;
    shmirror_value value = shmirror_integer(1);

    OK(shmirror_options_new(&options));
    stale = options;
    OK(shmirror_options_close(options));
    OK(shmirror_producer_attach(NULL, &producer));
    OK(shmirror_producer_set_timeout(producer, LONG));
    OK(shmirror_execute(producer, "CREATE TABLE warm (id INTEGER PRIMARY KEY)", NULL));

    producers_and_their_timeout();
    arguments_that_are_none();
    one_change_at_a_time();
    json_rows();
    every_rejection();
    sql_with_parameters_and_rows();
    transactions_of_many_changes();
    tickets();
    an_outcome_that_nobody_asked_for_in_time();
    a_full_lane();
    more_than_any_lane_takes();
    one_thread_at_a_time();
    OK(shmirror_execute(producer, "DELETE FROM t", NULL));
    any_thread_uses_a_producer();
    a_forked_child();
    killed_under_a_waiting_ticket();
    a_daemon_that_stopped();
    restarts_under_writers();

    /* Handles are closed in any order. */
    left = fresh();
    another_instance();
    OK(shmirror_producer_close(producer));
    OK(shmirror_transaction_insert(left, "nothing", ID, &value, 1));
    STATUS(SHMIRROR_UNKNOWN_TABLE, shmirror_transaction_commit(left, NULL));
    OK(shmirror_transaction_close(left));
    return 0;
}
