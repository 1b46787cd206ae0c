// Tables of other namespaces than `main`, by their full names, against the daemon that SHMIRROR_SOCKET
// names: it has a namespace `plant`.

#include "check.hpp"

#include <algorithm>

using namespace shmirror;

namespace {

struct loop {
    std::string loop_name;
    double kp;
};

} // namespace

SHMIRROR_ROW(loop, loop_name, kp)

int main()
{
    try {
        producer p = producer::attach();
        p.execute("CREATE TABLE plant.tuned (loop_name TEXT PRIMARY KEY, kp REAL NOT NULL);"
                  "CREATE TABLE tuned (loop_name TEXT PRIMARY KEY, kp REAL NOT NULL)");
        subscriber changes = subscriber::attach({}, {"plant.tuned"});
        p.upsert("plant.tuned", loop{"boiler", 1.25});
        p.upsert("tuned", loop{"boiler", 9});

        mirror const m = mirror::attach();
        table const tuned = m.table("plant.tuned");
        CHECK(tuned.name() == "plant.tuned" && tuned.schema().name() == "plant.tuned");
        CHECK(tuned.get_as<loop>("boiler")->kp < 2);
        CHECK(m.table("tuned").cell<double>("boiler", "kp").load() > 8);
        query_result const spaces = m.namespaces();
        CHECK(spaces.size() == 3 && spaces[0]["name"] == "main" && spaces[0].get<bool>("writable"));
        catalogue const all = m.catalogue();
        auto const names = all.table_names();
        CHECK(std::count(names.begin(), names.end(), "plant.tuned") == 1);
        CHECK(std::count(names.begin(), names.end(), "tuned") == 1);
        CHECK_FAILURE(m.try_table("plant.none"), SHMIRROR_UNKNOWN_TABLE, "plant.none");
        CHECK_FAILURE(m.try_table("hall.tuned"), SHMIRROR_UNKNOWN_TABLE, "hall.tuned");

        event e;
        CHECK(changes.next(patience, e) && e.as_change()->table() == "plant.tuned");
        CHECK(e.as_change()->key()[0] == "boiler" && !changes.poll(e));
    } catch (error const &e) {
        std::fprintf(stderr, "%s: %s\n", e.name(), e.what());
        return 1;
    }
    std::puts("passed");
}
