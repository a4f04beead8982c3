/* withheld.c - submits to full queues whose policy is block: the answer is held back until there is room, or the client's time is over.
 *
 * A submit is withheld as a whole, before anything of it is decided, when every task of it would meet a queue that withholds: nothing is
 * in the log, so a lost connection or a restart loses nothing, and a resend takes the place of the first. They are decided in the
 * order in which they came, once their queue has come down to its low mark.
 */
#include <stdlib.h>

#include "broker/core/state.h"

enum { ITEMS_PER_STEP_MAX = 2000, RESEND_KEY_SIZE = 24 };

static struct withheld *withheld_at(const struct jq_core *core, uint32_t ref) {
    return jq_slab_at(&core->withheld, ref);
}

/* Who asked, and under which id: a resend has the same. */
static struct jq_str resend_key(const struct jq_uuid *sender, uint64_t id, char out[RESEND_KEY_SIZE]) {
    memcpy(out, sender->bytes, sizeof(sender->bytes));
    memcpy(out + sizeof(sender->bytes), &id, sizeof(id));
    return (struct jq_str){out, RESEND_KEY_SIZE};
}

/* ---- a copy of the request: items, and behind them the texts that they lend ---- */

/* Adds to *size; where there is a place, copies there, too. */
static void keep(const void **data, size_t size, uint8_t **place, size_t *total) {
    *total += size;
    if (*place) {
        if (size > 0) {
            memcpy(*place, *data, size);
        }
        *data = *place;
        *place += size;
    }
}

static void keep_text(struct jq_str *text, uint8_t **place, size_t *total) {
    const void *data = text->data;
    keep(&data, text->size, place, total);
    text->data = data;
}

static void after_keep(struct jq_submit_item *item, uint8_t **place, size_t *total) {
    const void *after = item->after;
    keep(&after, item->after_count * sizeof(*item->after), place, total);
    item->after = after;
}

/* The texts that an item lends for the call. A new field of jq_submit_item that lends something is kept here, too. */
static size_t item_keep(struct jq_submit_item *item, uint8_t **place) {
    size_t total = 0;
    keep_text(&item->queue, place, &total);
    keep_text(&item->handler, place, &total);
    keep_text(&item->need, place, &total);
    keep_text(&item->want, place, &total);
    keep_text(&item->key, place, &total);
    keep_text(&item->group, place, &total);
    const void *body = item->body.data;
    keep(&body, item->body.size, place, &total);
    item->body.data = body;
    const void *files = item->files.data;
    keep(&files, item->files.size, place, &total);
    item->files.data = files;
    return total;
}

static size_t request_bytes(const struct jq_request *request) {
    size_t size = request->u.submit.count * sizeof(struct jq_submit_item);
    for (size_t i = 0; i < request->u.submit.count; i++) {
        struct jq_submit_item item = request->u.submit.items[i];
        uint8_t *nowhere = NULL;
        size += item_keep(&item, &nowhere);
        after_keep(&item, &nowhere, &size);
    }
    return size;
}

static struct jq_submit_item *items_copy(const struct jq_request *request, size_t bytes) {
    const size_t count = request->u.submit.count;
    struct jq_submit_item *items = malloc(bytes);
    JQ_CHECK(items != NULL);
    memcpy(items, request->u.submit.items, count * sizeof(*items));
    uint8_t *place = (uint8_t *)(items + count);
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        after_keep(&items[i], &place, &total); /* first: ids are aligned */
    }
    for (size_t i = 0; i < count; i++) {
        (void)item_keep(&items[i], &place);
    }
    return items;
}

/* ---- in and out ---- */

static void chain_append(struct jq_core *core, uint32_t ref) {
    withheld_at(core, ref)->older = core->withheld_newest;
    if (core->withheld_newest) {
        withheld_at(core, core->withheld_newest)->newer = ref;
    } else {
        core->withheld_oldest = ref;
    }
    core->withheld_newest = ref;
}

