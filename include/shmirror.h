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
 * What happened to a row.
 */
typedef enum {
    /**
     * It is new.
     */
    SHMIRROR_OPERATION_INSERT = 1,
    /**
     * Some of its columns are new.
     */
    SHMIRROR_OPERATION_UPDATE = 2,
    /**
     * It is gone.
     */
    SHMIRROR_OPERATION_DELETE = 3,
} shmirror_operation;

/**
 * What an event is of. Arguments and members that hold one are of type int32_t; further kinds may
 * come.
 */
typedef enum {
    /**
     * Nothing: a handle that was never filled.
     */
    SHMIRROR_EVENT_NONE = 0,
    /**
     * A row was inserted, updated or deleted.
     */
    SHMIRROR_EVENT_CHANGE = 1,
    /**
     * Tables were created, changed or dropped.
     */
    SHMIRROR_EVENT_SCHEMA = 2,
    /**
     * The subscriber was too slow, or away too long: changes are missing between the event before and
     * the one after. shmirror_subscriber_resume_from() gets them from the commit log.
     */
    SHMIRROR_EVENT_LAGGED = 3,
} shmirror_kind;

/**
 * What to do with a new row whose key is there already. Arguments that hold one are of type int32_t.
 */
typedef enum {
    /**
     * The transaction fails: SHMIRROR_PRIMARY_KEY or SHMIRROR_UNIQUE.
     */
    SHMIRROR_ON_CONFLICT_FAIL = 0,
    /**
     * The old row goes, the new one comes (INSERT OR REPLACE).
     */
    SHMIRROR_ON_CONFLICT_REPLACE = 1,
    /**
     * The old row stays, the new one is left out.
     */
    SHMIRROR_ON_CONFLICT_SKIP = 2,
    /**
     * The columns that are given take their new values, the others stay as they are.
     */
    SHMIRROR_ON_CONFLICT_UPDATE = 3,
} shmirror_on_conflict;

/**
 * A column's affinity, by SQLite's rules.
 */
typedef enum {
    /**
     * No conversion.
     */
    SHMIRROR_AFFINITY_BLOB = 0,
    /**
     * Numbers become text.
     */
    SHMIRROR_AFFINITY_TEXT = 1,
    /**
     * Text that looks like a number becomes one.
     */
    SHMIRROR_AFFINITY_NUMERIC = 2,
    /**
     * As NUMERIC, integers preferred.
     */
    SHMIRROR_AFFINITY_INTEGER = 3,
    /**
     * As NUMERIC, integers become doubles.
     */
    SHMIRROR_AFFINITY_REAL = 4,
} shmirror_affinity;

/**
 * How TEXT of a key column compares.
 */
typedef enum {
    /**
     * Byte by byte.
     */
    SHMIRROR_COLLATION_BINARY = 0,
    /**
     * ASCII letters without case.
     */
    SHMIRROR_COLLATION_NOCASE = 1,
    /**
     * Trailing spaces ignored.
     */
    SHMIRROR_COLLATION_RTRIM = 2,
} shmirror_collation;

/**
 * Whether a column is computed.
 */
typedef enum {
    /**
     * An ordinary column.
     */
    SHMIRROR_GENERATED_NO = 0,
    /**
     * GENERATED … VIRTUAL.
     */
    SHMIRROR_GENERATED_VIRTUAL = 1,
    /**
     * GENERATED … STORED.
     */
    SHMIRROR_GENERATED_STORED = 2,
} shmirror_generated;

/**
 * What the key of a table is.
 */
typedef enum {
    /**
     * One INTEGER PRIMARY KEY column.
     */
    SHMIRROR_KEY_INTEGER = 0,
    /**
     * The columns of the PRIMARY KEY.
     */
    SHMIRROR_KEY_COLUMNS = 1,
    /**
     * The rowid, as no key is declared: the last column, hidden, named `rowid`.
     */
    SHMIRROR_KEY_ROWID = 2,
} shmirror_key_kind;

/**
 * What a schema object is that is no table.
 */
typedef enum {
    /**
     * CREATE INDEX.
     */
    SHMIRROR_OBJECT_INDEX = 0,
    /**
     * CREATE VIEW.
     */
    SHMIRROR_OBJECT_VIEW = 1,
    /**
     * CREATE TRIGGER.
     */
    SHMIRROR_OBJECT_TRIGGER = 2,
} shmirror_object_kind;

/**
 * The lists of names of an event.
 */
typedef enum {
    /**
     * Of SHMIRROR_EVENT_SCHEMA: tables that are new.
     */
    SHMIRROR_NAMES_CREATED = 0,
    /**
     * Of SHMIRROR_EVENT_SCHEMA: tables whose columns or name changed, by their new name.
     */
    SHMIRROR_NAMES_CHANGED = 1,
    /**
     * Of SHMIRROR_EVENT_SCHEMA: tables that are gone.
     */
    SHMIRROR_NAMES_DROPPED = 2,
    /**
     * Of SHMIRROR_EVENT_CHANGE: columns whose values are new: all of them for an insert, none for a
     * delete.
     */
    SHMIRROR_NAMES_COLUMNS = 3,
} shmirror_names;

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
     * uint8_t, or bool where that is a byte: 0 or 1.
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
     * char[size]: TEXT and a NUL. SHMIRROR_SHORT_BUFFER where it does not fit, SHMIRROR_TYPE_MISMATCH
     * where it has a NUL inside.
     */
    SHMIRROR_FIELD_TEXT = 8,
    /**
     * uint8_t[size]: a BLOB of exactly so many bytes. SHMIRROR_SHORT_BUFFER where it has more,
     * SHMIRROR_TYPE_MISMATCH where it has less.
     */
    SHMIRROR_FIELD_BYTES = 9,
    /**
     * shmirror_value: of any class, and NULL as one. Its text or bytes stay where they are: in the row
     * of shmirror_row_fetch(), the rows of shmirror_rows_fetch(), until those are filled again or
     * closed; of shmirror_table_fetch() in the binding, until it is used again or closed.
     */
    SHMIRROR_FIELD_VALUE = 10,
} shmirror_field_type;

/**
 * Which columns go to which members of a C struct, so that a row is read straight into one. It finds
 * the columns by their names, and again whenever their table was altered. One thread at a time.
 */
typedef struct shmirror_binding shmirror_binding;

/**
 * All tables, indexes, views and triggers that this process may read, as they were when it was asked
 * for: it does not change. Any thread.
 */
typedef struct shmirror_catalogue shmirror_catalogue;

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
 * What was committed from a revision on, up to the newest one at the time that it gets there. One
 * thread at a time: another gets SHMIRROR_BUSY.
 */
typedef struct shmirror_history shmirror_history;

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
 * Writes to an instance's tables, through a ring in shared memory. When the daemon goes away, it waits
 * for the next one, asks the commit log what became of what was under way, and submits again what was
 * not committed: every request is committed once or not at all. Any thread; all that write to one
 * instance should share one.
 */
typedef struct shmirror_producer shmirror_producer;

/**
 * Rows that SQL returned: a set for each statement that returns rows. It owns all that comes out of it,
 * and does not change. Any thread.
 */
typedef struct shmirror_result shmirror_result;

