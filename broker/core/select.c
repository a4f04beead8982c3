/* select.c - actions on all tasks that a where selects, as jobs: a slice at a time, so that nobody waits for them.
 *
 * A job walks the smallest index that its terms allow: one task by its key, the dead letters, else a range of ids; up to the ids
 * that were in use when it began, so that it ends. Between two slices everything else is served, and a task is judged as it is when
 * the walk comes to it: of two operators whoever comes first has it, the other finds it changed.
 *
 * A job is answered once. The same request sent again while it runs takes the answer over; sent again later it finds the verdict.
 * After a crash it begins anew, and finds done what was done.
 */
#include <stdlib.h>

#include "broker/core/state.h"

enum { SAMPLES_MAX = 20, ACTS_PER_SLICE_MAX = 1000 };

struct job {
    uint64_t call; /* 0: nobody waits for the answer at present */
    uint64_t pipe;
    struct jq_uuid sender;
    uint64_t request, done;
    struct act act;
    char to[JQ_NAME_SIZE_MAX]; /* the queue of a move */
    size_t to_size;
    bool dry_run;
    struct jq_where where;
    struct walk walk;
    int64_t began_ms;
    uint64_t matched;
    uint32_t acted;
    const char *why; /* of the first task that matched and could not be done; static text */
    jq_task_id samples[SAMPLES_MAX];
    size_t sample_count;
};

/* ---- what a selection looks at ---- */

void task_subject(const struct jq_core *core, const struct task *task, struct jq_where_subject *ret_subject) {
    const struct side *side = task_side_if(core, task);
    const bool future =
        task->state == JQ_STATE_SCHEDULED || task->state == JQ_STATE_WAITING || task->state == JQ_STATE_BLOCKED;
    *ret_subject = (struct jq_where_subject){.id = task->id,
                                             .state = task_shown(task),
                                             .outcome = (enum jq_outcome)task->outcome,
                                             .priority = task->priority,
                                             .attempts = task->attempts,
                                             .age_ms = future ? 0 : core->now_ms - task->at_ms,
                                             .queue = core->queues[task->queue].name,
                                             .handler = core->classes[task->class_index].handler};
    if (task->group != 0) {
        ret_subject->group = group_at(core, task->group)->name;
    }
    if (task->lease != 0) {
        ret_subject->worker = worker_at(core, lease_at(core, task->lease)->worker)->name;
    }
    const struct node *node = node_if(core, task);
    if (node && node->flow != 0) {
        ret_subject->flow = flow_at(core, node->flow)->first;
    }
    if (side) {
        ret_subject->error = jq_str_of(side->error);
    }
}

/* A key is unique inside the namespace of its queue: a term that names one finds one task, or none. */
static bool walk_key(struct jq_core *core, const struct jq_where *where, struct walk *walk) {
    struct jq_str queue, key;
    if (!jq_where_exact(where, JQ_WHERE_KEY, &key) || !jq_where_exact(where, JQ_WHERE_QUEUE, &queue)) {
        return false;
    }
    const uint32_t ref = key.size <= JQ_KEY_SIZE_MAX && queue.size <= JQ_NAME_SIZE_MAX ? key_of(core, queue, key) : 0;
    const uint64_t id = ref ? key_at(core, ref)->task : 0;
    walk->id = id > walk->id ? id : walk->id;
    walk->last = id < walk->last ? id : walk->last;
    walk->key = key;
    return true;
}

const char *walk_begin(struct jq_core *core, const struct jq_where *where, struct walk *ret_walk) {
    struct walk walk = {.id = 0};
    struct jq_str queue;
    if (jq_where_names(where, JQ_WHERE_EVENT)) {
        return "event is a field of events, not of tasks";
    }
    jq_where_ids(where, &walk.id, &walk.last);
    walk.id = walk.id > 1 ? walk.id : 1;
    walk.last = walk.last < core->next_id ? walk.last : core->next_id - 1;
    if (jq_where_names(where, JQ_WHERE_KEY) && !walk_key(core, where, &walk)) {
        return "key wants queue=NAME beside it: keys are those of the queue's namespace";
    }
    const bool nowhere = jq_where_exact(where, JQ_WHERE_QUEUE, &queue) && queue_find(core, queue) < 0;
    const uint32_t states = jq_where_states(where);
    if (nowhere || states == 0) {
        walk.last = 0;
    } else if (states == 1u << JQ_STATE_DEAD && !jq_where_names(where, JQ_WHERE_KEY)) {
        walk.dead = true;
        walk.ref = core->dead_head;
    }
    *ret_walk = walk;
    return NULL;
}

