/* blob_put.c - a file to the broker's store, and how blobs are written down. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/libjq/transfer.h"
#include "common/text.h"

enum {
    HASHED_AT_A_TIME = 256 * 1024,
    DRAFT_SIZE_MIN = 8 * 1024 * 1024, /* smaller files are added up in less time than two more messages take */
};

char *jq_blob_format(const struct jq_blob *blob, char place[JQ_BLOB_TEXT_SIZE]) {
    return jq_text_format_hex((struct jq_bytes){blob->hash, sizeof(blob->hash)}, place);
}

enum jq_err jq_blob_parse(const char *text, struct jq_blob *ret_blob, struct jq_error *reterr) {
    struct jq_blob blob;
    if (jq_text_parse_hex(jq_str_of(text), blob.hash, sizeof(blob.hash), NULL) != JQ_OK) {
        return jq_fail(reterr, JQ_ERR_INVALID, "'%.80s' is not a SHA-256 in 64 hex digits", text);
    }
    *ret_blob = blob;
    return JQ_OK;
}

/* ---- the sum ---- */

static void sum_rest(struct transfer *transfer) {
    jq_hasher_end(transfer->hasher, &transfer->sum);
    transfer->hasher = NULL;
}

static void sum_restart(struct transfer *transfer) {
    sum_rest(transfer);
    jq_sha256_init(&transfer->sum);
    transfer->summed = 0;
    transfer->hashed = false;
}

/* Goes on with it, to that offset of the file. */
static enum jq_err sum_to(struct transfer *transfer, uint64_t end, struct jq_error *reterr) {
    uint8_t *data = transfer->summed < end ? malloc(HASHED_AT_A_TIME) : NULL;
    enum jq_err err = data || transfer->summed >= end ? JQ_OK : jq_fail(reterr, JQ_ERR_NOMEM, "blob");
    sum_rest(transfer);
    while (err == JQ_OK && transfer->summed < end) {
        const uint64_t left = end - transfer->summed;
        const size_t size = left < HASHED_AT_A_TIME ? (size_t)left : HASHED_AT_A_TIME;
        err = transfer_look(transfer, reterr);
        err = err == JQ_OK ? transfer_read(transfer, data, size, transfer->summed, reterr) : err;
        if (err == JQ_OK) {
            jq_sha256_add(&transfer->sum, data, size);
            transfer->summed += size;
        }
    }
    free(data);
    return err;
}

static enum jq_err sum_end(struct transfer *transfer, struct jq_error *reterr) {
    if (transfer->hashed) {
        return JQ_OK;
    }
    const enum jq_err err = sum_to(transfer, transfer->size, reterr);
    if (err == JQ_OK) {
        jq_sha256_end(&transfer->sum, transfer->own.hash);
        transfer->hashed = true;
    }
    return err;
}

/* What of a piece is not in the sum yet. */
static struct jq_bytes unsummed(const struct transfer *transfer, const uint8_t *data, uint64_t offset, size_t size) {
    if (transfer->hashed || offset > transfer->summed || offset + size <= transfer->summed) {
        return (struct jq_bytes){NULL, 0};
    }
    const size_t known = (size_t)(transfer->summed - offset);
    return (struct jq_bytes){data + known, size - known};
}

/* ---- piece by piece ---- */

static void pack_name(struct jq_pack *pack, unsigned place, const uint8_t *name) {
    jq_pack_field_bin(pack, &jq_message_blob_put, place, (struct jq_bytes){name, JQ_BLOB_HASH_SIZE});
}

static void pack_put(struct jq_pack *pack, const struct transfer *transfer) {
    if (transfer->draft) {
        pack_name(pack, JQ_AT_BLOB_PUT_DRAFT, transfer->name);
    } else {
        pack_name(pack, JQ_AT_BLOB_PUT_HASH, transfer->blob->hash);
    }
    jq_pack_field_uint(pack, &jq_message_blob_put, JQ_AT_BLOB_PUT_SIZE, transfer->size);
}

/* How much has come; `named`: and which blob the draft is. */
static enum jq_err ask(struct transfer *transfer, bool named, struct jq_error *reterr) {
    struct jq_pack pack;
    const enum jq_err err = transfer_begin(transfer, "blob.put", named ? 3 : 2, &pack, reterr);
    if (err == JQ_OK) {
        pack_put(&pack, transfer);
        if (named) {
            pack_name(&pack, JQ_AT_BLOB_PUT_HASH, transfer->blob->hash);
        }
        transfer_note(transfer, 0, 0);
        jq_flight_send(transfer_last(transfer));
    }
    return err;
}

