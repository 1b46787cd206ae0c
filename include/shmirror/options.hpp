// The library's version, and options: which daemon to attach to.

#ifndef SHMIRROR_OPTIONS_HPP
#define SHMIRROR_OPTIONS_HPP

#include <string>
#include <utility>

#include "argument.hpp"

namespace shmirror {
inline namespace SHMIRROR_ABI {

/// The library's version: "0.1.0".
inline const char *version() noexcept { return shmirror_version(); }
/// That the library that runs serves a program built with this header. SHMIRROR_VERSION.
inline result<void> try_check_version() noexcept { return detail::done(SHMIRROR_CHECK_VERSION()); }
inline void check_version() { try_check_version().value(); }

/// Which daemon to attach to, and how. Empty ones are those of a program that does not care.
class options : public detail::handle<shmirror_options, shmirror_options_close> {
public:
    using handle::handle;

    /// The instance of this name. The last of this and socket() holds.
    result<void> try_instance(c_text const &name) noexcept
    {
        return set([&](auto *o) { return shmirror_options_instance(o, name.get()); });
    }
    options &instance(c_text const &name) & { return checked(try_instance(name)); }
    options &&instance(c_text const &name) && { return std::move(instance(name)); }

    /// The daemon with its control socket at this path.
    result<void> try_socket(c_text const &path) noexcept
    {
        return set([&](auto *o) { return shmirror_options_socket(o, path.get()); });
    }
    options &socket(c_text const &path) & { return checked(try_socket(path)); }
    options &&socket(c_text const &path) && { return std::move(socket(path)); }

    /// The name under which the daemon's status shows this program.
    result<void> try_program(c_text const &name) noexcept
    {
        return set([&](auto *o) { return shmirror_options_program(o, name.get()); });
    }
    options &program(c_text const &name) & { return checked(try_program(name)); }
    options &&program(c_text const &name) && { return std::move(program(name)); }

    /// How long attaching waits for a daemon that is not there yet; by default not at all.
    result<void> try_attach_timeout(timeout time) noexcept
    {
        return set([&](auto *o) { return shmirror_options_attach_timeout(o, time.ns()); });
    }
    options &attach_timeout(timeout time) & { return checked(try_attach_timeout(time)); }
    options &&attach_timeout(timeout time) && { return std::move(attach_timeout(time)); }

    /// The path of the control socket that these options mean.
    result<std::string> try_socket_path() const
    {
        options fresh;
        shmirror_options *of = native();
        if (of == nullptr) {
            auto const made = fresh.set([](auto *) { return SHMIRROR_OK; });
            if (!made) {
                return made.error();
            }
            of = fresh.native();
        }
        return detail::copied([&](char *buffer, std::size_t size, std::size_t *length) {
            return shmirror_options_socket_path(of, buffer, size, length);
        });
    }
    std::string socket_path() const { return try_socket_path().value(); }

private:
    template <class F> result<void> set(F f) noexcept
    {
        shmirror_status status = native_ ? SHMIRROR_OK : shmirror_options_new(&native_);
        return detail::done(status == SHMIRROR_OK ? f(native_) : status);
    }
    options &checked(result<void> const &done)
    {
        done.value();
        return *this;
    }
};

} // namespace SHMIRROR_ABI
} // namespace shmirror

#endif // SHMIRROR_OPTIONS_HPP
