/* Every function that follows changes, with right and wrong arguments, through restarts and lag.
 *
 * In: the daemon's socket, in SHMIRROR_SOCKET; its events lane has 256 KiB, its log keeps 4 MiB.
 * Out: what it asks of the test (expect.h), and the status that it ends with.
 */
#define _GNU_SOURCE

#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>

#include "expect.h"

static shmirror_producer *producer;
static shmirror_event *event;

/* A handle that is closed, as any kind. */
static void *stale;

static const char *const T[] = {"t"};
static const char *const ID_V[] = {"id", "v"};

static uint64_t insert(int64_t id)
{
    shmirror_value value = shmirror_integer(id);
    shmirror_commit commit;

    OK(shmirror_insert(producer, "t", ID_V, &value, 1, &commit));
    return commit.revision;
}

static shmirror_subscriber *follow(const char *const *tables, size_t count, uint64_t from)
{
    shmirror_subscriber *subscriber = NULL;

    OK(shmirror_subscribe(NULL, tables, count, from, &subscriber));
    return subscriber;
}

static uint64_t revision_of(void)
{
    uint64_t revision = 0;

    OK(shmirror_event_revision(event, &revision));
    return revision;
}

/* That the event is an insert with this key. */
static void expect_insert(int64_t id)
{
    const shmirror_value *key = NULL;
    const char *table = NULL;
    int32_t kind, operation;
    size_t size;

    OK(shmirror_event_kind(event, &kind));
    EXPECT(kind == SHMIRROR_EVENT_CHANGE);
    OK(shmirror_event_operation(event, &operation));
    EXPECT(operation == SHMIRROR_OPERATION_INSERT);
    OK(shmirror_event_table(event, &table));
    EXPECT(strcmp(table, "t") == 0);
    OK(shmirror_event_key(event, &key, &size));
    EXPECT(size == 1 && key[0].type == SHMIRROR_TYPE_INTEGER);
    EXPECT(key[0].as.integer == id);
}

static void expect_next(shmirror_subscriber *subscriber, int64_t id)
{
    OK(shmirror_subscriber_next(subscriber, LONG, event));
    expect_insert(id);
}

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

/* ---- a descriptor for epoll ---- */

/* Sleeps until the descriptor is readable, then takes what there is: how much. */
static int wake(int set, shmirror_subscriber *subscriber, int64_t from)
{
    struct epoll_event ready;
    shmirror_status status;
    int taken = 0;

    EXPECT(epoll_wait(set, &ready, 1, (int)(LONG / MS)) == 1);
    EXPECT(ready.events == EPOLLIN);
    while ((status = shmirror_subscriber_try_next(subscriber, event)) == SHMIRROR_OK) {
        expect_insert(from + taken);
        taken++;
    }
    STATUS(SHMIRROR_PENDING, status);
    return taken;
}

/* Takes `count` events, however often it is woken for them. */
static void wake_for(int set, shmirror_subscriber *subscriber, int64_t from, int count)
{
    int taken = 0;
    uint64_t deadline = soon();

    while (taken < count) {
        EXPECT(shmirror_now() < deadline);
        taken += wake(set, subscriber, from + taken);
    }
    EXPECT(taken == count);
}

/* Once all was taken the descriptor becomes silent, after at most a few needless wakes. */
static void expect_silence(int set, shmirror_subscriber *subscriber)
{
    struct epoll_event ready;
    uint64_t deadline = soon();

    while (epoll_wait(set, &ready, 1, 0) == 1) {
        EXPECT(shmirror_now() < deadline);
        STATUS(SHMIRROR_PENDING, shmirror_subscriber_try_next(subscriber, event));
    }
}

