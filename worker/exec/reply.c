#include "worker/exec/reply.h"

#include "common/json_read.h"

#include <endian.h>
#include <stdio.h>

enum { LENGTH_SIZE = 4 };

enum frame_type { TYPE_NONE, TYPE_READY, TYPE_PROGRESS, TYPE_RESULT, TYPE_ERROR };

/* The members of one frame, as read. Texts are copied: the reader lends them for one call. */
struct frame {
    unsigned depth;
    struct jq_buf key;
    struct jq_buf result;
    bool has_result;
    bool result_too_big;
    enum frame_type type;
    char task[JQ_TASK_ID_TEXT_SIZE + 1];
    int64_t permille;
    char text[JQ_REPLY_TEXT_SIZE];
    char message[JQ_REPLY_TEXT_SIZE];
    char service[JQ_NAME_SIZE_MAX + 1];
    enum jq_outcome class;
    bool bad;
};

void jq_exec_reply_init(struct jq_exec_reply *reply, size_t frame_size_max) {
    *reply = (struct jq_exec_reply){.progress_permille = -1};
    jq_buf_init(&reply->pending, LENGTH_SIZE + frame_size_max);
    jq_buf_init(&reply->result, JQ_PAYLOAD_SIZE_MAX);
}

void jq_exec_reply_fini(struct jq_exec_reply *reply) {
    jq_buf_fini(&reply->pending);
    jq_buf_fini(&reply->result);
}

void jq_exec_reply_renew(struct jq_exec_reply *reply) {
    const struct jq_exec_reply before = *reply;
    *reply = (struct jq_exec_reply){.pending = before.pending,
                                    .result = before.result,
                                    .takes_ready = before.takes_ready,
                                    .ready = before.ready,
                                    .progress_permille = -1};
    jq_buf_clear(&reply->pending);
    jq_buf_clear(&reply->result);
}

bool jq_exec_reply_has_word(const struct jq_exec_reply *reply) {
    return reply->has_result || reply->result_too_big || reply->error != JQ_OUTCOME_NONE;
}

bool jq_exec_reply_spoke(const struct jq_exec_reply *reply) {
    return jq_exec_reply_has_word(reply) || reply->progress_permille >= 0 || reply->pending.size > 0 || reply->garbled;
}

static void set_garbled(struct jq_exec_reply *reply, const char *why) {
    reply->garbled = true;
    (void)snprintf(reply->garbled_why, sizeof(reply->garbled_why), "%.127s", why);
    jq_buf_clear(&reply->pending);
}

/* Cut at the size of the place, but never within a UTF-8 character. */
static void copy_text(char *place, size_t place_size, struct jq_str text) {
    size_t size = text.size < place_size ? text.size : place_size - 1;
    while (size > 0 && size < text.size && ((unsigned char)text.data[size] & 0xC0) == 0x80) {
        size--;
    }
    memcpy(place, text.data, size);
    place[size] = '\0';
}

static enum frame_type type_of(struct jq_str name) {
    if (jq_str_equal(name, JQ_STR("progress"))) {
        return TYPE_PROGRESS;
    }
    if (jq_str_equal(name, JQ_STR("ready"))) {
        return TYPE_READY;
    }
    if (jq_str_equal(name, JQ_STR("result"))) {
        return TYPE_RESULT;
    }
    return jq_str_equal(name, JQ_STR("error")) ? TYPE_ERROR : TYPE_NONE;
}

/* Only what a handler may say of itself. */
static enum jq_outcome class_of(struct jq_str name) {
    enum jq_outcome outcome = JQ_OUTCOME_NONE;
    if (jq_outcome_of_name(name, &outcome) && outcome >= JQ_OUTCOME_INVALID_INPUT && outcome <= JQ_OUTCOME_NETWORK) {
        return outcome;
    }
    return JQ_OUTCOME_NONE;
}

static void take_string(struct frame *frame, struct jq_str value) {
    const struct jq_str key = jq_buf_str(&frame->key);
    if (jq_str_equal(key, JQ_STR("type"))) {
        frame->type = type_of(value);
    } else if (jq_str_equal(key, JQ_STR("task"))) {
        copy_text(frame->task, sizeof(frame->task), value);
    } else if (jq_str_equal(key, JQ_STR("text"))) {
        copy_text(frame->text, sizeof(frame->text), value);
    } else if (jq_str_equal(key, JQ_STR("message"))) {
        copy_text(frame->message, sizeof(frame->message), value);
    } else if (jq_str_equal(key, JQ_STR("service"))) {
        frame->bad = frame->bad || !jq_name_valid(value);
        copy_text(frame->service, sizeof(frame->service), value);
    } else if (jq_str_equal(key, JQ_STR("class"))) {
        frame->class = class_of(value);
    } else if (jq_str_equal(key, JQ_STR("result"))) {
        frame->has_result = true;
        jq_buf_append_text(&frame->result, value);
        frame->result_too_big = frame->result.failed;
    }
}

