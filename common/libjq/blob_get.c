/* blob_get.c - a file from the broker's store: written as the pieces come, and added up beside that. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/hasher.h"
#include "common/libjq/transfer.h"

struct get {
    struct transfer transfer;
    struct jq_hasher *hasher; /* NULL: the sum is made here */
    uint8_t chunk[JQ_BLOB_CHUNK_SIZE];
};

/* ---- what has come ---- */

static enum jq_err write_piece(const struct transfer *transfer, struct jq_bytes data, struct jq_error *reterr) {
    for (size_t done = 0; done < data.size;) {
        const ssize_t count = pwrite(transfer->fd, data.data + done, data.size - done, (off_t)(transfer->have + done));
        if (count < 0 && errno != EINTR) {
            return jq_fail_errno(reterr, errno, "%.160s", transfer->path);
        }
        done += count > 0 ? (size_t)count : 0;
    }
    return JQ_OK;
}

static void free_answer(void *frame) {
    jq_frame_free(frame);
}

/* The answer of the oldest goes to the hasher. */
static void add_up(struct get *get, struct jq_bytes data) {
    struct transfer *transfer = &get->transfer;
    struct jq_flight *flight = &transfer->flights[transfer->first];
    if (get->hasher) {
        jq_hasher_add(get->hasher, data, free_answer, flight->answer);
        flight->answer = NULL;
    } else {
        jq_sha256_add(&transfer->sum, data.data, data.size);
    }
}

/* Worth a thread of its own? Without one it goes as well. */
static void start_hasher(struct get *get) {
    const struct transfer *transfer = &get->transfer;
    if (!get->hasher && transfer->size - transfer->have > TRANSFER_PIECE_MAX) {
        (void)jq_hasher_new(&transfer->sum, &get->hasher, NULL);
    }
}

static void end_hasher(struct get *get) {
    jq_hasher_end(get->hasher, &get->transfer.sum);
    get->hasher = NULL;
}

/* ---- piece by piece ---- */

static enum jq_err ask_piece(struct transfer *transfer, struct jq_error *reterr) {
    struct jq_pack pack;
    const enum jq_err err = transfer_begin(transfer, "blob.get", 3, &pack, reterr);
    if (err == JQ_OK) {
        jq_pack_field_bin(&pack, &jq_message_blob_get, JQ_AT_BLOB_GET_HASH,
                          (struct jq_bytes){transfer->blob->hash, JQ_BLOB_HASH_SIZE});
        jq_pack_field_uint(&pack, &jq_message_blob_get, JQ_AT_BLOB_GET_OFFSET, transfer->next);
        jq_pack_field_uint(&pack, &jq_message_blob_get, JQ_AT_BLOB_GET_PIECE_MAX, transfer->piece);
        transfer_note(transfer, transfer->next, transfer->piece);
        jq_flight_send(transfer_last(transfer));
        transfer->next += transfer->piece;
    }
    return err;
}

/* A broker may give less than it was asked for, in whole chunks. */
static bool fits(const struct transfer *transfer, uint64_t size, size_t count) {
    const struct piece *asked = transfer_first(transfer);
    if (size != transfer->size || transfer->have > size) {
        return false;
    }
    const size_t expected = transfer_piece_size(transfer, transfer->have, asked->size);
    return count == expected || (count > 0 && count < expected && count % JQ_BLOB_CHUNK_SIZE == 0);
}

/* The first answer tells how long it is. */
static enum jq_err take_data(struct get *get, const struct jq_reply_view *view, size_t *ret_count,
                             struct jq_error *reterr) {
    struct transfer *transfer = &get->transfer;
    const struct jq_bytes data = jq_view_bin(view->body, "data");
    const uint64_t size = jq_view_uint(view->body, "size", 0);
    transfer->size = transfer->size == UINT64_MAX ? size : transfer->size;
    if (!fits(transfer, size, data.size)) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "the broker's answer does not fit what was asked for");
    }
    enum jq_err err = transfer_look(transfer, reterr);
    err = err == JQ_OK ? write_piece(transfer, data, reterr) : err;
    if (err == JQ_OK) {
        start_hasher(get);
        add_up(get, data);
        transfer->have += data.size;
        *ret_count = data.size;
    }
    return err;
}

static enum jq_err take_piece(struct get *get, struct jq_error *reterr) {
    struct transfer *transfer = &get->transfer;
    const struct jq_reply_view *view = NULL;
    const struct piece asked = *transfer_first(transfer);
    size_t count = 0;
    enum jq_err err = transfer_finish_first(transfer, &view, reterr);
    err = err == JQ_OK ? take_data(get, view, &count, reterr) : err;
    if (err == JQ_OK) {
        transfer_pace(transfer);
    }
    transfer_end_first(transfer);
    if (err == JQ_OK && count < asked.size &&
        transfer->have < transfer->size) { /* what is under way has a gap before it */
        transfer_end_all(transfer);
        transfer->piece = transfer->piece_max = count;
        transfer->next = transfer->have;
    }
    return err;
}

