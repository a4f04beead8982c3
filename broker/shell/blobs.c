#include "broker/shell/blobs.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/blob/reader.h"
#include "broker/blob/store.h"
#include "broker/shell/encode.h"
#include "broker/shell/threads.h"
#include "common/clock.h"
#include "common/list.h"
#include "common/log.h"
#include "common/text.h"
#include "common/transport/server.h"

enum {
    JOBS_MAX = 512,                    /* requests that wait for one of the threads; each holds a frame */
    JOBS_BYTES_MAX = 64 * 1024 * 1024, /* of the data in them */
    REST_MS = 5000,                    /* the reader closes its files after so long without a question */
    SWEEP_MS = 60000,
    PATH_SIZE = 1024,
};

enum kind {
    KIND_REQUEST,
    KIND_DROP,   /* collected: that version of the file may go */
    KIND_DAMAGED /* the reader has found that file wrong */
};

struct job {
    struct job *next;
    enum kind kind;
    struct jq_inbound *request;
    uint8_t hash[JQ_BLOB_HASH_SIZE];
    uint64_t number; /* version, inode */
};

/* A thread's jobs, in the order in which they came. */
struct line {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct job *first, **last;
    unsigned count;
    size_t bytes; /* of their data */
};

struct jq_blobs {
    struct jq_blobs_config config;
    char dir[PATH_SIZE];
    struct jq_store *store;        /* the writer's */
    struct jq_blob_reader *reader; /* the reader's */
    int64_t swept_ms;
    bool any_damaged;                   /* the reader's, as the next */
    uint8_t damaged[JQ_BLOB_HASH_SIZE]; /* found last. All who wait for pieces of it hear the same */
    struct line writing, reading;
};

struct lost {
    struct jq_inbound inbound;
    uint8_t hash[JQ_BLOB_HASH_SIZE];
};

static int64_t now_ms(void) {
    return jq_clock_mono_ns() / 1000000;
}

/* ---- lines ---- */

static void line_init(struct line *line) {
    JQ_CHECK(pthread_mutex_init(&line->lock, NULL) == 0);
    jq_thread_cond_init(&line->changed);
    line->last = &line->first;
}

static size_t job_size(const struct job *job) {
    return job->kind == KIND_REQUEST ? job->request->event.u.request.u.blob.data.size : 0;
}

/* False: it is full, or out of memory. What nobody asked for is let in all the same. */
static bool line_put(struct line *line, const struct job *from) {
    struct job *job = malloc(sizeof(*job));
    if (job == NULL)
        return false;
    *job = *from;
    job->next = NULL;
    const size_t size = job_size(job);
    pthread_mutex_lock(&line->lock);
    const bool room =
        job->kind != KIND_REQUEST || (line->count < JOBS_MAX && (size == 0 || line->bytes + size <= JOBS_BYTES_MAX));
    if (room) {
        line->bytes += size;
        *line->last = job;
        line->last = &job->next;
        line->count++;
        pthread_cond_signal(&line->changed);
    }
    pthread_mutex_unlock(&line->lock);
    if (!room)
        free(job);
    return room;
}

/* The next; NULL: none came within `wait_ms`. */
static struct job *line_take(struct line *line, int64_t wait_ms) {
    const struct timespec end = jq_thread_deadline(wait_ms);
    int rv = 0;
    pthread_mutex_lock(&line->lock);
    while (line->first == NULL && rv == 0)
        rv = pthread_cond_timedwait(&line->changed, &line->lock, &end);
    struct job *job = line->first;
    if (job != NULL) {
        line->first = job->next;
        line->last = line->first != NULL ? line->last : &line->first;
        line->count--;
        line->bytes -= job_size(job);
    }
    pthread_mutex_unlock(&line->lock);
    return job;
}

/* ---- answers ---- */

