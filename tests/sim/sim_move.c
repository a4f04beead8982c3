/* sim_move.c - what is live leaves the log's oldest part, so that the log stays short: the shell's reader of that part, what a move
 * may change (where things stand, and nothing else), and how long the log may be. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/journal/scan.h"
#include "common/buf.h"
#include "common/hash.h"
#include "tests/sim/sim.h"

enum { AGAIN_MS = 60000, READ_MS_MAX = 50, PROLOGUE_WORTH = 8 };

/* ---- the reader ---- */

void reader_start(struct sim *sim) {
    struct sim_reader *reader = &sim->broker.reader;
    *reader = (struct sim_reader){.asked = false};
    JQ_CHECK(jq_slicer_new(jq_simdisk_disk(sim->disk), "log", &reader->slicer, NULL) == JQ_OK);
    reader->slice = malloc(sizeof(*reader->slice));
    JQ_CHECK(reader->slice != NULL);
}

void reader_free(struct sim_broker *broker) {
    jq_slicer_free(broker->reader.slicer);
    free(broker->reader.slice);
    broker->reader = (struct sim_reader){.asked = false};
}

void reader_asked(struct sim *sim, uint64_t from_lsn, uint64_t end_lsn) {
    struct sim_reader *reader = &sim->broker.reader;
    if (reader->asked) {
        sim_fail(sim, "a slice of the log is asked for before the last one came");
    }
    reader->asked = true;
    reader->from_lsn = from_lsn;
    reader->end_lsn = end_lsn;
    sim_add(sim, SIM_LOG_READ, sim->now_ms + (int64_t)sim_below(sim, READ_MS_MAX))->number = sim->broker.run;
}

/* A fault of the disk, or what was asked for has meanwhile been deleted. */
static bool may_fail(const struct sim *sim, const struct jq_error *error) {
    return log_may_fail(sim, error) ||
           (error->code == JQ_ERR_NOT_FOUND && jq_core_needs_from(sim->broker.core) > sim->broker.reader.from_lsn);
}

static bool read_slice(struct sim *sim) {
    struct sim_reader *reader = &sim->broker.reader;
    struct jq_error error = {.code = JQ_OK};
    const enum jq_err err = jq_slicer_read(reader->slicer, reader->from_lsn, reader->end_lsn, reader->slice, &error);
    if (err != JQ_OK && !may_fail(sim, &error)) {
        sim_fail(sim, "the log from lsn %" PRIu64 " on cannot be read: %s", reader->from_lsn, error.message);
    }
    if (err == JQ_OK && reader->slice->damaged > 0 && !log_may_fail(sim, &reader->slice->damage)) {
        sim_fail(sim, "the log from lsn %" PRIu64 " on is damaged: %s", reader->from_lsn,
                 reader->slice->damage.message);
    }
    sim->disk_faulty = sim->disk_faulty && error.sys_errno != EIO;
    return err == JQ_OK;
}

void reader_reads(struct sim *sim) {
    struct sim_reader *reader = &sim->broker.reader;
    const bool good = read_slice(sim);
    struct jq_event event = {.type = JQ_EVENT_LOG_READ,
                             .u.log_read = {.from_lsn = reader->from_lsn,
                                            .next_lsn = good ? reader->slice->next_lsn : reader->from_lsn,
                                            .records = reader->slice->records,
                                            .count = good ? reader->slice->count : 0}};
    reader->asked = false;
    reader->again_ms = event.u.log_read.next_lsn > reader->from_lsn ? 0 : sim->now_ms + AGAIN_MS;
    broker_event(sim, &event);
}

/* ---- fold ---- */

void move_forget(struct sim *sim) {
    sim->oracle.segment_count = 0;
    sim->oracle.live_bytes = 0;
}

static void add_segment(struct sim *sim, uint64_t lsn) {
    struct sim_oracle *oracle = &sim->oracle;
    oracle->segments =
        oracle_grown(oracle->segments, oracle->segment_count, &oracle->segment_capacity, sizeof(*oracle->segments));
    oracle->segments[oracle->segment_count++] = lsn;
}

