/* spec_json.c - a task to submit, by one line of JSON: a table of fields, and a reader that walks the parts of the line. */
#include <limits.h>
#include <stdio.h>

#include "common/conf.h"
#include "common/text.h"
#include "tools/jqctl/payload.h"
#include "tools/jqctl/spec.h"
#include "tools/jqctl/when.h"

enum how {
    HOW_TEXT,
    HOW_MS,
    HOW_SPAN,
    HOW_WHEN,
    HOW_COUNT,
    HOW_PRIORITY,
    HOW_RETRY,
    HOW_HEADERS,
    HOW_PAYLOAD,
    HOW_INPUTS,
    HOW_OUTPUTS,
    HOW_AFTER,
    HOW_ON,
    HOW_NAME,
    HOW_BOOL
};

struct jqctl_spec_field {
    const char *name;
    enum how how;
    size_t offset; /* in struct jq_task_spec */
    uint64_t max;  /* of a number */
};

#define AT(member) offsetof(struct jq_task_spec, member)

static const struct jqctl_spec_field task_fields[] = {
    {"handler", HOW_TEXT, AT(handler), 0},
    {"queue", HOW_TEXT, AT(queue), 0},
    {"payload", HOW_PAYLOAD, 0, 0},
    {"params", HOW_PAYLOAD, 0, 0},
    {"inputs", HOW_INPUTS, 0, 0},
    {"outputs", HOW_OUTPUTS, 0, 0},
    {"priority", HOW_PRIORITY, AT(priority), 9},
    {"delay_ms", HOW_MS, AT(delay_ms), JQ_SPAN_MS_MAX},
    {"delay", HOW_SPAN, AT(delay_ms), 0},
    {"eta_ms", HOW_MS, AT(eta_ms), JQ_WALL_MS_MAX},
    {"eta", HOW_WHEN, AT(eta_ms), 0},
    {"expires_ms", HOW_MS, AT(expires_ms), JQ_WALL_MS_MAX},
    {"expires", HOW_WHEN, AT(expires_ms), 0},
    {"need", HOW_TEXT, AT(need), 0},
    {"want", HOW_TEXT, AT(want), 0},
    {"key", HOW_TEXT, AT(key), 0},
    {"unique", HOW_TEXT, AT(unique), 0},
    {"unique_ms", HOW_MS, AT(unique_ms), JQ_SPAN_MS_MAX},
    {"unique_for", HOW_SPAN, AT(unique_ms), 0},
    {"group", HOW_TEXT, AT(group), 0},
    {"retry", HOW_RETRY, AT(retry_max), 1000},
    {"soft_limit_ms", HOW_MS, AT(soft_limit_ms), JQ_SPAN_MS_MAX},
    {"soft_limit", HOW_SPAN, AT(soft_limit_ms), 0},
    {"hard_limit_ms", HOW_MS, AT(hard_limit_ms), JQ_SPAN_MS_MAX},
    {"hard_limit", HOW_SPAN, AT(hard_limit_ms), 0},
    {"result_ttl_ms", HOW_MS, AT(result_ttl_ms), JQ_SPAN_MS_MAX},
    {"result_ttl", HOW_SPAN, AT(result_ttl_ms), 0},
    {"no_cache", HOW_BOOL, AT(no_cache), 0},
    {"headers", HOW_HEADERS, 0, 0},
    {"after", HOW_AFTER, 0, 0},
    {"on", HOW_ON, 0, 0},
    {"name", HOW_NAME, 0, 0}, /* of a task of a flow: the last */
};
static const struct jqctl_spec_field retry_fields[] = {
    {"max", HOW_COUNT, AT(retry_max), 1000},
    {"base_ms", HOW_MS, AT(retry_base_ms), JQ_BACKOFF_MS_MAX},
    {"cap_ms", HOW_MS, AT(retry_cap_ms), JQ_BACKOFF_MS_MAX},
};
enum {
    TASK_FIELDS_COUNT = sizeof(task_fields) / sizeof(task_fields[0]),
    RETRY_FIELDS_COUNT = sizeof(retry_fields) / sizeof(retry_fields[0]),
};

