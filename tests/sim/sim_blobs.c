/* sim_blobs.c - the content store beside the log: files that the simulated shell keeps, the tasks that refer to them, and what may be
 * collected. A blob is its number; its bytes are nobody's matter here. Files outlive crashes, for the shell syncs them before it
 * tells the core; what the core never wrote down is removed at the next start.
 */
#include <inttypes.h>

#include "broker/core/files.h"
#include "common/buf.h"
#include "tests/sim/sim.h"

enum { MASKS = 1 << SIM_BLOBS, FILES_SIZE_MAX = 256, TOLD_MS_MAX = 5000 };

static uint8_t hashes[SIM_BLOBS][JQ_BLOB_HASH_SIZE];
static uint8_t lists[MASKS][FILES_SIZE_MAX];
static size_t list_sizes[MASKS];

static uint64_t size_of(uint32_t blob) {
    return 100 * (blob + 1);
}

void blobs_init(void) {
    static const char *const names[SIM_BLOBS] = {"f0", "f1", "f2", "f3", "f4"};
    for (uint32_t i = 0; i < SIM_BLOBS; i++) {
        memset(hashes[i], (int)i + 1, JQ_BLOB_HASH_SIZE);
    }
    for (uint32_t mask = 0; mask < MASKS; mask++) {
        struct jq_buf buf;
        jq_buf_init(&buf, FILES_SIZE_MAX);
        for (uint32_t i = 0; i < SIM_BLOBS; i++) {
            const struct jq_file file = {JQ_FILE_INPUT, jq_str_of(names[i]), hashes[i]};
            if (mask >> i & 1) {
                jq_files_append(&buf, &file);
            }
        }
        JQ_CHECK(!buf.failed);
        if (buf.size > 0) {
            memcpy(lists[mask], buf.data, buf.size);
        }
        list_sizes[mask] = buf.size;
        jq_buf_fini(&buf);
    }
}

static uint32_t number_of(const uint8_t *hash) {
    JQ_CHECK(hash[0] >= 1 && hash[0] <= SIM_BLOBS && memcmp(hash, hashes[hash[0] - 1], JQ_BLOB_HASH_SIZE) == 0);
    return hash[0] - 1;
}

/* ---- what is asked for ---- */

/* Mostly such as are there: who names another is refused. */
struct jq_bytes blobs_files(struct sim *sim) {
    uint32_t mask = (uint32_t)sim_detail(sim, MASKS);
    if (sim_detail(sim, 10) > 0) {
        for (uint32_t i = 0; i < SIM_BLOBS; i++) {
            mask &= sim->blobs[i].stored ? UINT32_MAX : ~(1u << i);
        }
    }
    return (struct jq_bytes){lists[mask], list_sizes[mask]};
}

void blobs_ask(struct sim *sim, struct sim_request *request) {
    static const enum jq_op ops[] = {JQ_OP_BLOB_PUT, JQ_OP_BLOB_PUT,  JQ_OP_BLOB_PUT,
                                     JQ_OP_BLOB_PUT, JQ_OP_BLOB_STAT, JQ_OP_BLOB_GC};
    const uint32_t blob = (uint32_t)sim_detail(sim, SIM_BLOBS);
    request->r.op = ops[sim_detail(sim, sizeof(ops) / sizeof(ops[0]))];
    request->r.u.blob.hash = hashes[blob];
    request->r.u.blob.size = size_of(blob);
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
        sim->oracle.tasks[i].files = 0;
    }
}

static void refer(struct sim *sim, struct sim_task *task, uint32_t mask) {
    for (uint32_t i = 0; i < SIM_BLOBS; i++) {
        sim->blobs[i].refs += mask >> i & 1;
        sim->blobs[i].refs -= task->files >> i & 1;
    }
    task->files = mask;
}

static void take_files(struct sim *sim, jq_task_id id, struct jq_bytes files, bool fresh) {
    struct sim_task *task = oracle_task(sim, id.value);
    struct jq_reader in = jq_reader_of(files);
    struct jq_file file;
    uint32_t mask = 0;
    while (jq_files_next(&in, &file)) {
        const uint32_t number = number_of(file.hash);
        if (fresh && !sim->blobs[number].stored) {
            sim_fail(sim, "task %" PRIu64 " is taken in, and blob %" PRIu32 " is not there", task->id, number);
        }
        mask |= 1u << number;
    }
    refer(sim, task, mask);
}

void blobs_gone(struct sim *sim, struct sim_task *task) {
    refer(sim, task, 0);
}

static void dropped(struct sim *sim, uint32_t number, bool replay) {
    if (!replay && sim->blobs[number].refs > 0 && sim->blob_losing != number + 1) {
        sim_fail(sim, "blob %" PRIu32 " is collected, and %" PRIu32 " tasks refer to it", number,
                 sim->blobs[number].refs);
    }
    sim->blobs[number].stored = false;
}

void blobs_record(struct sim *sim, const struct jq_record *record, bool replay) {
    switch (record->type) {
    case JQ_RECORD_TASK_SUBMITTED:
        take_files(sim, record->u.task_submitted.task, record->u.task_submitted.files, !replay);
        break;
    case JQ_RECORD_TASK_RELOCATED:
        if (replay) { /* what it says of a task that is known is checked by the next start */
            take_files(sim, record->u.task_relocated.task, record->u.task_relocated.submit.files, false);
        }
        break;
    case JQ_RECORD_BLOB_STORED: sim->blobs[number_of(record->u.blob_stored.hash)].stored = true; break;
    case JQ_RECORD_BLOB_DROPPED: dropped(sim, number_of(record->u.blob_dropped.hash), replay); break;
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
            sim_fail(sim, "blob %" PRIu32 " has %" PRIu64 " tasks that refer to it, and by the records %" PRIu32,
                     number, (uint64_t)row.refs, blob->refs);
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
