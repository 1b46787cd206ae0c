// Parameters: texts, names, timeouts and deadlines, as C takes them.

#ifndef SHMIRROR_ARGUMENT_HPP
#define SHMIRROR_ARGUMENT_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "handle.hpp"

namespace shmirror {
inline namespace SHMIRROR_ABI {

/// A text that ends with NUL, for a parameter: of a literal or a std::string it borrows, of a
/// std::string_view it is a copy.
class c_text {
public:
    c_text(const char *text) noexcept : text_(text) {}
    c_text(std::string const &text) noexcept : text_(text.c_str()) {}
    c_text(std::string_view text) : copy_(text), text_(copy_.c_str()) {}
    c_text(c_text const &) = delete;
    c_text &operator=(c_text const &) = delete;
    const char *get() const noexcept { return text_; }

private:
    std::string copy_;
    const char *text_;
};

/// Names of tables or columns, for a parameter. It copies.
class names {
public:
    names() = default;
    names(const char *name) : names(std::initializer_list<std::string_view>{name}) {}
    names(std::string const &name) : names(std::initializer_list<std::string_view>{name}) {}
    names(std::initializer_list<std::string_view> list) : names(list.begin(), list.end()) {}
    /// Of a range of texts.
    template <class R, class = std::enable_if_t<std::is_convertible_v<
                           decltype(*std::begin(std::declval<R const &>())), std::string_view>
                           && !std::is_convertible_v<R const &, std::string_view>>>
    names(R const &range) : names(std::begin(range), std::end(range))
    {
    }
    names(names const &other) : names(other.texts_) {}
    names &operator=(names const &) = delete;

    const char *const *data() const noexcept { return pointers_.data(); }
    std::size_t size() const noexcept { return pointers_.size(); }

private:
    template <class I> names(I first, I last)
    {
        for (; first != last; ++first) {
            texts_.emplace_back(std::string_view(*first));
        }
        for (std::string const &text : texts_) {
            pointers_.push_back(text.c_str());
        }
    }

    std::vector<std::string> texts_;
    std::vector<const char *> pointers_;
};

/// How long something may take, of any std::chrono duration; what is negative is 0.
class timeout {
public:
    template <class R, class P>
    constexpr timeout(std::chrono::duration<R, P> time) noexcept : ns_(of(time))
    {
    }
    constexpr std::uint64_t ns() const noexcept { return ns_; }
    /// Without end.
    static constexpr timeout never() noexcept { return timeout(SHMIRROR_FOREVER); }

private:
    constexpr explicit timeout(std::uint64_t ns) noexcept : ns_(ns) {}
    template <class R, class P> static constexpr std::uint64_t of(std::chrono::duration<R, P> time)
    {
        using std::chrono::nanoseconds;
        auto const seconds = std::chrono::duration<long double>(time).count();
        if (!(seconds > 0)) {
            return 0;
        }
        if (seconds > 9.2e9L) { // what nanoseconds cannot count
            return SHMIRROR_FOREVER;
        }
        auto const whole = std::chrono::duration_cast<nanoseconds>(time);
        return static_cast<std::uint64_t>(whole.count());
    }
    std::uint64_t ns_;
};

/// Without end.
inline constexpr timeout forever = timeout::never();

/// Until when something may take.
class deadline {
public:
    template <class D>
    deadline(std::chrono::time_point<std::chrono::steady_clock, D> when) noexcept : ns_(of(when))
    {
    }
    std::uint64_t ns() const noexcept { return ns_; }

private:
    template <class D>
    static std::uint64_t of(std::chrono::time_point<std::chrono::steady_clock, D> when) noexcept
    {
        // As long doubles, as `when - now` of the largest time point overflows.
        using seconds = std::chrono::duration<long double>;
        auto const now = std::chrono::steady_clock::now();
        seconds const left = seconds(when.time_since_epoch()) - seconds(now.time_since_epoch());
        std::uint64_t const ns = timeout(left).ns();
        std::uint64_t const from = shmirror_now();
        return ns >= SHMIRROR_FOREVER - from ? SHMIRROR_FOREVER : from + ns;
    }
    std::uint64_t ns_;
};

} // namespace SHMIRROR_ABI
} // namespace shmirror

#endif // SHMIRROR_ARGUMENT_HPP
