/* Tickets, full lanes, threads and fork, and the ends of a daemon.
 *
 * In: the daemon's socket, in SHMIRROR_SOCKET; its requests lane has 1 MiB. Out: what it asks of
 * the test (expect.h), and the status that it ends with.
 */
#define _GNU_SOURCE

#include <pthread.h>

#include "writing.h"

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
    begin();
    OK(shmirror_execute(producer, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", NULL));
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
    another_instance();
    OK(shmirror_producer_close(producer));
    return 0;
}
