/* flow_draw.c - the tasks of a flow as trees of lines. */
#include <inttypes.h>
#include <stdlib.h>

#include "common/text.h"
#include "tools/jqctl/flow.h"

enum { DEPTH_MAX = 24, AFTER_TOLD_MAX = 6 }; /* beyond that depth a child stands beside its parent */

struct drawing {
    const struct jqctl *ctl;
    const struct jqctl_member *members;
    size_t count;
    uint32_t *first, *last, *next; /* children by index + 1; of the next sibling */
    struct jq_buf *out;
};

/* The place of an id among the members, which ascend; SIZE_MAX: it has been forgotten. */
static size_t find(const struct drawing *drawing, uint64_t id) {
    size_t low = 0, high = drawing->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (drawing->members[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < drawing->count && drawing->members[low].id == id ? low : SIZE_MAX;
}

/* Below which task it stands; SIZE_MAX: none. */
static size_t above(const struct drawing *drawing, const struct jqctl_member *member) {
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < member->after_count; i++) {
        const size_t at = find(drawing, member->after[i]);
        if (at != SIZE_MAX && (best == SIZE_MAX || at > best))
            best = at;
    }
    return best;
}

static const char *colour_of(const struct drawing *drawing, const char *state) {
    static const struct {
        const char *state, *colour;
    } colours[] = {{"succeeded", "\033[32m"}, {"dead", "\033[31m"},    {"blocked", "\033[31m"},
                   {"running", "\033[36m"},   {"expired", "\033[33m"}, {"cancelled", "\033[33m"}};
    for (size_t i = 0; drawing->ctl->terminal.colour && i < sizeof(colours) / sizeof(colours[0]); i++) {
        if (strcmp(colours[i].state, state) == 0)
            return colours[i].colour;
    }
    return "";
}

static void append_after(const struct drawing *drawing, const struct jqctl_member *member) {
    char place[JQ_TASK_ID_TEXT_SIZE];
    if (member->after_count > 1) {
        jq_buf_append_format(drawing->out, "  after");
        for (size_t i = 0; i < member->after_count && i < AFTER_TOLD_MAX; i++)
            jq_buf_append_format(drawing->out, " %s", jq_text_format_task_id((jq_task_id){member->after[i]}, place));
        if (member->after_count > AFTER_TOLD_MAX)
            jq_buf_append_format(drawing->out, " and %zu more", member->after_count - AFTER_TOLD_MAX);
    }
    if (member->on[0] && strcmp(member->on, "succeeded") != 0)
        jq_buf_append_format(drawing->out, "  on %s", member->on);
}

static void append_line(const struct drawing *drawing, const struct jqctl_member *member) {
    char place[JQ_TASK_ID_TEXT_SIZE];
    const char *colour = colour_of(drawing, member->state);
    const bool told = strcmp(member->outcome, "none") != 0 && strcmp(member->outcome, "success") != 0 &&
                      strcmp(member->outcome, member->state) != 0;
    jq_buf_append_format(drawing->out, "%s  %s%s%s%s%s%s  %s", jq_text_format_task_id((jq_task_id){member->id}, place),
                         colour, member->state, colour[0] ? "\033[0m" : "", told ? " (" : "",
                         told ? member->outcome : "", told ? ")" : "", member->handler);
    append_after(drawing, member);
    jq_buf_append_u8(drawing->out, '\n');
}

/* `bars`: a bit per depth at which a line goes on downwards. */
static void append_branch(const struct drawing *drawing, unsigned depth, uint32_t bars) {
    for (unsigned i = 1; i < depth; i++)
        jq_buf_append_format(drawing->out, "%s", bars & UINT32_C(1) << i ? "|  " : "   ");
    if (depth > 0)
        jq_buf_append_format(drawing->out, "%s", bars & UINT32_C(1) << depth ? "|- " : "`- ");
}

/* Depth first, without recursion: a chain may be long. The way back to a parent is `above`, kept in a stack of indexes. */
static void draw_tree(const struct drawing *drawing, size_t root, uint32_t *stack) {
    size_t open = 0;
    uint32_t bars = 0;
    stack[open++] = (uint32_t)root;
    append_line(drawing, &drawing->members[root]);
    uint32_t child = drawing->first[root];
    while (open > 0) {
        if (child == 0) { /* back to the sibling of the one that is done */
            child = drawing->next[stack[--open]];
            if (open == 0)
                break;
            continue;
        }
        const unsigned depth = open < DEPTH_MAX ? (unsigned)open : DEPTH_MAX;
        const uint32_t bit = UINT32_C(1) << depth;
        bars = drawing->next[child - 1] != 0 ? bars | bit : bars & ~bit;
        append_branch(drawing, depth, bars);
        append_line(drawing, &drawing->members[child - 1]);
        stack[open++] = child - 1;
        child = drawing->first[child - 1];
    }
}

static void hang(struct drawing *drawing, size_t parent, size_t child) {
    if (drawing->last[parent])
        drawing->next[drawing->last[parent] - 1] = (uint32_t)child + 1;
    else
        drawing->first[parent] = (uint32_t)child + 1;
    drawing->last[parent] = (uint32_t)child + 1;
}

void jqctl_flow_draw(const struct jqctl *ctl, const struct jqctl_member *members, size_t count, struct jq_buf *out) {
    struct drawing drawing = {.ctl = ctl, .members = members, .count = count, .out = out};
    uint32_t *links = calloc(5 * count + 1, sizeof(*links));
    JQ_CHECK(links != NULL);
    drawing.first = links;
    drawing.last = links + count;
    drawing.next = links + 2 * count;
    uint32_t *stack = links + 3 * count, *root = links + 4 * count;
    for (size_t i = 0; i < count; i++) {
        const size_t parent = above(&drawing, &members[i]);
        root[i] = parent == SIZE_MAX;
        if (parent != SIZE_MAX)
            hang(&drawing, parent, i);
    }
    for (size_t i = 0; i < count; i++) {
        if (root[i])
            draw_tree(&drawing, i, stack);
    }
    free(links);
}
