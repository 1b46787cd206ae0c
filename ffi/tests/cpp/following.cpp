// Following: events, the commit log, and all of it through a restart of the daemon.

#include "check.hpp"

#include <poll.h>
#include <unistd.h>

using namespace shmirror;
using namespace std::chrono_literals;

namespace {

template <class... F> struct overloaded : F... {
    using F::operator()...;
};
template <class... F> overloaded(F...) -> overloaded<F...>;

/// The next event, which must come.
event const &next(subscriber &s, event &into)
{
    CHECK(s.next(patience, into));
    return into;
}

void kinds(producer &p)
{
    subscriber s = subscriber::attach({}, {"point"});
    CHECK(!s.next(0s) && !s.next(std::chrono::steady_clock::now()));
    event e;
    CHECK(!s.poll(e) && e.kind() == event_kind::none);

    p.execute("CREATE TABLE point (x INTEGER, y TEXT, z, PRIMARY KEY (x, y));"
              "CREATE TABLE unseen (a)");
    std::string seen;
    auto const visitor = overloaded{
        [&](change const &c) { seen += "change of " + std::string(c.table()); },
        [&](schema_change const &c) {
            for (std::string_view name : c.created()) {
                seen += "created " + std::string(name);
            }
            CHECK(c.changed().empty() && c.dropped().size() == 0 && c.pid() > 0);
        },
        [&](lagged const &) { seen += "lagged"; },
        [&](other_event const &) { seen += "other"; },
    };
    next(s, e).visit(visitor);
        CHECK(seen.find("created point") == 0 && e.kind() == event_kind::schema && !e.as_change());

    p.begin()
        .insert("point", {{"x", 1}, {"y", "a"}, {"z", 0.5}})
        .insert("point", {{"x", 2}, {"y", "a"}, {"z", 2.5}})
        .insert("unseen", {{"a", 1}})
        .commit();
    p.update("point", key(1, "a"), {{"z", 1.5}});
    std::uint64_t const revision = next(s, e).revision();
    change const inserted = e.as_change().value();
    CHECK(inserted.operation() == operation::insert && inserted.revision() == revision);
    CHECK(inserted.key().size() == 2 && inserted.key()[0] == 1 && inserted.key()[1] == "a");
    CHECK(inserted.columns().size() == 3 && inserted.columns()[2] == "z" && !inserted.is_last());
    CHECK(inserted.row()->get<double>("z") <= 0.5 && inserted.uid() == getuid());
    CHECK(inserted.sequence() > 0 && inserted.pid() == static_cast<std::uint32_t>(getpid()));
    auto const age = std::chrono::system_clock::now() - inserted.at();
    CHECK(age > -1h && age < 1h);
    int values = 0;
    for (value_view one : inserted.key()) {
        values += one.is_null() ? 0 : 1;
    }
    CHECK(values == 2);
    CHECK(next(s, e).as_change()->key()[0] == 2 && e.revision() == revision);
    change const updated = next(s, e).as_change().value();
    CHECK(updated.operation() == operation::update && updated.columns().size() == 1);
    CHECK(updated.columns()[0] == "z");
    CHECK(updated.is_last());
    row after;
    CHECK(updated.read(after) && after.get<double>("z") >= 1.5);

    p.erase("point", key(1, "a"));
    change const erased = next(s, e).as_change().value();
    CHECK(erased.operation() == operation::erase && !erased.row() && !erased.read(after));
    CHECK(e.json().find("\"delete\"") != std::string::npos);

    // What an event is not, it says.
    p.execute("DROP TABLE unseen; DROP TABLE point");
    next(s, e);
    CHECK(std::get<schema_change>(e.view()).dropped()[0] == "point");
    CHECK_THROWS(change(e.native()).table(), SHMIRROR_USAGE, "expected a change");
}

void ranges(producer &p)
{
    p.execute("CREATE TABLE beat (n INTEGER PRIMARY KEY)");
    subscriber s = subscriber::attach({}, "beat");
    for (int n = 0; n < 20; ++n) {
        p.insert("beat", {{"n", n}});
    }
    int n = 0;
    for (event const &e : s.events(patience)) {
        CHECK(e.as_change()->key()[0] == n);
        if (++n == 10) {
            break;
        }
    }
    for (event const &e : s.events(std::chrono::steady_clock::now() + patience)) {
        CHECK(e.as_change()->key()[0] == n);
        if (++n == 20) {
            break;
        }
    }
    for (event const &e : s.events(1ms)) {
        CHECK(e.kind() == event_kind::none);
    }

    // From the commit log: as a range, and to a subscriber that goes back.
    mirror const m = mirror::attach();
    n = 0;
    history log = m.history(0, {"beat"});
    for (event const &e : log) {
        if (auto const made = e.as_change()) {
            CHECK(made->sequence() == 0 && made->key()[0] == n);
            ++n;
        }
    }
    CHECK(n == 20);
    event e;
    CHECK(!log.next(e));
    s.resume_from(m.revision());
    CHECK(next(s, e).as_change()->key()[0] == 19);
}

/// An event moves, and the handle with it.
void moves(producer &p)
{
    subscriber s = subscriber::attach();
    p.upsert("beat", {{"n", 100}});
    subscriber moved = std::move(s);
    event e = moved.next(patience).value();
    event const kept = std::move(e);
    CHECK(kept.as_change()->key()[0] == 100 && e.kind() == event_kind::none);
    CHECK_FAILURE(s.try_poll(e), SHMIRROR_NULL_ARGUMENT, "subscriber");
}

void through_a_restart(producer &p)
{
    mirror const m = mirror::attach();
    p.execute("CREATE TABLE kept (k TEXT PRIMARY KEY, v INTEGER)");
    p.insert("kept", {{"k", "a"}, {"v", 1}});
    table const kept = m.table("kept");
    auto const v = kept.cell<int>("a", "v");
    subscriber s = subscriber::attach({}, {"kept"});
    int const fd = s.fd();
    std::uint64_t const generation = m.generation();

    ask("restart");

    CHECK(v.load() == 1 && kept.get("a")->get<int>("v") == 1);
    p.update("kept", "a", {{"v", 2}}); // attaches anew by itself
    CHECK(p.is_live());
    until("the cell follows", [&] { return v.load() == 2; });
    until("the mirror follows", [&] { return m.generation() > generation && m.is_live(); });
    CHECK(s.fd() == fd);
    pollfd ready{fd, POLLIN, 0};
    event e;
    until("the event comes", [&] { return poll(&ready, 1, 10) >= 0 && s.poll(e); });
    CHECK(e.as_change()->key()[0] == "a" && e.as_change()->row()->get<int>("v") == 2);

    ask("stop");
    until("it is noticed", [&] { return !m.is_live(); });
    CHECK(v.load() == 2 && kept.get("a")->get<int>("v") == 2);
    CHECK(!s.next(1ms));
    p.set_timeout(1ms);
    CHECK_FAILURE(p.try_update("kept", "a", {{"v", 3}}), SHMIRROR_NO_DAEMON, "no daemon");
    CHECK_FAILURE(m.try_query("SELECT 1"), SHMIRROR_NO_DAEMON, "");
}

} // namespace

void test_following(producer &p)
{
    kinds(p);
    ranges(p);
    moves(p);
    through_a_restart(p);
}
