/* Producers, transactions and tickets. */

#ifndef WRITING_H
#define WRITING_H

#include "world.h"

/* Functions that take a table, columns and values: of a producer, and of a transaction. */
#define CHANGES(function, ...)                                                                     \
    do {                                                                                           \
        TEXT(table, function(w, text, &n, &key, 1 __VA_ARGS__));                                   \
        TEXTS(columns, function(w, "t", texts, &key, 1 __VA_ARGS__));                              \
        VALUES(values, function(w, "t", &n, given, 1 __VA_ARGS__));                                \
        COUNT(count, function(w, "t", &n, &key, many __VA_ARGS__));                                \
    } while (0)
#define UPDATES(function, ...)                                                                     \
    do {                                                                                           \
        TEXT(table, function(w, text, &key, 1, &n, &key, 1 __VA_ARGS__));                          \
        VALUES(key, function(w, "t", given, 1, &n, &key, 1 __VA_ARGS__));                          \
        TEXTS(columns, function(w, "t", &key, 1, texts, &key, 1 __VA_ARGS__));                     \
        VALUES(values, function(w, "t", &key, 1, &n, given, 1 __VA_ARGS__));                       \
        COUNT(count, function(w, "t", &key, 1, &n, &key, many __VA_ARGS__));                       \
        COUNT(key_size, function(w, "t", &key, many, &n, &key, 1 __VA_ARGS__));                    \
        IS(SHMIRROR_BAD_ARGUMENT, function(w, "t", seventeen, 17, &n, &key, 1 __VA_ARGS__));       \
    } while (0)
#define DELETES(function, ...)                                                                     \
    do {                                                                                           \
        TEXT(table, function(w, text, &key, 1 __VA_ARGS__));                                       \
        VALUES(key, function(w, "t", given, 1 __VA_ARGS__));                                       \
        COUNT(key_size, function(w, "t", &key, many __VA_ARGS__));                                 \
        IS(SHMIRROR_BAD_ARGUMENT, function(w, "t", seventeen, 17 __VA_ARGS__));                    \
    } while (0)
#define OF_JSON(function, ...)                                                                     \
    do {                                                                                           \
        TEXT(table, function(w, text, "{}" __VA_ARGS__));                                          \
        TEXT(json, function(w, "t", text __VA_ARGS__));                                            \
        IS(SHMIRROR_ENCODE, function(w, "t", "" __VA_ARGS__));                                     \
        IS(SHMIRROR_ENCODE, function(w, "t", "{" __VA_ARGS__));                                    \
        IS(SHMIRROR_ENCODE, function(w, "t", "[]" __VA_ARGS__));                                   \
        IS(SHMIRROR_ENCODE, function(w, "t", "{\"id\": {}}" __VA_ARGS__));                         \
        IS(SHMIRROR_ENCODE, function(w, "t", "{\"r\": 1e999}" __VA_ARGS__));                       \
    } while (0)
#define UPDATES_BY_JSON(function, ...)                                                             \
    do {                                                                                           \
        TEXT(table, function(w, text, &key, 1, "{}" __VA_ARGS__));                                 \
        VALUES(key, function(w, "t", given, 1, "{}" __VA_ARGS__));                                 \
        COUNT(key_size, function(w, "t", &key, many, "{}" __VA_ARGS__));                           \
        IS(SHMIRROR_BAD_ARGUMENT, function(w, "t", seventeen, 17, "{}" __VA_ARGS__));              \
        TEXT(json, function(w, "t", &key, 1, text __VA_ARGS__));                                   \
        IS(SHMIRROR_ENCODE, function(w, "t", &key, 1, "7" __VA_ARGS__));                           \
    } while (0)
#define AND_NO_COMMIT , NULL

static shmirror_value seventeen[17];

static uint64_t revision_now(void)
{
    uint64_t revision = 0;
    OK(shmirror_mirror_revision(LIVE(shmirror_mirror), &revision));
    return revision;
}

