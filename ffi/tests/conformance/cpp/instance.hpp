// Lines that ask for definitions, and those about the instance.

#ifndef INSTANCE_HPP
#define INSTANCE_HPP

#include "runner.hpp"

inline void runner::put(shmirror::schema const &schema)
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

inline bool runner::asks_schema(std::string const &command, line const &l)
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

inline bool runner::asks_instance(std::string const &command, line const &l)
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

#endif // INSTANCE_HPP
