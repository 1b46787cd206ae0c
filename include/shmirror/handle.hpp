// What the objects stand on: an owned handle of C, calls of C functions, iterators.

#ifndef SHMIRROR_HANDLE_HPP
#define SHMIRROR_HANDLE_HPP

#include <array>
#include <cstddef>
#include <iterator>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "failure.hpp"

namespace shmirror {
inline namespace SHMIRROR_ABI {

namespace detail {

inline result<void> done(shmirror_status status) noexcept
{
    return status == SHMIRROR_OK ? result<void>() : result<void>(failure::last(status));
}

/// Where `status` is `no`, false; where it is success, true.
inline result<bool> found(shmirror_status status, shmirror_status no) noexcept
{
    if (status == SHMIRROR_OK || status == no) {
        return status == SHMIRROR_OK;
    }
    return failure::last(status);
}

/// What a function of C writes to its last parameter.
template <class T, class F, class... A> result<T> out(F f, A... arguments) noexcept
{
    T value{};
    shmirror_status const status = f(arguments..., &value);
    if (status != SHMIRROR_OK) {
        return failure::last(status);
    }
    return value;
}

/// The same, for what does not fail but by a mistake.
template <class T, class F, class... A> T ask(F f, A... arguments)
{
    return out<T>(f, arguments...).value();
}

/// The text that a function of C copies into a buffer.
template <class F> result<std::string> copied(F f)
{
    std::string text(120, '\0');
    for (;;) {
        std::size_t length = 0;
        shmirror_status const status = f(text.data(), text.size() + 1, &length);
        if (status == SHMIRROR_OK) {
            text.resize(length);
            return text;
        }
        if (status != SHMIRROR_SHORT_BUFFER) {
            return failure::last(status);
        }
        text.resize(length);
    }
}

/// A text that the library allocated.
template <class F> result<std::string> given(F f)
{
    struct free_text {
        void operator()(char *text) const noexcept { shmirror_string_free(text); }
    };
    char *text = nullptr;
    shmirror_status const status = f(&text);
    std::unique_ptr<char, free_text> const owned(text);
    if (status != SHMIRROR_OK) {
        return failure::last(status);
    }
    return std::string(owned.get());
}

/// Lets the library's objects reach each other's handles.
struct access {
    template <class W> static auto &handle_of(W &wrapper) noexcept { return wrapper.native_; }
};

/// Owns a handle of C. Moves, does not copy.
template <class H, shmirror_status (*Close)(H *)> class handle {
public:
    /// Empty.
    handle() noexcept = default;
    /// Takes over a handle of C's, and closes it.
    explicit handle(H *native) noexcept : native_(native) {}
    handle(handle &&other) noexcept : native_(std::exchange(other.native_, nullptr)) {}
    handle &operator=(handle &&other) noexcept
    {
        H *const mine = std::exchange(native_, std::exchange(other.native_, nullptr));
        if (mine != nullptr) {
            Close(mine);
        }
        return *this;
    }
    ~handle()
    {
        if (native_ != nullptr) {
            Close(native_);
        }
    }

    /// Whether there is a handle.
    explicit operator bool() const noexcept { return native_ != nullptr; }
    /// The handle, for functions of C; it stays this object's.
    H *native() const noexcept { return native_; }
    /// Closes the handle now; the object is empty then.
    void close() noexcept { *this = handle(); }

protected:
    friend struct access;
    H *native_ = nullptr;
};

/// A wrapper around the handle that a function of C makes.
template <class W, class F> result<W> opened(F f) noexcept
{
    W made;
    shmirror_status const status = f(&access::handle_of(made));
    if (status != SHMIRROR_OK) {
        return failure::last(status);
    }
    return made;
}

/// Elements by number, as a range.
template <class C> class index_iterator {
public:
    using iterator_category = std::input_iterator_tag;
    using value_type = decltype(std::declval<C const &>()[std::size_t()]);
    using reference = value_type;
    using pointer = void;
    using difference_type = std::ptrdiff_t;

    index_iterator() = default;
    index_iterator(C const &of, std::size_t index) : of_(of), index_(index) {}
    reference operator*() const { return of_[index_]; }
    index_iterator &operator++()
    {
        ++index_;
        return *this;
    }
    index_iterator operator++(int)
    {
        index_iterator before = *this;
        ++index_;
        return before;
    }
    friend bool operator==(index_iterator const &a, index_iterator const &b)
    {
        return a.index_ == b.index_;
    }
    friend bool operator!=(index_iterator const &a, index_iterator const &b) { return !(a == b); }

private:
    C of_{};
    std::size_t index_ = 0;
};

/// What `advance` of a source gives, again and again into the same place, as a range. `advance`
/// gives the next element, or nullptr at the end.
template <class S> class fill_iterator {
public:
    using iterator_category = std::input_iterator_tag;
    using value_type = bare<decltype(*std::declval<S &>().advance())>;
    using reference = value_type const &;
    using pointer = value_type const *;
    using difference_type = std::ptrdiff_t;

    fill_iterator() = default;
    explicit fill_iterator(S &source) : source_(&source), now_(source.advance()) {}
    reference operator*() const { return *now_; }
    pointer operator->() const { return now_; }
    fill_iterator &operator++()
    {
        now_ = source_->advance();
        return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(fill_iterator const &a, fill_iterator const &b)
    {
        return a.now_ == b.now_;
    }
    friend bool operator!=(fill_iterator const &a, fill_iterator const &b) { return !(a == b); }

private:
    S *source_ = nullptr;
    pointer now_ = nullptr;
};

/// Elements in place while they are few.
template <class T, std::size_t N> class few {
public:
    void push(T element)
    {
        if (size_ == N && more_.empty()) {
            more_.assign(here_.begin(), here_.end());
        }
        if (size_ < N) {
            here_[size_] = element;
        } else {
            more_.push_back(element);
        }
        ++size_;
    }
    T const *data() const noexcept { return size_ <= N ? here_.data() : more_.data(); }
    std::size_t size() const noexcept { return size_; }

private:
    std::array<T, N> here_; // only what was pushed is read
    std::vector<T> more_;
    std::size_t size_ = 0;
};

} // namespace detail

} // namespace SHMIRROR_ABI
} // namespace shmirror

#endif // SHMIRROR_HANDLE_HPP
