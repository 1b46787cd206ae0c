/* Writes live values without pause: producer [SECONDS [ROWS]].
 *
 * Shows a number that is claimed by compare and set, transactions of many rows, synchronous updates,
 * and many transactions in flight at once. Each change sets both columns of a row to the same number,
 * so that `hot_reader` can tell a torn row; the numbers only ever grow. A restart of the daemon is only
 * a pause: the library finds out what became of what was under way, and submits the rest again. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <shmirror.h>

#define SECOND UINT64_C(1000000000)
/* How long to wait for room and for outcomes, and so how long the daemon may be away. */
#define PATIENCE (30 * SECOND)
#define IN_FLIGHT 256
#define BATCH 1000

static const char *const LIVE[] = {"id", "a", "b"};

struct producer {
    shmirror_producer *producer;
    shmirror_mirror *mirror;
    shmirror_transaction *transaction;
    int64_t rows;
    int64_t number; /* the newest that was written */
    /* Tickets whose outcome was not asked for yet: a ring, the oldest at `first`. */
    shmirror_ticket *in_flight[IN_FLIGHT];
    size_t first;
    size_t count;
    uint64_t committed;
    uint64_t rejected;
    uint64_t revision; /* newest that a transaction of ours has */
};

/* Says why a call failed. */
static int failed(shmirror_status status)
{
    /* Statuses below 16 are outcomes, not failures, and set no message. */
    const char *why = status < 16 ? shmirror_strerror(status) : shmirror_last_message();
    fprintf(stderr, "producer: %s: %s\n", shmirror_status_name(status), why);
    return 1;
}

static int attach(struct producer *p)
{
    shmirror_options *options;
    shmirror_status status = shmirror_options_new(&options);
    if (status == SHMIRROR_OK) {
        status = shmirror_options_program(options, "producer");
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_options_attach_timeout(options, 10 * SECOND);
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_producer_attach(options, &p->producer);
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_attach(options, &p->mirror);
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_producer_set_timeout(p->producer, PATIENCE);
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_transaction_new(p->producer, &p->transaction);
    }
    shmirror_options_close(options);
    return status == SHMIRROR_OK ? 0 : failed(status);
}

/* Makes the tables, and goes on where earlier runs ended. */
static int prepare(struct producer *p)
{
    shmirror_result *result = NULL;
    shmirror_value newest = shmirror_null();
    shmirror_status status = shmirror_execute(
        p->producer,
        "CREATE TABLE IF NOT EXISTS live"
        " (id INTEGER PRIMARY KEY, a INTEGER NOT NULL, b INTEGER NOT NULL);"
        "CREATE TABLE IF NOT EXISTS run (program TEXT PRIMARY KEY, number INTEGER NOT NULL)",
        NULL);
    if (status == SHMIRROR_OK) {
        status = shmirror_mirror_query(p->mirror, "SELECT coalesce(max(a), 0) FROM live", NULL, 0,
                                       &result);
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_result_value(result, 0, 0, 0, &newest);
    }
    if (status == SHMIRROR_OK) {
        p->number = newest.as.integer;
    }
    shmirror_result_close(result);
    return status == SHMIRROR_OK ? 0 : failed(status);
}

/* One attempt to take the next number: it is ours if nobody changed the row since we read it. */
static shmirror_status try_claim(struct producer *p, shmirror_table *runs, shmirror_row *row,
                                 int64_t *number)
{
    static const char *const COLUMNS[] = {"program", "number"};
    shmirror_value values[2];
    uint64_t revision = 0; /* stands for: there must be no such row */
    size_t column = 0;
    shmirror_status status = shmirror_table_read_text(runs, "producer", strlen("producer"), row);
    *number = 0;
    if (status == SHMIRROR_OK) {
        status = shmirror_row_revision(row, &revision);
        if (status == SHMIRROR_OK) {
            status = shmirror_row_find(row, "number", &column);
        }
        if (status == SHMIRROR_OK) {
            status = shmirror_row_i64(row, column, number);
        }
    } else if (status == SHMIRROR_NOT_FOUND) {
        status = SHMIRROR_OK;
    }
    *number += 1;
    values[0] = shmirror_string("producer");
    values[1] = shmirror_integer(*number);
    if (status == SHMIRROR_OK) {
        status = shmirror_transaction_upsert(p->transaction, "run", COLUMNS, values, 2);
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_transaction_if_revision(p->transaction, revision);
    }
    return status == SHMIRROR_OK ? shmirror_transaction_commit(p->transaction, NULL) : status;
}