/**
 * A private copy of one row, to be filled again and again: no allocation once it has grown to the size
 * of the rows. It keeps the form that it was read with, whatever becomes of its table. Columns are
 * counted from 0 in the order of the table's declaration, hidden ones included. One thread at a time.
 */
typedef struct shmirror_row shmirror_row;

/**
 * Rows that are all of one revision: the answer of shmirror_table_scan() or
 * shmirror_table_read_many(), filled again and again without allocation once it has grown. One thread
 * at a time.
 */
typedef struct shmirror_rows shmirror_rows;

/**
 * The definition of one table as it was when it was asked for: it does not change, nor follow the
 * table. Any thread.
 */
typedef struct shmirror_schema shmirror_schema;

/**
 * Follows the changes of some or all tables: each once, in the order of revisions, through restarts of
 * the daemon. One that is too slow for the events lane is told SHMIRROR_EVENT_LAGGED, once, and goes on;
 * shmirror_subscriber_resume_from() gets from the commit log what it missed. One thread at a time.
 */
typedef struct shmirror_subscriber shmirror_subscriber;

/**
 * One table, by its name. It follows the table through a restart of the daemon, growth of the memory,
 * ALTER TABLE, DROP (then reading says SHMIRROR_UNKNOWN_TABLE) and a new CREATE of the name. Any
 * thread.
 */
typedef struct shmirror_table shmirror_table;

/**
 * The claim on the outcome of a request that was submitted. Outcomes are held for the last 4096
 * requests of a lane; a producer that goes on submitting collects its own before they go. Any thread.
 */
typedef struct shmirror_ticket shmirror_ticket;

/**
 * Changes to any tables, done in their order, that commit or fail as one. Nothing leaves the process
 * before it is submitted; afterwards, whatever the outcome, it is empty and serves for the next one. One
 * thread at a time.
 */
typedef struct shmirror_transaction shmirror_transaction;

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
     * Where a uint8_t is that becomes 1 where the column is NULL (then the member becomes all zeros), 0
     * where not. SIZE_MAX: nowhere, and NULL is SHMIRROR_NULL_VALUE.
     */
    size_t null_offset;
} shmirror_field;

/**
 * An index, a view or a trigger. Its texts live as long as the catalogue that it was asked of.
 */
typedef struct {
    /**
     * Its name, with its namespace before it as in "plant.by_state", unless that is `main`.
     */
    const char *name;
    /**
     * Name of the table or view that it belongs to, likewise; a view's own.
     */
    const char *table;
    /**
     * Its CREATE statement.
     */
    const char *sql;
    /**
     * A shmirror_object_kind.
     */
    int32_t kind;
    /**
     * Not used: 0.
     */
    int32_t reserved0;
    /**
     * Not used: 0.
     */
    uint64_t reserved[4];
} shmirror_object;

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

/**
 * What a transaction came to: all of it is durable, and every reader sees it.
 */
typedef struct {
    /**
     * Its revision; where it changed nothing, the newest that there was.
     */
    uint64_t revision;
    /**
     * Rows inserted, updated and deleted, those of triggers and cascades included. 0 also where the
     * daemon died after the commit and only its log could tell of it.
     */
    uint64_t changes;
} shmirror_commit;

/**
 * One column of a table. Its texts live as long as the schema that it was asked of.
 */
typedef struct {
    /**
     * Name, as declared.
     */
    const char *name;
    /**
     * Type, as declared; "" where there is none.
     */
    const char *declared_type;
    /**
     * DEFAULT, as SQL; NULL where there is none.
     */
    const char *default_sql;
    /**
     * A shmirror_affinity.
     */
    int32_t affinity;
    /**
     * A shmirror_collation.
     */
    int32_t collation;
    /**
     * A shmirror_generated.
     */
    int32_t generated;
    /**
     * Its place in the key, from 1; 0: not of the key.
     */
    int32_t key_position;
    /**
     * 1: NOT NULL is declared.
     */
    int32_t not_null;
    /**
     * 1: `SELECT *` does not show it. It is the rowid of a table that declares no key.
     */
    int32_t hidden;
    /**
     * Not used: 0.
     */
    uint64_t reserved[4];
} shmirror_column;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * A binding of columns to members; it copies what it is given. The columns are looked for when the
 * first row is read. Close it with shmirror_binding_close(). SHMIRROR_BAD_ARGUMENT: a type that is
 * none, or a size that is not its type's.
 */
shmirror_status shmirror_binding_new(const shmirror_field *fields,
                                     size_t count,
                                     shmirror_binding **out);

/**
 * Ends a binding. NULL is fine.
 */
shmirror_status shmirror_binding_close(shmirror_binding *binding);

/**
 * The catalogue as published now. Close it with shmirror_catalogue_close(). No word to the daemon; costs
 * some microseconds. SHMIRROR_DISCONNECTED and SHMIRROR_NO_DAEMON, where the tables are moving and the
 * daemon is away.
 */
shmirror_status shmirror_mirror_catalogue(const shmirror_mirror *mirror,
                                          shmirror_catalogue **out);

/**
 * Ends a catalogue, and the pointers that came out of it; schemas stay. NULL is fine.
 */
shmirror_status shmirror_catalogue_close(shmirror_catalogue *catalogue);

/**
 * The schema version: +1 with each transaction that changed the schema.
 */
shmirror_status shmirror_catalogue_version(const shmirror_catalogue *catalogue, uint64_t *version);

/**
 * How many tables there are.
 */
shmirror_status shmirror_catalogue_tables(const shmirror_catalogue *catalogue, size_t *count);

/**
 * The name of the table at `index`, with its namespace before it as in "plant.pid", unless that is
 * `main`; in the order of their creation. Lives as long as the catalogue. SHMIRROR_BAD_ARGUMENT: there
 * are not so many.
 */
shmirror_status shmirror_catalogue_table_name(const shmirror_catalogue *catalogue,
                                              size_t index,
                                              const char **name);

/**
 * The schema of the table at `index`. Close it with shmirror_schema_close(), before or after the
 * catalogue. SHMIRROR_BAD_ARGUMENT: there are not so many.
 */
shmirror_status shmirror_catalogue_schema(const shmirror_catalogue *catalogue,
                                          size_t index,
                                          shmirror_schema **out);

/**
 * How many indexes, views and triggers there are.
 */
shmirror_status shmirror_catalogue_objects(const shmirror_catalogue *catalogue, size_t *count);

/**
 * The index, view or trigger at `index`, in the order of their creation. SHMIRROR_BAD_ARGUMENT: there
 * are not so many.
 */
shmirror_status shmirror_catalogue_object(const shmirror_catalogue *catalogue,
                                          size_t index,
                                          shmirror_object *out);

/**
 * A handle of the value in this column of the row with this key. Make it once and keep it: finding a
 * row costs microseconds, reading the cell nanoseconds. Close it with shmirror_cell_close().
 * SHMIRROR_NO_SUCH_ROW, SHMIRROR_UNKNOWN_COLUMN, SHMIRROR_BAD_KEY, SHMIRROR_UNKNOWN_TABLE.
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
 * The value as an integer: an INTEGER, or a REAL that is one. A few nanoseconds, no system call.
 * SHMIRROR_NULL_VALUE; SHMIRROR_TYPE_MISMATCH: it does not convert without loss; SHMIRROR_DELETED;
 * SHMIRROR_RESHAPED; SHMIRROR_CONTENDED; SHMIRROR_DISCONNECTED: the daemon went away while it replaced
 * the memory; SHMIRROR_FORKED.
 */