static void answer(struct jq_blobs *blobs, struct jq_inbound *request, struct jq_reply_effect *reply) {
    struct jq_buf frame;
    const struct jq_encode_context context = {.ctx = NULL};
    const struct jq_request *asked = &request->event.u.request;
    reply->request = asked->id;
    reply->op = asked->op;
    jq_count(&blobs->config.metrics->replies[reply->op][reply->status], 1);
    jq_buf_init(&frame, JQ_FRAME_SIZE_MAX);
    if (jq_encode_reply(&frame, reply, &context, NULL) != JQ_OK ||
        jq_call_reply(request->call, jq_buf_bytes(&frame)) != JQ_OK)
        jq_call_drop(request->call);
    jq_buf_fini(&frame);
    request->done(request);
}

static enum jq_reply status_of(enum jq_err err) {
    switch (err) {
    case JQ_ERR_NO_SPACE:
    case JQ_ERR_BUSY: return JQ_REPLY_BUSY;
    case JQ_ERR_CORRUPT: return JQ_REPLY_CONFLICT;
    case JQ_ERR_NOT_FOUND: return JQ_REPLY_NOT_FOUND;
    case JQ_ERR_INVALID: return JQ_REPLY_INVALID;
    default: return JQ_REPLY_UNAVAILABLE;
    }
}

static void refuse(struct jq_blobs *blobs, struct jq_inbound *request, const struct jq_error *error) {
    const enum jq_reply status = status_of(error->code);
    struct jq_reply_effect reply = {.status = status,
                                    .field = error->code == JQ_ERR_NO_SPACE  ? "blob_bytes_max"
                                             : error->code == JQ_ERR_INVALID ? "offset"
                                                                             : "hash",
                                    .reason = error->message,
                                    .retry_after_ms = status == JQ_REPLY_BUSY ? 1000 : 0};
    if (error->code == JQ_ERR_IO)
        JQ_LOG_ERROR("the store of blobs cannot be used", JQ_F_ERR(error));
    answer(blobs, request, &reply);
}

/* ---- to the core ---- */

static void lost_done(struct jq_inbound *inbound) {
    free(JQ_CONTAINER_OF(inbound, struct lost, inbound));
}

static void tell_lost(struct jq_blobs *blobs, const uint8_t *hash, uint32_t version, const char *why) {
    char hex[2 * JQ_BLOB_HASH_SIZE + 1];
    struct lost *lost = calloc(1, sizeof(*lost));
    jq_text_format_hex((struct jq_bytes){hash, JQ_BLOB_HASH_SIZE}, hex);
    JQ_LOG_ERROR("ALERT: a blob is lost: put it again, and replay the tasks that need it", JQ_F_STR("blob", hex),
                 JQ_F_STR("why", why));
    if (lost == NULL)
        return; /* It is found lost again when somebody asks for it. */
    memcpy(lost->hash, hash, sizeof(lost->hash));
    lost->inbound = (struct jq_inbound){
        .event = {.type = JQ_EVENT_BLOB_LOST, .u.blob_lost = {.hash = lost->hash, .version = version}},
        .done = lost_done};
    jq_inbox_push(blobs->config.inbox, &lost->inbound.item);
}

/* ---- the writer ---- */

static void free_frame(void *frame) {
    jq_frame_free(frame);
}

/* The data of a large request lie in its frame, which is the store's to free; those of others in the decoder's memory. */
static struct jq_store_piece piece_of(const struct jq_inbound *request) {
    const struct jq_request *asked = &request->event.u.request;
    struct jq_frame *frame = jq_call_take_frame(request->call);
    return (struct jq_store_piece){.offset = asked->u.blob.offset,
                                   .data = asked->u.blob.data,
                                   .draft = asked->u.blob.draft,
                                   .release = frame != NULL ? free_frame : NULL,
                                   .ctx = frame};
}