static void misuse_of_a_producer(void)
{
    shmirror_producer *w = LIVE(shmirror_producer);
    shmirror_producer *made;
    shmirror_result *result = (shmirror_result *)&w;
    shmirror_commit commit = {77, 77};
    shmirror_value key = one();
    shmirror_value nan_value = shmirror_real(0);
    const char *n = "n";
    const char *r = "r";
    uint64_t before = revision_now();
    uint64_t timeout = 77;
    bool is_live;
    char *large;

    CLOSES(shmirror_producer, producer);
    MAKES(shmirror_producer, shmirror_producer_attach(LIVE(shmirror_options), out));
    MAY_BE_NULL(options, shmirror_producer_attach(NULL, &made));
    OK(shmirror_producer_close(made));
    STALE(shmirror_options, options, shmirror_producer_attach(it, &made));
    THAT(made == NULL);
    HANDLE(shmirror_producer, producer, shmirror_producer_is_live(it, &is_live));
    HANDLE(shmirror_producer, producer, shmirror_producer_set_timeout(it, 0));
    HANDLE(shmirror_producer, producer, shmirror_producer_timeout(it, &timeout));
    HANDLE(shmirror_producer, producer, shmirror_execute(it, "SELECT 1", &commit));
    HANDLE(shmirror_producer, producer, shmirror_sql(it, "SELECT 1", NULL, 0, &commit, &result));
    HANDLE(shmirror_producer, producer, shmirror_insert(it, "t", &n, &key, 1, &commit));
    HANDLE(shmirror_producer, producer, shmirror_upsert(it, "t", &n, &key, 1, &commit));
    HANDLE(shmirror_producer, producer, shmirror_update(it, "t", &key, 1, &n, &key, 1, &commit));
    HANDLE(shmirror_producer, producer, shmirror_delete(it, "t", &key, 1, &commit));
    HANDLE(shmirror_producer, producer, shmirror_insert_json(it, "t", "{}", &commit));
    HANDLE(shmirror_producer, producer, shmirror_upsert_json(it, "t", "{}", &commit));
    HANDLE(shmirror_producer, producer, shmirror_update_json(it, "t", &key, 1, "{}", &commit));
    THAT(commit.revision == 77 && commit.changes == 77 && timeout == 77 && result == NULL);
    IS_NULL(live, shmirror_producer_is_live(w, NULL));
    IS_NULL(timeout_ns, shmirror_producer_timeout(w, NULL));

    TEXT(sql, shmirror_execute(w, text, NULL));
    TEXT(sql, shmirror_sql(w, text, NULL, 0, NULL, NULL));
    VALUES(params, shmirror_sql(w, "SELECT ?1", given, 1, NULL, NULL));
    COUNT(count, shmirror_sql(w, "SELECT ?1", &key, many, NULL, NULL));
    CHANGES(shmirror_insert, AND_NO_COMMIT);
    CHANGES(shmirror_upsert, AND_NO_COMMIT);
    UPDATES(shmirror_update, AND_NO_COMMIT);
    DELETES(shmirror_delete, AND_NO_COMMIT);
    OF_JSON(shmirror_insert_json, AND_NO_COMMIT);
    OF_JSON(shmirror_upsert_json, AND_NO_COMMIT);
    UPDATES_BY_JSON(shmirror_update_json, AND_NO_COMMIT);
    memset(&nan_value.as.integer, 0xff, sizeof nan_value.as.integer);
    IS(SHMIRROR_ENCODE, shmirror_update(w, "t", &key, 1, &r, &nan_value, 1, &commit));
    IS(SHMIRROR_NO_SUCH_ROW, shmirror_delete(w, "t", seventeen, 1, &commit));
    IS(SHMIRROR_BAD_KEY, shmirror_delete(w, "t", NULL, 0, &commit));
    IS(SHMIRROR_UNKNOWN_TABLE, shmirror_insert(w, "", NULL, NULL, 0, &commit));
    IS(SHMIRROR_MALFORMED, shmirror_update(w, "t", &key, 1, NULL, NULL, 0, &commit));
    large = (char *)malloc((2 << 20) + 1);
    memset(large, ' ', 2 << 20);
    large[2 << 20] = '\0';
    IS(SHMIRROR_TOO_LARGE, shmirror_execute(w, large, &commit));
    IS(SHMIRROR_TOO_LARGE, shmirror_sql(w, large, NULL, 0, &commit, &result));
    IS(SHMIRROR_TOO_LARGE,
       shmirror_mirror_query(LIVE(shmirror_mirror), large, NULL, 0, &result));
    free(large);
    THAT(commit.revision == 77 && commit.changes == 77);
    THAT(revision_now() == before);

    /* Where the commit or the rows are not wanted. */
    MAY_BE_NULL(commit, shmirror_execute(w, "UPDATE t SET r = 2 WHERE id = 1", NULL));
    MAY_BE_NULL(commit, shmirror_sql(w, "SELECT 1", NULL, 0, NULL, &result));
    OK(shmirror_result_close(result));
    MAY_BE_NULL(out, shmirror_sql(w, "SELECT 1", NULL, 0, &commit, NULL));
    key = shmirror_integer(50);
    n = "id";
    MAY_BE_NULL(commit, shmirror_insert(w, "t", &n, &key, 1, NULL));
    MAY_BE_NULL(commit, shmirror_upsert(w, "t", &n, &key, 1, NULL));
    n = "n";
    MAY_BE_NULL(commit, shmirror_update(w, "t", &key, 1, &n, &key, 1, NULL));
    MAY_BE_NULL(commit, shmirror_delete(w, "t", &key, 1, NULL));
    MAY_BE_NULL(commit, shmirror_insert_json(w, "t", "{\"id\": 50}", NULL));
    MAY_BE_NULL(commit, shmirror_upsert_json(w, "t", "{\"id\": 50}", NULL));
    MAY_BE_NULL(commit, shmirror_update_json(w, "t", &key, 1, "{\"n\": 1}", NULL));
    OK(shmirror_delete(w, "t", &key, 1, &commit));
    OK(shmirror_execute(w, "UPDATE t SET r = 1.5 WHERE id = 1", NULL));
    OK(shmirror_producer_set_timeout(w, SHMIRROR_FOREVER));
    OK(shmirror_producer_timeout(w, &timeout));
    THAT(timeout == SHMIRROR_FOREVER);
    OK(shmirror_producer_set_timeout(w, PATIENCE));
}

