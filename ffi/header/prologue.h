/*
 * shmirror: tables in shared memory, for C and C++
 * ================================================
 *
 * A daemon (`shmirror serve`) keeps tables in an encrypted SQLite store and mirrors them, decrypted,
 * into shared memory. A program attaches to it once and from then on reads rows with no lock, no system
 * call and no word to the daemon; it writes through a ring in shared memory, and is told of changes
 * through another. C++ programs may prefer shmirror.hpp, which stands on this header.
 *
 *     #include <inttypes.h>
 *     #include <stdio.h>
 *     #include <shmirror.h>
 *
 *     int main(void)
 *     {
 *         shmirror_mirror *mirror = NULL;
 *         shmirror_table *tags = NULL;
 *         shmirror_cell *speed = NULL;
 *         shmirror_value key[1] = {shmirror_string("speed")};
 *         double value;
 *         int i;
 *
 *         if (shmirror_attach(NULL, &mirror) != SHMIRROR_OK
 *             || shmirror_mirror_table(mirror, "tag", &tags) != SHMIRROR_OK
 *             || shmirror_table_cell(tags, key, 1, "value", &speed) != SHMIRROR_OK) {
 *             fprintf(stderr, "%s\n", shmirror_last_message());
 *             return 1;
 *         }
 *         for (i = 0; i < 1000000; i++) {
 *             if (shmirror_cell_f64(speed, &value) == SHMIRROR_OK && value > 100.0) {
 *                 break; // some nanoseconds a turn
 *             }
 *         }
 *         shmirror_cell_close(speed);
 *         shmirror_table_close(tags);
 *         shmirror_mirror_close(mirror);
 *         return 0;
 *     }
 *
 *     cc reader.c $(pkg-config --cflags --libs shmirror)
 *
 *
 * Which object for what
 * ---------------------
 *
 *     to                              use                                         costs
 *     read a row                      shmirror_table + shmirror_row               some ten ns
 *     read a row into a C struct      shmirror_table + shmirror_binding           some ten ns
 *     read one value over and over    shmirror_cell                               a few ns
 *     read many rows of one moment    shmirror_rows, shmirror_table_each()        some ten ns a row
 *     write                           shmirror_producer, shmirror_transaction     a commit of the store
 *     write without waiting           shmirror_ticket                             about a microsecond
 *     be told of changes              shmirror_subscriber + shmirror_event        nothing while quiet
 *     look back                       shmirror_history + shmirror_event           a read of the log
 *     ask with SQL                    shmirror_mirror_query(), shmirror_sql()     a query in the daemon
 *     know the tables                 shmirror_catalogue, shmirror_schema         some microseconds
 *
 *
 * Namespaces
 * ----------
 *
 * A table is called by its name, or, where it is in another namespace than `main`, by both: "plant.pid".
 * So it is everywhere here: in what is asked for, in a catalogue, in events, in messages. (In SQL the same
 * is written plant.pid, or "plant"."pid".) Who may read and who may write a namespace is what the daemon's
 * configuration says of this process's user and groups. What may not be read is not there:
 * SHMIRROR_UNKNOWN_TABLE, whether there is such a table or not. What may be read and not written says
 * SHMIRROR_DENIED to who writes it; so does attaching, where there is nothing that may be read.
 * shmirror_mirror_namespaces() lists what there is.
 *
 *
 * Statuses
 * --------
 *
 * Every call that can fail returns a shmirror_status: SHMIRROR_OK is 0; 1 to 15 are outcomes that are no
 * failure (no such row, no event yet); everything else is a failure, of which this thread's
 * shmirror_last_message() tells the particulars: which table, key, column or argument, what was found
 * and what was expected. shmirror_strerror() has a few words for each status. Numbers are never changed
 * nor used twice; new ones may come, so treat one that you do not know as a failure.
 *
 * A call that fails has no effect: out parameters are as they were, except that a handle's place is set
 * to NULL and a buffer's length is told. The one exception says so itself: a request that was submitted
 * may be committed though its outcome is not known (SHMIRROR_TIMED_OUT, SHMIRROR_DISCONNECTED).
 *
 * No call ends the process, prints, or installs a signal handler. A fault of the library's own comes
 * back as SHMIRROR_PANIC (its place is printed to standard error).
 *
 *
 * Handles and ownership
 * ---------------------
 *
 * Handles are opaque: not to be followed, only to be given back to the library. What a function gives
 * through `shmirror_x **out` belongs to the caller, who ends it with shmirror_x_close(); closing NULL is
 * fine. Handles may be closed in any order: a table goes on after its mirror is closed, a ticket after
 * its producer. A handle that was closed, or one of another kind, is told: SHMIRROR_STALE_HANDLE, also
 * much later and after others were made.
 *
 * Texts that come in end with NUL, or have their size beside them, and are UTF-8. What comes in is
 * copied before the call returns: the caller's memory need not stay.
 *
 * Pointers that come out (names, texts, blobs, values) belong to the object that they were asked of; its
 * function says until when: mostly until that object is filled again or closed. A `char **` is freed
 * with shmirror_string_free().
 *
 * A text that is copied into a caller's buffer gets a NUL. Where the buffer is too small nothing is
 * copied, *length (which may be NULL) says how many bytes the text has without its NUL, and the status
 * is SHMIRROR_SHORT_BUFFER; a NULL buffer of size 0 asks for the length. (A cell's text comes straight
 * from shared memory: of a buffer that is too small for it the content is not specified.)
 *
 *
 * Threads
 * -------
 *
 * From any thread, at the same time: shmirror_options, shmirror_mirror, shmirror_catalogue,
 * shmirror_schema, shmirror_table, shmirror_cell, shmirror_producer, shmirror_ticket, shmirror_result.
 *
 * One thread at a time, which may change: shmirror_row, shmirror_rows, shmirror_binding (not checked, as
 * they are on the fastest paths: give each thread its own); shmirror_transaction, shmirror_subscriber,
 * shmirror_event, shmirror_history (the second thread gets SHMIRROR_BUSY).
 *
 * A handle must not be closed while another thread is using it. The last message is of the thread that
 * asks. No function but shmirror_cell_i64(), shmirror_cell_f64(), shmirror_cell_bool(),
 * shmirror_version(), shmirror_strerror() and shmirror_now() may be called in a signal handler.
 *
 * A mirror has a thread of its own (`shmirror-keeper`), with all signals blocked: the program's signals
 * go to the program's threads. The library stays loaded after dlclose().
 *
 *
 * fork
 * ----
 *
 * After fork() without exec() a child attaches anew. What it inherited goes on reading what it has
 * mapped; whatever needs the daemon, or must follow a table that moved, says SHMIRROR_FORKED. Closing
 * inherited handles is fine and does nothing to the parent. Descriptors are closed on exec().
 *
 *
 * When the daemon goes away
 * -------------------------
 *
 * Every handle outlives it. Reading goes on with what was published last (shmirror_mirror_is_live()
 * tells) and moves over to the next daemon by itself; a producer waits for it up to its timeout, and a
 * request is committed once or not at all; a subscriber goes on where it was. Nothing is to be opened
 * again.
 *
 *
 * Times
 * -----
 *
 * Timeouts are nanoseconds; 0 is one look, SHMIRROR_FOREVER no end. Deadlines are nanoseconds of
 * CLOCK_MONOTONIC, as shmirror_now() has it. Times of commits are microseconds since 1970-01-01 UTC.
 *
 *
 * Versions
 * --------
 *
 * A program that was built with this header runs with every later library of the same major version
 * (the soname, libshmirror.so.MAJOR). SHMIRROR_CHECK_VERSION() finds the library that is too old.
 * Library and daemon must share one layout of memory: else attaching says SHMIRROR_LAYOUT.
 *
 *
 * This file is made from the library's source (`make header`): what is to change is changed there.
 */
