/* sim_cache.c - results of a pure handler: which are kept, and who is answered from them instead of being run.
 *
 * The oracle has its own notion of a question: handler, need, payload, inputs by content, whether outputs are asked for. What is kept
 * must be the result of a success of that question, by the version that ran, on a worker that called it pure; who is answered must
 * have asked it while all workers agreed on that version; and where an answer is there, nobody is run. What a worker says of its
 * handler h0 follows from its incarnation, so that a record of it tells all; h1 is pure nowhere.
 */
#include <inttypes.h>

#include "common/hash.h"
#include "tests/sim/sim.h"

enum {
    PAYLOADS = 2,
    BIN8 = 0xc4,
    ANSWERED_MAX = 256, /* in one step: those beyond may run */
    PURGED_MAX = 1000,  /* by one request */
};

/* ---- what clients ask, what workers say ---- */

/* Payload, a byte that says whether it is to run in any case, and what tells it from all others. */
struct jq_bytes cache_body(struct sim *sim, struct sim_request *request, size_t at, bool asked_often) {
    uint8_t *body = request->bodies[at];
    const uint64_t own = jq_hash_combine(sim->chances.struck[SIM_REQUEST], at);
    const uint8_t payload_size = asked_often ? 1 : sizeof(own);
    request->items[at].no_cache = asked_often && sim_detail(sim, 8) == 0;
    body[0] = BIN8;
    body[1] = payload_size;
    memcpy(body + 2, &own, sizeof(own));
    if (asked_often) {
        body[2] = (uint8_t)('0' + sim_detail(sim, PAYLOADS));
    }
    body[2 + payload_size] = request->items[at].no_cache;
    memcpy(body + 3 + payload_size, &own, sizeof(own));
    return (struct jq_bytes){body, SIM_BODY_BASE + JQ_SCHEDULE_DUE_SIZE + sim_detail(sim, sim->swarm.body_bytes)};
}

static uint32_t version_of(uint64_t incarnation) {
    return 1 + (incarnation % 16 == 0);
}

static bool is_pure(const struct sim *sim, uint64_t incarnation) {
    return sim->swarm.pure && incarnation / 16 % 32 != 0;
}

/* What a worker of this incarnation can do. */
const struct jq_handler_def *cache_handlers(const struct sim *sim, uint64_t incarnation) {
    static const struct jq_handler_def sets[2][2][SIM_HANDLERS] = {
        {{{.name = {"h0", 2}, .version = {"1", 1}}, {.name = {"h1", 2}, .need = {"mem=1", 5}}},
         {{.name = {"h0", 2}, .version = {"1", 1}, .pure = true}, {.name = {"h1", 2}, .need = {"mem=1", 5}}}},
        {{{.name = {"h0", 2}, .version = {"2", 1}}, {.name = {"h1", 2}, .need = {"mem=1", 5}}},
         {{.name = {"h0", 2}, .version = {"2", 1}, .pure = true}, {.name = {"h1", 2}, .need = {"mem=1", 5}}}},
    };
    return sets[version_of(incarnation) - 1][is_pure(sim, incarnation)];
}

/* What it says has run: of a handler that is not pure nothing, now and then nothing of one that is. */
struct jq_str cache_version(const struct sim *sim, uint64_t incarnation, jq_lease_token token) {
    const bool told = token.value % 8 != 0 && is_pure(sim, incarnation);
    return told ? cache_handlers(sim, incarnation)[0].version : JQ_STR("");
}

/* What an attempt gives: it can be told from that of any other. */
struct jq_bytes cache_result(jq_lease_token token, uint8_t out[SIM_RESULT_SIZE]) {
    memcpy(out, "result", 6);
    memcpy(out + 6, &token.value, sizeof(token.value));
    return (struct jq_bytes){out, SIM_RESULT_SIZE};
}

/* ---- what the workers that have registered agree on ---- */

static bool says(const struct sim *sim, const struct sim_holder *holder, uint32_t version) {
    return is_pure(sim, holder->incarnation) && version_of(holder->incarnation) == version;
}

/* All of whom it is certain that they are there agree on it, and somebody does. */
static bool may_agree(const struct sim *sim, uint32_t version) {
    bool any = false;
    for (uint32_t i = 0; i < SIM_HOLDERS_MAX; i++) {
        const struct sim_holder *holder = &sim->oracle.holders[i];
        if (holder->declared && !holder->unsure && !says(sim, holder, version)) {
            return false;
        }
        any |= holder->declared && says(sim, holder, version);
    }
    return any;
}

