/* Mirror, catalogue, schemas and results: asked for everything there is, rightly and wrongly.
 *
 * In: control socket, path for a backup. Out: what the library said, a line each, its parts with
 * `|` between; schema.rs compares them with what the binary prints. What a wrong call comes to is
 * judged here. At the line `wait` the test commits, at the line `stop` it stops the daemon.
 */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>

#include "expect.h"

static shmirror_mirror *mirror;

static const char *or_null(const char *text)
{
    return text == NULL ? "NULL" : text;
}

static void print_value(const shmirror_value *value)
{
    size_t i;

    switch (value->type) {
    case SHMIRROR_TYPE_INTEGER:
        printf("|%" PRId64, value->as.integer);
        break;
    case SHMIRROR_TYPE_REAL:
        printf("|%.17g", value->as.real);
        break;
    case SHMIRROR_TYPE_TEXT:
        printf("|\"%.*s\"", (int)value->as.text.size, value->as.text.data);
        break;
    case SHMIRROR_TYPE_BLOB:
        printf("|\"0x");
        for (i = 0; i < value->as.blob.size; i++) {
            printf("%02x", value->as.blob.data[i]);
        }
        printf("\"");
        break;
    default:
        EXPECT(value->type == SHMIRROR_TYPE_NULL);
        printf("|null");
    }
}

/* ---- schemas ---- */

static void print_schema(const shmirror_schema *schema)
{
    const char *name = NULL, *sql = NULL;
    const uint16_t *key = NULL;
    shmirror_column column;
    size_t columns = 0, keys = 0, i, found;
    bool without_rowid, strict;
    int32_t kind = -1;

    OK(shmirror_schema_name(schema, &name));
    OK(shmirror_schema_sql(schema, &sql));
    OK(shmirror_schema_key_kind(schema, &kind));
    OK(shmirror_schema_flags(schema, &without_rowid, &strict));
    printf("table|%s|%" PRId32 "|%d|%d|%s\n", name, kind, without_rowid, strict, sql);
    OK(shmirror_schema_columns(schema, &columns));
    for (i = 0; i < columns; i++) {
        memset(&column, 0xAB, sizeof(column));
        OK(shmirror_schema_column(schema, i, &column));
        printf("column|%s|%zu|%s|%s|%d|%s|%d|%d|%d|%d|%d\n", name, i, column.name,
               column.declared_type, column.not_null, or_null(column.default_sql),
               column.key_position, column.hidden, column.generated, column.affinity,
               column.collation);
        OK(shmirror_schema_find(schema, column.name, &found));
        EXPECT(found == i);
        EXPECT(column.reserved[0] == 0 && column.reserved[3] == 0);
    }
    OK(shmirror_schema_key(schema, &keys, &key));
    EXPECT(keys >= 1 && keys <= 16);
    printf("key|%s", name);
    for (i = 0; i < keys; i++) {
        OK(shmirror_schema_column(schema, key[i], &column));
        EXPECT(column.key_position == (int32_t)i + 1);
        printf("|%s", column.name);
    }
    printf("\n");
    STATUS(SHMIRROR_BAD_ARGUMENT, shmirror_schema_column(schema, columns, &column));
    STATUS(SHMIRROR_BAD_ARGUMENT, shmirror_schema_column(schema, SIZE_MAX, &column));
}

static void wrong_schema(shmirror_schema *schema)
{
    const char *text;
    const uint16_t *key = NULL;
    shmirror_column column;
    size_t size = 77;
    bool yes = true;
    int32_t kind;

    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_schema_name(schema, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_schema_sql(schema, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_schema_key_kind(schema, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_schema_flags(schema, NULL, &yes));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_schema_flags(schema, &yes, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_schema_columns(schema, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_schema_column(schema, 0, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_schema_find(schema, NULL, &size));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_schema_find(schema, "id", NULL));
    STATUS(SHMIRROR_UNKNOWN_COLUMN, shmirror_schema_find(schema, "idd", &size));
    EXPECT(strstr(shmirror_last_message(), "\"idd\"") != NULL);
    STATUS(SHMIRROR_NOT_UTF8, shmirror_schema_find(schema, "\xff", &size));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_schema_key(schema, NULL, &key));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_schema_key(schema, &size, NULL));
    EXPECT(size == 77 && key == NULL && yes);
    OK(shmirror_schema_find(schema, "ID", &size));
    EXPECT(size == 0);

    OK(shmirror_schema_close(schema));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_schema_close(schema));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_schema_name(schema, &text));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_schema_sql(schema, &text));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_schema_key_kind(schema, &kind));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_schema_flags(schema, &yes, &yes));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_schema_columns(schema, &size));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_schema_column(schema, 0, &column));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_schema_find(schema, "id", &size));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_schema_key(schema, &size, &key));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_schema_columns(NULL, &size));
    OK(shmirror_schema_close(NULL));
}

