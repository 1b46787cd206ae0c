// Shows what there is: browser                  the tables, with columns, types and keys
//                      browser TABLE            its rows, in key order
//                      browser TABLE KEY...     one row; a composite key has several KEYs
//
// Nothing is known of the tables beforehand: all comes from the schema at run time. Values are written
// as SQL writes them, so that NULL and 'NULL', 1 and '1', x'00' and '' differ.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <shmirror.hpp>

namespace {

// Most characters of a value in a table of rows.
constexpr std::size_t widest = 60;

// Every byte of UTF-8 but 10xxxxxx begins a character.
bool begins_character(char byte) { return (static_cast<unsigned char>(byte) & 0xc0u) != 0x80u; }

// How many characters there are. (On a terminal, some are two columns wide: that is left out here.)
std::size_t width(std::string_view text)
{
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), begins_character));
}

// A text of at most so many characters.
std::string cut(std::string text, std::size_t most)
{
    if (width(text) <= most) {
        return text;
    }
    std::size_t end = 0;
    for (std::size_t characters = 0; end < text.size(); ++end) {
        if (begins_character(text[end]) && characters++ == most - 1) {
            break;
        }
    }
    return text.substr(0, end) + "…";
}

// ---- values as SQL writes them ----

std::string hex(unsigned byte)
{
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", byte & 0xffu);
    return digits;
}

std::string quoted(std::string_view text)
{
    std::string out = "'";
    for (char const c : text) {
        auto const byte = static_cast<unsigned char>(c);
        if (c == '\'') {
            out += "''";
        } else if (byte < ' ' || byte == 0x7f) {
            out += "\\x" + hex(byte); // no value moves the cursor
        } else {
            out += c;
        }
    }
    return out + "'";
}

// The fewest digits that read back as the same number, and a point, so that it is seen to be REAL.
std::string in_digits(double real)
{
    if (std::isinf(real)) {
        return real > 0 ? "inf" : "-inf";
    }
    char digits[40];
    for (int precision = 15; precision <= 17; ++precision) {
        std::snprintf(digits, sizeof digits, "%.*g", precision, real);
        if (std::strtod(digits, nullptr) == real) {
            break;
        }
    }
    std::string out = digits;
    return out.find_first_of(".e") == std::string::npos ? out + ".0" : out;
}

std::string literal(shmirror::value_view const &value)
{
    switch (value.type()) {
    case shmirror::type::null: return "NULL";
    case shmirror::type::integer: return std::to_string(value.get<std::int64_t>());
    case shmirror::type::real: return in_digits(value.get<double>());
    case shmirror::type::text: return quoted(value.get<std::string_view>());
    case shmirror::type::blob: {
        std::string out = "x'";
        for (auto const byte : value.get<shmirror::bytes_view>()) {
            out += hex(std::to_integer<unsigned>(byte));
        }
        return out + "'";
    }
    }
    return "?";
}

// ---- the list of tables ----

void print_columns(shmirror::schema const &schema)
{
    auto columns = schema.columns();
    // Not shown by SELECT *: the rowid of a table without a key.
    columns.erase(std::remove_if(columns.begin(), columns.end(),
                      [](auto const &column) { return column.hidden != 0; }),
        columns.end());
    std::size_t name_width = 0;
    for (auto const &column : columns) {
        name_width = std::max(name_width, width(column.name));
    }
    for (auto const &column : columns) {
        std::string_view const type = column.declared_type;
        std::cout << "  " << column.name << std::string(name_width - width(column.name) + 2, ' ')
                  << (type.empty() ? "(any type)" : type);
        if (column.key_position > 0) {
            std::cout << "  key " << column.key_position;
        }
        if (column.not_null != 0) {
            std::cout << "  NOT NULL";
        }
        if (column.default_sql != nullptr) {
            std::cout << "  DEFAULT " << column.default_sql;
        }
        if (column.generated != SHMIRROR_GENERATED_NO) {
            std::cout << "  computed";
        }
        std::cout << '\n';
    }
}

std::string key_in_words(shmirror::schema const &schema)
{
    if (schema.key_kind() == SHMIRROR_KEY_ROWID) {
        return "no key: by rowid";
    }
    std::string out;
    for (auto const index : schema.key()) {
        out += (out.empty() ? "key " : ", ") + std::string(schema[index].name);
    }
    return out;
}

void list_tables(shmirror::mirror const &mirror)
{
    auto const catalogue = mirror.catalogue();
    for (std::size_t i = 0; i < catalogue.size(); ++i) {
        auto const schema = catalogue.schema(i);
        auto const table = mirror.try_table(schema.name());
        if (!table) {
            if (table.error().status() != SHMIRROR_UNKNOWN_TABLE) { // dropped meanwhile
                throw shmirror::error(table.error());
            }
            continue;
        }
        auto const rows = table->size();
        std::cout << schema.name() << "  (" << rows << (rows == 1 ? " row, " : " rows, ")
                  << key_in_words(schema) << ")\n";
        print_columns(schema);
    }
}

// ---- all rows of a table ----

using line = std::vector<std::string>;

// The row's values. Where a table has no key the last of them is the rowid.
line cells(shmirror::row const &row)
{
    line out;
    for (std::size_t i = 0; i < row.size(); ++i) {
        out.push_back(cut(literal(row[i]), widest));
    }
    return out;
}

// The columns' names: the row's own, as the table may have changed since it was read.
line names(shmirror::row const &row)
{
    line out;
    for (std::size_t i = 0; i < row.size(); ++i) {
        out.emplace_back(row.column_name(i));
    }
    return out;
}