static void *member(struct jqctl_spec_reading *reading, const struct jqctl_spec_field *field) {
    return (char *)reading->spec + field->offset;
}

/* ---- values ------------------------------------------------------------------------------------------------------------- */

static enum jq_err wrong(const struct jqctl_spec_reading *reading, const char *wanted, struct jq_error *reterr) {
    return jq_fail(reterr, JQ_ERR_INVALID, "%s%s: not %s", reading->in_retry ? "retry." : "", reading->field->name,
                   wanted);
}

/* A copy with a NUL behind it. The reader has refused U+0000 within. */
static enum jq_err keep_text(struct jqctl_spec_reading *reading, struct jq_str text, const char **ret_text,
                             struct jq_error *reterr) {
    char *copy = jqctl_memory_take(reading->memory, text.size + 1);
    if (!copy)
        return jq_fail(reterr, JQ_ERR_NOMEM, "out of memory");
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    *ret_text = copy;
    return JQ_OK;
}

static enum jq_err take_number(struct jqctl_spec_reading *reading, const struct jq_json_part *part, int64_t *ret_number,
                               struct jq_error *reterr) {
    if (part->kind != JQ_JSON_INT)
        return wrong(reading, "a whole number", reterr);
    if (part->number < 0 || (uint64_t)part->number > reading->field->max)
        return jq_fail(reterr, JQ_ERR_INVALID, "%s: %lld is not within 0 and %llu", reading->field->name,
                       (long long)part->number, (unsigned long long)reading->field->max);
    *ret_number = part->number;
    return JQ_OK;
}

static enum jq_err take_int(struct jqctl_spec_reading *reading, const struct jq_json_part *part,
                            struct jq_error *reterr) {
    int64_t number = 0;
    const enum jq_err err = take_number(reading, part, &number, reterr);
    if (err == JQ_OK)
        *(int *)member(reading, reading->field) = (int)number;
    return err;
}

static enum jq_err take_bool(struct jqctl_spec_reading *reading, const struct jq_json_part *part,
                             struct jq_error *reterr) {
    if (part->kind != JQ_JSON_BOOL)
        return wrong(reading, "true or false", reterr);
    *(bool *)member(reading, reading->field) = part->boolean;
    return JQ_OK;
}

static enum jq_err take_priority(struct jqctl_spec_reading *reading, const struct jq_json_part *part,
                                 struct jq_error *reterr) {
    if (part->kind != JQ_JSON_STR)
        return take_int(reading, part, reterr);
    const int priority = jq_priority_of_name(part->text);
    if (priority < 0)
        return wrong(reading, "one of urgent, high, normal, low, background, 0 to 9", reterr);
    reading->spec->priority = priority;
    return JQ_OK;
}

static enum jq_err take_time(struct jqctl_spec_reading *reading, const struct jq_json_part *part,
                             struct jq_error *reterr) {
    int64_t *at = member(reading, reading->field);
    struct jq_error error;
    enum jq_err err = JQ_OK;
    if (part->kind != JQ_JSON_STR)
        return wrong(reading, reading->field->how == HOW_SPAN ? "a text such as \"1h30m\"" : "a text of RFC 3339",
                     reterr);
    if (reading->field->how == HOW_SPAN)
        err = jq_text_parse_duration(part->text, at, &error);
    else
        err = jqctl_when_parse(part->text, at, &error);
    return err == JQ_OK ? JQ_OK : jq_fail(reterr, err, "%s: %s", reading->field->name, error.message);
}

static enum jq_err take_text(struct jqctl_spec_reading *reading, const struct jq_json_part *part,
                             struct jq_error *reterr) {
    if (part->kind != JQ_JSON_STR)
        return wrong(reading, "a text", reterr);
    return keep_text(reading, part->text, member(reading, reading->field), reterr);
}