shmirror_status shmirror_cell_i64(const shmirror_cell *cell,
                                  int64_t *value);

/**
 * The value as a double: a REAL, or an INTEGER that a double holds exactly. Cost and statuses as for
 * shmirror_cell_i64().
 */
shmirror_status shmirror_cell_f64(const shmirror_cell *cell,
                                  double *value);

/**
 * The value as a truth: 0 or 1. Cost and statuses as for shmirror_cell_i64().
 */
shmirror_status shmirror_cell_bool(const shmirror_cell *cell, bool *value);

/**
 * Whether the value is NULL. Cost and statuses as for shmirror_cell_i64().
 */
shmirror_status shmirror_cell_is_null(const shmirror_cell *cell, bool *is_null);

/**
 * Copies the value's TEXT and a NUL into the caller's buffer. SHMIRROR_SHORT_BUFFER; else statuses as
 * for shmirror_cell_i64(). It is copied straight out of shared memory: unless SHMIRROR_OK comes back,
 * what is in the buffer is not specified.
 */
shmirror_status shmirror_cell_text(const shmirror_cell *cell,
                                   char *buffer,
                                   size_t size,
                                   size_t *length);

/**
 * Copies the value's bytes, of a BLOB, into the caller's buffer; else as shmirror_cell_text().
 */
shmirror_status shmirror_cell_bytes(const shmirror_cell *cell,
                                    uint8_t *buffer,
                                    size_t size,
                                    size_t *length);

/**
 * Looks for the key and the column again: after SHMIRROR_DELETED it finds the row that has the key
 * now, after SHMIRROR_RESHAPED the column that has the name now. SHMIRROR_NO_SUCH_ROW,
 * SHMIRROR_UNKNOWN_COLUMN, SHMIRROR_UNKNOWN_TABLE: then the cell stays as it was.
 */
shmirror_status shmirror_cell_refresh(const shmirror_cell *cell);

/**
 * An event that was never filled: of kind SHMIRROR_EVENT_NONE. Close it with shmirror_event_close().
 */
shmirror_status shmirror_event_new(shmirror_event **out);

/**
 * Ends an event, and the pointers that came out of it. NULL is fine. SHMIRROR_BUSY, and it stays:
 * another thread is in one of its calls.
 */
shmirror_status shmirror_event_close(shmirror_event *event);

/**
 * What the event is of: a shmirror_kind.
 */
shmirror_status shmirror_event_kind(const shmirror_event *event, int32_t *kind);

/**
 * The revision of the transaction; of SHMIRROR_EVENT_LAGGED the first of which something may be
 * missing.
 */
shmirror_status shmirror_event_revision(const shmirror_event *event, uint64_t *revision);

/**
 * Of a change: its number in the stream of changes; 0 where it came from the commit log.
 */
shmirror_status shmirror_event_sequence(const shmirror_event *event, uint64_t *sequence);

/**
 * Of a change: the table's name at its revision; `#` and a number for one that was dropped since and
 * is unknown. Lives until the event is filled again or closed.
 */
shmirror_status shmirror_event_table(const shmirror_event *event,
                                     const char **name);

/**
 * Of a change: what happened to the row: a shmirror_operation.
 */
shmirror_status shmirror_event_operation(const shmirror_event *event, int32_t *operation);

/**
 * Of a change: the values of the row's key, in PRIMARY KEY order; the rowid where no key is declared.
 * They live until the event is filled again or closed.
 */
shmirror_status shmirror_event_key(const shmirror_event *event,
                                   const shmirror_value **values,
                                   size_t *count);

/**
 * Of a change: copies the row as it is after it. SHMIRROR_NOT_FOUND: a delete, and `row` is as it was.
 */
shmirror_status shmirror_event_row(const shmirror_event *event,
                                   shmirror_row *row);

/**
 * Of a change and of a change of the schema: the user id of who made it.
 */
shmirror_status shmirror_event_uid(const shmirror_event *event, uint32_t *uid);

/**
 * Of a change and of a change of the schema: the process id of who made it, as it said itself.
 */
shmirror_status shmirror_event_pid(const shmirror_event *event, uint32_t *pid);

/**
 * Of a change and of a change of the schema: when it was committed, in microseconds since 1970-01-01
 * UTC.
 */
shmirror_status shmirror_event_at_us(const shmirror_event *event,
                                     int64_t *at_us);

/**
 * Of a change: whether it is the last one of its transaction, whatever tables are followed.
 */
shmirror_status shmirror_event_is_last(const shmirror_event *event, bool *is_last);

/**
 * How many names there are in a list; `which` is a shmirror_names.
 */
shmirror_status shmirror_event_names_count(const shmirror_event *event,
                                           int32_t which,
                                           size_t *count);

/**
 * The name at `index` of a list; `which` is a shmirror_names. Lives until the event is filled again or
 * closed. SHMIRROR_BAD_ARGUMENT: there are not so many.
 */
shmirror_status shmirror_event_name(const shmirror_event *event,
                                    int32_t which,
                                    size_t index,
                                    const char **name);

/**
 * Of SHMIRROR_EVENT_LAGGED: how many changes were overwritten before they were read (where the commit
 * log no longer holds them: how many revisions), and the first revision of which something may be
 * missing.
 */
shmirror_status shmirror_event_lagged(const shmirror_event *event,
                                      uint64_t *missed,
                                      uint64_t *first_revision);

/**
 * The event as a JSON object, as `shmirror watch` prints it: into the caller's buffer, with a NUL.
 * SHMIRROR_SHORT_BUFFER.
 */
shmirror_status shmirror_event_json(const shmirror_event *event,
                                    char *buffer,
                                    size_t size,
                                    size_t *length);

/**
 * Reads the row with this key, as newest published, straight into the struct at `out`, which has
 * `out_size` bytes (sizeof). Either all members are written or none. No system call, no allocation once
 * the binding has seen a row of this size. SHMIRROR_NOT_FOUND; SHMIRROR_NULL_VALUE: NULL in a column
 * that has no member for it; SHMIRROR_TYPE_MISMATCH: a value does not convert without loss;
 * SHMIRROR_SHORT_BUFFER: TEXT or a BLOB is longer than its member, or `out_size` is less than the
 * binding needs; SHMIRROR_UNKNOWN_COLUMN; else statuses as for shmirror_table_read().
 */
shmirror_status shmirror_table_fetch(const shmirror_table *table,
                                     const shmirror_value *key,
                                     size_t key_size,
                                     shmirror_binding *binding,
                                     void *out,
                                     size_t out_size);

/**
 * shmirror_table_fetch() for a key of one integer; the fastest.
 */
shmirror_status shmirror_table_fetch_i64(const shmirror_table *table,
                                         int64_t key,
                                         shmirror_binding *binding,
                                         void *out,
                                         size_t out_size);

