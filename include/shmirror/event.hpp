// What a subscriber is told: events, and their views for std::visit.

#ifndef SHMIRROR_EVENT_HPP
#define SHMIRROR_EVENT_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "row.hpp"

namespace shmirror {
inline namespace SHMIRROR_ABI {

enum class event_kind : std::int32_t {
    none = SHMIRROR_EVENT_NONE,
    change = SHMIRROR_EVENT_CHANGE,
    schema = SHMIRROR_EVENT_SCHEMA,
    lagged = SHMIRROR_EVENT_LAGGED
};
enum class operation : std::int32_t {
    insert = SHMIRROR_OPERATION_INSERT,
    update = SHMIRROR_OPERATION_UPDATE,
    erase = SHMIRROR_OPERATION_DELETE
};

/// Names that an event lists.
class name_list {
public:
    using iterator = detail::index_iterator<name_list>;

    name_list() = default;
    name_list(shmirror_event *of, shmirror_names which) : of_(of), which_(which)
    {
        detail::done(shmirror_event_names_count(of_, which_, &size_)).value();
    }
    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    std::string_view operator[](std::size_t index) const
    {
        return detail::ask<const char *>(shmirror_event_name, of_, which_, index);
    }
    iterator begin() const noexcept { return {*this, 0}; }
    iterator end() const noexcept { return {*this, size_}; }

private:
    shmirror_event *of_ = nullptr;
    std::int32_t which_ = 0;
    std::size_t size_ = 0;
};

namespace detail {

/// What a view of an event stands on.
class event_view {
public:
    event_view() = default;
    explicit event_view(shmirror_event *of) noexcept : of_(of) {}

protected:
    template <class T, class F> T ask(F f) const
    {
        return detail::ask<T>(f, of_);
    }
    shmirror_event *of_ = nullptr;
};

class signed_view : public event_view {
public:
    using event_view::event_view;
    /// Revision of the transaction.
    std::uint64_t revision() const { return ask<std::uint64_t>(shmirror_event_revision); }
    /// User id of who did it.
    std::uint32_t uid() const { return ask<std::uint32_t>(shmirror_event_uid); }
    /// Process id of who did it, as it said itself.
    std::uint32_t pid() const { return ask<std::uint32_t>(shmirror_event_pid); }
    /// When it was committed.
    std::chrono::system_clock::time_point at() const
    {
        std::chrono::microseconds const since(ask<std::int64_t>(shmirror_event_at_us));
        using clock = std::chrono::system_clock;
        return clock::time_point(std::chrono::duration_cast<clock::duration>(since));
    }
};

} // namespace detail

/// A row was inserted, updated or deleted. Borrows from the event.
class change : public detail::signed_view {
public:
    using signed_view::signed_view;
    /// Number in its lane; 0 where it came from the commit log.
    std::uint64_t sequence() const { return ask<std::uint64_t>(shmirror_event_sequence); }
    std::string_view table() const { return ask<const char *>(shmirror_event_table); }
    shmirror::operation operation() const
    {
        return static_cast<shmirror::operation>(ask<std::int32_t>(shmirror_event_operation));
    }
    /// Values of the key, in key order.
    value_span key() const
    {
        shmirror_value const *values = nullptr;
        std::size_t count = 0;
        detail::done(shmirror_event_key(of_, &values, &count)).value();
        return {values, count};
    }
    /// Names of the columns whose values are new.
    name_list columns() const { return name_list(of_, SHMIRROR_NAMES_COLUMNS); }
    /// Copies the row after the change into `to`: false for one that was deleted.
    result<bool> try_read(row &to) const noexcept
    {
        shmirror_status const status = detail::ready(to);
        return detail::found(
            status == SHMIRROR_OK ? shmirror_event_row(of_, to.native()) : status,
            SHMIRROR_NOT_FOUND);
    }
    bool read(row &to) const { return try_read(to).value(); }
    /// The row after the change, unless it was deleted.
    std::optional<shmirror::row> row() const
    {
        shmirror::row made;
        return read(made) ? std::optional<shmirror::row>(std::move(made)) : std::nullopt;
    }
    /// Whether this is the transaction's last change.
    bool is_last() const { return ask<bool>(shmirror_event_is_last); }
};

/// Tables were created, changed or dropped. Borrows from the event.
class schema_change : public detail::signed_view {
public:
    using signed_view::signed_view;
    name_list created() const { return name_list(of_, SHMIRROR_NAMES_CREATED); }
    name_list changed() const { return name_list(of_, SHMIRROR_NAMES_CHANGED); }
    name_list dropped() const { return name_list(of_, SHMIRROR_NAMES_DROPPED); }
};

/// The subscriber was too slow, or away too long: changes are missing. subscriber::resume_from()
/// gets them from the commit log.
struct lagged {
    /// How many were missed.
    std::uint64_t missed = 0;
    /// First revision of which something may be missing.
    std::uint64_t first_revision = 0;
};

/// No event yet, or one of a kind that came after this header.
struct other_event {
    std::int32_t kind = 0;
};

/// One event, filled again and again. One thread at a time.
class event : public detail::handle<shmirror_event, shmirror_event_close> {
public:
    using handle::handle;
    using view_type = std::variant<change, schema_change, lagged, other_event>;

    event_kind kind() const
    {
        std::int32_t found = SHMIRROR_EVENT_NONE;
        if (native() != nullptr) {
            detail::done(shmirror_event_kind(native(), &found)).value();
        }
        return static_cast<event_kind>(found);
    }
    /// The revision that it is about; of lagged the first that may be missing.
    std::uint64_t revision() const
    { return detail::ask<std::uint64_t>(shmirror_event_revision, native()); }
    result<std::string> try_json() const
    {
        return detail::copied([this](char *buffer, std::size_t size, std::size_t *length) {
            return shmirror_event_json(native(), buffer, size, length);
        });
    }
    std::string json() const { return try_json().value(); }

    /// What it is, for std::visit; borrows from this event.
    view_type view() const
    {
        switch (kind()) {
        case event_kind::change: return change(native());
        case event_kind::schema: return schema_change(native());
        case event_kind::lagged: {
            lagged how;
            detail::done(shmirror_event_lagged(native(), &how.missed, &how.first_revision)).value();
            return how;
        }
        default: return other_event{static_cast<std::int32_t>(kind())};
        }
    }
    /// `std::visit(visitor, view())`.
    template <class V> decltype(auto) visit(V &&visitor) const
    {
        return std::visit(std::forward<V>(visitor), view());
    }
    /// The change, if it is one.
    std::optional<change> as_change() const
    {
        return kind() == event_kind::change ? std::optional<change>(native()) : std::nullopt;
    }
};

namespace detail {
inline shmirror_status ready(event &to) noexcept
{
    return to ? SHMIRROR_OK : shmirror_event_new(&access::handle_of(to));
}
} // namespace detail

} // namespace SHMIRROR_ABI
} // namespace shmirror

#endif // SHMIRROR_EVENT_HPP
