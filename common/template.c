#include "common/template.h"

static const char *const plain_names[] = {"input", "output", "work_dir", "task", "attempt"};
static const char param_prefix[] = "param.";
enum { PLAIN_COUNT = sizeof plain_names / sizeof plain_names[0], PREFIX_SIZE = sizeof param_prefix - 1 };

/* The name within the braces that open at text.data[pos]; empty if these are none of ours. */
static struct jq_str braced_name(struct jq_str text, size_t pos) {
    size_t end = pos + 1;
    while (end < text.size && text.data[end] != '}' && text.data[end] != '{')
        end++;
    const struct jq_str name = {text.data + pos + 1, end - pos - 1};
    const bool closed = end < text.size && text.data[end] == '}';
    return closed && jq_name_valid(name) ? name : JQ_STR("");
}

/* {input.NAME}, {output.NAME}: files, by worker/exec/argv.h. */
static bool is_file(struct jq_str name) {
    static const char *const prefixes[] = {"input.", "output."};
    for (size_t i = 0; i < 2; i++) {
        const size_t size = strlen(prefixes[i]);
        if (name.size > size && memcmp(name.data, prefixes[i], size) == 0 && name.data[size] != '.')
            return true;
    }
    return false;
}

static bool is_plain(struct jq_str name) {
    for (size_t i = 0; i < PLAIN_COUNT; i++)
        if (jq_str_equal(name, jq_str_of(plain_names[i])))
            return true;
    return false;
}

/* The X of {param.X}; empty if it is no parameter. */
static struct jq_str param_name(struct jq_str name) {
    if (name.size <= PREFIX_SIZE || memcmp(name.data, param_prefix, PREFIX_SIZE) != 0)
        return JQ_STR("");
    return (struct jq_str){name.data + PREFIX_SIZE, name.size - PREFIX_SIZE};
}

enum jq_err jq_template_check(struct jq_str word, struct jq_error *reterr) {
    for (size_t pos = 0; pos < word.size; pos++) {
        const struct jq_str name = word.data[pos] == '{' ? braced_name(word, pos) : JQ_STR("");
        if (name.size > 0 && !is_plain(name) && !is_file(name) && param_name(name).size == 0)
            return jq_fail(reterr, JQ_ERR_INVALID,
                           "{%.*s} is none of {input} {output} {input.NAME} {output.NAME} {work_dir} {task} {attempt} "
                           "{param.NAME}",
                           JQ_STR_ARG(name));
    }
    return JQ_OK;
}

bool jq_template_has_params(struct jq_str word) {
    for (size_t pos = 0; pos < word.size; pos++)
        if (word.data[pos] == '{' && param_name(braced_name(word, pos)).size > 0)
            return true;
    return false;
}

/* Appends one parameter and looks at what came. */
static enum jq_err append_param(struct jq_str name, jq_template_param *param, void *ctx, bool opens_word,
                                struct jq_buf *buf, struct jq_error *reterr) {
    const size_t start = buf->size;
    if (!param(ctx, name, buf))
        return jq_fail(reterr, JQ_ERR_INVALID, "payload: parameter '%.*s' is missing", JQ_STR_ARG(name));
    if (buf->failed)
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "payload: parameter '%.*s' is too large", JQ_STR_ARG(name));
    const size_t size = buf->size - start;
    if (size > 0 && memchr(buf->data + start, '\0', size) != NULL)
        return jq_fail(reterr, JQ_ERR_INVALID, "payload: parameter '%.*s' has a NUL byte", JQ_STR_ARG(name));
    if (opens_word && size > 0 && buf->data[start] == '-')
        return jq_fail(reterr, JQ_ERR_INVALID, "payload: parameter '%.*s' begins with '-'", JQ_STR_ARG(name));
    return JQ_OK;
}

enum jq_err jq_template_expand(struct jq_str word, jq_template_param *param, void *ctx, struct jq_buf *buf,
                               struct jq_error *reterr) {
    const size_t start = buf->size;
    for (size_t pos = 0; pos < word.size;) {
        const struct jq_str braced = word.data[pos] == '{' ? braced_name(word, pos) : JQ_STR("");
        const struct jq_str name = param_name(braced);
        if (name.size == 0) {
            jq_buf_append_u8(buf, (uint8_t)word.data[pos++]);
            continue;
        }
        const enum jq_err err = append_param(name, param, ctx, buf->size == start, buf, reterr);
        if (err != JQ_OK)
            return err;
        pos += braced.size + 2;
    }
    return buf->failed ? jq_fail(reterr, JQ_ERR_TOO_BIG, "command: too long") : JQ_OK;
}
