/* window.c - the request window: what each sender asked and was told, so that the same request gets the same answer.
 *
 * Kept per sender: at most SENDER_ANSWERS_MAX answers, ascending by request id, and a floor below which everything is
 * forgotten. Senders stand in a list by their last recorded use; those idle for longer than the window are trimmed.
 *
 * What is kept is bounded in bytes as well: for one sender, and for all of them together, of which workers have the last quarter
 * for themselves, so that outcomes land whatever clients do. Beyond, a request is told to wait, but its `done` counts. Nothing
 * else is forgotten to make room.
 */
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/hash.h"

static struct jq_str sender_key(const struct jq_uuid *id) {
    return (struct jq_str){(const char *)id->bytes, sizeof(id->bytes)};
}

static struct sender *sender_find(struct jq_core *core, const struct jq_uuid *id) {
    const uint32_t at = jq_strmap_get(&core->sender_ids, sender_key(id), 0);
    return at ? &core->senders[at] : NULL;
}

uint64_t sender_hash(const struct jq_core *core, const struct sender *sender) {
    (void)core;
    uint64_t hash = jq_hash_combine(jq_hash_bytes(sender->id.bytes, 16, 0), sender->floor);
    for (uint32_t i = 0; i < sender->count; i++) {
        const struct answer *answer = &sender->answers[i];
        const struct jq_verdict *verdict = &answer->verdict;
        hash = jq_hash_combine(hash, answer->request);
        hash = jq_hash_combine(hash, verdict->first);
        hash = jq_hash_combine(hash, (uint64_t)verdict->count << 16 | (uint64_t)verdict->op << 8 | verdict->status);
        hash = jq_hash_combine(hash, jq_hash_bytes(verdict->exceptions.data, verdict->exceptions.size, 0));
    }
    return hash;
}

/* ---- exceptions as bytes: index, status, task, retry_after; the reasons are told again from the status ---- */

enum { EXCEPTION_BYTES = 4 + 1 + 8 + 8 };

void exception_add(struct jq_core *core, struct jq_exception exception) {
    core->exceptions =
        array_grow(core->exceptions, core->exception_count, &core->exception_capacity, sizeof(*core->exceptions));
    core->exceptions[core->exception_count++] = exception;
}