/**
 * shmirror_table_fetch() for a key of one TEXT of `size` bytes.
 */
shmirror_status shmirror_table_fetch_text(const shmirror_table *table,
                                          const char *key,
                                          size_t size,
                                          shmirror_binding *binding,
                                          void *out,
                                          size_t out_size);

/**
 * Writes a row's columns into the struct at `out`. Statuses as for shmirror_table_fetch().
 */
shmirror_status shmirror_row_fetch(const shmirror_row *row,
                                   shmirror_binding *binding,
                                   void *out,
                                   size_t out_size);

/**
 * Writes the columns of the row at `index` (as for shmirror_rows_at()) into the struct at `out`.
 * Statuses as for shmirror_table_fetch(), and SHMIRROR_BAD_ARGUMENT: `index` is not below the count.
 */
shmirror_status shmirror_rows_fetch(const shmirror_rows *rows,
                                    size_t index,
                                    shmirror_binding *binding,
                                    void *out,
                                    size_t out_size);

/**
 * What was committed from revision `from_revision` on (0: from the oldest that the commit log holds);
 * of these `count` tables, or of all where there are none. Close it with shmirror_history_close().
 * SHMIRROR_TOO_OLD: the log no longer holds that revision, and the message says which is the oldest.
 * SHMIRROR_UNKNOWN_TABLE, SHMIRROR_DISCONNECTED, SHMIRROR_NO_DAEMON. Fetches some megabytes of the log
 * at a time, now the first.
 */
shmirror_status shmirror_mirror_history(const shmirror_mirror *mirror,
                                        uint64_t from_revision,
                                        const char *const *tables,
                                        size_t count,
                                        shmirror_history **out);

/**
 * Ends a history; its events stay. NULL is fine. SHMIRROR_BUSY, and it goes on: another thread is in
 * one of its calls.
 */
shmirror_status shmirror_history_close(shmirror_history *history);

/**
 * Fills `event` with the next one. SHMIRROR_END: there is none, now and for ever, and `event` is as it
 * was. A failure ends the history too. Asks the daemon where what it fetched is used up.
 */
shmirror_status shmirror_history_next(shmirror_history *history,
                                      shmirror_event *event);

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
 * The newest published revision: no read that begins now is of an older one. Some nanoseconds.
 */
shmirror_status shmirror_mirror_revision(const shmirror_mirror *mirror, uint64_t *revision);

/**
 * The generation of the shared memory: +1 with each restart of the daemon, and with each growth beyond
 * the memory's reserve. Some nanoseconds.
 */
shmirror_status shmirror_mirror_generation(const shmirror_mirror *mirror,
                                           uint64_t *generation);

/**
 * Whether the daemon is connected and said within the last 2 s that it lives. One system call (getpid).
 */
shmirror_status shmirror_mirror_is_live(const shmirror_mirror *mirror,
                                        bool *is_live);

/**
 * The instance's name. SHMIRROR_SHORT_BUFFER.
 */
shmirror_status shmirror_mirror_instance_name(const shmirror_mirror *mirror,
                                              char *buffer,
                                              size_t size,
                                              size_t *length);

/**
 * The instance's id, 16 bytes that its store keeps for ever.
 */
shmirror_status shmirror_mirror_instance_id(const shmirror_mirror *mirror, uint8_t *id);

/**
 * Waits until this revision, or a newer one, is published: for a reader that was told a revision by
 * another program. A producer's own commits are visible when they are acknowledged.
 * SHMIRROR_TIMED_OUT. Looks every 0.01 to 1 ms.
 */
shmirror_status shmirror_mirror_wait_revision(const shmirror_mirror *mirror,
                                              uint64_t revision,
                                              uint64_t timeout_ns);

/**
 * The namespaces that this process may see now, by rising number: a result of one set, whose columns are
 * `id`, `name` and `writable` (whether this process may write too: 0 or 1). The daemon is asked; while it is
 * away, they are those that it named last. Close the result with shmirror_result_close().
 * SHMIRROR_DENIED: there are none any more.
 */
shmirror_status shmirror_mirror_namespaces(const shmirror_mirror *mirror,
                                           shmirror_result **out);

/**
 * The state of the instance as its daemon sees it: a JSON object, as `shmirror status --json` prints
 * it. Free it with shmirror_string_free(). SHMIRROR_DISCONNECTED, SHMIRROR_NO_DAEMON,
 * SHMIRROR_DENIED, SHMIRROR_TIMED_OUT.
 */
shmirror_status shmirror_mirror_status(const shmirror_mirror *mirror,
                                       char **json);

/**
 * Has the daemon open every seal and compare store, working copy and shared memory, row by row; gives
 * what was compared and what differs: a JSON object, as `shmirror check --json` prints it. Free it with
 * shmirror_string_free(). Reads go on meanwhile; commits wait for about a second per million rows.
 * Statuses as of shmirror_mirror_status().
 */
shmirror_status shmirror_mirror_check(const shmirror_mirror *mirror,
                                      char **json);

/**
 * Has the daemon write a copy of its store, as of one revision and still encrypted, into a new file,
 * and a copy of its key beside it as PATH.key: keep them apart. A path that is relative is so to this
 * process. Gives what was copied: a JSON object, as `shmirror backup --json` prints it. Free it with
 * shmirror_string_free(). SHMIRROR_FILE: the file is there already, or the daemon cannot write it;
 * else as shmirror_mirror_status().
 */
shmirror_status shmirror_mirror_backup(const shmirror_mirror *mirror,
                                       const char *path,
                                       char **json);

/**
 * Runs SQL that changes nothing, in the daemon, at one revision. `params` are `?1`, `?2`, …; NULL where
 * `count` is 0. Close the result with shmirror_result_close(). SHMIRROR_SQL with SQLite's message,
 * SHMIRROR_TIME_LIMIT, SHMIRROR_LIMIT, SHMIRROR_TOO_LARGE, SHMIRROR_DISCONNECTED, SHMIRROR_NO_DAEMON.
 */
shmirror_status shmirror_mirror_query(const shmirror_mirror *mirror,
                                      const char *sql,
                                      const shmirror_value *params,
                                      size_t count,
                                      shmirror_result **out);

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
 * The path of the control socket that the options mean (NULL: the default ones).
 * SHMIRROR_INSTANCE_NAME, SHMIRROR_SOCKET_PATH_TOO_LONG, SHMIRROR_SHORT_BUFFER.
 */
shmirror_status shmirror_options_socket_path(const shmirror_options *options,
                                             char *buffer,
                                             size_t size,
                                             size_t *length);

/**
 * Attaches to the daemon that the options mean (NULL: the default ones), to write. Close the producer
 * with shmirror_producer_close(). SHMIRROR_NO_DAEMON, SHMIRROR_DENIED, SHMIRROR_LAYOUT,
 * SHMIRROR_INSTANCE_NAME, SHMIRROR_SOCKET_PATH_TOO_LONG.
 */
shmirror_status shmirror_producer_attach(const shmirror_options *options,
                                         shmirror_producer **out);

/**
 * Ends a producer. Its transactions and tickets stay, and what was submitted goes on. NULL is fine.
 */
shmirror_status shmirror_producer_close(shmirror_producer *producer);

