/* decode_worker.c - what workers send: register, lease, report. */
#include "broker/shell/decode_error.h"
#include "broker/shell/decode_internal.h"
#include "common/need.h"
#include "common/transport/address.h"

/* ---- offers, facts, handlers ------------------------------------------------------------------------------------- */

static struct jq_str canonical_offer(struct jq_str name) {
    return jq_str_equal(name, JQ_STR("memory")) ? JQ_STR("mem") : name;
}

static bool read_amounts(struct jq_decoder *decoder, const msgpack_object *object, const struct jq_amount **ret_amounts,
                         size_t *ret_count) {
    *ret_amounts = NULL;
    *ret_count = 0;
    if (!object || object->via.map.size == 0)
        return true;
    const size_t count = object->via.map.size;
    struct jq_amount *amounts = jq_decode_array(decoder, count, sizeof(*amounts));
    if (!amounts)
        return false;
    for (size_t i = 0; i < count; i++) {
        const msgpack_object_kv *pair = &object->via.map.ptr[i];
        amounts[i] = (struct jq_amount){canonical_offer(jq_object_str(&pair->key)), pair->val.via.u64};
    }
    *ret_amounts = amounts;
    *ret_count = count;
    return true;
}

static bool refuse_build(struct jq_decoder *decoder, enum jq_err err, const char *field, const struct jq_error *error) {
    if (err == JQ_ERR_NOMEM)
        return jq_fault_set(&decoder->fault, JQ_REPLY_UNAVAILABLE, field, "out of memory");
    return jq_fault_set(&decoder->fault, err == JQ_ERR_TOO_BIG ? JQ_REPLY_TOO_BIG : JQ_REPLY_INVALID, field, "%s",
                        jq_decode_reason(error, field));
}

static bool read_numbers(struct jq_decoder *decoder, const msgpack_object_array *array, struct jq_units *units) {
    uint16_t *indexes = jq_decode_array(decoder, array->size, sizeof(*indexes));
    if (!indexes)
        return false;
    for (uint32_t i = 0; i < array->size; i++)
        indexes[i] = (uint16_t)array->ptr[i].via.u64;
    units->indexes = indexes;
    units->count = array->size;
    return true;
}

/* Units of what is not offered, or of one offer twice, would go unnoticed. */
static bool units_belong(struct jq_decoder *decoder, const struct jq_request *request, const struct jq_units *units,
                         size_t at) {
    bool offered = false;
    for (size_t i = 0; i < request->u.reg.offer_count; i++)
        offered |= jq_str_equal(request->u.reg.offers[i].name, units[at].name);
    for (size_t i = 0; i < at; i++)
        offered &= !jq_str_equal(units[i].name, units[at].name);
    return offered || jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "units", "'%.*s' is not offered, or stands twice",
                                   JQ_STR_ARG(units[at].name));
}

static bool read_units(struct jq_decoder *decoder, const msgpack_object *object, struct jq_request *request) {
    const size_t count = object ? object->via.map.size : 0;
    struct jq_units *units = jq_decode_array(decoder, count, sizeof(*units));
    if (!units)
        return false;
    for (size_t i = 0; i < count; i++) {
        const msgpack_object_kv *pair = &object->via.map.ptr[i];
        units[i].name = canonical_offer(jq_object_str(&pair->key));
        if (!read_numbers(decoder, &pair->val.via.array, &units[i]) || !units_belong(decoder, request, units, i))
            return false;
    }
    request->u.reg.units = units;
    request->u.reg.unit_count = count;
    return true;
}

static bool read_accept(struct jq_decoder *decoder, const msgpack_object *object, struct jq_request *request) {
    const size_t count = object ? object->via.array.size : 0;
    struct jq_str *names = jq_decode_array(decoder, count, sizeof(*names));
    if (!names)
        return false;
    for (size_t i = 0; i < count; i++) {
        bool offered = false;
        names[i] = canonical_offer(jq_object_str(&object->via.array.ptr[i]));
        for (size_t k = 0; k < request->u.reg.offer_count; k++)
            offered |= jq_str_equal(request->u.reg.offers[k].name, names[i]);
        if (!offered)
            return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "accept", "'%.*s' is not offered",
                                JQ_STR_ARG(names[i]));
    }
    request->u.reg.accept = names;
    request->u.reg.accept_count = count;
    return true;
}

