/* types.h - the few types that every part of jqmesh shares: borrowed spans, handles, limits of the protocol.
 *
 * Times are int64_t milliseconds. Names end in `_ms`: core time (see clock.h) unless they say `wall`.
 */
#ifndef JQ_COMMON_TYPES_H
#define JQ_COMMON_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Borrowed bytes and borrowed text. Text is not NUL-terminated. The lender says how long they live. */
struct jq_bytes {
    const uint8_t *data;
    size_t size;
};
struct jq_str {
    const char *data;
    size_t size;
};

#define JQ_STR(literal) ((struct jq_str){(literal), sizeof(literal) - 1})
/* For printf: `printf("%.*s", JQ_STR_ARG(name))`. */
#define JQ_STR_ARG(s)   (int)(s).size, (s).data

static inline struct jq_str jq_str_of(const char *text) {
    return (struct jq_str){text, text ? strlen(text) : 0};
}
static inline bool jq_str_equal(struct jq_str a, struct jq_str b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Handles: one field each, so that mixing them does not compile. 0 is none. */
typedef struct {
    uint64_t value; /* 8 bits of group, 56 of sequence */
} jq_task_id;
typedef struct {
    uint64_t value; /* 20 bits of broker epoch, 44 of counter: never issued twice */
} jq_lease_token;
struct jq_uuid {
    uint8_t bytes[16];
};

static inline bool jq_uuid_equal(const struct jq_uuid *a, const struct jq_uuid *b) {
    return memcmp(a->bytes, b->bytes, 16) == 0;
}

/* Bounds of the protocol. Everything outside them is refused with a typed error. */
enum {
    JQ_BLOB_HASH_SIZE = 32, /* SHA-256 of what a blob holds: its name */
    JQ_BLOB_CHUNK_SIZE =
        48 * 1024, /* what blobs are counted in: bytes that travel at a time, unless both ends agree on more */
    JQ_BLOB_PIECE_MAX =
        20 * 48 * 1024, /* bytes of a blob that travel at a time at most: chunks, of which the last may be shorter */
    JQ_DOORBELL_SIZE_MAX = 127,            /* the address of a doorbell: that of a socket */
    JQ_NAME_SIZE_MAX = 64,                 /* queue, handler, worker, offer and fact names: [a-z0-9_.-] */
    JQ_KEY_SIZE_MAX = 255,                 /* idempotency key, group */
    JQ_NEED_SIZE_MAX = 1024,               /* need and want texts */
    JQ_HEADERS_SIZE_MAX = 8 * 1024,        /* headers of a task, encoded */
    JQ_PAYLOAD_SIZE_MAX = 48 * 1024,       /* payload or result carried inline */
    JQ_TASK_SIZE_MAX = 56 * 1024,          /* one encoded task */
    JQ_AFTER_COUNT_MAX = 1000,             /* dependencies of one task */
    JQ_FRAME_SIZE_MAX = 64 * 1024,         /* one NNG message */
    JQ_LARGE_FRAME_SIZE_MAX = 1024 * 1024, /* one with a piece of a blob, where it was agreed on */
    JQ_FRAME_DEPTH_MAX = 8,                /* nesting of msgpack containers */
    JQ_TAIL_SIZE_MAX = 4 * 1024,           /* of stdout and of stderr kept with an outcome */
    JQ_OUTPUT_KEPT_MAX = 64 * 1024,        /* of each kept by the worker, and by the broker in its memory */
    JQ_ERROR_TEXT_SIZE_MAX = 120,          /* what went wrong, in short: kept in memory with the task */
    JQ_PRIORITY_COUNT = 10,                /* 0 .. 9, 9 first */
    JQ_PRIORITY_DEFAULT = 5,
    JQ_SURVEY_PROGRESS_COUNT_MAX = 32, /* progress entries in one survey response */
};

/* True for [a-z0-9_.-]{1,64}. */
bool jq_name_valid(struct jq_str name);

#endif
