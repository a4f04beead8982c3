/* explain_workers.c - of an explanation what is about workers: those that fail alike share a line, those nearest to taking the task
 * come first, and a dozen lines must do.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/core/explain.h"

enum { GROUPS_MAX = 256, WORKER_LINES_MAX = 12 };

/* Workers that fail in the same way. */
struct alike {
    enum jq_why why;
    struct jq_str worker, detail; /* the detail: borrowed, or in the crowd's texts */
    int64_t number;
    uint32_t count;
};

struct crowd {
    struct alike groups[GROUPS_MAX];
    uint32_t group_count;
    uint32_t ungrouped; /* workers for which there was no group left */
    char texts[GROUPS_MAX][EXPLAIN_DETAIL_BYTES];
    const struct profile *last_profile; /* whose workers can never run it */
    uint32_t last_group;                /* as this group says; GROUPS_MAX: none was left */
};

/* ---- one worker ---- */

static struct alike *group_of(struct crowd *crowd, enum jq_why why, struct jq_str detail) {
    for (uint32_t i = 0; i < crowd->group_count; i++) {
        if (crowd->groups[i].why == why && jq_str_equal(crowd->groups[i].detail, detail)) {
            return &crowd->groups[i];
        }
    }
    if (crowd->group_count == GROUPS_MAX) {
        return NULL;
    }
    struct alike *group = &crowd->groups[crowd->group_count++];
    *group = (struct alike){.why = why, .detail = detail, .number = INT64_MAX};
    return group;
}

static void count_in(struct crowd *crowd, struct alike *group, struct jq_str worker, int64_t number) {
    if (!group) {
        crowd->ungrouped++;
        return;
    }
    group->count++;
    if (number < group->number) {
        group->number = number;
        group->worker = worker;
    }
}

/* Of a text that is made for it: kept in the place of the group which may be made of it. */
static struct alike *group_of_text(struct crowd *crowd, enum jq_why why, struct jq_str text) {
    struct jq_str detail = {text.data, text.size < EXPLAIN_DETAIL_BYTES ? text.size : EXPLAIN_DETAIL_BYTES};
    if (crowd->group_count < GROUPS_MAX) {
        memcpy(crowd->texts[crowd->group_count], detail.data, detail.size);
        detail.data = crowd->texts[crowd->group_count];
    }
    return group_of(crowd, why, detail);
}

static struct alike *group_of_term(struct crowd *crowd, const struct jq_need_term *term) {
    char text[EXPLAIN_DETAIL_BYTES];
    const size_t size = jq_need_term_format(term, text, sizeof(text));
    return group_of_text(crowd, JQ_WHY_WORKER_FAILS_TERM,
                         (struct jq_str){text, size < sizeof(text) ? size : sizeof(text) - 1});
}

/* What it accepts: "freecad gpu". */
static struct alike *group_of_accept(struct jq_core *core, const struct profile *profile, struct crowd *crowd) {
    jq_buf_clear(&core->reasons);
    for (uint32_t i = 0; i < core->resource_count; i++) {
        if (profile->accept >> i & 1) {
            jq_buf_append_text(&core->reasons, core->reasons.size > 0 ? JQ_STR(" ") : JQ_STR(""));
            jq_buf_append_text(&core->reasons, core->resources[i]);
        }
    }
    return group_of_text(crowd, JQ_WHY_WORKER_ACCEPTS, jq_buf_str(&core->reasons));
}

/* An alternative that it could run but does not take says more than one that it cannot run. */
static struct alike *group_of_need(struct jq_core *core, const struct profile *profile, const struct jq_need *need,
                                   struct crowd *crowd) {
    for (size_t g = 0; g < need->count; g++) {
        if (!profile_failing_term(core, profile, &need->groups[g])) {
            return group_of_accept(core, profile, crowd);
        }
    }
    return group_of_term(crowd, profile_failing_term(core, profile, &need->groups[0]));
}

