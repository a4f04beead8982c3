/* blob.c - what the core knows of the content store: which blobs are there, how large they are, and how many tasks refer to each.
 *
 * Bytes are the shell's. It tells of a blob when its file is whole and on disk; the core journals that, and only then is the put
 * acknowledged. What no task refers to, and nobody has asked for in the grace time, is dropped: the record first, the file when that
 * is durable. Blobs that nobody refers to stand in a list, the least lately touched first, so that nothing here looks at all of them
 * but a prologue.
 */
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/hash.h"

enum { EXPIRED_PER_STEP_MAX = 100, BLOB_ROWS_MAX = 200, COLLECTED_MAX = 1000 };

static struct jq_str key_of_hash(const uint8_t *hash) {
    return (struct jq_str){(const char *)hash, JQ_BLOB_HASH_SIZE};
}

static uint64_t blob_hash(const struct blob *blob) {
    return jq_hash_combine(jq_hash_combine(jq_hash_bytes(blob->hash, sizeof(blob->hash), 0), blob->size), 9);
}

uint32_t blob_find(const struct jq_core *core, const uint8_t *hash) {
    return jq_strmap_get(&core->blob_hashes, key_of_hash(hash), 0);
}

/* ---- those that nobody refers to ---- */

static void idle_remove(struct jq_core *core, uint32_t ref) {
    struct blob *blob = blob_at(core, ref);
    if (blob->prev) {
        blob_at(core, blob->prev)->next = blob->next;
    } else {
        core->idle_blob_head = blob->next;
    }
    if (blob->next) {
        blob_at(core, blob->next)->prev = blob->prev;
    } else {
        core->idle_blob_tail = blob->prev;
    }
    blob->prev = 0;
    blob->next = 0;
}

static void idle_append(struct jq_core *core, uint32_t ref) {
    struct blob *blob = blob_at(core, ref);
    blob->idle_ms = core->now_ms;
    blob->prev = core->idle_blob_tail;
    blob->next = 0;
    if (blob->prev) {
        blob_at(core, blob->prev)->next = ref;
    } else {
        core->idle_blob_head = ref;
    }
    core->idle_blob_tail = ref;
}

/* Somebody asked for it: it stays for the grace time at least. */
static void blob_touch(struct jq_core *core, uint32_t ref) {
    if (blob_at(core, ref)->refs == 0) {
        idle_remove(core, ref);
        idle_append(core, ref);
    }
}

static uint32_t blob_take(struct jq_core *core, const uint8_t *hash) {
    uint32_t ref = blob_find(core, hash);
    if (ref != 0) {
        return ref;
    }
    ref = jq_slab_take(&core->blobs);
    struct blob *blob = blob_at(core, ref);
    *blob = (struct blob){.used = true};
    memcpy(blob->hash, hash, JQ_BLOB_HASH_SIZE);
    JQ_CHECK(jq_strmap_put(&core->blob_hashes, key_of_hash(hash), ref));
    idle_append(core, ref);
    return ref;
}

/* Neither there nor referred to: nothing is known of it any more. */
static void blob_give_if_void(struct jq_core *core, uint32_t ref) {
    struct blob *blob = blob_at(core, ref);
    if (blob->stored || blob->refs > 0) {
        return;
    }
    idle_remove(core, ref);
    JQ_CHECK(jq_strmap_remove(&core->blob_hashes, key_of_hash(blob->hash)));
    blob->used = false;
    jq_slab_give(&core->blobs, ref);
}

/* ---- the files of tasks ---- */

static void refer_one(struct jq_core *core, const uint8_t *hash, bool add) {
    const uint32_t ref = add ? blob_take(core, hash) : blob_find(core, hash);
    struct blob *blob = blob_at(core, ref);
    if (add && blob->refs++ == 0) {
        idle_remove(core, ref);
    } else if (!add && --blob->refs == 0) {
        idle_append(core, ref);
        blob_give_if_void(core, ref);
    }
}

void files_refer(struct jq_core *core, struct jq_bytes files, bool add) {
    struct jq_reader in = jq_reader_of(files);
    struct jq_file file;
    while (jq_files_next(&in, &file)) {
        if (file.hash && !CANARY(REFS_BLIND)) {
            refer_one(core, file.hash, add);
        }
    }
    JQ_CHECK(!in.failed);
}

