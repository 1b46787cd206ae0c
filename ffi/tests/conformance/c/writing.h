/* Lines that write: SQL, changes, transactions, tickets. */

#ifndef WRITING_H
#define WRITING_H

#include "state.h"

static void put_result(const shmirror_result *result)
{
    size_t sets, set;
    sure(shmirror_result_sets(result, &sets));
    for (set = 0; set < sets; set++) {
        size_t width, height, i, j;
        sure(shmirror_result_columns(result, set, &width));
        sure(shmirror_result_rows(result, set, &height));
        printf("set");
        for (i = 0; i < width; i++) {
            const char *name;
            sure(shmirror_result_column_name(result, set, i, &name));
            putchar(' ');
            put_name(stdout, name);
        }
        putchar('\n');
        for (j = 0; j < height; j++) {
            putchar(' ');
            for (i = 0; i < width; i++) {
                shmirror_value value;
                sure(shmirror_result_value(result, set, j, i, &value));
                putchar(' ');
                put_value(stdout, &value);
            }
            putchar('\n');
        }
    }
}

static void run_sql(const char *command, const char *sql)
{
    shmirror_result *result = NULL;
    shmirror_commit commit = {0, 0};
    if (strcmp(command, "execute") == 0) {
        if (!failed_with_message(shmirror_execute(producer, sql, &commit))) {
            put_commit(&commit);
        }
        return;
    }
    if (strcmp(command, "sql") == 0) {
        if (!failed_with_message(shmirror_sql(producer, sql, parameters.values, parameters.count,
                                              &commit, &result))) {
            put_commit(&commit);
            put_result(result);
        }
    } else if (!failed_with_message(shmirror_mirror_query(mirror, sql, parameters.values,
                                                          parameters.count, &result))) {
        uint64_t revision;
        sure(shmirror_result_revision(result, &revision));
        printf("revision ");
        put_revision(stdout, revision);
        putchar('\n');
        put_result(result);
    }
    sure(shmirror_result_close(result));
}

/* insert, upsert, update, delete, with values or from JSON, at once or into the transaction. */
static bool run_change(const char *command, const line *l)
{
    shmirror_commit commit = {0, 0};
    const char *table = l->count > 1 ? name_of(l, 1) : "";
    int32_t status;
    columns c;
    values key;
    size_t next = values_of(l, 2, &key);
    if (strcmp(command, "insert") == 0) {
        columns_of(l, 2, &c);
        status = in_transaction
                     ? shmirror_transaction_insert(transaction, table, c.names, c.values, c.count)
                     : shmirror_insert(producer, table, c.names, c.values, c.count, &commit);
    } else if (strcmp(command, "upsert") == 0) {
        columns_of(l, 2, &c);
        status = in_transaction
                     ? shmirror_transaction_upsert(transaction, table, c.names, c.values, c.count)
                     : shmirror_upsert(producer, table, c.names, c.values, c.count, &commit);
    } else if (strcmp(command, "update") == 0) {
        columns_of(l, next, &c);
        status = in_transaction
                     ? shmirror_transaction_update(transaction, table, key.values, key.count,
                                                   c.names, c.values, c.count)
                     : shmirror_update(producer, table, key.values, key.count, c.names, c.values,
                                       c.count, &commit);
    } else if (strcmp(command, "delete") == 0) {
        status = in_transaction
                     ? shmirror_transaction_delete(transaction, table, key.values, key.count)
                     : shmirror_delete(producer, table, key.values, key.count, &commit);
    } else if (strcmp(command, "insert-json") == 0) {
        status = in_transaction ? shmirror_transaction_insert_json(transaction, table, rest(l, 2))
                                : shmirror_insert_json(producer, table, rest(l, 2), &commit);
    } else if (strcmp(command, "upsert-json") == 0) {
        status = in_transaction ? shmirror_transaction_upsert_json(transaction, table, rest(l, 2))
                                : shmirror_upsert_json(producer, table, rest(l, 2), &commit);
    } else if (strcmp(command, "update-json") == 0) {
        status = in_transaction
                     ? shmirror_transaction_update_json(transaction, table, key.values, key.count,
                                                        rest(l, next))
                     : shmirror_update_json(producer, table, key.values, key.count, rest(l, next),
                                            &commit);
    } else {
        return false;
    }
    if (!failed_with_message(status) && !in_transaction) {
        put_commit(&commit);
    }
    return true;
}

/* rows TABLE HOW COLUMN… / VALUE… / VALUE… */
static void run_rows(const line *l)
{
    const char *names_of_columns[MOST_WORDS];
    shmirror_value all[MOST_WORDS];
    size_t width = 0, count = 0, height = 0, i;
    for (i = 3; i < l->count && l->words[i].text[0] != '/'; i++) {
        names_of_columns[width++] = name_of(l, i);
    }
    while (i < l->count) {
        values one;
        i = values_of(l, i + 1, &one);
        memcpy(all + count, one.values, one.count * sizeof *all);
        count += one.count;
        height++;
    }
    if (count != width * height) {
        give_up("rows of another width", l->words[0].text);
    }
    failed_with_message(shmirror_transaction_insert_rows(transaction, name_of(l, 1),
                                                         names_of_columns, width, all, height,
                                                         on_conflict_of(name_of(l, 2))));
}

static bool run_transaction(const char *command, const line *l)
{
    shmirror_commit commit = {0, 0};
    if (strcmp(command, "begin") == 0) {
        in_transaction = true;
    } else if (strcmp(command, "clear") == 0) {
        sure(shmirror_transaction_clear(transaction));
        in_transaction = false;
    } else if (strcmp(command, "size") == 0) {
        size_t size;
        sure(shmirror_transaction_size(transaction, &size));
        printf("size %zu\n", size);
    } else if (strcmp(command, "rows") == 0) {
        run_rows(l);
    } else if (strcmp(command, "if-revision") == 0) {
        failed_with_message(
            shmirror_transaction_if_revision(transaction, revision_of(name_of(l, 1))));
    } else if (strcmp(command, "commit") == 0) {
        in_transaction = false;
        if (!failed_with_message(shmirror_transaction_commit(transaction, &commit))) {
            put_commit(&commit);
        }
    } else if (strcmp(command, "submit") == 0 || strcmp(command, "try-submit") == 0) {
        shmirror_ticket *ticket;
        in_transaction = false;
        if (!failed_with_message(command[0] == 's'
                                     ? shmirror_transaction_submit(transaction, &ticket)
                                     : shmirror_transaction_try_submit(transaction, &ticket))) {
            named *known = place(&tickets, name_of(l, 1));
            sure(shmirror_ticket_close((shmirror_ticket *)known->thing));
            known->thing = ticket;
        }
    } else if (strcmp(command, "wait") == 0 || strcmp(command, "poll") == 0) {
        shmirror_ticket *ticket = (shmirror_ticket *)must(&tickets, name_of(l, 1))->thing;
        uint64_t deadline = shmirror_now() + PATIENCE;
        int32_t status;
        if (command[0] == 'w') {
            status = shmirror_ticket_wait_until(ticket, deadline, &commit);
        } else {
            do {
                status = shmirror_ticket_poll(ticket, &commit);
            } while (status == SHMIRROR_PENDING && shmirror_now() < deadline);
        }
        if (!failed_with_message(status)) {
            put_commit(&commit);
        }
    } else {
        return false;
    }
    return true;
}

#endif /* WRITING_H */