/* ---- catalogue ---- */

static void see_catalogue(void)
{
    shmirror_catalogue *catalogue = NULL;
    shmirror_schema *schema = NULL, *same = NULL;
    shmirror_table *table = NULL;
    shmirror_object object;
    const char *name = NULL, *again = NULL;
    uint64_t version;
    size_t tables = 0, objects = 0, i;

    OK(shmirror_mirror_catalogue(mirror, &catalogue));
    OK(shmirror_catalogue_version(catalogue, &version));
    printf("version|%" PRIu64 "\n", version);
    OK(shmirror_catalogue_tables(catalogue, &tables));
    for (i = 0; i < tables; i++) {
        OK(shmirror_catalogue_table_name(catalogue, i, &name));
        OK(shmirror_catalogue_schema(catalogue, i, &schema));
        print_schema(schema);
        /* The table's own handle gives the same. */
        OK(shmirror_mirror_table(mirror, name, &table));
        OK(shmirror_table_schema(table, &same));
        OK(shmirror_schema_name(same, &again));
        EXPECT(strcmp(name, again) == 0);
        OK(shmirror_table_close(table));
        OK(shmirror_schema_close(same));
        OK(shmirror_schema_close(schema));
    }
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_table_schema(table, &same));
    EXPECT(same == NULL);
    OK(shmirror_catalogue_objects(catalogue, &objects));
    for (i = 0; i < objects; i++) {
        memset(&object, 0xAB, sizeof(object));
        OK(shmirror_catalogue_object(catalogue, i, &object));
        printf("object|%d|%s|%s|%s\n", object.kind, object.name, object.table, object.sql);
        EXPECT((object.reserved[0] | object.reserved[3]) == 0 && object.reserved0 == 0);
    }

    STATUS(SHMIRROR_BAD_ARGUMENT, shmirror_catalogue_table_name(catalogue, tables, &name));
    STATUS(SHMIRROR_BAD_ARGUMENT, shmirror_catalogue_object(catalogue, objects, &object));
    schema = (shmirror_schema *)catalogue;
    STATUS(SHMIRROR_BAD_ARGUMENT, shmirror_catalogue_schema(catalogue, tables, &schema));
    EXPECT(schema == NULL);
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_catalogue_version(catalogue, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_catalogue_tables(catalogue, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_catalogue_table_name(catalogue, 0, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_catalogue_schema(catalogue, 0, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_catalogue_objects(catalogue, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_catalogue_object(catalogue, 0, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_mirror_catalogue(mirror, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_catalogue_tables(NULL, &tables));
    /* A handle of another kind. */
    STATUS(SHMIRROR_STALE_HANDLE,
           shmirror_catalogue_tables((shmirror_catalogue *)mirror, &tables));

    /* A schema outlives the catalogue. */
    OK(shmirror_catalogue_schema(catalogue, 0, &schema));
    OK(shmirror_catalogue_close(catalogue));
    OK(shmirror_schema_name(schema, &name));
    EXPECT(strcmp(name, "pump") == 0);
    wrong_schema(schema);
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_catalogue_close(catalogue));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_catalogue_version(catalogue, &version));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_catalogue_tables(catalogue, &tables));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_catalogue_table_name(catalogue, 0, &name));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_catalogue_schema(catalogue, 0, &schema));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_catalogue_objects(catalogue, &objects));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_catalogue_object(catalogue, 0, &object));
    OK(shmirror_catalogue_close(NULL));
}

/* ---- queries and results ---- */

