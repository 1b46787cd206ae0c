// Values: value_view borrows, value owns; value_span, and key, a parameter.

#ifndef SHMIRROR_VALUE_HPP
#define SHMIRROR_VALUE_HPP

#include <array>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "value_traits.hpp"

namespace shmirror {
inline namespace SHMIRROR_ABI {

namespace detail {

/// A value as a message shows it.
inline std::string in_words(shmirror_value const &value)
{
    constexpr std::size_t shown = 40;
    char number[40];
    switch (value.type) {
    case SHMIRROR_TYPE_NULL: return "null";
    case SHMIRROR_TYPE_INTEGER: return "integer " + std::to_string(value.as.integer);
    case SHMIRROR_TYPE_REAL:
        std::snprintf(number, sizeof number, "real %.17g", value.as.real);
        return number;
    case SHMIRROR_TYPE_TEXT: {
        std::string_view const text = text_of(value);
        std::size_t end = text.size();
        if (end > shown) { // cut between two characters
            end = shown;
            while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0u) == 0x80u) {
                --end;
            }
        }
        std::string words = "text \"" + std::string(text.substr(0, end)) + '"';
        if (end < text.size()) {
            words += "… of " + std::to_string(text.size()) + " bytes";
        }
        return words;
    }
    case SHMIRROR_TYPE_BLOB: return "blob of " + std::to_string(value.as.blob.size) + " bytes";
    default: return "no value";
    }
}

template <class T> shmirror_status convert(shmirror_value const &value, T &out)
{
    if constexpr (!takes_null<T>) {
        if (value.type == SHMIRROR_TYPE_NULL) {
            return SHMIRROR_NULL_VALUE;
        }
    }
    return value_traits<T>::read(value, out) ? SHMIRROR_OK : SHMIRROR_TYPE_MISMATCH;
}

/// That a value did not convert; `column` may be NULL.
template <class T>
failure mismatch(shmirror_status status, const char *column, shmirror_value const &value) noexcept
{
    failure made(status);
    made.say([&] {
        std::string words = column == nullptr ? "" : "column \"" + std::string(column) + "\": ";
        words += "found " + in_words(value) + ", expected ";
        return words + value_traits<T>::expected;
    });
    return made;
}

template <class T> result<T> converted(shmirror_value const &value, const char *column)
{
    static_assert(is_read<T>, "no value becomes this type: see shmirror::value_traits");
    T out{};
    shmirror_status const status = convert(value, out);
    if (status != SHMIRROR_OK) {
        return mismatch<T>(status, column, value);
    }
    return out;
}

/// What the library says of a call that was given values.
inline failure refused(
    shmirror_status status, shmirror_value const *values, std::size_t size) noexcept
{
    failure made = failure::last(status);
    for (std::size_t i = 0; status == SHMIRROR_BAD_ARGUMENT && i < size; ++i) {
        if (values[i].type == no_type) {
            made.say([&] {
                return "value " + std::to_string(i) + ": found "
                    + std::to_string(static_cast<std::uint64_t>(values[i].as.integer))
                    + ", expected an integer of 64 bits with its sign";
            });
        }
    }
    return made;
}

} // namespace detail

/// A value that borrows its bytes. Anything that value_traits know converts to it; nullptr and
/// std::nullopt are NULL.
class value_view {
public:
    value_view() noexcept : value_(shmirror_null()) {}
    value_view(std::nullptr_t) noexcept : value_view() {}
    value_view(std::nullopt_t) noexcept : value_view() {}
    value_view(shmirror_value const &value) noexcept : value_(value) {}
    template <class T, std::enable_if_t<detail::is_written<T>, int> = 0>
    value_view(T const &value) : value_(value_traits<T>::write(value))
    {
    }

    shmirror::type type() const noexcept { return static_cast<shmirror::type>(value_.type); }
    bool is_null() const noexcept { return value_.type == SHMIRROR_TYPE_NULL; }
    /// The value as a T. SHMIRROR_TYPE_MISMATCH, SHMIRROR_NULL_VALUE.
    template <class T> result<T> try_get() const { return detail::converted<T>(value_, nullptr); }
    template <class T> T get() const { return try_get<T>().value(); }
    shmirror_value const &native() const noexcept { return value_; }

    /// Same class, same content: INTEGER 1 is not REAL 1.0.
    friend bool operator==(value_view const &a, value_view const &b) noexcept
    {
        shmirror_value const &x = a.value_;
        shmirror_value const &y = b.value_;
        if (x.type != y.type) {
            return false;
        }
        switch (x.type) {
        case SHMIRROR_TYPE_INTEGER: return x.as.integer == y.as.integer;
        case SHMIRROR_TYPE_REAL: return !(x.as.real < y.as.real) && !(x.as.real > y.as.real);
        case SHMIRROR_TYPE_TEXT: return detail::text_of(x) == detail::text_of(y);
        case SHMIRROR_TYPE_BLOB: return detail::bytes_of(x) == detail::bytes_of(y);
        default: return true;
        }
    }
    friend bool operator!=(value_view const &a, value_view const &b) noexcept { return !(a == b); }

private:
    shmirror_value value_;
};

/// A value that owns its bytes.
class value {
public:
    using variant = std::variant<std::monostate, std::int64_t, double, std::string, bytes>;

    value() = default;
    value(value_view const &from) { set(from.native()); }
    template <class T, std::enable_if_t<std::is_convertible_v<T const &, value_view>, int> = 0>
    value(T const &from) : value(value_view(from))
    {
    }

