/* Reads and writes at full speed, on many threads, until it is killed.
 *
 * In: socket, number, seed and role as arguments; the end of standard input says "stop". Out: one
 * line a write on standard output:
 *
 *     ready          every thread has done its first step
 *     ack N          the transaction of this number was committed: the library said so
 *     wrong: WHAT    a value that must not be; the program ends with status 1
 *     worst NS WHAT  of a survivor that was told to stop: its longest pause between two steps
 *
 * What holds in the store, at every revision (killed.rs makes the tables):
 *
 *     account   the sum over n is the same; r is n as a double
 *     pair      the two sides of a slot add up to 0; text is n, repeated
 *     word      text is n, repeated; n only grows
 *     beat      n only grows
 *     ledger    one row for each transaction of this program, by number
 */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <shmirror.h>

#define ACCOUNTS 16
#define TOTAL (ACCOUNTS * 1000)
#define SLOTS 8
#define WORDS 4
#define TEXT 48          /* bytes of a text, its NUL included */
#define WINDOW 16        /* tickets under way at once */
#define BULK 1000000     /* largest BLOB */
#define STREAM 200000    /* numbers of each writing thread */

/* ---- what all threads share ---- */

static shmirror_options *options;
static shmirror_mirror *mirror;
static shmirror_producer *producer;
static int64_t base;
static uint64_t seed;
static int survives, breaks_invariant, acknowledges_nothing, writes_twice;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t stepped = PTHREAD_COND_INITIALIZER;
static int at_work, stopping;

/* One write a line: a kill leaves no half of one. */
static void say(const char *format, ...)
{
    char line[512];
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    if (size > (int)sizeof line - 2) {
        size = (int)sizeof line - 2;
    }
    line[size++] = '\n';
    if (write(STDOUT_FILENO, line, (size_t)size) != size) {
        _exit(2);
    }
}

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            say("wrong: " __VA_ARGS__);                                                            \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static void must(shmirror_status status, const char *what)
{
    CHECK(status == SHMIRROR_OK, "%s: %s: %s", what, shmirror_status_name((int32_t)status),
          shmirror_last_message());
}

/* One thread: its chance, and its pauses. */
typedef struct worker {
    const char *name;
    void (*work)(struct worker *);
    uint64_t random, last, worst;
    int64_t next; /* number of its next transaction */
    pthread_t thread;
} worker;

/* A number below n: xorshift64* (Vigna). */
static uint64_t below(worker *w, uint64_t n)
{
    w->random ^= w->random >> 12;
    w->random ^= w->random << 25;
    w->random ^= w->random >> 27;
    return (w->random * UINT64_C(0x2545F4914F6CDD1D) >> 11) % n;
}

/* After every step; whether to go on. */
static int go_on(worker *w)
{
    uint64_t now = shmirror_now();
    int go;

    if (w->last != 0 && now - w->last > w->worst) {
        w->worst = now - w->last;
    }
    pthread_mutex_lock(&lock);
    if (w->last == 0) {
        at_work++;
        pthread_cond_signal(&stepped);
    }
    go = !stopping;
    pthread_mutex_unlock(&lock);
    w->last = now;
    return go;
}

/* ---- values ---- */

static size_t text_of(int64_t n, char text[TEXT])
{
    char digits[24];
    size_t size = (size_t)snprintf(digits, sizeof digits, "%" PRId64 ".", n), i;

    for (i = 0; i < TEXT - 1; i++) {
        text[i] = digits[i % size];
    }
    text[TEXT - 1] = '\0';
    return TEXT - 1;
}

static void check_text(int64_t n, const char *found, size_t size, const char *table)
{
    char expected[TEXT];

    CHECK(size == text_of(n, expected) && memcmp(found, expected, size) == 0,
          "table %s: n is %" PRId64 ", text is %.*s", table, n, (int)size, found);
}

/* n of a row of `account`, which is not torn. */
static int64_t account_n(const shmirror_row *row)
{
    int64_t n;
    double r;

    must(shmirror_row_i64(row, 1, &n), "account.n");
    must(shmirror_row_f64(row, 2, &r), "account.r");
    CHECK(r == (double)n, "table account: n is %" PRId64 ", r is %g", n, r);
    return n;
}

/* ---- reading ---- */

typedef struct account {
    int64_t id, n;
    double r;
} account;

