// Values, results, parameters: what needs no daemon.

#include "check.hpp"

#include <cmath>
#include <list>
#include <set>

using namespace shmirror;

namespace {

enum class level : std::uint8_t { low = 1, high = 200 };
struct money {
    std::int64_t cents;
};

} // namespace

template <> struct shmirror::value_traits<money> {
    static constexpr const char *expected = "cents";
    static shmirror_value write(money const &m) { return shmirror_integer(m.cents); }
    static bool read(shmirror_value const &value, money &m)
    {
        return value_traits<std::int64_t>::read(value, m.cents);
    }
};

namespace {

/// That `from` is written as `as`, and read back the same.
template <class T> bool there_and_back(T const &from, value_view as)
{
    value_view const written(from);
    auto const back = written.try_get<T>();
    return written == as && back && *back == from;
}

void numbers()
{
    CHECK(there_and_back<std::int8_t>(-128, shmirror_integer(-128)));
    CHECK(there_and_back<std::uint8_t>(255, shmirror_integer(255)));
    CHECK(there_and_back<std::int16_t>(-32768, shmirror_integer(-32768)));
    CHECK(there_and_back<std::uint16_t>(65535, shmirror_integer(65535)));
    CHECK(there_and_back<std::int32_t>(INT32_MIN, shmirror_integer(INT32_MIN)));
    CHECK(there_and_back<std::uint32_t>(UINT32_MAX, shmirror_integer(UINT32_MAX)));
    CHECK(there_and_back<std::int64_t>(INT64_MIN, shmirror_integer(INT64_MIN)));
    CHECK(there_and_back<std::uint64_t>(INT64_MAX, shmirror_integer(INT64_MAX)));
    CHECK(there_and_back<long long>(-1, shmirror_integer(-1)));
    CHECK(there_and_back<unsigned long long>(1, shmirror_integer(1)));
    CHECK(there_and_back(true, shmirror_boolean(1)));
    CHECK(there_and_back(0.1, shmirror_real(0.1)));
    CHECK(there_and_back(0.5f, shmirror_real(0.5)));
    CHECK(there_and_back(level::high, shmirror_integer(200)));
    CHECK(value_view(money{7}).get<money>().cents == 7);

    // Across the classes, only where nothing is lost.
    CHECK(value_view(3.0).get<int>() == 3);
    CHECK(value_view(-9223372036854775808.0).get<std::int64_t>() == INT64_MIN);
    CHECK(std::fabs(value_view(3).get<double>() - 3.0) <= 0);
    CHECK(value_view(1.0).get<bool>());
    CHECK(std::isinf(value_view(HUGE_VAL).get<float>()));
    std::int64_t const odd = (std::int64_t(1) << 53) + 1;
    auto const type = SHMIRROR_TYPE_MISMATCH;
    CHECK_FAILURE(value_view(0.5).try_get<int>(), type, "found real 0.5, expected an integer");
    CHECK_FAILURE(value_view(300).try_get<std::uint8_t>(), type, "from 0 of 8 bits");
    CHECK_FAILURE(value_view(-1).try_get<std::uint64_t>(), type, "found integer -1");
    CHECK_FAILURE(value_view(-1).try_get<std::uint16_t>(), type, "from 0 of 16 bits");
    CHECK_FAILURE(value_view(128).try_get<std::int8_t>(), type, "an integer of 8 bits");
    CHECK_FAILURE(value_view(INT64_MAX).try_get<std::int32_t>(), type, "of 32 bits");
    CHECK_FAILURE(value_view(9223372036854775808.0).try_get<std::int64_t>(), type, "found real");
    CHECK_FAILURE(value_view(std::nan("")).try_get<std::int64_t>(), type, "found real");
    CHECK_FAILURE(value_view(odd).try_get<double>(), type, "a double holds exactly");
    CHECK_FAILURE(value_view(INT64_MAX).try_get<double>(), type, "a double holds exactly");
    CHECK_FAILURE(value_view(0.1).try_get<float>(), type, "a float holds exactly");
    CHECK_FAILURE(value_view(1e300).try_get<float>(), type, "a float holds exactly");
    CHECK_FAILURE(value_view(2).try_get<bool>(), type, "expected 0 or 1");
    CHECK_FAILURE(value_view("3").try_get<int>(), type, "found text \"3\"");
    CHECK_FAILURE(value_view(300).try_get<level>(), type, "of 8 bits");
    CHECK_FAILURE(value_view("x").try_get<money>(), type, "expected cents");

    // One that no column holds is refused where it is used; here it says so by its type.
    CHECK(value_view(UINT64_MAX).native().type == -1);
}

void texts_and_bytes()
{
    std::string const text("a\0b", 3);
    CHECK(there_and_back(text, shmirror_string_n("a\0b", 3)));
    CHECK(value_view(text).get<std::string_view>() == text);
    CHECK(value_view("abc") == value_view(std::string_view("abc")));
    const char *none = nullptr;
    CHECK(value_view(none).is_null());
    char array[8] = "abc";
    CHECK(value_view(array) == "abc");
    CHECK(there_and_back(std::array<char, 4>{'a', 'b', 'c', '\0'}, "abc"));
    CHECK_FAILURE((value_view("abcd").try_get<std::array<char, 4>>()), SHMIRROR_TYPE_MISMATCH,
        "fits into the array");
    std::string long_text;
    for (int i = 0; i < 30; ++i) {
        long_text += "ü";
    }
    CHECK_FAILURE(value_view(long_text).try_get<int>(), SHMIRROR_TYPE_MISMATCH, "… of 60 bytes");

    bytes const blob{std::byte{1}, std::byte{0}};
    CHECK(there_and_back(blob, shmirror_bytes("\1", 2)));
    CHECK(there_and_back(std::vector<std::uint8_t>{1, 0}, blob));
    CHECK(there_and_back(std::array<std::uint8_t, 2>{1, 0}, blob));
    CHECK(there_and_back(bytes_view(blob), blob));
    CHECK(there_and_back(bytes(), bytes_view()));
    CHECK(value_view(blob).get<bytes_view>()[0] == std::byte{1});
    CHECK_FAILURE((value_view(blob).try_get<std::array<std::uint8_t, 3>>()),
        SHMIRROR_TYPE_MISMATCH, "blob of 2 bytes");
    CHECK_FAILURE(value_view("x").try_get<bytes>(), SHMIRROR_TYPE_MISMATCH, "expected a blob");
    CHECK_FAILURE(value_view(blob).try_get<std::string>(), SHMIRROR_TYPE_MISMATCH, "expected text");
#if defined(__cpp_lib_span)
    std::span<const std::byte> const span = value_view(blob).get<bytes_view>();
    CHECK(span.size() == 2 && value_view(span) == value_view(blob));
#endif
}

void nulls()
{
    CHECK(value_view().is_null() && value_view(nullptr).is_null());
    CHECK(value_view(std::nullopt).type() == type::null);
    CHECK(there_and_back(std::optional<int>(), nullptr));
    CHECK(there_and_back(std::optional<int>(3), 3));
    CHECK(there_and_back(std::optional<std::string>("x"), "x"));
    CHECK_FAILURE(value_view().try_get<int>(), SHMIRROR_NULL_VALUE, "found null");
    CHECK_FAILURE(value_view().try_get<std::string>(), SHMIRROR_NULL_VALUE, "expected text");
    CHECK(value_view().get<value>().is_null());
}

void owned_values()
{
    value kept;
    CHECK(kept.is_null() && kept == value(nullptr));
    {
        std::string const text = "a text that is too long to be kept in place";
        kept = text;
    }
    CHECK(kept.type() == type::text);
    CHECK(kept.get<std::string_view>() == "a text that is too long to be kept in place");
    value other = std::move(kept);
    kept = 3;
    CHECK(kept == value(3) && kept != value(3.0) && kept != other);
    kept = bytes(2);
    CHECK(std::get<bytes>(kept.as_variant()).size() == 2 && kept.type() == type::blob);
    kept = 1.5;
    CHECK(kept.type() == type::real && std::holds_alternative<double>(kept.as_variant()));
    kept = other;
    CHECK(kept == other && value_view(kept) == value_view(other));
    CHECK_THROWS(value(UINT64_MAX), SHMIRROR_BAD_ARGUMENT, "above 9223372036854775807");
}

result<int> positive(int number)
{
    if (number < 0) {
        return failure(SHMIRROR_BAD_ARGUMENT, "below 0");
    }
    return number;
}

void results()
{
    auto const twice = [](int n) { return 2 * n; };
    CHECK(positive(3).map(twice).value() == 6);
    CHECK(positive(3).and_then(positive).has_value());
    CHECK_FAILURE(positive(-3).map(twice), SHMIRROR_BAD_ARGUMENT, "below 0");
    CHECK_FAILURE(positive(-3).and_then(positive), SHMIRROR_BAD_ARGUMENT, "below 0");
    CHECK(positive(-3).value_or(7) == 7 && positive(3).value_or(7) == 3);
    CHECK_THROWS(positive(-3).value(), SHMIRROR_BAD_ARGUMENT, "below 0");
    auto const bad = positive(-3);
    CHECK(!bad && std::string(bad.error().name()) == "SHMIRROR_BAD_ARGUMENT");
    CHECK_THROWS(bad.value(), SHMIRROR_BAD_ARGUMENT, "below 0");
    result<std::unique_ptr<int>> moved(std::make_unique<int>(7));
    std::unique_ptr<int> const out = std::move(moved).value();
    CHECK(*out == 7);
    // Without words it has the status's own.
    CHECK(std::string(failure(SHMIRROR_UNIQUE).message()) == "rejected: UNIQUE");
    CHECK(std::string(failure::last(SHMIRROR_NOT_FOUND).message()) == shmirror_strerror(1));
    static_assert(std::is_nothrow_move_constructible_v<failure>);
}

void times()
{
    using namespace std::chrono_literals;
    using std::chrono::steady_clock;
    CHECK(timeout(3ms).ns() == 3000000 && timeout(-1s).ns() == 0 && timeout(0s).ns() == 0);
    CHECK(timeout(std::chrono::duration<double>(1.5)).ns() == 1500000000);
    CHECK(timeout(std::chrono::hours::max()).ns() == SHMIRROR_FOREVER);
    CHECK(timeout(std::chrono::nanoseconds::max()).ns() == SHMIRROR_FOREVER);
    CHECK(timeout(std::chrono::duration<double>(HUGE_VAL)).ns() == SHMIRROR_FOREVER);
    CHECK(forever.ns() == SHMIRROR_FOREVER);
    std::uint64_t const from = shmirror_now();
    std::uint64_t const soon = deadline(steady_clock::now() + 10s).ns();
    CHECK(soon >= from + 9900000000u && soon <= shmirror_now() + 10000000000u);
    CHECK(deadline(steady_clock::time_point::max()).ns() == SHMIRROR_FOREVER);
    CHECK(deadline(steady_clock::time_point::min()).ns() <= shmirror_now());
}

void parameters()
{
    key const composite("p1", 2, 0.5, true, std::string("x"), nullptr);
    CHECK(composite.size() == 6 && composite.data()[1].as.integer == 2);
    std::vector<value> many;
    for (int i = 0; i < 40; ++i) { // more than there is place for in the key itself
        many.emplace_back(i);
    }
    key const spilled(many);
    CHECK(spilled.size() == 40 && spilled.data()[39].as.integer == 39);
    key const copied = spilled;
    CHECK(copied.data()[16].as.integer == 16);
    CHECK(key(std::list<std::string>{"a", "b"}).size() == 2);

    CHECK(std::string_view(names({"a", "b"}).data()[1]) == "b");
    CHECK(names(std::set<std::string>{"a", "b"}).size() == 2);
    CHECK(names("tag").size() == 1 && names().size() == 0);
    names const one(std::vector<std::string_view>{"x"});
    names const other(one);
    CHECK(std::string_view(other.data()[0]) == "x" && other.data()[0] != one.data()[0]);
    CHECK(std::string_view(c_text(std::string_view("abc", 2)).get()) == "ab");
}

void empty_objects()
{
    // Default-constructed ones hold nothing, and say so.
    mirror none;
    CHECK(!none && none.native() == nullptr);
    CHECK_FAILURE(none.try_table("t"), SHMIRROR_NULL_ARGUMENT, "shmirror_mirror");
    CHECK_THROWS(none.revision(), SHMIRROR_NULL_ARGUMENT, "");
    rows no_rows;
    for (row const &one : no_rows) {
        (void)one;
        CHECK(false);
    }
    CHECK(event().kind() == event_kind::none);
    CHECK(std::holds_alternative<other_event>(event().view()));
    CHECK_FAILURE(row().try_get<int>(0), SHMIRROR_NULL_ARGUMENT, "");
    none.close();
    mirror moved(std::move(none));
    moved = mirror();

    options socket = options().socket("/nowhere/at all").attach_timeout(std::chrono::seconds(0));
    CHECK(socket.socket_path() == "/nowhere/at all");
    CHECK_FAILURE(mirror::try_attach(socket), SHMIRROR_NO_DAEMON, "/nowhere/at all");
    CHECK_THROWS(producer::attach(socket), SHMIRROR_NO_DAEMON, "/nowhere/at all");
    CHECK_THROWS(subscriber::attach(socket), SHMIRROR_NO_DAEMON, "/nowhere/at all");
    CHECK_THROWS(options().socket("\xff"), SHMIRROR_NOT_UTF8, "path");
    CHECK_FAILURE(options().instance("no/instance").try_socket_path(), SHMIRROR_INSTANCE_NAME, "");
    CHECK(!options().socket_path().empty());
    check_version();
    CHECK(std::string(version()).find(std::to_string(SHMIRROR_VERSION_MAJOR) + ".") == 0);

    static_assert(!std::is_copy_constructible_v<mirror> && !std::is_copy_assignable_v<row>);
    static_assert(std::is_nothrow_move_constructible_v<table>);
    static_assert(std::is_nothrow_move_assignable_v<shmirror::cell<double>>);
    static_assert(std::is_nothrow_destructible_v<transaction>);
    static_assert(!std::is_convertible_v<char, value_view>);
    static_assert(!std::is_convertible_v<int *, value_view>);
    static_assert(noexcept(std::declval<shmirror::cell<double> const &>().try_load()));
}

} // namespace

void test_values()
{
    numbers();
    texts_and_bytes();
    nulls();
    owned_values();
    results();
    times();
    parameters();
    empty_objects();
}
