/* report.c - how attempts end: verdicts on reports, retries with backoff, limits that make a task dead. */
#include "broker/core/state.h"
#include "common/hash.h"

enum { LOST_TEXT_SIZE = JQ_NAME_SIZE_MAX + 20 };

/* ---- ends ---- */

/* For ends that no worker reported. */
static const struct jq_report no_report;

/* What was collected before its report came is not to be referred to any more. */
static struct jq_bytes made_stored(struct jq_core *core, struct jq_bytes made) {
    struct jq_reader in = jq_reader_of(made);
    struct jq_file file;
    jq_buf_clear(&core->after);
    while (jq_files_next(&in, &file)) {
        const uint32_t ref = file.hash ? blob_find(core, file.hash) : 0;
        if (CANARY(MADE_BLIND) || (ref != 0 && blob_at(core, ref)->stored)) {
            jq_files_append(&core->after, &file);
        }
    }
    JQ_CHECK(!core->after.failed);
    return jq_buf_bytes(&core->after);
}

void task_end_reported(struct jq_core *core, struct task *task, enum jq_state state, enum jq_outcome outcome,
                       const struct jq_report *report) {
    struct jq_record record = {.type = JQ_RECORD_TASK_ENDED,
                               .u.task_ended = {.task = {task->id},
                                                .state = (uint8_t)state,
                                                .outcome = (uint8_t)outcome,
                                                .attempts = task->attempts,
                                                .crashes = task->crashes,
                                                .body = report->body,
                                                .error = report->error,
                                                .made = made_stored(core, report->made)}};
    emit(core, &record);
    core->totals.ended_total[state]++;
    core->queues[task->queue].ended_total++;
    waiters_wake(core, (jq_task_id){task->id});
    news_task(core, JQ_NEWS_TASK_ENDED, task);
}

void task_end(struct jq_core *core, uint32_t ref, enum jq_state state, enum jq_outcome outcome) {
    task_end_reported(core, task_at(core, ref), state, outcome, &no_report);
}

/* min(base * 2^(failures - 1), cap), times a factor in [0.5, 1) that a replay gives again. */
int64_t backoff_ms(const struct jq_options *options, uint64_t task, uint32_t failures) {
    int64_t wait_ms = CANARY(NO_BACKOFF) ? 0 : options->retry_base_ms;
    for (uint32_t i = 1; i < failures && wait_ms < options->retry_cap_ms; i++) {
        wait_ms *= 2;
    }
    if (wait_ms > options->retry_cap_ms) {
        wait_ms = options->retry_cap_ms;
    }
    const uint64_t spread = jq_hash_combine(task, failures) >> 44; /* 20 bits */
    return wait_ms / 2 + (int64_t)((uint64_t)(wait_ms - wait_ms / 2) * spread >> 20);
}

struct counters {
    uint32_t attempts, crashes, losses, shortages;
};

static struct counters counters_of(const struct jq_core *core, const struct task *task) {
    const struct side *side = task_side_if(core, task);
    return (struct counters){task->attempts, task->crashes, side ? side->losses : 0u, side ? side->shortages : 0u};
}

static uint8_t clip(uint32_t count) {
    return count > UINT8_MAX ? UINT8_MAX : (uint8_t)count;
}

/* A counter holds no more than a byte: that is the limit of the limits. */
static bool reached(uint32_t count, uint32_t limit) {
    return count >= (limit < UINT8_MAX ? limit : UINT8_MAX);
}

