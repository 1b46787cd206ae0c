// Many rows of one revision, as ranges of rows or of structs.

#ifndef SHMIRROR_ROWS_HPP
#define SHMIRROR_ROWS_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "row.hpp"

namespace shmirror {
inline namespace SHMIRROR_ABI {

/// Whether many rows come in any order, which costs nothing, or in key order.
enum class order : std::int32_t { any = 0, key = 1 };

template <class T> class typed_rows;

/// Many rows of one revision: of table::scan() and table::get_many(). Iterating starts anew each
/// time, and each step fills the same row; keys without a row are passed over. One thread at a
/// time.
class rows : public detail::handle<shmirror_rows, shmirror_rows_close> {
public:
    using handle::handle;
    using iterator = detail::fill_iterator<rows>;

    /// The revision that all of them are of.
    std::uint64_t revision() const
    { return detail::ask<std::uint64_t>(shmirror_rows_revision, native()); }
    /// How many there are, keys without a row included.
    std::size_t size() const
    { return detail::ask<std::size_t>(shmirror_rows_count, native()); }
    bool empty() const { return size() == 0; }

    /// Copies the row at `index` into `to`: false if there is none with that key.
    result<bool> try_read(std::size_t index, row &to) const noexcept
    {
        shmirror_status const status = detail::ready(to);
        return detail::found(status == SHMIRROR_OK
                ? shmirror_rows_at(native(), index, to.native())
                : status,
            SHMIRROR_NOT_FOUND);
    }
    bool read(std::size_t index, row &to) const { return try_read(index, to).value(); }
    /// The row at `index`, if there is one with that key.
    std::optional<row> at(std::size_t index) const
    {
        row made;
        return read(index, made) ? std::optional<row>(std::move(made)) : std::nullopt;
    }
    /// Copies the next row into `to`: false at the end.
    result<bool> try_next(row &to) noexcept
    {
        shmirror_status status = detail::ready(to);
        if (status == SHMIRROR_OK) {
            do {
                status = shmirror_rows_next(native(), to.native());
            } while (status == SHMIRROR_NOT_FOUND);
        }
        return detail::found(status, SHMIRROR_END);
    }
    bool next(row &to) { return try_next(to).value(); }
    /// Begins anew.
    void rewind() { detail::done(shmirror_rows_rewind(native())).value(); }

    iterator begin()
    {
        if (native() != nullptr) {
            rewind();
        }
        return iterator(*this);
    }
    iterator end() noexcept { return {}; }

    /// The rows as structs that have row_traits.
    template <class T> typed_rows<T> as() &&;

private:
    friend iterator;
    row const *advance() { return native() != nullptr && next(current_) ? &current_ : nullptr; }

    row current_;
};

/// Many rows of one revision as structs; each step of an iteration fills the same one.
template <class T> class typed_rows {
public:
    using iterator = detail::fill_iterator<typed_rows>;

    typed_rows() = default;
    explicit typed_rows(rows &&of) noexcept : rows_(std::move(of)) {}
    std::uint64_t revision() const { return rows_.revision(); }
    std::size_t size() const { return rows_.size(); }
    bool empty() const { return rows_.empty(); }
    /// Fills `to` from the next row: false at the end.
    result<bool> try_next(T &to)
    {
        auto more = rows_.try_next(row_);
        if (!more || !*more) {
            return more;
        }
        auto done = row_.try_into(to);
        return done ? result<bool>(true) : result<bool>(std::move(done).error());
    }
    bool next(T &to) { return try_next(to).value(); }
    iterator begin()
    {
        if (rows_) {
            rows_.rewind();
        }
        return iterator(*this);
    }
    iterator end() noexcept { return {}; }

private:
    friend iterator;
    T const *advance() { return rows_ && next(current_) ? &current_ : nullptr; }

    rows rows_;
    row row_;
    T current_{};
};

template <class T> typed_rows<T> rows::as() && { return typed_rows<T>(std::move(*this)); }

} // namespace SHMIRROR_ABI
} // namespace shmirror

#endif // SHMIRROR_ROWS_HPP
