// The header in a second translation unit: everything in it is inline, and what throws goes beside
// what aborts.

#include <shmirror.hpp>

int with_exceptions()
{
#if SHMIRROR_EXCEPTIONS
    try {
        return shmirror::mirror::attach().table("kept").get("a")->get<std::string>("v").empty();
    } catch (shmirror::error const &e) {
        return e.status() == SHMIRROR_TYPE_MISMATCH ? 1 : 0;
    }
#else
    return 0;
#endif
}
