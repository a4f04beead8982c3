/* spec.c - a task to submit, by the options of the command line. */
#include "tools/jqctl/spec.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/text.h"
#include "tools/jqctl/payload.h"
#include "tools/jqctl/when.h"

enum { CHUNK_SIZE = 256 * 1024 };

/* ---- memory ------------------------------------------------------------------------------------------------------------- */

struct jqctl_chunk {
    struct jqctl_chunk *next;
    size_t used, size;
    max_align_t data[];
};

void *jqctl_memory_take(struct jqctl_memory *memory, size_t size) {
    struct jqctl_chunk *chunk = memory->chunks;
    const size_t aligned = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    if (!chunk || chunk->size - chunk->used < aligned) {
        const size_t room = aligned > CHUNK_SIZE ? aligned : CHUNK_SIZE;
        chunk = malloc(sizeof(*chunk) + room);
        if (!chunk)
            return NULL;
        *chunk = (struct jqctl_chunk){.next = memory->chunks, .size = room};
        memory->chunks = chunk;
    }
    void *taken = (char *)chunk->data + chunk->used;
    chunk->used += aligned;
    memory->size += aligned;
    return taken;
}

void jqctl_memory_free(struct jqctl_memory *memory) {
    while (memory->chunks) {
        struct jqctl_chunk *chunk = memory->chunks;
        memory->chunks = chunk->next;
        free(chunk);
    }
    memory->size = 0;
}

/* ---- options ------------------------------------------------------------------------------------------------------------ */

int jqctl_spec_priority(const struct jqctl *ctl, int *ret_priority) {
    const char *text = jqctl_value(&ctl->args, "priority");
    if (!text)
        return JQCTL_DONE;
    const int priority = jq_priority_of_name(jq_str_of(text));
    if (priority < 0)
        return jqctl_fail(EX_USAGE, "--priority: \"%.32s\" is none of urgent, high, normal, low, background, 0 to 9",
                          text);
    *ret_priority = priority;
    return JQCTL_DONE;
}

/* The value of an option that not every command that makes tasks has. */
static const char *value_if(const struct jqctl *ctl, const char *name) {
    const struct jqctl_command *command = ctl->args.command;
    for (size_t i = 0; i < command->option_count; i++) {
        if (strcmp(command->options[i].name, name) == 0)
            return jqctl_value(&ctl->args, name);
    }
    return NULL;
}

static int option_when(const struct jqctl *ctl, const char *name, int64_t *ret_ms) {
    const char *text = value_if(ctl, name);
    struct jq_error error;
    if (text && jqctl_when_parse_near(jq_str_of(text), jq_clock_wall_ms(), 1, ret_ms, &error) != JQ_OK)
        return jqctl_fail(EX_USAGE, "--%s: %s", name, error.message);
    return JQCTL_DONE;
}

int jqctl_spec_retry(const struct jqctl *ctl, int *ret_retry) {
    uint64_t retry = 0;
    const int code = jqctl_option_uint(ctl, "retry", JQ_RETRY_COUNT_MAX, &retry);
    if (code == JQCTL_DONE && jqctl_given(&ctl->args, "retry"))
        *ret_retry = (int)retry;
    return code;
}

/* "NAME=VALUE" cut in two. */
static int header_of(const char *text, struct jqctl_memory *memory, struct jq_header *ret_header) {
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return jqctl_fail(EX_USAGE, "--header: \"%.64s\" is no NAME=VALUE", text);
    char *name = jqctl_memory_take(memory, (size_t)(equals - text) + 1);
    if (!name)
        return jqctl_fail(EX_OSERR, "out of memory");
    memcpy(name, text, (size_t)(equals - text));
    name[equals - text] = '\0';
    *ret_header = (struct jq_header){name, equals + 1};
    return JQCTL_DONE;
}

