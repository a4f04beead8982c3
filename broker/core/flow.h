/* flow.h - inside the core: tasks that wait for others, and flows of tasks. Private to broker/core, included by entries.h.
 *
 * A task that waits, is waited for, or belongs to a flow has a node; all others pay nothing. An edge says: the child waits for the
 * parent. It lives as long as the child, which can so be told what it waited for. While undecided it also hangs in one of two lists
 * of its parent: `open`, or `blocked` where the parent is dead. A parent whose lists do not agree with its state has work: it stands
 * in core->nodes_due, and every step decides a slice of edges, a record each. The lists follow from the records alone, so whatever a
 * crash cuts off is taken up where it stands.
 *
 * The tasks of a flow have consecutive ids, and the first of them is the flow's name in requests. While a flow is staged its tasks
 * are WAITING, are counted nowhere, and task_find() does not find them. The one record that commits it makes all of them visible;
 * those that wait for nobody are then freed in slices.
 */
#ifndef JQ_BROKER_CORE_FLOW_H
#define JQ_BROKER_CORE_FLOW_H

#include "broker/core/core.h"

struct jq_core;
struct task;

enum {
    FLOW_QUEUES_MAX = 64,   /* queues that the tasks of one flow go to */
    FLOW_SLICE_COUNT = 500, /* edges decided, tasks freed, cancelled or cut in one step */
};

struct edge_list {
    uint32_t head, tail;
};

struct edge {            /* 32 bytes */
    uint64_t parent;     /* D: its id; it may be forgotten once the edge is met */
    uint32_t child;      /* D: the task */
    uint32_t next_of;    /* I: the child's next edge */
    uint32_t prev, next; /* I: in a list of the parent */
    uint8_t verdict;     /* D: enum jq_edge_verdict */
    bool linked;         /* I: in the parent's list that the verdict names */
};

struct node {
    uint32_t edges;               /* D: to its parents, in the order of the submit */
    uint32_t edge_count;          /* I */
    uint32_t undecided, blocked;  /* I: of its edges */
    struct edge_list out_open;    /* I: edges of those that wait for it */
    struct edge_list out_blocked; /* I */
    uint32_t flow;                /* D: 0: none */
    uint32_t prev, next;          /* I: in core->nodes_due, or among the roots of its flow */
    uint8_t on;                   /* D: enum jq_on, of all its edges */
    bool due, root;               /* I: in which of them */
};

/* How many tasks of a flow are remembered in which state. */
enum flow_count {
    FLOW_COUNT_WAITING,
    FLOW_COUNT_BLOCKED,
    FLOW_COUNT_QUEUED, /* scheduled or ready */
    FLOW_COUNT_RUNNING,
    FLOW_COUNT_SUCCEEDED,
    FLOW_COUNT_DEAD,
    FLOW_COUNT_CANCELLED,
    FLOW_COUNT_EXPIRED,
    FLOW_COUNT_NOT_NEEDED,
    FLOW_COUNT_END
};

struct flow_queue {
    uint16_t queue;
    uint32_t count; /* may be 0: then its place may have gone to another */
};

struct flow {
    uint64_t first;                 /* D: id of its first task */
    struct jq_str name;             /* D, owned */
    struct jq_uuid sender;          /* D: who stages it */
    int64_t at_ms;                  /* D: begun, then committed */
    uint32_t room, total, grace_ms; /* D */
    uint8_t phase;                  /* D: enum jq_flow_phase */
    uint32_t counts[FLOW_COUNT_END], remembered;
    struct flow_queue *queues; /* I: where those of its tasks are that are remembered */
    uint32_t queue_count, queue_capacity;
    uint32_t root_head, root_tail; /* I: nodes of tasks to be freed */
    uint32_t prev, next;           /* I: all flows, in the order of their beginning */
    uint32_t due_prev, due_next;   /* I: in core->flows_due */
    bool due;
    uint32_t timer;       /* I: in core->flow_timers, + 1: while staged */
    uint32_t cancel_left; /* I: of its tasks, from the last down, while cancelling */
    uint32_t waits;       /* S: of flow.wait */
    bool changed;         /* S: in core->flows_changed */
};

