/* Links against the library in each way there is: attaches to the daemon that SHMIRROR_SOCKET names and
 * prints the library's version and the instance's revision. */
#include <inttypes.h>
#include <stdio.h>

#include <shmirror.h>

int main(void)
{
    shmirror_mirror *mirror = NULL;
    uint64_t revision = 0;
    if (SHMIRROR_CHECK_VERSION() != SHMIRROR_OK || shmirror_attach(NULL, &mirror) != SHMIRROR_OK ||
        shmirror_mirror_revision(mirror, &revision) != SHMIRROR_OK) {
        fprintf(stderr, "%s\n", shmirror_last_message());
        return 1;
    }
    printf("%s revision %" PRIu64 "\n", shmirror_version(), revision);
    return shmirror_mirror_close(mirror) == SHMIRROR_OK ? 0 : 1;
}
