/* Says who changed what: subscriber [--from REVISION] [TABLE...].
 *
 * A subscriber is one descriptor in a program's own event loop: here beside a timer and the signals
 * that end the program. It follows through restarts of the daemon; where it was too slow for the
 * events lane it goes back to the commit log, so that nothing is missing. */
#define _POSIX_C_SOURCE 200809L /* for signals and clocks, under -std=c99 */

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <shmirror.h>

/* Events that are taken before the other descriptors have their turn. */
#define BATCH 1000

struct follower {
    shmirror_subscriber *subscriber;
    shmirror_event *event;
    shmirror_row *row;
    int epoll_fd;
    int signal_fd;
    int timer_fd;
    bool more; /* the subscriber may have more, though its descriptor is silent */
    bool done;
    uint64_t inserts, updates, deletes, schemas, lags;
    uint64_t told;     /* changes that the last line of the timer counted */
    uint64_t revision; /* of the newest event */
    bool whole;        /* that event was the last of its transaction */
};

/* Says why a call of the library failed. */
static int failed(shmirror_status status)
{
    /* Statuses below 16 are outcomes, not failures, and set no message. */
    const char *why = status < 16 ? shmirror_strerror(status) : shmirror_last_message();
    fprintf(stderr, "subscriber: %s: %s\n", shmirror_status_name(status), why);
    return 1;
}

/* Says why a call of the system failed. */
static int system_failed(const char *call)
{
    fprintf(stderr, "subscriber: %s: %s\n", call, strerror(errno));
    return 1;
}

/* Text in quotes, on one line whatever is in it. */
static void print_text(const shmirror_text *text)
{
    putchar('\'');
    for (size_t i = 0; i < text->size; i++) {
        const unsigned char byte = (unsigned char)text->data[i];
        if (byte < ' ' || byte == 0x7f) {
            printf("\\x%02x", byte);
        } else if (byte == '\'') {
            fputs("''", stdout);
        } else {
            putchar(byte);
        }
    }
    putchar('\'');
}

static void print_value(const shmirror_value *value)
{
    switch (value->type) {
    case SHMIRROR_TYPE_NULL:
        printf("NULL");
        break;
    case SHMIRROR_TYPE_INTEGER:
        printf("%" PRId64, value->as.integer);
        break;
    case SHMIRROR_TYPE_REAL:
        printf("%.17g", value->as.real);
        break;
    case SHMIRROR_TYPE_TEXT:
        print_text(&value->as.text);
        break;
    case SHMIRROR_TYPE_BLOB:
        printf("a blob of %zu bytes", value->as.blob.size);
        break;
    default:
        printf("?");
        break;
    }
}

/* The columns that are new, with their values; a delete has none. */
static shmirror_status print_columns(struct follower *f)
{
    size_t count = 0;
    shmirror_status status = shmirror_event_row(f->event, f->row);
    if (status == SHMIRROR_NOT_FOUND) {
        return SHMIRROR_OK;
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_event_names_count(f->event, SHMIRROR_NAMES_COLUMNS, &count);
    }
    for (size_t i = 0; status == SHMIRROR_OK && i < count; i++) {
        const char *name = NULL;
        size_t index = 0;
        shmirror_value value;
        status = shmirror_event_name(f->event, SHMIRROR_NAMES_COLUMNS, i, &name);
        if (status == SHMIRROR_OK) {
            status = shmirror_row_find(f->row, name, &index);
        }
        if (status == SHMIRROR_OK) {
            status = shmirror_row_value(f->row, index, &value);
        }
        if (status == SHMIRROR_OK) {
            printf("  %s=", name);
            print_value(&value);
        }
    }
    return status;
}

static shmirror_status print_change(struct follower *f)
{
    const char *table = "", *what = "";
    const shmirror_value *key = NULL;
    size_t key_size = 0;
    int32_t operation = 0;
    uint32_t uid = 0, pid = 0;
    shmirror_status status = shmirror_event_table(f->event, &table);
    if (status == SHMIRROR_OK) {
        status = shmirror_event_operation(f->event, &operation);
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_event_key(f->event, &key, &key_size);
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_event_is_last(f->event, &f->whole);
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_event_uid(f->event, &uid);
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_event_pid(f->event, &pid);
    }
    if (status != SHMIRROR_OK) {
        return status;
    }
    switch (operation) {
    case SHMIRROR_OPERATION_INSERT:
        what = "insert";
        f->inserts++;
        break;
    case SHMIRROR_OPERATION_UPDATE:
        what = "update";
        f->updates++;
        break;
    case SHMIRROR_OPERATION_DELETE:
        what = "delete";
        f->deletes++;
        break;
    }
    printf("revision %" PRIu64 "  %s  %s  key ", f->revision, table, what);
    for (size_t i = 0; i < key_size; i++) {
        fputs(i > 0 ? ", " : "", stdout);
        print_value(&key[i]);
    }
    status = print_columns(f);
    printf("  uid %" PRIu32 " pid %" PRIu32 "\n", uid, pid);
    return status;
}

