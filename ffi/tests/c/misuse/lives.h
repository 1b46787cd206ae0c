/* When handles end: in any order, after their mirror, in a forked child. */

#ifndef LIVES_H
#define LIVES_H

#include <sys/wait.h>
#include <unistd.h>

#include "world.h"

/* Each handle says that it is closed, and no other is the worse for it. */
static void use(void **handles, int kind, bool is_closed)
{
    int32_t ok = is_closed ? SHMIRROR_STALE_HANDLE : SHMIRROR_OK;
    shmirror_row *row = (shmirror_row *)live[KIND_shmirror_row];
    uint64_t u64;
    int64_t i64;
    int32_t i32;
    size_t size;
    const char *name;
#define HANDLE_OF(type) ((type *)handles[kind])
    switch (kind) {
    case KIND_shmirror_options:
        IS(ok, shmirror_options_program(HANDLE_OF(shmirror_options), "misuse"));
        break;
    case KIND_shmirror_mirror:
        IS(ok, shmirror_mirror_revision(HANDLE_OF(shmirror_mirror), &u64));
        break;
    case KIND_shmirror_catalogue:
        IS(ok, shmirror_catalogue_table_name(HANDLE_OF(shmirror_catalogue), 0, &name));
        break;
    case KIND_shmirror_schema:
        IS(ok, shmirror_schema_sql(HANDLE_OF(shmirror_schema), &name));
        break;
    case KIND_shmirror_table:
        IS(ok, shmirror_table_read_i64(HANDLE_OF(shmirror_table), 1, row));
        break;
    case KIND_shmirror_row:
        IS(ok, shmirror_row_i64(HANDLE_OF(shmirror_row), 0, &i64));
        break;
    case KIND_shmirror_rows:
        IS(ok, shmirror_rows_at(HANDLE_OF(shmirror_rows), 0, row));
        break;
    case KIND_shmirror_binding: {
        record out;
        IS(ok, shmirror_row_fetch(row, HANDLE_OF(shmirror_binding), &out, sizeof out));
        break;
    }
    case KIND_shmirror_cell:
        IS(ok, shmirror_cell_i64(HANDLE_OF(shmirror_cell), &i64));
        IS(ok, shmirror_cell_refresh(HANDLE_OF(shmirror_cell)));
        break;
    case KIND_shmirror_producer:
        IS(ok, shmirror_execute(HANDLE_OF(shmirror_producer), "SELECT 1", NULL));
        break;
    case KIND_shmirror_transaction:
        IS(ok, shmirror_transaction_commit(HANDLE_OF(shmirror_transaction), NULL));
        break;
    case KIND_shmirror_ticket:
        IS(ok, shmirror_ticket_wait(HANDLE_OF(shmirror_ticket), PATIENCE, NULL));
        break;
    case KIND_shmirror_subscriber:
        IS(ok, shmirror_subscriber_resume_from(HANDLE_OF(shmirror_subscriber), 0));
        IS(ok, shmirror_subscriber_next(HANDLE_OF(shmirror_subscriber), PATIENCE,
                                        (shmirror_event *)live[KIND_shmirror_event]));
        break;
    case KIND_shmirror_history: {
        int32_t status = (int32_t)shmirror_history_next(
            HANDLE_OF(shmirror_history), (shmirror_event *)live[KIND_shmirror_event]);
        THAT(status == ok || (!is_closed && status == SHMIRROR_END));
        break;
    }
    case KIND_shmirror_event:
        IS(ok, shmirror_event_kind(HANDLE_OF(shmirror_event), &i32));
        break;
    default:
        IS(ok, shmirror_result_sets(HANDLE_OF(shmirror_result), &size));
    }
}

