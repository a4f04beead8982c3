#include "broker/shell/answers.h"

#include <pthread.h>
#include <stdlib.h>

#include "broker/shell/blobs.h"
#include "broker/shell/bodies.h"
#include "broker/shell/encode.h"
#include "broker/shell/threads.h"
#include "common/clock.h"
#include "common/list.h"
#include "common/log.h"
#include "common/transport/guard.h"
#include "common/transport/server.h"

enum kind {
    KIND_REPLY,  /* encoded: `frame` */
    KIND_UNREAD, /* its bodies must be read first: `reply` */
    KIND_DROP,
    KIND_NOTICE,
    KIND_DROP_BLOB,
};

struct outgoing {
    struct jq_release_item item;
    enum kind kind;
    struct jq_call *call;
    struct jq_frame *frame;
    int64_t arrived_ns; /* of a submit; 0: not measured */

    struct jq_reply_effect *reply; /* owned */
    uint64_t step_lsn;
    struct jq_list unread;   /* in answers->unread, from the making to the sending */
    struct jq_list readable; /* in answers->readable, from the release on */

    size_t worker_size;
    char worker[JQ_NAME_SIZE_MAX];

    uint8_t blob[JQ_BLOB_HASH_SIZE];
    uint32_t blob_version;
};

/* What one thread needs to encode replies. */
struct desk {
    struct jq_bodies bodies;
    struct jq_buf frame;
};

struct jq_answers {
    struct jq_answers_config config;
    struct desk core_desk, reader_desk;

    pthread_mutex_t lock; /* of the lists */
    pthread_cond_t changed;
    struct jq_list unread;   /* oldest first */
    struct jq_list readable; /* released */
};

static struct jq_call *call_of(uint64_t call) {
    return (struct jq_call *)(uintptr_t)call;
}

static struct outgoing *outgoing_of(struct jq_release_item *item) {
    return JQ_CONTAINER_OF(item, struct outgoing, item);
}

/* ---- encoding ---- */

struct encoding {
    struct jq_answers *answers;
    struct desk *desk;
    const struct jq_reply_effect *reply;
};

static bool find_body(void *ctx, struct jq_body_ref ref, struct jq_bytes *ret_body) {
    struct encoding *encoding = ctx;
    return jq_bodies_find(&encoding->desk->bodies, ref, ret_body);
}

/* A task whose body is damaged, as read_body() has found and said; or one that a frame cannot hold, which the core's account of an
 * answer rules out. The next attempt would come here again. */
static void tell_unsent(void *ctx, size_t item, enum jq_err why) {
    const struct encoding *encoding = ctx;
    const struct jq_answers_config *config = &encoding->answers->config;
    const struct jq_lease_item *lease = &encoding->reply->u.lease.items[item];
    if (why != JQ_ERR_CORRUPT)
        JQ_LOG_ERROR("ALERT: a task does not fit into a lease answer", JQ_F_UINT("task", lease->task.value),
                     JQ_F_UINT("lsn", lease->body.lsn), JQ_F_STR("reason", jq_err_text(why)));
    config->damaged(config->ctx, (struct jq_held){.task = lease->task, .token = lease->token});
}

/* The frame of a reply whose bodies are on the desk. NULL: out of memory. */
static struct jq_frame *encode(struct jq_answers *answers, struct desk *desk, const struct jq_reply_effect *reply) {
    struct encoding encoding = {.answers = answers, .desk = desk, .reply = reply};
    const struct jq_encode_context context = {
        .durability = answers->config.durability,
        .blob_piece_max = reply->op == JQ_OP_BLOB_PUT ? jq_blobs_piece_max(call_of(reply->call)) : 0,
        .ctx = &encoding,
        .body = find_body,
        .unsent = tell_unsent};
    struct jq_error error;
    if (jq_encode_reply(&desk->frame, reply, &context, &error) == JQ_OK)
        return jq_frame_copy(jq_buf_bytes(&desk->frame));
    JQ_LOG_ERROR("an answer cannot be encoded", JQ_F_STR("op", jq_op_name(reply->op)), JQ_F_ERR(&error));
    return NULL;
}

static void count_reply(struct jq_answers *answers, const struct jq_reply_effect *reply) {
    if (reply->op < JQ_OP_END && reply->status <= JQ_REPLY_UNAVAILABLE)
        jq_count(&answers->config.metrics->replies[reply->op][reply->status], 1);
}

/* ---- bodies that are in memory ---- */

struct gathering {
    struct jq_engine *engine;
    struct jq_bodies *bodies;
    bool missing;
};

static void gather(void *ctx, jq_task_id task, struct jq_body_ref ref) {
    struct gathering *gathering = ctx;
    (void)task;
    if (gathering->missing)
        return;
    const uint8_t *record = jq_engine_find(gathering->engine, ref.lsn, ref.size);
    gathering->missing = record == NULL || !jq_bodies_add(gathering->bodies, ref, record);
}