/* need.h knows what else makes offers bad: a name twice, an amount of slots that is not whole, a number twice. */
static bool check_offers(struct jq_decoder *decoder, const struct jq_request *request) {
    const size_t count = request->u.reg.offer_count;
    struct jq_offer *list = jq_decode_array(decoder, count, sizeof(*list));
    if (!list)
        return false;
    for (size_t i = 0; i < count; i++) {
        list[i] = (struct jq_offer){.name = request->u.reg.offers[i].name, .amount = request->u.reg.offers[i].amount};
        for (size_t k = 0; k < request->u.reg.unit_count; k++) {
            const struct jq_units *units = &request->u.reg.units[k];
            if (jq_str_equal(units->name, list[i].name)) {
                list[i].indexes = units->indexes;
                list[i].index_count = units->count;
            }
        }
    }
    struct jq_offers offers;
    struct jq_error error;
    const enum jq_err err = jq_offers_build(list, count, &offers, &error);
    if (err != JQ_OK)
        return refuse_build(decoder, err, "offers", &error);
    jq_offers_fini(&offers);
    return true;
}

static bool check_facts(struct jq_decoder *decoder, const struct jq_name_value *values, size_t count) {
    struct jq_fact *list = jq_decode_array(decoder, count, sizeof(*list));
    if (!list)
        return false;
    for (size_t i = 0; i < count; i++)
        list[i] = (struct jq_fact){.name = values[i].name, .text = values[i].value};
    struct jq_facts facts;
    struct jq_error error;
    const enum jq_err err = jq_facts_build(list, count, &facts, &error);
    if (err != JQ_OK)
        return refuse_build(decoder, err, "facts", &error);
    jq_facts_fini(&facts);
    return true;
}

static bool read_facts(struct jq_decoder *decoder, const msgpack_object *object, struct jq_request *request) {
    const size_t count = object ? object->via.map.size : 0;
    struct jq_name_value *facts = jq_decode_array(decoder, count, sizeof(*facts));
    if (!facts)
        return false;
    for (size_t i = 0; i < count; i++) {
        const msgpack_object_kv *pair = &object->via.map.ptr[i];
        facts[i] = (struct jq_name_value){jq_object_str(&pair->key), jq_object_str(&pair->val)};
    }
    request->u.reg.facts = facts;
    request->u.reg.fact_count = count;
    return check_facts(decoder, facts, count);
}

static bool check_alternatives(struct jq_decoder *decoder, struct jq_str text) {
    struct jq_need need;
    if (jq_need_parse(text, &need, NULL) != JQ_OK)
        return jq_fault_set(&decoder->fault, JQ_REPLY_UNAVAILABLE, "need", "out of memory");
    const size_t count = need.count;
    jq_need_fini(&need);
    if (count > JQ_NEED_HANDLER_GROUPS_MAX)
        return jq_fault_set(&decoder->fault, JQ_REPLY_TOO_BIG, "need", "%zu alternatives, a handler has at most %d",
                            count, JQ_NEED_HANDLER_GROUPS_MAX);
    return true;
}

static bool read_handler(struct jq_decoder *decoder, const msgpack_object *object, struct jq_handler_def *ret_handler) {
    struct jq_values values;
    if (!jq_fields_read(&jq_message_handler, object, &values, &decoder->fault))
        return false;
    const uint64_t soft = jq_value_uint(&values, JQ_AT_HANDLER_SOFT_LIMIT, 0);
    const uint64_t hard = jq_value_uint(&values, JQ_AT_HANDLER_HARD_LIMIT, 0);
    *ret_handler = (struct jq_handler_def){
        .name = values.at[JQ_AT_HANDLER_NAME].text,
        .version = jq_value_text(&values, JQ_AT_HANDLER_VERSION),
        .soft_limit_ms = (int64_t)soft,
        .hard_limit_ms = (int64_t)hard,
        .pure = jq_value_bool(&values, JQ_AT_HANDLER_PURE),
    };
    return jq_decode_limits(decoder, soft, hard) &&
           jq_decode_need(decoder, jq_value_text(&values, JQ_AT_HANDLER_NEED), "need", &ret_handler->need) &&
           check_alternatives(decoder, ret_handler->need);
}

static bool name_is_new(struct jq_decoder *decoder, const struct jq_handler_def *handlers, size_t index) {
    for (size_t i = 0; i < index; i++) {
        if (jq_str_equal(handlers[i].name, handlers[index].name))
            return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "name", "'%.*s' stands twice",
                                JQ_STR_ARG(handlers[i].name));
    }
    return true;
}

