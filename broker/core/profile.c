/* profile.c - what a kind of worker can do: its offers, facts and handlers, shared by all that registered alike; and, for each
 * class of tasks, the plan by which it would run there. Plans are made when first asked for. */
#include <stdlib.h>

#include "broker/core/state.h"

enum { SIGNATURE_SIZE_MAX = 1024 * 1024, PLACEMENT_TEXT_MAX = 64 * 1024 };

/* ---- making ---- */

static struct jq_offer offer_of(const struct jq_request *request, const struct jq_amount *amount) {
    struct jq_offer offer = {.name = amount->name, .amount = amount->amount};
    for (size_t i = 0; i < request->u.reg.unit_count; i++) {
        const struct jq_units *units = &request->u.reg.units[i];
        if (jq_str_equal(units->name, amount->name)) {
            offer.indexes = units->indexes;
            offer.index_count = units->count;
        }
    }
    return offer;
}

static enum jq_err offers_of(const struct jq_request *request, struct jq_offers *ret_offers, struct jq_error *reterr) {
    struct jq_offer items[JQ_OFFERS_COUNT_MAX];
    size_t count = 0;
    uint64_t cpu = 0;
    bool slots = false;
    for (size_t i = 0; i < request->u.reg.offer_count; i++) {
        const struct jq_amount *offer = &request->u.reg.offers[i];
        if (count == JQ_OFFERS_COUNT_MAX - 1) {
            return jq_fail(reterr, JQ_ERR_TOO_BIG, "offers: more than %d", JQ_OFFERS_COUNT_MAX - 1);
        }
        slots |= jq_str_equal(offer->name, JQ_STR("slots"));
        cpu = jq_str_equal(offer->name, JQ_STR("cpu")) ? offer->amount : cpu;
        items[count++] = offer_of(request, offer);
    }
    if (!slots) { /* as many tasks at a time as it has processors */
        const uint64_t whole = cpu / JQ_AMOUNT_UNIT * JQ_AMOUNT_UNIT;
        items[count++] = (struct jq_offer){.name = JQ_STR("slots"), .amount = whole ? whole : JQ_AMOUNT_UNIT};
    }
    return jq_offers_build(items, count, ret_offers, reterr);
}

static enum jq_err facts_of(const struct jq_request *request, struct jq_facts *ret_facts, struct jq_error *reterr) {
    struct jq_fact items[JQ_FACTS_COUNT_MAX];
    if (request->u.reg.fact_count > JQ_FACTS_COUNT_MAX) {
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "facts: more than %d", JQ_FACTS_COUNT_MAX);
    }
    for (size_t i = 0; i < request->u.reg.fact_count; i++) {
        items[i] = (struct jq_fact){request->u.reg.facts[i].name, request->u.reg.facts[i].value};
    }
    return jq_facts_build(items, request->u.reg.fact_count, ret_facts, reterr);
}

static void signature_make(struct profile *profile, const struct jq_request *request) {
    struct jq_buf *out = &profile->signature;
    for (size_t i = 0; i < profile->offers.count; i++) {
        jq_buf_append_str(out, profile->offers.items[i].name);
        jq_buf_append_varint(out, profile->offers.items[i].amount);
        jq_buf_append_varint(out, profile->offers.items[i].index_count);
        for (size_t k = 0; k < profile->offers.items[i].index_count; k++) {
            jq_buf_append_varint(out, profile->offers.items[i].indexes[k]);
        }
    }
    jq_buf_append_u32(out, profile->accept);
    jq_buf_append_u8(out, 0xff);
    for (size_t i = 0; i < profile->facts.count; i++) {
        jq_buf_append_str(out, profile->facts.items[i].name);
        jq_buf_append_str(out, profile->facts.items[i].text);
    }
    jq_buf_append_u8(out, 0xff);
    for (size_t i = 0; i < request->u.reg.handler_count; i++) {
        const struct jq_handler_def *handler = &request->u.reg.handlers[i];
        jq_buf_append_str(out, handler->name);
        jq_buf_append_str(out, handler->version);
        jq_buf_append_str(out, handler->need);
        jq_buf_append_svarint(out, handler->soft_limit_ms);
        jq_buf_append_svarint(out, handler->hard_limit_ms);
        jq_buf_append_u8(out, handler->pure);
    }
}

