// A case under way: its handles, the things it has given names to, and what of them is printed.

#ifndef RUNNER_HPP
#define RUNNER_HPP

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include <unistd.h>

#include <shmirror.hpp>

#include "../lines.h"

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

#endif // RUNNER_HPP
