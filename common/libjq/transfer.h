/* transfer.h - one blob on its way, in pieces of which several are under way: what putting and getting share. Private to blob_*.c.
 *
 * Pieces are asked for in order and taken in that order. They are whole chunks (JQ_BLOB_CHUNK_SIZE), but for the last, and as large as
 * the other side takes them and the connection carries them quickly: a piece that takes long could not be told from a lost one.
 */
#ifndef JQ_COMMON_LIBJQ_TRANSFER_H
#define JQ_COMMON_LIBJQ_TRANSFER_H

#include "common/hasher.h"
#include "common/libjq/blob.h"
#include "common/libjq/flight.h"
#include "common/sha256.h"

enum {
    TRANSFER_WINDOW = 6,                          /* pieces under way */
    TRANSFER_PIECE_MAX = 10 * JQ_BLOB_CHUNK_SIZE, /* larger ones are no faster */
    TRANSFER_ROUNDS_MAX = 8,
    TRANSFER_PATH_SIZE = 4096,
};

struct piece {
    uint64_t offset;
    size_t size;
    int64_t sent_ms;
};

struct transfer {
    struct jq_client *client;
    const struct jq_blob *blob;
    const struct jq_blob_watch *watch; /* NULL: nobody */
    const char *path;                  /* for messages */
    int fd;
    uint64_t size;         /* UINT64_MAX: not known yet */
    uint64_t next;         /* offset of the piece that is asked for next */
    uint64_t have;         /* put: what the broker has; get: what was written */
    size_t piece;          /* bytes of the next one */
    size_t piece_max;      /* to which it may grow */
    bool whole;            /* put: it is stored */
    bool draft;            /* put: it goes under `name`, while it is added up */
    bool draft_taken;      /* put: the broker says so */
    bool hashed;           /* put: own.hash is known */
    bool lost;             /* put: a piece was, for a reason that may pass */
    unsigned first, count; /* of what is under way */
    struct jq_flight flights[TRANSFER_WINDOW];
    struct piece pieces[TRANSFER_WINDOW];
    struct jq_sha256 sum;     /* put: unless the hasher has it */
    struct jq_hasher *hasher; /* put: NULL: none */
    struct {
        struct jq_frame *frame; /* NULL: none */
        struct jq_flight *flight;
    } held;                          /* put: a piece that is to be sent when it has been added up */
    uint64_t summed;                 /* bytes in it */
    struct jq_blob own;              /* put: `blob` is this one */
    uint8_t name[JQ_BLOB_HASH_SIZE]; /* of the draft */
};

int64_t transfer_deadline_ms(const struct transfer *transfer);
enum jq_err transfer_look(const struct transfer *transfer, struct jq_error *reterr);

/* Bytes of the piece at `offset`: no more than are left. */
size_t transfer_piece_size(const struct transfer *transfer, uint64_t offset, size_t most);

/* Begins the next request; it counts from then on, and is transfer_last(). */
enum jq_err transfer_begin(struct transfer *transfer, const char *op, size_t field_count, struct jq_pack *ret_pack,
                           struct jq_error *reterr);
struct jq_flight *transfer_last(struct transfer *transfer);
/* Notes what the last one is about. */
void transfer_note(struct transfer *transfer, uint64_t offset, size_t size);

/* Waits for the oldest. JQ_OK: *ret_view is its answer, until transfer_end_first(). JQ_ERR_NO_SPACE: the store is full. */
enum jq_err transfer_finish_first(struct transfer *transfer, const struct jq_reply_view **ret_view,
                                  struct jq_error *reterr);
const struct piece *transfer_first(const struct transfer *transfer);
void transfer_end_first(struct transfer *transfer);
void transfer_end_all(struct transfer *transfer);

/* The oldest, which carried a piece, has landed well: the next ones may be larger, or should be smaller. */
void transfer_pace(struct transfer *transfer);

/* Before it is tried again after `err`. */
void transfer_pause(struct transfer *transfer, enum jq_err err);

/* All of it, from that offset of the file on. JQ_ERR_CONFLICT: the file has become shorter. */
enum jq_err transfer_read(const struct transfer *transfer, void *data, size_t size, uint64_t offset,
                          struct jq_error *reterr);

#endif
