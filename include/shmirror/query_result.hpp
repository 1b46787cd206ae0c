// Rows that SQL gave.

#ifndef SHMIRROR_QUERY_RESULT_HPP
#define SHMIRROR_QUERY_RESULT_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "typed.hpp"

namespace shmirror {
inline namespace SHMIRROR_ABI {

/// One row that SQL gave; it borrows from the query_result.
class result_row {
public:
    result_row() = default;
    result_row(shmirror_result const *of, std::size_t set, std::size_t at) noexcept
        : of_(of), set_(set), at_(at)
    {
    }

    result<value_view> try_value(std::size_t column) const noexcept
    {
        shmirror_value found = shmirror_null();
        shmirror_status const status = shmirror_result_value(of_, set_, at_, column, &found);
        if (status != SHMIRROR_OK) {
            return failure::last(status);
        }
        return value_view(found);
    }
    /// Of the first column of this name. SHMIRROR_UNKNOWN_COLUMN.
    result<value_view> try_value(std::string_view column) const noexcept
    {
        auto const index = try_index(column);
        return index ? try_value(*index) : result<value_view>(index.error());
    }
    value_view operator[](std::size_t column) const { return try_value(column).value(); }
    value_view operator[](std::string_view column) const { return try_value(column).value(); }

    template <class T> result<T> try_get(std::size_t column) const
    {
        auto const found = try_value(column);
        if (!found) {
            return found.error();
        }
        const char *name = nullptr;
        (void)shmirror_result_column_name(of_, set_, column, &name);
        return detail::converted<T>(found->native(), name);
    }
    template <class T> result<T> try_get(std::string_view column) const
    {
        auto const index = try_index(column);
        return index ? try_get<T>(*index) : result<T>(index.error());
    }
    template <class T> T get(std::size_t column) const { return try_get<T>(column).value(); }
    template <class T> T get(std::string_view column) const { return try_get<T>(column).value(); }

    /// Index of the first column of this name.
    result<std::size_t> try_index(std::string_view column) const noexcept
    {
        std::size_t columns = 0;
        shmirror_status status = shmirror_result_columns(of_, set_, &columns);
        for (std::size_t i = 0; status == SHMIRROR_OK && i < columns; ++i) {
            const char *name = nullptr;
            status = shmirror_result_column_name(of_, set_, i, &name);
            if (status == SHMIRROR_OK && column == name) {
                return i;
            }
        }
        if (status != SHMIRROR_OK) {
            return failure::last(status);
        }
        failure none(SHMIRROR_UNKNOWN_COLUMN);
        none.say([&] { return "no column \"" + std::string(column) + "\" in the result"; });
        return none;
    }

private:
    shmirror_result const *of_ = nullptr;
    std::size_t set_ = 0;
    std::size_t at_ = 0;
};

/// The rows that one statement gave; they borrow from the query_result.
class result_set {
public:
    using iterator = detail::index_iterator<result_set>;

    result_set() = default;
    result_set(shmirror_result const *of, std::size_t set) : of_(of), set_(set)
    {
        detail::done(shmirror_result_rows(of_, set_, &rows_)).value();
    }
    std::size_t size() const noexcept { return rows_; }
    bool empty() const noexcept { return rows_ == 0; }
    result_row operator[](std::size_t at) const noexcept { return {of_, set_, at}; }
    iterator begin() const noexcept { return {*this, 0}; }
    iterator end() const noexcept { return {*this, rows_}; }

    std::size_t columns() const
    {
        std::size_t n = 0;
        detail::done(shmirror_result_columns(of_, set_, &n)).value();
        return n;
    }
    std::string_view column_name(std::size_t column) const
    {
        return detail::ask<const char *>(shmirror_result_column_name, of_, set_, column);
    }
    /// The rows as structs that have row_traits.
    template <class T> result<std::vector<T>> try_as() const
    {
        std::array<std::size_t, detail::fields_of<T>> places{};
        std::array<shmirror_value, detail::fields_of<T>> values;
        std::optional<failure> why;
        detail::each_field<T>([&](auto const &f, std::size_t i) {
            auto const index = (*this)[0].try_index(f.column);
            if (!index) {
                why = index.error();
                return index.error().status();
            }
            places[i] = *index;
            return SHMIRROR_OK;
        });
        std::vector<T> all(why ? 0 : rows_);
        for (std::size_t at = 0; !why && at < all.size(); ++at) {
            for (std::size_t i = 0; i < places.size(); ++i) {
                shmirror_status const status
                    = shmirror_result_value(of_, set_, at, places[i], &values[i]);
                if (status != SHMIRROR_OK) {
                    return failure::last(status);
                }
            }
            auto done = detail::assign(values.data(), all[at]);
            if (!done) {
                why = std::move(done).error();
            }
        }
        if (why) {
            return *std::move(why);
        }
        return all;
    }
    template <class T> std::vector<T> as() const { return try_as<T>().value(); }

private:
    shmirror_result const *of_ = nullptr;
    std::size_t set_ = 0;
    std::size_t rows_ = 0;
};

/// What SQL gave: a set of rows for each statement that gives some. As a range it is the first set.
/// Any thread.
class query_result : public detail::handle<shmirror_result, shmirror_result_close> {
public:
    using handle::handle;

    /// The revision that the rows are of.
    std::uint64_t revision() const
    { return detail::ask<std::uint64_t>(shmirror_result_revision, native()); }
    /// How many sets.
    std::size_t sets() const
    { return detail::ask<std::size_t>(shmirror_result_sets, native()); }
    result_set set(std::size_t index) const { return result_set(native(), index); }
    result_set first() const { return sets() == 0 ? result_set() : set(0); }
    std::size_t size() const { return first().size(); }
    bool empty() const { return size() == 0; }
    result_row operator[](std::size_t at) const noexcept { return {native(), 0, at}; }
    result_set::iterator begin() const { return first().begin(); }
    result_set::iterator end() const { return first().end(); }
    template <class T> std::vector<T> as() const { return first().as<T>(); }
};

} // namespace SHMIRROR_ABI
} // namespace shmirror

#endif // SHMIRROR_QUERY_RESULT_HPP