static void profile_free(struct profile *profile) {
    for (uint32_t i = 0; i < profile->plan_count; i++) {
        free(profile->plans[i].alternatives);
        free(profile->plans[i].amounts);
        free(profile->plans[i].named);
    }
    for (size_t i = 0; i < profile->handler_count; i++) {
        free((char *)(uintptr_t)profile->handlers[i].name.data);
        free((char *)(uintptr_t)profile->handlers[i].version.data);
        free((char *)(uintptr_t)profile->handlers[i].need.data);
        jq_need_fini(&profile->handler_needs[i]);
    }
    free(profile->plans);
    free(profile->known);
    free(profile->possible);
    free(profile->parked);
    free(profile->handlers);
    free(profile->handler_needs);
    jq_strmap_fini(&profile->handler_names);
    jq_offers_fini(&profile->offers);
    jq_facts_fini(&profile->facts);
    jq_buf_fini(&profile->signature);
    free(profile);
}

static enum jq_err handlers_copy(struct profile *profile, const struct jq_request *request, struct jq_error *reterr) {
    const size_t count = request->u.reg.handler_count;
    profile->handlers = calloc(count + 1, sizeof(*profile->handlers));
    profile->handler_needs = calloc(count + 1, sizeof(*profile->handler_needs));
    JQ_CHECK(profile->handlers && profile->handler_needs);
    for (size_t i = 0; i < count; i++) {
        const struct jq_handler_def *from = &request->u.reg.handlers[i];
        const enum jq_err err = jq_need_parse(from->need, &profile->handler_needs[i], reterr);
        if (err != JQ_OK) {
            return err;
        }
        struct jq_handler_def *to = &profile->handlers[profile->handler_count++];
        *to = *from;
        to->name = text_copy(from->name);
        to->version = text_copy(from->version);
        to->need = text_copy(from->need);
        if (jq_strmap_get(&profile->handler_names, to->name, UINT32_MAX) != UINT32_MAX) {
            return jq_fail(reterr, JQ_ERR_INVALID, "handlers: '%.*s' stands twice", JQ_STR_ARG(to->name));
        }
        JQ_CHECK(jq_strmap_put(&profile->handler_names, to->name, (uint32_t)i));
    }
    return JQ_OK;
}

/* Names stay for the broker's life: of a registration that is refused none is kept. */
static bool names_fit(const struct jq_core *core, const struct profile *profile) {
    size_t count = core->resource_count;
    for (size_t i = 0; i < profile->offers.count; i++) {
        count += jq_strmap_get(&core->resource_names, profile->offers.items[i].name, UINT32_MAX) == UINT32_MAX;
    }
    return count <= RESOURCES_MAX;
}

static enum jq_err totals_fill(struct jq_core *core, struct profile *profile, struct jq_error *reterr) {
    if (!names_fit(core, profile)) {
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "offers: more than %d different names in this mesh", RESOURCES_MAX);
    }
    for (size_t i = 0; i < profile->offers.count; i++) {
        const uint32_t resource = resource_intern(core, profile->offers.items[i].name);
        profile->totals[resource] = (int64_t)profile->offers.items[i].amount;
        profile->indexed[resource] = profile->offers.items[i].index_count > 0 ? &profile->offers.items[i] : NULL;
    }
    return JQ_OK;
}

static enum jq_err accept_fill(struct jq_core *core, const struct jq_request *request, struct profile *profile,
                               struct jq_error *reterr) {
    for (size_t i = 0; i < request->u.reg.accept_count; i++) {
        const struct jq_str name = request->u.reg.accept[i];
        const struct jq_offer *offer = jq_offers_find(&profile->offers, name);
        if (!offer) {
            return jq_fail(reterr, JQ_ERR_INVALID, "accept: '%.*s' is not among its offers", JQ_STR_ARG(name));
        }
        profile->accept |= UINT32_C(1) << jq_strmap_get(&core->resource_names, offer->name, 0);
    }
    return JQ_OK;
}

