/* The library itself, options, and all that is asked of a mirror, a catalogue or a schema. */

#ifndef LIBRARY_H
#define LIBRARY_H

#include "world.h"

static void misuse_of_the_library(void)
{
    static const int32_t strange[] = {-1, 4, 15, 96, 1000, INT32_MAX, INT32_MIN};
    size_t i;
    cover("shmirror_strerror(", "status", "range");
    cover("shmirror_status_name(", "status", "range");
    for (i = 0; i < sizeof strange / sizeof *strange; i++) {
        THAT(strcmp(shmirror_strerror(strange[i]), "unknown status") == 0);
        THAT(strcmp(shmirror_status_name(strange[i]), "SHMIRROR_UNKNOWN_STATUS") == 0);
    }
    THAT(shmirror_last_message()[0] == '\0' && shmirror_last_status() == 0);
    shmirror_string_free(NULL);
    cover("shmirror_string_free(", "string", "null");
    IS(SHMIRROR_VERSION, shmirror_check_version(SHMIRROR_VERSION_MAJOR + 1, 0));
    IS(SHMIRROR_VERSION,
       shmirror_check_version(SHMIRROR_VERSION_MAJOR, SHMIRROR_VERSION_MINOR + 1));
    IS(SHMIRROR_VERSION, shmirror_check_version(UINT32_MAX, UINT32_MAX));
    OK(SHMIRROR_CHECK_VERSION());
    /* They take nothing, and are asked at any time. */
    THAT(shmirror_version_number() == SHMIRROR_VERSION_NUMBER);
    THAT(shmirror_version() != NULL && shmirror_layout_hash() != 0 && shmirror_now() != 0);
    cover("shmirror_version(", "-", "nothing");
    cover("shmirror_version_number(", "-", "nothing");
    cover("shmirror_layout_hash(", "-", "nothing");
    cover("shmirror_now(", "-", "nothing");
    cover("shmirror_last_message(", "-", "nothing");
    cover("shmirror_last_status(", "-", "nothing");
    cover("shmirror_check_version(", "-", "nothing");
}

static void misuse_of_options(void)
{
    shmirror_options *o;
    shmirror_mirror *nobody = (shmirror_mirror *)&o;
    OK(shmirror_options_new(&o));
    MAKES(shmirror_options, shmirror_options_new(out));
    CLOSES(shmirror_options, options);
    HANDLE(shmirror_options, options, shmirror_options_instance(it, "a"));
    HANDLE(shmirror_options, options, shmirror_options_socket(it, "/a"));
    HANDLE(shmirror_options, options, shmirror_options_program(it, "a"));
    HANDLE(shmirror_options, options, shmirror_options_attach_timeout(it, 0));
    STALE(shmirror_options, options, shmirror_options_socket_path(it, NULL, 0, NULL));
    /* NULL options are those of the environment. */
    BUFFER(shmirror_options_socket_path(NULL, buffer, size, length));
    cover("shmirror_options_socket_path(", "options", "null");
    TEXT(name, shmirror_options_instance(o, text));
    TEXT(path, shmirror_options_socket(o, text));
    TEXT(name, shmirror_options_program(o, text));
    OK(shmirror_options_socket(o, "/tmp/somewhere"));
    BUFFER(shmirror_options_socket_path(o, buffer, size, length));
    /* A name that is none is told where it is used; and what failed before left no trace. */
    OK(shmirror_options_attach_timeout(o, SHMIRROR_FOREVER));
    OK(shmirror_options_attach_timeout(o, 0));
    OK(shmirror_options_instance(o, "../etc"));
    IS(SHMIRROR_INSTANCE_NAME, shmirror_options_socket_path(o, NULL, 0, NULL));
    IS(SHMIRROR_INSTANCE_NAME, shmirror_attach(o, &nobody));
    THAT(nobody == NULL);
    OK(shmirror_options_socket(o, "/nonexistent/socket"));
    IS(SHMIRROR_NO_DAEMON, shmirror_attach(o, &nobody));
    see_message("shmirror_attach", __FILE__, __LINE__, "/nonexistent/socket");
    OK(shmirror_options_socket(o, ""));
    THAT(shmirror_attach(o, &nobody) != SHMIRROR_OK);
    OK(shmirror_options_close(o));
}