void print(line const &cells, std::vector<std::size_t> const &widths)
{
    for (std::size_t i = 0; i < cells.size(); ++i) {
        bool const last = i + 1 == cells.size();
        std::cout << (i > 0 ? "  " : "") << cells[i]
                  << std::string(last ? 0 : widths[i] - width(cells[i]), ' ');
    }
    std::cout << '\n';
}

// Prints all rows of one revision, aligned: once over them for the widths, once for the lines. Only one
// row at a time is copied.
void print_all(shmirror::table const &table)
{
    auto rows = table.scan(shmirror::order::key);
    line header;
    std::vector<std::size_t> widths;
    auto const widen = [&](line const &cells) {
        widths.resize(std::max(widths.size(), cells.size()));
        for (std::size_t i = 0; i < cells.size(); ++i) {
            widths[i] = std::max(widths[i], width(cells[i]));
        }
    };
    for (auto const &row : rows) {
        if (header.empty()) {
            header = names(row);
            widen(header);
        }
        widen(cells(row));
    }
    if (!header.empty()) {
        line rule;
        for (auto const column_width : widths) {
            rule.emplace_back(column_width, '-');
        }
        print(header, widths);
        print(rule, widths);
    }
    for (auto const &row : rows) {
        print(cells(row), widths);
    }
    std::cout << '(' << rows.size() << (rows.size() == 1 ? " row" : " rows") << " at revision "
              << rows.revision() << ")\n";
}

// ---- one row ----

// All of a word as an integer, as a number, as bytes after 0x.
std::optional<std::int64_t> integer(std::string const &word)
{
    try {
        std::size_t end = 0;
        auto const found = std::stoll(word, &end);
        return end == word.size() ? std::optional<std::int64_t>(found) : std::nullopt;
    } catch (std::logic_error const &) {
        return std::nullopt;
    }
}

std::optional<double> real(std::string const &word)
{
    try {
        std::size_t end = 0;
        auto const found = std::stod(word, &end);
        return end == word.size() ? std::optional(found) : std::nullopt;
    } catch (std::logic_error const &) {
        return std::nullopt;
    }
}

std::optional<shmirror::bytes> blob(std::string const &word)
{
    if (word.compare(0, 2, "0x") != 0 || word.size() % 2 != 0
        || word.find_first_not_of("0123456789abcdefABCDEF", 2) != std::string::npos) {
        return std::nullopt;
    }
    shmirror::bytes out;
    for (std::size_t i = 2; i < word.size(); i += 2) {
        out.push_back(static_cast<std::byte>(std::stoul(word.substr(i, 2), nullptr, 16)));
    }
    return out;
}

// A word of the command line as the value that a key column takes, by its type: the key '42' of a TEXT
// column is text, that of an INTEGER column a number. What does not fit goes on as text, which no
// row has as its key.
shmirror::value parse_key(std::string const &word, shmirror_column const &column)
{
    bool const any = column.affinity == SHMIRROR_AFFINITY_BLOB
        || column.affinity == SHMIRROR_AFFINITY_NUMERIC;
    if (column.affinity == SHMIRROR_AFFINITY_BLOB) {
        if (auto const found = blob(word)) {
            return *found;
        }
    }
    if (any || column.affinity == SHMIRROR_AFFINITY_INTEGER) {
        if (auto const found = integer(word)) {
            return *found;
        }
    }
    if (any || column.affinity == SHMIRROR_AFFINITY_REAL) {
        if (auto const found = real(word)) {
            return *found;
        }
    }
    return word;
}

void print_one(shmirror::table const &table, std::vector<std::string> const &words)
{
    auto const schema = table.schema();
    auto const columns = schema.key();
    std::vector<shmirror::value> values;
    for (std::size_t i = 0; i < words.size(); ++i) {
        // One too many goes on as text: the library says so.
        values.push_back(
            i < columns.size() ? parse_key(words[i], schema[columns[i]]) : shmirror::value(words[i]));
    }
    auto const row = table.get(shmirror::key(values));
    if (!row) {
        throw shmirror::error(shmirror::failure(SHMIRROR_NOT_FOUND));
    }
    std::size_t name_width = 0;
    for (std::size_t i = 0; i < row->size(); ++i) {
        name_width = std::max(name_width, width(row->column_name(i)));
    }
    for (std::size_t i = 0; i < row->size(); ++i) {
        auto const name = row->column_name(i);
        std::cout << name << std::string(name_width - width(name) + 2, ' ') << literal((*row)[i])
                  << '\n';
    }
    std::cout << "(revision " << row->revision() << ")\n";
}

} // namespace

int main(int argc, char **argv)
{
    std::vector<std::string> const words(argv + 1, argv + argc);
    if (!words.empty() && words[0][0] == '-') {
        std::cerr << "usage: browser [TABLE [KEY...]]\n";
        return 2;
    }
    try {
        shmirror::check_version();
        // Without options: SHMIRROR_SOCKET or SHMIRROR_INSTANCE of the environment, else `default`.
        auto const mirror = shmirror::mirror::attach();
        if (words.empty()) {
            list_tables(mirror);
        } else if (words.size() == 1) {
            print_all(mirror.table(words[0]));
        } else {
            print_one(mirror.table(words[0]), {words.begin() + 1, words.end()});
        }
        if (!std::cout.flush()) {
            throw std::runtime_error("standard output cannot be written");
        }
        return 0;
    } catch (shmirror::error const &why) {
        std::cerr << "browser: " << why.name() << ": " << why.what() << '\n';
    } catch (std::exception const &why) {
        std::cerr << "browser: " << why.what() << '\n';
    }
    return 1;
}
