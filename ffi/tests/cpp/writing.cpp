// Writing: one change, transactions, tickets, rejections.

#include "check.hpp"

using namespace shmirror;
using namespace std::chrono_literals;

namespace {

void one_change(producer &p, table const &pids)
{
    commit const made = p.insert("pid", {{"name", "boiler"}, {"kp", 1.25}, {"ki", nullptr}});
    CHECK(made.changes == 1 && pids.get("boiler")->revision() == made.revision);
    std::string const column = "ki";
    std::string const note = "long enough to be allocated";
    std::vector<assignment> const columns{{column, 0.5}, {"note", note}};
    CHECK(p.update("pid", "boiler", columns).revision == made.revision + 1);
    p.upsert("pid", {{"name", "boiler"}, {"kp", 2}});
    p.upsert(std::string("pid"), {{"name", std::string_view("fan")}, {"kp", 0.5f}});
    CHECK(pids.get("boiler")->get<double>("ki") >= 0.5 && pids.size() == 2);
    p.erase("pid", key("fan"));
    CHECK(pids.size() == 1);
    p.insert_json("pid", R"({"name": "fan", "kp": 3})");
    p.update_json("pid", "fan", R"({"ki": 1})");
    p.upsert_json(std::string_view("pid"), R"({"name": "fan", "note": "ü"})");
    CHECK(pids.get("fan")->get<std::string>("note") == "ü");

    // Rejections, both ways.
    CHECK_FAILURE(p.try_insert("pid", {{"name", "fan"}, {"kp", 1}}), SHMIRROR_PRIMARY_KEY, "fan");
    CHECK_THROWS(p.insert("pid", {{"name", "x"}, {"kp", -1}}), SHMIRROR_CHECK, "kp > 0");
    CHECK_FAILURE(p.try_insert("pid", {{"name", "x"}}), SHMIRROR_NOT_NULL, "kp");
    CHECK_FAILURE(p.try_upsert("none", {{"a", 1}}), SHMIRROR_UNKNOWN_TABLE, "none");
    CHECK_FAILURE(p.try_update("pid", "x", {{"kp", 1}}), SHMIRROR_NO_SUCH_ROW, "x");
    CHECK_FAILURE(p.try_update("pid", "fan", {{"none", 1}}), SHMIRROR_UNKNOWN_COLUMN, "none");
    CHECK_FAILURE(p.try_erase("pid", "x"), SHMIRROR_NO_SUCH_ROW, "x");
    CHECK_FAILURE(p.try_execute("CREATE TABLE"), SHMIRROR_SQL, "");
    CHECK_FAILURE(p.try_insert_json("pid", "{"), SHMIRROR_ENCODE, "");
    CHECK_FAILURE(p.try_insert("pid", {{"name", "x"}, {"kp", UINT64_MAX}}), SHMIRROR_BAD_ARGUMENT,
        "value 1: found 18446744073709551615");
    CHECK(pids.size() == 2);
}

void transactions(producer &p, mirror const &m, table const &pids)
{
    std::uint64_t const seen = pids.get("boiler")->revision();
    commit const made = p.begin()
                            .insert("pid", {{"name", "a"}, {"kp", 1}})
                            .upsert("pid", {{"name", "b"}, {"kp", 2}})
                            .update("pid", "boiler", {{"kp", 3}})
                            .if_revision(seen)
                            .erase("pid", "fan")
                            .insert_json("pid", R"({"name": "c", "kp": 4})")
                            .upsert_json("pid", R"({"name": "c", "kp": 5})")
                            .update_json("pid", "c", R"({"ki": 6})")
                            .commit();
    CHECK(made.revision == m.revision() && pids.get("boiler")->get<int>("kp") == 3);
    CHECK(!pids.get("fan") && pids.get("c")->get<int>("ki") == 6);

    // All or nothing; then the transaction serves for the next.
    transaction tx = p.begin();
    tx.insert("pid", {{"name", "d"}, {"kp", 1}});
    tx.update("pid", "boiler", {{"kp", 9}}).if_revision(seen);
    CHECK(tx.size() == 2 && !tx.empty());
    CHECK_FAILURE(tx.try_commit(), SHMIRROR_REVISION_MISMATCH, "boiler");
    CHECK(!pids.get("d") && tx.empty());
    CHECK_THROWS(tx.if_revision(1), SHMIRROR_USAGE, "");
    CHECK_FAILURE(tx.try_insert("pid", {{"kp", UINT64_MAX}}), SHMIRROR_BAD_ARGUMENT, "value 0");
    CHECK_THROWS(tx.insert_json("pid", "["), SHMIRROR_ENCODE, "");
    CHECK(tx.empty());
    tx.erase("pid", "d");
    tx.clear();
    transaction moved = std::move(tx);
    moved.insert("pid", {{"name", "d"}, {"kp", 1}}).if_revision(0).commit();
    CHECK(pids.get("d"));
    CHECK_FAILURE(tx.try_erase("pid", "d"), SHMIRROR_NULL_ARGUMENT, "transaction");
}

void tickets(producer &p, table const &pids)
{
    ticket first = p.begin().insert("pid", {{"name", "t"}, {"kp", 1}}).submit();
    ticket second = p.begin().insert("pid", {{"name", "t"}, {"kp", 1}}).submit_now();
    CHECK(first.number() < second.number());
    std::optional<commit> made;
    until("the ticket's outcome", [&] { return (made = first.poll()).has_value(); });
    CHECK(made->changes == 1 && first.wait().revision == made->revision);
    CHECK(first.wait(std::chrono::steady_clock::now() + patience).revision == made->revision);
    CHECK_FAILURE(second.try_wait(patience), SHMIRROR_PRIMARY_KEY, "t");
    CHECK_THROWS(second.poll(), SHMIRROR_PRIMARY_KEY, "t");
    CHECK(pids.get("t")->revision() == made->revision);
    p = producer(); // a ticket goes on after its producer
    ticket const moved = std::move(first);
    CHECK(moved.wait(1ms).revision == made->revision);
    CHECK_FAILURE(ticket().try_poll(), SHMIRROR_NULL_ARGUMENT, "ticket");
}

} // namespace

void test_writing(producer &)
{
    producer p = producer::attach(options().program("writing").attach_timeout(1s));
    p.set_timeout(patience);
    CHECK(p.is_live() && p.timeout().ns() == timeout(patience).ns());
    p.set_timeout(forever);
    CHECK(p.timeout().ns() == SHMIRROR_FOREVER);
    p.execute("CREATE TABLE pid (name TEXT PRIMARY KEY, kp REAL NOT NULL CHECK (kp > 0), ki,"
              "  note)");
    mirror const m = mirror::attach();
    table const pids = m.table("pid");
    one_change(p, pids);
    transactions(p, m, pids);
    tickets(p, pids);
}
