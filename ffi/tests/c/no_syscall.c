/* Reads in every way after giving system calls up: no_syscall [MILLISECONDS]. The kernel kills the process
 * at the first system call but its end. `no_syscall trap` makes one, to show that the trap works.
 *
 * Expects the table
 *   reading (id INTEGER PRIMARY KEY, real REAL, truth INTEGER, absent, name TEXT, bytes BLOB, n)
 * with rows 0 … 99, real = id / 2, truth = id % 2, name = 'row ID', 4 bytes, and any n, which may change
 * meanwhile; `by_name`, the same under PRIMARY KEY (name), and `by_both`, under PRIMARY KEY (name, id). */
#define _GNU_SOURCE
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <shmirror.h>

#define ROWS 100

struct reading {
    int64_t id;
    double real;
    uint8_t truth;
    char name[16];
    uint8_t bytes[4];
};

static const shmirror_field FIELDS[] = {
    SHMIRROR_FIELD(struct reading, id, "id", SHMIRROR_FIELD_I64),
    SHMIRROR_FIELD(struct reading, real, "real", SHMIRROR_FIELD_F64),
    SHMIRROR_FIELD(struct reading, truth, "truth", SHMIRROR_FIELD_BOOL),
    SHMIRROR_FIELD(struct reading, name, "name", SHMIRROR_FIELD_TEXT),
    SHMIRROR_FIELD(struct reading, bytes, "bytes", SHMIRROR_FIELD_BYTES),
};

struct all {
    shmirror_mirror *mirror;
    shmirror_table *by_id, *by_name, *by_both;
    shmirror_cell *id, *real, *truth, *absent, *name, *bytes;
    shmirror_binding *binding;
    shmirror_row *row;
    shmirror_rows *rows;
};

/* Which check failed last: the exit status of the process, as printing would be a system call. */
static int line;
#define CHECK(what) \
    do { \
        line = __LINE__; \
        if (!(what)) { \
            return 0; \
        } \
    } while (0)
#define OK(call) CHECK((call) == SHMIRROR_OK)

static int open_all(struct all *a)
{
    shmirror_value key = shmirror_integer(7);
    OK(shmirror_attach(NULL, &a->mirror));
    OK(shmirror_mirror_table(a->mirror, "reading", &a->by_id));
    OK(shmirror_mirror_table(a->mirror, "by_name", &a->by_name));
    OK(shmirror_mirror_table(a->mirror, "by_both", &a->by_both));
    OK(shmirror_table_cell(a->by_id, &key, 1, "id", &a->id));
    OK(shmirror_table_cell(a->by_id, &key, 1, "real", &a->real));
    OK(shmirror_table_cell(a->by_id, &key, 1, "truth", &a->truth));
    OK(shmirror_table_cell(a->by_id, &key, 1, "absent", &a->absent));
    OK(shmirror_table_cell(a->by_id, &key, 1, "name", &a->name));
    OK(shmirror_table_cell(a->by_id, &key, 1, "bytes", &a->bytes));
    OK(shmirror_binding_new(FIELDS, sizeof FIELDS / sizeof FIELDS[0], &a->binding));
    OK(shmirror_row_new(&a->row));
    OK(shmirror_rows_new(&a->rows));
    return 1;
}

static int read_cells(struct all *a)
{
    int64_t integer = 0;
    double real = 0;
    bool truth = false, is_null = false;
    char name[16];
    uint8_t bytes[4];
    size_t length = 0;
    OK(shmirror_cell_i64(a->id, &integer));
    CHECK(integer == 7);
    OK(shmirror_cell_f64(a->real, &real));
    CHECK(real == 3.5);
    OK(shmirror_cell_bool(a->truth, &truth));
    CHECK(truth);
    OK(shmirror_cell_is_null(a->absent, &is_null));
    CHECK(is_null);
    CHECK(shmirror_cell_i64(a->absent, &integer) == SHMIRROR_NULL_VALUE);
    OK(shmirror_cell_text(a->name, name, sizeof name, &length));
    CHECK(length == 5 && strcmp(name, "row 7") == 0);
    OK(shmirror_cell_bytes(a->bytes, bytes, sizeof bytes, &length));
    CHECK(length == 4);
    return 1;
}

