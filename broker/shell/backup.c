#include "broker/shell/backup.h"

#include <pthread.h>
#include <stdlib.h>

#include "broker/journal/segment.h"
#include "broker/shell/answers.h"
#include "broker/shell/encode.h"
#include "broker/shell/threads.h"
#include "common/codec.h"
#include "common/list.h"
#include "common/log.h"

struct job {
    struct jq_inbound inbound; /* of begin: its way to the core thread */
    struct jq_list queued;     /* of read: in backup->jobs */
    struct jq_backup *backup;
    struct jq_call *call;
    struct jq_request request;
};

struct jq_backup {
    struct jq_backup_config config;
    struct jq_buf frame; /* the thread's */
    uint8_t *chunk;      /* JQ_BACKUP_CHUNK_MAX bytes, the thread's */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct jq_list jobs; /* reads */
};

static void count_reply(struct jq_backup *backup, enum jq_op op, enum jq_reply status) {
    jq_count(&backup->config.metrics->replies[op][status], 1);
}

/* ---- begin, on the core thread ---- */

static void begin(struct jq_inbound *inbound) {
    struct job *job = JQ_CONTAINER_OF(inbound, struct job, inbound);
    struct jq_backup *backup = job->backup;
    /* What a prologue behind this moment makes superfluous is still needed; it is this thread that would say so. */
    jq_remover_hold(backup->config.remover, JQ_BACKUP_HOLD_MS);
    const struct jq_commit_point point = jq_engine_commit_point(backup->config.engine);
    const struct jq_backup_point answer = {.end_lsn = point.end_lsn,
                                           .digest = point.digest,
                                           .epoch = jq_journal_epoch(backup->config.journal),
                                           .wall_ms = point.wall_ms};
    struct jq_buf buf;
    struct jq_frame *frame = NULL;
    jq_buf_init(&buf, JQ_FRAME_SIZE_MAX);
    if (jq_encode_backup_point(&buf, job->request.id, &answer, NULL) == JQ_OK)
        frame = jq_frame_copy(jq_buf_bytes(&buf));
    jq_buf_fini(&buf);
    count_reply(backup, JQ_OP_BACKUP_BEGIN, JQ_REPLY_OK);
    jq_engine_release_durable(backup->config.engine, jq_answers_frame(job->call, frame));
    JQ_LOG_INFO("a backup begins", JQ_F_UINT("end_lsn", point.end_lsn));
}

static void begun(struct jq_inbound *inbound) {
    free(JQ_CONTAINER_OF(inbound, struct job, inbound));
}

/* ---- read, on the thread ---- */

/* The segment asked for, and how much of its file belongs to the backup. */
static enum jq_err find(struct jq_backup *backup, const struct jq_request *request, struct jq_backup_data *data,
                        struct jq_error *reterr) {
    const uint64_t from_lsn = request->u.backup.oldest ? 0 : request->u.backup.segment;
    const uint64_t end_lsn = request->u.backup.end_lsn;
    struct jq_journal_segment segment;
    if (end_lsn > jq_journal_durable_lsn(backup->config.journal))
        return jq_fail(reterr, JQ_ERR_INVALID, "end_lsn is beyond what is durable");
    const enum jq_err err = jq_journal_segment_from(backup->config.journal, from_lsn, &segment, reterr);
    if (err != JQ_OK)
        return err;
    if ((!request->u.backup.oldest && segment.base_lsn != from_lsn) || segment.base_lsn >= end_lsn)
        return jq_fail(reterr, JQ_ERR_NOT_FOUND, "that segment is gone, or was never there");
    const bool last = segment.current || segment.end_lsn >= end_lsn;
    data->segment = segment.base_lsn;
    data->size = JQ_SEGMENT_HEADER_SIZE + (last ? end_lsn : segment.end_lsn) - segment.base_lsn;
    data->next = last ? 0 : segment.end_lsn;
    return JQ_OK;
}

static enum jq_err read_piece(struct jq_backup *backup, uint64_t offset, struct jq_backup_data *data,
                              struct jq_error *reterr) {
    const struct jq_disk *disk = backup->config.disk;
    const uint64_t left = offset < data->size ? data->size - offset : 0;
    const size_t size = left < JQ_BACKUP_CHUNK_MAX ? (size_t)left : JQ_BACKUP_CHUNK_MAX;
    char name[JQ_SEGMENT_NAME_SIZE], path[JQ_DISK_PATH_SIZE_MAX];
    struct jq_file *file = NULL;
    size_t got = 0;
    jq_segment_name(data->segment, name);
    enum jq_err err = jq_disk_path(path, backup->config.dir, name, reterr);
    if (err == JQ_OK)
        err = disk->open(disk->ctx, path, JQ_DISK_READ, &file, reterr);
    if (err == JQ_OK)
        err = disk->read(disk->ctx, file, backup->chunk, size, offset, &got, reterr);
    disk->close(disk->ctx, file);
    if (err == JQ_OK && got < size)
        err = jq_fail(reterr, JQ_ERR_CORRUPT, "%s ends early", name);
    data->data = (struct jq_bytes){backup->chunk, got};
    return err;
}

