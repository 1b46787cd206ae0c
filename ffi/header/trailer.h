/* Bindings: one column and the member of a struct that it goes to, as an element of an array for
 * shmirror_binding_new(). `field_type` is a shmirror_field_type. NULL in the column fails with
 * SHMIRROR_NULL_VALUE. */
#define SHMIRROR_FIELD(struct_type, member, column, field_type) \
    { column, field_type, 0, offsetof(struct_type, member), \
      sizeof(((struct_type *)0)->member), SIZE_MAX }
/* The same where NULL is fine: then the member becomes all zeros, and `null_member`, a uint8_t or bool
 * of the struct, 1; else it becomes 0. */
#define SHMIRROR_FIELD_NULLABLE(struct_type, member, column, field_type, null_member) \
    { column, field_type, 0, offsetof(struct_type, member), \
      sizeof(((struct_type *)0)->member), offsetof(struct_type, null_member) }

/* Values, for keys, parameters and rows. They borrow: what they point to must stay until the call that
 * takes them returns. */

#ifdef __cplusplus
extern "C" {
#endif

/* SQL NULL. */
static inline shmirror_value shmirror_null(void)
{
    shmirror_value value;
    value.type = SHMIRROR_TYPE_NULL;
    value.reserved = 0;
    value.as.text.data = NULL;
    value.as.text.size = 0;
    return value;
}

/* A signed 64-bit integer. */
static inline shmirror_value shmirror_integer(int64_t integer)
{
    shmirror_value value = shmirror_null();
    value.type = SHMIRROR_TYPE_INTEGER;
    value.as.integer = integer;
    return value;
}

/* A truth: the integer 0 or 1. */
static inline shmirror_value shmirror_boolean(int truth)
{
    return shmirror_integer(truth != 0);
}

/* An IEEE 754 double. */
static inline shmirror_value shmirror_real(double real)
{
    shmirror_value value = shmirror_null();
    value.type = SHMIRROR_TYPE_REAL;
    value.as.real = real;
    return value;
}

/* UTF-8 text of `size` bytes. */
static inline shmirror_value shmirror_string_n(const char *data, size_t size)
{
    shmirror_value value = shmirror_null();
    value.type = SHMIRROR_TYPE_TEXT;
    value.as.text.data = data;
    value.as.text.size = size;
    return value;
}

/* UTF-8 text that ends with NUL; NULL stands for SQL NULL. */
static inline shmirror_value shmirror_string(const char *terminated)
{
    size_t size = 0;
    if (terminated == NULL) {
        return shmirror_null();
    }
    while (terminated[size] != '\0') {
        size++;
    }
    return shmirror_string_n(terminated, size);
}

/* A BLOB of `size` bytes. */
static inline shmirror_value shmirror_bytes(const void *data, size_t size)
{
    shmirror_value value = shmirror_null();
    value.type = SHMIRROR_TYPE_BLOB;
    value.as.blob.data = (const uint8_t *)data;
    value.as.blob.size = size;
    return value;
}

#ifdef __cplusplus
}
#endif
