/* breakers.c - the table of circuit breakers: who is counted where, and what an open one holds back. */
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/hash.h"

enum { RECLAIM_SCAN_MAX = 256 };

static const struct jq_breaker_config *policy(const struct jq_core *core) {
    return &core->config.breaker;
}

static struct breaker *at(const struct jq_core *core, uint32_t index) {
    return breaker_at(&core->breakers, index);
}

/* ---- names ---- */

/* "handler:work". */
static struct jq_str full_name(char out[BREAKER_NAME_SIZE_MAX], enum jq_breaker_kind kind, struct jq_str name) {
    const struct jq_str prefix = jq_str_of(jq_breaker_kind_name(kind));
    JQ_CHECK(prefix.size + 1 + name.size <= BREAKER_NAME_SIZE_MAX);
    memcpy(out, prefix.data, prefix.size);
    out[prefix.size] = ':';
    memcpy(out + prefix.size + 1, name.data, name.size);
    return (struct jq_str){out, prefix.size + 1 + name.size};
}

/* The part behind the colon. */
static struct jq_str own_name(const struct breaker *breaker) {
    const size_t prefix = strlen(jq_breaker_kind_name((enum jq_breaker_kind)breaker->kind)) + 1;
    return (struct jq_str){breaker->name.data + prefix, breaker->name.size - prefix};
}

uint32_t breaker_find(const struct jq_core *core, enum jq_breaker_kind kind, struct jq_str name) {
    char buffer[BREAKER_NAME_SIZE_MAX];
    return jq_strmap_get(&core->breakers.names, full_name(buffer, kind, name), 0);
}

/* The next name of a list between blanks; empty: that was all. */
static struct jq_str next_name(struct jq_str *list) {
    size_t size = 0;
    while (size < list->size && list->data[size] != ' ') {
        size++;
    }
    const struct jq_str name = {list->data, size};
    const size_t taken = size < list->size ? size + 1 : size;
    *list = (struct jq_str){list->data + taken, list->size - taken};
    return name;
}

static bool list_has(struct jq_str list, struct jq_str name) {
    for (struct jq_str item = next_name(&list); item.size > 0; item = next_name(&list)) {
        if (jq_str_equal(item, name)) {
            return true;
        }
    }
    return false;
}

/* ---- which classes and workers are whose ---- */

/* Tells everyone that is of a breaker's name which place the breaker has; 0: none any more. */
static void members_tell(struct jq_core *core, const struct breaker *breaker, uint32_t index) {
    const struct jq_str name = own_name(breaker);
    for (uint32_t i = 0; breaker->kind == JQ_BREAKER_HANDLER && i < core->class_count; i++) {
        if (jq_str_equal(core->classes[i].handler, name)) {
            core->classes[i].breaker = index;
        }
    }
    for (uint32_t i = 1; breaker->kind == JQ_BREAKER_WORKER && i < core->worker_count; i++) {
        if (core->workers[i].used && jq_str_equal(core->workers[i].name, name)) {
            core->workers[i].breaker = index;
        }
    }
}

static void service_unlink(struct jq_core *core, uint32_t service) {
    for (uint32_t i = 1; i < core->breakers.count; i++) {
        struct breaker *breaker = at(core, i);
        for (uint32_t k = 0; k < breaker->service_count; k++) {
            if (breaker->services[k] == service) {
                breaker->services[k] = breaker->services[--breaker->service_count];
                break;
            }
        }
    }
}

static void service_link(struct jq_core *core, uint32_t handler, uint32_t service) {
    struct breaker *breaker = at(core, handler);
    for (uint32_t i = 0; i < breaker->service_count; i++) {
        if (breaker->services[i] == service) {
            return;
        }
    }
    if (breaker->service_count < SERVICES_PER_HANDLER) {
        breaker->services[breaker->service_count++] = service;
    }
}

/* ---- what is held back ---- */

static bool holds_back(const struct jq_core *core, uint32_t index) {
    return index != 0 && !breaker_lets_through(at(core, index), policy(core));
}

static bool services_hold_back(const struct jq_core *core, uint32_t handler) {
    const struct breaker *breaker = at(core, handler);
    for (uint32_t i = 0; handler != 0 && i < breaker->service_count; i++) {
        if (holds_back(core, breaker->services[i])) {
            return true;
        }
    }
    return false;
}

