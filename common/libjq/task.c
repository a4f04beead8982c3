/* task.c - one task as the protocol carries it. */
#include "common/libjq/submit.h"
#include "common/text.h"

enum { AFTER_ID_SIZE = 9 };

struct jq_task_spec jq_task(const char *handler) {
    return (struct jq_task_spec){.handler = handler, .priority = -1, .retry_max = -1};
}

size_t jq_task_size(const struct jq_task_spec *task) {
    size_t size = 256 + AFTER_ID_SIZE * task->after_count + task->payload_size + strlen(task->handler);
    size += (task->queue ? strlen(task->queue) : 0) + (task->need ? strlen(task->need) : 0) +
            (task->want ? strlen(task->want) : 0);
    size += task->key ? strlen(task->key) : 0;
    size += task->group ? strlen(task->group) : 0;
    for (size_t i = 0; i < task->input_count; i++) {
        size += 4 + JQ_BLOB_TEXT_SIZE + strlen(task->inputs[i].name);
    }
    for (size_t i = 0; i < task->output_count; i++) {
        size += 2 + strlen(task->outputs[i]);
    }
    for (size_t i = 0; i < task->header_count; i++) {
        size += 10 + strlen(task->headers[i].name) + strlen(task->headers[i].value);
    }
    return size;
}

size_t jq_task_room(const struct jq_task_spec *task) {
    const bool plain = !task->key && !task->group && task->after_count == 0 && !task->need && !task->want &&
                       task->header_count == 0 && task->delay_ms == 0 && task->eta_ms == 0 && task->expires_ms == 0 &&
                       task->retry_max < 0 && task->input_count == 0 && task->output_count == 0;
    return plain ? 72 + task->payload_size + strlen(task->handler) + (task->queue ? strlen(task->queue) : 0)
                 : jq_task_size(task);
}

static bool has_retry(const struct jq_task_spec *task) {
    return task->retry_max >= 0 || task->retry_base_ms > 0 || task->retry_cap_ms > 0;
}

static size_t optional_ms(struct jq_pack *pack, unsigned place, int64_t value) {
    if (value == 0) {
        return 0;
    }
    jq_pack_field_ms(pack, &jq_message_task, place, value);
    return 1;
}

static size_t optional_text(struct jq_pack *pack, unsigned place, const char *value) {
    if (!value) {
        return 0;
    }
    jq_pack_field_str(pack, &jq_message_task, place, jq_str_of(value));
    return 1;
}

static void pack_retry(struct jq_pack *pack, const struct jq_task_spec *task) {
    jq_pack_key(pack, &jq_message_task, JQ_AT_TASK_RETRY);
    jq_pack_map(pack, (size_t)(task->retry_max >= 0) + (task->retry_base_ms > 0) + (task->retry_cap_ms > 0));
    if (task->retry_max >= 0) {
        jq_pack_field_uint(pack, &jq_message_retry, JQ_AT_RETRY_MAX, (uint64_t)task->retry_max);
    }
    if (task->retry_base_ms > 0) {
        jq_pack_field_ms(pack, &jq_message_retry, JQ_AT_RETRY_BASE, task->retry_base_ms);
    }
    if (task->retry_cap_ms > 0) {
        jq_pack_field_ms(pack, &jq_message_retry, JQ_AT_RETRY_CAP, task->retry_cap_ms);
    }
}

static void pack_headers(struct jq_pack *pack, const struct jq_task_spec *task) {
    jq_pack_key(pack, &jq_message_task, JQ_AT_TASK_HEADERS);
    jq_pack_map(pack, task->header_count);
    for (size_t i = 0; i < task->header_count; i++) {
        jq_pack_str(pack, jq_str_of(task->headers[i].name));
        jq_pack_str(pack, jq_str_of(task->headers[i].value));
    }
}

static size_t pack_after(struct jq_pack *pack, const struct jq_task_spec *task) {
    if (task->after_count == 0) {
        return 0;
    }
    jq_pack_key(pack, &jq_message_task, JQ_AT_TASK_AFTER);
    jq_pack_array(pack, task->after_count);
    for (size_t i = 0; i < task->after_count; i++) {
        jq_pack_uint(pack, task->after[i].value);
    }
    return 1 + optional_text(pack, JQ_AT_TASK_ON, task->on ? jq_on_name(task->on) : NULL);
}

