// The test of the C++ wrapper, against the daemon that SHMIRROR_SOCKET names.

#include "check.hpp"

void test_values();
void test_tables(shmirror::producer &p);
void test_typed(shmirror::producer &p);
void test_writing(shmirror::producer &p);
void test_following(shmirror::producer &p);

int main()
{
    try {
        test_values();
        shmirror::producer p = shmirror::producer::attach();
        test_tables(p);
        test_typed(p);
        test_writing(p);
        test_following(p); // the daemon is away then
    } catch (shmirror::error const &e) {
        std::fprintf(stderr, "%s: %s\n", e.name(), e.what());
        return 1;
    }
    std::puts("passed");
}