/* Rows by key, into a row and into a struct; cells; text keys. */
static void read_rows(worker *w)
{
    static const shmirror_field fields[] = {
        SHMIRROR_FIELD(account, id, "id", SHMIRROR_FIELD_I64),
        SHMIRROR_FIELD(account, n, "n", SHMIRROR_FIELD_I64),
        SHMIRROR_FIELD(account, r, "r", SHMIRROR_FIELD_F64),
    };
    uint64_t seen[ACCOUNTS] = {0}, revision;
    int64_t beat = 0, newest, words[WORDS] = {0}, n;
    shmirror_table *accounts, *beats, *names;
    shmirror_value key = shmirror_integer(0);
    shmirror_binding *binding;
    shmirror_cell *cell;
    shmirror_row *row;
    shmirror_text text;
    account into;
    char name[8];
    int i;

    must(shmirror_mirror_table(mirror, "account", &accounts), "account");
    must(shmirror_mirror_table(mirror, "beat", &beats), "beat");
    must(shmirror_mirror_table(mirror, "word", &names), "word");
    must(shmirror_table_cell(beats, &key, 1, "n", &cell), "a cell of beat");
    must(shmirror_binding_new(fields, sizeof fields / sizeof *fields, &binding), "a binding");
    must(shmirror_row_new(&row), "a row");
    do {
        for (i = 0; i < 32; i++) {
            int64_t id = (int64_t)below(w, ACCOUNTS);
            must(shmirror_table_read_i64(accounts, id, row), "reading an account");
            must(shmirror_row_revision(row, &revision), "its revision");
            CHECK(revision >= seen[id], "account %" PRId64 ": revision %" PRIu64 " after %" PRIu64,
                  id, revision, seen[id]);
            seen[id] = revision;
            account_n(row);
            must(shmirror_table_fetch_i64(accounts, id, binding, &into, sizeof into), "a fetch");
            CHECK(into.id == id && into.r == (double)into.n,
                  "account %" PRId64 ": id %" PRId64 ", n %" PRId64 ", r %g", id, into.id, into.n,
                  into.r);
            must(shmirror_cell_i64(cell, &newest), "the cell");
            CHECK(newest >= beat, "beat: %" PRId64 " after %" PRId64, newest, beat);
            beat = newest;
        }
        i = (int)below(w, WORDS);
        snprintf(name, sizeof name, "w%d", i);
        must(shmirror_table_read_text(names, name, strlen(name), row), "reading a word");
        must(shmirror_row_i64(row, 1, &n), "word.n");
        must(shmirror_row_text(row, 2, &text), "word.text");
        check_text(n, text.data, text.size, "word");
        CHECK(n >= words[i], "word %d: %" PRId64 " after %" PRId64, i, n, words[i]);
        words[i] = n;
    } while (go_on(w));
    shmirror_row_close(row);
    shmirror_binding_close(binding);
    shmirror_cell_close(cell);
    shmirror_table_close(names);
    shmirror_table_close(beats);
    shmirror_table_close(accounts);
}

typedef struct audit {
    int rows;
    int64_t sum;
} audit;

static int32_t add_up(void *context, const shmirror_row *row)
{
    audit *a = context;

    a->rows++;
    a->sum += account_n(row);
    return 0;
}

/* Many rows of one revision: nothing is ever half done. */
static void scan_tables(worker *w)
{
    shmirror_table *accounts, *pairs;
    uint64_t last = 0, revision;
    shmirror_value keys[4];
    shmirror_rows *rows;
    shmirror_row *row;
    shmirror_text text;
    int64_t n, sum;
    size_t count;
    int i, slot;

    must(shmirror_mirror_table(mirror, "account", &accounts), "account");
    must(shmirror_mirror_table(mirror, "pair", &pairs), "pair");
    must(shmirror_rows_new(&rows), "rows");
    must(shmirror_row_new(&row), "a row");
    do {
        audit scanned = {0, 0}, visited = {0, 0};

        must(shmirror_table_scan(accounts, (int32_t)below(w, 2), rows), "a scan");
        must(shmirror_rows_revision(rows, &revision), "its revision");
        CHECK(revision >= last, "scan: revision %" PRIu64 " after %" PRIu64, revision, last);
        last = revision;
        while (shmirror_rows_next(rows, row) == SHMIRROR_OK) {
            add_up(&scanned, row);
        }
        CHECK(scanned.rows == ACCOUNTS && scanned.sum == TOTAL,
              "scan at %" PRIu64 ": %d accounts, sum %" PRId64, revision, scanned.rows,
              scanned.sum);

        must(shmirror_table_each(accounts, 0, add_up, &visited, &revision), "each");
        CHECK(visited.rows == ACCOUNTS && visited.sum == TOTAL,
              "each at %" PRIu64 ": %d accounts, sum %" PRId64, revision, visited.rows,
              visited.sum);

        slot = (int)below(w, SLOTS);
        for (i = 0; i < 4; i++) {
            keys[i] = shmirror_integer(i % 2 == 0 ? slot : i / 2);
        }
        must(shmirror_table_read_many(pairs, keys, 2, 2, rows), "reading a pair");
        must(shmirror_rows_count(rows, &count), "how many");
        CHECK(count == 2, "%d rows of a pair", (int)count);
        for (sum = 0, i = 0; i < 2; i++) {
            must(shmirror_rows_at(rows, (size_t)i, row), "a side of a pair");
            must(shmirror_row_i64(row, 2, &n), "pair.n");
            must(shmirror_row_text(row, 3, &text), "pair.text");
            check_text(n, text.data, text.size, "pair");
            sum += n;
        }
        CHECK(sum == 0, "pair %d: the sum is %" PRId64, slot, sum);
    } while (go_on(w));
    shmirror_row_close(row);
    shmirror_rows_close(rows);
    shmirror_table_close(pairs);
    shmirror_table_close(accounts);
}

