// That reading does not allocate: malloc and its like, which `operator new` and the library call
// too, are counted.

#include "check.hpp"

#include <atomic>

struct point {
    std::int64_t id = 0;
    double x = 0;
    std::optional<double> y;
    bool on = false;
    char name[16] = "";
    std::array<std::uint8_t, 4> raw{};
    std::string note;
};
SHMIRROR_ROW(point, id, x, y, on, name, raw, note)

namespace {

/// Of the thread that counts; the library's own thread may allocate meanwhile.
thread_local bool counting = false;
std::atomic<int> allocations{0};

void count() noexcept
{
    if (counting) {
        allocations.fetch_add(1);
    }
}

} // namespace

// glibc's own names of what stands behind malloc.
extern "C" {
void *__libc_malloc(std::size_t);
void *__libc_calloc(std::size_t, std::size_t);
void *__libc_realloc(void *, std::size_t);
void *__libc_memalign(std::size_t, std::size_t);

void *malloc(std::size_t size)
{
    count();
    return __libc_malloc(size);
}
void *calloc(std::size_t n, std::size_t size)
{
    count();
    return __libc_calloc(n, size);
}
void *realloc(void *old, std::size_t size)
{
    count();
    return __libc_realloc(old, size);
}
int posix_memalign(void **out, std::size_t alignment, std::size_t size)
{
    count();
    *out = __libc_memalign(alignment, size);
    return *out == nullptr ? 12 : 0;
}
void *aligned_alloc(std::size_t alignment, std::size_t size)
{
    count();
    return __libc_memalign(alignment, size);
}
}

using namespace shmirror;

namespace {

/// Calls `f` often, after it grew what it grows, and sees to it that nothing is allocated.
template <class F> void allocates_nothing(const char *what, F f)
{
    for (int i = 0; i < 3; ++i) {
        f();
    }
    int const before = allocations.load();
    counting = true;
    for (int i = 0; i < 1000; ++i) {
        f();
    }
    counting = false;
    int const found = allocations.load() - before;
    std::printf("%-40s %d\n", what, found);
    CHECK(found == 0);
}

} // namespace

int main()
{
    // That it counts at all; as volatile, or the compiler leaves both out.
    counting = true;
    void *volatile const plain = std::malloc(100);
    int *volatile const made = new int(7);
    counting = false;
    CHECK(allocations.load() == 2 && *made == 7);
    std::free(plain);
    delete made;

    producer p = producer::attach();
    p.execute("CREATE TABLE point (id INTEGER PRIMARY KEY, x REAL, y REAL, \"on\", name TEXT,"
              "  raw, note);"
              "CREATE TABLE byname (name TEXT PRIMARY KEY, x REAL);"
              "CREATE TABLE pair (a TEXT, b INTEGER, x REAL, PRIMARY KEY (a, b))");
    auto fill = p.begin();
    for (int i = 0; i < 100; ++i) {
        point one;
        one.id = i;
        one.x = 0.5 * i;
        one.note = "a note that is too long to be kept in the string itself";
        fill.insert("point", one);
    }
    fill.insert("byname", {{"name", "a name of more than some bytes"}, {"x", 1.5}});
    fill.insert("pair", {{"a", "a"}, {"b", 2}, {"x", 1.5}});
    fill.commit();

    mirror const m = mirror::attach();
    table const points = m.table("point");
    table const by_name = m.table("byname");
    table const pairs = m.table("pair");
    auto const x = points.cell<double>(7, "x");
    auto const x32 = points.cell<float>(7, "x");
    auto const id = points.cell<int>(7, "id");
    auto const on = points.cell<bool>(7, "on");
    auto const y = points.cell<std::optional<double>>(7, "y");
    auto const note = points.cell<std::string>(7, "note");
    auto const raw = points.cell<bytes>(7, "raw");
    double sum = 0;
    std::string text;
    bytes blob;
    row into;
    rows all;
    point typed;

    allocates_nothing("cell.load()", [&] { sum += x.load() + id.load() + on.load() + x32.load(); });
    allocates_nothing("cell.try_load()", [&] { sum += *x.try_load() + *id.try_load(); });
    allocates_nothing("cell<optional>.load(), NULL", [&] { sum += y.load().value_or(0); });
    allocates_nothing("cell<string>.load(text)", [&] { note.load(text); });
    allocates_nothing("cell<bytes>.load(blob)", [&] { raw.load(blob); });
    auto const null = points.cell<double>(7, "y");
    allocates_nothing("cell.try_load(), a failure", [&] { sum += null.try_load() ? 1 : 0; });
    allocates_nothing("read(int, row)", [&] { sum += points.read(7, into); });
    allocates_nothing("row.get of numbers by index", [&] {
        sum += into.get<double>(1) + into.get<int>(0) + into.get<bool>(3);
        sum += into.get<std::optional<double>>(2).value_or(0);
    });
    allocates_nothing("row.get of numbers by name",
        [&] { sum += into.get<double>("x") + static_cast<double>(into["id"].get<long>()); });
    allocates_nothing("row.get of text",
        [&] { sum += static_cast<double>(into.get<std::string_view>("note").size()); });
    allocates_nothing("read(text, row)",
        [&] { sum += by_name.read("a name of more than some bytes", into); });
    allocates_nothing("read of no row", [&] { sum += by_name.read("none", into); });
    allocates_nothing("read(text, int, row)", [&] { sum += pairs.read("a", 2, into); });
    allocates_nothing("read(key, row)", [&] { sum += pairs.read(key("a", 2), into); });
    allocates_nothing("read(int, struct)", [&] { sum += points.read(7, typed) ? typed.x : 0; });
    CHECK(typed.note == text && typed.id == 7);
    allocates_nothing("scan(rows), range-for", [&] {
        points.scan(order::any, all);
        for (row const &one : all) {
            sum += one.get<double>(1);
        }
    });
    CHECK(sum > 0);
    std::puts("passed");
}
