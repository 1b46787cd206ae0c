/* Lines that ask what tables there are, and what they are. */

#ifndef SCHEMA_H
#define SCHEMA_H

#include "state.h"

static void put_schema(const shmirror_schema *schema)
{
    const char *name, *sql;
    const uint16_t *key;
    int32_t kind;
    bool without_rowid, strict;
    size_t count, parts, i;
    sure(shmirror_schema_name(schema, &name));
    sure(shmirror_schema_sql(schema, &sql));
    sure(shmirror_schema_key_kind(schema, &kind));
    sure(shmirror_schema_flags(schema, &without_rowid, &strict));
    sure(shmirror_schema_columns(schema, &count));
    sure(shmirror_schema_key(schema, &parts, &key));
    printf("table ");
    put_name(stdout, name);
    printf(" key=%s without-rowid=%d strict=%d parts", ONE_OF(KEY_KINDS, kind), without_rowid,
           strict);
    for (i = 0; i < parts; i++) {
        printf(" %u", key[i]);
    }
    printf("\n  ");
    put_message(stdout, sql);
    putchar('\n');
    for (i = 0; i < count; i++) {
        shmirror_column column;
        size_t found;
        sure(shmirror_schema_column(schema, i, &column));
        sure(shmirror_schema_find(schema, column.name, &found));
        printf("  column ");
        put_name(stdout, column.name);
        printf(" type=");
        put_name(stdout, column.declared_type);
        printf(" default=");
        put_name(stdout, column.default_sql == NULL ? "-" : column.default_sql);
        printf(" affinity=%s collation=%s generated=%s key=%d not-null=%d hidden=%d found=%zu\n",
               ONE_OF(AFFINITIES, column.affinity), ONE_OF(COLLATIONS, column.collation),
               ONE_OF(GENERATED, column.generated), (int)column.key_position,
               (int)column.not_null, (int)column.hidden, found);
    }
}

static bool run_schema(const char *command, const line *l)
{
    shmirror_schema *schema;
    if (strcmp(command, "schema") == 0) {
        shmirror_table *table = table_of(name_of(l, 1));
        if (table != NULL && !failed(shmirror_table_schema(table, &schema))) {
            put_schema(schema);
            sure(shmirror_schema_close(schema));
        }
    } else if (strcmp(command, "catalogue") == 0) {
        shmirror_catalogue *catalogue;
        uint64_t version;
        size_t count, i;
        if (failed(shmirror_mirror_catalogue(mirror, &catalogue))) {
            return true;
        }
        sure(shmirror_catalogue_version(catalogue, &version));
        printf("catalogue %" PRIu64 "\n", version);
        sure(shmirror_catalogue_tables(catalogue, &count));
        for (i = 0; i < count; i++) {
            const char *name, *again;
            sure(shmirror_catalogue_table_name(catalogue, i, &name));
            sure(shmirror_catalogue_schema(catalogue, i, &schema));
            sure(shmirror_schema_name(schema, &again));
            if (strcmp(name, again) != 0) {
                give_up("a table has two names", name);
            }
            put_schema(schema);
            sure(shmirror_schema_close(schema));
        }
        sure(shmirror_catalogue_objects(catalogue, &count));
        for (i = 0; i < count; i++) {
            shmirror_object object;
            sure(shmirror_catalogue_object(catalogue, i, &object));
            printf("%s ", ONE_OF(OBJECT_KINDS, object.kind));
            put_name(stdout, object.name);
            printf(" of ");
            put_name(stdout, object.table);
            printf(" ");
            put_message(stdout, object.sql);
            putchar('\n');
        }
        sure(shmirror_catalogue_close(catalogue));
    } else {
        return false;
    }
    return true;
}

#endif /* SCHEMA_H */