/* All agree on it, also those that may be gone. 0: on none, or it is not certain. */
static uint32_t agreed(const struct sim *sim) {
    for (uint32_t version = 1; version <= 2; version++) {
        bool all = true, certain = false;
        for (uint32_t i = 0; i < SIM_HOLDERS_MAX; i++) {
            const struct sim_holder *holder = &sim->oracle.holders[i];
            all &= !holder->declared || says(sim, holder, version);
            certain |= holder->declared && !holder->unsure;
        }
        if (all && certain) {
            return version;
        }
    }
    return 0;
}

/* ---- fold ---- */

static uint64_t name_hash(struct jq_str name) {
    return jq_hash_bytes(name.data, name.size, 0);
}

static uint64_t key_of(struct jq_str name) {
    uint64_t first;
    JQ_CHECK(name.size > JQ_BLOB_HASH_SIZE);
    memcpy(&first, name.data, sizeof(first));
    return first;
}

static uint64_t question_of(const struct sim *sim, const struct jq_submit_fields *submit) {
    const struct sim_class *entry = &sim->oracle.classes[submit->class_index];
    JQ_CHECK(submit->body.size > 2 && submit->body.data[0] == BIN8);
    uint64_t question = jq_hash_bytes(entry->handler, strlen(entry->handler), 0);
    question = jq_hash_combine(question, jq_hash_bytes(entry->need, strlen(entry->need), 0));
    question = jq_hash_combine(question, jq_hash_bytes(submit->body.data + 2, submit->body.data[1], 0));
    return jq_hash_combine(question, blobs_mask(submit->files));
}

static struct sim_cached *kept_find(const struct sim *sim, struct jq_str name) {
    const uint64_t hash = name_hash(name);
    for (uint32_t i = 0; i < sim->oracle.cached_count; i++) {
        if (sim->oracle.cached[i].name == hash) {
            return &sim->oracle.cached[i];
        }
    }
    return NULL;
}

static void account(struct sim *sim, const struct sim_cached *kept, bool add) {
    const uint64_t sign = add ? 1 : UINT64_MAX;
    sim->oracle.cached_held_bytes += sign * kept->held_bytes;
    sim->oracle.cached_output_bytes += sign * kept->output_bytes;
    sim->oracle.live_bytes += sign * kept->record_size;
}

static void remove_kept(struct sim *sim, struct sim_cached *kept) {
    blobs_refer(sim, &kept->made, 0);
    account(sim, kept, false);
    *kept = sim->oracle.cached[--sim->oracle.cached_count];
}

static void stored(struct sim *sim, const struct jq_record *record) {
    struct sim_oracle *oracle = &sim->oracle;
    const struct jq_str name = record->u.cache_stored.name;
    struct sim_cached *kept = kept_find(sim, name);
    if (kept) {
        remove_kept(sim, kept);
    }
    oracle->cached = oracle_grown(oracle->cached, oracle->cached_count, &oracle->cached_capacity, sizeof(*kept));
    kept = &oracle->cached[oracle->cached_count++];
    *kept = (struct sim_cached){
        .name = name_hash(name),
        .question = oracle_task(sim, record->u.cache_stored.task.value)->question,
        .task = record->u.cache_stored.task.value,
        .body_hash = jq_hash_bytes(record->u.cache_stored.body.data, record->u.cache_stored.body.size, 0),
        .output_bytes = record->u.cache_stored.output_bytes,
        .at_ms = record->u.cache_stored.at_ms,
        .version = (uint32_t)(name.data[JQ_BLOB_HASH_SIZE] - '0'),
        .held_bytes = (uint32_t)(2 * name.size + record->u.cache_stored.body.size + record->u.cache_stored.made.size),
        .record_size = record->size};
    blobs_refer(sim, &kept->made, blobs_mask(record->u.cache_stored.made));
    account(sim, kept, true);
}

/* What it asks is known from when it was submitted: a replay that begins in the middle may come by it before the class that it names. */
static void submitted(struct sim *sim, const struct jq_record *record, bool replay) {
    struct sim_task *task = oracle_task(sim, record->u.task_submitted.task.value);
    const struct jq_bytes body = record->u.task_submitted.body;
    if (!replay || task->question == 0) {
        task->question = question_of(sim, &record->u.task_submitted);
    }
    task->asks = record->u.task_submitted.cache.size > 0;
    task->no_cache = body.data[2 + body.data[1]] != 0;
}

