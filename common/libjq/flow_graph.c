#include "common/libjq/flow_graph.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/message.h"

enum { CIRCLE_TOLD_MAX = 8, FILE_SIZE_MAX = 1 << 30 };

/* ---- building ---- */

enum jq_err jq_flow_rename(struct jq_flow *flow, const char *name, struct jq_error *reterr) {
    if (!jq_name_valid(jq_str_of(name))) {
        return jq_fail(reterr, JQ_ERR_INVALID, "flow name '%.64s': not [a-z0-9_.-]{1,64}", name);
    }
    snprintf(flow->name, sizeof(flow->name), "%s", name);
    return JQ_OK;
}

enum jq_err jq_flow_new(const char *name, struct jq_flow **ret_flow, struct jq_error *reterr) {
    struct jq_flow *flow = calloc(1, sizeof(*flow));
    if (!flow) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "flow");
    }
    const enum jq_err err = name ? jq_flow_rename(flow, name, reterr) : JQ_OK;
    if (err != JQ_OK) {
        jq_flow_free(flow);
        return err;
    }
    *ret_flow = flow;
    return JQ_OK;
}

void jq_flow_free(struct jq_flow *flow) {
    if (!flow) {
        return;
    }
    while (flow->files) {
        struct jq_flow_file *file = flow->files;
        flow->files = file->next;
        free(file);
    }
    free(flow->tasks);
    free((void *)flow->labels);
    free(flow->edges);
    free(flow->turns);
    free(flow->order);
    free(flow->parents);
    free(flow->parent_at);
    free(flow);
}

size_t jq_flow_count(const struct jq_flow *flow) {
    return flow->count;
}

jq_task_id jq_flow_task_id(const struct jq_flow *flow, size_t place) {
    const bool submitted = flow->first.value != 0 && place < flow->count;
    return (jq_task_id){submitted ? flow->first.value + flow->turns[place] : 0};
}

static bool grow_tasks(struct jq_flow *flow) {
    const size_t capacity = flow->capacity ? flow->capacity * 2 : 64;
    if (flow->count < flow->capacity) {
        return true;
    }
    struct jq_task_spec *tasks = realloc(flow->tasks, capacity * sizeof(*tasks));
    if (!tasks) {
        return false;
    }
    flow->tasks = tasks;
    const char **labels = realloc((void *)flow->labels, capacity * sizeof(*labels));
    if (!labels) {
        return false;
    }
    flow->labels = labels;
    flow->capacity = capacity;
    return true;
}

enum jq_err jq_flow_add(struct jq_flow *flow, const char *label, const struct jq_task_spec *task, size_t *ret_place,
                        struct jq_error *reterr) {
    if (task->after_count > 0 || task->key) {
        return jq_fail(reterr, JQ_ERR_INVALID, "the tasks of a flow have no %s",
                       task->key ? "key" : "`after`: see jq_flow_after()");
    }
    if (flow->count == JQ_FLOW_COUNT_MAX) {
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "a flow has at most %d tasks", JQ_FLOW_COUNT_MAX);
    }
    if (!grow_tasks(flow)) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "flow");
    }
    flow->tasks[flow->count] = *task;
    flow->labels[flow->count] = label;
    if (ret_place) {
        *ret_place = flow->count;
    }
    flow->count++;
    return JQ_OK;
}

enum jq_err jq_flow_after(struct jq_flow *flow, size_t task, size_t parent, struct jq_error *reterr) {
    if (task >= flow->count || parent >= flow->count) {
        return jq_fail(reterr, JQ_ERR_INVALID, "flow: no task at place %zu", task >= flow->count ? task : parent);
    }
    if (flow->edge_count == flow->edge_capacity) {
        const size_t capacity = flow->edge_capacity ? flow->edge_capacity * 2 : 64;
        struct jq_flow_edge *edges = realloc(flow->edges, capacity * sizeof(*edges));
        if (!edges) {
            return jq_fail(reterr, JQ_ERR_NOMEM, "flow");
        }
        flow->edges = edges;
        flow->edge_capacity = capacity;
    }
    flow->edges[flow->edge_count++] = (struct jq_flow_edge){(uint32_t)task, (uint32_t)parent};
    return JQ_OK;
}

enum jq_err jq_flow_after_group(struct jq_flow *flow, size_t task, size_t first, size_t count,
                                struct jq_error *reterr) {
    enum jq_err err = JQ_OK;
    for (size_t i = 0; i < count && err == JQ_OK; i++) {
        err = jq_flow_after(flow, task, first + i, reterr);
    }
    return err;
}