static void serve_put(struct jq_blobs *blobs, struct jq_inbound *request) {
    const struct jq_store_piece piece = piece_of(request);
    struct jq_request *asked = &request->event.u.request;
    struct jq_error error;
    uint64_t have = 0;
    uint32_t version = 0;
    const enum jq_err err =
        jq_store_put(blobs->store, asked->u.blob.hash, asked->u.blob.size, &piece, now_ms(), &have, &version, &error);
    asked->u.blob.data = (struct jq_bytes){NULL, 0};
    if (err != JQ_OK) {
        refuse(blobs, request, &error);
        return;
    }
    if (version == 0 && have == asked->u.blob.size &&
        !asked->u.blob.draft) { /* it was there: the core says whether it knows of it */
        asked->u.blob.have = have;
        asked->u.blob.on_disk = true;
        jq_inbox_push(blobs->config.inbox, &request->item);
        return;
    }
    if (version == 0) {
        struct jq_reply_effect reply = {.status = JQ_REPLY_OK, .u.blob = {.have = have}};
        answer(blobs, request, &reply);
        return;
    }
    asked->u.blob.arrived = true;
    asked->u.blob.version = version;
    jq_inbox_push(blobs->config.inbox, &request->item);
}

/* What the core cannot know is found out here. A draft that gets its name may be whole with that. */
static enum jq_err ask_store(struct jq_store *store, struct jq_request *asked, struct jq_error *reterr) {
    const uint8_t *hash = asked->u.blob.hash;
    const uint64_t size = asked->op == JQ_OP_BLOB_PUT ? asked->u.blob.size : UINT64_MAX;
    uint64_t *have = &asked->u.blob.have;
    if (asked->u.blob.draft)
        return jq_store_draft(store, hash, size, now_ms(), have, &asked->u.blob.draft_taken, reterr);
    if (asked->u.blob.named == NULL)
        return jq_store_have(store, hash, size, now_ms(), have, &asked->u.blob.on_disk, reterr);
    const enum jq_err err = jq_store_name(store, asked->u.blob.named, hash, size, now_ms(), have,
                                          &asked->u.blob.on_disk, &asked->u.blob.version, reterr);
    asked->u.blob.arrived = err == JQ_OK && asked->u.blob.version != 0;
    return err;
}

static void serve_question(struct jq_blobs *blobs, struct jq_inbound *request) {
    struct jq_error error;
    if (ask_store(blobs->store, &request->event.u.request, &error) != JQ_OK)
        refuse(blobs, request, &error);
    else
        jq_inbox_push(blobs->config.inbox, &request->item);
}

static void serve_damaged(struct jq_blobs *blobs, const struct job *job) {
    const uint32_t version = jq_store_version(blobs->store, job->hash);
    if (jq_store_drop_inode(blobs->store, job->hash, job->number))
        tell_lost(blobs, job->hash, version, "its file is damaged");
}

static void serve_drop(struct jq_blobs *blobs, const struct job *job) {
    struct jq_error error;
    if (jq_store_drop(blobs->store, job->hash, (uint32_t)job->number, &error) != JQ_OK)
        JQ_LOG_WARN("the file of a blob cannot be removed", JQ_F_ERR(&error));
}

static void write_job(struct jq_blobs *blobs, struct job *job) {
    if (job->kind == KIND_DROP)
        serve_drop(blobs, job);
    else if (job->kind == KIND_DAMAGED)
        serve_damaged(blobs, job);
    else if (job->request->event.u.request.u.blob.data_given)
        serve_put(blobs, job->request);
    else
        serve_question(blobs, job->request);
}

static void *writer_thread(void *arg) {
    struct jq_blobs *blobs = arg;
    jq_thread_name("jq-blob-write");
    while (true) {
        struct job *job = line_take(&blobs->writing, SWEEP_MS);
        if (job != NULL)
            write_job(blobs, job);
        free(job);
        if (now_ms() - blobs->swept_ms >= SWEEP_MS) {
            blobs->swept_ms = now_ms();
            jq_store_sweep(blobs->store, blobs->swept_ms, jq_clock_wall_ms());
        }
    }
    return NULL;
}

/* ---- the reader ---- */