/* A frame of what is packed, with `size` bytes of the file behind it. NULL: out of memory, or the file cannot be read. */
static struct jq_frame *fill_frame(const struct transfer *transfer, const struct jq_buf *head, size_t size,
                                   enum jq_err *ret_err, struct jq_error *reterr) {
    struct jq_frame *frame = head->failed ? NULL : jq_frame_new(head->size + size);
    if (!frame) {
        *ret_err = jq_fail(reterr, JQ_ERR_NOMEM, "a piece of a blob");
        return NULL;
    }
    memcpy(jq_frame_data(frame), head->data, head->size);
    *ret_err = transfer_read(transfer, jq_frame_data(frame) + head->size, size, transfer->next, reterr);
    if (*ret_err != JQ_OK) {
        jq_frame_free(frame);
        frame = NULL;
    }
    return frame;
}

static void send_held(struct transfer *transfer) {
    if (transfer->held.frame) {
        jq_flight_send_frame(transfer->held.flight, transfer->held.frame);
        transfer->held.frame = NULL;
    }
}

/* The hasher reads it where it is. */
static void drop_held(struct transfer *transfer) {
    if (transfer->hasher) {
        jq_hasher_wait(transfer->hasher);
    }
    jq_frame_free(transfer->held.frame);
    transfer->held.frame = NULL;
}

static void keep(void *ctx) {
    (void)ctx;
}

/* What is to be added up is held back until it is; the one before is sent, and the next one read, meanwhile. */
static void send_summed(struct transfer *transfer, struct jq_frame *frame, struct jq_bytes part) {
    if (part.size > 0 && !transfer->hasher && jq_hasher_new(&transfer->sum, &transfer->hasher, NULL) != JQ_OK) {
        jq_sha256_add(&transfer->sum, part.data, part.size); /* without a thread */
    } else if (transfer->hasher) {
        jq_hasher_wait(transfer->hasher);
        jq_hasher_add(transfer->hasher, part, keep, NULL);
    }
    transfer->summed += part.size;
    send_held(transfer);
    transfer->held.frame = frame;
    transfer->held.flight = transfer_last(transfer);
    if (!transfer->hasher || transfer->next == transfer->size) {
        if (transfer->hasher) {
            jq_hasher_wait(transfer->hasher);
        }
        send_held(transfer);
    }
}

static enum jq_err send_piece(struct transfer *transfer, struct jq_error *reterr) {
    struct jq_pack pack;
    const size_t size = transfer_piece_size(transfer, transfer->next, transfer->piece);
    enum jq_err err = transfer_begin(transfer, "blob.put", 4, &pack, reterr);
    if (err != JQ_OK) {
        return err;
    }
    pack_put(&pack, transfer);
    jq_pack_field_uint(&pack, &jq_message_blob_put, JQ_AT_BLOB_PUT_OFFSET, transfer->next);
    jq_pack_key(&pack, &jq_message_blob_put, JQ_AT_BLOB_PUT_DATA);
    msgpack_pack_bin(&pack.packer, size);
    struct jq_frame *frame = fill_frame(transfer, pack.buf, size, &err, reterr);
    if (frame) {
        const struct jq_bytes part = unsummed(transfer, jq_frame_data(frame) + pack.buf->size, transfer->next, size);
        transfer_note(transfer, transfer->next, size);
        transfer->next += size;
        send_summed(transfer, frame, part);
    }
    return err;
}

/* What this connection takes is told with the answer to a question. */
static void heed(struct transfer *transfer, const struct jq_reply_view *view) {
    const uint64_t most = jq_view_uint(view->body, "piece_max", 0);
    transfer->whole = transfer->whole || jq_view_bool(view->body, "whole", false);
    transfer->draft_taken = transfer->draft_taken || jq_view_bool(view->body, "draft", false);
    transfer->have = jq_view_uint(view->body, "have", 0);
    if (most >= JQ_BLOB_CHUNK_SIZE && transfer->client->one_url) { /* else the next goes who knows where */
        transfer->piece_max =
            most < TRANSFER_PIECE_MAX ? (size_t)(most - most % JQ_BLOB_CHUNK_SIZE) : TRANSFER_PIECE_MAX;
    }
}

