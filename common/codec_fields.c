#include "common/codec_fields.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/need.h"
#include "common/text.h"

_Static_assert(offsetof(msgpack_object_array, size) == offsetof(msgpack_object_map, size),
               "jq_value_count() reads the size of a map and of an array at the same place");

/* ---- faults ------------------------------------------------------------------------------------------------------ */

bool jq_fault_set(struct jq_fault *fault, enum jq_reply status, const char *field, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fault->status = status;
    snprintf(fault->field, sizeof(fault->field), "%s", field);
    vsnprintf(fault->reason, sizeof(fault->reason), format, args);
    va_end(args);
    jq_text_make_line(fault->reason); /* It may quote the frame, or be cut within a character. */
    return false;
}

/* `invalid(fault, field, format, ...)`: the commonest of them. */
#define invalid(fault, field, ...) jq_fault_set((fault), JQ_REPLY_INVALID, (field)->name, __VA_ARGS__)

/* A fault of the whole element has no path of its own; that of an element of a list begins with its index. */
static bool put_before(struct jq_fault *fault, const char *prefix) {
    struct jq_fault inner = *fault;
    const bool joined = inner.field[0] == '\0' || inner.field[0] == '[';
    const int size = snprintf(fault->field, sizeof(fault->field), "%s%s%s", prefix, joined ? "" : ".", inner.field);
    if (size >= (int)sizeof(fault->field))
        memcpy(fault->field + sizeof(fault->field) - 4, "...", 4);
    return false;
}

bool jq_fault_within(struct jq_fault *fault, const char *field) {
    return put_before(fault, field);
}

bool jq_fault_within_element(struct jq_fault *fault, const char *field, size_t index) {
    char prefix[sizeof(fault->field)];
    snprintf(prefix, sizeof(prefix), "%s[%zu]", field, index);
    return put_before(fault, prefix);
}

static const char *type_word(const msgpack_object *object) {
    switch (object->type) {
    case MSGPACK_OBJECT_NIL: return "nil";
    case MSGPACK_OBJECT_BOOLEAN: return "a bool";
    case MSGPACK_OBJECT_POSITIVE_INTEGER: return "a uint";
    case MSGPACK_OBJECT_NEGATIVE_INTEGER: return "a negative number";
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64: return "a float";
    case MSGPACK_OBJECT_STR: return "a str";
    case MSGPACK_OBJECT_BIN: return "a bin";
    case MSGPACK_OBJECT_ARRAY: return "an array";
    case MSGPACK_OBJECT_MAP: return "a map";
    case MSGPACK_OBJECT_EXT: return "an ext";
    }
    return "something else";
}

static bool wrong_type(struct jq_fault *fault, const struct jq_field *field, const msgpack_object *object) {
    return invalid(fault, field, "%s, not %s", type_word(object), jq_field_type_word(field->type));
}

/* ---- one reader for each type ------------------------------------------------------------------------------------ */

static bool size_fits(const struct jq_field *field, size_t size, const char *of, struct jq_fault *fault) {
    if (size > field->max)
        return jq_fault_set(fault, JQ_REPLY_TOO_BIG, field->name, "%zu %s, at most %" PRIu64, size, of, field->max);
    if (size < field->min)
        return invalid(fault, field, "%zu %s, at least %" PRIu64, size, of, field->min);
    return true;
}

