/* Subscribers, histories and events. */

#ifndef FOLLOWING_H
#define FOLLOWING_H

#include "world.h"

static void misuse_of_a_subscriber(void)
{
    shmirror_subscriber *s = LIVE(shmirror_subscriber);
    shmirror_subscriber *made;
    shmirror_options *o = LIVE(shmirror_options);
    shmirror_event *event = LIVE(shmirror_event);
    int fd = 77;

    CLOSES(shmirror_subscriber, subscriber);
    MAKES(shmirror_subscriber, shmirror_subscribe(o, NULL, 0, SHMIRROR_FROM_NOW, out));
    MAY_BE_NULL(options, shmirror_subscribe(NULL, NULL, 0, SHMIRROR_FROM_NOW, &made));
    OK(shmirror_subscriber_close(made));
    STALE(shmirror_options, options, shmirror_subscribe(it, NULL, 0, SHMIRROR_FROM_NOW, &made));
    THAT(made == NULL);
    TEXTS(tables, shmirror_subscribe(o, texts, 1, SHMIRROR_FROM_NOW, &made));
    COUNT(count, shmirror_subscribe(o, &(const char *){"t"}, many, SHMIRROR_FROM_NOW, &made));
#define FOLLOWER(call) HANDLE(shmirror_subscriber, subscriber, call)
    FOLLOWER(shmirror_subscriber_next(it, 0, event));
    FOLLOWER(shmirror_subscriber_next_until(it, 0, event));
    FOLLOWER(shmirror_subscriber_try_next(it, event));
    FOLLOWER(shmirror_subscriber_fd(it, &fd));
    FOLLOWER(shmirror_subscriber_resume_from(it, 0));
    THAT(fd == 77);
    IS_NULL(fd, shmirror_subscriber_fd(s, NULL));

    /* An event that cannot be handed over is not taken. */
    while (shmirror_subscriber_try_next(s, event) == SHMIRROR_OK) {
        /* what came before this */
    }
    OK(shmirror_execute(LIVE(shmirror_producer), "UPDATE t SET n = n WHERE id = 1", NULL));
    OK(shmirror_execute(LIVE(shmirror_producer), "UPDATE t SET n = 11 WHERE id = 1", NULL));
    HANDLE(shmirror_event, event, shmirror_subscriber_next(s, PATIENCE, it));
    HANDLE(shmirror_event, event, shmirror_subscriber_next_until(s, SHMIRROR_FOREVER, it));
    HANDLE(shmirror_event, event, shmirror_subscriber_try_next(s, it));
    OK(shmirror_subscriber_next(s, PATIENCE, event));
    IS(SHMIRROR_PENDING, shmirror_subscriber_next(s, 0, event));
    IS(SHMIRROR_PENDING, shmirror_subscriber_next(s, 1000000, event));
    IS(SHMIRROR_PENDING, shmirror_subscriber_next_until(s, 0, event));
    IS(SHMIRROR_PENDING, shmirror_subscriber_try_next(s, event));
    OK(shmirror_execute(LIVE(shmirror_producer), "UPDATE t SET n = 10 WHERE id = 1", NULL));
    OK(shmirror_subscriber_next_until(s, SHMIRROR_FOREVER, event));
    OK(shmirror_subscriber_resume_from(s, UINT64_MAX - 1));
    OK(shmirror_subscriber_resume_from(s, 0));
    OK(shmirror_subscriber_try_next(s, event));
}

static void misuse_of_a_history(void)
{
    shmirror_history *h = LIVE(shmirror_history);
    shmirror_event *event = LIVE(shmirror_event);
    uint64_t first = 0;
    uint64_t revision = 77;
    int32_t status;

    CLOSES(shmirror_history, history);
    HANDLE(shmirror_history, history, shmirror_history_next(it, event));
    HANDLE(shmirror_event, event, shmirror_history_next(h, it));
    OK(shmirror_history_next(h, event));
    OK(shmirror_event_revision(event, &first));
    THAT(first == 1);
    do {
        status = shmirror_history_next(h, event);
    } while (status == SHMIRROR_OK);
    IS(SHMIRROR_END, status);
    IS(SHMIRROR_END, shmirror_history_next(h, event));
    OK(shmirror_event_revision(event, &revision));
    THAT(revision > first && revision != 77);
}

