/* A case under way: its handles, the things it has given names to, and what of them is printed. */

#ifndef STATE_H
#define STATE_H

#include "../lines.h"

/* How long anything may take. */
#define PATIENCE UINT64_C(60000000000)

enum { MOST = 32 };

/* Things that a case gives names to. */
typedef struct {
    char name[64];
    void *thing;
    uint64_t number;
} named;

typedef struct {
    named all[MOST];
    size_t count;
} names;

static const char *folder;
static shmirror_options *options;
static shmirror_mirror *mirror;
static shmirror_producer *producer;
static shmirror_transaction *transaction;
static shmirror_row *row;
static shmirror_rows *rows;
static shmirror_event *event;
static names tables, cells, tickets, subscribers, marks;
static values parameters;
static kept *kept_parameters;
static uint64_t start, last_commit;
static bool in_transaction;

static named *find(names *list, const char *name)
{
    size_t i;
    for (i = 0; i < list->count; i++) {
        if (strcmp(list->all[i].name, name) == 0) {
            return &list->all[i];
        }
    }
    return NULL;
}

/* The place of a name, a new one if it is new. */
static named *place(names *list, const char *name)
{
    named *known = find(list, name);
    if (known == NULL) {
        if (list->count == MOST || strlen(name) >= sizeof known->name) {
            give_up("too many names", name);
        }
        known = &list->all[list->count++];
        memset(known, 0, sizeof *known);
        strcpy(known->name, name);
    }
    return known;
}

static named *must(names *list, const char *name)
{
    named *known = find(list, name);
    if (known == NULL) {
        give_up("no such name", name);
    }
    return known;
}

/* A call that no case lets fail. */
static void sure(int32_t status)
{
    if (status != SHMIRROR_OK) {
        give_up(shmirror_status_name(status), shmirror_last_message());
    }
}

/* Prints a status that is not success; whether it is. */
static bool failed(int32_t status)
{
    if (status != SHMIRROR_OK) {
        printf("%s\n", shmirror_status_name(status));
    }
    return status != SHMIRROR_OK;
}

/* The same, with what is told of it. */
static bool failed_with_message(int32_t status)
{
    if (status != SHMIRROR_OK) {
        fputs(shmirror_status_name(status), stdout);
        /* What is no row has other words in Rust. */
        if (status >= 16 && status != SHMIRROR_ENCODE) {
            putchar(' ');
            put_message(stdout, shmirror_last_message());
        }
        putchar('\n');
    }
    return status != SHMIRROR_OK;
}

/* The revision that a word stands for: a number from the start, `now` or a mark. */
static uint64_t revision_of(const char *text)
{
    if (strcmp(text, "now") == 0) {
        return SHMIRROR_FROM_NOW;
    }
    if (text[0] >= '0' && text[0] <= '9') {
        uint64_t number = strtoull(text, NULL, 10);
        return number == 0 ? 0 : start + number;
    }
    return must(&marks, text)->number;
}

static void put_revision(FILE *out, uint64_t revision)
{
    fprintf(out, "%" PRIu64, revision == 0 ? 0 : revision - start);
}

static void put_commit(const shmirror_commit *commit)
{
    last_commit = commit->revision;
    printf("commit ");
    put_revision(stdout, commit->revision);
    printf(" changes %" PRIu64 "\n", commit->changes);
}

/* The handle of a table, which is kept, as programs keep it. */
static shmirror_table *table_of(const char *name)
{
    named *known = place(&tables, name);
    if (known->thing == NULL) {
        shmirror_table *made;
        if (failed(shmirror_mirror_table(mirror, name, &made))) {
            return NULL;
        }
        known->thing = made;
    }
    return (shmirror_table *)known->thing;
}

/* A row's columns, with their values. */
static void put_columns(FILE *out, const shmirror_row *r)
{
    size_t count, i;
    sure(shmirror_row_columns(r, &count));
    for (i = 0; i < count; i++) {
        const char *name;
        shmirror_value value;
        sure(shmirror_row_column_name(r, i, &name));
        sure(shmirror_row_value(r, i, &value));
        fputc(' ', out);
        put_name(out, name);
        fputc('=', out);
        put_value(out, &value);
    }
}

static void put_row(FILE *out, const shmirror_row *r)
{
    uint64_t revision;
    sure(shmirror_row_revision(r, &revision));
    fputs("row ", out);
    put_revision(out, revision);
    put_columns(out, r);
    fputc('\n', out);
}

#endif /* STATE_H */