static bool read_uint(const struct jq_field *field, const msgpack_object *object, struct jq_value *value,
                      struct jq_fault *fault) {
    if (object->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return wrong_type(fault, field, object);
    value->u = object->via.u64;
    if (value->u > field->max)
        return invalid(fault, field, "%" PRIu64 " is above %" PRIu64, value->u, field->max);
    if (value->u < field->min)
        return invalid(fault, field, "%" PRIu64 " is below %" PRIu64, value->u, field->min);
    return true;
}

static bool read_number(const struct jq_field *field, const msgpack_object *object, struct jq_value *value,
                        struct jq_fault *fault) {
    switch (object->type) {
    case MSGPACK_OBJECT_POSITIVE_INTEGER: value->number = (double)object->via.u64; return true;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER: value->number = (double)object->via.i64; return true;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64: value->number = object->via.f64; return true;
    default: return wrong_type(fault, field, object);
    }
}

static bool read_bool(const struct jq_field *field, const msgpack_object *object, struct jq_value *value,
                      struct jq_fault *fault) {
    if (object->type != MSGPACK_OBJECT_BOOLEAN)
        return wrong_type(fault, field, object);
    value->u = object->via.boolean ? 1 : 0;
    return true;
}

static bool read_text(const struct jq_field *field, const msgpack_object *object, struct jq_value *value,
                      struct jq_fault *fault) {
    if (object->type != MSGPACK_OBJECT_STR)
        return wrong_type(fault, field, object);
    value->text = jq_object_str(object);
    if (!size_fits(field, value->text.size, "bytes", fault))
        return false;
    if (memchr(value->text.data, 0, value->text.size))
        return invalid(fault, field, "a NUL in it");
    return true;
}

static bool read_name(const struct jq_field *field, const msgpack_object *object, struct jq_value *value,
                      struct jq_fault *fault) {
    if (object->type != MSGPACK_OBJECT_STR)
        return wrong_type(fault, field, object);
    value->text = jq_object_str(object);
    if (!jq_name_valid(value->text))
        return invalid(fault, field, "not a name (1 to %d of a-z 0-9 _ . -)", JQ_NAME_SIZE_MAX);
    return true;
}

static bool read_bin(const struct jq_field *field, const msgpack_object *object, struct jq_value *value,
                     struct jq_fault *fault) {
    if (object->type != MSGPACK_OBJECT_BIN)
        return wrong_type(fault, field, object);
    value->bytes = jq_object_bin(object);
    return size_fits(field, value->bytes.size, "bytes", fault);
}

static bool read_uuid(const struct jq_field *field, const msgpack_object *object, struct jq_value *value,
                      struct jq_fault *fault) {
    if (object->type != MSGPACK_OBJECT_BIN)
        return wrong_type(fault, field, object);
    if (object->via.bin.size != sizeof(struct jq_uuid))
        return invalid(fault, field, "%u bytes, not 16", object->via.bin.size);
    value->uuid = (const uint8_t *)object->via.bin.ptr;
    return true;
}

static bool read_container(const struct jq_field *field, const msgpack_object *object, msgpack_object_type type,
                           struct jq_value *value, struct jq_fault *fault) {
    if (object->type != type)
        return wrong_type(fault, field, object);
    value->object = object;
    return field->type == JQ_FIELD_MAP || size_fits(field, object->via.array.size, "entries", fault);
}

static bool read_list(const struct jq_field *field, const msgpack_object *object, struct jq_value *value,
                      struct jq_fault *fault) {
    return read_container(field, object, MSGPACK_OBJECT_ARRAY, value, fault);
}

static bool read_map(const struct jq_field *field, const msgpack_object *object, struct jq_value *value,
                     struct jq_fault *fault) {
    return read_container(field, object, MSGPACK_OBJECT_MAP, value, fault);
}

/* An element's fault is told as the field's, with its index. */
static bool read_tasks(const struct jq_field *field, const msgpack_object *object, struct jq_value *value,
                       struct jq_fault *fault) {
    static const struct jq_field id = {.name = "", .type = JQ_FIELD_UINT, .min = 1, .max = JQ_UINT_ANY};
    if (!read_list(field, object, value, fault))
        return false;
    for (uint32_t i = 0; i < object->via.array.size; i++) {
        struct jq_value element;
        if (!read_uint(&id, &object->via.array.ptr[i], &element, fault))
            return jq_fault_within_element(fault, field->name, i);
    }
    return true;
}

static bool read_words(const struct jq_field *field, const msgpack_object *object, struct jq_value *value,
                       struct jq_fault *fault) {
    static const struct jq_field word = {.name = "", .type = JQ_FIELD_TEXT, .max = 64};
    if (!read_list(field, object, value, fault))
        return false;
    for (uint32_t i = 0; i < object->via.array.size; i++) {
        struct jq_value element;
        if (!read_text(&word, &object->via.array.ptr[i], &element, fault))
            return jq_fault_within_element(fault, field->name, i);
    }
    return true;
}

static bool read_amounts(const struct jq_field *field, const msgpack_object *object, struct jq_value *value,
                         struct jq_fault *fault) {
    if (!read_map(field, object, value, fault))
        return false;
    for (uint32_t i = 0; i < object->via.map.size; i++) {
        const msgpack_object_kv *pair = &object->via.map.ptr[i];
        if (pair->key.type != MSGPACK_OBJECT_STR || !jq_name_valid(jq_object_str(&pair->key)))
            return invalid(fault, field, "entry %u: its key is not a name", i);
        if (pair->val.type != MSGPACK_OBJECT_POSITIVE_INTEGER)
            return invalid(fault, field, "%.*s: %s, not uint", JQ_STR_ARG(jq_object_str(&pair->key)),
                           type_word(&pair->val));
        if (pair->val.via.u64 > JQ_AMOUNT_MAX)
            return invalid(fault, field, "%.*s: %" PRIu64 " thousandths, at most 2^60",
                           JQ_STR_ARG(jq_object_str(&pair->key)), pair->val.via.u64);
    }
    return true;
}

static bool is_text(const msgpack_object *object) {
    return object->type == MSGPACK_OBJECT_STR && !memchr(object->via.str.ptr, 0, object->via.str.size);
}

static bool read_texts(const struct jq_field *field, const msgpack_object *object, struct jq_value *value,
                       struct jq_fault *fault) {
    if (!read_map(field, object, value, fault))
        return false;
    for (uint32_t i = 0; i < object->via.map.size; i++) {
        const msgpack_object_kv *pair = &object->via.map.ptr[i];
        if (!is_text(&pair->key) || !is_text(&pair->val))
            return invalid(fault, field, "entry %u: %s: %s, not a str without NUL", i,
                           is_text(&pair->key) ? "value" : "key",
                           type_word(is_text(&pair->key) ? &pair->val : &pair->key));
    }
    return true;
}

static bool are_units(const msgpack_object *list) {
    const msgpack_object_array *array = &list->via.array;
    if (list->type != MSGPACK_OBJECT_ARRAY || array->size == 0 || array->size > JQ_OFFER_INDEXES_MAX)
        return false;
    for (uint32_t i = 0; i < array->size; i++) {
        if (array->ptr[i].type != MSGPACK_OBJECT_POSITIVE_INTEGER || array->ptr[i].via.u64 > JQ_OFFER_INDEX_MAX)
            return false;
    }
    return true;
}

static bool read_units(const struct jq_field *field, const msgpack_object *object, struct jq_value *value,
                       struct jq_fault *fault) {
    if (!read_map(field, object, value, fault))
        return false;
    for (uint32_t i = 0; i < object->via.map.size; i++) {
        const msgpack_object_kv *pair = &object->via.map.ptr[i];
        if (pair->key.type != MSGPACK_OBJECT_STR || !jq_name_valid(jq_object_str(&pair->key)))
            return invalid(fault, field, "entry %u: its key is not a name", i);
        if (!are_units(&pair->val))
            return invalid(fault, field, "%.*s: not a list of 1 to %d numbers, each up to %d",
                           JQ_STR_ARG(jq_object_str(&pair->key)), JQ_OFFER_INDEXES_MAX, JQ_OFFER_INDEX_MAX);
    }
    return true;
}

typedef bool read_function(const struct jq_field *field, const msgpack_object *object, struct jq_value *value,
                           struct jq_fault *fault);

static read_function *const readers[] = {
    [JQ_FIELD_UINT] = read_uint,   [JQ_FIELD_NUMBER] = read_number,   [JQ_FIELD_BOOL] = read_bool,
    [JQ_FIELD_TEXT] = read_text,   [JQ_FIELD_NAME] = read_name,       [JQ_FIELD_NEED] = read_text,
    [JQ_FIELD_BIN] = read_bin,     [JQ_FIELD_UUID] = read_uuid,       [JQ_FIELD_TASKS] = read_tasks,
    [JQ_FIELD_WORDS] = read_words, [JQ_FIELD_AMOUNTS] = read_amounts, [JQ_FIELD_TEXTS] = read_texts,
    [JQ_FIELD_MAP] = read_map,     [JQ_FIELD_LIST] = read_list,       [JQ_FIELD_UNITS] = read_units,
};

/* ---- a message --------------------------------------------------------------------------------------------------- */

static bool read_field(const struct jq_message *message, unsigned place, const msgpack_object *object,
                       struct jq_values *values, struct jq_fault *fault) {
    const struct jq_field *field = &message->fields[place];
    const uint64_t bit = UINT64_C(1) << place;
    if (object->type == MSGPACK_OBJECT_NIL)
        return true;
    if (values->given & bit)
        return invalid(fault, field, "given twice");
    if (field->flags & JQ_FIELD_LATER)
        return invalid(fault, field, "not supported yet");
    values->given |= bit;
    return readers[field->type](field, object, &values->at[place], fault);
}

static bool read_pairs(const struct jq_message *message, const msgpack_object_map *map, struct jq_values *values,
                       struct jq_fault *fault) {
    unsigned next = 0;
    for (uint32_t i = 0; i < map->size; i++) {
        const msgpack_object_kv *pair = &map->ptr[i];
        if (pair->key.type != MSGPACK_OBJECT_STR)
            continue;
        const int place = jq_message_place(message, jq_object_str(&pair->key), next);
        if (place < 0)
            continue;
        next = (unsigned)place + 1;
        if (!read_field(message, (unsigned)place, &pair->val, values, fault))
            return false;
    }
    return true;
}

static bool read_elements(const struct jq_message *message, const msgpack_object_array *array, struct jq_values *values,
                          struct jq_fault *fault) {
    const unsigned count = array->size < message->count ? array->size : message->count;
    for (unsigned i = 0; i < count; i++) {
        if (!read_field(message, i, &array->ptr[i], values, fault))
            return false;
    }
    return true;
}

static bool read_message(const struct jq_message *message, const msgpack_object *object, struct jq_values *values,
                         struct jq_fault *fault) {
    if (object->type != (message->tuple ? MSGPACK_OBJECT_ARRAY : MSGPACK_OBJECT_MAP))
        return jq_fault_set(fault, JQ_REPLY_INVALID, "", "%s, not %s", type_word(object),
                            message->tuple ? "an array" : "a map");
    if (message->tuple)
        return read_elements(message, &object->via.array, values, fault);
    return read_pairs(message, &object->via.map, values, fault);
}

bool jq_fields_read(const struct jq_message *message, const msgpack_object *object, struct jq_values *ret_values,
                    struct jq_fault *ret_fault) {
    ret_values->given = 0;
    if (!read_message(message, object, ret_values, ret_fault))
        return false;
    const uint64_t missing = message->required & ~ret_values->given;
    if (missing)
        return invalid(ret_fault, &message->fields[__builtin_ctzll(missing)], "missing");
    return true;
}