/* True if the core's desk holds all bodies of the reply. */
static bool gather_bodies(struct jq_answers *answers, struct jq_engine *engine, const struct jq_reply_effect *reply) {
    struct gathering gathering = {.engine = engine, .bodies = &answers->core_desk.bodies};
    jq_bodies_clear(gathering.bodies);
    jq_bodies_each(reply, gather, &gathering);
    if (!gathering.missing)
        jq_count(&answers->config.metrics->bodies_memory, gathering.bodies->count);
    return !gathering.missing;
}

/* ---- from the core ---- */

static struct jq_release_item *make_reply(struct jq_answers *answers, struct jq_engine *engine,
                                          struct outgoing *outgoing, const struct jq_reply_effect *reply) {
    outgoing->call = call_of(reply->call);
    count_reply(answers, reply);
    if (gather_bodies(answers, engine, reply)) {
        outgoing->kind = KIND_REPLY;
        outgoing->frame = encode(answers, &answers->core_desk, reply);
        return &outgoing->item;
    }
    outgoing->kind = KIND_UNREAD;
    outgoing->reply = jq_reply_copy(reply);
    outgoing->step_lsn = jq_engine_step_lsn(engine);
    pthread_mutex_lock(&answers->lock);
    jq_list_push_back(&answers->unread, &outgoing->unread);
    pthread_mutex_unlock(&answers->lock);
    return &outgoing->item;
}

static struct jq_release_item *make_notice(struct outgoing *outgoing, struct jq_str worker) {
    outgoing->kind = KIND_NOTICE;
    outgoing->worker_size = worker.size < sizeof(outgoing->worker) ? worker.size : sizeof(outgoing->worker);
    memcpy(outgoing->worker, worker.data, outgoing->worker_size);
    return &outgoing->item;
}

struct jq_release_item *jq_answers_effect(struct jq_answers *answers, struct jq_engine *engine,
                                          const struct jq_effect *effect, const struct jq_inbound *inbound) {
    struct outgoing *outgoing = calloc(1, sizeof(*outgoing));
    JQ_CHECK(outgoing != NULL); /* Nothing that was decided may go unanswered for want of so little. */
    jq_list_init(&outgoing->unread);
    jq_list_init(&outgoing->readable);
    switch (effect->type) {
    case JQ_EFFECT_REPLY:
        if (inbound != NULL && effect->u.reply.op == JQ_OP_SUBMIT && call_of(effect->u.reply.call) == inbound->call)
            outgoing->arrived_ns = inbound->arrived_ns;
        return make_reply(answers, engine, outgoing, &effect->u.reply);
    case JQ_EFFECT_DROP:
        outgoing->kind = KIND_DROP;
        outgoing->call = call_of(effect->u.drop_call);
        return &outgoing->item;
    case JQ_EFFECT_NOTICE: return make_notice(outgoing, effect->u.notice_worker);
    case JQ_EFFECT_DROP_BLOB:
        outgoing->kind = KIND_DROP_BLOB;
        memcpy(outgoing->blob, effect->u.drop_blob.hash, sizeof(outgoing->blob));
        outgoing->blob_version = effect->u.drop_blob.version;
        return &outgoing->item;
    case JQ_EFFECT_SURVEY:
    case JQ_EFFECT_READ_LOG:
    case JQ_EFFECT_RING:
    case JQ_EFFECT_NEWS: break;
    }
    free(outgoing);
    return NULL;
}

struct jq_release_item *jq_answers_frame(struct jq_call *call, struct jq_frame *frame) {
    struct outgoing *outgoing = calloc(1, sizeof(*outgoing));
    JQ_CHECK(outgoing != NULL);
    jq_list_init(&outgoing->unread);
    jq_list_init(&outgoing->readable);
    outgoing->kind = KIND_REPLY;
    outgoing->call = call;
    outgoing->frame = frame;
    return &outgoing->item;
}

/* ---- to the outside ---- */

static void send_reply(struct jq_answers *answers, struct outgoing *outgoing) {
    if (outgoing->frame == NULL || jq_call_reply_take(outgoing->call, outgoing->frame) != JQ_OK) {
        JQ_LOG_ERROR("an answer cannot be sent: too large, or out of memory");
        jq_frame_free(outgoing->frame);
        jq_call_drop(outgoing->call);
    }
    if (outgoing->arrived_ns != 0)
        jq_histogram_observe(&answers->config.metrics->submit, jq_clock_mono_ns() - outgoing->arrived_ns);
}

static void send_to_reader(struct jq_answers *answers, struct outgoing *outgoing) {
    pthread_mutex_lock(&answers->lock);
    jq_list_push_back(&answers->readable, &outgoing->readable);
    pthread_cond_signal(&answers->changed);
    pthread_mutex_unlock(&answers->lock);
}

static void send_one(struct jq_answers *answers, struct outgoing *outgoing) {
    switch (outgoing->kind) {
    case KIND_REPLY: send_reply(answers, outgoing); break;
    case KIND_UNREAD: send_to_reader(answers, outgoing); return;
    case KIND_DROP: jq_call_drop(outgoing->call); break;
    case KIND_NOTICE:
        answers->config.notice(answers->config.ctx, (struct jq_str){outgoing->worker, outgoing->worker_size});
        break;
    case KIND_DROP_BLOB: answers->config.drop_blob(answers->config.ctx, outgoing->blob, outgoing->blob_version); break;
    }
    free(outgoing);
}

