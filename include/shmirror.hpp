/*
 * shmirror for C++17: RAII, exceptions or results, typed rows. Header only, over shmirror.h.
 * ===========================================================================================
 *
 *     #include <cstdio>
 *     #include <shmirror.hpp>
 *
 *     struct tag { std::string name; std::optional<std::string> unit; double value; };
 *     SHMIRROR_ROW(tag, name, unit, value)   // at namespace scope, outside of any namespace
 *
 *     int main()
 *     {
 *         using namespace std::chrono_literals;
 *         try {
 *             auto producer = shmirror::producer::attach();
 *             producer.execute("CREATE TABLE tag (name TEXT PRIMARY KEY, unit, value REAL)");
 *             auto changes = shmirror::subscriber::attach({}, {"tag"});
 *             producer.upsert("tag", tag{"speed", "rpm", 1480.0});
 *             producer.begin().update("tag", "speed", {{"value", 1490}}).commit();
 *
 *             auto tags = shmirror::mirror::attach().table("tag");
 *             if (auto row = tags.get("speed"))
 *                 std::printf("%f\n", row->get<double>("value"));
 *             for (auto const &t : tags.scan_as<tag>())
 *                 std::printf("%s: %f %s\n", t.name.c_str(), t.value, t.unit.value_or("").c_str());
 *
 *             auto speed = tags.cell<double>("speed", "value"); // found once …
 *             while (speed.load() < 1485.0) {                   // … then some nanoseconds a turn
 *             }
 *             for (auto const &event : changes.events(10ms))    // until none comes for 10 ms
 *                 std::puts(event.json().c_str());
 *         } catch (shmirror::error const &e) {
 *             std::fprintf(stderr, "%s: %s\n", e.name(), e.what());
 *             return 1;
 *         }
 *     }
 *
 *     c++ -std=c++17 tour.cpp $(pkg-config --cflags --libs shmirror)
 *
 * Failures. Every operation that can fail comes twice: `x()` throws shmirror::error, `try_x()`
 * returns a result<T>, which holds the value or a failure. Outcomes that are no failure are values:
 * no row is an empty optional or false, no event in time is false. In a program built with
 * -fno-exceptions the x() print the failure to standard error and abort; the two builds of this
 * header may be linked together.
 *
 * Lifetimes. Objects own their handle, move and do not copy; a default-constructed one is empty,
 * and row, rows and event become real when they are first filled. They may end in any order: a
 * table goes on after its mirror. A std::string_view, bytes_view or value_view that comes out
 * borrows from the row, event or result that it was asked of, until that is filled again or ends.
 * Values that go in are borrowed until the call returns.
 *
 * Threads. From any thread at the same time: options once set, mirror, catalogue, schema, table,
 * cell, producer, ticket, query_result. One thread at a time: row, rows, transaction, subscriber,
 * event, history. Typed rows keep their columns' places for each thread. Reading, of cells and of
 * rows into what has grown to their size, does not allocate.
 *
 * Numbers convert where nothing is lost: INTEGER 3 is a double, REAL 3.0 an int, REAL 0.5 and an
 * INTEGER out of range are SHMIRROR_TYPE_MISMATCH. NULL is SHMIRROR_NULL_VALUE, but for
 * std::optional, where it is nullopt. Text is UTF-8.
 */

#ifndef SHMIRROR_HPP
#define SHMIRROR_HPP

#include "shmirror/failure.hpp"
#include "shmirror/handle.hpp"
#include "shmirror/argument.hpp"
#include "shmirror/value_traits.hpp"
#include "shmirror/value.hpp"
#include "shmirror/typed.hpp"
#include "shmirror/options.hpp"
#include "shmirror/row.hpp"
#include "shmirror/rows.hpp"
#include "shmirror/cell.hpp"
#include "shmirror/schema.hpp"
#include "shmirror/table.hpp"
#include "shmirror/query_result.hpp"
#include "shmirror/event.hpp"
#include "shmirror/subscriber.hpp"
#include "shmirror/mirror.hpp"
#include "shmirror/ticket.hpp"
#include "shmirror/transaction.hpp"
#include "shmirror/producer.hpp"

#endif // SHMIRROR_HPP