static void see_query(void)
{
    static const char *const sql =
        "SELECT id, state, flow, ?1 AS p, ?2 AS \"Größe\", x'00ff' AS raw FROM pump ORDER BY id";
    shmirror_value params[2] = {shmirror_integer(INT64_MIN), shmirror_string("ü")};
    shmirror_value value;
    shmirror_result *result = NULL;
    const char *name = NULL;
    uint64_t revision;
    size_t sets, columns, rows, c, r;

    OK(shmirror_mirror_query(mirror, sql, params, 2, &result));
    OK(shmirror_result_revision(result, &revision));
    OK(shmirror_result_sets(result, &sets));
    OK(shmirror_result_columns(result, 0, &columns));
    OK(shmirror_result_rows(result, 0, &rows));
    printf("result|%" PRIu64 "|%zu|%zu|%zu\n", revision, sets, columns, rows);
    for (r = 0; r < rows; r++) {
        printf("row");
        for (c = 0; c < columns; c++) {
            OK(shmirror_result_column_name(result, 0, c, &name));
            OK(shmirror_result_value(result, 0, r, c, &value));
            printf("|%s", name);
            print_value(&value);
        }
        printf("\n");
    }
    STATUS(SHMIRROR_BAD_ARGUMENT, shmirror_result_columns(result, sets, &columns));
    STATUS(SHMIRROR_BAD_ARGUMENT, shmirror_result_rows(result, sets, &rows));
    STATUS(SHMIRROR_BAD_ARGUMENT, shmirror_result_column_name(result, 0, columns, &name));
    STATUS(SHMIRROR_BAD_ARGUMENT, shmirror_result_value(result, 0, rows, 0, &value));
    STATUS(SHMIRROR_BAD_ARGUMENT, shmirror_result_value(result, 0, 0, columns, &value));
    STATUS(SHMIRROR_BAD_ARGUMENT, shmirror_result_value(result, SIZE_MAX, 0, 0, &value));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_result_value(result, 0, 0, 0, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_result_revision(result, NULL));
    OK(shmirror_result_close(result));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_result_value(result, 0, 0, 0, &value));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_result_close(result));

    STATUS(SHMIRROR_SQL, shmirror_mirror_query(mirror, "SELECT nothing", NULL, 0, &result));
    EXPECT(result == NULL && strstr(shmirror_last_message(), "nothing") != NULL);
    EXPECT(shmirror_last_status() == SHMIRROR_SQL);
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_mirror_query(mirror, NULL, NULL, 0, &result));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_mirror_query(mirror, sql, NULL, 2, &result));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_mirror_query(mirror, sql, params, 2, NULL));
    params[1].type = 9;
    STATUS(SHMIRROR_BAD_ARGUMENT, shmirror_mirror_query(mirror, sql, params, 2, &result));
    STATUS(SHMIRROR_NOT_UTF8, shmirror_mirror_query(mirror, "SELECT '\xff'", NULL, 0, &result));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_mirror_query(NULL, sql, NULL, 0, &result));
}

/* ---- the mirror itself ---- */