static void ended(struct sim *sim, const struct jq_record *record) {
    const bool cached = record->u.task_ended.outcome == JQ_OUTCOME_CACHED;
    struct sim_task *task = oracle_task(sim, record->u.task_ended.task.value);
    task->asks &= record->u.task_ended.state == JQ_STATE_DEAD; /* it may be replayed */
    sim->oracle.answers_in_step += cached;
}

/* In a prologue they are named again, by nobody's word. */
static void registered(struct sim *sim, const struct jq_record *record) {
    struct sim_holder *holder = &sim->oracle.holders[record->u.worker_registered.worker];
    const struct sim_request *request = sim->broker.request;
    holder->incarnation = record->u.worker_registered.incarnation;
    if (request && request->r.op == JQ_OP_REGISTER) {
        holder->declared = true;
        holder->unsure = holder->draining;
    }
}

void cache_record(struct sim *sim, const struct jq_record *record, bool replay) {
    struct sim_holder *holders = sim->oracle.holders;
    switch (record->type) {
    case JQ_RECORD_TASK_SUBMITTED: submitted(sim, record, replay); break;
    case JQ_RECORD_TASK_RELOCATED:
        oracle_task(sim, record->u.task_relocated.task.value)->asks = record->u.task_relocated.submit.cache.size > 0;
        break;
    case JQ_RECORD_TASK_RENEWED: oracle_task(sim, record->u.task_renewed.task.value)->asks = false; break;
    case JQ_RECORD_TASK_EDITED: oracle_task(sim, record->u.task_edited.task.value)->asks = false; break;
    case JQ_RECORD_TASK_ENDED: ended(sim, record); break;
    case JQ_RECORD_WORKER_REGISTERED: registered(sim, record); break;
    case JQ_RECORD_WORKER_SET:
        holders[record->u.worker_set.worker].draining = record->u.worker_set.draining;
        holders[record->u.worker_set.worker].unsure |= record->u.worker_set.draining;
        break;
    case JQ_RECORD_WORKER_GONE:
        holders[record->u.worker_gone.worker].declared = holders[record->u.worker_gone.worker].draining = false;
        break;
    case JQ_RECORD_CACHE_STORED: stored(sim, record); break;
    case JQ_RECORD_CACHE_DROPPED: {
        struct sim_cached *kept = kept_find(sim, record->u.cache_dropped.name);
        if (kept) {
            remove_kept(sim, kept);
        }
        break;
    }
    default: break;
    }
}

void cache_forget(struct sim *sim) {
    sim->oracle.cached_count = 0;
    sim->oracle.cached_held_bytes = sim->oracle.cached_output_bytes = 0;
    sim->oracle.answer_due = sim->oracle.answers_in_step = 0;
}

/* ---- what must hold of what is kept ---- */

/* One question has one key, and a key is of one question, over all lives of the broker. */
static void check_key(struct sim *sim, uint64_t task, uint64_t question, uint64_t key) {
    struct sim_oracle *oracle = &sim->oracle;
    const uint32_t known_key = jq_map_get(&oracle->questions, question, (uint32_t)key);
    const uint32_t known_question = jq_map_get(&oracle->cache_keys, key, (uint32_t)question);
    if (known_key != (uint32_t)key || known_question != (uint32_t)question) {
        sim_fail(sim, "task %" PRIu64 " has the cache key of another question, or its question has another key", task);
    }
    JQ_CHECK(jq_map_put(&oracle->questions, question, (uint32_t)key));
    JQ_CHECK(jq_map_put(&oracle->cache_keys, key, (uint32_t)question));
}

/* It has a key if and only if all workers agree, as it waits for nobody, whose result it might read. */
static void check_submitted(struct sim *sim, const struct jq_record *record) {
    const struct jq_submit_fields *submit = &record->u.task_submitted;
    const bool pure = strcmp(sim->oracle.classes[submit->class_index].handler, "h0") == 0 &&
                      sim->config.cache_entries_max > 0 && submit->on == 0;
    const bool forced = submit->body.data[2 + submit->body.data[1]] != 0;
    uint64_t key;
    if (submit->cache.size == 0 && pure && agreed(sim) != 0) {
        sim_fail(sim, "task %" PRIu64 " is of a handler that all workers call pure, and has no cache key",
                 submit->task.value);
    }
    if (submit->cache.size == 0) {
        return;
    }
    if (!pure || (!may_agree(sim, 1) && !may_agree(sim, 2))) {
        sim_fail(sim, "task %" PRIu64 " has a cache key, and its handler is not pure", submit->task.value);
    }
    if (submit->cache.data[0] != (forced ? JQ_CACHE_RUN : JQ_CACHE_LOOK)) {
        sim_fail(sim, "task %" PRIu64 " uses the cache in another way than it was asked to", submit->task.value);
    }
    memcpy(&key, submit->cache.data + 1, sizeof(key));
    check_key(sim, submit->task.value, question_of(sim, submit), key);
}

