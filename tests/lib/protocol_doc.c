#include "tests/lib/protocol_doc.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/shell/encode.h"
#include "common/message.h"
#include "tests/lib/examples.h"
#include "tests/lib/notation.h"

enum { LINE_SIZE = 116 };

/* ---- tables ------------------------------------------------------------------------------------------------------ */

static void print_ops(struct jq_buf *out) {
    jq_buf_append_format(out, "| op | role | changes | body | answer | in words |\n|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < jq_ops_count; i++) {
        const struct jq_op_info *op = &jq_ops[i];
        const char *role = op->role == JQ_ROLE_NONE ? "any" : jq_role_name(op->role);
        jq_buf_append_format(out, "| %s | %s | %s | %s | %s | %s |\n", op->name, role, op->changes ? "yes" : "no",
                             op->request->name, op->reply->name, op->help);
    }
}

#define WORD_ROW(name, number, text) jq_buf_append_format(out, "| %d | %s |\n", (number), (text));

static void print_statuses(struct jq_buf *out) {
    jq_buf_append_format(out, "| number | status |\n|---|---|\n");
    JQ_REPLY_LIST(WORD_ROW)
}

static void print_states(struct jq_buf *out) {
    jq_buf_append_format(out, "| number | state |\n|---|---|\n");
    JQ_STATE_LIST(WORD_ROW)
}

static void print_outcomes(struct jq_buf *out) {
    jq_buf_append_format(out, "| number | outcome |\n|---|---|\n");
    JQ_OUTCOME_LIST(WORD_ROW)
}

static void print_whys(struct jq_buf *out) {
    for (int why = JQ_WHY_NONE + 1; why < JQ_WHY_END; why++)
        jq_buf_append_format(out, "%s`%s`", why > JQ_WHY_NONE + 1 ? ", " : "", jq_why_name((enum jq_why)why));
    jq_buf_append_format(out, ".\n");
}

static void print_limits(struct jq_buf *out) {
    static const struct {
        const char *what;
        unsigned most;
    } limits[] = {
        {"bytes of a frame", JQ_FRAME_SIZE_MAX},
        {"bytes of a frame with a piece of a blob, where it was asked for", JQ_LARGE_FRAME_SIZE_MAX},
        {"depth of containers", JQ_FRAME_DEPTH_MAX},
        {"tasks of a submit", JQ_SUBMIT_COUNT_MAX},
        {"bytes of a payload or a result", JQ_PAYLOAD_SIZE_MAX},
        {"bytes of a task's headers, encoded", JQ_HEADERS_SIZE_MAX},
        {"bytes of a task: payload, headers, need, key and names", JQ_TASK_SIZE_MAX},
        {"bytes of a need", JQ_NEED_SIZE_MAX},
        {"bytes of a key", JQ_KEY_SIZE_MAX},
        {"bytes of a name", JQ_NAME_SIZE_MAX},
        {"tasks of a lease answer", JQ_LEASE_COUNT_MAX},
        {"reports of a lease or report", JQ_REPORT_COUNT_MAX},
        {"leases in `held`", JQ_HELD_COUNT_MAX},
        {"ids of a wait, cancel, replay or rm", JQ_IDS_COUNT_MAX},
        {"tasks that one task waits for", JQ_AFTER_COUNT_MAX},
        {"tasks of a flow", JQ_FLOW_COUNT_MAX},
        {"bytes of stdout, of stderr in a detail", JQ_TAIL_SIZE_MAX},
        {"bytes of a detail's message", JQ_MESSAGE_TEXT_SIZE_MAX},
        {"tasks in `progress` of a survey response", JQ_SURVEY_PROGRESS_COUNT_MAX},
        {"bytes of a progress text", JQ_PROGRESS_TEXT_SIZE_MAX},
        {"milliseconds of a long poll", JQ_WAIT_MS_MAX},
    };
    jq_buf_append_format(out, "| what | at most |\n|---|---|\n");
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        jq_buf_append_format(out, "| %s | %u |\n", limits[i].what, limits[i].most);
}

/* ---- fields ------------------------------------------------------------------------------------------------------ */

static const char *unit_of(const struct jq_field *field) {
    switch (field->type) {
    case JQ_FIELD_TEXT:
    case JQ_FIELD_NEED:
    case JQ_FIELD_BIN: return " bytes";
    case JQ_FIELD_TASKS:
    case JQ_FIELD_WORDS:
    case JQ_FIELD_AMOUNTS:
    case JQ_FIELD_TEXTS:
    case JQ_FIELD_UNITS:
    case JQ_FIELD_LIST: return " entries";
    default: return "";
    }
}

static void print_bounds(struct jq_buf *out, const struct jq_field *field) {
    const bool bounded = field->type != JQ_FIELD_UUID && field->type != JQ_FIELD_NAME && field->type != JQ_FIELD_MAP &&
                         field->type != JQ_FIELD_BOOL && field->type != JQ_FIELD_NUMBER;
    if (!bounded || (field->min == 0 && field->max == JQ_UINT_ANY))
        return;
    if (field->max == JQ_UINT_ANY)
        jq_buf_append_format(out, "from %" PRIu64 "%s", field->min, unit_of(field));
    else
        jq_buf_append_format(out, "%" PRIu64 " to %" PRIu64 "%s", field->min, field->max, unit_of(field));
}

static void print_type(struct jq_buf *out, const struct jq_field *field) {
    if (field->type == JQ_FIELD_LIST)
        jq_buf_append_format(out, "[%s]", field->of->name);
    else if (field->of)
        jq_buf_append_format(out, "%s", field->of->name);
    else
        jq_buf_append_format(out, "%s", jq_field_type_word(field->type));
}