static void retry_task(struct jq_core *core, struct task *task, enum jq_outcome outcome, struct counters counters,
                       int64_t wait_ms, const struct jq_report *report) {
    struct jq_record record = {.type = JQ_RECORD_TASK_RETRIED,
                               .u.task_retried = {.task = {task->id},
                                                  .outcome = (uint8_t)outcome,
                                                  .attempts = clip(counters.attempts),
                                                  .crashes = clip(counters.crashes),
                                                  .losses = clip(counters.losses),
                                                  .shortages = clip(counters.shortages),
                                                  .ready_at_ms = core->now_ms + wait_ms,
                                                  .body = report->body,
                                                  .error = report->error}};
    emit(core, &record);
    task->priority = CANARY(SILENT_CHANGE) ? 0 : task->priority;
    core->totals.retried_total++;
    news_task(core, JQ_NEWS_TASK_RETRIED, task);
    const struct side *side = task_side_if(core, task);
    if (side && side->expires_wall_ms > 0 && side->expires_wall_ms <= core->wall_ms) {
        task_end(core, task_find(core, (jq_task_id){task->id}), JQ_STATE_EXPIRED, JQ_OUTCOME_EXPIRED); /* not again */
    }
}

/* Dead, with the counters that made it so. */
static void kill_task(struct jq_core *core, struct task *task, enum jq_outcome outcome, struct counters counters,
                      const struct jq_report *report) {
    struct jq_record record = {.type = JQ_RECORD_TASK_ENDED,
                               .u.task_ended = {.task = {task->id},
                                                .state = JQ_STATE_DEAD,
                                                .outcome = (uint8_t)outcome,
                                                .attempts = clip(counters.attempts),
                                                .crashes = clip(counters.crashes),
                                                .body = report->body,
                                                .error = report->error,
                                                .losses = clip(counters.losses)}};
    emit(core, &record);
    core->totals.ended_total[JQ_STATE_DEAD]++;
    core->queues[task->queue].ended_total++;
    waiters_wake(core, (jq_task_id){task->id});
    news_task(core, JQ_NEWS_TASK_ENDED, task);
}

/* ---- what follows from each outcome ---- */

static void succeed(struct jq_core *core, struct task *task, const struct jq_report *report) {
    if (task->flags & TASK_FLAG_PURE) {
        cache_keep(core, task, report);
    }
    task_end_reported(core, task, JQ_STATE_SUCCEEDED, JQ_OUTCOME_SUCCESS, report);
}

static void after_failure(struct jq_core *core, struct task *task, const struct jq_report *report) {
    const struct jq_options *options = &core->options[task->options].options;
    struct counters counters = counters_of(core, task);
    counters.attempts++;
    counters.shortages = 0;
    if (report->crashed) {
        counters.crashes++;
        core->totals.crashed_total++;
    }
    if (reached(counters.crashes, core->config.crash_limit) && !CANARY(NO_CRASH_LIMIT)) {
        kill_task(core, task, JQ_OUTCOME_CRASH_LIMIT, counters, report);
    } else if (reached(counters.attempts, options->retry_max)) {
        kill_task(core, task, report->outcome, counters, report);
    } else {
        retry_task(core, task, report->outcome, counters, backoff_ms(options, task->id, counters.attempts), report);
    }
}

/* The host was short of something: the attempt does not count, and this worker takes no more of the class for a while. */
static void after_shortage(struct jq_core *core, struct task *task, const struct jq_report *report) {
    const struct jq_options *options = &core->options[task->options].options;
    struct counters counters = counters_of(core, task);
    if (reached(++counters.shortages, core->config.shortage_limit + 1)) {
        kill_task(core, task, JQ_OUTCOME_RESOURCE_EXHAUSTED, counters, report);
        return;
    }
    const int64_t wait_ms = backoff_ms(options, task->id, counters.shortages);
    worker_shun(core, lease_at(core, task->lease)->worker, task->class_index, core->now_ms + wait_ms);
    retry_task(core, task, JQ_OUTCOME_RESOURCE_EXHAUSTED, counters, wait_ms, report);
}

/* A cancel was asked for: only an outcome that came first stands. */
static void after_cancelling(struct jq_core *core, struct task *task, const struct jq_report *report) {
    if (report->outcome == JQ_OUTCOME_SUCCESS) {
        succeed(core, task, report);
    } else {
        task_end_reported(core, task, JQ_STATE_CANCELLED, JQ_OUTCOME_CANCELLED, report);
    }
}