/* ---- writing ---- */

static void acknowledge(int64_t number)
{
    say("ack %" PRId64, number);
}

/* Transfers in SQL. */
static void transfer_by_sql(worker *w)
{
    static const char TWICE[] =
        ";INSERT INTO ledger SELECT * FROM ledger ORDER BY rowid DESC LIMIT 1";
    shmirror_commit commit;
    char sql[512];

    do {
        int from = (int)below(w, ACCOUNTS);
        int to = (from + 1 + (int)below(w, ACCOUNTS - 1)) % ACCOUNTS;
        int amount = 1 + (int)below(w, 10), arrives = breaks_invariant ? amount + 1 : amount;

        snprintf(sql, sizeof sql,
                 "UPDATE account SET n = n - %d, r = r - %d WHERE id = %d;"
                 "UPDATE account SET n = n + %d, r = r + %d WHERE id = %d;"
                 "INSERT INTO ledger(number, origin, target, amount) VALUES (%" PRId64
                 ", %d, %d, %d)%s",
                 amount, amount, from, arrives, arrives, to, w->next, from, to, amount,
                 writes_twice ? TWICE : "");
        if (!acknowledges_nothing) {
            must(shmirror_execute(producer, sql, &commit), "a transfer in SQL");
        }
        acknowledge(w->next++);
    } while (go_on(w));
}

static const char *const LEDGER[] = {"number", "origin", "target", "amount"};
static const char *const AMOUNTS[] = {"n", "r"};

static void update_account(shmirror_transaction *tx, int64_t id, int64_t n, uint64_t revision)
{
    shmirror_value key = shmirror_integer(id), values[2];

    values[0] = shmirror_integer(n);
    values[1] = shmirror_real((double)n);
    must(shmirror_transaction_update(tx, "account", &key, 1, AMOUNTS, values, 2), "an update");
    must(shmirror_transaction_if_revision(tx, revision), "if_revision");
}

/* Transfers by compare-and-set: two rows, each only if it is still as it was read. */
static void transfer_by_revision(worker *w)
{
    uint64_t revisions[2], seen;
    shmirror_table *accounts;
    shmirror_transaction *tx;
    shmirror_value entry[4];
    shmirror_commit commit;
    shmirror_status status;
    shmirror_row *row;
    int64_t n[2];
    int i;

    must(shmirror_mirror_table(mirror, "account", &accounts), "account");
    must(shmirror_transaction_new(producer, &tx), "a transaction");
    must(shmirror_row_new(&row), "a row");
    do {
        int64_t ids[2], amount = 1 + (int64_t)below(w, 10);

        ids[0] = (int64_t)below(w, ACCOUNTS);
        ids[1] = (ids[0] + 1 + (int64_t)below(w, ACCOUNTS - 1)) % ACCOUNTS;
        for (i = 0; i < 2; i++) {
            must(shmirror_table_read_i64(accounts, ids[i], row), "reading an account");
            must(shmirror_row_revision(row, &revisions[i]), "its revision");
            n[i] = account_n(row);
        }
        entry[0] = shmirror_integer(w->next);
        entry[1] = shmirror_integer(ids[0]);
        entry[2] = shmirror_integer(ids[1]);
        entry[3] = shmirror_integer(amount);
        update_account(tx, ids[0], n[0] - amount, revisions[0]);
        update_account(tx, ids[1], n[1] + amount, revisions[1]);
        must(shmirror_transaction_insert(tx, "ledger", LEDGER, entry, 4), "an insert");
        status = shmirror_transaction_commit(tx, &commit);
        if (status != SHMIRROR_REVISION_MISMATCH) {
            must(status, "a transfer by revision");
            acknowledge(w->next++);
            must(shmirror_table_read_i64(accounts, ids[0], row), "reading what was written");
            must(shmirror_row_revision(row, &seen), "its revision");
            CHECK(seen >= commit.revision, "committed at %" PRIu64 ", revision %" PRIu64 " read",
                  commit.revision, seen);
        }
    } while (go_on(w));
    shmirror_row_close(row);
    shmirror_transaction_close(tx);
    shmirror_table_close(accounts);
}

