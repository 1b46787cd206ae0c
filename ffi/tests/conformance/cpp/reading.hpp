// Lines that read rows and cells.

#ifndef READING_HPP
#define READING_HPP

#include "runner.hpp"

// A column of the row that was just read, as a type; what cannot be had so is an error.
inline bool runner::read_typed(std::string const &column, std::string const &type, std::string &out)
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

inline void runner::typed(std::string const &column, std::string const &type)
{
    or_status([&] {
        std::string text;
        read_typed(column, type, text);
        std::printf("%s\n", text.c_str());
    });
}

inline void runner::fields(line const &l, std::size_t from)
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

inline void runner::many(shmirror::table &table, line const &l)
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

inline void runner::all(shmirror::table &table, bool each, shmirror::order order)
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

inline bool runner::reads(std::string const &command, line const &l)
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

inline bool runner::asks_cells(std::string const &command, line const &l)
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

#endif // READING_HPP
