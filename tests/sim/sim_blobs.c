/* sim_blobs.c - the content store beside the log: files that the simulated shell keeps, the tasks that refer to them, and what may be
 * collected. A blob is its number; its bytes are nobody's matter here. Files outlive crashes, for the shell syncs them before it
 * tells the core; what the core never wrote down is removed at the next start.
 */
#include <inttypes.h>

#include "broker/core/files.h"
#include "common/buf.h"
#include "tests/sim/sim.h"

enum { MASKS = 1 << SIM_BLOBS, OUTPUT = 1 << SIM_BLOBS, LISTS = 2 * MASKS, FILES_SIZE_MAX = 256, TOLD_MS_MAX = 5000 };

static uint8_t hashes[SIM_BLOBS][JQ_BLOB_HASH_SIZE];
struct list {
    uint8_t bytes[FILES_SIZE_MAX];
    size_t size;
};
static struct list given[LISTS], made[MASKS]; /* by their masks */

static uint64_t size_of(uint32_t blob) {
    return 100 * (blob + 1);
}

static void list_make(struct list *list, enum jq_file_kind kind, uint32_t mask) {
    static const char *const names[SIM_BLOBS] = {"f0", "f1", "f2", "f3", "f4"};
    struct jq_buf buf;
    jq_buf_init(&buf, FILES_SIZE_MAX);
    for (uint32_t i = 0; i < SIM_BLOBS; i++) {
        const struct jq_file file = {kind, jq_str_of(names[i]), hashes[i]};
        if (mask >> i & 1) {
            jq_files_append(&buf, &file);
        }
    }
    const struct jq_file output = {JQ_FILE_OUTPUT, JQ_STR("made"), NULL};
    if (mask & OUTPUT) {
        jq_files_append(&buf, &output);
    }
    JQ_CHECK(!buf.failed);
    if (buf.size > 0) {
        memcpy(list->bytes, buf.data, buf.size);
    }
    list->size = buf.size;
    jq_buf_fini(&buf);
}

void blobs_init(void) {
    for (uint32_t i = 0; i < SIM_BLOBS; i++) {
        memset(hashes[i], (int)i + 1, JQ_BLOB_HASH_SIZE);
    }
    for (uint32_t mask = 0; mask < LISTS; mask++) {
        list_make(&given[mask], JQ_FILE_INPUT, mask);
    }
    for (uint32_t mask = 0; mask < MASKS; mask++) {
        list_make(&made[mask], JQ_FILE_MADE, mask);
    }
}

static uint32_t number_of(const uint8_t *hash) {
    JQ_CHECK(hash[0] >= 1 && hash[0] <= SIM_BLOBS && memcmp(hash, hashes[hash[0] - 1], JQ_BLOB_HASH_SIZE) == 0);
    return hash[0] - 1;
}

/* ---- what is asked for ---- */

/* Bit per blob, and one for an output. */
uint32_t blobs_mask(struct jq_bytes files) {
    struct jq_reader in = jq_reader_of(files);
    struct jq_file file;
    uint32_t mask = 0;
    while (jq_files_next(&in, &file)) {
        mask |= file.hash ? 1u << number_of(file.hash) : OUTPUT;
    }
    JQ_CHECK(!in.failed);
    return mask;
}

struct jq_bytes blobs_made(uint32_t mask) {
    return (struct jq_bytes){made[mask].bytes, made[mask].size};
}

uint64_t blobs_size(uint32_t mask) {
    uint64_t size = 0;
    for (uint32_t i = 0; i < SIM_BLOBS; i++) {
        size += mask >> i & 1 ? size_of(i) : 0;
    }
    return size;
}

bool blobs_stored(const struct sim *sim, uint32_t mask) {
    for (uint32_t i = 0; i < SIM_BLOBS; i++) {
        if (mask >> i & 1 && !sim->blobs[i].stored) {
            return false;
        }
    }
    return true;
}

/* Inputs mostly such as are there: who names another is refused. */
struct jq_bytes blobs_files(struct sim *sim) {
    uint32_t mask = (uint32_t)sim_detail(sim, LISTS);
    if (sim_detail(sim, 10) > 0) {
        for (uint32_t i = 0; i < SIM_BLOBS; i++) {
            mask &= sim->blobs[i].stored ? UINT32_MAX : ~(1u << i);
        }
    }
    return (struct jq_bytes){given[mask].bytes, given[mask].size};
}

void blobs_ask(struct sim *sim, struct sim_request *request) {
    static const enum jq_op ops[] = {JQ_OP_BLOB_PUT, JQ_OP_BLOB_PUT,  JQ_OP_BLOB_PUT,
                                     JQ_OP_BLOB_PUT, JQ_OP_BLOB_STAT, JQ_OP_BLOB_GC};
    const uint32_t blob = (uint32_t)sim_detail(sim, SIM_BLOBS);
    request->r.op = ops[sim_detail(sim, sizeof(ops) / sizeof(ops[0]))];
    request->r.u.blob.hash = hashes[blob];
    request->r.u.blob.size = size_of(blob);
}

