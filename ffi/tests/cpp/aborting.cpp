// Without exceptions and RTTI: results, and the end of the program where there is none.

#include "check.hpp"

struct kept {
    std::string k;
    std::optional<int> v;
};
SHMIRROR_ROW(kept, k, v)

// Of other.cpp, which was compiled with exceptions.
int with_exceptions();

int main(int argc, char **)
{
    static_assert(SHMIRROR_EXCEPTIONS == 0, "to be compiled with -fno-exceptions");
    auto p = shmirror::producer::try_attach();
    CHECK(p.has_value());
    CHECK(p->try_execute("CREATE TABLE IF NOT EXISTS kept (k TEXT PRIMARY KEY, v INTEGER)"));
    CHECK(p->try_upsert("kept", kept{"a", 1}).has_value());
    CHECK_FAILURE(p->try_insert("kept", {{"k", "a"}}), SHMIRROR_PRIMARY_KEY, "kept");

    auto const tables = shmirror::mirror::try_attach().and_then(
        [](shmirror::mirror const &m) { return m.try_table("kept"); });
    CHECK(tables.has_value());
    auto const found = tables->try_get_as<kept>("a");
    CHECK(found && *found && (*found)->v == 1);
    auto const cell = tables->try_cell<int>("a", "v");
    CHECK(cell && cell->try_load().value_or(0) == 1);
    int seen = 0;
    for (shmirror::row const &row : tables->scan()) {
        seen += row.get<int>("v");
    }
    CHECK(seen == 1);
    CHECK(tables->try_each(shmirror::order::any, [&](shmirror::row const &) { ++seen; }));
    CHECK(seen == 2 && with_exceptions() == 1);
    std::puts("passed");
    std::fflush(stdout);
    if (argc > 1) {
        (void)tables->get("a")->get<std::string>("v"); // an INTEGER: prints why, and aborts
    }
}
