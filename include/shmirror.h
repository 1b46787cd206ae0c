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
 * is SHMIRROR_SHORT_BUFFER; a NULL buffer of size 0 asks for the length.
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

#ifndef SHMIRROR_H
#define SHMIRROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHMIRROR_VERSION_MAJOR 0
#define SHMIRROR_VERSION_MINOR 1
#define SHMIRROR_VERSION_PATCH 0

/* The header's version as one number; shmirror_version_number() is the library's. */
#define SHMIRROR_VERSION_NUMBER \
    (SHMIRROR_VERSION_MAJOR * 1000000 + SHMIRROR_VERSION_MINOR * 1000 + SHMIRROR_VERSION_PATCH)
/* SHMIRROR_OK if the library that runs serves a program that was built with this header. */
#define SHMIRROR_CHECK_VERSION() \
    shmirror_check_version(SHMIRROR_VERSION_MAJOR, SHMIRROR_VERSION_MINOR)

/* A timeout that never ends, a deadline that never comes. */
#define SHMIRROR_FOREVER UINT64_MAX
/* For shmirror_subscribe(): what is committed from now on. */
#define SHMIRROR_FROM_NOW UINT64_MAX

/**
 * What a call came to. 0 is success; 1 to 15 are outcomes that are no failure, and set no message;
 * everything else is a failure, whose particulars shmirror_last_message() tells. The list grows at its
 * gaps and its end: treat a number that you do not know as a failure.
 */
