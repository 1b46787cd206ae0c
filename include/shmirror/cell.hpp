// Handles of one value each, read in some nanoseconds.

#ifndef SHMIRROR_CELL_HPP
#define SHMIRROR_CELL_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "value_traits.hpp"

namespace shmirror {
inline namespace SHMIRROR_ABI {

namespace detail {

/// Reads a cell. Where the library gave a value and T does not hold it, `expected` is told.
template <class T>
shmirror_status load(shmirror_cell const *from, T &to, const char *&expected)
{
    if constexpr (std::is_same_v<T, bool>) {
        return shmirror_cell_bool(from, &to);
    } else if constexpr (is_integer<T> || std::is_floating_point_v<T>) {
        std::conditional_t<is_integer<T>, std::int64_t, double> wide{};
        shmirror_status status;
        if constexpr (is_integer<T>) {
            status = shmirror_cell_i64(from, &wide);
        } else {
            status = shmirror_cell_f64(from, &wide);
        }
        if (status == SHMIRROR_OK && !narrowed(wide, to)) {
            expected = value_traits<T>::expected;
            return SHMIRROR_TYPE_MISMATCH;
        }
        return status;
    } else if constexpr (std::is_enum_v<T>) {
        std::underlying_type_t<T> number{};
        shmirror_status const status = load(from, number, expected);
        to = static_cast<T>(number);
        return status;
    } else if constexpr (std::is_same_v<T, std::string>) {
        // What is there is room already.
        to.resize(to.capacity());
        for (;;) {
            std::size_t length = 0;
            shmirror_status const status
                = shmirror_cell_text(from, to.data(), to.size() + 1, &length);
            if (status == SHMIRROR_OK || status == SHMIRROR_SHORT_BUFFER) {
                to.resize(length);
            }
            if (status != SHMIRROR_SHORT_BUFFER) {
                return status;
            }
        }
    } else {
        static_assert(std::is_same_v<T, std::vector<std::byte>>
                || std::is_same_v<T, std::vector<unsigned char>>,
            "a cell is of a number, bool, std::string, bytes, or std::optional of those");
        to.resize(to.capacity());
        for (;;) {
            std::size_t length = 0;
            shmirror_status const status = shmirror_cell_bytes(
                from, reinterpret_cast<std::uint8_t *>(to.data()), to.size(), &length);
            if (status == SHMIRROR_OK || status == SHMIRROR_SHORT_BUFFER) {
                to.resize(length);
            }
            if (status != SHMIRROR_SHORT_BUFFER) {
                return status;
            }
        }
    }
}

template <class T>
shmirror_status load(shmirror_cell const *from, std::optional<T> &to, const char *&expected)
{
    shmirror_status const status = load(from, to ? *to : to.emplace(), expected);
    if (status == SHMIRROR_NULL_VALUE) {
        to.reset();
        return SHMIRROR_OK;
    }
    return status;
}

} // namespace detail

/// A handle of one value, one column of one row, read in some nanoseconds. T is a number, bool,
/// std::string, bytes, or std::optional of one of those for a value that may be NULL.
///
/// It stays with its row: once that is deleted loading is SHMIRROR_DELETED, once its table changed
/// shape SHMIRROR_RESHAPED; refresh() looks for key and column anew. It follows the daemon by
/// itself. Any thread.
template <class T> class cell : public detail::handle<shmirror_cell, shmirror_cell_close> {
    static constexpr bool flat = std::is_trivially_copyable_v<T>;

public:
    using handle = detail::handle<shmirror_cell, shmirror_cell_close>;
    using handle::handle;

    /// The value. SHMIRROR_DELETED, SHMIRROR_RESHAPED, SHMIRROR_NULL_VALUE, SHMIRROR_TYPE_MISMATCH,
    /// SHMIRROR_CONTENDED, SHMIRROR_DISCONNECTED. The failure has the status's short text.
    result<T> try_load() const noexcept(flat)
    {
        T out{};
        const char *expected = nullptr;
        shmirror_status const status = detail::load(native(), out, expected);
        if (status != SHMIRROR_OK) {
            return failure(status);
        }
        return out;
    }
    /// The value, or an error with all particulars.
    T load() const
    {
        T out{};
        load(out);
        return out;
    }
    /// The value, in place of what is in `out`: once that has grown there is no allocation. Where
    /// it fails what `out` holds is not specified.
    result<void> try_load(T &out) const noexcept(flat)
    {
        const char *expected = nullptr;
        shmirror_status const status = detail::load(native(), out, expected);
        if (status != SHMIRROR_OK) {
            return failure(status);
        }
        return {};
    }
    void load(T &out) const
    {
        const char *expected = nullptr;
        shmirror_status const status = detail::load(native(), out, expected);
        if (status != SHMIRROR_OK) {
            detail::raise(told(status, expected));
        }
    }

    result<bool> try_is_null() const noexcept
    {
        return detail::out<bool>(shmirror_cell_is_null, native());
    }
    bool is_null() const { return try_is_null().value(); }

    /// Looks for the key and the column again. SHMIRROR_NO_SUCH_ROW, SHMIRROR_UNKNOWN_COLUMN,
    /// SHMIRROR_UNKNOWN_TABLE; then the cell stays as it was.
    result<void> try_refresh() noexcept { return detail::done(shmirror_cell_refresh(native())); }
    void refresh() { try_refresh().value(); }

private:
    static failure told(shmirror_status status, const char *expected) noexcept
    {
        if (expected == nullptr) {
            return failure::last(status);
        }
        failure made(status);
        made.say([&] { return std::string("cell: found another number, expected ") + expected; });
        return made;
    }
};

} // namespace SHMIRROR_ABI
} // namespace shmirror

#endif // SHMIRROR_CELL_HPP