static void end_one(void **handles, int kind)
{
#define END(name)                                                                                  \
    if (kind == KIND_shmirror_##name) {                                                            \
        OK(shmirror_##name##_close((shmirror_##name *)handles[kind]));                             \
        IS(SHMIRROR_STALE_HANDLE, shmirror_##name##_close((shmirror_##name *)handles[kind]));      \
    }
    KINDS(END)
#undef END
}

/* A linear congruential generator, of Knuth's MMIX. */
static uint32_t random_number(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

/* All handles, closed one after the other in a random order, and all of them used between. */
static void any_order(uint64_t seed)
{
    void *spare[KIND_COUNT];
    void *handles[KIND_COUNT];
    bool is_closed[KIND_COUNT] = {false};
    uint64_t state = seed;
    int left;
    int kind;
    memcpy(spare, live, sizeof spare);
    make_all();
    memcpy(handles, live, sizeof handles);
    memcpy(live, spare, sizeof live);
    for (left = KIND_COUNT; left > 0; left--) {
        do {
            kind = (int)(random_number(&state) % KIND_COUNT);
        } while (is_closed[kind]);
        end_one(handles, kind);
        is_closed[kind] = true;
        for (kind = 0; kind < KIND_COUNT; kind++) {
            use(handles, kind, is_closed[kind]);
        }
    }
}

static void misuse_of_order(uint64_t seed)
{
    void *handles[KIND_COUNT];
    uint64_t i;
    int kind;
    for (i = 0; i < 8; i++) {
        any_order(seed + i);
    }
    /* The mirror first; what was made of it goes on, and sees what is committed later. */
    memcpy(handles, live, sizeof handles);
    make_all();
    end_one(live, KIND_shmirror_mirror);
    OK(shmirror_execute(LIVE(shmirror_producer), "UPDATE t SET n = 4711 WHERE id = 1", NULL));
    {
        int64_t n = 0;
        shmirror_value key = one();
        shmirror_cell *cell;
        OK(shmirror_cell_i64(LIVE(shmirror_cell), &n));
        THAT(n == 4711);
        OK(shmirror_table_read_i64(LIVE(shmirror_table), 1, LIVE(shmirror_row)));
        n = 0;
        OK(shmirror_row_i64(LIVE(shmirror_row), 1, &n));
        THAT(n == 4711);
        OK(shmirror_table_cell(LIVE(shmirror_table), &key, 1, "n", &cell));
        OK(shmirror_cell_close(cell));
        OK(shmirror_table_scan(LIVE(shmirror_table), 1, LIVE(shmirror_rows)));
    }
    OK(shmirror_execute(LIVE(shmirror_producer), "UPDATE t SET n = 10 WHERE id = 1", NULL));
    for (kind = 0; kind < KIND_COUNT; kind++) {
        if (kind != KIND_shmirror_mirror) {
            end_one(live, kind);
        }
    }
    memcpy(live, handles, sizeof live);
}

/* What a forked child can do with what it inherited: read, and close it. */
static void child(void)
{
    shmirror_mirror *mirror;
    shmirror_producer *producer;
    shmirror_subscriber *subscriber;
    shmirror_transaction *transaction;
    shmirror_ticket *ticket;
    shmirror_table *table;
    shmirror_catalogue *catalogue;
    shmirror_result *result;
    shmirror_history *history;
    shmirror_commit commit;
    shmirror_value key = one();
    const char *n = "n";
    char *json;
    int64_t value = 0;
    int fd;

    OK(shmirror_table_read_i64(LIVE(shmirror_table), 1, LIVE(shmirror_row)));
    OK(shmirror_cell_i64(LIVE(shmirror_cell), &value));
    THAT(value == 10);
    OK(shmirror_rows_rewind(LIVE(shmirror_rows)));
    OK(shmirror_rows_next(LIVE(shmirror_rows), LIVE(shmirror_row)));
    OK(shmirror_table_scan(LIVE(shmirror_table), 1, LIVE(shmirror_rows)));

#define FORKED(call) IS(SHMIRROR_FORKED, call)
    FORKED(shmirror_mirror_query(LIVE(shmirror_mirror), "SELECT 1", NULL, 0, &result));
    FORKED(shmirror_mirror_status(LIVE(shmirror_mirror), &json));
    FORKED(shmirror_mirror_check(LIVE(shmirror_mirror), &json));
    FORKED(shmirror_mirror_backup(LIVE(shmirror_mirror), "/nonexistent/x", &json));
    FORKED(shmirror_mirror_catalogue(LIVE(shmirror_mirror), &catalogue));
    FORKED(shmirror_mirror_namespaces(LIVE(shmirror_mirror), &result));
    FORKED(shmirror_mirror_history(LIVE(shmirror_mirror), 0, NULL, 0, &history));
    FORKED(shmirror_cell_refresh(LIVE(shmirror_cell)));
    FORKED(shmirror_execute(LIVE(shmirror_producer), "SELECT 1", &commit));
    FORKED(shmirror_sql(LIVE(shmirror_producer), "SELECT 1", NULL, 0, &commit, &result));
    FORKED(shmirror_insert(LIVE(shmirror_producer), "t", &n, &key, 1, &commit));
    FORKED(shmirror_upsert(LIVE(shmirror_producer), "t", &n, &key, 1, &commit));
    FORKED(shmirror_update(LIVE(shmirror_producer), "t", &key, 1, &n, &key, 1, &commit));
    FORKED(shmirror_delete(LIVE(shmirror_producer), "t", &key, 1, &commit));
    FORKED(shmirror_insert_json(LIVE(shmirror_producer), "t", "{}", &commit));
    FORKED(shmirror_transaction_insert(LIVE(shmirror_transaction), "t", &n, &key, 1));
    FORKED(shmirror_transaction_commit(LIVE(shmirror_transaction), &commit));
    FORKED(shmirror_transaction_submit(LIVE(shmirror_transaction), &ticket));
    FORKED(shmirror_ticket_poll(LIVE(shmirror_ticket), &commit));
    FORKED(shmirror_ticket_wait(LIVE(shmirror_ticket), 0, &commit));
    FORKED(shmirror_subscriber_try_next(LIVE(shmirror_subscriber), LIVE(shmirror_event)));
    FORKED(shmirror_subscriber_next(LIVE(shmirror_subscriber), 0, LIVE(shmirror_event)));
    FORKED(shmirror_subscriber_fd(LIVE(shmirror_subscriber), &fd));
    FORKED(shmirror_subscriber_resume_from(LIVE(shmirror_subscriber), 0));
    FORKED(shmirror_history_next(LIVE(shmirror_history), LIVE(shmirror_event)));
    THAT(strstr(shmirror_last_message(), "child") != NULL);

    /* It attaches anew. */
    OK(shmirror_attach(LIVE(shmirror_options), &mirror));
    OK(shmirror_producer_attach(LIVE(shmirror_options), &producer));
    OK(shmirror_subscribe(LIVE(shmirror_options), NULL, 0, SHMIRROR_FROM_NOW, &subscriber));
    OK(shmirror_transaction_new(producer, &transaction));
    OK(shmirror_mirror_table(mirror, "t", &table));
    OK(shmirror_execute(producer, "UPDATE t SET r = 7.5 WHERE id = 1", &commit));
    OK(shmirror_table_read_i64(table, 1, LIVE(shmirror_row)));
    OK(shmirror_subscriber_next(subscriber, PATIENCE, LIVE(shmirror_event)));
    OK(shmirror_transaction_close(transaction));
    OK(shmirror_table_close(table));
    OK(shmirror_subscriber_close(subscriber));
    OK(shmirror_producer_close(producer));
    OK(shmirror_mirror_close(mirror));
    close_all(live);
}

static void misuse_of_fork(void)
{
    int status = -1;
    int kind;
    double r = 0;
    pid_t pid;
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        alarm(60);
        wrong = 0;
        child();
        fflush(NULL);
        _exit(wrong == 0 ? 0 : 1);
    }
    THAT(pid > 0 && waitpid(pid, &status, 0) == pid);
    THAT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    /* The parent is none the worse for what its child closed. */
    for (kind = 0; kind < KIND_COUNT; kind++) {
        use(live, kind, false);
    }
    OK(shmirror_table_read_i64(LIVE(shmirror_table), 1, LIVE(shmirror_row)));
    OK(shmirror_row_f64(LIVE(shmirror_row), 2, &r));
    THAT(r == 7.5);
}

#endif /* LIVES_H */