static void add_side(shmirror_transaction *tx, int64_t slot, int64_t side, int64_t n)
{
    static const char *const COLUMNS[] = {"slot", "side", "n", "text"};
    shmirror_value values[4];
    char text[TEXT];

    values[0] = shmirror_integer(slot);
    values[1] = shmirror_integer(side);
    values[2] = shmirror_integer(n);
    values[3] = shmirror_string_n(text, text_of(n, text));
    must(shmirror_transaction_upsert(tx, "pair", COLUMNS, values, 4), "an upsert");
}

/* Pairs with tickets, many under way at once. */
static void write_with_tickets(worker *w)
{
    shmirror_ticket *tickets[WINDOW] = {0};
    int64_t numbers[WINDOW], n;
    shmirror_transaction *tx;
    shmirror_value values[4];
    shmirror_commit commit;
    shmirror_status status;
    size_t turn = 0, left;
    int go = 1;

    must(shmirror_transaction_new(producer, &tx), "a transaction");
    for (left = WINDOW; left > 0; turn = (turn + 1) % WINDOW) {
        if (tickets[turn] != NULL) {
            /* One look, then a wait: both ways are used. */
            status = shmirror_ticket_poll(tickets[turn], &commit);
            if (status == SHMIRROR_PENDING) {
                status = shmirror_ticket_wait(tickets[turn], SHMIRROR_FOREVER, &commit);
            }
            must(status, "a ticket");
            acknowledge(numbers[turn]);
            must(shmirror_ticket_close(tickets[turn]), "closing a ticket");
            tickets[turn] = NULL;
        }
        if (!go) {
            left--;
            continue;
        }
        numbers[turn] = w->next++;
        values[0] = shmirror_integer(numbers[turn]);
        values[1] = values[2] = shmirror_null();
        n = (int64_t)below(w, 1000000);
        values[3] = shmirror_integer(n);
        add_side(tx, n % SLOTS, 0, n);
        add_side(tx, n % SLOTS, 1, -n);
        must(shmirror_transaction_insert(tx, "ledger", LEDGER, values, 4), "an insert");
        must(shmirror_transaction_submit(tx, &tickets[turn]), "a submit");
        go = go_on(w);
    }
    shmirror_transaction_close(tx);
}

/* Large BLOBs, which take their time to be put into the lane, its lock held; most of them are
 * rejected, as the store has better things to do. */
static void write_large(worker *w)
{
    static const char *const COLUMNS[] = {"id", "raw"};
    uint8_t *raw = calloc(1, BULK);
    shmirror_transaction *tx;
    shmirror_ticket *ticket;
    shmirror_value values[2];
    shmirror_commit commit;
    shmirror_status status;

    CHECK(raw != NULL, "no memory");
    must(shmirror_transaction_new(producer, &tx), "a transaction");
    do {
        int kept = below(w, 50) == 0;

        /* The row 0 is there. */
        values[0] = shmirror_integer(kept ? 1 + (int64_t)below(w, 20) : 0);
        values[1] = shmirror_bytes(raw, (size_t)below(w, kept ? BULK / 10 : BULK));
        must(shmirror_transaction_insert_rows(tx, "bulk", COLUMNS, 2, values, 1,
                                              kept ? SHMIRROR_ON_CONFLICT_REPLACE
                                                   : SHMIRROR_ON_CONFLICT_FAIL),
             "a large row");
        status = shmirror_transaction_try_submit(tx, &ticket);
        if (status == SHMIRROR_FULL) {
            must(shmirror_transaction_clear(tx), "clearing a transaction");
            continue;
        }
        must(status, "submitting a large row");
        do {
            status = shmirror_ticket_wait_until(ticket, shmirror_now() + 5000000, &commit);
        } while (status == SHMIRROR_TIMED_OUT);
        CHECK(status == (kept ? SHMIRROR_OK : SHMIRROR_PRIMARY_KEY), "a large row: %s",
              shmirror_last_message());
        must(shmirror_ticket_close(ticket), "closing a ticket");
    } while (go_on(w));
    shmirror_transaction_close(tx);
    free(raw);
}