/* It is moved to the log's head. */
static void check_same(struct sim *sim, const struct sim_cached *kept, const struct jq_record *record) {
    if (kept->task != record->u.cache_stored.task.value || kept->at_ms != record->u.cache_stored.at_ms ||
        kept->made != blobs_mask(record->u.cache_stored.made) ||
        kept->body_hash != jq_hash_bytes(record->u.cache_stored.body.data, record->u.cache_stored.body.size, 0)) {
        sim_fail(sim, "the kept result of task %" PRIu64 " is written again, as another", kept->task);
    }
}

/* It is what an attempt that still has its lease reports just now, as a pure handler's version gave it. */
static void check_stored(struct sim *sim, const struct jq_record *record) {
    const struct sim_task *task = oracle_task(sim, record->u.cache_stored.task.value);
    const struct jq_str name = record->u.cache_stored.name;
    const struct sim_cached *kept = kept_find(sim, name);
    uint8_t result[SIM_RESULT_SIZE];
    if (kept) {
        check_same(sim, kept, record);
        return;
    }
    sim->counts.kept_results++;
    const uint32_t made = blobs_mask(record->u.cache_stored.made);
    const struct jq_bytes body = cache_result((jq_lease_token){task->token}, result);
    if (task->place != SIM_LEASED || !task->asks || record->u.cache_stored.at_ms != record->time_ms ||
        body.size != record->u.cache_stored.body.size ||
        memcmp(body.data, record->u.cache_stored.body.data, body.size) != 0) {
        sim_fail(sim, "task %" PRIu64 ": a result is kept that is not of an attempt which ends", task->id);
    }
    const struct sim_holder *holder = &sim->oracle.holders[task->worker];
    if (name.size != JQ_BLOB_HASH_SIZE + 1 || !holder->declared ||
        !says(sim, holder, (uint32_t)(name.data[JQ_BLOB_HASH_SIZE] - '0'))) {
        sim_fail(sim, "task %" PRIu64 ": its result is kept, and its worker's handler is not pure, or another version",
                 task->id);
    }
    check_key(sim, task->id, task->question, key_of(name));
    if (!blobs_stored(sim, made) || blobs_size(made) != record->u.cache_stored.output_bytes) {
        sim_fail(sim, "task %" PRIu64 ": its result is kept, and its outputs are not there, or of another size",
                 task->id);
    }
}

/* ---- what must hold of answers ---- */

static bool has_answer(const struct sim *sim, uint64_t question) {
    const uint32_t version = agreed(sim);
    for (uint32_t i = 0; i < sim->oracle.cached_count && version != 0; i++) {
        const struct sim_cached *kept = &sim->oracle.cached[i];
        if (kept->question == question && kept->version == version && blobs_stored(sim, kept->made)) {
            return sim->oracle.answers_in_step < ANSWERED_MAX;
        }
    }
    return false;
}

static bool is_answer(const struct sim *sim, const struct sim_cached *kept, const struct sim_task *task,
                      const struct jq_record *record) {
    const struct jq_bytes body = record->u.task_ended.body;
    return kept->question == task->question && may_agree(sim, kept->version) && blobs_stored(sim, kept->made) &&
           kept->made == blobs_mask(record->u.task_ended.made) &&
           kept->body_hash == jq_hash_bytes(body.data, body.size, 0);
}

/* It asks what is answered, it was its turn, and the answer is one that is kept. */
static void check_answered(struct sim *sim, const struct jq_record *record) {
    const struct sim_task *task = oracle_task(sim, record->u.task_ended.task.value);
    if (record->u.task_ended.outcome != JQ_OUTCOME_CACHED) {
        return;
    }
    if (task->place != SIM_QUEUED || !task->asks || task->no_cache || task->held || task->eta ||
        task->ready_ms > record->time_ms || record->u.task_ended.state != JQ_STATE_SUCCEEDED) {
        sim_fail(sim, "task %" PRIu64 " is answered from the cache, and was to run, or to wait", task->id);
    }
    for (uint32_t i = 0; i < sim->oracle.cached_count; i++) {
        if (is_answer(sim, &sim->oracle.cached[i], task, record)) {
            sim->counts.cached++;
            return;
        }
    }
    sim_fail(sim, "task %" PRIu64 " is answered from the cache with what is not kept for it", task->id);
}

