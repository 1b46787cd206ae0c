/* Every function that follows changes: right and wrong arguments, where it begins, how it waits,
 * lag.
 *
 * In: the daemon's socket, in SHMIRROR_SOCKET; its events lane has 256 KiB, its log keeps 4 MiB.
 * Out: the status that it ends with.
 */
#define _GNU_SOURCE

#include "following.h"

/* ---- arguments ---- */

static void arguments_that_are_none(void)
{
    const char *bad_names[1] = {NULL}, *not_utf8[1] = {"\xff"};
    shmirror_subscriber *subscriber = stale;
    shmirror_options *options;
    int fd = -7, i;

    section("arguments_that_are_none");
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_subscribe(NULL, NULL, 0, SHMIRROR_FROM_NOW, NULL));
    FAILS(SHMIRROR_NULL_ARGUMENT, "tables",
          shmirror_subscribe(NULL, NULL, 1, SHMIRROR_FROM_NOW, &subscriber));
    EXPECT(subscriber == NULL);
    STATUS(SHMIRROR_NULL_ARGUMENT,
           shmirror_subscribe(NULL, bad_names, 1, SHMIRROR_FROM_NOW, &subscriber));
    STATUS(SHMIRROR_NOT_UTF8,
           shmirror_subscribe(NULL, not_utf8, 1, SHMIRROR_FROM_NOW, &subscriber));
    STATUS(SHMIRROR_STALE_HANDLE,
           shmirror_subscribe(stale, NULL, 0, SHMIRROR_FROM_NOW, &subscriber));
    OK(shmirror_options_new(&options));
    OK(shmirror_options_instance(options, "no name"));
    STATUS(SHMIRROR_INSTANCE_NAME, shmirror_subscribe(options, NULL, 0, 0, &subscriber));
    OK(shmirror_options_socket(options, "/nonexistent/socket"));
    STATUS(SHMIRROR_NO_DAEMON, shmirror_subscribe(options, NULL, 0, 0, &subscriber));
    EXPECT(subscriber == NULL);
    OK(shmirror_options_close(options));

    for (i = 0; i < 2; i++) {
        const int32_t told = i == 0 ? SHMIRROR_NULL_ARGUMENT : SHMIRROR_STALE_HANDLE;
        void *x = i == 0 ? NULL : stale;

        STATUS(told, shmirror_subscriber_next(x, 0, event));
        STATUS(told, shmirror_subscriber_next_until(x, 0, event));
        STATUS(told, shmirror_subscriber_try_next(x, event));
        STATUS(told, shmirror_subscriber_fd(x, &fd));
        STATUS(told, shmirror_subscriber_resume_from(x, 0));
    }
    OK(shmirror_subscriber_close(NULL));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_subscriber_close(stale));
    subscriber = follow(T, 1, SHMIRROR_FROM_NOW);
    for (i = 0; i < 2; i++) {
        const int32_t told = i == 0 ? SHMIRROR_NULL_ARGUMENT : SHMIRROR_STALE_HANDLE;
        void *x = i == 0 ? NULL : stale;

        insert(1000 + i);
        STATUS(told, shmirror_subscriber_next(subscriber, 0, x));
        STATUS(told, shmirror_subscriber_next_until(subscriber, 0, x));
        STATUS(told, shmirror_subscriber_try_next(subscriber, x));
    }
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_subscriber_fd(subscriber, NULL));
    EXPECT(fd == -7);
    /* Nothing was taken by a call that could not hand it over. */
    expect_next(subscriber, 1000);
    expect_next(subscriber, 1001);
    OK(shmirror_subscriber_close(subscriber));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_subscriber_close(subscriber));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_subscriber_try_next(subscriber, event));
    /* The last event stays after it. */
    expect_insert(1001);
}

/* ---- where it begins, and how it waits ---- */

static void from_now_from_a_revision_from_the_oldest(void)
{
    shmirror_subscriber *now, *some, *all;
    uint64_t first, newest;
    int32_t kind;

    section("from_now_from_a_revision_from_the_oldest");
    first = insert(1);
    insert(2);
    now = follow(T, 1, SHMIRROR_FROM_NOW);
    some = follow(T, 1, first);
    all = follow(NULL, 0, 0);
    newest = insert(3);
    expect_next(now, 3);
    expect_next(some, 1);
    EXPECT(revision_of() == first);
    expect_next(some, 2);
    expect_next(some, 3);
    EXPECT(revision_of() == newest);
    STATUS(SHMIRROR_PENDING, shmirror_subscriber_try_next(some, event));
    /* PENDING leaves the event as it is. */
    expect_insert(3);
    OK(shmirror_subscriber_next(all, LONG, event));
    OK(shmirror_event_kind(event, &kind));
    EXPECT(kind == SHMIRROR_EVENT_SCHEMA);
    /* Back, forth, and to the oldest. */
    OK(shmirror_subscriber_resume_from(some, first));
    expect_next(some, 1);
    OK(shmirror_subscriber_resume_from(some, newest));
    expect_next(some, 3);
    OK(shmirror_subscriber_resume_from(some, 0));
    OK(shmirror_subscriber_next(some, LONG, event));
    EXPECT(revision_of() < first);
    OK(shmirror_subscriber_close(now));
    OK(shmirror_subscriber_close(some));
    OK(shmirror_subscriber_close(all));
}

