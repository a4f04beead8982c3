#include "tools/jqctl/files.h"

#include <errno.h>
#include <unistd.h>

#include "common/json.h"
#include "tools/jqctl/payload.h"

#define BLOB_PREFIX "sha256:"

static bool option_is(const struct jqctl *ctl, size_t i, const char *name) {
    return strcmp(ctl->args.given[i].option->name, name) == 0;
}

static size_t option_count(const struct jqctl *ctl, const char *name) {
    size_t count = 0;
    for (size_t i = 0; i < ctl->args.given_count; i++)
        count += option_is(ctl, i, name);
    return count;
}

/* "NAME=REST" cut in two; without "=", *ret_rest is NULL. NULL: out of memory. */
static const char *cut(const char *text, struct jqctl_memory *memory, const char **ret_rest) {
    const char *equals = strchr(text, '=');
    const size_t size = equals ? (size_t)(equals - text) : strlen(text);
    char *name = jqctl_memory_take(memory, size + 1);
    *ret_rest = equals ? equals + 1 : NULL;
    if (!name)
        return NULL;
    memcpy(name, text, size);
    name[size] = '\0';
    return name;
}

/* ---- options ------------------------------------------------------------------------------------------------------------ */

static int input_of(const char *text, struct jqctl_memory *memory, struct jq_named_blob *ret_input,
                    const char **ret_path) {
    const char *rest = NULL;
    struct jq_error error;
    ret_input->name = cut(text, memory, &rest);
    if (!ret_input->name)
        return jqctl_fail(EX_OSERR, "out of memory");
    if (!rest || rest[0] == '\0')
        return jqctl_fail(EX_USAGE, "--input: \"%.64s\" is no NAME=FILE", text);
    *ret_path = rest;
    if (strncmp(rest, BLOB_PREFIX, strlen(BLOB_PREFIX)) != 0)
        return JQCTL_DONE;
    *ret_path = NULL;
    if (jq_blob_parse(rest + strlen(BLOB_PREFIX), &ret_input->blob, &error) != JQ_OK)
        return jqctl_fail(EX_USAGE, "--input: %s", error.message);
    return JQCTL_DONE;
}

static int read_inputs(const struct jqctl *ctl, struct jqctl_memory *memory, struct jq_task_spec *spec,
                       struct jqctl_files *files) {
    const size_t count = option_count(ctl, "input");
    struct jq_named_blob *inputs = jqctl_memory_take(memory, (count + 1) * sizeof(*inputs));
    files->paths = jqctl_memory_take(memory, (count + 1) * sizeof(*files->paths));
    if (!inputs || !files->paths)
        return jqctl_fail(EX_OSERR, "out of memory");
    spec->inputs = inputs;
    for (size_t i = 0; i < ctl->args.given_count; i++) {
        if (!option_is(ctl, i, "input"))
            continue;
        const int code =
            input_of(ctl->args.given[i].value, memory, &inputs[spec->input_count], &files->paths[spec->input_count]);
        if (code != JQCTL_DONE)
            return code;
        spec->input_count++;
    }
    return JQCTL_DONE;
}

/* `schedule set` has no --wait. */
static bool waits(const struct jqctl *ctl) {
    return option_count(ctl, "wait") > 0;
}

static int read_outputs(const struct jqctl *ctl, struct jqctl_memory *memory, struct jq_task_spec *spec,
                        struct jqctl_files *files) {
    const size_t count = option_count(ctl, "output");
    const char **names = jqctl_memory_take(memory, (count + 1) * sizeof(*names));
    files->saves = jqctl_memory_take(memory, (count + 1) * sizeof(*files->saves));
    if (!names || !files->saves)
        return jqctl_fail(EX_OSERR, "out of memory");
    spec->outputs = names;
    for (size_t i = 0; i < ctl->args.given_count; i++) {
        if (!option_is(ctl, i, "output"))
            continue;
        const char **save = &files->saves[spec->output_count];
        names[spec->output_count] = cut(ctl->args.given[i].value, memory, save);
        if (!names[spec->output_count])
            return jqctl_fail(EX_OSERR, "out of memory");
        if (*save && !waits(ctl))
            return jqctl_fail(EX_USAGE, "--output %.64s: a FILE needs --wait; `jqctl blob get` fetches it later",
                              ctl->args.given[i].value);
        spec->output_count++;
    }
    return JQCTL_DONE;
}

