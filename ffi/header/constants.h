
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