    shmirror::type type() const noexcept { return static_cast<shmirror::type>(held_.index()); }
    bool is_null() const noexcept { return held_.index() == 0; }
    template <class T> result<T> try_get() const { return view().try_get<T>(); }
    template <class T> T get() const { return view().get<T>(); }
    /// For std::visit.
    variant const &as_variant() const noexcept { return held_; }

    value_view view() const noexcept
    {
        if (auto const *const integer = std::get_if<1>(&held_)) {
            return *integer;
        }
        if (auto const *const real = std::get_if<2>(&held_)) {
            return *real;
        }
        if (auto const *const text = std::get_if<3>(&held_)) {
            return *text;
        }
        if (auto const *const blob = std::get_if<4>(&held_)) {
            return *blob;
        }
        return nullptr;
    }
    friend bool operator==(value const &a, value const &b) noexcept { return a.view() == b.view(); }
    friend bool operator!=(value const &a, value const &b) noexcept { return !(a == b); }

private:
    void set(shmirror_value const &from)
    {
        switch (from.type) {
        case SHMIRROR_TYPE_INTEGER: held_.emplace<1>(from.as.integer); break;
        case SHMIRROR_TYPE_REAL: held_.emplace<2>(from.as.real); break;
        case SHMIRROR_TYPE_TEXT: held_.emplace<3>(detail::text_of(from)); break;
        case SHMIRROR_TYPE_BLOB: {
            bytes_view const blob = detail::bytes_of(from);
            held_.emplace<4>(blob.begin(), blob.end());
            break;
        }
        case SHMIRROR_TYPE_NULL: held_.emplace<0>(); break;
        default:
            detail::raise(failure(SHMIRROR_BAD_ARGUMENT,
                "a value: found an integer above 9223372036854775807, expected one of 64 bits "
                "with its sign"));
        }
    }

    variant held_;
};

template <> struct value_traits<value_view> {
    static constexpr const char *expected = "a value";
    static constexpr bool takes_null = true;
    static shmirror_value write(value_view const &value) noexcept { return value.native(); }
    static bool read(shmirror_value const &value, value_view &out) noexcept
    {
        out = value;
        return true;
    }
};

template <> struct value_traits<value> {
    static constexpr const char *expected = "a value";
    static constexpr bool takes_null = true;
    static shmirror_value write(value const &from) noexcept { return from.view().native(); }
    static bool read(shmirror_value const &from, value &out)
    {
        out = value(value_view(from));
        return true;
    }
};

/// Values one behind the other that are somewhere else.
class value_span {
public:
    using iterator = detail::index_iterator<value_span>;

    value_span() noexcept = default;
    value_span(shmirror_value const *data, std::size_t size) noexcept : data_(data), size_(size) {}
    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    value_view operator[](std::size_t index) const noexcept { return data_[index]; }
    iterator begin() const noexcept { return {*this, 0}; }
    iterator end() const noexcept { return {*this, size_}; }
    shmirror_value const *data() const noexcept { return data_; }

private:
    shmirror_value const *data_ = nullptr;
    std::size_t size_ = 0;
};

/// Values for a parameter: a key in the order of the PRIMARY KEY, or the parameters of SQL.
/// Borrows.
///
///     key("p1", 2)                       // a composite one
///     key(std::vector<shmirror::value>)  // of a range
class key {
public:
    key() = default;
    template <class... T,
        std::enable_if_t<(sizeof...(T) > 0)
                && (std::is_convertible_v<T const &, value_view> && ...),
            int> = 0>
    key(T const &...values)
    {
        (values_.push(value_view(values).native()), ...);
    }
    /// Of a range of values, which stays as it is until the call returns.
    template <class R,
        std::enable_if_t<!std::is_convertible_v<R const &, value_view>
                && !std::is_same_v<R, key>
                && std::is_convertible_v<decltype(*std::begin(std::declval<R const &>())),
                    value_view>,
            int> = 0>
    key(R const &range)
    {
        for (auto const &value : range) {
            values_.push(value_view(value).native());
        }
    }

    shmirror_value const *data() const noexcept { return values_.data(); }
    std::size_t size() const noexcept { return values_.size(); }

private:
    detail::few<shmirror_value, 16> values_;
};

namespace detail {

/// A key's values, in an array of their number.
template <class... K> class key_of {
public:
    explicit key_of(K const &...parts) : values_{value_view(parts).native()...} {}
    shmirror_value const *data() const noexcept { return values_.data(); }
    std::size_t size() const noexcept { return sizeof...(K); }

private:
    std::array<shmirror_value, sizeof...(K)> values_;
};
template <> class key_of<key> {
public:
    explicit key_of(key const &of) noexcept : of_(of) {}
    shmirror_value const *data() const noexcept { return of_.data(); }
    std::size_t size() const noexcept { return of_.size(); }

private:
    key const &of_;
};

template <class... K>
inline constexpr bool are_key = (sizeof...(K) == 1 && (std::is_same_v<K, key> && ...))
    || (sizeof...(K) > 0 && (std::is_convertible_v<K const &, value_view> && ...));

/// The parameters of SQL: values one by one, or a key of them.
template <class... T>
inline constexpr bool are_parameters = sizeof...(T) == 0 || are_key<T...>;

} // namespace detail

} // namespace SHMIRROR_ABI
} // namespace shmirror

#endif // SHMIRROR_VALUE_HPP