/* --after ID,ID.. and --on. */
static int option_after(const struct jqctl *ctl, struct jqctl_memory *memory, struct jq_task_spec *spec) {
    const char *list = value_if(ctl, "after"), *on = value_if(ctl, "on");
    const char *texts[JQ_AFTER_COUNT_MAX];
    struct jq_error error;
    size_t count = 0;
    if (on && !jq_on_of_name(jq_str_of(on), &spec->on))
        return jqctl_fail(EX_USAGE, "--on: \"%.32s\" is none of succeeded, finished, failed", on);
    if (!list)
        return on ? jqctl_fail(EX_USAGE, "--on without --after") : JQCTL_DONE;
    char *copy = jqctl_memory_take(memory, strlen(list) + 1);
    if (!copy)
        return jqctl_fail(EX_OSERR, "out of memory");
    memcpy(copy, list, strlen(list) + 1);
    for (char *at = copy; at && count < JQ_AFTER_COUNT_MAX;) {
        texts[count++] = at;
        at = strchr(at, ',');
        if (at)
            *at++ = '\0';
    }
    if (jqctl_spec_after(texts, count, memory, spec, &error) != JQ_OK)
        return jqctl_fail(EX_USAGE, "--%s", error.message);
    return JQCTL_DONE;
}

int jqctl_spec_headers(const struct jqctl *ctl, struct jqctl_memory *memory, struct jq_task_spec *spec) {
    struct jq_header *headers = jqctl_memory_take(memory, ctl->args.given_count * sizeof(*headers));
    if (!headers)
        return jqctl_fail(EX_OSERR, "out of memory");
    spec->headers = headers;
    for (size_t i = 0; i < ctl->args.given_count; i++) {
        if (strcmp(ctl->args.given[i].option->name, "header") != 0)
            continue;
        const int code = header_of(ctl->args.given[i].value, memory, &headers[spec->header_count]);
        if (code != JQCTL_DONE)
            return code;
        spec->header_count++;
    }
    return JQCTL_DONE;
}

/* What the broker would refuse, in the words of options. */
static int check_unique(const struct jqctl *ctl, const struct jq_task_spec *spec) {
    const char *mode = spec->unique;
    if (value_if(ctl, "from-jsonl"))
        return JQCTL_DONE; /* lines may say the rest */
    if (mode && strcmp(mode, "none") != 0 && !spec->key)
        return jqctl_fail(EX_USAGE, "--unique without --key");
    if (mode && spec->unique_ms == 0 && (strcmp(mode, "throttle") == 0 || strcmp(mode, "debounce") == 0))
        return jqctl_fail(EX_USAGE, "--unique %s wants --unique-for DURATION", mode);
    return JQCTL_DONE;
}

int jqctl_spec_of_options(const struct jqctl *ctl, const char *handler, struct jqctl_memory *memory,
                          struct jq_task_spec *ret_spec) {
    struct jq_task_spec spec = jq_task(handler);
    spec.queue = jqctl_value(&ctl->args, "queue");
    spec.need = jqctl_value(&ctl->args, "need");
    spec.want = value_if(ctl, "want");
    spec.key = value_if(ctl, "key");
    spec.unique = value_if(ctl, "unique");
    spec.group = value_if(ctl, "group");
    spec.no_cache = jqctl_given(&ctl->args, "no-cache");
    int code = jqctl_spec_priority(ctl, &spec.priority);
    code = code == JQCTL_DONE ? jqctl_option_duration(ctl, "delay", &spec.delay_ms) : code;
    if (code == JQCTL_DONE && value_if(ctl, "unique-for"))
        code = jqctl_option_duration(ctl, "unique-for", &spec.unique_ms);
    code = code == JQCTL_DONE ? option_when(ctl, "eta", &spec.eta_ms) : code;
    code = code == JQCTL_DONE ? option_when(ctl, "expires", &spec.expires_ms) : code;
    code = code == JQCTL_DONE ? jqctl_spec_retry(ctl, &spec.retry_max) : code;
    code = code == JQCTL_DONE ? jqctl_option_duration(ctl, "soft-limit", &spec.soft_limit_ms) : code;
    code = code == JQCTL_DONE ? jqctl_option_duration(ctl, "hard-limit", &spec.hard_limit_ms) : code;
    code = code == JQCTL_DONE ? jqctl_option_duration(ctl, "result-ttl", &spec.result_ttl_ms) : code;
    code = code == JQCTL_DONE ? jqctl_spec_headers(ctl, memory, &spec) : code;
    code = code == JQCTL_DONE ? option_after(ctl, memory, &spec) : code;
    if (code == JQCTL_DONE && spec.delay_ms > 0 && spec.eta_ms > 0)
        code = jqctl_fail(EX_USAGE, "--delay and --eta exclude each other");
    if (code == JQCTL_DONE)
        code = check_unique(ctl, &spec);
    if (code == JQCTL_DONE)
        *ret_spec = spec;
    return code;
}

