// Structs as rows: read, written, after ALTER TABLE, from several threads and tables.

#include "check.hpp"

#include <thread>

enum class state : std::uint8_t { off = 0, on = 1 };

namespace plant {

struct motor {
    std::string name;
    std::optional<std::string> unit;
    double speed = 0;
    std::int32_t poles = 0;
    bool enabled = false;
    state now = state::off;
    std::array<char, 8> code{};
    char place[6] = "";
    std::vector<std::byte> raw;
    std::array<std::uint8_t, 4> address{};
    std::optional<std::uint16_t> limit;
    float ratio = 0;
    shmirror::value note;
};

struct reading {
    std::string unit;
    int channel = 0;
    double current = 0;
};

struct pole_count {
    std::int8_t poles = 0;
};

struct stranger {
    int no_such_column = 0;
};

} // namespace plant

SHMIRROR_ROW(plant::motor, name, unit, speed, poles, enabled, now, code, place, raw, address, limit,
    ratio, note)
SHMIRROR_ROW(plant::pole_count, poles)
SHMIRROR_ROW(plant::stranger, no_such_column)

template <> struct shmirror::row_traits<plant::reading> {
    static constexpr auto fields()
    {
        return std::make_tuple(field("unit", &plant::reading::unit),
            field("channel", &plant::reading::channel), field("value", &plant::reading::current));
    }
};

using namespace shmirror;
using plant::motor;
using plant::pole_count;
using plant::reading;
using plant::stranger;

