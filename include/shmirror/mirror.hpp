// An instance's tables, as a program sees them.

#ifndef SHMIRROR_MIRROR_HPP
#define SHMIRROR_MIRROR_HPP

#include <array>
#include <cstdint>
#include <string>

#include "query_result.hpp"
#include "subscriber.hpp"
#include "table.hpp"

namespace shmirror {
inline namespace SHMIRROR_ABI {

/// A read-only view of an instance's tables in shared memory. Any thread.
class mirror : public detail::handle<shmirror_mirror, shmirror_mirror_close> {
public:
    using handle::handle;

    /// Attaches to the daemon that the options mean. SHMIRROR_NO_DAEMON, SHMIRROR_DENIED,
    /// SHMIRROR_LAYOUT.
    static result<mirror> try_attach(options const &which = {}) noexcept
    {
        return detail::opened<mirror>(
            [&](auto *out) { return shmirror_attach(which.native(), out); });
    }
    static mirror attach(options const &which = {}) { return try_attach(which).value(); }

    /// The newest revision.
    std::uint64_t revision() const
    {
        return detail::ask<std::uint64_t>(shmirror_mirror_revision, native());
    }
    /// A number that grows with each start of the daemon.
    std::uint64_t generation() const
    {
        return detail::ask<std::uint64_t>(shmirror_mirror_generation, native());
    }
    /// Whether the daemon is there.
    bool is_live() const
    { return detail::ask<bool>(shmirror_mirror_is_live, native()); }
    std::string instance_name() const
    {
        return detail::copied([this](char *buffer, std::size_t size, std::size_t *length) {
            return shmirror_mirror_instance_name(native(), buffer, size, length);
        }).value();
    }
    std::array<std::uint8_t, 16> instance_id() const
    {
        std::array<std::uint8_t, 16> id{};
        detail::done(shmirror_mirror_instance_id(native(), id.data())).value();
        return id;
    }
    /// Waits until this revision is published: false if it is not in time.
    result<bool> try_wait_revision(std::uint64_t which, timeout time) const noexcept
    {
        return detail::found(
            shmirror_mirror_wait_revision(native(), which, time.ns()), SHMIRROR_TIMED_OUT);
    }
    bool wait_revision(std::uint64_t which, timeout time) const
    {
        return try_wait_revision(which, time).value();
    }

    /// The namespaces that this process may see: columns id, name, writable.
    /// SHMIRROR_DENIED.
    result<query_result> try_namespaces() const noexcept
    {
        return detail::opened<query_result>(
            [this](auto *out) { return shmirror_mirror_namespaces(native(), out); });
    }
    query_result namespaces() const { return try_namespaces().value(); }

    /// The daemon's status as JSON.
    result<std::string> try_status() const
    {
        return detail::given([this](char **out) { return shmirror_mirror_status(native(), out); });
    }
    std::string status() const { return try_status().value(); }
    /// Compares the tables with the store; the findings as JSON.
    result<std::string> try_check() const
    {
        return detail::given([this](char **out) { return shmirror_mirror_check(native(), out); });
    }
    std::string check() const { return try_check().value(); }
    /// Copies the store to a file that the daemon writes, and its key beside it; what it did as
    /// JSON.
    result<std::string> try_backup(c_text const &path) const
    {
        return detail::given(
            [&](char **out) { return shmirror_mirror_backup(native(), path.get(), out); });
    }
    std::string backup(c_text const &path) const { return try_backup(path).value(); }

    result<shmirror::catalogue> try_catalogue() const noexcept
    {
        return detail::opened<shmirror::catalogue>(
            [this](auto *out) { return shmirror_mirror_catalogue(native(), out); });
    }
    shmirror::catalogue catalogue() const { return try_catalogue().value(); }
    /// SHMIRROR_UNKNOWN_TABLE.
    result<shmirror::table> try_table(c_text const &name) const noexcept
    {
        return detail::opened<shmirror::table>(
            [&](auto *out) { return shmirror_mirror_table(native(), name.get(), out); });
    }
    shmirror::table table(c_text const &name) const { return try_table(name).value(); }

    /// SQL that reads, with values for its parameters ?1, ?2, …: one by one or as a shmirror::key.
    /// The daemon runs it beside the writers. SHMIRROR_SQL, SHMIRROR_NOT_ALLOWED,
    /// SHMIRROR_TIME_LIMIT.
    template <class... P>
    result<query_result> try_query(c_text const &sql, P const &...params) const
    {
        static_assert(detail::are_parameters<P...>, "parameters are values, or one shmirror::key");
        key const values(params...);
        shmirror_result *made = nullptr;
        shmirror_status const status
            = shmirror_mirror_query(native(), sql.get(), values.data(), values.size(), &made);
        if (status != SHMIRROR_OK) {
            return detail::refused(status, values.data(), values.size());
        }
        return query_result(made);
    }
    template <class... P> query_result query(c_text const &sql, P const &...params) const
    {
        return try_query(sql, params...).value();
    }
    /// What the commit log holds of these tables (none named: all) from a revision on, 0: all there
    /// is.
    result<shmirror::history> try_history(
        std::uint64_t from_revision = 0, names const &tables = {}) const noexcept
    {
        return detail::opened<shmirror::history>([&](auto *out) {
            return shmirror_mirror_history(
                native(), from_revision, tables.data(), tables.size(), out);
        });
    }
    shmirror::history history(std::uint64_t from_revision = 0, names const &tables = {}) const
    {
        return try_history(from_revision, tables).value();
    }
};

} // namespace SHMIRROR_ABI
} // namespace shmirror

#endif // SHMIRROR_MIRROR_HPP