static enum jq_reply status_of(enum jq_err err) {
    return err == JQ_ERR_INVALID     ? JQ_REPLY_INVALID
           : err == JQ_ERR_NOT_FOUND ? JQ_REPLY_NOT_FOUND
                                     : JQ_REPLY_UNAVAILABLE;
}

static void serve(struct jq_backup *backup, const struct job *job) {
    struct jq_backup_data data = {.next = 0};
    struct jq_error error;
    jq_remover_hold(backup->config.remover, JQ_BACKUP_HOLD_MS);
    jq_remover_settle(backup->config.remover); /* What goes just now is not found any more. */
    enum jq_err err = find(backup, &job->request, &data, &error);
    if (err == JQ_OK)
        err = read_piece(backup, job->request.u.backup.offset, &data, &error);
    const enum jq_reply status = err == JQ_OK ? JQ_REPLY_OK : status_of(err);
    if (err == JQ_OK)
        (void)jq_encode_backup_data(&backup->frame, job->request.id, &data, NULL);
    else
        (void)jq_encode_refusal(&backup->frame, job->request.id, status, NULL, error.message, 0, NULL);
    count_reply(backup, JQ_OP_BACKUP_READ, status);
    if (backup->frame.failed || jq_call_reply(job->call, jq_buf_bytes(&backup->frame)) != JQ_OK)
        jq_call_drop(job->call);
}

static void *backup_thread(void *arg) {
    struct jq_backup *backup = arg;
    jq_thread_name("jq-backup");
    while (true) {
        pthread_mutex_lock(&backup->lock);
        while (jq_list_empty(&backup->jobs))
            pthread_cond_wait(&backup->changed, &backup->lock);
        struct job *job = JQ_CONTAINER_OF(jq_list_pop_front(&backup->jobs), struct job, queued);
        pthread_mutex_unlock(&backup->lock);
        serve(backup, job);
        free(job);
    }
    return NULL;
}

/* ---- from outside ---- */

static void queue_read(struct jq_backup *backup, struct job *job) {
    pthread_mutex_lock(&backup->lock);
    jq_list_push_back(&backup->jobs, &job->queued);
    pthread_cond_signal(&backup->changed);
    pthread_mutex_unlock(&backup->lock);
}

bool jq_backup_ask(struct jq_backup *backup, struct jq_call *call, const struct jq_request *request) {
    if (request->op != JQ_OP_BACKUP_BEGIN && request->op != JQ_OP_BACKUP_READ)
        return false;
    struct job *job = calloc(1, sizeof(*job));
    if (job == NULL) {
        jq_call_drop(call);
        return true;
    }
    *job =
        (struct job){.inbound = {.errand = begin, .done = begun}, .backup = backup, .call = call, .request = *request};
    jq_list_init(&job->queued);
    jq_call_release_frame(call);
    if (request->op == JQ_OP_BACKUP_BEGIN)
        jq_inbox_push(jq_engine_inbox(backup->config.engine), &job->inbound.item);
    else
        queue_read(backup, job);
    return true;
}

enum jq_err jq_backup_start(const struct jq_backup_config *config, struct jq_backup **ret_backup,
                            struct jq_error *reterr) {
    struct jq_backup *backup = calloc(1, sizeof(*backup));
    pthread_t thread;
    if (backup == NULL || (backup->chunk = malloc(JQ_BACKUP_CHUNK_MAX)) == NULL) {
        free(backup);
        return jq_fail(reterr, JQ_ERR_NOMEM, "reader for backups");
    }
    backup->config = *config;
    jq_buf_init(&backup->frame, JQ_FRAME_SIZE_MAX);
    jq_list_init(&backup->jobs);
    JQ_CHECK(pthread_mutex_init(&backup->lock, NULL) == 0 && pthread_cond_init(&backup->changed, NULL) == 0);
    const int rv = pthread_create(&thread, NULL, backup_thread, backup);
    if (rv != 0) {
        free(backup->chunk);
        free(backup);
        return jq_fail_errno(reterr, rv, "thread for backups");
    }
    (void)pthread_detach(thread);
    *ret_backup = backup;
    return JQ_OK;
}