static enum jq_err profile_build(struct jq_core *core, const struct jq_request *request, struct profile *profile,
                                 struct jq_error *reterr) {
    enum jq_err err = offers_of(request, &profile->offers, reterr);
    if (err == JQ_OK) {
        err = facts_of(request, &profile->facts, reterr);
    }
    if (err == JQ_OK) {
        err = handlers_copy(profile, request, reterr);
    }
    if (err == JQ_OK) {
        err = totals_fill(core, profile, reterr);
    }
    if (err == JQ_OK) {
        err = accept_fill(core, request, profile, reterr);
    }
    if (err == JQ_OK) {
        signature_make(profile, request);
        if (profile->signature.failed) {
            err = jq_fail(reterr, JQ_ERR_TOO_BIG, "registration: larger than %d bytes", SIGNATURE_SIZE_MAX);
        }
    }
    return err;
}

static struct jq_str signature_of(const struct profile *profile) {
    return (struct jq_str){(const char *)profile->signature.data, profile->signature.size};
}

/* A place for it among the profiles: a free one, or one more. */
static void profile_publish(struct jq_core *core, struct profile *profile) {
    uint32_t at = 0;
    while (at < core->profile_count && core->profiles[at]) {
        at++;
    }
    if (at == core->profile_count) {
        core->profiles =
            array_grow(core->profiles, core->profile_count, &core->profile_capacity, sizeof(*core->profiles));
        core->profile_count++;
    }
    core->profiles[at] = profile;
    JQ_CHECK(jq_strmap_put(&core->profile_names, signature_of(profile), at));
}

enum jq_err profile_make(struct jq_core *core, const struct jq_request *request, struct profile **ret_profile,
                         struct jq_error *reterr) {
    struct profile *profile = calloc(1, sizeof(*profile));
    JQ_CHECK(profile != NULL);
    profile->known = calloc(bit_words(core->config.classes_max), sizeof(*profile->known));
    profile->possible = calloc(bit_words(core->config.classes_max), sizeof(*profile->possible));
    JQ_CHECK(profile->known && profile->possible);
    jq_buf_init(&profile->signature, SIGNATURE_SIZE_MAX);
    jq_strmap_init(&profile->handler_names, core->hash_seed);
    const enum jq_err err = profile_build(core, request, profile, reterr);
    if (err != JQ_OK) {
        profile_free(profile);
        return err;
    }
    const uint32_t known = jq_strmap_get(&core->profile_names, signature_of(profile), UINT32_MAX);
    if (known != UINT32_MAX) {
        profile_free(profile);
        profile = core->profiles[known];
    } else {
        profile_publish(core, profile);
    }
    profile->refs++;
    core->profiles_changed++;
    *ret_profile = profile;
    return JQ_OK;
}

void profile_release(struct jq_core *core, struct profile *profile) {
    if (!profile || --profile->refs > 0) {
        return;
    }
    const uint32_t at = jq_strmap_get(&core->profile_names, signature_of(profile), UINT32_MAX);
    JQ_CHECK(at < core->profile_count);
    (void)jq_strmap_remove(&core->profile_names, signature_of(profile));
    core->profiles[at] = NULL;
    core->profiles_changed++;
    profile_free(profile);
}

const struct jq_handler_def *profile_handler(const struct profile *profile, struct jq_str name) {
    const uint32_t at = jq_strmap_get(&profile->handler_names, name, UINT32_MAX);
    return at == UINT32_MAX ? NULL : &profile->handlers[at];
}

/* ---- who of this kind has a parked poll ---- */

