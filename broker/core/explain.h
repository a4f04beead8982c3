/* explain.h - inside the core: the lines of an explanation, added in the order in which they are read.
 *
 * explain.c asks the parts in that order; a new cause is a row in JQ_WHY_LIST (effect.h), a call of explain_add() in the part where
 * it belongs, and a sentence in tools/jqctl/explain.c. What does not fit a screen is left out: lines beyond the last are dropped.
 */
#ifndef JQ_BROKER_CORE_EXPLAIN_H
#define JQ_BROKER_CORE_EXPLAIN_H

#include "broker/core/state.h"

enum { EXPLAIN_LINES_MAX = 64, EXPLAIN_DETAIL_BYTES = 448 };

struct explanation {
    struct jq_why_line lines[EXPLAIN_LINES_MAX + 1]; /* the last takes what does not fit */
    char details[EXPLAIN_LINES_MAX + 1][EXPLAIN_DETAIL_BYTES];
    size_t count;
};

/* One more line; `detail` is copied and may be cut. */
struct jq_why_line *explain_add(struct explanation *out, enum jq_why why, struct jq_str detail, int64_t number);

/* What of the workers stands in its way: a headline, then a line for each way to fail. */
enum explain_verdict {
    EXPLAIN_NEVER,
    EXPLAIN_STOPPED, /* those that could run it are given nothing: they drain, or their breakers are open */
    EXPLAIN_NOT_NOW,
    EXPLAIN_NOW
};
enum explain_verdict explain_workers(struct jq_core *core, const struct task *task, struct explanation *out);

/* Its place in the queue, and when it may start. */
void explain_place(struct jq_core *core, const struct task *task, enum explain_verdict verdict,
                   struct explanation *out);

#endif