static bool is_done(const struct transfer *transfer) {
    return transfer->size != UINT64_MAX && transfer->have >= transfer->size;
}

static enum jq_err get_all(struct get *get, struct jq_error *reterr) {
    struct transfer *transfer = &get->transfer;
    enum jq_err err = JQ_OK;
    int busy = 0;
    transfer->next = transfer->have;
    while (err == JQ_OK && !is_done(transfer)) {
        const unsigned window = transfer->size == UINT64_MAX ? 1 : TRANSFER_WINDOW;
        while (err == JQ_OK && transfer->count < window && transfer->next < transfer->size) {
            err = ask_piece(transfer, reterr);
        }
        if (err == JQ_OK) {
            err = take_piece(get, reterr);
        }
        if (err == JQ_ERR_BUSY && ++busy < TRANSFER_ROUNDS_MAX) { /* too many ask at the same time */
            transfer_end_all(transfer);
            transfer_pause(transfer, err);
            transfer->next = transfer->have;
            err = JQ_OK;
        }
    }
    transfer_end_all(transfer);
    end_hasher(get);
    return err;
}

/* ---- the file ---- */

/* What an earlier call left of it. */
static enum jq_err take_up(struct get *get, struct jq_error *reterr) {
    struct transfer *transfer = &get->transfer;
    struct stat status;
    transfer->fd = open(transfer->path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (transfer->fd < 0 || fstat(transfer->fd, &status) != 0) {
        /* Never "not found", which is the broker's word for a blob that nobody has. */
        return jq_fail(reterr, JQ_ERR_IO, "%.160s: %s", transfer->path, strerror(errno));
    }
    const uint64_t there = (uint64_t)status.st_size / JQ_BLOB_CHUNK_SIZE * JQ_BLOB_CHUNK_SIZE;
    jq_sha256_init(&transfer->sum);
    enum jq_err err = JQ_OK;
    while (err == JQ_OK && transfer->have < there) {
        err = transfer_read(transfer, get->chunk, sizeof(get->chunk), transfer->have, reterr);
        jq_sha256_add(&transfer->sum, get->chunk, sizeof(get->chunk));
        transfer->have += sizeof(get->chunk);
    }
    return err;
}

static enum jq_err check_and_rename(struct transfer *transfer, const char *path, struct jq_error *reterr) {
    struct jq_blob came;
    jq_sha256_end(&transfer->sum, came.hash);
    if (memcmp(came.hash, transfer->blob->hash, sizeof(came.hash)) != 0) {
        (void)unlink(transfer->path);
        return jq_fail(reterr, JQ_ERR_CORRUPT, "what came has another SHA-256 than was asked for");
    }
    if (ftruncate(transfer->fd, (off_t)transfer->size) != 0 || rename(transfer->path, path) != 0) {
        return jq_fail_errno(reterr, errno, "%.160s", path);
    }
    return JQ_OK;
}

/* A part that is longer than the whole, or wrong, is begun anew. */
static enum jq_err get_into(struct get *get, const char *path, struct jq_error *reterr) {
    struct transfer *transfer = &get->transfer;
    enum jq_err err = take_up(get, reterr);
    const bool resumed = transfer->have > 0;
    err = err == JQ_OK ? get_all(get, reterr) : err;
    err = err == JQ_OK ? check_and_rename(transfer, path, reterr) : err;
    const bool part_is_wrong = resumed && (err == JQ_ERR_CORRUPT || err == JQ_ERR_INVALID);
    if (transfer->fd >= 0) {
        (void)close(transfer->fd);
    }
    if (err != JQ_OK && transfer->have == 0) {
        (void)unlink(transfer->path); /* nothing to go on with */
    }
    if (!part_is_wrong) {
        return err;
    }
    (void)unlink(transfer->path);
    transfer->have = 0;
    transfer->size = UINT64_MAX;
    return get_into(get, path, reterr);
}

enum jq_err jq_blob_get_watched(struct jq_client *client, const struct jq_blob *blob, const char *path,
                                const struct jq_blob_watch *watch, struct jq_error *reterr) {
    char part[TRANSFER_PATH_SIZE];
    struct get *get = calloc(1, sizeof(*get));
    if (!get) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "blob");
    }
    get->transfer = (struct transfer){.client = client,
                                      .blob = blob,
                                      .watch = watch,
                                      .path = part,
                                      .size = UINT64_MAX,
                                      .piece = JQ_BLOB_CHUNK_SIZE,
                                      .piece_max = TRANSFER_PIECE_MAX};
    const enum jq_err err = snprintf(part, sizeof(part), "%s.part", path) < TRANSFER_PATH_SIZE
                                ? get_into(get, path, reterr)
                                : jq_fail(reterr, JQ_ERR_INVALID, "%.160s: path too long", path);
    free(get);
    return err;
}

enum jq_err jq_blob_get_file(struct jq_client *client, const struct jq_blob *blob, const char *path,
                             struct jq_error *reterr) {
    return jq_blob_get_watched(client, blob, path, NULL, reterr);
}