enum jq_err jq_flow_group(struct jq_flow *flow, const struct jq_task_spec *tasks, size_t count, size_t *ret_first,
                          struct jq_error *reterr) {
    const size_t first = flow->count;
    enum jq_err err = JQ_OK;
    for (size_t i = 0; i < count && err == JQ_OK; i++) {
        err = jq_flow_add(flow, NULL, &tasks[i], NULL, reterr);
    }
    if (err == JQ_OK && ret_first) {
        *ret_first = first;
    }
    return err;
}

enum jq_err jq_flow_chain(struct jq_flow *flow, const struct jq_task_spec *tasks, size_t count, size_t *ret_first,
                          struct jq_error *reterr) {
    const size_t first = flow->count;
    enum jq_err err = jq_flow_group(flow, tasks, count, ret_first, reterr);
    for (size_t i = 1; i < count && err == JQ_OK; i++) {
        err = jq_flow_after(flow, first + i, first + i - 1, reterr);
    }
    return err;
}

enum jq_err jq_flow_chord(struct jq_flow *flow, const struct jq_task_spec *tasks, size_t count,
                          const struct jq_task_spec *callback, size_t *ret_callback, struct jq_error *reterr) {
    size_t first = 0, last = 0;
    enum jq_err err = jq_flow_group(flow, tasks, count, &first, reterr);
    err = err == JQ_OK ? jq_flow_add(flow, NULL, callback, &last, reterr) : err;
    err = err == JQ_OK ? jq_flow_after_group(flow, last, first, count, reterr) : err;
    if (err == JQ_OK && ret_callback) {
        *ret_callback = last;
    }
    return err;
}

/* ---- a file ---- */

/* The text lives until the flow is freed. */
static enum jq_err read_file(struct jq_flow *flow, const char *path, const char **ret_text, size_t *ret_size,
                             struct jq_error *reterr) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        return jq_fail_errno(reterr, errno, "%s", path);
    }
    struct stat status;
    const bool known = fstat(fileno(file), &status) == 0 && S_ISREG(status.st_mode) && status.st_size < FILE_SIZE_MAX;
    const size_t size = known ? (size_t)status.st_size : 0;
    struct jq_flow_file *kept = malloc(sizeof(*kept) + size + 1);
    const bool whole = known && kept && fread(kept->text, 1, size, file) == size;
    fclose(file);
    if (!whole) {
        free(kept);
        return jq_fail(reterr, JQ_ERR_INVALID, "%s: not a file of at most %d bytes that can be read", path,
                       FILE_SIZE_MAX);
    }
    kept->next = flow->files;
    flow->files = kept;
    *ret_text = kept->text;
    *ret_size = size;
    return JQ_OK;
}

enum jq_err jq_flow_map_file(struct jq_flow *flow, const char *path, const struct jq_task_spec *task, size_t *ret_first,
                             size_t *ret_count, struct jq_error *reterr) {
    const size_t first = flow->count;
    const char *text = NULL;
    size_t size = 0;
    enum jq_err err = read_file(flow, path, &text, &size, reterr);
    for (size_t at = 0; err == JQ_OK && at < size;) {
        const char *end = memchr(text + at, '\n', size - at);
        const size_t line = end ? (size_t)(end - text) - at : size - at;
        if (line > 0) {
            struct jq_task_spec spec = *task;
            spec.payload = text + at;
            spec.payload_size = line;
            err = jq_flow_add(flow, NULL, &spec, NULL, reterr);
        }
        at += line + 1;
    }
    if (err == JQ_OK && ret_first) {
        *ret_first = first;
    }
    if (err == JQ_OK && ret_count) {
        *ret_count = flow->count - first;
    }
    return err;
}

/* ---- sorting: Kahn, "Topological sorting of large networks", 1962 ---- */

void jq_flow_label(const struct jq_flow *flow, size_t place, struct jq_buf *out) {
    if (flow->labels[place]) {
        jq_buf_append_format(out, "'%s'", flow->labels[place]);
    } else {
        jq_buf_append_format(out, "task %zu", place);
    }
}

struct sorting {
    uint32_t *children, *child_at; /* like parents and parent_at */
    uint32_t *left;                /* parents without a turn */
};

static void sorting_fini(struct sorting *sorting) {
    free(sorting->children);
    free(sorting->child_at);
    free(sorting->left);
}

static bool sorting_init(struct jq_flow *flow, struct sorting *sorting) {
    const size_t places = flow->count + 2, edges = flow->edge_count + 1;
    sorting->children = calloc(edges, sizeof(uint32_t));
    sorting->child_at = calloc(places, sizeof(uint32_t));
    sorting->left = calloc(places, sizeof(uint32_t));
    flow->parents = calloc(edges, sizeof(uint32_t));
    flow->parent_at = calloc(places, sizeof(uint32_t));
    flow->turns = calloc(places, sizeof(uint32_t));
    flow->order = calloc(places, sizeof(uint32_t));
    return sorting->children && sorting->child_at && sorting->left && flow->parents && flow->parent_at && flow->turns &&
           flow->order;
}

