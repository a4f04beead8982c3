/* output_store.h - the last bytes that tasks wrote to stdout and stderr, as their workers told: in memory, bounded, the task that was told
 * of longest ago going first. Gone after a restart of the broker; what an outcome says of its output is in the journal (4 KiB).
 *
 * A place in a stream is the number of bytes before it. One thread.
 */
#ifndef JQ_BROKER_SHELL_OUTPUT_STORE_H
#define JQ_BROKER_SHELL_OUTPUT_STORE_H

#include "common/err.h"
#include "common/types.h"

#include <stdbool.h>

enum { JQ_OUTPUT_STDOUT, JQ_OUTPUT_STDERR, JQ_OUTPUT_STREAMS };

struct jq_output_store; /* Opaque. */

/* `bytes_max`: of memory in all; 0: nothing is kept. */
struct jq_output_store *jq_output_store_new(uint64_t bytes_max); /* NULL: out of memory */
void jq_output_store_free(struct jq_output_store *store);

/* Takes `bytes`, which begin at place `at`. What is known already is skipped; a gap forgets what was before it. Another token than
 * before begins anew: another attempt. Without memory it is not kept. */
void jq_output_store_put(struct jq_output_store *store, jq_task_id task, jq_lease_token token, int stream, uint64_t at,
                         struct jq_bytes bytes);

/* What is kept from `*at` on, at most `size_max` bytes; *at: where that begins; *ret_end: bytes written in all, as far as known. False:
 * nothing is known of the task. Borrowed until the next call. */
bool jq_output_store_get(struct jq_output_store *store, jq_task_id task, int stream, size_t size_max, uint64_t *at,
                         struct jq_bytes *ret_bytes, uint64_t *ret_end);

/* Of the attempt that was told of last; 0: nothing is known. */
jq_lease_token jq_output_store_token(const struct jq_output_store *store, jq_task_id task);

/* Somebody reads it, or did at that time; 0 never. */
void jq_output_store_set_read(struct jq_output_store *store, jq_task_id task, int64_t now_ms);
int64_t jq_output_store_read_ms(const struct jq_output_store *store, jq_task_id task);

/* Of memory, in use. */
uint64_t jq_output_store_bytes(const struct jq_output_store *store);

#endif
