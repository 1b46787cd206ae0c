// Writes live values without pause: producer [SECONDS [ROWS]].
//
// Shows a number that is claimed by compare and set, transactions of many rows, synchronous updates, and
// many transactions in flight at once. Each change sets both columns of a row to the same number, so that
// `hot_reader` can tell a torn row; the numbers only ever grow. A restart of the daemon is only a pause:
// the library finds out what became of what was under way, and submits the rest again.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <shmirror.hpp>

using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;
using seconds = std::chrono::duration<double>;

struct live {
    std::int64_t id;
    std::int64_t a;
    std::int64_t b;
};
SHMIRROR_ROW(live, id, a, b);

struct run {
    std::string program;
    std::int64_t number;
};
SHMIRROR_ROW(run, program, number);

namespace {

// How long to wait for room and for outcomes, and so how long the daemon may be away.
constexpr auto patience = 30s;
constexpr std::size_t most_in_flight = 256;

class writer {
public:
    explicit writer(std::int64_t rows)
        : rows_(rows), mirror_(shmirror::mirror::attach(options())),
          producer_(shmirror::producer::attach(options()))
    {
        producer_.set_timeout(patience);
        producer_.execute(
            "CREATE TABLE IF NOT EXISTS live"
            " (id INTEGER PRIMARY KEY, a INTEGER NOT NULL, b INTEGER NOT NULL);"
            "CREATE TABLE IF NOT EXISTS run (program TEXT PRIMARY KEY, number INTEGER NOT NULL)");
        // Goes on where earlier runs ended.
        auto const newest = mirror_.query("SELECT coalesce(max(a), 0) FROM live");
        number_ = newest[0].get<std::int64_t>(0);
        transaction_ = producer_.begin();
    }

    // Takes the next number of table `run`. Of several producers at a time each gets another one: the
    // row is written only if nobody changed it since it was read.
    void claim()
    {
        auto const runs = mirror_.table("run");
        for (;;) {
            auto const row = runs.get("producer");
            std::uint64_t const revision = row ? row->revision() : 0; // 0: there must be no such row
            run const mine{"producer", row ? row->get<std::int64_t>("number") + 1 : 1};
            auto const done
                = transaction_.upsert("run", mine).if_revision(revision).try_commit();
            if (done) {
                std::printf("run %jd, numbers from %jd\n", std::intmax_t{mine.number},
                    std::intmax_t{number_ + 1});
                return;
            }
            if (done.error().status() != SHMIRROR_REVISION_MISMATCH) {
                throw shmirror::error(done.error());
            }
            // Somebody was faster: read again.
        }
    }

    // Sees to it that all rows are there: transactions of many rows, each of which commits as a whole.
    void make_rows()
    {
        number_++;
        std::vector<live> batch;
        for (std::int64_t id = 0; id < rows_; ++id) {
            batch.push_back({id, number_, number_});
            if (batch.size() == 1000 || id + 1 == rows_) {
                auto const done
                    = producer_.insert_rows("live", batch, shmirror::on_conflict::update);
                revision_ = done.revision;
                batch.clear();
            }
        }
    }

    // One change at a time: when a call returns, it is durable and visible to every reader.
    void write_synchronously(seconds time)
    {
        auto const start = clock_type::now();
        std::uint64_t written = 0;
        for (; clock_type::now() - start < time; ++written) {
            number_++;
            auto const done = producer_.update(
                "live", number_ % rows_, {{"a", number_}, {"b", number_}});
            revision_ = done.revision;
        }
        print_rate("one by one", written, clock_type::now() - start);
    }

    // Submits first and asks for outcomes later: many transactions share one commit of the daemon's.
    void write_in_flight(seconds time)
    {
        auto const start = clock_type::now();
        while (clock_type::now() - start < time) {
            if (in_flight_.size() == most_in_flight) {
                settle();
            }
            number_++;
            live const row{number_ % rows_, number_, number_};
            in_flight_.push_back(transaction_.upsert("live", row).submit());
        }
        while (!in_flight_.empty()) {
            settle();
        }
        print_rate("in flight", committed_, clock_type::now() - start);
    }

    // How it went; whether all was committed.
    bool report() const
    {
        std::printf("%ju rejected, newest number %jd, newest revision %ju\n",
            std::uintmax_t{rejected_}, std::intmax_t{number_}, std::uintmax_t{revision_});
        return rejected_ == 0;
    }

private:
    static shmirror::options options()
    {
        return shmirror::options().program("producer").attach_timeout(10s);
    }

    static void print_rate(const char *what, std::uint64_t transactions, seconds time)
    {
        std::printf("%ju transactions %s, %.0f a second\n", std::uintmax_t{transactions}, what,
            static_cast<double>(transactions) / (time.count() + 1e-9));
    }

    // Waits for the outcome of the oldest ticket.
    void settle()
    {
        auto const done = in_flight_.front().try_wait(patience);
        in_flight_.pop_front();
        if (done) {
            committed_++;
            revision_ = done->revision;
            return;
        }
        switch (done.error().status()) {
        case SHMIRROR_TIMED_OUT:
        case SHMIRROR_NO_DAEMON:
        case SHMIRROR_DISCONNECTED:
        case SHMIRROR_OUTCOME_EXPIRED:
            // It may have been committed, or be so later: the daemon was away for too long.
            std::fprintf(stderr, "producer: it is not known what became of a transaction\n");
            throw shmirror::error(done.error());
        default:
            // Rejected, by a rule of the table: nothing of it was done. The others are not concerned.
            rejected_++;
            std::fprintf(stderr, "producer: %s: %s\n", done.error().name(),
                done.error().message());
        }
    }

    std::int64_t rows_;
    shmirror::mirror mirror_;
    shmirror::producer producer_;
    shmirror::transaction transaction_;
    std::int64_t number_ = 0; // the newest that was written
    std::deque<shmirror::ticket> in_flight_;
    std::uint64_t committed_ = 0;
    std::uint64_t rejected_ = 0;
    std::uint64_t revision_ = 0; // newest that a transaction of ours has
};

// A number from `least` to `most` in all of a text.
std::optional<double> number(std::string const &text, double least, double most)
{
    try {
        std::size_t end = 0;
        double const found = std::stod(text, &end);
        bool const good = end == text.size() && found >= least && found <= most;
        return good ? std::optional(found) : std::nullopt;
    } catch (std::logic_error const &) {
        return std::nullopt;
    }
}

} // namespace

int main(int argc, char **argv)
{
    auto const time = number(argc > 1 ? argv[1] : "5", 0, 1e9);
    auto const rows = number(argc > 2 ? argv[2] : "100", 1, 1e6);
    if (argc > 3 || !time || !rows) {
        std::fprintf(stderr, "usage: producer [SECONDS [ROWS]]\n");
        return 2;
    }
    try {
        shmirror::check_version();
        writer writer(static_cast<std::int64_t>(*rows));
        writer.claim();
        writer.make_rows();
        writer.write_synchronously(seconds(*time / 4));
        writer.write_in_flight(seconds(*time - *time / 4));
        return writer.report() ? 0 : 1;
    } catch (shmirror::error const &why) {
        std::fprintf(stderr, "producer: %s: %s\n", why.name(), why.what());
    } catch (std::exception const &why) {
        std::fprintf(stderr, "producer: %s\n", why.what());
    }
    return 1;
}
