/* A subscriber's descriptor, its threads and forks, and restarts of the daemon under it.
 *
 * In: the daemon's socket, in SHMIRROR_SOCKET. Out: what it asks of the test (expect.h), and the
 * status that it ends with.
 */
#define _GNU_SOURCE

#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>

#include "following.h"

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
    begin();
    a_descriptor_through_restarts();
    restarts_under_waiting_and_looking();
    one_thread_at_a_time();
    a_forked_child();
    another_instance();
    end();
    return 0;
}