/* Edges by one of their ends: counted, summed up, placed. `at` has a place more than there are tasks, and another. */
static void bundle(const struct jq_flow *flow, bool by_parent, uint32_t *at, uint32_t *out) {
    for (size_t i = 0; i < flow->edge_count; i++) {
        at[(by_parent ? flow->edges[i].parent : flow->edges[i].task) + 2]++;
    }
    for (size_t i = 2; i < flow->count + 2; i++) {
        at[i] += at[i - 1];
    }
    for (size_t i = 0; i < flow->edge_count; i++) {
        const struct jq_flow_edge *edge = &flow->edges[i];
        out[at[(by_parent ? edge->parent : edge->task) + 1]++] = by_parent ? edge->task : edge->parent;
    }
}

/* Tasks that wait for nobody first, by place, then whoever is freed by them: `order` is the queue itself. */
static size_t take_turns(struct jq_flow *flow, struct sorting *sorting) {
    size_t known = 0;
    for (size_t i = 0; i < flow->count; i++) {
        sorting->left[i] = flow->parent_at[i + 1] - flow->parent_at[i];
        if (sorting->left[i] == 0) {
            flow->order[known++] = (uint32_t)i;
        }
    }
    for (size_t turn = 0; turn < known; turn++) {
        const uint32_t place = flow->order[turn];
        flow->turns[place] = (uint32_t)turn;
        for (uint32_t i = sorting->child_at[place]; i < sorting->child_at[place + 1]; i++) {
            if (--sorting->left[sorting->children[i]] == 0) {
                flow->order[known++] = sorting->children[i];
            }
        }
    }
    return known;
}

/* From a task without a turn, each time to a parent without one: sooner or later it comes round. */
static uint32_t parent_without_turn(const struct jq_flow *flow, const struct sorting *sorting, uint32_t place) {
    uint32_t i = flow->parent_at[place];
    while (sorting->left[flow->parents[i]] == 0) {
        i++;
    }
    return flow->parents[i];
}

static enum jq_err tell_circle(const struct jq_flow *flow, const struct sorting *sorting, struct jq_error *reterr) {
    uint32_t place = 0;
    while (sorting->left[place] == 0) {
        place++;
    }
    for (size_t i = 0; i < flow->count; i++) {
        place = parent_without_turn(flow, sorting, place);
    }
    const uint32_t start = place;
    struct jq_buf text;
    jq_buf_init(&text, 64 * 1024);
    size_t told = 0;
    do {
        if (told < CIRCLE_TOLD_MAX) {
            jq_flow_label(flow, place, &text);
            jq_buf_append_text(&text, JQ_STR(" after "));
        }
        place = parent_without_turn(flow, sorting, place);
        told++;
    } while (place != start);
    if (told > CIRCLE_TOLD_MAX) {
        jq_buf_append_format(&text, ".. (%zu tasks) after ", told);
    }
    jq_flow_label(flow, start, &text);
    const enum jq_err err = jq_fail(reterr, JQ_ERR_INVALID, "flow: a circle: %.*s", JQ_STR_ARG(jq_buf_str(&text)));
    jq_buf_fini(&text);
    return err;
}

static enum jq_err check_parents(const struct jq_flow *flow, struct jq_error *reterr) {
    for (size_t i = 0; i < flow->count; i++) {
        const uint32_t count = flow->parent_at[i + 1] - flow->parent_at[i];
        if (count > JQ_AFTER_COUNT_MAX) {
            return jq_fail(reterr, JQ_ERR_TOO_BIG, "flow: task %zu%s%s comes after %u others, at most %d may be", i,
                           flow->labels[i] ? " " : "", flow->labels[i] ? flow->labels[i] : "", count,
                           JQ_AFTER_COUNT_MAX);
        }
    }
    return JQ_OK;
}

enum jq_err jq_flow_sort(struct jq_flow *flow, struct jq_error *reterr) {
    struct sorting sorting = {0};
    if (flow->turns) {
        return jq_fail(reterr, JQ_ERR_INVALID, "flow: submitted before");
    }
    enum jq_err err = sorting_init(flow, &sorting) ? JQ_OK : jq_fail(reterr, JQ_ERR_NOMEM, "flow");
    if (err == JQ_OK) {
        bundle(flow, true, sorting.child_at, sorting.children);
        bundle(flow, false, flow->parent_at, flow->parents);
        err = check_parents(flow, reterr);
    }
    if (err == JQ_OK && take_turns(flow, &sorting) < flow->count) {
        err = tell_circle(flow, &sorting, reterr);
    }
    sorting_fini(&sorting);
    return err;
}