int jqctl_files_of_options(const struct jqctl *ctl, struct jqctl_memory *memory, struct jq_task_spec *spec,
                           struct jqctl_files *ret_files) {
    const int code = read_inputs(ctl, memory, spec, ret_files);
    return code == JQCTL_DONE ? read_outputs(ctl, memory, spec, ret_files) : code;
}

/* ---- parameters --------------------------------------------------------------------------------------------------------- */

/* A value that is JSON stands for what it says, anything else for itself: 0.05 is a number, M8 a text. */
static void write_param(struct jq_json *json, const char *name, const char *value) {
    struct jq_buf packed;
    jq_buf_init(&packed, JQ_PAYLOAD_SIZE_MAX);
    if (jqctl_payload_pack(jq_str_of(value), &packed, NULL) == JQ_OK) {
        jq_json_key(json, jq_str_of(name));
        jqctl_payload_write(jq_buf_bytes(&packed), json);
    } else {
        jq_json_put_text(json, name, value);
    }
    jq_buf_fini(&packed);
}

static int write_params(const struct jqctl *ctl, struct jqctl_memory *memory, struct jq_json *json) {
    jq_json_object_begin(json);
    for (size_t i = 0; i < ctl->args.given_count; i++) {
        const char *value = NULL;
        if (!option_is(ctl, i, "param"))
            continue;
        const char *name = cut(ctl->args.given[i].value, memory, &value);
        if (!name)
            return jqctl_fail(EX_OSERR, "out of memory");
        if (!value || name[0] == '\0')
            return jqctl_fail(EX_USAGE, "--param: \"%.64s\" is no NAME=VALUE", ctl->args.given[i].value);
        write_param(json, name, value);
    }
    jq_json_object_end(json);
    return JQCTL_DONE;
}

int jqctl_files_params(const struct jqctl *ctl, struct jqctl_memory *memory, struct jq_task_spec *spec) {
    struct jq_buf text;
    struct jq_json json;
    if (!jqctl_given(&ctl->args, "param"))
        return JQCTL_DONE;
    if (jqctl_given(&ctl->args, "payload"))
        return jqctl_fail(EX_USAGE, "--param and --payload exclude each other");
    jq_buf_init(&text, JQCTL_PAYLOAD_JSON_SIZE_MAX);
    jq_json_init(&json, &text);
    int code = write_params(ctl, memory, &json);
    if (code == JQCTL_DONE)
        code = jqctl_spec_keep_json("--param", jq_buf_str(&text), memory, spec);
    jq_buf_fini(&text);
    return code;
}

/* ---- to the broker and back --------------------------------------------------------------------------------------------- */

int jqctl_file_put(struct jqctl *ctl, const char *what, const char *path, struct jq_blob *ret_blob) {
    struct jq_error error;
    if (access(path, R_OK) != 0)
        return jqctl_fail(EX_NOINPUT, "%s: %s: %s", what, path, strerror(errno));
    return jq_blob_put_file(ctl->client, path, ret_blob, &error) == JQ_OK ? JQCTL_DONE : jqctl_fail_err(what, &error);
}

int jqctl_files_put(struct jqctl *ctl, const struct jqctl_files *files, struct jq_task_spec *spec) {
    struct jq_named_blob *inputs = (struct jq_named_blob *)(uintptr_t)spec->inputs;
    for (size_t i = 0; i < spec->input_count; i++) {
        const int code =
            files->paths[i] ? jqctl_file_put(ctl, inputs[i].name, files->paths[i], &inputs[i].blob) : JQCTL_DONE;
        if (code != JQCTL_DONE)
            return code;
    }
    return JQCTL_DONE;
}

int jqctl_files_get(struct jqctl *ctl, const struct jqctl_files *files, const struct jq_task_spec *spec,
                    struct jq_view row) {
    const struct jq_view outputs = jq_view_get(jq_view_get(row, "detail"), "outputs");
    for (size_t i = 0; i < spec->output_count; i++) {
        char text[JQ_BLOB_TEXT_SIZE] = "";
        struct jq_blob blob;
        struct jq_error error;
        const struct jq_str hash = jq_view_str(outputs, spec->outputs[i]);
        if (!files->saves[i])
            continue;
        if (hash.size != sizeof(text) - 1)
            return jqctl_fail(JQCTL_FAILED, "%s: the handler made no such output", spec->outputs[i]);
        memcpy(text, hash.data, hash.size);
        if (jq_blob_parse(text, &blob, &error) != JQ_OK ||
            jq_blob_get_file(ctl->client, &blob, files->saves[i], &error) != JQ_OK)
            return jqctl_fail_err(spec->outputs[i], &error);
    }
    return JQCTL_DONE;
}