typedef enum {
    /**
     * Done.
     */
    SHMIRROR_OK = 0,
    /**
     * There is no row with this key.
     */
    SHMIRROR_NOT_FOUND = 1,
    /**
     * There is nothing more to come.
     */
    SHMIRROR_END = 2,
    /**
     * Not yet: the request is under way, or there was no event in time.
     */
    SHMIRROR_PENDING = 3,
    /**
     * A pointer is NULL that must not be.
     */
    SHMIRROR_NULL_ARGUMENT = 16,
    /**
     * A handle that was closed, or one of another kind.
     */
    SHMIRROR_STALE_HANDLE = 17,
    /**
     * The caller's buffer is too small; where there is a length to be told, it was told.
     */
    SHMIRROR_SHORT_BUFFER = 18,
    /**
     * A text that is not UTF-8.
     */
    SHMIRROR_NOT_UTF8 = 19,
    /**
     * A number that is out of its range: an index, an enumerator, a count.
     */
    SHMIRROR_BAD_ARGUMENT = 20,
    /**
     * A fault of the library's own, caught at its edge; the handle should be closed.
     */
    SHMIRROR_PANIC = 21,
    /**
     * The library is older than the header that the program was built with.
     */
    SHMIRROR_VERSION = 22,
    /**
     * Another thread is using this handle, which serves one at a time.
     */
    SHMIRROR_BUSY = 23,
    /**
     * Nobody answers at the control socket.
     */
    SHMIRROR_NO_DAEMON = 32,
    /**
     * The socket's path does not fit into a socket address.
     */
    SHMIRROR_SOCKET_PATH_TOO_LONG = 33,
    /**
     * An instance name that is none.
     */
    SHMIRROR_INSTANCE_NAME = 34,
    /**
     * Library and daemon were built with different memory layouts.
     */
    SHMIRROR_LAYOUT = 35,
    /**
     * The daemon's access rules, or the socket's mode, refuse this process.
     */
    SHMIRROR_DENIED = 36,
    /**
     * The daemon is away.
     */
    SHMIRROR_DISCONNECTED = 37,
    /**
     * Another instance answers at the socket than the one attached to.
     */
    SHMIRROR_OTHER_INSTANCE = 38,
    /**
     * The handle belongs to the process that this one was forked from.
     */
    SHMIRROR_FORKED = 39,
    /**
     * It took longer than the caller allowed.
     */
    SHMIRROR_TIMED_OUT = 40,
    /**
     * The daemon, or the memory it shares, broke the protocol.
     */
    SHMIRROR_PROTOCOL = 41,
    /**
     * The system refused something.
     */
    SHMIRROR_IO = 42,
    /**
     * A call that makes no sense as it stands.
     */
    SHMIRROR_USAGE = 43,
    /**
     * What was read went on changing until the time was up.
     */
    SHMIRROR_CONTENDED = 44,
    /**
     * The daemon is stopping.
     */
    SHMIRROR_STOPPING = 45,
    /**
     * The daemon holds this no longer.
     */
    SHMIRROR_EXPIRED = 46,
    /**
     * The daemon cannot write, or must not replace, that file.
     */
    SHMIRROR_FILE = 47,
    /**
     * No table of this name.
     */
    SHMIRROR_UNKNOWN_TABLE = 48,
    /**
     * No column of this name or index.
     */
    SHMIRROR_UNKNOWN_COLUMN = 49,
    /**
     * No row with this key, where there must be one.
     */
    SHMIRROR_NO_SUCH_ROW = 50,
    /**
     * Values that are no key of the table.
     */
    SHMIRROR_BAD_KEY = 51,
    /**
     * A value that does not convert to what was asked for without loss.
     */
    SHMIRROR_TYPE_MISMATCH = 52,
    /**
     * The value is NULL.
     */
    SHMIRROR_NULL_VALUE = 53,
    /**
     * A value or row that cannot be stored.
     */
    SHMIRROR_ENCODE = 54,
    /**
     * A row that does not fit into what was asked for.
     */
    SHMIRROR_DECODE = 55,
    /**
     * The cell's row was deleted; shmirror_cell_refresh() looks for the key again.
     */
    SHMIRROR_DELETED = 56,
    /**
     * The cell's table changed shape; shmirror_cell_refresh() looks for key and column again.
     */
    SHMIRROR_RESHAPED = 57,
    /**
     * The lane is full.
     */
    SHMIRROR_FULL = 64,
    /**
     * A transaction that is larger than the lane takes.
     */
    SHMIRROR_TOO_LARGE = 65,
    /**
     * The ticket's outcome is no longer held; whether it was committed is in the commit log.
     */
    SHMIRROR_OUTCOME_EXPIRED = 66,
    /**
     * Committed, but the rows that it returned are lost.
     */
    SHMIRROR_RESULT_LOST = 67,
    /**
     * The commit log no longer holds this revision.
     */
    SHMIRROR_TOO_OLD = 68,
    /**
     * Rejected: the row is not of the revision asked for.
     */
    SHMIRROR_REVISION_MISMATCH = 80,
    /**
     * Rejected: NULL in a NOT NULL column.
     */
    SHMIRROR_NOT_NULL = 81,
    /**
     * Rejected: a UNIQUE rule.
     */
    SHMIRROR_UNIQUE = 82,
    /**
     * Rejected: the primary key is there already.
     */
    SHMIRROR_PRIMARY_KEY = 83,
    /**
     * Rejected: a CHECK rule.
     */
    SHMIRROR_CHECK = 84,
    /**
     * Rejected: a FOREIGN KEY rule.
     */
    SHMIRROR_FOREIGN_KEY = 85,
    /**
     * Rejected by a trigger.
     */
    SHMIRROR_TRIGGER = 86,
    /**
     * Rejected: a value of the wrong type for a STRICT table or an INTEGER PRIMARY KEY.
     */
    SHMIRROR_DATATYPE = 87,
    /**
     * Rejected: SQL that SQLite does not take.
     */
    SHMIRROR_SQL = 88,
    /**
     * Rejected: SQL that an instance does not allow.
     */
    SHMIRROR_NOT_ALLOWED = 89,
    /**
     * Rejected: one of the stated limits.
     */
    SHMIRROR_LIMIT = 90,
    /**
     * Rejected: the statement took too long.
     */
    SHMIRROR_TIME_LIMIT = 91,
    /**
     * Rejected: the store cannot be written.
     */
    SHMIRROR_STORE = 92,
    /**
     * Rejected: no memory for the rows.
     */
    SHMIRROR_MEMORY = 93,
    /**
     * Rejected: a request that is no request.
     */
    SHMIRROR_MALFORMED = 94,
    /**
     * A fault of the daemon's own; its log has the particulars.
     */
    SHMIRROR_INTERNAL = 95,
} shmirror_status;

/**
 * The storage class of a value. Arguments and members that hold one are of type int32_t.
 */