static enum jq_err take_part(void *ctx, const struct jq_json_part *part, struct jq_error *reterr) {
    struct frame *frame = ctx;
    (void)reterr;
    if (part->kind == JQ_JSON_OBJECT_END || part->kind == JQ_JSON_ARRAY_END) {
        frame->depth--;
    } else if (part->kind == JQ_JSON_OBJECT_BEGIN || part->kind == JQ_JSON_ARRAY_BEGIN) {
        frame->bad = frame->bad || (frame->depth == 0 && part->kind == JQ_JSON_ARRAY_BEGIN);
        frame->depth++;
    } else if (frame->depth != 1) {
        frame->bad = frame->bad || frame->depth == 0;
    } else if (part->kind == JQ_JSON_KEY) {
        jq_buf_clear(&frame->key);
        jq_buf_append_text(&frame->key, part->text);
    } else if (part->kind == JQ_JSON_STR) {
        take_string(frame, part->text);
    } else if (part->kind == JQ_JSON_INT && jq_str_equal(jq_buf_str(&frame->key), JQ_STR("permille"))) {
        frame->permille = part->number;
    }
    return JQ_OK;
}

static void apply_result(struct jq_exec_reply *reply, struct frame *frame) {
    if (reply->has_result || reply->result_too_big || !frame->has_result) {
        set_garbled(reply, "result frame without a result, or a second one");
        return;
    }
    reply->result_too_big = frame->result_too_big;
    reply->has_result = !frame->result_too_big;
    jq_buf_append(&reply->result, frame->result.data, frame->result_too_big ? 0 : frame->result.size);
}

static void apply_ready(struct jq_exec_reply *reply, const struct frame *frame) {
    if (frame->type != TYPE_READY || !reply->takes_ready || reply->ready) {
        set_garbled(reply, reply->ready || !reply->takes_ready ? "`ready` out of turn" : "a frame before `ready`");
    }
    reply->ready = true;
}

static bool is_of_another_task(const struct jq_exec_reply *reply, const struct frame *frame) {
    return frame->task[0] != '\0' && reply->task[0] != '\0' && strcmp(frame->task, reply->task) != 0;
}

static void apply(struct jq_exec_reply *reply, struct frame *frame) {
    if (frame->bad || frame->type == TYPE_NONE) {
        set_garbled(reply, "frame of no known type");
    } else if (is_of_another_task(reply, frame)) {
        if (frame->type != TYPE_PROGRESS) {
            set_garbled(reply, "the word of another task");
        }
    } else if (frame->type == TYPE_READY || reply->ready != reply->takes_ready) {
        apply_ready(reply, frame);
    } else if (frame->type == TYPE_RESULT) {
        apply_result(reply, frame);
    } else if (frame->type == TYPE_PROGRESS) {
        const bool in_bounds = frame->permille >= 0 && frame->permille <= 1000;
        reply->progress_permille = in_bounds ? (int32_t)frame->permille : reply->progress_permille;
        memcpy(reply->progress_text, frame->text, sizeof(frame->text));
    } else if (frame->class == JQ_OUTCOME_NONE || reply->error != JQ_OUTCOME_NONE) {
        set_garbled(reply, "error frame without a class, or a second one");
    } else {
        reply->error = frame->class;
        memcpy(reply->message, frame->message, sizeof(frame->message));
        memcpy(reply->service, frame->service, sizeof(frame->service));
    }
}

static void take_frame(struct jq_exec_reply *reply, struct jq_str text) {
    struct frame frame = {.depth = 0};
    struct jq_error error;
    jq_buf_init(&frame.key, text.size + 1);
    jq_buf_init(&frame.result, JQ_PAYLOAD_SIZE_MAX);
    if (jq_json_read(text, text.size, take_part, &frame, &error) == JQ_OK) {
        apply(reply, &frame);
    } else {
        set_garbled(reply, error.message);
    }
    jq_buf_fini(&frame.key);
    jq_buf_fini(&frame.result);
}

static size_t frame_size(const struct jq_buf *pending) {
    uint32_t size = 0;
    memcpy(&size, pending->data, LENGTH_SIZE);
    return le32toh(size);
}

/* The first complete frame of `pending`, if there is one. */
static bool take_pending(struct jq_exec_reply *reply) {
    struct jq_buf *pending = &reply->pending;
    if (reply->garbled || pending->size < LENGTH_SIZE) {
        return false;
    }
    const size_t size = frame_size(pending);
    if (size > pending->size_max - LENGTH_SIZE) {
        set_garbled(reply, "frame larger than 1 MiB");
        return false;
    }
    if (pending->size < LENGTH_SIZE + size) {
        return false;
    }
    take_frame(reply, (struct jq_str){(const char *)pending->data + LENGTH_SIZE, size});
    if (!reply->garbled) {
        pending->size -= LENGTH_SIZE + size;
        memmove(pending->data, pending->data + LENGTH_SIZE + size, pending->size);
    }
    return true;
}

/* Of a process that serves many tasks: what comes behind its word about this one does not change it. */
static bool is_complete(const struct jq_exec_reply *reply) {
    return reply->takes_ready && jq_exec_reply_has_word(reply);
}

void jq_exec_reply_feed(struct jq_exec_reply *reply, struct jq_bytes bytes) {
    while (bytes.size > 0 && !reply->garbled && !is_complete(reply)) {
        const size_t room = reply->pending.size_max - reply->pending.size;
        const size_t step = bytes.size < room ? bytes.size : room;
        jq_buf_append(&reply->pending, bytes.data, step);
        bytes.data += step;
        bytes.size -= step;
        if (reply->pending.failed) {
            set_garbled(reply, "out of memory");
        }
        while (!is_complete(reply) && take_pending(reply)) {
        }
    }
    reply->beyond = reply->beyond || (is_complete(reply) && (bytes.size > 0 || reply->pending.size > 0));
}

void jq_exec_reply_end(struct jq_exec_reply *reply) {
    if (!reply->garbled && reply->pending.size > 0) {
        set_garbled(reply, "channel closed within a frame");
    }
}
