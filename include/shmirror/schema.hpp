// The catalogue, and the definition of a table.

#ifndef SHMIRROR_SCHEMA_HPP
#define SHMIRROR_SCHEMA_HPP

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "argument.hpp"

namespace shmirror {
inline namespace SHMIRROR_ABI {

/// The definition of one table at one time. Any thread.
class schema : public detail::handle<shmirror_schema, shmirror_schema_close> {
public:
    using handle::handle;

    std::string_view name() const { return text(shmirror_schema_name); }
    /// Its CREATE TABLE.
    std::string_view sql() const { return text(shmirror_schema_sql); }
    /// How its key is made.
    shmirror_key_kind key_kind() const
    {
        std::int32_t kind = 0;
        detail::done(shmirror_schema_key_kind(native(), &kind)).value();
        return static_cast<shmirror_key_kind>(kind);
    }
    bool without_rowid() const { return flags().first; }
    bool strict() const { return flags().second; }
    /// How many columns.
    std::size_t size() const
    { return detail::ask<std::size_t>(shmirror_schema_columns, native()); }
    shmirror_column operator[](std::size_t index) const
    {
        shmirror_column found{};
        detail::done(shmirror_schema_column(native(), index, &found)).value();
        return found;
    }
    std::vector<shmirror_column> columns() const
    {
        std::vector<shmirror_column> all(size());
        for (std::size_t i = 0; i < all.size(); ++i) {
            all[i] = (*this)[i];
        }
        return all;
    }
    /// Index of the column of this name. SHMIRROR_UNKNOWN_COLUMN.
    result<std::size_t> try_index(c_text const &name) const noexcept
    {
        return detail::out<std::size_t>(shmirror_schema_find, native(), name.get());
    }
    std::size_t index(c_text const &name) const { return try_index(name).value(); }
    /// Indexes of the key's columns, in key order.
    std::vector<std::size_t> key() const
    {
        std::size_t count = 0;
        std::uint16_t const *indexes = nullptr;
        detail::done(shmirror_schema_key(native(), &count, &indexes)).value();
        return {indexes, indexes + count};
    }

private:
    template <class F> std::string_view text(F f) const
    {
        const char *found = nullptr;
        detail::done(f(native(), &found)).value();
        return found;
    }
    std::pair<bool, bool> flags() const
    {
        std::pair<bool, bool> both;
        detail::done(shmirror_schema_flags(native(), &both.first, &both.second)).value();
        return both;
    }
};

/// All tables, indexes, views and triggers at one time. Any thread.
class catalogue : public detail::handle<shmirror_catalogue, shmirror_catalogue_close> {
public:
    using handle::handle;

    /// A number that grows with each change of the schema.
    std::uint64_t version() const
    { return detail::ask<std::uint64_t>(shmirror_catalogue_version, native()); }
    /// How many tables.
    std::size_t size() const
    { return detail::ask<std::size_t>(shmirror_catalogue_tables, native()); }
    std::string_view table_name(std::size_t index) const
    {
        return detail::ask<const char *>(shmirror_catalogue_table_name, native(), index);
    }
    std::vector<std::string_view> table_names() const
    {
        std::vector<std::string_view> all(size());
        for (std::size_t i = 0; i < all.size(); ++i) {
            all[i] = table_name(i);
        }
        return all;
    }
    result<shmirror::schema> try_schema(std::size_t index) const noexcept
    {
        return detail::opened<shmirror::schema>(
            [&](auto *out) { return shmirror_catalogue_schema(native(), index, out); });
    }
    shmirror::schema schema(std::size_t index) const { return try_schema(index).value(); }
    /// Indexes, views and triggers; their texts live as long as the catalogue.
    std::vector<shmirror_object> objects() const
    {
        std::size_t count = 0;
        detail::done(shmirror_catalogue_objects(native(), &count)).value();
        std::vector<shmirror_object> all(count);
        for (std::size_t i = 0; i < count; ++i) {
            detail::done(shmirror_catalogue_object(native(), i, &all[i])).value();
        }
        return all;
    }
};

} // namespace SHMIRROR_ABI
} // namespace shmirror

#endif // SHMIRROR_SCHEMA_HPP
