/* blob_put.c - a file to the broker's store, and how blobs are written down. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/libjq/transfer.h"
#include "common/text.h"

enum { HASHED_AT_A_TIME = 256 * 1024 };

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

/* ---- piece by piece ---- */

static void pack_put(struct jq_pack *pack, const struct transfer *transfer) {
    jq_pack_field_bin(pack, &jq_message_blob_put, JQ_AT_BLOB_PUT_HASH,
                      (struct jq_bytes){transfer->blob->hash, JQ_BLOB_HASH_SIZE});
    jq_pack_field_uint(pack, &jq_message_blob_put, JQ_AT_BLOB_PUT_SIZE, transfer->size);
}

static enum jq_err ask_have(struct transfer *transfer, struct jq_error *reterr) {
    struct jq_pack pack;
    const enum jq_err err = transfer_begin(transfer, "blob.put", 2, &pack, reterr);
    if (err == JQ_OK) {
        pack_put(&pack, transfer);
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
        transfer_note(transfer, transfer->next, size);
        jq_flight_send_frame(transfer_last(transfer), frame);
        transfer->next += size;
    }
    return err;
}

/* What this connection takes is told with the answer to a question. */
static void heed(struct transfer *transfer, const struct jq_reply_view *view) {
    const uint64_t most = jq_view_uint(view->body, "piece_max", 0);
    transfer->whole = transfer->whole || jq_view_bool(view->body, "whole", false);
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

/* From where the broker is to the end: it may have to be gone through again, after a restart of the broker for one. */
static enum jq_err put_round(struct transfer *transfer, struct jq_error *reterr) {
    transfer->lost = false;
    transfer->piece = transfer->piece_max = JQ_BLOB_CHUNK_SIZE;
    enum jq_err err = ask_have(transfer, reterr);
    err = err == JQ_OK ? take_put(transfer, reterr) : err;
    transfer->next = transfer->have;
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
    transfer_end_all(transfer);
    return err;
}

/* Time runs out only while nothing comes over. */
static enum jq_err put_all(struct transfer *transfer, struct jq_error *reterr) {
    int64_t until_ms = transfer_deadline_ms(transfer);
    uint64_t most = 0;
    for (int round = 0;; round++) {
        const enum jq_err err = put_round(transfer, reterr);
        /* What was there before may have been wrong: it is gone now, and the first round's word is not the last. */
        const bool begin_anew = err == JQ_ERR_CONFLICT && round == 0;
        if (transfer->whole || (err != JQ_OK && err != JQ_ERR_BUSY && !begin_anew && !transfer->lost)) {
            return err;
        }
        if (transfer->have > most) {
            most = transfer->have;
            until_ms = transfer_deadline_ms(transfer);
        }
        if (round >= TRANSFER_ROUNDS_MAX && jq_flight_now_ms() >= until_ms) {
            return err != JQ_OK ? err
                                : jq_fail(reterr, JQ_ERR_UNAVAILABLE, "%.160s: does not come over", transfer->path);
        }
        if (err == JQ_ERR_BUSY || transfer->lost) {
            transfer_pause(transfer, err);
        }
    }
}

/* ---- the file ---- */

static enum jq_err hash_file(struct transfer *transfer, struct jq_blob *ret_blob, struct jq_error *reterr) {
    uint8_t *data = malloc(HASHED_AT_A_TIME);
    enum jq_err err = data ? JQ_OK : jq_fail(reterr, JQ_ERR_NOMEM, "blob");
    jq_sha256_init(&transfer->sum);
    for (uint64_t at = 0; err == JQ_OK && at < transfer->size;) {
        const size_t size = transfer_piece_size(transfer, at, HASHED_AT_A_TIME);
        err = transfer_look(transfer, reterr);
        err = err == JQ_OK ? transfer_read(transfer, data, size, at, reterr) : err;
        if (err == JQ_OK) {
            jq_sha256_add(&transfer->sum, data, size);
        }
        at += size;
    }
    free(data);
    if (err == JQ_OK) {
        jq_sha256_end(&transfer->sum, ret_blob->hash);
    }
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
    return JQ_OK;
}

enum jq_err jq_blob_put_watched(struct jq_client *client, const char *path, const struct jq_blob_watch *watch,
                                struct jq_blob *ret_blob, struct jq_error *reterr) {
    struct jq_blob blob;
    struct transfer *transfer = calloc(1, sizeof(*transfer));
    if (!transfer) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "blob");
    }
    *transfer = (struct transfer){.client = client, .blob = &blob, .watch = watch, .path = path, .fd = -1};
    enum jq_err err = open_source(transfer, reterr);
    err = err == JQ_OK ? hash_file(transfer, &blob, reterr) : err;
    err = err == JQ_OK ? put_all(transfer, reterr) : err;
    if (err == JQ_OK) {
        *ret_blob = blob;
    }
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