static enum jq_err take_put(struct transfer *transfer, struct jq_error *reterr) {
    const struct jq_reply_view *view = NULL;
    enum jq_err err = transfer_look(transfer, reterr);
    err = err == JQ_OK ? transfer_finish_first(transfer, &view, reterr) : err;
    if (err == JQ_OK) {
        heed(transfer, view);
        transfer_pace(transfer);
    }
    transfer_end_first(transfer);
    return err;
}

/* Where the broker is. */
static enum jq_err begin_round(struct transfer *transfer, struct jq_error *reterr) {
    transfer->lost = transfer->draft_taken = false;
    transfer->piece = transfer->piece_max = JQ_BLOB_CHUNK_SIZE;
    enum jq_err err = ask(transfer, false, reterr);
    err = err == JQ_OK ? take_put(transfer, reterr) : err;
    transfer->next = transfer->have;
    return err;
}

/* From there to the end. */
static enum jq_err send_rest(struct transfer *transfer, struct jq_error *reterr) {
    enum jq_err err = JQ_OK;
    bool empty = transfer->size == 0;
    while (err == JQ_OK && !transfer->whole && (transfer->count > 0 || transfer->next < transfer->size || empty)) {
        while (err == JQ_OK && transfer->count < TRANSFER_WINDOW && (transfer->next < transfer->size || empty)) {
            empty = false;
            err = send_piece(transfer, reterr);
        }
        if (err == JQ_OK) {
            err = take_put(transfer, reterr);
        }
    }
    return err;
}

/* It may have to be gone through again, after a restart of the broker for one. */
static enum jq_err put_round(struct transfer *transfer, struct jq_error *reterr) {
    enum jq_err err = begin_round(transfer, reterr);
    err = err == JQ_OK ? send_rest(transfer, reterr) : err;
    drop_held(transfer);
    transfer_end_all(transfer);
    return err;
}

/* The same of a draft, which gets its name when all of it is there. */
static enum jq_err draft_round(struct transfer *transfer, struct jq_error *reterr) {
    enum jq_err err = begin_round(transfer, reterr);
    if (err == JQ_OK && !transfer->draft_taken) {
        err = jq_fail(reterr, JQ_ERR_NOT_FOUND, "the broker takes no draft of it");
    }
    err = err == JQ_OK ? sum_to(transfer, transfer->next, reterr) : err;
    err = err == JQ_OK ? send_rest(transfer, reterr) : err;
    if (err == JQ_OK && transfer->have == transfer->size) {
        err = sum_end(transfer, reterr);
        err = err == JQ_OK ? ask(transfer, true, reterr) : err;
        err = err == JQ_OK ? take_put(transfer, reterr) : err;
        transfer->draft = err != JQ_OK; /* It has its name. */
    }
    drop_held(transfer);
    transfer_end_all(transfer);
    return err;
}

/* What the broker does not take as a draft, or has not got right as one, comes by its hash. */
static enum jq_err leave_draft(struct transfer *transfer, enum jq_err err, struct jq_error *reterr) {
    if (!transfer->draft || (err != JQ_ERR_NOT_FOUND && err != JQ_ERR_INVALID && err != JQ_ERR_CONFLICT)) {
        return err;
    }
    transfer->draft = false;
    if (err == JQ_ERR_CONFLICT) {
        sum_restart(transfer);
    }
    return sum_end(transfer, reterr);
}

static enum jq_err any_round(struct transfer *transfer, struct jq_error *reterr) {
    return transfer->draft ? leave_draft(transfer, draft_round(transfer, reterr), reterr) : put_round(transfer, reterr);
}

/* How long rounds go on. */
struct patience {
    int rounds;
    int64_t until_ms;
    uint64_t most; /* that has come over */
    bool anew;     /* it was begun anew once */
};

/* Whether another round may do it. What was there before may have been wrong: it is gone now, and the first word is not the last. */
static bool may_help(const struct transfer *transfer, struct patience *patience, enum jq_err err) {
    if (!transfer->draft && !transfer->hashed) {
        return false; /* it could not be added up, so there is no name to ask for it by */
    }
    if (!transfer->whole && err == JQ_ERR_CONFLICT && !patience->anew) {
        patience->anew = true;
        return true;
    }
    return !transfer->whole && (err == JQ_OK || err == JQ_ERR_BUSY || transfer->lost);
}