/* Takes the next number of table `run`. Of several producers at a time each gets another one. */
static int claim(struct producer *p)
{
    shmirror_table *runs = NULL;
    shmirror_row *row = NULL;
    int64_t number = 0;
    shmirror_status status = shmirror_mirror_table(p->mirror, "run", &runs);
    if (status == SHMIRROR_OK) {
        status = shmirror_row_new(&row);
    }
    if (status == SHMIRROR_OK) {
        do {
            status = try_claim(p, runs, row, &number);
        } while (status == SHMIRROR_REVISION_MISMATCH); /* somebody was faster: read again */
    }
    shmirror_row_close(row);
    shmirror_table_close(runs);
    if (status != SHMIRROR_OK) {
        return failed(status);
    }
    printf("run %" PRId64 ", numbers from %" PRId64 "\n", number, p->number + 1);
    return 0;
}

/* Sees to it that all rows are there: transactions of many rows, each of which commits as a whole. */
static int make_rows(struct producer *p)
{
    static shmirror_value values[BATCH * 3];
    int64_t id = 0;
    p->number++;
    while (id < p->rows) {
        shmirror_commit commit;
        shmirror_status status;
        size_t count = 0;
        for (; count < BATCH && id < p->rows; count++, id++) {
            values[3 * count] = shmirror_integer(id);
            values[3 * count + 1] = values[3 * count + 2] = shmirror_integer(p->number);
        }
        status = shmirror_transaction_insert_rows(p->transaction, "live", LIVE, 3, values, count,
                                                  SHMIRROR_ON_CONFLICT_UPDATE);
        if (status == SHMIRROR_OK) {
            status = shmirror_transaction_commit(p->transaction, &commit);
        }
        if (status != SHMIRROR_OK) {
            return failed(status);
        }
        p->revision = commit.revision;
    }
    return 0;
}

static void print_rate(const char *what, uint64_t transactions, uint64_t ns)
{
    printf("%" PRIu64 " transactions %s, %.0f a second\n", transactions, what,
           (double)transactions * 1e9 / (double)(ns + 1));
}

/* One change at a time: when a call returns, it is durable and visible to every reader. */
static int write_synchronously(struct producer *p, uint64_t ns)
{
    const uint64_t start = shmirror_now();
    uint64_t now = start, written = 0;
    for (; now - start < ns; written++, now = shmirror_now()) {
        shmirror_value key, values[2];
        shmirror_commit commit;
        shmirror_status status;
        p->number++;
        key = shmirror_integer(p->number % p->rows);
        values[0] = values[1] = shmirror_integer(p->number);
        status = shmirror_update(p->producer, "live", &key, 1, LIVE + 1, values, 2, &commit);
        if (status != SHMIRROR_OK) {
            return failed(status);
        }
        p->revision = commit.revision;
    }
    print_rate("one by one", written, now - start);
    return 0;
}