typedef enum {
    /**
     * SQL NULL.
     */
    SHMIRROR_TYPE_NULL = 0,
    /**
     * A signed 64-bit integer.
     */
    SHMIRROR_TYPE_INTEGER = 1,
    /**
     * An IEEE 754 double.
     */
    SHMIRROR_TYPE_REAL = 2,
    /**
     * UTF-8 text.
     */
    SHMIRROR_TYPE_TEXT = 3,
    /**
     * Bytes.
     */
    SHMIRROR_TYPE_BLOB = 4,
} shmirror_type;

/**
 * The C type of a struct's member. Members that hold one are of type int32_t.
 */
typedef enum {
    /**
     * int64_t.
     */
    SHMIRROR_FIELD_I64 = 1,
    /**
     * double.
     */
    SHMIRROR_FIELD_F64 = 2,
    /**
     * uint8_t or bool: 0 or 1.
     */
    SHMIRROR_FIELD_BOOL = 3,
    /**
     * int32_t.
     */
    SHMIRROR_FIELD_I32 = 4,
    /**
     * uint32_t.
     */
    SHMIRROR_FIELD_U32 = 5,
    /**
     * uint64_t.
     */
    SHMIRROR_FIELD_U64 = 6,
    /**
     * float.
     */
    SHMIRROR_FIELD_F32 = 7,
    /**
     * char[size]: TEXT, with a NUL after it; SHMIRROR_SHORT_BUFFER where it does not fit.
     */
    SHMIRROR_FIELD_TEXT = 8,
    /**
     * uint8_t[size]: a BLOB of exactly so many bytes, else SHMIRROR_SHORT_BUFFER.
     */
    SHMIRROR_FIELD_BYTES = 9,
} shmirror_field_type;

/**
 * Which columns go to which members of a C struct. One thread at a time.
 */
typedef struct shmirror_binding shmirror_binding;

/**
 * One value: one column of one row. It stays with its row: when that is deleted it says
 * SHMIRROR_DELETED, also when a row with the same key is inserted later; when its table is altered or
 * dropped, SHMIRROR_RESHAPED. shmirror_cell_refresh() looks for key and column anew. A restart of the
 * daemon it follows by itself. Any thread.
 */
typedef struct shmirror_cell shmirror_cell;

/**
 * One event, filled again and again by shmirror_subscriber_next(), shmirror_history_next() and their
 * like. One thread at a time: another gets SHMIRROR_BUSY. What is asked of an event of another kind is
 * SHMIRROR_USAGE, and the message says which kind it is.
 */
typedef struct shmirror_event shmirror_event;

/**
 * A read-only view of an instance's tables in shared memory. A thread of the library's sleeps on the
 * control socket; when the daemon goes away, reading goes on with what was published last, and every
 * handle moves over to the next daemon by itself. Any thread.
 */
typedef struct shmirror_mirror shmirror_mirror;

/**
 * Which daemon to attach to, and how. Fresh options are those of a program that does not care: the
 * socket that the environment's SHMIRROR_SOCKET names, else that of the instance that
 * SHMIRROR_INSTANCE names, else that of the instance `default`. Any thread.
 */
typedef struct shmirror_options shmirror_options;

/**
 * Rows that SQL returned: a set for each statement that returns rows. It owns all that comes out of it,
 * and does not change. Any thread.
 */
typedef struct shmirror_result shmirror_result;

/**
 * A private copy of one row, to be filled again and again: no allocation once it has grown to the size
 * of the rows. One thread at a time.
 */
typedef struct shmirror_row shmirror_row;

/**
 * Rows that are all of one revision: the answer of shmirror_table_scan() and
 * shmirror_table_read_many(), filled again and again without allocation once it has grown. One thread
 * at a time.
 */
typedef struct shmirror_rows shmirror_rows;

/**
 * One table, by its name. It follows the table through a restart of the daemon, growth of the memory,
 * ALTER TABLE, DROP (then reading says SHMIRROR_UNKNOWN_TABLE) and a new CREATE of the name. Any
 * thread.
 */
typedef struct shmirror_table shmirror_table;

/**
 * Which column goes to which member of a C struct. Made with SHMIRROR_FIELD() and
 * SHMIRROR_FIELD_NULLABLE().
 */