static bool read_handlers(struct jq_decoder *decoder, const msgpack_object *object, struct jq_request *request) {
    const size_t count = object->via.array.size;
    struct jq_handler_def *handlers = jq_decode_array(decoder, count, sizeof(*handlers));
    if (!handlers)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!read_handler(decoder, &object->via.array.ptr[i], &handlers[i]) || !name_is_new(decoder, handlers, i))
            return jq_fault_within_element(&decoder->fault, "handlers", i);
    }
    request->u.reg.handlers = handlers;
    request->u.reg.handler_count = count;
    return true;
}

static bool check_doorbell(struct jq_decoder *decoder, struct jq_str text) {
    char url[JQ_DOORBELL_SIZE_MAX + 1];
    struct jq_address address;
    struct jq_error error;
    if (text.size == 0)
        return true;
    memcpy(url, text.data, text.size);
    url[text.size] = '\0';
    return (strlen(url) == text.size && jq_address_parse(url, &address, &error) == JQ_OK &&
            address.kind != JQ_ADDRESS_INPROC) ||
           jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "doorbell", "not tcp://HOST:PORT or ipc:///PATH");
}

bool jq_decode_register(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    request->u.reg.id = jq_value_uuid(values, JQ_AT_REGISTER_ID);
    request->u.reg.incarnation = values->at[JQ_AT_REGISTER_INCARNATION].u;
    request->u.reg.name = values->at[JQ_AT_REGISTER_NAME].text;
    request->u.reg.doorbell = jq_value_text(values, JQ_AT_REGISTER_DOORBELL);
    return check_doorbell(decoder, request->u.reg.doorbell) &&
           read_amounts(decoder, jq_value_object(values, JQ_AT_REGISTER_OFFERS), &request->u.reg.offers,
                        &request->u.reg.offer_count) &&
           read_units(decoder, jq_value_object(values, JQ_AT_REGISTER_UNITS), request) &&
           read_accept(decoder, jq_value_object(values, JQ_AT_REGISTER_ACCEPT), request) &&
           check_offers(decoder, request) &&
           read_facts(decoder, jq_value_object(values, JQ_AT_REGISTER_FACTS), request) &&
           read_handlers(decoder, values->at[JQ_AT_REGISTER_HANDLERS].object, request);
}

/* ---- reports ----------------------------------------------------------------------------------------------------- */

static void pack_value(struct jq_pack *pack, enum jq_field_type type, const struct jq_value *value) {
    switch (type) {
    case JQ_FIELD_UINT: jq_pack_uint(pack, value->u); break;
    case JQ_FIELD_TEXT: jq_pack_str(pack, value->text); break;
    case JQ_FIELD_BIN: jq_pack_bin(pack, value->bytes); break;
    case JQ_FIELD_TEXTS: msgpack_pack_object(&pack->packer, *value->object); break;
    default: JQ_CHECK(type == JQ_FIELD_BIN); /* Details have no other types. */
    }
}

/* The detail again, but only what we know and have checked. Empty when there is nothing to keep. */
static struct jq_bytes pack_detail(struct jq_decoder *decoder, const struct jq_values *values) {
    if (values->given == 0)
        return (struct jq_bytes){NULL, 0};
    struct jq_pack pack = jq_pack_of(&decoder->bodies);
    const size_t start = decoder->bodies.size;
    jq_pack_map(&pack, (size_t)__builtin_popcountll(values->given));
    for (unsigned place = 0; place < jq_message_detail.count; place++) {
        if (!jq_given(values, place))
            continue;
        jq_pack_key(&pack, &jq_message_detail, place);
        pack_value(&pack, jq_message_detail.fields[place].type, &values->at[place]);
    }
    JQ_CHECK(!decoder->bodies.failed);
    return (struct jq_bytes){decoder->bodies.data + start, decoder->bodies.size - start};
}

