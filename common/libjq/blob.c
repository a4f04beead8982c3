/* blob.c - files to the broker's store and back, piece by piece, several under way at a time. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/libjq/blob.h"
#include "common/libjq/flight.h"
#include "common/sha256.h"
#include "common/text.h"

enum { WINDOW = 12, FIELDS_SIZE = 256, ROUNDS_MAX = 8, PATH_SIZE = 4096, HASHED_AT_A_TIME = 256 * 1024 };

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

/* ---- pieces under way, taken in the order in which they were asked for ---- */

struct transfer {
    struct jq_client *client;
    const struct jq_blob *blob;
    const struct jq_blob_watch *watch; /* NULL: nobody */
    const char *path;                  /* for messages */
    int fd;
    uint64_t size;
    uint64_t next; /* offset of the piece that is asked for next */
    uint64_t have; /* put: what the broker has; get: what was written */
    bool whole;
    unsigned first, count; /* of the flights */
    struct jq_flight flights[WINDOW];
    uint8_t piece[JQ_BLOB_CHUNK_SIZE];
    struct jq_sha256 sum;
};

static int64_t deadline_ms(const struct transfer *transfer) {
    return jq_flight_now_ms() + transfer->client->timeout_ms;
}

static enum jq_err look(const struct transfer *transfer, struct jq_error *reterr) {
    const struct jq_blob_watch *watch = transfer->watch;
    return watch ? watch->look(watch->ctx, transfer->size, reterr) : JQ_OK;
}

static size_t piece_size(const struct transfer *transfer, uint64_t offset) {
    const uint64_t left = transfer->size - offset;
    return left < JQ_BLOB_CHUNK_SIZE ? (size_t)left : JQ_BLOB_CHUNK_SIZE;
}

static enum jq_err begin(struct transfer *transfer, const char *op, size_t field_count, struct jq_pack *ret_pack,
                         struct jq_error *reterr) {
    struct jq_flight *flight = &transfer->flights[(transfer->first + transfer->count) % WINDOW];
    const enum jq_err err =
        jq_flight_begin(transfer->client, flight, op, field_count, deadline_ms(transfer), ret_pack, reterr);
    transfer->count += err == JQ_OK;
    return err;
}

static void send_last(struct transfer *transfer) {
    jq_flight_send(&transfer->flights[(transfer->first + transfer->count - 1) % WINDOW]);
}

/* Waits for the oldest. JQ_OK: *ret_view is its answer, until end_first(). */
static enum jq_err finish_first(struct transfer *transfer, const struct jq_reply_view **ret_view,
                                struct jq_error *reterr) {
    struct jq_flight *flight = &transfer->flights[transfer->first];
    enum jq_err err = jq_flight_finish(flight, deadline_ms(transfer), reterr);
    if (err == JQ_OK) {
        err = jq_refusal(&flight->view, reterr);
    }
    if (err == JQ_ERR_BUSY && jq_str_equal(flight->view.field, JQ_STR("blob_bytes_max"))) {
        err = jq_fail(reterr, JQ_ERR_NO_SPACE, "%.*s", JQ_STR_ARG(flight->view.reason));
    }
    *ret_view = &flight->view;
    return err;
}

static void end_first(struct transfer *transfer) {
    jq_flight_end(&transfer->flights[transfer->first]);
    transfer->first = (transfer->first + 1) % WINDOW;
    transfer->count--;
}

static void end_all(struct transfer *transfer) {
    while (transfer->count > 0) {
        end_first(transfer);
    }
}

static enum jq_err read_at(const struct transfer *transfer, void *data, size_t size, uint64_t offset,
                           struct jq_error *reterr) {
    size_t done = 0;
    while (done < size) {
        const ssize_t count = pread(transfer->fd, (uint8_t *)data + done, size - done, (off_t)(offset + done));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return jq_fail_errno(reterr, errno, "%.160s", transfer->path);
        }
        if (count == 0) {
            return jq_fail(reterr, JQ_ERR_CONFLICT, "%.160s: became shorter while it was read", transfer->path);
        }
        done += (size_t)count;
    }
    return JQ_OK;
}

/* ---- put ---- */

static void pack_put(struct jq_pack *pack, const struct transfer *transfer) {
    jq_pack_field_bin(pack, &jq_message_blob_put, JQ_AT_BLOB_PUT_HASH,
                      (struct jq_bytes){transfer->blob->hash, JQ_BLOB_HASH_SIZE});
    jq_pack_field_uint(pack, &jq_message_blob_put, JQ_AT_BLOB_PUT_SIZE, transfer->size);
}

static enum jq_err ask_have(struct transfer *transfer, struct jq_error *reterr) {
    struct jq_pack pack;
    const enum jq_err err = begin(transfer, "blob.put", 2, &pack, reterr);
    if (err == JQ_OK) {
        pack_put(&pack, transfer);
        send_last(transfer);
    }
    return err;
}

