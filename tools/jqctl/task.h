/* task.h - tasks as they are shown, and pages of them. */
#ifndef JQ_TOOLS_JQCTL_TASK_H
#define JQ_TOOLS_JQCTL_TASK_H

#include "tools/jqctl/print.h"

/* Rows of task.ls, of task.show, and of wait. */
extern const struct jqctl_columns jqctl_task_row;
extern const struct jqctl_columns jqctl_task_whole;
extern const struct jqctl_columns jqctl_task_ended;

/* Which tasks: by --queue, --handler, and state. */
struct jqctl_filter {
    uint64_t after;
    uint64_t limit;      /* rows of one page */
    const char *queue;   /* NULL: any */
    const char *handler; /* NULL: any */
    const char *states;  /* names between commas; NULL: any */
    const char *where;   /* a selection; NULL: any */
};

/* Asks for one page; `on_row` is called for each row. *ret_next: where to go on, 0: that was all. */
int jqctl_task_page(struct jqctl *ctl, const struct jqctl_filter *filter, void (*on_row)(void *ctx, struct jq_view row),
                    void *ctx, uint64_t *ret_next);

/* Says on stderr what keeps a task from being run at all, if anything does: a paused queue, no worker that ever could. */
void jqctl_explain_hint(struct jqctl *ctl, jq_task_id id);

/* `task show`, of a task in any state (NULL), and `dead show`. JQCTL_FAILED if it is in another one. */
int jqctl_task_show_in(struct jqctl *ctl, const char *state);

/* `task ls` and `dead ls`. */
int jqctl_task_list(struct jqctl *ctl, const char *states, const char *kind);

#endif