typedef struct {
    /**
     * Name of the column (ASCII case folded).
     */
    const char *column;
    /**
     * A shmirror_field_type.
     */
    int32_t type;
    /**
     * Not used: 0.
     */
    int32_t flags;
    /**
     * Where the member begins in the struct, in bytes.
     */
    size_t offset;
    /**
     * Its size in bytes.
     */
    size_t size;
    /**
     * Where a uint8_t is that becomes 1 where the column is NULL, 0 where not. SIZE_MAX: nowhere, NULL
     * is SHMIRROR_NULL_VALUE.
     */
    size_t null_offset;
} shmirror_field;

/**
 * UTF-8 text of `size` bytes. It does not end with NUL, and may have NUL inside.
 */
typedef struct {
    /**
     * Its bytes; never NULL in a value that the library gives out.
     */
    const char *data;
    /**
     * How many there are.
     */
    size_t size;
} shmirror_text;

/**
 * `size` bytes.
 */
typedef struct {
    /**
     * They; never NULL in a value that the library gives out.
     */
    const uint8_t *data;
    /**
     * How many there are.
     */
    size_t size;
} shmirror_blob;

/**
 * What a value holds: the member that its type names.
 */
typedef union {
    /**
     * Of SHMIRROR_TYPE_INTEGER.
     */
    int64_t integer;
    /**
     * Of SHMIRROR_TYPE_REAL.
     */
    double real;
    /**
     * Of SHMIRROR_TYPE_TEXT.
     */
    shmirror_text text;
    /**
     * Of SHMIRROR_TYPE_BLOB.
     */
    shmirror_blob blob;
} shmirror_payload;

/**
 * One SQL value. It borrows the bytes of TEXT and BLOB: a value that goes in is copied before the call
 * returns; of one that comes out, the function says how long it lives. Made with shmirror_integer(),
 * shmirror_string() and their like.
 */
typedef struct {
    /**
     * A shmirror_type.
     */
    int32_t type;
    /**
     * Not used: 0.
     */
    int32_t reserved;
    /**
     * The value; not looked at for SHMIRROR_TYPE_NULL.
     */
    shmirror_payload as;
} shmirror_value;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * A binding of these columns to members; it copies what it is given. Close it with
 * shmirror_binding_close(). SHMIRROR_BAD_ARGUMENT.
 */
shmirror_status shmirror_binding_new(const shmirror_field *fields,
                                     size_t count,
                                     shmirror_binding **out);

/**
 * Ends a binding. NULL is fine.
 */
shmirror_status shmirror_binding_close(shmirror_binding *binding);

/**
 * A handle of the value in this column of the row with this key. Make it once and keep it. Close it
 * with shmirror_cell_close(). SHMIRROR_NO_SUCH_ROW, SHMIRROR_UNKNOWN_COLUMN, SHMIRROR_BAD_KEY,
 * SHMIRROR_UNKNOWN_TABLE.
 */
shmirror_status shmirror_table_cell(const shmirror_table *table,
                                    const shmirror_value *key,
                                    size_t key_size,
                                    const char *column,
                                    shmirror_cell **out);

/**
 * Ends a cell. NULL is fine.
 */
shmirror_status shmirror_cell_close(shmirror_cell *cell);

/**
 * An event that was never filled: of kind SHMIRROR_EVENT_NONE. Close it with shmirror_event_close().
 */
shmirror_status shmirror_event_new(shmirror_event **out);

/**
 * Ends an event, and the pointers that came out of it. NULL is fine.
 */
shmirror_status shmirror_event_close(shmirror_event *event);

/**
 * The library's version as text: `"0.1.0"`. Any thread; lives as long as the process.
 */
const char *shmirror_version(void);

/**
 * The library's version as a number, as SHMIRROR_VERSION_NUMBER is the header's: major * 1000000 +
 * minor * 1000 + patch. Any thread.
 */
uint32_t shmirror_version_number(void);

/**
 * The hash of the memory layout that the library was built with. A daemon of another layout refuses it
 * with SHMIRROR_LAYOUT. Any thread.
 */
uint64_t shmirror_layout_hash(void);