static void chain_remove(struct jq_core *core, const struct withheld *withheld) {
    if (withheld->older) {
        withheld_at(core, withheld->older)->newer = withheld->newer;
    } else {
        core->withheld_oldest = withheld->newer;
    }
    if (withheld->newer) {
        withheld_at(core, withheld->newer)->older = withheld->older;
    } else {
        core->withheld_newest = withheld->older;
    }
}

static void line_append(struct jq_core *core, uint32_t ref) {
    struct withheld *withheld = withheld_at(core, ref);
    struct queue *queue = &core->queues[withheld->queue];
    withheld->prev = queue->withheld_tail;
    if (queue->withheld_tail) {
        withheld_at(core, queue->withheld_tail)->next = ref;
    } else {
        queue->withheld_head = ref;
    }
    queue->withheld_tail = ref;
    queue->withheld_count++;
}

static void line_remove(struct jq_core *core, const struct withheld *withheld) {
    struct queue *queue = &core->queues[withheld->queue];
    if (withheld->prev) {
        withheld_at(core, withheld->prev)->next = withheld->next;
    } else {
        queue->withheld_head = withheld->next;
    }
    if (withheld->next) {
        withheld_at(core, withheld->next)->prev = withheld->prev;
    } else {
        queue->withheld_tail = withheld->prev;
    }
    queue->withheld_count--;
}

static void withhold(struct jq_core *core, const struct jq_request *request, uint16_t queue, size_t bytes) {
    char buffer[RESEND_KEY_SIZE];
    const uint32_t ref = jq_slab_take(&core->withheld);
    *withheld_at(core, ref) = (struct withheld){.request = *request, .bytes = bytes, .queue = queue};
    withheld_at(core, ref)->request.u.submit.items = items_copy(request, bytes);
    line_append(core, ref);
    chain_append(core, ref);
    JQ_CHECK(jq_heap_put(&core->withheld_timers, core->now_ms + request->u.submit.wait_ms, ref));
    JQ_CHECK(jq_strmap_put(&core->withheld_ids, resend_key(&request->sender, request->id, buffer), ref));
    core->withheld_bytes += bytes;
    core->extra_bytes += bytes;
    core->totals.withheld_total++;
}

/* Out of every index; its request is the caller's now, to be freed with its items. */
static struct jq_request withheld_take(struct jq_core *core, uint32_t ref) {
    char buffer[RESEND_KEY_SIZE];
    struct withheld *withheld = withheld_at(core, ref);
    const struct jq_request request = withheld->request;
    line_remove(core, withheld);
    chain_remove(core, withheld);
    jq_heap_remove(&core->withheld_timers, withheld->timer);
    JQ_CHECK(jq_strmap_remove(&core->withheld_ids, resend_key(&request.sender, request.id, buffer)));
    core->withheld_bytes -= withheld->bytes;
    core->extra_bytes -= withheld->bytes;
    jq_slab_give(&core->withheld, ref);
    return request;
}

static void items_free(const struct jq_request *request) {
    free((void *)(uintptr_t)request->u.submit.items);
}

static void decide(struct jq_core *core, uint32_t ref, bool woken) {
    const struct jq_request request = withheld_take(core, ref);
    submit_decide(core, &request, woken);
    items_free(&request);
}

/* ---- a submit comes ---- */

/* True if every task of it meets a queue that withholds; *ret_queue is that of the first. */
static bool all_withheld(struct jq_core *core, const struct jq_request *request, uint16_t *ret_queue) {
    for (size_t i = request->u.submit.count; i > 0; i--) {
        const struct jq_submit_item *item = &request->u.submit.items[i - 1];
        const int at = item->refused == JQ_REPLY_OK ? queue_find(core, item->queue) : -1;
        if (at < 0 || !queue_withholds(core, (uint16_t)at) || submit_key_known(core, item)) {
            return false;
        }
        *ret_queue = (uint16_t)at;
    }
    return request->u.submit.count > 0;
}

