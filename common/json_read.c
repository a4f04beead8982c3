#include "common/json_read.h"

#include <jansson.h>

struct walk {
    enum jq_err (*visit)(void *ctx, const struct jq_json_part *part, struct jq_error *reterr);
    void *ctx;
    struct jq_error *reterr;
};

static enum jq_err tell(const struct walk *walk, struct jq_json_part part) {
    return walk->visit(walk->ctx, &part, walk->reterr);
}

static enum jq_err walk_value(const struct walk *walk, const json_t *value);

static enum jq_err walk_members(const struct walk *walk, json_t *object) {
    const char *key;
    size_t key_size;
    json_t *member;
    json_object_keylen_foreach(object, key, key_size, member) {
        enum jq_err err = tell(walk, (struct jq_json_part){.kind = JQ_JSON_KEY, .text = {key, key_size}});
        if (!err)
            err = walk_value(walk, member);
        if (err)
            return err;
    }
    return JQ_OK;
}

static enum jq_err walk_items(const struct walk *walk, const json_t *array) {
    for (size_t i = 0; i < json_array_size(array); i++) {
        const enum jq_err err = walk_value(walk, json_array_get(array, i));
        if (err)
            return err;
    }
    return JQ_OK;
}

static enum jq_err walk_container(const struct walk *walk, const json_t *value) {
    const bool is_object = json_is_object(value);
    struct jq_json_part part = {.kind = is_object ? JQ_JSON_OBJECT_BEGIN : JQ_JSON_ARRAY_BEGIN};
    part.count = is_object ? json_object_size(value) : json_array_size(value);
    enum jq_err err = tell(walk, part);
    if (err)
        return err;
    /* The iteration of jansson wants the object without const, though it changes nothing. */
    err = is_object ? walk_members(walk, (json_t *)(uintptr_t)value) : walk_items(walk, value);
    if (err)
        return err;
    return tell(walk, (struct jq_json_part){.kind = is_object ? JQ_JSON_OBJECT_END : JQ_JSON_ARRAY_END});
}

static enum jq_err walk_value(const struct walk *walk, const json_t *value) {
    struct jq_json_part part = {.kind = JQ_JSON_NULL};
    switch (json_typeof(value)) {
    case JSON_OBJECT:
    case JSON_ARRAY: return walk_container(walk, value);
    case JSON_STRING:
        part.kind = JQ_JSON_STR;
        part.text = (struct jq_str){json_string_value(value), json_string_length(value)};
        break;
    case JSON_INTEGER:
        part.kind = JQ_JSON_INT;
        part.number = json_integer_value(value);
        break;
    case JSON_REAL:
        part.kind = JQ_JSON_DOUBLE;
        part.real = json_real_value(value);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        part.kind = JQ_JSON_BOOL;
        part.boolean = json_is_true(value);
        break;
    case JSON_NULL: break;
    }
    return tell(walk, part);
}

/* Brackets open at most, outside strings. Looked at before parsing, so that the parser's own recursion is bounded too.
 */
static bool is_too_deep(struct jq_str text) {
    bool in_string = false;
    size_t depth = 0;
    for (size_t i = 0; i < text.size; i++) {
        const char c = text.data[i];
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '{' || c == '['))
            depth++;
        else if (!in_string && (c == '}' || c == ']') && depth > 0)
            depth--;
        if (depth > JQ_JSON_READ_DEPTH_MAX)
            return true;
    }
    return false;
}

static enum jq_err parse(struct jq_str text, json_t **ret_root, struct jq_error *reterr) {
    json_error_t error;
    json_t *root = json_loadb(text.data ? text.data : "", text.size, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
    if (root) {
        *ret_root = root;
        return JQ_OK;
    }
    if (json_error_code(&error) == json_error_out_of_memory)
        return jq_fail(reterr, JQ_ERR_NOMEM, "JSON: out of memory");
    return jq_fail(reterr, JQ_ERR_INVALID, "JSON: line %d, column %d: %s", error.line, error.column, error.text);
}

enum jq_err jq_json_read(struct jq_str text, size_t size_max,
                         enum jq_err (*visit)(void *ctx, const struct jq_json_part *part, struct jq_error *reterr),
                         void *ctx, struct jq_error *reterr) {
    if (text.size > size_max)
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "JSON: %zu bytes, at most %zu are allowed", text.size, size_max);
    if (is_too_deep(text))
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "JSON: more than %d levels deep", JQ_JSON_READ_DEPTH_MAX);
    json_t *root = NULL;
    enum jq_err err = parse(text, &root, reterr);
    if (err)
        return err;
    const struct walk walk = {visit, ctx, reterr};
    err = walk_value(&walk, root);
    json_decref(root);
    return err;
}
