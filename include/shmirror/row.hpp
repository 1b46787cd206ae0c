// One row, filled again and again, and its columns as types or as a struct.

#ifndef SHMIRROR_ROW_HPP
#define SHMIRROR_ROW_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "argument.hpp"
#include "typed.hpp"

namespace shmirror {
inline namespace SHMIRROR_ABI {

namespace detail {

template <class T> struct form;

/// The shortest way to a number. False: it is none of this type, or there is none; what it is instead,
/// shmirror_row_value() tells.
template <class T> bool number(shmirror_row const *from, std::size_t at, T &to) noexcept
{
    if constexpr (is_integer<T>) {
        std::int64_t wide = 0;
        return shmirror_row_i64(from, at, &wide) == SHMIRROR_OK && narrowed(wide, to);
    } else if constexpr (std::is_floating_point_v<T>) {
        double wide = 0;
        return shmirror_row_f64(from, at, &wide) == SHMIRROR_OK && narrowed(wide, to);
    } else {
        (void)from, (void)at, (void)to;
        return false;
    }
}

} // namespace detail

/// A private copy of one row, to be filled again and again: no allocation once it has grown to the
/// size of the rows. One thread at a time.
class row : public detail::handle<shmirror_row, shmirror_row_close> {
public:
    using handle::handle;

    /// Revision of the transaction that last changed the row.
    std::uint64_t revision() const
    {
        return detail::ask<std::uint64_t>(shmirror_row_revision, native());
    }
    /// How many columns there are.
    std::size_t size() const
    {
        return detail::ask<std::size_t>(shmirror_row_columns, native());
    }
    /// Name of the column at an index, as the table declares them.
    std::string_view column_name(std::size_t index) const
    {
        return detail::ask<const char *>(shmirror_row_column_name, native(), index);
    }
    /// Index of the column of this name (ASCII case folded). SHMIRROR_UNKNOWN_COLUMN.
    result<std::size_t> try_index(c_text const &column) const noexcept
    {
        return detail::out<std::size_t>(shmirror_row_find, native(), column.get());
    }
    std::size_t index(c_text const &column) const { return try_index(column).value(); }

    /// The value of a column, of whatever class it is. SHMIRROR_UNKNOWN_COLUMN.
    result<value_view> try_value(std::size_t at) const noexcept
    {
        shmirror_value found = shmirror_null();
        shmirror_status const status = shmirror_row_value(native(), at, &found);
        if (status != SHMIRROR_OK) {
            return failure::last(status);
        }
        return value_view(found);
    }
    result<value_view> try_value(c_text const &column) const noexcept
    {
        auto const at = try_index(column);
        return at ? try_value(*at) : result<value_view>(at.error());
    }
    value_view operator[](std::size_t at) const { return try_value(at).value(); }
    value_view operator[](c_text const &column) const { return try_value(column).value(); }
    bool is_null(std::size_t at) const { return (*this)[at].is_null(); }
    bool is_null(c_text const &column) const { return (*this)[column].is_null(); }

    /// The value of a column as a T. SHMIRROR_UNKNOWN_COLUMN, SHMIRROR_TYPE_MISMATCH,
    /// SHMIRROR_NULL_VALUE.
    template <class T> result<T> try_get(std::size_t at) const
    {
        static_assert(detail::is_read<T>, "no value becomes this type: see shmirror::value_traits");
        T out{};
        if (detail::number(native(), at, out)) {
            return out;
        }
        shmirror_value found;
        shmirror_status status = shmirror_row_value(native(), at, &found);
        if (status != SHMIRROR_OK) {
            return failure::last(status);
        }
        status = detail::convert(found, out);
        if (status != SHMIRROR_OK) {
            const char *name = nullptr;
            (void)shmirror_row_column_name(native(), at, &name);
            return detail::mismatch<T>(status, name, found);
        }
        return out;
    }
    template <class T> result<T> try_get(c_text const &column) const
    {
        auto const at = try_index(column);
        return at ? try_get<T>(*at) : result<T>(at.error());
    }
    template <class T> T get(std::size_t at) const { return try_get<T>(at).value(); }
    template <class T> T get(c_text const &column) const { return try_get<T>(column).value(); }

    /// Values of the key, in key order.
    std::vector<value_view> key() const
    {
        std::array<shmirror_value, 16> values;
        std::size_t count = 0;
        detail::done(shmirror_row_key(native(), values.data(), values.size(), &count)).value();
        return {values.begin(), values.begin() + static_cast<std::ptrdiff_t>(count)};
    }
    /// The row as a JSON object, in column order.
    result<std::string> try_json() const
    {
        return detail::copied([this](char *buffer, std::size_t size, std::size_t *length) {
            return shmirror_row_json(native(), buffer, size, length);
        });
    }
    std::string json() const { return try_json().value(); }

    /// The row as a struct that has row_traits.
    template <class T> result<void> try_into(T &to) const
    {
        return detail::form<T>::mine().read(native(), to);
    }
    template <class T> void into(T &to) const { try_into(to).value(); }
    template <class T> result<T> try_as() const
    {
        T made{};
        auto done = try_into(made);
        return done ? result<T>(std::move(made)) : result<T>(std::move(done).error());
    }
    template <class T> T as() const { return try_as<T>().value(); }
};

namespace detail {

/// Makes the row's handle, if it has none yet.
inline shmirror_status ready(row &to) noexcept
{
    return to ? SHMIRROR_OK : shmirror_row_new(&access::handle_of(to));
}

/// Where a struct's columns are in the rows that were read last; one for each thread.
template <class T> struct form {
    static_assert(is_row<T>, "no columns are known for this type: see shmirror::row_traits");

    static form &mine()
    {
        static thread_local form one;
        return one;
    }

    result<void> read(shmirror_row const *from, T &to)
    {
        std::optional<failure> why;
        each_field<T>([&](auto const &f, std::size_t i) {
            using member = typename bare<decltype(f)>::member_type;
            static_assert(is_read<member>, "no value becomes this member: see value_traits");
            shmirror_status status = find(from, f.column, places[i]);
            if (status == SHMIRROR_OK && number(from, places[i].index, to.*f.member)) {
                return SHMIRROR_OK;
            }
            shmirror_value found;
            if (status == SHMIRROR_OK) {
                status = shmirror_row_value(from, places[i].index, &found);
            }
            if (status != SHMIRROR_OK) {
                why = failure::last(status);
            } else if ((status = convert(found, to.*f.member)) != SHMIRROR_OK) {
                why = mismatch<member>(status, f.column, found);
            }
            return status;
        });
        return why ? result<void>(*std::move(why)) : result<void>();
    }

    row scratch;

private:
    struct place {
        std::size_t index = 0;
        const char *name = nullptr;
    };

    /// Looks for the column, unless it is where it was: names live as long as the process, so at the
    /// same address is the same one.
    static shmirror_status find(shmirror_row const *in, const char *column, place &at) noexcept
    {
        const char *name = nullptr;
        if (at.name != nullptr
            && shmirror_row_column_name(in, at.index, &name) == SHMIRROR_OK && name == at.name) {
            return SHMIRROR_OK;
        }
        at.name = nullptr;
        shmirror_status const status = shmirror_row_find(in, column, &at.index);
        return status == SHMIRROR_OK ? shmirror_row_column_name(in, at.index, &at.name) : status;
    }

    std::array<place, fields_of<T>> places;
};

} // namespace detail

} // namespace SHMIRROR_ABI
} // namespace shmirror

#endif // SHMIRROR_ROW_HPP
