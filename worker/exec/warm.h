/* warm.h - a process that serves one task after the other: an ordinary child (child.h) that is judged task by task.
 *
 * It is started by jq_exec_start() with `reply` and `warm`, and on_turn and on_done to be told. Descriptor 3 of the program is a stream
 * socket that goes both ways; what it says is described in reply.h: `ready` first, then for each task progress, and one result or error.
 *
 *     started -> turn_begin -> ... `ready` ... result -> on_turn: the outcome is there -> turn_end -> turn_begin -> ...
 *                                                   or its end -> on_done, as of any child
 *
 * While a turn lasts all limits of child.h hold, jq_exec_kill() ends the process and the turn with it, and the outcome is the one that any
 * child would have. A turn may begin before it is ready: the limits then cover its start. It ends well by a result frame instead
 * of by exit 0. What it says out of turn ends it.
 *
 * After each turn nothing of the task is left but what the process itself remembers: its folder is removed, and if there are more
 * processes than there were when it said that it is ready, turn_end() says that it cannot go on.
 */
#ifndef JQ_WORKER_EXEC_WARM_H
#define JQ_WORKER_EXEC_WARM_H

#include "worker/exec/child.h"

/* The task's part of a spec; limits as there. */
struct jq_exec_turn {
    jq_task_id task;
    uint32_t attempt;
    struct jq_bytes parents; /* becomes JQ_EXEC_PARENTS_FILE in its folder; empty: none */
    const char *inputs_dir;  /* becomes JQ_EXEC_INPUTS_DIR in it; NULL: none */
    uint64_t memory_bytes_max;
    uint64_t cpu_milli_max;
    uint64_t output_bytes_max;
    int64_t soft_limit_ms, hard_limit_ms, grace_ms, stall_ms;
};

/* Makes a fresh folder for the task within the work dir of the process, and sets the limits. Between turns only, and only while
 * jq_exec_warm_rests(). An error (JQ_ERR_BUSY: it holds more memory than the task may use) leaves the process to be killed. */
enum jq_err jq_exec_turn_begin(struct jq_exec_child *child, const struct jq_exec_turn *turn, int64_t now_ms,
                               struct jq_error *reterr);

/* The task's folder; `size` of it at most. */
void jq_exec_turn_folder(const struct jq_exec_child *child, char *ret_path, size_t size);

/* Called once the outcome has been read. False: the process cannot serve another task. */
bool jq_exec_turn_end(struct jq_exec_child *child, int64_t now_ms);

bool jq_exec_warm_ready(const struct jq_exec_child *child);
bool jq_exec_warm_in_turn(const struct jq_exec_child *child);
/* It runs, in no turn, and nothing has been done to end it. */
bool jq_exec_warm_rests(const struct jq_exec_child *child);

/* Says something to it: sent as soon as it is ready and has room, in order. False: more than JQ_EXEC_REPLY_SIZE_MAX bytes wait already. */
bool jq_exec_warm_say(struct jq_exec_child *child, struct jq_bytes bytes);

/* Of its first process; 0: not known. */
uint64_t jq_exec_warm_rss(const struct jq_exec_child *child);

#endif