/* Fills the event with the first one of this kind and, for changes, operation. */
static void fill(shmirror_event *event, int32_t kind, int32_t operation)
{
    shmirror_history *history;
    int32_t found = -1;
    int32_t what = -1;
    OK(shmirror_mirror_history(LIVE(shmirror_mirror), 0, NULL, 0, &history));
    while (found != kind || (kind == SHMIRROR_EVENT_CHANGE && what != operation)) {
        if (shmirror_history_next(history, event) != SHMIRROR_OK) {
            THAT(!"there is such an event");
            break;
        }
        OK(shmirror_event_kind(event, &found));
        if (found == SHMIRROR_EVENT_CHANGE) {
            OK(shmirror_event_operation(event, &what));
        }
    }
    OK(shmirror_history_close(history));
}

static void misuse_of_an_event(void)
{
    shmirror_event *e;
    shmirror_row *row = LIVE(shmirror_row);
    int32_t i32 = 77;
    uint64_t u64 = 77;
    uint64_t other = 77;
    uint32_t u32 = 77;
    int64_t i64 = 77;
    bool truth = true;
    size_t count = 77;
    const char *name = NULL;
    const shmirror_value *values = NULL;

    CLOSES(shmirror_event, event);
    MAKES(shmirror_event, shmirror_event_new(out));
    OK(shmirror_event_new(&e));
#define TOLD(call) HANDLE(shmirror_event, event, call)
    TOLD(shmirror_event_kind(it, &i32));
    TOLD(shmirror_event_revision(it, &u64));
    TOLD(shmirror_event_sequence(it, &u64));
    TOLD(shmirror_event_table(it, &name));
    TOLD(shmirror_event_operation(it, &i32));
    TOLD(shmirror_event_key(it, &values, &count));
    TOLD(shmirror_event_row(it, row));
    TOLD(shmirror_event_uid(it, &u32));
    TOLD(shmirror_event_pid(it, &u32));
    TOLD(shmirror_event_at_us(it, &i64));
    TOLD(shmirror_event_is_last(it, &truth));
    TOLD(shmirror_event_names_count(it, SHMIRROR_NAMES_COLUMNS, &count));
    TOLD(shmirror_event_name(it, SHMIRROR_NAMES_COLUMNS, 0, &name));
    TOLD(shmirror_event_lagged(it, &u64, &other));
    TOLD(shmirror_event_json(it, NULL, 0, NULL));

    /* An event that was never filled has nothing but its kind. */
    OK(shmirror_event_kind(e, &i32));
    THAT(i32 == SHMIRROR_EVENT_NONE);
#define OF_NO_EVENT()                                                                              \
    do {                                                                                           \
        IS(SHMIRROR_USAGE, shmirror_event_sequence(e, &u64));                                      \
        IS(SHMIRROR_USAGE, shmirror_event_table(e, &name));                                        \
        IS(SHMIRROR_USAGE, shmirror_event_operation(e, &i32));                                     \
        IS(SHMIRROR_USAGE, shmirror_event_key(e, &values, &count));                                \
        IS(SHMIRROR_USAGE, shmirror_event_row(e, row));                                            \
        IS(SHMIRROR_USAGE, shmirror_event_is_last(e, &truth));                                     \
        IS(SHMIRROR_USAGE, shmirror_event_names_count(e, SHMIRROR_NAMES_COLUMNS, &count));         \
        IS(SHMIRROR_USAGE, shmirror_event_name(e, SHMIRROR_NAMES_COLUMNS, 0, &name));              \
        IS(SHMIRROR_USAGE, shmirror_event_lagged(e, &u64, &other));                                \
    } while (0)
    OF_NO_EVENT();
    IS(SHMIRROR_USAGE, shmirror_event_revision(e, &u64));
    IS(SHMIRROR_USAGE, shmirror_event_uid(e, &u32));
    IS(SHMIRROR_USAGE, shmirror_event_pid(e, &u32));
    IS(SHMIRROR_USAGE, shmirror_event_at_us(e, &i64));
    IS(SHMIRROR_USAGE, shmirror_event_names_count(e, SHMIRROR_NAMES_CREATED, &count));
    IS(SHMIRROR_USAGE, shmirror_event_json(e, NULL, 0, NULL));
    THAT(u64 == 77 && other == 77 && u32 == 77 && i64 == 77 && count == 77 && truth);
    THAT(name == NULL && values == NULL);

    /* One of the schema has no row; its lists are others. */
    fill(e, SHMIRROR_EVENT_SCHEMA, 0);
    OF_NO_EVENT();
    OK(shmirror_event_names_count(e, SHMIRROR_NAMES_CREATED, &count));
    THAT(count == 2);
    RANGE(index, shmirror_event_name(e, SHMIRROR_NAMES_CREATED, 2, &name));
    RANGE(index, shmirror_event_name(e, SHMIRROR_NAMES_DROPPED, 0, &name));
    OK(shmirror_event_name(e, SHMIRROR_NAMES_CREATED, 1, &name));
    THAT(strcmp(name, "words") == 0);
    BUFFER(shmirror_event_json(e, buffer, size, length));

    fill(e, SHMIRROR_EVENT_CHANGE, SHMIRROR_OPERATION_UPDATE);
    IS_NULL(kind, shmirror_event_kind(e, NULL));
    IS_NULL(revision, shmirror_event_revision(e, NULL));
    IS_NULL(sequence, shmirror_event_sequence(e, NULL));
    IS_NULL(name, shmirror_event_table(e, NULL));
    IS_NULL(operation, shmirror_event_operation(e, NULL));
    IS_NULL(values, shmirror_event_key(e, NULL, &count));
    IS_NULL(count, shmirror_event_key(e, &values, NULL));
    HANDLE(shmirror_row, row, shmirror_event_row(e, it));
    IS_NULL(uid, shmirror_event_uid(e, NULL));
    IS_NULL(pid, shmirror_event_pid(e, NULL));
    IS_NULL(at_us, shmirror_event_at_us(e, NULL));
    IS_NULL(is_last, shmirror_event_is_last(e, NULL));
    IS_NULL(count, shmirror_event_names_count(e, SHMIRROR_NAMES_COLUMNS, NULL));
    IS_NULL(name, shmirror_event_name(e, SHMIRROR_NAMES_COLUMNS, 0, NULL));
    IS_NULL(missed, shmirror_event_lagged(e, NULL, &other));
    IS_NULL(first_revision, shmirror_event_lagged(e, &u64, NULL));
    IS(SHMIRROR_USAGE, shmirror_event_lagged(e, &u64, &other));
    IS(SHMIRROR_USAGE, shmirror_event_names_count(e, SHMIRROR_NAMES_CREATED, &count));
    RANGE(which, shmirror_event_names_count(e, 4, &count));
    RANGE(which, shmirror_event_names_count(e, -1, &count));
    RANGE(which, shmirror_event_name(e, 4, 0, &name));
    RANGE(which, shmirror_event_name(e, INT32_MIN, 0, &name));
    RANGE(index, shmirror_event_name(e, SHMIRROR_NAMES_COLUMNS, SIZE_MAX, &name));
    THAT(values == NULL);
    fill(e, SHMIRROR_EVENT_CHANGE, SHMIRROR_OPERATION_DELETE);
    IS(SHMIRROR_NOT_FOUND, shmirror_event_row(e, row));
    OK(shmirror_event_names_count(e, SHMIRROR_NAMES_COLUMNS, &count));
    THAT(count == 0);
    OK(shmirror_event_close(e));
}

#endif /* FOLLOWING_H */
