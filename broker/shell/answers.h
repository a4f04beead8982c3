/* answers.h - the core's replies, drops and notices on their way out: encoded when the core makes them, sent when the log has come far
 * enough.
 *
 * A reply whose bodies are all in the newest log is encoded at once. For any other the reply is copied, and when it is released a
 * reader thread fetches the bodies from the journal, checks them, encodes and sends: a cold read never stalls the core or a commit.
 * A body whose checksum does not hold raises an alert. In a lease answer its task is left out, and told through `damaged`.
 *
 * Threads:   effect() on the core thread; release() on any; the rest from any.
 */
#ifndef JQ_BROKER_SHELL_ANSWERS_H
#define JQ_BROKER_SHELL_ANSWERS_H

#include "broker/shell/engine.h"
#include "broker/shell/metrics.h"
#include "common/transport/frame.h"
#include "common/types.h"

struct jq_answers; /* Opaque: jq_answers_new() .. end of the process. */

struct jq_answers_config {
    struct jq_journal *journal;
    struct jq_metrics *metrics;
    enum jq_durability durability; /* what an answered submit got */
    void *ctx;
    void (*notice)(void *ctx, struct jq_str worker); /* publish: a command waits for that worker */
    /* This lease cannot be handed out, now or ever: JQ_EVENT_DAMAGED is due. From any thread. */
    void (*damaged)(void *ctx, struct jq_held lease);
    /* The file of a blob may go, if it is that version. From any thread. */
    void (*drop_blob)(void *ctx, const uint8_t *hash, uint32_t version);
};

/* Starts the reader thread. */
enum jq_err jq_answers_new(const struct jq_answers_config *config, struct jq_answers **ret_answers,
                           struct jq_error *reterr);

/* See jq_engine_config.effect. NULL: nothing is to be released. */
struct jq_release_item *jq_answers_effect(struct jq_answers *answers, struct jq_engine *engine,
                                          const struct jq_effect *effect, const struct jq_inbound *inbound);

/* An answer that the core has no part in: `frame` (owned from here on; NULL: out of memory, the call is dropped) is sent when the
 * item is released. */
struct jq_release_item *jq_answers_frame(struct jq_call *call, struct jq_frame *frame);

/* See jq_engine_config.release. */
void jq_answers_release(struct jq_answers *answers, struct jq_release_item *items);

/* See jq_engine_config.unsent_lsn. */
uint64_t jq_answers_unsent_lsn(struct jq_answers *answers);

#endif