/* ---- deps.c: nodes and edges ---- */
void node_make(struct jq_core *core, uint32_t ref);
void node_remove(struct jq_core *core, uint32_t ref); /* with its edges, which are in no list any more */
void node_note(struct jq_core *core, uint32_t ref);   /* its state or its lists have changed: is there work? */
bool node_is_waited_for(const struct jq_core *core, const struct task *task);
/* False: a parent that must be known is not. `after` as in the record of a submit. */
bool edges_add(struct jq_core *core, uint32_t ref, uint8_t on, struct jq_bytes after);
/* After edges_add(), of a task that is known by its record of being moved. False: not those edges. */
bool edges_restore(struct jq_core *core, uint32_t ref, struct jq_bytes verdicts);
void edges_relink(struct jq_core *core);               /* at the end of a replay that did not see the log's beginning */
void edges_unlink(struct jq_core *core, uint32_t ref); /* it no longer waits */
uint32_t edge_find(struct jq_core *core, const struct task *child, uint64_t parent);
void edge_set(struct jq_core *core, uint32_t edge, uint8_t verdict);
uint64_t edges_hash(const struct jq_core *core, const struct task *task);
/* The ids that it waited for, at `out` with room for all of them. Returns their number. */
jq_task_id *parents_room(struct jq_core *core, size_t count); /* room in core->parents, until the next */
size_t node_parents(const struct jq_core *core, const struct task *task, jq_task_id *out);

/* ---- flow.c: flows as the records have them ---- */
struct flow *flow_find(const struct jq_core *core, uint64_t first, uint32_t *ret_ref); /* NULL: none such */
enum jq_err flow_join(struct jq_core *core, uint32_t ref, uint64_t first, struct jq_error *reterr);
enum jq_err flow_rejoin(struct jq_core *core, uint32_t ref, uint64_t first, bool waits, struct jq_error *reterr);
void flow_leave(struct jq_core *core, uint32_t ref); /* the task is forgotten */
void flow_count_node(struct jq_core *core, const struct task *task, int by);
void roots_remove(struct jq_core *core, uint32_t ref);
enum jq_err apply_flow_record(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr);
uint64_t flow_hash(const struct flow *flow);
struct jq_record flow_record(const struct flow *flow); /* as it stands */
void flows_free(struct jq_core *core);
bool flow_has_ended(const struct flow *flow); /* nothing of it will move by itself */

/* ---- flow_work.c: what is done in slices ---- */
bool parent_is_met(const struct task *parent, uint8_t on); /* it has ended as wanted */
void flows_work(struct jq_core *core);
int64_t flows_deadline_ms(const struct jq_core *core);

/* ---- flow_wait.c: clients that wait for flows ---- */
void flow_waits_step(struct jq_core *core); /* answers those whose flow has ended or whose time is up */
void flow_waits_drop_pipe(struct jq_core *core, uint64_t pipe);
void flow_waits_stop(struct jq_core *core);
int64_t flow_waits_deadline_ms(const struct jq_core *core);
struct flow_wait { /* S: a parked flow.wait */
    uint64_t call, request, pipe, flow;
    struct jq_reach reach;
    int64_t deadline_ms;
};

/* ---- flow_stage.c, flow_query.c: requests ---- */
struct jq_flow_row;
void flow_row(const struct jq_core *core, const struct flow *flow, struct jq_flow_row *ret_row);
struct jq_request;
void flow_begin_request(struct jq_core *core, const struct jq_request *request);
void flow_add_request(struct jq_core *core, const struct jq_request *request);
void flow_commit_request(struct jq_core *core, const struct jq_request *request);
void flow_cancel_request(struct jq_core *core, const struct jq_request *request);
void flow_show_request(struct jq_core *core, const struct jq_request *request);
void flow_ls_request(struct jq_core *core, const struct jq_request *request);
void flow_wait_request(struct jq_core *core, const struct jq_request *request);

#endif
