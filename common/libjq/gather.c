/* gather.c - jq_submit(): the callers of one client that come while a request is under way gather, and go together in the next one.
 *
 * The first caller takes a lane and sends its task at once. Who comes while all lanes are taken waits; when a request is answered, the
 * first who waits takes over its lane, with as many of the others as a frame holds. A caller alone is never held up, and the busier a
 * client is, the more tasks share a request and a sync of the broker's log.
 *
 * Nobody is worse off for the company: who has waited JQ_GATHER_MS, who finds the lanes stuck (a queue that holds back its answer, a
 * broker that is away), who was refused in a request of several, or for whose task there was no room goes alone, as if there were
 * nobody else.
 */
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/libjq/submit.h"

enum {
    LANES = 1,
    TOGETHER_MAX = 64, /* tasks of one request */
};

enum caller_state {
    CALLER_WAITS, /* in the list */
    CALLER_LEADS, /* has a lane */
    CALLER_GOES,  /* its task is in the request of another, who will say what became of it */
    CALLER_DONE,
    CALLER_ALONE,
};

/* On the stack of its thread. Whoever takes it out of the list decides its state; DONE and ALONE are the last word: after them the
 * caller may be gone. */
struct jq_caller {
    const struct jq_task_spec *task;
    int64_t deadline_ms;
    struct jq_caller *next;
    atomic_uint state;
    struct jq_submitted submitted;
    enum jq_err err;
    struct jq_error *reterr;
};

/* ---- waiting ---- */