/**
 * Whether the daemon that this producer is attached to is there and takes requests: after a restart not
 * before the next request, which attaches to the next daemon. One system call. False in a forked child.
 */
shmirror_status shmirror_producer_is_live(const shmirror_producer *producer,
                                          bool *live);

/**
 * How long each call waits for room in the lane, and then again for the outcome, of this producer and of
 * its transactions; at the beginning 10 s.
 */
shmirror_status shmirror_producer_set_timeout(shmirror_producer *producer,
                                              uint64_t timeout_ns);

/**
 * How long each call waits.
 */
shmirror_status shmirror_producer_timeout(const shmirror_producer *producer, uint64_t *timeout_ns);

/**
 * SQL that defines or changes: any number of statements, one transaction; waits for the outcome.
 * `commit` may be NULL. Of SQL, SHMIRROR_SQL and SHMIRROR_NOT_ALLOWED; of rows, as shmirror_insert();
 * SHMIRROR_TOO_LARGE: a text of more than 1 MiB.
 */
shmirror_status shmirror_execute(shmirror_producer *producer,
                                 const char *sql,
                                 shmirror_commit *commit);

/**
 * SQL with `count` values for its parameters ?1, ?2, … (then a single statement; a NaN goes as NULL),
 * and, where `out` is not NULL, the rows that SELECT and RETURNING yield; waits for the outcome.
 * `commit` may be NULL. Close the result with shmirror_result_close(). As shmirror_execute();
 * SHMIRROR_RESULT_LOST: committed, at the revision that the message names, but the daemon died before
 * the rows were fetched.
 */
shmirror_status shmirror_sql(shmirror_producer *producer,
                             const char *sql,
                             const shmirror_value *params,
                             size_t count,
                             shmirror_commit *commit,
                             shmirror_result **out);

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
 * Revision of the transaction that last changed the row; 0 for a row that was never filled.
 */
shmirror_status shmirror_row_revision(const shmirror_row *row, uint64_t *revision);

/**
 * How many columns the row has, hidden ones included; 0 for a row that was never filled.
 */
shmirror_status shmirror_row_columns(const shmirror_row *row, size_t *count);

/**
 * Name of the column at `index`. It lives as long as the process. SHMIRROR_UNKNOWN_COLUMN.
 */
shmirror_status shmirror_row_column_name(const shmirror_row *row, size_t index, const char **name);

/**
 * Index of the column of this name (ASCII case folded). SHMIRROR_UNKNOWN_COLUMN. It compares names:
 * look an index up once, and again where the table was altered, or use a binding, which does that by
 * itself.
 */
shmirror_status shmirror_row_find(const shmirror_row *row,
                                  const char *column,
                                  size_t *index);

/**
 * Values of the row's key, in PRIMARY KEY order, of a table without one the rowid. `count` (may be
 * NULL) is told in any case. SHMIRROR_SHORT_BUFFER: there are more than `capacity`, of which 16 is
 * always enough. TEXT and BLOB live until the row is filled again or closed.
 */
shmirror_status shmirror_row_key(const shmirror_row *row,
                                 shmirror_value *values,
                                 size_t capacity,
                                 size_t *count);

/**
 * The row as a JSON object: the columns that `SELECT *` shows, in their order. INTEGER and REAL are
 * numbers (infinite ones the strings "inf" and "-inf"), TEXT is a string, a BLOB a string of
 * lower-case hex after 0x. SHMIRROR_SHORT_BUFFER.
 */
shmirror_status shmirror_row_json(const shmirror_row *row,
                                  char *buffer,
                                  size_t size,
                                  size_t *length);

/**
 * Storage class of the value at `index`, a shmirror_type. SHMIRROR_UNKNOWN_COLUMN: there is no such
 * index.
 */
shmirror_status shmirror_row_type(const shmirror_row *row, size_t index, int32_t *type);

/**
 * The value at `index` as an integer: an INTEGER, or a REAL that is one. SHMIRROR_NULL_VALUE;
 * SHMIRROR_TYPE_MISMATCH: it does not convert without loss; SHMIRROR_UNKNOWN_COLUMN: there is no such
 * index. A few nanoseconds, as all of these getters.
 */
shmirror_status shmirror_row_i64(const shmirror_row *row,
                                 size_t index,
                                 int64_t *value);

/**
 * The value at `index` as a double: a REAL, or an INTEGER that a double holds exactly. Statuses as for
 * shmirror_row_i64().
 */
shmirror_status shmirror_row_f64(const shmirror_row *row,
                                 size_t index,
                                 double *value);

/**
 * The value at `index` as a truth: 0 or 1. Statuses as for shmirror_row_i64().
 */
shmirror_status shmirror_row_bool(const shmirror_row *row, size_t index, bool *value);

/**
 * The value at `index` as an integer of 32 bits. Statuses as for shmirror_row_i64().
 */
shmirror_status shmirror_row_i32(const shmirror_row *row, size_t index, int32_t *value);

/**
 * The value at `index` as an integer from 0 of 32 bits. Statuses as for shmirror_row_i64().
 */
shmirror_status shmirror_row_u32(const shmirror_row *row, size_t index, uint32_t *value);

/**
 * The value at `index` as an integer from 0; SQL has none above INT64_MAX. Statuses as for
 * shmirror_row_i64().
 */
shmirror_status shmirror_row_u64(const shmirror_row *row, size_t index, uint64_t *value);

/**
 * The value at `index` as a single-precision float that holds it exactly. Statuses as for
 * shmirror_row_i64().
 */
shmirror_status shmirror_row_f32(const shmirror_row *row, size_t index, float *value);

/**
 * The TEXT at `index`, in place: it lives until the row is filled again or closed, and does not end
 * with NUL. Statuses as for shmirror_row_i64().
 */
shmirror_status shmirror_row_text(const shmirror_row *row, size_t index, shmirror_text *text);

/**
 * The BLOB at `index`, in place: it lives until the row is filled again or closed. Statuses as for
 * shmirror_row_i64().
 */
shmirror_status shmirror_row_blob(const shmirror_row *row, size_t index, shmirror_blob *blob);

/**
 * The value at `index`, whatever it is. TEXT and BLOB live until the row is filled again or closed.
 * SHMIRROR_UNKNOWN_COLUMN: there is no such index.
 */
shmirror_status shmirror_row_value(const shmirror_row *row, size_t index, shmirror_value *out);

/**
 * Copies the TEXT at `index` and a NUL into the caller's buffer. SHMIRROR_SHORT_BUFFER; else statuses
 * as for shmirror_row_i64().
 */
shmirror_status shmirror_row_copy_text(const shmirror_row *row,
                                       size_t index,
                                       char *buffer,
                                       size_t size,
                                       size_t *length);

/**
 * No rows yet. Close them with shmirror_rows_close().
 */
shmirror_status shmirror_rows_new(shmirror_rows **out);

/**
 * Ends rows. What was copied out of them stays. NULL is fine.
 */
shmirror_status shmirror_rows_close(shmirror_rows *rows);

/**
 * The revision that all of them are of; 0 where they were never filled.
 */
shmirror_status shmirror_rows_revision(const shmirror_rows *rows, uint64_t *revision);