/* Puts the head before the data, which stand in `frame` behind room for it, and sends that. */
static enum jq_err send_piece(struct jq_blobs *blobs, struct jq_inbound *request, struct jq_frame *frame, uint64_t size,
                              size_t count, struct jq_error *reterr) {
    const struct jq_request *asked = &request->event.u.request;
    struct jq_buf head;
    jq_buf_init(&head, JQ_FRAME_SIZE_MAX);
    enum jq_err err = jq_encode_blob_head(&head, asked->id, size, count, reterr);
    if (err == JQ_OK) {
        const size_t spare = JQ_BLOB_HEAD_SIZE_MAX - head.size;
        memcpy(jq_frame_data(frame) + spare, head.data, head.size);
        jq_frame_truncate(frame, JQ_BLOB_HEAD_SIZE_MAX + count);
        jq_frame_trim(frame, spare);
        err = jq_call_reply_take(request->call, frame);
        if (err != JQ_OK)
            (void)jq_fail(reterr, err, "a piece cannot be sent");
    }
    jq_buf_fini(&head);
    if (err == JQ_OK) {
        jq_count(&blobs->config.metrics->replies[asked->op][JQ_REPLY_OK], 1);
        request->done(request);
    }
    return err;
}

/* The frame is sent, or freed. */
static enum jq_err read_and_send(struct jq_blobs *blobs, struct jq_inbound *request, struct jq_frame *frame,
                                 uint64_t *ret_inode, struct jq_error *reterr) {
    const struct jq_request *asked = &request->event.u.request;
    const struct jq_blob_span span = {.hash = asked->u.blob.hash,
                                      .offset = asked->u.blob.offset,
                                      .size = jq_frame_size(frame) - JQ_BLOB_HEAD_SIZE_MAX,
                                      .into = jq_frame_data(frame) + JQ_BLOB_HEAD_SIZE_MAX};
    uint64_t size = 0;
    size_t count = 0;
    enum jq_err err = jq_blob_reader_read(blobs->reader, &span, &size, &count, ret_inode, reterr);
    if (err == JQ_OK)
        err = send_piece(blobs, request, frame, size, count, reterr);
    if (err != JQ_OK)
        jq_frame_free(frame);
    return err;
}

/* As much as was asked for, if its peer may get so much at a time. */
static struct jq_frame *frame_for(const struct jq_inbound *request) {
    const size_t wanted = request->event.u.request.u.blob.piece_max;
    const bool possible = wanted + JQ_BLOB_HEAD_SIZE_MAX <= jq_call_reply_max(request->call);
    return jq_frame_new(JQ_BLOB_HEAD_SIZE_MAX + (possible ? wanted : (size_t)JQ_BLOB_CHUNK_SIZE));
}

static void serve_get(struct jq_blobs *blobs, struct jq_inbound *request) {
    const struct jq_request *asked = &request->event.u.request;
    struct jq_error error = {.code = JQ_OK};
    uint64_t inode = 0;
    struct jq_frame *frame = frame_for(request);
    const enum jq_err err = frame ? read_and_send(blobs, request, frame, &inode, &error)
                                  : jq_fail(&error, JQ_ERR_NOMEM, "a piece of a blob");
    if (err == JQ_OK)
        return; /* the request is gone */
    if (err == JQ_ERR_CORRUPT) {
        struct job job = {.kind = KIND_DAMAGED, .number = inode};
        memcpy(job.hash, asked->u.blob.hash, sizeof(job.hash));
        (void)line_put(&blobs->writing, &job);
        memcpy(blobs->damaged, job.hash, sizeof(blobs->damaged));
        blobs->any_damaged = true;
    }
    if (err == JQ_ERR_CORRUPT || err == JQ_ERR_NOT_FOUND) {
        const bool damaged =
            blobs->any_damaged && memcmp(blobs->damaged, asked->u.blob.hash, sizeof(blobs->damaged)) == 0;
        (void)jq_fail(&error, JQ_ERR_NOT_FOUND, damaged ? "its file is damaged: put it again" : "not stored");
    }
    refuse(blobs, request, &error);
}

