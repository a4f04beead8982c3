/* codec_fields.h - reads an unpacked object by the message table: one reader for every message.
 *
 * It checks types, bounds, names and what is required; needs it leaves to their parser. Unknown keys of a map and
 * further elements of a tuple are passed over; nil stands for a field not given; a key given twice is refused.
 * Ownership: values point into the unpacked objects, and so into the frame.
 */
#ifndef JQ_COMMON_CODEC_FIELDS_H
#define JQ_COMMON_CODEC_FIELDS_H

#include "common/codec.h"
#include "common/message.h"

/* One field's value, by its type: UINT, BOOL: u. NUMBER: number. TEXT, NAME, NEED: text. BIN: bytes. UUID: uuid. All
 * others: object, an array or a map whose elements have been checked, but for MAP and LIST with a message: those are
 * checked when read. */
struct jq_value {
    union {
        uint64_t u;
        double number;
        struct jq_str text;
        struct jq_bytes bytes;
        const uint8_t *uuid;
        const msgpack_object *object;
    };
};

struct jq_values {
    uint64_t given; /* a bit per place: only those values are set */
    struct jq_value at[JQ_FIELDS_MAX];
};

/* Why a message was refused. */
struct jq_fault {
    enum jq_reply status; /* invalid, too_big, or unavailable when memory ran out */
    char field[96];       /* path from the outermost message on: "tasks[3].retry.max" */
    char reason[192];     /* "12 is above 9" */
};

/* False: `*ret_fault` is set. */
bool jq_fields_read(const struct jq_message *message, const msgpack_object *object, struct jq_values *ret_values,
                    struct jq_fault *ret_fault);

/* Sets a fault; always false. */
bool jq_fault_set(struct jq_fault *fault, enum jq_reply status, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts "field." or "field[index]." before the path; always false. */
bool jq_fault_within(struct jq_fault *fault, const char *field);
bool jq_fault_within_element(struct jq_fault *fault, const char *field, size_t index);

static inline bool jq_given(const struct jq_values *values, unsigned place) {
    return (values->given >> place & 1) != 0;
}

/* A value, or what stands for one that was not given. */
static inline uint64_t jq_value_uint(const struct jq_values *values, unsigned place, uint64_t otherwise) {
    return jq_given(values, place) ? values->at[place].u : otherwise;
}
static inline bool jq_value_bool(const struct jq_values *values, unsigned place) {
    return jq_given(values, place) && values->at[place].u != 0;
}
static inline struct jq_str jq_value_text(const struct jq_values *values, unsigned place) {
    return jq_given(values, place) ? values->at[place].text : (struct jq_str){NULL, 0};
}
static inline struct jq_bytes jq_value_bytes(const struct jq_values *values, unsigned place) {
    return jq_given(values, place) ? values->at[place].bytes : (struct jq_bytes){NULL, 0};
}
static inline struct jq_uuid jq_value_uuid(const struct jq_values *values, unsigned place) {
    struct jq_uuid uuid = {{0}};
    if (jq_given(values, place))
        memcpy(uuid.bytes, values->at[place].uuid, sizeof(uuid.bytes));
    return uuid;
}
/* NULL: not given. */
static inline const msgpack_object *jq_value_object(const struct jq_values *values, unsigned place) {
    return jq_given(values, place) ? values->at[place].object : NULL;
}
/* Elements of a list or a map; 0 where it was not given. */
static inline size_t jq_value_count(const struct jq_values *values, unsigned place) {
    const msgpack_object *object = jq_value_object(values, place);
    return object ? object->via.array.size : 0;
}

#endif
