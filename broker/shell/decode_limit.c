/* decode_limit.c - limit.set, limit.ls, limit.rm: scopes and rates are checked here, the core takes them as they are. */
#include "broker/shell/decode_internal.h"

static bool refuse(struct jq_decoder *decoder, const char *field, enum jq_err err, const struct jq_error *error) {
    return jq_fault_set(&decoder->fault, err == JQ_ERR_TOO_BIG ? JQ_REPLY_TOO_BIG : JQ_REPLY_INVALID, field, "%s",
                        error->message);
}

static bool read_scope(struct jq_decoder *decoder, struct jq_str text, struct jq_request *request) {
    struct jq_scope scope;
    struct jq_error error;
    const enum jq_err err = jq_scope_parse(text, &scope, &error);
    request->u.limit.scope = text;
    return err == JQ_OK || refuse(decoder, "scope", err, &error);
}

static bool read_rate(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    struct jq_rate *rate = &request->u.limit.rate;
    struct jq_error error;
    enum jq_err err = jq_rate_parse(jq_value_text(values, JQ_AT_LIMIT_SET_RATE), rate, &error);
    if (err != JQ_OK)
        return refuse(decoder, "rate", err, &error);
    request->u.limit.burst = (uint32_t)jq_value_uint(values, JQ_AT_LIMIT_SET_BURST, jq_rate_burst_default(*rate));
    err = jq_rate_check_burst(*rate, request->u.limit.burst, &error);
    return err == JQ_OK || refuse(decoder, "burst", err, &error);
}

bool jq_decode_limit_set(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    const bool rate = jq_given(values, JQ_AT_LIMIT_SET_RATE), burst = jq_given(values, JQ_AT_LIMIT_SET_BURST);
    request->u.limit.concurrency = (uint32_t)jq_value_uint(values, JQ_AT_LIMIT_SET_CONCURRENCY, 0);
    if (!read_scope(decoder, jq_value_text(values, JQ_AT_LIMIT_SET_SCOPE), request))
        return false;
    if (!rate && request->u.limit.concurrency == 0)
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "concurrency", "neither it nor a rate is given");
    if (burst && !rate)
        return jq_fault_set(&decoder->fault, JQ_REPLY_INVALID, "burst", "given without a rate");
    return !rate || read_rate(decoder, values, request);
}

bool jq_decode_limit_ls(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    (void)decoder;
    request->u.page.after = jq_value_uint(values, JQ_AT_LIMIT_LS_AFTER, 0);
    return true;
}

bool jq_decode_limit_rm(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    return read_scope(decoder, jq_value_text(values, JQ_AT_LIMIT_RM_SCOPE), request);
}