static enum jq_err take_name(struct jqctl_spec_reading *reading, const struct jq_json_part *part,
                             struct jq_error *reterr) {
    if (part->kind != JQ_JSON_STR)
        return wrong(reading, "a text", reterr);
    return keep_text(reading, part->text, &reading->name, reterr);
}

static enum jq_err begin_headers(struct jqctl_spec_reading *reading, const struct jq_json_part *part,
                                 struct jq_error *reterr) {
    if (part->kind != JQ_JSON_OBJECT_BEGIN)
        return wrong(reading, "an object of texts", reterr);
    reading->headers_max = part->count;
    reading->headers = jqctl_memory_take(reading->memory, part->count * sizeof(*reading->headers));
    if (!reading->headers)
        return jq_fail(reterr, JQ_ERR_NOMEM, "out of memory");
    reading->spec->headers = reading->headers;
    reading->spec->header_count = 0;
    reading->in_headers = true;
    return JQ_OK;
}

static enum jq_err take_header(struct jqctl_spec_reading *reading, const struct jq_json_part *part,
                               struct jq_error *reterr) {
    const char *value = NULL;
    if (part->kind != JQ_JSON_STR)
        return jq_fail(reterr, JQ_ERR_INVALID, "headers.%.64s: not a text", reading->header_name);
    JQ_CHECK(reading->spec->header_count < reading->headers_max);
    const enum jq_err err = keep_text(reading, part->text, &value, reterr);
    if (err == JQ_OK)
        reading->headers[reading->spec->header_count++] = (struct jq_header){reading->header_name, value};
    return err;
}

static enum jq_err take_on(struct jqctl_spec_reading *reading, const struct jq_json_part *part,
                           struct jq_error *reterr) {
    if (part->kind != JQ_JSON_STR || !jq_on_of_name(part->text, &reading->spec->on))
        return wrong(reading, "one of succeeded, finished, failed", reterr);
    return JQ_OK;
}

static enum jq_err begin_after(struct jqctl_spec_reading *reading, const struct jq_json_part *part,
                               struct jq_error *reterr) {
    if (part->kind != JQ_JSON_ARRAY_BEGIN)
        return wrong(reading, "an array", reterr);
    reading->after = jqctl_memory_take(reading->memory, part->count * sizeof(*reading->after));
    if (!reading->after)
        return jq_fail(reterr, JQ_ERR_NOMEM, "out of memory");
    reading->after_count = 0;
    reading->in_after = true;
    return JQ_OK;
}

/* A name or an id: a number is kept as its digits. */
static enum jq_err take_after(struct jqctl_spec_reading *reading, const struct jq_json_part *part,
                              struct jq_error *reterr) {
    char digits[24];
    struct jq_str text = part->text;
    if (part->kind == JQ_JSON_ARRAY_END) {
        reading->in_after = false;
        return JQ_OK;
    }
    if (part->kind == JQ_JSON_INT)
        text = (struct jq_str){digits, (size_t)snprintf(digits, sizeof(digits), "%lld", (long long)part->number)};
    else if (part->kind != JQ_JSON_STR)
        return jq_fail(reterr, JQ_ERR_INVALID, "after: not an array of %s", reading->flow ? "names" : "task ids");
    return keep_text(reading, text, &reading->after[reading->after_count++], reterr);
}

/* ---- files -------------------------------------------------------------------------------------------------------------- */

static enum jq_err check_file_count(const struct jqctl_spec_reading *reading, size_t count, struct jq_error *reterr) {
    return count <= JQ_FILES_COUNT_MAX
               ? JQ_OK
               : jq_fail(reterr, JQ_ERR_TOO_BIG, "%s: more than %d", reading->field->name, JQ_FILES_COUNT_MAX);
}

