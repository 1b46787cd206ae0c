/* The commit log and its events: asked for everything there is, rightly and wrongly.
 *
 * In: control socket, process id of the daemon. Out: each event as the library tells it, once as
 * JSON and once part by part with `|` between; schema.rs compares them with what the binary prints.
 * What a wrong call comes to is judged here.
 */
#define _POSIX_C_SOURCE 200809L

#include <dirent.h>
#include <inttypes.h>
#include <pthread.h>

#include "expect.h"

static shmirror_mirror *mirror;
static pid_t daemon_pid;

static void print_value(const shmirror_value *value)
{
    size_t i;

    switch (value->type) {
    case SHMIRROR_TYPE_INTEGER:
        printf("%" PRId64 "|", value->as.integer);
        break;
    case SHMIRROR_TYPE_TEXT:
        printf("\"%.*s\"|", (int)value->as.text.size, value->as.text.data);
        break;
    default:
        EXPECT(value->type == SHMIRROR_TYPE_BLOB);
        printf("\"0x");
        for (i = 0; i < value->as.blob.size; i++) {
            printf("%02x", value->as.blob.data[i]);
        }
        printf("\"|");
    }
}

static void print_names(const shmirror_event *event, int32_t which)
{
    const char *name = NULL, *first = NULL;
    size_t count, i;

    OK(shmirror_event_names_count(event, which, &count));
    for (i = 0; i < count; i++) {
        OK(shmirror_event_name(event, which, i, &name));
        printf("%s%s", i == 0 ? "" : ",", name);
        OK(shmirror_event_name(event, which, 0, &first));
    }
    printf("|");
    STATUS(SHMIRROR_BAD_ARGUMENT, shmirror_event_name(event, which, count, &name));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_event_names_count(event, which, NULL));
}

static void print_change(shmirror_event *event, shmirror_row *row)
{
    const shmirror_value *key = NULL;
    const char *table = NULL;
    uint64_t sequence, missed = 5, first = 6;
    size_t keys, i;
    int32_t operation = 0, found;
    bool is_last;

    OK(shmirror_event_table(event, &table));
    OK(shmirror_event_operation(event, &operation));
    OK(shmirror_event_sequence(event, &sequence));
    OK(shmirror_event_is_last(event, &is_last));
    printf("%s|%" PRId32 "|%" PRIu64 "|%d|", table, operation, sequence, is_last);
    OK(shmirror_event_key(event, &key, &keys));
    for (i = 0; i < keys; i++) {
        print_value(&key[i]);
    }
    print_names(event, SHMIRROR_NAMES_COLUMNS);
    found = shmirror_event_row(event, row);
    EXPECT(found == (operation == SHMIRROR_OPERATION_DELETE ? SHMIRROR_NOT_FOUND : SHMIRROR_OK));

    STATUS(SHMIRROR_USAGE, shmirror_event_names_count(event, SHMIRROR_NAMES_CREATED, &i));
    STATUS(SHMIRROR_USAGE, shmirror_event_name(event, SHMIRROR_NAMES_DROPPED, 0, &table));
    STATUS(SHMIRROR_USAGE, shmirror_event_lagged(event, &missed, &first));
    EXPECT(missed == 5 && first == 6 && strstr(shmirror_last_message(), "a change") != NULL);
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_event_row(event, NULL));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_event_row(event, (shmirror_row *)event));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_event_key(event, NULL, &keys));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_event_key(event, &key, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_event_table(event, NULL));
}

static void print_schema(shmirror_event *event, shmirror_row *row)
{
    const shmirror_value *key = NULL;
    const char *name = NULL;
    uint64_t sequence;
    size_t count = 9;
    int32_t operation;
    bool is_last;

    print_names(event, SHMIRROR_NAMES_CREATED);
    print_names(event, SHMIRROR_NAMES_CHANGED);
    print_names(event, SHMIRROR_NAMES_DROPPED);
    STATUS(SHMIRROR_USAGE, shmirror_event_names_count(event, SHMIRROR_NAMES_COLUMNS, &count));
    STATUS(SHMIRROR_USAGE, shmirror_event_table(event, &name));
    STATUS(SHMIRROR_USAGE, shmirror_event_operation(event, &operation));
    STATUS(SHMIRROR_USAGE, shmirror_event_sequence(event, &sequence));
    STATUS(SHMIRROR_USAGE, shmirror_event_is_last(event, &is_last));
    STATUS(SHMIRROR_USAGE, shmirror_event_row(event, row));
    STATUS(SHMIRROR_USAGE, shmirror_event_key(event, &key, &count));
    EXPECT(count == 9 && key == NULL && name == NULL);
    STATUS(SHMIRROR_BAD_ARGUMENT, shmirror_event_names_count(event, 4, &count));
    STATUS(SHMIRROR_BAD_ARGUMENT, shmirror_event_name(event, INT32_MIN, 0, &name));
}