/* From now on so many bytes of the log are its body and its report. */
static void set_sizes(struct sim *sim, struct sim_task *task, uint32_t body_size, uint32_t report_size) {
    sim->oracle.live_bytes += (uint64_t)body_size + report_size;
    sim->oracle.live_bytes -= (uint64_t)task->body_size + task->report_size;
    task->body_size = body_size;
    task->report_size = report_size;
}

static void take_parents(struct sim_task *task, const struct jq_record *record) {
    struct jq_reader in = jq_reader_of(record->u.task_relocated.submit.after);
    task->parent_count = task->met = 0;
    while (!in.failed && in.at < in.end && task->parent_count < SIM_AFTER_MAX) {
        const bool met = record->u.task_relocated.verdicts.data[task->parent_count] == JQ_EDGE_MET;
        task->met |= (uint32_t)met << task->parent_count;
        task->parents[task->parent_count++] = task->id - (jq_read_varint(&in) >> 1);
    }
}

static enum sim_place place_of(struct sim *sim, const struct sim_task *task, enum jq_state state) {
    switch (state) {
    case JQ_STATE_RUNNING:
    case JQ_STATE_CANCELLING: return SIM_LEASED;
    case JQ_STATE_WAITING:
    case JQ_STATE_BLOCKED: return task->flow != 0 && !ties_committed(sim, task->flow) ? SIM_STAGED : SIM_WAITING;
    default: return jq_state_is_final(state) ? SIM_FINAL : SIM_QUEUED;
    }
}

static void take_submit(struct sim_task *task, const struct jq_submit_fields *submit) {
    (void)snprintf(task->group, sizeof(task->group), "%.*s", (int)submit->group.size, submit->group.data);
    task->queue = submit->queue;
    task->class_index = submit->class_index;
    task->options = submit->options;
    task->priority = submit->priority;
    task->eta = submit->eta;
    task->ready_ms = submit->ready_at_ms;
    task->expires_wall_ms = submit->expires_wall_ms;
    task->on = submit->on;
    task->flow = submit->flow;
}

static void take_lease(struct sim *sim, struct sim_task *task, const struct jq_record *record) {
    task->token = record->u.task_relocated.token.value;
    task->worker = record->u.task_relocated.worker;
    task->alternative = record->u.task_relocated.alternative;
    task->units = gates_units(record->u.task_relocated.units);
    sim->oracle.token_max = task->token > sim->oracle.token_max ? task->token : sim->oracle.token_max;
}

/* A task whose submit stands before the log's beginning. */
static void restore(struct sim *sim, struct sim_task *task, const struct jq_record *record) {
    const enum jq_state state = (enum jq_state)record->u.task_relocated.state;
    const struct jq_bytes body = record->u.task_relocated.submit.body;
    take_submit(task, &record->u.task_relocated.submit);
    take_parents(task, record);
    task->first_ready_ms = task->eta ? INT64_MAX : record->u.task_relocated.first_ready_ms;
    task->attempts = record->u.task_relocated.attempts;
    task->crashes = record->u.task_relocated.crashes;
    task->losses = record->u.task_relocated.losses;
    task->shortages = record->u.task_relocated.shortages;
    task->held = record->u.task_relocated.held;
    task->body_size = task->report_size = 0;
    if (record->u.task_relocated.body_size == 0) {
        task->body_hash = jq_hash_bytes(body.data, body.size, 0);
        set_sizes(sim, task, record->size, record->u.task_relocated.last_size);
    } else {
        set_sizes(sim, task, record->u.task_relocated.body_size, record->u.task_relocated.last_size);
    }
    const enum sim_place place = place_of(sim, task, state);
    if (place == SIM_LEASED) {
        take_lease(sim, task, record);
    } else if (place == SIM_FINAL) {
        task->state = state;
        task->ended_ms = record->u.task_relocated.submit.ready_at_ms;
    }
    oracle_enter(sim, task, place);
}

static void relocated(struct sim *sim, const struct jq_record *record) {
    struct sim_task *task = oracle_task(sim, record->u.task_relocated.task.value);
    if (task->place == SIM_UNKNOWN) {
        restore(sim, task, record);
    } else if (record->u.task_relocated.body_size == 0) {
        const struct jq_bytes body = record->u.task_relocated.submit.body;
        set_sizes(sim, task, record->size, task->report_size);
        if (task->body_hash == 0) { /* what brought it into being named a place before the log's beginning */
            task->body_hash = jq_hash_bytes(body.data, body.size, 0);
        }
    }
}