static void print_field(struct jq_buf *out, const struct jq_field *field) {
    jq_buf_append_format(out, "| %s | ", field->name);
    print_type(out, field);
    jq_buf_append_format(out, " | %s | ", field->flags & JQ_FIELD_REQUIRED ? "yes" : "");
    print_bounds(out, field);
    jq_buf_append_format(out, " | %s%s |\n", field->flags & JQ_FIELD_LATER ? "refused as `not supported yet`: " : "",
                         field->help);
}

static bool print_fields(struct jq_buf *out, struct jq_str name) {
    for (size_t i = 0; i < jq_messages_count; i++) {
        const struct jq_message *message = jq_messages[i];
        if (!jq_str_equal(jq_str_of(message->name), name))
            continue;
        jq_buf_append_format(out, "**%s**, %s:\n\n", message->name,
                             message->tuple ? "an array, in this order" : "a map");
        jq_buf_append_format(out, "| field | type | required | bounds | meaning |\n|---|---|---|---|---|\n");
        for (unsigned place = 0; place < message->count; place++)
            print_field(out, &message->fields[place]);
        return true;
    }
    return false;
}

/* ---- examples ---------------------------------------------------------------------------------------------------- */

/* Breaks at blanks. */
static void print_wrapped(struct jq_buf *out, struct jq_str text) {
    while (text.size > 0) {
        size_t size = text.size;
        if (size > LINE_SIZE) {
            for (size = LINE_SIZE; size > 1 && text.data[size - 1] != ' '; size--)
                continue;
            size = size > 1 ? size : LINE_SIZE;
        }
        const size_t shown = size > 0 && text.data[size - 1] == ' ' ? size - 1 : size;
        jq_buf_append_format(out, "    %.*s\n", (int)shown, text.data);
        text = (struct jq_str){text.data + size, text.size - size};
    }
}

static void print_notation(struct jq_buf *line, struct jq_bytes frame) {
    const uint8_t *nul = frame.data[1] == '/' ? memchr(frame.data, 0, frame.size) : NULL;
    msgpack_object object;
    if (nul) {
        const size_t topic = (size_t)(nul - frame.data);
        jq_buf_append_format(line, "\"%.*s\" NUL ", (int)topic, (const char *)frame.data);
        frame = (struct jq_bytes){nul + 1, frame.size - topic - 1};
    }
    assert_int_equal(jq_unpack(jq_unpacker_of_thread(), frame, &object, NULL), JQ_OK);
    notation_print(line, &object);
}

static void print_example(struct jq_buf *out, const struct example *example) {
    struct jq_buf frame, line;
    jq_buf_init(&frame, JQ_FRAME_SIZE_MAX);
    jq_buf_init(&line, 4 * JQ_FRAME_SIZE_MAX);
    example_frame(example, &frame);
    print_notation(&line, jq_buf_bytes(&frame));
    print_wrapped(out, jq_buf_str(&line));
    jq_buf_append_format(out, "\n");
    jq_buf_clear(&line);
    notation_hex(&line, jq_buf_bytes(&frame));
    print_wrapped(out, jq_buf_str(&line));
    jq_buf_fini(&frame);
    jq_buf_fini(&line);
}

static bool print_example_named(struct jq_buf *out, struct jq_str name) {
    for (size_t i = 0; i < examples_count; i++) {
        if (!jq_str_equal(jq_str_of(examples[i].name), name))
            continue;
        print_example(out, &examples[i]);
        return true;
    }
    return false;
}

/* ---- the page ---------------------------------------------------------------------------------------------------- */

static bool take_word(struct jq_str *text, const char *word) {
    const size_t size = strlen(word);
    if (text->size < size || memcmp(text->data, word, size) != 0)
        return false;
    *text = (struct jq_str){text->data + size, text->size - size};
    return true;
}

bool protocol_doc_part(struct jq_buf *out, struct jq_str what) {
    static const struct {
        const char *name;
        void (*print)(struct jq_buf *out);
    } parts[] = {{"ops", print_ops},           {"statuses", print_statuses}, {"states", print_states},
                 {"outcomes", print_outcomes}, {"whys", print_whys},         {"limits", print_limits}};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (!jq_str_equal(what, jq_str_of(parts[i].name)))
            continue;
        parts[i].print(out);
        return true;
    }
    if (take_word(&what, "fields "))
        return print_fields(out, what);
    return take_word(&what, "example ") && print_example_named(out, what);
}

static struct jq_str take_line(struct jq_str *page) {
    const char *newline = memchr(page->data, '\n', page->size);
    assert_non_null(newline);
    const struct jq_str line = {page->data, (size_t)(newline - page->data) + 1};
    *page = (struct jq_str){newline + 1, page->size - line.size};
    return line;
}

/* The name between `<!-- ` and ` -->`. */
static bool is_mark(struct jq_str line, struct jq_str *ret_what) {
    static const char close[] = " -->\n";
    if (!take_word(&line, "<!-- ") || line.size < strlen(close))
        return false;
    *ret_what = (struct jq_str){line.data, line.size - strlen(close)};
    return memcmp(line.data + ret_what->size, close, strlen(close)) == 0;
}

void protocol_doc_renew(struct jq_buf *out, struct jq_str page) {
    struct jq_str what;
    while (page.size > 0) {
        struct jq_str line = take_line(&page);
        jq_buf_append_text(out, line);
        if (!is_mark(line, &what))
            continue;
        if (!protocol_doc_part(out, what))
            fail_msg("PROTOCOL.md: no such part: %.*s", JQ_STR_ARG(what));
        do {
            line = take_line(&page);
        } while (!is_mark(line, &what) || !jq_str_equal(what, JQ_STR("end")));
        jq_buf_append_text(out, line);
    }
}
