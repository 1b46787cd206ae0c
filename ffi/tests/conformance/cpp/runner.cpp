// Runs a case file through the C++ wrapper and prints what came of each line.
//
// runner SOCKET CASE FOLDER: the daemon's socket, the case file, a folder for files that it makes.
// What the lines mean is in README.md. Ends with 0 if the whole case was run, whatever came of its
// lines.

#include <fstream>

#include "events.hpp"
#include "instance.hpp"
#include "reading.hpp"
#include "writing.hpp"

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
