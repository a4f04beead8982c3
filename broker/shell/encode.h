/* encode.h - answers on their way out: the core's reply effects as frames.
 *
 * A frame holds JQ_FRAME_SIZE_MAX bytes, and so must `out` (jq_buf_init(out, JQ_FRAME_SIZE_MAX)); every function here
 * clears it first. What does not fit is cut: rows of a list (the answer says where to go on, or how many were left
 * out), reasons of exceptions, commands (the core repeats them). Tasks of a lease answer that cannot go out are told
 * through `unsent`.
 *
 * Errors:    JQ_ERR_NOMEM. JQ_ERR_TOO_BIG cannot happen with an `out` of the right bound.
 */
#ifndef JQ_BROKER_SHELL_ENCODE_H
#define JQ_BROKER_SHELL_ENCODE_H

#include "broker/core/effect.h"
#include "common/buf.h"
#include "common/err.h"

struct jq_encode_context {
    enum jq_durability durability; /* of an answered submit */
    size_t blob_piece_max;         /* of an answered blob.put: bytes that may come at a time; 0: JQ_BLOB_CHUNK_SIZE */
    void *ctx;                     /* first argument of the callbacks */
    /* The bytes that the core kept opaque, as jq_decode_request() made them; they live until the next call. False: they
     * cannot be read. Never called for refs of size 0. */
    bool (*body)(void *ctx, struct jq_body_ref ref, struct jq_bytes *ret_body);
    /* Item `item` of a lease answer is not in the frame: JQ_ERR_CORRUPT, its body cannot be read (its task is damaged);
     * JQ_ERR_TOO_BIG, the frame is full (the lease is to be handed back). NULL: nobody asks. */
    void (*unsent)(void *ctx, size_t item, enum jq_err why);
};

enum jq_err jq_encode_reply(struct jq_buf *out, const struct jq_reply_effect *reply,
                            const struct jq_encode_context *context, struct jq_error *reterr);

/* The answer to a blob.get of which only `data_size` bytes of data are missing, which are to follow at once. `size`: of the blob. */
enum { JQ_BLOB_HEAD_SIZE_MAX = 128 }; /* what it takes of a frame at most */
enum jq_err jq_encode_blob_head(struct jq_buf *out, uint64_t request, uint64_t size, size_t data_size,
                                struct jq_error *reterr);

/* An answer without the core. `field` and `reason` may be NULL, `retry_after_ms` 0: left out. `request` 0: unknown. */
enum jq_err jq_encode_refusal(struct jq_buf *out, uint64_t request, enum jq_reply status, const char *field,
                              const char *reason, int64_t retry_after_ms, struct jq_error *reterr);

struct jq_hello {
    struct jq_uuid broker; /* the log's id */
    struct jq_str version;
    uint64_t epoch;
    enum jq_durability durability;
    int64_t wait_ms_max;
    int64_t wall_ms;
};
enum jq_err jq_encode_hello(struct jq_buf *out, uint64_t request, const struct jq_hello *hello,
                            struct jq_error *reterr);

/* output.put, task.logs: stdout, stderr. */
struct jq_logs_data {
    bool known;
    jq_lease_token token;
    uint64_t at[2], end[2];
    struct jq_bytes bytes[2];
};
enum jq_err jq_encode_output_taken(struct jq_buf *out, uint64_t request, bool followed, struct jq_error *reterr);
enum jq_err jq_encode_logs(struct jq_buf *out, uint64_t request, const struct jq_logs_data *data,
                           struct jq_error *reterr);

/* backup.begin, backup.read. */
struct jq_backup_point {
    uint64_t end_lsn, digest, epoch;
    int64_t wall_ms;
};
struct jq_backup_data {
    uint64_t segment, size;
    uint64_t next; /* 0: that was the last */
    struct jq_bytes data;
};
enum jq_err jq_encode_backup_point(struct jq_buf *out, uint64_t request, const struct jq_backup_point *point,
                                   struct jq_error *reterr);
enum jq_err jq_encode_backup_data(struct jq_buf *out, uint64_t request, const struct jq_backup_data *data,
                                  struct jq_error *reterr);

/* Does this effect name bodies that the encoder will ask for? Otherwise it can be encoded at once. */
bool jq_reply_has_bodies(const struct jq_reply_effect *reply);

/* A copy of an effect with all that it borrows, in one allocation: it outlives the step that made the effect. NULL: out
 * of memory. */
struct jq_reply_effect *jq_reply_copy(const struct jq_reply_effect *reply);
void jq_reply_copy_free(struct jq_reply_effect *copy);

/* "no_worker_can" of JQ_WHY_NO_WORKER_CAN; "?" outside the list. */
const char *jq_why_name(enum jq_why why);

#endif
