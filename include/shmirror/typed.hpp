// Structs as rows: row_traits, SHMIRROR_ROW, and assignments, a parameter.

#ifndef SHMIRROR_TYPED_HPP
#define SHMIRROR_TYPED_HPP

#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "value.hpp"

namespace shmirror {
inline namespace SHMIRROR_ABI {

/// Which members of a struct are which columns. SHMIRROR_ROW() makes it where they have the same
/// names; else:
///
///     template <> struct shmirror::row_traits<tag> {
///         static constexpr auto fields()
///         {
///             return std::make_tuple(shmirror::field("name", &tag::name),
///                                    shmirror::field("value", &tag::current));
///         }
///     };
template <class T, class = void> struct row_traits {};

/// One member and its column.
template <class T, class M> struct field_of {
    using member_type = M;
    const char *column;
    M T::*member;
};

template <class T, class M>
constexpr field_of<T, M> field(const char *column, M T::*member) noexcept
{
    return {column, member};
}

namespace detail {

template <class T, class = void> inline constexpr bool is_row = false;
template <class T>
inline constexpr bool is_row<T, std::void_t<decltype(row_traits<T>::fields())>> = true;

/// Calls `f` with each field and its number, until one gives something else than success.
template <class T, class F> shmirror_status each_field(F f)
{
    return std::apply(
        [&](auto const &...fields) {
            shmirror_status status = SHMIRROR_OK;
            std::size_t index = 0;
            (void)((status = f(fields, index++), status == SHMIRROR_OK) && ...);
            return status;
        },
        row_traits<T>::fields());
}

template <class T>
inline constexpr std::size_t fields_of = std::tuple_size_v<decltype(row_traits<T>::fields())>;

/// Fills the members from the values of their columns.
template <class T> result<void> assign(shmirror_value const *values, T &to)
{
    std::optional<failure> why;
    each_field<T>([&](auto const &f, std::size_t i) {
        using member = typename bare<decltype(f)>::member_type;
        static_assert(is_read<member>, "no value becomes this member: see shmirror::value_traits");
        shmirror_status const status = convert(values[i], to.*f.member);
        if (status != SHMIRROR_OK) {
            why = mismatch<member>(status, f.column, values[i]);
        }
        return status;
    });
    if (why) {
        return *std::move(why);
    }
    return {};
}

} // namespace detail

/// A column and its new value.
struct assignment {
    assignment(const char *name, value_view const &to) noexcept : column(name), value(to) {}
    assignment(std::string const &name, value_view const &to) noexcept
        : column(name.c_str()), value(to)
    {
    }
    const char *column;
    value_view value;
};

/// Columns and values to be written, for a parameter: `{{"name", "p1"}, {"value", 3.5}}`, a range
/// of assignments, or a struct with row_traits. Borrows.
class assignments {
public:
    assignments(std::initializer_list<assignment> list) { add(list); }
    template <class T, std::enable_if_t<detail::is_row<T>, int> = 0> assignments(T const &row)
    {
        detail::each_field<T>([&](auto const &f, std::size_t) {
            using member = typename detail::bare<decltype(f)>::member_type;
            static_assert(
                detail::is_written<member>, "this member is no value: see shmirror::value_traits");
            columns_.push(f.column);
            values_.push(value_traits<member>::write(row.*f.member));
            return SHMIRROR_OK;
        });
    }
    template <class R,
        std::enable_if_t<!detail::is_row<R> && std::is_same_v<detail::bare<decltype(*std::begin(
                                                   std::declval<R const &>()))>,
                             assignment>,
            int> = 0>
    assignments(R const &range)
    {
        add(range);
    }

    const char *const *columns() const noexcept { return columns_.data(); }
    shmirror_value const *values() const noexcept { return values_.data(); }
    std::size_t size() const noexcept { return columns_.size(); }

private:
    template <class R> void add(R const &range)
    {
        for (assignment const &one : range) {
            columns_.push(one.column);
            values_.push(one.value.native());
        }
    }

    detail::few<const char *, 16> columns_;
    detail::few<shmirror_value, 16> values_;
};

} // namespace SHMIRROR_ABI
} // namespace shmirror

/// Gives a struct row_traits: its members, 32 at most, are the columns of the same names. To stand
/// outside of any namespace.
#define SHMIRROR_ROW(type, ...)                                                                    \
    template <> struct shmirror::row_traits<type> {                                                \
        using row_type = type;                                                                     \
        static constexpr auto fields()                                                             \
        {                                                                                          \
            return std::make_tuple(SHMIRROR_PP_EACH(SHMIRROR_PP_MEMBER, __VA_ARGS__));             \
        }                                                                                          \
    };