static enum jq_err begin_inputs(struct jqctl_spec_reading *reading, const struct jq_json_part *part,
                                struct jq_error *reterr) {
    if (part->kind != JQ_JSON_OBJECT_BEGIN)
        return wrong(reading, "an object of hashes", reterr);
    const enum jq_err err = check_file_count(reading, part->count, reterr);
    if (err != JQ_OK)
        return err;
    reading->inputs = jqctl_memory_take(reading->memory, (part->count + 1) * sizeof(*reading->inputs));
    if (!reading->inputs)
        return jq_fail(reterr, JQ_ERR_NOMEM, "out of memory");
    reading->spec->inputs = reading->inputs;
    reading->spec->input_count = 0;
    reading->in_inputs = true;
    return JQ_OK;
}

/* A file's own bytes do not go with a line: they are stored before. */
static enum jq_err take_input(struct jqctl_spec_reading *reading, const struct jq_json_part *part,
                              struct jq_error *reterr) {
    static const char prefix[] = "sha256:";
    struct jq_named_blob *input = &reading->inputs[reading->spec->input_count];
    struct jq_str text = part->kind == JQ_JSON_STR ? part->text : JQ_STR("");
    if (text.size > sizeof(prefix) - 1 && memcmp(text.data, prefix, sizeof(prefix) - 1) == 0)
        text = (struct jq_str){text.data + sizeof(prefix) - 1, text.size - (sizeof(prefix) - 1)};
    if (jq_text_parse_hex(text, input->blob.hash, sizeof(input->blob.hash), NULL) != JQ_OK)
        return jq_fail(
            reterr, JQ_ERR_INVALID,
            "inputs.%.64s: not a SHA-256 in 64 hex digits; `jqctl blob put FILE` stores a file and prints it",
            reading->header_name);
    input->name = reading->header_name;
    reading->spec->input_count++;
    return JQ_OK;
}

static enum jq_err begin_outputs(struct jqctl_spec_reading *reading, const struct jq_json_part *part,
                                 struct jq_error *reterr) {
    if (part->kind != JQ_JSON_ARRAY_BEGIN)
        return wrong(reading, "an array of names", reterr);
    const enum jq_err err = check_file_count(reading, part->count, reterr);
    if (err != JQ_OK)
        return err;
    reading->outputs = jqctl_memory_take(reading->memory, (part->count + 1) * sizeof(*reading->outputs));
    if (!reading->outputs)
        return jq_fail(reterr, JQ_ERR_NOMEM, "out of memory");
    reading->spec->outputs = reading->outputs;
    reading->spec->output_count = 0;
    reading->in_outputs = true;
    return JQ_OK;
}

static enum jq_err take_output(struct jqctl_spec_reading *reading, const struct jq_json_part *part,
                               struct jq_error *reterr) {
    if (part->kind == JQ_JSON_ARRAY_END) {
        reading->in_outputs = false;
        return JQ_OK;
    }
    if (part->kind != JQ_JSON_STR)
        return jq_fail(reterr, JQ_ERR_INVALID, "outputs: not an array of names");
    return keep_text(reading, part->text, &reading->outputs[reading->spec->output_count++], reterr);
}

static enum jq_err take_retry(struct jqctl_spec_reading *reading, const struct jq_json_part *part,
                              struct jq_error *reterr) {
    if (part->kind != JQ_JSON_OBJECT_BEGIN)
        return take_int(reading, part, reterr);
    reading->in_retry = true;
    return JQ_OK;
}

/* ---- the payload: the parts of any value -------------------------------------------------------------------------------- */

static enum jq_err payload_done(struct jqctl_spec_reading *reading, struct jq_error *reterr) {
    uint8_t *copy = jqctl_memory_take(reading->memory, reading->payload.size);
    if (!copy)
        return jq_fail(reterr, JQ_ERR_NOMEM, "out of memory");
    memcpy(copy, reading->payload.data, reading->payload.size);
    reading->spec->payload = copy;
    reading->spec->payload_size = reading->payload.size;
    reading->field = NULL;
    return JQ_OK;
}

