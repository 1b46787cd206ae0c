// What a transaction came to, and the ticket to ask for it.

#ifndef SHMIRROR_TICKET_HPP
#define SHMIRROR_TICKET_HPP

#include <cstdint>
#include <optional>

#include "argument.hpp"
#include "typed.hpp"

namespace shmirror {
inline namespace SHMIRROR_ABI {

/// What a transaction came to.
struct commit {
    /// Its revision.
    std::uint64_t revision = 0;
    /// How many rows it changed.
    std::uint64_t changes = 0;
};

/// What happens to a new row whose key is there already.
enum class on_conflict : std::int32_t {
    fail = SHMIRROR_ON_CONFLICT_FAIL,
    replace = SHMIRROR_ON_CONFLICT_REPLACE,
    skip = SHMIRROR_ON_CONFLICT_SKIP,
    update = SHMIRROR_ON_CONFLICT_UPDATE
};

namespace detail {

template <class F> result<commit> committed(F f) noexcept
{
    shmirror_commit made{};
    shmirror_status const status = f(&made);
    if (status != SHMIRROR_OK) {
        return failure::last(status);
    }
    return commit{made.revision, made.changes};
}

/// As `committed`, of a call that was given values.
template <class F> result<commit> committed(F f, assignments const &row) noexcept
{
    auto made = committed(f);
    if (!made && made.error().status() == SHMIRROR_BAD_ARGUMENT) {
        return refused(SHMIRROR_BAD_ARGUMENT, row.values(), row.size());
    }
    return made;
}

} // namespace detail

/// The outcome of a transaction that was submitted. Any thread.
class ticket : public detail::handle<shmirror_ticket, shmirror_ticket_close> {
public:
    using handle::handle;

    /// Its number in the lane that it is in now.
    std::uint64_t number() const
    { return detail::ask<std::uint64_t>(shmirror_ticket_number, native()); }
    /// The outcome, if it is there already; a rejection is a failure.
    result<std::optional<shmirror::commit>> try_poll() const noexcept
    {
        shmirror_commit made{};
        shmirror_status const status = shmirror_ticket_poll(native(), &made);
        if (status == SHMIRROR_OK) {
            return std::optional<shmirror::commit>(shmirror::commit{made.revision, made.changes});
        }
        if (status == SHMIRROR_PENDING) {
            return std::optional<shmirror::commit>();
        }
        return failure::last(status);
    }
    std::optional<shmirror::commit> poll() const { return try_poll().value(); }
    /// Waits for the outcome. SHMIRROR_TIMED_OUT, SHMIRROR_DISCONNECTED: not known yet, ask again.
    result<shmirror::commit> try_wait(timeout time = forever) const noexcept
    {
        return detail::committed(
            [&](auto *out) { return shmirror_ticket_wait(native(), time.ns(), out); });
    }
    result<shmirror::commit> try_wait(deadline until) const noexcept
    {
        return detail::committed(
            [&](auto *out) { return shmirror_ticket_wait_until(native(), until.ns(), out); });
    }
    shmirror::commit wait(timeout time = forever) const { return try_wait(time).value(); }
    shmirror::commit wait(deadline until) const { return try_wait(until).value(); }
};

} // namespace SHMIRROR_ABI
} // namespace shmirror

#endif // SHMIRROR_TICKET_HPP
