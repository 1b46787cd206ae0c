/* Tables of other namespaces than `main`, by their full names; and what another user's rights come to.
 *
 * In: the daemon's socket, in SHMIRROR_SOCKET; it has namespaces `plant` and `desk`, whose rules name
 * nobody, and `main`, which user READER may read. Out: the status that it ends with.
 */
#define _GNU_SOURCE

#include <grp.h>

#include "following.h"

#define READER 61001
#define STRANGER 61003

static const char *const COLUMNS[] = {"loop", "kp"};
static const char *const PLANT_PID[] = {"plant.pid"};

static double kp_of(shmirror_mirror *mirror, const char *name, const char *loop)
{
    shmirror_value key = shmirror_string(loop);
    shmirror_table *table = NULL;
    shmirror_cell *cell = NULL;
    double kp = 0;

    OK(shmirror_mirror_table(mirror, name, &table));
    OK(shmirror_table_cell(table, &key, 1, "kp", &cell));
    OK(shmirror_cell_f64(cell, &kp));
    OK(shmirror_cell_close(cell));
    OK(shmirror_table_close(table));
    return kp;
}

static void put(const char *table, const char *loop, double kp)
{
    shmirror_value values[2];

    values[0] = shmirror_string(loop);
    values[1] = shmirror_real(kp);
    OK(shmirror_upsert(producer, table, COLUMNS, values, 2, NULL));
}

/* The names that a catalogue has, one behind the other. */
static void names_of(shmirror_mirror *mirror, char *names, size_t size)
{
    shmirror_catalogue *catalogue = NULL;
    shmirror_schema *schema = NULL;
    shmirror_object object;
    const char *name = NULL, *same = NULL;
    size_t tables = 0, objects = 0, i;

    names[0] = '\0';
    OK(shmirror_mirror_catalogue(mirror, &catalogue));
    OK(shmirror_catalogue_tables(catalogue, &tables));
    for (i = 0; i < tables; i++) {
        OK(shmirror_catalogue_table_name(catalogue, i, &name));
        OK(shmirror_catalogue_schema(catalogue, i, &schema));
        OK(shmirror_schema_name(schema, &same));
        EXPECT(strcmp(name, same) == 0);
        OK(shmirror_schema_sql(schema, &same));
        EXPECT(strstr(same, "plant") == NULL);
        OK(shmirror_schema_close(schema));
        EXPECT(strlen(names) + strlen(name) + 2 < size);
        strcat(strcat(names, name), " ");
    }
    OK(shmirror_catalogue_objects(catalogue, &objects));
    for (i = 0; i < objects; i++) {
        OK(shmirror_catalogue_object(catalogue, i, &object));
        EXPECT(strlen(names) + strlen(object.name) + strlen(object.table) + 4 < size);
        strcat(strcat(strcat(strcat(names, object.name), "/"), object.table), " ");
    }
    OK(shmirror_catalogue_close(catalogue));
}

/* The namespaces that there are for this process; those that it may write with a `+`. */
static void namespaces_of(shmirror_mirror *mirror, char *names, size_t size)
{
    static const char *const EXPECTED[] = {"id", "name", "writable"};
    shmirror_result *result = NULL;
    shmirror_value value;
    const char *column = NULL;
    int64_t before = -1;
    size_t rows = 0, i;

    names[0] = '\0';
    OK(shmirror_mirror_namespaces(mirror, &result));
    for (i = 0; i < COUNT(EXPECTED); i++) {
        OK(shmirror_result_column_name(result, 0, i, &column));
        EXPECT(strcmp(column, EXPECTED[i]) == 0);
    }
    OK(shmirror_result_rows(result, 0, &rows));
    for (i = 0; i < rows; i++) {
        OK(shmirror_result_value(result, 0, i, 0, &value));
        EXPECT(value.type == SHMIRROR_TYPE_INTEGER && value.as.integer > before);
        before = value.as.integer;
        OK(shmirror_result_value(result, 0, i, 1, &value));
        EXPECT(value.type == SHMIRROR_TYPE_TEXT && strlen(names) + value.as.text.size + 3 < size);
        strncat(names, value.as.text.data, value.as.text.size);
        OK(shmirror_result_value(result, 0, i, 2, &value));
        strcat(names, value.as.integer == 1 ? "+ " : " ");
    }
    OK(shmirror_result_close(result));
}