static struct alike *group_of_impossible(struct jq_core *core, const struct task *task, const struct profile *profile,
                                         struct crowd *crowd) {
    const struct class_entry *entry = &core->classes[task->class_index];
    const uint32_t handler = jq_strmap_get(&profile->handler_names, entry->handler, UINT32_MAX);
    struct jq_need need;
    if (handler == UINT32_MAX) {
        return group_of(crowd, JQ_WHY_WORKER_LACKS_HANDLER, entry->handler);
    }
    if (jq_need_merge(&entry->parsed, &profile->handler_needs[handler], &need) != JQ_OK) {
        return group_of(crowd, JQ_WHY_WORKER_FAILS_TERM, entry->need);
    }
    struct alike *group = group_of_need(core, profile, &need, crowd);
    jq_need_fini(&need);
    return group;
}

/* Neighbours are mostly alike: the last profile's verdict is remembered. */
static void impossible(struct jq_core *core, const struct task *task, const struct worker *worker,
                       struct crowd *crowd) {
    if (crowd->last_profile != worker->profile) {
        const struct alike *group = group_of_impossible(core, task, worker->profile, crowd);
        crowd->last_profile = worker->profile;
        crowd->last_group = group ? (uint32_t)(group - crowd->groups) : GROUPS_MAX;
    }
    count_in(crowd, crowd->last_group < GROUPS_MAX ? &crowd->groups[crowd->last_group] : NULL, worker->name, 0);
}

/* The offer of which an alternative lacks the least, and how much; INT64_MAX: it lacks nothing. */
static int64_t least_short(const struct worker *worker, const struct plan *plan, uint8_t *ret_resource) {
    int64_t least = INT64_MAX;
    for (int a = 0; a < plan->alternative_count; a++) {
        const struct plan_alternative *alternative = &plan->alternatives[a];
        for (uint32_t i = 0; alternative->possible && i < alternative->count; i++) {
            const struct plan_amount *amount = &plan->amounts[alternative->first + i];
            const int64_t short_of = (int64_t)amount->amount - worker_room_whole(worker, amount->resource);
            if (short_of > 0 && short_of < least) {
                least = short_of;
                *ret_resource = amount->resource;
            }
        }
    }
    return least;
}

/* There is no room; or there is, but it is kept for another task. */
static void no_room(struct jq_core *core, const struct worker *worker, const struct plan *plan, struct crowd *crowd) {
    uint8_t resource = 0;
    const int64_t least = least_short(worker, plan, &resource);
    if (plan_fits_whole(worker, plan) < 0) {
        count_in(crowd, group_of(crowd, JQ_WHY_WORKER_NO_ROOM, core->resources[resource]), worker->name, least);
        return;
    }
    const struct reservation *kept = reservation_of_worker(core, (uint32_t)(worker - core->workers));
    jq_buf_clear(&core->reasons);
    jq_buf_append_format(&core->reasons, "%" PRIu64, task_at(core, kept->task)->id);
    count_in(crowd, group_of_text(crowd, JQ_WHY_WORKER_RESERVED, jq_buf_str(&core->reasons)), worker->name, 0);
}

/* The worker that is kept for this task, and what it lacks there still. */
static void explain_kept(struct jq_core *core, const struct task *task, uint32_t ref, struct explanation *out) {
    const struct reservation *kept = reservation_of_task(core, ref);
    if (kept) {
        const struct worker *worker = worker_at(core, kept->worker);
        uint8_t resource = 0;
        const int64_t least = least_short(worker, profile_plan(core, worker->profile, task->class_index), &resource);
        const bool lacks = least < INT64_MAX;
        struct jq_why_line *line = explain_add(out, lacks ? JQ_WHY_HOLDS_WORKER : JQ_WHY_HOLDS_ROOM,
                                               lacks ? core->resources[resource] : JQ_STR(""), lacks ? least : 0);
        line->worker = worker->name;
    }
}

static void count_plain(struct crowd *crowd, enum jq_why why, const struct worker *worker, int64_t number) {
    count_in(crowd, group_of(crowd, why, JQ_STR("")), worker->name, number);
}

