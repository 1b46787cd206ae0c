// How types of C++ become values of SQL, and the other way.

#ifndef SHMIRROR_VALUE_TRAITS_HPP
#define SHMIRROR_VALUE_TRAITS_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>
#if __has_include(<version>)
#include <version>
#endif
#if defined(__cpp_lib_span)
#include <span>
#endif

#include "handle.hpp"

namespace shmirror {
inline namespace SHMIRROR_ABI {

/// The storage class of a value.
enum class type : std::int32_t {
    null = SHMIRROR_TYPE_NULL,
    integer = SHMIRROR_TYPE_INTEGER,
    real = SHMIRROR_TYPE_REAL,
    text = SHMIRROR_TYPE_TEXT,
    blob = SHMIRROR_TYPE_BLOB
};

/// Bytes that are somewhere else: a BLOB. As std::span<const std::byte>, to and from which it
/// converts where there is one.
class bytes_view {
public:
    constexpr bytes_view() noexcept = default;
    bytes_view(const void *data, std::size_t size) noexcept
        : data_(static_cast<const std::byte *>(data)), size_(size)
    {
    }
    /// Of a vector, array or span of std::byte or unsigned char.
    template <class R,
        class E = std::remove_cv_t<
            std::remove_pointer_t<decltype(std::data(std::declval<R const &>()))>>,
        class = std::enable_if_t<std::is_same_v<E, std::byte> || std::is_same_v<E, unsigned char>>>
    bytes_view(R const &range) noexcept : bytes_view(std::data(range), std::size(range))
    {
    }

    constexpr const std::byte *data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr bool empty() const noexcept { return size_ == 0; }
    constexpr const std::byte *begin() const noexcept { return data_; }
    constexpr const std::byte *end() const noexcept { return data_ + size_; }
    constexpr std::byte operator[](std::size_t i) const noexcept { return data_[i]; }
    friend bool operator==(bytes_view a, bytes_view b) noexcept
    {
        return a.size_ == b.size_ && (a.size_ == 0 || std::memcmp(a.data_, b.data_, a.size_) == 0);
    }
    friend bool operator!=(bytes_view a, bytes_view b) noexcept { return !(a == b); }

private:
    const std::byte *data_ = nullptr;
    std::size_t size_ = 0;
};

/// Bytes of one's own.
using bytes = std::vector<std::byte>;

/// How a type of C++ becomes a value, and the other way. There are some for bool, integers,
/// floating point, enumerations, texts, bytes and std::optional; a program may add its own:
///
///     template <> struct shmirror::value_traits<money> {
///         static constexpr const char *expected = "cents";      // for messages
///         static shmirror_value write(money const &m) { return shmirror_integer(m.cents); }
///         static bool read(shmirror_value const &v, money &m);  // false: it does not fit
///     };
///
/// NULL never comes to `read`.
template <class T, class = void> struct value_traits {};

namespace detail {

/// The type of a value that no value can be; the library refuses it.
inline constexpr std::int32_t no_type = -1;

template <class T, class... Others>
inline constexpr bool is_one_of = (std::is_same_v<T, Others> || ...);

template <class T>
inline constexpr bool is_integer = std::is_integral_v<T> && sizeof(T) <= 8
    && !is_one_of<T, bool, char, wchar_t, char16_t, char32_t
#if defined(__cpp_char8_t)
        ,
        char8_t
#endif
        >;

template <class T, class = void> inline constexpr bool is_written = false;
template <class T>
inline constexpr bool
    is_written<T, std::void_t<decltype(value_traits<T>::write(std::declval<T const &>()))>> = true;

template <class T, class = void> inline constexpr bool is_read = false;
template <class T>
inline constexpr bool is_read<T,
    std::void_t<decltype(value_traits<T>::read(
        std::declval<shmirror_value const &>(), std::declval<T &>()))>> = true;

template <class T, class = void> inline constexpr bool takes_null = false;
template <class T>
inline constexpr bool takes_null<T, std::void_t<decltype(value_traits<T>::takes_null)>> = true;

/// 2^63, the first double that is no std::int64_t.
inline constexpr double two_to_63 = 9223372036854775808.0;

inline bool exact(shmirror_value const &value, std::int64_t &out) noexcept
{
    if (value.type == SHMIRROR_TYPE_INTEGER) {
        out = value.as.integer;
        return true;
    }
    double const real = value.as.real;
    if (value.type != SHMIRROR_TYPE_REAL || !(real >= -two_to_63 && real < two_to_63)) {
        return false;
    }
    out = static_cast<std::int64_t>(real);
    return !(static_cast<double>(out) < real) && !(static_cast<double>(out) > real);
}

inline bool exact(shmirror_value const &value, double &out) noexcept
{
    if (value.type == SHMIRROR_TYPE_REAL) {
        out = value.as.real;
        return true;
    }
    if (value.type != SHMIRROR_TYPE_INTEGER) {
        return false;
    }
    out = static_cast<double>(value.as.integer);
    return out < two_to_63 && static_cast<std::int64_t>(out) == value.as.integer;
}

template <class T> bool narrowed(std::int64_t from, T &to) noexcept
{
    if constexpr (std::is_unsigned_v<T>) {
        if (from < 0 || static_cast<std::uint64_t>(from) > std::numeric_limits<T>::max()) {
            return false;
        }
    } else if (from < std::numeric_limits<T>::min() || from > std::numeric_limits<T>::max()) {
        return false;
    }
    to = static_cast<T>(from);
    return true;
}

inline bool narrowed(double from, double &to) noexcept
{
    to = from;
    return true;
}

inline bool narrowed(double from, float &to) noexcept
{
    constexpr double most = std::numeric_limits<float>::max();
    bool const infinite = from > std::numeric_limits<double>::max()
        || from < std::numeric_limits<double>::lowest();
    if (!infinite && !(from >= -most && from <= most)) {
        return false;
    }
    to = static_cast<float>(from);
    return !(static_cast<double>(to) < from) && !(static_cast<double>(to) > from);
}

template <class T> constexpr const char *integer_in_words() noexcept
{
    constexpr bool is_signed = std::is_signed_v<T>;
    switch (sizeof(T)) {
    case 1: return is_signed ? "an integer of 8 bits" : "an integer from 0 of 8 bits";
    case 2: return is_signed ? "an integer of 16 bits" : "an integer from 0 of 16 bits";
    case 4: return is_signed ? "an integer of 32 bits" : "an integer from 0 of 32 bits";
    default: return is_signed ? "an integer" : "an integer from 0";
    }
}

inline std::string_view text_of(shmirror_value const &value) noexcept
{
    return {value.as.text.data, value.as.text.size};
}

inline bytes_view bytes_of(shmirror_value const &value) noexcept
{
    return {value.as.blob.data, value.as.blob.size};
}

/// A text in an array of char: up to its NUL, or all of it.
inline shmirror_value array_text(const char *data, std::size_t size) noexcept
{
    const void *const end = size == 0 ? nullptr : std::memchr(data, '\0', size);
    if (end != nullptr) {
        size = static_cast<std::size_t>(static_cast<const char *>(end) - data);
    }
    return shmirror_string_n(data, size);
}

inline bool array_text(shmirror_value const &value, char *data, std::size_t size) noexcept
{
    if (value.type != SHMIRROR_TYPE_TEXT || value.as.text.size >= size) {
        return false;
    }
    std::memcpy(data, value.as.text.data, value.as.text.size);
    std::memset(data + value.as.text.size, 0, size - value.as.text.size);
    return true;
}

inline bool array_bytes(shmirror_value const &value, void *data, std::size_t size) noexcept
{
    if (value.type != SHMIRROR_TYPE_BLOB || value.as.blob.size != size) {
        return false;
    }
    if (size != 0) {
        std::memcpy(data, value.as.blob.data, size);
    }
    return true;
}

template <class T> inline constexpr bool is_byte = is_one_of<T, std::byte, unsigned char>;

} // namespace detail

template <class T> struct value_traits<T, std::enable_if_t<detail::is_integer<T>>> {
    static constexpr const char *expected = detail::integer_in_words<T>();
    static shmirror_value write(T value) noexcept
    {
        shmirror_value made = shmirror_integer(static_cast<std::int64_t>(value));
        if constexpr (std::is_unsigned_v<T> && sizeof(T) == 8) {
            if (made.as.integer < 0) {
                made.type = detail::no_type;
            }
        }
        return made;
    }
    static bool read(shmirror_value const &value, T &out) noexcept
    {
        std::int64_t wide = 0;
        return detail::exact(value, wide) && detail::narrowed(wide, out);
    }
};

template <> struct value_traits<bool> {
    static constexpr const char *expected = "0 or 1";
    static shmirror_value write(bool value) noexcept { return shmirror_boolean(value); }
    static bool read(shmirror_value const &value, bool &out) noexcept
    {
        std::int64_t wide = 0;
        if (!detail::exact(value, wide) || (wide != 0 && wide != 1)) {
            return false;
        }
        out = wide == 1;
        return true;
    }
};

template <> struct value_traits<double> {
    static constexpr const char *expected = "a number that a double holds exactly";
    static shmirror_value write(double value) noexcept { return shmirror_real(value); }
    static bool read(shmirror_value const &value, double &out) noexcept
    {
        return detail::exact(value, out);
    }
};

template <> struct value_traits<float> {
    static constexpr const char *expected = "a number that a float holds exactly";
    static shmirror_value write(float value) noexcept
    {
        return shmirror_real(static_cast<double>(value));
    }
    static bool read(shmirror_value const &value, float &out) noexcept
    {
        double wide = 0;
        return detail::exact(value, wide) && detail::narrowed(wide, out);
    }
};

/// An enumeration is its number.
template <class T>
struct value_traits<T, std::enable_if_t<std::is_enum_v<T> && !detail::is_one_of<T, std::byte>>> {
    using number = std::underlying_type_t<T>;
    static constexpr const char *expected = value_traits<number>::expected;
    static shmirror_value write(T value) noexcept
    {
        return value_traits<number>::write(static_cast<number>(value));
    }
    static bool read(shmirror_value const &value, T &out) noexcept
    {
        number wide{};
        if (!value_traits<number>::read(value, wide)) {
            return false;
        }
        out = static_cast<T>(wide);
        return true;
    }
};

template <> struct value_traits<std::string_view> {
    static constexpr const char *expected = "text";
    static shmirror_value write(std::string_view value) noexcept
    {
        return shmirror_string_n(value.data(), value.size());
    }
    static bool read(shmirror_value const &value, std::string_view &out) noexcept
    {
        if (value.type != SHMIRROR_TYPE_TEXT) {
            return false;
        }
        out = detail::text_of(value);
        return true;
    }
};

template <> struct value_traits<std::string> {
    static constexpr const char *expected = "text";
    static shmirror_value write(std::string const &value) noexcept
    {
        return shmirror_string_n(value.data(), value.size());
    }
    static bool read(shmirror_value const &value, std::string &out)
    {
        if (value.type != SHMIRROR_TYPE_TEXT) {
            return false;
        }
        out.assign(value.as.text.data, value.as.text.size);
        return true;
    }
};

/// nullptr is NULL.
template <> struct value_traits<const char *> {
    static shmirror_value write(const char *value) noexcept { return shmirror_string(value); }
};
template <> struct value_traits<char *> : value_traits<const char *> {};

/// Text up to the NUL. Read it is filled up with NUL; what leaves no room for one does not fit.
template <std::size_t N> struct value_traits<char[N]> {
    static constexpr const char *expected = "text that fits into the array, with its NUL";
    static shmirror_value write(const char (&value)[N]) noexcept
    {
        return detail::array_text(value, N);
    }
    static bool read(shmirror_value const &value, char (&out)[N]) noexcept
    {
        return detail::array_text(value, out, N);
    }
};
template <std::size_t N> struct value_traits<std::array<char, N>> {
    static constexpr const char *expected = value_traits<char[N + 1]>::expected;
    static shmirror_value write(std::array<char, N> const &value) noexcept
    {
        return detail::array_text(value.data(), N);
    }
    static bool read(shmirror_value const &value, std::array<char, N> &out) noexcept
    {
        return detail::array_text(value, out.data(), N);
    }
};

template <> struct value_traits<bytes_view> {
    static constexpr const char *expected = "a blob";
    static shmirror_value write(bytes_view value) noexcept
    {
        return shmirror_bytes(value.data(), value.size());
    }
    static bool read(shmirror_value const &value, bytes_view &out) noexcept
    {
        if (value.type != SHMIRROR_TYPE_BLOB) {
            return false;
        }
        out = detail::bytes_of(value);
        return true;
    }
};

template <class B> struct value_traits<std::vector<B>, std::enable_if_t<detail::is_byte<B>>> {
    static constexpr const char *expected = "a blob";
    static shmirror_value write(std::vector<B> const &value) noexcept
    {
        return shmirror_bytes(value.data(), value.size());
    }
    static bool read(shmirror_value const &value, std::vector<B> &out)
    {
        if (value.type != SHMIRROR_TYPE_BLOB) {
            return false;
        }
        out.resize(value.as.blob.size);
        return detail::array_bytes(value, out.data(), out.size());
    }
};

/// A BLOB of exactly so many bytes.
template <class B, std::size_t N>
struct value_traits<std::array<B, N>, std::enable_if_t<detail::is_byte<B>>> {
    static constexpr const char *expected = "a blob of the array's size";
    static shmirror_value write(std::array<B, N> const &value) noexcept
    {
        return shmirror_bytes(value.data(), N);
    }
    static bool read(shmirror_value const &value, std::array<B, N> &out) noexcept
    {
        return detail::array_bytes(value, out.data(), N);
    }
};
template <class B, std::size_t N> struct value_traits<B[N], std::enable_if_t<detail::is_byte<B>>> {
    static constexpr const char *expected = "a blob of the array's size";
    static shmirror_value write(const B (&value)[N]) noexcept { return shmirror_bytes(value, N); }
    static bool read(shmirror_value const &value, B (&out)[N]) noexcept
    {
        return detail::array_bytes(value, out, N);
    }
};

#if defined(__cpp_lib_span)
template <class B>
struct value_traits<std::span<B>, std::enable_if_t<detail::is_byte<std::remove_cv_t<B>>>> {
    static shmirror_value write(std::span<B> value) noexcept
    {
        return shmirror_bytes(value.data(), value.size());
    }
};
#endif

/// nullopt is NULL.
template <class T>
struct value_traits<std::optional<T>,
    std::enable_if_t<detail::is_written<T> || detail::is_read<T>>> {
    static constexpr const char *expected = value_traits<T>::expected;
    static constexpr bool takes_null = true;
    static shmirror_value write(std::optional<T> const &value)
    {
        return value ? value_traits<T>::write(*value) : shmirror_null();
    }
    static bool read(shmirror_value const &value, std::optional<T> &out)
    {
        if (value.type == SHMIRROR_TYPE_NULL) {
            out.reset();
            return true;
        }
        // What is there is used again.
        return value_traits<T>::read(value, out ? *out : out.emplace());
    }
};

} // namespace SHMIRROR_ABI
} // namespace shmirror

#endif // SHMIRROR_VALUE_TRAITS_HPP