static size_t pack_files(struct jq_pack *pack, const struct jq_task_spec *task) {
    char text[JQ_BLOB_TEXT_SIZE];
    if (task->input_count > 0) {
        jq_pack_key(pack, &jq_message_task, JQ_AT_TASK_INPUTS);
        jq_pack_map(pack, task->input_count);
        for (size_t i = 0; i < task->input_count; i++) {
            jq_pack_str(pack, jq_str_of(task->inputs[i].name));
            jq_pack_str(pack, jq_str_of(jq_text_format_hex(
                                  (struct jq_bytes){task->inputs[i].blob.hash, JQ_BLOB_HASH_SIZE}, text)));
        }
    }
    if (task->output_count > 0) {
        jq_pack_key(pack, &jq_message_task, JQ_AT_TASK_OUTPUTS);
        jq_pack_array(pack, task->output_count);
        for (size_t i = 0; i < task->output_count; i++) {
            jq_pack_str(pack, jq_str_of(task->outputs[i]));
        }
    }
    return (size_t)(task->input_count > 0) + (size_t)(task->output_count > 0);
}

static size_t pack_rare(struct jq_pack *pack, const struct jq_task_spec *task) {
    size_t count = optional_ms(pack, JQ_AT_TASK_DELAY, task->delay_ms);
    count += optional_ms(pack, JQ_AT_TASK_ETA, task->eta_ms);
    count += optional_ms(pack, JQ_AT_TASK_EXPIRES, task->expires_ms);
    count += optional_text(pack, JQ_AT_TASK_NEED, task->need);
    count += optional_text(pack, JQ_AT_TASK_WANT, task->want);
    count += optional_text(pack, JQ_AT_TASK_KEY, task->key);
    count += optional_text(pack, JQ_AT_TASK_UNIQUE, task->unique);
    count += optional_ms(pack, JQ_AT_TASK_UNIQUE_MS, task->unique_ms);
    count += optional_text(pack, JQ_AT_TASK_GROUP, task->group);
    if (has_retry(task)) {
        pack_retry(pack, task);
        count++;
    }
    count += optional_ms(pack, JQ_AT_TASK_SOFT_LIMIT, task->soft_limit_ms);
    count += optional_ms(pack, JQ_AT_TASK_HARD_LIMIT, task->hard_limit_ms);
    count += optional_ms(pack, JQ_AT_TASK_RESULT_TTL, task->result_ttl_ms);
    if (task->header_count > 0) {
        pack_headers(pack, task);
        count++;
    }
    if (task->no_cache) {
        jq_pack_field_bool(pack, &jq_message_task, JQ_AT_TASK_NO_CACHE, true);
        count++;
    }
    return count + pack_files(pack, task) + pack_after(pack, task);
}

void jq_task_pack(struct jq_pack *pack, const struct jq_task_spec *task) {
    const size_t hole = jq_pack_map_begin(pack);
    size_t count = 1;
    jq_pack_field_str(pack, &jq_message_task, JQ_AT_TASK_HANDLER, jq_str_of(task->handler));
    count += optional_text(pack, JQ_AT_TASK_QUEUE, task->queue);
    if (task->payload_size > 0) {
        jq_pack_field_bin(pack, &jq_message_task, JQ_AT_TASK_PAYLOAD,
                          (struct jq_bytes){task->payload, task->payload_size});
        count++;
    }
    if (task->priority >= 0) {
        jq_pack_field_uint(pack, &jq_message_task, JQ_AT_TASK_PRIORITY, (uint64_t)task->priority);
        count++;
    }
    count += pack_rare(pack, task);
    jq_pack_end(pack, hole, count);
}

enum jq_err jq_task_check(const struct jq_task_spec *tasks, size_t count, struct jq_error *reterr) {
    for (size_t i = 0; i < count; i++) {
        if (!tasks[i].handler) {
            return jq_fail(reterr, JQ_ERR_INVALID, "task %zu: handler: missing", i);
        }
        if (tasks[i].payload_size > JQ_PAYLOAD_SIZE_MAX) {
            return jq_fail(reterr, JQ_ERR_TOO_BIG, "task %zu: payload: %zu bytes, at most %d", i, tasks[i].payload_size,
                           JQ_PAYLOAD_SIZE_MAX);
        }
        if (jq_task_size(&tasks[i]) > JQ_TASK_SIZE_MAX + 1024) {
            return jq_fail(reterr, JQ_ERR_TOO_BIG, "task %zu: larger than %d bytes", i, JQ_TASK_SIZE_MAX);
        }
    }
    return JQ_OK;
}
