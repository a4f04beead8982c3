/* flow.h - what the commands about flows share. */
#ifndef JQ_TOOLS_JQCTL_FLOW_H
#define JQ_TOOLS_JQCTL_FLOW_H

#include "tools/jqctl/print.h"

/* A task of a flow, as drawn. */
struct jqctl_member {
    uint64_t id;
    char state[17], outcome[33], on[17];
    char handler[JQ_NAME_SIZE_MAX + 1];
    uint64_t *after; /* malloc'd */
    size_t after_count;
};

/* Draws them as trees: a task stands below the last of those that it comes after, and names the others. Ascending by id. */
void jqctl_flow_draw(const struct jqctl *ctl, const struct jqctl_member *members, size_t count, struct jq_buf *out);

#endif
