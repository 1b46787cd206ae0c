// Why something did not succeed: failure, the exception error, and result<T>.

#ifndef SHMIRROR_FAILURE_HPP
#define SHMIRROR_FAILURE_HPP

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "../shmirror.h"

#if defined(__cpp_exceptions)
#define SHMIRROR_EXCEPTIONS 1
#else
#define SHMIRROR_EXCEPTIONS 0
#endif

// What throws and what aborts has names of its own for the linker.
#if SHMIRROR_EXCEPTIONS
#define SHMIRROR_ABI v0
#else
#define SHMIRROR_ABI v0_aborting
#endif

namespace shmirror {
inline namespace SHMIRROR_ABI {

/// Why something did not succeed: a status, and the particulars in words.
class failure {
public:
    /// With words of one's own.
    failure(shmirror_status which, std::string words) noexcept
        : status_(which), words_(std::move(words))
    {
    }
    /// With the status's short text; never allocates.
    explicit failure(shmirror_status which) noexcept : status_(which) {}

    /// This thread's last failure, as the library tells it.
    static failure last(shmirror_status which) noexcept
    {
        failure made(which);
        // Outcomes below 16 leave the last message as it was.
        if (static_cast<int>(which) >= 16 && shmirror_last_status() == static_cast<int>(which)) {
            made.say([] { return std::string(shmirror_last_message()); });
        }
        return made;
    }

    /// Its number.
    shmirror_status status() const noexcept { return status_; }
    /// Its name: "SHMIRROR_UNIQUE".
    const char *name() const noexcept { return shmirror_status_name(static_cast<int>(status_)); }
    /// Which table, key, column or argument, what was found and what was expected.
    const char *message() const noexcept
    {
        return words_.empty() ? shmirror_strerror(static_cast<int>(status_)) : words_.c_str();
    }

    /// Sets the words to what `f` gives; without memory for them it keeps the short text.
    template <class F> void say(F f) noexcept
    {
#if SHMIRROR_EXCEPTIONS
        try {
            words_ = f();
        } catch (...) {
            words_.clear();
        }
#else
        words_ = f();
#endif
    }

private:
    shmirror_status status_;
    std::string words_;
};

/// What the operations without `try_` throw.
class error : public std::runtime_error {
public:
    explicit error(failure const &why) : std::runtime_error(why.message()), status_(why.status()) {}
    /// The failure's number.
    shmirror_status status() const noexcept { return status_; }
    /// Its name: "SHMIRROR_UNIQUE".
    const char *name() const noexcept { return shmirror_status_name(static_cast<int>(status_)); }

private:
    shmirror_status status_;
};

namespace detail {

template <class T> using bare = std::remove_cv_t<std::remove_reference_t<T>>;

[[noreturn]] inline void raise(failure const &why)
{
#if SHMIRROR_EXCEPTIONS
    throw error(why);
#else
    std::fprintf(stderr, "shmirror: %s: %s\n", why.name(), why.message());
    std::abort();
#endif
}

} // namespace detail

/// A value, or why there is none.
template <class T> class [[nodiscard]] result {
public:
    using value_type = T;

    template <class U, std::enable_if_t<std::is_same_v<detail::bare<U>, T>, int> = 0>
    result(U &&value) : state_(std::in_place_index<0>, std::forward<U>(value))
    {
    }
    result(failure why) noexcept : state_(std::in_place_index<1>, std::move(why)) {}

    bool has_value() const noexcept { return state_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }

    /// The value; throws error where there is none.
    T &value() & { return *present(); }
    T const &value() const & { return *const_cast<result *>(this)->present(); }
    T &&value() && { return std::move(*present()); }

    /// The value, which must be there.
    T &operator*() & noexcept { return *std::get_if<0>(&state_); }
    T const &operator*() const & noexcept { return *std::get_if<0>(&state_); }
    T &&operator*() && noexcept { return std::move(*std::get_if<0>(&state_)); }
    T *operator->() noexcept { return std::get_if<0>(&state_); }
    T const *operator->() const noexcept { return std::get_if<0>(&state_); }

    /// The failure, which must be there.
    failure const &error() const & noexcept { return *std::get_if<1>(&state_); }
    failure &&error() && noexcept { return std::move(*std::get_if<1>(&state_)); }

    template <class U> T value_or(U &&other) const &
    {
        return has_value() ? **this : static_cast<T>(std::forward<U>(other));
    }
    template <class U> T value_or(U &&other) &&
    {
        return has_value() ? *std::move(*this) : static_cast<T>(std::forward<U>(other));
    }

    /// `f` of the value, as a result.
    template <class F> auto map(F &&f) && -> result<detail::bare<decltype(f(std::declval<T>()))>>
    {
        if (!has_value()) {
            return std::move(*this).error();
        }
        return f(*std::move(*this));
    }
    /// `f` of the value, which gives a result itself.
    template <class F> auto and_then(F &&f) && -> decltype(f(std::declval<T>()))
    {
        if (!has_value()) {
            return std::move(*this).error();
        }
        return f(*std::move(*this));
    }

private:
    T *present()
    {
        T *found = std::get_if<0>(&state_);
        if (found == nullptr) {
            detail::raise(error());
        }
        return found;
    }

    std::variant<T, failure> state_;
};

/// Success, or why not.
template <> class [[nodiscard]] result<void> {
public:
    using value_type = void;

    result() noexcept = default;
    result(failure why) noexcept : why_(std::move(why)) {}

    bool has_value() const noexcept { return !why_; }
    explicit operator bool() const noexcept { return has_value(); }
    void value() const
    {
        if (why_) {
            detail::raise(*why_);
        }
    }
    failure const &error() const & noexcept { return *why_; }
    failure &&error() && noexcept { return std::move(*why_); }

private:
    std::optional<failure> why_;
};

} // namespace SHMIRROR_ABI
} // namespace shmirror

#endif // SHMIRROR_FAILURE_HPP