/* ---- the payload -------------------------------------------------------------------------------------------------------- */

static int keep_payload(struct jq_bytes bytes, struct jqctl_memory *memory, struct jq_task_spec *spec) {
    uint8_t *copy = jqctl_memory_take(memory, bytes.size + 1);
    if (!copy)
        return jqctl_fail(EX_OSERR, "out of memory");
    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    spec->payload = copy;
    spec->payload_size = bytes.size;
    return JQCTL_DONE;
}

int jqctl_spec_keep_json(const char *origin, struct jq_str text, struct jqctl_memory *memory,
                         struct jq_task_spec *spec) {
    struct jq_buf packed;
    struct jq_error error;
    jq_buf_init(&packed, JQ_PAYLOAD_SIZE_MAX);
    const enum jq_err err = jqctl_payload_pack(text, &packed, &error);
    const int code = err == JQ_OK ? keep_payload(jq_buf_bytes(&packed), memory, spec)
                                  : jqctl_fail(jqctl_exit_of(err), "%s: %s", origin, error.message);
    jq_buf_fini(&packed);
    return code;
}

static bool ends_in(const char *text, const char *end) {
    const size_t size = strlen(text), end_size = strlen(end);
    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

static int payload_of_file(const char *path, bool json, struct jqctl_memory *memory, struct jq_task_spec *spec) {
    struct jq_buf text;
    int code = jqctl_read_file(path, json ? JQCTL_PAYLOAD_JSON_SIZE_MAX : JQ_PAYLOAD_SIZE_MAX, &text);
    if (code == JQCTL_DONE)
        code = json ? jqctl_spec_keep_json(strcmp(path, "-") == 0 ? "stdin" : path, jq_buf_str(&text), memory, spec)
                    : keep_payload(jq_buf_bytes(&text), memory, spec);
    jq_buf_fini(&text);
    return code;
}

int jqctl_spec_payload(const struct jqctl *ctl, struct jqctl_memory *memory, struct jq_task_spec *spec) {
    const char *given = jqctl_value(&ctl->args, "payload");
    const bool raw = jqctl_given(&ctl->args, "raw");
    if (!given)
        return raw ? jqctl_fail(EX_USAGE, "--raw without --payload") : JQCTL_DONE;
    if (strcmp(given, "-") == 0)
        return payload_of_file(given, !raw, memory, spec);
    if (given[0] == '@')
        return payload_of_file(given + 1, !raw && ends_in(given, ".json"), memory, spec);
    if (!raw)
        return jqctl_spec_keep_json("--payload", jq_str_of(given), memory, spec);
    if (strlen(given) > JQ_PAYLOAD_SIZE_MAX)
        return jqctl_fail(EX_DATAERR, "--payload: larger than %d bytes", JQ_PAYLOAD_SIZE_MAX);
    return keep_payload((struct jq_bytes){(const uint8_t *)given, strlen(given)}, memory, spec);
}