static void body_record(struct sim *sim, uint64_t id, uint32_t size) {
    struct sim_task *task = oracle_task(sim, id);
    if (task->place != SIM_UNKNOWN) {
        set_sizes(sim, task, size, task->report_size);
    }
}

static void report_record(struct sim *sim, uint64_t id, struct jq_bytes body, uint32_t size) {
    struct sim_task *task = oracle_task(sim, id);
    if (body.size > 0 && task->place != SIM_UNKNOWN) {
        set_sizes(sim, task, task->body_size, size);
    }
}

void move_gone(struct sim *sim, struct sim_task *task) {
    set_sizes(sim, task, 0, 0);
}

void move_record(struct sim *sim, const struct jq_record *record) {
    sim->oracle.end_lsn = record->lsn + record->size;
    switch (record->type) {
    case JQ_RECORD_PROLOGUE_BEGIN: add_segment(sim, record->lsn); break;
    case JQ_RECORD_TASK_SUBMITTED: body_record(sim, record->u.task_submitted.task.value, record->size); break;
    case JQ_RECORD_TASK_RENEWED: body_record(sim, record->u.task_renewed.task.value, record->size); break;
    case JQ_RECORD_TASK_EDITED:
        if (record->u.task_edited.body.size > 0) {
            body_record(sim, record->u.task_edited.task.value, record->size);
        }
        break;
    case JQ_RECORD_TASK_RETRIED:
        report_record(sim, record->u.task_retried.task.value, record->u.task_retried.body, record->size);
        break;
    case JQ_RECORD_TASK_ENDED:
        report_record(sim, record->u.task_ended.task.value, record->u.task_ended.body, record->size);
        break;
    case JQ_RECORD_REPORT_RELOCATED:
        report_record(sim, record->u.report_relocated.task.value, record->u.report_relocated.body, record->size);
        break;
    case JQ_RECORD_TASK_RELOCATED: relocated(sim, record); break;
    default: break;
    }
}

/* ---- what must hold of a move ---- */

static bool same_counts(const struct sim_task *task, const struct jq_record *record) {
    return task->attempts == record->u.task_relocated.attempts && task->crashes == record->u.task_relocated.crashes &&
           task->losses == record->u.task_relocated.losses && task->shortages == record->u.task_relocated.shortages &&
           task->held == record->u.task_relocated.held;
}

static bool same_submit(const struct sim_task *task, const struct jq_submit_fields *submit) {
    return task->queue == submit->queue && task->class_index == submit->class_index &&
           task->options == submit->options && task->priority == submit->priority && task->flow == submit->flow &&
           jq_str_equal(jq_str_of(task->group), submit->group);
}

static bool same_lease(const struct sim_task *task, const struct jq_record *record) {
    return task->token == record->u.task_relocated.token.value && task->worker == record->u.task_relocated.worker &&
           task->units == gates_units(record->u.task_relocated.units);
}

/* What is moved is the task as it stands: a replay that knows it from here alone must come to the same. */
static void check_relocated(struct sim *sim, const struct jq_record *record) {
    const struct sim_task *task = oracle_task(sim, record->u.task_relocated.task.value);
    const struct jq_submit_fields *submit = &record->u.task_relocated.submit;
    const enum jq_state state = (enum jq_state)record->u.task_relocated.state;
    if (task->place == SIM_UNKNOWN || task->place == SIM_GONE) {
        sim_fail(sim, "task %" PRIu64 " is moved to the log's head, and is not there any more", task->id);
    }
    if (place_of(sim, task, state) != task->place || !same_submit(task, submit) || !same_counts(task, record) ||
        (task->place == SIM_FINAL && task->state != state)) {
        sim_fail(sim, "task %" PRIu64 " is moved to the log's head as %s, and is another than it was", task->id,
                 jq_state_name(state));
    }
    if (task->files != blobs_mask(submit->files) || task->made != blobs_mask(record->u.task_relocated.made) ||
        task->asks != (submit->cache.size > 0)) {
        sim_fail(sim, "task %" PRIu64 " is moved to the log's head with other files, or another cache key", task->id);
    }
    if (task->place == SIM_LEASED && !same_lease(task, record)) {
        sim_fail(sim, "task %" PRIu64 " is moved to the log's head under another lease than it has", task->id);
    }
    if (record->u.task_relocated.body_size == 0 &&
        jq_hash_bytes(submit->body.data, submit->body.size, 0) != task->body_hash) {
        sim_fail(sim, "task %" PRIu64 " is moved to the log's head with another body", task->id);
    }
    sim->counts.moved++;
}

