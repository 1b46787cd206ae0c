/* A wall clock that a test can set, for a process that loads this library before all others (LD_PRELOAD).
 *
 * The file that SHMIRROR_SHIFTED_CLOCK names holds seconds, an int64_t, by which the process's wall clock is ahead;
 * whoever writes to it sets the clock at that moment, for every process that shares the file. The monotonic
 * clocks are the system's, as they are when somebody really sets the clock. So is what the kernel does with
 * wall time by itself: times of files, and waits until a wall time. Who waits for one that it took from
 * this clock waits wrongly, which is what such a wait does after a step.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *ahead;

__attribute__((constructor)) static void map(void)
{
    const char *name = getenv("SHMIRROR_SHIFTED_CLOCK");
    int fd = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        perror("SHMIRROR_SHIFTED_CLOCK");
        _exit(97);
    }
    close(fd);
    ahead = at;
}

int clock_gettime(clockid_t which, struct timespec *now)
{
    if (syscall(SYS_clock_gettime, which, now) != 0) {
        return -1;
    }
    if (ahead && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) {
        now->tv_sec += *ahead;
    }
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec fine;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &fine) != 0) {
        return -1;
    }
    now->tv_sec = fine.tv_sec;
    now->tv_usec = fine.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) {
        return (time_t)-1;
    }
    if (out) {
        *out = now.tv_sec;
    }
    return now.tv_sec;
}
