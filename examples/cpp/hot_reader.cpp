// Reads at full speed while another process writes: hot_reader [SECONDS], with `producer` beside it.
//
// Its loop makes no system call, takes no lock and allocates nothing: rows and cells come straight from
// shared memory, the clock from the vDSO. It checks what it reads: a writer sets both columns of a row
// to the same number, which only ever grows.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <shmirror.hpp>

using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

// A row as this program wants it. Members have the columns' names; their order is the program's.
struct live {
    std::int64_t id;
    std::int64_t a;
    std::int64_t b;
};
SHMIRROR_ROW(live, id, a, b);

namespace {

// A row that is read again and again.
struct watched {
    std::int64_t key;
    std::int64_t newest; // of `a`, as far as this program has seen
    shmirror::cell<std::int64_t> a;
};

struct counts {
    std::uint64_t reads = 0;
    std::uint64_t torn = 0;
    std::uint64_t backwards = 0;
    std::uint64_t missed = 0;
};

// Waits until there is a table `live` that has rows.
shmirror::table wait_for_rows(shmirror::mirror const &mirror)
{
    auto const end = clock_type::now() + 10s;
    do {
        // The revision comes first: what is committed after it ends the wait below.
        auto const revision = mirror.revision();
        auto table = mirror.try_table("live");
        if (table && !table->empty()) {
            return std::move(*table);
        }
        if (!table && table.error().status() != SHMIRROR_UNKNOWN_TABLE) {
            throw shmirror::error(table.error());
        }
        (void)mirror.wait_revision(revision + 1, end - clock_type::now());
    } while (clock_type::now() < end);
    throw std::runtime_error("no rows in table live: does `producer` run?");
}

// A cell for each row there is now: all that costs time is done here.
std::vector<watched> watch_all(shmirror::table const &table)
{
    std::vector<watched> all;
    for (auto const &row : table.scan_as<live>(shmirror::order::key)) {
        auto cell = table.try_cell<std::int64_t>(row.id, "a");
        if (cell) {
            all.push_back({row.id, std::numeric_limits<std::int64_t>::min(), std::move(*cell)});
        } else if (cell.error().status() != SHMIRROR_NO_SUCH_ROW) { // deleted since the scan
            throw shmirror::error(cell.error());
        }
    }
    return all;
}

// What is no failure of a loop that must go on: the row is away for now, or the table is just being
// moved and the daemon that moves it is gone. The loop has the value of before.
void may_go_on(shmirror::failure const &why, counts &counts)
{
    switch (why.status()) {
    case SHMIRROR_DELETED:
    case SHMIRROR_CONTENDED:
    case SHMIRROR_DISCONNECTED: counts.missed++; break;
    default: throw shmirror::error(why);
    }
}

// Reads every row once, and then its cell. The functions that begin with try_ give a failure back,
// rather than to throw it: a loop in a hurry looks at it at once.
void read_all(shmirror::table const &table, std::vector<watched> &all, counts &counts)
{
    live row{};
    for (auto &watched : all) {
        if (auto const found = table.try_read(watched.key, row); !found) {
            may_go_on(found.error(), counts);
        } else if (*found) {
            counts.torn += row.a != row.b || row.id != watched.key;
            counts.backwards += row.a < watched.newest;
            watched.newest = row.a;
        } else {
            counts.missed++; // no row with this key
        }
        if (auto const a = watched.a.try_load(); a) {
            counts.backwards += *a < watched.newest;
            watched.newest = *a;
        } else {
            may_go_on(a.error(), counts);
        }
        counts.reads += 2;
    }
}

int run(double seconds)
{
    auto const mirror = shmirror::mirror::attach(
        shmirror::options().program("hot_reader").attach_timeout(10s));
    auto const table = wait_for_rows(mirror);
    auto all = watch_all(table);

    counts counts;
    auto const start = clock_type::now();
    auto const end = start + std::chrono::duration<double>(seconds);
    auto now = start;
    for (; now < end; now = clock_type::now()) {
        // The clock is asked once for many reads.
        for (int pass = 0; pass < 100; ++pass) {
            read_all(table, all, counts);
        }
    }
    auto const microseconds = std::chrono::duration<double, std::micro>(now - start).count();
    std::printf("%ju reads, %.1f million a second, %ju torn, %ju older than one before, %ju missed, "
                "revision %ju\n",
        std::uintmax_t{counts.reads}, static_cast<double>(counts.reads) / (microseconds + 1),
        std::uintmax_t{counts.torn}, std::uintmax_t{counts.backwards},
        std::uintmax_t{counts.missed}, std::uintmax_t{mirror.revision()});
    if (counts.torn + counts.backwards > 0) {
        std::fprintf(stderr, "hot_reader: a read was wrong\n");
        return 1;
    }
    return 0;
}

// A number in all of a text.
std::optional<double> number(std::string const &text)
{
    try {
        std::size_t end = 0;
        double const found = std::stod(text, &end);
        return end == text.size() ? std::optional(found) : std::nullopt;
    } catch (std::logic_error const &) {
        return std::nullopt;
    }
}

} // namespace

int main(int argc, char **argv)
{
    auto const seconds = argc > 1 ? number(argv[1]) : 5.0;
    if (argc > 2 || !seconds || !(*seconds >= 0 && *seconds <= 1e9)) {
        std::fprintf(stderr, "usage: hot_reader [SECONDS]\n");
        return 2;
    }
    try {
        shmirror::check_version();
        return run(*seconds);
    } catch (shmirror::error const &why) {
        std::fprintf(stderr, "hot_reader: %s: %s\n", why.name(), why.what());
    } catch (std::exception const &why) {
        std::fprintf(stderr, "hot_reader: %s\n", why.what());
    }
    return 1;
}