static bool uses_service(const struct jq_core *core, uint32_t handler, uint32_t service) {
    const struct breaker *breaker = at(core, handler);
    for (uint32_t i = 0; handler != 0 && i < breaker->service_count; i++) {
        if (breaker->services[i] == service) {
            return true;
        }
    }
    return false;
}

static void class_hold(struct jq_core *core, uint16_t class_index) {
    const uint32_t handler = core->classes[class_index].breaker;
    class_block(core, class_index, BLOCK_HANDLER_BREAKER, holds_back(core, handler));
    class_block(core, class_index, BLOCK_SERVICE_BREAKER, services_hold_back(core, handler));
}

/* Blocks and unblocks everything that depends on the breaker. A walk over classes or workers, for a change that is rare. */
static void hold(struct jq_core *core, uint32_t index) {
    const struct breaker *breaker = at(core, index);
    if (breaker->kind == JQ_BREAKER_WORKER) {
        for (uint32_t i = 1; i < core->worker_count; i++) {
            if (core->workers[i].used && core->workers[i].breaker == index) {
                worker_block(core, i, BLOCK_WORKER_BREAKER, holds_back(core, index));
            }
        }
        return;
    }
    for (uint32_t i = 0; i < core->class_count; i++) {
        const uint32_t handler = core->classes[i].breaker;
        if (handler == index || uses_service(core, handler, index)) {
            class_hold(core, (uint16_t)i);
        }
    }
}

void breakers_class_added(struct jq_core *core, uint16_t class_index) {
    struct class_entry *entry = &core->classes[class_index];
    entry->breaker = breaker_find(core, JQ_BREAKER_HANDLER, entry->handler);
    if (entry->breaker != 0) {
        class_hold(core, class_index);
    }
}

void breakers_worker_added(struct jq_core *core, uint32_t index) {
    struct worker *worker = worker_at(core, index);
    worker->breaker = breaker_find(core, JQ_BREAKER_WORKER, worker->name);
    worker_block(core, index, BLOCK_WORKER_BREAKER, holds_back(core, worker->breaker));
}

/* ---- places in the table ---- */

void breakers_init(struct jq_core *core) {
    core->breakers = (struct breakers){.count = 1, .due_ms = INT64_MAX};
    core->breakers.items = array_grow(NULL, 0, &core->breakers.capacity, sizeof(*core->breakers.items));
    core->breakers.items[0] = (struct breaker){.used = false};
    jq_strmap_init(&core->breakers.names, core->hash_seed);
}

static void texts_free(struct breaker *breaker) {
    free((char *)(uintptr_t)breaker->name.data);
    free((char *)(uintptr_t)breaker->handlers.data);
}

void breakers_fini(struct jq_core *core) {
    for (uint32_t i = 1; i < core->breakers.count; i++) {
        texts_free(at(core, i));
    }
    free(core->breakers.items);
    jq_strmap_fini(&core->breakers.names);
}

static void forget(struct jq_core *core, uint32_t index) {
    struct breaker *breaker = at(core, index);
    members_tell(core, breaker, 0);
    if (breaker->kind == JQ_BREAKER_SERVICE) {
        service_unlink(core, index);
    }
    JQ_CHECK(jq_strmap_remove(&core->breakers.names, breaker->name));
    core->breakers.kind_counts[breaker->kind]--;
    core->breakers.free_count++;
    texts_free(breaker);
    *breaker = (struct breaker){.used = false};
}

/* Nobody would miss it: closed, and nothing counted within the window. */
static bool is_idle(const struct jq_core *core, uint32_t index) {
    struct breaker *breaker = at(core, index);
    breaker_window_move(&breaker->window, policy(core), core->now_ms);
    bool needed = breaker->state != JQ_BREAKER_CLOSED || breaker->window.calls_sum > 0;
    for (uint32_t i = 0; i < breaker->service_count; i++) {
        needed |= at(core, breaker->services[i])->state != JQ_BREAKER_CLOSED;
    }
    return breaker->used && !needed;
}

static uint32_t kind_max(const struct jq_core *core, enum jq_breaker_kind kind) {
    return kind == JQ_BREAKER_HANDLER  ? core->config.classes_max
           : kind == JQ_BREAKER_WORKER ? core->config.workers_max
                                       : (uint32_t)SERVICES_MAX;
}