/* That the row filled last is the one with this id. */
static int check_row(struct all *a, int64_t id)
{
    size_t at = 0, columns = 0;
    int64_t integer = -1;
    double real = -1;
    bool truth = false;
    int32_t type = -1;
    uint64_t revision = 0;
    shmirror_text text;
    shmirror_blob blob;
    shmirror_value value;
    char name[16];
    OK(shmirror_row_columns(a->row, &columns));
    CHECK(columns == 7);
    OK(shmirror_row_find(a->row, "id", &at));
    OK(shmirror_row_i64(a->row, at, &integer));
    CHECK(integer == id);
    OK(shmirror_row_find(a->row, "real", &at));
    OK(shmirror_row_f64(a->row, at, &real));
    CHECK(real == (double)id / 2);
    OK(shmirror_row_find(a->row, "truth", &at));
    OK(shmirror_row_bool(a->row, at, &truth));
    CHECK(truth == (id % 2 == 1));
    OK(shmirror_row_find(a->row, "absent", &at));
    OK(shmirror_row_type(a->row, at, &type));
    CHECK(type == SHMIRROR_TYPE_NULL);
    OK(shmirror_row_find(a->row, "name", &at));
    OK(shmirror_row_text(a->row, at, &text));
    CHECK(text.size >= 5 && memcmp(text.data, "row ", 4) == 0);
    OK(shmirror_row_copy_text(a->row, at, name, sizeof name, NULL));
    CHECK(strlen(name) == text.size);
    OK(shmirror_row_value(a->row, at, &value));
    CHECK(value.type == SHMIRROR_TYPE_TEXT && value.as.text.size == text.size);
    OK(shmirror_row_find(a->row, "bytes", &at));
    OK(shmirror_row_blob(a->row, at, &blob));
    CHECK(blob.size == 4);
    OK(shmirror_row_revision(a->row, &revision));
    CHECK(revision > 0);
    return 1;
}

static int read_rows(struct all *a, int64_t id)
{
    shmirror_value key[2];
    char name[16];
    int size;
    /* Not snprintf: it is the library's calls that must get by without. */
    memcpy(name, "row ", 4);
    size = id >= 10 ? 6 : 5;
    name[4] = (char)('0' + (id >= 10 ? id / 10 : id));
    name[5] = (char)('0' + id % 10);
    name[size] = '\0';

    OK(shmirror_table_read_i64(a->by_id, id, a->row));
    CHECK(check_row(a, id));
    OK(shmirror_table_read_text(a->by_name, name, (size_t)size, a->row));
    CHECK(check_row(a, id));
    key[0] = shmirror_string(name);
    key[1] = shmirror_integer(id);
    OK(shmirror_table_read(a->by_both, key, 2, a->row));
    CHECK(check_row(a, id));
    CHECK(shmirror_table_read_i64(a->by_id, ROWS + id, a->row) == SHMIRROR_NOT_FOUND);
    return 1;
}

static int fetch(struct all *a, int64_t id)
{
    struct reading r;
    shmirror_value key[2];
    memset(&r, 0, sizeof r);
    OK(shmirror_table_fetch_i64(a->by_id, id, a->binding, &r, sizeof r));
    CHECK(r.id == id && r.real == (double)id / 2 && r.truth == id % 2);
    key[0] = shmirror_string(r.name);
    key[1] = shmirror_integer(id);
    r.id = -1;
    OK(shmirror_table_fetch_text(a->by_name, key[0].as.text.data, key[0].as.text.size, a->binding,
                                 &r, sizeof r));
    CHECK(r.id == id);
    r.id = -1;
    OK(shmirror_table_fetch(a->by_both, key, 2, a->binding, &r, sizeof r));
    CHECK(r.id == id);
    return 1;
}

static int read_many(struct all *a)
{
    shmirror_value keys[ROWS];
    size_t count = 0;
    uint64_t revision = 0;
    for (int64_t i = 0; i < ROWS; i++) {
        keys[i] = shmirror_integer(ROWS - 1 - i);
    }
    OK(shmirror_table_read_many(a->by_id, keys, 1, ROWS, a->rows));
    OK(shmirror_rows_count(a->rows, &count));
    CHECK(count == ROWS);
    OK(shmirror_rows_at(a->rows, 3, a->row));
    CHECK(check_row(a, ROWS - 1 - 3));
    OK(shmirror_mirror_revision(a->mirror, &revision));
    CHECK(revision > 0);
    return 1;
}

static int read_everything(struct all *a)
{
    CHECK(read_cells(a));
    for (int64_t id = 0; id < ROWS; id++) {
        if (!read_rows(a, id) || !fetch(a, id)) {
            return 0;
        }
    }
    return read_many(a);
}

/* From here on, for this thread: the end of the process, else death. */
static int give_system_calls_up(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
        && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

int main(int argc, char **argv)
{
    struct all a;
    uint64_t end;
    memset(&a, 0, sizeof a);
    /* Once with system calls: buffers grow to the size that serves from then on. */
    if (!open_all(&a) || !read_everything(&a)) {
        fprintf(stderr, "no_syscall.c:%d: %s\n", line, shmirror_last_message());
        return 1;
    }
    end = shmirror_now() + (argc > 1 ? strtoull(argv[1], NULL, 10) : 1000) * UINT64_C(1000000);
    printf("reading without system calls\n");
    fflush(stdout);
    if (!give_system_calls_up()) {
        perror("no_syscall: seccomp");
        return 1;
    }
    if (argc > 1 && strcmp(argv[1], "trap") == 0) {
        syscall(SYS_getppid);
    }
    do {
        if (!read_everything(&a)) {
            syscall(SYS_exit_group, line); /* the checks' lines are below 256 */
        }
    } while (shmirror_now() < end);
    syscall(SYS_exit_group, 0);
    return 1;
}
