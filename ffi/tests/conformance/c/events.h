/* Lines that follow changes, as they come and out of the commit log. */

#ifndef EVENTS_H
#define EVENTS_H

#include <unistd.h>

#include "state.h"

static void put_names(const char *label, int32_t which)
{
    size_t count, i;
    sure(shmirror_event_names_count(event, which, &count));
    printf(" %s", label);
    for (i = 0; i < count; i++) {
        const char *name;
        sure(shmirror_event_name(event, which, i, &name));
        putchar(i == 0 ? '=' : ',');
        put_name(stdout, name);
    }
}

static void put_event(bool as_json)
{
    int32_t kind, operation, status;
    uint64_t revision, sequence;
    uint32_t uid, pid;
    int64_t at_us;
    const char *table;
    const shmirror_value *key;
    size_t count, i;
    bool is_last;
    if (as_json) {
        char *json;
        shmirror_event_json(event, NULL, 0, &count);
        json = (char *)keep(count);
        sure(shmirror_event_json(event, json, count + 1, NULL));
        put_json(stdout, json);
        putchar('\n');
        return;
    }
    sure(shmirror_event_kind(event, &kind));
    sure(shmirror_event_revision(event, &revision));
    sure(shmirror_event_uid(event, &uid));
    sure(shmirror_event_pid(event, &pid));
    sure(shmirror_event_at_us(event, &at_us));
    if (kind == SHMIRROR_EVENT_SCHEMA) {
        printf("schema ");
        put_revision(stdout, revision);
        put_names("created", SHMIRROR_NAMES_CREATED);
        put_names("changed", SHMIRROR_NAMES_CHANGED);
        put_names("dropped", SHMIRROR_NAMES_DROPPED);
    } else if (kind == SHMIRROR_EVENT_CHANGE) {
        sure(shmirror_event_sequence(event, &sequence));
        sure(shmirror_event_table(event, &table));
        sure(shmirror_event_operation(event, &operation));
        sure(shmirror_event_key(event, &key, &count));
        sure(shmirror_event_is_last(event, &is_last));
        printf("change ");
        put_revision(stdout, revision);
        putchar(' ');
        put_name(stdout, table);
        printf(" %s key", ONE_OF(OPERATIONS, operation));
        for (i = 0; i < count; i++) {
            putchar(' ');
            put_value(stdout, &key[i]);
        }
        put_names("columns", SHMIRROR_NAMES_COLUMNS);
        status = shmirror_event_row(event, row);
        if (status == SHMIRROR_NOT_FOUND) {
            printf(" none");
        } else {
            sure(status);
            sure(shmirror_row_revision(row, &revision));
            printf(" row ");
            put_revision(stdout, revision);
            put_columns(stdout, row);
        }
        printf(" %s%s", sequence == 0 ? "log" : "lane", is_last ? " last" : "");
    } else {
        give_up("an event of another kind", "");
    }
    /* Microseconds: not before 2001 and not after 2286. */
    printf("%s%s%s\n", uid == (uint32_t)getuid() ? "" : " uid?",
           pid == (uint32_t)getpid() ? "" : " pid?",
           at_us > INT64_C(1000000000000000) && at_us < INT64_C(10000000000000000) ? "" : " at?");
}

static bool run_events(const char *command, const line *l)
{
    const char *filter[MOST_WORDS];
    size_t count = 0, i;
    if (strcmp(command, "history") == 0) {
        shmirror_history *history;
        for (i = 2; i < l->count; i++) {
            filter[count++] = name_of(l, i);
        }
        if (failed_with_message(shmirror_mirror_history(mirror, revision_of(name_of(l, 1)), filter,
                                                        count, &history))) {
            return true;
        }
        for (;;) {
            int32_t status = shmirror_history_next(history, event);
            if (status == SHMIRROR_END) {
                break;
            }
            sure(status);
            put_event(false);
        }
        sure(shmirror_history_close(history));
        puts("end");
    } else if (strcmp(command, "subscribe") == 0) {
        shmirror_subscriber *made;
        for (i = 3; i < l->count; i++) {
            filter[count++] = name_of(l, i);
        }
        if (!failed_with_message(
                shmirror_subscribe(options, filter, count, revision_of(name_of(l, 2)), &made))) {
            place(&subscribers, name_of(l, 1))->thing = made;
        }
    } else if (strcmp(command, "events") == 0) {
        shmirror_subscriber *s = (shmirror_subscriber *)must(&subscribers, name_of(l, 1))->thing;
        for (i = number_of(l, 2); i > 0; i--) {
            sure(shmirror_subscriber_next(s, PATIENCE, event));
            put_event(l->count > 3);
        }
    } else if (strcmp(command, "quiet") == 0) {
        shmirror_subscriber *s = (shmirror_subscriber *)must(&subscribers, name_of(l, 1))->thing;
        failed(shmirror_subscriber_try_next(s, event));
    } else if (strcmp(command, "resume") == 0) {
        shmirror_subscriber *s = (shmirror_subscriber *)must(&subscribers, name_of(l, 1))->thing;
        if (!failed_with_message(
                shmirror_subscriber_resume_from(s, revision_of(name_of(l, 2))))) {
            puts("ok");
        }
    } else {
        return false;
    }
    return true;
}

#endif /* EVENTS_H */