/* Makes room among those of a kind by forgetting an idle one. */
static bool reclaim(struct jq_core *core, enum jq_breaker_kind kind) {
    for (uint32_t i = 0; i < RECLAIM_SCAN_MAX && core->breakers.count > 1; i++) {
        core->breakers.hand = core->breakers.hand % (core->breakers.count - 1) + 1;
        if (at(core, core->breakers.hand)->kind == kind && is_idle(core, core->breakers.hand)) {
            forget(core, core->breakers.hand);
            return true;
        }
    }
    return false;
}

static uint32_t free_place(struct jq_core *core) {
    for (uint32_t i = 1; core->breakers.free_count > 0 && i < core->breakers.count; i++) {
        if (!at(core, i)->used) {
            core->breakers.free_count--;
            return i;
        }
    }
    core->breakers.items =
        array_grow(core->breakers.items, core->breakers.count, &core->breakers.capacity, sizeof(*core->breakers.items));
    return core->breakers.count++;
}

/* `durable`: a record names it, so it has a place whatever the bounds. Else 0 where the table is full: then it is not counted. */
static uint32_t make(struct jq_core *core, enum jq_breaker_kind kind, struct jq_str name, bool durable) {
    char buffer[BREAKER_NAME_SIZE_MAX];
    const struct jq_str full = full_name(buffer, kind, name);
    uint32_t index = jq_strmap_get(&core->breakers.names, full, 0);
    if (index != 0) {
        return index;
    }
    if (!durable && core->breakers.kind_counts[kind] >= kind_max(core, kind) && !reclaim(core, kind)) {
        return 0;
    }
    index = free_place(core);
    struct breaker *breaker = at(core, index);
    *breaker = (struct breaker){.used = true, .kind = (uint8_t)kind, .name = text_copy(full)};
    core->breakers.kind_counts[kind]++;
    JQ_CHECK(jq_strmap_put(&core->breakers.names, full, index));
    members_tell(core, breaker, index);
    return index;
}

uint32_t breaker_make(struct jq_core *core, enum jq_breaker_kind kind, struct jq_str name) {
    return make(core, kind, name, false);
}

/* ---- the record ---- */

static uint64_t hash_of(const struct breaker *breaker) {
    if (breaker->state == JQ_BREAKER_CLOSED) {
        return 0;
    }
    uint64_t hash = jq_hash_combine(jq_hash_bytes(breaker->name.data, breaker->name.size, 0),
                                    jq_hash_bytes(breaker->handlers.data, breaker->handlers.size, 0));
    hash = jq_hash_combine(hash, (uint64_t)breaker->state << 8 | breaker->by_operator);
    hash = jq_hash_combine(hash, (uint64_t)breaker->since_ms);
    hash = jq_hash_combine(hash, (uint64_t)breaker->until_ms);
    return jq_hash_combine(hash, (uint64_t)breaker->cool_down_ms);
}

uint64_t breakers_hash(const struct jq_core *core) {
    uint64_t sum = 0;
    for (uint32_t i = 1; i < core->breakers.count; i++) {
        sum += hash_of(at(core, i));
    }
    return sum;
}

static void index_states(struct jq_core *core) {
    struct breakers *breakers = &core->breakers;
    breakers->not_closed = 0;
    breakers->half_open = 0;
    breakers->due_ms = INT64_MAX;
    for (uint32_t i = 1; i < breakers->count; i++) {
        const struct breaker *breaker = at(core, i);
        breakers->not_closed += breaker->state != JQ_BREAKER_CLOSED;
        breakers->half_open += breaker->state == JQ_BREAKER_HALF_OPEN;
        if (breaker->state == JQ_BREAKER_OPEN && breaker->until_ms > 0 && breaker->until_ms < breakers->due_ms) {
            breakers->due_ms = breaker->until_ms;
        }
    }
}

static void set_handlers(struct jq_core *core, uint32_t index, struct jq_str handlers) {
    struct jq_str *own = &at(core, index)->handlers;
    const struct jq_str copy = text_copy(handlers);
    free((char *)(uintptr_t)own->data);
    *own = copy;
    for (struct jq_str name = next_name(&handlers); name.size > 0; name = next_name(&handlers)) {
        const uint32_t handler = make(core, JQ_BREAKER_HANDLER, name, true); /* may move the table */
        service_link(core, handler, index);
    }
}