void profile_park(struct jq_core *core, uint32_t index) {
    struct worker *worker = worker_at(core, index);
    struct profile *profile = worker->profile;
    if (profile->parked_count == 0) {
        core->asking = array_grow(core->asking, core->asking_count, &core->asking_capacity, sizeof(*core->asking));
        core->asking[core->asking_count++] = profile;
        profile->asking_place = core->asking_count;
    }
    profile->parked =
        array_grow(profile->parked, profile->parked_count, &profile->parked_capacity, sizeof(*profile->parked));
    profile->parked[profile->parked_count++] = index;
    worker->profile_place = profile->parked_count;
}

void profile_unpark(struct jq_core *core, uint32_t index) {
    struct worker *worker = worker_at(core, index);
    struct profile *profile = worker->profile;
    const uint32_t last = profile->parked[--profile->parked_count];
    profile->parked[worker->profile_place - 1] = last;
    worker_at(core, last)->profile_place = worker->profile_place;
    worker->profile_place = 0;
    if (profile->parked_count == 0) {
        struct profile *moved = core->asking[--core->asking_count];
        core->asking[profile->asking_place - 1] = moved;
        moved->asking_place = profile->asking_place;
        profile->asking_place = 0;
    }
}

/* ---- plans ---- */

static uint32_t reserved_count(const struct jq_need *need) {
    uint32_t count = 0;
    for (size_t g = 0; g < need->count; g++) {
        for (size_t t = 0; t < need->groups[g].count; t++) {
            count += need->groups[g].terms[t].op == JQ_NEED_RESERVE;
        }
    }
    return count;
}

/* Units that are told apart cannot be shared. */
static bool cuts_a_unit(const struct jq_need_term *term, const struct profile *profile, int resource) {
    return profile->indexed[resource] && term->amount % JQ_AMOUNT_UNIT != 0;
}

bool profile_accepts(const struct jq_core *core, const struct profile *profile, const struct jq_need_group *group) {
    for (size_t t = 0; t < group->count && profile->accept != 0; t++) {
        const struct jq_need_term *term = &group->terms[t];
        const uint32_t resource = term->op == JQ_NEED_RESERVE && term->amount > 0
                                      ? jq_strmap_get(&core->resource_names, term->name, UINT32_MAX)
                                      : UINT32_MAX;
        if (resource != UINT32_MAX && profile->accept >> resource & 1) {
            return true;
        }
    }
    return profile->accept == 0;
}

const struct jq_need_term *profile_failing_term(const struct jq_core *core, const struct profile *profile,
                                                const struct jq_need_group *group) {
    for (size_t t = 0; t < group->count; t++) {
        const struct jq_need_term *term = &group->terms[t];
        if ((!jq_need_term_holds(term, &profile->facts, &profile->offers) &&
             !(CANARY(FACT_BLIND) && term->op != JQ_NEED_RESERVE)) ||
            (term->op == JQ_NEED_RESERVE &&
             cuts_a_unit(term, profile, (int)jq_strmap_get(&core->resource_names, term->name, 0)))) {
            return term;
        }
    }
    return NULL;
}

/* The reservations of one alternative, from `next` on in the plan's arrays. */
static uint32_t alternative_fill(struct jq_core *core, const struct profile *profile, struct plan *plan,
                                 const struct jq_need_group *group, uint32_t next) {
    struct plan_alternative *alternative = &plan->alternatives[plan->alternative_count++];
    *alternative = (struct plan_alternative){.first = next};
    if (profile_failing_term(core, profile, group) || !profile_accepts(core, profile, group)) {
        return next;
    }
    for (size_t t = 0; t < group->count; t++) {
        if (group->terms[t].op == JQ_NEED_RESERVE) {
            const uint32_t resource = resource_intern(core, group->terms[t].name); /* it holds: the worker offers it */
            plan->amounts[next] = (struct plan_amount){(uint8_t)resource, group->terms[t].amount};
            plan->named[next++] = (struct jq_amount){core->resources[resource], group->terms[t].amount};
        }
    }
    alternative->count = next - alternative->first;
    alternative->possible = true;
    plan->possible = true;
    return next;
}