static bool is_params(const struct jqctl_spec_reading *reading) {
    return strcmp(reading->field->name, "params") == 0;
}

static enum jq_err begin_payload(struct jqctl_spec_reading *reading, const struct jq_json_part *part,
                                 struct jq_error *reterr) {
    if (reading->payload_field)
        return jq_fail(reterr, JQ_ERR_INVALID, "%s: payload and params exclude each other, and are given once",
                       reading->field->name);
    if (is_params(reading) && part->kind != JQ_JSON_OBJECT_BEGIN)
        return wrong(reading, "an object", reterr);
    reading->payload_field = reading->field;
    return JQ_OK;
}

static enum jq_err take_payload(struct jqctl_spec_reading *reading, const struct jq_json_part *part,
                                struct jq_error *reterr) {
    struct jq_pack pack = jq_pack_of(&reading->payload);
    struct jq_error error;
    if (reading->payload_depth == 0) {
        const enum jq_err begun = begin_payload(reading, part, reterr);
        if (begun != JQ_OK)
            return begun;
    }
    const enum jq_err err = jqctl_payload_part(&pack, part, &error);
    if (err != JQ_OK)
        return jq_fail(reterr, err, "payload: %s", error.message);
    reading->payload_depth += part->kind == JQ_JSON_OBJECT_BEGIN || part->kind == JQ_JSON_ARRAY_BEGIN;
    reading->payload_depth -= part->kind == JQ_JSON_OBJECT_END || part->kind == JQ_JSON_ARRAY_END;
    if (reading->payload_depth > JQCTL_PAYLOAD_DEPTH_MAX)
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "payload: deeper than %d levels", JQCTL_PAYLOAD_DEPTH_MAX);
    return reading->payload_depth == 0 ? payload_done(reading, reterr) : JQ_OK;
}

/* ---- the walk ----------------------------------------------------------------------------------------------------------- */

static enum jq_err take_value(struct jqctl_spec_reading *reading, const struct jq_json_part *part,
                              struct jq_error *reterr) {
    enum jq_err err = JQ_OK;
    int64_t number = 0;
    if (reading->field->how == HOW_PAYLOAD && (part->kind != JQ_JSON_NULL || !is_params(reading)))
        return take_payload(reading, part, reterr);
    if (part->kind != JQ_JSON_NULL) { /* null: as if it were not there */
        switch (reading->field->how) {
        case HOW_TEXT: err = take_text(reading, part, reterr); break;
        case HOW_MS:
            err = take_number(reading, part, &number, reterr);
            *(int64_t *)member(reading, reading->field) = number;
            break;
        case HOW_COUNT: err = take_int(reading, part, reterr); break;
        case HOW_BOOL: err = take_bool(reading, part, reterr); break;
        case HOW_PRIORITY: err = take_priority(reading, part, reterr); break;
        case HOW_RETRY: err = take_retry(reading, part, reterr); break;
        case HOW_HEADERS: err = begin_headers(reading, part, reterr); break;
        case HOW_INPUTS: err = begin_inputs(reading, part, reterr); break;
        case HOW_OUTPUTS: err = begin_outputs(reading, part, reterr); break;
        case HOW_AFTER: err = begin_after(reading, part, reterr); break;
        case HOW_ON: err = take_on(reading, part, reterr); break;
        case HOW_NAME: err = take_name(reading, part, reterr); break;
        default: err = take_time(reading, part, reterr); break;
        }
    }
    reading->field = NULL;
    return err;
}

