// Lines that follow changes, as they come and out of the commit log.

#ifndef EVENTS_HPP
#define EVENTS_HPP

#include "runner.hpp"

inline void runner::put_event(shmirror::event const &of, bool as_json)
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

inline bool runner::follows(std::string const &command, line const &l)
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

#endif // EVENTS_HPP