/* The row is a copy of its own. */
static void print_row(const shmirror_event *event, shmirror_row *row)
{
    char json[2048];
    uint64_t revision;

    if (shmirror_event_row(event, row) == SHMIRROR_OK) {
        OK(shmirror_row_revision(row, &revision));
        OK(shmirror_row_json(row, json, sizeof(json), NULL));
        printf("row|%" PRIu64 "|%s\n", revision, json);
    }
}

static void print_event(shmirror_event *event, shmirror_row *row)
{
    char json[4096], again[4096];
    uint64_t revision = 0;
    uint32_t uid = 0, pid = 0;
    int64_t at_us = 0;
    int32_t kind = -1;
    size_t length = 0;

    STATUS(SHMIRROR_SHORT_BUFFER, shmirror_event_json(event, NULL, 0, &length));
    EXPECT(length > 0 && length < sizeof(json));
    STATUS(SHMIRROR_SHORT_BUFFER, shmirror_event_json(event, json, length, NULL));
    OK(shmirror_event_json(event, json, length + 1, NULL));
    EXPECT(strlen(json) == length);
    printf("event|%s\n", json);
    OK(shmirror_event_kind(event, &kind));
    OK(shmirror_event_revision(event, &revision));
    OK(shmirror_event_uid(event, &uid));
    OK(shmirror_event_pid(event, &pid));
    OK(shmirror_event_at_us(event, &at_us));
    printf("parts|%d|%" PRIu64 "|%" PRIu32 "|%" PRIu32 "|%" PRId64 "|", kind, revision, uid, pid,
           at_us);
    if (kind == SHMIRROR_EVENT_CHANGE) {
        print_change(event, row);
    } else {
        EXPECT(kind == SHMIRROR_EVENT_SCHEMA);
        print_schema(event, row);
    }
    printf("\n");
    OK(shmirror_event_json(event, again, sizeof(again), NULL));
    EXPECT(strcmp(json, again) == 0);
    if (kind == SHMIRROR_EVENT_CHANGE) {
        print_row(event, row);
    }
}

/* Gives how many events there are. */
static size_t see_history(shmirror_event *event, shmirror_row *row)
{
    shmirror_history *history = NULL;
    uint64_t revision;
    size_t count = 0;
    int32_t status;

    OK(shmirror_mirror_history(mirror, 0, NULL, 0, &history));
    while ((status = shmirror_history_next(history, event)) == SHMIRROR_OK) {
        print_event(event, row);
        count++;
    }
    STATUS(SHMIRROR_END, status);
    STATUS(SHMIRROR_END, shmirror_history_next(history, event));
    OK(shmirror_event_revision(event, &revision)); /* as it was */
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_history_next(history, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_history_next(NULL, event));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_history_next(history, (shmirror_event *)history));
    OK(shmirror_history_close(history));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_history_next(history, event));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_history_close(history));
    OK(shmirror_history_close(NULL));
    return count;
}

static void see_some_tables(shmirror_event *event)
{
    const char *const tables[2] = {"VALVE", "pump"}, *const wrong[2] = {"pump", "pumpe"};
    const char *const null[2] = {"pump", NULL}, *name = NULL;
    shmirror_history *history = NULL;
    uint64_t revision, newest;
    int32_t status, kind;

    OK(shmirror_mirror_history(mirror, 4, tables, 1, &history));
    while ((status = shmirror_history_next(history, event)) == SHMIRROR_OK) {
        OK(shmirror_event_revision(event, &revision));
        EXPECT(revision >= 4);
        OK(shmirror_event_kind(event, &kind));
        if (kind == SHMIRROR_EVENT_CHANGE) {
            OK(shmirror_event_table(event, &name));
            EXPECT(strcmp(name, "valve") == 0);
        }
    }
    STATUS(SHMIRROR_END, status);
    OK(shmirror_history_close(history));
    /* Nothing was committed yet of what is to come. */
    OK(shmirror_mirror_revision(mirror, &newest));
    OK(shmirror_mirror_history(mirror, newest + 1, tables, 2, &history));
    STATUS(SHMIRROR_END, shmirror_history_next(history, event));
    OK(shmirror_history_close(history));

    STATUS(SHMIRROR_UNKNOWN_TABLE, shmirror_mirror_history(mirror, 0, wrong, 2, &history));
    EXPECT(history == NULL && strstr(shmirror_last_message(), "\"pumpe\"") != NULL);
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_mirror_history(mirror, 0, null, 2, &history));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_mirror_history(mirror, 0, NULL, 1, &history));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_mirror_history(mirror, 0, NULL, 0, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_mirror_history(NULL, 0, NULL, 0, &history));
}

