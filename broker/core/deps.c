/* deps.c - nodes and edges: who waits for whom, as the records have it. */
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/hash.h"

void node_make(struct jq_core *core, uint32_t ref) {
    struct task *task = task_at(core, ref);
    if (task->node == 0) {
        task->node = jq_slab_take(&core->nodes);
    }
}

bool node_is_waited_for(const struct jq_core *core, const struct task *task) {
    const struct node *node = node_if(core, task);
    return node && (node->out_open.head != 0 || node->out_blocked.head != 0);
}

/* ---- parents with edges to decide ---- */

static bool has_work(const struct task *task, const struct node *node) {
    if (task->state == JQ_STATE_DEAD) {
        return node->out_open.head != 0;
    }
    return node->out_blocked.head != 0 || (jq_state_is_final(task->state) && node->out_open.head != 0);
}

static void due_add(struct jq_core *core, uint32_t ref, struct node *node) {
    node->prev = core->nodes_due.tail;
    node->next = 0;
    if (core->nodes_due.tail != 0) {
        node_if(core, task_at(core, core->nodes_due.tail))->next = ref;
    } else {
        core->nodes_due.head = ref;
    }
    core->nodes_due.tail = ref;
    node->due = true;
}

static void due_remove(struct jq_core *core, struct node *node) {
    if (node->prev != 0) {
        node_if(core, task_at(core, node->prev))->next = node->next;
    } else {
        core->nodes_due.head = node->next;
    }
    if (node->next != 0) {
        node_if(core, task_at(core, node->next))->prev = node->prev;
    } else {
        core->nodes_due.tail = node->prev;
    }
    node->prev = 0;
    node->next = 0;
    node->due = false;
}

void node_note(struct jq_core *core, uint32_t ref) {
    struct node *node = node_if(core, task_at(core, ref));
    const bool due = node && has_work(task_at(core, ref), node);
    if (due && !node->due) {
        due_add(core, ref, node);
    } else if (node && !due && node->due) {
        due_remove(core, node);
    }
}

/* ---- edges in their parents' lists ---- */

static struct edge_list *list_of(struct node *parent, const struct edge *edge) {
    return edge->verdict == JQ_EDGE_BLOCKED ? &parent->out_blocked : &parent->out_open;
}

static void edge_link(struct jq_core *core, uint32_t ref, uint32_t parent) {
    struct edge *edge = edge_at(core, ref);
    struct edge_list *list = list_of(node_if(core, task_at(core, parent)), edge);
    edge->prev = list->tail;
    edge->next = 0;
    if (list->tail != 0) {
        edge_at(core, list->tail)->next = ref;
    } else {
        list->head = ref;
    }
    list->tail = ref;
    edge->linked = true;
}

/* Returns the parent. */
static uint32_t edge_unlink(struct jq_core *core, uint32_t ref) {
    struct edge *edge = edge_at(core, ref);
    const uint32_t parent = task_find_any(core, (jq_task_id){edge->parent});
    JQ_CHECK(parent != 0);
    struct edge_list *list = list_of(node_if(core, task_at(core, parent)), edge);
    if (edge->prev != 0) {
        edge_at(core, edge->prev)->next = edge->next;
    } else {
        list->head = edge->next;
    }
    if (edge->next != 0) {
        edge_at(core, edge->next)->prev = edge->prev;
    } else {
        list->tail = edge->prev;
    }
    edge->linked = false;
    return parent;
}

static uint64_t edge_hash(const struct jq_core *core, const struct edge *edge) {
    const struct task *child = task_at(core, edge->child);
    const uint64_t kind = (uint64_t)node_if(core, child)->on << 8 | edge->verdict;
    return jq_hash_combine(jq_hash_combine(edge->parent, child->id), kind + 6);
}

uint64_t edges_hash(const struct jq_core *core, const struct task *task) {
    const struct node *node = node_if(core, task);
    uint64_t sum = 0;
    for (uint32_t ref = node ? node->edges : 0; ref != 0; ref = edge_at(core, ref)->next_of) {
        sum += edge_hash(core, edge_at(core, ref));
    }
    return sum;
}

/* ---- making ---- */

/* An edge that is not met hangs in its parent's list, unless the log has lost the parent: then the edge is decided further on. */
static bool edge_add(struct jq_core *core, uint32_t child, uint64_t parent_id, bool met, uint32_t *link) {
    const uint32_t parent = met ? 0 : task_find_any(core, (jq_task_id){parent_id});
    if (!met && parent == 0 && !core->partial) {
        return false;
    }
    const uint32_t ref = jq_slab_take(&core->edges);
    struct edge *edge = edge_at(core, ref);
    *edge = (struct edge){.parent = parent_id, .child = child, .verdict = (uint8_t)(met ? JQ_EDGE_MET : JQ_EDGE_OPEN)};
    *link = ref;
    struct node *node = node_if(core, task_at(core, child));
    node->edge_count++;
    node->undecided += !met;
    core->digest += edge_hash(core, edge);
    if (parent != 0) {
        node_make(core, parent);
        edge_link(core, ref, parent);
        node_note(core, parent);
    }
    return true;
}

bool edges_add(struct jq_core *core, uint32_t ref, uint8_t on, struct jq_bytes after) {
    node_make(core, ref);
    struct node *node = node_if(core, task_at(core, ref));
    node->on = on;
    uint32_t *link = &node->edges;
    struct jq_reader in = jq_reader_of(after);
    while (in.at != in.end) {
        const uint64_t packed = jq_read_varint(&in), distance = packed >> 1, id = task_at(core, ref)->id;
        const bool older = !in.failed && distance > 0 && distance < id;
        if (!older || !edge_add(core, ref, id - distance, packed & 1, link)) {
            return false;
        }
        link = &edge_at(core, *link)->next_of;
    }
    return true;
}