static void misuse_of_a_mirror(void)
{
    shmirror_mirror *m = LIVE(shmirror_mirror);
    shmirror_options *o = LIVE(shmirror_options);
    shmirror_mirror *made_mirror;
    shmirror_catalogue *catalogue;
    shmirror_result *result = (shmirror_result *)&m;
    shmirror_history *history;
    shmirror_table *table;
    uint64_t u64 = 77;
    uint8_t id[16];
    bool truth;
    char *json;
    char path[512];

    /* NULL options are those of the environment. */
    MAY_BE_NULL(options, shmirror_attach(NULL, &made_mirror));
    OK(shmirror_mirror_close(made_mirror));
    STALE(shmirror_options, options, shmirror_attach(it, &made_mirror));
    THAT(made_mirror == NULL);
    MAKES(shmirror_mirror, shmirror_attach(o, out));
    CLOSES(shmirror_mirror, mirror);
    HANDLE(shmirror_mirror, mirror, shmirror_mirror_revision(it, &u64));
    HANDLE(shmirror_mirror, mirror, shmirror_mirror_generation(it, &u64));
    HANDLE(shmirror_mirror, mirror, shmirror_mirror_is_live(it, &truth));
    HANDLE(shmirror_mirror, mirror, shmirror_mirror_instance_name(it, NULL, 0, NULL));
    HANDLE(shmirror_mirror, mirror, shmirror_mirror_instance_id(it, id));
    HANDLE(shmirror_mirror, mirror, shmirror_mirror_wait_revision(it, 0, 0));
    HANDLE(shmirror_mirror, mirror, shmirror_mirror_status(it, &json));
    HANDLE(shmirror_mirror, mirror, shmirror_mirror_check(it, &json));
    HANDLE(shmirror_mirror, mirror, shmirror_mirror_backup(it, "x", &json));
    HANDLE(shmirror_mirror, mirror, shmirror_mirror_catalogue(it, &catalogue));
    HANDLE(shmirror_mirror, mirror, shmirror_mirror_namespaces(it, &result));
    HANDLE(shmirror_mirror, mirror, shmirror_mirror_table(it, "t", &table));
    HANDLE(shmirror_mirror, mirror, shmirror_mirror_query(it, "SELECT 1", NULL, 0, &result));
    HANDLE(shmirror_mirror, mirror, shmirror_mirror_history(it, 0, NULL, 0, &history));
    THAT(u64 == 77 && result == NULL && json == NULL && table == NULL && history == NULL);

    IS_NULL(revision, shmirror_mirror_revision(m, NULL));
    IS_NULL(generation, shmirror_mirror_generation(m, NULL));
    IS_NULL(is_live, shmirror_mirror_is_live(m, NULL));
    IS_NULL(id, shmirror_mirror_instance_id(m, NULL));
    IS_NULL(json, shmirror_mirror_status(m, NULL));
    IS_NULL(json, shmirror_mirror_check(m, NULL));
    IS_NULL(json, shmirror_mirror_backup(m, "x", NULL));
    BUFFER(shmirror_mirror_instance_name(m, buffer, size, length));
    IS(SHMIRROR_TIMED_OUT, shmirror_mirror_wait_revision(m, UINT64_MAX, 0));
    IS(SHMIRROR_TIMED_OUT, shmirror_mirror_wait_revision(m, 1000000, 1000000));

    TEXT(path, shmirror_mirror_backup(m, text, &json));
    snprintf(path, sizeof path, "%s/no/such/folder", folder);
    IS(SHMIRROR_FILE, shmirror_mirror_backup(m, path, &json));
    THAT(json == NULL);

    TEXT(sql, shmirror_mirror_query(m, text, NULL, 0, &result));
    VALUES(params, shmirror_mirror_query(m, "SELECT ?1", given, 1, &result));
    COUNT(count, shmirror_mirror_query(m, "SELECT ?1", &(shmirror_value){0}, many, &result));
    MAKES(shmirror_result, shmirror_mirror_query(m, "SELECT 1", NULL, 0, out));
    IS(SHMIRROR_MALFORMED, shmirror_mirror_query(m, "SELECT ?1", NULL, 0, &result));
    IS(SHMIRROR_SQL, shmirror_mirror_query(m, "SELECT", NULL, 0, &result));
    THAT(result == NULL);

    TEXT(name, shmirror_mirror_table(m, text, &table));
    MAKES(shmirror_table, shmirror_mirror_table(m, "t", out));
    IS(SHMIRROR_UNKNOWN_TABLE, shmirror_mirror_table(m, "", &table));
    IS(SHMIRROR_UNKNOWN_TABLE, shmirror_mirror_table(m, "nowhere", &table));

    TEXTS(tables, shmirror_mirror_history(m, 0, texts, 1, &history));
    COUNT(count, shmirror_mirror_history(m, 0, &(const char *){"t"}, many, &history));
    MAKES(shmirror_history, shmirror_mirror_history(m, 0, NULL, 0, out));
    IS(SHMIRROR_UNKNOWN_TABLE, shmirror_mirror_history(m, 0, &(const char *){"none"}, 1, &history));
    MAKES(shmirror_catalogue, shmirror_mirror_catalogue(m, out));
    MAKES(shmirror_result, shmirror_mirror_namespaces(m, out));
}