static void replace(struct jq_core *core, struct jq_bytes *kept, struct jq_bytes files) {
    files_refer(core, files, true);
    files_refer(core, *kept, false);
    core->extra_bytes += files.size;
    core->extra_bytes -= kept->size;
    free((uint8_t *)(uintptr_t)kept->data);
    uint8_t *copy = files.size > 0 ? malloc(files.size) : NULL;
    JQ_CHECK(files.size == 0 || copy != NULL);
    if (copy) {
        memcpy(copy, files.data, files.size);
    }
    kept->data = copy;
    kept->size = files.size;
}

static struct side_files *files_of(struct jq_core *core, struct task *task) {
    struct side *side = task_side(core, task);
    if (!side->files) {
        side->files = calloc(1, sizeof(*side->files));
        JQ_CHECK(side->files != NULL);
        core->extra_bytes += sizeof(*side->files);
    }
    return side->files;
}

void task_set_files(struct jq_core *core, struct task *task, struct jq_bytes files) {
    if (files.size > 0) {
        replace(core, &files_of(core, task)->given, files);
    }
}

void task_set_made(struct jq_core *core, struct task *task, struct jq_bytes made) {
    if (made.size > 0) {
        replace(core, &files_of(core, task)->made, made);
    }
}

void side_drop_files(struct jq_core *core, struct side *side) {
    if (!side->files) {
        return;
    }
    replace(core, &side->files->given, (struct jq_bytes){NULL, 0});
    replace(core, &side->files->made, (struct jq_bytes){NULL, 0});
    core->extra_bytes -= sizeof(*side->files);
    free(side->files);
    side->files = NULL;
}

void task_set_cache(struct jq_core *core, struct task *task, struct jq_bytes key) {
    if (key.size > 0) {
        memcpy(files_of(core, task)->cache, key.data, sizeof(files_of(core, task)->cache));
        task->flags |= TASK_FLAG_PURE;
    } else if (task->flags & TASK_FLAG_PURE) {
        struct side *side = task_side(core, task);
        memset(side->files->cache, 0, sizeof(side->files->cache));
        task->flags = (uint8_t)(task->flags & ~TASK_FLAG_PURE);
        if (side->files->given.size == 0 && side->files->made.size == 0) {
            side_drop_files(core, side);
        }
    }
}

struct jq_bytes task_files(const struct jq_core *core, const struct task *task) {
    const struct side *side = task_side_if(core, task);
    return side && side->files ? side->files->given : (struct jq_bytes){NULL, 0};
}

struct jq_bytes task_made(const struct jq_core *core, const struct task *task) {
    const struct side *side = task_side_if(core, task);
    return side && side->files ? side->files->made : (struct jq_bytes){NULL, 0};
}

uint64_t side_files_sum(const struct side *side) {
    if (!side->files) {
        return 0;
    }
    const struct jq_bytes given = side->files->given, made = side->files->made;
    const uint8_t *cache = side->files->cache;
    return (cache[0] ? jq_hash_bytes(cache, JQ_CACHE_KEY_SIZE, 3) : 0) +
           (given.size ? jq_hash_bytes(given.data, given.size, 1) : 0) +
           (made.size ? jq_hash_bytes(made.data, made.size, 2) : 0);
}

bool files_are_stored(const struct jq_core *core, struct jq_bytes files, struct jq_file *ret_missing) {
    struct jq_reader in = jq_reader_of(files);
    while (jq_files_next(&in, ret_missing)) {
        const uint32_t ref = ret_missing->hash ? blob_find(core, ret_missing->hash) : 0;
        if (ret_missing->hash && (ref == 0 || !blob_at(core, ref)->stored)) {
            return false;
        }
    }
    return true;
}

/* ---- facts ---- */

static void blob_store(struct jq_core *core, const uint8_t *hash, uint64_t size) {
    const uint32_t ref = blob_take(core, hash);
    struct blob *blob = blob_at(core, ref);
    if (blob->stored) {
        core->digest -= blob_hash(blob);
        core->blob_bytes -= blob->size;
        core->blob_count--;
    }
    blob->stored = true;
    blob->size = size;
    core->digest += blob_hash(blob);
    core->blob_bytes += size;
    core->blob_count++;
}

static enum jq_err blob_unstore(struct jq_core *core, const uint8_t *hash, struct jq_error *reterr) {
    const uint32_t ref = blob_find(core, hash);
    struct blob *blob = ref ? blob_at(core, ref) : NULL;
    if (!blob || !blob->stored) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "a blob is dropped that is not there");
    }
    core->digest -= blob_hash(blob);
    core->blob_bytes -= blob->size;
    core->blob_count--;
    blob->stored = false;
    blob_give_if_void(core, ref);
    return JQ_OK;
}

