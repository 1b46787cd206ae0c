/* Lines about the instance, and those that set something for the lines after them. */

#ifndef INSTANCE_H
#define INSTANCE_H

#include "state.h"

static bool run_instance(const char *command, const line *l)
{
    if (strcmp(command, "mark") == 0) {
        place(&marks, name_of(l, 1))->number = last_commit;
    } else if (strcmp(command, "params") == 0) {
        /* They last until the next params. */
        while (kept_parameters != NULL) {
            kept *block = kept_parameters;
            kept_parameters = block->next;
            free(block);
        }
        values_of(l, 1, &parameters);
        kept_parameters = all_kept;
        all_kept = NULL;
    } else if (strcmp(command, "revision") == 0) {
        uint64_t revision;
        sure(shmirror_mirror_revision(mirror, &revision));
        printf("revision ");
        put_revision(stdout, revision);
        putchar('\n');
    } else if (strcmp(command, "wait-revision") == 0) {
        uint64_t revision = revision_of(name_of(l, 1));
        if (!failed(shmirror_mirror_wait_revision(mirror, revision, 1000000))) {
            puts("ok");
        }
    } else if (strcmp(command, "live") == 0) {
        bool reader, writer;
        char name[64];
        sure(shmirror_mirror_is_live(mirror, &reader));
        sure(shmirror_producer_is_live(producer, &writer));
        sure(shmirror_mirror_instance_name(mirror, name, sizeof name, NULL));
        printf("mirror %d producer %d name %s\n", reader, writer, name);
    } else if (strcmp(command, "attach") == 0) {
        shmirror_options *other;
        shmirror_mirror *made;
        shmirror_producer *writer;
        const char *how = name_of(l, 1);
        values where;
        values_of(l, 2, &where);
        sure(shmirror_options_new(&other));
        if (strcmp(how, "socket") == 0) {
            sure(shmirror_options_socket(other, where.values[0].as.text.data));
        } else {
            sure(shmirror_options_instance(other, where.values[0].as.text.data));
        }
        failed(shmirror_attach(other, &made));
        failed(shmirror_producer_attach(other, &writer));
        sure(shmirror_options_close(other));
    } else if (strcmp(command, "check") == 0) {
        char *json;
        if (!failed(shmirror_mirror_check(mirror, &json))) {
            puts(strstr(json, "\"ok\":true") != NULL ? "ok" : json);
            shmirror_string_free(json);
        }
    } else if (strcmp(command, "backup") == 0) {
        const char *name = name_of(l, 1);
        char *path = (char *)keep(strlen(folder) + strlen(name) + 2);
        char *json;
        sprintf(path, "%s/%s", folder, name);
        if (!failed(shmirror_mirror_backup(mirror, path, &json))) {
            puts(strstr(json, path) != NULL ? "ok" : json);
            shmirror_string_free(json);
        }
    } else {
        return false;
    }
    return true;
}

#endif /* INSTANCE_H */