static void misuse_of_a_transaction(void)
{
    shmirror_transaction *w;
    shmirror_producer *own;
    shmirror_commit commit = {77, 77};
    shmirror_value key = one();
    shmirror_value pair[2];
    shmirror_ticket *ticket = (shmirror_ticket *)&w;
    const char *n = "n";
    size_t size = 77;
    size_t i;

    CLOSES(shmirror_transaction, transaction);
    MAKES(shmirror_transaction, shmirror_transaction_new(LIVE(shmirror_producer), out));
    HANDLE(shmirror_producer, producer, shmirror_transaction_new(it, &w));
    THAT(w == NULL);
    OK(shmirror_transaction_new(LIVE(shmirror_producer), &w));
#define HELD(call) HANDLE(shmirror_transaction, transaction, call)
    HELD(shmirror_transaction_clear(it));
    HELD(shmirror_transaction_size(it, &size));
    HELD(shmirror_transaction_insert(it, "t", &n, &key, 1));
    HELD(shmirror_transaction_upsert(it, "t", &n, &key, 1));
    HELD(shmirror_transaction_update(it, "t", &key, 1, &n, &key, 1));
    HELD(shmirror_transaction_delete(it, "t", &key, 1));
    HELD(shmirror_transaction_insert_json(it, "t", "{}"));
    HELD(shmirror_transaction_upsert_json(it, "t", "{}"));
    HELD(shmirror_transaction_update_json(it, "t", &key, 1, "{}"));
    HELD(shmirror_transaction_insert_rows(it, "t", &n, 1, &key, 1, 0));
    HELD(shmirror_transaction_if_revision(it, 0));
    HELD(shmirror_transaction_commit(it, &commit));
    HELD(shmirror_transaction_submit(it, &ticket));
    HELD(shmirror_transaction_try_submit(it, &ticket));
    THAT(size == 77 && ticket == NULL && commit.revision == 77);
    IS_NULL(changes, shmirror_transaction_size(w, NULL));
    IS_NULL(out, shmirror_transaction_submit(w, NULL));
    IS_NULL(out, shmirror_transaction_try_submit(w, NULL));
    IS(SHMIRROR_USAGE, shmirror_transaction_if_revision(w, 0));

    CHANGES(shmirror_transaction_insert, );
    CHANGES(shmirror_transaction_upsert, );
    UPDATES(shmirror_transaction_update, );
    DELETES(shmirror_transaction_delete, );
    OF_JSON(shmirror_transaction_insert_json, );
    OF_JSON(shmirror_transaction_upsert_json, );
    UPDATES_BY_JSON(shmirror_transaction_update_json, );

    TEXT(table, shmirror_transaction_insert_rows(w, text, &n, 1, &key, 1, 0));
    TEXTS(columns, shmirror_transaction_insert_rows(w, "t", texts, 1, &key, 1, 0));
    VALUES(values, shmirror_transaction_insert_rows(w, "t", &n, 1, given, 1, 0));
    COUNT(column_count, shmirror_transaction_insert_rows(w, "t", &n, many, &key, 1, 0));
    COUNT(column_count, shmirror_transaction_insert_rows(w, "t", &n, many, &key, 4, 0));
    COUNT(row_count, shmirror_transaction_insert_rows(w, "t", &n, 1, &key, many, 0));
    RANGE(on_conflict, shmirror_transaction_insert_rows(w, "t", &n, 1, &key, 1, 4));
    RANGE(on_conflict, shmirror_transaction_insert_rows(w, "t", &n, 1, &key, 1, -1));
    RANGE(row_count, shmirror_transaction_insert_rows(w, "t", NULL, 0, NULL, 3, 0));

    /* What failed added nothing, and the transaction serves as before. */
    OK(shmirror_transaction_size(w, &size));
    THAT(size == 0);
    pair[0] = shmirror_integer(60);
    pair[1] = shmirror_integer(61);
    n = "id";
    OK(shmirror_transaction_insert_rows(w, "t", &n, 1, pair, 2, SHMIRROR_ON_CONFLICT_SKIP));
    IS(SHMIRROR_USAGE, shmirror_transaction_if_revision(w, 0));
    OK(shmirror_transaction_size(w, &size));
    THAT(size == 1);
    MAY_BE_NULL(commit, shmirror_transaction_commit(w, NULL));
    OK(shmirror_transaction_delete(w, "t", &pair[0], 1));
    OK(shmirror_transaction_delete(w, "t", &pair[1], 1));
    OK(shmirror_transaction_commit(w, &commit));
    THAT(commit.changes == 2);

    /* What is too large was not submitted, and is still there. */
    OK(shmirror_transaction_clear(w));
    n = "b";
    pair[0] = shmirror_bytes(malloc(8 << 20), 8 << 20);
    memset((void *)(uintptr_t)pair[0].as.blob.data, 0, 8 << 20);
    for (i = 0; i < 3; i++) {
        OK(shmirror_transaction_update(w, "t", &key, 1, &n, pair, 1));
    }
    free((void *)(uintptr_t)pair[0].as.blob.data);
    IS(SHMIRROR_TOO_LARGE, shmirror_transaction_submit(w, &ticket));
    THAT(ticket == NULL);
    IS(SHMIRROR_TOO_LARGE, shmirror_transaction_commit(w, &commit));
    OK(shmirror_transaction_size(w, &size));
    THAT(size == 3);
    OK(shmirror_transaction_clear(w));
    OK(shmirror_transaction_size(w, &size));
    THAT(size == 0);

    /* A rejection empties it; its producer may be closed before it. */
    OK(shmirror_transaction_delete(w, "t", seventeen, 1));
    IS(SHMIRROR_NO_SUCH_ROW, shmirror_transaction_commit(w, &commit));
    OK(shmirror_transaction_size(w, &size));
    THAT(size == 0);
    OK(shmirror_transaction_close(w));
    OK(shmirror_producer_attach(LIVE(shmirror_options), &own));
    OK(shmirror_transaction_new(own, &w));
    OK(shmirror_producer_close(own));
    OK(shmirror_transaction_commit(w, &commit));
    OK(shmirror_transaction_close(w));
}

