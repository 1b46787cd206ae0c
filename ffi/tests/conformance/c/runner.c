/* Runs a case file through the C library and prints what came of each line.
 *
 * runner SOCKET CASE FOLDER: the daemon's socket, the case file, a folder for files that it makes.
 * What the lines mean is in README.md. Ends with 0 if the whole case was run, whatever came of its
 * lines. */

#define _POSIX_C_SOURCE 200809L

#include "events.h"
#include "instance.h"
#include "reading.h"
#include "schema.h"
#include "writing.h"

static void run(const char *text)
{
    line l;
    const char *command;
    split(text, &l);
    if (l.count == 0 || l.words[0].text[0] == '#') {
        return;
    }
    printf("> %s\n", text);
    command = name_of(&l, 0);
    if (strcmp(command, "execute") == 0 || strcmp(command, "sql") == 0 ||
        strcmp(command, "query") == 0) {
        run_sql(command, rest(&l, 1));
    } else if (!run_change(command, &l) && !run_transaction(command, &l) &&
               !run_read(command, &l) && !run_cell(command, &l) && !run_schema(command, &l) &&
               !run_events(command, &l) && !run_instance(command, &l)) {
        give_up("no such command", command);
    }
    forget_line();
}

static void end(void)
{
    size_t i;
    for (i = 0; i < tables.count; i++) {
        sure(shmirror_table_close((shmirror_table *)tables.all[i].thing));
    }
    for (i = 0; i < cells.count; i++) {
        sure(shmirror_cell_close((shmirror_cell *)cells.all[i].thing));
    }
    for (i = 0; i < tickets.count; i++) {
        sure(shmirror_ticket_close((shmirror_ticket *)tickets.all[i].thing));
    }
    for (i = 0; i < subscribers.count; i++) {
        sure(shmirror_subscriber_close((shmirror_subscriber *)subscribers.all[i].thing));
    }
    all_kept = kept_parameters;
    forget_line();
    sure(shmirror_event_close(event));
    sure(shmirror_rows_close(rows));
    sure(shmirror_row_close(row));
    sure(shmirror_transaction_close(transaction));
    sure(shmirror_producer_close(producer));
    sure(shmirror_mirror_close(mirror));
    sure(shmirror_options_close(options));
}

int main(int argc, char **argv)
{
    FILE *cases;
    char *text = NULL;
    size_t room = 0;
    ssize_t size;
    if (argc != 4) {
        fprintf(stderr, "usage: %s SOCKET CASE FOLDER\n", argv[0]);
        return 2;
    }
    folder = argv[3];
    cases = fopen(argv[2], "r");
    if (cases == NULL) {
        give_up("cannot open", argv[2]);
    }
    sure(SHMIRROR_CHECK_VERSION());
    sure(shmirror_options_new(&options));
    sure(shmirror_options_socket(options, argv[1]));
    sure(shmirror_attach(options, &mirror));
    sure(shmirror_producer_attach(options, &producer));
    sure(shmirror_producer_set_timeout(producer, PATIENCE));
    sure(shmirror_transaction_new(producer, &transaction));
    sure(shmirror_row_new(&row));
    sure(shmirror_rows_new(&rows));
    sure(shmirror_event_new(&event));
    sure(shmirror_mirror_revision(mirror, &start));
    while ((size = getline(&text, &room, cases)) > 0) {
        if (text[size - 1] == '\n') {
            text[size - 1] = '\0';
        }
        run(text);
    }
    free(text);
    fclose(cases);
    end();
    return 0;
}
