// Runs a case file through the C++ wrapper and prints what came of each line.
//
// runner SOCKET CASE FOLDER: the daemon's socket, the case file, a folder for files that it makes.
// What the lines mean is in README.md. Ends with 0 if the whole case was run, whatever came of its
// lines.

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <unistd.h>

#include <shmirror.hpp>

#include "lines.h"

namespace {

using namespace std::chrono_literals;

// How long anything may take.
constexpr auto patience = 60s;

// A cell as each of the types that it may be asked for.
struct cells {
    shmirror::cell<std::int64_t> i64;
    shmirror::cell<double> f64;
    shmirror::cell<bool> truth;
    shmirror::cell<std::string> text;
    shmirror::cell<std::vector<unsigned char>> blob;
};

struct runner {
    std::string folder;
    shmirror::options options;
    shmirror::mirror mirror;
    shmirror::producer producer;
    shmirror::transaction transaction;
    bool in_transaction = false;
    shmirror::row row;
    shmirror::rows rows;
    shmirror::event event;
    std::map<std::string, shmirror::table> tables;
    std::map<std::string, cells> named_cells;
    std::map<std::string, shmirror::ticket> tickets;
    std::map<std::string, shmirror::subscriber> subscribers;
    std::map<std::string, std::uint64_t> marks;
    std::vector<shmirror::value> parameters;
    std::uint64_t start = 0;
    std::uint64_t last_commit = 0;

    void run(std::string const &text);

private:
    using key = shmirror::key;

    // ---- what is printed ----

    static std::string shown(shmirror::value_view const &value)
    {
        char *text = nullptr;
        std::size_t size = 0;
        std::FILE *const out = open_memstream(&text, &size);
        put_value(out, &value.native());
        std::fclose(out);
        std::string made(text, size);
        std::free(text);
        return made;
    }
    static std::string escaped(std::string_view words, bool is_word)
    {
        char *text = nullptr;
        std::size_t size = 0;
        std::FILE *const out = open_memstream(&text, &size);
        put_escaped(out, words.data(), words.size(), is_word);
        std::fclose(out);
        std::string made(text, size);
        std::free(text);
        return made;
    }
    static std::string word_of(std::string_view text) { return escaped(text, true); }

    // Failures come as exceptions, and say what the line came to.
    template <class F> static void or_status(F f)
    {
        try {
            f();
        } catch (shmirror::error const &e) {
            std::printf("%s\n", e.name());
        }
    }
    template <class F> static void or_message(F f)
    {
        try {
            f();
        } catch (shmirror::error const &e) {
            if (e.status() == SHMIRROR_ENCODE) { // which has other words in Rust
                std::printf("%s\n", e.name());
            } else {
                std::printf("%s %s\n", e.name(), escaped(e.what(), false).c_str());
            }
        }
    }

    std::uint64_t since(std::uint64_t revision) const
    {
        return revision == 0 ? 0 : revision - start;
    }
    std::uint64_t revision_of(std::string const &word) const
    {
        if (word == "now") {
            return shmirror::from_now;
        }
        if (word[0] >= '0' && word[0] <= '9') {
            auto const number = std::stoull(word);
            return number == 0 ? 0 : start + number;
        }
        return marks.at(word);
    }
    void put(shmirror::commit const &commit)
    {
        last_commit = commit.revision;
        std::printf("commit %" PRIu64 " changes %" PRIu64 "\n", since(commit.revision),
            commit.changes);
    }
    std::string line_of(shmirror::row const &r) const
    {
        std::string line = "row " + std::to_string(since(r.revision()));
        for (std::size_t i = 0; i < r.size(); ++i) {
            line += ' ' + word_of(r.column_name(i)) + '=' + shown(r[i]);
        }
        return line;
    }

    // ---- what a line says ----

    static key key_of(values const &from)
    {
        return std::vector<shmirror_value>(from.values, from.values + from.count);
    }
    static std::vector<shmirror::assignment> assignments_of(line const &l, std::size_t from)
    {
        columns c;
        columns_of(&l, from, &c);
        std::vector<shmirror::assignment> made;
        for (std::size_t i = 0; i < c.count; ++i) {
            made.emplace_back(c.names[i], shmirror::value_view(c.values[i]));
        }
        return made;
    }
    static std::vector<std::string> names_from(line const &l, std::size_t from)
    {
        std::vector<std::string> made;
        for (; from < l.count; ++from) {
            made.emplace_back(name_of(&l, from));
        }
        return made;
    }
    // The handle of a table, which is kept, as programs keep it.
    shmirror::table &table_of(std::string const &name)
    {
        auto known = tables.find(name);
        if (known == tables.end()) {
            known = tables.emplace(name, mirror.table(name)).first;
        }
        return known->second;
    }

