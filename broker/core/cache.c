/* cache.c - results of pure handlers, kept to answer the same question again without a run.
 *
 * A task gets a cache key when it is submitted, if every registered worker that has its handler declares it pure, and under the same
 * version; and if it waits for no other task, whose result it might read. The key is the SHA-256 of handler, need, payload and files
 * (inputs by name and content, names of outputs). Headers, limits and queue are no part of it. A success of such a task is kept
 * under its key and the version that ran, by its worker's word. A later task of that key is answered from it where that version is
 * the one on which all workers agree now: when it is submitted, or is freed by its flow's commit, and again when it would be handed
 * to a worker. In all other cases it runs; that is always right.
 *
 * Entries hold the result in memory, and hold fast the blobs that it names. They leave in the order of their last use, a few at a
 * time, when the bounds of the configuration would be crossed. An entry whose blob is lost is dropped when it is found.
 */
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/hash.h"
#include "common/sha256.h"

enum {
    KEY_FORMAT = 1,                           /* of what is hashed */
    EVICTED_MAX = 100,                        /* entries that make room for one */
    PURGED_MAX = 1000,                        /* entries that one request drops */
    ANSWERED_MAX = 256,                       /* tasks that one step answers instead of handing them out */
    FILES_MAX = 128,                          /* of one task */
    ENTRY_BYTES = 64 + sizeof(struct cached), /* beside its texts: with what its name takes in the table */
};

/* ---- the key of a task ---- */

/* The payload stands first in a body, as msgpack (event.h). An unknown form hashes whole: it is not found again, which is safe. */
static size_t payload_size(struct jq_bytes body) {
    const uint8_t *at = body.data;
    size_t size = body.size;
    if (body.size >= 1 && at[0] == 0xc0) {
        size = 1;
    } else if (body.size >= 2 && at[0] == 0xc4) {
        size = 2u + at[1];
    } else if (body.size >= 3 && at[0] == 0xc5) {
        size = 3u + ((size_t)at[1] << 8 | at[2]);
    } else if (body.size >= 5 && at[0] == 0xc6) {
        size = 5u + ((size_t)at[1] << 24 | (size_t)at[2] << 16 | (size_t)at[3] << 8 | at[4]);
    }
    return size < body.size ? size : body.size;
}

static void sum_text(struct jq_sha256 *sum, const void *data, size_t size) {
    const uint8_t length[4] = {(uint8_t)size, (uint8_t)(size >> 8), (uint8_t)(size >> 16), (uint8_t)(size >> 24)};
    jq_sha256_add(sum, length, sizeof(length));
    jq_sha256_add(sum, data, size);
}

static bool file_before(const struct jq_file *a, const struct jq_file *b) {
    if (a->kind != b->kind) {
        return a->kind < b->kind;
    }
    const size_t shared = a->name.size < b->name.size ? a->name.size : b->name.size;
    const int order = memcmp(a->name.data, b->name.data, shared);
    return order != 0 ? order < 0 : a->name.size < b->name.size;
}