/* ---- being told ---- */

static void follow(worker *w)
{
    shmirror_subscriber *subscriber;
    uint64_t last = 0, revision;
    shmirror_status status;
    shmirror_event *event;
    int32_t kind;
    int i;

    must(shmirror_subscribe(options, NULL, 0, SHMIRROR_FROM_NOW, &subscriber), "subscribing");
    must(shmirror_event_new(&event), "an event");
    do {
        for (i = 0; i < 64; i++) {
            status = shmirror_subscriber_next(subscriber, 20000000, event);
            if (status == SHMIRROR_PENDING) {
                break;
            }
            must(status, "the next event");
            must(shmirror_event_kind(event, &kind), "its kind");
            if (kind == SHMIRROR_EVENT_LAGGED && !survives) {
                last = 0;
                continue;
            }
            CHECK(kind == SHMIRROR_EVENT_CHANGE, "an event of kind %d", (int)kind);
            must(shmirror_event_revision(event, &revision), "its revision");
            CHECK(last == 0 || revision == last || revision == last + 1,
                  "an event of revision %" PRIu64 " after %" PRIu64, revision, last);
            last = revision;
        }
    } while (go_on(w));
    shmirror_event_close(event);
    shmirror_subscriber_close(subscriber);
}

/* ---- all of it ---- */

static void *run(void *context)
{
    worker *w = context;

    w->work(w);
    return NULL;
}

int main(int argc, char **argv)
{
    worker workers[] = {
        {"read", read_rows, 0, 0, 0, 0, 0},
        {"scan", scan_tables, 0, 0, 0, 0, 0},
        {"sql", transfer_by_sql, 0, 0, 0, 0, 0},
        {"revision", transfer_by_revision, 0, 0, 0, 0, 0},
        {"tickets", write_with_tickets, 0, 0, 0, 0, 0},
        {"large rows", write_large, 0, 0, 0, 0, 0},
        {"follow", follow, 0, 0, 0, 0, 0},
    };
    const int count = (int)(sizeof workers / sizeof *workers);
    char byte;
    int i;

    if (argc != 5) {
        fprintf(stderr, "victim SOCKET NUMBER SEED victim|survivor|breaks|lies|twice\n");
        return 2;
    }
    base = strtoll(argv[2], NULL, 10) * 1000000;
    seed = strtoull(argv[3], NULL, 10);
    survives = strcmp(argv[4], "victim") != 0;
    breaks_invariant = strcmp(argv[4], "breaks") == 0;
    acknowledges_nothing = strcmp(argv[4], "lies") == 0;
    writes_twice = strcmp(argv[4], "twice") == 0;

    must(shmirror_options_new(&options), "options");
    must(shmirror_options_socket(options, argv[1]), "the socket");
    must(shmirror_options_program(options, argv[4]), "the program's name");
    must(shmirror_attach(options, &mirror), "attaching");
    must(shmirror_producer_attach(options, &producer), "attaching a producer");
    must(shmirror_producer_set_timeout(producer, UINT64_C(60000000000)), "the timeout");
    for (i = 0; i < count; i++) {
        workers[i].random = ((seed + (uint64_t)i) * UINT64_C(0x9E3779B97F4A7C15)) | 1;
        workers[i].next = base + i * STREAM;
        CHECK(pthread_create(&workers[i].thread, NULL, run, &workers[i]) == 0, "no thread");
    }
    pthread_mutex_lock(&lock);
    while (at_work < count) {
        pthread_cond_wait(&stepped, &lock);
    }
    pthread_mutex_unlock(&lock);
    say("ready");

    /* A test that goes away takes this with it. */
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    pthread_mutex_lock(&lock);
    stopping = 1;
    pthread_mutex_unlock(&lock);
    for (i = 0; i < count; i++) {
        pthread_join(workers[i].thread, NULL);
        say("worst %" PRIu64 " %s", workers[i].worst, workers[i].name);
    }
    must(shmirror_producer_close(producer), "closing the producer");
    must(shmirror_mirror_close(mirror), "closing the mirror");
    must(shmirror_options_close(options), "closing the options");
    return 0;
}