/**
 * How many rows there are; after shmirror_table_read_many(), how many keys were asked for.
 */
shmirror_status shmirror_rows_count(const shmirror_rows *rows, size_t *count);

/**
 * Copies a row into `row`: the one at `index` of the order, or the one with the key at `index` of the
 * list. SHMIRROR_NOT_FOUND: no row has that key, and `row` stays as it was. SHMIRROR_BAD_ARGUMENT:
 * `index` is not below the count.
 */
shmirror_status shmirror_rows_at(const shmirror_rows *rows,
                                 size_t index,
                                 shmirror_row *row);

/**
 * Copies the next row into `row`, the first one after the rows were filled. Keys that have no row are
 * passed over. SHMIRROR_END: there is none left, and `row` stays as it was.
 */
shmirror_status shmirror_rows_next(shmirror_rows *rows,
                                   shmirror_row *row);

/**
 * Begins with the first row again.
 */
shmirror_status shmirror_rows_rewind(shmirror_rows *rows);

/**
 * The schema of a table as published now; of one that was dropped, the last that it had. Close it with
 * shmirror_schema_close(). Costs some microseconds.
 */
shmirror_status shmirror_table_schema(const shmirror_table *table,
                                      shmirror_schema **out);

/**
 * Ends a schema, and the pointers that came out of it. NULL is fine.
 */
shmirror_status shmirror_schema_close(shmirror_schema *schema);

/**
 * The table's name as declared, with its namespace before it as in "plant.pid", unless that is `main`.
 * Lives as long as the schema.
 */
shmirror_status shmirror_schema_name(const shmirror_schema *schema,
                                     const char **name);

/**
 * The table's CREATE TABLE statement, without the namespace. Lives as long as the schema.
 */
shmirror_status shmirror_schema_sql(const shmirror_schema *schema, const char **sql);

/**
 * What the table's key is: a shmirror_key_kind.
 */
shmirror_status shmirror_schema_key_kind(const shmirror_schema *schema, int32_t *kind);

/**
 * Whether the table is declared WITHOUT ROWID, and whether STRICT.
 */
shmirror_status shmirror_schema_flags(const shmirror_schema *schema,
                                      bool *without_rowid,
                                      bool *strict);

/**
 * How many columns there are, a hidden one included.
 */
shmirror_status shmirror_schema_columns(const shmirror_schema *schema, size_t *count);

/**
 * The column at `index`, in the order of their declaration, which is that of a row's values too; a
 * hidden one comes last. SHMIRROR_BAD_ARGUMENT: there are not so many.
 */
shmirror_status shmirror_schema_column(const shmirror_schema *schema,
                                       size_t index,
                                       shmirror_column *out);

/**
 * The index of the column of this name (ASCII case folded). SHMIRROR_UNKNOWN_COLUMN.
 */
shmirror_status shmirror_schema_find(const shmirror_schema *schema,
                                     const char *column,
                                     size_t *index);

/**
 * The table's key: how many columns it has (1 to 16), and their indexes among the columns, in key
 * order. The indexes live as long as the schema.
 */
shmirror_status shmirror_schema_key(const shmirror_schema *schema,
                                    size_t *count,
                                    const uint16_t **indexes);

/**
 * Follows `count` tables (0: all of them) of the daemon that the options mean (NULL: the default ones),
 * from this revision on: first what the commit log has of it, then what comes. SHMIRROR_FROM_NOW: what
 * is committed after this returns; 0: from the oldest revision that the log holds. A name that is no
 * table yet is followed as soon as there is one. Close the subscriber with shmirror_subscriber_close().
 * SHMIRROR_TOO_OLD (the message names the oldest revision there is), SHMIRROR_NO_DAEMON,
 * SHMIRROR_DENIED, SHMIRROR_LAYOUT, SHMIRROR_INSTANCE_NAME, SHMIRROR_SOCKET_PATH_TOO_LONG.
 */
shmirror_status shmirror_subscribe(const shmirror_options *options,
                                   const char *const *tables,
                                   size_t count,
                                   uint64_t from_revision,
                                   shmirror_subscriber **out);

/**
 * Ends a subscriber, and its descriptor with it. NULL is fine. SHMIRROR_BUSY, and it goes on: another
 * thread is in one of its calls.
 */
shmirror_status shmirror_subscriber_close(shmirror_subscriber *subscriber);

/**
 * Fills `event` with the next one; SHMIRROR_PENDING if there is none for so long, and `event` is as it
 * was. 0: one look, as shmirror_subscriber_try_next(). While there is no daemon it tries to reattach,
 * and that is no failure. SHMIRROR_OTHER_INSTANCE: another store is served at the socket now, which
 * shmirror_subscriber_resume_from() accepts. No system call while there are events in the lane.
 */
shmirror_status shmirror_subscriber_next(shmirror_subscriber *subscriber,
                                         uint64_t timeout_ns,
                                         shmirror_event *event);

/**
 * As shmirror_subscriber_next(), until a time of shmirror_now()'s clock.
 */
shmirror_status shmirror_subscriber_next_until(shmirror_subscriber *subscriber,
                                               uint64_t deadline_ns,
                                               shmirror_event *event);

/**
 * The next event, if there is one now; else SHMIRROR_PENDING, and the descriptor is silent until there
 * is. Of this kind are the calls of an epoll loop: once shmirror_subscriber_fd() is readable, until
 * SHMIRROR_PENDING. Else as shmirror_subscriber_next().
 */
shmirror_status shmirror_subscriber_try_next(shmirror_subscriber *subscriber,
                                             shmirror_event *event);

/**
 * A descriptor that becomes readable when shmirror_subscriber_try_next() may have something, for poll,
 * select and epoll. It stays the same through restarts of the daemon and belongs to the subscriber: do
 * neither read from it nor close it. It may be readable though there is nothing. Once it is, call
 * shmirror_subscriber_try_next() until that says SHMIRROR_PENDING: who stops before must come back without
 * being told, as the descriptor may be silent while events are there.
 */
shmirror_status shmirror_subscriber_fd(shmirror_subscriber *subscriber,
                                       int *fd);

/**
 * Goes to a revision, back or forth: what comes next is the first event of it, or after it. Events not
 * yet read are forgotten. 0: the oldest revision that the commit log holds. SHMIRROR_TOO_OLD (the
 * message names the oldest), SHMIRROR_NO_DAEMON, SHMIRROR_DISCONNECTED: it stays where it is.
 */
shmirror_status shmirror_subscriber_resume_from(shmirror_subscriber *subscriber,
                                                uint64_t revision);

/**
 * A handle of the table of this name (ASCII case folded). Make it once and keep it: finding a table
 * costs microseconds, reading from it nanoseconds. Close it with shmirror_table_close().
 * SHMIRROR_UNKNOWN_TABLE.
 */
shmirror_status shmirror_mirror_table(const shmirror_mirror *mirror,
                                      const char *name,
                                      shmirror_table **out);

/**
 * Ends a table handle. Its cells, and what was read, stay. NULL is fine.
 */
shmirror_status shmirror_table_close(shmirror_table *table);

/**
 * The name that the handle was made with. It lives as long as the handle.
 */
shmirror_status shmirror_table_name(const shmirror_table *table, const char **name);