static void report_apply(struct jq_core *core, struct task *task, const struct jq_report *report) {
    if (task->state == JQ_STATE_CANCELLING) {
        after_cancelling(core, task, report);
        return;
    }
    switch (report->outcome) {
    case JQ_OUTCOME_SUCCESS: succeed(core, task, report); break;
    case JQ_OUTCOME_INVALID_INPUT:
        task_end_reported(core, task, JQ_STATE_DEAD, JQ_OUTCOME_INVALID_INPUT, report);
        break;
    case JQ_OUTCOME_RESOURCE_EXHAUSTED: after_shortage(core, task, report); break;
    case JQ_OUTCOME_CANCELLED: /* nobody asked for it: the worker gave it up */
    case JQ_OUTCOME_HANDED_BACK:
        retry_task(core, task, JQ_OUTCOME_HANDED_BACK, counters_of(core, task), 0, report);
        break;
    default: after_failure(core, task, report); break;
    }
}

/* Once a cancel was asked for, only a success says something of those who ran the task. */
static void attempt_reported(struct jq_core *core, struct task *task, const struct jq_report *report) {
    const struct breaker_attempt attempt = breakers_attempt(core, task);
    const bool telling = task->state != JQ_STATE_CANCELLING || report->outcome == JQ_OUTCOME_SUCCESS;
    report_apply(core, task, report);
    breakers_attempt_ended(core, &attempt, telling ? report->outcome : JQ_OUTCOME_CANCELLED, report->service);
}

/* ---- leases that end without a report ---- */

/* "lost with worker NAME": what is told of an attempt that nobody reported. */
static struct jq_str lost_text(char out[LOST_TEXT_SIZE], struct jq_str worker) {
    static const char words[] = "lost with worker ";
    memcpy(out, words, sizeof(words) - 1);
    memcpy(out + sizeof(words) - 1, worker.data, worker.size);
    return (struct jq_str){out, sizeof(words) - 1 + worker.size};
}

static void after_loss(struct jq_core *core, uint32_t ref, bool alone) {
    struct task *task = task_at(core, ref);
    char text[LOST_TEXT_SIZE];
    const struct jq_report lost = {.error =
                                       lost_text(text, worker_at(core, lease_at(core, task->lease)->worker)->name)};
    core->totals.lost_total++;
    if (task->state == JQ_STATE_CANCELLING) {
        task_end_reported(core, task, JQ_STATE_CANCELLED, JQ_OUTCOME_LOST, &lost);
        return;
    }
    struct counters counters = counters_of(core, task);
    if (alone) {
        counters.crashes++;
        core->totals.crashed_total++;
    } else {
        counters.losses++;
    }
    if (reached(counters.crashes, core->config.crash_limit) && !CANARY(NO_CRASH_LIMIT)) {
        kill_task(core, task, JQ_OUTCOME_CRASH_LIMIT, counters, &lost);
    } else if (reached(counters.losses, core->config.lost_limit)) {
        kill_task(core, task, JQ_OUTCOME_LOST_LIMIT, counters, &lost);
    } else {
        retry_task(core, task, JQ_OUTCOME_LOST, counters, 0, &lost);
    }
}

void attempt_lost(struct jq_core *core, uint32_t ref, bool alone) {
    const struct breaker_attempt attempt = breakers_attempt(core, task_at(core, ref));
    after_loss(core, ref, alone);
    breakers_attempt_ended(core, &attempt, JQ_OUTCOME_LOST, (struct jq_str){NULL, 0});
}

