// Changes that are made together or not at all.

#ifndef SHMIRROR_TRANSACTION_HPP
#define SHMIRROR_TRANSACTION_HPP

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ticket.hpp"

namespace shmirror {
inline namespace SHMIRROR_ABI {

/// Changes that are made together or not at all. Where it was submitted it is empty and serves for
/// the next; where nothing was submitted it is as it was. One thread at a time.
class transaction : public detail::handle<shmirror_transaction, shmirror_transaction_close> {
public:
    using handle::handle;

    /// How many changes there are so far.
    std::size_t size() const
    { return detail::ask<std::size_t>(shmirror_transaction_size, native()); }
    bool empty() const { return size() == 0; }
    /// Forgets them.
    void clear() { detail::done(shmirror_transaction_clear(native())).value(); }

    /// A new row.
    result<void> try_insert(c_text const &table, assignments const &row) noexcept
    {
        return given(shmirror_transaction_insert(
                         native(), table.get(), row.columns(), row.values(), row.size()),
            row);
    }
    transaction &insert(c_text const &table, assignments const &row) &
    {
        return checked(try_insert(table, row));
    }
    transaction &&insert(c_text const &table, assignments const &row) &&
    {
        return std::move(insert(table, row));
    }

    /// A new row, or new values for these columns of the row with its key.
    result<void> try_upsert(c_text const &table, assignments const &row) noexcept
    {
        return given(shmirror_transaction_upsert(
                         native(), table.get(), row.columns(), row.values(), row.size()),
            row);
    }
    transaction &upsert(c_text const &table, assignments const &row) &
    {
        return checked(try_upsert(table, row));
    }
    transaction &&upsert(c_text const &table, assignments const &row) &&
    {
        return std::move(upsert(table, row));
    }

    /// New values for these columns of the row with this key.
    result<void> try_update(c_text const &table, key const &of, assignments const &row) noexcept
    {
        return given(shmirror_transaction_update(native(), table.get(), of.data(), of.size(),
                         row.columns(), row.values(), row.size()),
            row);
    }
    transaction &update(c_text const &table, key const &of, assignments const &row) &
    {
        return checked(try_update(table, of, row));
    }
    transaction &&update(c_text const &table, key const &of, assignments const &row) &&
    {
        return std::move(update(table, of, row));
    }

    /// The row with this key goes.
    result<void> try_erase(c_text const &table, key const &of) noexcept
    {
        return detail::done(
            shmirror_transaction_delete(native(), table.get(), of.data(), of.size()));
    }
    transaction &erase(c_text const &table, key const &of) &
    {
        return checked(try_erase(table, of));
    }
    transaction &&erase(c_text const &table, key const &of) &&
    {
        return std::move(erase(table, of));
    }

    /// As insert, upsert and update, of a JSON object.
    result<void> try_insert_json(c_text const &table, c_text const &json) noexcept
    {
        return detail::done(shmirror_transaction_insert_json(native(), table.get(), json.get()));
    }
    result<void> try_upsert_json(c_text const &table, c_text const &json) noexcept
    {
        return detail::done(shmirror_transaction_upsert_json(native(), table.get(), json.get()));
    }
    result<void> try_update_json(
        c_text const &table, key const &of, c_text const &json) noexcept
    {
        return detail::done(shmirror_transaction_update_json(
            native(), table.get(), of.data(), of.size(), json.get()));
    }
    transaction &insert_json(c_text const &table, c_text const &json) &
    {
        return checked(try_insert_json(table, json));
    }
    transaction &&insert_json(c_text const &table, c_text const &json) &&
    {
        return std::move(insert_json(table, json));
    }
    transaction &upsert_json(c_text const &table, c_text const &json) &
    {
        return checked(try_upsert_json(table, json));
    }
    transaction &&upsert_json(c_text const &table, c_text const &json) &&
    {
        return std::move(upsert_json(table, json));
    }
    transaction &update_json(c_text const &table, key const &of, c_text const &json) &
    {
        return checked(try_update_json(table, of, json));
    }
    transaction &&update_json(c_text const &table, key const &of, c_text const &json) &&
    {
        return std::move(update_json(table, of, json));
    }

    /// Many new rows as one change: a range of structs that have row_traits.
    template <class R>
    result<void> try_insert_rows(
        c_text const &table, R const &rows, on_conflict then = on_conflict::fail)
    {
        std::vector<const char *> columns;
        std::vector<shmirror_value> values;
        std::size_t count = 0;
        for (auto const &one : rows) {
            assignments const row(one);
            if (count == 0) {
                columns.assign(row.columns(), row.columns() + row.size());
            }
            values.insert(values.end(), row.values(), row.values() + row.size());
            ++count;
        }
        return add_rows(table, columns.data(), columns.size(), values, count, then);
    }
    /// Many new rows as one change: values for these columns, row after row.
    result<void> try_insert_rows(c_text const &table, names const &columns,
        std::vector<value_view> const &values, on_conflict then = on_conflict::fail)
    {
        std::size_t const count = columns.size() == 0 ? 0 : values.size() / columns.size();
        if (count * columns.size() != values.size()) {
            return failure(SHMIRROR_BAD_ARGUMENT,
                "values: found " + std::to_string(values.size()) + ", expected a multiple of "
                    + std::to_string(columns.size()) + ", the number of columns");
        }
        std::vector<shmirror_value> plain;
        plain.reserve(values.size());
        for (value_view const &value : values) {
            plain.push_back(value.native());
        }
        return add_rows(table, columns.data(), columns.size(), plain, count, then);
    }
    template <class... A> transaction &insert_rows(c_text const &table, A const &...rows) &
    {
        return checked(try_insert_rows(table, rows...));
    }
    template <class... A> transaction &&insert_rows(c_text const &table, A const &...rows) &&
    {
        return std::move(insert_rows(table, rows...));
    }

    /// The last change is made only if its row is of this revision, 0: only if there is none. Else
    /// all of it is SHMIRROR_REVISION_MISMATCH. SHMIRROR_USAGE: there is no change of one row
    /// before it.
    result<void> try_if_revision(std::uint64_t revision) noexcept
    {
        return detail::done(shmirror_transaction_if_revision(native(), revision));
    }
    transaction &if_revision(std::uint64_t revision) &
    {
        return checked(try_if_revision(revision));
    }
    transaction &&if_revision(std::uint64_t revision) &&
    {
        return std::move(if_revision(revision));
    }

    /// Submits, and waits until every change is durable and published, or none was made.
    result<shmirror::commit> try_commit() noexcept
    {
        return detail::committed(
            [this](auto *out) { return shmirror_transaction_commit(native(), out); });
    }
    shmirror::commit commit() { return try_commit().value(); }
    /// Submits, waiting for room in the lane only.
    result<ticket> try_submit() noexcept
    {
        return detail::opened<ticket>(
            [this](auto *out) { return shmirror_transaction_submit(native(), out); });
    }
    ticket submit() { return try_submit().value(); }
    /// Submits where there is room now; else SHMIRROR_FULL.
    result<ticket> try_submit_now() noexcept
    {
        return detail::opened<ticket>(
            [this](auto *out) { return shmirror_transaction_try_submit(native(), out); });
    }
    ticket submit_now() { return try_submit_now().value(); }

private:
    static result<void> given(shmirror_status status, assignments const &row) noexcept
    {
        if (status != SHMIRROR_OK) {
            return detail::refused(status, row.values(), row.size());
        }
        return {};
    }
    result<void> add_rows(c_text const &table, const char *const *columns, std::size_t width,
        std::vector<shmirror_value> const &values, std::size_t count, on_conflict then) noexcept
    {
        shmirror_status const status = shmirror_transaction_insert_rows(native(), table.get(),
            columns, width, values.data(), count, static_cast<std::int32_t>(then));
        if (status != SHMIRROR_OK) {
            return detail::refused(status, values.data(), values.size());
        }
        return {};
    }
    transaction &checked(result<void> const &done)
    {
        done.value();
        return *this;
    }
};

} // namespace SHMIRROR_ABI
} // namespace shmirror

#endif // SHMIRROR_TRANSACTION_HPP
