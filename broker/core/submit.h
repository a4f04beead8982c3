/* submit.h - what a submit and the staging of a flow share. Private to broker/core. */
#ifndef JQ_BROKER_CORE_SUBMIT_H
#define JQ_BROKER_CORE_SUBMIT_H

#include "broker/core/state.h"

/* The last queue, class and option set of the batch: neighbours are mostly alike. */
struct batch {
    struct jq_str queue_name, handler, need, want;
    struct jq_options option_values;
    uint16_t queue, class_index;
    uint32_t options;
    bool queue_known, class_known, options_known;
    uint64_t first;
    uint32_t accepted;
    bool unmatched;
    bool pure;         /* tasks of the class may be answered from the cache */
    bool renewed;      /* a task that waits was replaced */
    uint32_t schedule; /* whose task it is; 0: none */
    int64_t due_wall_ms;
    bool woken; /* it was withheld, and has its turn */
    struct jq_reach reach;
};

/* False: refused, an exception says why. */
bool batch_intern(struct jq_core *core, const struct jq_submit_item *item, uint32_t index, struct batch *batch);

/* The record of a task whose parts are interned. Its `after` is lent until the next. */
struct jq_record batch_record(struct jq_core *core, const struct jq_submit_item *item, const struct batch *batch,
                              jq_task_id id);

/* The first parts of two queues' names are the same. */
bool group_has_room(const struct jq_core *core, struct jq_str group, uint16_t queue);
bool same_namespace(struct jq_str a, struct jq_str b);

/* `count` ids in a row; the first. */
jq_task_id ids_draw(struct jq_core *core, uint32_t count);

#endif