static void put_u64(uint8_t *out, uint64_t value, int size) {
    for (int i = 0; i < size; i++) {
        out[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t get_u64(const uint8_t *in, int size) {
    uint64_t value = 0;
    for (int i = 0; i < size; i++) {
        value |= (uint64_t)in[i] << (8 * i);
    }
    return value;
}

struct jq_bytes exceptions_pack(struct jq_core *core, const struct jq_exception *exceptions, size_t count) {
    const size_t size = count * EXCEPTION_BYTES;
    if (size > core->verdict_capacity) {
        free(core->verdict_bytes);
        core->verdict_bytes = malloc(size);
        JQ_CHECK(core->verdict_bytes != NULL);
        core->verdict_capacity = size;
    }
    uint8_t *out = core->verdict_bytes;
    for (size_t i = 0; i < count; i++, out += EXCEPTION_BYTES) {
        put_u64(out, exceptions[i].index, 4);
        out[4] = (uint8_t)exceptions[i].status;
        put_u64(out + 5, exceptions[i].task.value, 8);
        put_u64(out + 13, (uint64_t)exceptions[i].retry_after_ms, 8);
    }
    return (struct jq_bytes){core->verdict_bytes, size};
}

size_t exceptions_unpack(struct jq_core *core, struct jq_bytes packed) {
    core->exception_count = 0;
    for (size_t at = 0; at + EXCEPTION_BYTES <= packed.size; at += EXCEPTION_BYTES) {
        const uint8_t *in = packed.data + at;
        exception_add(core, (struct jq_exception){.index = (uint32_t)get_u64(in, 4),
                                                  .status = (enum jq_reply)in[4],
                                                  .task = {get_u64(in + 5, 8)},
                                                  .retry_after_ms = (int64_t)get_u64(in + 13, 8)});
    }
    return core->exception_count;
}

/* ---- looking and recording ---- */

struct window_share {
    uint32_t count;
    uint64_t bytes;
};

static uint64_t answer_bytes(const struct answer *answer) {
    return sizeof(*answer) + answer->verdict.exceptions.size;
}

uint64_t window_memory_bytes(const struct jq_core *core) {
    return core->window_bytes + core->sender_capacity * sizeof(struct sender);
}

static bool of_a_worker(const struct jq_request *request) {
    return request->op == JQ_OP_LEASE || request->op == JQ_OP_REPORT || request->op == JQ_OP_REGISTER;
}

/* Answers of the sender that the request itself says are done, and what they take. */
static struct window_share done_of(const struct sender *sender, const struct jq_request *request) {
    struct window_share done = {0, 0};
    while (sender && done.count < sender->count && sender->answers[done.count].request < request->done) {
        done.bytes += answer_bytes(&sender->answers[done.count++]);
    }
    return done;
}

/* Of a request that is new: whether its answer can be kept. */
static enum window_verdict window_room(const struct jq_core *core, const struct jq_request *request,
                                       const struct sender *sender) {
    if (!sender && core->senders_used >= core->config.senders_max) {
        return WINDOW_FULL;
    }
    const struct window_share done = done_of(sender, request);
    if (sender && sender->bytes - done.bytes >= SENDER_BYTES_MAX) {
        return WINDOW_SENDER_HEAVY;
    }
    const uint64_t bytes_max = core->config.window_bytes_max, count_max = core->config.answers_max;
    const unsigned quarters = of_a_worker(request) ? 4 : 3;
    const bool heavy = core->window_bytes - done.bytes >= bytes_max / 4 * quarters ||
                       core->answer_count - done.count >= count_max * quarters / 4;
    return heavy ? WINDOW_HEAVY : WINDOW_NEW;
}

enum window_verdict window_look(struct jq_core *core, const struct jq_request *request,
                                const struct answer **ret_answer) {
    const struct sender *sender = sender_find(core, &request->sender);
    if (!sender) {
        return window_room(core, request, NULL);
    }
    for (uint32_t i = sender->count; i > 0; i--) {
        if (sender->answers[i - 1].request == request->id && !CANARY(WINDOW_BLIND)) {
            *ret_answer = &sender->answers[i - 1];
            return WINDOW_AGAIN;
        }
        if (sender->answers[i - 1].request < request->id) {
            break;
        }
    }
    return request->id < sender->floor ? WINDOW_FORGOTTEN : window_room(core, request, sender);
}

/* Nothing is done of a request that is told to wait, but what it says of earlier ones holds. */
static void window_note_done(struct jq_core *core, const struct jq_request *request) {
    if (done_of(sender_find(core, &request->sender), request).count > 0) {
        struct jq_record record = {.type = JQ_RECORD_SENDER_TRIMMED,
                                   .u.sender_trimmed = {.sender = request->sender, .floor = request->done}};
        emit(core, &record);
    }
}

/* A sender that was forgotten within the window could have its request done twice: rather a new one waits. */
bool window_refuses(struct jq_core *core, const struct jq_request *request, enum window_verdict seen) {
    switch (seen) {
    case WINDOW_NEW:
    case WINDOW_AGAIN: return false;
    case WINDOW_FORGOTTEN: reply_refuse(core, request, JQ_REPLY_CONFLICT, "request", "forgotten"); break;
    case WINDOW_FULL: reply_refuse(core, request, JQ_REPLY_BUSY, "limits", "senders_max reached"); break;
    case WINDOW_SENDER_HEAVY:
        window_note_done(core, request);
        reply_refuse(core, request, JQ_REPLY_BUSY, "done", "too many answers are kept for this sender: none is done");
        break;
    case WINDOW_HEAVY:
        window_note_done(core, request);
        reply_refuse(core, request, JQ_REPLY_BUSY, "limits", "too many answers are kept for resends");
        break;
    }
    return true;
}

void window_record(struct jq_core *core, const struct jq_uuid *sender, uint64_t request, uint64_t done,
                   const struct jq_verdict *verdict) {
    struct jq_record record = {
        .type = JQ_RECORD_REQUEST_ANSWERED,
        .u.request_answered = {.sender = *sender, .request = request, .done = done, .verdict = *verdict}};
    emit(core, &record);
}

/* ---- senders, least recently used first ---- */

static void lru_remove(struct jq_core *core, uint32_t at) {
    const struct sender *sender = &core->senders[at];
    if (sender->lru_prev) {
        core->senders[sender->lru_prev].lru_next = sender->lru_next;
    } else {
        core->lru_head = sender->lru_next;
    }
    if (sender->lru_next) {
        core->senders[sender->lru_next].lru_prev = sender->lru_prev;
    } else {
        core->lru_tail = sender->lru_prev;
    }
}

static void lru_append(struct jq_core *core, uint32_t at) {
    struct sender *sender = &core->senders[at];
    sender->lru_prev = core->lru_tail;
    sender->lru_next = 0;
    if (core->lru_tail) {
        core->senders[core->lru_tail].lru_next = at;
    } else {
        core->lru_head = at;
    }
    core->lru_tail = at;
}

static uint32_t sender_make(struct jq_core *core, const struct jq_uuid *id, int64_t now_ms) {
    uint32_t at = jq_strmap_get(&core->sender_ids, sender_key(id), 0);
    if (at != 0) {
        return at;
    }
    at = core->sender_free;
    if (at != 0) {
        core->sender_free = core->senders[at].lru_next;
    } else {
        core->senders = array_grow(core->senders, core->sender_count, &core->sender_capacity, sizeof(*core->senders));
        at = core->sender_count++;
    }
    core->senders[at] = (struct sender){.id = *id, .used = true, .used_ms = now_ms};
    core->senders_used++;
    JQ_CHECK(jq_strmap_put(&core->sender_ids, sender_key(id), at));
    lru_append(core, at);
    core->digest += sender_hash(core, &core->senders[at]);
    return at;
}

/* Forgets the answers below `floor`. */
static void answers_trim(struct jq_core *core, struct sender *sender, uint64_t floor) {
    uint32_t gone = 0;
    while (gone < sender->count && sender->answers[gone].request < floor) {
        const uint64_t bytes = answer_bytes(&sender->answers[gone]);
        sender->bytes -= bytes;
        core->window_bytes -= bytes;
        free((uint8_t *)(uintptr_t)sender->answers[gone].verdict.exceptions.data);
        gone++;
    }
    if (gone > 0) {
        sender->count -= gone;
        core->answer_count -= gone;
        memmove(sender->answers, sender->answers + gone, sender->count * sizeof(*sender->answers));
    }
    if (floor > sender->floor) {
        sender->floor = floor;
    }
}

/* False for one that is known: a prologue re-states it. */
static bool answer_insert(struct jq_core *core, struct sender *sender, const struct jq_record *record) {
    uint32_t at = sender->count;
    while (at > 0 && sender->answers[at - 1].request > record->u.request_answered.request) {
        at--;
    }
    if (at > 0 && sender->answers[at - 1].request == record->u.request_answered.request) {
        return false;
    }
    sender->answers = array_grow(sender->answers, sender->count, &sender->capacity, sizeof(*sender->answers));
    memmove(sender->answers + at + 1, sender->answers + at, (sender->count - at) * sizeof(*sender->answers));
    struct answer *answer = &sender->answers[at];
    *answer = (struct answer){record->u.request_answered.request, record->u.request_answered.verdict};
    const struct jq_bytes exceptions = answer->verdict.exceptions;
    answer->verdict.exceptions = (struct jq_bytes){NULL, 0};
    if (exceptions.size > 0) {
        uint8_t *copy = malloc(exceptions.size);
        JQ_CHECK(copy != NULL);
        memcpy(copy, exceptions.data, exceptions.size);
        answer->verdict.exceptions = (struct jq_bytes){copy, exceptions.size};
    }
    sender->count++;
    core->answer_count++;
    sender->bytes += answer_bytes(answer);
    core->window_bytes += answer_bytes(answer);
    if (sender->count > SENDER_ANSWERS_MAX) {
        answers_trim(core, sender, sender->answers[0].request + 1);
    }
    return true;
}

static void sender_forget(struct jq_core *core, uint32_t at) {
    struct sender *sender = &core->senders[at];
    core->digest -= sender_hash(core, sender);
    answers_trim(core, sender, UINT64_MAX);
    lru_remove(core, at);
    JQ_CHECK(jq_strmap_remove(&core->sender_ids, sender_key(&sender->id)));
    free(sender->answers);
    *sender = (struct sender){.lru_next = core->sender_free};
    core->sender_free = at;
    core->senders_used--;
}

static void apply_answered(struct jq_core *core, const struct jq_record *record) {
    const uint32_t at = sender_make(core, &record->u.request_answered.sender, record->time_ms);
    struct sender *sender = &core->senders[at];
    core->digest -= sender_hash(core, sender);
    answers_trim(core, sender, record->u.request_answered.done);
    const bool fresh = record->u.request_answered.request >= sender->floor && answer_insert(core, sender, record);
    core->digest += sender_hash(core, sender);
    if (fresh) {
        sender->used_ms = record->time_ms;
        lru_remove(core, at);
        lru_append(core, at);
    }
}

static void apply_trimmed(struct jq_core *core, const struct jq_record *record) {
    const uint32_t at = record->u.sender_trimmed.whole
                            ? jq_strmap_get(&core->sender_ids, sender_key(&record->u.sender_trimmed.sender), 0)
                            : sender_make(core, &record->u.sender_trimmed.sender, record->time_ms);
    if (at == 0) {
        return;
    }
    if (record->u.sender_trimmed.whole) {
        sender_forget(core, at);
        return;
    }
    struct sender *sender = &core->senders[at];
    core->digest -= sender_hash(core, sender);
    answers_trim(core, sender, record->u.sender_trimmed.floor);
    core->digest += sender_hash(core, sender);
}

enum jq_err apply_sender_record(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    (void)reterr;
    if (record->type == JQ_RECORD_REQUEST_ANSWERED) {
        apply_answered(core, record);
    } else {
        apply_trimmed(core, record);
    }
    return JQ_OK;
}

/* ---- expiry ---- */

static bool oldest_is_due(const struct jq_core *core) {
    return core->lru_head != 0 &&
           core->senders[core->lru_head].used_ms + core->config.request_window_ms <= core->now_ms;
}

void window_expire(struct jq_core *core) {
    for (int i = 0; i < 100 && oldest_is_due(core); i++) {
        struct jq_record record = {
            .type = JQ_RECORD_SENDER_TRIMMED,
            .u.sender_trimmed = {.sender = core->senders[core->lru_head].id, .floor = 0, .whole = true}};
        emit(core, &record);
    }
}

int64_t window_deadline_ms(const struct jq_core *core) {
    return core->lru_head ? core->senders[core->lru_head].used_ms + core->config.request_window_ms : INT64_MAX;
}
