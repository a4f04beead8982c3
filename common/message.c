#include "common/message.h"

enum { REQUIRED = JQ_FIELD_REQUIRED, LATER = JQ_FIELD_LATER };
#define ANY JQ_UINT_ANY

#define FIELD_ROW(place, text, kind, flag, least, most, element, words)                                                \
    {                                                                                                                  \
        .name = (text),                                                                                                \
        .name_size = sizeof(text) - 1,                                                                                 \
        .type = JQ_FIELD_##kind,                                                                                       \
        .flags = (flag),                                                                                               \
        .min = (least),                                                                                                \
        .max = (most),                                                                                                 \
        .of = (element),                                                                                               \
        .help = (words),                                                                                               \
    },
#define FIELD_MASK(place, text, kind, flag, least, most, element, words)                                               \
    | (((flag)&JQ_FIELD_REQUIRED) ? UINT64_C(1) << (place) : 0)

#define MESSAGE(message, list, is_tuple)                                                                               \
    _Static_assert((int)JQ_COUNT_##message <= (int)JQ_FIELDS_MAX, "a message has at most 64 fields");                  \
    static const struct jq_field fields_##message[] = {list(FIELD_ROW)};                                               \
    const struct jq_message jq_message_##message = {                                                                   \
        .name = #message,                                                                                              \
        .tuple = (is_tuple),                                                                                           \
        .count = JQ_COUNT_##message,                                                                                   \
        .required = 0 list(FIELD_MASK),                                                                                \
        .fields = fields_##message,                                                                                    \
    };
JQ_MESSAGE_LIST(MESSAGE)

const struct jq_message jq_message_none = {.name = "none"};

#define MESSAGE_POINTER(message, list, is_tuple) &jq_message_##message,
const struct jq_message *const jq_messages[] = {JQ_MESSAGE_LIST(MESSAGE_POINTER)};
const size_t jq_messages_count = sizeof(jq_messages) / sizeof(jq_messages[0]);

#define OP_ROW(place, text, needed, writes, asked, answered, words)                                                    \
    [place] = {                                                                                                        \
        .number = (place),                                                                                             \
        .name_size = sizeof(text) - 1,                                                                                 \
        .name = (text),                                                                                                \
        .role = JQ_ROLE_##needed,                                                                                      \
        .changes = (writes),                                                                                           \
        .request = &jq_message_##asked,                                                                                \
        .reply = &jq_message_##answered,                                                                               \
        .help = (words),                                                                                               \
    },
const struct jq_op_info jq_ops[] = {JQ_OP_ROWS(OP_ROW)};
const size_t jq_ops_count = sizeof(jq_ops) / sizeof(jq_ops[0]);

const struct jq_op_info *jq_op_find(struct jq_str name) {
    for (size_t i = 0; i < jq_ops_count; i++) {
        if (jq_ops[i].name_size == name.size && memcmp(jq_ops[i].name, name.data, name.size) == 0)
            return &jq_ops[i];
    }
    return NULL;
}

static bool field_is(const struct jq_field *field, struct jq_str name) {
    return field->name_size == name.size && memcmp(field->name, name.data, name.size) == 0;
}

int jq_message_place(const struct jq_message *message, struct jq_str name, unsigned from) {
    for (unsigned i = from; i < message->count; i++) {
        if (field_is(&message->fields[i], name))
            return (int)i;
    }
    for (unsigned i = 0; i < from && i < message->count; i++) {
        if (field_is(&message->fields[i], name))
            return (int)i;
    }
    return -1;
}

const char *jq_field_type_word(enum jq_field_type type) {
    static const char *const words[] = {
#define TYPE_WORD(kind, word) [kind] = (word),
        JQ_FIELD_TYPE_LIST(TYPE_WORD)
#undef TYPE_WORD
    };
    return words[type];
}

bool jq_role_allows(enum jq_role held, enum jq_role needed) {
    if (needed == JQ_ROLE_NONE || held == JQ_ROLE_ADMIN)
        return true;
    if (held == JQ_ROLE_NONE)
        return false;
    if (needed == JQ_ROLE_EITHER)
        return held == JQ_ROLE_CLIENT || held == JQ_ROLE_WORKER;
    return held == needed || needed == JQ_ROLE_OBSERVER;
}
