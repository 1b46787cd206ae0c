// Reading: rows by key, many, all; cells; the schema; SQL.

#include "check.hpp"

#include <algorithm>
#include <list>
#include <numeric>

using namespace shmirror;

namespace {

const char *const schema_sql = R"(
    CREATE TABLE tag (name TEXT PRIMARY KEY, unit TEXT, value REAL, n INTEGER, raw BLOB);
    CREATE TABLE sample (unit TEXT, channel INTEGER, at REAL, value,
        PRIMARY KEY (unit, channel, at)) WITHOUT ROWID;
    CREATE TABLE counter (id INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT;
    CREATE TABLE raw (k BLOB PRIMARY KEY, v);
    CREATE INDEX tag_unit ON tag (unit);
)";

void rows_by_key(mirror const &m)
{
    table const tags = m.table("tag");
    CHECK(tags && tags.name() == "tag" && tags.size() == 3 && !tags.empty());

    std::optional<row> const speed = tags.get("speed");
    CHECK(speed && speed->size() == 5 && speed->revision() > 0);
    CHECK(speed->get<double>("value") >= 1480 && speed->get<float>(2) <= 1480);
    CHECK(speed->get<std::string>(std::string("UNIT")) == "rpm"); // case folded
    CHECK(speed->get<std::string_view>(std::string_view("unit")) == "rpm");
    CHECK(speed->get<int>("n") == 300 && speed->get<std::uint16_t>(3) == 300);
    CHECK((*speed)["unit"] == "rpm" && (*speed)[3] == 300 && (*speed)["n"].get<long>() == 300);
    CHECK(speed->get<bytes_view>("raw") == bytes{std::byte{1}, std::byte{2}});
    CHECK(speed->column_name(0) == "name" && speed->index("raw") == 4);
    CHECK(speed->key().size() == 1 && speed->key()[0] == "speed");
    CHECK(speed->json().find(R"("unit":"rpm")") != std::string::npos);

    // What does not fit says which column, what was found and what was expected.
    CHECK_FAILURE(speed->try_get<std::int8_t>("n"), SHMIRROR_TYPE_MISMATCH,
        "column \"n\": found integer 300, expected an integer of 8 bits");
    CHECK_THROWS(speed->get<std::int8_t>(3), SHMIRROR_TYPE_MISMATCH, "\"n\"");
    CHECK_FAILURE(speed->try_get<int>("unit"), SHMIRROR_TYPE_MISMATCH, "found text \"rpm\"");
    CHECK_THROWS(speed->get<int>("none"), SHMIRROR_UNKNOWN_COLUMN, "none");
    CHECK_THROWS(speed->get<int>(5), SHMIRROR_UNKNOWN_COLUMN, "");
    CHECK_THROWS((*speed)["none"], SHMIRROR_UNKNOWN_COLUMN, "none");

    row const empty = tags.get(std::string("empty")).value();
    CHECK(empty.is_null("value") && empty.is_null(4) && !empty.is_null("name"));
    CHECK(!empty.get<std::optional<double>>("value"));
    CHECK(!empty.get<std::optional<std::string>>("unit") && empty.get<value>("raw").is_null());
    CHECK_FAILURE(
        empty.try_get<double>("value"), SHMIRROR_NULL_VALUE, "column \"value\": found null");
    CHECK_THROWS(empty.get<std::string_view>("unit"), SHMIRROR_NULL_VALUE, "expected text");

    CHECK(!tags.get("none") && !tags.get(std::string_view("none")));
    CHECK_FAILURE(tags.try_get("a", "b"), SHMIRROR_BAD_KEY, "tag");
    CHECK_THROWS(tags.get(UINT64_MAX), SHMIRROR_BAD_ARGUMENT, "18446744073709551615");

    // Into one's own row, of any table.
    row mine;
    CHECK(tags.read("speed", mine) && mine.get<int>(3) == 300);
    CHECK(!tags.read("none", mine));
    CHECK(m.table("counter").read(7, mine) && mine.get<int>("n") == 70);
    CHECK(m.table("counter").read(std::uint8_t{7}, mine) && m.table("counter").read(true, mine));
    CHECK(!m.table("counter").read(800, mine));
    CHECK_FAILURE(m.table("counter").try_read(1, 2, mine), SHMIRROR_BAD_KEY, "counter");
    CHECK(!m.table("counter").read("x", mine));
    row moved = std::move(mine);
    CHECK(moved && m.table("counter").read(1, moved) && m.table("counter").read(1, mine) && mine);

    // Keys of several columns, in their order.
    table const samples = m.table("sample");
    CHECK(samples.get("a", 1, 0.5)->get<std::string>("value") == "half");
    CHECK(samples.get(key("a", 1, 0.5)) && samples.get(std::string("a"), std::int64_t{1}, 0.5f));
    std::vector<value> parts{"a", 2, 1.0};
    CHECK(samples.read(key(parts), moved) && moved.get<int>("value") == 21);
    CHECK(!samples.read("a", 3, 0.5, moved));
    CHECK(m.table("raw").get(bytes{std::byte{0}, std::byte{9}})->get<int>("v") == 9);
    CHECK(m.table("raw").get(std::array<std::uint8_t, 2>{0, 9}));
}

void many_rows(mirror const &m)
{
    table const counters = m.table("counter");
    int sum = 0;
    for (auto const &one : counters.scan()) {
        sum += one.get<int>("n");
    }
    CHECK(sum == 10 * 100 * 101 / 2);
    std::vector<int> ids;
    rows all = counters.scan(order::key);
    for (int round = 0; round < 2; ++round) { // as often as one likes
        ids.clear();
        for (row const &one : all) {
            ids.push_back(one.get<int>(0));
        }
        CHECK(ids.size() == 100 && std::is_sorted(ids.begin(), ids.end()));
    }
    CHECK(all.size() == 100 && !all.empty() && all.revision() <= m.revision());
    CHECK(all.at(99)->get<int>("id") == 100);
    row one;
    CHECK(all.read(0, one) && one.get<int>("id") == 1);
    CHECK_THROWS(all.at(100), SHMIRROR_BAD_ARGUMENT, "");
    all.rewind();
    CHECK(all.next(one) && one.get<int>("id") == 1 && all.next(one) && one.get<int>("id") == 2);

    // Filled again, by another table, and moved while it is full.
    m.table("tag").scan(order::key, all);
    rows moved = std::move(all);
    CHECK(moved.size() == 3 && moved.at(0)->get<std::string>("name") == "empty");
    for (row const &none : all) {
        (void)none;
        CHECK(false);
    }

    // By keys: the i-th is of the i-th key; a range passes over those that are not there.
    rows some = counters.get_many({3, 1000, 1});
    CHECK(some.size() == 3 && some.at(0)->get<int>("id") == 3 && !some.at(1));
    ids.clear();
    for (row const &found : some) {
        ids.push_back(found.get<int>("id"));
    }
    CHECK((ids == std::vector<int>{3, 1}));
    CHECK(counters.get_many(std::vector<std::int64_t>{1, 2, 3}).size() == 3);
    CHECK(m.table("tag").get_many(std::list<std::string>{"speed", "none"}).at(0));
    CHECK(m.table("tag").get_many({"speed", "none"}).at(0));
    rows composite = m.table("sample").get_many({key("a", 1, 0.5), key("a", 2, 1.0)});
    CHECK(composite.at(1)->get<int>("value") == 21);
    CHECK_FAILURE(m.table("sample").try_get_many(std::vector<key>{key("a", 1, 0.5), key("a")}),
        SHMIRROR_BAD_KEY, "as many as the first");
    CHECK_THROWS(counters.get_many({key(1, 2)}), SHMIRROR_BAD_KEY, "counter");
    CHECK(counters.get_many(std::vector<int>()).empty());

    // By a function: all, until it says stop, until it throws.
    int seen = 0;
    CHECK(counters.each([&](row const &) { ++seen; }) <= m.revision() && seen == 100);
    seen = 0;
    counters.each(order::key, [&](row const &at) { return ++seen, at.get<int>("id") < 10; });
    CHECK(seen == 10);
    try {
        counters.each([](row const &) { throw 7; });
        CHECK(false);
    } catch (int thrown) {
        CHECK(thrown == 7);
    }
}

void cells(mirror const &m, producer &p)
{
    table const tags = m.table("tag");
    auto value_of = tags.cell<double>("speed", "value");
    CHECK(value_of && value_of.load() >= 1480 && value_of.try_load().value() <= 1480);
    CHECK(tags.cell<float>("speed", "value").load() >= 1480);
    CHECK(tags.cell<int>("speed", "value").load() == 1480);
    auto small = tags.cell<std::uint8_t>("speed", "n");
    CHECK_FAILURE(small.try_load(), SHMIRROR_TYPE_MISMATCH, "without loss");
    CHECK_THROWS(small.load(), SHMIRROR_TYPE_MISMATCH, "expected an integer from 0 of 8 bits");
    CHECK_THROWS(tags.cell<bool>("speed", "n").load(), SHMIRROR_TYPE_MISMATCH, "0 or 1");
    CHECK(tags.cell<std::string>("speed", "unit").load() == "rpm");
    std::string text = "something longer than what is there";
    auto unit = tags.cell<std::string>("speed", std::string("unit"));
    unit.load(text);
    CHECK(text == "rpm");
    CHECK(tags.cell<bytes>("speed", "raw").load().size() == 2);
    CHECK(tags.cell<std::vector<std::uint8_t>>("speed", "raw").load()[1] == 2);
    CHECK_THROWS(tags.cell<std::string>("speed", "raw").load(), SHMIRROR_TYPE_MISMATCH, "text");

    auto missing = tags.cell<std::optional<double>>("empty", "value");
    CHECK(!missing.load() && missing.is_null() && !value_of.is_null());
    CHECK(!tags.cell<std::optional<std::string>>("empty", "unit").load());
    CHECK(tags.cell<std::optional<std::string>>("speed", "unit").load() == "rpm");
    auto plain = tags.cell<double>("empty", "value");
    CHECK_FAILURE(plain.try_load(), SHMIRROR_NULL_VALUE, "NULL");
    CHECK_THROWS(plain.load(), SHMIRROR_NULL_VALUE, "found null");

    CHECK_FAILURE(tags.try_cell<int>("none", "n"), SHMIRROR_NO_SUCH_ROW, "none");
    CHECK_THROWS(tags.cell<int>("speed", "none"), SHMIRROR_UNKNOWN_COLUMN, "none");
    CHECK_THROWS(tags.cell<int>(UINT64_MAX, "n"), SHMIRROR_BAD_ARGUMENT, "18446744073709551615");
    CHECK(m.table("sample").cell<int>("a", 2, 1, "value").load() == 21);
    CHECK(m.table("sample").cell<int>(key("a", 2, 1), "value").load() == 21);

    // It follows its row, until that is gone; then it is told, and looks again when it is asked to.
    p.update("tag", "speed", {{"value", 1500}, {"unit", std::string(1000, 'x')}});
    CHECK(value_of.load() >= 1500);
    unit.load(text);
    CHECK(text.size() == 1000);
    p.erase("tag", "speed");
    CHECK_FAILURE(value_of.try_load(), SHMIRROR_DELETED, "deleted");
    CHECK_THROWS(value_of.load(), SHMIRROR_DELETED, "");
    CHECK_THROWS(value_of.refresh(), SHMIRROR_NO_SUCH_ROW, "speed");
    p.insert("tag", {{"name", "speed"}, {"value", 7}});
    CHECK_FAILURE(value_of.try_load(), SHMIRROR_DELETED, "deleted");
    value_of.refresh();
    CHECK(value_of.load() <= 7);
    shmirror::cell<double> moved = std::move(value_of);
    CHECK(moved.load() <= 7 && !value_of);
    CHECK_FAILURE(value_of.try_load(), SHMIRROR_NULL_ARGUMENT, "NULL");
}

void schemas(mirror const &m)
{
    catalogue const all = m.catalogue();
    CHECK(all.version() > 0 && all.size() == 4);
    auto const found = all.table_names();
    CHECK(std::count(found.begin(), found.end(), "sample") == 1);
    CHECK(all.objects().size() == 1 && std::string_view(all.objects()[0].name) == "tag_unit");
    for (std::size_t i = 0; i < all.size(); ++i) {
        CHECK(all.schema(i).name() == all.table_name(i));
    }
    schema const sample = m.table("sample").schema();
    CHECK(sample.name() == "sample" && sample.size() == 4 && sample.without_rowid());
    CHECK(!sample.strict() && m.table("counter").schema().strict());
    CHECK(sample.sql().find("WITHOUT ROWID") != std::string_view::npos);
    CHECK((sample.key() == std::vector<std::size_t>{0, 1, 2}));
    CHECK(sample.key_kind() == SHMIRROR_KEY_COLUMNS);
    CHECK(m.table("counter").schema().key_kind() == SHMIRROR_KEY_INTEGER);
    CHECK(sample.index("value") == 3 && std::string_view(sample[1].name) == "channel");
    CHECK(sample.columns()[2].affinity == SHMIRROR_AFFINITY_REAL);
    CHECK_THROWS(sample.index("none"), SHMIRROR_UNKNOWN_COLUMN, "none");
    CHECK_THROWS(sample[9], SHMIRROR_BAD_ARGUMENT, "9");
    CHECK(m.table("tag").index("VALUE") == 2);
    CHECK_FAILURE(m.try_table("none"), SHMIRROR_UNKNOWN_TABLE, "none");
}

void sql(mirror const &m, producer &p)
{
    query_result const found
        = m.query("SELECT id, n AS tens FROM counter WHERE id > ?1 AND id < ?2", 10, 14.0);
    CHECK(found.size() == 3 && found.sets() == 1 && found.revision() == m.revision());
    int id = 11;
    for (result_row const &one : found) {
        CHECK(one.get<int>("id") == id && one[1] == 10 * id);
        CHECK_FAILURE(one.try_get<std::string>("tens"), SHMIRROR_TYPE_MISMATCH, "column \"tens\"");
        CHECK_THROWS(one["none"], SHMIRROR_UNKNOWN_COLUMN, "none");
        ++id;
    }
    CHECK(found[2]["id"] == 13 && found.set(0).column_name(1) == "tens");
    CHECK_THROWS(found.set(1), SHMIRROR_BAD_ARGUMENT, "");
    CHECK(m.query("SELECT 1 WHERE 0").empty());
    CHECK(m.query("SELECT ?1", key(std::vector<value>{"x"}))[0][0] == "x");
    CHECK(m.query("SELECT ?1, ?2", nullptr, bytes())[0][0].is_null());
    CHECK_FAILURE(m.try_query("SELEC 1"), SHMIRROR_SQL, "SELEC");
    CHECK_THROWS(m.query("DELETE FROM tag"), SHMIRROR_SQL, "may only read");
    CHECK_THROWS(m.query("SELECT ?1", UINT64_MAX), SHMIRROR_BAD_ARGUMENT, "value 0");

    sql_outcome const made = p.sql("INSERT INTO raw VALUES (?1, ?2) RETURNING v", bytes(3), 33);
    CHECK(made.commit.changes == 1 && made.commit.revision == m.revision());
    CHECK(made.rows.first().size() == 1 && made.rows[0]["v"] == 33);
}

} // namespace

