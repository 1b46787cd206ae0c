// Ranges of events: the commit log, and what is committed from now on.

#ifndef SHMIRROR_SUBSCRIBER_HPP
#define SHMIRROR_SUBSCRIBER_HPP

#include <cstdint>
#include <optional>
#include <utility>
#include <variant>

#include "event.hpp"
#include "options.hpp"

namespace shmirror {
inline namespace SHMIRROR_ABI {

/// Events of the commit log, as a range too. One thread at a time.
class history : public detail::handle<shmirror_history, shmirror_history_close> {
public:
    using handle::handle;
    using iterator = detail::fill_iterator<history>;

    /// Fills `to` with the next event: false at the end.
    result<bool> try_next(event &to) noexcept
    {
        shmirror_status const status = detail::ready(to);
        return detail::found(
            status == SHMIRROR_OK ? shmirror_history_next(native(), to.native()) : status,
            SHMIRROR_END);
    }
    bool next(event &to) { return try_next(to).value(); }
    /// From where it stands; each step fills the same event.
    iterator begin() { return iterator(*this); }
    iterator end() noexcept { return {}; }

private:
    friend iterator;
    event const *advance() { return next(current_) ? &current_ : nullptr; }

    event current_;
};

/// From what is committed from now on.
inline constexpr std::uint64_t from_now = SHMIRROR_FROM_NOW;

class event_range;

/// Follows the changes of tables. Restarts of the daemon it follows by itself. One thread at a
/// time.
class subscriber : public detail::handle<shmirror_subscriber, shmirror_subscriber_close> {
public:
    using handle::handle;

    /// Follows these tables (none named: all) from a revision on, 0: the oldest that the commit log
    /// holds, or from_now.
    /// SHMIRROR_TOO_OLD, SHMIRROR_NO_DAEMON, SHMIRROR_DENIED, SHMIRROR_LAYOUT.
    static result<subscriber> try_attach(options const &which = {}, names const &tables = {},
        std::uint64_t from_revision = from_now) noexcept
    {
        return detail::opened<subscriber>([&](auto *out) {
            return shmirror_subscribe(
                which.native(), tables.data(), tables.size(), from_revision, out);
        });
    }
    static subscriber attach(options const &which = {}, names const &tables = {},
        std::uint64_t from_revision = from_now)
    {
        return try_attach(which, tables, from_revision).value();
    }

    /// Fills `to` with the next event: false if there is none in time.
    result<bool> try_next(timeout time, event &to) noexcept
    {
        shmirror_status const status = detail::ready(to);
        return detail::found(status == SHMIRROR_OK
                ? shmirror_subscriber_next(native(), time.ns(), to.native())
                : status,
            SHMIRROR_PENDING);
    }
    result<bool> try_next(deadline until, event &to) noexcept
    {
        shmirror_status const status = detail::ready(to);
        return detail::found(status == SHMIRROR_OK
                ? shmirror_subscriber_next_until(native(), until.ns(), to.native())
                : status,
            SHMIRROR_PENDING);
    }
    bool next(timeout time, event &to) { return try_next(time, to).value(); }
    bool next(deadline until, event &to) { return try_next(until, to).value(); }
    /// The next event, if there is one in time.
    template <class Until> std::optional<event> next(Until until)
    {
        event made;
        return next(until, made) ? std::optional<event>(std::move(made)) : std::nullopt;
    }
    /// Fills `to` with the next event, if there is one now; for a loop around fd().
    result<bool> try_poll(event &to) noexcept
    {
        shmirror_status const status = detail::ready(to);
        return detail::found(
            status == SHMIRROR_OK ? shmirror_subscriber_try_next(native(), to.native()) : status,
            SHMIRROR_PENDING);
    }
    bool poll(event &to) { return try_poll(to).value(); }

    /// The events as a range, each in the same event: it ends when none comes for `time`, or, with
    /// a time point, then. With `forever` it does not end.
    event_range events(timeout time) noexcept;
    event_range events(deadline until) noexcept;

    /// A descriptor that is readable when poll() may have something, for epoll, poll and select.
    result<int> try_fd() const noexcept
    {
        return detail::out<int>(shmirror_subscriber_fd, native());
    }
    int fd() const { return try_fd().value(); }
    /// Goes to a revision, back or forth: what comes next is the first event of it or after it; 0:
    /// the oldest that the commit log holds. SHMIRROR_TOO_OLD.
    result<void> try_resume_from(std::uint64_t revision) noexcept
    {
        return detail::done(shmirror_subscriber_resume_from(native(), revision));
    }
    void resume_from(std::uint64_t revision) { try_resume_from(revision).value(); }
};

/// A subscriber's events until there is none in time.
class event_range {
public:
    using iterator = detail::fill_iterator<event_range>;

    event_range(subscriber &of, std::variant<timeout, deadline> until) noexcept
        : of_(of), until_(until)
    {
    }
    iterator begin() { return iterator(*this); }
    iterator end() noexcept { return {}; }

private:
    friend iterator;
    event const *advance()
    {
        auto const *const time = std::get_if<timeout>(&until_);
        bool const more = time != nullptr ? of_.next(*time, current_)
                                          : of_.next(*std::get_if<deadline>(&until_), current_);
        return more ? &current_ : nullptr;
    }

    subscriber &of_;
    std::variant<timeout, deadline> until_;
    event current_;
};

inline event_range subscriber::events(timeout time) noexcept { return {*this, time}; }
inline event_range subscriber::events(deadline until) noexcept { return {*this, until}; }

} // namespace SHMIRROR_ABI
} // namespace shmirror

#endif // SHMIRROR_SUBSCRIBER_HPP