static bool read_report(struct jq_decoder *decoder, const msgpack_object *object, struct jq_report *ret_report) {
    struct jq_values values, detail;
    detail.given = 0; /* Not {0}: that would clear a kilobyte for each report. */
    if (!jq_fields_read(&jq_message_report_item, object, &values, &decoder->fault))
        return false;
    const enum jq_outcome outcome = (enum jq_outcome)values.at[JQ_AT_REPORT_ITEM_OUTCOME].u;
    if (outcome == JQ_OUTCOME_LOST)
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "outcome", "lost is for the broker to say");
    const msgpack_object *map = jq_value_object(&values, JQ_AT_REPORT_ITEM_DETAIL);
    if (map && !jq_fields_read(&jq_message_detail, map, &detail, &decoder->fault))
        return jq_fault_within(&decoder->fault, "detail");
    *ret_report = (struct jq_report){
        .task = {values.at[JQ_AT_REPORT_ITEM_TASK].u},
        .token = {values.at[JQ_AT_REPORT_ITEM_TOKEN].u},
        .outcome = outcome,
        .crashed = values.at[JQ_AT_REPORT_ITEM_CRASHED].u != 0,
        .body = pack_detail(decoder, &detail),
        .version = jq_value_text(&detail, JQ_AT_DETAIL_VERSION),
    };
    ret_report->made = (struct jq_bytes){NULL, 0};
    if (jq_given(&detail, JQ_AT_DETAIL_OUTPUTS) && !jq_decode_made(decoder, &detail, ret_report))
        return false;
    return outcome == JQ_OUTCOME_SUCCESS || (jq_decode_error_text(decoder, &detail, &ret_report->error) &&
                                             jq_decode_service(decoder, &detail, &ret_report->service));
}

static bool read_reports(struct jq_decoder *decoder, const msgpack_object *object, struct jq_request *request) {
    const size_t count = object ? object->via.array.size : 0;
    struct jq_report *reports = jq_decode_array(decoder, count, sizeof(*reports));
    if (!reports)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!read_report(decoder, &object->via.array.ptr[i], &reports[i]))
            return jq_fault_within_element(&decoder->fault, "reports", i);
    }
    request->u.lease.reports = reports;
    request->u.lease.report_count = count;
    return true;
}

bool jq_decode_report(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    request->u.lease.session = jq_value_uuid(values, JQ_AT_REPORT_SESSION);
    return read_reports(decoder, values->at[JQ_AT_REPORT_REPORTS].object, request);
}

/* ---- lease ------------------------------------------------------------------------------------------------------- */

static bool read_held(struct jq_decoder *decoder, const msgpack_object *object, struct jq_request *request) {
    const size_t count = object ? object->via.array.size : 0;
    struct jq_held *held = jq_decode_array(decoder, count, sizeof(*held));
    if (!held)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct jq_values values;
        if (!jq_fields_read(&jq_message_held, &object->via.array.ptr[i], &values, &decoder->fault))
            return jq_fault_within_element(&decoder->fault, "held", i);
        held[i] = (struct jq_held){{values.at[JQ_AT_HELD_TASK].u}, {values.at[JQ_AT_HELD_TOKEN].u}};
    }
    request->u.lease.held = held;
    request->u.lease.held_count = count;
    request->u.lease.held_given = object != NULL;
    request->u.lease.held_whole = count < JQ_HELD_COUNT_MAX;
    return true;
}

static uint64_t at_most(uint64_t value, uint64_t max) {
    return value < max ? value : max;
}

/* What a frame holds beside the verdicts on these reports. */
static uint64_t bytes_available(size_t report_count) {
    return JQ_FRAME_SIZE_MAX - JQ_LEASE_REPLY_OVERHEAD - JQ_VERDICT_SIZE_MAX * report_count;
}

bool jq_decode_lease(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    request->u.lease.session = jq_value_uuid(values, JQ_AT_LEASE_SESSION);
    request->u.lease.want = (uint32_t)at_most(values->at[JQ_AT_LEASE_WANT].u, JQ_LEASE_COUNT_MAX);
    request->u.lease.wait_ms = jq_decode_wait_ms(decoder, values, JQ_AT_LEASE_WAIT);
    request->u.lease.sleep = jq_value_bool(values, JQ_AT_LEASE_SLEEP);
    if (!read_reports(decoder, jq_value_object(values, JQ_AT_LEASE_REPORTS), request))
        return false;
    request->u.lease.bytes_max = (uint32_t)at_most(jq_value_uint(values, JQ_AT_LEASE_BYTES_MAX, JQ_U32_MAX),
                                                   bytes_available(request->u.lease.report_count));
    return read_amounts(decoder, jq_value_object(values, JQ_AT_LEASE_FREE), &request->u.lease.free,
                        &request->u.lease.free_count) &&
           read_held(decoder, jq_value_object(values, JQ_AT_LEASE_HELD), request);
}
