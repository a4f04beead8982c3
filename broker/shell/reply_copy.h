/* reply_copy.h - a reply of the core kept beyond the call that lends it, for those whose bodies have to be read from disk first. */
#ifndef JQ_BROKER_SHELL_REPLY_COPY_H
#define JQ_BROKER_SHELL_REPLY_COPY_H

#include "broker/core/effect.h"
#include "common/err.h"

/* True for replies that may carry bodies: lease answers, and rows of tasks. Only those can be copied. */
bool jq_reply_has_bodies(const struct jq_reply_effect *reply);

/* A deep copy in one piece of memory, for free(3). NULL: out of memory. */
struct jq_reply_effect *jq_reply_copy(const struct jq_reply_effect *reply);

/* Calls `visit` for every body that the reply names. */
void jq_reply_each_body(const struct jq_reply_effect *reply, void (*visit)(void *ctx, struct jq_body_ref ref),
                        void *ctx);

#endif