void move_check(struct sim *sim, const struct jq_record *record) {
    if (record->type == JQ_RECORD_TASK_RELOCATED) {
        check_relocated(sim, record);
    } else if (record->type == JQ_RECORD_REPORT_RELOCATED &&
               oracle_task(sim, record->u.report_relocated.task.value)->report_size == 0) {
        sim_fail(sim, "task %" PRIu64 ": its report is moved, and it has none", record->u.report_relocated.task.value);
    }
}

/* ---- what must hold of the log's size ---- */

uint64_t move_live_bytes(const struct sim *sim) {
    uint64_t bytes = sim->oracle.live_bytes;
    for (uint32_t i = 0; i < sim->oracle.key_count; i++) {
        bytes += sim->oracle.keys[i].text_size;
    }
    return bytes;
}

/* Nothing can leave a segment before the one behind it is on the disk. */
static bool oldest_can_go(const struct sim *sim, uint64_t needs_lsn) {
    const struct sim_oracle *oracle = &sim->oracle;
    uint32_t next = 0;
    while (next < oracle->segment_count && oracle->segments[next] <= needs_lsn) {
        next++;
    }
    return next < oracle->segment_count && oracle->segments[next] <= sim->broker.told_lsn;
}

/* As long as nothing is being moved, what is needed of the log is at most twice what is live in it, and the slack. */
void move_step(struct sim *sim) {
    const struct sim_broker *broker = &sim->broker;
    const uint64_t needs_lsn = jq_core_needs_from(broker->core);
    const uint64_t most = 2 * move_live_bytes(sim) + sim->config.log_slack_bytes;
    if (broker->stopping || !broker->serving || broker->reader.asked || sim->now_ms < broker->reader.again_ms) {
        return;
    }
    if (sim->oracle.end_lsn - needs_lsn > most && oldest_can_go(sim, needs_lsn)) {
        sim_fail(sim,
                 "%" PRIu64 " bytes of the log are needed, %" PRIu64
                 " of them are live, and nothing is done to make it shorter",
                 sim->oracle.end_lsn - needs_lsn, move_live_bytes(sim));
    }
}

/* What is needed no more is let go soon, also by a log that hardly grows: when a block is on the disk, and no prologue is on its way
 * there, less is left than what a prologue is worth. */
void move_settled(struct sim *sim) {
    const struct sim_broker *broker = &sim->broker;
    const uint64_t most = PROLOGUE_WORTH * broker->prologue_bytes + sim->config.log_slack_bytes;
    if (!broker->up || !broker->serving || broker->prologue_end_lsn != 0) {
        return;
    }
    const uint64_t needs_lsn = jq_core_needs_from(broker->core);
    if (needs_lsn > broker->deleted_lsn + most) {
        sim_fail(sim, "%" PRIu64 " bytes of the log are needed no more, and nothing lets them go",
                 needs_lsn - broker->deleted_lsn);
    }
}

/* No file is kept of which nothing is needed. */
void move_files(struct sim *sim) {
    struct jq_segment_list list;
    struct jq_error error;
    if (jq_segment_list_load(jq_simdisk_disk(sim->disk), "log", &list, &error) != JQ_OK) {
        sim->disk_faulty = sim->disk_faulty && error.sys_errno != EIO;
        return;
    }
    for (size_t i = 0; i + 1 < list.count; i++) {
        if (list.entries[i + 1].base_lsn <= sim->broker.deleted_lsn) {
            sim_fail(sim, "%s is still there, and nothing below lsn %" PRIu64 " is needed", list.entries[i].name,
                     sim->broker.deleted_lsn);
        }
    }
    jq_segment_list_fini(&list);
}