#define SHMIRROR_PP_MEMBER(name) ::shmirror::field(#name, &row_type::name)
#define SHMIRROR_PP_EACH(m, ...)                                                                   \
    SHMIRROR_PP_JOIN(SHMIRROR_PP_, SHMIRROR_PP_COUNT(__VA_ARGS__))(m, __VA_ARGS__)
#define SHMIRROR_PP_JOIN(a, b) SHMIRROR_PP_JOIN_(a, b)
#define SHMIRROR_PP_JOIN_(a, b) a##b
#define SHMIRROR_PP_COUNT(...)                                                                     \
    SHMIRROR_PP_NTH(__VA_ARGS__, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17,   \
    16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define SHMIRROR_PP_NTH(                                                                           \
    a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20,     \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, n, ...) n
#define SHMIRROR_PP_1(m, a) m(a)
#define SHMIRROR_PP_2(m, a, ...) m(a), SHMIRROR_PP_1(m, __VA_ARGS__)
#define SHMIRROR_PP_3(m, a, ...) m(a), SHMIRROR_PP_2(m, __VA_ARGS__)
#define SHMIRROR_PP_4(m, a, ...) m(a), SHMIRROR_PP_3(m, __VA_ARGS__)
#define SHMIRROR_PP_5(m, a, ...) m(a), SHMIRROR_PP_4(m, __VA_ARGS__)
#define SHMIRROR_PP_6(m, a, ...) m(a), SHMIRROR_PP_5(m, __VA_ARGS__)
#define SHMIRROR_PP_7(m, a, ...) m(a), SHMIRROR_PP_6(m, __VA_ARGS__)
#define SHMIRROR_PP_8(m, a, ...) m(a), SHMIRROR_PP_7(m, __VA_ARGS__)
#define SHMIRROR_PP_9(m, a, ...) m(a), SHMIRROR_PP_8(m, __VA_ARGS__)
#define SHMIRROR_PP_10(m, a, ...) m(a), SHMIRROR_PP_9(m, __VA_ARGS__)
#define SHMIRROR_PP_11(m, a, ...) m(a), SHMIRROR_PP_10(m, __VA_ARGS__)
#define SHMIRROR_PP_12(m, a, ...) m(a), SHMIRROR_PP_11(m, __VA_ARGS__)
#define SHMIRROR_PP_13(m, a, ...) m(a), SHMIRROR_PP_12(m, __VA_ARGS__)
#define SHMIRROR_PP_14(m, a, ...) m(a), SHMIRROR_PP_13(m, __VA_ARGS__)
#define SHMIRROR_PP_15(m, a, ...) m(a), SHMIRROR_PP_14(m, __VA_ARGS__)
#define SHMIRROR_PP_16(m, a, ...) m(a), SHMIRROR_PP_15(m, __VA_ARGS__)
#define SHMIRROR_PP_17(m, a, ...) m(a), SHMIRROR_PP_16(m, __VA_ARGS__)
#define SHMIRROR_PP_18(m, a, ...) m(a), SHMIRROR_PP_17(m, __VA_ARGS__)
#define SHMIRROR_PP_19(m, a, ...) m(a), SHMIRROR_PP_18(m, __VA_ARGS__)
#define SHMIRROR_PP_20(m, a, ...) m(a), SHMIRROR_PP_19(m, __VA_ARGS__)
#define SHMIRROR_PP_21(m, a, ...) m(a), SHMIRROR_PP_20(m, __VA_ARGS__)
#define SHMIRROR_PP_22(m, a, ...) m(a), SHMIRROR_PP_21(m, __VA_ARGS__)
#define SHMIRROR_PP_23(m, a, ...) m(a), SHMIRROR_PP_22(m, __VA_ARGS__)
#define SHMIRROR_PP_24(m, a, ...) m(a), SHMIRROR_PP_23(m, __VA_ARGS__)
#define SHMIRROR_PP_25(m, a, ...) m(a), SHMIRROR_PP_24(m, __VA_ARGS__)
#define SHMIRROR_PP_26(m, a, ...) m(a), SHMIRROR_PP_25(m, __VA_ARGS__)
#define SHMIRROR_PP_27(m, a, ...) m(a), SHMIRROR_PP_26(m, __VA_ARGS__)
#define SHMIRROR_PP_28(m, a, ...) m(a), SHMIRROR_PP_27(m, __VA_ARGS__)
#define SHMIRROR_PP_29(m, a, ...) m(a), SHMIRROR_PP_28(m, __VA_ARGS__)
#define SHMIRROR_PP_30(m, a, ...) m(a), SHMIRROR_PP_29(m, __VA_ARGS__)
#define SHMIRROR_PP_31(m, a, ...) m(a), SHMIRROR_PP_30(m, __VA_ARGS__)
#define SHMIRROR_PP_32(m, a, ...) m(a), SHMIRROR_PP_31(m, __VA_ARGS__)

#endif // SHMIRROR_TYPED_HPP