void attempt_returned(struct jq_core *core, uint32_t ref) {
    struct task *task = task_at(core, ref);
    const struct breaker_attempt attempt = breakers_attempt(core, task);
    if (task->state == JQ_STATE_CANCELLING) {
        task_end_reported(core, task, JQ_STATE_CANCELLED, JQ_OUTCOME_CANCELLED, &no_report);
    } else {
        retry_task(core, task, JQ_OUTCOME_HANDED_BACK, counters_of(core, task), 0, &no_report);
    }
    breakers_attempt_ended(core, &attempt, JQ_OUTCOME_HANDED_BACK, (struct jq_str){NULL, 0});
}

/* Its worker was never told of it, and nobody can be: another attempt would find the same bytes. */
void attempt_damaged(struct jq_core *core, const struct jq_held *held) {
    const uint32_t ref = task_find(core, held->task);
    const uint32_t lease = ref ? task_at(core, ref)->lease : 0;
    if (lease == 0 || lease_at(core, lease)->token != held->token.value) {
        return; /* it was lost, or cancelled, meanwhile */
    }
    const struct breaker_attempt attempt = breakers_attempt(core, task_at(core, ref));
    if (task_at(core, ref)->state == JQ_STATE_CANCELLING) {
        task_end(core, ref, JQ_STATE_CANCELLED, JQ_OUTCOME_CANCELLED);
    } else {
        const struct jq_report damaged = {.error = JQ_STR("what it carries cannot be read back from the journal")};
        task_end_reported(core, task_at(core, ref), JQ_STATE_DEAD, JQ_OUTCOME_DAMAGED, &damaged);
    }
    breakers_attempt_ended(core, &attempt, JQ_OUTCOME_DAMAGED, (struct jq_str){NULL, 0});
    worker_fill(core, attempt.worker); /* there is room again */
}

/* ---- the requests ---- */

void reports_process(struct jq_core *core, uint32_t worker, const struct jq_report *reports, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const uint32_t ref = task_find(core, reports[i].task);
        const uint32_t lease = ref ? task_at(core, ref)->lease : 0;
        const bool stale = lease != 0 && lease_at(core, lease)->token != reports[i].token.value;
        if (lease == 0 || (stale && !CANARY(STALE_TOKEN)) || lease_at(core, lease)->worker != worker) {
            core->totals.stale_total++;
            exception_add(core, (struct jq_exception){
                                    .index = (uint32_t)i, .status = JQ_REPLY_STALE_LEASE, .task = reports[i].task});
            continue;
        }
        attempt_reported(core, task_at(core, ref), &reports[i]);
    }
}

static void report_reply(struct jq_core *core, const struct jq_request *request) {
    const struct jq_reply_effect reply = {.call = request->call,
                                          .request = request->id,
                                          .op = JQ_OP_REPORT,
                                          .u.lease = {.verdicts = core->exceptions,
                                                      .verdict_count = core->exception_count,
                                                      .report_count = (uint32_t)request->u.lease.report_count}};
    reply_send(core, &reply, JQ_EFFECT_DURABLE);
}

void report_request(struct jq_core *core, const struct jq_request *request) {
    const uint32_t index = worker_asking(core, request);
    if (index == 0) {
        return;
    }
    const struct answer *answer = NULL;
    const enum window_verdict seen = window_look(core, request, &answer);
    if (window_refuses(core, request, seen)) {
        return;
    }
    core->exception_count = 0;
    if (seen == WINDOW_AGAIN) {
        core->totals.duplicate_total++;
        exceptions_unpack(core, answer->verdict.exceptions);
        report_reply(core, request);
        return;
    }
    reports_process(core, index, request->u.lease.reports, request->u.lease.report_count);
    const struct jq_verdict verdict = {.op = JQ_OP_REPORT,
                                       .exceptions = exceptions_pack(core, core->exceptions, core->exception_count)};
    window_record(core, &request->sender, request->id, request->done, &verdict);
    report_reply(core, request);
    if (worker_at(core, index)->poll.call != 0) { /* there is room again */
        worker_fill(core, index);
    }
}