static bool record_is_sound(const struct jq_record *record) {
    const struct jq_str name = record->u.breaker_set.name;
    struct jq_str handlers = record->u.breaker_set.handlers;
    bool sound = record->u.breaker_set.kind < JQ_BREAKER_KIND_COUNT &&
                 record->u.breaker_set.state < JQ_BREAKER_STATE_COUNT && name.size > 0 &&
                 name.size <= JQ_NAME_SIZE_MAX && handlers.size <= BREAKER_HANDLERS_SIZE_MAX;
    while (sound && handlers.size > 0) {
        const struct jq_str handler = next_name(&handlers);
        sound = handler.size > 0 && handler.size <= JQ_NAME_SIZE_MAX;
    }
    return sound;
}

enum jq_err apply_breaker_set(struct jq_core *core, const struct jq_record *record, struct jq_error *reterr) {
    if (!record_is_sound(record)) {
        return jq_fail(reterr, JQ_ERR_CORRUPT, "breaker set to what no breaker can be");
    }
    const uint32_t index =
        make(core, (enum jq_breaker_kind)record->u.breaker_set.kind, record->u.breaker_set.name, true);
    core->digest -= hash_of(at(core, index));
    if (record->u.breaker_set.handlers.size > 0) {
        set_handlers(core, index, record->u.breaker_set.handlers);
    }
    struct breaker *breaker = at(core, index);
    if (breaker->state != record->u.breaker_set.state || breaker->since_ms != record->u.breaker_set.since_ms) {
        breaker->window = (struct breaker_window){0}; /* not re-stated by a prologue: a new state, counted anew */
        breaker->probes = 0;
        breaker->probes_good = 0;
    }
    breaker->state = record->u.breaker_set.state;
    breaker->by_operator = record->u.breaker_set.by_operator;
    breaker->since_ms = record->u.breaker_set.since_ms;
    breaker->until_ms = record->u.breaker_set.until_ms;
    breaker->cool_down_ms = record->u.breaker_set.cool_down_ms;
    core->digest += hash_of(breaker);
    index_states(core);
    hold(core, index);
    return JQ_OK;
}

/* Emits what the breaker is to be; its texts are copied, for the apply replaces them. */
static void emit_set(struct jq_core *core, uint32_t index, const struct breaker_change *change, int64_t since_ms,
                     struct jq_str handlers) {
    const struct breaker *breaker = at(core, index);
    const struct jq_str name = own_name(breaker);
    char name_text[JQ_NAME_SIZE_MAX], handlers_text[BREAKER_HANDLERS_SIZE_MAX];
    memcpy(name_text, name.data, name.size);
    if (handlers.size > 0) {
        memcpy(handlers_text, handlers.data, handlers.size);
    }
    struct jq_record record = {.type = JQ_RECORD_BREAKER_SET,
                               .u.breaker_set = {.kind = breaker->kind,
                                                 .state = (uint8_t)change->state,
                                                 .by_operator = change->by_operator,
                                                 .name = {name_text, name.size},
                                                 .since_ms = since_ms,
                                                 .until_ms = change->until_ms,
                                                 .cool_down_ms = change->cool_down_ms,
                                                 .handlers = {handlers_text, handlers.size}}};
    emit(core, &record);
}

static struct breaker_change present(const struct breaker *breaker) {
    return (struct breaker_change){.state = (enum jq_breaker_state)breaker->state,
                                   .by_operator = breaker->by_operator,
                                   .until_ms = breaker->until_ms,
                                   .cool_down_ms = breaker->cool_down_ms};
}

void breakers_say(struct jq_core *core) {
    for (uint32_t i = 1; i < core->breakers.count; i++) {
        if (at(core, i)->state != JQ_BREAKER_CLOSED) {
            const struct breaker_change same = present(at(core, i));
            emit_set(core, i, &same, at(core, i)->since_ms, at(core, i)->handlers);
        }
    }
}