static enum jq_err send_piece(struct transfer *transfer, struct jq_error *reterr) {
    struct jq_pack pack;
    const size_t size = piece_size(transfer, transfer->next);
    enum jq_err err = read_at(transfer, transfer->piece, size, transfer->next, reterr);
    if (err == JQ_OK) {
        err = begin(transfer, "blob.put", 4, &pack, reterr);
    }
    if (err != JQ_OK) {
        return err;
    }
    (void)jq_buf_room(pack.buf, size + FIELDS_SIZE); /* at once, not by doubling */
    pack_put(&pack, transfer);
    jq_pack_field_uint(&pack, &jq_message_blob_put, JQ_AT_BLOB_PUT_OFFSET, transfer->next);
    jq_pack_field_bin(&pack, &jq_message_blob_put, JQ_AT_BLOB_PUT_DATA, (struct jq_bytes){transfer->piece, size});
    send_last(transfer);
    transfer->next += size;
    return JQ_OK;
}

static enum jq_err take_put(struct transfer *transfer, struct jq_error *reterr) {
    const struct jq_reply_view *view = NULL;
    enum jq_err err = look(transfer, reterr);
    err = err == JQ_OK ? finish_first(transfer, &view, reterr) : err;
    if (err == JQ_OK) {
        transfer->whole = transfer->whole || jq_view_bool(view->body, "whole", false);
        transfer->have = jq_view_uint(view->body, "have", 0);
    }
    end_first(transfer);
    return err;
}

/* From where the broker is to the end: it may have to be gone through again, after a restart of the broker for one. */
static enum jq_err put_round(struct transfer *transfer, struct jq_error *reterr) {
    enum jq_err err = ask_have(transfer, reterr);
    err = err == JQ_OK ? take_put(transfer, reterr) : err;
    transfer->next = transfer->have;
    bool empty = transfer->size == 0;
    while (err == JQ_OK && !transfer->whole && (transfer->count > 0 || transfer->next < transfer->size || empty)) {
        while (err == JQ_OK && transfer->count < WINDOW && (transfer->next < transfer->size || empty)) {
            empty = false;
            err = send_piece(transfer, reterr);
        }
        if (err == JQ_OK) {
            err = take_put(transfer, reterr);
        }
    }
    end_all(transfer);
    return err;
}

static void pause_before(struct transfer *transfer, enum jq_err err) {
    const int64_t until_ms = jq_flight_now_ms() + JQ_BACKOFF_LAST_MS / 8;
    if (transfer->client->on_retry) {
        transfer->client->on_retry(transfer->client->ctx, err, JQ_BACKOFF_LAST_MS / 8);
    }
    jq_client_pause(transfer->client, until_ms);
}

static enum jq_err put_all(struct transfer *transfer, struct jq_error *reterr) {
    const int64_t until_ms = deadline_ms(transfer);
    for (int round = 0;; round++) {
        const enum jq_err err = put_round(transfer, reterr);
        /* What was there before may have been wrong: it is gone now, and the first round's word is not the last. */
        const bool begin_anew = err == JQ_ERR_CONFLICT && round == 0;
        if (transfer->whole || (err != JQ_OK && err != JQ_ERR_BUSY && !begin_anew)) {
            return err;
        }
        if (round >= ROUNDS_MAX && jq_flight_now_ms() >= until_ms) {
            return err != JQ_OK ? err
                                : jq_fail(reterr, JQ_ERR_UNAVAILABLE, "%.160s: does not come over", transfer->path);
        }
        if (err == JQ_ERR_BUSY) {
            pause_before(transfer, err);
        }
    }
}