/**
 * Whether this library serves a program that was built with the header of version `major`.`minor`; see
 * SHMIRROR_CHECK_VERSION(). SHMIRROR_VERSION: it is of another major version, or older. Any thread.
 */
shmirror_status shmirror_check_version(uint32_t major,
                                       uint32_t minor);

/**
 * A status in a few words, never NULL: `"rejected: UNIQUE"`; of a number that is no status,
 * `"unknown status"`. Any thread; lives as long as the process.
 */
const char *shmirror_strerror(int32_t status);

/**
 * The name of a status, never NULL: `"SHMIRROR_UNIQUE"`; of a number that is no status,
 * `"SHMIRROR_UNKNOWN_STATUS"`. Any thread; lives as long as the process.
 */
const char *shmirror_status_name(int32_t status);

/**
 * What is to be told of this thread's last failure: which table, key, column or argument, what was
 * found and what was expected. Never NULL; `""` if there was none. Lives until this thread's next
 * failure. At most 2047 bytes of UTF-8.
 */
const char *shmirror_last_message(void);

/**
 * The status of this thread's last failure, 0 if there was none.
 */
int32_t shmirror_last_status(void);

/**
 * Now, in nanoseconds of CLOCK_MONOTONIC: what deadlines are counted in. Any thread.
 */
uint64_t shmirror_now(void);

/**
 * Frees a string that the library gave out as `char **`. NULL is fine. Any thread.
 *
 * # Safety
 * `string` is NULL, or came from a function of this library that says so and was not freed before.
 */
void shmirror_string_free(char *string);

/**
 * Attaches to the daemon that the options mean (NULL: the default ones) and maps its tables. Close the
 * mirror with shmirror_mirror_close(). SHMIRROR_NO_DAEMON, SHMIRROR_DENIED, SHMIRROR_LAYOUT,
 * SHMIRROR_INSTANCE_NAME, SHMIRROR_SOCKET_PATH_TOO_LONG. Costs about 0.1 ms.
 */
shmirror_status shmirror_attach(const shmirror_options *options,
                                shmirror_mirror **out);

/**
 * Ends a mirror. Its tables, cells and rows stay as they are, and the attachment with them until the
 * last of those is closed. NULL is fine.
 */
shmirror_status shmirror_mirror_close(shmirror_mirror *mirror);

/**
 * Fresh options. Close them with shmirror_options_close().
 */
shmirror_status shmirror_options_new(shmirror_options **out);

/**
 * Ends options. What was attached with them stays. NULL is fine.
 */
shmirror_status shmirror_options_close(shmirror_options *options);

/**
 * The instance of this name. The last of this and shmirror_options_socket() holds. That a name is none
 * is told where it is used: SHMIRROR_INSTANCE_NAME.
 */
shmirror_status shmirror_options_instance(shmirror_options *options,
                                          const char *name);

/**
 * The daemon with its control socket at this path.
 */
shmirror_status shmirror_options_socket(shmirror_options *options, const char *path);

/**
 * The name under which the daemon's status shows this program: by default that of the executable. At
 * most 32 bytes of it are shown.
 */
shmirror_status shmirror_options_program(shmirror_options *options,
                                         const char *name);

/**
 * How long attaching waits for a daemon that is not there yet; 0, the default: not at all.
 */
shmirror_status shmirror_options_attach_timeout(shmirror_options *options, uint64_t timeout_ns);

/**
 * The path of the control socket that these options mean. SHMIRROR_INSTANCE_NAME,
 * SHMIRROR_SOCKET_PATH_TOO_LONG, SHMIRROR_SHORT_BUFFER.
 */
shmirror_status shmirror_options_socket_path(const shmirror_options *options,
                                             char *buffer,
                                             size_t size,
                                             size_t *length);

/**
 * Ends a result, and the pointers that came out of it. NULL is fine.
 */
shmirror_status shmirror_result_close(shmirror_result *result);

/**
 * The revision that the rows are of.
 */
shmirror_status shmirror_result_revision(const shmirror_result *result, uint64_t *revision);

/**
 * How many sets of rows there are: one for each statement that returns rows, of no rows too.
 */
shmirror_status shmirror_result_sets(const shmirror_result *result, size_t *sets);

/**
 * How many columns a set has. SHMIRROR_BAD_ARGUMENT: there are not so many sets.
 */
