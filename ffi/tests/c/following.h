/* What the tests of following share: a producer, an event, and what is expected of it. */
#ifndef FOLLOWING_H
#define FOLLOWING_H

#include "expect.h"

UNUSED static shmirror_producer *producer;
UNUSED static shmirror_event *event;

/* A handle that is closed, as any kind. */
UNUSED static void *stale;

UNUSED static const char *const T[] = {"t"};
UNUSED static const char *const ID_V[] = {"id", "v"};

UNUSED static uint64_t insert(int64_t id)
{
    shmirror_value value = shmirror_integer(id);
    shmirror_commit commit;

    OK(shmirror_insert(producer, "t", ID_V, &value, 1, &commit));
    return commit.revision;
}

UNUSED static shmirror_subscriber *follow(const char *const *tables, size_t count, uint64_t from)
{
    shmirror_subscriber *subscriber = NULL;

    OK(shmirror_subscribe(NULL, tables, count, from, &subscriber));
    return subscriber;
}

UNUSED static uint64_t revision_of(void)
{
    uint64_t revision = 0;

    OK(shmirror_event_revision(event, &revision));
    return revision;
}

/* That the event is an insert with this key. */
UNUSED static void expect_insert(int64_t id)
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

UNUSED static void expect_next(shmirror_subscriber *subscriber, int64_t id)
{
    OK(shmirror_subscriber_next(subscriber, LONG, event));
    expect_insert(id);
}

/* Attaches, and makes what the tests begin with. */
UNUSED static void begin(void)
{
    shmirror_options *options = NULL;

    OK(shmirror_options_new(&options));
    stale = options;
    OK(shmirror_options_close(options));
    OK(shmirror_producer_attach(NULL, &producer));
    OK(shmirror_producer_set_timeout(producer, LONG));
    OK(shmirror_event_new(&event));
    OK(shmirror_execute(producer, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", NULL));
}

UNUSED static void end(void)
{
    OK(shmirror_event_close(event));
    OK(shmirror_producer_close(producer));
}

#endif