void breaker_change(struct jq_core *core, uint32_t index, const struct breaker_change *change) {
    const bool closed = change->state == JQ_BREAKER_CLOSED;
    emit_set(core, index, change, core->now_ms, closed ? (struct jq_str){NULL, 0} : at(core, index)->handlers);
    at(core, index)->probe_token = core->epoch << TOKEN_COUNTER_BITS | (core->next_token + 1);
    news_breaker(core, at(core, index));
}

/* ---- calls ---- */

void breakers_lease_given(struct jq_core *core, uint32_t index, uint16_t class_index) {
    if (core->breakers.half_open == 0) {
        return;
    }
    const uint32_t handler = core->classes[class_index].breaker;
    uint32_t concerned[2 + SERVICES_PER_HANDLER] = {handler, worker_at(core, index)->breaker};
    uint32_t count = 2;
    for (uint32_t i = 0; handler != 0 && i < at(core, handler)->service_count; i++) {
        concerned[count++] = at(core, handler)->services[i];
    }
    for (uint32_t i = 0; i < count; i++) {
        if (concerned[i] != 0 && at(core, concerned[i])->state == JQ_BREAKER_HALF_OPEN) {
            at(core, concerned[i])->probes++;
            hold(core, concerned[i]);
        }
    }
}

static void count_call(struct jq_core *core, uint32_t index, enum breaker_call call, uint64_t token) {
    struct breaker_change change;
    if (index == 0) {
        return;
    }
    struct breaker *breaker = at(core, index);
    const bool probe = breaker->state == JQ_BREAKER_HALF_OPEN && token >= breaker->probe_token;
    if (breaker_call_ended(breaker, policy(core), core->now_ms, call, probe, &change)) {
        breaker_change(core, index, &change);
    } else if (probe && call == BREAKER_CALL_NEUTRAL) {
        hold(core, index); /* there is room for another probe */
    }
}

/* The leases of the worker that are probes of its breaker. */
static uint32_t probes_of_worker(const struct jq_core *core, uint32_t worker) {
    const struct breaker *breaker = at(core, worker_at(core, worker)->breaker);
    uint32_t count = 0;
    if (breaker->state != JQ_BREAKER_HALF_OPEN) {
        return 0;
    }
    for (uint32_t ref = worker_at(core, worker)->lease_head; ref != 0; ref = lease_at(core, ref)->next) {
        count += lease_at(core, ref)->token >= breaker->probe_token;
    }
    return count;
}

void breakers_worker_leaves(struct jq_core *core, uint32_t worker) {
    const uint32_t index = worker_at(core, worker)->breaker;
    const uint32_t probes = probes_of_worker(core, worker);
    if (probes > 0) {
        struct breaker *breaker = at(core, index);
        breaker->probes -= probes < breaker->probes ? probes : breaker->probes;
        hold(core, index);
    }
}

void breakers_worker_joins(struct jq_core *core, uint32_t worker) {
    const uint32_t index = worker_at(core, worker)->breaker;
    const uint32_t probes = probes_of_worker(core, worker);
    if (probes > 0) {
        at(core, index)->probes += probes;
        hold(core, index);
    }
}

static enum breaker_call call_of(enum jq_breaker_kind kind, enum jq_outcome outcome, bool names_service) {
    switch (outcome) {
    case JQ_OUTCOME_SUCCESS: return BREAKER_CALL_GOOD;
    case JQ_OUTCOME_RESOURCE_EXHAUSTED: return kind == JQ_BREAKER_WORKER ? BREAKER_CALL_BAD : BREAKER_CALL_NEUTRAL;
    case JQ_OUTCOME_NETWORK: return names_service ? BREAKER_CALL_NEUTRAL : BREAKER_CALL_BAD;
    case JQ_OUTCOME_PROCESS_FAILURE:
    case JQ_OUTCOME_TIMEOUT: return BREAKER_CALL_BAD;
    default: return BREAKER_CALL_NEUTRAL;
    }
}

