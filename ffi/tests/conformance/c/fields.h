/* A row into the members of a struct. */

#ifndef FIELDS_H
#define FIELDS_H

#include "state.h"

/* The types of a binding's fields, by the names that cases have for them. */
static const char *const FIELDS[] = {"?",   "i64", "f64",  "bool",  "i32",  "u32",
                                     "u64", "f32", "text", "bytes", "value"};
static const size_t FIELD_SIZES[] = {0, 8, 8, 1, 4, 4, 8, 4, 64, 4, sizeof(shmirror_value)};

/* fields TABLE KEY… COLUMN=TYPE…: the row into a struct. A `?` after the type: it may be NULL. */
static void run_fields(shmirror_table *table, const values *key, const line *l, size_t from)
{
    unsigned char out[MOST_WORDS * 80];
    shmirror_field fields[MOST_WORDS];
    shmirror_binding *binding;
    size_t count = 0, end = 0, i;
    int32_t status;
    for (; from < l->count; from++, count++) {
        word type;
        const char *column = assigned(&l->words[from], &type);
        bool nullable = type.text[type.size - 1] == '?';
        const char *name = unescape(type.text, type.size - nullable).data;
        int32_t kind = 1;
        while (strcmp(FIELDS[kind], name) != 0) {
            kind++;
        }
        fields[count].column = column;
        fields[count].type = kind;
        fields[count].flags = 0;
        fields[count].offset = end;
        fields[count].size = FIELD_SIZES[kind];
        fields[count].null_offset = nullable ? end + 72 : SIZE_MAX;
        end += 80;
    }
    memset(out, 0xAA, sizeof out);
    sure(shmirror_binding_new(fields, count, &binding));
    if (key->count == 1 && key->values[0].type == SHMIRROR_TYPE_INTEGER) {
        status = shmirror_table_fetch_i64(table, key->values[0].as.integer, binding, out, end);
    } else if (key->count == 1 && key->values[0].type == SHMIRROR_TYPE_TEXT) {
        status = shmirror_table_fetch_text(table, key->values[0].as.text.data,
                                           key->values[0].as.text.size, binding, out, end);
    } else {
        status = shmirror_table_fetch(table, key->values, key->count, binding, out, end);
    }
    if (failed(status)) {
        sure(shmirror_binding_close(binding));
        return;
    }
    printf("fields");
    for (i = 0; i < count; i++) {
        const unsigned char *at = out + fields[i].offset;
        union {
            int64_t i64;
            double f64;
            int32_t i32;
            uint32_t u32;
            uint64_t u64;
        } as;
        shmirror_value value = shmirror_null();
        memcpy(&as, at, 8);
        if (fields[i].null_offset != SIZE_MAX && out[fields[i].null_offset] == 1) {
            /* NULL */
        } else if (fields[i].type == SHMIRROR_FIELD_F64) {
            value = shmirror_real(as.f64);
        } else if (fields[i].type == SHMIRROR_FIELD_F32) {
            float single;
            memcpy(&single, at, sizeof single);
            value = shmirror_real(single);
        } else if (fields[i].type == SHMIRROR_FIELD_TEXT) {
            value = shmirror_string((const char *)at);
        } else if (fields[i].type == SHMIRROR_FIELD_BYTES) {
            value = shmirror_bytes(at, fields[i].size);
        } else if (fields[i].type == SHMIRROR_FIELD_BOOL) {
            value = shmirror_integer(*at);
        } else if (fields[i].type == SHMIRROR_FIELD_VALUE) {
            memcpy(&value, at, sizeof value);
        } else if (fields[i].type == SHMIRROR_FIELD_I32) {
            value = shmirror_integer(as.i32);
        } else if (fields[i].type == SHMIRROR_FIELD_U32) {
            value = shmirror_integer(as.u32);
        } else {
            value = shmirror_integer(as.i64);
        }
        putchar(' ');
        put_name(stdout, fields[i].column);
        putchar('=');
        put_value(stdout, &value);
    }
    putchar('\n');
    /* Values borrow from it. */
    sure(shmirror_binding_close(binding));
}

#endif /* FIELDS_H */