/* Waits for the outcome of the oldest ticket. */
static int settle(struct producer *p)
{
    shmirror_ticket *ticket = p->in_flight[p->first];
    shmirror_commit commit;
    const shmirror_status status = shmirror_ticket_wait(ticket, PATIENCE, &commit);
    p->first = (p->first + 1) % IN_FLIGHT;
    p->count--;
    shmirror_ticket_close(ticket);
    switch (status) {
    case SHMIRROR_OK:
        p->committed++;
        p->revision = commit.revision;
        return 0;
    case SHMIRROR_TIMED_OUT:
    case SHMIRROR_NO_DAEMON:
    case SHMIRROR_DISCONNECTED:
    case SHMIRROR_OUTCOME_EXPIRED:
        /* It may have been committed, or be so later: the daemon was away for too long. */
        fprintf(stderr, "producer: it is not known what became of a transaction\n");
        return failed(status);
    default:
        /* Rejected, by a rule of the table: nothing of it was done. The others are not concerned. */
        p->rejected++;
        failed(status);
        return 0;
    }
}

/* Submits one change, without waiting for its outcome. */
static int submit(struct producer *p)
{
    shmirror_ticket **const place = &p->in_flight[(p->first + p->count) % IN_FLIGHT];
    shmirror_value values[3];
    shmirror_status status;
    p->number++;
    values[0] = shmirror_integer(p->number % p->rows);
    values[1] = values[2] = shmirror_integer(p->number);
    status = shmirror_transaction_upsert(p->transaction, "live", LIVE, values, 3);
    if (status == SHMIRROR_OK) {
        status = shmirror_transaction_submit(p->transaction, place);
    }
    if (status != SHMIRROR_OK) {
        return failed(status);
    }
    p->count++;
    return 0;
}

/* Submits first and asks for outcomes later: many transactions share one commit of the daemon's. */
static int write_in_flight(struct producer *p, uint64_t ns)
{
    const uint64_t start = shmirror_now();
    int result = 0;
    while (result == 0 && shmirror_now() - start < ns) {
        result = p->count < IN_FLIGHT ? submit(p) : settle(p);
    }
    while (result == 0 && p->count > 0) {
        result = settle(p);
    }
    print_rate("in flight", p->committed, shmirror_now() - start);
    return result;
}

static int run(struct producer *p, double seconds)
{
    const uint64_t ns = (uint64_t)(seconds * 1e9);
    int result = attach(p);
    if (result == 0) {
        result = prepare(p);
    }
    if (result == 0) {
        result = claim(p);
    }
    if (result == 0) {
        result = make_rows(p);
    }
    if (result == 0) {
        result = write_synchronously(p, ns / 4);
    }
    if (result == 0) {
        result = write_in_flight(p, ns - ns / 4);
    }
    if (result == 0) {
        printf("%" PRIu64 " rejected, newest number %" PRId64 ", newest revision %" PRIu64 "\n",
               p->rejected, p->number, p->revision);
        result = p->rejected > 0;
    }
    return result;
}

int main(int argc, char **argv)
{
    struct producer p = {0};
    double seconds = 5, rows = 100;
    char *rest = "";
    int result;
    if (argc > 1) {
        seconds = strtod(argv[1], &rest);
    }
    if (argc > 2 && *rest == '\0') {
        rows = strtod(argv[2], &rest);
    }
    if (argc > 3 || *rest != '\0' || !(seconds >= 0 && seconds <= 1e9)
        || !(rows >= 1 && rows <= 1e6)) {
        fprintf(stderr, "usage: producer [SECONDS [ROWS]]\n");
        return 2;
    }
    if (SHMIRROR_CHECK_VERSION() != SHMIRROR_OK) {
        return failed(SHMIRROR_VERSION);
    }
    p.rows = (int64_t)rows;

    result = run(&p, seconds);

    /* A ticket that is closed takes nothing back: the transaction goes on, nobody hears of it. */
    for (; p.count > 0; p.count--, p.first = (p.first + 1) % IN_FLIGHT) {
        shmirror_ticket_close(p.in_flight[p.first]);
    }
    shmirror_transaction_close(p.transaction);
    shmirror_mirror_close(p.mirror);
    shmirror_producer_close(p.producer);
    return result;
}