static shmirror_status print_names(const struct follower *f, int32_t which, const char *what)
{
    size_t count = 0;
    shmirror_status status = shmirror_event_names_count(f->event, which, &count);
    for (size_t i = 0; status == SHMIRROR_OK && i < count; i++) {
        const char *name = NULL;
        status = shmirror_event_name(f->event, which, i, &name);
        if (status == SHMIRROR_OK) {
            printf("  %s %s", what, name);
        }
    }
    return status;
}

static shmirror_status print_schema(struct follower *f)
{
    shmirror_status status;
    f->schemas++;
    f->whole = false; /* rows may have been changed with it */
    printf("revision %" PRIu64 "  schema", f->revision);
    status = print_names(f, SHMIRROR_NAMES_CREATED, "created");
    if (status == SHMIRROR_OK) {
        status = print_names(f, SHMIRROR_NAMES_CHANGED, "changed");
    }
    if (status == SHMIRROR_OK) {
        status = print_names(f, SHMIRROR_NAMES_DROPPED, "dropped");
    }
    putchar('\n');
    return status;
}

/* Too slow, or away for too long: back to the first revision of which something is missing. */
static shmirror_status resume(struct follower *f)
{
    uint64_t missed = 0, first = 0;
    shmirror_status status = shmirror_event_lagged(f->event, &missed, &first);
    if (status != SHMIRROR_OK) {
        return status;
    }
    f->lags++;
    status = shmirror_subscriber_resume_from(f->subscriber, first);
    if (status == SHMIRROR_OK) {
        fprintf(stderr, "subscriber: %" PRIu64 " missed: resuming from revision %" PRIu64 "\n",
                missed, first);
    } else if (status == SHMIRROR_TOO_OLD) {
        /* The log is kept for days unless configured; what is gone from there is gone. */
        fprintf(stderr, "subscriber: %s; going on behind the gap\n", shmirror_last_message());
        status = SHMIRROR_OK;
    }
    return status;
}

static shmirror_status handle(struct follower *f)
{
    int32_t kind = SHMIRROR_EVENT_NONE;
    shmirror_status status = shmirror_event_kind(f->event, &kind);
    if (status == SHMIRROR_OK && kind == SHMIRROR_EVENT_LAGGED) {
        return resume(f);
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_event_revision(f->event, &f->revision);
    }
    if (status != SHMIRROR_OK) {
        return status;
    }
    switch (kind) {
    case SHMIRROR_EVENT_CHANGE:
        return print_change(f);
    case SHMIRROR_EVENT_SCHEMA:
        return print_schema(f);
    default:
        return SHMIRROR_OK; /* of a newer library: nothing that we know of */
    }
}

/* Takes what there is. Only SHMIRROR_PENDING silences the descriptor: where we stop before, we must
 * come back without being woken. */
static int take_events(struct follower *f)
{
    f->more = true;
    for (int i = 0; i < BATCH; i++) {
        shmirror_status status = shmirror_subscriber_try_next(f->subscriber, f->event);
        if (status == SHMIRROR_PENDING) {
            f->more = false;
            break;
        }
        if (status == SHMIRROR_OK) {
            status = handle(f);
        }
        if (status != SHMIRROR_OK) {
            return failed(status);
        }
    }
    return fflush(stdout) == 0 ? 0 : system_failed("standard output");
}

static int take_signal(struct follower *f)
{
    struct signalfd_siginfo signal;
    if (read(f->signal_fd, &signal, sizeof signal) < 0) {
        return errno == EAGAIN ? 0 : system_failed("signalfd");
    }
    f->done = true;
    return 0;
}

/* Once a second: how it goes, where anything does. */
static int take_time(struct follower *f)
{
    const uint64_t changes = f->inserts + f->updates + f->deletes;
    uint64_t times;
    if (read(f->timer_fd, &times, sizeof times) < 0) {
        return errno == EAGAIN ? 0 : system_failed("timerfd");
    }
    if (changes > f->told) {
        fprintf(stderr, "subscriber: %" PRIu64 " changes, revision %" PRIu64 "\n", changes,
                f->revision);
        f->told = changes;
    }
    return 0;
}