static void reading_and_writing(void)
{
    shmirror_mirror *mirror = NULL;
    shmirror_table *table = NULL;
    shmirror_result *result = NULL;
    shmirror_subscriber *subscriber;
    shmirror_transaction *transaction = NULL;
    shmirror_value values[2], value;
    const char *name = NULL;
    char names[512];
    size_t column = 0;
    bool last = false;

    OK(shmirror_execute(producer,
                        "CREATE TABLE pid (loop TEXT PRIMARY KEY, kp REAL NOT NULL);"
                        "CREATE TABLE plant.pid (loop TEXT PRIMARY KEY, kp REAL NOT NULL);"
                        "CREATE INDEX plant.by_kp ON pid (kp);"
                        "CREATE TABLE plant.unit (code TEXT PRIMARY KEY)",
                        NULL));
    OK(shmirror_attach(NULL, &mirror));
    names_of(mirror, names, sizeof(names));
    EXPECT(strcmp(names, "pid plant.pid plant.unit plant.by_kp/plant.pid ") == 0);
    /* Those of the configuration, by their names. */
    namespaces_of(mirror, names, sizeof(names));
    EXPECT(strcmp(names, "main+ desk+ plant+ ") == 0);

    subscriber = follow(PLANT_PID, 1, SHMIRROR_FROM_NOW);
    put("pid", "boiler", 9);
    put("plant.pid", "boiler", 1.25);
    put("PLANT.Pid", "pump", 4);
    EXPECT(kp_of(mirror, "pid", "boiler") > 8 && kp_of(mirror, "plant.pid", "boiler") < 2);
    EXPECT(kp_of(mirror, "main.pid", "boiler") > 8 && kp_of(mirror, "plant.pid", "pump") > 3);

    OK(shmirror_event_new(&event));
    OK(shmirror_subscriber_next(subscriber, LONG, event));
    OK(shmirror_event_table(event, &name));
    EXPECT(strcmp(name, "plant.pid") == 0);
    OK(shmirror_subscriber_next(subscriber, LONG, event));
    OK(shmirror_event_table(event, &name));
    EXPECT(strcmp(name, "plant.pid") == 0);

    /* One transaction in two namespaces, all of it or nothing. */
    values[0] = shmirror_string("both");
    values[1] = shmirror_real(7);
    OK(shmirror_transaction_new(producer, &transaction));
    OK(shmirror_transaction_insert(transaction, "plant.pid", COLUMNS, values, 2));
    OK(shmirror_transaction_insert(transaction, "pid", COLUMNS, values, 2));
    OK(shmirror_transaction_commit(transaction, NULL));
    OK(shmirror_transaction_close(transaction));
    OK(shmirror_subscriber_next(subscriber, LONG, event));
    OK(shmirror_event_table(event, &name));
    EXPECT(strcmp(name, "plant.pid") == 0);
    OK(shmirror_event_is_last(event, &last));
    EXPECT(last);
    OK(shmirror_subscriber_close(subscriber));
    OK(shmirror_mirror_query(mirror,
                             "SELECT count(*) FROM plant.pid p JOIN main.pid m USING (loop)", NULL,
                             0, &result));
    OK(shmirror_result_value(result, 0, 0, 0, &value));
    EXPECT(value.type == SHMIRROR_TYPE_INTEGER && value.as.integer == 2);
    OK(shmirror_result_close(result));

    FAILS(SHMIRROR_UNKNOWN_TABLE, "plant.none", shmirror_mirror_table(mirror, "plant.none", &table));
    FAILS(SHMIRROR_UNKNOWN_TABLE, "desk.pid", shmirror_mirror_table(mirror, "desk.pid", &table));
    FAILS(SHMIRROR_UNKNOWN_TABLE, "hall.pid", shmirror_mirror_table(mirror, "hall.pid", &table));
    OK(shmirror_mirror_table(mirror, "plant.pid", &table));
    FAILS(SHMIRROR_UNKNOWN_COLUMN, "plant.pid", shmirror_table_column(table, "kq", &column));
    OK(shmirror_table_close(table));
    OK(shmirror_mirror_close(mirror));
}

static void become(uid_t user)
{
    EXPECT(setgroups(0, NULL) == 0 && setgid(user) == 0 && setuid(user) == 0);
}

/* Who may read `main` alone. */
static void reader(void)
{
    shmirror_mirror *mirror = NULL;
    shmirror_table *table = NULL;
    shmirror_producer *writer = NULL;
    char names[512];

    become(READER);
    OK(shmirror_attach(NULL, &mirror));
    names_of(mirror, names, sizeof(names));
    EXPECT(strcmp(names, "pid ") == 0);
    namespaces_of(mirror, names, sizeof(names));
    EXPECT(strcmp(names, "main ") == 0);
    EXPECT(kp_of(mirror, "pid", "boiler") > 8);
    FAILS(SHMIRROR_UNKNOWN_TABLE, "plant.pid", shmirror_mirror_table(mirror, "plant.pid", &table));
    STATUS(SHMIRROR_DENIED, shmirror_mirror_check(mirror, (char **)&table));
    STATUS(SHMIRROR_DENIED, shmirror_producer_attach(NULL, &writer));
    EXPECT(table == NULL && writer == NULL);
    OK(shmirror_mirror_close(mirror));
}

/* Who may do nothing. */
static void stranger(void)
{
    shmirror_mirror *mirror = NULL;

    become(STRANGER);
    STATUS(SHMIRROR_DENIED, shmirror_attach(NULL, &mirror));
    EXPECT(mirror == NULL);
}

static void in_a_child(void (*what)(void))
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        what();
        _exit(0);
    }
    EXPECT(child > 0 && waitpid(child, &status, 0) == child);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
    OK(shmirror_producer_attach(NULL, &producer));
    reading_and_writing();
    if (geteuid() == 0) {
        in_a_child(reader);
        in_a_child(stranger);
    } else {
        fprintf(stderr, "SKIPPED, as this is not root: what other users' rights come to\n");
    }
    OK(shmirror_event_close(event));
    OK(shmirror_producer_close(producer));
    return 0;
}