void jq_answers_release(struct jq_answers *answers, struct jq_release_item *items) {
    jq_guard_begin_batch();
    while (items != NULL) {
        struct jq_release_item *next = items->next;
        send_one(answers, outgoing_of(items));
        items = next;
    }
    jq_guard_end_batch(false);
}

uint64_t jq_answers_unsent_lsn(struct jq_answers *answers) {
    pthread_mutex_lock(&answers->lock);
    const struct jq_list *first = jq_list_first(&answers->unread);
    const uint64_t lsn = first != NULL ? JQ_CONTAINER_OF(first, struct outgoing, unread)->step_lsn : UINT64_MAX;
    pthread_mutex_unlock(&answers->lock);
    return lsn;
}

/* ---- the reader ---- */

static void add_size(void *ctx, jq_task_id task, struct jq_body_ref ref) {
    (void)task;
    *(size_t *)ctx += ref.size;
}

struct reading {
    struct jq_answers *answers;
    struct jq_bodies *bodies;
    bool out_of_memory; /* which says nothing about a body */
};

static void read_body(void *ctx, jq_task_id task, struct jq_body_ref ref) {
    struct reading *reading = ctx;
    struct jq_metrics *metrics = reading->answers->config.metrics;
    struct jq_error error;
    jq_count(&metrics->bodies_disk, 1);
    const enum jq_err err = jq_bodies_read(reading->bodies, reading->answers->config.journal, ref, &error);
    reading->out_of_memory = reading->out_of_memory || err == JQ_ERR_NOMEM;
    if (err == JQ_OK || err == JQ_ERR_NOMEM)
        return;
    jq_count(&metrics->bodies_damaged, 1);
    JQ_LOG_ERROR("ALERT: a body in the journal is damaged or cannot be read", JQ_F_UINT("task", task.value),
                 JQ_F_UINT("lsn", ref.lsn), JQ_F_UINT("size", ref.size), JQ_F_ERR(&error));
}

static void read_and_encode(struct jq_answers *answers, struct outgoing *outgoing) {
    struct desk *desk = &answers->reader_desk;
    struct reading reading = {.answers = answers, .bodies = &desk->bodies};
    size_t size = 0;
    if (outgoing->reply == NULL)
        return; /* There was no memory for the copy. */
    jq_bodies_clear(&desk->bodies);
    jq_bodies_each(outgoing->reply, add_size, &size);
    if (!jq_bodies_reserve(&desk->bodies, size))
        return;
    jq_bodies_each(outgoing->reply, read_body, &reading);
    if (!reading.out_of_memory)
        outgoing->frame = encode(answers, desk, outgoing->reply);
}

static void serve_unread(struct jq_answers *answers, struct outgoing *outgoing) {
    read_and_encode(answers, outgoing);
    jq_reply_copy_free(outgoing->reply);
    outgoing->reply = NULL;
    send_reply(answers, outgoing);
    pthread_mutex_lock(&answers->lock);
    jq_list_remove(&outgoing->unread);
    pthread_mutex_unlock(&answers->lock);
    free(outgoing);
}

static void *reader_thread(void *arg) {
    struct jq_answers *answers = arg;
    jq_thread_name("jq-reader");
    while (true) {
        pthread_mutex_lock(&answers->lock);
        while (jq_list_empty(&answers->readable))
            pthread_cond_wait(&answers->changed, &answers->lock);
        struct jq_list *first = jq_list_pop_front(&answers->readable);
        pthread_mutex_unlock(&answers->lock);
        serve_unread(answers, JQ_CONTAINER_OF(first, struct outgoing, readable));
    }
    return NULL;
}

/* With room for a whole frame from the start: an answer that is cut is too long, never short of memory. */
static bool desk_init(struct desk *desk) {
    jq_bodies_init(&desk->bodies);
    jq_buf_init(&desk->frame, JQ_FRAME_SIZE_MAX);
    return jq_buf_room(&desk->frame, JQ_FRAME_SIZE_MAX);
}

enum jq_err jq_answers_new(const struct jq_answers_config *config, struct jq_answers **ret_answers,
                           struct jq_error *reterr) {
    struct jq_answers *answers = calloc(1, sizeof(*answers));
    if (answers == NULL || !desk_init(&answers->core_desk) || !desk_init(&answers->reader_desk)) {
        free(answers);
        return jq_fail(reterr, JQ_ERR_NOMEM, "answers");
    }
    answers->config = *config;
    jq_list_init(&answers->unread);
    jq_list_init(&answers->readable);
    JQ_CHECK(pthread_mutex_init(&answers->lock, NULL) == 0 && pthread_cond_init(&answers->changed, NULL) == 0);
    pthread_t thread;
    const int rv = pthread_create(&thread, NULL, reader_thread, answers);
    if (rv != 0) {
        free(answers);
        return jq_fail_errno(reterr, rv, "reader thread");
    }
    (void)pthread_detach(thread);
    *ret_answers = answers;
    return JQ_OK;
}