/* ---- two threads at a time ---- */

struct turn {
    shmirror_history *history;
    shmirror_event *event;
    int32_t status;
};

/* One of two is told that it is busy, and lets the daemon go on, which the other waits for. */
static void *take_turn(void *context)
{
    struct turn *turn = context;

    turn->status = shmirror_history_next(turn->history, turn->event);
    if (turn->status == SHMIRROR_BUSY) {
        EXPECT(kill(daemon_pid, SIGCONT) == 0);
    }
    return NULL;
}

static int all_stopped(void)
{
    char path[320], line[512], *end;
    struct dirent *entry;
    int stopped = 1;
    DIR *tasks;
    FILE *stat;

    snprintf(path, sizeof(path), "/proc/%ld/task", (long)daemon_pid);
    tasks = opendir(path);
    EXPECT(tasks != NULL);
    while ((entry = readdir(tasks)) != NULL) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        snprintf(path, sizeof(path), "/proc/%ld/task/%s/stat", (long)daemon_pid, entry->d_name);
        stat = fopen(path, "r");
        if (stat == NULL) {
            continue; /* it ended */
        }
        EXPECT(fgets(line, sizeof(line), stat) != NULL);
        fclose(stat);
        end = strrchr(line, ')');
        stopped &= end != NULL && end[2] == 'T';
    }
    closedir(tasks);
    return stopped;
}

static void stop_daemon(void)
{
    const uint64_t deadline = soon();

    EXPECT(kill(daemon_pid, SIGSTOP) == 0);
    while (!all_stopped()) {
        EXPECT(shmirror_now() < deadline);
        nap();
    }
}

/* Histories that have read all they fetched, so that their next event is the daemon's to give. */
static void see_turns(size_t events, int same_history)
{
    struct turn turns[2];
    pthread_t threads[2];
    size_t i, j;

    memset(turns, 0, sizeof(turns));
    for (i = 0; i < 2; i++) {
        OK(shmirror_mirror_history(mirror, 0, NULL, 0, &turns[i].history));
        OK(shmirror_event_new(&turns[i].event));
        for (j = 0; j < events; j++) {
            OK(shmirror_history_next(turns[i].history, turns[i].event));
        }
    }
    if (same_history) {
        OK(shmirror_history_close(turns[1].history));
        turns[1].history = turns[0].history;
    } else {
        OK(shmirror_event_close(turns[1].event));
        turns[1].event = turns[0].event;
    }
    stop_daemon();
    for (i = 0; i < 2; i++) {
        EXPECT(pthread_create(&threads[i], NULL, take_turn, &turns[i]) == 0);
    }
    for (i = 0; i < 2; i++) {
        EXPECT(pthread_join(threads[i], NULL) == 0);
    }
    i = turns[0].status == SHMIRROR_BUSY;
    STATUS(SHMIRROR_BUSY, turns[1 - i].status);
    STATUS(SHMIRROR_END, turns[i].status);
    OK(shmirror_history_close(turns[0].history));
    OK(shmirror_event_close(turns[0].event));
    if (same_history) {
        OK(shmirror_event_close(turns[1].event));
    } else {
        OK(shmirror_history_close(turns[1].history));
    }
}

int main(int argc, char **argv)
{
    shmirror_options *options = NULL;
    shmirror_event *event = NULL;
    shmirror_row *row = NULL;
    uint64_t revision;
    int32_t kind = -1;
    size_t events;

    EXPECT(argc == 3);
    daemon_pid = (pid_t)atol(argv[2]);
    OK(shmirror_options_new(&options));
    OK(shmirror_options_socket(options, argv[1]));
    OK(shmirror_attach(options, &mirror));
    OK(shmirror_options_close(options));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_event_new(NULL));
    OK(shmirror_event_new(&event));
    OK(shmirror_row_new(&row));
    OK(shmirror_event_kind(event, &kind));
    EXPECT(kind == SHMIRROR_EVENT_NONE);
    STATUS(SHMIRROR_USAGE, shmirror_event_revision(event, &revision));
    STATUS(SHMIRROR_USAGE, shmirror_event_json(event, NULL, 0, NULL));
    events = see_history(event, row);
    see_some_tables(event);
    see_turns(events, 1);
    see_turns(events, 0);
    OK(shmirror_event_close(event));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_event_kind(event, &kind));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_event_close(event));
    OK(shmirror_event_close(NULL));
    OK(shmirror_row_close(row));
    OK(shmirror_mirror_close(mirror));
    return 0;
}
