/* trace.h - the core's news as lines that a person reads: "[15000] task 1 ready: lost, crash 1 of 3".
 *
 * What a test does itself (submits, leases, registrations) is not told: a trace holds what followed from it.
 */
#ifndef JQ_TESTS_LIB_TRACE_H
#define JQ_TESTS_LIB_TRACE_H

#include "broker/core/core.h"
#include "common/buf.h"

void trace_news(struct jq_buf *out, int64_t at_ms, const struct jq_news *news, const struct jq_core_config *config);

#endif
