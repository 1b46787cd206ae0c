/* What the C tests stand on: expectations that end the program with their place, and asking the
 * test that runs it to do something to the daemon.
 *
 * The program writes a line on standard output (`kill`, `start`, ...); the answer, on standard
 * input, is the process id of the daemon that there was last.
 */
#ifndef EXPECT_H
#define EXPECT_H

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <shmirror.h>

#define MS UINT64_C(1000000)
/* Longest that anything may take. */
#define LONG (60000 * MS)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define EXPECT(condition) expect((condition) ? 1 : 0, #condition, __FILE__, __LINE__)
#define STATUS(expected, call) expect_status((expected), (call), #call, __FILE__, __LINE__)
#define OK(call) STATUS(SHMIRROR_OK, call)
/* A failure whose message has this part. */
#define FAILS(expected, part, call) \
    expect_message((expected), (call), (part), #call, __FILE__, __LINE__)

/* Not every program has use for all of it. */
#define UNUSED __attribute__((unused))

UNUSED static void expect(int so, const char *what, const char *file, int line)
{
    if (!so) {
        fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
        /* Not exit(): a forked child has nothing of its parent's to clean up. */
        fflush(stderr);
        _exit(1);
    }
}

UNUSED static void expect_status(int32_t expected, int32_t found, const char *what,
                                 const char *file, int line)
{
    if (found != expected) {
        fprintf(stderr, "%s:%d: %s\n  expected %s, found %s: %s\n", file, line, what,
                shmirror_status_name(expected), shmirror_status_name(found),
                shmirror_last_message());
        fflush(stderr);
        _exit(1);
    }
}

UNUSED static void expect_message(int32_t expected, int32_t found, const char *part,
                                  const char *what, const char *file, int line)
{
    expect_status(expected, found, what, file, line);
    if (strstr(shmirror_last_message(), part) == NULL) {
        fprintf(stderr, "%s:%d: %s\n  expected a message with \"%s\", found \"%s\"\n", file, line,
                what, part, shmirror_last_message());
        fflush(stderr);
        _exit(1);
    }
}

/* Has the test do something, and waits until it is done. */
UNUSED static pid_t ask(const char *what)
{
    char answer[32];

    printf("%s\n", what);
    EXPECT(fflush(stdout) == 0);
    EXPECT(fgets(answer, sizeof answer, stdin) != NULL);
    return (pid_t)atol(answer);
}

/* Says, in the test's output, where the program is. */
UNUSED static void section(const char *name)
{
    fprintf(stderr, "%s\n", name);
}

/* A deadline for a loop that waits for a condition. */
UNUSED static uint64_t soon(void)
{
    return shmirror_now() + LONG;
}

UNUSED static void nap(void)
{
    struct timespec brief = {0, 2000000};

    nanosleep(&brief, NULL);
}

/* Ends a child that must have found everything as it should be. */
UNUSED static void expect_child(pid_t child)
{
    int status = -1;
    uint64_t deadline = soon();

    EXPECT(child > 0);
    while (waitpid(child, &status, WNOHANG) != child) {
        EXPECT(shmirror_now() < deadline);
        nap();
    }
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#endif