/* ---- deciding ---- */

/* Mostly it is the first of its parent's: edges are decided from there. */
uint32_t edge_find(struct jq_core *core, const struct task *child, uint64_t parent) {
    const struct node *node = node_if(core, child);
    const uint32_t parent_ref = task_find_any(core, (jq_task_id){parent});
    const struct node *above = parent_ref ? node_if(core, task_at(core, parent_ref)) : NULL;
    const uint32_t firsts[2] = {above ? above->out_open.head : 0, above ? above->out_blocked.head : 0};
    for (int i = 0; i < 2; i++) {
        if (firsts[i] != 0 && task_at(core, edge_at(core, firsts[i])->child) == child) {
            return firsts[i];
        }
    }
    uint32_t ref = node ? node->edges : 0;
    while (ref != 0 && (edge_at(core, ref)->parent != parent || edge_at(core, ref)->verdict == JQ_EDGE_MET)) {
        ref = edge_at(core, ref)->next_of;
    }
    return ref;
}

void edge_set(struct jq_core *core, uint32_t ref, uint8_t verdict) {
    struct edge *edge = edge_at(core, ref);
    struct node *child = node_if(core, task_at(core, edge->child));
    core->digest -= edge_hash(core, edge);
    const uint32_t parent = edge->linked ? edge_unlink(core, ref) : 0;
    child->blocked -= edge->verdict == JQ_EDGE_BLOCKED;
    child->blocked += verdict == JQ_EDGE_BLOCKED;
    child->undecided -= verdict == JQ_EDGE_MET;
    edge->verdict = verdict;
    core->digest += edge_hash(core, edge);
    if (parent != 0) {
        if (verdict != JQ_EDGE_MET) {
            edge_link(core, ref, parent);
        }
        node_note(core, parent);
    }
}

/* ---- ends ---- */

void edges_unlink(struct jq_core *core, uint32_t ref) {
    const struct node *node = node_if(core, task_at(core, ref));
    if (!node || node->undecided == 0) {
        return;
    }
    for (uint32_t edge = node->edges; edge != 0; edge = edge_at(core, edge)->next_of) {
        if (edge_at(core, edge)->linked) {
            node_note(core, edge_unlink(core, edge));
        }
    }
}

void node_remove(struct jq_core *core, uint32_t ref) {
    struct task *task = task_at(core, ref);
    const struct node *node = node_if(core, task);
    if (!node) {
        return;
    }
    JQ_CHECK(!node->due && !node->root && node->out_open.head == 0 && node->out_blocked.head == 0);
    core->digest -= edges_hash(core, task);
    for (uint32_t edge = node->edges; edge != 0;) {
        const uint32_t next = edge_at(core, edge)->next_of;
        JQ_CHECK(!edge_at(core, edge)->linked);
        jq_slab_give(&core->edges, edge);
        edge = next;
    }
    jq_slab_give(&core->nodes, task->node);
    task->node = 0;
}

jq_task_id *parents_room(struct jq_core *core, size_t count) {
    if (count > core->parents_capacity) {
        free(core->parents);
        core->parents = malloc(count * sizeof(*core->parents));
        JQ_CHECK(core->parents != NULL);
        core->parents_capacity = count;
    }
    return core->parents;
}

size_t node_parents(const struct jq_core *core, const struct task *task, jq_task_id *out) {
    const struct node *node = node_if(core, task);
    size_t count = 0;
    for (uint32_t ref = node ? node->edges : 0; ref != 0; ref = edge_at(core, ref)->next_of) {
        out[count++] = (jq_task_id){edge_at(core, ref)->parent};
    }
    return count;
}

/* ---- what is moved in the log ---- */

bool edges_restore(struct jq_core *core, uint32_t ref, struct jq_bytes verdicts) {
    const struct node *node = node_if(core, task_at(core, ref));
    if (node->edge_count != verdicts.size) {
        return false;
    }
    size_t i = 0;
    for (uint32_t edge = node->edges; edge != 0; edge = edge_at(core, edge)->next_of) {
        const uint8_t verdict = verdicts.data[i++];
        if (verdict > JQ_EDGE_BLOCKED || (verdict == JQ_EDGE_MET) != (edge_at(core, edge)->verdict == JQ_EDGE_MET)) {
            return false;
        }
        if (verdict == JQ_EDGE_BLOCKED) {
            edge_set(core, edge, verdict);
        }
    }
    return true;
}

/* A log that has lost its beginning may bring a child before its parent: the edges between them hang nowhere yet. */
static void relink(struct jq_core *core, uint32_t ref) {
    const struct node *node = node_if(core, task_at(core, ref));
    if (!node || node->undecided == 0 || jq_state_is_final(task_at(core, ref)->state)) {
        return;
    }
    for (uint32_t edge_ref = node->edges; edge_ref != 0; edge_ref = edge_at(core, edge_ref)->next_of) {
        const struct edge *edge = edge_at(core, edge_ref);
        const uint32_t parent = task_find_any(core, (jq_task_id){edge->parent});
        if (edge->verdict != JQ_EDGE_MET && !edge->linked && parent != 0) {
            node_make(core, parent);
            edge_link(core, edge_ref, parent);
            node_note(core, parent);
        }
    }
}

void edges_relink(struct jq_core *core) {
    uint64_t cursor = 0, page = 0;
    uint32_t at = 0;
    while (jq_map_next(&core->id_pages, &cursor, &page, &at)) {
        for (int i = 0; i < ID_PAGE_COUNT; i++) {
            if (core->id_page_at[at][i] != 0) {
                relink(core, core->id_page_at[at][i]);
            }
        }
    }
}