static void a_descriptor_through_restarts(void)
{
    static const char *const ends[] = {"stop", "kill"};
    shmirror_subscriber *subscriber = follow(T, 1, SHMIRROR_FROM_NOW);
    struct epoll_event wanted, ready;
    struct pollfd polled;
    int set = epoll_create1(EPOLL_CLOEXEC), fd = -1, again = -1;
    int64_t id = 100;
    size_t i;

    section("a_descriptor_through_restarts");
    /* What came before it was asked for is found too. */
    insert(id);
    OK(shmirror_subscriber_fd(subscriber, &fd));
    EXPECT(fd >= 0);
    memset(&wanted, 0, sizeof wanted);
    wanted.events = EPOLLIN;
    EXPECT(epoll_ctl(set, EPOLL_CTL_ADD, fd, &wanted) == 0);
    wake_for(set, subscriber, id, 1);
    expect_silence(set, subscriber);
    EXPECT(epoll_wait(set, &ready, 1, 0) == 0);
    id++;
    insert(id);
    insert(id + 1);
    polled.fd = fd;
    polled.events = POLLIN;
    EXPECT(poll(&polled, 1, (int)(LONG / MS)) == 1);
    wake_for(set, subscriber, id, 2);
    id += 2;
    /* A look by the other function silences it too. */
    insert(id);
    OK(shmirror_subscriber_next(subscriber, LONG, event));
    expect_insert(id);
    STATUS(SHMIRROR_PENDING, shmirror_subscriber_next(subscriber, 0, event));
    expect_silence(set, subscriber);
    EXPECT(epoll_wait(set, &ready, 1, 0) == 0);
    id++;

    for (i = 0; i < COUNT(ends); i++) {
        insert(id);
        ask(ends[i]);
        ask("start");
        insert(id + 1);
        wake_for(set, subscriber, id, 2);
        id += 2;
        OK(shmirror_subscriber_fd(subscriber, &again));
        EXPECT(again == fd);
        insert(id);
        wake_for(set, subscriber, id, 1);
        id++;
        expect_silence(set, subscriber);
    }
    EXPECT(close(set) == 0);
    OK(shmirror_subscriber_close(subscriber));
}

/* ---- restarts under one that waits, and one that only looks ---- */

struct following {
    shmirror_subscriber *subscriber;
    shmirror_event *event;
    pthread_t thread;
    int started;
    shmirror_status status;
};

static void *follows(void *argument)
{
    struct following *following = argument;

    __atomic_store_n(&following->started, 1, __ATOMIC_RELEASE);
    /* BUSY: the other one is looking whether we are at it. */
    do {
        following->status =
            shmirror_subscriber_next(following->subscriber, SHMIRROR_FOREVER, following->event);
    } while (following->status == SHMIRROR_BUSY);
    return NULL;
}

/* Another thread waits for the next event, and is at it. */
static void begin_following(struct following *following, shmirror_subscriber *subscriber)
{
    uint64_t deadline = soon();
    int fd;

    memset(following, 0, sizeof *following);
    following->subscriber = subscriber;
    following->event = event;
    EXPECT(pthread_create(&following->thread, NULL, follows, following) == 0);
    while (__atomic_load_n(&following->started, __ATOMIC_ACQUIRE) == 0
           || shmirror_subscriber_fd(subscriber, &fd) != SHMIRROR_BUSY) {
        EXPECT(shmirror_now() < deadline);
    }
}

static void end_following(struct following *following, int64_t id)
{
    EXPECT(pthread_join(following->thread, NULL) == 0);
    OK(following->status);
    expect_insert(id);
}

static void restarts_under_waiting_and_looking(void)
{
    static const char *const ends[] = {"stop", "kill"};
    shmirror_subscriber *waiting = follow(T, 1, SHMIRROR_FROM_NOW);
    shmirror_subscriber *looking = follow(T, 1, SHMIRROR_FROM_NOW);
    struct following following;
    shmirror_status status;
    uint64_t deadline = soon();
    int64_t id = 200;
    size_t i;

    section("restarts_under_waiting_and_looking");
    for (i = 0; i < COUNT(ends); i++, id++) {
        begin_following(&following, waiting);
        ask(ends[i]);
        ask("start");
        insert(id);
        end_following(&following, id);
        while ((status = shmirror_subscriber_next(looking, 0, event)) == SHMIRROR_PENDING) {
            EXPECT(shmirror_now() < deadline);
            nap();
        }
        OK(status);
        expect_insert(id);
    }
    OK(shmirror_subscriber_close(waiting));
    OK(shmirror_subscriber_close(looking));
}

static void one_thread_at_a_time(void)
{
    shmirror_subscriber *subscriber = follow(T, 1, SHMIRROR_FROM_NOW);
    shmirror_subscriber *other = follow(T, 1, SHMIRROR_FROM_NOW);
    shmirror_event *mine = NULL;
    struct following following;

    section("one_thread_at_a_time");
    OK(shmirror_event_new(&mine));
    begin_following(&following, subscriber);
    STATUS(SHMIRROR_BUSY, shmirror_subscriber_next(subscriber, 0, mine));
    STATUS(SHMIRROR_BUSY, shmirror_subscriber_next_until(subscriber, 0, mine));
    STATUS(SHMIRROR_BUSY, shmirror_subscriber_try_next(subscriber, mine));
    STATUS(SHMIRROR_BUSY, shmirror_subscriber_resume_from(subscriber, 0));
    STATUS(SHMIRROR_BUSY, shmirror_subscriber_close(subscriber));
    insert(300);
    end_following(&following, 300);
    /* The event is busy: none is lost. */
    begin_following(&following, subscriber);
    STATUS(SHMIRROR_BUSY, shmirror_subscriber_try_next(other, following.event));
    insert(301);
    end_following(&following, 301);
    expect_next(other, 300);
    expect_next(other, 301);
    OK(shmirror_event_close(mine));
    OK(shmirror_subscriber_close(other));
    OK(shmirror_subscriber_close(subscriber));
}