void blobs_put(struct jq_request *request, uint32_t number) {
    request->op = JQ_OP_BLOB_PUT;
    request->u.blob.hash = hashes[number];
    request->u.blob.size = size_of(number);
}

/* Who asks for what is there keeps it for the grace time at least. */
void blobs_answered(struct sim *sim, const struct sim_request *request) {
    if (request->r.op == JQ_OP_BLOB_PUT || request->r.op == JQ_OP_BLOB_STAT) {
        sim->blobs[number_of(request->r.u.blob.hash)].idle_ms = sim->now_ms;
    }
}

/* What the shell does before the core hears of a put: the file is written, and synced, unless it is there. */
void blobs_arrive(struct sim *sim, struct jq_request *request) {
    if (request->op != JQ_OP_BLOB_PUT && request->op != JQ_OP_BLOB_STAT) {
        return;
    }
    struct sim_blob *blob = &sim->blobs[number_of(request->u.blob.hash)];
    if (!blob->on_disk && request->op == JQ_OP_BLOB_PUT) {
        blob->on_disk = true;
        blob->lost = false;
        blob->version = ++sim->blob_versions;
        request->u.blob.version = blob->version;
        request->u.blob.arrived = true;
    }
    request->u.blob.on_disk = blob->on_disk;
    request->u.blob.have = blob->on_disk ? size_of(number_of(request->u.blob.hash)) : 0;
}

/* ---- files that go ---- */

struct jq_effect blobs_keep(const struct jq_effect *effect) {
    struct jq_effect kept = *effect;
    kept.u.drop_blob.hash = hashes[number_of(effect->u.drop_blob.hash)];
    return kept;
}

void blobs_drop(struct sim *sim, const struct jq_effect *effect) {
    const uint32_t number = number_of(effect->u.drop_blob.hash);
    struct sim_blob *blob = &sim->blobs[number];
    const uint32_t version = effect->u.drop_blob.version;
    if (!blob->on_disk || blob->version != version) {
        return; /* there is a newer one */
    }
    if (blob->stored) {
        sim_fail(sim, "the file of blob %" PRIu32 " is removed, and the blob is stored", number);
    }
    blob->on_disk = false;
}

/* Somebody will stumble over it. */
void blobs_lose(struct sim *sim) {
    const uint32_t number = (uint32_t)sim_detail(sim, SIM_BLOBS);
    struct sim_blob *blob = &sim->blobs[number];
    if (!blob->on_disk || !sim->broker.up) {
        return;
    }
    sim_say(sim, "the file of blob %" PRIu32 " is gone", number);
    blob->on_disk = false;
    blob->lost = true;
    struct sim_event *event = sim_add(sim, SIM_BLOB_LOST, sim->now_ms + (int64_t)sim_detail(sim, TOLD_MS_MAX));
    event->number = sim->broker.run;
    event->actor = number;
}

static void tell_lost(struct sim *sim, uint32_t number, uint32_t version) {
    struct jq_event event = {.type = JQ_EVENT_BLOB_LOST, .u.blob_lost = {.hash = hashes[number], .version = version}};
    sim->blob_losing = number + 1;
    sim->blobs[number].lost = false;
    broker_event(sim, &event);
    sim->blob_losing = 0;
}

void blobs_lost(struct sim *sim, uint32_t number) {
    if (sim->blobs[number].lost) {
        tell_lost(sim, number, sim->blobs[number].version);
    }
}

/* The store is looked through when the broker starts: what the log does not tell of is removed, what is missing is told. */
void blobs_open(struct sim *sim) {
    for (uint32_t i = 0; i < SIM_BLOBS; i++) {
        struct sim_blob *blob = &sim->blobs[i];
        blob->on_disk &= blob->stored;
        blob->lost = blob->stored && !blob->on_disk;
        blob->version = 0; /* versions are a session's */
        blob->idle_ms = sim->now_ms;
    }
}

void blobs_tell(struct sim *sim) {
    for (uint32_t i = 0; i < SIM_BLOBS; i++) {
        if (sim->broker.up) {
            blobs_lost(sim, i);
        }
    }
}

/* ---- fold ---- */

void blobs_forget(struct sim *sim) {
    for (uint32_t i = 0; i < SIM_BLOBS; i++) {
        sim->blobs[i].stored = false;
        sim->blobs[i].refs = 0;
    }
    for (uint32_t i = 0; i < sim->oracle.task_count; i++) {
        sim->oracle.tasks[i].files = sim->oracle.tasks[i].made = 0;
    }
}

void blobs_refer(struct sim *sim, uint32_t *kept, uint32_t mask) {
    for (uint32_t i = 0; i < SIM_BLOBS; i++) {
        struct sim_blob *blob = &sim->blobs[i];
        const bool was_referred = blob->refs > 0;
        blob->refs += mask >> i & 1;
        blob->refs -= *kept >> i & 1;
        blob->idle_ms = was_referred && blob->refs == 0 ? sim->now_ms : blob->idle_ms;
    }
    *kept = mask;
}

void blobs_gone(struct sim *sim, struct sim_task *task) {
    blobs_refer(sim, &task->files, 0);
    blobs_refer(sim, &task->made, 0);
}