enum jq_err apply_blob_record(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    if (record->type == JQ_RECORD_BLOB_DROPPED) {
        return blob_unstore(core, record->u.blob_dropped.hash, reterr);
    }
    blob_store(core, record->u.blob_stored.hash, record->u.blob_stored.size);
    return JQ_OK;
}

void blobs_say(struct jq_core *core) {
    for (uint32_t ref = 1; ref < core->blobs.fresh; ref++) {
        if (blob_at(core, ref)->used && blob_at(core, ref)->stored) {
            struct jq_record stored = {
                .type = JQ_RECORD_BLOB_STORED,
                .u.blob_stored = {.hash = blob_at(core, ref)->hash, .size = blob_at(core, ref)->size}};
            emit(core, &stored);
        }
    }
}

uint64_t blobs_digest(const struct jq_core *core) {
    uint64_t sum = 0;
    for (uint32_t ref = 1; ref < core->blobs.fresh; ref++) {
        const struct blob *blob = blob_at(core, ref);
        sum += blob->used && blob->stored ? blob_hash(blob) : 0;
    }
    return sum;
}

/* ---- what is dropped ---- */

static void file_drop(struct jq_core *core, const uint8_t *hash, uint32_t version) {
    const struct jq_effect effect = {
        .type = JQ_EFFECT_DROP_BLOB, .level = JQ_EFFECT_DURABLE, .u.drop_blob = {.hash = hash, .version = version}};
    core->output->effect(core->output->ctx, &effect);
}

/* The file goes when the record is durable, unless another put has brought a newer one meanwhile. */
static void blob_drop(struct jq_core *core, uint32_t ref) {
    uint8_t hash[JQ_BLOB_HASH_SIZE];
    memcpy(hash, blob_at(core, ref)->hash, sizeof(hash));
    const uint32_t version = blob_at(core, ref)->version;
    struct jq_record record = {.type = JQ_RECORD_BLOB_DROPPED, .u.blob_dropped = {.hash = hash}};
    emit(core, &record);
    file_drop(core, hash, version);
}

void blobs_expire(struct jq_core *core) {
    for (int i = 0; i < EXPIRED_PER_STEP_MAX && core->idle_blob_head != 0; i++) {
        if (blob_at(core, core->idle_blob_head)->idle_ms + core->config.blob_grace_ms > core->now_ms) {
            return;
        }
        blob_drop(core, core->idle_blob_head);
    }
}

int64_t blobs_deadline_ms(const struct jq_core *core) {
    return core->idle_blob_head ? blob_at(core, core->idle_blob_head)->idle_ms + core->config.blob_grace_ms : INT64_MAX;
}

/* Times are the session's: after a start each has its grace time anew. */
void blobs_start(struct jq_core *core) {
    for (uint32_t ref = core->idle_blob_head; ref != 0; ref = blob_at(core, ref)->next) {
        blob_at(core, ref)->idle_ms = core->now_ms;
    }
}

void blob_lost(struct jq_core *core, const uint8_t *hash, uint32_t version) {
    const uint32_t ref = blob_find(core, hash);
    if (ref != 0 && blob_at(core, ref)->stored && blob_at(core, ref)->version == version) {
        blob_drop(core, ref);
    }
}

/* ---- requests ---- */

static void blob_row(const struct jq_core *core, uint32_t ref, struct jq_blob_row *ret_row) {
    const struct blob *blob = blob_at(core, ref);
    *ret_row = (struct jq_blob_row){.number = ref,
                                    .hash = blob->hash,
                                    .size = blob->size,
                                    .stored = blob->stored,
                                    .refs = blob->refs,
                                    .idle_ms = blob->refs == 0 ? core->now_ms - blob->idle_ms : -1};
}

static void rows_reply(struct jq_core *core, const struct jq_request *request, const struct jq_blob_row *rows,
                       size_t count, uint64_t next) {
    const struct jq_reply_effect reply = {
        .call = request->call,
        .request = request->id,
        .op = request->op,
        .u.blobs = {
            .rows = rows, .count = count, .next = next, .total = core->blob_count, .total_bytes = core->blob_bytes}};
    reply_send(core, &reply, JQ_EFFECT_DURABLE);
}

static void put_reply(struct jq_core *core, const struct jq_request *request, uint64_t have, bool whole) {
    const struct jq_reply_effect reply = {
        .call = request->call, .request = request->id, .op = request->op, .u.blob = {.have = have, .whole = whole}};
    reply_send(core, &reply, JQ_EFFECT_DURABLE);
}