static void plan_make(struct jq_core *core, struct profile *profile, uint16_t class_index, struct plan *plan) {
    const struct class_entry *entry = &core->classes[class_index];
    const uint32_t handler = jq_strmap_get(&profile->handler_names, entry->handler, UINT32_MAX);
    struct jq_need need;
    *plan = (struct plan){.known = true, .handler = handler};
    if (handler == UINT32_MAX || jq_need_merge(&entry->parsed, &profile->handler_needs[handler], &need) != JQ_OK) {
        return;
    }
    const uint32_t amounts = reserved_count(&need);
    plan->alternatives = calloc(need.count, sizeof(*plan->alternatives));
    plan->amounts = calloc(amounts + 1, sizeof(*plan->amounts));
    plan->named = calloc(amounts + 1, sizeof(*plan->named));
    JQ_CHECK(plan->alternatives && plan->amounts && plan->named);
    uint32_t next = 0;
    plan->want = (int16_t)jq_want_score(&entry->wanted, &profile->facts, &profile->offers);
    for (size_t g = 0; g < need.count; g++) {
        next = alternative_fill(core, profile, plan, &need.groups[g], next);
    }
    jq_need_fini(&need);
}

const struct plan *profile_plan(struct jq_core *core, struct profile *profile, uint16_t class_index) {
    if (class_index >= profile->plan_count) {
        const uint32_t count = core->class_count + 16u;
        struct plan *plans = realloc(profile->plans, count * sizeof(*plans));
        JQ_CHECK(plans != NULL);
        memset(plans + profile->plan_count, 0, (count - profile->plan_count) * sizeof(*plans));
        profile->plans = plans;
        profile->plan_count = count;
    }
    struct plan *plan = &profile->plans[class_index];
    if (!plan->known) {
        plan_make(core, profile, class_index, plan);
        bit_set(profile->known, class_index, true);
        bit_set(profile->possible, class_index, plan->possible);
    }
    return plan;
}

void profiles_drop_class(struct jq_core *core, uint16_t class_index) {
    for (uint32_t i = 0; i < core->profile_count; i++) {
        struct profile *profile = core->profiles[i];
        if (profile && class_index < profile->plan_count) {
            struct plan *plan = &profile->plans[class_index];
            free(plan->alternatives);
            free(plan->amounts);
            free(plan->named);
            *plan = (struct plan){0};
            bit_set(profile->known, class_index, false);
            bit_set(profile->possible, class_index, false);
        }
    }
}

/* Ends with the first that is not pure: what is not pure costs one look. */
static struct jq_str pure_version(const struct jq_core *core, struct jq_str name) {
    const struct jq_str none = {NULL, 0};
    struct jq_str version = none;
    for (uint32_t i = 0; i < core->profile_count; i++) {
        const struct jq_handler_def *handler = core->profiles[i] ? profile_handler(core->profiles[i], name) : NULL;
        if (!handler) {
            continue;
        }
        if (!handler->pure || handler->version.size == 0 ||
            (version.size > 0 && !jq_str_equal(version, handler->version) && !CANARY(CACHE_DISAGREE))) {
            return none;
        }
        version = handler->version;
    }
    return version;
}

bool class_is_possible(struct jq_core *core, uint16_t class_index) {
    struct class_entry *entry = &core->classes[class_index];
    if (entry->possible_at != core->profiles_changed + 1) {
        entry->possible_at = core->profiles_changed + 1;
        entry->possible = false;
        entry->pure_version = pure_version(core, entry->handler);
        for (uint32_t i = 0; i < core->profile_count && !entry->possible; i++) {
            entry->possible = core->profiles[i] && profile_plan(core, core->profiles[i], class_index)->possible;
        }
    }
    return entry->possible;
}

struct jq_str class_pure_version(struct jq_core *core, uint16_t class_index) {
    (void)class_is_possible(core, class_index); /* brings both up to date */
    return core->classes[class_index].pure_version;
}
