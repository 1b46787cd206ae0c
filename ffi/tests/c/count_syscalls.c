/* Runs a program and counts the system calls of its first thread: count_syscalls PROGRAM [ARGUMENT...].
 * Prints the number to standard error when the program has ended; its exit status is the program's. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static int failed(const char *what)
{
    fprintf(stderr, "count_syscalls: %s: %s\n", what, strerror(errno));
    return 125;
}

int main(int argc, char **argv)
{
    unsigned long stops = 0;
    int status = 0;
    int signal = 0;
    pid_t child;
    if (argc < 2) {
        fprintf(stderr, "usage: count_syscalls PROGRAM [ARGUMENT...]\n");
        return 125;
    }
    child = fork();
    if (child < 0) {
        return failed("fork");
    }
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
            _exit(failed("PTRACE_TRACEME"));
        }
        /* Stops at its first instruction. Threads that it starts are not traced. */
        execv(argv[1], argv + 1);
        _exit(failed(argv[1]));
    }
    if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) {
        return failed("the program did not start");
    }
    if (ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL))
        != 0) {
        return failed("PTRACE_SETOPTIONS");
    }
    for (;;) {
        if (ptrace(PTRACE_SYSCALL, child, NULL, (void *)(long)signal) != 0) {
            return failed("PTRACE_SYSCALL");
        }
        if (waitpid(child, &status, 0) != child) {
            return failed("waitpid");
        }
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            break;
        }
        /* Each call stops twice: where it begins and where it ends. Signals are passed on. */
        signal = WSTOPSIG(status);
        if (signal == (SIGTRAP | 0x80)) {
            stops++;
            signal = 0;
        }
    }
    fprintf(stderr, "%lu system calls\n", (stops + 1) / 2);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