static void refuse_full(struct jq_core *core, const struct jq_request *request) {
    reply_refuse(core, request, JQ_REPLY_BUSY, "blobs_max", "the store holds as many blobs as it may");
}

/* All of it has come, and its file is on disk. */
static void blob_arrived(struct jq_core *core, const struct jq_request *request) {
    struct jq_record record = {.type = JQ_RECORD_BLOB_STORED,
                               .u.blob_stored = {.hash = request->u.blob.hash, .size = request->u.blob.size}};
    const uint32_t known = blob_find(core, request->u.blob.hash);
    const bool fresh = known == 0 || !blob_at(core, known)->stored;
    if (fresh && core->blob_count >= core->config.blobs_max) { /* its pieces came unasked */
        file_drop(core, request->u.blob.hash, request->u.blob.version);
        refuse_full(core, request);
        return;
    }
    if (fresh) {
        emit(core, &record);
    }
    const uint32_t ref = blob_find(core, request->u.blob.hash);
    blob_at(core, ref)->version = request->u.blob.version;
    blob_touch(core, ref);
    put_reply(core, request, request->u.blob.size, true);
}

/* What its SHA-256 will be nobody knows: whatever has that name is another's. */
static void draft_request(struct jq_core *core, const struct jq_request *request) {
    const struct jq_reply_effect reply = {
        .call = request->call,
        .request = request->id,
        .op = request->op,
        .u.blob = {.have = request->u.blob.have, .draft = request->u.blob.draft_taken}};
    if (core->blob_count >= core->config.blobs_max) {
        refuse_full(core, request);
    } else {
        reply_send(core, &reply, JQ_EFFECT_DURABLE);
    }
}

void blob_put_request(struct jq_core *core, const struct jq_request *request) {
    if (request->u.blob.draft) {
        draft_request(core, request);
        return;
    }
    const uint32_t ref = blob_find(core, request->u.blob.hash);
    const bool stored = ref != 0 && blob_at(core, ref)->stored;
    if (request->u.blob.arrived) {
        blob_arrived(core, request);
    } else if (stored && request->u.blob.on_disk) {
        blob_touch(core, ref);
        put_reply(core, request, blob_at(core, ref)->size, true);
    } else if (!stored && core->blob_count >= core->config.blobs_max) {
        refuse_full(core, request);
    } else {
        put_reply(core, request, request->u.blob.have, false);
    }
}

void blob_stat_request(struct jq_core *core, const struct jq_request *request) {
    const uint32_t ref = blob_find(core, request->u.blob.hash);
    struct jq_blob_row row = {.hash = request->u.blob.hash, .idle_ms = -1};
    if (ref != 0) {
        blob_touch(core, ref);
        blob_row(core, ref, &row);
    }
    row.have = row.stored ? row.size : request->u.blob.have;
    rows_reply(core, request, &row, 1, 0);
}

void blob_ls_request(struct jq_core *core, const struct jq_request *request) {
    struct jq_blob_row rows[BLOB_ROWS_MAX];
    const uint64_t limit = request->u.blob.limit < BLOB_ROWS_MAX ? request->u.blob.limit : BLOB_ROWS_MAX;
    size_t count = 0;
    uint64_t ref = request->u.blob.after + 1;
    for (; ref < core->blobs.fresh && count < limit; ref++) {
        if (blob_at(core, (uint32_t)ref)->used) {
            blob_row(core, (uint32_t)ref, &rows[count++]);
        }
    }
    rows_reply(core, request, rows, count, ref < core->blobs.fresh ? ref - 1 : 0);
}

/* Without waiting for their grace time, the least lately touched first; more by asking again. */
void blob_gc_request(struct jq_core *core, const struct jq_request *request) {
    if (answered_before(core, request)) {
        return;
    }
    uint32_t count = 0;
    for (; core->idle_blob_head != 0 && count < COLLECTED_MAX; count++) {
        blob_drop(core, core->idle_blob_head);
    }
    many_done(core, request, count);
}

/* ---- for the shell, before a start ---- */

bool jq_core_blob_next(const struct jq_core *core, uint32_t *at, struct jq_blob_row *ret_row) {
    for (uint32_t ref = *at + 1; ref < core->blobs.fresh; ref++) {
        *at = ref;
        if (blob_at(core, ref)->used && blob_at(core, ref)->stored) {
            blob_row(core, ref, ret_row);
            return true;
        }
    }
    return false;
}

bool jq_core_blob_known(const struct jq_core *core, const uint8_t *hash) {
    const uint32_t ref = blob_find(core, hash);
    return ref != 0 && blob_at(core, ref)->stored;
}