/**
 * How many rows there are, as of about now. SHMIRROR_UNKNOWN_TABLE.
 */
shmirror_status shmirror_table_rows(const shmirror_table *table, uint64_t *count);

/**
 * Index of the column of this name (ASCII case folded) in the rows that are read from now on, until
 * the table is altered. SHMIRROR_UNKNOWN_COLUMN, SHMIRROR_UNKNOWN_TABLE.
 */
shmirror_status shmirror_table_column(const shmirror_table *table, const char *name, size_t *index);

/**
 * Reads the row with this key, as newest published, into `row`. Values convert as SQLite converts them
 * in a comparison with the column. No system call, and no allocation once `row` has grown.
 * SHMIRROR_NOT_FOUND: there is none, and `row` holds nothing in particular. SHMIRROR_BAD_KEY: values
 * that are no key of this table. SHMIRROR_UNKNOWN_TABLE: it was dropped.
 */
shmirror_status shmirror_table_read(const shmirror_table *table,
                                    const shmirror_value *key,
                                    size_t key_size,
                                    shmirror_row *row);

/**
 * shmirror_table_read() for a key of one integer; the fastest.
 */
shmirror_status shmirror_table_read_i64(const shmirror_table *table,
                                        int64_t key,
                                        shmirror_row *row);

/**
 * shmirror_table_read() for a key of one TEXT of `size` bytes.
 */
shmirror_status shmirror_table_read_text(const shmirror_table *table,
                                         const char *key,
                                         size_t size,
                                         shmirror_row *row);

/**
 * Reads the rows with these keys, all as of one revision: `count` keys of `key_size` values, one after
 * another. shmirror_rows_at() gives the row of each. No allocation once `rows` has grown. Statuses as
 * for shmirror_table_read(), also SHMIRROR_CONTENDED: rows were written too fast for 2 s; then `rows`
 * has none.
 */
shmirror_status shmirror_table_read_many(const shmirror_table *table,
                                         const shmirror_value *keys,
                                         size_t key_size,
                                         size_t count,
                                         shmirror_rows *rows);

/**
 * Reads all rows as of one revision: `sorted` 0: in no particular order, else in the order of the
 * PRIMARY KEY. It always finishes: where the writers are too fast for reading beside them, the daemon
 * copies the table between two commits. No allocation once `rows` has grown, save for such a copy.
 * SHMIRROR_UNKNOWN_TABLE; SHMIRROR_DISCONNECTED: the daemon was needed and is away; then `rows` has
 * none.
 */
shmirror_status shmirror_table_scan(const shmirror_table *table,
                                    int32_t sorted,
                                    shmirror_rows *rows);

/**
 * Calls `visit` with each row, all as of one revision, until it returns something else than 0, which
 * ends the walk with SHMIRROR_OK too. `sorted` as for shmirror_table_scan(). `revision` (may be NULL)
 * is told. The row is valid during the call only. `visit` may call any function of the library, but
 * must not close the table, nor leave by an exception or longjmp(). All rows are copied before the first
 * call; the memory stays with the table handle for the next walk.
 */
shmirror_status shmirror_table_each(const shmirror_table *table,
                                    int32_t sorted,
                                    int32_t (*visit)(void *context, const shmirror_row *row),
                                    void *context,
                                    uint64_t *revision);

/**
 * Ends a ticket. It takes nothing back: the request goes on, and nobody hears of it. NULL is fine.
 */
shmirror_status shmirror_ticket_close(shmirror_ticket *ticket);

/**
 * Its number in the lane that it is in now; another one after that lane was lost.
 */
shmirror_status shmirror_ticket_number(const shmirror_ticket *ticket, uint64_t *number);

/**
 * The outcome, if it is there already: SHMIRROR_PENDING while the request is under way. SHMIRROR_OK:
 * committed; `commit` may be NULL. A rejection: nothing was done, as shmirror_insert() lists them. May
 * be asked again, and says the same. SHMIRROR_OUTCOME_EXPIRED: asked too late.
 * SHMIRROR_OTHER_INSTANCE: the daemon that it was for was followed by one of another instance. No system
 * call, unless the daemon is gone.
 */
shmirror_status shmirror_ticket_poll(const shmirror_ticket *ticket,
                                     shmirror_commit *commit);

/**
 * Waits for the outcome, as shmirror_ticket_poll() tells it, for so long. SHMIRROR_TIMED_OUT,
 * SHMIRROR_DISCONNECTED (the daemon is away): not known yet, and it may yet be committed; ask again.
 */
shmirror_status shmirror_ticket_wait(const shmirror_ticket *ticket,
                                     uint64_t timeout_ns,
                                     shmirror_commit *commit);

/**
 * As shmirror_ticket_wait(), until a time of shmirror_now()'s clock.
 */
shmirror_status shmirror_ticket_wait_until(const shmirror_ticket *ticket,
                                           uint64_t deadline_ns,
                                           shmirror_commit *commit);

/**
 * An empty transaction of this producer's. Close it with shmirror_transaction_close().
 */
shmirror_status shmirror_transaction_new(shmirror_producer *producer, shmirror_transaction **out);

/**
 * Ends a transaction; changes that were not submitted are forgotten. NULL is fine. SHMIRROR_BUSY, and it
 * stays: another thread is in one of its calls.
 */
shmirror_status shmirror_transaction_close(shmirror_transaction *transaction);

/**
 * Forgets its changes.
 */
shmirror_status shmirror_transaction_clear(shmirror_transaction *transaction);

/**
 * How many changes there are; the rows of one shmirror_transaction_insert_rows() are one.
 */
shmirror_status shmirror_transaction_size(shmirror_transaction *transaction, size_t *changes);

/**
 * Adds a new row, as shmirror_insert(). That the table and the columns are there is seen by the daemon.
 * A call that fails adds nothing.
 */
shmirror_status shmirror_transaction_insert(shmirror_transaction *transaction,
                                            const char *table,
                                            const char *const *columns,
                                            const shmirror_value *values,
                                            size_t count);

/**
 * Adds a new row or new values, as shmirror_upsert().
 */
shmirror_status shmirror_transaction_upsert(shmirror_transaction *transaction,
                                            const char *table,
                                            const char *const *columns,
                                            const shmirror_value *values,
                                            size_t count);

/**
 * Adds new values for columns of the row with this key, as shmirror_update().
 */
shmirror_status shmirror_transaction_update(shmirror_transaction *transaction,
                                            const char *table,
                                            const shmirror_value *key,
                                            size_t key_size,
                                            const char *const *columns,
                                            const shmirror_value *values,
                                            size_t count);

/**
 * Adds that the row with this key goes, as shmirror_delete().
 */
shmirror_status shmirror_transaction_delete(shmirror_transaction *transaction,
                                            const char *table,
                                            const shmirror_value *key,
                                            size_t key_size);

/**
 * Adds a new row, as shmirror_insert_json().
 */
shmirror_status shmirror_transaction_insert_json(shmirror_transaction *transaction,
                                                 const char *table,
                                                 const char *json);

/**
 * Adds a new row or new values, as shmirror_upsert_json().
 */
shmirror_status shmirror_transaction_upsert_json(shmirror_transaction *transaction,
                                                 const char *table,
                                                 const char *json);