bool walk_next(struct jq_core *core, const struct jq_where *where, struct walk *walk, uint32_t *budget,
               uint32_t *ret_ref) {
    while (*budget > 0 && !walk_over(walk)) {
        --*budget;
        const uint32_t ref = walk->dead ? walk->ref : task_find(core, (jq_task_id){walk->id});
        if (walk->dead) {
            walk->ref = task_at(core, ref)->next;
        } else if (ref == 0 && jq_map_get(&core->id_pages, walk->id / ID_PAGE_COUNT, UINT32_MAX) == UINT32_MAX) {
            walk->id = (walk->id / ID_PAGE_COUNT + 1) * ID_PAGE_COUNT; /* nothing left of this page */
        } else {
            walk->id++;
        }
        if (ref == 0 || task_at(core, ref)->id > walk->last) {
            continue;
        }
        struct jq_where_subject subject;
        task_subject(core, task_at(core, ref), &subject);
        subject.key = walk->key;
        if (jq_where_match(where, &subject)) {
            *ret_ref = ref;
            return true;
        }
    }
    return false;
}

void walks_pass(struct jq_core *core, uint32_t ref) {
    for (uint32_t i = 0; core->job_count > 0 && i < JOBS_MAX; i++) {
        if (core->jobs[i] && core->jobs[i]->walk.dead && core->jobs[i]->walk.ref == ref) {
            core->jobs[i]->walk.ref = task_at(core, ref)->next;
        }
    }
}

/* ---- one job ---- */

static void job_reply(struct jq_core *core, const struct job *job, enum jq_reply status, const char *field,
                      const char *reason) {
    const struct jq_reply_effect reply = {.call = job->call,
                                          .request = job->request,
                                          .op = job->act.op,
                                          .status = status,
                                          .field = field,
                                          .reason = reason,
                                          .u.many = {.selection = true,
                                                     .count = job->acted,
                                                     .matched = job->matched,
                                                     .why = job->why,
                                                     .samples = job->samples,
                                                     .sample_count = job->sample_count}};
    if (job->call != 0) {
        reply_send(core, &reply, JQ_EFFECT_DURABLE);
    }
}

static void job_end(struct jq_core *core, uint32_t at) {
    struct job *job = core->jobs[at];
    if (job->acted > 0) {
        const struct jq_verdict verdict = {.op = (uint8_t)job->act.op, .first = job->matched, .count = job->acted};
        window_record(core, &job->sender, job->request, job->done, &verdict);
    }
    core->jobs[at] = NULL;
    core->job_count--;
    free(job);
}

static void job_take(struct jq_core *core, struct job *job, uint32_t ref) {
    const jq_task_id id = {task_at(core, ref)->id};
    job->matched++;
    if (job->sample_count < SAMPLES_MAX) {
        job->samples[job->sample_count++] = id;
    }
    const char *why = job->dry_run && !CANARY(DRY_RUN_ACTS) ? NULL : task_act(core, &job->act, ref);
    job->acted += !job->dry_run && !why;
    job->why = job->why ? job->why : why;
}

/* True: it has come to its end, and has been answered. */
static bool job_slice(struct jq_core *core, uint32_t at) {
    struct job *job = core->jobs[at];
    uint32_t budget = core->config.slice_tasks, ref = 0, acts = 0;
    const char *reason = NULL;
    if (!job->dry_run) {
        const enum jq_reply verdict = act_prepare(core, &job->act, (struct jq_str){job->to, job->to_size}, &reason);
        if (verdict != JQ_REPLY_OK) {
            job_reply(core, job, verdict, "queue", reason);
            job_end(core, at);
            return true;
        }
    }
    while (acts < ACTS_PER_SLICE_MAX && walk_next(core, &job->where, &job->walk, &budget, &ref)) {
        if (job->walk.dead && task_at(core, ref)->at_ms > job->began_ms) {
            job->walk.ref = 0; /* it died since, perhaps once more */
            break;
        }
        job_take(core, job, ref);
        acts++;
    }
    if (!walk_over(&job->walk)) {
        job->walk.id += CANARY(SLICE_SKIPS) ? 16 : 0;
        return false;
    }
    if (job->acted == 0) {
        job_reply(core, job, JQ_REPLY_OK, NULL, NULL);
        job_end(core, at);
        return true;
    }
    struct job copy = *job;
    job_end(core, at); /* records the verdict, which the answer then waits for */
    job_reply(core, &copy, JQ_REPLY_OK, NULL, NULL);
    return true;
}