/* By kind and name: the order in which somebody names files changes nothing. False: more than a task can have. */
static bool files_sorted(struct jq_bytes files, struct jq_file sorted[FILES_MAX], size_t *ret_count) {
    struct jq_reader in = jq_reader_of(files);
    struct jq_file file;
    size_t count = 0;
    while (jq_files_next(&in, &file)) {
        if (count == FILES_MAX) {
            return false;
        }
        size_t at = count++;
        for (; at > 0 && file_before(&file, &sorted[at - 1]); at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = file;
    }
    *ret_count = count;
    return !in.failed;
}

struct jq_bytes cache_key(struct jq_core *core, const struct jq_submit_item *item) {
    struct jq_file files[FILES_MAX];
    size_t count = 0;
    if (item->after_count > 0 || core->config.cache_entries_max == 0 || !files_sorted(item->files, files, &count)) {
        return (struct jq_bytes){NULL, 0};
    }
    struct jq_sha256 sum;
    const uint8_t format = KEY_FORMAT;
    jq_sha256_init(&sum);
    jq_sha256_add(&sum, &format, 1);
    sum_text(&sum, item->handler.data, item->handler.size);
    sum_text(&sum, item->need.data, item->need.size); /* what it asks of its worker may show in the result */
    sum_text(&sum, item->body.data, payload_size(item->body));
    for (size_t i = 0; i < count && !CANARY(CACHE_FILES); i++) {
        const uint8_t kind = (uint8_t)files[i].kind;
        jq_sha256_add(&sum, &kind, 1);
        sum_text(&sum, files[i].name.data, files[i].name.size);
        if (files[i].hash) {
            jq_sha256_add(&sum, files[i].hash, JQ_BLOB_HASH_SIZE);
        }
    }
    core->cache_key[0] = item->no_cache ? JQ_CACHE_RUN : JQ_CACHE_LOOK;
    jq_sha256_end(&sum, core->cache_key + 1);
    return (struct jq_bytes){core->cache_key, JQ_CACHE_KEY_SIZE};
}

/* ---- the table ---- */

static struct cached *cached_at(const struct jq_core *core, uint32_t ref) {
    return jq_slab_at(&core->cached, ref);
}

static uint64_t cached_bytes(size_t name, size_t body, size_t made) {
    return (uint64_t)2 * name + body + made + ENTRY_BYTES;
}

static uint64_t bytes_of(const struct cached *entry) {
    return cached_bytes(entry->name.size, entry->body.size, entry->made.size);
}

static uint64_t cached_hash(const struct cached *entry) {
    uint64_t hash = jq_hash_combine(jq_hash_bytes(entry->name.data, entry->name.size, 0), entry->task.value);
    hash = jq_hash_combine(hash, (uint64_t)entry->at_ms);
    hash = jq_hash_combine(hash, entry->output_bytes);
    hash = jq_hash_combine(hash, entry->body.size ? jq_hash_bytes(entry->body.data, entry->body.size, 1) : 0);
    return jq_hash_combine(hash, entry->made.size ? jq_hash_bytes(entry->made.data, entry->made.size, 2) : 0);
}

uint64_t cache_digest(const struct jq_core *core) {
    uint64_t sum = 0;
    for (uint32_t ref = core->cached_oldest; ref != 0; ref = cached_at(core, ref)->next) {
        sum += cached_hash(cached_at(core, ref));
    }
    return sum;
}

static void list_remove(struct jq_core *core, uint32_t ref) {
    const struct cached *entry = cached_at(core, ref);
    *(entry->prev ? &cached_at(core, entry->prev)->next : &core->cached_oldest) = entry->next;
    *(entry->next ? &cached_at(core, entry->next)->prev : &core->cached_newest) = entry->prev;
}

static void list_append(struct jq_core *core, uint32_t ref) {
    struct cached *entry = cached_at(core, ref);
    entry->prev = core->cached_newest;
    entry->next = 0;
    *(entry->prev ? &cached_at(core, entry->prev)->next : &core->cached_oldest) = ref;
    core->cached_newest = ref;
}

static struct jq_bytes bytes_copy(struct jq_bytes bytes) {
    const struct jq_str copy =
        bytes.size ? text_copy((struct jq_str){(const char *)bytes.data, bytes.size}) : (struct jq_str){NULL, 0};
    return (struct jq_bytes){(const uint8_t *)copy.data, bytes.size};
}

static void cached_fill(struct jq_core *core, uint32_t ref, const struct jq_record *record) {
    struct cached *entry = cached_at(core, ref);
    *entry = (struct cached){.name = text_copy(record->u.cache_stored.name),
                             .task = record->u.cache_stored.task,
                             .at_ms = record->u.cache_stored.at_ms,
                             .output_bytes = record->u.cache_stored.output_bytes,
                             .body = bytes_copy(record->u.cache_stored.body),
                             .made = bytes_copy(record->u.cache_stored.made),
                             .lsn = record->lsn,
                             .size = record->size};
    list_append(core, ref);
    files_refer(core, entry->made, true);
    segment_pin(core, entry->lsn, entry->size);
    core->cached_bytes += bytes_of(entry);
    core->cached_output_bytes += entry->output_bytes;
    core->extra_bytes += bytes_of(entry);
    core->digest += cached_hash(entry);
}

static void cached_empty(struct jq_core *core, uint32_t ref) {
    struct cached *entry = cached_at(core, ref);
    list_remove(core, ref);
    core->digest -= cached_hash(entry);
    core->extra_bytes -= bytes_of(entry);
    core->cached_bytes -= bytes_of(entry);
    core->cached_output_bytes -= entry->output_bytes;
    segment_unpin(core, entry->lsn, entry->size);
    files_refer(core, entry->made, false);
    free((char *)(uintptr_t)entry->name.data);
    free((uint8_t *)(uintptr_t)entry->body.data);
    free((uint8_t *)(uintptr_t)entry->made.data);
}

void cache_free(struct jq_core *core) {
    for (uint32_t ref = core->cached_oldest; ref != 0; ref = cached_at(core, ref)->next) {
        free((char *)(uintptr_t)cached_at(core, ref)->name.data);
        free((uint8_t *)(uintptr_t)cached_at(core, ref)->body.data);
        free((uint8_t *)(uintptr_t)cached_at(core, ref)->made.data);
    }
}

/* ---- facts ---- */

/* One that is there already is replaced: by a later run, or by itself where it was moved in the log. */
static void apply_stored(struct jq_core *core, const struct jq_record *record) {
    uint32_t ref = jq_strmap_get(&core->cached_names, record->u.cache_stored.name, 0);
    if (ref != 0) {
        cached_empty(core, ref);
    } else {
        ref = jq_slab_take(&core->cached);
        JQ_CHECK(jq_strmap_put(&core->cached_names, record->u.cache_stored.name, ref));
    }
    cached_fill(core, ref, record);
}

enum jq_err apply_cache_record(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    if (record->type == JQ_RECORD_CACHE_STORED) {
        apply_stored(core, record);
        return JQ_OK;
    }
    const uint32_t ref = jq_strmap_get(&core->cached_names, record->u.cache_dropped.name, 0);
    if (ref == 0) {
        return core->partial ? JQ_OK : jq_fail(reterr, JQ_ERR_CORRUPT, "a cached result is dropped that is not there");
    }
    JQ_CHECK(jq_strmap_remove(&core->cached_names, record->u.cache_dropped.name));
    cached_empty(core, ref);
    jq_slab_give(&core->cached, ref);
    return JQ_OK;
}

/* Applying the record frees the entry's own name. */
static struct jq_str name_keep(char out[JQ_CACHE_NAME_SIZE_MAX], struct jq_str name) {
    JQ_CHECK(name.size <= JQ_CACHE_NAME_SIZE_MAX);
    memcpy(out, name.data, name.size);
    return (struct jq_str){out, name.size};
}

static void cached_drop(struct jq_core *core, uint32_t ref) {
    char name[JQ_CACHE_NAME_SIZE_MAX];
    struct jq_record record = {.type = JQ_RECORD_CACHE_DROPPED,
                               .u.cache_dropped = {.name = name_keep(name, cached_at(core, ref)->name)}};
    emit(core, &record);
}

/* What stands in the log's oldest part is written again at its head: `old` lends the bytes. */
void cache_moved(struct jq_core *core, const struct jq_record *old) {
    const uint32_t ref = jq_strmap_get(&core->cached_names, old->u.cache_stored.name, 0);
    if (ref != 0 && cached_at(core, ref)->lsn == old->lsn) {
        struct jq_record record = {.type = JQ_RECORD_CACHE_STORED, .u.cache_stored = old->u.cache_stored};
        emit(core, &record);
        core->totals.moved_total++;
    }
}

/* ---- answering ---- */

/* Key and version: what an entry is found by. */
static struct jq_str name_of(char out[JQ_CACHE_NAME_SIZE_MAX], const uint8_t *key, struct jq_str version) {
    if (version.size == 0 || version.size > JQ_CACHE_NAME_SIZE_MAX - JQ_BLOB_HASH_SIZE) {
        return (struct jq_str){out, 0};
    }
    memcpy(out, key + 1, JQ_BLOB_HASH_SIZE);
    memcpy(out + JQ_BLOB_HASH_SIZE, version.data, version.size);
    return (struct jq_str){out, JQ_BLOB_HASH_SIZE + version.size};
}

/* 0: none, or one that cannot be used any more: it is gone then. */
static uint32_t cached_find(struct jq_core *core, struct jq_str name) {
    struct jq_file missing;
    const uint32_t ref = name.size > 0 ? jq_strmap_get(&core->cached_names, name, 0) : 0;
    if (ref != 0 && !files_are_stored(core, cached_at(core, ref)->made, &missing)) {
        cached_drop(core, ref);
        return 0;
    }
    return ref;
}

bool cache_answers(struct jq_core *core, uint32_t task_ref, bool first) {
    struct task *task = task_at(core, task_ref);
    const uint8_t *key = task_cache_key(core, task);
    if (!key || key[0] != JQ_CACHE_LOOK || task->state != JQ_STATE_READY || core->cache_answered >= ANSWERED_MAX) {
        return false;
    }
    char name[JQ_CACHE_NAME_SIZE_MAX];
    const uint32_t ref = cached_find(core, name_of(name, key, class_pure_version(core, task->class_index)));
    core->totals.cache_misses_total += ref == 0 && first;
    if (ref == 0) {
        return false;
    }
    list_remove(core, ref);
    list_append(core, ref);
    core->cache_answered++;
    core->totals.cache_hits_total++;
    const struct jq_report report = {.body = cached_at(core, ref)->body, .made = cached_at(core, ref)->made};
    task_end_reported(core, task, JQ_STATE_SUCCEEDED, JQ_OUTCOME_CACHED, &report);
    return true;
}

/* ---- keeping ---- */

static uint64_t outputs_size(const struct jq_core *core, struct jq_bytes made) {
    struct jq_reader in = jq_reader_of(made);
    struct jq_file file;
    uint64_t size = 0;
    while (jq_files_next(&in, &file)) {
        const uint32_t ref = file.hash ? blob_find(core, file.hash) : 0;
        size += ref ? blob_at(core, ref)->size : 0;
    }
    return size;
}

static bool has_room(const struct jq_core *core, uint64_t bytes, uint64_t output_bytes) {
    return core->cached.used_count < core->config.cache_entries_max &&
           core->cached_bytes + bytes <= core->config.cache_bytes_max &&
           core->cached_output_bytes + output_bytes <= core->config.cache_output_bytes_max;
}

/* False: it is too large for the bounds, or more would have to go than one may drive out. */
static bool make_room(struct jq_core *core, uint64_t bytes, uint64_t output_bytes) {
    if (core->config.cache_entries_max == 0 || bytes > core->config.cache_bytes_max ||
        output_bytes > core->config.cache_output_bytes_max) {
        return false;
    }
    for (int i = 0; i < EVICTED_MAX && core->cached_oldest != 0 && !has_room(core, bytes, output_bytes); i++) {
        cached_drop(core, core->cached_oldest);
        core->totals.cache_evicted_total++;
    }
    return has_room(core, bytes, output_bytes);
}

static bool worker_is_pure(const struct jq_core *core, const struct task *task) {
    const struct worker *worker = worker_at(core, lease_at(core, task->lease)->worker);
    const struct jq_handler_def *handler =
        worker->profile ? profile_handler(worker->profile, core->classes[task->class_index].handler) : NULL;
    return handler && handler->pure;
}

void cache_keep(struct jq_core *core, const struct task *task, const struct jq_report *report) {
    const uint8_t *key = task_cache_key(core, task);
    char text[JQ_CACHE_NAME_SIZE_MAX];
    const struct jq_str name = key ? name_of(text, key, report->version) : (struct jq_str){NULL, 0};
    struct jq_file missing;
    if (name.size == 0 || core->disk_busy || !worker_is_pure(core, task) ||
        !files_are_stored(core, report->made, &missing)) {
        return;
    }
    const uint32_t known = cached_find(core, name);
    if (known != 0 && key[0] == JQ_CACHE_LOOK) {
        return; /* somebody ran the same meanwhile */
    }
    if (known != 0) {
        cached_drop(core, known);
    }
    const uint64_t bytes = cached_bytes(name.size, report->body.size, report->made.size);
    const uint64_t output_bytes = outputs_size(core, report->made);
    if (make_room(core, bytes, output_bytes)) {
        struct jq_record record = {.type = JQ_RECORD_CACHE_STORED,
                                   .u.cache_stored = {.name = name,
                                                      .task = {task->id},
                                                      .at_ms = core->now_ms,
                                                      .output_bytes = output_bytes,
                                                      .made = report->made,
                                                      .body = report->body}};
        emit(core, &record);
        core->totals.cache_stored_total++;
    }
}

/* ---- requests ---- */

struct jq_cache_row cache_row(const struct jq_core *core) {
    return (struct jq_cache_row){.entries = core->cached.used_count,
                                 .entries_max = core->config.cache_entries_max,
                                 .bytes = core->cached_bytes,
                                 .bytes_max = core->config.cache_bytes_max,
                                 .output_bytes = core->cached_output_bytes,
                                 .output_bytes_max = core->config.cache_output_bytes_max,
                                 .hits_total = core->totals.cache_hits_total,
                                 .misses_total = core->totals.cache_misses_total,
                                 .stored_total = core->totals.cache_stored_total,
                                 .evicted_total = core->totals.cache_evicted_total};
}

void cache_stat_request(struct jq_core *core, const struct jq_request *request) {
    const struct jq_reply_effect reply = {
        .call = request->call, .request = request->id, .op = request->op, .u.cache = cache_row(core)};
    reply_send(core, &reply, JQ_EFFECT_DURABLE);
}

/* All of them, the least lately used first; more by asking again. */
void cache_purge_request(struct jq_core *core, const struct jq_request *request) {
    if (answered_before(core, request)) {
        return;
    }
    uint32_t count = 0;
    for (; core->cached_oldest != 0 && count < PURGED_MAX; count++) {
        cached_drop(core, core->cached_oldest);
    }
    many_done(core, request, count);
}