/* The one that was withheld before is not listened to any more. */
static bool takes_over(struct jq_core *core, const struct jq_request *request) {
    char buffer[RESEND_KEY_SIZE];
    const uint32_t ref = jq_strmap_get(&core->withheld_ids, resend_key(&request->sender, request->id, buffer), 0);
    if (ref == 0) {
        return false;
    }
    struct withheld *withheld = withheld_at(core, ref);
    call_drop(core, withheld->request.call);
    withheld->request.call = request->call;
    withheld->request.pipe = request->pipe;
    return true;
}

bool submit_withhold(struct jq_core *core, const struct jq_request *request) {
    uint16_t queue = 0;
    if (takes_over(core, request)) {
        return true;
    }
    if (request->u.submit.wait_ms <= 0 || core->withheld.used_count >= core->config.withheld_max ||
        !all_withheld(core, request, &queue)) {
        return false;
    }
    const size_t bytes = request_bytes(request);
    if (core->withheld_bytes + bytes > core->config.withheld_bytes_max) {
        return false;
    }
    withhold(core, request, queue, bytes);
    return true;
}

/* ---- there is room ---- */

void queue_roomy(struct jq_core *core, uint16_t at) {
    if (!core->queues[at].roomy) {
        core->queues[at].roomy = true;
        core->roomy = array_grow(core->roomy, core->roomy_count, &core->roomy_capacity, sizeof(*core->roomy));
        core->roomy[core->roomy_count++] = at;
    }
}

/* False: the step has done enough. */
static bool serve(struct jq_core *core, uint16_t at, uint32_t *items_left) {
    struct queue *queue = &core->queues[at];
    bool full = queue_note_full(core, at);
    while (queue->withheld_head != 0 && !core->memory_busy && !core->disk_busy &&
           (!full || queue->policy != JQ_POLICY_BLOCK)) {
        const uint32_t count = (uint32_t)withheld_at(core, queue->withheld_head)->request.u.submit.count;
        if (*items_left == 0) {
            return false;
        }
        *items_left -= count < *items_left ? count : *items_left;
        decide(core, queue->withheld_head, true);
        full = queue_note_full(core, at);
    }
    return true;
}

void withheld_serve(struct jq_core *core) {
    uint32_t items_left = ITEMS_PER_STEP_MAX;
    while (core->roomy_count > 0) {
        const uint16_t at = core->roomy[--core->roomy_count];
        core->queues[at].roomy = false;
        if (!serve(core, at, &items_left)) {
            queue_roomy(core, at); /* The next step goes on. */
            return;
        }
    }
}

void withheld_look_again(struct jq_core *core) {
    for (uint32_t ref = core->withheld_oldest; ref != 0; ref = withheld_at(core, ref)->newer) {
        queue_roomy(core, withheld_at(core, ref)->queue);
    }
}

/* ---- time, lost connections, the end ---- */

void withheld_expire(struct jq_core *core) {
    const struct jq_heap_entry *first = jq_heap_min(&core->withheld_timers);
    while (first && first->key <= core->now_ms) {
        decide(core, first->ref, false);
        first = jq_heap_min(&core->withheld_timers);
    }
}

void withheld_drop_pipe(struct jq_core *core, uint64_t pipe) {
    for (uint32_t ref = core->withheld_oldest, newer = 0; ref != 0; ref = newer) {
        newer = withheld_at(core, ref)->newer;
        if (withheld_at(core, ref)->request.pipe == pipe) {
            const struct jq_request request = withheld_take(core, ref);
            call_drop(core, request.call);
            items_free(&request);
        }
    }
}

void withheld_stop(struct jq_core *core) {
    while (core->withheld_oldest != 0) {
        const struct jq_request request = withheld_take(core, core->withheld_oldest);
        reply_refuse(core, &request, JQ_REPLY_DRAINING, NULL, "the broker is stopping");
        items_free(&request);
    }
}

void withheld_free(struct jq_core *core) {
    for (uint32_t ref = core->withheld_oldest; ref != 0; ref = withheld_at(core, ref)->newer) {
        items_free(&withheld_at(core, ref)->request);
    }
}
