/* Handles in several threads: those that serve any number, and those that serve one at a time. */

#ifndef THREADS_H
#define THREADS_H

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "world.h"

enum { THREADS = 4, TURNS = 300 };

/* What several threads look at. */
static int shared_stop;

static void start(pthread_t *thread, void *(*run)(void *), void *context)
{
    if (pthread_create(thread, NULL, run, context) != 0) {
        fprintf(stderr, "pthread_create: %s\n", strerror(errno));
        exit(3);
    }
}

/* Each thread has a last message of its own. */
static void *fails_in_its_own_way(void *number)
{
    int mine = *(int *)number;
    char name[32];
    shmirror_table *table;
    int i;
    if (shmirror_last_status() != 0 || shmirror_last_message()[0] != '\0') {
        return "a fresh thread has a last failure";
    }
    snprintf(name, sizeof name, "missing_%d", mine);
    for (i = 0; i < TURNS; i++) {
        if (shmirror_mirror_table(LIVE(shmirror_mirror), name, &table) !=
            SHMIRROR_UNKNOWN_TABLE) {
            return "another status";
        }
        sched_yield();
        if (strstr(shmirror_last_message(), name) == NULL) {
            return "the message is another thread's";
        }
    }
    return NULL;
}

/* Everything that may be used from any thread, at the same time. */
static void *uses_everything(void *number)
{
    int64_t mine = *(int *)number + 1000;
    shmirror_value key = shmirror_integer(mine);
    const char *columns[2] = {"id", "n"};
    shmirror_value values[2];
    shmirror_row *row;
    shmirror_rows *rows;
    int i;
#define HERE(expected, call)                                                                       \
    do {                                                                                           \
        if ((int32_t)(call) != (expected)) {                                                       \
            fprintf(stderr, "%s: %s\n", #call, shmirror_last_message());                           \
            return #call;                                                                          \
        }                                                                                          \
    } while (0)
    HERE(SHMIRROR_OK, shmirror_row_new(&row));
    HERE(SHMIRROR_OK, shmirror_rows_new(&rows));
    for (i = 0; i < TURNS; i++) {
        shmirror_table *table;
        shmirror_schema *schema;
        shmirror_result *result;
        shmirror_cell *cell;
        shmirror_commit commit;
        uint64_t revision;
        int64_t n;
        bool truth;
        values[0] = key;
        values[1] = shmirror_integer(i);
        HERE(SHMIRROR_OK,
             shmirror_upsert(LIVE(shmirror_producer), "t", columns, values, 2, &commit));
        HERE(SHMIRROR_OK, shmirror_mirror_revision(LIVE(shmirror_mirror), &revision));
        HERE(SHMIRROR_OK, shmirror_table_read_i64(LIVE(shmirror_table), mine, row));
        HERE(SHMIRROR_OK, shmirror_row_i64(row, 1, &n));
        if (n != i || revision < commit.revision) {
            return "what was committed is not read";
        }
        HERE(SHMIRROR_OK, shmirror_table_scan(LIVE(shmirror_table), i & 1, rows));
        HERE(SHMIRROR_OK, shmirror_table_cell(LIVE(shmirror_table), &key, 1, "n", &cell));
        HERE(SHMIRROR_OK, shmirror_cell_i64(cell, &n));
        HERE(SHMIRROR_OK, shmirror_cell_close(cell));
        HERE(SHMIRROR_OK, shmirror_cell_i64(LIVE(shmirror_cell), &n));
        HERE(SHMIRROR_OK, shmirror_cell_refresh(LIVE(shmirror_cell)));
        HERE(SHMIRROR_OK, shmirror_mirror_table(LIVE(shmirror_mirror), "t", &table));
        HERE(SHMIRROR_OK, shmirror_table_schema(table, &schema));
        HERE(SHMIRROR_OK, shmirror_schema_close(schema));
        HERE(SHMIRROR_OK, shmirror_table_close(table));
        HERE(SHMIRROR_OK, shmirror_ticket_poll(LIVE(shmirror_ticket), NULL));
        HERE(SHMIRROR_OK, shmirror_producer_is_live(LIVE(shmirror_producer), &truth));
        if (i % 50 == 0) {
            HERE(SHMIRROR_OK, shmirror_mirror_query(LIVE(shmirror_mirror), "SELECT 1", NULL, 0,
                                                    &result));
            HERE(SHMIRROR_OK, shmirror_result_close(result));
        }
    }
    HERE(SHMIRROR_OK, shmirror_delete(LIVE(shmirror_producer), "t", &key, 1, NULL));
    HERE(SHMIRROR_OK, shmirror_row_close(row));
    HERE(SHMIRROR_OK, shmirror_rows_close(rows));
    return NULL;
}

static void several(void *(*run)(void *))
{
    pthread_t threads[THREADS];
    int numbers[THREADS];
    int i;
    for (i = 0; i < THREADS; i++) {
        numbers[i] = i;
        start(&threads[i], run, &numbers[i]);
    }
    for (i = 0; i < THREADS; i++) {
        void *fault;
        pthread_join(threads[i], &fault);
        if (fault != NULL) {
            complain("a thread", __FILE__, __LINE__, (const char *)fault);
        }
    }
}

/* ---- one at a time ---- */

static shmirror_event *others_event;

static void *waits_for_an_event(void *subscriber)
{
    int32_t status;
    do {
        /* The other thread may be in one of its own calls just now. */
        status =
            shmirror_subscriber_next((shmirror_subscriber *)subscriber, PATIENCE, others_event);
    } while (status == SHMIRROR_BUSY);
    return status == SHMIRROR_OK ? NULL : (void *)"the waiting thread got no event";
}

/* Waits until a call says SHMIRROR_BUSY, which another thread is about to bring about. */
#define UNTIL_BUSY(call)                                                                           \
    do {                                                                                           \
        uint64_t deadline_ = shmirror_now() + PATIENCE;                                            \
        int32_t status_;                                                                           \
        do {                                                                                       \
            nanosleep(&(struct timespec){0, 20000}, NULL);                                         \
            status_ = (int32_t)(call);                                                             \
        } while (status_ != SHMIRROR_BUSY && shmirror_now() < deadline_);                          \
        see(#call, __FILE__, __LINE__, status_, SHMIRROR_BUSY);                                    \
    } while (0)

static void a_subscriber_in_two_threads(void)
{
    shmirror_subscriber *s;
    shmirror_event *mine;
    pthread_t other;
    void *fault;
    int32_t kind;
    uint64_t revision;
    int fd;

    OK(shmirror_subscribe(LIVE(shmirror_options), NULL, 0, SHMIRROR_FROM_NOW, &s));
    OK(shmirror_event_new(&mine));
    OK(shmirror_event_new(&others_event));
    start(&other, waits_for_an_event, s);
    UNTIL_BUSY(shmirror_subscriber_try_next(s, mine));
    UNTIL_BUSY(shmirror_subscriber_next(s, 0, mine));
    UNTIL_BUSY(shmirror_subscriber_next_until(s, 0, mine));
    UNTIL_BUSY(shmirror_subscriber_fd(s, &fd));
    UNTIL_BUSY(shmirror_subscriber_resume_from(s, 0));
    UNTIL_BUSY(shmirror_subscriber_close(s));
    /* The event is waited with, so it is in use as well. */
    UNTIL_BUSY(shmirror_event_kind(others_event, &kind));
    UNTIL_BUSY(shmirror_event_revision(others_event, &revision));
    UNTIL_BUSY(shmirror_event_json(others_event, NULL, 0, NULL));
    OK(shmirror_execute(LIVE(shmirror_producer), "UPDATE t SET n = 12 WHERE id = 1", NULL));
    pthread_join(other, &fault);
    THAT(fault == NULL);
    OK(shmirror_event_kind(others_event, &kind));
    THAT(kind == SHMIRROR_EVENT_CHANGE);
    IS(SHMIRROR_PENDING, shmirror_subscriber_try_next(s, mine));
    OK(shmirror_event_close(mine));
    OK(shmirror_event_close(others_event));
    OK(shmirror_subscriber_close(s));
}

/* A transaction that is in commit nearly all the time. */
static void *commits(void *transaction)
{
    shmirror_value key = one();
    const char *n = "n";
    int64_t i;
    for (i = 0; __atomic_load_n(&shared_stop, __ATOMIC_ACQUIRE) == 0; i++) {
        shmirror_value value = shmirror_integer(i);
        /* What the other thread put into it may be rejected. */
        shmirror_transaction_update((shmirror_transaction *)transaction, "t", &key, 1, &n, &value,
                                    1);
        shmirror_transaction_commit((shmirror_transaction *)transaction, NULL);
    }
    return NULL;
}

static void a_transaction_in_two_threads(void)
{
    shmirror_transaction *w;
    shmirror_ticket *ticket = NULL;
    shmirror_value key = one();
    const char *n = "n";
    pthread_t other;
    size_t size;

    OK(shmirror_transaction_new(LIVE(shmirror_producer), &w));
    shared_stop = 0;
    start(&other, commits, w);
    UNTIL_BUSY(shmirror_transaction_size(w, &size));
    UNTIL_BUSY(shmirror_transaction_clear(w));
    UNTIL_BUSY(shmirror_transaction_insert(w, "t", &n, &key, 1));
    UNTIL_BUSY(shmirror_transaction_upsert(w, "t", &n, &key, 1));
    UNTIL_BUSY(shmirror_transaction_update(w, "t", &key, 1, &n, &key, 1));
    UNTIL_BUSY(shmirror_transaction_delete(w, "words", &key, 1));
    UNTIL_BUSY(shmirror_transaction_insert_json(w, "t", "{\"n\": 1}"));
    UNTIL_BUSY(shmirror_transaction_upsert_json(w, "t", "{\"n\": 1}"));
    UNTIL_BUSY(shmirror_transaction_update_json(w, "t", &key, 1, "{\"n\": 1}"));
    UNTIL_BUSY(shmirror_transaction_insert_rows(w, "t", &n, 1, &key, 1, 0));
    UNTIL_BUSY(shmirror_transaction_if_revision(w, 0));
    UNTIL_BUSY(shmirror_transaction_commit(w, NULL));
    UNTIL_BUSY((shmirror_ticket_close(ticket), shmirror_transaction_submit(w, &ticket)));
    UNTIL_BUSY((shmirror_ticket_close(ticket), shmirror_transaction_try_submit(w, &ticket)));
    THAT(ticket == NULL);
    __atomic_store_n(&shared_stop, 1, __ATOMIC_RELEASE);
    pthread_join(other, NULL);
    OK(shmirror_transaction_close(w));
    OK(shmirror_execute(LIVE(shmirror_producer), "DELETE FROM t WHERE id > 2", NULL));
}

/* Reads a history to its end; how often it was another thread's turn. */
static void *reads_history(void *history)
{
    static const char busy[] = "busy";
    const char *seen = NULL;
    shmirror_event *event;
    int32_t status;
    shmirror_event_new(&event);
    do {
        status = shmirror_history_next((shmirror_history *)history, event);
        seen = status == SHMIRROR_BUSY ? busy : seen;
    } while (status == SHMIRROR_OK || status == SHMIRROR_BUSY);
    shmirror_event_close(event);
    return (void *)(uintptr_t)seen;
}

static void a_history_in_two_threads(void)
{
    uint64_t deadline = shmirror_now() + PATIENCE;
    bool busy = false;
    while (!busy && shmirror_now() < deadline) {
        shmirror_history *history;
        pthread_t other;
        void *theirs;
        OK(shmirror_mirror_history(LIVE(shmirror_mirror), 0, NULL, 0, &history));
        start(&other, reads_history, history);
        busy = reads_history(history) != NULL;
        pthread_join(other, &theirs);
        busy = busy || theirs != NULL;
        OK(shmirror_history_close(history));
    }
    THAT(busy);
}

static void misuse_of_threads(void)
{
    several(fails_in_its_own_way);
    several(uses_everything);
    a_subscriber_in_two_threads();
    a_transaction_in_two_threads();
    a_history_in_two_threads();
}

#endif /* THREADS_H */