/* Waking where nobody waits any more, or another does, harms nobody: all who wait look again. */
static void tell(struct jq_caller *caller, enum caller_state state) {
    atomic_uint *word = &caller->state;
    atomic_store(word, (unsigned)state);
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Waits while it is in `state`, or until `until_ms`; < 0: no limit. */
static void wait_while(struct jq_caller *caller, enum caller_state state, int64_t until_ms) {
    const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    while (atomic_load(&caller->state) == (unsigned)state && (until_ms < 0 || jq_flight_now_ms() < until_ms)) {
        (void)syscall(SYS_futex, &caller->state, FUTEX_WAIT_BITSET_PRIVATE, (unsigned)state,
                      until_ms < 0 ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY);
    }
}

/* ---- the list: with the lock held ---- */

static void line_up(struct jq_gathering *gathering, struct jq_caller *caller) {
    if (gathering->last) {
        gathering->last->next = caller;
    } else {
        gathering->first = caller;
    }
    gathering->last = caller;
    gathering->waiting++;
}

static struct jq_caller *take_first(struct jq_gathering *gathering) {
    struct jq_caller *first = gathering->first;
    if (first) {
        gathering->first = first->next;
        gathering->last = first->next ? gathering->last : NULL;
        gathering->waiting--;
    }
    return first;
}

static void take_out(struct jq_gathering *gathering, const struct jq_caller *caller) {
    struct jq_caller *before = NULL, **at = &gathering->first;
    while (*at != caller) {
        before = *at;
        at = &before->next;
    }
    *at = caller->next;
    gathering->last = caller->next ? gathering->last : before;
    gathering->waiting--;
}

/* ---- the leader ---- */

/* One request: the leader's task and those of who waits, first come, first served. */
struct company {
    struct jq_caller *callers[TOGETHER_MAX];
    struct jq_task_spec tasks[TOGETHER_MAX];
    struct jq_submitted submitted[TOGETHER_MAX];
    size_t count, room;
};

static bool join(struct company *company, struct jq_caller *caller) {
    const size_t room = company->room + jq_task_room(caller->task);
    if (company->count > 0 && (company->count == TOGETHER_MAX || room > JQ_SUBMIT_ROOM)) {
        return false;
    }
    company->callers[company->count] = caller;
    company->tasks[company->count++] = *caller->task;
    company->room = room;
    return true;
}

static void call_together(struct jq_gathering *gathering, struct company *company, struct jq_caller *leader) {
    company->count = company->room = 0;
    (void)join(company, leader);
    pthread_mutex_lock(&gathering->lock);
    while (gathering->first && join(company, gathering->first)) {
        atomic_store(&take_first(gathering)->state, CALLER_GOES);
    }
    gathering->moved_ms = jq_flight_now_ms();
    pthread_mutex_unlock(&gathering->lock);
}

static void pass_lane_on(struct jq_gathering *gathering) {
    pthread_mutex_lock(&gathering->lock);
    struct jq_caller *next = take_first(gathering);
    if (next) {
        tell(next, CALLER_LEADS);
    } else {
        gathering->lanes--;
    }
    pthread_mutex_unlock(&gathering->lock);
}

/* A refusal of a request with several says nothing about the single task but that it was not taken; `unavailable` not even that. A
 * full queue is asked again by each alone. */
static bool ends_company(const struct company *company, enum jq_reply refusal) {
    return refusal == JQ_REPLY_BUSY ||
           (refusal != JQ_REPLY_OK && refusal != JQ_REPLY_UNAVAILABLE && company->count > 1);
}

static void lead(struct jq_client *client, struct jq_caller *leader) {
    struct company company;
    struct jq_error why = {.message = ""};
    enum jq_reply refusal = JQ_REPLY_OK;
    call_together(&client->gathering, &company, leader);
    const enum jq_err err =
        jq_submit_frame(client, company.tasks, company.count, leader->deadline_ms, company.submitted, &refusal, &why);
    for (size_t i = company.count; i-- > 0;) {
        struct jq_caller *caller = company.callers[i];
        const bool alone =
            err == JQ_OK ? company.submitted[i].status == JQ_REPLY_BUSY : ends_company(&company, refusal);
        caller->err = err;
        if (err == JQ_OK) {
            caller->submitted = company.submitted[i];
        } else if (caller->reterr) {
            *caller->reterr = why;
        }
        if (caller == leader) {
            atomic_store(&caller->state, alone ? CALLER_ALONE : CALLER_DONE);
        } else {
            tell(caller, alone ? CALLER_ALONE : CALLER_DONE);
        }
    }
    pass_lane_on(&client->gathering);
}

/* ---- the caller ---- */

static bool lanes_move(const struct jq_gathering *gathering) {
    return jq_flight_now_ms() - gathering->moved_ms < gathering->patience_ms;
}

static enum caller_state enter(struct jq_gathering *gathering, struct jq_caller *caller) {
    enum caller_state state = CALLER_ALONE;
    pthread_mutex_lock(&gathering->lock);
    if (gathering->lanes < LANES) {
        gathering->lanes++;
        state = CALLER_LEADS;
    } else if (lanes_move(gathering)) {
        line_up(gathering, caller);
        state = CALLER_WAITS;
    }
    atomic_store(&caller->state, (unsigned)state);
    pthread_mutex_unlock(&gathering->lock);
    return state;
}

/* Nobody came for it in time. */
static void leave(struct jq_gathering *gathering, struct jq_caller *caller) {
    pthread_mutex_lock(&gathering->lock);
    if (atomic_load(&caller->state) == CALLER_WAITS) {
        take_out(gathering, caller);
        atomic_store(&caller->state, CALLER_ALONE);
    }
    pthread_mutex_unlock(&gathering->lock);
}

static void go_together(struct jq_client *client, struct jq_caller *caller) {
    if (enter(&client->gathering, caller) == CALLER_WAITS) {
        wait_while(caller, CALLER_WAITS, jq_flight_now_ms() + client->gathering.patience_ms);
        leave(&client->gathering, caller);
        wait_while(caller, CALLER_GOES, -1);
    }
    if (atomic_load(&caller->state) == CALLER_LEADS) {
        lead(client, caller);
    }
}

enum jq_err jq_submit(struct jq_client *client, const struct jq_task_spec *task, jq_task_id *ret_id,
                      struct jq_error *reterr) {
    enum jq_err err = jq_task_check(task, 1, reterr);
    if (err != JQ_OK) {
        return err;
    }
    struct jq_caller caller = {.task = task, .deadline_ms = jq_flight_now_ms() + client->timeout_ms, .reterr = reterr};
    go_together(client, &caller);
    err = caller.err;
    if (atomic_load(&caller.state) == CALLER_ALONE) {
        err = jq_submit_until(client, task, 1, caller.deadline_ms, &caller.submitted, reterr);
    }
    if (err == JQ_OK && caller.submitted.status != JQ_REPLY_OK) {
        err = jq_fail(reterr, jq_err_of_reply(caller.submitted.status), "%s: %s",
                      jq_reply_name(caller.submitted.status), caller.submitted.reason);
    }
    if (err == JQ_OK) {
        *ret_id = caller.submitted.id;
    }
    return err;
}
