// Writes, one change at a time, many, or SQL.

#ifndef SHMIRROR_PRODUCER_HPP
#define SHMIRROR_PRODUCER_HPP

#include <cstdint>
#include <utility>

#include "options.hpp"
#include "query_result.hpp"
#include "transaction.hpp"

namespace shmirror {
inline namespace SHMIRROR_ABI {

/// What SQL that writes came to.
struct sql_outcome {
    shmirror::commit commit;
    /// The rows of SELECT and RETURNING.
    query_result rows;
};

/// Writes. Each call waits until its change is durable and visible to every reader. Any thread.
class producer : public detail::handle<shmirror_producer, shmirror_producer_close> {
public:
    using handle::handle;

    /// Attaches to the daemon that the options mean. SHMIRROR_NO_DAEMON, SHMIRROR_DENIED,
    /// SHMIRROR_LAYOUT, SHMIRROR_LIMIT.
    static result<producer> try_attach(options const &which = {}) noexcept
    {
        return detail::opened<producer>(
            [&](auto *out) { return shmirror_producer_attach(which.native(), out); });
    }
    static producer attach(options const &which = {}) { return try_attach(which).value(); }

    bool is_live() const
    { return detail::ask<bool>(shmirror_producer_is_live, native()); }
    /// How long each call may wait; 10 s unless it is set.
    shmirror::timeout timeout() const
    {
        std::uint64_t ns = 0;
        detail::done(shmirror_producer_timeout(native(), &ns)).value();
        using std::chrono::nanoseconds;
        return ns == SHMIRROR_FOREVER
            ? forever
            : shmirror::timeout(nanoseconds(static_cast<nanoseconds::rep>(ns)));
    }
    void set_timeout(shmirror::timeout time)
    {
        detail::done(shmirror_producer_set_timeout(native(), time.ns())).value();
    }

    /// A transaction of any number of changes to any tables.
    result<transaction> try_begin() noexcept
    {
        return detail::opened<transaction>(
            [this](auto *out) { return shmirror_transaction_new(native(), out); });
    }
    transaction begin() { return try_begin().value(); }

    /// A new row: `{{"name", "p1"}, {"value", 3.5}}`, or a struct that has row_traits. Rejections:
    /// SHMIRROR_UNIQUE, SHMIRROR_CHECK and their like.
    result<shmirror::commit> try_insert(c_text const &table, assignments const &row) noexcept
    {
        return detail::committed(
            [&](auto *out) {
                return shmirror_insert(
                    native(), table.get(), row.columns(), row.values(), row.size(), out);
            },
            row);
    }
    shmirror::commit insert(c_text const &table, assignments const &row)
    {
        return try_insert(table, row).value();
    }
    /// A new row, or new values for these columns of the row with its key.
    result<shmirror::commit> try_upsert(c_text const &table, assignments const &row) noexcept
    {
        return detail::committed(
            [&](auto *out) {
                return shmirror_upsert(
                    native(), table.get(), row.columns(), row.values(), row.size(), out);
            },
            row);
    }
    shmirror::commit upsert(c_text const &table, assignments const &row)
    {
        return try_upsert(table, row).value();
    }
    /// New values for these columns of the row with this key. SHMIRROR_NO_SUCH_ROW.
    result<shmirror::commit> try_update(
        c_text const &table, key const &of, assignments const &row) noexcept
    {
        return detail::committed(
            [&](auto *out) {
                return shmirror_update(native(), table.get(), of.data(), of.size(), row.columns(),
                    row.values(), row.size(), out);
            },
            row);
    }
    shmirror::commit update(c_text const &table, key const &of, assignments const &row)
    {
        return try_update(table, of, row).value();
    }
    /// The row with this key goes. SHMIRROR_NO_SUCH_ROW.
    result<shmirror::commit> try_erase(c_text const &table, key const &of) noexcept
    {
        return detail::committed([&](auto *out) {
            return shmirror_delete(native(), table.get(), of.data(), of.size(), out);
        });
    }
    shmirror::commit erase(c_text const &table, key const &of)
    {
        return try_erase(table, of).value();
    }

    /// As insert, upsert and update, of a JSON object.
    result<shmirror::commit> try_insert_json(c_text const &table, c_text const &json) noexcept
    {
        return detail::committed([&](auto *out) {
            return shmirror_insert_json(native(), table.get(), json.get(), out);
        });
    }
    result<shmirror::commit> try_upsert_json(c_text const &table, c_text const &json) noexcept
    {
        return detail::committed([&](auto *out) {
            return shmirror_upsert_json(native(), table.get(), json.get(), out);
        });
    }
    result<shmirror::commit> try_update_json(
        c_text const &table, key const &of, c_text const &json) noexcept
    {
        return detail::committed([&](auto *out) {
            return shmirror_update_json(
                native(), table.get(), of.data(), of.size(), json.get(), out);
        });
    }
    shmirror::commit insert_json(c_text const &table, c_text const &json)
    {
        return try_insert_json(table, json).value();
    }
    shmirror::commit upsert_json(c_text const &table, c_text const &json)
    {
        return try_upsert_json(table, json).value();
    }
    shmirror::commit update_json(c_text const &table, key const &of, c_text const &json)
    {
        return try_update_json(table, of, json).value();
    }

    /// Many new rows as one transaction; see transaction::try_insert_rows().
    template <class... A>
    result<shmirror::commit> try_insert_rows(c_text const &table, A const &...rows)
    {
        auto started = try_begin();
        if (!started) {
            return std::move(started).error();
        }
        auto added = started->try_insert_rows(table, rows...);
        return added ? started->try_commit()
                     : result<shmirror::commit>(std::move(added).error());
    }
    template <class... A> shmirror::commit insert_rows(c_text const &table, A const &...rows)
    {
        return try_insert_rows(table, rows...).value();
    }

    /// SQL that defines or changes: any number of statements, one transaction.
    result<shmirror::commit> try_execute(c_text const &sql) noexcept
    {
        return detail::committed(
            [&](auto *out) { return shmirror_execute(native(), sql.get(), out); });
    }
    shmirror::commit execute(c_text const &sql) { return try_execute(sql).value(); }
    /// SQL with values for its parameters ?1, ?2, … (then a single statement), and its rows.
    template <class... P> result<sql_outcome> try_sql(c_text const &sql, P const &...params)
    {
        static_assert(detail::are_parameters<P...>, "parameters are values, or one shmirror::key");
        key const values(params...);
        shmirror_commit made{};
        shmirror_result *rows = nullptr;
        shmirror_status const status = shmirror_sql(
            native(), sql.get(), values.data(), values.size(), &made, &rows);
        if (status != SHMIRROR_OK) {
            return detail::refused(status, values.data(), values.size());
        }
        return sql_outcome{{made.revision, made.changes}, query_result(rows)};
    }
    template <class... P> sql_outcome sql(c_text const &sql, P const &...params)
    {
        return try_sql(sql, params...).value();
    }
};

} // namespace SHMIRROR_ABI
} // namespace shmirror

#endif // SHMIRROR_PRODUCER_HPP
