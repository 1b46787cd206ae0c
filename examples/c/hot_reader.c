/* Reads at full speed while another process writes: hot_reader [SECONDS], with `producer` beside it.
 *
 * Its loop makes no system call, takes no lock and allocates nothing: rows and cells come straight
 * from shared memory, the clock from the vDSO. It checks what it reads: a writer sets both columns of
 * a row to the same number, which only ever grows. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <shmirror.h>

#define SECOND UINT64_C(1000000000)

/* A row as this program wants it. The order of members is the program's, not the table's. */
struct live {
    int64_t id;
    int64_t a;
    int64_t b;
};

static const shmirror_field LIVE[] = {
    SHMIRROR_FIELD(struct live, id, "id", SHMIRROR_FIELD_I64),
    SHMIRROR_FIELD(struct live, a, "a", SHMIRROR_FIELD_I64),
    SHMIRROR_FIELD(struct live, b, "b", SHMIRROR_FIELD_I64),
};

/* A row that is read again and again. */
struct watched {
    int64_t key;
    int64_t newest;      /* of `a`, as far as this program has seen */
    shmirror_cell *cell; /* of `a` */
};

struct reader {
    shmirror_mirror *mirror;
    shmirror_table *table;
    shmirror_binding *binding;
    struct watched *watched;
    size_t count;
};

struct counts {
    uint64_t reads;
    uint64_t torn;
    uint64_t backwards;
    uint64_t missed;
};

/* Says why a call failed. */
static int failed(shmirror_status status)
{
    /* Statuses below 16 are outcomes, not failures, and set no message. */
    const char *why = status < 16 ? shmirror_strerror(status) : shmirror_last_message();
    fprintf(stderr, "hot_reader: %s: %s\n", shmirror_status_name(status), why);
    return 1;
}

static int attach(struct reader *reader)
{
    shmirror_options *options;
    shmirror_status status = shmirror_options_new(&options);
    if (status == SHMIRROR_OK) {
        status = shmirror_options_program(options, "hot_reader");
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_options_attach_timeout(options, 10 * SECOND);
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_attach(options, &reader->mirror);
    }
    shmirror_options_close(options);
    return status == SHMIRROR_OK ? 0 : failed(status);
}

/* Waits until there is a table `live` that has rows. */
static int wait_for_rows(struct reader *reader)
{
    const uint64_t deadline = shmirror_now() + 10 * SECOND;
    for (;;) {
        uint64_t revision = 0, rows = 0, now;
        /* The revision comes first: what is committed after it ends the wait below. */
        shmirror_status status = shmirror_mirror_revision(reader->mirror, &revision);
        if (status == SHMIRROR_OK && reader->table == NULL) {
            status = shmirror_mirror_table(reader->mirror, "live", &reader->table);
        }
        if (status == SHMIRROR_OK) {
            status = shmirror_table_rows(reader->table, &rows);
        }
        if (status == SHMIRROR_OK && rows > 0) {
            return 0;
        }
        if (status != SHMIRROR_OK && status != SHMIRROR_UNKNOWN_TABLE) {
            return failed(status);
        }
        now = shmirror_now();
        if (now >= deadline) {
            fprintf(stderr, "hot_reader: no rows in table live: does `producer` run?\n");
            return 1;
        }
        status = shmirror_mirror_wait_revision(reader->mirror, revision + 1, deadline - now);
        if (status != SHMIRROR_OK && status != SHMIRROR_TIMED_OUT) {
            return failed(status);
        }
    }
}

/* Gets the keys of all rows there are now, and a cell for each: all that costs time is done here. */
static int prepare(struct reader *reader)
{
    shmirror_rows *rows = NULL;
    shmirror_row *row = NULL;
    size_t id = 0, count = 0;
    shmirror_status status = shmirror_rows_new(&rows);
    if (status == SHMIRROR_OK) {
        status = shmirror_row_new(&row);
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_table_column(reader->table, "id", &id);
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_table_scan(reader->table, 1, rows);
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_rows_count(rows, &count);
    }
    if (status == SHMIRROR_OK) {
        reader->watched = calloc(count, sizeof *reader->watched);
        if (reader->watched == NULL && count > 0) {
            perror("hot_reader");
            exit(1);
        }
    }
    while (status == SHMIRROR_OK && (status = shmirror_rows_next(rows, row)) == SHMIRROR_OK) {
        struct watched *watched = &reader->watched[reader->count];
        watched->newest = INT64_MIN;
        status = shmirror_row_i64(row, id, &watched->key);
        if (status == SHMIRROR_OK) {
            const shmirror_value key = shmirror_integer(watched->key);
            status = shmirror_table_cell(reader->table, &key, 1, "a", &watched->cell);
        }
        if (status == SHMIRROR_OK) {
            reader->count++;
        } else if (status == SHMIRROR_NO_SUCH_ROW) {
            status = SHMIRROR_OK; /* deleted since the scan */
        }
    }
    if (status == SHMIRROR_END) {
        status = shmirror_binding_new(LIVE, sizeof LIVE / sizeof LIVE[0], &reader->binding);
    }
    shmirror_row_close(row);
    shmirror_rows_close(rows);
    return status == SHMIRROR_OK ? 0 : failed(status);
}