static int add(struct follower *f, int fd)
{
    struct epoll_event event = {0};
    event.events = EPOLLIN;
    event.data.fd = fd;
    return epoll_ctl(f->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : system_failed("epoll_ctl");
}

/* The program's own event loop: the subscriber is one descriptor among others. */
static int loop(struct follower *f)
{
    int subscriber_fd = -1;
    int result = 0;
    shmirror_status status = shmirror_subscriber_fd(f->subscriber, &subscriber_fd);
    if (status != SHMIRROR_OK) {
        return failed(status);
    }
    if (add(f, subscriber_fd) != 0 || add(f, f->signal_fd) != 0 || add(f, f->timer_fd) != 0) {
        return 1;
    }
    while (result == 0 && !f->done) {
        struct epoll_event events[3];
        const int count = epoll_wait(f->epoll_fd, events, 3, f->more ? 0 : -1);
        bool take = f->more;
        if (count < 0 && errno != EINTR) {
            return system_failed("epoll_wait");
        }
        for (int i = 0; result == 0 && i < count; i++) {
            if (events[i].data.fd == f->signal_fd) {
                result = take_signal(f);
            } else if (events[i].data.fd == f->timer_fd) {
                result = take_time(f);
            } else {
                take = true;
            }
        }
        if (result == 0 && take) {
            result = take_events(f);
        }
    }
    return result;
}

/* The descriptors of signals and time. Signals that come through a descriptor must be blocked in every
 * thread: block them before the first one is started. The library's own threads block all. */
static int open_descriptors(struct follower *f)
{
    struct itimerspec second = {{1, 0}, {1, 0}};
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    if (sigprocmask(SIG_BLOCK, &ends, NULL) != 0) {
        return system_failed("sigprocmask");
    }
    f->signal_fd = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
    if (f->signal_fd < 0) {
        return system_failed("signalfd");
    }
    f->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (f->timer_fd < 0 || timerfd_settime(f->timer_fd, 0, &second, NULL) != 0) {
        return system_failed("timerfd");
    }
    f->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return f->epoll_fd < 0 ? system_failed("epoll_create1") : 0;
}

static int subscribe(struct follower *f, uint64_t from, const char *const *tables, size_t count)
{
    shmirror_options *options;
    shmirror_status status = shmirror_options_new(&options);
    if (status == SHMIRROR_OK) {
        status = shmirror_options_program(options, "subscriber");
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_options_attach_timeout(options, UINT64_C(10000000000));
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_subscribe(options, tables, count, from, &f->subscriber);
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_event_new(&f->event);
    }
    if (status == SHMIRROR_OK) {
        status = shmirror_row_new(&f->row);
    }
    shmirror_options_close(options);
    return status == SHMIRROR_OK ? 0 : failed(status);
}

int main(int argc, char **argv)
{
    struct follower f = {0};
    uint64_t from = SHMIRROR_FROM_NOW;
    int first = 1;
    int result;
    if (argc > 1 && argv[1][0] == '-') {
        char *rest = "";
        errno = 0;
        if (argc > 2 && strcmp(argv[1], "--from") == 0 && argv[2][0] != '-') {
            from = strtoull(argv[2], &rest, 10);
            first = 3;
        }
        if (first == 1 || *rest != '\0' || rest == argv[2] || errno != 0) {
            fprintf(stderr, "usage: subscriber [--from REVISION] [TABLE...]\n");
            return 2;
        }
    }
    if (SHMIRROR_CHECK_VERSION() != SHMIRROR_OK) {
        return failed(SHMIRROR_VERSION);
    }

    f.epoll_fd = f.signal_fd = f.timer_fd = -1;
    result = open_descriptors(&f);
    if (result == 0) {
        result = subscribe(&f, from, (const char *const *)(argv + first), (size_t)(argc - first));
    }
    if (result == 0) {
        fprintf(stderr, "subscriber: following\n");
        result = loop(&f);
    }
    if (result == 0) {
        printf("%" PRIu64 " inserts, %" PRIu64 " updates, %" PRIu64 " deletes, %" PRIu64
               " changes of the schema, lagged %" PRIu64 " times\n",
               f.inserts, f.updates, f.deletes, f.schemas, f.lags);
        if (f.revision > 0) {
            /* In the middle of a transaction: better twice than not at all. */
            printf("to go on from here: --from %" PRIu64 "\n", f.revision + (f.whole ? 1 : 0));
        }
        if (fflush(stdout) != 0) {
            result = system_failed("standard output");
        }
    }

    shmirror_row_close(f.row);
    shmirror_event_close(f.event);
    shmirror_subscriber_close(f.subscriber);
    for (int i = 0, fds[] = {f.epoll_fd, f.signal_fd, f.timer_fd}; i < 3; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    return result;
}