static void misuse_of_a_ticket(void)
{
    shmirror_ticket *t = LIVE(shmirror_ticket);
    shmirror_commit commit = {77, 77};
    uint64_t number = 77;

    CLOSES(shmirror_ticket, ticket);
    MAKES(shmirror_ticket, shmirror_transaction_submit(LIVE(shmirror_transaction), out));
    MAKES(shmirror_ticket, shmirror_transaction_try_submit(LIVE(shmirror_transaction), out));
    HANDLE(shmirror_ticket, ticket, shmirror_ticket_number(it, &number));
    HANDLE(shmirror_ticket, ticket, shmirror_ticket_poll(it, &commit));
    HANDLE(shmirror_ticket, ticket, shmirror_ticket_wait(it, 0, &commit));
    HANDLE(shmirror_ticket, ticket, shmirror_ticket_wait_until(it, 0, &commit));
    THAT(number == 77 && commit.revision == 77 && commit.changes == 77);
    IS_NULL(number, shmirror_ticket_number(t, NULL));
    MAY_BE_NULL(commit, shmirror_ticket_poll(t, NULL));
    MAY_BE_NULL(commit, shmirror_ticket_wait(t, PATIENCE, NULL));
    MAY_BE_NULL(commit, shmirror_ticket_wait_until(t, SHMIRROR_FOREVER, NULL));
    /* What is known is told at any time. */
    OK(shmirror_ticket_wait(t, 0, &commit));
    OK(shmirror_ticket_wait_until(t, 0, &commit));
    THAT(commit.revision != 77 && commit.changes == 1);
}

#endif /* WRITING_H */