shmirror_status shmirror_result_columns(const shmirror_result *result, size_t set, size_t *columns);

/**
 * The name of a column, which lives as long as the result. SHMIRROR_BAD_ARGUMENT: there are not so many
 * sets or columns.
 */
shmirror_status shmirror_result_column_name(const shmirror_result *result,
                                            size_t set,
                                            size_t column,
                                            const char **name);

/**
 * How many rows a set has. SHMIRROR_BAD_ARGUMENT: there are not so many sets.
 */
shmirror_status shmirror_result_rows(const shmirror_result *result, size_t set, size_t *rows);

/**
 * One value; its bytes live as long as the result. SHMIRROR_BAD_ARGUMENT: there are not so many sets,
 * rows or columns.
 */
shmirror_status shmirror_result_value(const shmirror_result *result,
                                      size_t set,
                                      size_t row,
                                      size_t column,
                                      shmirror_value *value);

/**
 * An empty row. Close it with shmirror_row_close().
 */
shmirror_status shmirror_row_new(shmirror_row **out);

/**
 * Ends a row, and the pointers that came out of it. NULL is fine.
 */
shmirror_status shmirror_row_close(shmirror_row *row);

/**
 * No rows yet. Close them with shmirror_rows_close().
 */
shmirror_status shmirror_rows_new(shmirror_rows **out);

/**
 * Ends rows. NULL is fine.
 */
shmirror_status shmirror_rows_close(shmirror_rows *rows);

/**
 * A handle of the table of this name (ASCII case folded). Make it once and keep it: finding a table
 * costs microseconds, reading from it nanoseconds. Close it with shmirror_table_close().
 * SHMIRROR_UNKNOWN_TABLE.
 */
shmirror_status shmirror_mirror_table(const shmirror_mirror *mirror,
                                      const char *name,
                                      shmirror_table **out);

/**
 * Ends a table handle. Its cells and what was read stay. NULL is fine.
 */
shmirror_status shmirror_table_close(shmirror_table *table);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

/* Values, for keys, parameters and rows. They borrow: what they point to must stay until the call that
 * takes them returns. */

#ifdef __cplusplus
extern "C" {
#endif

/* SQL NULL. */
static inline shmirror_value shmirror_null(void)
{
    shmirror_value value;
    value.type = SHMIRROR_TYPE_NULL;
    value.reserved = 0;
    value.as.text.data = NULL;
    value.as.text.size = 0;
    return value;
}

/* A signed 64-bit integer. */
static inline shmirror_value shmirror_integer(int64_t integer)
{
    shmirror_value value = shmirror_null();
    value.type = SHMIRROR_TYPE_INTEGER;
    value.as.integer = integer;
    return value;
}

/* A truth: the integer 0 or 1. */
static inline shmirror_value shmirror_boolean(int truth)
{
    return shmirror_integer(truth != 0);
}

/* An IEEE 754 double. */
static inline shmirror_value shmirror_real(double real)
{
    shmirror_value value = shmirror_null();
    value.type = SHMIRROR_TYPE_REAL;
    value.as.real = real;
    return value;
}

/* UTF-8 text of `size` bytes. */
static inline shmirror_value shmirror_string_n(const char *data, size_t size)
{
    shmirror_value value = shmirror_null();
    value.type = SHMIRROR_TYPE_TEXT;
    value.as.text.data = data;
    value.as.text.size = size;
    return value;
}

/* UTF-8 text that ends with NUL; NULL stands for SQL NULL. */
static inline shmirror_value shmirror_string(const char *terminated)
{
    size_t size = 0;
    if (terminated == NULL) {
        return shmirror_null();
    }
    while (terminated[size] != '\0') {
        size++;
    }
    return shmirror_string_n(terminated, size);
}

/* A BLOB of `size` bytes. */
static inline shmirror_value shmirror_bytes(const void *data, size_t size)
{
    shmirror_value value = shmirror_null();
    value.type = SHMIRROR_TYPE_BLOB;
    value.as.blob.data = (const uint8_t *)data;
    value.as.blob.size = size;
    return value;
}

#ifdef __cplusplus
}
#endif

#endif /* SHMIRROR_H */