static enum explain_verdict explain_worker(struct jq_core *core, const struct task *task, const struct worker *worker,
                                           struct crowd *crowd) {
    if (!worker->profile) {
        count_plain(crowd, JQ_WHY_WORKER_SILENT, worker, 0);
        return EXPLAIN_NEVER;
    }
    const struct plan *plan = profile_plan(core, worker->profile, task->class_index);
    if (!plan->possible) {
        impossible(core, task, worker, crowd);
        return EXPLAIN_NEVER;
    }
    if (worker->asleep && !(worker->blocks & BLOCK_DRAIN)) {
        count_plain(crowd, JQ_WHY_WORKER_ASLEEP, worker, worker->ring_count);
    } else if (worker->blocks & BLOCK_DRAIN) {
        count_plain(crowd, JQ_WHY_WORKER_DRAINING, worker, 0);
        return EXPLAIN_STOPPED;
    } else if (worker->blocks & BLOCK_WORKER_BREAKER) {
        const int64_t until_ms = breaker_at(&core->breakers, worker->breaker)->until_ms;
        count_plain(crowd, JQ_WHY_WORKER_BREAKER, worker, until_ms > 0 ? until_ms - core->now_ms : 0);
        return EXPLAIN_STOPPED;
    } else if (plan_fits(worker, plan) < 0) {
        no_room(core, worker, plan, crowd);
    } else if (worker->suspects > 0 && task_suspect(core, task)) {
        count_plain(crowd, JQ_WHY_WORKER_SUSPECT, worker, 0);
    } else if (worker_shuns_until_ms(core, worker, task->class_index) != 0) {
        const int64_t until_ms = worker_shuns_until_ms(core, worker, task->class_index);
        count_plain(crowd, JQ_WHY_WORKER_SHORT, worker, until_ms - core->now_ms);
    } else if (worker->poll.call == 0 || worker->poll.want == 0) {
        count_plain(crowd, JQ_WHY_WORKER_NOT_ASKING, worker, 0);
    } else {
        return EXPLAIN_NOW;
    }
    return EXPLAIN_NOT_NOW;
}

/* ---- all of them ---- */

/* By the order of the words, which is that of being near to taking it; then the larger crowd. */
static bool goes_before(const struct alike *a, const struct alike *b) {
    if (a->why != b->why) {
        return a->why < b->why;
    }
    return a->count != b->count ? a->count > b->count : a->number < b->number;
}

/* The first in that order of those that have not been said. */
static struct alike *next_group(struct crowd *crowd) {
    struct alike *first = NULL;
    for (uint32_t i = 0; i < crowd->group_count; i++) {
        struct alike *group = &crowd->groups[i];
        if (group->count > 0 && (!first || goes_before(group, first))) {
            first = group;
        }
    }
    return first;
}

static void say_groups(struct crowd *crowd, struct explanation *out) {
    uint32_t more = crowd->ungrouped;
    struct alike *group = next_group(crowd);
    for (int lines = 0; group && lines < WORKER_LINES_MAX; lines++) {
        struct jq_why_line *line = explain_add(out, group->why, group->detail, group->number);
        line->worker = group->worker;
        line->count = group->count;
        group->count = 0;
        group = next_group(crowd);
    }
    for (uint32_t i = 0; i < crowd->group_count; i++) {
        more += crowd->groups[i].count;
    }
    if (more > 0) {
        explain_add(out, JQ_WHY_WORKERS_MORE, JQ_STR(""), 0)->count = more;
    }
}

enum explain_verdict explain_workers(struct jq_core *core, const struct task *task, struct explanation *out) {
    static const enum jq_why headlines[] = {[EXPLAIN_NEVER] = JQ_WHY_NO_WORKER_CAN,
                                            [EXPLAIN_STOPPED] = JQ_WHY_NO_WORKER_FREE,
                                            [EXPLAIN_NOT_NOW] = JQ_WHY_NO_WORKER_FREE,
                                            [EXPLAIN_NOW] = JQ_WHY_NEXT};
    enum explain_verdict best = EXPLAIN_NEVER;
    struct crowd *crowd = calloc(1, sizeof(*crowd));
    JQ_CHECK(crowd != NULL);
    for (uint32_t i = 1; i < core->worker_count; i++) {
        if (core->workers[i].used) {
            const enum explain_verdict verdict = explain_worker(core, task, worker_at(core, i), crowd);
            best = verdict > best ? verdict : best;
        }
    }
    explain_add(out, headlines[best], JQ_STR(""), 0);
    explain_kept(core, task, task_find(core, (jq_task_id){task->id}), out);
    say_groups(crowd, out);
    free(crowd);
    return best;
}