static void waiting_with_timeouts_and_deadlines(void)
{
    shmirror_subscriber *subscriber = follow(T, 1, SHMIRROR_FROM_NOW);
    uint64_t start;

    section("waiting_with_timeouts_and_deadlines");
    STATUS(SHMIRROR_PENDING, shmirror_subscriber_next(subscriber, 0, event));
    STATUS(SHMIRROR_PENDING, shmirror_subscriber_next_until(subscriber, 0, event));
    start = shmirror_now();
    STATUS(SHMIRROR_PENDING, shmirror_subscriber_next(subscriber, 30 * MS, event));
    EXPECT(shmirror_now() - start >= 30 * MS);
    start = shmirror_now();
    STATUS(SHMIRROR_PENDING, shmirror_subscriber_next_until(subscriber, start + 30 * MS, event));
    EXPECT(shmirror_now() - start >= 30 * MS);
    insert(10);
    insert(11);
    insert(12);
    insert(13);
    OK(shmirror_subscriber_next(subscriber, 0, event));
    expect_insert(10);
    OK(shmirror_subscriber_next_until(subscriber, 0, event));
    expect_insert(11);
    OK(shmirror_subscriber_next(subscriber, SHMIRROR_FOREVER, event));
    expect_insert(12);
    OK(shmirror_subscriber_next_until(subscriber, SHMIRROR_FOREVER, event));
    expect_insert(13);
    OK(shmirror_subscriber_close(subscriber));
}

static void a_table_that_is_not_there_yet(void)
{
    static const char *const names[] = {"later", "never"};
    shmirror_subscriber *subscriber = follow(names, 2, SHMIRROR_FROM_NOW);
    shmirror_value value = shmirror_integer(1);
    const char *table = NULL;
    int32_t kind;

    section("a_table_that_is_not_there_yet");
    insert(20);
    OK(shmirror_execute(producer, "CREATE TABLE later (id INTEGER PRIMARY KEY)", NULL));
    OK(shmirror_insert(producer, "later", ID_V, &value, 1, NULL));
    OK(shmirror_subscriber_next(subscriber, LONG, event));
    OK(shmirror_event_kind(event, &kind));
    EXPECT(kind == SHMIRROR_EVENT_SCHEMA);
    OK(shmirror_subscriber_next(subscriber, LONG, event));
    OK(shmirror_event_table(event, &table));
    EXPECT(strcmp(table, "later") == 0);
    STATUS(SHMIRROR_PENDING, shmirror_subscriber_try_next(subscriber, event));
    OK(shmirror_subscriber_close(subscriber));
}

/* ---- too slow ---- */

#define ROWS 300

static uint64_t insert_large(int64_t id)
{
    static char text[4000];
    shmirror_value row[2];
    shmirror_commit commit;

    memset(text, 'x', sizeof text);
    row[0] = shmirror_integer(id);
    row[1] = shmirror_string_n(text, sizeof text);
    OK(shmirror_insert(producer, "t", ID_V, row, 2, &commit));
    return commit.revision;
}

static void lag_and_resume(void)
{
    shmirror_subscriber *subscriber = follow(T, 1, SHMIRROR_FROM_NOW);
    uint64_t first = 0, newest = 0, missed = 0, first_missed = 0, next;
    int32_t kind;
    int i;

    section("lag_and_resume");
    for (i = 0; i < ROWS; i++) {
        newest = insert_large(1000000 + i);
        first = i == 0 ? newest : first;
    }
    OK(shmirror_subscriber_next(subscriber, LONG, event));
    OK(shmirror_event_kind(event, &kind));
    EXPECT(kind == SHMIRROR_EVENT_LAGGED);
    OK(shmirror_event_lagged(event, &missed, &first_missed));
    EXPECT(first_missed == first && missed > 0 && missed < ROWS);
    /* Told once, it goes on behind the gap ... */
    OK(shmirror_subscriber_next(subscriber, LONG, event));
    next = revision_of();
    EXPECT(next == first + missed);
    expect_insert(1000000 + (int64_t)missed);
    /* ... or goes back, and is told each of them once. */
    OK(shmirror_subscriber_resume_from(subscriber, first_missed));
    for (i = 0; i < ROWS; i++) {
        expect_next(subscriber, 1000000 + i);
        EXPECT(revision_of() == first + (uint64_t)i);
    }
    EXPECT(revision_of() == newest);
    STATUS(SHMIRROR_PENDING, shmirror_subscriber_try_next(subscriber, event));
    OK(shmirror_subscriber_close(subscriber));
}

static void a_revision_that_the_log_no_longer_holds(void)
{
    shmirror_subscriber *subscriber = follow(T, 1, SHMIRROR_FROM_NOW), *none = NULL;
    uint64_t first = insert(500), deadline = soon();
    shmirror_status status;
    int64_t id = 2000000;
    int i;

    section("a_revision_that_the_log_no_longer_holds");
    expect_next(subscriber, 500);
    do {
        EXPECT(shmirror_now() < deadline);
        for (i = 0; i < 100; i++) {
            insert_large(id++);
        }
        OK(shmirror_subscriber_close(none));
        status = shmirror_subscribe(NULL, T, 1, first, &none);
    } while (status == SHMIRROR_OK);
    FAILS(SHMIRROR_TOO_OLD, "oldest", status);
    EXPECT(none == NULL);
    FAILS(SHMIRROR_TOO_OLD, "oldest", shmirror_subscriber_resume_from(subscriber, first));
    /* It stays where it was, and is told that it missed something. */
    OK(shmirror_subscriber_resume_from(subscriber, 0));
    OK(shmirror_subscriber_next(subscriber, LONG, event));
    EXPECT(revision_of() > first);
    OK(shmirror_subscriber_close(subscriber));
}

int main(void)
{
    begin();
    arguments_that_are_none();
    from_now_from_a_revision_from_the_oldest();
    waiting_with_timeouts_and_deadlines();
    a_table_that_is_not_there_yet();
    lag_and_resume();
    a_revision_that_the_log_no_longer_holds();
    end();
    return 0;
}