static void *reader_thread(void *arg) {
    struct jq_blobs *blobs = arg;
    jq_thread_name("jq-blob-read");
    while (true) {
        struct job *job = line_take(&blobs->reading, REST_MS);
        if (job != NULL)
            serve_get(blobs, job->request);
        else
            jq_blob_reader_rest(blobs->reader);
        free(job);
    }
    return NULL;
}

/* ---- from other threads ---- */

_Static_assert(JQ_BLOB_PIECE_MAX + 1024 <= JQ_LARGE_FRAME_SIZE_MAX,
               "a large frame holds a piece, and its head with any token");

size_t jq_blobs_piece_max(const struct jq_call *call) {
    return jq_call_request_max(call) >= JQ_LARGE_FRAME_SIZE_MAX ? JQ_BLOB_PIECE_MAX : JQ_BLOB_CHUNK_SIZE;
}

bool jq_blobs_serve(enum jq_op op) {
    return op == JQ_OP_BLOB_PUT || op == JQ_OP_BLOB_GET || op == JQ_OP_BLOB_STAT;
}

bool jq_blobs_take(struct jq_blobs *blobs, struct jq_inbound *request) {
    const struct job job = {.kind = KIND_REQUEST, .request = request};
    return line_put(request->event.u.request.op == JQ_OP_BLOB_GET ? &blobs->reading : &blobs->writing, &job);
}

/* Without memory the file stays until the next start. */
void jq_blobs_drop(struct jq_blobs *blobs, const uint8_t hash[JQ_BLOB_HASH_SIZE], uint32_t version) {
    struct job job = {.kind = KIND_DROP, .number = version};
    memcpy(job.hash, hash, sizeof(job.hash));
    (void)line_put(&blobs->writing, &job);
}

/* ---- opening ---- */

static bool known(void *ctx, const uint8_t *hash) {
    const struct jq_blobs *blobs = ctx;
    return jq_core_blob_known(blobs->config.core, hash);
}

static void find_lost(struct jq_blobs *blobs) {
    struct jq_blob_row row;
    uint32_t at = 0;
    while (jq_core_blob_next(blobs->config.core, &at, &row)) {
        if (!jq_store_holds(blobs->store, row.hash, row.size))
            tell_lost(blobs, row.hash, 0, "its file is not there, or does not end as it should");
    }
}

static enum jq_err start_thread(void *(*run)(void *arg), struct jq_blobs *blobs, struct jq_error *reterr) {
    pthread_t thread;
    const int rv = pthread_create(&thread, NULL, run, blobs);
    if (rv != 0)
        return jq_fail_errno(reterr, rv, "thread of blobs");
    (void)pthread_detach(thread);
    return JQ_OK;
}

/* What failed to open is left to the end of the process. */
enum jq_err jq_blobs_open(const struct jq_blobs_config *config, struct jq_blobs **ret_blobs, struct jq_error *reterr) {
    struct jq_blobs *blobs = calloc(1, sizeof(*blobs));
    if (blobs == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "blobs");
    blobs->config = *config;
    line_init(&blobs->writing);
    line_init(&blobs->reading);
    if (snprintf(blobs->dir, sizeof(blobs->dir), "%s/blobs", config->data_dir) >= PATH_SIZE)
        return jq_fail(reterr, JQ_ERR_INVALID, "data_dir: path too long");
    const struct jq_store_config store = {.dir = blobs->dir,
                                          .bytes_max = config->bytes_max,
                                          .disk_free_min = config->disk_free_min,
                                          .idle_ms = config->idle_ms,
                                          .ctx = blobs,
                                          .known = known};
    enum jq_err err = jq_store_open(&store, &blobs->store, reterr);
    if (err == JQ_OK)
        err = jq_blob_reader_new(blobs->dir, &blobs->reader, reterr);
    if (err != JQ_OK)
        return err;
    find_lost(blobs);
    err = start_thread(writer_thread, blobs, reterr);
    if (err == JQ_OK)
        err = start_thread(reader_thread, blobs, reterr);
    if (err == JQ_OK)
        *ret_blobs = blobs;
    return err;
}