void test_tables(producer &p)
{
    p.execute(schema_sql);
    p.insert("tag", {{"name", "speed"}, {"unit", "rpm"}, {"value", 1480.0}, {"n", 300},
                        {"raw", std::array<std::uint8_t, 2>{1, 2}}});
    p.insert("tag", {{"name", "empty"}});
    p.insert("tag", {{"name", "temperature"}, {"unit", "°C"}, {"value", nullptr}});
    auto fill = p.begin();
    for (int i = 1; i <= 100; ++i) {
        fill.insert("counter", {{"id", i}, {"n", 10 * i}});
    }
    fill.commit();
    p.begin()
        .insert("sample", {{"unit", "a"}, {"channel", 1}, {"at", 0.5}, {"value", "half"}})
        .insert("sample", {{"unit", "a"}, {"channel", 2}, {"at", 1}, {"value", 21}})
        .insert("raw", {{"k", bytes{std::byte{0}, std::byte{9}}}, {"v", 9}})
        .commit();

    mirror const m = mirror::attach();
    CHECK(m.is_live() && m.generation() > 0 && m.revision() > 0);
    CHECK(m.instance_id() != (std::array<std::uint8_t, 16>()));
    (void)m.instance_name();
    CHECK(m.wait_revision(m.revision(), std::chrono::seconds(1)));
    CHECK(!m.wait_revision(m.revision() + 1, std::chrono::milliseconds(1)));
    CHECK(m.status().find("\"revision\"") != std::string::npos);
    CHECK(m.check().find("\"ok\"") != std::string::npos);

    rows_by_key(m);
    many_rows(m);
    cells(m, p);
    schemas(m);
    sql(m, p);
}
