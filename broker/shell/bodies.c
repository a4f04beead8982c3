#include "broker/shell/bodies.h"

#include <stdlib.h>

#include "broker/record.h"
#include "broker/shell/encode.h"

enum {
    WINDOW_SIZE = 128 * 1024,
    BYTES_MAX = 64 * 1024 * 1024, /* of one reply's records; far above what a frame holds */
};

void jq_bodies_init(struct jq_bodies *bodies) {
    *bodies = (struct jq_bodies){.count = 0};
    jq_buf_init(&bodies->bytes, BYTES_MAX);
}

void jq_bodies_fini(struct jq_bodies *bodies) {
    free(bodies->entries);
    free(bodies->window);
    jq_buf_fini(&bodies->bytes);
    *bodies = (struct jq_bodies){.count = 0};
}

void jq_bodies_clear(struct jq_bodies *bodies) {
    bodies->count = 0;
    bodies->next = 0;
    jq_buf_clear(&bodies->bytes);
}

static struct jq_body_entry *new_entry(struct jq_bodies *bodies, struct jq_body_ref ref) {
    if (bodies->count == bodies->capacity) {
        const size_t capacity = bodies->capacity == 0 ? 256 : bodies->capacity * 2;
        struct jq_body_entry *entries = realloc(bodies->entries, capacity * sizeof(*entries));
        if (entries == NULL)
            return NULL;
        bodies->entries = entries;
        bodies->capacity = capacity;
    }
    struct jq_body_entry *entry = &bodies->entries[bodies->count++];
    *entry = (struct jq_body_entry){.ref = ref};
    return entry;
}

/* The body in a record as it stands in the log. */
static enum jq_err open_record(const uint8_t *bytes, size_t size, struct jq_bytes *ret_body, struct jq_error *reterr) {
    struct jq_record_cursor cursor = {.payload = bytes, .payload_size = (uint32_t)size, .left = 1};
    struct jq_log_record record;
    if (!jq_record_next(&cursor, &record) || cursor.at != size)
        return jq_fail(reterr, JQ_ERR_CORRUPT, "the record's size does not hold");
    return jq_record_body(record.type, record.body, ret_body, reterr);
}

bool jq_bodies_add(struct jq_bodies *bodies, struct jq_body_ref ref, const uint8_t *record) {
    struct jq_body_entry *entry = new_entry(bodies, ref);
    return entry != NULL && open_record(record, ref.size, &entry->body, NULL) == JQ_OK;
}

bool jq_bodies_reserve(struct jq_bodies *bodies, size_t size) {
    return jq_buf_room(&bodies->bytes, size);
}

/* True if the window holds that stretch of the log. What is written in the log never changes, so it never goes stale. */
static bool in_window(const struct jq_bodies *bodies, struct jq_body_ref ref) {
    return bodies->window_size > 0 && ref.lsn >= bodies->window_lsn &&
           ref.lsn + ref.size <= bodies->window_lsn + bodies->window_size;
}

/* Fails near the end of the log or of a segment: then the record alone is read. */
static void move_window(struct jq_bodies *bodies, struct jq_journal *journal, uint64_t lsn) {
    bodies->window_size = 0;
    if (bodies->window == NULL)
        bodies->window = malloc(WINDOW_SIZE);
    if (bodies->window == NULL || jq_journal_read(journal, lsn, WINDOW_SIZE, bodies->window, NULL) != JQ_OK)
        return;
    bodies->window_lsn = lsn;
    bodies->window_size = WINDOW_SIZE;
}

static enum jq_err fetch(struct jq_bodies *bodies, struct jq_journal *journal, struct jq_body_ref ref,
                         uint8_t *ret_record, struct jq_error *reterr) {
    if (!in_window(bodies, ref))
        move_window(bodies, journal, ref.lsn);
    if (!in_window(bodies, ref))
        return jq_journal_read(journal, ref.lsn, ref.size, ret_record, reterr);
    memcpy(ret_record, bodies->window + (ref.lsn - bodies->window_lsn), ref.size);
    return JQ_OK;
}

enum jq_err jq_bodies_read(struct jq_bodies *bodies, struct jq_journal *journal, struct jq_body_ref ref,
                           struct jq_error *reterr) {
    struct jq_body_entry *entry = new_entry(bodies, ref);
    if (entry == NULL || ref.size > bodies->bytes.capacity - bodies->bytes.size)
        return jq_fail(reterr, JQ_ERR_NOMEM, "body of %u bytes", ref.size);
    uint8_t *record = bodies->bytes.data + bodies->bytes.size;
    enum jq_err err = fetch(bodies, journal, ref, record, reterr);
    if (err != JQ_OK)
        return err;
    bodies->bytes.size += ref.size;
    return open_record(record, ref.size, &entry->body, reterr);
}

bool jq_bodies_find(struct jq_bodies *bodies, struct jq_body_ref ref, struct jq_bytes *ret_body) {
    for (size_t tried = 0; tried < bodies->count; tried++) {
        const size_t index = (bodies->next + tried) % bodies->count;
        const struct jq_body_entry *entry = &bodies->entries[index];
        if (entry->ref.lsn != ref.lsn)
            continue;
        bodies->next = (index + 1) % bodies->count;
        *ret_body = entry->body;
        return entry->body.data != NULL;
    }
    *ret_body = (struct jq_bytes){NULL, 0};
    return false;
}

static void visit_one(jq_bodies_visit *visit, void *ctx, jq_task_id task, struct jq_body_ref ref) {
    if (ref.size > 0)
        visit(ctx, task, ref);
}

void jq_bodies_each(const struct jq_reply_effect *reply, jq_bodies_visit *visit, void *ctx) {
    if (!jq_reply_has_bodies(reply))
        return;
    if (reply->op == JQ_OP_LEASE || reply->op == JQ_OP_REPORT) {
        for (size_t i = 0; i < reply->u.lease.count; i++)
            visit_one(visit, ctx, reply->u.lease.items[i].task, reply->u.lease.items[i].body);
        return;
    }
    for (size_t i = 0; i < reply->u.tasks.count; i++) {
        const struct jq_task_row *row = &reply->u.tasks.rows[i];
        visit_one(visit, ctx, row->id, row->body);
        visit_one(visit, ctx, row->id, row->last);
    }
}