namespace {

motor pump()
{
    motor m;
    m.name = "pump";
    m.unit = "rpm";
    m.speed = 1480.5;
    m.poles = 4;
    m.enabled = true;
    m.now = state::on;
    m.code = {'A', 'B', '\0'};
    std::memcpy(m.place, "hall3", 6);
    m.raw = {std::byte{1}, std::byte{2}, std::byte{3}};
    m.address = {10, 0, 0, 7};
    m.limit = 3000;
    m.ratio = 0.25f;
    m.note = 7;
    return m;
}

void same(motor const &a, motor const &b)
{
    CHECK(a.name == b.name && a.unit == b.unit && a.poles == b.poles && a.enabled == b.enabled);
    CHECK(value_view(a.speed) == value_view(b.speed) && value_view(a.ratio) == value_view(b.ratio));
    CHECK(a.now == b.now && a.code == b.code && std::string(a.place) == b.place && a.raw == b.raw);
    CHECK(a.address == b.address && a.limit == b.limit && a.note == b.note);
}

void there_and_back(producer &p, mirror const &m)
{
    table const motors = m.table("motor");
    p.insert("motor", pump());
    same(motors.get_as<motor>("pump").value(), pump());
    same(motors.get("pump")->as<motor>(), pump());
    CHECK(!motors.get_as<motor>("none"));

    motor empty;
    empty.name = "empty";
    p.upsert("motor", empty);
    motor back = pump(); // what was there goes
    CHECK(motors.read("empty", back));
    same(back, empty);
    CHECK(!motors.read("none", back));
    motors.get("pump")->into(back);
    same(back, pump());

    back.speed = 1500;
    back.unit.reset();
    p.update("motor", "pump", back);
    same(motors.get_as<motor>(std::string("pump")).value(), back);

    int seen = 0;
    for (motor const &one : motors.scan_as<motor>(order::key)) {
        same(one, seen == 0 ? empty : back);
        ++seen;
    }
    CHECK(seen == 2);
    typed_rows<pole_count> poles = motors.scan(order::key).as<pole_count>();
    pole_count one;
    CHECK(poles.size() == 2 && poles.next(one) && one.poles == 0 && poles.next(one));
    CHECK(one.poles == 4 && !poles.next(one) && poles.revision() == m.revision());
    auto const found = m.query("SELECT poles, name FROM motor ORDER BY name").as<pole_count>();
    CHECK(found.size() == 2 && found[1].poles == 4);
    CHECK_FAILURE(m.query("SELECT name FROM motor").first().try_as<pole_count>(),
        SHMIRROR_UNKNOWN_COLUMN, "poles");
    CHECK(m.query("SELECT 1 AS poles WHERE 0").as<pole_count>().empty());

    p.begin()
        .insert("reading", reading{"a", 1, 0.5})
        .insert("reading", reading{"a", 2, 1.5})
        .commit();
    CHECK(m.table("reading").get_as<reading>("a", 2)->current >= 1.5);
    CHECK(m.table("reading").get_as<reading>(key("a", 1))->current <= 0.5);
}

void failures(producer &p, mirror const &m)
{
    table const motors = m.table("motor");
    motor back;
    CHECK_FAILURE(motors.try_get_as<stranger>("pump"), SHMIRROR_UNKNOWN_COLUMN, "no_such_column");
    CHECK_THROWS(motors.get_as<stranger>("pump"), SHMIRROR_UNKNOWN_COLUMN, "no_such_column");
    p.execute("UPDATE motor SET poles = 300 WHERE name = 'empty'");
    CHECK_FAILURE(motors.try_get_as<pole_count>("empty"), SHMIRROR_TYPE_MISMATCH,
        "column \"poles\": found integer 300, expected an integer of 8 bits");
    p.execute("UPDATE motor SET poles = NULL WHERE name = 'empty'");
    CHECK_FAILURE(
        motors.try_read("empty", back), SHMIRROR_NULL_VALUE, "column \"poles\": found null");
    CHECK_THROWS(motors.get("empty")->as<pole_count>(), SHMIRROR_NULL_VALUE, "poles");
    p.execute("UPDATE motor SET poles = 0, code = 'much too long' WHERE name = 'empty'");
    CHECK_FAILURE(motors.try_read("empty", back), SHMIRROR_TYPE_MISMATCH, "fits into the array");
    p.execute("UPDATE motor SET code = '', address = x'00' WHERE name = 'empty'");
    CHECK_FAILURE(motors.try_read("empty", back), SHMIRROR_TYPE_MISMATCH, "blob of 1 bytes");
    int seen = 0;
    try {
        for (motor const &one : motors.scan_as<motor>(order::key)) {
            (void)one;
            ++seen;
        }
        CHECK(false);
    } catch (shmirror::error const &e) {
        CHECK(e.status() == SHMIRROR_TYPE_MISMATCH && seen == 0);
    }
    p.execute("UPDATE motor SET address = x'00000000' WHERE name = 'empty'");
    CHECK(motors.read("empty", back));
}

void after_alter(producer &p, mirror const &m)
{
    table const motors = m.table("motor");
    row before;
    CHECK(motors.read("pump", before));
    motor const old = before.as<motor>();
    // Columns come, go, and move to other places.
    p.execute("ALTER TABLE motor ADD COLUMN extra DEFAULT 'x'");
    same(motors.get_as<motor>("pump").value(), old);
    p.execute("CREATE TABLE other (poles INTEGER, note, ratio REAL, name TEXT PRIMARY KEY, unit,"
              "  speed, enabled, now, code, place, raw, address, \"limit\");"
              "INSERT INTO other SELECT poles, note, ratio, name, unit, speed, enabled, now, code,"
              "  place, raw, address, \"limit\" FROM motor;"
              "DROP TABLE motor; ALTER TABLE other RENAME TO motor");
    for (int round = 0; round < 3; ++round) { // forms by turns
        same(motors.get_as<motor>("pump").value(), old);
        same(before.as<motor>(), old);
    }
    p.execute("ALTER TABLE motor DROP COLUMN ratio");
    CHECK_FAILURE(motors.try_get_as<motor>("pump"), SHMIRROR_UNKNOWN_COLUMN, "ratio");
    CHECK(motors.get_as<pole_count>("pump")->poles == 4);
    p.execute("ALTER TABLE motor ADD COLUMN ratio REAL NOT NULL DEFAULT 0.25");
    same(motors.get_as<motor>("pump").value(), old);
}

void many(producer &p, mirror const &m)
{
    std::vector<reading> all;
    for (int i = 0; i < 1000; ++i) {
        all.push_back({"many", i, 0.5 * i});
    }
    CHECK(p.insert_rows("reading", all).changes == 1000);
    CHECK_FAILURE(p.try_insert_rows("reading", all), SHMIRROR_PRIMARY_KEY, "reading");
    CHECK(p.insert_rows("reading", all, on_conflict::skip).changes == 0);
    p.begin()
        .insert_rows("reading", names{"unit", "channel", "value"},
            std::vector<value_view>{"many", 0, 7, "many", 1, 8}, on_conflict::replace)
        .commit();
    CHECK(m.table("reading").get("many", 1)->get<int>("value") == 8);
    std::vector<value_view> const odd{1};
    CHECK_FAILURE(p.try_insert_rows("reading", names{"unit", "channel"}, odd),
        SHMIRROR_BAD_ARGUMENT, "found 1, expected a multiple of 2");

    // Each thread has places of its own.
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
        threads.emplace_back([&] {
            table const readings = m.table("reading");
            reading one;
            for (int i = 2; i < 1000; ++i) {
                CHECK(readings.read("many", i, one) && one.channel == i);
                CHECK(value_view(one.current) == value_view(0.5 * i));
            }
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
}

/// The wrapper's handles serve the functions of C: here a struct of values of any class.
void values_through_c(mirror const &m)
{
    struct pair {
        shmirror_value name, limit;
        std::uint8_t no_limit;
    };
    shmirror_field const fields[2] = {
        SHMIRROR_FIELD(pair, name, "name", SHMIRROR_FIELD_VALUE),
        SHMIRROR_FIELD_NULLABLE(pair, limit, "limit", SHMIRROR_FIELD_VALUE, no_limit),
    };
    shmirror_binding *binding = nullptr;
    CHECK(shmirror_binding_new(fields, 2, &binding) == SHMIRROR_OK);
    table const motors = m.table("motor");
    pair found{};
    auto const fetch = [&](char const *name) {
        return shmirror_table_fetch_text(
            motors.native(), name, std::strlen(name), binding, &found, sizeof found);
    };
    CHECK(fetch("pump") == SHMIRROR_OK && found.no_limit == 0);
    CHECK(value_view(found.name) == "pump" && value_view(found.limit) == 3000);
    CHECK(fetch("none") == SHMIRROR_NOT_FOUND && value_view(found.limit) == 3000);
    CHECK(fetch("empty") == SHMIRROR_OK && found.no_limit == 1);
    CHECK(value_view(found.name) == "empty" && value_view(found.limit).is_null());
    row const pump = motors.get("pump").value();
    CHECK(shmirror_row_fetch(pump.native(), binding, &found, sizeof found) == SHMIRROR_OK);
    CHECK(value_view(found.name).get<std::string>() == "pump" && found.no_limit == 0);
    CHECK(shmirror_binding_close(binding) == SHMIRROR_OK);
}

} // namespace

void test_typed(producer &p)
{
    p.execute("CREATE TABLE motor (name TEXT PRIMARY KEY, unit TEXT, speed REAL, poles INTEGER, "
              "enabled, now, code, place, raw, address, \"limit\", ratio REAL, note);"
              "CREATE TABLE reading (unit TEXT, channel INTEGER, value REAL, "
              "PRIMARY KEY (unit, channel))");
    mirror const m = mirror::attach();
    there_and_back(p, m);
    failures(p, m);
    values_through_c(m);
    after_alter(p, m);
    many(p, m);
}
