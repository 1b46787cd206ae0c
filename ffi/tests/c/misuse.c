/* Uses the library as it must not be used: every pointer NULL in turn, handles that were closed or
 * are of another kind, buffers too short, numbers out of range, texts that are none, arrays out of
 * alignment; threads where one is allowed, forked children, handles closed in any order. Each time
 * the status must be the documented one, the message must name the argument, and nothing may crash:
 * it is built with AddressSanitizer and UndefinedBehaviorSanitizer.
 *
 * misuse SOCKET FOLDER [SEED], with SHMIRROR_SOCKET set to the socket as well. Standard output says
 * what was covered; the test compares that with the header. */

#define _POSIX_C_SOURCE 200809L

#include "misuse/following.h"
#include "misuse/library.h"
#include "misuse/lives.h"
#include "misuse/reading.h"
#include "misuse/threads.h"
#include "misuse/writing.h"

int main(int argc, char **argv)
{
    uint64_t seed;
    int i;
    if (argc < 3) {
        fprintf(stderr, "usage: %s SOCKET FOLDER [SEED]\n", argv[0]);
        return 2;
    }
    socket_path = argv[1];
    folder = argv[2];
    seed = argc > 3 ? strtoull(argv[3], NULL, 10) : shmirror_now();
    fprintf(stderr, "seed %" PRIu64 "\n", seed);
    for (i = 0; i < 17; i++) {
        seventeen[i] = shmirror_integer(i + 900);
    }
    misuse_of_the_library();
    begin();
    misuse_of_options();
    misuse_of_a_mirror();
    misuse_of_a_catalogue();
    misuse_of_a_schema();
    misuse_of_a_table();
    misuse_of_a_row();
    misuse_of_rows();
    misuse_of_a_binding();
    misuse_of_a_cell();
    misuse_of_a_result();
    misuse_of_a_producer();
    misuse_of_a_transaction();
    misuse_of_a_ticket();
    misuse_of_a_subscriber();
    misuse_of_a_history();
    misuse_of_an_event();
    misuse_of_order(seed);
    misuse_of_fork();
    misuse_of_threads();
    close_all(live);
    if (wrong != 0) {
        fprintf(stderr, "%d things came out wrong\n", wrong);
        return 1;
    }
    return 0;
}