/* ---- requests ---- */

/* The same request again, while its job runs: the answer goes to the newest call. */
static bool job_again(struct jq_core *core, const struct jq_request *request) {
    for (uint32_t i = 0; core->job_count > 0 && i < JOBS_MAX; i++) {
        struct job *job = core->jobs[i];
        if (job && job->request == request->id && jq_uuid_equal(&job->sender, &request->sender)) {
            if (job->call != 0) {
                call_drop(core, job->call);
            }
            job->call = request->call;
            job->pipe = request->pipe;
            core->totals.duplicate_total++;
            return true;
        }
    }
    return false;
}

static struct job *job_new(struct jq_core *core, const struct jq_request *request) {
    struct job *job = malloc(sizeof(*job));
    JQ_CHECK(job != NULL && request->u.tasks.to.size <= sizeof(job->to));
    *job = (struct job){
        .call = request->call,
        .pipe = request->pipe,
        .sender = request->sender,
        .request = request->id,
        .done = request->done,
        .act = {.op = request->op, .grace_ms = request->u.tasks.grace_ms, .interval_us = request->u.tasks.interval_us},
        .to_size = request->u.tasks.to.size,
        .dry_run = request->u.tasks.dry_run,
        .where = *request->u.tasks.where,
        .began_ms = core->now_ms};
    if (job->to_size > 0) {
        memcpy(job->to, request->u.tasks.to.data, job->to_size);
    }
    return job;
}

void select_request(struct jq_core *core, const struct jq_request *request) {
    if (job_again(core, request) || answered_before(core, request)) {
        return;
    }
    if (core->stopping) {
        reply_refuse(core, request, JQ_REPLY_DRAINING, NULL, "the broker is stopping");
        return;
    }
    uint32_t at = 0;
    while (at < JOBS_MAX && core->jobs[at]) {
        at++;
    }
    if (at == JOBS_MAX) {
        reply_refuse(core, request, JQ_REPLY_BUSY, "where", "as many selections run as may: try again later");
        return;
    }
    struct job *job = job_new(core, request);
    const char *reason = walk_begin(core, &job->where, &job->walk);
    if (reason) {
        free(job);
        reply_refuse(core, request, JQ_REPLY_INVALID, "where", reason);
        return;
    }
    if (job->walk.key.size > 0) { /* its text is that of the request */
        JQ_CHECK(jq_where_exact(&job->where, JQ_WHERE_KEY, &job->walk.key));
    }
    core->jobs[at] = job;
    core->job_count++;
    (void)job_slice(core, at); /* most need no other */
}

/* ---- time ---- */

void jobs_step(struct jq_core *core) {
    for (uint32_t tried = 0; core->job_count > 0 && tried < JOBS_MAX; tried++) {
        const uint32_t at = core->job_turn++ % JOBS_MAX;
        if (core->jobs[at]) {
            (void)job_slice(core, at);
            return;
        }
    }
}

int64_t jobs_deadline_ms(const struct jq_core *core) {
    return core->job_count > 0 ? core->now_ms : INT64_MAX;
}

/* The job goes on: what it began is done, and its sender will ask again. But nobody needs a count that nobody hears. */
void jobs_drop_pipe(struct jq_core *core, uint64_t pipe) {
    for (uint32_t i = 0; core->job_count > 0 && i < JOBS_MAX; i++) {
        struct job *job = core->jobs[i];
        if (!job || job->pipe != pipe || job->call == 0) {
            continue;
        }
        call_drop(core, job->call);
        job->call = 0;
        if (job->dry_run) {
            job_end(core, i);
        }
    }
}

void jobs_stop(struct jq_core *core) {
    for (uint32_t i = 0; i < JOBS_MAX; i++) {
        if (core->jobs[i]) {
            job_reply(core, core->jobs[i], JQ_REPLY_DRAINING, NULL, "the broker is stopping; ask again for the rest");
            core->jobs[i]->acted = 0; /* no verdict: asked again, it goes on */
            job_end(core, i);
        }
    }
}

void jobs_free(struct jq_core *core) {
    for (uint32_t i = 0; i < JOBS_MAX; i++) {
        free(core->jobs[i]);
    }
}