/* Time runs out only while nothing comes over. */
static bool has_time(const struct transfer *transfer, struct patience *patience, bool draft_before) {
    const bool other = draft_before != transfer->draft;
    if (other || transfer->have > patience->most) {
        patience->most = other ? 0 : transfer->have;
        patience->until_ms = transfer_deadline_ms(transfer);
    }
    return patience->rounds++ < TRANSFER_ROUNDS_MAX || jq_flight_now_ms() < patience->until_ms;
}

static enum jq_err put_all(struct transfer *transfer, struct jq_error *reterr) {
    struct patience patience = {.until_ms = transfer_deadline_ms(transfer)};
    for (;;) {
        const bool draft = transfer->draft;
        const enum jq_err err = any_round(transfer, reterr);
        if (!may_help(transfer, &patience, err)) {
            return err;
        }
        if (!has_time(transfer, &patience, draft)) {
            return err != JQ_OK ? err
                                : jq_fail(reterr, JQ_ERR_UNAVAILABLE, "%.160s: does not come over", transfer->path);
        }
        if (err == JQ_ERR_BUSY || transfer->lost) {
            transfer_pause(transfer, err);
        }
    }
}

/* ---- the file ---- */

/* A name that this file has again when the put is begun anew, by another process too, and no other file: only then may what has come
 * be gone on with. */
static enum jq_err name_draft(struct transfer *transfer, const struct stat *status, struct jq_error *reterr) {
    const int64_t about[] = {(int64_t)status->st_dev, (int64_t)status->st_ino, status->st_size,
                             (int64_t)status->st_mtim.tv_sec, (int64_t)status->st_mtim.tv_nsec};
    uint8_t *data = malloc(JQ_BLOB_CHUNK_SIZE);
    enum jq_err err = data ? JQ_OK : jq_fail(reterr, JQ_ERR_NOMEM, "blob");
    err = err == JQ_OK ? transfer_read(transfer, data, JQ_BLOB_CHUNK_SIZE, 0, reterr) : err;
    if (err == JQ_OK) {
        jq_sha256_init(&transfer->sum);
        jq_sha256_add(&transfer->sum, about, sizeof(about));
        jq_sha256_add(&transfer->sum, data, JQ_BLOB_CHUNK_SIZE);
        jq_sha256_end(&transfer->sum, transfer->name);
        transfer->draft = true;
    }
    free(data);
    return err;
}

static enum jq_err open_source(struct transfer *transfer, struct jq_error *reterr) {
    struct stat status;
    transfer->fd = open(transfer->path, O_RDONLY | O_CLOEXEC);
    if (transfer->fd < 0 || fstat(transfer->fd, &status) != 0) {
        return jq_fail_errno(reterr, errno, "%.160s", transfer->path);
    }
    if (!S_ISREG(status.st_mode)) {
        return jq_fail(reterr, JQ_ERR_INVALID, "%.160s: not a plain file", transfer->path);
    }
    transfer->size = (uint64_t)status.st_size;
    enum jq_err err = transfer_look(transfer, reterr);
    if (err == JQ_OK && transfer->size >= DRAFT_SIZE_MIN) {
        err = name_draft(transfer, &status, reterr);
    }
    sum_restart(transfer);
    return err;
}

enum jq_err jq_blob_put_watched(struct jq_client *client, const char *path, const struct jq_blob_watch *watch,
                                struct jq_blob *ret_blob, struct jq_error *reterr) {
    struct transfer *transfer = calloc(1, sizeof(*transfer));
    if (!transfer) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "blob");
    }
    *transfer = (struct transfer){.client = client, .blob = &transfer->own, .watch = watch, .path = path, .fd = -1};
    enum jq_err err = open_source(transfer, reterr);
    err = err == JQ_OK && !transfer->draft ? sum_end(transfer, reterr) : err;
    err = err == JQ_OK ? put_all(transfer, reterr) : err;
    if (err == JQ_OK) {
        *ret_blob = transfer->own;
    }
    sum_rest(transfer);
    if (transfer->fd >= 0) {
        (void)close(transfer->fd);
    }
    free(transfer);
    return err;
}

enum jq_err jq_blob_put_file(struct jq_client *client, const char *path, struct jq_blob *ret_blob,
                             struct jq_error *reterr) {
    return jq_blob_put_watched(client, path, NULL, ret_blob, reterr);
}
