// A table: rows by key, many rows, all rows, cells.

#ifndef SHMIRROR_TABLE_HPP
#define SHMIRROR_TABLE_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "cell.hpp"
#include "rows.hpp"
#include "schema.hpp"

namespace shmirror {
inline namespace SHMIRROR_ABI {

namespace detail {

template <class T>
inline constexpr bool is_text_key
    = is_one_of<T, std::string, std::string_view, const char *, char *>
    || (std::is_array_v<T> && std::is_same_v<std::remove_extent_t<T>, char>);

/// Reads the row with this key: SHMIRROR_OK, SHMIRROR_NOT_FOUND.
template <class... K>
shmirror_status read_row(shmirror_table const *table, row &to, failure *why, K const &...parts)
{
    static_assert(are_key<K...>, "a key is one value or several, or a shmirror::key");
    shmirror_status status = ready(to);
    if (status == SHMIRROR_OK) {
        key_of<K...> const values(parts...);
        shmirror_value const &first = *values.data();
        if constexpr (sizeof...(K) == 1 && (is_integer<K> && ...)) {
            if (first.type == SHMIRROR_TYPE_INTEGER) {
                status = shmirror_table_read_i64(table, first.as.integer, to.native());
            } else {
                status = shmirror_table_read(table, values.data(), 1, to.native());
            }
        } else if constexpr (sizeof...(K) == 1 && (is_text_key<K> && ...)) {
            if (first.type == SHMIRROR_TYPE_TEXT) {
                auto const &text = first.as.text;
                status = shmirror_table_read_text(table, text.data, text.size, to.native());
            } else {
                status = shmirror_table_read(table, values.data(), 1, to.native());
            }
        } else {
            status = shmirror_table_read(table, values.data(), values.size(), to.native());
        }
        if (status != SHMIRROR_OK && status != SHMIRROR_NOT_FOUND) {
            *why = refused(status, values.data(), values.size());
        }
    } else {
        *why = failure::last(status);
    }
    return status;
}

template <class F, class Tuple, std::size_t... I>
decltype(auto) with_last_first(F const &f, Tuple const &all, std::index_sequence<I...>)
{
    return f(std::get<sizeof...(I)>(all), std::get<I>(all)...);
}
/// Calls `f` with the last argument, and then the others.
template <class F, class... A> decltype(auto) last_first(F const &f, A &&...arguments)
{
    return with_last_first(f, std::forward_as_tuple(std::forward<A>(arguments)...),
        std::make_index_sequence<sizeof...(A) - 1>());
}

} // namespace detail

/// A handle of one table, by its name. It follows the table through restarts of the daemon, ALTER
/// TABLE, DROP and a new CREATE. Any thread.
///
/// Keys are one value or several in the order of the PRIMARY KEY: integers, floating point, bool,
/// texts, bytes; or a shmirror::key.
class table : public detail::handle<shmirror_table, shmirror_table_close> {
public:
    using handle::handle;

    std::string_view name() const
    {
        return detail::ask<const char *>(shmirror_table_name, native());
    }
    /// How many rows there are.
    std::uint64_t size() const
    { return detail::ask<std::uint64_t>(shmirror_table_rows, native()); }
    bool empty() const { return size() == 0; }
    /// Index of a column. SHMIRROR_UNKNOWN_COLUMN.
    result<std::size_t> try_index(c_text const &column) const noexcept
    {
        return detail::out<std::size_t>(shmirror_table_column, native(), column.get());
    }
    std::size_t index(c_text const &column) const { return try_index(column).value(); }
    result<shmirror::schema> try_schema() const noexcept
    {
        return detail::opened<shmirror::schema>(
            [&](auto *out) { return shmirror_table_schema(native(), out); });
    }
    shmirror::schema schema() const { return try_schema().value(); }

    /// The row with this key, if there is one. SHMIRROR_BAD_KEY, SHMIRROR_UNKNOWN_TABLE.
    template <class... K> result<std::optional<row>> try_get(K const &...key) const
    {
        row made;
        failure why(SHMIRROR_OK);
        switch (detail::read_row(native(), made, &why, key...)) {
        case SHMIRROR_OK: return std::optional<row>(std::move(made));
        case SHMIRROR_NOT_FOUND: return std::optional<row>();
        default: return why;
        }
    }
    template <class... K> std::optional<row> get(K const &...key) const
    {
        return try_get(key...).value();
    }

    /// `read(key…, to)`: reads the row with this key into `to`, a row or a struct that has
    /// row_traits, and says whether there is one. No system call, and no allocation once `to` has
    /// grown. Where there is no row, what `to` holds is not specified.
    template <class... A> result<bool> try_read(A &&...key_and_to) const
    {
        return detail::last_first(
            [this](auto &to, auto const &...key) { return read_into(to, key...); },
            std::forward<A>(key_and_to)...);
    }
    template <class... A> bool read(A &&...key_and_to) const
    {
        return try_read(std::forward<A>(key_and_to)...).value();
    }

    /// The row with this key as a struct that has row_traits.
    template <class T, class... K> result<std::optional<T>> try_get_as(K const &...key) const
    {
        std::optional<T> made(std::in_place);
        auto there = read_into(*made, key...);
        if (!there) {
            return std::move(there).error();
        }
        if (!*there) {
            made.reset();
        }
        return made;
    }
    template <class T, class... K> std::optional<T> get_as(K const &...key) const
    {
        return try_get_as<T>(key...).value();
    }

    /// The rows with these keys, all of one revision: `rows.at(i)` is of the i-th. The keys are a
    /// range of values, or of shmirror::key.
    template <class R> result<void> try_read_many(R const &keys, rows &to) const
    {
        std::vector<shmirror_value> values;
        std::size_t count = 0;
        std::size_t width = 1;
        for (auto const &one : keys) {
            shmirror::key const part(one);
            if (count != 0 && part.size() != width) {
                return failure(SHMIRROR_BAD_KEY,
                    "keys: found one of " + std::to_string(part.size())
                        + " values, expected as many as the first has");
            }
            width = part.size();
            values.insert(values.end(), part.data(), part.data() + part.size());
            ++count;
        }
        shmirror_status status = ready(to);
        if (status == SHMIRROR_OK) {
            status = shmirror_table_read_many(native(), values.data(), width, count, to.native());
        }
        if (status != SHMIRROR_OK) {
            return detail::refused(status, values.data(), values.size());
        }
        return {};
    }
    template <class R> void read_many(R const &keys, rows &to) const
    {
        try_read_many(keys, to).value();
    }
    template <class R> result<rows> try_get_many(R const &keys) const
    {
        rows made;
        auto done = try_read_many(keys, made);
        return done ? result<rows>(std::move(made)) : result<rows>(std::move(done).error());
    }
    template <class R> rows get_many(R const &keys) const { return try_get_many(keys).value(); }
    rows get_many(std::initializer_list<shmirror::key> keys) const
    {
        return try_get_many(keys).value();
    }

    /// All rows as of one revision. It always finishes. SHMIRROR_UNKNOWN_TABLE,
    /// SHMIRROR_DISCONNECTED.
    result<void> try_scan(shmirror::order order, rows &to) const noexcept
    {
        shmirror_status const status = ready(to);
        return detail::done(status == SHMIRROR_OK
                ? shmirror_table_scan(native(), static_cast<std::int32_t>(order), to.native())
                : status);
    }
    /// Into rows that are filled again and again: no allocation once they have grown.
    void scan(shmirror::order order, rows &to) const { try_scan(order, to).value(); }
    result<rows> try_scan(shmirror::order order = shmirror::order::any) const noexcept
    {
        rows made;
        auto done = try_scan(order, made);
        return done ? result<rows>(std::move(made)) : result<rows>(std::move(done).error());
    }
    rows scan(shmirror::order order = shmirror::order::any) const
    {
        return try_scan(order).value();
    }
    template <class T> typed_rows<T> scan_as(shmirror::order order = shmirror::order::any) const
    {
        return typed_rows<T>(scan(order));
    }

    /// Calls `visit` with each row, all of one revision, which it gives. Where `visit` gives a
    /// bool, false ends it. An exception of `visit` passes through. SHMIRROR_UNKNOWN_TABLE,
    /// SHMIRROR_DISCONNECTED.
    template <class F> result<std::uint64_t> try_each(shmirror::order order, F &&visit) const
    {
        visiting<std::remove_reference_t<F>> with{&visit, nullptr};
        std::uint64_t revision = 0;
        shmirror_status const status = shmirror_table_each(native(),
            static_cast<std::int32_t>(order), visiting<std::remove_reference_t<F>>::call, &with,
            &revision);
#if SHMIRROR_EXCEPTIONS
        if (with.thrown) {
            std::rethrow_exception(with.thrown);
        }
#endif
        if (status != SHMIRROR_OK) {
            return failure::last(status);
        }
        return revision;
    }
    template <class F> std::uint64_t each(shmirror::order order, F &&visit) const
    {
        return try_each(order, visit).value();
    }
    template <class F> std::uint64_t each(F &&visit) const
    {
        return try_each(shmirror::order::any, visit).value();
    }

    /// `cell<double>(key…, "column")`: a handle of one value, for reading it again and again.
    /// SHMIRROR_NO_SUCH_ROW, SHMIRROR_UNKNOWN_COLUMN, SHMIRROR_BAD_KEY, SHMIRROR_UNKNOWN_TABLE.
    template <class T, class... A>
    result<shmirror::cell<T>> try_cell(A const &...key_and_column) const
    {
        static_assert(sizeof...(A) > 1, "a cell has a key and a column");
        return detail::last_first(
            [this](c_text const &column, auto const &...key) -> result<shmirror::cell<T>> {
                static_assert(detail::are_key<detail::bare<decltype(key)>...>,
                    "a key is one value or several, or a shmirror::key");
                detail::key_of<detail::bare<decltype(key)>...> const values(key...);
                shmirror_cell *made = nullptr;
                shmirror_status const status = shmirror_table_cell(
                    native(), values.data(), values.size(), column.get(), &made);
                if (status != SHMIRROR_OK) {
                    return detail::refused(status, values.data(), values.size());
                }
                return shmirror::cell<T>(made);
            },
            key_and_column...);
    }
    template <class T, class... A> shmirror::cell<T> cell(A const &...key_and_column) const
    {
        return try_cell<T>(key_and_column...).value();
    }

private:
    template <class F> struct visiting {
        F *visit;
        std::exception_ptr thrown;

        static std::int32_t call(void *context, shmirror_row const *at)
        {
            auto &self = *static_cast<visiting *>(context);
            // The row is the library's: lent, not given.
            row lent(const_cast<shmirror_row *>(at));
            struct back {
                row &of;
                ~back() { detail::access::handle_of(of) = nullptr; }
            } const give_back{lent};
#if SHMIRROR_EXCEPTIONS
            try {
                return self.step(lent);
            } catch (...) {
                self.thrown = std::current_exception();
                return 1;
            }
#else
            return self.step(lent);
#endif
        }
        std::int32_t step(row const &at)
        {
            if constexpr (std::is_same_v<decltype((*visit)(at)), bool>) {
                return (*visit)(at) ? 0 : 1;
            } else {
                (*visit)(at);
                return 0;
            }
        }
    };

    static shmirror_status ready(rows &to) noexcept
    {
        return to ? SHMIRROR_OK : shmirror_rows_new(&detail::access::handle_of(to));
    }

    template <class... K> result<bool> read_into(row &to, K const &...key) const
    {
        failure why(SHMIRROR_OK);
        switch (detail::read_row(native(), to, &why, key...)) {
        case SHMIRROR_OK: return true;
        case SHMIRROR_NOT_FOUND: return false;
        default: return why;
        }
    }
    template <class T, class... K> result<bool> read_into(T &to, K const &...key) const
    {
        static_assert(detail::is_row<T>,
            "what is read into is a shmirror::row or a struct that has shmirror::row_traits");
        auto &form = detail::form<T>::mine();
        auto there = read_into(form.scratch, key...);
        if (!there || !*there) {
            return there;
        }
        auto done = form.read(form.scratch.native(), to);
        return done ? result<bool>(true) : result<bool>(std::move(done).error());
    }
};

} // namespace SHMIRROR_ABI
} // namespace shmirror

#endif // SHMIRROR_TABLE_HPP
