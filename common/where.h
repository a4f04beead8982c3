/* where.h - the grammar of selections: which tasks (or events) an operator means.
 *
 *     where := term { " " term }                    all of them must hold
 *     term  := field op value
 *     op    := "=" | "!=" | "~" | "!~" | "<" | ">" | "<=" | ">="
 *     value := run without blanks | '"' any text without quotes '"'
 *
 *     queue=cad state=dead age>1h error~OCC handler=cad.*
 *
 * | field            | kind     | ops         | value                                                                 |
 * |------------------|----------|-------------|-----------------------------------------------------------------------|
 * | id flow          | id       | = != < >    | a task id: 17, 3-17                                                   |
 * | priority         | number   | = != < >    | 0 to 9, or its name                                                   |
 * | attempts         | number   | = != < >    | failed attempts                                                       |
 * | age              | span     | < > <= >=   | 90s, 1h: since it is in its state; 0 before it was ready              |
 * | state outcome    | word     | = !=        | words between commas                                                  |
 * | queue handler    | name     | = != ~ !~   | names between commas; one with `*` or `?` is a glob                   |
 * | worker event     | name     | = != ~ !~   | the same; worker: while it runs; event: of events alone               |
 * | group            | text     | = != ~ !~   | as names                                                              |
 * | key              | text     | =           | one key, as it was given; a selection of tasks wants queue=NAME too   |
 * | error            | text     | = != ~ !~   | the last failure's message; ~ finds the glob anywhere in it           |
 *
 * `<=` and `>=` go where `<` and `>` do. What a thing does not have is empty, or 0.
 *
 * Everything here is pure. A parsed struct jq_where holds no pointers: it may be copied.
 */
#ifndef JQ_COMMON_WHERE_H
#define JQ_COMMON_WHERE_H

#include "common/err.h"
#include "common/types.h"
#include "common/vocab.h"

enum {
    JQ_WHERE_SIZE_MAX = 1024, /* bytes of a text */
    JQ_WHERE_TERMS_MAX = 16,
};

/* field, name, kind */
#define JQ_WHERE_FIELD_LIST(X)                                                                                         \
    X(JQ_WHERE_ID, "id", ID)                                                                                           \
    X(JQ_WHERE_QUEUE, "queue", NAME)                                                                                   \
    X(JQ_WHERE_STATE, "state", STATE)                                                                                  \
    X(JQ_WHERE_HANDLER, "handler", NAME)                                                                               \
    X(JQ_WHERE_PRIORITY, "priority", PRIORITY)                                                                         \
    X(JQ_WHERE_GROUP, "group", NAME)                                                                                   \
    X(JQ_WHERE_KEY, "key", KEY)                                                                                        \
    X(JQ_WHERE_AGE, "age", SPAN)                                                                                       \
    X(JQ_WHERE_ERROR, "error", TEXT)                                                                                   \
    X(JQ_WHERE_ATTEMPTS, "attempts", COUNT)                                                                            \
    X(JQ_WHERE_WORKER, "worker", NAME)                                                                                 \
    X(JQ_WHERE_FLOW, "flow", ID)                                                                                       \
    X(JQ_WHERE_OUTCOME, "outcome", OUTCOME)                                                                            \
    X(JQ_WHERE_EVENT, "event", NAME)

enum jq_where_field {
#define JQ_WHERE_FIELD_ENUM(field, name, kind) field,
    JQ_WHERE_FIELD_LIST(JQ_WHERE_FIELD_ENUM)
#undef JQ_WHERE_FIELD_ENUM
        JQ_WHERE_FIELD_COUNT
};

enum jq_where_op {
    JQ_WHERE_IS,
    JQ_WHERE_NOT,
    JQ_WHERE_LIKE,
    JQ_WHERE_UNLIKE,
    JQ_WHERE_LT,
    JQ_WHERE_GT,
    JQ_WHERE_LE,
    JQ_WHERE_GE
};

struct jq_where_term {
    uint8_t field, op;
    uint16_t at, size; /* of its value in `text` */
    uint64_t number;   /* of id, number and span; a bit per word of state and outcome */
};

struct jq_where {
    uint32_t fields; /* a bit for each field that a term names */
    uint16_t count;
    uint16_t text_size;
    struct jq_where_term terms[JQ_WHERE_TERMS_MAX];
    char text[JQ_WHERE_SIZE_MAX + 2 * JQ_WHERE_TERMS_MAX];
};

/* What is looked at. Texts are borrowed. */
struct jq_where_subject {
    uint64_t id, flow;
    enum jq_state state;
    enum jq_outcome outcome;
    int priority;
    uint32_t attempts;
    int64_t age_ms;
    struct jq_str queue, handler, group, key, worker, error, event;
};

/* JQ_ERR_INVALID and JQ_ERR_TOO_BIG with "where: column N: TERM: reason". A text without a term is refused: whoever means
 * everything says so. */
enum jq_err jq_where_parse(struct jq_str text, struct jq_where *ret_where, struct jq_error *reterr);

bool jq_where_match(const struct jq_where *where, const struct jq_where_subject *subject);

static inline bool jq_where_names(const struct jq_where *where, enum jq_where_field field) {
    return where->fields & UINT32_C(1) << field;
}

/* True if some term says that this field is exactly one text: an index may be used. The text lives as long as `where`. */
bool jq_where_exact(const struct jq_where *where, enum jq_where_field field, struct jq_str *ret_text);

/* A bit for each state that the terms allow. */
uint32_t jq_where_states(const struct jq_where *where);

/* The ids that the terms allow: from *ret_from to *ret_last, both allowed. from > last: none. */
void jq_where_ids(const struct jq_where *where, uint64_t *ret_from, uint64_t *ret_last);

#endif
