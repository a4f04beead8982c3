/* flow_graph.h - a flow while it is built: tasks by place, who comes after whom, and an order that fits. Private to libjq. */
#ifndef JQ_COMMON_LIBJQ_FLOW_GRAPH_H
#define JQ_COMMON_LIBJQ_FLOW_GRAPH_H

#include "common/buf.h"
#include "common/libjq/jq.h"

struct jq_flow_edge {
    uint32_t task, parent; /* places */
};

struct jq_flow_file {
    struct jq_flow_file *next;
    char text[];
};

struct jq_flow {
    char name[JQ_NAME_SIZE_MAX + 1];
    struct jq_task_spec *tasks;
    const char **labels;
    size_t count, capacity;
    struct jq_flow_edge *edges;
    size_t edge_count, edge_capacity;
    struct jq_flow_file *files;    /* what jq_flow_map_file() read */
    jq_task_id first;              /* once it is submitted */
    uint32_t *turns;               /* once it is sorted: place -> turn */
    uint32_t *order;               /* turn -> place */
    uint32_t *parents, *parent_at; /* of task n: parents[parent_at[n]] .. parents[parent_at[n + 1]] */
};

/* An order in which every task stands behind its parents. JQ_ERR_INVALID names the members of a circle, or a task with too many
 * parents. */
enum jq_err jq_flow_sort(struct jq_flow *flow, struct jq_error *reterr);

/* "'label'", or "task 3". */
void jq_flow_label(const struct jq_flow *flow, size_t place, struct jq_buf *out);

#endif
