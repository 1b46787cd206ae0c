// What the tests of the C++ wrapper share: checks that end the program, and asking the test that
// started it for something.

#ifndef CHECK_HPP
#define CHECK_HPP

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <shmirror.hpp>
#include <string>

/// How long anything may take.
inline constexpr std::chrono::seconds patience{60};

[[noreturn]] inline void fail(const char *file, int line, std::string const &what)
{
    std::fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
    std::exit(1);
}

#define CHECK(...)                                                                                 \
    do {                                                                                           \
        if (!(__VA_ARGS__)) {                                                                      \
            fail(__FILE__, __LINE__, "not so: " #__VA_ARGS__);                                     \
        }                                                                                          \
    } while (false)

/// That a result is a failure of this status, and that its message says this.
#define CHECK_FAILURE(result, expected, part)                                                      \
    check_failure(__FILE__, __LINE__, result, expected, part)

template <class R>
void check_failure(
    const char *file, int line, R const &result, shmirror_status expected, const char *part)
{
    if (result.has_value()) {
        fail(file, line, "found a value, expected a failure");
    }
    shmirror::failure const &why = result.error();
    if (why.status() != expected || std::string(why.message()).find(part) == std::string::npos) {
        fail(file, line, std::string("found ") + why.name() + ": " + why.message());
    }
}

#if SHMIRROR_EXCEPTIONS
/// That a call throws an error of this status, whose message says this.
#define CHECK_THROWS(call, expected, part)                                                         \
    check_throws(__FILE__, __LINE__, [&] { (void)(call); }, expected, part)

template <class F>
void check_throws(const char *file, int line, F call, shmirror_status expected, const char *part)
{
    try {
        call();
    } catch (shmirror::error const &e) {
        if (e.status() != expected || std::string(e.what()).find(part) == std::string::npos) {
            fail(file, line, std::string("thrown was ") + e.name() + ": " + e.what());
        }
        return;
    }
    fail(file, line, "nothing was thrown");
}
#endif

/// Asks the test that started this program for something, and waits until it was done.
inline void ask(const char *what)
{
    std::cout << what << std::endl;
    std::string answer;
    CHECK(std::getline(std::cin, answer) && answer == "done");
}

/// Waits until something is so.
template <class F> void until(const char *what, F so)
{
    auto const end = std::chrono::steady_clock::now() + patience;
    while (!so()) {
        if (std::chrono::steady_clock::now() > end) {
            std::fprintf(stderr, "%s: not in time\n", what);
            std::exit(1);
        }
    }
}

#endif // CHECK_HPP