static void see_mirror(const char *backup)
{
    uint8_t id[16];
    char name[64], *json = NULL;
    uint64_t generation, revision;
    size_t length = 0, i;
    bool is_live = false;

    OK(shmirror_mirror_instance_name(mirror, name, sizeof(name), &length));
    EXPECT(strlen(name) == length);
    printf("name|%s\n", name);
    memset(name, 'x', sizeof(name));
    STATUS(SHMIRROR_SHORT_BUFFER, shmirror_mirror_instance_name(mirror, name, length, &length));
    EXPECT(name[0] == 'x');
    STATUS(SHMIRROR_SHORT_BUFFER, shmirror_mirror_instance_name(mirror, NULL, 0, NULL));
    OK(shmirror_mirror_instance_name(mirror, name, length + 1, NULL));
    OK(shmirror_mirror_instance_id(mirror, id));
    printf("id|");
    for (i = 0; i < 16; i++) {
        printf("%02x", id[i]);
    }
    OK(shmirror_mirror_generation(mirror, &generation));
    OK(shmirror_mirror_revision(mirror, &revision));
    OK(shmirror_mirror_is_live(mirror, &is_live));
    printf("\nnow|%" PRIu64 "|%" PRIu64 "|%d\n", generation, revision, is_live);
    OK(shmirror_mirror_status(mirror, &json));
    printf("status|%s\n", json);
    shmirror_string_free(json);
    OK(shmirror_mirror_check(mirror, &json));
    printf("check|%s\n", json);
    shmirror_string_free(json);
    OK(shmirror_mirror_backup(mirror, backup, &json));
    printf("backup|%s\n", json);
    shmirror_string_free(json);
    STATUS(SHMIRROR_FILE, shmirror_mirror_backup(mirror, backup, &json));
    EXPECT(json == NULL);

    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_mirror_revision(mirror, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_mirror_generation(mirror, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_mirror_is_live(mirror, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_mirror_instance_id(mirror, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_mirror_status(mirror, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_mirror_check(mirror, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_mirror_backup(mirror, NULL, &json));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_mirror_backup(mirror, backup, NULL));
    STATUS(SHMIRROR_NULL_ARGUMENT, shmirror_mirror_instance_name(NULL, name, 64, &length));

    OK(shmirror_mirror_wait_revision(mirror, revision, 0));
    STATUS(SHMIRROR_TIMED_OUT, shmirror_mirror_wait_revision(mirror, revision + 1, 0));
    STATUS(SHMIRROR_TIMED_OUT, shmirror_mirror_wait_revision(mirror, revision + 1, 2000000));
    printf("wait\n");
    fflush(stdout);
    OK(shmirror_mirror_wait_revision(mirror, revision + 1, SHMIRROR_FOREVER));
    OK(shmirror_mirror_revision(mirror, &generation));
    printf("came|%" PRIu64 "\n", generation - revision);
}

/* A child reads what is mapped, and is told where it would need the daemon. */
static void see_fork(void)
{
    shmirror_catalogue *catalogue = NULL;
    shmirror_schema *schema = NULL;
    shmirror_table *table = NULL;
    shmirror_result *result = NULL;
    uint64_t revision;
    char name[64], *json;
    bool is_live;
    pid_t child;

    OK(shmirror_mirror_table(mirror, "pump", &table));
    child = fork();
    if (child == 0) {
        OK(shmirror_mirror_revision(mirror, &revision));
        OK(shmirror_mirror_instance_name(mirror, name, sizeof(name), NULL));
        OK(shmirror_mirror_is_live(mirror, &is_live));
        EXPECT(!is_live);
        STATUS(SHMIRROR_FORKED, shmirror_mirror_catalogue(mirror, &catalogue));
        STATUS(SHMIRROR_FORKED, shmirror_mirror_status(mirror, &json));
        STATUS(SHMIRROR_FORKED, shmirror_mirror_query(mirror, "SELECT 1", NULL, 0, &result));
        OK(shmirror_table_schema(table, &schema));
        OK(shmirror_schema_close(schema));
        OK(shmirror_table_close(table));
        OK(shmirror_mirror_close(mirror));
        _exit(0);
    }
    expect_child(child);
    OK(shmirror_table_close(table));
    OK(shmirror_mirror_is_live(mirror, &is_live));
    EXPECT(is_live);
}

/* The daemon is away: reading goes on, asking does not. */
static void see_the_end(void)
{
    const uint64_t deadline = soon();
    shmirror_catalogue *catalogue = NULL;
    shmirror_result *result = NULL;
    uint64_t revision;
    char *json = NULL;
    bool is_live = true;
    int32_t status;

    printf("stop\n");
    fflush(stdout);
    while (is_live) {
        EXPECT(shmirror_now() < deadline);
        nap();
        OK(shmirror_mirror_is_live(mirror, &is_live));
    }
    OK(shmirror_mirror_revision(mirror, &revision));
    OK(shmirror_mirror_catalogue(mirror, &catalogue));
    OK(shmirror_catalogue_close(catalogue));
    status = shmirror_mirror_status(mirror, &json);
    EXPECT(status == SHMIRROR_NO_DAEMON || status == SHMIRROR_DISCONNECTED);
    EXPECT(json == NULL);
    status = shmirror_mirror_query(mirror, "SELECT 1", NULL, 0, &result);
    EXPECT(status == SHMIRROR_NO_DAEMON || status == SHMIRROR_DISCONNECTED);
    EXPECT(result == NULL && shmirror_last_status() == status);
    OK(shmirror_mirror_close(mirror));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_mirror_revision(mirror, &revision));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_mirror_generation(mirror, &revision));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_mirror_is_live(mirror, &is_live));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_mirror_wait_revision(mirror, 0, 0));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_mirror_status(mirror, &json));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_mirror_check(mirror, &json));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_mirror_backup(mirror, "x", &json));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_mirror_catalogue(mirror, &catalogue));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_mirror_query(mirror, "", NULL, 0, &result));
    STATUS(SHMIRROR_STALE_HANDLE, shmirror_mirror_close(mirror));
    OK(shmirror_mirror_close(NULL));
}

int main(int argc, char **argv)
{
    shmirror_options *options = NULL;

    EXPECT(argc == 3);
    OK(SHMIRROR_CHECK_VERSION());
    OK(shmirror_options_new(&options));
    OK(shmirror_options_socket(options, argv[1]));
    OK(shmirror_attach(options, &mirror));
    OK(shmirror_options_close(options));
    see_catalogue();
    see_query();
    see_mirror(argv[2]);
    see_fork();
    see_the_end();
    return 0;
}
