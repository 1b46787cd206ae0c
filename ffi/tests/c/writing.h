/* What the tests of writing share: a producer, and what they ask it. */
#ifndef WRITING_H
#define WRITING_H

#include "expect.h"

UNUSED static shmirror_producer *producer;

/* A handle that is closed, as any kind. */
UNUSED static void *stale;

UNUSED static const char *const ID[] = {"id"};
UNUSED static const char *const ID_V[] = {"id", "v"};
UNUSED static const char *const ID_C[] = {"id", "c"};
UNUSED static const char *const V[] = {"v"};
UNUSED static const char *const U[] = {"u"};

/* The one value that a query gives. */
UNUSED static int64_t number_of(const char *sql)
{
    shmirror_result *result = NULL;
    shmirror_value value;
    size_t sets, rows;

    OK(shmirror_sql(producer, sql, NULL, 0, NULL, &result));
    OK(shmirror_result_sets(result, &sets));
    EXPECT(sets == 1);
    OK(shmirror_result_rows(result, 0, &rows));
    EXPECT(rows == 1);
    OK(shmirror_result_value(result, 0, 0, 0, &value));
    EXPECT(value.type == SHMIRROR_TYPE_INTEGER);
    OK(shmirror_result_close(result));
    return value.as.integer;
}

/* Whether a query that gives one truth gives 1. */
UNUSED static int holds(const char *condition)
{
    char sql[1024];

    snprintf(sql, sizeof sql, "SELECT (%s) IS TRUE", condition);
    return number_of(sql) == 1;
}

UNUSED static size_t size_of(shmirror_transaction *transaction)
{
    size_t size = 99;

    OK(shmirror_transaction_size(transaction, &size));
    return size;
}

UNUSED static shmirror_transaction *fresh(void)
{
    shmirror_transaction *transaction = NULL;

    OK(shmirror_transaction_new(producer, &transaction));
    return transaction;
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
}

#endif