/* Whom the next record must answer. */
static void note_due(struct sim *sim, const struct jq_record *record) {
    const struct jq_submit_fields *submit = &record->u.task_submitted;
    if (record->type == JQ_RECORD_TASK_FREED) {
        const struct sim_task *task = oracle_task(sim, record->u.task_freed.task.value);
        const bool ready = !task->held && !task->eta && task->ready_ms <= record->time_ms && !task->expires_wall_ms;
        if (task->asks && !task->no_cache && ready && has_answer(sim, task->question)) {
            sim->oracle.answer_due = task->id;
        }
    } else if (submit->cache.size > 0 && submit->cache.data[0] == JQ_CACHE_LOOK && submit->flow == 0 && !submit->eta &&
               submit->ready_at_ms <= record->time_ms && has_answer(sim, question_of(sim, submit))) {
        sim->oracle.answer_due = submit->task.value;
    }
}

/* One whose answer is there when it comes is answered at once. */
static void check_due(struct sim *sim, const struct jq_record *record) {
    const uint64_t due = sim->oracle.answer_due;
    const bool ends =
        record && record->type == JQ_RECORD_TASK_ENDED && record->u.task_ended.task.value == due &&
        (record->u.task_ended.outcome == JQ_OUTCOME_CACHED || record->u.task_ended.outcome == JQ_OUTCOME_EXPIRED);
    sim->oracle.answer_due = 0;
    if (due != 0 && !ends) {
        sim_fail(sim, "task %" PRIu64 " asks what is in the cache, and is not answered", due);
    }
}

/* Nor is one run whose answer has come while it waited. */
void cache_check_leased(struct sim *sim, const struct sim_task *task) {
    if (task->asks && !task->no_cache && has_answer(sim, task->question)) {
        sim_fail(sim, "task %" PRIu64 " is leased, and its answer is in the cache", task->id);
    }
}

void cache_check(struct sim *sim, const struct jq_record *record) {
    const struct sim_request *request = sim->broker.request;
    check_due(sim, record);
    switch (record->type) {
    case JQ_RECORD_TASK_SUBMITTED:
        check_submitted(sim, record);
        note_due(sim, record);
        break;
    case JQ_RECORD_TASK_FREED: note_due(sim, record); break;
    case JQ_RECORD_TASK_ENDED: check_answered(sim, record); break;
    case JQ_RECORD_CACHE_STORED: check_stored(sim, record); break;
    case JQ_RECORD_CACHE_DROPPED:
        if (!kept_find(sim, record->u.cache_dropped.name)) {
            sim_fail(sim, "a result is dropped that was not kept");
        }
        break;
    case JQ_RECORD_REQUEST_ANSWERED:
        if (request && request->r.op == JQ_OP_CACHE_PURGE && sim->oracle.cached_count > 0 &&
            record->u.request_answered.verdict.count != PURGED_MAX) {
            sim_fail(sim, "the cache was purged of %" PRIu32 " results, and %" PRIu32 " are still kept",
                     record->u.request_answered.verdict.count, sim->oracle.cached_count);
        }
        break;
    default: break;
    }
}

void cache_step(struct sim *sim, const struct jq_server_row *status) {
    struct sim_oracle *oracle = &sim->oracle;
    const struct jq_core_config *config = &sim->config;
    check_due(sim, NULL);
    oracle->answers_in_step = 0;
    if (status->cache_entries != oracle->cached_count || status->cache_output_bytes != oracle->cached_output_bytes ||
        status->cache_bytes < oracle->cached_held_bytes) {
        sim_fail(sim, "%" PRIu64 " results of %" PRIu64 " bytes are kept, and by the records %" PRIu32 " of %" PRIu64,
                 status->cache_entries, status->cache_bytes, oracle->cached_count, oracle->cached_held_bytes);
    }
    if (oracle->cached_count > config->cache_entries_max || oracle->cached_held_bytes > config->cache_bytes_max ||
        oracle->cached_output_bytes > config->cache_output_bytes_max) {
        sim_fail(sim,
                 "%" PRIu32 " results are kept, %" PRIu64 " bytes and %" PRIu64 " of outputs: more than there may be",
                 oracle->cached_count, oracle->cached_held_bytes, oracle->cached_output_bytes);
    }
}
