/* hasher.h - a SHA-256 that goes on beside other work: a thread that adds up what it is given, in that order.
 *
 * Ownership: what is given stays where it is until the hasher has called `release` for it, in its own thread.
 * Threads:   one at a time uses a hasher.
 */
#ifndef JQ_COMMON_HASHER_H
#define JQ_COMMON_HASHER_H

#include "common/err.h"
#include "common/sha256.h"

struct jq_hasher; /* Opaque: jq_hasher_new() .. jq_hasher_end(). */

/* Goes on from `begun`. JQ_ERR_NOMEM: no thread can be had. */
enum jq_err jq_hasher_new(const struct jq_sha256 *begun, struct jq_hasher **ret_hasher, struct jq_error *reterr);

/* Waits while JQ_HASHER_WAITING_MAX pieces wait. */
enum { JQ_HASHER_WAITING_MAX = 4 };
void jq_hasher_add(struct jq_hasher *hasher, struct jq_bytes data, void (*release)(void *ctx), void *ctx);

/* Waits until all that was given has been added up, and released. */
void jq_hasher_wait(struct jq_hasher *hasher);

/* Waits until all is added up, and frees it. `ret_sum`, which goes on from there, may be NULL. NULL is a no-op. */
void jq_hasher_end(struct jq_hasher *hasher, struct jq_sha256 *ret_sum);

#endif
