// Says who changed what: subscriber [--from REVISION] [TABLE...].
//
// A subscriber is one descriptor in a program's own event loop: here beside a timer and the signals that
// end the program. It follows through restarts of the daemon; where it was too slow for the events lane
// it goes back to the commit log, so that nothing is missing.
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <shmirror.hpp>

using namespace std::chrono_literals;

namespace {

// What a call of the system gave, or its error.
int checked(int result, const char *call)
{
    if (result < 0) {
        throw std::system_error(errno, std::generic_category(), call);
    }
    return result;
}

// A descriptor of one's own.
class descriptor {
public:
    explicit descriptor(int fd) : fd_(fd) {}
    descriptor(descriptor const &) = delete;
    descriptor &operator=(descriptor const &) = delete;
    ~descriptor() { close(fd_); }
    int get() const { return fd_; }

    // Reads what is there; false: nothing.
    template <class T> bool read(T &to) const
    {
        if (::read(fd_, &to, sizeof to) < 0) {
            return errno == EAGAIN ? false : checked(-1, "read") == 0;
        }
        return true;
    }

private:
    int fd_;
};

// SIGTERM and SIGINT. Signals that come through a descriptor must be blocked in every thread: block them
// before the first one is started. The library's own threads block all.
int end_signals()
{
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    checked(sigprocmask(SIG_BLOCK, &ends, nullptr), "sigprocmask");
    return checked(signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd");
}

int every_second()
{
    int const fd = checked(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), "timerfd");
    itimerspec const second = {{1, 0}, {1, 0}};
    checked(timerfd_settime(fd, 0, &second, nullptr), "timerfd_settime");
    return fd;
}

// Text in quotes, on one line whatever is in it.
void print_text(std::string_view text)
{
    constexpr const char *digits = "0123456789abcdef";
    std::cout << '\'';
    for (char const c : text) {
        auto const byte = static_cast<unsigned char>(c);
        if (byte < ' ' || byte == 0x7f) {
            std::cout << "\\x" << digits[byte / 16] << digits[byte % 16];
        } else {
            std::cout << (c == '\'' ? "''" : std::string_view(&c, 1));
        }
    }
    std::cout << '\'';
}

void print_value(shmirror::value_view const &value)
{
    switch (value.type()) {
    case shmirror::type::null: std::cout << "NULL"; break;
    case shmirror::type::integer: std::cout << value.get<std::int64_t>(); break;
    case shmirror::type::real: std::cout << value.get<double>(); break;
    case shmirror::type::text: print_text(value.get<std::string_view>()); break;
    case shmirror::type::blob:
        std::cout << "a blob of " << value.get<shmirror::bytes_view>().size() << " bytes";
        break;
    }
}

class follower {
public:
    follower(std::vector<std::string> const &tables, std::uint64_t from)
        : signals_(end_signals()), timer_(every_second()),
          epoll_(checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
          subscriber_(shmirror::subscriber::attach(
              shmirror::options().program("subscriber").attach_timeout(10s), tables, from))
    {
        std::cout.precision(17);
        add(subscriber_.fd());
        add(signals_.get());
        add(timer_.get());
        std::cerr << "subscriber: following\n";
    }

    // The program's own event loop: the subscriber is one descriptor among others.
    void loop()
    {
        while (!done_) {
            std::array<epoll_event, 3> events{};
            bool take = more_;
            int const count = epoll_wait(
                epoll_.get(), events.data(), static_cast<int>(events.size()), more_ ? 0 : -1);
            if (count < 0 && errno != EINTR) {
                checked(count, "epoll_wait");
            }
            for (int i = 0; i < count; ++i) {
                int const fd = events[static_cast<std::size_t>(i)].data.fd;
                if (fd == signals_.get()) {
                    signalfd_siginfo signal;
                    done_ = signals_.read(signal);
                } else if (fd == timer_.get()) {
                    take_time();
                } else {
                    take = true;
                }
            }
            if (take) {
                take_events();
            }
        }
    }

    void report() const
    {
        std::cout << inserts_ << " inserts, " << updates_ << " updates, " << deletes_
                  << " deletes, " << schemas_ << " changes of the schema, lagged " << lags_
                  << " times\n";
        if (revision_ > 0) {
            // In the middle of a transaction: better twice than not at all.
            std::cout << "to go on from here: --from " << revision_ + (whole_ ? 1 : 0) << '\n';
        }
        flush();
    }

private:
    // Events that are taken before the other descriptors have their turn.
    static constexpr int batch = 1000;

    void add(int fd)
    {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = fd;
        checked(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
    }

    // Takes what there is. Only a poll() that finds nothing silences the descriptor: where we stop
    // before, we must come back without being woken.
    void take_events()
    {
        more_ = true;
        for (int i = 0; more_ && i < batch; ++i) {
            more_ = subscriber_.poll(event_);
            if (more_) {
                event_.visit([this](auto const &what) { take(what); });
            }
        }
        flush();
    }

    void take(shmirror::change const &change)
    {
        revision_ = change.revision();
        whole_ = change.is_last();
        std::string_view what;
        switch (change.operation()) {
        case shmirror::operation::insert: what = "insert", inserts_++; break;
        case shmirror::operation::update: what = "update", updates_++; break;
        case shmirror::operation::erase: what = "delete", deletes_++; break;
        }
        std::cout << "revision " << revision_ << "  " << change.table() << "  " << what << "  key ";
        const char *between = "";
        for (auto const &value : change.key()) {
            std::cout << std::exchange(between, ", ");
            print_value(value);
        }
        if (change.read(row_)) { // false: a delete
            for (auto const name : change.columns()) {
                std::cout << "  " << name << '=';
                print_value(row_[name]);
            }
        }
        std::cout << "  uid " << change.uid() << " pid " << change.pid() << '\n';
    }

    void take(shmirror::schema_change const &change)
    {
        revision_ = change.revision();
        whole_ = false; // rows may have been changed with it
        schemas_++;
        std::cout << "revision " << revision_ << "  schema";
        for (auto const name : change.created()) {
            std::cout << "  created " << name;
        }
        for (auto const name : change.changed()) {
            std::cout << "  changed " << name;
        }
        for (auto const name : change.dropped()) {
            std::cout << "  dropped " << name;
        }
        std::cout << '\n';
    }

    // Too slow, or away for too long: back to the first revision of which something is missing.
    void take(shmirror::lagged const &lagged)
    {
        lags_++;
        auto const resumed = subscriber_.try_resume_from(lagged.first_revision);
        if (resumed) {
            std::cerr << "subscriber: " << lagged.missed << " missed: resuming from revision "
                      << lagged.first_revision << '\n';
        } else if (resumed.error().status() == SHMIRROR_TOO_OLD) {
            // The log is kept for days unless configured; what is gone from there is gone.
            std::cerr << "subscriber: " << resumed.error().message()
                      << "; going on behind the gap\n";
        } else {
            throw shmirror::error(resumed.error());
        }
    }

    void take(shmirror::other_event const &) {} // of a newer library: nothing that we know of

    // Once a second: how it goes, where anything does.
    void take_time()
    {
        std::uint64_t times = 0;
        std::uint64_t const changes = inserts_ + updates_ + deletes_;
        if (timer_.read(times) && changes > told_) {
            std::cerr << "subscriber: " << changes << " changes, revision " << revision_ << '\n';
            told_ = changes;
        }
    }

    static void flush()
    {
        if (!std::cout.flush()) {
            throw std::runtime_error("standard output cannot be written");
        }
    }

    descriptor signals_;
    descriptor timer_;
    descriptor epoll_;
    shmirror::subscriber subscriber_;
    shmirror::event event_;
    shmirror::row row_;
    bool more_ = false; // the subscriber may have more, though its descriptor is silent
    bool done_ = false;
    std::uint64_t inserts_ = 0;
    std::uint64_t updates_ = 0;
    std::uint64_t deletes_ = 0;
    std::uint64_t schemas_ = 0;
    std::uint64_t lags_ = 0;
    std::uint64_t told_ = 0;     // changes that the last line of the timer counted
    std::uint64_t revision_ = 0; // of the newest event
    bool whole_ = false;         // that event was the last of its transaction
};

// All of a text as a revision.
std::optional<std::uint64_t> revision(std::string const &text)
{
    try {
        std::size_t end = 0;
        auto const found = std::stoull(text, &end);
        bool const good = end == text.size() && text[0] != '-';
        return good ? std::optional<std::uint64_t>(found) : std::nullopt;
    } catch (std::logic_error const &) {
        return std::nullopt;
    }
}

} // namespace

int main(int argc, char **argv)
{
    std::vector<std::string> words(argv + 1, argv + argc);
    std::optional<std::uint64_t> from = shmirror::from_now;
    if (!words.empty() && words[0][0] == '-') {
        from = words[0] == "--from" && words.size() > 1 ? revision(words[1]) : std::nullopt;
        if (!from) {
            std::cerr << "usage: subscriber [--from REVISION] [TABLE...]\n";
            return 2;
        }
        words.erase(words.begin(), words.begin() + 2);
    }
    try {
        shmirror::check_version();
        follower follower(words, *from);
        follower.loop();
        follower.report();
        return 0;
    } catch (shmirror::error const &why) {
        std::cerr << "subscriber: " << why.name() << ": " << why.what() << '\n';
    } catch (std::exception const &why) {
        std::cerr << "subscriber: " << why.what() << '\n';
    }
    return 1;
}
