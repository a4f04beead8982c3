/* units.c - offers whose units are told apart: choosing some for a lease, and the worker's account of those that are taken. */
#include "broker/core/units.h"

#include "broker/core/state.h"

bool jq_units_next(struct jq_reader *in, uint16_t indexes[JQ_OFFER_INDEXES_MAX], struct jq_units *ret_units) {
    if (jq_reader_left(in) == 0) {
        return false;
    }
    *ret_units = (struct jq_units){.name = jq_read_str(in, JQ_NAME_SIZE_MAX), .indexes = indexes};
    const uint64_t count = jq_read_varint(in);
    if (count == 0 || count > JQ_OFFER_INDEXES_MAX) {
        jq_reader_fail(in);
    }
    for (uint64_t i = 0; i < count && !in->failed; i++) {
        const uint64_t index = jq_read_varint(in);
        if (index > JQ_OFFER_INDEX_MAX) {
            jq_reader_fail(in);
        }
        indexes[ret_units->count++] = (uint16_t)index;
    }
    return !in->failed;
}

bool units_valid(struct jq_bytes units) {
    struct jq_reader in = jq_reader_of(units);
    uint16_t indexes[JQ_OFFER_INDEXES_MAX];
    struct jq_units offer;
    while (jq_units_next(&in, indexes, &offer)) {
    }
    return !in.failed;
}

/* ---- choosing ---- */

/* The first `count` that nobody has, in the order in which they were offered. There are so many: the task fits. */
static void choose_of(const struct worker *worker, uint8_t resource, uint64_t count, struct jq_buf *out) {
    const struct jq_offer *offer = worker->profile->indexed[resource];
    jq_buf_append_str(out, offer->name);
    jq_buf_append_varint(out, count);
    for (size_t place = 0; place < offer->index_count && count > 0; place++) {
        if (!(worker->taken[resource] >> place & 1)) {
            jq_buf_append_varint(out, offer->indexes[place]);
            count--;
        }
    }
    JQ_CHECK(count == 0);
}

void units_choose(const struct worker *worker, const struct plan *plan, const struct plan_alternative *alternative,
                  struct jq_buf *out) {
    jq_buf_clear(out);
    for (uint32_t i = 0; i < alternative->count; i++) {
        const struct plan_amount *amount = &plan->amounts[alternative->first + i];
        if (amount->amount > 0 && worker->profile->indexed[amount->resource]) {
            choose_of(worker, amount->resource, amount->amount / JQ_AMOUNT_UNIT, out);
        }
    }
}

/* ---- the account ---- */

static void take_one(struct worker *worker, uint32_t resource, uint16_t index, bool take) {
    const struct jq_offer *offer = worker->profile->indexed[resource];
    for (size_t place = 0; offer && place < offer->index_count; place++) {
        const uint64_t bit = UINT64_C(1) << place;
        if (offer->indexes[place] == index && !(worker->taken[resource] & bit) == take) {
            worker->taken[resource] ^= bit;
            worker->taken_count[resource] = (uint8_t)(worker->taken_count[resource] + (take ? 1 : -1));
        }
    }
}

/* A number that the worker no longer offers changes nothing. */
void units_account(struct jq_core *core, struct worker *worker, struct jq_bytes units, bool take) {
    struct jq_reader in = jq_reader_of(units);
    uint16_t indexes[JQ_OFFER_INDEXES_MAX];
    struct jq_units offer;
    while (worker->profile && !CANARY(UNIT_TWICE) && jq_units_next(&in, indexes, &offer)) {
        const uint32_t resource = jq_strmap_get(&core->resource_names, offer.name, UINT32_MAX);
        for (size_t i = 0; resource != UINT32_MAX && i < offer.count; i++) {
            take_one(worker, resource, indexes[i], take);
        }
    }
}

size_t units_free(const struct worker *worker, uint8_t resource, uint16_t indexes[JQ_OFFER_INDEXES_MAX]) {
    const struct jq_offer *offer = worker->profile->indexed[resource];
    size_t count = 0;
    for (size_t place = 0; place < offer->index_count; place++) {
        if (!(worker->taken[resource] >> place & 1)) {
            indexes[count++] = offer->indexes[place];
        }
    }
    return count;
}