static enum jq_err hash_file(struct transfer *transfer, struct jq_blob *ret_blob, struct jq_error *reterr) {
    uint8_t *data = malloc(HASHED_AT_A_TIME);
    enum jq_err err = data ? JQ_OK : jq_fail(reterr, JQ_ERR_NOMEM, "blob");
    jq_sha256_init(&transfer->sum);
    for (uint64_t at = 0; err == JQ_OK && at < transfer->size;) {
        const uint64_t left = transfer->size - at;
        const size_t size = left < HASHED_AT_A_TIME ? (size_t)left : HASHED_AT_A_TIME;
        err = look(transfer, reterr);
        err = err == JQ_OK ? read_at(transfer, data, size, at, reterr) : err;
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
    transfer->client = client;
    transfer->blob = &blob;
    transfer->watch = watch;
    transfer->path = path;
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

/* ---- get ---- */

static enum jq_err write_piece(struct transfer *transfer, struct jq_bytes data, struct jq_error *reterr) {
    for (size_t done = 0; done < data.size;) {
        const ssize_t count = pwrite(transfer->fd, data.data + done, data.size - done, (off_t)(transfer->have + done));
        if (count < 0 && errno != EINTR) {
            return jq_fail_errno(reterr, errno, "%.160s", transfer->path);
        }
        done += count > 0 ? (size_t)count : 0;
    }
    jq_sha256_add(&transfer->sum, data.data, data.size);
    transfer->have += data.size;
    return JQ_OK;
}

static enum jq_err ask_piece(struct transfer *transfer, struct jq_error *reterr) {
    struct jq_pack pack;
    const enum jq_err err = begin(transfer, "blob.get", 2, &pack, reterr);
    if (err == JQ_OK) {
        jq_pack_field_bin(&pack, &jq_message_blob_get, JQ_AT_BLOB_GET_HASH,
                          (struct jq_bytes){transfer->blob->hash, JQ_BLOB_HASH_SIZE});
        jq_pack_field_uint(&pack, &jq_message_blob_get, JQ_AT_BLOB_GET_OFFSET, transfer->next);
        send_last(transfer);
        transfer->next += JQ_BLOB_CHUNK_SIZE;
    }
    return err;
}

/* The first answer tells how long it is. */
static enum jq_err take_piece(struct transfer *transfer, struct jq_error *reterr) {
    const struct jq_reply_view *view = NULL;
    enum jq_err err = finish_first(transfer, &view, reterr);
    const struct jq_bytes data = err == JQ_OK ? jq_view_bin(view->body, "data") : (struct jq_bytes){NULL, 0};
    const uint64_t size = err == JQ_OK ? jq_view_uint(view->body, "size", 0) : 0;
    if (err == JQ_OK && transfer->size == UINT64_MAX) {
        transfer->size = size;
    }
    if (err == JQ_OK &&
        (size != transfer->size || transfer->have > size || data.size != piece_size(transfer, transfer->have))) {
        err = jq_fail(reterr, JQ_ERR_CORRUPT, "the broker's answer does not fit what was asked for");
    }
    err = err == JQ_OK ? look(transfer, reterr) : err;
    if (err == JQ_OK) {
        err = write_piece(transfer, data, reterr);
    }
    end_first(transfer);
    return err;
}

static bool get_is_done(const struct transfer *transfer) {
    return transfer->size != UINT64_MAX && transfer->have >= transfer->size;
}

static enum jq_err get_all(struct transfer *transfer, struct jq_error *reterr) {
    enum jq_err err = JQ_OK;
    int busy = 0;
    transfer->next = transfer->have;
    while (err == JQ_OK && !get_is_done(transfer)) {
        const unsigned window = transfer->size == UINT64_MAX ? 1 : WINDOW;
        while (err == JQ_OK && transfer->count < window && transfer->next < transfer->size) {
            err = ask_piece(transfer, reterr);
        }
        if (err == JQ_OK) {
            err = take_piece(transfer, reterr);
        }
        if (err == JQ_ERR_BUSY && ++busy < ROUNDS_MAX) { /* too many ask at the same time */
            end_all(transfer);
            pause_before(transfer, err);
            transfer->next = transfer->have;
            err = JQ_OK;
        }
    }
    end_all(transfer);
    return err;
}

/* What an earlier call left of it. */
static enum jq_err take_up(struct transfer *transfer, struct jq_error *reterr) {
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
        err = read_at(transfer, transfer->piece, sizeof(transfer->piece), transfer->have, reterr);
        jq_sha256_add(&transfer->sum, transfer->piece, sizeof(transfer->piece));
        transfer->have += sizeof(transfer->piece);
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
static enum jq_err get_into(struct transfer *transfer, const char *path, struct jq_error *reterr) {
    enum jq_err err = take_up(transfer, reterr);
    const bool resumed = transfer->have > 0;
    err = err == JQ_OK ? get_all(transfer, reterr) : err;
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
    return get_into(transfer, path, reterr);
}

enum jq_err jq_blob_get_watched(struct jq_client *client, const struct jq_blob *blob, const char *path,
                                const struct jq_blob_watch *watch, struct jq_error *reterr) {
    char part[PATH_SIZE];
    struct transfer *transfer = calloc(1, sizeof(*transfer));
    if (!transfer) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "blob");
    }
    transfer->client = client;
    transfer->blob = blob;
    transfer->watch = watch;
    transfer->path = part;
    transfer->size = UINT64_MAX;
    const enum jq_err err = snprintf(part, sizeof(part), "%s.part", path) < PATH_SIZE
                                ? get_into(transfer, path, reterr)
                                : jq_fail(reterr, JQ_ERR_INVALID, "%.160s: path too long", path);
    free(transfer);
    return err;
}

enum jq_err jq_blob_get_file(struct jq_client *client, const struct jq_blob *blob, const char *path,
                             struct jq_error *reterr) {
    return jq_blob_get_watched(client, blob, path, NULL, reterr);
}