/* What is no failure of a loop that must go on: the row is away for now, or the table is just being
 * moved and the daemon that moves it is gone. The loop has the value of before. */
static bool may_go_on(shmirror_status status)
{
    return status == SHMIRROR_NOT_FOUND || status == SHMIRROR_DELETED
        || status == SHMIRROR_CONTENDED || status == SHMIRROR_DISCONNECTED;
}

/* Reads every row once, and then its cell. */
static shmirror_status read_all(struct reader *reader, struct counts *counts)
{
    for (size_t i = 0; i < reader->count; i++) {
        struct watched *watched = &reader->watched[i];
        struct live live;
        int64_t a;
        shmirror_status status = shmirror_table_fetch_i64(reader->table, watched->key,
                                                          reader->binding, &live, sizeof live);
        if (status == SHMIRROR_OK) {
            counts->torn += live.a != live.b || live.id != watched->key;
            counts->backwards += live.a < watched->newest;
            watched->newest = live.a;
        } else if (may_go_on(status)) {
            counts->missed++;
        } else {
            return status;
        }
        status = shmirror_cell_i64(watched->cell, &a);
        if (status == SHMIRROR_OK) {
            counts->backwards += a < watched->newest;
            watched->newest = a;
        } else if (may_go_on(status)) {
            counts->missed++;
        } else {
            return status;
        }
        counts->reads += 2;
    }
    return SHMIRROR_OK;
}

static int run(struct reader *reader, double seconds)
{
    struct counts counts = {0, 0, 0, 0};
    const uint64_t start = shmirror_now();
    const uint64_t end = start + (uint64_t)(seconds * 1e9);
    uint64_t now = start, revision = 0;
    shmirror_status status = SHMIRROR_OK;
    while (status == SHMIRROR_OK && now < end) {
        /* The clock is asked once for many reads. */
        for (int pass = 0; status == SHMIRROR_OK && pass < 100; pass++) {
            status = read_all(reader, &counts);
        }
        now = shmirror_now();
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_mirror_revision(reader->mirror, &revision);
    }
    if (status != SHMIRROR_OK) {
        return failed(status);
    }
    printf("%" PRIu64 " reads, %.1f million a second, %" PRIu64 " torn, %" PRIu64
           " older than one before, %" PRIu64 " missed, revision %" PRIu64 "\n",
           counts.reads, (double)counts.reads / (double)(now - start + 1) * 1e3, counts.torn,
           counts.backwards, counts.missed, revision);
    if (counts.torn + counts.backwards > 0) {
        fprintf(stderr, "hot_reader: a read was wrong\n");
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct reader reader = {NULL, NULL, NULL, NULL, 0};
    double seconds = 5;
    int result;
    if (argc > 1) {
        char *rest;
        seconds = strtod(argv[1], &rest);
        if (argc > 2 || *rest != '\0' || rest == argv[1] || !(seconds >= 0 && seconds <= 1e9)) {
            fprintf(stderr, "usage: hot_reader [SECONDS]\n");
            return 2;
        }
    }
    if (SHMIRROR_CHECK_VERSION() != SHMIRROR_OK) {
        return failed(SHMIRROR_VERSION);
    }

    result = attach(&reader);
    if (result == 0) {
        result = wait_for_rows(&reader);
    }
    if (result == 0) {
        result = prepare(&reader);
    }
    if (result == 0) {
        result = run(&reader, seconds);
    }

    /* NULL is fine, and so is any order. */
    for (size_t i = 0; i < reader.count; i++) {
        shmirror_cell_close(reader.watched[i].cell);
    }
    free(reader.watched);
    shmirror_binding_close(reader.binding);
    shmirror_table_close(reader.table);
    shmirror_mirror_close(reader.mirror);
    return result;
}
