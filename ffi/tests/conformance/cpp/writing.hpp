// Lines that write: SQL, changes, transactions, tickets.

#ifndef WRITING_HPP
#define WRITING_HPP

#include "runner.hpp"

inline void runner::put(shmirror::query_result const &result)
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

inline void runner::sql(std::string const &command, const char *text)
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

inline bool runner::writes(std::string const &command, line const &l)
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

inline void runner::insert_rows(line const &l)
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

inline bool runner::transacts(std::string const &command, line const &l)
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

#endif // WRITING_HPP
