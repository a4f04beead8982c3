#include "common/libjq/transfer.h"

#include <errno.h>
#include <unistd.h>

enum { QUICK_MS = 200, SLOW_MS = 2000 };

int64_t transfer_deadline_ms(const struct transfer *transfer) {
    return jq_flight_now_ms() + transfer->client->timeout_ms;
}

enum jq_err transfer_look(const struct transfer *transfer, struct jq_error *reterr) {
    const struct jq_blob_watch *watch = transfer->watch;
    return watch ? watch->look(watch->ctx, transfer->size, reterr) : JQ_OK;
}

size_t transfer_piece_size(const struct transfer *transfer, uint64_t offset, size_t most) {
    const uint64_t left = transfer->size - offset;
    return left < most ? (size_t)left : most;
}

/* ---- what is under way ---- */

enum jq_err transfer_begin(struct transfer *transfer, const char *op, size_t field_count, struct jq_pack *ret_pack,
                           struct jq_error *reterr) {
    struct jq_flight *flight = &transfer->flights[(transfer->first + transfer->count) % TRANSFER_WINDOW];
    const enum jq_err err =
        jq_flight_begin(transfer->client, flight, op, field_count, transfer_deadline_ms(transfer), ret_pack, reterr);
    transfer->count += err == JQ_OK;
    return err;
}

static unsigned last_place(const struct transfer *transfer) {
    return (transfer->first + transfer->count - 1) % TRANSFER_WINDOW;
}

struct jq_flight *transfer_last(struct transfer *transfer) {
    return &transfer->flights[last_place(transfer)];
}

void transfer_note(struct transfer *transfer, uint64_t offset, size_t size) {
    transfer->pieces[last_place(transfer)] =
        (struct piece){.offset = offset, .size = size, .sent_ms = jq_flight_now_ms()};
}

static bool may_pass(enum jq_err err) {
    return err == JQ_ERR_CLOSED || err == JQ_ERR_UNAVAILABLE || err == JQ_ERR_TIMEOUT || err == JQ_ERR_BUSY;
}

enum jq_err transfer_finish_first(struct transfer *transfer, const struct jq_reply_view **ret_view,
                                  struct jq_error *reterr) {
    struct jq_flight *flight = &transfer->flights[transfer->first];
    enum jq_err err = jq_flight_finish(flight, transfer_deadline_ms(transfer), reterr);
    transfer->lost = transfer->lost || (!flight->retries && may_pass(err));
    if (err == JQ_OK) {
        err = jq_refusal(&flight->view, reterr);
    }
    if (err == JQ_ERR_BUSY && jq_str_equal(flight->view.field, JQ_STR("blob_bytes_max"))) {
        err = jq_fail(reterr, JQ_ERR_NO_SPACE, "%.*s", JQ_STR_ARG(flight->view.reason));
    }
    *ret_view = &flight->view;
    return err;
}

const struct piece *transfer_first(const struct transfer *transfer) {
    return &transfer->pieces[transfer->first];
}

void transfer_end_first(struct transfer *transfer) {
    jq_flight_end(&transfer->flights[transfer->first]);
    transfer->first = (transfer->first + 1) % TRANSFER_WINDOW;
    transfer->count--;
}

void transfer_end_all(struct transfer *transfer) {
    while (transfer->count > 0) {
        transfer_end_first(transfer);
    }
}

/* ---- pace ---- */

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

void transfer_pace(struct transfer *transfer) {
    const int64_t took_ms = jq_flight_now_ms() - transfer_first(transfer)->sent_ms;
    const size_t half = transfer->piece / JQ_BLOB_CHUNK_SIZE / 2 * JQ_BLOB_CHUNK_SIZE;
    if (took_ms < QUICK_MS) {
        transfer->piece = least(transfer->piece * 2, transfer->piece_max);
    } else if (took_ms > SLOW_MS && half > 0) {
        transfer->piece = half;
    }
}

void transfer_pause(struct transfer *transfer, enum jq_err err) {
    const int64_t until_ms = jq_flight_now_ms() + JQ_BACKOFF_LAST_MS / 8;
    if (transfer->client->on_retry) {
        transfer->client->on_retry(transfer->client->ctx, err, JQ_BACKOFF_LAST_MS / 8);
    }
    jq_client_pause(transfer->client, until_ms);
}

/* ---- the file ---- */

enum jq_err transfer_read(const struct transfer *transfer, void *data, size_t size, uint64_t offset,
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