/* The handler has named the service: from now on they belong together. */
static void associate(struct jq_core *core, uint32_t handler, uint32_t service) {
    const struct jq_str name = own_name(at(core, handler));
    const struct jq_str known = at(core, service)->handlers;
    if (uses_service(core, handler, service) || at(core, handler)->service_count == SERVICES_PER_HANDLER) {
        return;
    }
    if (list_has(known, name)) { /* the handler's place was forgotten meanwhile */
        service_link(core, handler, service);
        return;
    }
    if (known.size + 1 + name.size > BREAKER_HANDLERS_SIZE_MAX) {
        return;
    }
    char text[BREAKER_HANDLERS_SIZE_MAX];
    size_t size = known.size;
    if (size > 0) {
        memcpy(text, known.data, size);
        text[size++] = ' ';
    }
    memcpy(text + size, name.data, name.size);
    const struct jq_str handlers = {text, size + name.size};
    if (at(core, service)->state == JQ_BREAKER_CLOSED) {
        set_handlers(core, service, handlers);
    } else {
        const struct breaker_change same = present(at(core, service));
        emit_set(core, service, &same, at(core, service)->since_ms, handlers);
    }
}

static void count_services(struct jq_core *core, uint32_t handler, enum jq_outcome outcome, struct jq_str name,
                           uint64_t token) {
    uint32_t named = 0;
    if (outcome == JQ_OUTCOME_NETWORK && name.size > 0) {
        named = make(core, JQ_BREAKER_SERVICE, name, false);
        if (named != 0) {
            associate(core, handler, named);
        }
    }
    uint32_t services[SERVICES_PER_HANDLER];
    const uint32_t count = at(core, handler)->service_count;
    memcpy(services, at(core, handler)->services, sizeof(services));
    for (uint32_t i = 0; i < count; i++) {
        const enum breaker_call call = outcome == JQ_OUTCOME_SUCCESS ? BREAKER_CALL_GOOD : BREAKER_CALL_NEUTRAL;
        count_call(core, services[i], services[i] == named ? BREAKER_CALL_BAD : call, token);
    }
}

struct breaker_attempt breakers_attempt(const struct jq_core *core, const struct task *task) {
    const struct lease *lease = lease_at(core, task->lease);
    return (struct breaker_attempt){.class_index = task->class_index, .worker = lease->worker, .token = lease->token};
}

static uint32_t handler_of(struct jq_core *core, uint16_t class_index) {
    const uint32_t index = core->classes[class_index].breaker;
    return index != 0 ? index : make(core, JQ_BREAKER_HANDLER, core->classes[class_index].handler, false);
}

void breakers_attempt_ended(struct jq_core *core, const struct breaker_attempt *attempt, enum jq_outcome outcome,
                            struct jq_str service) {
    const bool names_service = service.size > 0;
    const uint32_t handler = handler_of(core, attempt->class_index);
    count_call(core, handler, call_of(JQ_BREAKER_HANDLER, outcome, names_service), attempt->token);
    const bool handler_is_ill = handler != 0 && at(core, handler)->state != JQ_BREAKER_CLOSED;
    uint32_t worker = worker_at(core, attempt->worker)->breaker;
    if (worker == 0) {
        worker = make(core, JQ_BREAKER_WORKER, worker_at(core, attempt->worker)->name, false);
    }
    enum breaker_call call = call_of(JQ_BREAKER_WORKER, outcome, names_service);
    if (handler_is_ill && call == BREAKER_CALL_BAD && outcome != JQ_OUTCOME_RESOURCE_EXHAUSTED) {
        call = BREAKER_CALL_NEUTRAL;
    }
    count_call(core, worker, call, attempt->token);
    if (handler != 0) {
        count_services(core, handler, outcome, service, attempt->token);
    }
}

/* ---- time ---- */

/* After a start: the probes of the session before count no more, others are let through. */
void breakers_start(struct jq_core *core) {
    for (uint32_t i = 1; i < core->breakers.count; i++) {
        at(core, i)->probe_token = core->epoch << TOKEN_COUNTER_BITS;
    }
}

void breakers_expire(struct jq_core *core) {
    for (uint32_t i = 1; core->breakers.due_ms <= core->now_ms && i < core->breakers.count; i++) {
        if (breaker_is_due(at(core, i), core->now_ms)) {
            struct breaker_change change = present(at(core, i));
            change.state = JQ_BREAKER_HALF_OPEN;
            change.until_ms = 0;
            breaker_change(core, i, &change);
        }
    }
}

int64_t breakers_deadline_ms(const struct jq_core *core) {
    return core->breakers.due_ms;
}
