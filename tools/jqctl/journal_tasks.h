/* journal_tasks.h - the tasks that a journal tells of, also those that the broker has forgotten, each with how it stood at the journal's end.
 *
 * The journal is walked twice for each stretch of JQCTL_TASKS_SPAN task ids: once to learn what became of them, once more to hand out
 * each with its payload, where the record that holds it stands. So memory is bounded by that stretch, however long the journal.
 */
#ifndef JQ_TOOLS_JQCTL_JOURNAL_TASKS_H
#define JQ_TOOLS_JQCTL_JOURNAL_TASKS_H

#include "common/where.h"
#include "tools/jqctl/journal.h"

enum { JQCTL_TASKS_SPAN = 1 << 20 };

/* Lent for the call; the texts, each with a NUL behind it, until the end of the stretch. Empty: there is none. */
struct jqctl_past_task {
    jq_task_id id;
    uint64_t flow; /* 0: of none */
    bool waits;    /* it was submitted to run after others */
    enum jq_state state;
    enum jq_outcome outcome; /* of its last attempt, or of its end */
    unsigned priority, attempts;
    struct jq_str queue, handler, need, want, group, key, error;
    struct jq_str worker;           /* while it runs */
    int64_t submitted_ms, since_ms; /* UTC; since: in its state */
    struct jq_options options;
    struct jq_bytes payload, headers; /* msgpack: a bin, a map; empty: none */
    struct jq_bytes files;            /* broker/core/files.h; empty: none */
    bool files_missing;               /* it has files, but they stand elsewhere: it was edited, or renewed */
};

/* What is done with them. False ends it. */
struct jqctl_past {
    bool (*on_task)(void *ctx, const struct jqctl_past_task *task);
    void (*on_stretch_end)(void *ctx); /* texts end here; may be NULL */
    void *ctx;
};

/* Those that `where` selects (NULL: all), by stretches of ids, within one in the order of the journal. Complains, and gives the exit code,
 * as jqctl_journal_walk() does. */
int jqctl_journal_tasks(const struct jqctl *ctl, const struct jq_where *where, const struct jqctl_past *past);

#endif