/**
 * Adds new values for columns of the row with this key, as shmirror_update_json().
 */
shmirror_status shmirror_transaction_update_json(shmirror_transaction *transaction,
                                                 const char *table,
                                                 const shmirror_value *key,
                                                 size_t key_size,
                                                 const char *json);

/**
 * Adds `row_count` new rows as one change: `values` has row_count * column_count of them, row after row.
 * `on_conflict` is a shmirror_on_conflict, for each row whose key is there already. A transaction is at
 * most half of the lane (8 MiB unless configured): load a large file in parts.
 */
shmirror_status shmirror_transaction_insert_rows(shmirror_transaction *transaction,
                                                 const char *table,
                                                 const char *const *columns,
                                                 size_t column_count,
                                                 const shmirror_value *values,
                                                 size_t row_count,
                                                 int32_t on_conflict);

/**
 * Compare and set: the last change is made only if its row is of this revision, 0: only if there is no
 * such row; else the transaction fails with SHMIRROR_REVISION_MISMATCH. It is the row's revision before
 * this transaction that counts. SHMIRROR_USAGE, and the transaction is as it was: there is no change
 * yet, or the last one is of several rows.
 */
shmirror_status shmirror_transaction_if_revision(shmirror_transaction *transaction,
                                                 uint64_t revision);

/**
 * Submits, as shmirror_transaction_submit(), and waits until every change is durable and every reader
 * sees it, or until nothing of them was done; `commit` may be NULL. Statuses as shmirror_insert() lists
 * them. Where nothing was submitted, shmirror_transaction_size() says that the changes are still there.
 */
shmirror_status shmirror_transaction_commit(shmirror_transaction *transaction,
                                            shmirror_commit *commit);

/**
 * Puts it into the lane, waiting for room up to the producer's timeout; the ticket tells the outcome.
 * Close that with shmirror_ticket_close(). The transaction is empty then.
 *
 * Any other status than SHMIRROR_OK: nothing was submitted, and the transaction is as it was, so that
 * one can try again. SHMIRROR_FULL (no room in time); SHMIRROR_TOO_LARGE; SHMIRROR_ENCODE (a NaN; the
 * message names table and column); SHMIRROR_NO_DAEMON, SHMIRROR_DISCONNECTED, SHMIRROR_TIMED_OUT (the
 * lane was lost, and there was no daemon with another in time); SHMIRROR_FORKED. Costs about a
 * microsecond and the copying of the changes.
 */
shmirror_status shmirror_transaction_submit(shmirror_transaction *transaction,
                                            shmirror_ticket **out);

/**
 * As shmirror_transaction_submit(), if the lane has room now; else SHMIRROR_FULL at once.
 */
shmirror_status shmirror_transaction_try_submit(shmirror_transaction *transaction,
                                                shmirror_ticket **out);

/**
 * A new row, with `count` columns and a value for each; other columns take their DEFAULT. Waits until
 * it is durable and every reader sees it; `commit` may be NULL. Costs one commit of the store, which
 * many that come at a time share.
 *
 * Rejected, and nothing was done: SHMIRROR_UNKNOWN_TABLE, SHMIRROR_UNKNOWN_COLUMN,
 * SHMIRROR_PRIMARY_KEY (the key is there already), SHMIRROR_UNIQUE, SHMIRROR_NOT_NULL, SHMIRROR_CHECK,
 * SHMIRROR_FOREIGN_KEY, SHMIRROR_TRIGGER, SHMIRROR_DATATYPE, SHMIRROR_BAD_KEY, SHMIRROR_LIMIT,
 * SHMIRROR_STORE, SHMIRROR_STOPPING, SHMIRROR_DENIED.
 * Not submitted: SHMIRROR_ENCODE (a NaN), SHMIRROR_TOO_LARGE, SHMIRROR_FULL, SHMIRROR_NO_DAEMON,
 * SHMIRROR_FORKED.
 * Not known, and it may yet be committed: SHMIRROR_TIMED_OUT, SHMIRROR_DISCONNECTED. With a transaction
 * of one's own one can ask on: see shmirror_transaction_submit().
 */
shmirror_status shmirror_insert(shmirror_producer *producer,
                                const char *table,
                                const char *const *columns,
                                const shmirror_value *values,
                                size_t count,
                                shmirror_commit *commit);

/**
 * A new row or, where the key is there already, new values for the columns given; else as
 * shmirror_insert().
 */
shmirror_status shmirror_upsert(shmirror_producer *producer,
                                const char *table,
                                const char *const *columns,
                                const shmirror_value *values,
                                size_t count,
                                shmirror_commit *commit);

/**
 * New values for `count` columns of the row with this key. As shmirror_insert(), and
 * SHMIRROR_NO_SUCH_ROW.
 */
shmirror_status shmirror_update(shmirror_producer *producer,
                                const char *table,
                                const shmirror_value *key,
                                size_t key_size,
                                const char *const *columns,
                                const shmirror_value *values,
                                size_t count,
                                shmirror_commit *commit);

/**
 * The row with this key goes. As shmirror_insert(), and SHMIRROR_NO_SUCH_ROW.
 */
shmirror_status shmirror_delete(shmirror_producer *producer,
                                const char *table,
                                const shmirror_value *key,
                                size_t key_size,
                                shmirror_commit *commit);

/**
 * A new row, given as a JSON object of columns and their values: null is NULL, true and false are 1 and
 * 0, a string is TEXT, a number is INTEGER where it is written without fraction and exponent, else REAL.
 * (There are no BLOBs in JSON.) As shmirror_insert(); SHMIRROR_ENCODE: the text is no such object.
 */
shmirror_status shmirror_insert_json(shmirror_producer *producer,
                                     const char *table,
                                     const char *json,
                                     shmirror_commit *commit);

/**
 * As shmirror_upsert(), with a row as shmirror_insert_json() takes it.
 */
shmirror_status shmirror_upsert_json(shmirror_producer *producer,
                                     const char *table,
                                     const char *json,
                                     shmirror_commit *commit);

/**
 * As shmirror_update(), with columns as shmirror_insert_json() takes them.
 */
shmirror_status shmirror_update_json(shmirror_producer *producer,
                                     const char *table,
                                     const shmirror_value *key,
                                     size_t key_size,
                                     const char *json,
                                     shmirror_commit *commit);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

/* Bindings: one column and the member of a struct that it goes to, as an element of an array for
 * shmirror_binding_new(). `field_type` is a shmirror_field_type. NULL in the column fails with
 * SHMIRROR_NULL_VALUE. */
#define SHMIRROR_FIELD(struct_type, member, column, field_type) \
    { column, field_type, 0, offsetof(struct_type, member), \
      sizeof(((struct_type *)0)->member), SIZE_MAX }
/* The same where NULL is fine: then the member becomes all zeros, and `null_member`, a uint8_t or bool
 * of the struct, 1; else it becomes 0. */
#define SHMIRROR_FIELD_NULLABLE(struct_type, member, column, field_type, null_member) \
    { column, field_type, 0, offsetof(struct_type, member), \
      sizeof(((struct_type *)0)->member), offsetof(struct_type, null_member) }

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