static enum jq_err take_key(struct jqctl_spec_reading *reading, struct jq_str key, struct jq_error *reterr) {
    const struct jqctl_spec_field *fields = reading->in_retry ? retry_fields : task_fields;
    const size_t count = reading->in_retry ? RETRY_FIELDS_COUNT : TASK_FIELDS_COUNT - !reading->flow;
    const char *names[TASK_FIELDS_COUNT];
    if (reading->in_headers || reading->in_inputs)
        return keep_text(reading, key, &reading->header_name, reterr);
    for (size_t i = 0; i < count; i++) {
        names[i] = fields[i].name;
        if (jq_str_equal(jq_str_of(fields[i].name), key)) {
            reading->field = &fields[i];
            return JQ_OK;
        }
    }
    const char *meant = jq_conf_suggest(key, names, count);
    return jq_fail(reterr, JQ_ERR_INVALID, "%.*s: no such field%s%s%s", (int)(key.size < 64 ? key.size : 64), key.data,
                   meant ? "; did you mean " : "", meant ? meant : "", meant ? "?" : "");
}

static enum jq_err take_end(struct jqctl_spec_reading *reading) {
    if (reading->in_retry || reading->in_headers || reading->in_inputs)
        reading->in_retry = reading->in_headers = reading->in_inputs = false;
    else
        reading->in_task = false;
    return JQ_OK;
}

enum jq_err jqctl_spec_part(struct jqctl_spec_reading *reading, const struct jq_json_part *part,
                            struct jq_error *reterr) {
    if (reading->field)
        return take_value(reading, part, reterr);
    if (reading->in_after)
        return take_after(reading, part, reterr);
    if (reading->in_outputs)
        return take_output(reading, part, reterr);
    if (part->kind == JQ_JSON_KEY && reading->in_task)
        return take_key(reading, part->text, reterr);
    if (part->kind == JQ_JSON_OBJECT_END)
        return take_end(reading);
    if (reading->in_headers)
        return take_header(reading, part, reterr);
    if (reading->in_inputs)
        return take_input(reading, part, reterr);
    if (part->kind != JQ_JSON_OBJECT_BEGIN)
        return jq_fail(reterr, JQ_ERR_INVALID, "not an object");
    reading->in_task = true;
    return JQ_OK;
}

void jqctl_spec_begin(struct jqctl_spec_reading *reading, struct jqctl_memory *memory, struct jq_task_spec *spec,
                      bool flow) {
    *reading = (struct jqctl_spec_reading){.memory = memory, .spec = spec, .flow = flow};
    jq_buf_init(&reading->payload, JQ_PAYLOAD_SIZE_MAX);
}

void jqctl_spec_end(struct jqctl_spec_reading *reading) {
    jq_buf_fini(&reading->payload);
}

/* ---- one line ----------------------------------------------------------------------------------------------------------- */

enum jq_err jqctl_spec_after(const char *const *texts, size_t count, struct jqctl_memory *memory,
                             struct jq_task_spec *spec, struct jq_error *reterr) {
    struct jq_error error;
    jq_task_id *ids = jqctl_memory_take(memory, (count + 1) * sizeof(*ids));
    if (!ids)
        return jq_fail(reterr, JQ_ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        if (jq_text_parse_task_id(jq_str_of(texts[i]), &ids[i], &error) != JQ_OK)
            return jq_fail(reterr, JQ_ERR_INVALID, "after: %s", error.message);
    }
    spec->after = ids;
    spec->after_count = count;
    return JQ_OK;
}

static enum jq_err visit(void *ctx, const struct jq_json_part *part, struct jq_error *reterr) {
    return jqctl_spec_part(ctx, part, reterr);
}

enum jq_err jqctl_spec_of_json(struct jq_str line, struct jqctl_memory *memory, struct jq_task_spec *spec,
                               struct jq_error *reterr) {
    struct jqctl_spec_reading reading;
    jqctl_spec_begin(&reading, memory, spec, false);
    enum jq_err err = jq_json_read(line, JQCTL_PAYLOAD_JSON_SIZE_MAX, visit, &reading, reterr);
    if (err == JQ_OK && reading.after_count > 0)
        err = jqctl_spec_after(reading.after, reading.after_count, memory, spec, reterr);
    jqctl_spec_end(&reading);
    if (err == JQ_OK && !spec->handler)
        return jq_fail(reterr, JQ_ERR_INVALID, "handler: missing");
    return err;
}
