/* Every function that writes, with right and wrong arguments, and every rejection.
 *
 * In: the daemon's socket, in SHMIRROR_SOCKET; its transactions may take 2 s. Out: the status
 * that it ends with.
 */
#define _GNU_SOURCE

#include <math.h>

#include "writing.h"

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

int main(void)
{
    shmirror_transaction *left;
    shmirror_value value = shmirror_integer(1);

    begin();
    producers_and_their_timeout();
    arguments_that_are_none();
    one_change_at_a_time();
    json_rows();
    every_rejection();
    sql_with_parameters_and_rows();
    transactions_of_many_changes();

    /* Handles are closed in any order. */
    left = fresh();
    OK(shmirror_producer_close(producer));
    OK(shmirror_transaction_insert(left, "nothing", ID, &value, 1));
    STATUS(SHMIRROR_UNKNOWN_TABLE, shmirror_transaction_commit(left, NULL));
    OK(shmirror_transaction_close(left));
    return 0;
}