static void a_forked_child(void)
{
    shmirror_subscriber *busy = follow(T, 1, SHMIRROR_FROM_NOW);
    shmirror_subscriber *idle = follow(T, 1, SHMIRROR_FROM_NOW);
    shmirror_event *mine = NULL;
    struct following following;
    struct pollfd polled;
    int fd = -1, none = -7;
    pid_t child;

    section("a_forked_child");
    OK(shmirror_event_new(&mine));
    OK(shmirror_subscriber_fd(idle, &fd));
    STATUS(SHMIRROR_PENDING, shmirror_subscriber_try_next(idle, mine));
    begin_following(&following, busy);
    child = fork();
    if (child == 0) {
        alarm(60);
        STATUS(SHMIRROR_FORKED, shmirror_subscriber_next(idle, SHMIRROR_FOREVER, mine));
        STATUS(SHMIRROR_FORKED, shmirror_subscriber_next_until(idle, 0, mine));
        STATUS(SHMIRROR_FORKED, shmirror_subscriber_try_next(idle, mine));
        STATUS(SHMIRROR_FORKED, shmirror_subscriber_resume_from(idle, 0));
        STATUS(SHMIRROR_FORKED, shmirror_subscriber_fd(idle, &none));
        EXPECT(none == -7);
        STATUS(SHMIRROR_FORKED, shmirror_subscriber_try_next(busy, mine));
        OK(shmirror_subscriber_close(busy));
        OK(shmirror_subscriber_close(idle));
        STATUS(SHMIRROR_STALE_HANDLE, shmirror_subscriber_try_next(idle, mine));
        OK(shmirror_producer_close(producer));
        /* Anew. */
        idle = follow(T, 1, SHMIRROR_FROM_NOW);
        OK(shmirror_producer_attach(NULL, &producer));
        insert(400);
        OK(shmirror_subscriber_next(idle, LONG, mine));
        OK(shmirror_subscriber_close(idle));
        OK(shmirror_producer_close(producer));
        _exit(0);
    }
    expect_child(child);
    /* The parent goes on: who waits, who is woken, and who looks. */
    end_following(&following, 400);
    polled.fd = fd;
    polled.events = POLLIN;
    EXPECT(poll(&polled, 1, (int)(LONG / MS)) == 1);
    expect_next(idle, 400);
    insert(401);
    EXPECT(poll(&polled, 1, (int)(LONG / MS)) == 1);
    expect_next(idle, 401);
    expect_next(busy, 401);
    OK(shmirror_event_close(mine));
    OK(shmirror_subscriber_close(idle));
    OK(shmirror_subscriber_close(busy));
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

static void another_instance(void)
{
    shmirror_subscriber *subscriber = follow(T, 1, SHMIRROR_FROM_NOW);

    section("another_instance");
    ask("other");
    STATUS(SHMIRROR_OTHER_INSTANCE, shmirror_subscriber_next(subscriber, LONG, event));
    OK(shmirror_subscriber_resume_from(subscriber, 0));
    OK(shmirror_producer_close(producer));
    OK(shmirror_producer_attach(NULL, &producer));
    OK(shmirror_execute(producer, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", NULL));
    insert(1);
    OK(shmirror_subscriber_next(subscriber, LONG, event));
    expect_next(subscriber, 1);
    OK(shmirror_subscriber_close(subscriber));
}

int main(void)
{
    shmirror_options *options = NULL;

    OK(shmirror_options_new(&options));
    stale = options;
    OK(shmirror_options_close(options));
    OK(shmirror_producer_attach(NULL, &producer));
    OK(shmirror_producer_set_timeout(producer, LONG));
    OK(shmirror_event_new(&event));
    OK(shmirror_execute(producer, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", NULL));

    arguments_that_are_none();
    from_now_from_a_revision_from_the_oldest();
    waiting_with_timeouts_and_deadlines();
    a_table_that_is_not_there_yet();
    a_descriptor_through_restarts();
    restarts_under_waiting_and_looking();
    one_thread_at_a_time();
    a_forked_child();
    lag_and_resume();
    a_revision_that_the_log_no_longer_holds();
    another_instance();

    OK(shmirror_event_close(event));
    OK(shmirror_producer_close(producer));
    return 0;
}