static void misuse_of_a_catalogue(void)
{
    shmirror_catalogue *c = LIVE(shmirror_catalogue);
    uint64_t version;
    size_t count = 77;
    const char *name = NULL;
    shmirror_schema *schema;
    shmirror_object object;

    CLOSES(shmirror_catalogue, catalogue);
    HANDLE(shmirror_catalogue, catalogue, shmirror_catalogue_version(it, &version));
    HANDLE(shmirror_catalogue, catalogue, shmirror_catalogue_tables(it, &count));
    HANDLE(shmirror_catalogue, catalogue, shmirror_catalogue_table_name(it, 0, &name));
    HANDLE(shmirror_catalogue, catalogue, shmirror_catalogue_schema(it, 0, &schema));
    HANDLE(shmirror_catalogue, catalogue, shmirror_catalogue_objects(it, &count));
    HANDLE(shmirror_catalogue, catalogue, shmirror_catalogue_object(it, 0, &object));
    THAT(count == 77 && name == NULL);
    IS_NULL(version, shmirror_catalogue_version(c, NULL));
    IS_NULL(count, shmirror_catalogue_tables(c, NULL));
    IS_NULL(name, shmirror_catalogue_table_name(c, 0, NULL));
    IS_NULL(count, shmirror_catalogue_objects(c, NULL));
    IS_NULL(out, shmirror_catalogue_object(c, 0, NULL));
    RANGE(index, shmirror_catalogue_table_name(c, 2, &name));
    RANGE(index, shmirror_catalogue_table_name(c, SIZE_MAX, &name));
    RANGE(index, shmirror_catalogue_schema(c, 2, &schema));
    RANGE(index, shmirror_catalogue_schema(c, SIZE_MAX, &schema));
    RANGE(index, shmirror_catalogue_object(c, 1, &object));
    RANGE(index, shmirror_catalogue_object(c, SIZE_MAX, &object));
    MAKES(shmirror_schema, shmirror_catalogue_schema(c, 0, out));
}

static void misuse_of_a_schema(void)
{
    shmirror_schema *s = LIVE(shmirror_schema);
    const char *name = NULL;
    int32_t kind = 77;
    bool one_truth = true;
    bool other = true;
    size_t count = 77;
    const uint16_t *indexes = NULL;
    shmirror_column column;

    CLOSES(shmirror_schema, schema);
    MAKES(shmirror_schema, shmirror_table_schema(LIVE(shmirror_table), out));
    HANDLE(shmirror_table, table, shmirror_table_schema(it, &s));
    THAT(s == NULL);
    s = LIVE(shmirror_schema);
    HANDLE(shmirror_schema, schema, shmirror_schema_name(it, &name));
    HANDLE(shmirror_schema, schema, shmirror_schema_sql(it, &name));
    HANDLE(shmirror_schema, schema, shmirror_schema_key_kind(it, &kind));
    HANDLE(shmirror_schema, schema, shmirror_schema_flags(it, &one_truth, &other));
    HANDLE(shmirror_schema, schema, shmirror_schema_columns(it, &count));
    HANDLE(shmirror_schema, schema, shmirror_schema_column(it, 0, &column));
    HANDLE(shmirror_schema, schema, shmirror_schema_find(it, "n", &count));
    HANDLE(shmirror_schema, schema, shmirror_schema_key(it, &count, &indexes));
    THAT(name == NULL && kind == 77 && count == 77 && indexes == NULL);
    IS_NULL(name, shmirror_schema_name(s, NULL));
    IS_NULL(sql, shmirror_schema_sql(s, NULL));
    IS_NULL(kind, shmirror_schema_key_kind(s, NULL));
    IS_NULL(without_rowid, shmirror_schema_flags(s, NULL, &other));
    IS_NULL(strict, shmirror_schema_flags(s, &one_truth, NULL));
    IS_NULL(count, shmirror_schema_columns(s, NULL));
    IS_NULL(out, shmirror_schema_column(s, 0, NULL));
    IS_NULL(index, shmirror_schema_find(s, "n", NULL));
    IS_NULL(count, shmirror_schema_key(s, NULL, &indexes));
    IS_NULL(indexes, shmirror_schema_key(s, &count, NULL));
    THAT(one_truth && other && count == 77 && indexes == NULL);
    TEXT(column, shmirror_schema_find(s, text, &count));
    IS(SHMIRROR_UNKNOWN_COLUMN, shmirror_schema_find(s, "none", &count));
    IS(SHMIRROR_UNKNOWN_COLUMN, shmirror_schema_find(s, "", &count));
    RANGE(index, shmirror_schema_column(s, 5, &column));
    RANGE(index, shmirror_schema_column(s, SIZE_MAX, &column));
}

#endif /* LIBRARY_H */