static void stored(struct sim *sim, const struct jq_record *record) {
    struct sim_blob *blob = &sim->blobs[number_of(record->u.blob_stored.hash)];
    blob->idle_ms = blob->stored ? blob->idle_ms : sim->now_ms; /* a prologue only says it again */
    blob->stored = true;
}

/* A later end that names no outputs leaves those of before. A task that is older than the log comes with its outputs later. */
static void ended(struct sim *sim, const struct jq_record *record) {
    struct sim_task *task = oracle_task(sim, record->u.task_ended.task.value);
    if (record->u.task_ended.made.size > 0 && task->place == SIM_FINAL) {
        blobs_refer(sim, &task->made, blobs_mask(record->u.task_ended.made));
    }
}

static void relocated(struct sim *sim, const struct jq_record *record) {
    struct sim_task *task = oracle_task(sim, record->u.task_relocated.task.value);
    blobs_refer(sim, &task->files, blobs_mask(record->u.task_relocated.submit.files));
    blobs_refer(sim, &task->made, blobs_mask(record->u.task_relocated.made));
}

void blobs_record(struct sim *sim, const struct jq_record *record, bool replay) {
    switch (record->type) {
    case JQ_RECORD_TASK_SUBMITTED:
        blobs_refer(sim, &oracle_task(sim, record->u.task_submitted.task.value)->files,
                    blobs_mask(record->u.task_submitted.files));
        break;
    case JQ_RECORD_TASK_RELOCATED:
        if (replay) {
            relocated(sim, record);
        }
        break;
    case JQ_RECORD_TASK_ENDED: ended(sim, record); break;
    case JQ_RECORD_BLOB_STORED: stored(sim, record); break;
    case JQ_RECORD_BLOB_DROPPED: sim->blobs[number_of(record->u.blob_dropped.hash)].stored = false; break;
    default: break;
    }
}

/* ---- what must hold of a record ---- */

/* Neither in use, nor asked for in the grace time, unless somebody wants room at once, or its file is gone. */
static void check_dropped(struct sim *sim, uint32_t number) {
    const struct sim_blob *blob = &sim->blobs[number];
    const struct sim_request *request = sim->broker.request;
    if (sim->blob_losing == number + 1) {
        return;
    }
    if (blob->refs > 0) {
        sim_fail(sim, "blob %" PRIu32 " is collected, and %" PRIu32 " tasks and kept results refer to it", number,
                 blob->refs);
    }
    if (!(request && request->r.op == JQ_OP_BLOB_GC) && sim->now_ms - blob->idle_ms < sim->config.blob_grace_ms) {
        sim_fail(sim, "blob %" PRIu32 " is collected %" PRId64 " ms after somebody had to do with it", number,
                 sim->now_ms - blob->idle_ms);
    }
}

static void check_files(struct sim *sim, jq_task_id task, struct jq_bytes files, const char *what) {
    const uint32_t mask = blobs_mask(files) & (MASKS - 1);
    if (!blobs_stored(sim, mask)) {
        sim_fail(sim, "task %" PRIu64 " names a blob as %s that is not there", task.value, what);
    }
}

void blobs_check(struct sim *sim, const struct jq_record *record) {
    switch (record->type) {
    case JQ_RECORD_TASK_SUBMITTED:
        check_files(sim, record->u.task_submitted.task, record->u.task_submitted.files, "an input");
        break;
    case JQ_RECORD_TASK_ENDED:
        check_files(sim, record->u.task_ended.task, record->u.task_ended.made, "an output");
        sim->counts.made += record->u.task_ended.made.size > 0;
        break;
    case JQ_RECORD_BLOB_DROPPED: check_dropped(sim, number_of(record->u.blob_dropped.hash)); break;
    default: break;
    }
}

/* ---- what must hold ---- */

/* What the core knows of the store is what the records say, and its files are there. */
void blobs_step(struct sim *sim) {
    struct jq_blob_row row;
    uint32_t at = 0, count = 0;
    while (jq_core_blob_next(sim->broker.core, &at, &row)) {
        const uint32_t number = number_of(row.hash);
        const struct sim_blob *blob = &sim->blobs[number];
        if (!blob->stored || row.refs != blob->refs || row.size != size_of(number)) {
            sim_fail(sim, "blob %" PRIu32 " is referred to %" PRIu64 " times, and by the records %" PRIu32, number,
                     (uint64_t)row.refs, blob->refs);
        }
        if (blob->refs == 0 && sim->now_ms - blob->idle_ms >= sim->config.blob_grace_ms && sim->broker.serving) {
            sim_fail(sim, "blob %" PRIu32 " is of no use for %" PRId64 " ms, and is not collected", number,
                     sim->now_ms - blob->idle_ms);
        }
        if (sim->broker.serving && !blob->on_disk && !blob->lost) {
            sim_fail(sim, "blob %" PRIu32 " is stored, and has no file", number);
        }
        count++;
    }
    for (uint32_t i = 0; i < SIM_BLOBS; i++) {
        count -= sim->blobs[i].stored;
    }
    if (count != 0) {
        sim_fail(sim, "the core knows of other blobs than the records");
    }
}