    // ---- commands, by what they are about ----

    bool writes(std::string const &command, line const &l);
    void sql(std::string const &command, const char *text);
    void put(shmirror::query_result const &result);
    bool transacts(std::string const &command, line const &l);
    void insert_rows(line const &l);
    bool reads(std::string const &command, line const &l);
    void typed(std::string const &column, std::string const &type);
    void fields(line const &l, std::size_t from);
    bool read_typed(std::string const &column, std::string const &type, std::string &out);
    void many(shmirror::table &table, line const &l);
    void all(shmirror::table &table, bool each, shmirror::order order);
    bool asks_cells(std::string const &command, line const &l);
    bool asks_schema(std::string const &command, line const &l);
    void put(shmirror::schema const &schema);
    bool follows(std::string const &command, line const &l);
    void put_event(shmirror::event const &of, bool as_json);
    bool asks_instance(std::string const &command, line const &l);
};

// ---- writing ----

void runner::put(shmirror::query_result const &result)
{
    for (std::size_t i = 0; i < result.sets(); ++i) {
        auto const set = result.set(i);
        std::printf("set");
        for (std::size_t c = 0; c < set.columns(); ++c) {
            std::printf(" %s", word_of(set.column_name(c)).c_str());
        }
        std::printf("\n");
        for (auto const &one : set) {
            std::printf(" ");
            for (std::size_t c = 0; c < set.columns(); ++c) {
                std::printf(" %s", shown(one[c]).c_str());
            }
            std::printf("\n");
        }
    }
}

void runner::sql(std::string const &command, const char *text)
{
    or_message([&] {
        if (command == "execute") {
            put(producer.execute(text));
        } else if (command == "sql") {
            auto const outcome = producer.sql(text, key(parameters));
            put(outcome.commit);
            put(outcome.rows);
        } else {
            auto const result = mirror.query(text, key(parameters));
            std::printf("revision %" PRIu64 "\n", since(result.revision()));
            put(result);
        }
    });
}

bool runner::writes(std::string const &command, line const &l)
{
    static std::vector<std::string> const known{"insert", "upsert", "update", "delete",
        "insert-json", "upsert-json", "update-json"};
    if (std::find(known.begin(), known.end(), command) == known.end()) {
        return false;
    }
    std::string const table = name_of(&l, 1);
    values given;
    std::size_t const next = values_of(&l, 2, &given);
    key const of = key_of(given);
    const char *const json = rest(&l, next);
    or_message([&] {
        auto &t = transaction;
        auto &p = producer;
        bool const held = in_transaction;
        if (command == "insert") {
            auto const row = assignments_of(l, 2);
            held ? (void)t.insert(table, row) : put(p.insert(table, row));
        } else if (command == "upsert") {
            auto const row = assignments_of(l, 2);
            held ? (void)t.upsert(table, row) : put(p.upsert(table, row));
        } else if (command == "update") {
            auto const row = assignments_of(l, next);
            held ? (void)t.update(table, of, row) : put(p.update(table, of, row));
        } else if (command == "delete") {
            held ? (void)t.erase(table, of) : put(p.erase(table, of));
        } else if (command == "insert-json") {
            held ? (void)t.insert_json(table, json) : put(p.insert_json(table, json));
        } else if (command == "upsert-json") {
            held ? (void)t.upsert_json(table, json) : put(p.upsert_json(table, json));
        } else {
            held ? (void)t.update_json(table, of, json) : put(p.update_json(table, of, json));
        }
    });
    return true;
}

void runner::insert_rows(line const &l)
{
    std::vector<std::string> column_names;
    std::vector<shmirror::value_view> all_values;
    std::size_t i = 3;
    for (; i < l.count && l.words[i].text[0] != '/'; ++i) {
        column_names.emplace_back(name_of(&l, i));
    }
    while (i < l.count) {
        values one;
        i = values_of(&l, i + 1, &one);
        all_values.insert(all_values.end(), one.values, one.values + one.count);
    }
    transaction.insert_rows(name_of(&l, 1), shmirror::names(column_names), all_values,
        static_cast<shmirror::on_conflict>(on_conflict_of(name_of(&l, 2))));
}

bool runner::transacts(std::string const &command, line const &l)
{
    if (command == "begin") {
        in_transaction = true;
    } else if (command == "clear") {
        transaction.clear();
        in_transaction = false;
    } else if (command == "size") {
        std::printf("size %zu\n", transaction.size());
    } else if (command == "rows") {
        or_message([&] { insert_rows(l); });
    } else if (command == "if-revision") {
        or_message([&] { transaction.if_revision(revision_of(name_of(&l, 1))); });
    } else if (command == "commit") {
        in_transaction = false;
        or_message([&] { put(transaction.commit()); });
    } else if (command == "submit" || command == "try-submit") {
        in_transaction = false;
        or_message([&] {
            tickets[name_of(&l, 1)]
                = command == "submit" ? transaction.submit() : transaction.submit_now();
        });
    } else if (command == "wait") {
        or_message([&] {
            put(tickets.at(name_of(&l, 1)).wait(std::chrono::steady_clock::now() + patience));
        });
    } else if (command == "poll") {
        or_message([&] {
            auto const &ticket = tickets.at(name_of(&l, 1));
            auto const deadline = std::chrono::steady_clock::now() + patience;
            auto outcome = ticket.poll();
            while (!outcome && std::chrono::steady_clock::now() < deadline) {
                outcome = ticket.poll();
            }
            put(outcome.value());
        });
    } else {
        return false;
    }
    return true;
}

// ---- reading ----

// A column of the row that was just read, as a type; what cannot be had so is an error.
bool runner::read_typed(std::string const &column, std::string const &type, std::string &out)
{
    auto const as = [&](auto const &value) { out = shown(value); };
    if (type == "i64") {
        as(row.get<std::int64_t>(column));
    } else if (type == "f64") {
        as(row.get<double>(column));
    } else if (type == "bool") {
        as(row.get<bool>(column));
    } else if (type == "i32") {
        as(row.get<std::int32_t>(column));
    } else if (type == "u32") {
        as(row.get<std::uint32_t>(column));
    } else if (type == "u64") {
        as(static_cast<std::int64_t>(row.get<std::uint64_t>(column)));
    } else if (type == "f32") {
        as(row.get<float>(column));
    } else if (type == "text") {
        as(row.get<std::string_view>(column));
    } else if (type == "blob" || type == "bytes") {
        as(row.get<shmirror::bytes_view>(column));
    } else {
        as(row[column]);
    }
    return true;
}

void runner::typed(std::string const &column, std::string const &type)
{
    or_status([&] {
        std::string text;
        read_typed(column, type, text);
        std::printf("%s\n", text.c_str());
    });
}

void runner::fields(line const &l, std::size_t from)
{
    std::string text = "fields";
    or_status([&] {
        for (; from < l.count; ++from) {
            word after;
            std::string const column = assigned(&l.words[from], &after);
            std::string type(after.text, after.size);
            bool const nullable = type.back() == '?';
            if (nullable) {
                type.pop_back();
            }
            std::string one = "n:";
            if (!nullable || !row.is_null(column)) {
                read_typed(column, type, one);
                // What C has arrays for: exactly 4 bytes, and 63 of text, which a NUL ends.
                auto const found = row[column];
                auto const refuse = [](shmirror_status status) {
                    throw shmirror::error(shmirror::failure(status));
                };
                if (type == "bytes") {
                    auto const size = found.get<shmirror::bytes_view>().size();
                    if (size != 4) {
                        refuse(size > 4 ? SHMIRROR_SHORT_BUFFER : SHMIRROR_TYPE_MISMATCH);
                    }
                } else if (type == "text") {
                    auto const held = found.get<std::string_view>();
                    if (held.size() > 63) {
                        refuse(SHMIRROR_SHORT_BUFFER);
                    } else if (held.find('\0') != held.npos) {
                        refuse(SHMIRROR_TYPE_MISMATCH);
                    }
                }
            }
            text += ' ' + word_of(column) + '=' + one;
        }
        std::printf("%s\n", text.c_str());
    });
}

void runner::many(shmirror::table &table, line const &l)
{
    std::vector<key> keys;
    for (std::size_t from = 1; from < l.count;) {
        values one;
        from = values_of(&l, from + 1, &one);
        keys.push_back(key_of(one));
    }
    or_status([&] {
        table.read_many(keys, rows);
        std::printf("revision %" PRIu64 " rows %zu\n", since(rows.revision()), rows.size());
        for (std::size_t i = 0; i < rows.size(); ++i) {
            if (i % 2 == 0) { // two ways to ask
                std::printf("%s\n", rows.read(i, row) ? line_of(row).c_str() : "none");
            } else {
                auto const found = rows.at(i);
                std::printf("%s\n", found ? line_of(*found).c_str() : "none");
            }
        }
    });
}

void runner::all(shmirror::table &table, bool each, shmirror::order order)
{
    or_status([&] {
        std::vector<std::string> lines;
        std::uint64_t revision = 0;
        if (each) {
            revision = table.each(
                order, [&](shmirror::row const &r) { lines.push_back(line_of(r)); });
        } else {
            table.scan(order, rows);
            revision = rows.revision();
            for (auto const &r : rows) {
                lines.push_back(line_of(r));
            }
        }
        if (order == shmirror::order::any) {
            std::sort(lines.begin(), lines.end());
        }
        std::printf("revision %" PRIu64 " rows %zu\n", since(revision), lines.size());
        for (auto const &one : lines) {
            std::printf("%s\n", one.c_str());
        }
    });
}

bool runner::reads(std::string const &command, line const &l)
{
    static std::vector<std::string> const known{
        "read", "get", "fields", "json", "key", "many", "scan", "each", "count"};
    if (std::find(known.begin(), known.end(), command) == known.end()) {
        return false;
    }
    or_status([&] {
        shmirror::table &table = table_of(name_of(&l, 1));
        if (command == "many") {
            return many(table, l);
        }
        if (command == "scan" || command == "each") {
            auto const order = std::string(name_of(&l, 2)) == "sorted" ? shmirror::order::key
                                                                       : shmirror::order::any;
            return all(table, command == "each", order);
        }
        if (command == "count") {
            std::printf("count %" PRIu64 "\n", table.size());
            return;
        }
        values given;
        std::size_t const next = values_of(&l, 2, &given);
        bool there = false;
        if (given.count == 1 && given.values[0].type == SHMIRROR_TYPE_INTEGER) {
            there = table.read(given.values[0].as.integer, row);
        } else if (given.count == 1 && given.values[0].type == SHMIRROR_TYPE_TEXT) {
            auto const &text = given.values[0].as.text;
            there = table.read(std::string_view(text.data, text.size), row);
        } else {
            auto found = table.get(key_of(given));
            there = found.has_value();
            if (there) {
                row = *std::move(found);
            }
        }
        if (!there) {
            std::printf("SHMIRROR_NOT_FOUND\n");
        } else if (command == "read") {
            std::printf("%s\n", line_of(row).c_str());
        } else if (command == "get") {
            typed(name_of(&l, next), name_of(&l, next + 1));
        } else if (command == "fields") {
            fields(l, next);
        } else if (command == "json") {
            std::printf("%s\n", row.json().c_str());
        } else {
            std::printf("key");
            for (auto const &part : row.key()) {
                std::printf(" %s", shown(part).c_str());
            }
            std::printf("\n");
        }
    });
    return true;
}

// ---- cells ----

bool runner::asks_cells(std::string const &command, line const &l)
{
    if (command == "cell") {
        or_status([&] {
            shmirror::table &table = table_of(name_of(&l, 2));
            values given;
            std::string const column = name_of(&l, values_of(&l, 3, &given));
            key const of = key_of(given);
            named_cells[name_of(&l, 1)] = {
                table.cell<std::int64_t>(of, column),
                table.cell<double>(of, column),
                table.cell<bool>(of, column),
                table.cell<std::string>(of, column),
                table.cell<std::vector<unsigned char>>(of, column),
            };
            std::printf("ok\n");
        });
    } else if (command == "refresh") {
        or_status([&] {
            cells &c = named_cells.at(name_of(&l, 1));
            c.i64.refresh();
            c.f64.refresh();
            c.truth.refresh();
            c.text.refresh();
            c.blob.refresh();
            std::printf("ok\n");
        });
    } else if (command == "value") {
        or_status([&] {
            cells const &c = named_cells.at(name_of(&l, 1));
            std::string const type = name_of(&l, 2);
            auto const say
                = [](shmirror::value_view const &v) { std::printf("%s\n", shown(v).c_str()); };
            if (type == "i64") {
                say(c.i64.load());
            } else if (type == "f64") {
                say(c.f64.load());
            } else if (type == "bool") {
                say(c.truth.load());
            } else if (type == "null") {
                say(c.i64.is_null());
            } else if (type == "text") {
                say(c.text.load());
            } else {
                say(c.blob.load());
            }
        });
    } else {
        return false;
    }
    return true;
}

// ---- schema ----

void runner::put(shmirror::schema const &schema)
{
    std::printf("table %s key=%s without-rowid=%d strict=%d parts", word_of(schema.name()).c_str(),
        ONE_OF(KEY_KINDS, schema.key_kind()), schema.without_rowid(), schema.strict());
    for (auto const part : schema.key()) {
        std::printf(" %zu", part);
    }
    std::printf("\n  %s\n", escaped(schema.sql(), false).c_str());
    for (auto const &c : schema.columns()) {
        auto const text = [](const char *t) { return word_of(t == nullptr ? "-" : t); };
        std::printf("  column %s type=%s default=%s affinity=%s collation=%s generated=%s key=%d "
                    "not-null=%d hidden=%d found=%zu\n",
            text(c.name).c_str(), text(c.declared_type).c_str(), text(c.default_sql).c_str(),
            ONE_OF(AFFINITIES, c.affinity), ONE_OF(COLLATIONS, c.collation),
            ONE_OF(GENERATED, c.generated), static_cast<int>(c.key_position),
            static_cast<int>(c.not_null), static_cast<int>(c.hidden), schema.index(c.name));
    }
}

bool runner::asks_schema(std::string const &command, line const &l)
{
    if (command == "schema") {
        or_status([&] { put(table_of(name_of(&l, 1)).schema()); });
    } else if (command == "catalogue") {
        or_status([&] {
            auto const catalogue = mirror.catalogue();
            std::printf("catalogue %" PRIu64 "\n", catalogue.version());
            for (std::size_t i = 0; i < catalogue.size(); ++i) {
                auto const schema = catalogue.schema(i);
                if (schema.name() != catalogue.table_names()[i]) {
                    give_up("a table has two names", schema.name().data());
                }
                put(schema);
            }
            for (auto const &o : catalogue.objects()) {
                std::printf("%s %s of %s %s\n", ONE_OF(OBJECT_KINDS, o.kind),
                    word_of(o.name).c_str(), word_of(o.table).c_str(),
                    escaped(o.sql, false).c_str());
            }
        });
    } else {
        return false;
    }
    return true;
}

// ---- events ----

void runner::put_event(shmirror::event const &of, bool as_json)
{
    if (as_json) {
        put_json(stdout, of.json().c_str());
        std::printf("\n");
        return;
    }
    auto const list = [](const char *label, shmirror::name_list const &names) {
        std::string text = std::string(" ") + label;
        char before = '=';
        for (auto const name : names) {
            text += before + word_of(name);
            before = ',';
        }
        return text;
    };
    auto const signature = [](auto const &who) {
        std::string doubts;
        doubts += who.uid() == getuid() ? "" : " uid?";
        doubts += who.pid() == static_cast<std::uint32_t>(getpid()) ? "" : " pid?";
        // Not before 2001 and not after 2286.
        auto const at = std::chrono::duration_cast<std::chrono::seconds>(
            who.at().time_since_epoch()).count();
        doubts += at > 1'000'000'000 && at < 10'000'000'000 ? "" : " at?";
        return doubts;
    };
    struct visitor {
        runner &self;
        decltype(list) &names;
        decltype(signature) &sign;
        void operator()(shmirror::change const &c) const
        {
            std::printf("change %" PRIu64 " %s %s key", self.since(c.revision()),
                word_of(c.table()).c_str(),
                ONE_OF(OPERATIONS, static_cast<std::int32_t>(c.operation())));
            for (auto const &part : c.key()) {
                std::printf(" %s", shown(part).c_str());
            }
            std::printf("%s", names("columns", c.columns()).c_str());
            auto const after = c.row();
            std::printf(" %s", after ? self.line_of(*after).c_str() : "none");
            std::printf(" %s%s%s\n", c.sequence() == 0 ? "log" : "lane",
                c.is_last() ? " last" : "", sign(c).c_str());
        }
        void operator()(shmirror::schema_change const &s) const
        {
            std::printf("schema %" PRIu64 "%s%s%s%s\n", self.since(s.revision()),
                names("created", s.created()).c_str(), names("changed", s.changed()).c_str(),
                names("dropped", s.dropped()).c_str(), sign(s).c_str());
        }
        void operator()(shmirror::lagged const &) const { give_up("lagged", ""); }
        void operator()(shmirror::other_event const &) const { give_up("no event", ""); }
    };
    of.visit(visitor{*this, list, signature});
}

bool runner::follows(std::string const &command, line const &l)
{
    if (command == "history") {
        or_message([&] {
            auto history = mirror.history(revision_of(name_of(&l, 1)), names_from(l, 2));
            for (auto const &one : history) {
                put_event(one, false);
            }
            std::printf("end\n");
        });
    } else if (command == "subscribe") {
        or_message([&] {
            subscribers[name_of(&l, 1)] = shmirror::subscriber::attach(
                options, names_from(l, 3), revision_of(name_of(&l, 2)));
        });
    } else if (command == "events") {
        auto &subscriber = subscribers.at(name_of(&l, 1));
        for (auto count = number_of(&l, 2); count > 0; --count) {
            if (!subscriber.next(patience, event)) {
                give_up("no event in time", l.words[0].text);
            }
            put_event(event, l.count > 3);
        }
    } else if (command == "quiet") {
        or_status([&] {
            if (!subscribers.at(name_of(&l, 1)).poll(event)) {
                std::printf("SHMIRROR_PENDING\n");
            }
        });
    } else if (command == "resume") {
        or_message([&] {
            subscribers.at(name_of(&l, 1)).resume_from(revision_of(name_of(&l, 2)));
            std::printf("ok\n");
        });
    } else {
        return false;
    }
    return true;
}

// ---- the instance ----

bool runner::asks_instance(std::string const &command, line const &l)
{
    if (command == "mark") {
        marks[name_of(&l, 1)] = last_commit;
    } else if (command == "params") {
        values given;
        values_of(&l, 1, &given);
        parameters.clear();
        for (std::size_t i = 0; i < given.count; ++i) {
            parameters.emplace_back(shmirror::value_view(given.values[i]));
        }
    } else if (command == "revision") {
        std::printf("revision %" PRIu64 "\n", since(mirror.revision()));
    } else if (command == "wait-revision") {
        or_status([&] {
            bool const there = mirror.wait_revision(revision_of(name_of(&l, 1)), 1ms);
            std::printf("%s\n", there ? "ok" : "SHMIRROR_TIMED_OUT");
        });
    } else if (command == "live") {
        std::printf("mirror %d producer %d name %s\n", mirror.is_live(), producer.is_live(),
            mirror.instance_name().c_str());
    } else if (command == "attach") {
        values where;
        values_of(&l, 2, &where);
        auto const &text = where.values[0].as.text;
        std::string const place(text.data, text.size);
        auto const other = std::string(name_of(&l, 1)) == "socket"
            ? shmirror::options().socket(place)
            : shmirror::options().instance(place);
        or_status([&] { shmirror::mirror::attach(other); });
        or_status([&] { shmirror::producer::attach(other); });
    } else if (command == "check") {
        or_status([&] {
            auto const json = mirror.check();
            bool const ok = json.find("\"ok\":true") != json.npos;
            std::printf("%s\n", ok ? "ok" : json.c_str());
        });
    } else if (command == "backup") {
        or_status([&] {
            std::string const path = folder + '/' + name_of(&l, 1);
            bool const named = mirror.backup(path).find(path) != std::string::npos;
            std::printf("%s\n", named ? "ok" : "another file");
        });
    } else {
        return false;
    }
    return true;
}

void runner::run(std::string const &text)
{
    line l;
    split(text.c_str(), &l);
    if (l.count == 0 || l.words[0].text[0] == '#') {
        return;
    }
    std::printf("> %s\n", text.c_str());
    std::string const command = name_of(&l, 0);
    if (command == "execute" || command == "sql" || command == "query") {
        sql(command, rest(&l, 1));
    } else if (!writes(command, l) && !transacts(command, l) && !reads(command, l)
        && !asks_cells(command, l) && !asks_schema(command, l) && !follows(command, l)
        && !asks_instance(command, l)) {
        give_up("no such command", command.c_str());
    }
    forget_line();
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 4) {
        std::fprintf(stderr, "usage: %s SOCKET CASE FOLDER\n", argv[0]);
        return 2;
    }
    try {
        shmirror::check_version();
        runner r;
        r.folder = argv[3];
        r.options.socket(argv[1]);
        r.mirror = shmirror::mirror::attach(r.options);
        r.producer = shmirror::producer::attach(r.options);
        r.producer.set_timeout(patience);
        r.transaction = r.producer.begin();
        r.start = r.mirror.revision();
        std::ifstream cases(argv[2]);
        if (!cases) {
            give_up("cannot open", argv[2]);
        }
        for (std::string text; std::getline(cases, text);) {
            r.run(text);
        }
    } catch (std::exception const &e) {
        give_up("a line that was not to fail", e.what());
    }
    return 0;
}
